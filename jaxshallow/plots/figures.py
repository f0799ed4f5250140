"""Pictures. Each function draws into matplotlib axes and returns them; `figure` and `save` do the rest.

Colours are Okabe and Ito's, which can be told apart in print and by colour-blind readers. The background is
white, so that a saved picture can be read on a dark page too.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from jaxshallow.store.files import write_atomically

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#F0E442", "#000000")

LINES = (*COLOURS[:6], COLOURS[7])  # without yellow, which is faint as a line

MARKERS = "os^Dv<>P"

MANY = 5_000  # with more points, a vector picture holds them as pixels: it would be slow, and many megabytes


def figure(rows: int = 1, columns: int = 1, *, size: tuple[float, float] = (5.0, 4.0)) -> tuple[Figure, np.ndarray]:
    """A figure of rows × columns axes, each of `size` inches, and its axes in reading order."""
    drawing = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    axes = drawing.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.ticklabel_format(useOffset=False)
        ax.set_prop_cycle(color=COLOURS)
    return drawing, axes


def save(drawing: Figure, path: str | Path) -> list[Path]:
    """Write the figure, atomically, in the format of the path's suffix (.png, .svg, .pdf).

    The same figure gives the same .svg and .pdf, byte for byte, and text in them stays text, which can be searched.

    Args:
        drawing: the figure.
        path: the file. Without a suffix, two are written, .png and .svg.

    Returns:
        The paths of the files written.

    Raises:
        ValueError: matplotlib knows no such format.
        OSError: the file cannot be written; an existing file stays as it was.
    """
    path = Path(path)
    paths = [path] if path.suffix else [path.with_suffix(".png"), path.with_suffix(".svg")]
    contents = [encoded(drawing, path.suffix.lstrip(".")) for path in paths]
    for path, content in zip(paths, contents, strict=True):
        write_atomically(path, content)
    return paths


def encoded(drawing: Figure, format: str) -> bytes:
    """The contents of the figure's file in that format.

    Raises:
        ValueError: matplotlib knows no such format.
    """
    content = io.BytesIO()
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    settings: Any = {"savefig.facecolor": "white", "svg.hashsalt": "jaxshallow", "svg.fonttype": "none"}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # A letter missing from the font is a box in a .png, but itself in an .svg.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        drawing.savefig(content, format=format, dpi=150, metadata=undated.get(format))
    return content.getvalue()


def plain(text: Any) -> str:
    """A user's text, escaped: matplotlib would read a formula between $ and $."""
    return str(text).replace("$", r"\$")


def shortened(text: Any, length: int) -> str:
    """A user's text, cut in the middle to that length: similar names often differ at the end."""
    text = str(text)
    return text if len(text) <= length else f"{text[: length - length // 2 - 1]}…{text[-(length // 2) :]}"


def add_colorbar(ax: Axes, coloured: ScalarMappable, format: str, label: str = "") -> None:
    bar = ax.figure.colorbar(coloured, ax=ax, label=label)
    bar.ax.yaxis.set_major_formatter(lambda value, _: f"{value:{format}}")
