"""Train a shallow network on a course data set or on a table of your own.

Examples:
    python scripts/train.py                                        the course's flower, 4 hidden units
    python scripts/train.py --data iris --optimizer adam --learning-rate 0.01 --epochs 500 --validation 0.25
    python scripts/train.py --data table.csv --target price --n-h 32
    python scripts/train.py --course                               the course's published figures, beside ours
    python scripts/train.py --demo symmetry                        what if all weights start at zero?
    python scripts/train.py --demo scale                           why 0.01?

A run that was stopped, by Ctrl-C or by anything else, goes on with --resume and the same options, and ends in the very
bits of one that was not.

Exit codes: 0 well, 1 a check failed, 2 usage, 130 Ctrl-C and 143 SIGTERM, which keep what has been trained so far.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

try:
    import tyro
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Table
except ImportError as error:
    sys.exit(f"{error}: pip install 'jaxshallow[scripts]'")

import jax
import jax.numpy as jnp
import optax
import reporting
import running
from running import Interrupted, Keeper, exit_code, hint, interruptible

import jaxshallow as js
from jaxshallow import data, plots, reports
from jaxshallow.store import json_text, write_atomically

OPTIMIZERS: dict[str, Callable[[float], Any]] = {
    "sgd": lambda learning_rate: None,  # plain gradient descent, js.update
    "momentum": lambda learning_rate: optax.sgd(learning_rate, momentum=0.9),
    "rmsprop": optax.rmsprop,
    "adam": optax.adam,
    "adamw": optax.adamw,
    "lbfgs": lambda learning_rate: optax.lbfgs(),
}
FOLDER = "training"  # in --out, of an unfinished run
PICTURES = tuple(
    f"{name}.png"
    for name in ("boundary", "learning_curves", "confusion", "calibration", "units", "weights", "residuals")
)
LEARNING_RATES = {"sgd": 1.2, "momentum": 0.1}
FORMATS = {"cost": ".6f", "accuracy": ".2%", "R2": ".4f"}
COURSE_COSTS = (0.693048, 0.288083, 0.254385, 0.233864, 0.226792, 0.222644, 0.219731, 0.217504)
COURSE_ACCURACIES = {1: 67.5, 2: 67.25, 3: 90.75, 4: 90.5, 5: 91.25}


@dataclass
class DataOptions:
    data: str = "flower"
    """flower, moons, circles, blobs, quantiles, xor, spiral, digits, breast_cancer, iris, wine, diabetes, or a file
    (.csv, .tsv, .parquet, .feather, .npz, .npy), whose rows are examples."""
    target: str | None = None
    """For a file: the column to predict; the last if not given."""
    missing: Literal["error", "mean"] = "error"
    """For a file: what to do with missing values; mean puts that of the training examples there (--folds: of all)."""
    drop: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """For a file: a column to leave out, such as names and numbers of customers; for several, --drop a --drop b."""
    categories: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """For a file: a column whose numbers are codes of categories; for several, as --drop."""
    task: Literal["auto", "classification", "regression"] = "auto"
    """For a file: what the target is. auto: text, booleans and at most 20 different integers are classes."""


@dataclass
class Options(DataOptions):
    n_h: int = 4
    """Hidden units."""
    hidden: str = "tanh"
    """Hidden activation: sigmoid, tanh, relu, leaky_relu, identity, or what else activations.py lists."""
    optimizer: Literal["sgd", "momentum", "rmsprop", "adam", "adamw", "lbfgs"] = "sgd"
    """sgd is plain gradient descent; lbfgs finds its own step length."""
    learning_rate: float | None = None
    """Step length. If not given: 1.2 for sgd, as in the course; 0.1 for momentum; 0.01 for the others."""
    epochs: int = 10_000
    """Passes over the data; full-batch, one step each."""
    patience: int | None = None
    """Stop after so many epochs without a lower cost: that of validation, where there is one, and then the network of
    the lowest is kept."""
    batch_size: int | None = None
    """Examples a step; full-batch if not given."""
    l2: float = 0.0
    """Weight decay."""
    scale: str = "0.01"
    """Standard deviation of the first weights: a number, glorot or he."""
    seed: int = 0
    """Of the weights, the order of the examples and the validation share."""
    precision: Literal["bfloat16", "float32", "float64"] = "float32"
    """The dtype of the whole computation."""
    matmul_precision: Literal["default", "high", "highest"] = "default"
    """Of float32 matrix products; default is TF32 on many GPUs."""
    validation: float = 0.0
    """Share of the examples held out for validation, 0 to below 1."""
    standardize: Literal["auto", "yes", "no"] = "auto"
    """Scale features, and a regression's target, to mean 0, deviation 1. auto: all but sets of two features."""
    out: Path = Path("out")
    """Folder for model.safetensors, history.json and the picture, as PNG and SVG."""
    report: bool = False
    """Write report.html as well, one page with all tables and pictures, and these pictures as files."""
    json: bool = False
    """Print the results as JSON instead of a table."""
    quiet: bool = False
    """Say and print nothing but errors (and the JSON)."""
    checkpoint_every: float = 30.0
    """Seconds from one state of the training, kept in a folder of --out for --resume, to the next; 0 keeps none."""
    resume: bool = False
    """Go on with the run that was stopped."""
    course: bool = False
    """Reproduce the course's published exercise, in float64."""
    demo: Literal["symmetry", "scale"] | None = None
    """Answer one of the notes' two questions."""


def main(argv: Sequence[str] | None = None) -> int:
    options = tyro.cli(tyro.conf.FlagCreatePairsOff[Options], args=argv, description=__doc__)
    running.messages.quiet = options.quiet
    return exit_code(lambda: run_and_show(options), options.out, lambda: hint(options.out / FOLDER))


def run_and_show(options: Options) -> int:
    program = run_course if options.course else DEMOS[options.demo] if options.demo else run
    options.out.mkdir(parents=True, exist_ok=True)
    check(options)
    wide = options.course or options.precision == "float64"
    with jax.enable_x64(wide), jax.default_matmul_precision(options.matmul_precision):
        results, table, ok = program(options)
    if options.json:
        print(json_text({"ok": ok, **results}))
    elif not options.quiet:
        Console(highlight=False).print(table)
    return 0 if ok else 1


def check(options: Options) -> None:
    if options.course and options.demo:
        raise ValueError("--course and --demo are programs of their own: give one of them")
    if options.resume and (options.course or options.demo):
        raise ValueError("--resume goes on with a training of your own: --course and --demo begin anew each time")
    if options.learning_rate is not None and not 0 < options.learning_rate < float("inf"):
        raise ValueError(f"--learning-rate must be above 0, got {options.learning_rate}")
    if not 0 <= options.seed < 2**32:
        raise ValueError(f"--seed must be at least 0 and below 2^32, got {options.seed}")


# ---- training on any data ----


def run(options: Options):
    """Train once; write the model, its history and a picture."""
    dataset, train, validation = split(load(options), options)
    scalings = scaled(train, dataset.output, options)
    standard_train, standard_validation = (standardised(examples, scalings) for examples in (train, validation))
    scale = weight_scale(options.scale)
    n_x, n_y = len(dataset.X), len(dataset.Y)
    rate = options.learning_rate or LEARNING_RATES.get(options.optimizer, 0.01)
    start_key, order_key = jax.random.split(jax.random.key(options.seed))
    params = js.init(
        start_key, n_x, options.n_h, n_y,
        hidden=options.hidden, output=dataset.output, scale=scale, dtype=options.precision,
    )  # fmt: skip

    keeper = Keeper(options.out / FOLDER, options, dataset, (standard_train, standard_validation))
    earlier = keeper.earlier()
    progress = lambda result: f"{len(result.history.cost):,} of {options.epochs:,} epochs"  # noqa: E731

    with interruptible() as signalled:
        with Clock() as clock, progress_bar(options.epochs) as advance:

            def callback(result):
                advance(len(result.history.cost), result.history.cost[-1].item())
                keeper.keep_if_due(result.arrays, lambda: progress(result))
                return signalled()

            result = js.fit(
                params, *standard_train,
                optimizer=OPTIMIZERS[options.optimizer](rate),
                learning_rate=rate if options.optimizer == "sgd" else None,
                epochs=options.epochs, batch_size=options.batch_size, key=order_key,
                l2=options.l2, validation=standard_validation, patience=options.patience, callback=callback,
                resume=earlier,
            )  # fmt: skip
            jax.block_until_ready(result)
        run_seconds = clock.total - clock.compiling - keeper.seconds
        finished = len(result.history.cost) == options.epochs or not signalled()
        if not finished:
            keeper.keep(result.arrays(), progress(result))

        device = jax.devices()[0]
        trained = folded(result.params, scalings)
        results: dict[str, Any] = {
            "data": dataset.name,
            "target": dataset.target,
            "examples": train[0].shape[1],
            "validation_examples": 0 if validation is None else validation[0].shape[1],
            "classes": dataset.balance,
            "standardised": sorted(scalings),
            "network": f"{n_x}-{options.n_h}-{n_y} {options.hidden}, {dataset.output}",
            "optimizer": f"{options.optimizer}, learning rate {rate:g}",
            "device": f"{device.platform} ({device.device_kind})",
            "dtype": options.precision,
            "epochs": len(result.history.cost),
            "compile_seconds": round(clock.compiling, 3),
            "run_seconds": round(run_seconds, 3),
            "train": {"cost": cost_of(result.params, standard_train, options.l2), **score(trained, train)},
        }
        if validation is not None:
            results["validation"] = {"cost": cost_of(result.params, standard_validation), **score(trained, validation)}
        ok = bool(np.isfinite(results["train"]["cost"]))
        results["files"] = write(options, dataset, trained, result.history, (train, validation), scalings, results, ok)
        if finished:
            keeper.clear()
    if signalled():
        kept = f"kept {progress(result)} in {', '.join(results['files'])}; {described(results['train'])}"
        raise Interrupted(kept + hint(options.out / FOLDER), signalled())

    table = Table("", "", title="jaxshallow", show_header=False, title_justify="left")
    names = ("data", "target", "examples", "validation_examples", "classes", "standardised", "network", "optimizer")
    for name in (*names, "device", "dtype", "epochs"):
        value = results[name]
        if not value and name != "standardised":
            continue
        if isinstance(value, dict):
            value = ", ".join(f"{label} {count:,}" for label, count in value.items())
        if isinstance(value, list):
            value = ", ".join(value) or "no"
        table.add_row(name.replace("_", " "), f"{value:,}" if isinstance(value, int) else escape(value))
    table.add_row("compile time", f"{clock.compiling:.2f} s")
    table.add_row("run time", f"{run_seconds:.2f} s")
    for part in ("train", "validation"):
        if part in results:
            table.add_row(part, described(results[part]))
    if not ok:
        table.add_row("[red]diverged[/]", "the cost is not finite: try a smaller --learning-rate")
    table.add_row("written", escape("\n".join(results["files"])))
    return results, table, ok


def weight_scale(text: str) -> float | str:
    if text in ("glorot", "he"):
        return text
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"--scale must be a number, glorot or he, got {text!r}") from None


def load(options: DataOptions) -> data.Dataset:
    """The data set, with what is odd about it said on stderr."""
    task = None if options.task == "auto" else options.task
    dataset = data.load(
        options.data,
        options.target,
        missing=options.missing,
        drop=options.drop,
        categories=options.categories,
        task=task,
    )
    for remark in dataset.remarks:
        running.remark(remark)
    return dataset


def split(dataset: data.Dataset, options):
    """The data set, its gaps filled from the training examples, and its training and validation parts, (X, Y) each."""
    if not 0 <= options.validation < 1:
        raise ValueError(f"--validation must be at least 0 and below 1, got {options.validation}")
    m = dataset.X.shape[1]
    held_out = round(options.validation * m)
    if held_out == m or (options.validation > 0 and held_out == 0):
        raise ValueError(f"--validation {options.validation} of {m} examples leaves one part empty")
    order = np.random.default_rng(options.seed).permutation(m) if held_out else np.arange(m)
    validation, train = order[:held_out], order[held_out:]
    X, Y = dataset = dataset.filled_from(train)
    return dataset, (X[:, train], Y[:, train]), (X[:, validation], Y[:, validation]) if held_out else None


def is_planar(X, options: DataOptions) -> bool:
    """Whether the data are one of the library's sets of two features, which stay as they are."""
    return len(X) == 2 and options.data in data.DATASETS


def scaled(train, output: str, options: Options) -> dict[str, data.Scaling]:
    """The (mean, deviation) of what is to be standardised, of the training examples."""
    X, Y = train
    if options.standardize == "no" or (options.standardize == "auto" and is_planar(X, options)):
        return {}
    return {"features": data.scaling(X), **({"targets": data.scaling(Y)} if output == "identity" else {})}


def standardised(examples, scalings: dict[str, data.Scaling]):
    if examples is None:
        return None
    by = [scalings.get(what, (0.0, 1.0)) for what in ("features", "targets")]
    return tuple((array - mean) / deviation for array, (mean, deviation) in zip(examples, by, strict=True))


def folded(params: js.Params, scalings: dict[str, data.Scaling]) -> js.Params:
    """The network that takes the table's own numbers."""
    if not scalings:
        return params
    return jax.tree.map(jnp.asarray, data.fold_scaling(params, **scalings))


def cost_of(params: js.Params, examples, l2: float = 0.0) -> float:
    return float(js.cost(params, *examples, l2=l2))


def score(params: js.Params, examples: Iterable[np.ndarray]) -> dict[str, float]:
    """Accuracy (of labels) or R² (of numbers)."""
    X, Y = examples
    if params.output == "identity":
        error = np.asarray(js.predict(params, X), np.float64) - Y
        missed, spread = (error**2).sum(), ((Y - Y.mean(axis=1, keepdims=True)) ** 2).sum()
        return {"R2": float(1 - missed / spread) if spread else float(missed == 0)}  # as scikit-learn has it
    return {"accuracy": float((np.asarray(js.predict(params, X)) == plots.classes_of(params, Y)).mean())}


def described(found: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:{FORMATS[name]}}" for name, value in found.items())


def metadata_of(dataset: data.Dataset, scalings: dict[str, data.Scaling], **more: Any) -> dict[str, Any]:
    """What a model's file says beside its numbers. The scaling is for the reader: the numbers have taken it in."""
    return {
        "feature_names": dataset.feature_names,
        "columns": [asdict(column) for column in dataset.columns],
        "labels": dataset.labels,
        "target": dataset.target,
        "scaling": {
            what: {"mean": mean.ravel().tolist(), "deviation": deviation.ravel().tolist()}
            for what, (mean, deviation) in scalings.items()
        },
        **more,
    }


def write(
    options: Options, dataset: data.Dataset, params: js.Params, history, parts, scalings, results, ok
) -> list[str]:
    """The model, the history, the pictures and the report, into --out; the names of the files."""
    files = []
    if ok:
        # Without the times, so that a run that was stopped and went on writes the same bytes.
        lasting = json.loads(json_text({name: v for name, v in results.items() if not name.endswith("_seconds")}))
        js.save(options.out / "model.safetensors", params, metadata_of(dataset, scalings, results=lasting))
        files.append(options.out / "model.safetensors")
        pictures = [curves(dataset, params, history, parts[0], results)]
        if options.report:
            train, validation = parts
            examples, of = (train, "training") if validation is None else (validation, "validation")
            pictures += reporting.pictures_of(params, dataset, examples, of)
        files += reporting.save_all(pictures, options.out)
        if options.report:
            page = report(options, dataset, params, pictures, results)
            write_atomically(options.out / "report.html", page.encode())
            files.append(options.out / "report.html")
    settings = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(options).items()}
    costs = {name: np.asarray(h, np.float64).tolist() for name, h in history._asdict().items() if h is not None}
    record = {**results, "options": settings, "history": costs}
    write_atomically(options.out / "history.json", json_text(record).encode())
    files.append(options.out / "history.json")
    running.remark_older(options.out, files, ("model.safetensors", "report.html", *PICTURES))
    return [str(file) for file in files]


def curves(dataset: data.Dataset, params: js.Params, history, train, results) -> reporting.Picture:
    """The learning curves, beside the decision boundary where there are two features."""
    if len(dataset.X) != 2 or dataset.output == "identity":
        drawing, (right,) = plots.figure()
        right.set_title(plots.plain(f"{results['data']}: {results['network']}"), loc="left", fontsize=10)
        plots.learning_curves(right, history)
        return reporting.Picture("learning_curves", drawing, "Learning curves")
    drawing, (left, right) = plots.figure(1, 2)
    plots.decision_boundary(left, params, *train, labels=dataset.labels, names=dataset.feature_names)
    left.legend(loc="upper right", framealpha=0.9)
    left.set_title(f"{results['network']}: accuracy {results['train']['accuracy']:.1%}", loc="left", fontsize=10)
    plots.learning_curves(right, history)
    return reporting.Picture("boundary", drawing, "Decision boundary and learning curves")


def report(options: Options, dataset: data.Dataset, params: js.Params, pictures, results) -> str:
    """The page of --report."""
    names = (
        "data",
        "target",
        "examples",
        "validation_examples",
        "network",
        "optimizer",
        "standardised",
        "dtype",
        "epochs",
    )
    found = [
        [name.replace("_", " "), ", ".join(v) or "no" if isinstance(v, list) else v]
        for name in names
        if (v := results[name]) or isinstance(v, list)
    ]
    scored = [[part, described(results[part])] for part in ("train", "validation") if part in results]
    return reports.page(
        f"{dataset.name}: {results['network']}",
        [
            reports.section("What came out", reports.table([["", ""], *scored, *found]), *reporting.shown(pictures)),
            *reporting.forward_passes(params, dataset),
            reporting.about_the_data(dataset),
            reporting.what_was_run("train.py", options, results["run_seconds"]),
        ],
    )


class Clock:
    """Wall time of a block, `total`, and how much of it JAX spent on compiling, `compiling`; both in seconds."""

    EVENTS = (
        "/jax/core/compile/jaxpr_trace_duration",
        "/jax/core/compile/jaxpr_to_mlir_module_duration",
        "/jax/core/compile/backend_compile_duration",
    )

    def __enter__(self):
        self.compiling, self._open, self._start = 0.0, True, time.perf_counter()
        jax.monitoring.register_event_duration_secs_listener(self._listen)
        return self

    def _listen(self, event: str, duration_secs: float, **_) -> None:
        # jax has no public way to take a listener off again: a closed clock lets events pass.
        if self._open and event in self.EVENTS:
            self.compiling += duration_secs

    def __exit__(self, *_):
        self.total, self._open = time.perf_counter() - self._start, False


@contextlib.contextmanager
def progress_bar(epochs: int) -> Iterator[Callable[[int, float], None]]:
    """A live bar on stderr with the cost; nothing where stderr is not a terminal."""
    columns = (
        TextColumn("epochs"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    live = running.messages.is_terminal and not running.messages.quiet
    with Progress(*columns, console=running.messages, disable=not live, transient=True) as progress:
        task = progress.add_task("compiling", total=epochs)
        yield lambda done, cost: progress.update(task, completed=done, description=f"J = {cost:.6f}")


# ---- the course's exercise ----


def course_start(n_h: int) -> js.Params:
    """The exercise's own weights: NumPy's legacy generator, seed 2, times 0.01, W1 before W2."""
    random = np.random.RandomState(2)
    W1, W2 = jnp.asarray(random.randn(n_h, 2) * 0.01), jnp.asarray(random.randn(1, n_h) * 0.01)
    return js.Params(W1, jnp.zeros((n_h, 1)), W2, jnp.zeros((1, 1)), hidden="tanh")


def run_course(options: Options):
    """The published costs and accuracies beside ours, and the picture of the boundaries."""
    X, Y = data.flower()
    drawing, axes = plots.figure(2, 3, size=(4.2, 3.6))
    history = js.fit(course_start(4), X, Y, learning_rate=1.2, epochs=8000).history
    costs = np.asarray(history.cost)[::1000]
    table = Table("", "published", "ours", "", title="The course's exercise, in float64", title_justify="left")
    rows = [
        (f"cost at iteration {1000 * i}", f"{p:.6f}", f"{c:.6f}")
        for i, (p, c) in enumerate(zip(COURSE_COSTS, costs, strict=True))
    ]
    accuracies = {}
    for ax, (n_h, published) in zip(axes, COURSE_ACCURACIES.items(), strict=False):
        params = js.fit(course_start(n_h), X, Y, learning_rate=1.2, epochs=5000).params
        accuracies[n_h] = 100 * score(params, (X, Y))["accuracy"]
        rows.append((f"accuracy with n_h = {n_h}", f"{published:.2f} %", f"{accuracies[n_h]:.2f} %"))
        plots.decision_boundary(ax, params, X, Y)
        ax.set_title(f"n_h = {n_h}: {accuracies[n_h]:.2f} %", loc="left", fontsize=10)
    for title, printed, found in rows:
        table.add_row(title, printed, found, "equal" if printed == found else "[red]DIFFERS[/]")
    plots.learning_curves(axes[-1], history)
    axes[-1].plot(np.arange(8) * 1000 + 1, COURSE_COSTS, "o", color=plots.COLOURS[4], label="published, n_h = 4")
    axes[-1].legend(frameon=False)
    files = list(map(str, plots.save(drawing, options.out / "course")))
    table.add_row("written", "\n".join(files), "", "")
    results = {"costs": costs.tolist(), "accuracies": accuracies, "files": files}
    return results, table, all(printed == found for _, printed, found in rows)


# ---- the notes' two questions ----


def run_symmetry(options: Options):
    """What if all weights start equal? Every hidden unit then computes the same thing for ever."""
    X, Y = data.flower()
    key = jax.random.key(options.seed)
    random = js.init(key, 2, 4, hidden="tanh", dtype=options.precision)
    starts = {
        "zero weights": js.init(key, 2, 4, hidden="tanh", scale=0.0, dtype=options.precision),
        "equal weights, 0.5": jax.tree.map(lambda leaf: leaf * 0 + 0.5, random),
        "random weights × 0.01": random,
    }
    table = Table(
        "start", "units differ by", "cost", "accuracy", title="Symmetry: 2-4-1, 2000 iterations", title_justify="left"
    )
    drawing, axes = plots.figure(1, 3, size=(4.0, 3.4))
    results = {}
    for ax, (name, params) in zip(axes, starts.items(), strict=True):
        paths = [np.asarray(params.W1)[:, 0]]

        def record(result, paths=paths):
            paths.append(np.asarray(result.params.W1)[:, 0])

        result = js.fit(params, X, Y, learning_rate=1.2, epochs=2000, callback=record)
        W1 = np.asarray(result.params.W1, np.float64)
        spread = float(np.ptp(W1, axis=0).max())
        found = {"cost": cost_of(result.params, (X, Y)), **score(result.params, (X, Y))}
        results[name] = {"spread": spread, **found}
        table.add_row(name, f"{spread:.3g}", f"{found['cost']:.4f}", f"{found['accuracy']:.1%}")
        iterations = np.linspace(0, 2000, len(paths))
        for unit, path in enumerate(np.array(paths, np.float64).T):
            ax.plot(iterations, path, lw=6 - 1.5 * unit, label=f"unit {unit + 1}")
        ax.set_title(f"{name}: accuracy {found['accuracy']:.1%}", loc="left", fontsize=10)
        ax.set(xlabel="iteration", ylabel="first weight of each hidden unit")
    axes[-1].legend(frameon=False, loc="center right")
    files = list(map(str, plots.save(drawing, options.out / "symmetry")))
    table.caption = f"Units that start equal stay equal, to the last bit. Pictures: {', '.join(files)}"
    identical = results["zero weights"]["spread"] == 0 and results["equal weights, 0.5"]["spread"] == 0
    ok = identical and results["random weights × 0.01"]["spread"] > 0
    return {**results, "files": files}, table, ok


def run_scale(options: Options):
    """Why 0.01? A large W1 makes |Z1| large; tanh saturates, g′ vanishes, and learning stalls.

    The median of 20 starts, all trained at once by vmap: a single start may be lucky.
    """
    X, Y = (jnp.asarray(array, options.precision) for array in data.flower())
    keys = jax.random.split(jax.random.key(options.seed), 20)

    def train_at(scale: float):
        def one(key):
            params = js.init(key, 2, 4, hidden="tanh", dtype=options.precision)
            params = replace(params, W1=params.W1 * (scale / 0.01))
            slope = (1 - js.forward(params, X).A1 ** 2).mean()
            result = js.fit(params, X, Y, learning_rate=1.2, epochs=2000)
            return slope, result.history.cost, (js.predict(result.params, X) == Y[0].astype(int)).mean()

        return [np.asarray(array, np.float64) for array in jax.jit(jax.vmap(one))(keys)]

    title = "Scale of W1: 2-4-1, 2000 iterations, median of 20 starts"
    table = Table("scale", "mean g′(Z1) at the start", "cost", "accuracy", title=title, title_justify="left")
    drawing, (left, right) = plots.figure(1, 2)
    results: dict[str, Any] = {}
    for scale in (0.01, 1.0, 10.0, 100.0):
        slopes, costs, accuracies = train_at(scale)
        low, cost, high = np.quantile(costs, (0.25, 0.5, 0.75), axis=0)
        found = {"slope": np.median(slopes).item(), "cost": cost[-1].item(), "accuracy": np.median(accuracies).item()}
        results[f"{scale:g}"] = found
        table.add_row(f"{scale:g}", f"{found['slope']:.4f}", f"{found['cost']:.4f}", f"{found['accuracy']:.1%}")
        iterations = np.arange(1, len(cost) + 1)
        left.plot(iterations, cost, label=f"scale {scale:g}")
        left.fill_between(iterations, low, high, alpha=0.2)
    left.set(xlabel="iteration", ylabel="cost J, median and quartiles", ylim=(0.2, 1.0))
    left.legend(frameon=False)
    right.bar(list(results), [found["slope"] for found in results.values()], color=plots.COLOURS[:4])
    right.set(xlabel="scale of W1", ylabel="mean g′(Z1) at the start")
    files = list(map(str, plots.save(drawing, options.out / "scale")))
    table.caption = f"A saturated unit has g′ ≈ 0: its weights hardly move. Pictures: {', '.join(files)}"
    ok = results["100"]["cost"] > results["0.01"]["cost"] and results["100"]["slope"] < results["0.01"]["slope"]
    return {**results, "files": files}, table, ok


DEMOS = {"symmetry": run_symmetry, "scale": run_scale}


if __name__ == "__main__":
    js.enable_compilation_cache()
    sys.exit(main())
