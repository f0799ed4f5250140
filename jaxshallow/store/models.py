"""Models on disk: safetensors, never pickle; written atomically, and checked when read.

A file holds W1, b1, W2 and b2 bit for bit, and in the safetensors header, under the key "jaxshallow", one JSON text:
{"format": 1, "version": ..., "hidden": ..., "output": ..., "metadata": ...}.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxshallow import checks
from jaxshallow.checks import LEAVES
from jaxshallow.extras import require
from jaxshallow.params import Params
from jaxshallow.store.files import version, write_atomically

FORMAT = 1

DTYPES = {"F16": jnp.float16, "BF16": jnp.bfloat16, "F32": jnp.float32, "F64": jnp.float64}


def save(path: str | os.PathLike[str], params: Params, metadata: dict[str, Any] | None = None) -> None:
    """Writes a network to a file, atomically: a full disk or a crash leaves the old file as it was.

    Args:
        path: the file, usually *.safetensors.
        params: the network. Its `hidden` must be a name, since a file cannot hold a function.
        metadata: a JSON-serializable dict, such as feature names and scaling; `read_metadata` gives it back.

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
    safetensors = require("safetensors.numpy", "scripts")
    checks.numbers("save", params)
    checks.parameters(params)
    if not isinstance(params.hidden, str):
        fix = "list it under a name, js.activations.HIDDEN['sine'] = js.Activation(...), here and before loading"
        raise ValueError(f"hidden must be a name to be saved, got {params.hidden!r}: {fix}")
    if not isinstance(metadata, dict | None):
        raise TypeError(f"metadata must be a dict, got {type(metadata).__name__}")
    leaves = {name: _checked(name, np.ascontiguousarray(getattr(params, name))) for name in LEAVES}
    header = {"format": FORMAT, "version": version(), "hidden": params.hidden, "output": params.output}
    try:
        text = json.dumps({**header, "metadata": metadata or {}}, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise TypeError(f"metadata must be JSON-serializable: {error}") from error
    write_atomically(path, safetensors.save(leaves, metadata={"jaxshallow": text}))


def load(path: str | os.PathLike[str]) -> Params:
    """Reads a network that `save` wrote, in the dtype in which it was saved.

    Args:
        path: the file.

    Returns:
        `Params` of JAX arrays.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is truncated, is not a jaxshallow model, or has a later format; a shape does not fit, a
            number is not finite, or `hidden` or `output` is unknown here; or it is float64 while JAX's x64 is off.
        ImportError: safetensors is missing.
    """
    header, tensors = _read(path)
    try:
        if set(tensors) != set(LEAVES):
            raise ValueError(f"its arrays must be {', '.join(LEAVES)}, got {', '.join(sorted(tensors))}")
        leaves = {name: jnp.array(_checked(name, _array(name, **tensors[name]))) for name in LEAVES}
        return checks.parameters(Params(**leaves, hidden=header["hidden"], output=header["output"]))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{os.fspath(path)} does not hold a network: {error}") from error


def read_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The `metadata` that was given to `save`, by way of JSON: tuples come back as lists. {} if there was none.

    Args:
        path: the file.

    Raises:
        FileNotFoundError, ValueError, ImportError: as for `load`.
    """
    metadata: dict[str, Any] = _read(path)[0]["metadata"]
    return metadata


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The header that `save` wrote, checked, and the tensors by name."""
    safetensors = require("safetensors", "scripts")
    if Path(path).is_dir():
        raise FileNotFoundError(f"{os.fspath(path)} is a folder, not a model")
    data = Path(path).read_bytes()
    try:
        tensors = dict(safetensors.deserialize(data))
    except safetensors.SafetensorError as error:
        raise ValueError(f"{os.fspath(path)} is truncated or not a safetensors file: {error}") from error
    size = int.from_bytes(data[:8], "little")
    try:
        header = json.loads(json.loads(data[8 : 8 + size])["__metadata__"]["jaxshallow"])
        header = {key: header[key] for key in ("format", "version", "hidden", "output", "metadata")}
        later = header["format"] > FORMAT
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{os.fspath(path)} is a safetensors file, but not one that jaxshallow.save wrote") from error
    if later:
        raise ValueError(
            f"{os.fspath(path)} is of format {header['format']}, from jaxshallow {header['version']}; "
            f"this is {version()}, which reads formats up to {FORMAT}: upgrade"
        )
    return header, tensors


def _array(name: str, dtype: str, shape: list[int], data: bytes) -> np.ndarray:
    if dtype not in DTYPES:
        raise ValueError(f"{name} must be one of {', '.join(DTYPES)}, got {dtype}")
    if jax.dtypes.canonicalize_dtype(DTYPES[dtype]) != DTYPES[dtype]:
        raise ValueError(f"{name} is float64: first jax.config.update('jax_enable_x64', True)")
    return np.frombuffer(data, DTYPES[dtype]).reshape(shape)


def _checked(name: str, leaf: np.ndarray) -> np.ndarray:
    if leaf.dtype not in DTYPES.values():
        raise TypeError(f"{name} must be float16, bfloat16, float32 or float64, got {leaf.dtype}")
    if not (finite := np.isfinite(leaf)).all():
        where = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise ValueError(f"{name} must be finite, got {leaf[where]} at {where} ({(~finite).sum()} in all)")
    return leaf
