"""Scores of contestants on real tables, and what many tables say together.

Source: Demšar (2006), Statistical comparisons of classifiers over multiple data sets.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

LEAST_ERROR = 1e-3  # in ratios: an area under the curve of 1 would leave nothing to divide by
ALPHA = 0.05


def scores(y: np.ndarray, predicted: np.ndarray, classes: np.ndarray | None) -> dict[str, float]:
    """`error` is 1 − R², or 1 − the area under the curve; classes have a `log loss` too.

    Args:
        y: (m,) numbers, or names of classes.
        predicted: (m,) numbers, or (m, n_classes) probabilities.
        classes: in the order of the probabilities; None for numbers.
    """
    from sklearn.metrics import log_loss, r2_score

    if classes is None:
        return {"error": 1 - float(r2_score(y, predicted))}
    error = 1 - area_under_curve(y, predicted, classes)
    return {"error": error, "log loss": float(log_loss(y, predicted, labels=classes))}


def area_under_curve(y: np.ndarray, probabilities: np.ndarray, classes: np.ndarray) -> float:
    """Of several classes, the mean of the areas of each against the rest."""
    from sklearn.metrics import roc_auc_score

    if len(classes) == 2:
        return float(roc_auc_score(y == classes[1], probabilities[:, 1]))
    return float(np.mean([roc_auc_score(y == name, p) for name, p in zip(classes, probabilities.T, strict=True)]))


def mean_ranks(errors: np.ndarray) -> np.ndarray:
    """The mean rank of each contestant; 1 is the best, and equals share their ranks.

    Args:
        errors: a row for each table, a column for each contestant.
    """
    from scipy.stats import rankdata

    return rankdata(errors, axis=1).mean(axis=0)


def critical_difference(contestants: int, tables: int) -> float:
    """The difference of mean ranks from which on two contestants differ, by Nemenyi's test at 0.05.

    q √(k (k + 1) / (6 N)), where q is the studentized range of k contestants, over √2, and N the tables.
    """
    from scipy.stats import studentized_range

    q = studentized_range.ppf(1 - ALPHA, contestants, np.inf) / math.sqrt(2)
    return float(q * math.sqrt(contestants * (contestants + 1) / (6 * tables)))


def not_apart(ranks: Sequence[float], difference: float) -> list[tuple[int, int]]:
    """The longest runs of contestants, first and last, that differ by less than the critical difference.

    Args:
        ranks: mean ranks, ascending.
        difference: the critical one.
    """
    runs: list[tuple[int, int]] = []
    for first, rank in enumerate(ranks):
        last = max(k for k in range(first, len(ranks)) if ranks[k] - rank < difference)
        if last > first and (not runs or last > runs[-1][1]):
            runs.append((first, last))
    return runs


def mean_ratio(values: np.ndarray, baseline: np.ndarray, least: float = 0.0) -> float:
    """The geometric mean of the ratios, of numbers that are at least `least`."""
    return float(np.exp(np.mean(np.log(np.maximum(values, least) / np.maximum(baseline, least)))))
