"""Bagging: members that train on different examples, and what each says of those that it has not seen."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.model_selection import KFold, StratifiedKFold

from jaxshallow.estimators.examples import Bags


def drawn(how: str, n_members: int, m: int, seed: int, classes: np.ndarray | None) -> Bags:
    """The rows that each member trains on, and those that it does not see.

    Args:
        how: "folds": of n_members parts, all but one; "bootstrap": m rows, drawn with replacement.
        n_members: how many.
        m: rows.
        seed: of the draw.
        classes: (m,) labels, to have each in all folds, if there are enough; None for numbers.

    Raises:
        ValueError: there are fewer rows than members.
    """
    if m < n_members:
        raise ValueError(f"n_members must be at most the {m} samples for bagging={how!r}, got {n_members}")
    if how == "folds":
        divided = classes is not None and np.unique(classes, return_counts=True)[1].max() >= n_members
        splitter = (StratifiedKFold if divided else KFold)(n_members, shuffle=True, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of classes with fewer rows than there are folds
            return list(splitter.split(np.zeros((m, 1)), classes))
    rng = np.random.default_rng(seed)
    bags: Bags = []
    while len(bags) < n_members:
        rows = np.sort(rng.integers(m, size=m))
        unseen = np.setdiff1d(np.arange(m), rows)
        if len(unseen):
            bags.append((rows, unseen))
    return bags
