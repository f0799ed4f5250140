"""Pictures. Each function draws into matplotlib axes and returns them; `figure` and `save` do the rest.

Colours are Okabe and Ito's, told apart by colour-blind readers and in print; the background is white, so that a
saved picture reads on a dark page too.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from jaxshallow.descent import History
from jaxshallow.network import predict
from jaxshallow.params import Params
from jaxshallow.store import write_atomically

try:
    import matplotlib
    from matplotlib.axes import Axes
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure
except ImportError as error:
    raise ImportError("pictures need matplotlib: pip install 'jaxshallow[plot]'") from error

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#F0E442", "#000000")
MARKERS = "os^Dv<>P"


def figure(rows: int = 1, columns: int = 1, *, size: tuple[float, float] = (5.0, 4.0)) -> tuple[Figure, np.ndarray]:
    """A figure of rows × columns axes, each of `size` inches, and its axes in reading order."""
    drawing = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    axes = drawing.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.set_prop_cycle(color=COLOURS)
    return drawing, axes


def save(drawing: Figure, path: str | Path) -> None:
    """Write the figure, at once and whole, in the format of the path's suffix (.png, .svg, .pdf).

    Raises:
        ValueError: matplotlib knows no such format.
        OSError: the file cannot be written; a file of that name stays as it was.
    """
    path = Path(path)
    content = io.BytesIO()
    with matplotlib.rc_context({"savefig.facecolor": "white"}):
        drawing.savefig(content, format=path.suffix.lstrip("."), dpi=150)
    write_atomically(path, content.getvalue())


def decision_boundary(
    ax: Axes,
    params: Params,
    X,
    Y,
    *,
    labels: Sequence[str] = (),
    names: Sequence[str] = ("x1", "x2"),
    points: int = 300,
) -> Axes:
    """The class that the network gives to each point of the plane, under the examples.

    Args:
        ax: where to draw.
        params: a network of two inputs, with sigmoid (one unit) or softmax output.
        X: (2, m) examples as columns.
        Y: (n_y, m) targets as columns.
        labels: the classes' names, for a legend.
        names: the features' names.
        points: of the grid, in each direction.

    Raises:
        ValueError: the network has other than two inputs, or does not classify.
    """
    X, Y = np.asarray(X, float), np.asarray(Y)
    if X.shape[0] != 2:
        raise ValueError(f"a decision boundary needs two features, got n_x = {X.shape[0]}")
    if params.output == "identity" or (params.output == "sigmoid" and len(Y) > 1):
        raise ValueError("a decision boundary needs one class for each example: sigmoid with n_y = 1, or softmax")
    classes = Y.argmax(axis=0) if params.output == "softmax" else (Y[0] > 0.5).astype(int)
    n = max(len(Y), 2)
    margin = 0.08 * np.ptp(X, axis=1, keepdims=True) + 1e-9
    low, high = X.min(axis=1, keepdims=True) - margin, X.max(axis=1, keepdims=True) + margin
    across, up = (np.linspace(low[i, 0], high[i, 0], points) for i in range(2))
    grid = np.stack(np.meshgrid(across, up)).reshape(2, -1)
    # In parts of some 2^22 hidden activations: a wide network on the whole grid would take gigabytes.
    parts = np.array_split(grid.astype(params.W1.dtype), 1 + grid.shape[1] * params.W1.shape[0] // 2**22, axis=1)
    region = np.concatenate([np.asarray(predict(params, part)) for part in parts]).reshape(points, points)
    ax.pcolormesh(
        across, up, region, cmap=ListedColormap(COLOURS[:n]), vmin=-0.5, vmax=n - 0.5, alpha=0.25, rasterized=True
    )
    for c in range(n):
        here = classes == c
        ax.scatter(X[0, here], X[1, here], s=14, c=COLOURS[c], marker=MARKERS[c], edgecolors="white", linewidths=0.4,
                   label=labels[c] if len(labels) else f"class {c}")  # fmt: skip
    ax.set(xlabel=names[0], ylabel=names[1], xlim=(low[0, 0], high[0, 0]), ylim=(low[1, 0], high[1, 0]))
    return ax


def learning_curves(ax: Axes, history: History) -> Axes:
    """Cost against epoch, training and, where there is one, validation with its lowest point marked."""
    epochs = np.arange(1, len(history.cost) + 1)
    ax.plot(epochs, history.cost, label="training")
    if history.validation_cost is not None:
        validation = np.asarray(history.validation_cost)
        ax.plot(epochs, validation, "--", label="validation")
        if np.isfinite(validation).any():
            best = int(np.nanargmin(validation))
            ax.plot(epochs[best], validation[best], "o", color=COLOURS[1], label=f"lowest, epoch {best + 1:,}")
        ax.legend(frameon=False)
    low, high = np.nanmin(history.cost), np.nanmax(history.cost)
    if low > 0 and high > 10 * low:
        ax.set_yscale("log")
    ax.set(xlabel="epoch", ylabel="cost J")
    return ax


def spread(ax: Axes, groups: Mapping[str, Sequence[float]], *, ylabel: str = "accuracy", format: str = ".1%") -> Axes:
    """A point for each value, group by group, and a line at each group's median, with its value.

    Args:
        ax: where to draw.
        groups: the values of each group, such as an accuracy for each seed; those that are not finite are left out.
        ylabel: what the values are.
        format: of the medians.
    """
    for place, group in enumerate(groups.values()):
        values = np.sort([value for value in group if np.isfinite(value)])
        if not len(values):
            ax.annotate("none", (place, 1), xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=8)
            continue
        # Side by side in an order that is the same each time, so that points of one height do not hide each other.
        aside = 0.3 * (2 * (np.arange(len(values)) * 0.618034 % 1) - 1) if len(values) > 1 else 0
        ax.plot(place + aside, values, "o", markersize=3, alpha=0.4, markeredgewidth=0, color=COLOURS[0])
        median = float(np.median(values))
        ax.plot([place - 0.4, place + 0.4], [median, median], color=COLOURS[4], linewidth=2, zorder=1)
        ax.annotate(
            f"{median:{format}}", (place, 1), xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=8
        )
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:{format}}")
    ax.set_xticks(range(len(groups)), list(groups))
    ax.set(ylabel=ylabel, xlim=(-0.6, len(groups) - 0.4))
    ax.grid(axis="y", alpha=0.3)
    return ax


def heat_map(
    ax: Axes,
    columns: Sequence,
    rows: Sequence,
    values,
    *,
    names: Sequence[str] = ("", ""),
    format: str = ".1%",
) -> Axes:
    """Values of a grid as colours and numbers; white where there is none.

    Args:
        ax: where to draw.
        columns, rows: what the grid's columns and rows stand for.
        values: (rows, columns) numbers; NaN for none.
        names: of the columns' and the rows' axis.
        format: of the numbers.
    """
    values = np.asarray(values, float)
    mesh = ax.pcolormesh(np.ma.masked_invalid(values), cmap="cividis")
    _colorbar(ax, mesh, format)
    # Numbers where they can be read, in the shade that stands out from the colour under them.
    if values.size <= 100:
        low, high = np.nanmin(values), np.nanmax(values)
        for (row, column), value in np.ndenumerate(values):
            if np.isfinite(value):
                shade = "black" if value > (low + high) / 2 else "white"
                ax.text(column + 0.5, row + 0.5, f"{value:{format}}", ha="center", va="center", color=shade, fontsize=7)
    for axis, ticks in ((ax.xaxis, columns), (ax.yaxis, rows)):
        every = -(-len(ticks) // 12)
        axis.set_ticks(np.arange(len(ticks))[::every] + 0.5, [f"{tick}" for tick in ticks][::every])
    ax.set(xlabel=names[0], ylabel=names[1])
    return ax


def _colorbar(ax: Axes, coloured, format: str) -> None:
    bar = ax.figure.colorbar(coloured, ax=ax)
    bar.ax.yaxis.set_major_formatter(lambda value, _: f"{value:{format}}")


def scatter_map(
    ax: Axes, x, y, values, *, names: Sequence[str] = ("", ""), label: str = "", format: str = ".1%"
) -> Axes:
    """Values of points drawn at random as colours, the best on top; the arguments are those of `heat_map`."""
    order = np.argsort(values)
    points = ax.scatter(np.asarray(x)[order], np.asarray(y)[order], c=np.asarray(values)[order], cmap="cividis", s=24)
    _colorbar(ax, points, format)
    for axis, numbers in (("x", np.asarray(x)), ("y", np.asarray(y))):
        if numbers.min() > 0 and numbers.max() > 20 * numbers.min():
            ax.set(**{f"{axis}scale": "log"})
    ax.set(xlabel=names[0], ylabel=names[1])
    return ax


def time_against_size(ax: Axes, sizes: Sequence[int], seconds: dict[str, Sequence[float]], *, title: str = "") -> Axes:
    """Time of each execution against the number of examples, both logarithmic; a NaN is a size that was left out."""
    for (name, times), marker in zip(seconds.items(), MARKERS, strict=False):
        ax.loglog(sizes, np.asarray(times) * 1e3, marker=marker, markersize=5, label=name)
    ax.set(xlabel="examples m", ylabel="time, ms", title=title)
    ax.grid(alpha=0.3)
    ax.legend(frameon=False)
    return ax


def times_of_peers(
    ax: Axes, seconds: dict[str, float], *, ours: str, limit: float | None = None, title: str = ""
) -> Axes:
    """A point for each contestant on a logarithmic axis of ms, ours in colour; a line at the machine's limit.

    Points and not bars, whose length would mean nothing where no 0 is.
    """
    names = [name for name in seconds if not name.startswith("limit")][::-1]
    for place, name in enumerate(names):
        ms = seconds[name] * 1e3
        ax.plot(ms, place, "o", color=COLOURS[0] if name.startswith(ours) else "#777777")
        ax.annotate(
            f"{ms:,.0f}" if ms >= 100 else f"{ms:.3g}", (ms, place), (7, 0), textcoords="offset points", va="center"
        )
    if limit is not None:
        ax.axvline(limit * 1e3, color=COLOURS[4], linestyle="--", linewidth=1, label="limit")
        ax.legend(frameon=False, loc="upper right")
    ax.set_yticks(range(len(names)), names)
    ax.set(xscale="log", xlabel="time, ms", ylim=(-0.6, len(names) - 0.4))
    low, high = ax.get_xlim()
    ax.set_xlim(10 ** np.floor(np.log10(low)), 10 ** np.ceil(np.log10(high * 1.5)))
    ax.grid(alpha=0.3)
    ax.set_title(textwrap.fill(title, 46), loc="left", fontsize="medium")
    return ax
