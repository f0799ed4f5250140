"""How fast is it? Each row does the same work by us and by its peers, in one run, beside a limit of this machine.

Every library has a process of its own, since thread pools fight; contestants take turns after a warm-up, so that noise
meets all alike. Times are medians, with the minimum beside them; machines differ, so read the ratios.

Examples:
    python scripts/benchmark.py --quick                    small sizes, some two minutes
    python scripts/benchmark.py                            the sizes that the aims are set for; twenty minutes
    python scripts/benchmark.py --rows W1 W3 --repeats 15

Exit codes: 0 measured (whether or not the aims are reached), 1 could not write, 2 usage, 130 Ctrl-C.
"""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

try:
    import tyro
    from rich.console import Console
    from rich.table import Table
except ImportError as error:
    sys.exit(f"{error}: pip install 'jaxshallow[scripts]'")

OURS = "jaxshallow"
LIMIT = "limit: "
PAUSE = 0.05  # seconds between two contestants: the last one's idle threads spin for a while
CHUNK = 65_536  # examples, for PyTorch
SLOW = 0.25  # whoever takes more than a quarter of a second runs twice with --quick, else four times


@dataclass
class Row:
    """Work that several contestants do. `aims`: what is claimed, its value from the medians, and the aim.

    Rows that tell nothing new in small have no `quick`, and are left out of --quick.
    """

    title: str
    quick: dict[str, Any] | None
    full: dict[str, Any]
    aims: list[tuple[str, Callable[[dict[str, float]], float], str]]
    contestants: dict[str, tuple[str, Callable]] = field(default_factory=dict)


def best(times: dict[str, float], prefix: str) -> float:
    """The least time of the contestants of that name; NaN if none ran."""
    return min((seconds for name, seconds in times.items() if name.startswith(prefix)), default=float("nan"))


def limit(times: dict[str, float]) -> float:
    """The sum of the limits: what this machine needs for the bare products and activations."""
    return sum(seconds for name, seconds in times.items() if name.startswith(LIMIT)) or float("nan")


ROWS = {
    "W1": Row(
        "2-4-1 tanh, m = 400: {epochs:,} steps of gradient descent",
        quick={"epochs": 10_000},
        full={"epochs": 10_000},
        aims=[
            ("× NumPy", lambda t: best(t, "NumPy") / best(t, OURS), "≥ 10"),
            ("of the activations alone", lambda t: best(t, OURS) / limit(t), "≤ 1.5"),
        ],
    ),
    "W2": Row(
        "20-100-1 relu, Adam, batch 200: {epochs} epochs of {m:,} shuffled rows",
        quick={"m": 51_200, "epochs": 3},
        full={"m": 51_200, "epochs": 10},
        aims=[("× scikit-learn", lambda t: best(t, "scikit-learn") / best(t, OURS), "≥ 15")],
    ),
    "W3": Row(
        "784-256-10 relu, m = {m:,}: one gradient",
        quick={"m": 8192, "compile": False},
        full={"m": 8192, "compile": True},
        aims=[("of the rate of the bare products", lambda t: limit(t) / best(t, OURS), "≥ 0.9")],
    ),
    **{
        name: Row(
            f"{n_x}-64-1 tanh, m = {{m:,}}: one full-batch gradient",
            quick={"n_x": n_x, "m": 500_000},
            full={"n_x": n_x, "m": 10_000_000},
            aims=[
                ("of bare products + tanh", lambda t: best(t, OURS) / limit(t), "≤ 1.25"),
                ("× NumPy", lambda t: best(t, "NumPy") / best(t, OURS), "≥ 4.5"),
                ("× PyTorch, whole", lambda t: best(t, "PyTorch, whole") / best(t, OURS), "≥ 7"),
                ("× jax.grad, whole", lambda t: best(t, "jax.grad") / best(t, OURS), "≥ 4"),
            ],
        )
        for name, n_x in (("W4a", 32), ("W4b", 28))
    },
    "W5a": Row(
        "64-100-10 relu on digits, Adam, batch 200: {networks} networks, {epochs} epochs",
        quick={"networks": 16, "epochs": 5},
        full={"networks": 64, "epochs": 20},
        aims=[
            ("× scikit-learn on all cores", lambda t: best(t, "scikit-learn") / best(t, OURS), "≥ 50"),
            ("× plain vmap", lambda t: best(t, "plain vmap") / best(t, OURS), "≥ 2"),
            ("of the rate of the bare products", lambda t: limit(t) / best(t, OURS), "≥ 0.6"),
        ],
    ),
    **{
        name: Row(
            f"{title} tanh, full batch: {{networks}} networks, {{epochs}} epochs",
            quick=quick,
            full={"networks": 1000, "epochs": 100},
            aims=[
                ("× scikit-learn on all cores", lambda t: best(t, "scikit-learn") / best(t, OURS), "≥ 50"),
                ("× plain vmap", lambda t: best(t, "plain vmap") / best(t, OURS), "≥ 2"),
                ("of the rate of the bare products", lambda t: limit(t) / best(t, OURS), ""),
            ],
        )
        for name, title, quick in (
            ("W5b", "30-32-1, breast_cancer,", {"networks": 100, "epochs": 20}),
            ("W5c", "8-16-1, m = 768,", None),
        )
    },
    "W5d": Row(
        "grid of {candidates} × {folds} folds on breast_cancer, Adam, batch 200, at most {epochs} epochs",
        quick={"candidates": 10, "folds": 2, "epochs": 20},
        full={"candidates": 100, "folds": 5, "epochs": 200},
        aims=[("× GridSearchCV on all cores", lambda t: best(t, "scikit-learn") / best(t, OURS), "≥ 100")],
    ),
    **{
        name: Row(
            f"{n_x}-{n_h}-{n_y} relu, m = {{m:,}}: gradient of examples clipped at norm 1",
            quick={"n_x": n_x, "n_h": n_h, "n_y": n_y, "m": 1024},
            full={"n_x": n_x, "n_h": n_h, "n_y": n_y, "m": 4096},
            aims=[
                ("of one plain gradient", lambda t: t[f"{OURS}, clipped"] / t[f"{OURS}, plain"], "≤ 1.10"),
                ("× vmap(jax.grad)", lambda t: best(t, "vmap") / t[f"{OURS}, clipped"], aim),
            ],
        )
        for name, n_x, n_h, n_y, aim in (("W6a", 784, 128, 10, "≥ 50"), ("W6b", 20, 64, 1, ""))
    },
    "W7": Row(
        "import to first trained step, 20-100-1, m = 1,000, in a new process",
        quick={},
        full={},
        aims=[("s beyond importing jax", lambda t: t[f"{OURS}, warm cache"] - t["import jax alone"], "≤ 0.6")],
    ),
}


def contestant(rows: str, name: str, group: str):
    """Enter `prepare(**size) -> run` into rows; `run()` does the work once and returns when it is done.

    `group` is the process that it runs in; "jax, all devices" has a JAX device for each core.
    """

    def enter(prepare: Callable) -> Callable:
        for row in rows.split():
            ROWS[row].contestants[name] = (group, prepare)
        return prepare

    return enter


# ---- the work: data, and each contestant in its own library's manner ----


def examples(n_x: int, m: int, n_y: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_x, m), np.float32)
    if n_y > 1:
        return X, np.eye(n_y, dtype=np.float32)[:, rng.integers(n_y, size=m)]
    return X, (X[:1] > 0).astype(np.float32)


def network(n_x: int, n_h: int, n_y: int = 1, hidden: str = "tanh"):
    import jax

    import jaxshallow as js

    output = "softmax" if n_y > 1 else "sigmoid"
    return js.init(jax.random.key(0), n_x, n_h, n_y, hidden=hidden, output=output, scale="glorot")


@cache
def on_device(n_x: int, n_h: int, m: int, n_y: int = 1, hidden: str = "tanh"):
    """Parameters, X and Y, on the device already."""
    import jax

    return jax.device_put((network(n_x, n_h, n_y, hidden), *examples(n_x, m, n_y)))


def jitted(f: Callable, *arguments) -> Callable:
    """A run of the compiled f, to its end."""
    import jax

    program = jax.jit(f)
    return lambda: jax.block_until_ready(program(*arguments))


def torch_network(n_x: int, n_h: int, n_y: int = 1, hidden: str = "tanh"):
    import torch

    layers = torch.nn.Linear(n_x, n_h), torch.nn.Tanh() if hidden == "tanh" else torch.nn.ReLU()
    return torch.nn.Sequential(*layers, torch.nn.Linear(n_h, n_y))


@cache
def torch_examples(n_x: int, m: int, n_y: int = 1):
    """Rows as PyTorch has them, and its loss."""
    import torch

    X, Y = examples(n_x, m, n_y)
    x = torch.from_numpy(np.ascontiguousarray(X.T))
    if n_y > 1:
        return x, torch.from_numpy(Y.argmax(axis=0)), torch.nn.CrossEntropyLoss()
    return x, torch.from_numpy(np.ascontiguousarray(Y.T)), torch.nn.BCEWithLogitsLoss()


def numpy_gradient(params, X, Y):
    """The notes in NumPy, as a student writes them."""
    (W1, b1, W2, b2), m = params, X.shape[1]
    A1 = np.tanh(W1 @ X + b1)
    A2 = 1 / (1 + np.exp(-(W2 @ A1 + b2)))
    dZ2 = A2 - Y
    dZ1 = W2.T @ dZ2 * (1 - A1**2)
    return dZ1 @ X.T / m, dZ1.sum(1, keepdims=True) / m, dZ2 @ A1.T / m, dZ2.sum(1, keepdims=True) / m


def numpy_network(n_x: int, n_h: int):
    rng = np.random.default_rng(1)
    W1, W2 = rng.standard_normal((n_h, n_x), np.float32) * 0.1, rng.standard_normal((1, n_h), np.float32) * 0.1
    return W1, np.zeros((n_h, 1), np.float32), W2, np.zeros((1, 1), np.float32)


# W1: many steps on few examples


@contestant("W1", f"{OURS}, fit", "jax")
def _(epochs):
    import jaxshallow as js

    params, (X, Y) = network(2, 4), js.data.flower()
    return lambda: js.fit(params, X, Y, learning_rate=1.2, epochs=epochs)


@contestant("W1", "jit in a Python loop", "jax")
def _(epochs):
    import jax

    import jaxshallow as js

    X, Y = (np.asarray(a, np.float32) for a in js.data.flower())
    X, Y = jax.device_put((X, Y))

    @jax.jit
    def step(params):
        J, grads = jax.value_and_grad(js.cost)(params, X, Y)
        return js.update(params, grads, 1.2), J

    def run():
        params = network(2, 4)
        for _ in range(epochs):
            params, J = step(params)
        jax.block_until_ready(J)

    return run


@contestant("W1", "NumPy", "numpy")
def _(epochs):
    import jaxshallow as js

    X, Y = (np.asarray(a, np.float32) for a in js.data.flower())

    def run():
        params = numpy_network(2, 4)
        for _ in range(epochs):
            grads = numpy_gradient(params, X, Y)
            params = tuple(W - np.float32(1.2) * dW for W, dW in zip(params, grads, strict=True))

    return run


@contestant("W1", "PyTorch", "torch")
def _(epochs):
    import torch

    import jaxshallow as js

    X, Y = (torch.from_numpy(np.ascontiguousarray(a.T, np.float32)) for a in js.data.flower())
    net, loss = torch_network(2, 4), torch.nn.BCEWithLogitsLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=1.2)

    def run():
        for _ in range(epochs):
            optimizer.zero_grad()
            loss(net(X), Y).backward()
            optimizer.step()

    return run


@contestant("W1", f"{LIMIT}its activations", "jax")
def _(epochs):
    import jax
    import jax.numpy as jnp

    Z1, Z2 = examples(4, 400)[0], examples(1, 400)[0]
    return jitted(
        lambda Z1, Z2: jax.lax.fori_loop(0, epochs, lambda _, Z: (jnp.tanh(Z[0]), jax.nn.sigmoid(Z[1])), (Z1, Z2)),
        *jax.device_put((Z1, Z2)),
    )


# W2: minibatches, shuffled


@contestant("W2", f"{OURS}, fit", "jax")
def _(m, epochs, flat=False):
    import jax
    import optax

    import jaxshallow as js

    params, X, Y = on_device(20, 100, m, hidden="relu")
    key, adam = jax.random.key(0), optax.flatten(optax.adam(1e-3)) if flat else optax.adam(1e-3)
    return lambda: js.fit(params, X, Y, optimizer=adam, epochs=epochs, batch_size=200, key=key)


@contestant("W2", f"{OURS}, fit with optax.flatten", "jax")
def _(**size):  # Adam on one vector in place of four arrays
    return ROWS["W2"].contestants[f"{OURS}, fit"][1](**size, flat=True)


@contestant("W2", "scikit-learn", "numpy")
def _(m, epochs):
    from sklearn.neural_network import MLPClassifier

    X, Y = examples(20, m)
    x, y = np.ascontiguousarray(X.T), Y[0].astype(int)
    net = MLPClassifier((100,), alpha=0, batch_size=200)

    def run():
        for _ in range(epochs):
            net.partial_fit(x, y, classes=[0, 1])

    return run


@contestant("W2", "PyTorch", "torch")
def _(m, epochs):
    import torch

    x, y, loss = torch_examples(20, m)
    net = torch_network(20, 100, hidden="relu")
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)

    def run():
        for _ in range(epochs):
            for rows in torch.randperm(m).split(200):
                optimizer.zero_grad()
                loss(net(x[rows]), y[rows]).backward()
                optimizer.step()

    return run


def bare_products(params, X, Y):
    """The products of one gradient and nothing else; what stands for A1, dZ2 and dZ1 has their shapes."""
    import jax.numpy as jnp

    W1, W2 = params.W1, params.W2
    A1 = W1 @ X
    dZ2 = W2 @ A1
    dZ1 = W2.T @ dZ2 if len(W2) > 1 else A1  # with one output unit that is no product
    return replace(params, W1=jnp.inner(dZ1, X), W2=jnp.inner(dZ2, A1))


@contestant("W2", f"{LIMIT}its products", "jax")
def _(m, epochs):
    import jax

    import jaxshallow as js

    params, X, Y = on_device(20, 100, m, hidden="relu")

    def run(params, x, y):
        def step(params, _):  # each needs the one before it, or the compiler would do one for all
            return js.update(params, bare_products(params, x, y), 1e-9), None

        return jax.lax.scan(step, params, length=epochs * m // 200)[0]

    return jitted(run, params, X[:, :200], Y[:, :200])


# W3: one wide gradient


@contestant("W3", f"{OURS}, manual_grads", "jax")
def _(m, compile):
    import jaxshallow as js

    return jitted(js.manual_grads, *on_device(784, 256, m, 10, "relu"))


@contestant("W3", "jax.grad", "jax")
def _(m, compile):
    import jax

    import jaxshallow as js

    return jitted(jax.grad(js.cost), *on_device(784, 256, m, 10, "relu"))


def torch_gradient(net, x, y, loss):
    def run():
        net.zero_grad()
        loss(net(x), y).backward()

    return run


@contestant("W3", "PyTorch", "torch")
def _(m, compile):
    return torch_gradient(torch_network(784, 256, 10, "relu"), *torch_examples(784, m, 10))


@contestant("W3", "torch.compile", "torch")
def _(m, compile):
    import torch

    if not compile:
        raise NotImplementedError("compiles for half a minute: not in --quick")
    return torch_gradient(torch.compile(torch_network(784, 256, 10, "relu")), *torch_examples(784, m, 10))


@contestant("W3", f"{LIMIT}its products", "jax")
def _(m, compile):
    return jitted(bare_products, *on_device(784, 256, m, 10, "relu"))


# W4: one full-batch gradient of many examples


@contestant("W4a W4b", f"{OURS}, stream", "jax")
def _(n_x, m):
    import jaxshallow as js

    return jitted(js.stream(js.manual_grads), *on_device(n_x, 64, m))


@cache
def split(n_x: int, m: int):
    """A mesh of all devices, and the examples split over them."""
    import jax
    from jax.sharding import NamedSharding, PartitionSpec

    mesh = jax.make_mesh((jax.device_count(),), ("examples",))
    columns = NamedSharding(mesh, PartitionSpec(None, "examples"))
    everywhere = NamedSharding(mesh, PartitionSpec())
    X, Y = (jax.device_put(a, columns) for a in examples(n_x, m))
    return mesh, jax.device_put(network(n_x, 64), everywhere), X, Y


@contestant("W4a W4b", f"{OURS}, stream, a device per core", "jax, all devices")
def _(n_x, m):
    import jaxshallow as js

    mesh, *arguments = split(n_x, m)
    return jitted(js.shard(js.stream(js.manual_grads), mesh), *arguments)


@contestant("W4a W4b", "jax.grad, whole", "jax")
def _(n_x, m):
    import jax

    import jaxshallow as js

    fits(3 * 64 * m * 4)
    return jitted(jax.grad(js.cost), *on_device(n_x, 64, m))


@contestant("W4a W4b", "NumPy", "numpy")
def _(n_x, m):
    fits(4 * 64 * m * 4)
    X, Y = examples(n_x, m)
    params = numpy_network(n_x, 64)
    return lambda: numpy_gradient(params, X, Y)


@contestant("W4a W4b", "PyTorch, whole", "torch")
def _(n_x, m):
    fits(4 * 64 * m * 4)
    return torch_gradient(torch_network(n_x, 64), *torch_examples(n_x, m))


@contestant("W4a W4b", "PyTorch, in chunks", "torch")
def _(n_x, m):
    x, y, loss = torch_examples(n_x, m)
    net = torch_network(n_x, 64)

    def run():
        net.zero_grad()
        for some_x, some_y in zip(x.split(CHUNK), y.split(CHUNK), strict=True):
            (loss(net(some_x), some_y) * (len(some_x) / m)).backward()

    return run


@contestant("W4a W4b", f"{LIMIT}its products", "jax, all devices")
def _(n_x, m):
    import jaxshallow as js

    mesh, *arguments = split(n_x, m)
    return jitted(js.shard(js.stream(bare_products), mesh), *arguments)


@contestant("W4a W4b", f"{LIMIT}its tanh", "jax, all devices")
def _(n_x, m):
    import jax
    import jax.numpy as jnp

    from jaxshallow.tiles.streaming import tile_size

    mesh, params, X, _ = split(n_x, 1024)
    t = tile_size(params)
    tiles = m // jax.device_count() // t
    P = jax.sharding.PartitionSpec

    def on_each(x):
        Z = jnp.zeros((64, t)) + x.mean()
        return jax.lax.fori_loop(0, tiles, lambda _, Z: jnp.tanh(Z), Z)[:, :1]

    return jitted(jax.shard_map(on_each, mesh=mesh, in_specs=P(None, "examples"), out_specs=P(None, "examples")), X)


# W5: many networks

SETS: dict[str, dict[str, Any]] = {
    "W5a": dict(data="digits", n_h=100, hidden="relu", output="softmax", optimizer="adam", rate=1e-3, batch_size=200),
    "W5b": dict(data="breast_cancer", n_h=32, hidden="tanh", output="sigmoid", optimizer="sgd", rate=0.1),
    "W5c": dict(n_x=8, m=768, n_h=16, hidden="tanh", output="sigmoid", optimizer="sgd", rate=0.1),
}


def table(name: str) -> tuple[np.ndarray, np.ndarray]:
    """A standardised data set of scikit-learn's, or one drawn at random; examples as columns."""
    from jaxshallow import data

    if "data" not in SETS[name]:
        return examples(SETS[name]["n_x"], SETS[name]["m"])
    X, Y = data.load(SETS[name]["data"])
    deviation = X.std(axis=1, keepdims=True)
    X = (X - X.mean(axis=1, keepdims=True)) / np.where(deviation > 0, deviation, 1)
    return X.astype(np.float32), Y.astype(np.float32)


def stacked(name: str, networks: int):
    """Networks as one `Params` with an axis of them, X, Y, and an order of minibatches or None for full batch."""
    import jax

    import jaxshallow as js
    from jaxshallow.training.epochs import epoch_order

    X, Y = table(name)
    how = SETS[name]
    keys = jax.random.split(jax.random.key(0), networks)
    one = lambda key: js.init(  # noqa: E731
        key, len(X), how["n_h"], len(Y), hidden=how["hidden"], output=how["output"], scale="glorot"
    )
    order = epoch_order([0], 0, X.shape[1], how["batch_size"]) if "batch_size" in how else None
    return *jax.device_put((jax.vmap(one)(keys), X, Y)), order


def entered(name: str) -> None:
    """The contestants of one row of many networks."""
    how = SETS[name]

    def ours(networks, epochs):
        import jax

        import jaxshallow as js

        X, Y = table(name)
        configs = {
            "n_h": how["n_h"], "hidden": how["hidden"], "scale": "glorot", "seed": range(networks),
            "learning_rate": how["rate"],
        }  # fmt: skip
        return lambda: js.fit_many(
            jax.random.key(0), X, Y, configs,
            epochs=epochs, output=how["output"], optimizer=how["optimizer"], batch_size=how.get("batch_size"),
        )  # fmt: skip

    contestant(name, f"{OURS}, fit_many", "jax")(ours)
    contestant(name, f"{OURS}, fit_many, a device per core", "jax, all devices")(ours)

    @contestant(name, "plain vmap", "jax")
    def _(networks, epochs):
        import jax
        import jax.numpy as jnp
        import optax

        import jaxshallow as js

        params, X, Y, order = stacked(name, networks)
        optimizer = getattr(optax, how["optimizer"])(how["rate"])

        def train(params, X, Y):
            def step(carry, columns):
                params, state = carry
                x, y = (X, Y) if columns is None else (X[:, columns], Y[:, columns])
                J, grads = jax.value_and_grad(js.cost)(params, x, y)
                updates, state = optimizer.update(grads, state, params)
                return (optax.apply_updates(params, updates), state), J

            batches = None if order is None else jnp.tile(order[: X.shape[1] // how["batch_size"]], (epochs, 1))
            length = epochs if batches is None else len(batches)
            return jax.lax.scan(step, (params, optimizer.init(params)), batches, length=length)[0][0]

        return jitted(jax.vmap(train, (0, None, None)), params, X, Y)

    @contestant(name, "scikit-learn", "numpy")
    def _(networks, epochs):
        from joblib import Parallel, delayed
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPClassifier

        X, Y = table(name)
        x, y = np.ascontiguousarray(X.T), Y.argmax(axis=0) if len(Y) > 1 else Y[0].astype(int)

        def fit(seed):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # it is to stop after these epochs
                MLPClassifier(
                    (how["n_h"],), activation=how["hidden"], solver=how["optimizer"], alpha=0, momentum=0,
                    learning_rate_init=how["rate"], batch_size=how.get("batch_size", len(x)), max_iter=epochs,
                    n_iter_no_change=epochs, random_state=seed,
                ).fit(x, y)  # fmt: skip

        return lambda: Parallel(n_jobs=-1)(delayed(fit)(seed) for seed in range(networks))

    @contestant(name, "PyTorch, torch.func", "torch")
    def _(networks, epochs):
        import torch
        from torch.func import functional_call, grad, stack_module_state, vmap

        X, Y = table(name)
        x = torch.from_numpy(np.ascontiguousarray(X.T))
        many = len(Y) > 1
        y = torch.from_numpy(Y.argmax(axis=0) if many else np.ascontiguousarray(Y.T))
        loss = torch.nn.CrossEntropyLoss() if many else torch.nn.BCEWithLogitsLoss()
        nets = [torch_network(len(X), how["n_h"], len(Y), how["hidden"]) for _ in range(networks)]
        params, _ = stack_module_state(nets)
        params = {key: value.detach().requires_grad_() for key, value in params.items()}
        optimizer = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[how["optimizer"]](
            params.values(), lr=how["rate"]
        )
        gradient = vmap(grad(lambda p, x, y: loss(functional_call(nets[0], p, (x,)), y)), (0, None, None))

        def run():
            for _ in range(epochs):
                for rows in torch.randperm(len(x)).split(how.get("batch_size", len(x))):
                    grads = gradient({key: value.detach() for key, value in params.items()}, x[rows], y[rows])
                    for key, value in params.items():
                        value.grad = grads[key]
                    optimizer.step()

        return run

    @contestant(name, f"{LIMIT}its products", "jax")
    def _(networks, epochs):
        import jax

        import jaxshallow as js

        together = 8  # networks
        params, X, Y, order = stacked(name, together)
        batch = X.shape[1] if order is None else how["batch_size"]

        def products(params, x, y):
            def step(params, _):
                return js.update(params, bare_products(params, x, y), 1e-9), None

            return jax.lax.scan(step, params, length=epochs * X.shape[1] // batch)[0]

        run = jitted(jax.vmap(products, (0, None, None)), params, X[:, :batch], Y[:, :batch])
        return lambda: [run() for _ in range(networks // together)]


for _row in SETS:
    entered(_row)


def searched(search: Callable, network: Callable, candidates: int, folds: int, epochs: int, **more) -> Callable:
    """A search over sizes, strengths of weight decay and rates, of a pipeline that standardises in each fold."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    X, Y = table("W5b")
    x, y = np.ascontiguousarray(X.T), Y[0].astype(int)
    pipeline = Pipeline([("scale", StandardScaler()), ("network", network(random_state=0, max_iter=epochs))])
    grid = {
        "network__hidden_layer_sizes": [(8,), (16,), (32,), (64,)],
        "network__alpha": [1e-5, 1e-4, 1e-3, 1e-2, 1e-1],
        "network__learning_rate_init": [3e-4, 1e-3, 3e-3, 1e-2, 3e-2],
    }
    if candidates < 100:
        grid = {**grid, "network__hidden_layer_sizes": [(8,), (16,)], "network__learning_rate_init": [1e-3]}

    def run():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            search(pipeline, grid, cv=folds, **more).fit(x, y)

    return run


def ours_searches(**size):
    from jaxshallow.estimators import ShallowClassifier, ShallowSearchCV

    return searched(ShallowSearchCV, ShallowClassifier, **size)


contestant("W5d", f"{OURS}, ShallowSearchCV", "jax")(ours_searches)
contestant("W5d", f"{OURS}, ShallowSearchCV, a device per core", "jax, all devices")(ours_searches)


@contestant("W5d", "scikit-learn, GridSearchCV", "numpy")
def _(**size):
    from sklearn.model_selection import GridSearchCV
    from sklearn.neural_network import MLPClassifier

    os.environ["PYTHONWARNINGS"] = "ignore"  # of joblib's processes, which do not know this one's filters
    return searched(GridSearchCV, MLPClassifier, **size, n_jobs=-1)


# W6: clipped gradients


@contestant("W6a W6b", f"{OURS}, plain", "jax")
def _(n_x, n_h, n_y, m):
    import jaxshallow as js

    return jitted(js.manual_grads, *on_device(n_x, n_h, m, n_y, "relu"))


@contestant("W6a W6b", f"{OURS}, clipped", "jax")
def _(n_x, n_h, n_y, m):
    import jaxshallow as js

    return jitted(js.clipped_grads, *on_device(n_x, n_h, m, n_y, "relu"), 1.0)


@contestant("W6a W6b", f"{OURS}, norms alone", "jax")
def _(n_x, n_h, n_y, m):
    import jaxshallow as js

    return jitted(js.per_example_grad_norms, *on_device(n_x, n_h, m, n_y, "relu"))


@contestant("W6a W6b", "vmap(jax.grad)", "jax")
def _(n_x, n_h, n_y, m):
    import jax
    import jax.numpy as jnp
    import optax

    import jaxshallow as js

    fits(2 * m * n_h * (n_x + n_y) * 4)

    def one(params, x, y):
        grads = jax.grad(js.cost)(params, x[:, None], y[:, None])
        return jax.tree.map(lambda g: g * jnp.minimum(1, 1 / optax.tree.norm(grads)), grads)

    def clipped(params, X, Y):
        return jax.tree.map(lambda g: g.mean(axis=0), jax.vmap(one, (None, 1, 1))(params, X, Y))

    return jitted(clipped, *on_device(n_x, n_h, m, n_y, "relu"))


@contestant("W6a W6b", "Opacus, ghost clipping", "torch")
def _(n_x, n_h, n_y, m):
    import torch
    from opacus.grad_sample import GradSampleModuleFastGradientClipping
    from opacus.optimizers.optimizer_fast_gradient_clipping import DPOptimizerFastGradientClipping
    from opacus.utils.fast_gradient_clipping_utils import DPLossFastGradientClipping

    warnings.filterwarnings("ignore", message="Full backward hook")  # as it must where inputs need no gradient
    x, y, loss = torch_examples(n_x, m, n_y)
    net = GradSampleModuleFastGradientClipping(
        torch_network(n_x, n_h, n_y, "relu"), max_grad_norm=1.0, use_ghost_clipping=True
    )
    optimizer = DPOptimizerFastGradientClipping(
        torch.optim.SGD(net.parameters(), lr=0.1), noise_multiplier=0.0, max_grad_norm=1.0, expected_batch_size=m
    )
    criterion = DPLossFastGradientClipping(net, optimizer, loss)

    def run():
        optimizer.zero_grad()
        criterion(net(x), y).backward()

    return run


# W7: start-up, each time in a new process

STEPS = {
    "import jax alone": "import jax",
    OURS: """
import jax, numpy as np
import jaxshallow as js
{cache}
X = np.random.default_rng(0).standard_normal((20, 1000), np.float32)
js.fit(js.init(jax.random.key(0), 20, 100, hidden="relu"), X, X[:1] > 0, epochs=1)
""",
    "scikit-learn": """
import numpy as np
from sklearn.neural_network import MLPClassifier
x = np.random.default_rng(0).standard_normal((1000, 20), np.float32)
MLPClassifier((100,), batch_size=1000).partial_fit(x, x[:, 0] > 0, classes=[False, True])
""",
    "PyTorch": """
import numpy as np, torch
x = torch.from_numpy(np.random.default_rng(0).standard_normal((1000, 20), np.float32))
net = torch.nn.Sequential(torch.nn.Linear(20, 100), torch.nn.ReLU(), torch.nn.Linear(100, 1))
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
torch.nn.BCEWithLogitsLoss()(net(x), (x[:, :1] > 0).float()).backward()
optimizer.step()
""",
}


def new_process(program: str) -> None:
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(result.stderr.strip().splitlines()[-1])


@contestant("W7", f"{OURS}, warm cache", "start")
def _():
    folder = tempfile.TemporaryDirectory()
    return lambda: new_process(STEPS[OURS].format(cache=f"js.enable_compilation_cache({folder.name!r})"))


@contestant("W7", f"{OURS}, cold", "start")
def _():
    return lambda: new_process(STEPS[OURS].format(cache=""))


for _name in ("import jax alone", "scikit-learn", "PyTorch"):

    @contestant("W7", _name, "start")
    def _(program=STEPS[_name]):
        return lambda: new_process(program)


# ---- running it ----


def fits(needed: int) -> None:
    """MemoryError, which leaves the contestant out, where the system says that so many bytes are not to be had."""
    memory = Path("/proc/meminfo").read_text() if Path("/proc/meminfo").exists() else ""
    if (found := re.search(r"MemAvailable: *(\d+) kB", memory)) and needed > 0.8 * 1024 * int(found[1]):
        raise MemoryError(f"would take {needed / 2**30:,.0f} GiB")


def serve(pipe, group: str) -> None:
    """A worker: prepare, run and drop contestants as it is told."""
    if group == "jax, all devices":
        import jax

        jax.config.update("jax_num_cpu_devices", os.cpu_count() or 1)
    runs: dict[str, Callable] = {}
    while True:
        command, row, name, size = pipe.recv()
        if command == "stop":
            atexit._run_exitfuncs()  # joblib's, which multiprocessing passes over
            return
        if command == "drop":
            runs.clear()
            for shared in (on_device, torch_examples, split):
                shared.cache_clear()
            continue
        try:
            if name not in runs:  # or not any more, where a contestant took the process down with it
                runs[name] = ROWS[row].contestants[name][1](**size)
                runs[name]()
            start = time.perf_counter()
            runs[name]()
            pipe.send(time.perf_counter() - start)
        except KeyboardInterrupt:
            return
        except ImportError as error:
            pipe.send(f"{error}: pip install 'jaxshallow[bench]'")
        except Exception as error:
            pipe.send(f"{type(error).__name__}: {error}".splitlines()[0])


class Workers:
    """A process for each library, started when it is first needed."""

    def __init__(self):
        self.context = multiprocessing.get_context("spawn")
        self.pipes: dict[str, Any] = {}
        self.processes: list[Any] = []

    def ask(self, group: str, *message):
        if group not in self.pipes:
            self.pipes[group], theirs = self.context.Pipe()
            # No daemon: joblib's own processes, scikit-learn's on all cores, could not be its children.
            self.processes.append(self.context.Process(target=serve, args=(theirs, group)))
            self.processes[-1].start()
            theirs.close()
        self.pipes[group].send(message)
        if message[0] in ("prepare", "run"):
            try:
                return self.pipes[group].recv()
            except EOFError:
                del self.pipes[group]
                return "its process died: out of memory?"

    def stop(self):
        for pipe in self.pipes.values():
            with contextlib.suppress(OSError):
                pipe.send(("stop", "", "", {}))
        for process in self.processes:
            process.join(timeout=5)
            process.terminate()


def measure(
    name: str, row: Row, size: dict[str, Any], repeats: int, few: int, workers: Workers, say: Callable[[str], None]
):
    """Seconds of each contestant's runs, in turns; and the reasons of those that could not run."""
    seconds: dict[str, list[float]] = {}
    left_out: dict[str, str] = {}
    for who, (group, _) in row.contestants.items():
        say(f"{name}: preparing {who}")
        answer = workers.ask(group, "prepare", name, who, size)
        if isinstance(answer, str):
            left_out[who] = answer
        else:
            seconds[who] = []
    for k in range(repeats):
        say(f"{name}: run {k + 1} of {repeats}")
        for who in list(seconds):
            if k >= few and min(seconds[who]) > SLOW:
                continue
            time.sleep(PAUSE)
            answer = workers.ask(row.contestants[who][0], "run", name, who, size)
            if isinstance(answer, str):
                left_out[who] = answer
                del seconds[who]
            else:
                seconds[who].append(answer)
    for group in {group for group, _ in row.contestants.values()} & set(workers.pipes):
        workers.ask(group, "drop", name, "", {})
    return seconds, left_out


@dataclass
class Options:
    quick: bool = False
    """Smaller sizes and fewer runs."""
    rows: tuple[str, ...] = ()
    """Which rows to run; all if not given, and with --quick those that have a small size."""
    repeats: int | None = None
    """Runs of each contestant, slow ones fewer; 5 with --quick, else 25."""
    out: Path = Path("out")
    """Folder for benchmark.json and the picture, benchmark.png and benchmark.svg."""
    json: bool = False
    """Print the results as JSON instead of the table."""


def main(argv: Sequence[str] | None = None) -> int:
    options = tyro.cli(tyro.conf.FlagCreatePairsOff[Options], args=argv, description=__doc__)
    messages = Console(stderr=True, highlight=False)
    repeats = (5 if options.quick else 25) if options.repeats is None else options.repeats
    if unknown := set(options.rows) - set(ROWS):
        messages.print(f"[bold red]error[/]: --rows must be of {', '.join(ROWS)}, got {', '.join(sorted(unknown))}")
        return 2
    if repeats < 1:
        messages.print(f"[bold red]error[/]: --repeats must be at least 1, got {repeats}")
        return 2
    workers = Workers()
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        results: dict[str, Any] = {"machine": machine(), "quick": options.quick, "repeats": repeats, "rows": {}}
        with messages.status("starting") as status:
            for name in options.rows or [name for name in ROWS if not options.quick or ROWS[name].quick is not None]:
                row = ROWS[name]
                size = row.quick if options.quick and row.quick is not None else row.full
                seconds, left_out = measure(name, row, size, repeats, 2 if options.quick else 4, workers, status.update)
                results["rows"][name] = report(row, size, seconds, left_out)
        text = write(results, options.out)
    except KeyboardInterrupt:
        messages.print("interrupted")
        return 130
    except OSError as error:
        messages.print(f"[bold red]error[/]: could not write to {options.out}: {error}", soft_wrap=True)
        return 1
    finally:
        workers.stop()
    if options.json:
        print(text)
    else:
        show(results, options.out)
    return 0


def machine() -> dict[str, Any]:
    """What it ran on, and which versions."""
    from importlib.metadata import PackageNotFoundError, version

    import jax

    versions: dict[str, str | None] = {}
    for package in ("jaxshallow", "jax", "jaxlib", "numpy", "torch", "scikit-learn", "opacus"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    device = jax.devices()[0]
    cpu = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        cpu = models[0].partition(":")[2].strip() if models else cpu
    name = cpu if device.platform == "cpu" else device.device_kind
    return {"device": name, "platform": device.platform, "cores": os.cpu_count(), "versions": versions}


def report(row: Row, size: dict[str, Any], seconds: dict[str, list[float]], left_out: dict[str, str]) -> dict[str, Any]:
    medians = {who: float(np.median(runs)) for who, runs in seconds.items()}
    aims = []
    for claim, value_of, aim in row.aims:
        try:
            value = value_of(medians)
        except KeyError:  # a contestant that it compares could not run
            continue
        if np.isfinite(value):
            aims.append({"claim": claim, "value": value, "aim": aim, "reached": reached(value, aim)})
    return {
        "work": row.title.format(**size),
        "seconds": seconds,
        "median": medians,
        "minimum": {who: min(runs) for who, runs in seconds.items()},
        "limit": limit(medians) if any(who.startswith(LIMIT) for who in medians) else None,
        "left_out": left_out,
        "aims": aims,
    }


def reached(value: float, aim: str) -> bool | None:
    if not aim:
        return None
    sign, number = aim.split()
    return value >= float(number) if sign == "≥" else value <= float(number)


def write(results: dict[str, Any], out: Path) -> str:
    from jaxshallow import plots
    from jaxshallow.store.files import json_text, write_atomically

    text = json_text(results)
    write_atomically(out / "benchmark.json", text.encode())
    rows = results["rows"]
    drawing, axes = plots.figure(-(-len(rows) // 2), min(2, len(rows)), size=(7.0, 2.6))
    for ax, (name, row) in zip(axes, rows.items(), strict=False):
        plots.times_of_peers(ax, row["median"], ours=OURS, limit=row["limit"], title=f"{name}: {row['work']}")
    for ax in axes[len(rows) :]:
        ax.set_axis_off()
    plots.save(drawing, out / "benchmark")
    return text


def show(results: dict[str, Any], out: Path) -> None:
    console = Console(highlight=False)
    facts = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items() if version)
    console.print(f"{facts['device']}, {facts['cores']} cores; {versions}\n", soft_wrap=True)
    for name, row in results["rows"].items():
        table = Table(title=f"{name}. {row['work']}", title_justify="left")
        table.add_column("")
        for column in ("median", "minimum", "× ours", "of the limit"):
            table.add_column(column, justify="right")
        ours = best(row["median"], OURS)
        for who, median in row["median"].items():
            fraction = f"{row['limit'] / median:.0%}" if row["limit"] and not who.startswith(LIMIT) else ""
            minimum = row["minimum"][who]
            table.add_row(who, f"{median * 1e3:,.2f} ms", f"{minimum * 1e3:,.2f} ms", f"{median / ours:.2f}", fraction)
        console.print(table)
        for who, why in row["left_out"].items():
            console.print(f"left out: {who}: {why}", soft_wrap=True)
        console.print()
    table = Table(title="What was aimed at", title_justify="left")
    for column in ("row", "measured", "aim", ""):
        table.add_column(column)
    verdict = {True: "reached", False: "missed", None: ""}
    for name, row in results["rows"].items():
        for aim in row["aims"]:
            table.add_row(name, f"{aim['value']:.3g} {aim['claim']}", aim["aim"], verdict[aim["reached"]])
    console.print(table)
    console.print(f"written: {out / 'benchmark.json'}, {out / 'benchmark.png'}, {out / 'benchmark.svg'}")


if __name__ == "__main__":
    sys.exit(main())
