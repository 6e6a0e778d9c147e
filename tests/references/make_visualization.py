#!/usr/bin/env python3
"""Writes tests/data/visualization.safetensors: the numbers behind captum.attr.visualization.

usage: bench/peers/.venv/bin/python tests/references/make_visualization.py

    attribution [1,3,12,9] float32 (Captum is given it as [12,9,3]); original [12,9,3] uint8
    normalized.SIGN.OUTLIERPERCENT [12,9]: _normalize_attr of the sum over the channels, in float32 as Captum computes it
    colormap.NAME [256,3] uint8: matplotlib's bytes; red_white_green is Captum's map for sign `all`
    heat_map.SIGN, blended_heat_map.SIGN (alpha_overlay 0.5), masked_image.SIGN, alpha_scaling.SIGN [12,9,3]: float RGB in 0..255, before
    rounding; outlier percentage 2, Captum's default maps. alpha_scaling lies over white, as it does on a figure.
The pictures are written out as formulas and compared with what Captum itself draws on a figure of one dot a pixel.
"""
import warnings

import matplotlib, numpy as np
from captum.attr import visualization as cv
from captum.attr._utils.visualization import _initialize_cmap_and_vmin_vmax, _normalize_attr, _prepare_image
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from common import DATA, save_safetensors, versions

SIGNS = ("all", "positive", "negative", "absolute_value")
MAPS = ("viridis", "magma", "inferno", "plasma", "jet", "coolwarm", "bwr", "gray", "Greens", "Reds", "Blues")
H, W, ALPHA = 12, 9, 0.5


def table(cmap): return matplotlib.colormaps.get_cmap(cmap)(np.arange(256), bytes=True)[:, :3]


def colored(values, colors, low, high):
    """The entry of a value is floor(256 t), t its place between low and high; t = 1 takes the last."""
    t = (values - values.dtype.type(low)) / values.dtype.type(high - low)
    return colors[np.clip((t * 256).astype(int), 0, 255)].astype("f8")


def heat_map(original, norm, sign):
    cmap, low, high = _initialize_cmap_and_vmin_vmax(sign)
    return colored(norm, table(cmap), low, high)


def blended_heat_map(original, norm, sign):
    grey = original.mean(2)                                    # imshow stretches it from its least to its largest value
    return ALPHA * heat_map(original, norm, sign) + (1 - ALPHA) * colored(grey, table("gray"), grey.min(), grey.max())


def masked_image(original, norm, sign): return _prepare_image(original * norm[..., None]).astype("f8")      # truncates


def alpha_scaling(original, norm, sign):
    opacity = _prepare_image(norm[..., None] * 255) / 255      # truncates
    return opacity * original + (1 - opacity) * 255


def drawn(attr, original, method, sign):
    """Captum's own picture, one dot a pixel."""
    figure = Figure(figsize=(W / 10, H / 10), dpi=10)
    canvas, axes = FigureCanvasAgg(figure), figure.add_axes([0, 0, 1, 1])
    axes.axis("off")
    cv.visualize_image_attr(attr, original, method, sign, plt_fig_axis=(figure, axes), alpha_overlay=ALPHA, use_pyplot=False)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].astype("f8")


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    rng = np.random.default_rng(7)
    attr = (rng.standard_normal((H, W, 3)) * rng.uniform(0, 1, (H, W, 1)) ** 3).astype("f4")      # heavy tails, so that outliers matter
    original = rng.integers(20, 236, (H, W, 3)).astype("u1")
    out = {"attribution": attr.transpose(2, 0, 1)[None], "original": original}
    for sign in SIGNS:
        for percent in (0, 2, 5):
            out[f"normalized.{sign}.{percent}"] = _normalize_attr(attr.sum(2), sign, percent)
            assert out[f"normalized.{sign}.{percent}"].dtype == np.float32
    for name in MAPS: out["colormap." + name] = table(name)
    out["colormap.red_white_green"] = table(_initialize_cmap_and_vmin_vmax("all")[0])
    for make in (heat_map, blended_heat_map, masked_image, alpha_scaling):
        for sign in SIGNS:
            if sign == "all" and make in (masked_image, alpha_scaling): continue                  # Captum refuses
            picture = make(original, out[f"normalized.{sign}.2"], sign)
            worst = np.abs(picture - drawn(attr, original, make.__name__, sign)).max()
            print(f"{make.__name__}.{sign}: {worst:.2f} levels from Captum's figure at most")
            assert worst < 2.5      # Agg blends in 8 bits, with an opacity of 127 of 255
            out[f"{make.__name__}.{sign}"] = picture.astype("f4")
    save_safetensors(DATA / "visualization.safetensors", out, {**versions(), "matplotlib": matplotlib.__version__, "alpha_overlay": ALPHA})
