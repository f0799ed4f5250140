"""Train a shallow network on a course data set or on a table of your own.

Examples:
    jaxshallow train                                        the course's flower, 4 hidden units
    jaxshallow train --data iris --optimizer adam --learning-rate 0.01 --epochs 500 --validation 0.25
    jaxshallow train --data table.csv --target price --n-h 32
    jaxshallow train --data diabetes --n-h 10 --l2 evidence how much weight decay, and how sure is it?
    jaxshallow train --data table.csv --preset tables       an ensemble for tables with text and gaps
    jaxshallow train --course                               the course's published results, beside ours
    jaxshallow train --demo symmetry                        what if all weights start at zero?
    jaxshallow train --demo scale                           why 0.01?

If a run is stopped, --resume with the same options continues it. The result is bit-identical to an uninterrupted run.

Exit codes: 0 success, 1 a check failed, 2 wrong usage, 130 Ctrl-C and 143 SIGTERM, after saving what was trained.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import NamedTuple

import jax
import numpy as np

import jaxshallow as js
from jaxshallow.programs import running
from jaxshallow.programs.course import run_course
from jaxshallow.programs.demos import DEMOS
from jaxshallow.programs.examples import folded
from jaxshallow.programs.keeper import Keeper, hint
from jaxshallow.programs.options import OPTIMIZERS, check_learning_rate, named, read
from jaxshallow.programs.progress import Clock, progress_bar
from jaxshallow.programs.running import Interrupted, Outcome, exit_code, interruptible
from jaxshallow.programs.scores import described
from jaxshallow.programs.train_evidence import run_by_evidence
from jaxshallow.programs.train_files import write_model, write_record
from jaxshallow.programs.train_options import Options
from jaxshallow.programs.train_preset import run_with_preset
from jaxshallow.programs.train_results import curves, table_of
from jaxshallow.programs.train_task import Task, Trained, learning_rate_of, optimizer_of, prepare, results_of

FOLDER = "training"  # in --out, for the checkpoints of an unfinished run


class Run(NamedTuple):
    """What came of a training."""

    result: js.FitResult
    trained: Trained
    finished: bool


def main(argv: Sequence[str] | None = None) -> int:
    options = read(Options, argv, "train", __doc__)
    running.messages.quiet = options.quiet
    names = named(Options, argv)
    return exit_code(lambda: run_and_show(options, names), options.out, lambda: hint(options.out / FOLDER))


def run_and_show(options: Options, names: Collection[str]) -> int:
    program = program_of(options, names)
    options.out.mkdir(parents=True, exist_ok=True)
    check(options)
    wide = options.course or options.precision == "float64"
    with jax.enable_x64(wide), jax.default_matmul_precision(options.matmul_precision):
        results, table, ok = program(options)
    running.show({"ok": ok, **results}, table, options)
    return 0 if ok else 1


def program_of(options: Options, names: Collection[str]) -> Callable[[Options], Outcome]:
    if options.preset:
        return partial(run_with_preset, named=names)
    if options.course:
        return run_course
    if options.demo:
        return DEMOS[options.demo]
    return run_by_evidence if options.l2 == "evidence" else run


def check(options: Options) -> None:
    if options.course and options.demo:
        raise ValueError("--course and --demo are programs of their own: give one of them")
    if options.resume and (options.course or options.demo):
        raise ValueError("--resume goes on with a training of your own: --course and --demo begin anew each time")
    if options.learning_rate is not None and not 0 < options.learning_rate < float("inf"):
        raise ValueError(f"--learning-rate must be above 0, got {options.learning_rate}")
    check_learning_rate(options)
    if not 0 <= options.seed < 2**32:
        raise ValueError(f"--seed must be at least 0 and below 2^32, got {options.seed}")


def run(options: Options) -> Outcome:
    """Train once; write the model, its history and a picture."""
    task = prepare(options)
    keeper = Keeper(options.out / FOLDER, options, task.split.dataset, (task.train, task.validation))
    earlier = keeper.earlier()
    with interruptible() as signalled:
        result, trained, finished = train(task, options, keeper, earlier, signalled)
        results = results_of(task, trained, options)
        ok = bool(np.isfinite(results["train"]["cost"]))
        files = []
        if ok:
            picture = curves(task.split.dataset, trained.params, result.history, task.split.train, results)
            files = write_model(task, trained.params, options, results, picture)
        results["files"] = write_record(options, files, results, result.history)
        if finished:
            keeper.clear()
    if signalled():
        kept = f"kept {progress(result, options)} in {', '.join(results['files'])}"
        raise Interrupted(f"{kept}; {described(results['train'])}{hint(options.out / FOLDER)}", signalled())
    return Outcome(results, table_of(results, ok), ok)


def train(
    task: Task,
    options: Options,
    keeper: Keeper,
    earlier: dict[str, np.ndarray] | None,
    signalled: Callable[[], int],
) -> Run:
    """Train from the first weights, or from a checkpoint; on a signal, save a checkpoint and stop."""
    rate = learning_rate_of(options)
    with Clock() as clock, progress_bar(options.epochs) as advance:

        def callback(result: js.FitResult) -> int:
            advance(len(result.history.cost), result.history.cost[-1].item())
            keeper.keep_if_due(result.arrays, lambda: progress(result, options))
            return signalled()

        result = js.fit(
            task.start, *task.train,
            optimizer=OPTIMIZERS[options.optimizer](rate),
            learning_rate=rate if options.optimizer == "sgd" else None,
            epochs=options.epochs, batch_size=options.batch_size, key=task.order_key,
            l2=float(options.l2), validation=task.validation, patience=options.patience,
            callback=callback, resume=earlier,
        )  # fmt: skip
        jax.block_until_ready(result)
    finished = len(result.history.cost) == options.epochs or not signalled()
    if not finished:
        keeper.keep(result.arrays(), progress(result, options))
    trained = Trained(
        result.params, folded(result.params, task.scalings), float(options.l2), optimizer_of(options),
        len(result.history.cost), clock.compiling, clock.total - clock.compiling - keeper.seconds,
    )  # fmt: skip
    return Run(result, trained, finished)


def progress(result: js.FitResult, options: Options) -> str:
    return f"{len(result.history.cost):,} of {options.epochs:,} epochs"
