"""Train many networks at once and compare them: which hidden size, which learning rate, and how sure is that?

Examples:
    jaxshallow sweep                                        the course's question, which hidden size? 100 seeds
    jaxshallow sweep --data iris --n-h 2,8,32 --learning-rate 0.01,0.1,1 --folds 5 --epochs 300
    jaxshallow sweep --data digits --n-h 16:256:log --learning-rate 1e-4:1e-1:log --random 20 --folds 3
        --optimizer adam --batch-size 200 --hidden relu --scale glorot --epochs 100 --patience 10
    jaxshallow sweep --data table.csv --target price --n-h 4,16,64 --l2 0,0.1,1 --validation 0.25
    jaxshallow sweep --data diabetes --n-h 1,2,4,8 --evidence

Lists such as 2,8,32 form a grid. --random N draws N kinds of networks from lists and ranges; a range is low:high or
low:high:log. The best network of the kind with the lowest mean cost is saved. With --folds, a new network of that kind
is trained on all examples and saved.

If a sweep is stopped, --resume with the same options continues it. The result is bit-identical to an uninterrupted
sweep.

Exit codes: 0 success, 1 all networks diverged or a file could not be written, 2 wrong usage, 130 Ctrl-C and 143
SIGTERM, after saving what was trained.
"""

from __future__ import annotations

import io
import signal
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

import jaxshallow as js
from jaxshallow import data, many
from jaxshallow.params import check_sizes
from jaxshallow.programs import reporting, running
from jaxshallow.programs.examples import is_planar, load, metadata_of, standardizes
from jaxshallow.programs.keeper import Keeper, hint
from jaxshallow.programs.options import OPTIMIZERS, read, settings
from jaxshallow.programs.progress import live
from jaxshallow.programs.running import Interrupted, Outcome, exit_code, interruptible, say
from jaxshallow.programs.scores import score
from jaxshallow.programs.sweep_best import best_network
from jaxshallow.programs.sweep_evidence import run_by_evidence
from jaxshallow.programs.sweep_examples import Parts, divide
from jaxshallow.programs.sweep_kinds import Found, measured
from jaxshallow.programs.sweep_options import Options
from jaxshallow.programs.sweep_pictures import draw, draw_boundaries
from jaxshallow.programs.sweep_results import report, table_of
from jaxshallow.programs.sweep_space import choose
from jaxshallow.store.files import write_atomically

FOLDER = "sweeping"  # in --out, for the checkpoints of an unfinished sweep


class Task(NamedTuple):
    """The networks to train, a config for each, and their examples."""

    configs: list[dict[str, Any]]
    swept: list[str]  # the names of the settings in which kinds of networks differ
    dataset: data.Dataset
    parts: Parts
    key: jax.Array
    settings: dict[str, Any]  # for fit_many

    @property
    def n_networks(self) -> int:
        """With folds, each config is trained once for each fold."""
        return len(self.configs) * (1 if self.parts.folds is None else len(self.parts.folds))


def main(argv: Sequence[str] | None = None) -> int:
    options = read(Options, argv, "sweep", __doc__)
    running.messages.quiet = options.quiet
    return exit_code(lambda: run_and_show(options), options.out, lambda: hint(options.out / FOLDER))


def run_and_show(options: Options) -> int:
    options.out.mkdir(parents=True, exist_ok=True)
    with jax.enable_x64(options.precision == "float64"):
        if options.evidence:
            results, table, _ = run_by_evidence(options)
            running.show(results, table, options)
            return 0
        (results, table, ok), signalled = run(options)
    running.show(results, table, options)
    if not results["finished"]:
        text = "the table is of what was trained until then"
        raise Interrupted(text + hint(options.out / FOLDER), signalled)
    return 0 if ok else 1


def run(options: Options) -> tuple[Outcome, int]:
    """Train all networks; write the table, the pictures and the best network. Return the outcome and the signal."""
    task = prepare(options)
    keeper = Keeper(options.out / FOLDER, options, task.dataset, task.parts)
    earlier = keeper.earlier()
    start = time.perf_counter()
    with interruptible() as signalled:
        trained = train(task, options, keeper, earlier, signalled)
        seconds = time.perf_counter() - start - keeper.seconds
        if not (trained.epochs > 0).any():
            raise KeyboardInterrupt
        if not trained.finished:
            keeper.keep(trained.arrays(), progress(trained, task, options))
        found = measured(trained, task.parts, task.swept, "R2" if task.dataset.output == "identity" else "accuracy")
        results = results_of(found, task, options, seconds)
        results["files"] = write(found, task, options, results)
        if trained.finished:
            keeper.clear()
    return Outcome(results, table_of(results, found), results["ok"]), signalled() or signal.SIGINT


def prepare(options: Options) -> Task:
    """Choose the configs, load and divide the examples, and print how much memory the networks take."""
    configs, swept = choose(options)
    dataset, parts = divide(load(options), options)
    check_sizes(epochs=options.epochs, batch_size=options.batch_size, patience=options.patience)
    settings: dict[str, Any] = dict(
        batch_size=options.batch_size,
        output=dataset.output,
        optimizer="sgd" if options.optimizer == "sgd" else OPTIMIZERS[options.optimizer],
        standardize=standardizes(dataset.X, options),
        dtype=options.precision,
    )
    task = Task(configs, swept, dataset, parts, jax.random.key(options.seed), settings)
    per_fold = many.memory(configs, len(dataset.X), len(dataset.Y)) / 2**20
    size = task.n_networks // len(configs) * per_fold
    say(f"{task.n_networks:,} networks, which take {size:,.1f} MiB")
    return task


def train(
    task: Task,
    options: Options,
    keeper: Keeper,
    earlier: dict[str, np.ndarray] | None,
    signalled: Callable[[], int],
) -> js.Many:
    """Train the networks from their first weights, or from a checkpoint, until they finish or a signal comes."""
    parts = task.parts
    with live(task.configs, task.swept) as show:

        def callback(now: js.Progress) -> int:
            show(now)
            keeper.keep_if_due(lambda: now.many().arrays(), lambda: progress(now, task, options))
            return signalled()

        return js.fit_many(
            task.key, *parts.train, task.configs, epochs=options.epochs, validation=parts.validation,
            folds=parts.folds, patience=options.patience, callback=callback, resume=earlier, **task.settings,
        )  # fmt: skip


def train_again(task: Task, configs: list[dict[str, Any]], epochs: int) -> js.Many:
    """Train networks on all training examples of the sweep."""
    trained = js.fit_many(task.key, *task.parts.train, configs, epochs=epochs, **task.settings)
    if not trained.finished:
        raise KeyboardInterrupt
    return trained


def progress(now: js.Progress | js.Many, task: Task, options: Options) -> str:
    return f"{now.epochs.sum():,} of {task.n_networks * options.epochs:,} epochs"


def results_of(found: Found, task: Task, options: Options, seconds: float) -> dict[str, Any]:
    """The results of a sweep, without the saved network and the files."""
    return {
        "data": task.dataset.name,
        "examples": task.parts.train[0].shape[1],
        "networks": found.networks.height,
        "networks_asked": len(found.trained),
        "diverged": int((found.trained.diverged_at >= 0).sum()),
        "seconds": round(seconds, 2),
        "finished": found.trained.finished,
        "ok": found.kinds[found.cost][0] is not None,
        "kinds": found.kinds.to_dicts(),
        "options": settings(options),
    }


def write(found: Found, task: Task, options: Options, results: dict[str, Any]) -> list[str]:
    """Write the table, the pictures, the best network and the report into --out; return the files' names."""
    content = io.BytesIO()
    found.networks.write_csv(content)
    write_atomically(options.out / "sweep.csv", content.getvalue())
    files = [options.out / "sweep.csv"]
    if results["ok"]:
        files += write_best(found, task, options, results)
    running.remark_older(
        options.out, files, ("sweep.safetensors", "sweep_boundaries.png", "sweep_evidence.png", "sweep_report.html")
    )
    return [str(file) for file in files]


def write_best(found: Found, task: Task, options: Options, results: dict[str, Any]) -> list[Path]:
    """Write the pictures, the best network and the report; add the network to the results."""
    dataset, parts = task.dataset, task.parts
    model, page = options.out / "sweep.safetensors", options.out / "sweep_report.html"
    pictures = [draw(found, by_chance=options.random is not None)]
    if is_planar(dataset.X, options):
        pictures.append(draw_boundaries(found, dataset))
    files = reporting.save_all(pictures, options.out)
    params = best_network(found, parts, partial(train_again, task))
    js.save(model, params, metadata_of(dataset, {}, kind=found.kinds.row(0, named=True)))
    X, Y = parts.train
    results["saved"] = {"n_h": len(params.W1), **score(params, (X, parts.in_own_units(Y)))}
    files.append(model)
    if options.report:
        write_atomically(page, report(options, dataset, parts, found, params, pictures, results).encode())
        files.append(page)
    return files
