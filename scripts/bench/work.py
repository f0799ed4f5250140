"""The work: data, networks and gradients, in each library's own manner.

torch, opacus and scikit-learn are imported inside the functions that use them, here and in the contestants' files: the
first two are optional, and no thread pool may start in another library's process. JAX starts none when it is imported.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

import jaxshallow as js
from bench.rows import Run
from jaxshallow.training.epochs import epoch_order


def examples(n_x: int, m: int, n_y: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """X and Y at random, as columns; with several outputs one-hot."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_x, m), np.float32)
    if n_y > 1:
        return X, np.eye(n_y, dtype=np.float32)[:, rng.integers(n_y, size=m)]
    return X, (X[:1] > 0).astype(np.float32)


def fits(needed: int) -> None:
    """Raises MemoryError, which leaves the contestant out, if the system does not have so many bytes to give."""
    memory = Path("/proc/meminfo").read_text() if Path("/proc/meminfo").exists() else ""
    if (found := re.search(r"MemAvailable: *(\d+) kB", memory)) and needed > 0.8 * 1024 * int(found[1]):
        raise MemoryError(f"would take {needed / 2**30:,.0f} GiB")


# ---- JAX ----


def network(n_x: int, n_h: int, n_y: int = 1, hidden: str = "tanh") -> js.Params:
    output = "softmax" if n_y > 1 else "sigmoid"
    return js.init(jax.random.key(0), n_x, n_h, n_y, hidden=hidden, output=output, scale="glorot")


@cache
def on_device(n_x: int, n_h: int, m: int, n_y: int = 1, hidden: str = "tanh") -> tuple[js.Params, jax.Array, jax.Array]:
    """Parameters, X and Y, already on the device."""
    return jax.device_put((network(n_x, n_h, n_y, hidden), *examples(n_x, m, n_y)))


@cache
def split(n_x: int, m: int) -> tuple[jax.sharding.Mesh, js.Params, jax.Array, jax.Array]:
    """A mesh of all devices, parameters on each of them, and the examples split over them."""
    mesh = jax.make_mesh((jax.device_count(),), ("examples",))
    columns = NamedSharding(mesh, PartitionSpec(None, "examples"))
    everywhere = NamedSharding(mesh, PartitionSpec())
    X, Y = (jax.device_put(a, columns) for a in examples(n_x, m))
    return mesh, jax.device_put(network(n_x, 64), everywhere), X, Y


def jitted(f: Callable[..., Any], *arguments: Any) -> Run:
    """Runs the compiled f and waits for its result."""
    program = jax.jit(f)
    return lambda: jax.block_until_ready(program(*arguments))


def bare_products(params: js.Params, X: jax.Array, Y: jax.Array) -> js.Params:
    """The products of one gradient and nothing else; the stand-ins for A1, dZ2 and dZ1 have the right shapes."""
    W1, W2 = params.W1, params.W2
    A1 = W1 @ X
    dZ2 = W2 @ A1
    dZ1 = W2.T @ dZ2 if len(W2) > 1 else A1  # with one output unit this is no matrix product
    return replace(params, W1=jnp.inner(dZ1, X), W2=jnp.inner(dZ2, A1))


# ---- NumPy ----


def numpy_network(n_x: int, n_h: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(1)
    W1, W2 = rng.standard_normal((n_h, n_x), np.float32) * 0.1, rng.standard_normal((1, n_h), np.float32) * 0.1
    return W1, np.zeros((n_h, 1), np.float32), W2, np.zeros((1, 1), np.float32)


def numpy_gradient(params: Sequence[np.ndarray], X: np.ndarray, Y: np.ndarray) -> tuple[np.ndarray, ...]:
    """The notes in NumPy, as a student writes them."""
    (W1, b1, W2, b2), m = params, X.shape[1]
    A1 = np.tanh(W1 @ X + b1)
    A2 = 1 / (1 + np.exp(-(W2 @ A1 + b2)))
    dZ2 = A2 - Y
    dZ1 = W2.T @ dZ2 * (1 - A1**2)
    return dZ1 @ X.T / m, dZ1.sum(1, keepdims=True) / m, dZ2 @ A1.T / m, dZ2.sum(1, keepdims=True) / m


# ---- PyTorch ----


def torch_network(n_x: int, n_h: int, n_y: int = 1, hidden: str = "tanh") -> Any:
    import torch

    layers = torch.nn.Linear(n_x, n_h), torch.nn.Tanh() if hidden == "tanh" else torch.nn.ReLU()
    return torch.nn.Sequential(*layers, torch.nn.Linear(n_h, n_y))


@cache
def torch_examples(n_x: int, m: int, n_y: int = 1) -> tuple[Any, Any, Any]:
    """Examples as rows, the way PyTorch wants them, and its loss."""
    import torch

    X, Y = examples(n_x, m, n_y)
    x = torch.from_numpy(np.ascontiguousarray(X.T))
    if n_y > 1:
        return x, torch.from_numpy(Y.argmax(axis=0)), torch.nn.CrossEntropyLoss()
    return x, torch.from_numpy(np.ascontiguousarray(Y.T)), torch.nn.BCEWithLogitsLoss()


def torch_gradient(net: Any, x: Any, y: Any, loss: Any) -> Run:
    def run() -> None:
        net.zero_grad()
        loss(net(x), y).backward()

    return run


# ---- many networks ----


class Problem(NamedTuple):
    """How each of many networks is trained on a data set; full batch without `batch_size`."""

    n_h: int
    hidden: str
    output: str
    optimizer: str
    rate: float
    batch_size: int | None = None


SETS = {
    "digits": Problem(n_h=100, hidden="relu", output="softmax", optimizer="adam", rate=1e-3, batch_size=200),
    "breast_cancer": Problem(n_h=32, hidden="tanh", output="sigmoid", optimizer="sgd", rate=0.1),
    "random": Problem(n_h=16, hidden="tanh", output="sigmoid", optimizer="sgd", rate=0.1),
}


def table(problem: str) -> tuple[np.ndarray, np.ndarray]:
    """X and Y of one of scikit-learn's data sets, standardised, or of random examples."""
    if problem == "random":
        return examples(8, 768)
    X, Y = js.data.load(problem)
    deviation = X.std(axis=1, keepdims=True)
    X = (X - X.mean(axis=1, keepdims=True)) / np.where(deviation > 0, deviation, 1)
    return X.astype(np.float32), Y.astype(np.float32)


def stacked(problem: str, networks: int) -> tuple[js.Params, jax.Array, jax.Array, np.ndarray | None]:
    """Networks as one `Params` with a leading axis, X, Y, and the order of the minibatches; None for full batch."""
    X, Y = table(problem)
    how = SETS[problem]

    def one(key: jax.Array) -> js.Params:
        return js.init(key, len(X), how.n_h, len(Y), hidden=how.hidden, output=how.output, scale="glorot")

    keys = jax.random.split(jax.random.key(0), networks)
    order = epoch_order([0], 0, X.shape[1], how.batch_size) if how.batch_size else None
    return *jax.device_put((jax.vmap(one)(keys), X, Y)), order
