"""The examples of a run: loaded, split and standardised; and what a model's file says about them."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxshallow as js
from jaxshallow import data
from jaxshallow.programs import running
from jaxshallow.programs.options import DataOptions, RunOptions

Examples = tuple[np.ndarray, np.ndarray]  # X (n_x, m) and Y (n_y, m)
Scalings = dict[str, data.Scaling]  # for "features" and "targets"; whichever is absent is not scaled


class Split(NamedTuple):
    """A data set, with missing values filled from the training examples, and its two parts."""

    dataset: data.Dataset
    train: Examples
    validation: Examples | None


def load(options: DataOptions, keep_gaps: bool = False) -> data.Dataset:
    """Load the data set, of a table with its gaps if they are to be kept; print its remarks on stderr."""
    keep_gaps = keep_gaps and options.data not in data.DATASETS
    dataset = data.load(
        options.data,
        options.target,
        missing="keep" if keep_gaps else options.missing,
        drop=options.drop,
        categories=options.categories,
        task=None if options.task == "auto" else options.task,
    )
    for remark in dataset.remarks:
        running.remark(remark)
    return dataset


def split(dataset: data.Dataset, options: RunOptions) -> Split:
    """Hold out a share of the examples, --validation, drawn with --seed."""
    order, held_out = order_of(dataset.X.shape[1], options)
    validation, train = order[:held_out], order[held_out:]
    X, Y = dataset = dataset.filled_from(train)
    return Split(dataset, (X[:, train], Y[:, train]), (X[:, validation], Y[:, validation]) if held_out else None)


def order_of(m: int, options: RunOptions) -> tuple[np.ndarray, int]:
    """The order of m examples, and how many of them, the first, are held out."""
    if not 0 <= options.validation < 1:
        raise ValueError(f"--validation must be at least 0 and below 1, got {options.validation}")
    held_out = round(options.validation * m)
    if held_out == m or (options.validation > 0 and held_out == 0):
        raise ValueError(f"--validation {options.validation} of {m} examples leaves one part empty")
    return np.random.default_rng(options.seed).permutation(m) if held_out else np.arange(m), held_out


def is_planar(X: np.ndarray, options: DataOptions) -> bool:
    """Whether the data set is one of the library's own with two features, which are not scaled."""
    return len(X) == 2 and options.data in data.DATASETS


def standardizes(X: np.ndarray, options: RunOptions) -> bool:
    """Whether to standardise features."""
    return options.standardize == "yes" or (options.standardize == "auto" and not is_planar(X, options))


def scaled(train: Examples, output: str, options: RunOptions) -> Scalings:
    """The (mean, deviation) of all that is to be standardised, from the training examples."""
    X, Y = train
    if not standardizes(X, options):
        return {}
    return {"features": data.scaling(X), **({"targets": data.scaling(Y)} if output == "identity" else {})}


def standardised(examples: Examples, scalings: Scalings) -> Examples:
    X, Y = examples
    X_mean, X_deviation = scalings.get("features", (0.0, 1.0))
    Y_mean, Y_deviation = scalings.get("targets", (0.0, 1.0))
    return (X - X_mean) / X_deviation, (Y - Y_mean) / Y_deviation


def folded(params: js.Params, scalings: Scalings) -> js.Params:
    """The network with the scaling folded into its weights, so that it takes raw values."""
    if not scalings:
        return params
    raw: js.Params = jax.tree.map(jnp.asarray, data.fold_scaling(params, **scalings))
    return raw


def metadata_of(dataset: data.Dataset, scalings: Scalings, **more: Any) -> dict[str, Any]:
    """What a model's file holds besides its weights.

    The scaling is for the reader only: it is folded into the saved weights, so the model takes raw values.
    """
    return {
        "feature_names": dataset.feature_names,
        "columns": [column.as_json() for column in dataset.columns],
        "labels": dataset.labels,
        "target": dataset.target,
        "scaling": {
            what: {"mean": mean.ravel().tolist(), "deviation": deviation.ravel().tolist()}
            for what, (mean, deviation) in scalings.items()
        },
        **more,
    }
