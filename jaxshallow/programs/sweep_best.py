"""The best network of a sweep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import jaxshallow as js
from jaxshallow import data
from jaxshallow.programs.scores import forward
from jaxshallow.programs.sweep_examples import Parts
from jaxshallow.programs.sweep_kinds import Found

STARTS = 5  # for the network that is trained on all examples after cross-validation


def best_network(found: Found, parts: Parts, again: Callable[[list[dict[str, Any]], int], js.Many]) -> js.Params:
    """The best network of the best kind; after cross-validation, a new one of that kind, trained on all examples.

    Args:
        found: the results of the sweep.
        parts: the examples.
        again: trains configs on all examples, for a given number of epochs.
    """
    k = place_of_best(found)
    if parts.folds is None or not found.trained.finished:
        params = found.trained.params(k)
    else:
        config = without_fold(found.trained.configs[k])
        epochs = int(np.median(found.of_kind(found.kinds.row(0, named=True))["epochs"]))
        # Several starts, since one may get stuck.
        tries = again([{**config, "seed": config["seed"] + k} for k in range(STARTS)], max(1, epochs))
        params = tries.params(tries.best())
    return params if parts.unscale is None else data.fold_scaling(params, targets=parts.unscale)


def place_of_best(found: Found) -> int:
    """The index, among all networks, of the best one of the best kind."""
    place: int = found.of_kind(found.kinds.row(0, named=True)).sort(found.cost).row(0, named=True)["network"]
    return place


def without_fold(config: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name != "fold"}


def out_of_fold(found: Found, parts: Parts) -> np.ndarray | None:
    """(n_y, m) outputs of the best kind's networks, each for its held-out examples; None if any is missing."""
    if parts.folds is None:
        return None
    X, Y = parts.train
    alike = without_fold(found.trained.configs[place_of_best(found)])
    A2 = np.full(Y.shape, np.nan)
    for j, config in enumerate(found.trained.configs):
        if without_fold(config) == alike and found.trained.epochs[j]:
            rows = parts.folds[config["fold"]][1]
            A2[:, rows] = forward(found.trained.params(j), X[:, rows]).A2
    return A2 if np.isfinite(A2).all() else None
