"""Checks of what users pass in. Each error names the argument, what was expected, what came, and the fix.

The checks of shapes and dtypes run while tracing and cost nothing at run time. `values` looks at the numbers, which
exist only outside traced code. Public functions check once and then call the unchecked equations. What was given is
looked at before it is cast, by `given.py`.
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

from jaxshallow import given
from jaxshallow.forks import refuse_after_fork
from jaxshallow.params import Params

LEAVES = ("W1", "b1", "W2", "b2")


def __getattr__(name: str) -> ModuleType:
    if name != "chex":
        raise AttributeError(name)
    import chex  # slower to import than this whole library, and not needed until something is traced

    return chex


def is_known(size: Any) -> bool:
    """Whether a size is a number: `jax.export` has symbolic sizes as well, which no comparison may depend on."""
    return isinstance(size, int)


def parameters(params: Any) -> Params:
    """`params` as JAX arrays: W1 (n_h, n_x), b1 (n_h, 1), W2 (n_y, n_h), b2 (n_y, 1), all of one floating dtype."""
    refuse_after_fork()
    if not isinstance(params, Params):
        fix = ": use result.params" if hasattr(params, "params") else ""
        raise TypeError(f"params must be Params, got {type(params).__name__}{fix}")
    leaves: dict[str, Any] = {name: _leaf(name, getattr(params, name)) for name in LEAVES}
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


def _leaf(name: str, leaf: Any) -> Array | np.ndarray:
    """W1, b1, W2 or b2 as a JAX array; what is no floating-point number stays as it is, to be told of."""
    leaf = given.numbers(name, leaf)
    if isinstance(leaf, Array) or not jnp.issubdtype(leaf.dtype, jnp.floating):
        return leaf
    return given.cast(name, leaf, jax.dtypes.canonicalize_dtype(leaf.dtype))


def _as(name: str, array: Any, attribute: str) -> str:
    """The name to write before `.attribute` in a way out: lists and data frames need not have it."""
    return name if hasattr(array, attribute) else f"np.asarray({name})"


def features(params: Params, X: ArrayLike, name: str = "X") -> Array:
    """X as an (n_x, m) array of the parameters' dtype; `name="x"` for a single example, x (n_x, 1)."""
    columns, as_given = "1" if name == "x" else "m", X
    X, n_x, dtype = given.numbers(name, X), params.W1.shape[1], params.W1.dtype
    if X.ndim != 2 or X.shape[0] != n_x or (columns == "1" and X.shape[1] != 1):
        fix = ""
        if X.ndim == 1:
            fix = f": one example is a column, {_as(name, as_given, 'reshape')}.reshape(-1, 1)"
        elif X.ndim == 2 and X.shape[1] == n_x and (columns == "m" or X.shape[0] == 1):
            fix = f": examples are columns, use {_as(name, as_given, 'T')}.T"
        raise ValueError(f"{name} must be (n_x, {columns}) = ({n_x}, {columns}), got {X.shape}{fix}")
    if X.shape[1] == 0:
        raise ValueError(f"{name} must hold at least one example, got {X.shape}")
    if is_known(X.shape[1]) and X.shape[1] > float(jnp.finfo(dtype).max):
        raise ValueError(f"{name} holds {X.shape[1]} examples, more than {dtype} can count: use bfloat16 or float32")
    if not jnp.issubdtype(X.dtype, jnp.floating):
        fix = f"use {_as(name, as_given, 'astype')}.astype('float32'), and scale it"
        raise TypeError(f"{name} must be floating point, got {X.dtype}: {fix}")
    return given.cast(name, X, dtype)


def targets(params: Params, X: Array, Y: ArrayLike, name: str = "Y") -> Array:
    """Y as an (n_y, m) array of the parameters' dtype, for the m columns of X."""
    as_given, Y, (n_y, m) = Y, given.numbers(name, Y), (params.W2.shape[0], X.shape[1])
    if Y.shape != (n_y, m):
        fix = ""
        if n_y > 1 and params.output == "softmax" and Y.size == m:
            fix = f": one-hot columns, jax.nn.one_hot({_as(name, as_given, 'ravel')}.ravel(), {n_y}, axis=0)"
        elif n_y == 1 and Y.size == m:
            fix = f": use {_as(name, as_given, 'reshape')}.reshape(1, -1)"
        elif Y.shape == (m, n_y):
            fix = f": examples are columns, use {_as(name, as_given, 'T')}.T"
        elif n_y == 1 and Y.ndim == 2 and Y.shape[1] == m and params.output == "sigmoid":
            fix = f": for one-hot {name} use output='softmax' and n_y={Y.shape[0]}"
        columns = "1" if name == "y" else "m"
        raise ValueError(f"{name} must be (n_y, {columns}) = ({n_y}, {m}), got {Y.shape}{fix}")
    return given.cast(name, Y, params.W1.dtype)


def direction(params: Params, V: Any) -> Params:
    """V as a direction in the space of `params`: `Params` of the same shapes and dtype, whatever its nonlinearities."""
    if not isinstance(V, Params):
        raise TypeError(f"V must be Params, a direction, got {type(V).__name__}")
    leaves: dict[str, Any] = {}
    for name in LEAVES:
        like, leaf = getattr(params, name), given.numbers(f"V.{name}", getattr(V, name))
        if leaf.shape != like.shape:
            raise ValueError(f"V.{name} must be of the shape of {name}, {like.shape}, got {leaf.shape}")
        leaves[name] = given.cast(f"V.{name}", leaf, like.dtype)
    return replace(params, **leaves)


def examples(params: Any, X: ArrayLike, Y: ArrayLike) -> tuple[Params, Array, Array]:
    """`parameters`, `features` and `targets`: the checks of a function of a network and its examples."""
    params = parameters(params)
    X = features(params, X)
    return params, X, targets(params, X, Y)


def weights_and_l2(
    params: Params, m: int, weights: ArrayLike | None, l2: ArrayLike, *, whole: bool = True
) -> tuple[Array | None, Array]:
    """`weights` as (m,) or None, and `l2` as a scalar, both of the parameters' dtype. They may all be 0 here.

    `whole`: these are the weights of all examples, by whose sum the cost is divided, and not those of a tile.
    """
    dtype = params.W1.dtype
    decay = given.scalar("l2", l2, dtype)
    if weights is None:
        return None, decay
    before = given.numbers("weights", weights)
    if before.shape != (m,):
        raise ValueError(f"weights must be (m,) = ({m},), got {before.shape}")
    weights = given.cast("weights", before, dtype)
    if not given.is_traced(before):
        check_weights("weights", given.on_host(before), dtype, whole=whole)
    return weights, decay


def check_weights(name: str, w: np.ndarray, dtype: Any, *, whole: bool = True) -> None:
    """ValueError for weights that are negative or not finite, or, of the `whole`, whose sum the dtype cannot divide by.

    The sum may be 0.
    """
    _check_finite(name, w)
    if w.min() < 0:
        raise ValueError(f"{name} must be at least 0, got values from {w.min()} to {w.max()}")
    total = w.sum(dtype=np.float64)
    if whole and total and not float(jnp.finfo(dtype).tiny) <= min(total, 1 / total):
        raise ValueError(f"{name} must sum to a number that {dtype} can divide by, got {total:g}: scale them")


def snapshot(params: Any, X: Any, Y: Any, weights: Any) -> tuple[Any, Any, Any]:
    """X, Y and weights for a compiled step: what is not JAX's own is looked at, and copied.

    A step may still be running when its caller writes the next batch into the same NumPy array.
    """
    refuse_after_fork()
    dtype = getattr(next(iter(jax.tree.leaves(params)), None), "dtype", None)

    def taken(name: str, array: Any) -> Any:
        if array is None or isinstance(array, Array):
            return array
        array = given.numbers(name, array)
        if dtype is None or isinstance(array, Array) or (name == "X" and array.dtype.kind in "biu"):
            return array  # the step itself says what is wrong
        if name == "weights" and array.size:
            check_weights(name, array, dtype)
        narrow = given.narrowed(name, array, jax.dtypes.canonicalize_dtype(dtype))
        return narrow.copy() if narrow is array else narrow

    return taken("X", X), taken("Y", Y), taken("weights", weights)


def max_norm(params: Params, max_norm: ArrayLike) -> Array:
    """`max_norm` as a positive scalar of the parameters' dtype."""
    return given.scalar("max_norm", max_norm, params.W1.dtype, above=True, infinite=True)


def values(params: Params, X: ArrayLike, Y: ArrayLike, weights: ArrayLike | None = None, of: str = "") -> None:
    """ValueError for NaN or infinity, labels outside the head's range, or bad weights.

    Traced arrays hold no numbers yet, and are not checked. `of` goes before X and Y in messages: "validation ".
    """
    if any(given.is_traced(x) for x in (X, Y, weights)):
        return
    arrays = {"X": given.on_host(X), "Y": given.on_host(Y)}
    w = None if weights is None else given.on_host(weights)
    leaves = {name: given.on_host(leaf) for name in LEAVES if not given.is_traced(leaf := getattr(params, name))}
    for name, array in (arrays | ({} if w is None else {"weights": w}) | leaves).items():
        _check_finite(f"{of}{name}", array)
    Y = arrays["Y"]
    if params.output == "sigmoid" and (Y.min() < 0 or Y.max() > 1):
        raise ValueError(f"{of}Y must lie in [0, 1] for output='sigmoid', got values from {Y.min()} to {Y.max()}")
    if params.output == "exp" and Y.min() < 0:
        raise ValueError(f"{of}Y must be at least 0 for output='exp', got {Y.min()}")
    if params.output == "softmax":
        total = Y.sum(axis=0, dtype=np.float64)
        wrong = (abs(total - 1) > 8 * float(jnp.finfo(Y.dtype).eps)) | (Y.min(axis=0) < 0)
        if wrong.any():
            j = int(wrong.argmax())
            raise ValueError(
                f"{of}Y must be one-hot for output='softmax', got column {j} = {Y[:, j]}, which sums to {total[j]}"
            )
    if w is not None and (w.min() < 0 or w.max() == 0):
        raise ValueError(f"weights must be at least 0 and not all 0, got values from {w.min()} to {w.max()}")


def _check_finite(name: str, array: np.ndarray) -> None:
    if not (finite := np.isfinite(array)).all():
        where = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise ValueError(f"{name} must be finite, got {array[where]} at {where} ({(~finite).sum()} in all)")


def _check_kept(name: str, before: Any, cast: Array) -> None:
    """ValueError if a row that was not 0 is all 0 in the parameters' dtype: a feature measured in too large a unit."""
    if given.is_traced(before) or given.is_traced(cast):
        return
    tiny = float(jnp.finfo(cast.dtype).tiny)
    lost = (abs(given.on_host(cast)) < tiny).all(axis=1)
    if lost.any() and (lost := lost & given.on_host(before).any(axis=1)).any():
        raise ValueError(
            f"{name} must hold numbers of at least {tiny:.3g}, the least that {cast.dtype} holds, got less "
            f"in all of row {int(lost.argmax())}: scale it"
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
    before = X, Y
    params, X, Y = examples(params, X, Y)
    weights, l2 = weights_and_l2(params, X.shape[1], weights, l2)
    values(params, X, Y, weights)
    _check_kept("X", before[0], X)
    _check_kept("Y", before[1], Y)
    if validation is not None:
        X_validation = features(params, validation[0], name="validation X")
        Y_validation = targets(params, X_validation, validation[1], name="validation Y")
        values(params, X_validation, Y_validation, of="validation ")
        validation = X_validation, Y_validation
    return Problem(params, X, Y, weights, l2, validation)


def untraced(function: str, *arguments: Any) -> None:
    """TypeError if an argument of a function that runs on the host is traced."""
    if any(given.is_traced(leaf) for leaf in jax.tree.leaves(arguments)):
        raise TypeError(f"{function} needs numbers, and traced arrays have none: call it outside of jit, vmap and grad")


def check_tol(tol: Any) -> None:
    """ValueError for a tolerance that is below 0 or not finite."""
    given.number("tol", tol)
