"""K networks of any widths as one wide network: their hidden units side by side, and a W2 of blocks.

W1, b1 and A1 of all networks stand one below the other: U = Σ n_h units in all. Network k reads its own units alone,

         ⎡ W2 of network 0                                   ⎤
    W2 = ⎢                  W2 of network 1                  ⎥        (K n_y, U), and 0 elsewhere,
         ⎣                                   W2 of network 2 ⎦

so that the notes' equations, of this one network, are those of all: no unit is padded, and a program for U units and K
networks serves all widths. The first layer is one product, whatever the widths. The second multiplies zeros, which is
cheap while K n_y is small beside n_x.

Each unit is kept as a network with n_h = 1, of the arrays W1 (U, 1, n_x), b1 (U, 1, 1), W2 (U, n_y, 1) and b2
(U, n_y, 1), where all units of a network have its b2. An optimizer that treats each unit by itself trains units as it
trains networks, by `vmap`. For others networks are not laid side by side.

0 · ∞ is not 0: a network that diverges must not spoil the others. Where it is not finite, it is kept out of products.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from jaxshallow.activations import OUTPUTS, resolve
from jaxshallow.network import relative_weights
from jaxshallow.params import Params


class Places(NamedTuple):
    """Which units are whose.

    Attributes:
        owner: (U,) the network of each unit; K for units that fill the program up.
        first: (K,) the first unit of each network; 0 for networks that fill the program up, which have no units.
    """

    owner: Any
    first: Any

    @property
    def own(self) -> Array:
        """(K, 1, U) whether a unit is the network's."""
        networks = jnp.arange(len(self.first), dtype=np.int32)
        return self.owner[None, None, :] == networks[:, None, None]

    def of_units(self, of_networks: Any) -> Any:
        """For each unit what is its network's, from arrays (K, ...)."""
        return jax.tree.map(lambda leaf: leaf[self.owner], of_networks)

    def of_networks(self, of_units: Any) -> Any:
        """For each network what its units share, from arrays (U, ...)."""
        return jax.tree.map(lambda leaf: leaf[self.first], of_units)

    def choose(self, which: Array, new: Any, old: Any) -> Any:
        """The new arrays of units (U, ...) for the networks that `which` (K,) names, else the old ones."""
        of_unit = which[self.owner]
        return jax.tree.map(lambda a, b: jnp.where(of_unit.reshape(-1, *[1] * (a.ndim - 1)), a, b), new, old)


def outputs(units: Params, X: Array, places: Places) -> Array:
    """(K, n_y, m) A2 of each network."""
    return jax.vmap(OUTPUTS[units.output].activation)(_propagated(units, X, places)[2])


def costs(
    units: Params, X: Array, Y: Array, places: Places, weights: Array | None = None, l2: ArrayLike = 0.0
) -> Array:
    """(K,) `cost` of each network; weights are (m,) or (K, m), l2 is a number or (K,)."""
    _, w, λ = _relative_weights(units, X, places, weights, l2)
    return _costs(units, _propagated(units, X, places)[2], Y, places, w, λ)


def costs_and_grads(
    units: Params, X: Array, Y: Array, places: Places, weights: Array | None = None, l2: ArrayLike = 0.0
) -> tuple[Array, Params]:
    """`cost_and_grads` of each network: (K,) costs, and gradients in the form of the units."""
    _, g_prime = resolve(units.hidden)
    σ = OUTPUTS[units.output].activation
    own, m = places.own, X.shape[1]
    _, w, λ = _relative_weights(units, X, places, weights, l2)
    W1, W2, λ1 = units.W1[:, 0], _blocks(units, own), places.of_units(λ)[:, None]
    Z1, A1, Z2 = _propagated(units, X, places)
    A2 = jax.vmap(σ)(Z2)
    lost = ~jnp.isfinite(Z2).all(axis=(1, 2))

    dZ2 = w[:, None, :] * (A2 - Y[None])
    dW2 = _own_block(jnp.inner(dZ2, A1), own) / m + λ1 * units.W2[:, :, 0]
    db2 = dZ2.sum(axis=2) / m
    dA1 = jnp.tensordot(W2, jnp.where(lost[:, None, None], 0, dZ2), ((0, 1), (0, 1)))
    dZ1 = jnp.where(places.of_units(lost)[:, None], jnp.nan, dA1) * g_prime(Z1)
    dW1 = jnp.inner(dZ1, X) / m + λ1 * W1
    db1 = dZ1.sum(axis=1) / m

    db2 = places.of_units(db2)
    grads = replace(units, W1=dW1[:, None, :], b1=db1[:, None, None], W2=dW2[:, :, None], b2=db2[:, :, None])
    return _costs(units, Z2, Y, places, w, λ), grads


def _propagated(units: Params, X: Array, places: Places) -> tuple[Array, Array, Array]:
    """Z1 and A1 (U, m), and Z2 (K, n_y, m)."""
    g, _ = resolve(units.hidden)
    W1, b1, W2, b2 = units.W1[:, 0], units.b1[:, 0], _blocks(units, places.own), places.of_networks(units.b2)

    Z1 = W1 @ X + b1
    A1 = g(Z1)
    Z2 = jnp.tensordot(W2, _finite(A1), axes=1) + b2

    # Where A1 was not finite, Z2 is beyond what a cost could be computed from.
    return Z1, A1, jnp.where(abs(Z2) < float(jnp.finfo(Z2.dtype).max) ** 0.5, Z2, jnp.nan)


def _blocks(units: Params, own: Array) -> Array:
    """W2 of all networks, (K, n_y, U): zeros but for each network's own units."""
    return jnp.where(own, units.W2[:, :, 0].T[None], 0)


def _own_block(of_all: Array, own: Array) -> Array:
    """(U, n_y) what (K, n_y, U) has for each unit and its own network."""
    return jnp.where(own, of_all, 0).sum(axis=0).T


def _finite(A: Array) -> Array:
    """A, with the largest number in the place of those that are not finite."""
    largest = float(jnp.finfo(A.dtype).max)
    return jnp.where(abs(A) < largest, A, largest)


def _relative_weights(
    units: Params, X: Array, places: Places, weights: Array | None, l2: ArrayLike
) -> tuple[Any, Array, Array]:
    """`relative_weights` of each network: Σ wᵢ (K,), w (K, m), or (K, 1) without weights, and λ (K,)."""
    K, m = len(places.first), X.shape[1]
    l2 = jnp.broadcast_to(jnp.asarray(l2, X.dtype), (K,))
    axis = None if weights is None or weights.ndim == 1 else 0
    total, w, λ = jax.vmap(partial(relative_weights, units, m), in_axes=(axis, 0))(weights, l2)
    return total, jnp.asarray(w, X.dtype).reshape(K, -1), λ


def _costs(units: Params, Z2: Array, Y: Array, places: Places, w: Array, λ: Array) -> Array:
    L = jax.vmap(OUTPUTS[units.output].loss, in_axes=(0, None))(Z2, Y)
    squares = jnp.sum(units.W1**2, axis=(1, 2)) + jnp.sum(units.W2**2, axis=(1, 2))

    return jnp.sum(w * L, axis=1) / Z2.shape[2] + λ / 2 * jnp.sum(jnp.where(places.own[:, 0], squares[None], 0), axis=1)


def cost_and_grads_beside_another(
    params: Params, X: ArrayLike, Y: ArrayLike, *, weights: ArrayLike | None = None, l2: ArrayLike = 0.0
) -> tuple[Array, Params]:
    """`cost_and_grads` as `fit_many` computes it, beside a network of another width. For the certificate."""
    n_h = len(params.W1)
    other = n_h // 2 + 1
    rows = jnp.concatenate([jnp.arange(other), jnp.arange(n_h)])
    b2 = jnp.broadcast_to(params.b2, (len(rows), *params.b2.shape))
    units = replace(params, W1=params.W1[rows, None], b1=params.b1[rows, None], W2=params.W2.T[rows, :, None], b2=b2)
    places = Places(np.repeat(np.arange(2, dtype=np.int32), [other, n_h]), np.array([0, other], np.int32))
    X, Y = (jnp.asarray(given, params.W1.dtype) for given in (X, Y))
    J, g = costs_and_grads(units, X, Y, places, None if weights is None else jnp.asarray(weights, X.dtype), l2)
    g = jax.tree.map(lambda leaf: leaf[other:], g)
    return J[1], replace(g, W1=g.W1[:, 0], b1=g.b1[:, 0], W2=g.W2[:, :, 0].T, b2=g.b2[0])
