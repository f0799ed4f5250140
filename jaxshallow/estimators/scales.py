"""Are two tables on one scale? What a Pipeline's scaler changed and what it did not are not."""

from __future__ import annotations

import warnings

import numpy as np


def warn_of_another_scale(X: np.ndarray, X_val: np.ndarray) -> None:
    """Warn if X_val looks as if what transformed X had not transformed it.

    Args:
        X, X_val: (n_x, m) columns.
    """
    shares = {"X_val": (share_inside(X_val, X), X.shape[1]), "X": (share_inside(X, X_val), X_val.shape[1])}
    for name, (share, n) in shares.items():
        if share < least_share(n):
            warnings.warn(
                f"X_val is not on the scale of X: only {share:.0%} of the values of {name} lie in the range that the "
                "other has in the same feature. A Pipeline transforms X alone. To have it transform X_val, too: "
                "Pipeline(steps, transform_input=['X_val']), with scikit-learn's metadata routing enabled",
                UserWarning,
                stacklevel=6,
            )
            return


def share_inside(A: np.ndarray, B: np.ndarray) -> float:
    """The share of the values of A that lie in the range of B, feature by feature."""
    return float(np.mean((B.min(axis=1, keepdims=True) <= A) & (B.max(axis=1, keepdims=True) >= A)))


def least_share(n: int) -> float:
    """What chance leaves inside the range of n examples, whatever their distribution.

    The share of a continuous distribution inside the range of n draws is Beta(n − 1, 2), about 1 − 2 / n. It is below
    this in fewer than one case of 10,000; and examples of another time or place may put a quarter outside.
    """
    return 0.0 if n < 2 else min(0.75, (1e-4 / n) ** (1 / (n - 1)))
