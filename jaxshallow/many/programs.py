"""What is compiled: drawing a group's first states, and training a chunk for some epochs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from jaxshallow.lifetimes import jit_weakly
from jaxshallow.many.configs import Factory, Settings, columns, optimizer_of
from jaxshallow.many.plan import Group
from jaxshallow.many.widths import padded
from jaxshallow.network import cost
from jaxshallow.params import Params
from jaxshallow.training.epochs import History, State, first_state, run_epochs, watched


def new_states(group: Group, settings: Settings) -> State:
    """The states of a group's new networks before their first epoch."""
    state = draw_states(
        settings.key, columns(settings, group.members), hidden=group.hidden, output=settings.output,
        factory=settings.factory, shape=(group.width, settings.n_x, settings.n_y),
    )  # fmt: skip
    return watched_states(state, settings)


def watched_states(state: State, settings: Settings) -> State:
    """The states with what `patience` needs before the first epoch."""
    return jax.vmap(lambda state: watched(state, settings.patience, settings.validated))(state)


@partial(jit_weakly, functions=("factory",), static_argnames=("hidden", "output", "shape"))
def draw_states(
    key: ArrayLike,
    networks: Mapping[str, Any],
    *,
    hidden: Any,
    output: str,
    factory: Factory | None,
    shape: tuple[int, int, int],
) -> State:
    """The first state of each network, drawn as by `init`: the padding does not change the numbers before it.

    Args:
        key: a JAX random key.
        networks: `columns` of their configs.
        hidden, output, factory: of all networks.
        shape: (width, n_x, n_y).
    """
    width, n_x, n_y = shape

    def one(network: Mapping[str, Any]) -> State:
        dtype, units = network["learning_rate"].dtype, jnp.arange(width, dtype=np.int32) < network["n_h"]
        key1, key2 = jax.random.split(jax.random.fold_in(key, network["seed"]))

        def draw(key: Array, n: int, deviation: Array) -> Array:
            cut = jax.random.truncated_normal(key, -2, 2, (n,), dtype)
            return jnp.where(network["cut"], cut, jax.random.normal(key, (n,), dtype)) * deviation

        W1 = draw(key1, width * n_x, network["deviation1"]).reshape(width, n_x)
        W2 = draw(key2, n_y * width, network["deviation2"])
        # Row y of W2 starts at y n_h, as in an array (n_y, n_h).
        places = np.arange(n_y, dtype=np.int32)[:, None] * network["n_h"] + jnp.arange(width, dtype=np.int32)[None, :]
        W2 = W2[jnp.minimum(places, n_y * width - 1)]
        params = Params(
            W1=jnp.where(units[:, None], W1, 0),
            b1=jnp.zeros((width, 1), dtype),
            W2=jnp.where(units[None, :], W2, 0),
            b2=jnp.zeros((n_y, 1), dtype),
            hidden=hidden,
            output=output,
        )
        return first_state(params, optimizer_of(factory, network))

    return jax.vmap(one)(networks)


@partial(jit_weakly, functions=("factory", "grads"), static_argnames=("epochs", "patience"))
def train_chunk(
    X: Array,
    Y: Array,
    validation: tuple[Array, Array] | None,
    states: State,
    networks: Mapping[str, Any],
    weights: Array | None,
    validation_weights: Array | None,
    order: Array | None,
    tol: Array,
    *,
    factory: Factory | None,
    grads: Callable[..., tuple[Array, Params]],
    epochs: int,
    patience: int | None,
) -> tuple[State, tuple[History, Array]]:
    """Train a chunk of networks for `epochs` epochs on one X, Y and order (epochs, batches, batch_size).

    Returns:
        Their new states, and (C, epochs) histories and whether each epoch ran.
    """

    def one(state: State, network: Mapping[str, Any], weights: Array | None, validation_weights: Array | None) -> Any:
        return run_epochs(
            state, X, Y, weights, validation and (*validation, validation_weights), order,
            network["learning_rate"], network["l2"], tol,
            optimizer=optimizer_of(factory, network), grads=padded(grads, network["n_h"]),
            validation_cost_of=_validation_cost, epochs=epochs, patience=patience,
        )  # fmt: skip

    return jax.vmap(one)(states, networks, weights, validation_weights)


def _validation_cost(params: Params, X: Array, Y: Array, weights: Array | None) -> Array:
    return cost(params, X, Y, weights=weights)
