"""Networks of different widths side by side: hidden layers are padded with units that change nothing.

A padded hidden unit has zero weights in and out, and they stay exactly 0: it adds W2 g(0) = 0 to Z2, and its row of
W2ᵀ dZ2 is 0, so its dW1 and db1 are 0. Only its dW2 = dZ2 A1ᵀ is not 0 if g(0) ≠ 0, as for σ; it is set to 0.

An optimizer may move zeros, so that its updates of padding are set to 0 too. One that looks at more than one weight
at a time (at a norm, a mean, a factored moment) or draws random numbers would see the padding: `padding_shows` finds
it out, and then networks are grouped by their exact width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.typing import ArrayLike

from jaxshallow.activations import HIDDEN, resolve
from jaxshallow.backprop import cost_and_grads
from jaxshallow.many.elementwise import a_width, is_elementwise
from jaxshallow.many.optimizers import INDIFFERENT, Recipe, shapes, trial
from jaxshallow.params import Params

OURS = frozenset(HIDDEN.values())


def bucket(n_h: int) -> int:
    """The width that n_h is padded to: a multiple of 4, and at most a quarter more, so that few widths are compiled."""
    step = max(4, 2 ** ((n_h - 1).bit_length() - 3))
    return -(-n_h // step) * step


def widened(params: Params, width: int, pad: Callable[..., Any] = jnp.pad) -> Params:
    """The same network, padded to `width` hidden units with zero weights; `pad` is NumPy's or JAX's."""
    spare = ((0, width - len(params.W1)), (0, 0))
    return replace(params, W1=pad(params.W1, spare), b1=pad(params.b1, spare), W2=pad(params.W2, spare[::-1]))


def narrowed(params: Params, n_h: int) -> Params:
    """The first n_h hidden units: the inverse of `widened`."""
    return replace(params, W1=params.W1[:n_h], b1=params.b1[:n_h], W2=params.W2[:, :n_h])


def of_padded(grads: Callable[..., tuple[Array, Params]], n_h: ArrayLike) -> Callable[..., tuple[Array, Params]]:
    """`grads`, such as `cost_and_grads`, for networks whose hidden units from n_h on are padding, and stay so."""

    def padded(
        params: Params, X: ArrayLike, Y: ArrayLike, *, weights: ArrayLike | None = None, l2: ArrayLike = 0.0
    ) -> tuple[Array, Params]:
        J, g = grads(params, X, Y, weights=weights, l2=l2)
        return J, replace(g, W2=jnp.where(jnp.arange(g.W2.shape[1], dtype=np.int32)[None, :] < n_h, g.W2, 0))

    return padded


def still(optimizer: optax.GradientTransformation, n_h: ArrayLike) -> optax.GradientTransformation:
    """The optimizer, with updates of 0 for hidden units from n_h on."""

    def of_units(updates: Params) -> Params:
        units = jnp.arange(updates.W2.shape[1], dtype=np.int32) < n_h
        W1, b1 = (jnp.where(units[:, None], update, 0) for update in (updates.W1, updates.b1))
        return replace(updates, W1=W1, b1=b1, W2=jnp.where(units[None, :], updates.W2, 0))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        updates, state = optax.with_extra_args_support(optimizer).update(updates, state, params, **extra)
        # Lookahead updates a pair of networks.
        return jax.tree.map(of_units, updates, is_leaf=lambda part: isinstance(part, Params)), state

    return optax.GradientTransformationExtraArgs(optimizer.init, update)


def padding_shows(hidden: Any, recipe: Recipe | None, like: Params) -> bool:
    """Whether networks with this activation and optimizer would be other ones with padding.

    Args:
        hidden: the activation.
        recipe: of the optimizer.
        like: the shapes and dtypes of a network.
    """
    if not _is_harmless(hidden, like):
        return True
    if recipe is None:
        return False
    if recipe.factory in INDIFFERENT and all(isinstance(value, int | float) for _, value in recipe.fixed):
        return False
    any_width = shapes(a_width(), like.W1.shape[1], len(like.W2), like.W1.dtype)
    return not is_elementwise(*trial(recipe, any_width))


def _is_harmless(hidden: Any, like: Params) -> bool:
    """Whether an activation treats each unit by itself, with g(0) and g′(0) finite, since 0 · ∞ is not 0."""
    if isinstance(hidden, str) and HIDDEN[hidden] in OURS:
        return True
    Z1 = jax.ShapeDtypeStruct((a_width(), 1), like.W1.dtype)
    return all(
        is_elementwise(one, Z1) and np.isfinite(np.asarray(one(jnp.zeros((1, 1), Z1.dtype)))).all()
        for one in resolve(hidden)
    )


def cost_and_grads_among_others(
    params: Params, X: ArrayLike, Y: ArrayLike, *, weights: ArrayLike | None = None, l2: ArrayLike = 0.0
) -> tuple[Array, Params]:
    """`cost_and_grads` as `fit_many` computes it: padded, and beside another network. For the certificate."""
    n_h = len(params.W1)
    wide = widened(params, bucket(n_h + 1))
    two = jax.tree.map(lambda leaf: jnp.stack([leaf / 2, leaf]), wide)
    one = of_padded(cost_and_grads, n_h)
    J, grads = jax.tree.map(lambda leaf: leaf[1], jax.vmap(lambda p: one(p, X, Y, weights=weights, l2=l2))(two))
    return J, narrowed(grads, n_h)
