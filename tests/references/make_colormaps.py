#!/usr/bin/env python3
"""Writes limpid/attribution/colormap_tables.cpp from matplotlib: python tests/references/make_colormaps.py > limpid/attribution/colormap_tables.cpp"""
import matplotlib
import numpy as np
from matplotlib.colors import LinearSegmentedColormap

NAMES = ["viridis", "magma", "inferno", "plasma", "jet", "coolwarm", "bwr", "gray", "Greens", "Reds", "Blues"]
maps = {name: matplotlib.colormaps[name] for name in NAMES}
maps["red_white_green"] = LinearSegmentedColormap.from_list("RdWhGn", ["red", "white", "green"])  # Captum's default for sign "all"
maps["black_white"] = maps["gray"]

print(f"// Made by tests/references/make_colormaps.py with matplotlib {matplotlib.__version__}; edit the script, not this file.")
print("// 256 colours a map, six hexadecimal digits each. The maps viridis, magma, inferno and plasma are CC0; Greens, Reds and Blues are")
print("// ColorBrewer's (Apache-2.0); coolwarm is Kenneth Moreland's.")
print('#include <limpid/attribution/colormap_tables.h>\n\nnamespace limpid::detail {\n\nconst NamedColorTable color_tables[] = {')
for name, cmap in maps.items():
    digits = cmap(np.arange(256), bytes=True)[:, :3].tobytes().hex()
    print(f'    {{"{name}",')
    lines = [digits[i:i + 150] for i in range(0, len(digits), 150)]
    print("\n".join(f'     "{line}"' for line in lines) + "},")
print("};\nconst std::size_t color_table_count = std::size(color_tables);\n\n}  // namespace limpid::detail")
