"""Pictures of training: learning curves, and the results of many networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from jaxshallow.plots.figures import COLOURS, add_colorbar
from jaxshallow.training.epochs import History


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
        # Spread sideways, the same way each time, so that points of equal height do not hide each other.
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
    columns: Sequence[Any],
    rows: Sequence[Any],
    values: ArrayLike,
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
    add_colorbar(ax, mesh, format)
    # Numbers where they can be read, in black or white, whichever stands out.
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


def scatter_map(
    ax: Axes,
    x: ArrayLike,
    y: ArrayLike,
    values: ArrayLike,
    *,
    names: Sequence[str] = ("", ""),
    label: str = "",
    format: str = ".1%",
) -> Axes:
    """Values at random points as colours, the highest on top; the arguments are those of `heat_map`."""
    order = np.argsort(values)
    points = ax.scatter(np.asarray(x)[order], np.asarray(y)[order], c=np.asarray(values)[order], cmap="cividis", s=24)
    add_colorbar(ax, points, format)
    for axis, numbers in (("x", np.asarray(x)), ("y", np.asarray(y))):
        if numbers.min() > 0 and numbers.max() > 20 * numbers.min():
            ax.set(**{f"{axis}scale": "log"})
    ax.set(xlabel=names[0], ylabel=names[1])
    return ax
