"""What train trains, and what it says of the network afterwards."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax

import jaxshallow as js
from jaxshallow.programs.examples import Examples, Scalings, Split, load, scaled, split, standardised
from jaxshallow.programs.options import OWN_STEPS, default_learning_rate, weight_scale
from jaxshallow.programs.scores import cost_of, score
from jaxshallow.programs.train_options import Options


class Task(NamedTuple):
    """A network to train, and its examples: raw (`split`) and standardised, as it sees them."""

    split: Split
    scalings: Scalings
    train: Examples
    validation: Examples | None
    start: js.Params
    order_key: jax.Array


class Trained(NamedTuple):
    """A trained network: for standardised examples (`scaled`), and with the scaling folded into it (`params`)."""

    scaled: js.Params
    params: js.Params
    l2: float
    optimizer: str
    epochs: int | None  # None where a number says little
    compile_seconds: float
    run_seconds: float


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


def learning_rate_of(options: Options) -> float:
    return options.learning_rate or default_learning_rate(options.optimizer)


def optimizer_of(options: Options) -> str:
    """The optimizer in words."""
    if options.optimizer in OWN_STEPS:
        return options.optimizer
    return f"{options.optimizer}, learning rate {learning_rate_of(options):g}"


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
        "optimizer": trained.optimizer,
        "device": f"{device.platform} ({device.device_kind})",
        "dtype": options.precision,
        "epochs": trained.epochs,
        "compile_seconds": round(trained.compile_seconds, 3),
        "run_seconds": round(trained.run_seconds, 3),
        "train": {"cost": cost_of(trained.scaled, task.train, trained.l2), **score(trained.params, (X, Y))},
    }
    if validation is not None and task.validation is not None:
        cost = cost_of(trained.scaled, task.validation)
        results["validation"] = {"cost": cost, **score(trained.params, validation)}
    return results
