"""What the results on many tables say together: ranks, critical differences, mean ratios; as numbers and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.table import Table

from bench.rows import OURS
from bench.tabular_contestants import BASELINE
from bench.tabular_runs import COVERAGE, Found
from bench.tabular_scores import LEAST_ERROR, critical_difference, mean_ranks, mean_ratio, not_apart
from bench.tabular_tables import FOLDS
from jaxshallow import plots

MEASURES = {"error": LEAST_ERROR, "log loss": LEAST_ERROR, "fit s": 0.0, "predict s": 0.0}  # and the least of a ratio

Runs = dict[str, dict[str, dict[str, Found]]]  # by table, contestant and fold


def summary(runs: Runs, tables: Sequence[str], contestants: Sequence[str]) -> dict[str, Any]:
    """What some tables say of the contestants.

    Returns:
        `means`: by table, contestant and measure, over the folds, where all folds were measured. `compared`: the tables
        that have these for all contestants that have any; of these alone are the `mean rank` by error, the `critical
        difference` and the `ratios`: geometric means, by measure and contestant, to the `baseline`.
    """
    means = {table: means_of_folds(runs.get(table, {}), contestants) for table in tables}
    present = [who for who in contestants if any(who in of_table for of_table in means.values())]
    compared = [table for table, of_table in means.items() if present and set(of_table) == set(present)]
    found: dict[str, Any] = {"means": means, "compared": compared}
    if not compared:
        return found
    errors = np.array([[means[table][who]["error"] for who in present] for table in compared])
    baseline = BASELINE if BASELINE in present else present[0]
    return found | {
        "mean rank": dict(zip(present, mean_ranks(errors).tolist(), strict=True)),
        "critical difference": critical_difference(len(present), len(compared)),
        "baseline": baseline,
        "ratios": {
            measure: ratios(measure, [means[table] for table in compared], present, baseline) for measure in MEASURES
        },
    }


def coverages(found: dict[str, Any]) -> dict[str, str]:
    """By contestant that gives intervals or sets: how many targets lay in them, on average and from table to table."""
    of_tables: dict[str, list[float]] = {}
    for means in found["means"].values():
        for who, of_who in means.items():
            of_tables.setdefault(who, []).extend([of_who[COVERAGE]] if COVERAGE in of_who else [])
    return {
        who: f"{COVERAGE}: {np.mean(shares):.1%} on average, {min(shares):.1%} to {max(shares):.1%} of the tables"
        for who, shares in of_tables.items()
        if shares
    }


def means_of_folds(of_table: dict[str, dict[str, Found]], contestants: Sequence[str]) -> dict[str, dict[str, float]]:
    """By contestant and measure, of the contestants that have all folds."""
    means = {}
    for who in contestants:
        folds = [found for found in of_table.get(who, {}).values() if isinstance(found, dict)]
        if len(folds) == FOLDS:
            means[who] = {measure: float(np.mean([found[measure] for found in folds])) for measure in folds[0]}
    return means


def ratios(
    measure: str, means: list[dict[str, dict[str, float]]], contestants: Sequence[str], baseline: str
) -> dict[str, float]:
    """The geometric mean of each contestant's ratio to the baseline, over the tables that have the measure."""
    having = [of_table for of_table in means if measure in of_table[baseline]]
    values = {who: np.array([of_table[who][measure] for of_table in having]) for who in contestants}
    if not having:
        return {}
    return {who: mean_ratio(values[who], values[baseline], MEASURES[measure]) for who in contestants}


# ---- as tables ----


def table_of_scores(half: str, found: dict[str, Any], contestants: Sequence[str]) -> Table:
    """R² or the area under the curve of each contestant on each table, the best in bold."""
    table = Table(title=f"{half}: R² of numbers, area under the curve of classes", title_justify="left")
    table.add_column("", overflow="fold")
    for who in contestants:
        table.add_column(who, justify="right", overflow="fold")
    for name, means in found["means"].items():
        best = min((of_who["error"] for of_who in means.values()), default=np.nan)
        shown = [f"{1 - means[who]['error']:.4f}" if who in means else "" for who in contestants]
        bold = [who in means and means[who]["error"] == best for who in contestants]
        table.add_row(
            name,
            *(f"[bold]{text}[/]" if is_best else text for text, is_best in zip(shown, bold, strict=True)),
        )
    return table


def table_of_ranks(half: str, found: dict[str, Any]) -> Table:
    """The contestants by their mean rank, with their mean ratios to the baseline."""
    difference = f"critical difference {found['critical difference']:.2f}"
    compared = f"tables compared: {len(found['compared'])}"
    title = f"{half}, {compared}; {difference}; geometric means, × {found['baseline']}"
    table = Table(title=title, title_justify="left")
    table.add_column("", overflow="fold")
    table.add_column("mean rank", justify="right")
    for name in ("error", "log loss", "time of fit", "time of predict"):
        table.add_column(name, justify="right")
    for who, rank in sorted(found["mean rank"].items(), key=lambda item: item[1]):
        shown = [f"{of_measure[who]:.3f}" if who in of_measure else "" for of_measure in found["ratios"].values()]
        table.add_row(who, f"{rank:.2f}", *shown)
    return table


# ---- as a picture ----


def critical_difference_diagram(
    ax: plots.Axes, ranks: dict[str, float], difference: float, *, title: str
) -> plots.Axes:
    """Contestants on an axis of mean ranks, the best at the left; a bar joins those that the tables do not tell apart.

    Source: Demšar (2006), Statistical comparisons of classifiers over multiple data sets, figure 1.
    """
    names = sorted(ranks, key=lambda who: ranks[who])
    places = [ranks[who] for who in names]
    bars = not_apart(places, difference)
    at_left = (len(names) + 1) // 2
    below = 0.6 + 0.3 * len(bars)  # the bars
    for k, (name, place) in enumerate(zip(names, places, strict=True)):
        left = k < at_left
        edge, depth = (0.8, below + k) if left else (len(names) + 0.2, below + len(names) - 1 - k)
        colour = plots.COLOURS[0] if name.startswith(OURS) else "#777777"
        ax.plot([place, place, edge], [0, depth, depth], color=colour, linewidth=1)
        ax.annotate(
            f"{name}  {place:.2f}" if left else f"{place:.2f}  {name}", (edge, depth), (-4 if left else 4, 0),
            textcoords="offset points", ha="right" if left else "left", va="center",
        )  # fmt: skip
    for k, (first, last) in enumerate(bars):
        ax.plot([places[first] - 0.04, places[last] + 0.04], [0.35 + 0.3 * k] * 2, color="black", linewidth=3)
    ax.plot([1, 1 + difference], [-1.1, -1.1], color="black", linewidth=1, marker="|", markersize=8)
    ax.annotate(f"critical difference {difference:.2f}", (1, -1.1), (0, 6), textcoords="offset points")
    ax.spines[["left", "right", "bottom"]].set_visible(False)
    ax.spines["top"].set(visible=True, position=("data", 0), bounds=(1, len(names)))
    ax.xaxis.tick_top()
    right = max(len(names) + 0.2, 1.1 + difference)
    ax.set(xlim=(0.8, right), ylim=(below + max(at_left, 3) - 0.5, -1.6), yticks=[], xticks=range(1, len(names) + 1))
    ax.set_title(title, loc="left", fontsize="medium")
    return ax
