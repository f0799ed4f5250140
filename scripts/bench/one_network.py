"""Contestants that work on one network: its training (W1, W2), its gradient (W3, W4), its clipped gradient (W6)."""

from __future__ import annotations

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import PartitionSpec

import jaxshallow as js
from bench.rows import LIMIT, OURS, Run, contestant
from bench.work import (
    bare_products,
    examples,
    fits,
    jitted,
    network,
    numpy_gradient,
    numpy_network,
    on_device,
    split,
    torch_examples,
    torch_gradient,
    torch_network,
)
from jaxshallow.tiles import tile_size

CHUNK = 65_536  # examples, for PyTorch


# ---- W1: many steps on few examples ----


def flower() -> tuple[np.ndarray, np.ndarray]:
    X, Y = (np.asarray(a, np.float32) for a in js.data.flower())
    return X, Y


@contestant("W1", f"{OURS}, fit", "jax")
def w1_fit(epochs: int) -> Run:
    params, (X, Y) = network(2, 4), js.data.flower()
    return lambda: js.fit(params, X, Y, learning_rate=1.2, epochs=epochs)


@contestant("W1", "jit in a Python loop", "jax")
def w1_jit_in_a_loop(epochs: int) -> Run:
    X, Y = jax.device_put(flower())

    @jax.jit
    def step(params: js.Params) -> tuple[js.Params, jax.Array]:
        J, grads = jax.value_and_grad(js.cost)(params, X, Y)
        return js.update(params, grads, 1.2), J

    def run() -> None:
        params = network(2, 4)
        for _ in range(epochs):
            params, J = step(params)
        jax.block_until_ready(J)

    return run


@contestant("W1", "NumPy", "numpy")
def w1_numpy(epochs: int) -> Run:
    X, Y = flower()

    def run() -> None:
        params = numpy_network(2, 4)
        for _ in range(epochs):
            grads = numpy_gradient(params, X, Y)
            params = tuple(W - np.float32(1.2) * dW for W, dW in zip(params, grads, strict=True))

    return run


@contestant("W1", "PyTorch", "torch")
def w1_pytorch(epochs: int) -> Run:
    import torch

    X, Y = (torch.from_numpy(np.ascontiguousarray(a.T, np.float32)) for a in js.data.flower())
    net, loss = torch_network(2, 4), torch.nn.BCEWithLogitsLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=1.2)

    def run() -> None:
        for _ in range(epochs):
            optimizer.zero_grad()
            loss(net(X), Y).backward()
            optimizer.step()

    return run


@contestant("W1", f"{LIMIT}its activations", "jax")
def w1_limit_activations(epochs: int) -> Run:
    Z1, Z2 = examples(4, 400)[0], examples(1, 400)[0]
    return jitted(
        lambda Z1, Z2: jax.lax.fori_loop(0, epochs, lambda _, Z: (jnp.tanh(Z[0]), jax.nn.sigmoid(Z[1])), (Z1, Z2)),
        *jax.device_put((Z1, Z2)),
    )


# ---- W2: shuffled minibatches ----


def fit_in_minibatches(optimizer: optax.GradientTransformation, m: int, epochs: int) -> Run:
    params, X, Y = on_device(20, 100, m, hidden="relu")
    key = jax.random.key(0)
    return lambda: js.fit(params, X, Y, optimizer=optimizer, epochs=epochs, batch_size=200, key=key)


@contestant("W2", f"{OURS}, fit", "jax")
def w2_fit(m: int, epochs: int) -> Run:
    return fit_in_minibatches(optax.adam(1e-3), m, epochs)


@contestant("W2", f"{OURS}, fit with optax.flatten", "jax")
def w2_fit_flat(m: int, epochs: int) -> Run:  # Adam on one vector instead of four arrays
    return fit_in_minibatches(optax.flatten(optax.adam(1e-3)), m, epochs)


@contestant("W2", "scikit-learn", "numpy")
def w2_scikit_learn(m: int, epochs: int) -> Run:
    from sklearn.neural_network import MLPClassifier

    X, Y = examples(20, m)
    x, y = np.ascontiguousarray(X.T), Y[0].astype(int)
    net = MLPClassifier((100,), alpha=0, batch_size=200)

    def run() -> None:
        for _ in range(epochs):
            net.partial_fit(x, y, classes=[0, 1])

    return run


@contestant("W2", "PyTorch", "torch")
def w2_pytorch(m: int, epochs: int) -> Run:
    import torch

    x, y, loss = torch_examples(20, m)
    net = torch_network(20, 100, hidden="relu")
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)

    def run() -> None:
        for _ in range(epochs):
            for rows in torch.randperm(m).split(200):
                optimizer.zero_grad()
                loss(net(x[rows]), y[rows]).backward()
                optimizer.step()

    return run


@contestant("W2", f"{LIMIT}its products", "jax")
def w2_limit_products(m: int, epochs: int) -> Run:
    params, X, Y = on_device(20, 100, m, hidden="relu")

    def run(params: js.Params, x: jax.Array, y: jax.Array) -> js.Params:
        def step(params: js.Params, _: None) -> tuple[js.Params, None]:
            # Each step needs the one before it; else the compiler would compute one for all.
            return js.update(params, bare_products(params, x, y), 1e-9), None

        return jax.lax.scan(step, params, length=epochs * m // 200)[0]

    return jitted(run, params, X[:, :200], Y[:, :200])


# ---- W3: one wide gradient ----


@contestant("W3", f"{OURS}, manual_grads", "jax")
def w3_manual_grads(m: int, compile: bool) -> Run:
    return jitted(js.manual_grads, *on_device(784, 256, m, 10, "relu"))


@contestant("W3", "jax.grad", "jax")
def w3_jax_grad(m: int, compile: bool) -> Run:
    return jitted(jax.grad(js.cost), *on_device(784, 256, m, 10, "relu"))


@contestant("W3", "PyTorch", "torch")
def w3_pytorch(m: int, compile: bool) -> Run:
    return torch_gradient(torch_network(784, 256, 10, "relu"), *torch_examples(784, m, 10))


@contestant("W3", "torch.compile", "torch")
def w3_torch_compile(m: int, compile: bool) -> Run:
    import torch

    if not compile:
        raise NotImplementedError("compiles for half a minute: not in --quick")
    return torch_gradient(torch.compile(torch_network(784, 256, 10, "relu")), *torch_examples(784, m, 10))


@contestant("W3", f"{LIMIT}its products", "jax")
def w3_limit_products(m: int, compile: bool) -> Run:
    return jitted(bare_products, *on_device(784, 256, m, 10, "relu"))


# ---- W4: one full-batch gradient over many examples ----


@contestant("W4a W4b", f"{OURS}, stream", "jax")
def w4_stream(n_x: int, m: int) -> Run:
    arguments = on_device(n_x, 64, m)
    return lambda: jax.block_until_ready(js.stream(js.manual_grads)(*arguments))  # not jitted: on all cores


@contestant("W4a W4b", f"{OURS}, stream, a device per core", "jax, all devices")
def w4_stream_on_all_devices(n_x: int, m: int) -> Run:
    mesh, *arguments = split(n_x, m)
    return jitted(js.shard(js.stream(js.manual_grads), mesh), *arguments)


@contestant("W4a W4b", "jax.grad, whole", "jax")
def w4_jax_grad(n_x: int, m: int) -> Run:
    fits(3 * 64 * m * 4)
    return jitted(jax.grad(js.cost), *on_device(n_x, 64, m))


@contestant("W4a W4b", "NumPy", "numpy")
def w4_numpy(n_x: int, m: int) -> Run:
    fits(4 * 64 * m * 4)
    X, Y = examples(n_x, m)
    params = numpy_network(n_x, 64)
    return lambda: numpy_gradient(params, X, Y)


@contestant("W4a W4b", "PyTorch, whole", "torch")
def w4_pytorch_whole(n_x: int, m: int) -> Run:
    fits(4 * 64 * m * 4)
    return torch_gradient(torch_network(n_x, 64), *torch_examples(n_x, m))


@contestant("W4a W4b", "PyTorch, in chunks", "torch")
def w4_pytorch_in_chunks(n_x: int, m: int) -> Run:
    x, y, loss = torch_examples(n_x, m)
    net = torch_network(n_x, 64)

    def run() -> None:
        net.zero_grad()
        for some_x, some_y in zip(x.split(CHUNK), y.split(CHUNK), strict=True):
            (loss(net(some_x), some_y) * (len(some_x) / m)).backward()

    return run


@contestant("W4a W4b", f"{LIMIT}its products", "jax, all devices")
def w4_limit_products(n_x: int, m: int) -> Run:
    mesh, *arguments = split(n_x, m)
    return jitted(js.shard(js.stream(bare_products), mesh), *arguments)


@contestant("W4a W4b", f"{LIMIT}its tanh", "jax, all devices")
def w4_limit_tanh(n_x: int, m: int) -> Run:
    mesh, params, X, _ = split(n_x, 1024)
    t = tile_size(params)
    tiles = m // jax.device_count() // t
    examples = PartitionSpec(None, "examples")

    def on_each(x: jax.Array) -> jax.Array:
        Z = jnp.zeros((64, t)) + x.mean()
        return jax.lax.fori_loop(0, tiles, lambda _, Z: jnp.tanh(Z), Z)[:, :1]

    return jitted(jax.shard_map(on_each, mesh=mesh, in_specs=examples, out_specs=examples), X)


# ---- W6: clipped gradients ----


@contestant("W6a W6b", f"{OURS}, plain", "jax")
def w6_plain(n_x: int, n_h: int, n_y: int, m: int) -> Run:
    return jitted(js.manual_grads, *on_device(n_x, n_h, m, n_y, "relu"))


@contestant("W6a W6b", f"{OURS}, clipped", "jax")
def w6_clipped(n_x: int, n_h: int, n_y: int, m: int) -> Run:
    return jitted(js.clipped_grads, *on_device(n_x, n_h, m, n_y, "relu"), 1.0)


@contestant("W6a W6b", f"{OURS}, norms alone", "jax")
def w6_norms_alone(n_x: int, n_h: int, n_y: int, m: int) -> Run:
    return jitted(js.per_example_grad_norms, *on_device(n_x, n_h, m, n_y, "relu"))


@contestant("W6a W6b", "vmap(jax.grad)", "jax")
def w6_vmap_of_grad(n_x: int, n_h: int, n_y: int, m: int) -> Run:
    fits(2 * m * n_h * (n_x + n_y) * 4)

    def one(params: js.Params, x: jax.Array, y: jax.Array) -> js.Params:
        grads = jax.grad(js.cost)(params, x[:, None], y[:, None])
        return jax.tree.map(lambda g: g * jnp.minimum(1, 1 / optax.tree.norm(grads)), grads)

    def clipped(params: js.Params, X: jax.Array, Y: jax.Array) -> js.Params:
        return jax.tree.map(lambda g: g.mean(axis=0), jax.vmap(one, (None, 1, 1))(params, X, Y))

    return jitted(clipped, *on_device(n_x, n_h, m, n_y, "relu"))


@contestant("W6a W6b", "Opacus, ghost clipping", "torch")
def w6_opacus(n_x: int, n_h: int, n_y: int, m: int) -> Run:
    import torch
    from opacus.grad_sample import GradSampleModuleFastGradientClipping
    from opacus.optimizers.optimizer_fast_gradient_clipping import DPOptimizerFastGradientClipping
    from opacus.utils.fast_gradient_clipping_utils import DPLossFastGradientClipping

    # PyTorch warns so wherever inputs need no gradient.
    warnings.filterwarnings("ignore", message="Full backward hook")
    x, y, loss = torch_examples(n_x, m, n_y)
    net = GradSampleModuleFastGradientClipping(
        torch_network(n_x, n_h, n_y, "relu"), max_grad_norm=1.0, use_ghost_clipping=True
    )
    optimizer = DPOptimizerFastGradientClipping(
        torch.optim.SGD(net.parameters(), lr=0.1), noise_multiplier=0.0, max_grad_norm=1.0, expected_batch_size=m
    )
    criterion = DPLossFastGradientClipping(net, optimizer, loss)

    def run() -> None:
        optimizer.zero_grad()
        criterion(net(x), y).backward()

    return run
