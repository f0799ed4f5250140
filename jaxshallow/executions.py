"""The same formula, run example by example: in a Python loop, in a compiled loop (scan), and under vmap.

Each equals `forward` or `manual_grads`, and `certify` shows it on your data and device. The loops are what the notes
start from. vmap is how JAX turns the per-example formula into the matrix form. To have another execution certified,
list it in `certificate/executions.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from jaxshallow import checks
from jaxshallow.backprop import manual_grads_example
from jaxshallow.meshes import on_any_mesh
from jaxshallow.network import Cache, forward_example, relative_weights
from jaxshallow.params import Params


def _columns(X: Array) -> Array:
    """(n, m) as m columns (m, n, 1), each in the shape of the notes' x, for the loops."""
    return X.T[:, :, None]


def _one_by_one(X: Array) -> Array:
    """`_columns` for a Python loop, which needs to know how many there are."""
    if not checks.is_known(X.shape[1]):
        raise ValueError(f"a Python loop needs to know how many examples there are, got {X.shape}: use the scan")
    return _columns(X)


def _join(caches: Cache) -> Cache:
    """Columns (m, n, 1) as one matrix (n, m), for each of Z1, A1, Z2, A2."""
    return jax.tree.map(lambda columns: columns[:, :, 0].T, caches)


def _last_axis(X: Array) -> Array:
    """(n, m) as (n, 1, m), a view: vmap over the last axis moves no data, over the first it would."""
    return X[:, None, :]


@on_any_mesh
def forward_loop(params: Params, X: ArrayLike) -> Cache:
    """`forward` by the notes' loop: for i = 1 to m. A Python loop, for small m only.

    Args, returns, errors: as `forward`.

    Example:
        >>> from jaxshallow import forward, init
        >>> params, X = init(jax.random.key(0), 3, 4), jnp.ones((3, 5))
        >>> bool(jnp.allclose(forward_loop(params, X).A2, forward(params, X).A2))
        True
    """
    params = checks.parameters(params)
    X = checks.features(params, X)
    caches = [forward_example(params, x) for x in _one_by_one(X)]
    return _join(jax.tree.map(lambda *columns: jnp.stack(columns), *caches))


@on_any_mesh
def forward_scan(params: Params, X: ArrayLike) -> Cache:
    """`forward` by the same loop, compiled: `lax.map` over the examples, one after another.

    Args, returns, errors: as `forward`.

    Example:
        >>> from jaxshallow import forward, init
        >>> params, X = init(jax.random.key(0), 3, 4), jnp.ones((3, 5))
        >>> bool(jnp.allclose(forward_scan(params, X).A2, forward(params, X).A2))
        True
    """
    params = checks.parameters(params)
    X = checks.features(params, X)
    return _join(lax.map(lambda x: forward_example(params, x), _columns(X)))


@on_any_mesh
def forward_vmap(params: Params, X: ArrayLike) -> Cache:
    """`forward` as `vmap` of `forward_example`: no loop is left, and XLA sees matrix products.

    Args, returns, errors: as `forward`.

    Example:
        >>> from jaxshallow import forward, init
        >>> params, X = init(jax.random.key(0), 3, 4), jnp.ones((3, 5))
        >>> bool(jnp.allclose(forward_vmap(params, X).A2, forward(params, X).A2))
        True
    """
    params = checks.parameters(params)
    X = checks.features(params, X)
    caches = jax.vmap(forward_example, in_axes=(None, 2), out_axes=2)(params, _last_axis(X))
    return jax.tree.map(lambda columns: columns[:, 0, :], caches)


def _weighted_mean(
    total_of: Callable[[Params, Array, Array, Array], Params],
    params: Params,
    X: ArrayLike,
    Y: ArrayLike,
    weights: ArrayLike | None,
    l2: ArrayLike,
) -> Params:
    """(1/m) Σ wᵢ dᵢ + λ W, where `total_of(params, X, Y, w)` is Σ wᵢ dᵢ over the m examples."""
    params, X, Y = checks.examples(params, X, Y)
    m = X.shape[1]
    _, w, λ = relative_weights(params, m, weights, l2)
    w = jnp.broadcast_to(jnp.asarray(w, X.dtype), (1, m)).reshape(m)
    grads = jax.tree.map(lambda total: total / m, total_of(params, X, Y, w))
    return replace(grads, W1=grads.W1 + λ * params.W1, W2=grads.W2 + λ * params.W2)


@on_any_mesh
def manual_grads_loop(
    params: Params, X: ArrayLike, Y: ArrayLike, *, weights: ArrayLike | None = None, l2: ArrayLike = 0.0
) -> Params:
    """`manual_grads` by the notes' loop: for i = 1 to m: dW += dWᵢ; then dW /= m. For small m.

    Args, returns, errors: as `manual_grads`.

    Example:
        >>> from jaxshallow import init, manual_grads
        >>> params, X, Y = init(jax.random.key(0), 3, 4), jnp.ones((3, 5)), jnp.ones((1, 5))
        >>> bool(jnp.allclose(manual_grads_loop(params, X, Y).W1, manual_grads(params, X, Y).W1))
        True
    """

    def total(params: Params, X: Array, Y: Array, ws: Array) -> Params:
        dW = jax.tree.map(jnp.zeros_like, params)
        for x, y, w in zip(_one_by_one(X), _one_by_one(Y), ws, strict=True):
            dW = jax.tree.map(lambda dW, d, w=w: dW + w * d, dW, manual_grads_example(params, x, y))
        return dW

    return _weighted_mean(total, params, X, Y, weights, l2)


@on_any_mesh
def manual_grads_scan(
    params: Params, X: ArrayLike, Y: ArrayLike, *, weights: ArrayLike | None = None, l2: ArrayLike = 0.0
) -> Params:
    """`manual_grads` by the same loop, compiled: `lax.scan` over the examples.

    Args, returns, errors: as `manual_grads`.

    Example:
        >>> from jaxshallow import init, manual_grads
        >>> params, X, Y = init(jax.random.key(0), 3, 4), jnp.ones((3, 5)), jnp.ones((1, 5))
        >>> bool(jnp.allclose(manual_grads_scan(params, X, Y).W1, manual_grads(params, X, Y).W1))
        True
    """

    def total(params: Params, X: Array, Y: Array, ws: Array) -> Params:
        def add(dW: Params, example: tuple[Array, Array, Array]) -> tuple[Params, None]:
            x, y, w = example
            return jax.tree.map(lambda dW, d: dW + w * d, dW, manual_grads_example(params, x, y)), None

        return lax.scan(add, jax.tree.map(jnp.zeros_like, params), (_columns(X), _columns(Y), ws))[0]

    return _weighted_mean(total, params, X, Y, weights, l2)


@on_any_mesh
def manual_grads_vmap(
    params: Params, X: ArrayLike, Y: ArrayLike, *, weights: ArrayLike | None = None, l2: ArrayLike = 0.0
) -> Params:
    """`manual_grads` as the mean over `vmap` of `manual_grads_example`: all per-example gradients exist at once.

    Args, returns, errors: as `manual_grads`. XLA sees matrix products in the forward pass and in W2ᵀ dz2, but the
    mean of the outer products dz xᵀ stays a multiplication and a sum, where the matrix form has one matrix product.

    Example:
        >>> from jaxshallow import init, manual_grads
        >>> params, X, Y = init(jax.random.key(0), 3, 4), jnp.ones((3, 5)), jnp.ones((1, 5))
        >>> bool(jnp.allclose(manual_grads_vmap(params, X, Y).W1, manual_grads(params, X, Y).W1))
        True
    """

    def total(params: Params, X: Array, Y: Array, ws: Array) -> Params:
        each = jax.vmap(manual_grads_example, in_axes=(None, 2, 2))(params, _last_axis(X), _last_axis(Y))
        return jax.tree.map(lambda d: jnp.sum(ws[:, None, None] * d, axis=0), each)

    return _weighted_mean(total, params, X, Y, weights, l2)
