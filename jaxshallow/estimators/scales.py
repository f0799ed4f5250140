"""Are two tables on one scale? What a Pipeline's scaler changed and what it did not are not."""

from __future__ import annotations

import itertools
import warnings

import numpy as np

FEWEST = 10


ADVICE = {
    "X": "a Pipeline transforms X alone; made with transform_input=['X_val'], metadata routing enabled and "
    ".set_fit_request(X_val=True, y_val=True) on the network, it transforms X_val, too",
    "y": "TransformedTargetRegressor transforms y alone: transform y_val as well",
}


def warn_of_another_scale(name: str, A: np.ndarray, A_val: np.ndarray) -> None:
    """Warn if the table A_val looks as if what transformed A had not transformed it, too.

    Of fewer than ten examples nobody can tell.

    Args:
        name: "X" or "y".
        A, A_val: (m, n) rows.
    """
    if min(len(A), len(A_val)) < FEWEST:
        return
    names = f"{name}_val", name
    for (inner, one), (outer, other) in itertools.permutations(zip(names, (A_val, A), strict=True)):
        share = share_inside(one, other)
        if share < least_share(len(other)):
            warnings.warn(
                f"{name}_val is not on the scale of {name}: {share:.0%} of the values of {inner} lie in the range that "
                f"{outer} has in the same column. If it was forgotten: {ADVICE[name]}",
                UserWarning,
                stacklevel=6,
            )
            return


def share_inside(A: np.ndarray, B: np.ndarray) -> float:
    """The share of the values of A that lie in the range of B, feature by feature."""
    return float(np.mean((B.min(axis=0) <= A) & (B.max(axis=0) >= A)))


def least_share(n: int) -> float:
    """What chance leaves inside the range of n examples, whatever their distribution.

    The share of a continuous distribution inside the range of n draws is Beta(n − 1, 2), about 1 − 2 / n. It is below
    this in fewer than one case of 10,000; and examples of another time or place may put a quarter outside.
    """
    return min(0.75, (1e-4 / n) ** (1 / (n - 1)))
