"""Does an exported file answer as the model does? It is run on a few random examples, and compared up to rounding."""

from __future__ import annotations

import importlib
import runpy
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export as jax_export

import jaxshallow as js
from jaxshallow.programs import running
from jaxshallow.tables.encodings import Encoding, SmoothClip


def agrees(path: Path, params: js.Params, encoding: Encoding | None = None, m: int = 5) -> bool:
    """Whether the file's labels and A2 equal the model's, up to rounding, on m examples."""
    if path.suffix.lower() != ".jax" and params.W1.dtype != "float64":
        params = jax.tree.map(lambda leaf: leaf.astype("float32"), params)
    raw = raw_examples(encoding, m, params.W1.dtype) if encoding else examples(params, m)
    try:
        labels, A2 = answers(path, raw)
    except ImportError as error:
        running.remark(f"{path} was not compared: {error}")
        return True
    X, dX = encoded(encoding, raw, params.W1.dtype) if encoding else (raw, np.zeros((1, 1)))
    expected, bound = np.asarray(js.forward(params, X).A2, float), rounding(params, X, dX)
    with np.errstate(invalid="ignore"):  # both infinite
        if not ((expected == A2) | (abs(A2 - expected) <= bound)).all():
            return False
    if params.task == "regression":
        return bool((labels == A2).all())
    clear = abs(expected - 0.5) > bound
    if params.task == "multiclass":
        *_, second, first = np.sort(expected, axis=0)
        clear = first - second > 2 * bound.max(axis=0)
    return bool((labels == np.asarray(js.predict(params, X)))[clear.reshape(labels.shape)].all())


def answers(path: Path, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The labels and A2 that the file gives for X (n_x, m)."""
    suffix = path.suffix.lower()
    if suffix == ".jax":
        labels, A2 = jax_export.deserialize(bytearray(path.read_bytes())).call(X)
    elif suffix == ".py":
        model = runpy.run_path(str(path))
        with np.errstate(all="ignore"):
            labels, A2 = model["predict"](X), model["forward"](X).A2
    else:
        runtime = importlib.import_module("onnxruntime")
        session = runtime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
        labels, A2 = (array.T for array in session.run(["label", "A2"], {"X": X.T}))
    return np.asarray(labels), np.asarray(A2)


def examples(params: js.Params, m: int) -> np.ndarray:
    """Random X (n_x, m) that gives Z1 of about size 1: with saturated units, all answers would look alike."""
    rng, W1, b1 = np.random.default_rng(0), np.asarray(params.W1, float), np.asarray(params.b1, float)
    X = np.linalg.pinv(W1) @ (rng.normal(size=(len(W1), m)) - b1)
    return np.asarray(X, params.W1.dtype)


def raw_examples(encoding: Encoding, m: int, dtype: Any) -> np.ndarray:
    """Random X (n_x, m) around where an encoding bends, with gaps, in float64 or float32."""
    rng = np.random.default_rng(0)
    if isinstance(encoding, SmoothClip):
        widths = [1 / factor if factor else 1.0 for factor in encoding.factor]
        middle, spread = np.array([encoding.center, widths])[:, :, None]
    else:
        ends = np.array([(bins.edges[0], bins.edges[-1]) if bins.edges else (0.0, 1.0) for bins in encoding.columns])
        middle, spread = ends.mean(axis=1, keepdims=True), np.diff(ends)
    X = middle + spread * rng.uniform(-1, 1, (encoding.n_x, m))
    X[rng.random(X.shape) < 0.2] = np.nan
    return X.astype(np.float64 if dtype == np.float64 else np.float32)


def encoded(encoding: Encoding, raw: np.ndarray, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """The rows that the network takes, and how far off they can be if they are computed in the dtype of `raw`."""
    X = raw.astype(np.float64)
    h = 4 * np.finfo(raw.dtype).eps * np.nanmax(np.abs(X), axis=1, keepdims=True, initial=0)
    return encoding.apply(X).astype(dtype), abs(encoding.apply(X + h) - encoding.apply(X - h))


def rounding(params: js.Params, X: np.ndarray, dX: np.ndarray) -> np.ndarray:
    """(n_y, m): how far apart rounding alone can bring two results A2. No activation is steeper than 1, but exp.

    Args:
        params: the network.
        X: what it takes, (n_x, m).
        dX: how far off that may be, or (1, 1).
    """
    W1, b1, W2, b2 = (abs(np.asarray(leaf, float)) for leaf in jax.tree.leaves(params))
    A1, A2 = (abs(np.asarray(A, float)) for A in (js.forward(params, X).A1, js.forward(params, X).A2))
    u = 4 * float(jnp.finfo(params.W1.dtype).eps)
    dA1 = u * (W1.shape[1] + 4) * (W1 @ abs(X.astype(float)) + b1 + 1) + W1 @ np.broadcast_to(dX, X.shape)
    dZ2: np.ndarray = W2 @ dA1 + u * (W2.shape[1] + 4) * (W2 @ A1 + b2 + 1)
    return A2 * np.expm1(dZ2) if params.output == "exp" else dZ2
