"""How fast is it? Each row times the same work done by jaxshallow and by its peers, beside a limit of this machine.

Thread pools interfere, so each library has its own process; runs are interleaved after a warm-up, so that noise affects
all equally. Times are medians, with the minimum beside them. Machines differ, so read the ratios.

Examples:
    python scripts/benchmark.py --quick                    small sizes, about two minutes
    python scripts/benchmark.py                            the sizes that the aims are set for; twenty minutes
    python scripts/benchmark.py --rows W1 W3 --repeats 15

Exit codes: 0 measured (whether or not the aims are reached), 1 could not write, 2 usage, 130 Ctrl-C.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

try:
    import tyro
    from rich.console import Console
    from rich.table import Table
except ImportError as error:
    sys.exit(f"{error}: pip install 'jaxshallow[scripts]'")

from bench import (  # noqa: F401  (enter their contestants)
    by_evidence,
    derivatives,
    many_networks,
    many_tables,
    one_network,
    searches,
    second_order,
    start_up,
)
from bench.machines import headline, machine
from bench.measuring import Workers, measure
from bench.rows import LIMIT, OURS, ROWS, Measured, Row, best, figure, limit

from jaxshallow import plots
from jaxshallow.store.files import json_text, write_atomically

PACKAGES = ("jaxshallow", "jax", "jaxlib", "numpy", "torch", "scikit-learn", "scipy", "opacus", "optimistix")


@dataclass
class Options:
    quick: bool = False
    """Smaller sizes and fewer runs."""
    rows: tuple[str, ...] = ()
    """Which rows to run; all if not given, and with --quick those that have a small size."""
    repeats: int | None = None
    """Runs of each contestant, slow ones fewer; 5 with --quick, else 25."""
    out: Path = Path("out")
    """Folder for benchmark.json and the picture, benchmark.png and benchmark.svg."""
    json: bool = False
    """Print the results as JSON instead of the table."""


def main(argv: Sequence[str] | None = None) -> int:
    options = tyro.cli(tyro.conf.FlagCreatePairsOff[Options], args=argv, description=__doc__)
    messages = Console(stderr=True, highlight=False)
    repeats = (5 if options.quick else 25) if options.repeats is None else options.repeats
    if unknown := set(options.rows) - set(ROWS):
        messages.print(f"[bold red]error[/]: --rows must be of {', '.join(ROWS)}, got {', '.join(sorted(unknown))}")
        return 2
    if repeats < 1:
        messages.print(f"[bold red]error[/]: --repeats must be at least 1, got {repeats}")
        return 2
    workers = Workers()
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        with messages.status("starting") as status:
            results = measured(options, repeats, workers, status.update)
        text = write(results, options.out)
    except KeyboardInterrupt:
        messages.print("interrupted")
        return 130
    except OSError as error:
        messages.print(f"[bold red]error[/]: could not write to {options.out}: {error}", soft_wrap=True)
        return 1
    finally:
        workers.stop()
    if options.json:
        print(text)
    else:
        show(results, options.out)
    return 0


def measured(options: Options, repeats: int, workers: Workers, say: Callable[[str], None]) -> dict[str, Any]:
    """The results of the rows that were asked for, as benchmark.json holds them."""
    results: dict[str, Any] = {"machine": machine(PACKAGES), "quick": options.quick, "repeats": repeats, "rows": {}}
    few = 2 if options.quick else 4
    for name in options.rows or [name for name in ROWS if not options.quick or ROWS[name].quick is not None]:
        row = ROWS[name]
        size = row.quick if options.quick and row.quick is not None else row.full
        runs, left_out = measure(name, row, size, repeats, few, workers, say)
        results["rows"][name] = report(row, size, runs, left_out)
    return results


def report(row: Row, size: dict[str, Any], runs: dict[str, list[Measured]], left_out: dict[str, str]) -> dict[str, Any]:
    """A row's entry in benchmark.json: times and figures, their summaries, and what became of the aims."""
    seconds = {who: [run.seconds for run in its_runs] for who, its_runs in runs.items()}
    medians = {who: float(np.median(times)) for who, times in seconds.items()}
    figures = {who: medians_of_figures(its_runs) for who, its_runs in runs.items() if its_runs[0].figures}
    known = medians | {figure(name, who): value for who, its in figures.items() for name, value in its.items()}
    aims = []
    for claim, value_of, aim in row.aims:
        try:
            value = value_of(known)
        except KeyError:  # a contestant that it compares could not run
            continue
        if np.isfinite(value):
            aims.append({"claim": claim, "value": value, "aim": aim, "reached": reached(value, aim)})
    return {
        "work": row.title.format(**size),
        "seconds": seconds,
        "median": medians,
        "minimum": {who: min(times) for who, times in seconds.items()},
        "limit": limit(medians) if any(who.startswith(LIMIT) for who in medians) else None,
        "figures": figures,
        "left_out": left_out,
        "aims": aims,
    }


def medians_of_figures(runs: list[Measured]) -> dict[str, float]:
    names = dict.fromkeys(name for run in runs for name in run.figures)  # a part may take no time in some of them
    return {name: float(np.median([run.figures.get(name, 0.0) for run in runs])) for name in names}


def reached(value: float, aim: str) -> bool | None:
    """Whether the value satisfies an aim such as "≥ 10"; None without an aim."""
    if not aim:
        return None
    sign, number = aim.split()
    return value >= float(number) if sign == "≥" else value <= float(number)


def write(results: dict[str, Any], out: Path) -> str:
    """Writes benchmark.json and the picture; returns the JSON."""
    text = json_text(results)
    write_atomically(out / "benchmark.json", text.encode())
    rows = results["rows"]
    drawing, axes = plots.figure(-(-len(rows) // 2), min(2, len(rows)), size=(7.0, 2.6))
    for ax, (name, row) in zip(axes, rows.items(), strict=False):
        plots.times_of_peers(ax, row["median"], ours=OURS, limit=row["limit"], title=f"{name}: {row['work']}")
    for ax in axes[len(rows) :]:
        ax.set_axis_off()
    plots.save(drawing, out / "benchmark")
    return text


def show(results: dict[str, Any], out: Path) -> None:
    """Prints the machine, a table for each row, and what became of the aims."""
    console = Console(highlight=False)
    console.print(headline(results["machine"]), soft_wrap=True)
    for name, row in results["rows"].items():
        console.print(table_of_times(name, row))
        for who, figures in row["figures"].items():
            console.print(f"{who}: {text_of(figures)}", soft_wrap=True, markup=False)
        for who, why in row["left_out"].items():
            console.print(f"left out: {who}: {why}", soft_wrap=True, markup=False)
        console.print()
    console.print(table_of_aims(results["rows"]))
    console.print(f"written: {out / 'benchmark.json'}, {out / 'benchmark.png'}, {out / 'benchmark.svg'}")


def text_of(figures: dict[str, float]) -> str:
    """Such as "1.22 s importing, 2.81 s compiling"; without what is nothing."""
    shown = [(f"{value:,.2f}" if value < 100 else f"{value:,.0f}", name) for name, value in figures.items()]
    return ", ".join(f"{value} {name}" for value, name in shown if value != "0.00")


def table_of_times(name: str, row: dict[str, Any]) -> Table:
    table = Table(title=f"{name}. {row['work']}", title_justify="left")
    table.add_column("")
    for column in ("median", "minimum", "× ours", "of the limit"):
        table.add_column(column, justify="right")
    ours = best(row["median"], OURS)
    for who, median in row["median"].items():
        fraction = f"{row['limit'] / median:.0%}" if row["limit"] and not who.startswith(LIMIT) else ""
        minimum = row["minimum"][who]
        table.add_row(who, f"{median * 1e3:,.2f} ms", f"{minimum * 1e3:,.2f} ms", f"{median / ours:.2f}", fraction)
    return table


def table_of_aims(rows: dict[str, Any]) -> Table:
    table = Table(title="What was aimed at", title_justify="left")
    for column in ("row", "measured", "aim", ""):
        table.add_column(column)
    verdict = {True: "reached", False: "missed", None: ""}
    for name, row in rows.items():
        for aim in row["aims"]:
            table.add_row(name, f"{aim['value']:.3g} {aim['claim']}", aim["aim"], verdict[aim["reached"]])
    return table


if __name__ == "__main__":
    sys.exit(main())
