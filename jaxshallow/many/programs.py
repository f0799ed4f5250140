"""What is compiled: drawing a group's first states, and training a chunk for some epochs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.typing import ArrayLike

from jaxshallow.bounded import bounded_jit
from jaxshallow.constants import without_compiling
from jaxshallow.descent import take_step
from jaxshallow.many.configs import Settings, columns
from jaxshallow.many.optimizers import Recipe
from jaxshallow.many.plan import Group
from jaxshallow.many.side_by_side import Places, costs, costs_and_grads, outputs
from jaxshallow.many.widths import widened
from jaxshallow.network import cost
from jaxshallow.params import Params, task_of
from jaxshallow.training.epochs import History, Kind, Rules, State, first_state, loop, run_epochs, watched
from jaxshallow.training.keys import packed, unpacked


def new_states(group: Group, settings: Settings) -> State:
    """The states of a group's new networks before their first epoch."""
    params, networks = first_params(group, settings), columns(settings, group.members)
    state = without_compiling(first_states, params, networks, recipe=group.recipe)
    return watched_states(state, settings)


def watched_states(state: State, settings: Settings) -> State:
    """The states with what `patience` needs before the first epoch."""
    return watched(state, settings.patience, settings.validated)


def with_optimizers(state: State, group: Group, settings: Settings) -> State:
    """The states of a group's networks; where there is no optimizer's state, that before the first step."""
    if state.opt_state is None:
        networks = columns(settings, group.members)
        first = without_compiling(first_states, state.params, networks, recipe=group.recipe)
        state = state._replace(opt_state=first.opt_state)
    return state


@partial(bounded_jit, functions=("recipe",))
def first_states(params: Params, networks: Mapping[str, Any], *, recipe: Recipe | None) -> State:
    """The first state of each network of a stack, `packed`: the host keeps them, and NumPy has no random keys."""

    def one(params: Params, network: Mapping[str, Any]) -> State:
        state: State = packed(first_state(params, _optimizer_of(recipe, network)))
        return state

    return jax.vmap(one)(params, networks)


def _optimizer_of(recipe: Recipe | None, network: Mapping[str, Any]) -> optax.GradientTransformation | None:
    return None if recipe is None else recipe.optimizer(network["numbers"])


def first_params(group: Group, settings: Settings) -> Params:
    """The stack of a group's first parameters: those that were given, or drawn as by `init`."""
    if settings.first is not None:
        own = [widened(settings.first[k], group.width, np.pad) for k in group.members]
        return jax.tree.map(lambda *leaves: np.stack(leaves), *own)
    networks, n_x, n_y = columns(settings, group.members), settings.n_x, settings.n_y
    cuts = tuple(np.unique(networks["cut"]).tolist())
    key, how = _typed(settings.key), {"hidden": group.hidden, "output": settings.output, "cuts": cuts}
    if _draws_do_not_depend_on_their_number(key):
        return draw(key, networks, **how, shape=(group.width, n_x, n_y), side_by_side=True)
    widths = networks["n_h"]
    parts, places = [], []
    for n_h in np.unique(widths).tolist():
        places.append(np.flatnonzero(widths == n_h))
        some = jax.tree.map(lambda column, rows=places[-1]: column[rows], networks)
        exact = draw(key, some, **how, shape=(n_h, n_x, n_y), side_by_side=False)
        parts.append(jax.vmap(partial(widened, width=group.width))(exact))
    order = np.argsort(np.concatenate(places))
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves)[order], *parts)


def _typed(key: ArrayLike) -> Array:
    """The key with its generator; what is compiled for an old-style one does not know it."""
    key = jnp.asarray(key)
    return key if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) else jax.random.wrap_key_data(key)


def _draws_do_not_depend_on_their_number(key: Array) -> bool:
    """Whether the first n of many random numbers are those that would be drawn alone, under vmap too."""
    partitionable: bool = jax.config.jax_threefry_partitionable  # type: ignore[attr-defined]
    return partitionable and str(jax.random.key_impl(key)) == "threefry2x32"


@partial(bounded_jit, static_argnames=("hidden", "output", "cuts", "shape", "side_by_side"))
def draw(
    key: Array,
    networks: Mapping[str, Any],
    *,
    hidden: Any,
    output: str,
    cuts: tuple[bool, ...],
    shape: tuple[int, int, int],
    side_by_side: bool,
) -> Params:
    """The first parameters of each network, drawn as by `init`: the padding does not change the numbers before it.

    Args:
        key: a JAX random key.
        networks: `columns` of their configs.
        hidden, output: of all networks.
        cuts: what the networks have under "cut": the program draws no other numbers.
        shape: (width, n_x, n_y).
        side_by_side: under vmap; else one after another.
    """
    width, n_x, n_y = shape

    def one(network: Mapping[str, Any]) -> Params:
        dtype, units = network["l2"].dtype, jnp.arange(width, dtype=np.int32) < network["n_h"]
        key1, key2 = jax.random.split(jax.random.fold_in(key, network["seed"]))

        def weights(key: Array, n: int, deviation: Array) -> Array:
            drawn = [
                jax.random.truncated_normal(key, -2, 2, (n,), dtype) if cut else jax.random.normal(key, (n,), dtype)
                for cut in cuts
            ]
            return (drawn[0] if len(cuts) == 1 else jnp.where(network["cut"], drawn[1], drawn[0])) * deviation

        W1 = weights(key1, width * n_x, network["deviation1"]).reshape(width, n_x)
        W2 = weights(key2, n_y * width, network["deviation2"])
        # Row y of W2 starts at y n_h, as in an array (n_y, n_h).
        places = np.arange(n_y, dtype=np.int32)[:, None] * network["n_h"] + jnp.arange(width, dtype=np.int32)[None, :]
        W2 = W2[jnp.minimum(places, n_y * width - 1)]
        return Params(
            W1=jnp.where(units[:, None], W1, 0),
            b1=jnp.zeros((width, 1), dtype),
            W2=jnp.where(units[None, :], W2, 0),
            b2=jnp.zeros((n_y, 1), dtype),
            hidden=hidden,
            output=output,
        )

    return jax.vmap(one)(networks) if side_by_side else jax.lax.map(one, networks)


@partial(bounded_jit, functions=("recipe", "grads", "rules"), static_argnames=("epochs", "patience", "last"))
def train_stack(
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
    recipe: Recipe | None,
    grads: Callable[..., tuple[Array, Params]],
    epochs: int,
    patience: int | None,
    last: int | None,
    rules: Rules,
) -> tuple[State, tuple[History, Array]]:
    """Train networks of one width for `epochs` epochs on one X, Y and order (epochs, batches, batch_size).

    Returns:
        Their new states, and (C, epochs) histories and whether each epoch ran.
    """

    def one(state: State, network: Mapping[str, Any], weights: Array | None, validation_weights: Array | None) -> Any:
        after, seen = run_epochs(
            unpacked(state), X, Y, weights, validation and (*validation, validation_weights), order,
            network["learning_rate"], network["l2"], tol,
            optimizer=_optimizer_of(recipe, network), grads=grads, validation_cost_of=_validation_cost,
            epochs=epochs, patience=patience, last=last, rules=rules, axis="networks",
        )  # fmt: skip
        return packed(after), seen

    return jax.vmap(one, axis_name="networks")(states, networks, weights, validation_weights)


def _validation_cost(params: Params, X: Array, Y: Array, weights: Array | None) -> Array:
    return cost(params, X, Y, weights=weights)


@partial(bounded_jit, functions=("recipe", "rules"), static_argnames=("epochs", "patience", "last"))
def train_units(
    X: Array,
    Y: Array,
    validation: tuple[Array, Array] | None,
    units: State,
    places: Places,
    networks: Mapping[str, Any],
    weights: Array | None,
    validation_weights: Array | None,
    order: Array | None,
    tol: Array,
    *,
    recipe: Recipe | None,
    epochs: int,
    patience: int | None,
    last: int | None,
    rules: Rules,
) -> tuple[State, tuple[History, Array]]:
    """`train_stack` for networks of any widths, side by side."""
    of_units = places.of_units({name: networks[name] for name in ("learning_rate", "numbers")})

    def step(carry: Any, X: Array, Y: Array, weights: Array | None, l2: Array) -> tuple[Any, Array]:
        J, grads = costs_and_grads(carry[0], X, Y, places, weights, l2)

        def of_unit(carry: Any, of_cost: tuple[Array, Params], network: Mapping[str, Any]) -> Any:
            optimizer, (params, opt_state) = _optimizer_of(recipe, network), carry
            found = take_step(
                optimizer, network["learning_rate"], lambda *_, **__: of_cost, params, opt_state, X, Y, None, l2
            )
            return found[0]

        return jax.vmap(of_unit)(carry, (places.of_units(J), grads), of_units), J

    def validation_cost(units: Params, X: Array, Y: Array) -> Array:
        return costs(units, X, Y, places, validation_weights)

    def score(units: Params, X: Array, Y: Array) -> Array:
        of_one, task = cast(Callable[..., Array], rules.validation_score), task_of(units.output, len(Y))
        axes = 0, None, None if validation_weights is None else 0
        return jax.vmap(partial(of_one, task=task), axes)(outputs(units, X, places), Y, validation_weights)

    def on_plateau(opt_state: Any) -> tuple[Any, Array]:
        of_one: Any = rules.on_plateau
        changed, stops = jax.vmap(of_one)(opt_state)
        return changed, places.of_networks(stops)

    seen = validation_cost, rules.validation_score and score
    kind = Kind(step, seen, places.choose, rules.on_plateau and on_plateau)
    after, costs_and_ran = loop(
        kind, unpacked(units), X, Y, weights, validation, order, networks["l2"], tol,
        epochs=epochs, patience=patience, last=last, batches_alone=rules.batches_alone,
    )  # fmt: skip
    history, ran = jax.tree.map(jnp.transpose, costs_and_ran)
    return packed(after), (history, ran)
