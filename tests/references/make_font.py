#!/usr/bin/env python3
"""Writes limpid/attribution/font_data.cpp: DejaVu Sans and DejaVu Sans Bold (Debian: fonts-dejavu-core), reduced with fontTools to the
characters that limpid draws, in base64: python tests/references/make_font.py > limpid/attribution/font_data.cpp"""
import base64
import io
import sys

from fontTools import subset, ttLib

FOLDER = sys.argv[1] if len(sys.argv) > 1 else "/usr/share/fonts/truetype/dejavu"
TEXT = "".join(map(chr, [*range(32, 127), *range(0xC0, 0x100)])) + "·×÷±–—…°µ′″‘’“”«»−≤≥≈∞→←Δδαβγλσ∂∑∫²³√"


def reduced(name):
    options = subset.Options(drop_tables=["FFTM"], hinting=False, layout_features=[], glyph_names=False, notdef_outline=True, legacy_kern=False,
                             name_IDs=[0, 1, 2], name_languages=[0x409])
    font = ttLib.TTFont(f"{FOLDER}/{name}.ttf", recalcTimestamp=False)
    version = font["name"].getDebugName(5)
    subsetter = subset.Subsetter(options)
    subsetter.populate(text=TEXT)
    subsetter.subset(font)
    for table in ["MATH", "GPOS", "GSUB", "GDEF", "kern", "FFTM", "post", "OS/2", "gasp"]:
        if table in font:
            del font[table]
    out = io.BytesIO()
    font.save(out, reorderTables=True)
    return version, base64.b64encode(out.getvalue()).decode()


fonts = {"regular": reduced("DejaVuSans"), "bold": reduced("DejaVuSans-Bold")}
print("// Made by tests/references/make_font.py; edit the script, not this file.")
print(f"// DejaVu Sans, {fonts['regular'][0]}, and its Bold: TrueType outlines of the characters that limpid draws, in base64. Licence: see NOTICE.")
print("#include <limpid/attribution/font_data.h>\n\nnamespace limpid::detail {\n")
for name, (_, text) in fonts.items():
    # Strings longer than 64 KiB are not portable: an array of lines is.
    print(f"const char* const font_{name}[] = {{")
    print("\n".join(f'    "{text[i:i + 148]}",' for i in range(0, len(text), 148)))
    print("    nullptr};")
print("\n}  // namespace limpid::detail")
