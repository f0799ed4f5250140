"""sweep --evidence: which hidden size? The evidence compares kinds of networks, each with its best weight decay."""

from __future__ import annotations

import io
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax

import jaxshallow as js
from jaxshallow import data, plots, reports
from jaxshallow.programs import by_evidence, reporting, running
from jaxshallow.programs.examples import Examples, Scalings, load, metadata_of, standardised, standardizes
from jaxshallow.programs.extra import needs_scripts
from jaxshallow.programs.options import settings
from jaxshallow.programs.running import Outcome
from jaxshallow.programs.scores import score
from jaxshallow.programs.sweep_examples import Parts, divide
from jaxshallow.programs.sweep_kinds import called
from jaxshallow.programs.sweep_options import Options
from jaxshallow.programs.sweep_space import choose
from jaxshallow.store.files import write_atomically

with needs_scripts():
    import polars as pl
    from rich import box
    from rich.markup import escape
    from rich.table import Table

STARTS = 5  # of each kind
COMPARABLE = 3.0  # of two kinds whose log evidence differs by less, neither is clearly better


class Found(NamedTuple):
    """What came of a sweep: all networks, and a row for each kind, the highest evidence first."""

    evidence: js.Evidence
    networks: pl.DataFrame
    kinds: pl.DataFrame
    swept: list[str]
    score: str  # the column to judge by
    measure: str  # accuracy or R2

    @property
    def label(self) -> str:
        return f"{'validation ' if self.score != 'score' else ''}{self.measure}"

    @property
    def format(self) -> str:
        return ".1%" if self.measure == "accuracy" else ".3f"


def run_by_evidence(options: Options) -> Outcome:
    """Train all kinds, and write the table, the pictures and the best network with its error bars."""
    check(options)
    configs, swept = choose(replace(options, seeds=options.seeds or STARTS))
    dataset, parts = divide(load(options), options)
    scalings = {"features": data.scaling(parts.train[0])} if standardizes(dataset.X, options) else {}
    running.say(f"{len(configs):,} networks, each with several weight decays")
    start = time.perf_counter()
    evidence = by_evidence.fit(starts_of(configs, dataset, options), standardised(parts.train, scalings), options)
    seconds = time.perf_counter() - start
    found = measured(evidence, configs, swept, parts, scalings)
    model = evidence.posterior.unscaled(scalings.get("features"), parts.unscale)
    X, Y = parts.train
    results: dict[str, Any] = {
        "data": dataset.name,
        "examples": X.shape[1],
        "networks": len(configs),
        "seconds": round(seconds, 2),
        "finished": True,
        "ok": True,
        "kinds": found.kinds.to_dicts(),
        "options": settings(options),
        "saved": {
            "n_h": len(model.params.W1),
            "l2": evidence.l2,
            "log_evidence": evidence.log_evidence,
            "effective_parameters": float(evidence.posterior.effective_parameters),
            **score(model.params, (X, parts.in_own_units(Y))),
        },
    }
    results["files"] = write(found, model, dataset, parts, options, results)
    return Outcome(results, table_of(found, results), True)


def check(options: Options) -> None:
    """ValueError for options that do not go with it."""
    by_evidence.check(options, "--evidence")
    if options.l2 != Options.l2:
        raise ValueError(f"--l2 is not for --evidence, which finds the weight decays, got {options.l2}")
    if options.folds is not None:
        raise ValueError("--folds is not for --evidence, which compares without held-out examples: leave it out")


def starts_of(configs: list[dict[str, Any]], dataset: data.Dataset, options: Options) -> list[js.Params]:
    key = jax.random.key(options.seed)
    return [
        js.init(jax.random.fold_in(key, config["seed"]), len(dataset.X), config["n_h"], len(dataset.Y),
                hidden=config["hidden"], output=dataset.output, scale=config["scale"], dtype=options.precision)
        for config in configs
    ]  # fmt: skip


def measured(
    evidence: js.Evidence, configs: list[dict[str, Any]], swept: list[str], parts: Parts, scalings: Scalings
) -> Found:
    """The evidence and the scores of all networks, and of their kinds."""
    measure = "R2" if parts.unscale is not None else "accuracy"

    def scores(examples: Examples) -> list[float]:
        X, Y = standardised(examples, scalings)
        X = X.astype(evidence.params.W1.dtype)
        return [score(network, (X, Y))[measure] for network in evidence.networks]

    columns: dict[str, Any] = {
        name: [config[name] for config in configs] for name in ("n_h", "hidden", "scale", "seed")
    }
    columns |= {"l2": evidence.l2s, "log_evidence": evidence.evidences, "score": scores(parts.train)}
    if parts.validation is not None:
        columns["validation_score"] = scores(parts.validation)
    judged = "score" if parts.validation is None else "validation_score"
    networks = pl.DataFrame({"network": list(range(len(configs))), **columns}, strict=False)
    best = pl.col("log_evidence").arg_max()
    kinds = (
        networks.group_by(swept, maintain_order=True)
        .agg(
            pl.len().alias("networks"),
            pl.col("log_evidence").max(),
            pl.col("log_evidence").median().alias("median_log_evidence"),
            pl.col("l2").get(best),
            pl.col(judged).get(best),
        )
        .sort("log_evidence", descending=True, maintain_order=True)
    )
    return Found(evidence, networks, kinds, swept, judged, measure)


def write(
    found: Found, model: js.Gaussian, dataset: data.Dataset, parts: Parts, options: Options, results: dict[str, Any]
) -> list[str]:
    """Write the table, the picture, the best network and the report into --out; return the files' names."""
    content = io.BytesIO()
    found.networks.write_csv(content)
    table, path, page = (options.out / name for name in ("sweep.csv", "sweep.safetensors", "sweep_report.html"))
    write_atomically(table, content.getvalue())
    pictures = [draw(found)]
    files: list[Path] = [table, *reporting.save_all(pictures, options.out)]
    js.save(path, model, metadata_of(dataset, {}, kind=found.kinds.row(0, named=True)))
    files.append(path)
    if options.report:
        write_atomically(page, report(found, model, dataset, parts, pictures, options, results).encode())
        files.append(page)
    running.remark_older(options.out, files, ("sweep.png", "sweep_boundaries.png", "sweep_report.html"))
    return [str(file) for file in files]


def draw(found: Found) -> reporting.Picture:
    """The evidence of each kind's networks, beside their scores."""
    drawing, (left, right) = plots.figure(1, 2, size=(5.6, 4.2))
    kinds = found.networks.select(found.swept).unique(maintain_order=True).rows(named=True)
    of_kind = {
        called(kind, found.swept).removeprefix(f"{found.swept[0]} " if len(found.swept) == 1 else ""):
        found.networks.filter(*(pl.col(name) == value for name, value in kind.items()))
        for kind in kinds
    }  # fmt: skip
    for ax, column, name, shape in (
        (left, "log_evidence", "log evidence", ".1f"), (right, found.score, found.label, found.format),
    ):  # fmt: skip
        plots.spread(ax, {kind: rows[column].to_list() for kind, rows in of_kind.items()}, ylabel=name, format=shape)
        ax.set(xlabel=", ".join(found.swept))
    return reporting.Picture("sweep_evidence", drawing, f"The log evidence and the {found.label} of each kind")


def cells(found: Found) -> list[list[str]]:
    """The headings, then a row for each kind."""
    return [
        [*found.swept, "networks", "log evidence", "median", "l2", found.label],
        *(
            [
                *(str(row[name]) for name in found.swept), f"{row['networks']:,}", f"{row['log_evidence']:.1f}",
                f"{row['median_log_evidence']:.1f}", f"{row['l2']:.3g}", f"{row[found.score]:{found.format}}",
            ]
            for row in found.kinds.iter_rows(named=True)
        ),
    ]  # fmt: skip


def advice(found: Found) -> str:
    """Which kind to take: of those that the evidence does not tell apart, the smallest."""
    near = found.kinds.filter(pl.col("log_evidence") > pl.col("log_evidence").max() - COMPARABLE)
    if "n_h" not in found.swept or near.height == 1:
        return f"the evidence is for {called(found.kinds.row(0, named=True), found.swept)}"
    least = near.sort("n_h").row(0, named=True)
    return (
        f"{near.height} kinds are within {COMPARABLE:g} of the highest evidence, which does not tell them apart; the "
        f"smallest is {called(least, found.swept)}"
    )


def table_of(found: Found, results: dict[str, Any]) -> Table:
    """The kinds, for the terminal."""
    title = (
        f"{results['data']}: {results['networks']:,} networks in {results['seconds']:.1f} s, the highest evidence first"
    )
    table = Table(
        title=escape(title), title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1)
    )
    headings, *rows = cells(found)
    for heading in headings:
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(*row)
    saved = results["saved"]
    table.caption = (
        f"{advice(found)}\nsaved: n_h = {saved['n_h']}, {saved['effective_parameters']:.1f} effective parameters\n"
        f"written: {escape(', '.join(results['files']))}"
    )
    return table


def report(
    found: Found,
    model: js.Gaussian,
    dataset: data.Dataset,
    parts: Parts,
    pictures: list[reporting.Picture],
    options: Options,
    results: dict[str, Any],
) -> str:
    """The page of --report."""
    (X, Y), of = (parts.train, "training") if parts.validation is None else (parts.validation, "validation")
    of_best = reporting.pictures_of(model.params, dataset, (X, parts.in_own_units(Y)), of)
    return reports.page(
        f"{dataset.name}: {results['networks']:,} networks",
        [
            reports.section(
                "What came out", f"The highest evidence first: {advice(found)}.", reports.table(cells(found)),
                *reporting.shown(pictures),
            ),
            reports.section("The best network", "As saved in sweep.safetensors.", *reporting.shown(of_best)),
            *reporting.forward_passes(model.params, dataset),
            reporting.about_the_data(dataset),
            reporting.what_was_run("sweep", options, results["seconds"]),
        ],
    )  # fmt: skip
