"""The pictures of a sweep."""

from __future__ import annotations

import textwrap

import numpy as np

from jaxshallow import data, plots
from jaxshallow.programs import reporting
from jaxshallow.programs.extra import needs_scripts
from jaxshallow.programs.sweep_kinds import Found, called

with needs_scripts():
    import polars as pl

BOUNDARIES = 12  # at most, in the picture


def draw(found: Found, *, by_chance: bool) -> reporting.Picture:
    """The spread of the scores or, if several settings vary, a map of them; beside it, learning curves."""
    networks, swept, score = found.networks, found.swept, found.score
    drawing, (left, right) = plots.figure(1, 2, size=(5.6, 4.2))
    label = f"{'validation ' if score != 'score' else ''}{found.measure}"
    if len(swept) == 1:
        (name,) = swept
        kinds = {
            str(kind): networks.filter(pl.col(name) == kind)[score].to_list()
            for kind in networks[name].unique(maintain_order=True)
        }
        plots.spread(left, kinds, ylabel=label, format=".1%" if found.measure == "accuracy" else ".3f")
        if found.measure == "accuracy":
            left.set_ylim(None, min(left.get_ylim()[1], 1.01))
        left.set(xlabel=name)
    else:
        draw_map(left, found, label, by_chance=by_chance)
    costs = getattr(found.trained.history, found.cost)
    best = found.kinds.filter(pl.col(found.cost).is_not_null()).head(len(plots.LINES))
    curves = [costs[found.median(row, found.cost)["network"]] for row in best.iter_rows(named=True)]
    for colour, curve, row in zip(plots.LINES, curves, best.iter_rows(named=True), strict=False):
        right.plot(curve, label=textwrap.fill(called(row, swept), 28), color=colour)
    if 0 < 10 * np.nanmin(curves) < np.nanmax(curves):
        right.set_yscale("log")
    right.set(xlabel="epoch", ylabel=f"{found.cost.replace('_', ' ')}, median network of a kind")
    right.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return reporting.Picture("sweep", drawing, f"The {label} of each kind, and learning curves")


def draw_map(ax: plots.Axes, found: Found, label: str, *, by_chance: bool) -> None:
    """The mean score against the two settings with the most values, averaged over the others."""
    networks, score = found.networks, found.score
    most = sorted(found.swept, key=lambda name: -networks[name].n_unique())[:2]
    x, y = (name for name in found.swept if name in most)
    means = networks.filter(pl.col(score).is_finite()).group_by(x, y).agg(pl.col(score).mean()).sort(x, y)
    narrow = np.ptp(means[score].to_numpy()) < 0.005
    format = f".{1 + narrow}%" if found.measure == "accuracy" else f".{3 + narrow}f"
    if by_chance and networks[x].dtype.is_numeric() and networks[y].dtype.is_numeric():
        plots.scatter_map(ax, means[x], means[y], means[score], names=(x, y), format=format)
    else:
        columns, rows = (networks[name].unique().sort().to_list() for name in (x, y))
        at = {(row[x], row[y]): row[score] for row in means.to_dicts()}
        grid = [[at.get((column, row), np.nan) for column in columns] for row in rows]
        plots.heat_map(ax, columns, rows, grid, names=(x, y), format=format)
    rest = [name for name in found.swept if name not in most]
    ax.set_title(label + (f", mean over {', '.join(rest)}" if rest else ""), loc="left", fontsize=10)


def draw_boundaries(found: Found, dataset: data.Dataset) -> reporting.Picture:
    """The decision boundary of each kind's median network; if there are many kinds, of the best only."""
    finite = found.kinds.filter(pl.col("lowest").is_not_null())
    kinds = finite.head(BOUNDARIES).to_dicts()
    if len(finite) == len(kinds):
        tried = found.networks.select(found.swept).unique(maintain_order=True).rows()
        kinds.sort(key=lambda row: tried.index(tuple(row[name] for name in found.swept)))
    across = min(4, len(kinds))
    drawing, axes = plots.figure(-(-len(kinds) // across), across, size=(3.4, 3.3))
    for ax, row in zip(axes, kinds, strict=False):
        median = found.median(row, found.score)
        params = found.trained.params(median["network"])
        plots.decision_boundary(ax, params, dataset.X, dataset.Y, labels=dataset.labels, points=200)
        spread = f" ({found.text(row['lowest'])} to {found.text(row['highest'])})" if row["networks"] > 1 else ""
        title = f"{called(row, found.swept)}: {found.text(median[found.score])}{spread}"
        ax.set_title(textwrap.fill(title, 42), loc="left", fontsize=9)
    for ax in axes[len(kinds) :]:
        ax.set_visible(False)
    if len(finite) > len(kinds):
        drawing.suptitle(f"the best {len(kinds)} of {len(finite)} kinds", x=0, ha="left", fontsize=10)
    return reporting.Picture("sweep_boundaries", drawing, "The boundary of the median network of each kind")
