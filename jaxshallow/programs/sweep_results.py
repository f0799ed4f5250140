"""The results of a sweep, as a table and a page."""

from __future__ import annotations

from typing import Any

import jaxshallow as js
from jaxshallow import data, reports
from jaxshallow.programs import reporting
from jaxshallow.programs.extra import needs_scripts
from jaxshallow.programs.options import RunOptions
from jaxshallow.programs.sweep_best import out_of_fold
from jaxshallow.programs.sweep_examples import Parts
from jaxshallow.programs.sweep_kinds import Found, called

with needs_scripts():
    from rich import box
    from rich.markup import escape
    from rich.table import Table

ROWS = 20  # in the terminal's table
REPORT_ROWS = 100


def table_of(results: dict[str, Any], found: Found) -> Table:
    """The best kinds, for the terminal."""
    asked = "" if results["finished"] else f" of {results['networks_asked']:,}"
    took = f"{results['networks']:,}{asked} network{'s' * (results['networks'] > 1)} in {results['seconds']:.1f} s"
    title = escape(f"{results['data']}: {took}, the best kinds first")
    table = Table(
        title=title, title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0)
    )
    headings, *rows = cells(found, results["diverged"] > 0)
    for heading in headings:
        table.add_column(heading, justify="right")
    for row in rows[:ROWS]:
        table.add_row(*row)
    table.caption = f"{caption_of(results, found)}\nwritten: {escape(', '.join(results['files']))}"
    return table


def caption_of(results: dict[str, Any], found: Found) -> str:
    caption = [f"{found.measure} on the {found.judged_by} examples"]
    if results["diverged"] > 0:
        caption.append("means are of networks that did not diverge")
    if len(found.kinds) > ROWS:
        caption.append(f"{len(found.kinds) - ROWS:,} more kinds in the file")
    if saved := results.get("saved"):
        caption.append(f"saved: n_h = {saved['n_h']}, {found.text(saved[found.measure])} on the training examples")
    return "; ".join(caption)


def cells(found: Found, diverged: bool) -> list[list[str]]:
    """The headings, then a row for each kind."""
    held_out = found.judged_by == "validation"
    costs = ("cost", "validation_cost")[: 1 + held_out]
    headings = [*found.swept, "networks", *["diverged"] * diverged, "cost J", *["validation J"] * held_out]
    headings += [found.measure, "±", "lowest", "highest"]
    return [
        [heading.replace("_", " ") if heading == "learning_rate" else heading for heading in headings],
        *(
            [
                *(f"{row[name]:.4g}" if isinstance(row[name], float) else str(row[name]) for name in found.swept),
                f"{row['networks']:,}",
                *[f"{row['diverged']:,}"] * diverged,
                *("" if row[name] is None else f"{row[name]:.4f}" for name in costs),
                *(found.text(row[name]) for name in (found.score, "deviation", "lowest", "highest")),
            ]
            for row in found.kinds.iter_rows(named=True)
        ),
    ]


def report(
    options: RunOptions,
    dataset: data.Dataset,
    parts: Parts,
    found: Found,
    params: js.Params,
    pictures: list[reporting.Picture],
    results: dict[str, Any],
) -> str:
    """The page of --report."""
    judged = f"{found.measure} of the {found.judged_by} examples, ± its deviation among the networks"
    kinds = cells(found, results["diverged"] > 0)
    more = f"And {len(kinds) - 1 - REPORT_ROWS:,} more kinds in sweep.csv." if len(kinds) > REPORT_ROWS + 1 else ""
    return reports.page(
        f"{dataset.name}: {results['networks']:,} networks",
        [
            reports.section(
                "What came out",
                f"The best kinds first; {judged}.",
                reports.table(kinds[: REPORT_ROWS + 1]),
                *filter(None, [more]),
                *reporting.shown(pictures),
            ),
            reports.section(
                "The best network",
                f"{called(found.kinds.row(0, named=True), found.swept)}, as saved in sweep.safetensors.",
                *reporting.shown(pictures_of_best(params, dataset, parts, found)),
            ),
            *reporting.forward_passes(params, dataset),
            reporting.about_the_data(dataset),
            reporting.what_was_run("sweep", options, results["seconds"]),
        ],
    )


def pictures_of_best(params: js.Params, dataset: data.Dataset, parts: Parts, found: Found) -> list[reporting.Picture]:
    """Pictures of the best network, on examples that it was not trained on if there are any."""
    (X, Y), of = (parts.train, "training") if parts.validation is None else (parts.validation, "validation")
    A2 = out_of_fold(found, parts)
    if A2 is not None:
        A2, of = parts.in_own_units(A2), "held-out"
    return reporting.pictures_of(params, dataset, (X, parts.in_own_units(Y)), of, A2)
