#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets, tests/fuzz/corpus/TARGET/: small valid files, from tests/data and made here. Files already there are
left: what fuzzing has found worth keeping lies beside the seeds.

usage: python3 tests/fuzz/make_seeds.py
"""
import io, json, pickletools, struct, zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
DATA = HERE.parent / "data"
CORPUS = HERE / "corpus"


def put(target, name, content):
    path = CORPUS / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def safetensors(header, data=b""):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def make_safetensors():
    for path in (DATA / "pytorch").glob("*.safetensors"): put("safetensors", path.stem, path.read_bytes())
    entry = lambda dtype, shape, begin, end: {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    put("safetensors", "empty", safetensors({}))
    put("safetensors", "two", safetensors({"__metadata__": {"a": "b"}, "x": entry("F32", [2], 0, 8), "y": entry("U8", [1, 3], 8, 11)}, bytes(range(11))))
    put("safetensors", "zero", safetensors({"x": entry("BF16", [0, 4], 0, 0), "\u00e9": entry("I64", [], 0, 8)}, bytes(8)))


def make_npy():
    def npy(text, data, version=1): return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(text)) + text.encode() + data
    for descr, size in [("<f4", 4), ("<f8", 8), ("<f2", 2), ("<i8", 8), ("<i4", 4), ("|u1", 1)]:
        put("npy", "array_" + descr[1:], npy(f"{{'descr': '{descr}', 'fortran_order': False, 'shape': (2, 3), }}\n", bytes(6 * size)))
    put("npy", "scalar", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (), }\n", bytes(4), 2))
    put("npy", "one", npy("{\"shape\":(1,),\"fortran_order\":False,\"descr\":\"|u1\"}", bytes(1), 3))
    put("npy", "fortran", npy("{'descr': '<f4', 'fortran_order': True, 'shape': (1, 1), }", bytes(4)))


def archive(**options):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as z:
        for name, content in [("a/data.pkl", b"}."), ("a/version", b"3\n"), ("a/data/0", b"0123")]:
            with z.open(zipfile.ZipInfo(name), "w", **options) as f: f.write(content)
    return out


def zip64_end(content):
    """The same archive with its numbers in zip64 records, as of a file of more than 4 GB."""
    entries, size, offset = struct.unpack("<HII", content[-12:-2])
    end64 = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, entries, entries, size, offset)
    locator = struct.pack("<IIQI", 0x07064B50, 0, len(content) - 22, 1)
    return content[:-22] + end64 + locator + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)


def make_zip():
    plain = archive()
    put("zip", "plain", plain.getvalue())
    with zipfile.ZipFile(plain, "a") as z: z.comment = b"a comment"
    put("zip", "comment", plain.getvalue())
    put("zip", "force_zip64", archive(force_zip64=True).getvalue())
    put("zip", "zip64_end", zip64_end(archive().getvalue()))
    put("zip", "empty", b"PK\5\6" + bytes(18))
    for name in ("single", "refused.arrays"): put("zip", name, next((DATA / "pytorch").glob(name + ".[pn]*")).read_bytes())


def pickle_at(content, start):
    for op, _, at in pickletools.genops(content[start:]):
        if op.name == "STOP": return content[start : start + at + 1]


def make_pickle():
    for path in sorted((DATA / "pytorch").iterdir()):
        if path.suffix == ".safetensors" or path.name.startswith("refused.arrays"): continue
        content = path.read_bytes()
        if content.startswith(b"PK"):
            with zipfile.ZipFile(path) as z: body = next(z.read(n) for n in z.namelist() if n.endswith("data.pkl"))
        else:
            start = 0
            for _ in range(3): start += len(pickle_at(content, start))
            body = pickle_at(content, start)
        put("pickle", path.stem.replace("refused.", ""), body + bytes(range(240)))
    for name, text in {"protocol0_global": b"cos\nsystem\n(S'ls'\ntR.", "inst": b"(S'a'\nicollections\nOrderedDict\n.", "obj": b"(ccollections\nOrderedDict\no.",
                       "text": b"(dp0\nVa\np1\nI01\nsS'b'\nL12L\nsg1\nF1.5\ns.", "set": b"\x80\x04(\x8f(K\x01\x90(K\x02\x91l."}.items(): put("pickle", name, text)


def make_pytorch():
    for path in sorted((DATA / "pytorch").iterdir()):
        if path.suffix != ".safetensors" and path.stat().st_size < 2600: put("pytorch", path.stem, path.read_bytes())


def make_image():
    names = "baseline_420.jpg baseline_444.jpg progressive.jpg grey.jpg cmyk.jpg exif_6.jpg interlaced.png palette.png palette_transparency.png one_bit.png " \
            "one_pixel.png grey.png grey_alpha.png grey16.png rgb16.png palette.bmp rgb.bmp"
    for name in names.split():
        path = DATA / "preprocessing" / name
        if path.exists() and path.stat().st_size < 3000: put("image", name, path.read_bytes())


if __name__ == "__main__":
    for make in (make_safetensors, make_npy, make_zip, make_pickle, make_pytorch, make_image): make()
    for folder in sorted(CORPUS.iterdir()): print(folder.name, len(list(folder.iterdir())), sum(f.stat().st_size for f in folder.iterdir()))
