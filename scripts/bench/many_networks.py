"""Contestants that train the same network from many seeds (W5)."""

from __future__ import annotations

import os
import timeit
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxshallow as js
from bench.rows import LIMIT, OURS, Run, contestant
from bench.work import SETS, bare_products, jitted, stacked, table, torch_network

SEEDS = "W5a W5b W5c"
LEAST = 4  # networks in the smallest chunk whose products are tried


@contestant(SEEDS, f"{OURS}, fit_many, a device per core", "jax, all devices")
@contestant(SEEDS, f"{OURS}, fit_many", "jax")
def w5_fit_many(problem: str, networks: int, epochs: int) -> Run:
    X, Y = table(problem)
    how = SETS[problem]
    configs = {
        "n_h": how.n_h, "hidden": how.hidden, "scale": "glorot", "seed": range(networks), "learning_rate": how.rate,
    }  # fmt: skip
    return lambda: js.fit_many(
        jax.random.key(0), X, Y, configs,
        epochs=epochs, output=how.output, optimizer=how.optimizer, batch_size=how.batch_size,
    )  # fmt: skip


@contestant(SEEDS, "plain vmap", "jax")
def w5_plain_vmap(problem: str, networks: int, epochs: int) -> Run:
    params, X, Y, order = stacked(problem, networks)
    how = SETS[problem]
    optimizer = getattr(optax, how.optimizer)(how.rate)

    def train(params: js.Params, X: jax.Array, Y: jax.Array) -> js.Params:
        def step(carry: tuple[js.Params, Any], columns: jax.Array | None) -> tuple[tuple[js.Params, Any], jax.Array]:
            params, state = carry
            x, y = (X, Y) if columns is None else (X[:, columns], Y[:, columns])
            J, grads = jax.value_and_grad(js.cost)(params, x, y)
            updates, state = optimizer.update(grads, state, params)
            return (optax.apply_updates(params, updates), state), J

        batches = None if order is None else jnp.tile(order[: X.shape[1] // order.shape[1]], (epochs, 1))
        length = epochs if batches is None else len(batches)
        return jax.lax.scan(step, (params, optimizer.init(params)), batches, length=length)[0][0]

    return jitted(jax.vmap(train, (0, None, None)), params, X, Y)


@contestant(SEEDS, "scikit-learn", "numpy")
def w5_scikit_learn(problem: str, networks: int, epochs: int) -> Run:
    from joblib import Parallel, delayed
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    X, Y = table(problem)
    x, y = np.ascontiguousarray(X.T), Y.argmax(axis=0) if len(Y) > 1 else Y[0].astype(int)
    how = SETS[problem]
    settings = dict(  # a plain dict, so that joblib's processes need not import this package, and JAX with it
        hidden_layer_sizes=(how.n_h,), activation=how.hidden, solver=how.optimizer, alpha=0, momentum=0,
        learning_rate_init=how.rate, batch_size=how.batch_size or len(x), max_iter=epochs, n_iter_no_change=epochs,
    )  # fmt: skip

    def fit(seed: int) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # it is meant to stop after these epochs
            MLPClassifier(**settings, random_state=seed).fit(x, y)

    return lambda: Parallel(n_jobs=-1)(delayed(fit)(seed) for seed in range(networks))


@contestant(SEEDS, "PyTorch, torch.func", "torch")
def w5_pytorch(problem: str, networks: int, epochs: int) -> Run:
    import torch
    from torch.func import functional_call, grad, stack_module_state, vmap

    X, Y = table(problem)
    how = SETS[problem]
    x = torch.from_numpy(np.ascontiguousarray(X.T))
    many = len(Y) > 1
    y = torch.from_numpy(Y.argmax(axis=0) if many else np.ascontiguousarray(Y.T))
    loss = torch.nn.CrossEntropyLoss() if many else torch.nn.BCEWithLogitsLoss()
    nets = [torch_network(len(X), how.n_h, len(Y), how.hidden) for _ in range(networks)]
    params, _ = stack_module_state(nets)
    params = {key: value.detach().requires_grad_() for key, value in params.items()}
    optimizer = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[how.optimizer](params.values(), lr=how.rate)
    gradient = vmap(grad(lambda p, x, y: loss(functional_call(nets[0], p, (x,)), y)), (0, None, None))

    def run() -> None:
        for _ in range(epochs):
            for rows in torch.randperm(len(x)).split(how.batch_size or len(x)):
                grads = gradient({key: value.detach() for key, value in params.items()}, x[rows], y[rows])
                for key, value in params.items():
                    value.grad = grads[key]
                optimizer.step()

    return run


@contestant(SEEDS, f"{LIMIT}its products", "jax")
def w5_limit_products(problem: str, networks: int, epochs: int) -> Run:
    """The products of all networks side by side, in chunks of the size that is fastest here."""
    runs = [products_of_chunks(problem, size, networks // size, epochs) for size in chunk_sizes(networks)]
    return min(runs, key=lambda run: min(timeit.repeat(run, number=1, repeat=2)))


def chunk_sizes(networks: int) -> list[int]:
    """Numbers of networks that divide all of them, from LEAST to half of them, each at least twice the one before."""
    sizes: list[int] = []
    for size in range(LEAST, networks // 2 + 1):
        if networks % size == 0 and (not sizes or size >= 2 * sizes[-1]):
            sizes.append(size)
    return sizes


def products_of_chunks(problem: str, size: int, chunks: int, epochs: int) -> Run:
    """Computes the products of so many chunks, from a thread for each core."""
    params, X, Y, _ = stacked(problem, size)
    batch = SETS[problem].batch_size or X.shape[1]

    def products(params: js.Params, x: jax.Array, y: jax.Array) -> js.Params:
        def step(params: js.Params, _: None) -> tuple[js.Params, None]:
            return js.update(params, bare_products(params, x, y), 1e-9), None

        return jax.lax.scan(step, params, length=epochs * X.shape[1] // batch)[0]

    run = jitted(jax.vmap(products, (0, None, None)), params, X[:, :batch], Y[:, :batch])
    run()
    pool = ThreadPoolExecutor(os.cpu_count())
    return lambda: list(pool.map(lambda _: run(), range(chunks)))
