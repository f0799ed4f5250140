"""Train a shallow network on a course data set or on a table of your own.

Examples:
    jaxshallow train                                        the course's flower, 4 hidden units
    jaxshallow train --data iris --optimizer adam --learning-rate 0.01 --epochs 500 --validation 0.25
    jaxshallow train --data table.csv --target price --n-h 32
    jaxshallow train --course                               the course's published results, beside ours
    jaxshallow train --demo symmetry                        what if all weights start at zero?
    jaxshallow train --demo scale                           why 0.01?

If a run is stopped, --resume with the same options continues it. The result is bit-identical to an uninterrupted run.

Exit codes: 0 success, 1 a check failed, 2 wrong usage, 130 Ctrl-C and 143 SIGTERM, after saving what was trained.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

import jaxshallow as js
from jaxshallow.programs import reporting, running
from jaxshallow.programs.course import run_course
from jaxshallow.programs.demos import DEMOS
from jaxshallow.programs.examples import (
    Examples,
    Scalings,
    Split,
    folded,
    load,
    metadata_of,
    scaled,
    split,
    standardised,
)
from jaxshallow.programs.keeper import Keeper, hint
from jaxshallow.programs.options import (
    OPTIMIZERS,
    OWN_STEPS,
    RunOptions,
    check_learning_rate,
    default_learning_rate,
    read,
    settings,
    weight_scale,
)
from jaxshallow.programs.progress import Clock, progress_bar
from jaxshallow.programs.running import Interrupted, Outcome, exit_code, interruptible
from jaxshallow.programs.scores import cost_of, described, score
from jaxshallow.programs.train_results import curves, report, table_of
from jaxshallow.store.files import json_text, write_atomically

FOLDER = "training"  # in --out, for the checkpoints of an unfinished run
PICTURES = tuple(
    f"{name}.png"
    for name in ("boundary", "learning_curves", "confusion", "calibration", "units", "weights", "residuals")
)


@dataclass
class Options(RunOptions):
    n_h: int = 4
    """Hidden units."""
    hidden: str = "tanh"
    """Hidden activation: sigmoid, tanh, relu, leaky_relu, identity, or another that activations.py lists."""
    optimizer: Literal["sgd", "momentum", "rmsprop", "adam", "adamw", "lbfgs", "lm"] = "sgd"
    """sgd is plain gradient descent; lbfgs and lm (Levenberg-Marquardt, for small networks) choose their own steps."""
    learning_rate: float | None = None
    """Learning rate. If not given: 1.2 for sgd, as in the course; 0.1 for momentum; 0.01 for the others."""
    epochs: int = 10_000
    """Passes over the data; with full batches, one step each."""
    patience: int | None = None
    """Early stopping: stop after this many epochs without a lower cost.
    With --validation, the validation cost counts, and the network with the lowest is kept."""
    batch_size: int | None = None
    """Examples a step; all of them (full batch) if not given."""
    l2: float = 0.0
    """Weight decay."""
    scale: str = "0.01"
    """Standard deviation of the first weights: a number, glorot or he."""
    seed: int = 0
    """Random seed for the weights, the order of the examples and the validation share."""
    precision: Literal["bfloat16", "float32", "float64"] = "float32"
    """The dtype of the whole computation."""
    matmul_precision: Literal["default", "high", "highest"] = "default"
    """Precision of float32 matrix products; default means TF32 on many GPUs."""
    validation: float = 0.0
    """Share of the examples held out for validation, from 0 to below 1."""
    standardize: Literal["auto", "yes", "no"] = "auto"
    """Scale features, and a regression's target, to mean 0, deviation 1; the saved model takes raw values.
    auto: all but built-in data sets with two features."""
    out: Path = Path("out")
    """Folder for model.safetensors, history.json and the picture, as PNG and SVG."""
    report: bool = False
    """Also write report.html, one page with all tables and pictures, and more pictures as files."""
    json: bool = False
    """Print the results as JSON instead of a table."""
    quiet: bool = False
    """Print only errors (and the JSON)."""
    checkpoint_every: float = 30.0
    """Seconds between checkpoints, which are kept in a folder of --out for --resume; 0 keeps none."""
    resume: bool = False
    """Continue a run that was stopped."""
    course: bool = False
    """Reproduce the course's published exercise, in float64."""
    demo: Literal["symmetry", "scale"] | None = None
    """Answer one of the notes' two questions."""


class Task(NamedTuple):
    """A network to train, and its examples: raw (`split`) and standardised, as it sees them."""

    split: Split
    scalings: Scalings
    train: Examples
    validation: Examples | None
    start: js.Params
    order_key: jax.Array


class Trained(NamedTuple):
    """A trained network: as trained (`result`), and with the scaling folded into its weights (`params`)."""

    result: js.FitResult
    params: js.Params
    compile_seconds: float
    run_seconds: float
    finished: bool


def main(argv: Sequence[str] | None = None) -> int:
    options = read(Options, argv, "train", __doc__)
    running.messages.quiet = options.quiet
    return exit_code(lambda: run_and_show(options), options.out, lambda: hint(options.out / FOLDER))


def run_and_show(options: Options) -> int:
    program = run_course if options.course else DEMOS[options.demo] if options.demo else run
    options.out.mkdir(parents=True, exist_ok=True)
    check(options)
    wide = options.course or options.precision == "float64"
    with jax.enable_x64(wide), jax.default_matmul_precision(options.matmul_precision):
        results, table, ok = program(options)
    running.show({"ok": ok, **results}, table, options)
    return 0 if ok else 1


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
        trained = train(task, options, keeper, earlier, signalled)
        results = results_of(task, trained, options)
        ok = bool(np.isfinite(results["train"]["cost"]))
        results["files"] = write(task, trained, options, results, ok)
        if trained.finished:
            keeper.clear()
    if signalled():
        kept = f"kept {progress(trained.result, options)} in {', '.join(results['files'])}"
        raise Interrupted(f"{kept}; {described(results['train'])}{hint(options.out / FOLDER)}", signalled())
    return Outcome(results, table_of(results, ok), ok)


def prepare(options: Options) -> Task:
    """Load, split and standardise the examples; draw the first weights."""
    parts = split(load(options), options)
    output = parts.dataset.output
    scalings = scaled(parts.train, output, options)
    start_key, order_key = jax.random.split(jax.random.key(options.seed))
    start = js.init(
        start_key, len(parts.dataset.X), options.n_h, len(parts.dataset.Y),
        hidden=options.hidden, output=output, scale=weight_scale(options.scale), dtype=options.precision,
    )  # fmt: skip
    validation = None if parts.validation is None else standardised(parts.validation, scalings)
    return Task(parts, scalings, standardised(parts.train, scalings), validation, start, order_key)


def train(
    task: Task,
    options: Options,
    keeper: Keeper,
    earlier: dict[str, np.ndarray] | None,
    signalled: Callable[[], int],
) -> Trained:
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
            l2=options.l2, validation=task.validation, patience=options.patience, callback=callback, resume=earlier,
        )  # fmt: skip
        jax.block_until_ready(result)
    run_seconds = clock.total - clock.compiling - keeper.seconds
    finished = len(result.history.cost) == options.epochs or not signalled()
    if not finished:
        keeper.keep(result.arrays(), progress(result, options))
    return Trained(result, folded(result.params, task.scalings), clock.compiling, run_seconds, finished)


def learning_rate_of(options: Options) -> float:
    return options.learning_rate or default_learning_rate(options.optimizer)


def optimizer_of(options: Options) -> str:
    """The optimizer in words."""
    if options.optimizer in OWN_STEPS:
        return options.optimizer
    return f"{options.optimizer}, learning rate {learning_rate_of(options):g}"


def progress(result: js.FitResult, options: Options) -> str:
    return f"{len(result.history.cost):,} of {options.epochs:,} epochs"


def results_of(task: Task, trained: Trained, options: Options) -> dict[str, Any]:
    """The results of a run, without the files."""
    dataset, (X, Y), validation = task.split
    device = jax.devices()[0]
    results: dict[str, Any] = {
        "data": dataset.name,
        "target": dataset.target,
        "examples": X.shape[1],
        "validation_examples": 0 if validation is None else validation[0].shape[1],
        "classes": dataset.balance,
        "standardised": sorted(task.scalings),
        "network": f"{len(X)}-{options.n_h}-{len(Y)} {options.hidden}, {dataset.output}",
        "optimizer": optimizer_of(options),
        "device": f"{device.platform} ({device.device_kind})",
        "dtype": options.precision,
        "epochs": len(trained.result.history.cost),
        "compile_seconds": round(trained.compile_seconds, 3),
        "run_seconds": round(trained.run_seconds, 3),
        "train": {"cost": cost_of(trained.result.params, task.train, options.l2), **score(trained.params, (X, Y))},
    }
    if validation is not None and task.validation is not None:
        cost = cost_of(trained.result.params, task.validation)
        results["validation"] = {"cost": cost, **score(trained.params, validation)}
    return results


def write(task: Task, trained: Trained, options: Options, results: dict[str, Any], ok: bool) -> list[str]:
    """Write the model, the pictures, the report and the history into --out; return the files' names."""
    files = write_model(task, trained, options, results) if ok else []
    history = trained.result.history
    costs = {name: np.asarray(h, np.float64).tolist() for name, h in history._asdict().items() if h is not None}
    record = {**results, "options": settings(options), "history": costs}
    write_atomically(options.out / "history.json", json_text(record).encode())
    files.append(options.out / "history.json")
    running.remark_older(options.out, files, ("model.safetensors", "report.html", *PICTURES))
    return [str(file) for file in files]


def write_model(task: Task, trained: Trained, options: Options, results: dict[str, Any]) -> list[Path]:
    """Write the model, its pictures and the report."""
    (dataset, train, validation), params = task.split, trained.params
    # Without the times, so that a resumed run writes the same bytes.
    lasting = json.loads(json_text({name: v for name, v in results.items() if not name.endswith("_seconds")}))
    model, page = options.out / "model.safetensors", options.out / "report.html"
    js.save(model, params, metadata_of(dataset, task.scalings, results=lasting))
    pictures = [curves(dataset, params, trained.result.history, train, results)]
    if options.report:
        examples, of = (train, "training") if validation is None else (validation, "validation")
        pictures += reporting.pictures_of(params, dataset, examples, of)
    files = [model, *reporting.save_all(pictures, options.out)]
    if options.report:
        write_atomically(page, report(options, dataset, params, pictures, results).encode())
        files.append(page)
    return files
