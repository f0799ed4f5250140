"""Per-example gradients without forming them: norms, clipping, and the gradient noise scale.

All are computed from the dZ of back-propagation (`backprop.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxshallow import checks
from jaxshallow.activations import resolve
from jaxshallow.backprop import manual_grads
from jaxshallow.meshes import on_any_mesh
from jaxshallow.network import propagate, relative_weights
from jaxshallow.params import Params


def _per_example(params: Params, X: Array, Y: Array) -> tuple[Array, Array, Array, Array]:
    """A1, dZ2, dZ1 without weights, and the norm (1, m) of each example's whole gradient.

    The gradient of an example's loss is made of outer products, dW1ᵢ = dz1 xᵀ and dW2ᵢ = dz2 a1ᵀ, and the norm of
    an outer product is the product of the norms: ‖dW1ᵢ‖² + ‖db1ᵢ‖² = ‖dz1‖² (‖x‖² + 1). So no gradient is formed
    (Goodfellow 2015, "Efficient per-example gradient computations").
    """
    _, g_prime = resolve(params.hidden)
    Z1, A1, _, A2 = propagate(params, X)

    def square(columns: Array) -> Array:
        return jnp.sum(columns**2, axis=0, keepdims=True)

    dZ2 = A2 - Y
    dZ1 = params.W2.T @ dZ2 * g_prime(Z1)
    norms = jnp.sqrt(square(dZ1) * (square(X) + 1) + square(dZ2) * (square(A1) + 1))
    return A1, dZ2, dZ1, norms


@on_any_mesh
def per_example_grad_norms(params: Params, X: ArrayLike, Y: ArrayLike) -> Array:
    """The norm of each example's own gradient, over all of dW1, db1, dW2, db2; exact, and no gradient is stored.

    ‖gᵢ‖² = ‖dz1‖² (‖x‖² + 1) + ‖dz2‖² (‖a1‖² + 1): one forward and half a backward pass for all m.

    Args:
        params: the network.
        X: (n_x, m) examples as columns.
        Y: (n_y, m) targets as columns.

    Returns:
        (m,) norms. A large one marks an example that surprises the network, such as one with a wrong label.

    Raises:
        ValueError, TypeError: X or Y has another shape or type.

    Example:
        >>> import jax
        >>> from jaxshallow import init
        >>> params = init(jax.random.key(0), n_x=3, n_h=4, scale=0.0)
        >>> per_example_grad_norms(params, jnp.ones((3, 2)), jnp.array([[0, 1]]))  # ½ √(‖a1‖² + 1), a1 = ½
        Array([0.70710677, 0.70710677], dtype=float32)
    """
    params, X, Y = checks.examples(params, X, Y)
    return _per_example(params, X, Y)[-1][0]


@on_any_mesh
def clipped_grads(
    params: Params,
    X: ArrayLike,
    Y: ArrayLike,
    max_norm: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    l2: ArrayLike = 0.0,
) -> Params:
    """The mean of the examples' gradients, each first scaled down to `max_norm` where its norm is larger.

    Scaling dz scales an example's whole gradient, so one backward pass is enough. No example moves the result by more
    than max_norm / m: the basis of DP-SGD (Abadi et al. 2016), and a mean that outliers cannot pull far.

    Args:
        params: the network.
        X: (n_x, m) examples as columns.
        Y: (n_y, m) targets as columns.
        max_norm: the largest norm of an example's gradient, > 0.
        weights: (m,) weight of each example, ≥ 0, applied after clipping.
        l2: strength of the weight decay, ≥ 0, added after clipping.

    Returns:
        `Params` that hold the clipped dW1 (n_h, n_x), db1 (n_h, 1), dW2 (n_y, n_h), db2 (n_y, 1).

    Raises:
        ValueError: a shape is not as above, `max_norm` is not a positive scalar, or l2 < 0.
        TypeError: X is not floating point.

    Example:
        DP-SGD: noise of standard deviation `noise_multiplier * max_norm / batch_size` on the clipped mean, by optax.
        `batch_size` must divide m, since a smaller last batch would need more noise. (`fit` shuffles, so
        privacy accounting that assumes Poisson sampling is an approximation.)

        >>> import jax, optax
        >>> from jaxshallow import cost, fit, init
        >>> X = jax.random.normal(jax.random.key(1), (3, 64))
        >>> Y = X[:1] > 0
        >>> max_norm, noise_multiplier, batch_size = 1.0, 1.1, 32
        >>> def private(params, X, Y, *, weights=None, l2=0.0):
        ...     J = cost(params, X, Y, weights=weights, l2=l2)
        ...     return J, clipped_grads(params, X, Y, max_norm, weights=weights, l2=l2)
        >>> noise = optax.add_noise(eta=(noise_multiplier * max_norm / batch_size) ** 2, gamma=0.0, key=2)
        >>> result = fit(init(jax.random.key(0), n_x=3, n_h=4), X, Y, optimizer=optax.chain(noise, optax.sgd(0.1)),
        ...              epochs=5, batch_size=batch_size, key=jax.random.key(3), grads=private)
        >>> result.history.cost.shape
        (5,)
    """
    params, X, Y = checks.examples(params, X, Y)
    max_norm = checks.max_norm(params, max_norm)
    m = X.shape[1]
    _, w, λ = relative_weights(params, m, weights, l2)
    A1, dZ2, dZ1, norms = _per_example(params, X, Y)
    scale = w * jnp.where(norms > max_norm, max_norm / norms, 1)

    dZ2 = scale * dZ2
    dW2 = jnp.inner(dZ2, A1) / m + λ * params.W2
    db2 = dZ2.sum(axis=1, keepdims=True) / m
    dZ1 = scale * dZ1
    dW1 = jnp.inner(dZ1, X) / m + λ * params.W1
    db1 = dZ1.sum(axis=1, keepdims=True) / m

    grads = replace(params, W1=dW1, b1=db1, W2=dW2, b2=db2)
    checks.chex.assert_trees_all_equal_shapes_and_dtypes(grads, params)
    return grads


@on_any_mesh
def grad_noise_scale(
    params: Params,
    X: ArrayLike,
    Y: ArrayLike,
    *,
    norms: Callable[..., Array] = per_example_grad_norms,
    grads: Callable[..., Params] = manual_grads,
) -> Array:
    """The gradient noise scale tr(Σ) / ‖G‖²: about the batch size beyond which larger batches stop paying.

    Σ is the covariance of the examples' gradients gᵢ and G their mean over the data's distribution (McCandlish et al.
    2018, "An empirical model of large-batch training"). Both are estimated from these m examples without bias:
    tr(Σ) = m/(m−1) (mean ‖gᵢ‖² − ‖ḡ‖²) and ‖G‖² = ‖ḡ‖² − tr(Σ)/m.

    Args:
        params: the network.
        X: (n_x, m) examples as columns, m ≥ 2.
        Y: (n_y, m) targets as columns.
        norms, grads: how ‖gᵢ‖ and ḡ are computed, e.g. `stream(per_example_grad_norms)` and `stream(manual_grads)`.

    Returns:
        A scalar, in examples; infinity where the mean gradient cannot be told from noise, as at a minimum.

    Raises:
        ValueError: m < 2, or a shape is not as above.
        TypeError: X is not floating point.

    Example:
        >>> import jax
        >>> from jaxshallow import init
        >>> params = init(jax.random.key(0), n_x=3, n_h=4)
        >>> X = jax.random.normal(jax.random.key(1), (3, 500))
        >>> 1 < float(grad_noise_scale(params, X, X[:1] > -1)) < 500
        True
    """
    squares = norms(params, X, Y) ** 2
    m = squares.shape[0]
    if checks.is_known(m) and m < 2:
        raise ValueError(f"a noise scale needs at least 2 examples, got {m}")
    mean_square = sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(grads(params, X, Y)))
    variance = m / (m - 1) * jnp.maximum(squares.mean() - mean_square, 0)
    signal = mean_square - variance / m
    return jnp.where(signal > 0, variance / jnp.where(signal > 0, signal, 1), jnp.inf)
