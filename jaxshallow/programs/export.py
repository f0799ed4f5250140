"""Export a saved model for use without this library: with JAX alone, NumPy alone, or any ONNX runtime.

Examples:
    jaxshallow export out/model.safetensors out/model.py
    jaxshallow export out/model.safetensors out/model.onnx out/model.py out/model.jax

The suffix sets the format; the docstring of jaxshallow.exports says how to load each. Every file is then run on a few
random examples and compared with the model.

Exit codes: 0 success, 1 could not write or the answers differ, 2 wrong usage, 130 Ctrl-C.
"""

from __future__ import annotations

import importlib
import runpy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export as jax_export

import jaxshallow as js
from jaxshallow.programs import running, saved
from jaxshallow.programs.extra import needs_scripts
from jaxshallow.programs.options import read

with needs_scripts():
    import tyro


@dataclass
class Options:
    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """A .safetensors file."""
    paths: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PATH")]
    """What to write: .jax, .py or .onnx."""
    quiet: bool = False
    """Print only errors."""


def main(argv: Sequence[str] | None = None) -> int:
    options = read(Options, argv, "export", __doc__)
    running.messages.quiet = options.quiet
    return running.exit_code(lambda: run_and_show(options))


def run_and_show(options: Options) -> int:
    with jax.default_matmul_precision("highest"):
        differing = run(options)
    for path in differing:
        running.error(f"{path} does not answer as {options.model} does")
    return 1 if differing else 0


def run(options: Options) -> list[Path]:
    """Write each file; return those whose answers differ from the model's."""
    if not options.paths:
        raise ValueError("give a PATH or more to write to, after MODEL")
    params, metadata, error_bars = saved.model(options.model)
    if error_bars and params.task == "regression":
        running.remark(f"{options.model} knows deviations, too; these files hold the network alone")
    with jax.enable_x64(params.W1.dtype == np.float64):
        return write(options, params, metadata)


def write(options: Options, params: js.Params, metadata: dict[str, Any]) -> list[Path]:
    for path in options.paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        js.export(params, path, metadata)
        if not options.quiet:
            print(f"{path}: {path.stat().st_size:,} bytes")
    return [path for path in options.paths if not agrees(path, params)]


def agrees(path: Path, params: js.Params, m: int = 5) -> bool:
    """Whether the file's labels and A2 equal the model's, up to rounding, on m examples."""
    if path.suffix.lower() != ".jax" and params.W1.dtype != "float64":
        params = jax.tree.map(lambda leaf: leaf.astype("float32"), params)
    X = examples(params, m)
    try:
        labels, A2 = answers(path, X)
    except ImportError as error:
        running.remark(f"{path} was not compared: {error}")
        return True
    expected, bound = np.asarray(js.forward(params, X).A2, float), rounding(params, X)
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


def rounding(params: js.Params, X: np.ndarray) -> np.ndarray:
    """(n_y, m): how far apart rounding alone can bring two results A2. No activation is steeper than 1, but exp."""
    W1, b1, W2, b2 = (abs(np.asarray(leaf, float)) for leaf in jax.tree.leaves(params))
    A1, A2 = (abs(np.asarray(A, float)) for A in (js.forward(params, X).A1, js.forward(params, X).A2))
    u = 4 * float(jnp.finfo(params.W1.dtype).eps)
    dA1 = u * (W1.shape[1] + 4) * (W1 @ abs(X.astype(float)) + b1 + 1)
    dZ2: np.ndarray = W2 @ dA1 + u * (W2.shape[1] + 4) * (W2 @ A1 + b2 + 1)
    return A2 * np.expm1(dZ2) if params.output == "exp" else dZ2
