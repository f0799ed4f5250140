"""The results of train: as a table, a picture and a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jaxshallow as js
from jaxshallow import data, plots, reports
from jaxshallow.programs import reporting
from jaxshallow.programs.examples import Examples
from jaxshallow.programs.extra import needs_scripts
from jaxshallow.programs.options import RunOptions
from jaxshallow.programs.scores import described

with needs_scripts():
    from rich.markup import escape
    from rich.table import Table

EVIDENCE = ("weight_decays_tried", "l2", "noise", "log_evidence", "effective_parameters")  # of --l2 evidence
CERTAINTY = ("width_of_90%_intervals", "classes_in_90%_sets")  # of --preset
PARTS = ("train", "out_of_fold", "validation")
IN_TABLE = (
    "data",
    "target",
    "examples",
    "validation_examples",
    "classes",
    "standardised",
    "encoding",
    "network",
    "members",
    "optimizer",
    "device",
    "dtype",
    "epochs",
    *EVIDENCE,
    *CERTAINTY,
)
IN_REPORT = (
    "data",
    "target",
    "examples",
    "validation_examples",
    "encoding",
    "network",
    "members",
    "optimizer",
    "standardised",
    "dtype",
    "epochs",
    *CERTAINTY,
)


def table_of(results: dict[str, Any], ok: bool) -> Table:
    """The results, for the terminal."""
    table = Table("", "", title="jaxshallow", show_header=False, title_justify="left")
    for name in IN_TABLE:
        value = results.get(name)
        if value or name == "standardised":
            table.add_row(name.replace("_", " "), escape(in_words(value)))
    table.add_row("compile time", f"{results['compile_seconds']:.2f} s")
    table.add_row("run time", f"{results['run_seconds']:.2f} s")
    for part in PARTS:
        if part in results:
            table.add_row(part.replace("_", " "), described(results[part]))
    if not ok:
        table.add_row("[red]diverged[/]", "the cost is not finite: try a smaller --learning-rate")
    table.add_row("written", escape("\n".join(results["files"])))
    return table


def in_words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{label} {count:,}" for label, count in value.items())
    if isinstance(value, list):
        return ", ".join(map(in_words, value)) or "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def curves(
    dataset: data.Dataset, params: js.Params, history: js.History, train: Examples, results: dict[str, Any]
) -> reporting.Picture:
    """The learning curves, beside the decision boundary where there are two features."""
    drawing, right = beside_boundary(dataset, params, train, results)
    plots.learning_curves(right, history)
    if len(drawing.axes) == 1:
        return reporting.Picture("learning_curves", drawing, "Learning curves")
    return reporting.Picture("boundary", drawing, "Decision boundary and learning curves")


def beside_boundary(
    dataset: data.Dataset, params: js.Params, train: Examples, results: dict[str, Any]
) -> tuple[plots.Figure, plots.Axes]:
    """A figure and an empty plot in it, beside the decision boundary where there are two features."""
    if len(dataset.X) != 2 or dataset.output == "identity":
        drawing, (right,) = plots.figure()
        right.set_title(plots.plain(f"{results['data']}: {results['network']}"), loc="left", fontsize=10)
        return drawing, right
    drawing, (left, right) = plots.figure(1, 2)
    plots.decision_boundary(left, params, *train, labels=dataset.labels, names=dataset.feature_names)
    left.legend(loc="upper right", framealpha=0.9)
    left.set_title(f"{results['network']}: accuracy {results['train']['accuracy']:.1%}", loc="left", fontsize=10)
    return drawing, right


def report(
    options: RunOptions,
    dataset: data.Dataset,
    params: js.Params,
    pictures: list[reporting.Picture],
    results: dict[str, Any],
    sections: Sequence[reports.Html] = (),
) -> str:
    """The page of --report, with further sections."""
    found = [
        [name.replace("_", " "), in_words(value) if isinstance(value, list) else value]
        for name in IN_REPORT
        if (value := results.get(name)) or isinstance(value, list)
    ]
    scored = [[part.replace("_", " "), described(results[part])] for part in PARTS if part in results]
    return reports.page(
        f"{dataset.name}: {results['network']}",
        [
            reports.section("What came out", reports.table([["", ""], *scored, *found]), *reporting.shown(pictures)),
            *sections,
            *reporting.forward_passes(params, dataset),
            reporting.about_the_data(dataset),
            reporting.what_was_run("train", options, results["run_seconds"]),
        ],
    )
