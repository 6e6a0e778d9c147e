#!/usr/bin/env python3
"""Writes tests/data/preprocessing/: pictures, what Pillow and torchvision make of them, and manifest.json that pairs the two.

usage: bench/peers/.venv/bin/python tests/references/make_preprocessing.py

Expected = ImageOps.exif_transpose(Image.open(file)).convert("RGB"), then torchvision's Resize and CenterCrop on the Pillow image (where the
case has them), as a lossless PNG. Two departures from Pillow, on purpose: 16-bit samples are expected as v >> 8 (Pillow clips 16-bit grey
to 255), and a CMYK JPEG may instead be refused with a clear error. Alpha and palette transparency are dropped, as convert("RGB") does.
"""
import json, shutil, struct, warnings, zlib
from pathlib import Path

import numpy as np
from PIL import Image

from common import DATA, EMBEDDED, PICTURES, load_model, open_rgb, picture_path, resized, versions

warnings.filterwarnings("ignore", message="Palette images with Transparency")
OUT = DATA / "preprocessing"
cases = []


def case(file, path, resize=None, crop=None, interpolation=None, exact=True, suffix="", expected=None, **more):
    """`expected`: RGB array, where Pillow's reading is not what is wanted."""
    image = open_rgb(path) if expected is None else Image.fromarray(expected)
    if resize: image = resized(image, {"interpolation": interpolation}, resize, crop)
    # A picture in images/ has its expected file alone here; a file made here stands beside its own.
    name = Path(file).stem + suffix + ".png" if file.startswith("images/") else file.replace(".", "_") + suffix + ".expected.png"
    image.save(OUT / name, optimize=True)
    entry = {"file": file, "expected": name, "exact": exact, **more}
    if resize: entry |= {"resize": resize, "crop": list(crop) if isinstance(crop, tuple) else [crop, crop], "interpolation": interpolation}
    cases.append(entry)


def scene(h, w, channels=3):
    """Smooth colour with one hard edge and a little noise: enough for a decoder or a resampler to go wrong on."""
    y, x = np.mgrid[0:h, 0:w] / np.array([max(h - 1, 1), max(w - 1, 1)]).reshape(2, 1, 1)
    planes = [x, y, (x + y) / 2, 1 - x * y][:channels]
    a = np.stack(planes, -1) * 200 + 20
    a[h // 3 : h // 2, w // 4 : w // 2] = [250, 10, 120, 60][:channels]
    a += np.random.default_rng(h * 1000 + w).uniform(-12, 12, a.shape)
    return a.clip(0, 255).astype("u1")


def write_png(path, a, interlaced=False):
    """What Pillow cannot write: 16-bit colour and Adam7. `a`: [H,W,C], u1 or u2."""
    def chunk(kind, body): return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    h, w, channels = a.shape
    big = a.astype(a.dtype.newbyteorder(">"))
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)] if interlaced else [(0, 0, 1, 1)]
    rows = b"".join(b"\0" + row.tobytes() for y, x, dy, dx in passes if big[y::dy, x::dx].size for row in big[y::dy, x::dx])
    head = struct.pack(">IIBBBBB", w, h, 8 * a.itemsize, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, interlaced)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b""))


def pictures():
    for model in EMBEDDED: print(model, load_model(model)[1])
    for name in PICTURES:
        # JPEG decoders differ by a few levels; PNG and all arithmetic after it are exact.
        exact = name.endswith(".png")
        for interpolation in ("bilinear", "bicubic"):
            for resize, crop in ((256, 224), (72, 64), (50, (37, 44))):
                size = crop if isinstance(crop, int) else "x".join(map(str, crop))
                case("images/" + name, picture_path(name), resize, crop, interpolation, exact, f".{interpolation}.{size}")


def synthetic():
    rgb, path = scene(24, 34), lambda name: OUT / name

    def made(name, image, exact=True, resize=True, **more):
        more_save = more.pop("save", {})
        if image is not None: image.save(path(name), **more_save)
        case(name, path(name), exact=exact, **more)
        if resize: case(name, path(name), 16, 12, "bilinear", exact, ".bilinear.12", **more)

    made("rgb.png", Image.fromarray(rgb))
    made("grey.png", Image.fromarray(rgb[..., 0]))
    made("one_bit.png", Image.fromarray(rgb[..., 0]).convert("1"), resize=False)
    made("grey_alpha.png", Image.fromarray(np.stack([rgb[..., 0], rgb[..., 2]], -1)), note="alpha is dropped")
    made("rgba.png", Image.fromarray(scene(24, 34, 4)), note="alpha is dropped")
    made("rgba_invisible.png", Image.fromarray(np.dstack([rgb, np.zeros_like(rgb[..., 0])])), resize=False, note="alpha 0 everywhere: the colours show all the same")
    palette = Image.fromarray(rgb).quantize(32)
    made("palette.png", palette, resize=False)
    made("palette_transparency.png", palette, save={"transparency": bytes(range(0, 256, 8))}, note="the palette's alpha is dropped")
    made("rgb.bmp", Image.fromarray(rgb), resize=False)
    made("palette.bmp", palette, resize=False)
    write_png(path("interlaced.png"), scene(13, 19), interlaced=True)
    made("interlaced.png", None, resize=False)

    # 16 bits: high bytes and low bytes both matter to a reader that scales or clips.
    deep = rgb.astype("u2") * 256 + np.random.default_rng(1).integers(0, 256, rgb.shape).astype("u2")
    write_png(path("rgb16.png"), deep)
    made("rgb16.png", None, expected=(deep >> 8).astype("u1"), note="v >> 8")
    write_png(path("grey16.png"), deep[..., :1])
    grey = np.repeat((deep[..., :1] >> 8).astype("u1"), 3, -1)
    made("grey16.png", None, expected=grey, note="v >> 8; Pillow's convert would clip")
    print("Pillow on grey16.png:", Image.open(path("grey16.png")).mode, "converted, largest difference from v >> 8:", int(np.abs(np.asarray(open_rgb(path("grey16.png"))).astype(int) - grey).max()))
    print("Pillow on rgb16.png:", Image.open(path("rgb16.png")).mode, int(np.abs(np.asarray(open_rgb(path("rgb16.png"))).astype(int) - (deep >> 8)).max()))

    made("baseline_444.jpg", Image.fromarray(rgb), False, save={"quality": 92, "subsampling": 0})
    made("baseline_420.jpg", Image.fromarray(rgb), False, save={"quality": 92, "subsampling": 2})
    made("progressive.jpg", Image.fromarray(rgb), False, save={"quality": 92, "subsampling": 0, "progressive": True})
    made("grey.jpg", Image.fromarray(rgb[..., 0]), False, resize=False, save={"quality": 92})
    made("cmyk.jpg", Image.fromarray(rgb).convert("CMYK"), False, resize=False, save={"quality": 92}, may_fail=True, note="an error that names CMYK will do")
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        made(f"exif_{orientation}.jpg", Image.fromarray(rgb), False, save={"quality": 95, "subsampling": 0, "exif": exif})

    # Sizes: the long side is int(resize * long / short); the crop's origin is Python's round((size - crop) / 2), halves to even.
    for name, (h, w), settings in (
        ("upscale.png", (30, 20), [(64, 64), (64, (61, 63))]),
        ("aspect.png", (37, 53), [(20, 16), (20, (17, 19)), (20, (20, 15)), (19, (16, 20))]),
        ("panorama.png", (3, 120), [(8, 8)]),
        ("one_pixel.png", (1, 1), [(8, 8)]),
        ("same_size.png", (16, 21), [(16, 16)])):
        Image.fromarray(scene(h, w)).save(path(name))
        for resize, crop in settings:
            for interpolation in ("bilinear", "bicubic"):
                size = crop if isinstance(crop, int) else "x".join(map(str, crop))
                case(name, path(name), resize, crop, interpolation, suffix=f".{interpolation}.{resize}.{size}")


if __name__ == "__main__":
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    pictures()
    synthetic()
    import PIL
    lines = ",\n".join("  " + json.dumps(c) for c in cases)
    head = json.dumps(versions() | {"pillow": PIL.__version__})
    (OUT / "manifest.json").write_text(f'{{"versions": {head},\n "cases": [\n{lines}\n]}}\n')
    print(len(cases), "cases,", round(sum(f.stat().st_size for f in OUT.iterdir()) / 1e6, 3), "MB")
