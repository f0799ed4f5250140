"""What an exported network takes along, checked first: its numbers, and the names of its columns and classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from jaxshallow import activations, checks, given
from jaxshallow.checks import LEAVES
from jaxshallow.params import Params
from jaxshallow.tables.columns import columns_of
from jaxshallow.tables.dataset import Column
from jaxshallow.tables.encodings import Encoding, from_json

HIDDEN = ("sigmoid", "tanh", "relu", "leaky_relu", "identity")


def on_host(params: Params) -> Params:
    """`params`, checked, as NumPy arrays: what is written must not depend on a device."""
    checks.parameters(params)
    leaves: dict[str, Any] = {name: np.asarray(given.numbers(name, getattr(params, name))) for name in LEAVES}
    for name, leaf in leaves.items():
        if jax.dtypes.canonicalize_dtype(leaf.dtype) != leaf.dtype:
            raise ValueError(f"{name} is {leaf.dtype}: first jax.config.update('jax_enable_x64', True)")
        if not np.isfinite(leaf).all():
            raise ValueError(f"{name} must be finite, got {(~np.isfinite(leaf)).sum()} numbers that are not")
    return replace(params, **leaves)


def checked_metadata(params: Params, metadata: dict[str, Any] | None) -> dict[str, Any]:
    """What is known of a network's rows and classes, as given or the defaults, checked against its sizes.

    Returns:
        "feature_names", "labels", "columns", and "encoding", unless the rows of X are what the network takes.
    """
    if not isinstance(metadata, dict | None):
        raise TypeError(f"metadata must be a dict, got {type(metadata).__name__}")
    metadata = metadata or {}
    encoding = encoding_of(metadata)
    columns, rows = _columns(encoding.n_x if encoding else params.W1.shape[1], metadata)
    if encoding and encoding.n_rows != params.W1.shape[1]:
        raise ValueError(f"metadata's encoding must make n_x = {params.W1.shape[1]} rows, got {encoding.n_rows}")

    n_y = len(params.W2)
    n_labels = {"identity": 0, "exp": 0, "softmax": n_y, "sigmoid": max(n_y, 2)}[params.output]
    chosen = _listed(metadata, "labels") or list(range(n_labels))
    if strange := [label for label in chosen if isinstance(label, list | dict | None)]:
        raise ValueError(f"metadata's labels must be text or numbers, got {strange[0]!r}")
    labels = [str(label) for label in chosen]
    if len(labels) != n_labels:
        head = f"output={params.output!r} with n_y = {n_y}"
        raise ValueError(f"metadata's labels must be {n_labels} for {head}, got {len(labels)}: {labels}")
    known = {"feature_names": rows, "labels": labels, "columns": columns}
    return known | ({"encoding": encoding.as_json()} if encoding else {})


def encoding_of(metadata: Mapping[str, Any]) -> Encoding | None:
    """How the rows of X become those that the network takes; None if they are the same.

    Raises:
        ValueError: it is not what `as_json` of an encoding gives.
    """
    plain = metadata.get("encoding")
    return None if plain is None else from_json(plain)


def _columns(n_x: int, metadata: dict[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
    """The columns of a table, as dicts whose text is valid in JSON and Python, and the rows of X that they become."""
    names = _listed(metadata, "feature_names")
    _listed(metadata, "columns")
    try:
        columns = columns_of(metadata) or tuple(Column(f"x{i + 1}") for i in range(n_x))
    except OverflowError as error:
        raise ValueError(f"metadata's columns must fill with numbers that float64 holds: {error}") from error
    rows = [name for column in columns for name in column.feature_names]
    if len(rows) != n_x:
        raise ValueError(f"metadata's columns must make n_x = {n_x} rows of X, got {len(rows)}: {rows}")
    if names and [str(name) for name in names] != rows:
        raise ValueError(f"metadata's feature_names must be what its columns make, {rows}, got {list(names)}")
    if len({column.name for column in columns}) < len(columns):
        raise ValueError(f"metadata's columns must have names, each its own, got {[c.name for c in columns]}")
    return [column.as_json() for column in columns], rows


def _listed(metadata: dict[str, Any], name: str) -> list[Any]:
    """An entry of the metadata as a list, [] if there is none."""
    entry = metadata.get(name)
    if isinstance(entry, str | bytes | Mapping) or not (entry is None or hasattr(entry, "__len__")):
        raise ValueError(f"metadata's {name} must be a list, got {type(entry).__name__}")
    return [] if entry is None else list(entry)


def portable(params: Params) -> tuple[dict[str, np.ndarray], str]:
    """W1, b1, W2 and b2 in float64 or float32, and the name of the hidden activation, which must be one of `HIDDEN`."""
    g, hidden = activations.resolve(params.hidden)[0], params.hidden
    if not (isinstance(hidden, str) and hidden in HIDDEN and g is getattr(activations, hidden)):
        fix = "what is code of yours can be exported to .jax"
        raise ValueError(f"hidden must be one of {', '.join(HIDDEN)} for .py and .onnx, got {hidden!r}: {fix}")
    dtype = np.float64 if params.W1.dtype == np.float64 else np.float32
    return {name: np.asarray(getattr(params, name), dtype) for name in LEAVES}, hidden
