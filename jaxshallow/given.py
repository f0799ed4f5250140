"""What a user gave, looked at before JAX casts it: a cast keeps a masked array's fill values, drops the imaginary part,
and makes infinity of 1e300, all in silence.

Every array and number that a public function takes comes in through `numbers`, `cast` or `scalar`. Traced arrays have
no values yet; they are only asked for their dtype.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import DTypeLike

WAYS_OUT = {
    "O": ": make it numbers, np.array({name}, float), with NaN where a value is missing",
    "U": ": make it numbers, np.array({name}, float)",
    "S": ": make it numbers, np.array({name}, float)",
    "M": ": say what matters of it in numbers, such as the days since the first",
    "m": ": divide it by its unit, {name} / np.timedelta64(1, 's')",
    "V": ": use numpy.lib.recfunctions.structured_to_unstructured",
}


def is_traced(x: object) -> bool:
    return isinstance(x, jax.core.Tracer)


def is_transformed() -> bool:
    """Whether jit, vmap, grad or the like runs this code, even where no argument is traced."""
    core = jax.extend.core if hasattr(jax.extend.core, "find_top_trace") else jax.core  # jax below 0.10
    return type(core.find_top_trace(())).__name__ != "EvalTrace"


def on_host(array: Any) -> np.ndarray:
    """The array in NumPy, or this process's part of one that is spread over several processes.

    NumPy compiles nothing for the checks, and its results are concrete numbers even inside someone's jit.
    """
    if isinstance(array, jax.Array) and not array.is_fully_addressable:
        return np.concatenate([np.asarray(shard.data) for shard in array.addressable_shards], axis=-1)
    return np.asarray(array)


def numbers(name: str, given: Any) -> Array | np.ndarray:
    """`given` as an array of real numbers: JAX's own as it is, anything else in NumPy and in native byte order.

    Raises:
        TypeError: it is not an array of real numbers, or a sparse one.
        ValueError: entries are masked, or rows differ in length.
    """
    array = given if isinstance(given, jax.Array) else _in_numpy(name, given)
    real = any(jnp.issubdtype(array.dtype, kind) for kind in (jnp.floating, jnp.integer, jnp.bool_))
    if not real or array.dtype.kind == "m":  # NumPy takes spans of time for integers
        if array.dtype.kind == "O" and array.ndim == 0:
            raise TypeError(f"{name} must be real, got object: {type(given).__name__} is no array of numbers")
        example = f", such as {np.ravel(array)[0]!r}" if array.dtype.kind == "O" and array.size else ""
        raise TypeError(
            f"{name} must be real, got {array.dtype}{example}{WAYS_OUT.get(array.dtype.kind, '').format(name=name)}"
        )
    return array


def _in_numpy(name: str, given: Any) -> Array | np.ndarray:
    kind = type(given).__name__
    for dense in ("toarray", "todense"):  # SciPy's sparse matrices and JAX's
        if hasattr(given, dense):
            raise TypeError(f"{name} must be a dense array, got {kind}: use {name}.{dense}()")
    if isinstance(given, list | tuple) and any(isinstance(row, np.ma.MaskedArray) for row in given):
        given = np.ma.array(given)
    if isinstance(given, np.ma.MaskedArray) and (masked := np.ma.getmaskarray(given)).any():
        raise ValueError(
            f"{name} must not hold masked entries, got one at {_first(masked)} ({masked.sum()} in all): "
            f"fill them, {name}.filled(value), or leave those examples out"
        )
    try:
        array = np.asarray(given)
    except jax.errors.TracerArrayConversionError:
        return jnp.asarray(given)  # a list of traced numbers
    except Exception as error:  # whatever another library's array objects to
        if "inhomogeneous" in str(error):
            raise ValueError(f"{name} must be an array, got a {kind} with rows of different lengths") from error
        raise TypeError(f"{name} must be an array that NumPy can read, got {kind}: {error}") from error
    array = array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
    return narrowed(name, array, np.dtype(np.float64)) if array.dtype == np.longdouble else array


def cast(name: str, array: Array | np.ndarray, dtype: DTypeLike) -> Array:
    """What `numbers` gave, as a JAX array of that floating dtype. It shares no memory with a NumPy array.

    Raises:
        ValueError: a number is finite, but beyond what the dtype can hold.
    """
    dtype = jnp.dtype(dtype)
    if not isinstance(array, jax.Array):
        narrow = narrowed(name, array, dtype)
        return own(narrow) if narrow is array else jax.device_put(narrow)
    if not is_traced(array) and _reaches_beyond(array.dtype, dtype):
        narrowed(name, on_host(array), dtype)
    return array.astype(dtype)


def own(array: np.ndarray) -> Array:
    """The array as JAX's, in memory of its own. `jnp.array` does that, too, but compiles a program for each shape."""
    return jax.device_put(np.array(array))


def narrowed(name: str, array: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """The array in that floating dtype, rounded; ValueError for a finite number that it would make infinite."""
    try:
        with np.errstate(over="raise", invalid="ignore"):
            narrow = array.astype(dtype, copy=False)
        if array.dtype != np.longdouble:  # which overflows in silence
            return narrow
    except FloatingPointError:
        with np.errstate(over="ignore", invalid="ignore"):
            narrow = array.astype(dtype)
    if not (lost := np.isfinite(array) & ~np.isfinite(narrow)).any():
        return narrow
    wider = {2: "float32 parameters", 4: "float64 parameters, after jax.config.update('jax_enable_x64', True)"}
    where = f" at {_first(lost)} ({lost.sum()} in all)" if array.ndim else ""
    fix = f"scale it, or use {wider[dtype.itemsize]}" if dtype.itemsize in wider else "scale it"
    raise ValueError(
        f"{name} must lie within {dtype}'s range, ±{float(jnp.finfo(dtype).max):.3g}, "
        f"got {array[_first(lost)]}{where}: {fix}"
    )


def _reaches_beyond(wide: DTypeLike, narrow: DTypeLike) -> bool:
    """Whether a dtype has finite numbers beyond the other's largest."""
    if wide == np.bool_:
        return False
    largest = [float((jnp.finfo if jnp.issubdtype(d, jnp.floating) else jnp.iinfo)(d).max) for d in (wide, narrow)]
    return largest[0] > largest[1]


def _first(true: np.ndarray) -> tuple[int, ...]:
    """The index of the first that is true."""
    return tuple(int(i) for i in np.argwhere(true)[0])


def number(name: str, given: Any, *, above: bool = False, infinite: bool = False) -> Array | np.ndarray:
    """`given` as a single number, at least 0, or `above` 0; `infinite` if it may be that.

    Raises:
        TypeError: it is not a real number.
        ValueError: it is an array, or out of these bounds.
    """
    if isinstance(given, bool | np.bool_) or callable(given):
        what = "a function" if callable(given) else given
        fix = ": give a schedule to an optimizer, optimizer=optax.sgd(schedule)" if callable(given) else ""
        raise TypeError(f"{name} must be a number, got {what}{fix if name == 'learning_rate' else ''}")
    one = numbers(name, given)
    if one.ndim:
        raise ValueError(f"{name} must be a scalar, got {one.shape}")
    if not is_traced(one):
        value = float(on_host(one))
        if not (value > 0 if above else value >= 0) or not (infinite or np.isfinite(value)):
            bounds = ("above 0" if above else "at least 0") + ("" if infinite else " and finite")
            raise ValueError(f"{name} must be {bounds}, got {given}")
    return one


def scalar(name: str, given: Any, dtype: DTypeLike, **bounds: bool) -> Array:
    """`number` as a JAX scalar of that floating dtype, in which it must not vanish.

    Raises:
        ValueError, TypeError: as `number`, or the dtype cannot hold it.
    """
    one, tiny = number(name, given, **bounds), float(jnp.finfo(dtype).tiny)
    if not is_traced(one) and 0 < (value := float(on_host(one))) < tiny:
        raise ValueError(
            f"{name} must be 0 or at least {tiny:.3g}, the least that {jnp.dtype(dtype)} holds, got {value}"
        )
    return cast(name, one, dtype)


def key(given: Any) -> None:
    """TypeError for what is no JAX random key, ValueError for several in one array."""
    dtype = getattr(given, "dtype", None)
    typed = dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)
    if not (typed or dtype == np.uint32):
        raise TypeError(f"key must be a JAX random key such as jax.random.key(0), got {given!r}")
    if np.ndim(given) != (0 if typed else 1):
        raise ValueError(
            f"key must be a single key, got {np.shape(given)}: take one, or split it, jax.random.split(key)"
        )
