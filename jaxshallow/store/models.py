"""Models on disk: safetensors, never pickle; written atomically, and checked when read.

A file holds W1, b1, W2 and b2 bit for bit, and in the safetensors header, under the key "jaxshallow", one JSON text:
{"format": 1, "version": ..., "hidden": ..., "output": ..., "metadata": ..., "checksum": ...}. The checksum is the
SHA-256 of all the rest: a file that was changed anywhere is refused. With error bars, it holds root, and for identity
noise, as well, and is of format 2; see `bayes.Gaussian`. A file whose metadata has an "encoding" is of format 3: an
earlier version would give the network the rows of X before they are encoded.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import warnings
from collections.abc import Mapping
from typing import Any, BinaryIO, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import DTypeLike

from jaxshallow import checks, given
from jaxshallow.checks import LEAVES
from jaxshallow.extras import require
from jaxshallow.params import Params, size_of
from jaxshallow.store.files import kind_of, version, write_atomically

FORMAT, WITH_ERROR_BARS, WITH_ENCODING = 1, 2, 3
ERROR_BARS = ("root", "noise")

KINDS = {
    "format": int,
    "version": str,
    "hidden": object,
    "output": object,
    "metadata": dict,
}  # Params looks at hidden and output

LONGEST_HEADER = 100_000_000  # as safetensors has it

DTYPES = {"F16": jnp.float16, "BF16": jnp.bfloat16, "F32": jnp.float32, "F64": jnp.float64}


class WithErrorBars(Protocol):
    """A network that knows how sure it is: `bayes.Gaussian` or `Posterior`."""

    @property
    def params(self) -> Params: ...
    @property
    def root(self) -> Array: ...
    @property
    def noise(self) -> Array | None: ...


class Saved(NamedTuple):
    """What a file holds.

    Attributes:
        params: the network, as JAX arrays.
        metadata: as `read_metadata` gives it.
        error_bars: the arrays of `ERROR_BARS` by name; {} for a network alone.
    """

    params: Params
    metadata: dict[str, Any]
    error_bars: dict[str, Array]


def save(path: str | os.PathLike[str], params: Params | WithErrorBars, metadata: dict[str, Any] | None = None) -> None:
    """Writes a network to a file, atomically: a full disk or a crash leaves the old file as it was.

    An older file keeps its permissions and stays behind its links; a device or a pipe is refused, never replaced.

    Args:
        path: the file, usually *.safetensors.
        params: the network, or its `Posterior`: then the file also holds the P × P numbers by which it knows how sure
            it is, and `load_posterior` gives them back. `hidden` must be a name, since a file cannot hold a function.
        metadata: a JSON-serializable dict, such as feature names and scaling; `read_metadata` gives it back. The
            programs and `export` read "feature_names", "labels", "columns" and "encoding": see `export`.

    Raises:
        ValueError: a shape does not fit, a number is not finite, or `hidden` is not a name.
        TypeError: `metadata` is not a JSON-serializable dict, or a dtype is not float16, bfloat16, float32 or float64.
        OSError: the file cannot be written.
        ImportError: safetensors is missing.

    Example:
        >>> import tempfile
        >>> params = Params(jnp.ones((4, 3)), jnp.zeros((4, 1)), jnp.ones((1, 4)), jnp.zeros((1, 1)), hidden="tanh")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save(f"{folder}/flower.safetensors", params, {"trained_on": "flower"})
        ...     load(f"{folder}/flower.safetensors").hidden, read_metadata(f"{folder}/flower.safetensors")
        ('tanh', {'trained_on': 'flower'})
    """
    safetensors, safetensors_numpy = require("safetensors", "scripts"), require("safetensors.numpy", "scripts")
    checks.untraced("save", params)
    params, error_bars = _parts(params)
    checks.parameters(params)
    if not isinstance(params.hidden, str):
        fix = "list it under a name, js.activations.HIDDEN['sine'] = js.Activation(...), here and before loading"
        raise ValueError(f"hidden must be a name to be saved, got {params.hidden!r}: {fix}")
    if not isinstance(metadata, dict | None):
        raise TypeError(f"metadata must be a dict, got {type(metadata).__name__}")
    arrays = {name: np.ascontiguousarray(given.numbers(name, getattr(params, name))) for name in LEAVES}
    leaves = {name: _checked(name, array) for name, array in (arrays | error_bars).items()}
    header = {
        "format": WITH_ENCODING if (metadata or {}).get("encoding") else WITH_ERROR_BARS if error_bars else FORMAT,
        "version": version(),
        "hidden": params.hidden,
        "output": params.output,
    }
    try:
        header = json.loads(json.dumps({**header, "metadata": metadata or {}}, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"metadata must be JSON-serializable: {error}") from error
    tensors = dict(safetensors.deserialize(safetensors_numpy.save(leaves)))
    text = json.dumps({**header, "checksum": _checksum(header, tensors)})
    write_atomically(path, safetensors_numpy.save(leaves, metadata={"jaxshallow": text}))


def load(path: str | os.PathLike[str], *, dtype: DTypeLike | None = None) -> Params:
    """Reads a network that `save` wrote.

    Args:
        path: the file.
        dtype: to round it to; None: that in which it was saved.

    Returns:
        `Params` of JAX arrays. If the metadata has an "encoding", they take encoded rows: `encodings.from_json` of it
        makes them.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is truncated, was changed, is not a jaxshallow model, or has a later format; a shape does
            not fit, a number is not finite or beyond `dtype`, or `hidden` or `output` is unknown here; or it is float64
            while JAX's x64 is off.
        ImportError: safetensors is missing.

    Warns:
        UserWarning: the file has no checksum, since an earlier version wrote it.
    """
    return _network(path, *_read(path), dtype).params


def load_all(path: str | os.PathLike[str]) -> Saved:
    """All that a file holds, of one and the same file even if another takes its place meanwhile.

    Raises:
        FileNotFoundError, ValueError, ImportError, UserWarning: as for `load`.
    """
    return _network(path, *_read(path))


def read_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The `metadata` that was given to `save`, by way of JSON: tuples come back as lists. {} if there was none.

    Args:
        path: the file.

    Raises:
        FileNotFoundError, ValueError, ImportError, UserWarning: as for `load`.
    """
    metadata: dict[str, Any] = _read(path)[0]["metadata"]
    return metadata


def _parts(model: Any) -> tuple[Params, dict[str, np.ndarray]]:
    """The network of a model, and the arrays of its error bars, if it has any."""
    if not hasattr(model, "root"):
        return model, {}
    arrays = {name: getattr(model, name) for name in ERROR_BARS}
    return model.params, {name: np.asarray(array, order="C") for name, array in arrays.items() if array is not None}


def _network(
    path: str | os.PathLike[str],
    header: Mapping[str, Any],
    tensors: Mapping[str, Mapping[str, Any]],
    dtype: DTypeLike | None = None,
) -> Saved:
    try:
        if set(tensors) - set(ERROR_BARS) != set(LEAVES):
            raise ValueError(f"its arrays must be {', '.join(LEAVES)}, got {', '.join(sorted(tensors))}")
        arrays = {name: _checked(name, _array(name, **tensor)) for name, tensor in tensors.items()}
        if dtype is not None:
            arrays = {name: given.narrowed(name, array, jnp.dtype(dtype)) for name, array in arrays.items()}
        leaves = {name: _in_jax(name, arrays.pop(name)) for name in LEAVES}
        params = checks.parameters(Params(**leaves, hidden=header["hidden"], output=header["output"]))
        _check_error_bars(params, arrays)
        return Saved(params, header["metadata"], {name: _in_jax(name, array) for name, array in arrays.items()})
    except (TypeError, ValueError) as error:
        raise ValueError(f"{os.fspath(path)} does not hold a network: {error}") from error


def _check_error_bars(params: Params, arrays: Mapping[str, np.ndarray]) -> None:
    """ValueError if root or noise does not fit the network."""
    if not arrays:
        return
    shapes, P, n_y = {name: array.shape for name, array in arrays.items()}, size_of(params), len(params.W2)
    if shapes.get("root") != (P, P):
        raise ValueError(f"root must be (P, P) = {(P, P)}, got {shapes.get('root')}")
    if shapes.get("noise") not in ([(), (n_y, 1)] if params.output == "identity" else [None]):
        raise ValueError(f"noise must be a number or (n_y, 1) for identity, none for others, got {shapes.get('noise')}")


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The header that `save` wrote, checked, and the tensors by name."""
    safetensors, name = require("safetensors", "scripts"), os.fspath(path)
    mode = os.stat(path).st_mode  # to open a pipe would wait for its writer
    if stat.S_ISDIR(mode):
        raise FileNotFoundError(f"{name} is a folder, not a model")
    if not stat.S_ISREG(mode):
        raise ValueError(f"{name} is {kind_of(mode)}, not a model: copy what it gives to a file")
    with open(path, "rb") as file:
        try:
            start = _start(file)
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise ValueError(f"{name} is truncated or not a safetensors file: {error}") from error
        header = _header(name, start)
        file.seek(0)
        data = file.read()
    try:
        tensors = dict(safetensors.deserialize(data))
    except safetensors.SafetensorError as error:
        raise ValueError(f"{name} is truncated or not a safetensors file: {error}") from error
    checksum = header.pop("checksum", None)
    if checksum is None:
        fix = "save it again, js.save(path, js.load(path), js.read_metadata(path))"
        warnings.warn(f"{name} has no checksum, which would tell if it was damaged: {fix}", stacklevel=3)
    elif checksum != _checksum(header, tensors):
        raise ValueError(f"{name} is not as it was written, by its checksum: it was damaged or changed")
    return header, tensors


def _start(file: BinaryIO) -> dict[str, Any]:
    """The safetensors header. No more is read, however large the file; its size must be what the header says."""
    available, length = os.fstat(file.fileno()).st_size - 8, int.from_bytes(file.read(8), "little")
    if not 0 < length <= min(available, LONGEST_HEADER):
        raise ValueError(f"of its {available + 8:,} bytes, {length:,} should be the header")
    start: dict[str, Any] = json.loads(file.read(length).decode())
    ends = [tensor["data_offsets"][1] for name, tensor in start.items() if name != "__metadata__"]
    if available - length != max(ends, default=0):
        raise ValueError(f"it should have {8 + length + max(ends, default=0):,} bytes, and has {available + 8:,}")
    return start


def _header(name: str, start: dict[str, Any]) -> dict[str, Any]:
    """What `save` wrote into the safetensors header, under "jaxshallow"."""
    try:
        header = json.loads(start["__metadata__"]["jaxshallow"])
        for key, kind in KINDS.items():
            if not isinstance(header[key], kind):
                raise TypeError(f"{key} must be {kind.__name__}, got {type(header[key]).__name__}")
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{name} is a safetensors file, but not one that jaxshallow.save wrote") from error
    if header["format"] > WITH_ENCODING:
        raise ValueError(
            f"{name} is of format {header['format']}, from jaxshallow {header['version']}; "
            f"this is {version()}, which reads formats up to {WITH_ENCODING}: upgrade"
        )
    return header


def _checksum(header: Mapping[str, Any], tensors: Mapping[str, Mapping[str, Any]]) -> str:
    digest = hashlib.sha256(json.dumps(header).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor['dtype']} {tensor['shape']}".encode())
        digest.update(tensor["data"])
    return digest.hexdigest()


def _array(name: str, dtype: str, shape: list[int], data: bytes) -> np.ndarray:
    if dtype not in DTYPES:
        raise ValueError(f"{name} must be one of {', '.join(DTYPES)}, got {dtype}")
    return np.frombuffer(data, DTYPES[dtype]).reshape(shape)


def _in_jax(name: str, array: np.ndarray) -> Array:
    if jax.dtypes.canonicalize_dtype(array.dtype) != array.dtype:
        raise ValueError(
            f"{name} is float64: first jax.config.update('jax_enable_x64', True), or load(path, dtype='float32')"
        )
    return given.own(array)


def _checked(name: str, leaf: np.ndarray) -> np.ndarray:
    if leaf.dtype not in DTYPES.values():
        raise TypeError(f"{name} must be float16, bfloat16, float32 or float64, got {leaf.dtype}")
    if not (finite := np.isfinite(leaf)).all():
        where = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise ValueError(f"{name} must be finite, got {leaf[where]} at {where} ({(~finite).sum()} in all)")
    return leaf
