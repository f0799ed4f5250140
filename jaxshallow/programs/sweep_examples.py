"""The examples that a sweep trains and validates on."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np

from jaxshallow import data
from jaxshallow.params import ONE_CLASS, task_of
from jaxshallow.programs.examples import Examples, split
from jaxshallow.programs.extra import needs_scripts
from jaxshallow.programs.running import remark
from jaxshallow.programs.sweep_options import Options

with needs_scripts():
    from sklearn.model_selection import KFold, StratifiedKFold


class Parts(NamedTuple):
    """The training and validation examples; a regression's targets are standardised."""

    train: Examples
    validation: Examples | None
    folds: list[tuple[np.ndarray, np.ndarray]] | None  # indices of training and of held-out examples
    unscale: data.Scaling | None  # the (mean, deviation) of a regression's targets

    def in_own_units(self, targets: np.ndarray) -> np.ndarray:
        """(n_y, m) targets or outputs in the units of the data set."""
        if self.unscale is None:
            return targets
        mean, deviation = self.unscale
        return targets * deviation + mean


def divide(dataset: data.Dataset, options: Options) -> tuple[data.Dataset, Parts]:
    """The data set, with missing values filled, and its parts: for --validation, for --folds, or all for training."""
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
    return dataset, Parts((X, Y), None, folds_of(X, Y, dataset.output, options.folds, options.seed), unscale)


def folds_of(X: np.ndarray, Y: np.ndarray, output: str, n: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each fold's training and held-out examples, as indices; stratified if each example has one class."""
    classes = Y.argmax(axis=0) if len(Y) > 1 else Y[0]
    one_label = task_of(output, len(Y)) in ONE_CLASS
    most = np.unique_counts(classes).counts.max() if one_label else len(classes)
    if n > most:
        what = "the examples of the largest class" if one_label else "the examples there are"
        raise ValueError(f"--folds must be at most {most}, {what}, got {n}")
    splitter = (StratifiedKFold if one_label else KFold)(n, shuffle=True, random_state=seed)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        folds = list(splitter.split(X.T, classes))
    for warning in said:  # about classes with fewer examples than folds
        remark(f"a class has fewer examples than --folds: {warning.message}")
    return folds
