"""Feature scaling, and how to fold it into the weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxshallow import given
from jaxshallow.checks import LEAVES
from jaxshallow.params import Params

Scaling = tuple[np.ndarray, np.ndarray]


def scaling(X: np.ndarray) -> Scaling:
    """Mean and standard deviation of each feature, for `(X - mean) / std`; take them from the training examples only.

    Args:
        X: (n_x, m) features.

    Returns:
        mean (n_x, 1) and std (n_x, 1), float64. A constant feature gets std 1, and so becomes 0.

    Raises:
        ValueError: X is not (n_x, m) with m ≥ 1.

    Example:
        >>> mean, std = scaling(np.array([[1.0, 3.0], [5.0, 5.0]]))
        >>> mean.ravel().tolist(), std.ravel().tolist()
        ([2.0, 5.0], [1.0, 1.0])
    """
    X = np.asarray(given.numbers("X", X), dtype=np.float64)
    if X.ndim != 2 or X.shape[1] == 0:
        raise ValueError(f"X must be (n_x, m) with m at least 1, got {X.shape}")
    mean, std = X.mean(axis=1, keepdims=True), X.std(axis=1, keepdims=True)
    constant = X.min(axis=1, keepdims=True) == X.max(axis=1, keepdims=True)  # rounding may leave its std above 0
    return np.where(constant, X[:, :1], mean), np.where(constant | (std == 0), 1.0, std)


def fold_scaling(params: Params, features: Scaling | None = None, targets: Scaling | None = None) -> Params:
    """The same network for raw features and targets, as they were before `(X - mean) / std`.

    W1 ((x − mean) / std) + b1 = (W1 / std) x + b1 − (W1 / std) mean, and likewise after the second layer.

    Args:
        params: a network, or many stacked along first axes.
        features: (mean, std), each (n_x, 1), as `scaling` gives them; None if features were not scaled.
        targets: the same of shape (n_y, 1); for output "identity".

    Returns:
        `Params` of NumPy arrays, in the same dtype; float32 for bfloat16 and float16, which have too few digits.

    Raises:
        ValueError: a std is not above 0.

    Example:
        >>> from jaxshallow import Params
        >>> params = Params(*(np.full(shape, 2.0) for shape in ((1, 1), (1, 1), (1, 1), (1, 1))), hidden="tanh")
        >>> folded = fold_scaling(params, features=(np.array([[10.0]]), np.array([[4.0]])))
        >>> folded.W1.item(), folded.b1.item()
        (0.5, -3.0)
    """
    features, targets = (_looked_at(*one) if one is not None else None for one in (features, targets))
    W1, b1, W2, b2 = (np.asarray(getattr(params, name), np.float64) for name in LEAVES)
    with np.errstate(over="ignore", invalid="ignore"):  # of networks that diverged
        if features is not None:
            mean, std = features
            W1 = W1 / std.T
            b1 = b1 - W1 @ mean
        if targets is not None:
            mean, std = targets
            W2, b2 = W2 * std, b2 * std + mean
        dtype = jnp.promote_types(params.W1.dtype, np.float32)
        leaves: Any = {name: leaf.astype(dtype) for name, leaf in zip(LEAVES, (W1, b1, W2, b2), strict=True)}
    return replace(params, **leaves)


def _looked_at(mean: ArrayLike, std: ArrayLike) -> Scaling:
    mean, std = (np.asarray(given.numbers(name, array)) for name, array in (("mean", mean), ("std", std)))
    if not (std > 0).all():
        raise ValueError(f"std must be above 0, got {std.min()}: a constant feature has 1, as `scaling` gives it")
    return mean, std
