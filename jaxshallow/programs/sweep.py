"""Train many networks at once and compare them: which hidden size, which learning rate, and how sure is that?

Examples:
    python scripts/sweep.py                                        the course's question, which hidden size? 100 seeds
    python scripts/sweep.py --data iris --n-h 2,8,32 --learning-rate 0.01,0.1,1 --folds 5 --epochs 300
    python scripts/sweep.py --data digits --n-h 16:256:log --learning-rate 1e-4:1e-1:log --random 20 --folds 3
        --optimizer adam --batch-size 200 --hidden relu --scale glorot --epochs 100 --patience 10
    python scripts/sweep.py --data table.csv --target price --n-h 4,16,64 --l2 0,0.1,1 --validation 0.25

What is a list, 2,8,32, is tried value by value, each with each; with --random N, N networks are drawn from lists and
ranges, low:high or low:high:log. Of the kind with the lowest mean cost the best network is saved; after --folds, where
networks have seen a part of the examples, one of that kind is trained on all of them and saved.

A sweep that was stopped, by Ctrl-C or by anything else, goes on with --resume and the same options, and ends in the
very bits of one that was not.

Exit codes: 0 well, 1 all networks diverged or a file could not be written, 2 usage, 130 Ctrl-C and 143 SIGTERM, keeping
what there is.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import signal
import sys
import textwrap
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

try:
    import polars as pl
    import tyro
    from rich import box
    from rich.console import Console
    from rich.live import Live
    from rich.markup import escape
    from rich.table import Table
    from sklearn.model_selection import KFold, StratifiedKFold
except ImportError as error:
    sys.exit(f"{error}: pip install 'jaxshallow[scripts]'")

import jax
import reporting
import running
from running import Interrupted, Keeper, exit_code, hint, interruptible, remark, say
from train import (
    LEARNING_RATES,
    OPTIMIZERS,
    DataOptions,
    is_planar,
    load,
    metadata_of,
    score,
    split,
    weight_scale,
)

import jaxshallow as js
from jaxshallow import data, many, plots, reports
from jaxshallow.params import check_sizes
from jaxshallow.store import json_text, write_atomically

SWEPT = ("n_h", "hidden", "learning_rate", "l2", "scale")
FOLDER = "sweeping"  # in --out, of an unfinished sweep
ROWS = 20  # of the table
REPORT_ROWS = 100
BOUNDARIES = 12  # in the picture
STARTS = 5  # of the network that is trained on all after cross-validation


@dataclass
class Options(DataOptions):
    n_h: str = "1,2,3,4,5,20,50"
    """Hidden units."""
    hidden: str = "tanh"
    """Hidden activations: sigmoid, tanh, relu, leaky_relu, identity, or what else activations.py lists."""
    learning_rate: str | None = None
    """Step lengths. If not given: 1.2 for sgd, as in the course; 0.1 for momentum; 0.01 for the others."""
    l2: str = "0"
    """Weight decays."""
    scale: str = "0.01"
    """Standard deviations of the first weights: numbers, glorot or he."""
    seeds: int | None = None
    """Networks of each kind, with other first weights. If not given: 100; 1 with --random or --folds."""
    random: int | None = None
    """Draw so many kinds, instead of trying each value with each."""
    optimizer: Literal["sgd", "momentum", "rmsprop", "adam", "adamw", "lbfgs"] = "sgd"
    """sgd is plain gradient descent; lbfgs finds its own step length."""
    epochs: int = 5_000
    """Passes over the data; full-batch, one step each."""
    batch_size: int | None = None
    """Examples a step; full-batch if not given."""
    folds: int | None = None
    """Cross-validate: train on all but one part of the examples, validate on it, in turn; stratified for classes."""
    validation: float = 0.0
    """Share of the examples held out for validation, 0 to below 1."""
    patience: int | None = None
    """Stop a network after so many epochs without a lower cost: the validation's, where there is one."""
    standardize: Literal["auto", "yes", "no"] = "auto"
    """Scale features to mean 0, deviation 1 over the training examples; they stay so in the model. auto: all but sets
    of two features."""
    seed: int = 0
    """Of the weights, the order of the examples, the parts and what is drawn."""
    precision: Literal["bfloat16", "float32", "float64"] = "float32"
    """The dtype of the whole computation."""
    out: Path = Path("out")
    """Folder for sweep.csv, sweep.safetensors and the pictures, as PNG and SVG."""
    report: bool = False
    """Write sweep_report.html as well, one page with all tables and pictures."""
    json: bool = False
    """Print the results as JSON instead of a table."""
    quiet: bool = False
    """Say and print nothing but errors (and the JSON)."""
    checkpoint_every: float = 30.0
    """Seconds from one state of the sweep, kept in a folder of --out for --resume, to the next; 0 keeps none."""
    resume: bool = False
    """Go on with the sweep that was stopped."""


class Range(NamedTuple):
    low: float
    high: float
    log: bool


class Parts(NamedTuple):
    """What is trained on and validated on; a regression's targets are scaled, and `unscale` says by what."""

    train: tuple[np.ndarray, np.ndarray]
    validation: tuple[np.ndarray, np.ndarray] | None
    folds: list[tuple[np.ndarray, np.ndarray]] | None
    unscale: tuple[np.ndarray, np.ndarray] | None


class Found(NamedTuple):
    """What came out: a row for each network that was trained, and one for each kind, the best mean cost first.

    `cost` and `score` are the columns to judge by: the validation's, where there are such.
    """

    trained: js.Many
    networks: pl.DataFrame
    kinds: pl.DataFrame
    swept: list[str]
    cost: str
    score: str
    measure: str  # accuracy or R2

    def text(self, value: Any) -> str:
        if value is None or not np.isfinite(value):
            return ""
        return f"{value:.1%}" if self.measure == "accuracy" else f"{value:.3f}"

    def of_kind(self, row: dict[str, Any]) -> pl.DataFrame:
        return self.networks.filter(*(pl.col(name) == row[name] for name in self.swept))

    def median(self, row: dict[str, Any], by: str) -> dict[str, Any]:
        """The network that stands in the middle of its kind."""
        kind = self.of_kind(row).sort(by)  # NaN last
        return kind.row((int(kind[by].is_finite().sum()) - 1) // 2, named=True)


def main(argv: Sequence[str] | None = None) -> int:
    options = tyro.cli(tyro.conf.FlagCreatePairsOff[Options], args=argv, description=__doc__)
    running.messages.quiet = options.quiet
    return exit_code(lambda: run_and_show(options), options.out, lambda: hint(options.out / FOLDER))


def run_and_show(options: Options) -> int:
    options.out.mkdir(parents=True, exist_ok=True)
    with jax.enable_x64(options.precision == "float64"):
        results, table, signalled = run(options)
    if options.json:
        print(json_text(results))
    elif not options.quiet:
        Console(highlight=False).print(table)
    if not results["finished"]:
        text = "the table is of what was trained until then"
        raise Interrupted(text + hint(options.out / FOLDER), signalled)
    return 0 if results["ok"] else 1


def run(options: Options):
    """Train them all; write the table, the pictures and the best network."""
    configs, swept = choose(options)
    dataset, parts = divide(load(options), options)
    check_sizes(epochs=options.epochs, batch_size=options.batch_size, patience=options.patience)
    settings: dict[str, Any] = dict(
        batch_size=options.batch_size,
        output=dataset.output,
        optimizer="sgd" if options.optimizer == "sgd" else OPTIMIZERS[options.optimizer],
        standardize=options.standardize == "yes"
        or (options.standardize == "auto" and not is_planar(dataset.X, options)),
        dtype=options.precision,
    )
    n_folds = 1 if parts.folds is None else len(parts.folds)
    size = n_folds * many.memory(configs, len(dataset.X), len(dataset.Y)) / 2**20
    say(f"{n_folds * len(configs):,} networks, which take {size:,.1f} MiB")

    key = jax.random.key(options.seed)

    def again(configs: list[dict[str, Any]], epochs: int) -> js.Many:
        trained = js.fit_many(key, *parts.train, configs, epochs=epochs, **settings)
        if not trained.finished:
            raise KeyboardInterrupt
        return trained

    keeper = Keeper(options.out / FOLDER, options, dataset, parts)
    earlier = keeper.earlier()
    progress = lambda now: f"{now.epochs.sum():,} of {n_folds * len(configs) * options.epochs:,} epochs"  # noqa: E731

    def callback(now: js.Progress) -> int:
        show(now)
        keeper.keep_if_due(lambda: now.many().arrays(), lambda: progress(now))
        return signalled()

    start = time.perf_counter()
    with interruptible() as signalled:
        with live(configs, swept) as show:
            trained = js.fit_many(
                key, *parts.train, configs, epochs=options.epochs, validation=parts.validation, folds=parts.folds,
                patience=options.patience, callback=callback, resume=earlier, **settings,
            )  # fmt: skip
        seconds = time.perf_counter() - start - keeper.seconds
        if not (trained.epochs > 0).any():
            raise KeyboardInterrupt
        if not trained.finished:
            keeper.keep(trained.arrays(), progress(trained))
        found = measured(trained, parts, swept, "R2" if dataset.output == "identity" else "accuracy")
        results = write(options, dataset, parts, found, again, seconds)
        if trained.finished:
            keeper.clear()
    return results, shown(results, found), signalled() or signal.SIGINT


def write(options: Options, dataset: data.Dataset, parts: Parts, found: Found, again: Callable, seconds: float):
    """The table, the pictures, the best network and the report, into --out; what is to be told of them."""
    trained = found.trained
    ok = found.kinds[found.cost][0] is not None
    results: dict[str, Any] = {
        "data": dataset.name,
        "examples": parts.train[0].shape[1],
        "networks": found.networks.height,
        "networks_asked": len(trained),
        "diverged": int((trained.diverged_at >= 0).sum()),
        "seconds": round(seconds, 2),
        "finished": trained.finished,
        "ok": ok,
        "kinds": found.kinds.to_dicts(),
        "options": {name: str(value) if isinstance(value, Path) else value for name, value in asdict(options).items()},
    }
    content = io.BytesIO()
    found.networks.write_csv(content)
    write_atomically(options.out / "sweep.csv", content.getvalue())
    files = [options.out / "sweep.csv"]
    if ok:
        pictures = [
            draw(found, options),
            *([draw_boundaries(found, dataset, options)] if is_planar(dataset.X, options) else []),
        ]
        files += reporting.save_all(pictures, options.out)
        params = best_network(found, parts, again)
        kind = found.kinds.row(0, named=True)
        js.save(options.out / "sweep.safetensors", params, metadata_of(dataset, {}, kind=kind))
        X, Y = parts.train
        mean, deviation = parts.unscale or (0.0, 1.0)
        results["saved"] = {"n_h": len(params.W1), **score(params, (X, Y * deviation + mean))}
        files.append(options.out / "sweep.safetensors")
        if options.report:
            page = report(options, dataset, parts, found, params, pictures, results)
            write_atomically(options.out / "sweep_report.html", page.encode())
            files.append(options.out / "sweep_report.html")
    running.remark_older(options.out, files, ("sweep.safetensors", "sweep_boundaries.png", "sweep_report.html"))
    results["files"] = [str(file) for file in files]
    return results


def best_network(found: Found, parts: Parts, again: Callable) -> js.Params:
    """The best network of the best kind; after cross-validation, one of that kind that learns from all examples."""
    kind = found.kinds.row(0, named=True)
    k = found.of_kind(kind).sort(found.cost).row(0, named=True)["network"]
    if parts.folds is None or not found.trained.finished:
        params = found.trained.params(k)
    else:
        config = without_fold(found.trained.configs[k])
        epochs = int(np.median(found.of_kind(kind)["epochs"]))
        # From several starts, of which the worst may get stuck.
        tries = again([{**config, "seed": config["seed"] + k} for k in range(STARTS)], max(1, epochs))
        params = tries.params(tries.best())
    return params if parts.unscale is None else data.fold_scaling(params, targets=parts.unscale)


def without_fold(config: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name != "fold"}


def out_of_fold(found: Found, parts: Parts) -> np.ndarray | None:
    """(n_y, m): what networks of the best kind say of examples that they were not trained on; None if some did not."""
    if parts.folds is None:
        return None
    X, Y = parts.train
    k = found.of_kind(found.kinds.row(0, named=True)).sort(found.cost).row(0, named=True)["network"]
    alike = without_fold(found.trained.configs[k])
    A2 = np.full(Y.shape, np.nan)
    for j, config in enumerate(found.trained.configs):
        if without_fold(config) == alike and found.trained.epochs[j]:
            rows = parts.folds[config["fold"]][1]
            A2[:, rows] = js.forward(found.trained.params(j), X[:, rows]).A2
    return A2 if np.isfinite(A2).all() else None


def report(
    options: Options, dataset: data.Dataset, parts: Parts, found: Found, params: js.Params, pictures, results
) -> str:
    """The page of --report."""
    kinds = cells(found, results["diverged"] > 0)
    more = f"And {len(kinds) - 1 - REPORT_ROWS:,} more kinds in sweep.csv." if len(kinds) > REPORT_ROWS + 1 else ""
    judged = "training" if found.cost == "cost" else "validation"
    (X, Y), of = (parts.train, "training") if parts.validation is None else (parts.validation, "validation")
    A2 = out_of_fold(found, parts)
    of = of if A2 is None else "held-out"
    if parts.unscale is not None:
        mean, deviation = parts.unscale
        Y, A2 = Y * deviation + mean, None if A2 is None else A2 * deviation + mean
    best = reporting.pictures_of(params, dataset, (X, Y), of, A2)
    return reports.page(
        f"{dataset.name}: {results['networks']:,} networks",
        [
            reports.section(
                "What came out",
                f"The best kinds first; {found.measure} of the {judged} examples, ± its deviation among the networks.",
                reports.table(kinds[: REPORT_ROWS + 1]),
                *filter(None, [more]),
                *reporting.shown(pictures),
            ),
            reports.section(
                "The best network",
                f"{called(found.kinds.row(0, named=True), found.swept)}, as saved in sweep.safetensors.",
                *reporting.shown(best),
            ),
            *reporting.forward_passes(params, dataset),
            reporting.about_the_data(dataset),
            reporting.what_was_run("sweep.py", options, results["seconds"]),
        ],
    )


# ---- what is tried ----


def choose(options: Options) -> tuple[list[dict[str, Any]], list[str]]:
    """A config for each network, and the names of what tells kinds of networks apart."""
    for name in ("seeds", "random", "folds"):
        value, least = getattr(options, name), 2 if name == "folds" else 1
        if value is not None and value < least:
            raise ValueError(f"--{name} must be at least {least}, got {value}")
    if options.learning_rate is None:
        options = replace(options, learning_rate=str(LEARNING_RATES.get(options.optimizer, 0.01)))
    values = {name: parsed(name, getattr(options, name)) for name in SWEPT}
    if options.random is None:
        if ranges := [name for name, choice in values.items() if isinstance(choice, Range)]:
            option = ranges[0].replace("_", "-")
            raise ValueError(f"--{option} is a range to draw from: give --random, how many, or a list")
        kinds = [dict(zip(values, row, strict=True)) for row in itertools.product(*values.values())]
    else:
        rng = np.random.default_rng(options.seed)
        kinds = [{name: drawn(rng, name, choice) for name, choice in values.items()} for _ in range(options.random)]
    kinds = list({tuple(kind.values()): kind for kind in kinds}.values())  # each once
    if any(kind["learning_rate"] <= 0 for kind in kinds):
        raise ValueError(f"--learning-rate must be above 0, got {options.learning_rate}")
    swept = [name for name, choice in values.items() if isinstance(choice, Range) or len(choice) > 1] or ["n_h"]
    few = options.random is not None or options.folds is not None
    seeds = options.seeds or (1 if few else 100)
    return [{**kind, "seed": seed} for kind in kinds for seed in range(seeds)], swept


def parsed(name: str, text: str) -> list | Range:
    """ "1,2,3" as a list, "low:high" and "low:high:log" as a `Range`."""
    option = f"--{name.replace('_', '-')}"
    converters: dict[str, Callable] = {"n_h": int, "hidden": str, "scale": weight_scale}
    convert = converters.get(name, float)
    try:
        if ":" not in text:
            return [convert(value.strip()) for value in text.split(",")]
        low, high, *log = text.split(":")
        found = Range(float(low), float(high), log == ["log"])
        if (log and not found.log) or not found.low < found.high or (found.log and found.low <= 0):
            raise ValueError
    except ValueError:
        raise ValueError(
            f"{option} must be a value, a list such as 2,8,32, or a range low:high or low:high:log, got {text!r}"
        ) from None
    if name in ("hidden", "scale"):
        raise ValueError(f"{option} must be a value or a list, got the range {text!r}")
    return found


def drawn(rng: np.random.Generator, name: str, choice: list | Range):
    if not isinstance(choice, Range):
        return choice[rng.integers(len(choice))]
    low, high, log = choice
    value = float(np.exp(rng.uniform(np.log(low), np.log(high)))) if log else float(rng.uniform(low, high))
    return round(value) if name == "n_h" else float(f"{value:.3g}")


# ---- the examples ----


def divide(dataset: data.Dataset, options: Options) -> tuple[data.Dataset, Parts]:
    if options.folds is not None and options.validation:
        raise ValueError("--folds and --validation both hold examples out: give one of them")
    dataset, (X, Y), validation = split(dataset, options)
    unscale = None
    if dataset.output == "identity":
        mean, deviation = unscale = data.scaling(Y)
        Y = (Y - mean) / deviation
        validation = validation and (validation[0], (validation[1] - mean) / deviation)
    if options.folds is None:
        return dataset, Parts((X, Y), validation, None, unscale)
    classes = Y.argmax(axis=0) if len(Y) > 1 else Y[0]
    one_label = dataset.output == "softmax" or (dataset.output == "sigmoid" and len(Y) == 1)
    most = np.unique_counts(classes).counts.max() if one_label else len(classes)
    if options.folds > most:
        what = "the examples of the largest class" if one_label else "the examples there are"
        raise ValueError(f"--folds must be at most {most}, {what}, got {options.folds}")
    splitter = (StratifiedKFold if one_label else KFold)(options.folds, shuffle=True, random_state=options.seed)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        folds = list(splitter.split(X.T, classes))
    for warning in said:  # of classes with fewer examples than folds
        remark(f"a class has fewer examples than --folds: {warning.message}")
    return dataset, Parts((X, Y), None, folds, unscale)


# ---- what came out ----


def measured(trained: js.Many, parts: Parts, swept: list[str], measure: str) -> Found:
    columns: dict[str, Any] = {"network": list(range(len(trained))), **trained.table()}
    (X, Y), suffix = parts.train, ""
    if parts.folds is not None:
        suffix, of_fold = "validation_", np.array(columns["fold"])
        for name, part in (("score", 0), ("validation_score", 1)):
            columns[name] = np.full(len(trained), np.nan)
            for fold, rows in enumerate(parts.folds):
                members = np.flatnonzero(of_fold == fold)
                columns[name][members] = trained.score(X[:, rows[part]], Y[:, rows[part]], members)
    else:
        columns["score"] = trained.score(X, Y)
        if parts.validation is not None:
            suffix, columns["validation_score"] = "validation_", trained.score(*parts.validation)
    cost, score = f"{suffix}cost", f"{suffix}score"
    networks = pl.DataFrame(columns).filter(pl.col("epochs") > 0)
    of_each = [name for name in ("cost", "score", "validation_cost", "validation_score") if name in columns]
    well = (pl.col("diverged_at") < 0) & pl.col(cost).is_finite()
    kinds = (
        networks.group_by(swept, maintain_order=True)
        .agg(
            pl.len().alias("networks"),
            (~well).sum().alias("diverged"),
            *(pl.col(name).filter(well).mean() for name in of_each),
            pl.col(score).filter(well).std().alias("deviation"),
            pl.col(score).filter(well).min().alias("lowest"),
            pl.col(score).filter(well).max().alias("highest"),
        )
        .sort(pl.col("diverged") > 0, cost, nulls_last=True, maintain_order=True)
    )
    return Found(trained, networks, kinds, swept, cost, score, measure)


def shown(results: dict[str, Any], found: Found) -> Table:
    asked = "" if results["finished"] else f" of {results['networks_asked']:,}"
    took = f"{results['networks']:,}{asked} network{'s' * (results['networks'] > 1)} in {results['seconds']:.1f} s"
    title = escape(f"{results['data']}: {took}, the best kinds first")
    table = Table(
        title=title, title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0)
    )
    held_out, diverged = found.cost != "cost", results["diverged"] > 0
    headings, *rows = cells(found, diverged)
    for heading in headings:
        table.add_column(heading, justify="right")
    for row in rows[:ROWS]:
        table.add_row(*row)
    caption = [f"{found.measure} on the {'validation' if held_out else 'training'} examples"]
    if diverged:
        caption.append("means are of networks that did not diverge")
    if len(found.kinds) > ROWS:
        caption.append(f"{len(found.kinds) - ROWS:,} more kinds in the file")
    if saved := results.get("saved"):
        caption.append(f"saved: n_h = {saved['n_h']}, {found.text(saved[found.measure])} on the training examples")
    table.caption = "; ".join(caption) + "\nwritten: " + escape(", ".join(results["files"]))
    return table


def cells(found: Found, diverged: bool) -> list[list[str]]:
    """A row for each kind, after the headings."""
    held_out = found.cost != "cost"
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


@contextlib.contextmanager
def live(configs, swept: list[str]) -> Iterator[Callable[[js.Progress], None]]:
    """A table on stderr while they are trained; nothing where stderr is not a terminal."""
    kinds: dict[tuple, list[int]] = {}
    for k, config in enumerate(configs):
        kinds.setdefault(tuple(config[name] for name in swept), []).append(k)

    def show(now: js.Progress) -> None:
        per_config = len(now.lowest) // len(configs)  # with folds, so many networks of each
        lowest, epochs = (values.reshape(len(configs), per_config) for values in (now.lowest, now.epochs))
        table = Table(*swept, "begun", "lowest cost", title=f"{now.share:.0%}, best {now.best:.4f}, "
                      f"{now.seconds_left:.0f} s left", title_justify="left")  # fmt: skip
        found = [(np.fmin.reduce(lowest[rows], axis=None), kind, rows) for kind, rows in kinds.items()]
        for cost, kind, rows in sorted(found, key=lambda row: np.nan_to_num(row[0], nan=np.inf))[:ROWS]:
            begun = f"{(epochs[rows] > 0).sum()} of {len(rows) * per_config}"
            table.add_row(*map(str, kind), begun, f"{cost:.4f}" if np.isfinite(cost) else "")
        display.update(table)

    if not running.messages.is_terminal or running.messages.quiet:
        yield lambda now: None
        return
    with Live(console=running.messages, transient=True, refresh_per_second=4) as display:
        yield show


def called(row: dict[str, Any], swept: list[str]) -> str:
    return ", ".join(
        f"{name} {row[name]:.4g}" if isinstance(row[name], float) else f"{name} {row[name]}" for name in swept
    )


def draw(found: Found, options: Options) -> reporting.Picture:
    """The spread of the scores, or a map of them where two things were varied, beside learning curves."""
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
        draw_map(left, found, label, drawn=options.random is not None)
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


def draw_map(ax, found: Found, label: str, drawn: bool) -> None:
    """The mean score against the two things that took most values; means over the rest."""
    networks, score = found.networks, found.score
    most = sorted(found.swept, key=lambda name: -networks[name].n_unique())[:2]
    x, y = (name for name in found.swept if name in most)
    means = networks.filter(pl.col(score).is_finite()).group_by(x, y).agg(pl.col(score).mean()).sort(x, y)
    narrow = np.ptp(means[score].to_numpy()) < 0.005
    format = f".{1 + narrow}%" if found.measure == "accuracy" else f".{3 + narrow}f"
    if drawn and networks[x].dtype.is_numeric() and networks[y].dtype.is_numeric():
        plots.scatter_map(ax, means[x], means[y], means[score], names=(x, y), format=format)
    else:
        columns, rows = (networks[name].unique().sort().to_list() for name in (x, y))
        at = {(row[x], row[y]): row[score] for row in means.to_dicts()}
        grid = [[at.get((column, row), np.nan) for column in columns] for row in rows]
        plots.heat_map(ax, columns, rows, grid, names=(x, y), format=format)
    rest = [name for name in found.swept if name not in most]
    ax.set_title(label + (f", mean over {', '.join(rest)}" if rest else ""), loc="left", fontsize=10)


def draw_boundaries(found: Found, dataset: data.Dataset, options: Options) -> reporting.Picture:
    """The boundary of the median network of each kind, as they were tried; of the best where there are many."""
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


if __name__ == "__main__":
    if not os.environ.get("JAX_NUM_CPU_DEVICES"):
        jax.config.update("jax_num_cpu_devices", os.cpu_count())  # chunks of networks go to a device for each core
    js.enable_compilation_cache()
    sys.exit(main())
