"""Checks of what users pass in. Each error names the argument, what was expected, what came, and the fix.

The checks of shapes and dtypes run while tracing and cost nothing at run time. `values` looks at the numbers, which
exist only outside traced code. Public functions check once and then call the unchecked equations.
"""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from jaxshallow.params import Params

LEAVES = ("W1", "b1", "W2", "b2")


def __getattr__(name: str) -> ModuleType:
    if name != "chex":
        raise AttributeError(name)
    import chex  # slower to import than this whole library, and not needed until something is traced

    return chex


def _is_traced(x: object) -> bool:
    return isinstance(x, jax.core.Tracer)


def is_known(size: Any) -> bool:
    """Whether a size is a number: `jax.export` has symbolic sizes as well, which no comparison may depend on."""
    return isinstance(size, int)


def _real(name: str, array: ArrayLike) -> Array:
    """`array` as a JAX array; TypeError for strings, objects and complex numbers."""
    array = array if isinstance(array, jax.Array) else np.asarray(array)
    if not any(jnp.issubdtype(array.dtype, kind) for kind in (jnp.floating, jnp.integer, jnp.bool_)):
        raise TypeError(f"{name} must be real, got {array.dtype}")
    return jnp.asarray(array)


def parameters(params: Any) -> Params:
    """`params` as JAX arrays: W1 (n_h, n_x), b1 (n_h, 1), W2 (n_y, n_h), b2 (n_y, 1), all of one floating dtype."""
    if not isinstance(params, Params):
        fix = ": use result.params" if hasattr(params, "params") else ""
        raise TypeError(f"params must be Params, got {type(params).__name__}{fix}")
    leaves: dict[str, Any] = {name: _real(name, getattr(params, name)) for name in LEAVES}
    params = replace(params, **leaves)
    if params.W1.ndim != 2:
        raise ValueError(f"W1 must be (n_h, n_x), got {params.W1.shape}: map over stacked parameters with jax.vmap")
    if not jnp.issubdtype(params.W1.dtype, jnp.floating):
        raise TypeError(f"W1 must be floating point, got {params.W1.dtype}")
    n_h, n_y = params.W1.shape[0], params.W2.shape[0] if params.W2.ndim else 0
    for name, symbols, shape in (
        ("b1", "(n_h, 1)", (n_h, 1)),
        ("W2", "(n_y, n_h)", (n_y, n_h)),
        ("b2", "(n_y, 1)", (n_y, 1)),
    ):
        leaf = getattr(params, name)
        if leaf.shape != shape:
            raise ValueError(f"{name} must be {symbols} = {shape}, got {leaf.shape}")
        if leaf.dtype != params.W1.dtype:
            raise TypeError(f"{name} must be {params.W1.dtype} as W1 is, got {leaf.dtype}")
    if params.output == "softmax" and n_y == 1:
        raise ValueError("softmax needs n_y of at least 2, got 1: for two classes in one unit use output='sigmoid'")
    return params


def features(params: Params, X: ArrayLike, name: str = "X") -> Array:
    """X as an (n_x, m) array of the parameters' dtype; `name="x"` for a single example, x (n_x, 1)."""
    columns = "1" if name == "x" else "m"
    X, n_x, dtype = _real(name, X), params.W1.shape[1], params.W1.dtype
    if X.ndim != 2 or X.shape[0] != n_x or (columns == "1" and X.shape[1] != 1):
        fix = ""
        if X.ndim == 1:
            fix = f": one example is a column, {name}.reshape(-1, 1)"
        elif X.ndim == 2 and X.shape[1] == n_x and (columns == "m" or X.shape[0] == 1):
            fix = f": examples are columns, use {name}.T"
        raise ValueError(f"{name} must be (n_x, {columns}) = ({n_x}, {columns}), got {X.shape}{fix}")
    if X.shape[1] == 0:
        raise ValueError(f"{name} must hold at least one example, got {X.shape}")
    if is_known(X.shape[1]) and X.shape[1] > float(jnp.finfo(dtype).max):
        raise ValueError(f"{name} holds {X.shape[1]} examples, more than {dtype} can count: use bfloat16 or float32")
    if not jnp.issubdtype(X.dtype, jnp.floating):
        raise TypeError(f"{name} must be floating point, got {X.dtype}: use {name}.astype('float32'), and scale it")
    return X.astype(dtype)


def targets(params: Params, X: Array, Y: ArrayLike, name: str = "Y") -> Array:
    """Y as an (n_y, m) array of the parameters' dtype, for the m columns of X."""
    Y, (n_y, m) = _real(name, Y), (params.W2.shape[0], X.shape[1])
    if Y.shape != (n_y, m):
        fix = ""
        if n_y > 1 and params.output == "softmax" and Y.size == m:
            fix = f": one-hot columns, jax.nn.one_hot({name}.ravel(), {n_y}, axis=0)"
        elif n_y == 1 and Y.size == m:
            fix = f": use {name}.reshape(1, -1)"
        elif Y.shape == (m, n_y):
            fix = f": examples are columns, use {name}.T"
        elif n_y == 1 and Y.ndim == 2 and Y.shape[1] == m and params.output == "sigmoid":
            fix = f": for one-hot {name} use output='softmax' and n_y={Y.shape[0]}"
        columns = "1" if name == "y" else "m"
        raise ValueError(f"{name} must be (n_y, {columns}) = ({n_y}, {m}), got {Y.shape}{fix}")
    return Y.astype(params.W1.dtype)


def examples(params: Any, X: ArrayLike, Y: ArrayLike) -> tuple[Params, Array, Array]:
    """`parameters`, `features` and `targets`: the checks of a function of a network and its examples."""
    params = parameters(params)
    X = features(params, X)
    return params, X, targets(params, X, Y)


def weights_and_l2(params: Params, m: int, weights: ArrayLike | None, l2: ArrayLike) -> tuple[Array | None, Array]:
    """`weights` as (m,) or None, and `l2` as a scalar, both of the parameters' dtype."""
    dtype, decay = params.W1.dtype, _real("l2", l2)
    if weights is not None:
        weights = _real("weights", weights)
        if weights.shape != (m,):
            raise ValueError(f"weights must be (m,) = ({m},), got {weights.shape}")
        weights = weights.astype(dtype)
    if decay.ndim != 0:
        raise ValueError(f"l2 must be a scalar, got {decay.shape}")
    if not _is_traced(l2) and not 0 <= np.asarray(l2) < np.inf:
        raise ValueError(f"l2 must be at least 0 and finite, got {l2}")
    return weights, decay.astype(dtype)


def max_norm(params: Params, max_norm: ArrayLike) -> Array:
    """`max_norm` as a positive scalar of the parameters' dtype."""
    norm = _real("max_norm", max_norm)
    if norm.ndim != 0:
        raise ValueError(f"max_norm must be a scalar, got {norm.shape}")
    if not _is_traced(max_norm) and not np.asarray(max_norm) > 0:
        raise ValueError(f"max_norm must be above 0, got {max_norm}")
    return norm.astype(params.W1.dtype)


def _on_host(array: ArrayLike) -> np.ndarray:
    """The array in NumPy, or this process's part of one that is spread over several processes.

    NumPy compiles nothing for the checks, and its results are concrete numbers even inside someone's jit.
    """
    if isinstance(array, jax.Array) and not array.is_fully_addressable:
        return np.concatenate([np.asarray(shard.data) for shard in array.addressable_shards], axis=-1)
    return np.asarray(array)


def values(params: Params, X: ArrayLike, Y: ArrayLike, weights: ArrayLike | None = None, of: str = "") -> None:
    """ValueError for NaN or infinity, labels outside the head's range, or bad weights.

    Traced arrays hold no numbers yet, and are not checked. `of` goes before X and Y in messages: "validation ".
    """
    if any(_is_traced(x) for x in (X, Y, weights)):
        return
    arrays = {"X": _on_host(X), "Y": _on_host(Y)} | ({} if weights is None else {"weights": _on_host(weights)})
    leaves = {name: _on_host(leaf) for name in LEAVES if not _is_traced(leaf := getattr(params, name))}
    for name, array in (arrays | leaves).items():
        if not (finite := np.isfinite(array)).all():
            where = tuple(int(i) for i in np.argwhere(~finite)[0])
            raise ValueError(f"{of}{name} must be finite, got {array[where]} at {where} ({(~finite).sum()} in all)")
    Y = arrays["Y"]
    if params.output == "sigmoid" and (Y.min() < 0 or Y.max() > 1):
        raise ValueError(f"{of}Y must lie in [0, 1] for output='sigmoid', got values from {Y.min()} to {Y.max()}")
    if params.output == "softmax":
        total = Y.sum(axis=0, dtype=np.float64)
        wrong = (abs(total - 1) > 8 * float(jnp.finfo(Y.dtype).eps)) | (Y.min(axis=0) < 0)
        if wrong.any():
            j = int(wrong.argmax())
            raise ValueError(
                f"{of}Y must be one-hot for output='softmax', got column {j} = {Y[:, j]}, which sums to {total[j]}"
            )
    if weights is not None and (arrays["weights"].min() < 0 or arrays["weights"].max() == 0):
        w = arrays["weights"]
        raise ValueError(f"weights must be at least 0 and not all 0, got values from {w.min()} to {w.max()}")
    if weights is not None:
        total, limits = arrays["weights"].sum(dtype=np.float64), jnp.finfo(arrays["weights"].dtype)
        if not float(limits.tiny) <= min(total, 1 / total):
            raise ValueError(
                f"weights must sum to a number that {limits.dtype} can divide by, got {total:g}: scale them"
            )


class Problem(NamedTuple):
    """What a network is trained on, checked: arrays of the parameters' dtype.

    Attributes:
        params: the network to start from.
        X: (n_x, m) examples as columns.
        Y: (n_y, m) targets as columns.
        weights: (m,) weight of each example, or None.
        l2: strength of the weight decay, a scalar.
        validation: (X, Y) of the same form, or None.
    """

    params: Params
    X: Array
    Y: Array
    weights: Array | None
    l2: Array
    validation: tuple[Array, Array] | None


def problem(
    params: Any,
    X: ArrayLike,
    Y: ArrayLike,
    weights: ArrayLike | None = None,
    l2: ArrayLike = 0.0,
    validation: tuple[ArrayLike, ArrayLike] | None = None,
) -> Problem:
    """Check the shapes, dtypes and numbers of everything that a network is trained on."""
    if validation is not None and not (isinstance(validation, tuple | list) and len(validation) == 2):
        raise TypeError(f"validation must be (X, Y), got {type(validation).__name__}")
    params, X, Y = examples(params, X, Y)
    weights, l2 = weights_and_l2(params, X.shape[1], weights, l2)
    values(params, X, Y, weights)
    if validation is not None:
        X_validation = features(params, validation[0], name="validation X")
        Y_validation = targets(params, X_validation, validation[1], name="validation Y")
        values(params, X_validation, Y_validation, of="validation ")
        validation = X_validation, Y_validation
    return Problem(params, X, Y, weights, l2, validation)


def check_tol(tol: float) -> None:
    """ValueError for a tolerance that is below 0 or not finite."""
    if not 0 <= tol < float("inf"):
        raise ValueError(f"tol must be at least 0 and finite, got {tol}")
