"""Contestants that search a grid: the everyday search, each time in a new process (S1), and a large one (S2)."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.processes import cached, measured
from bench.rows import OURS, Run, contestant
from bench.work import table

# ---- S1: the everyday search ----


@contestant("S1", f"{OURS}, cold", "new processes")
def s1_cold(candidates: int, folds: int) -> Run:
    return lambda: measured("search_program", library=OURS, candidates=candidates, folds=folds)


@contestant("S1", f"{OURS}, cached", "new processes")
def s1_cached(candidates: int, folds: int) -> Run:
    return cached("search_program", library=OURS, candidates=candidates, folds=folds)


@contestant("S1", f"{OURS}, warm", "new processes")
def s1_warm(candidates: int, folds: int) -> Run:
    return lambda: measured("search_program", library=OURS, candidates=candidates, folds=folds, again=True)


@contestant("S1", "scikit-learn, cold", "new processes")
def s1_scikit_learn_cold(candidates: int, folds: int) -> Run:
    return lambda: measured("search_program", library="scikit-learn", candidates=candidates, folds=folds)


@contestant("S1", "scikit-learn, warm", "new processes")
def s1_scikit_learn_warm(candidates: int, folds: int) -> Run:
    return lambda: measured("search_program", library="scikit-learn", candidates=candidates, folds=folds, again=True)


# ---- S2: a large search ----


def searched(
    search: Callable[..., Any], estimator: Callable[..., Any], candidates: int, folds: int, epochs: int, **more: Any
) -> Run:
    """A search over sizes, weight decays and learning rates of a pipeline that standardises within each fold."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    X, Y = table("breast_cancer")
    x, y = np.ascontiguousarray(X.T), Y[0].astype(int)
    pipeline = Pipeline([("scale", StandardScaler()), ("network", estimator(random_state=0, max_iter=epochs))])
    grid: dict[str, list[Any]] = {
        "network__hidden_layer_sizes": [(8,), (16,), (32,), (64,)],
        "network__alpha": [1e-5, 1e-4, 1e-3, 1e-2, 1e-1],
        "network__learning_rate_init": [3e-4, 1e-3, 3e-3, 1e-2, 3e-2],
    }
    if candidates < 100:
        grid = {**grid, "network__hidden_layer_sizes": [(8,), (16,)], "network__learning_rate_init": [1e-3]}

    def run() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            search(pipeline, grid, cv=folds, **more).fit(x, y)

    return run


@contestant("S2", f"{OURS}, ShallowSearchCV, a device per core", "jax, all devices")
@contestant("S2", f"{OURS}, ShallowSearchCV", "jax")
def s2_shallow_search(candidates: int, folds: int, epochs: int) -> Run:
    from jaxshallow.estimators import ShallowClassifier, ShallowSearchCV

    return searched(ShallowSearchCV, ShallowClassifier, candidates, folds, epochs)


@contestant("S2", "scikit-learn, GridSearchCV", "numpy")
def s2_grid_search(candidates: int, folds: int, epochs: int) -> Run:
    from sklearn.model_selection import GridSearchCV
    from sklearn.neural_network import MLPClassifier

    os.environ["PYTHONWARNINGS"] = "ignore"  # joblib's processes do not inherit the filters of this one
    return searched(GridSearchCV, MLPClassifier, candidates, folds, epochs, n_jobs=-1)
