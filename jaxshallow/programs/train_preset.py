"""train --preset tables: the estimators' preset for tables, from a file to a model that predict and export take."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

import jaxshallow as js
from jaxshallow import data, plots, store
from jaxshallow.programs import examples as given
from jaxshallow.programs import reporting
from jaxshallow.programs.extra import needs_scripts
from jaxshallow.programs.options import OWN_STEPS, option
from jaxshallow.programs.progress import Clock
from jaxshallow.programs.running import Outcome, say
from jaxshallow.programs.train_files import lasting, write_record
from jaxshallow.programs.train_options import Options
from jaxshallow.programs.train_results import report, table_of
from jaxshallow.store.files import write_atomically

with needs_scripts():
    import polars as pl

    from jaxshallow.estimators import ShallowClassifier, ShallowRegressor

Estimator = ShallowClassifier | ShallowRegressor

# The options that a preset has a parameter for; one that is given counts, the others are the preset's.
PARAMETERS = {
    "n_h": "hidden_layer_sizes",
    "hidden": "activation",
    "optimizer": "solver",
    "learning_rate": "learning_rate_init",
    "epochs": "max_iter",
    "patience": "n_iter_no_change",
    "batch_size": "batch_size",
    "l2": "alpha",
}
NOT_FOR_PRESETS = ("scale", "standardize", "missing", "resume", "course", "demo", "checkpoint_every")
LEVEL = 0.9  # of intervals and sets


class Part(NamedTuple):
    """Some examples, as the estimator takes them and as the dataset has them."""

    frame: pl.DataFrame
    y: np.ndarray
    rows: np.ndarray  # their indices


def run_with_preset(options: Options, named: Collection[str]) -> Outcome:
    """Train an ensemble by the preset; write it as the one network that it is.

    Args:
        options: of the program.
        named: those that the command line names.
    """
    check(options, named)
    dataset = given.load(options, keep_gaps=True)
    train, validation = parts_of(dataset, options)
    estimator = estimator_of(dataset, options, named)
    say(f"{estimator.n_members} networks, each without one of {estimator.n_members} folds")
    with Clock() as clock:
        fit(estimator, train)
    results = results_of(dataset, estimator, train, validation, options, clock)
    history = js.History(*mean_curves(estimator))
    files = write(dataset, estimator, train, options, results, history)
    results["files"] = write_record(options, files, results, history)
    return Outcome(results, table_of(results, ok=True), True)


def check(options: Options, named: Collection[str]) -> None:
    """ValueError for options that a preset leaves no room for."""
    if wrong := [name for name in NOT_FOR_PRESETS if name in named]:
        raise ValueError(f"{option(wrong[0])} is not for --preset, which has its own way: leave one of them out")
    if options.l2 == "evidence":
        raise ValueError("--l2 evidence is not for --preset: give a number, or leave one of them out")
    if options.precision == "bfloat16":
        raise ValueError("--precision must be float32 or float64 for --preset, got bfloat16")


def parts_of(dataset: data.Dataset, options: Options) -> tuple[Part, Part | None]:
    """The examples that are trained on and, with --validation, those held out, drawn with --seed."""
    frame, y = frame_of(dataset), targets_of(dataset)
    order, n = given.order_of(len(y), options)
    train, held_out = (Part(frame[rows], y[rows], rows) for rows in (order[n:], order[:n]))
    return train, held_out if n else None


def frame_of(dataset: data.Dataset) -> pl.DataFrame:
    """The features as columns again, with their text and their gaps."""
    columns, start = {}, 0
    for column in dataset.columns:
        rows = dataset.X[start : start + len(column.feature_names)]
        start += len(rows)
        columns[column.name] = words_of(rows, column.categories) if column.categories else rows[0]
    return pl.DataFrame(columns, nan_to_null=True)


def words_of(rows: np.ndarray, categories: tuple[str, ...]) -> list[str | None]:
    gaps = np.isnan(rows[0])
    return [None if gap else categories[k] for gap, k in zip(gaps, np.nan_to_num(rows).argmax(axis=0), strict=True)]


def targets_of(dataset: data.Dataset) -> np.ndarray:
    """(m,) labels, or (m,) or (m, n_y) numbers."""
    Y = dataset.Y
    if dataset.labels:
        return np.array(dataset.labels)[Y[0].astype(int) if len(Y) == 1 else Y.argmax(axis=0)]
    return Y[0] if len(Y) == 1 else Y.T


def estimator_of(dataset: data.Dataset, options: Options, named: Collection[str]) -> Estimator:
    parameters: dict[str, Any] = {PARAMETERS[name]: getattr(options, name) for name in PARAMETERS if name in named}
    make = ShallowClassifier if dataset.labels else ShallowRegressor
    return make(preset=options.preset, random_state=options.seed, **parameters)


def fit(estimator: Estimator, train: Part) -> None:
    """Fit; Ctrl-C ends the program, and nothing is kept."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Training interrupted")
        try:
            estimator.fit(train.frame, train.y)
        except UserWarning as warning:
            raise KeyboardInterrupt from warning


def results_of(
    dataset: data.Dataset, estimator: Estimator, train: Part, validation: Part | None, options: Options, clock: Clock
) -> dict[str, Any]:  # fmt: skip
    """The results of a run, without the files."""
    device, measure = jax.devices()[0], "accuracy" if dataset.labels else "R2"
    n_h, n_rows = estimator.as_one().W1.shape
    kept: Any = estimator.features_ and estimator.features_.encoding
    results: dict[str, Any] = {
        "data": dataset.name,
        "target": dataset.target,
        "examples": len(train.y),
        "validation_examples": 0 if validation is None else len(validation.y),
        "classes": dataset.balance,
        "standardised": [] if dataset.labels else ["targets"],
        "encoding": f"{kept.as_json()['kind']}, {len(dataset.columns)} columns as {n_rows} rows",
        "network": f"{n_rows}-{n_h}-{len(dataset.Y)} {estimator.activation}, {dataset.output}",
        "members": estimator.n_members,
        "optimizer": optimizer_of(estimator),
        "device": f"{device.platform} ({device.device_kind})",
        "dtype": options.precision,
        "epochs": estimator.n_iter_,
        "compile_seconds": round(clock.compiling, 3),
        "run_seconds": round(clock.total - clock.compiling, 3),
        "train": {measure: float(estimator.score(train.frame, train.y))},
        "out_of_fold": {measure: estimator.oof_score_},
        **certainty(estimator, train),
    }
    if validation is not None:
        results["validation"] = {measure: float(estimator.score(validation.frame, validation.y))}
    return results


def optimizer_of(estimator: Estimator) -> str:
    """The optimizer in words."""
    if estimator.solver in OWN_STEPS:
        return estimator.solver
    return f"{estimator.solver}, learning rate {estimator.learning_rate_init:g}, falling to 0"


def certainty(estimator: Estimator, train: Part) -> dict[str, Any]:
    """How wide the intervals of new targets are, or how many classes their sets hold."""
    some = train.frame.head(1_000)
    if isinstance(estimator, ShallowClassifier):
        return {"classes_in_90%_sets": float(estimator.predict_set(some, LEVEL).sum(axis=1).mean())}
    low, high = np.moveaxis(estimator.predict_interval(some, LEVEL), 1, 0)
    return {"width_of_90%_intervals": np.ravel((high - low).mean(axis=0)).tolist()}


def mean_curves(estimator: Estimator) -> list[np.ndarray]:
    """The means of the members' curves: of the cost, and of that of the fold left out. What stopped stays as it was."""
    curves = estimator.curves_
    longest = max(len(one.cost) for one in curves)
    both = ([one.cost for one in curves], [one.validation_cost for one in curves])
    return [np.mean([np.pad(c, (0, longest - len(c)), mode="edge") for c in of], axis=0) for of in both]


# ---- what is written ----


def write(
    dataset: data.Dataset, estimator: Estimator, train: Part, options: Options, results: dict[str, Any],
    history: js.History,
) -> list[Path]:  # fmt: skip
    """Write the model, its pictures and the report; return the files."""
    path, page, model = options.out / "model.safetensors", options.out / "report.html", estimator.as_one()
    store.save(path, model, given.metadata_of(dataset, {}, results=lasting(results)) | known_of(dataset, estimator))
    drawing, (axes,) = plots.figure()
    axes.set_title(plots.plain(f"{results['data']}: {results['network']}"), loc="left", fontsize=10)
    plots.learning_curves(axes, history)
    pictures = [reporting.Picture("learning_curves", drawing, "Learning curves, means over the members")]
    if options.report:
        pictures += out_of_fold(dataset, estimator, model, train)
    files = [path, *reporting.save_all(pictures, options.out)]
    if options.report:
        write_atomically(page, report(options, shown(dataset), model, pictures, results).encode())
        files.append(page)
    return files


def known_of(dataset: data.Dataset, estimator: Estimator) -> dict[str, Any]:
    """What the model's file says of the raw table: its columns, with its decimal mark, the encoding, the errors."""
    features: Any = estimator.features_
    columns = (replace(own, decimal=raw.decimal) for own, raw in zip(features.columns, dataset.columns, strict=True))
    return {**replace(features, columns=tuple(columns)).as_json(), **estimator._errors_of_unseen()}


def out_of_fold(dataset: data.Dataset, estimator: Estimator, model: js.Params, train: Part) -> list[reporting.Picture]:
    """What the members get wrong on the fold that each left out."""
    oof: Any = estimator.oof_
    A2 = oof.reshape(len(train.y), -1).T
    A2 = A2[1:] if dataset.output == "sigmoid" else A2
    examples = (dataset.X[:, train.rows], dataset.Y[:, train.rows])
    return reporting.pictures_of(model, shown(dataset), examples, "out-of-fold", A2)


def shown(dataset: data.Dataset) -> data.Dataset:
    """The data set as a report shows it, with its gaps counted and filled."""
    gaps = np.isnan(dataset.X)
    if not gaps.any():
        return dataset
    filled = replace(dataset, X=np.where(gaps, 0, dataset.X), missing=gaps)
    return filled.filled_from(np.arange(gaps.shape[1]))
