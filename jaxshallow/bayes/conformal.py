"""Intervals and sets that hold the truth as often as is asked, from predictions of examples that were not seen: CV+.

Each example i has a score sᵢ by the networks that did not see it: its distance from the prediction, or 1 minus the
probability of its class. Examples whose networks are the same form a group; a new x is judged by the networks of each.

Sources: Barber, Candès, Ramdas and Tibshirani (2021), Predictive inference with the jackknife+; of bootstrap samples:
Kim, Xu and Barber (2020), Predictive inference is free with the jackknife+-after-bootstrap; of classes: Romano, Sesia
and Candès (2020), Classification with valid and adaptive coverage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

MOST = 1_000  # scores that a file keeps
HALVINGS = 64  # of an interval of float64: to its last digit


class Group(NamedTuple):
    """Examples that were not seen by the same networks.

    Attributes:
        members: the numbers of these networks.
        scores: (n,) of the examples, in ascending order.
    """

    members: tuple[int, ...]
    scores: np.ndarray


def grouped(seen: np.ndarray, scores: np.ndarray) -> list[Group]:
    """The groups of some examples.

    Args:
        seen: (m, n_members) whether a member saw an example; examples that all saw are left out.
        scores: (m,) of the examples.
    """
    patterns, of = np.unique(seen, axis=0, return_inverse=True)
    members = [tuple(np.flatnonzero(~pattern).tolist()) for pattern in patterns]
    return [Group(own, np.sort(scores[of.ravel() == k])) for k, own in enumerate(members) if own]


def thinned(scores: np.ndarray) -> list[float]:
    """At most `MOST` of (n,) scores in ascending order, evenly by their ranks, for a file."""
    scores = np.sort(scores)
    ranks = np.arange(1, MOST + 1) * (len(scores) + 1) / (MOST + 1)
    found: list[float] = (scores if len(scores) <= MOST else scores[np.ceil(ranks).astype(int) - 1]).tolist()
    return found


def groups_of(known: Mapping[str, Any]) -> list[list[Group]] | None:
    """For each output the scores that a model's file keeps, as one group: then its one network stands for all members.

    Raises:
        ValueError: they are no lists of numbers.
    """
    if known.get("unseen") is None:
        return None
    try:
        return [[Group((0,), np.sort(np.array(scores, np.float64).reshape(len(scores))))] for scores in known["unseen"]]
    except (TypeError, ValueError) as error:
        raise ValueError(f"unseen of a model must be a list of numbers for each output: {error}") from error


def upper_end(groups: Sequence[Group], means: Sequence[np.ndarray], confidence_level: float) -> np.ndarray:
    """The upper end of the interval of each x; of the lower end with all signs changed.

    It is the ⌈(1 − α)(m + 1)⌉-th smallest of the numbers μ(x) + sᵢ, where μ is by the networks that did not see i.

    Args:
        groups: of the examples, m in all.
        means: for each group (n_new,) what its networks predict.
        confidence_level: 1 − α.
    """
    m = sum(len(group.scores) for group in groups)
    rank = np.ceil(confidence_level * (m + 1) - 1e-9)  # or 0.9 · 10 might be above 9
    if rank > m:
        return np.full(len(means[0]), np.inf)
    low = np.min(means, axis=0)
    high = np.max([mean + group.scores[-1] for mean, group in zip(means, groups, strict=True)], axis=0)
    for _ in range(HALVINGS):  # the least t that at least `rank` of the numbers do not exceed
        t = (low + high) / 2
        enough = below(groups, [t - mean for mean in means], "right") >= rank
        low, high = np.where(enough, low, t), np.where(enough, t, high)
    return high


def below(groups: Sequence[Group], of: Sequence[np.ndarray], side: Literal["left", "right"]) -> np.ndarray:
    """How many of all scores are below the numbers `of` their group, or equal to them if `side` is "right"."""
    found = [np.searchsorted(group.scores, x, side) for group, x in zip(groups, of, strict=True)]
    return np.sum(found, axis=0)


def within(groups: Sequence[Group], scores: Sequence[np.ndarray], confidence_level: float) -> np.ndarray:
    """Which classes of each x are in its set: those whose score exceeds fewer than (1 − α)(m + 1) of all.

    Args:
        groups: of the examples, m in all.
        scores: for each group (n_new, n_classes), by its networks.
        confidence_level: 1 − α.
    """
    m = sum(len(group.scores) for group in groups)
    return below(groups, scores, "left") < confidence_level * (m + 1)
