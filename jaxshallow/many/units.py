"""A stack of networks, whose hidden layers are padded to one width, as units side by side, and back: on the host."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxshallow.activations import HIDDEN, resolve
from jaxshallow.lifetimes import kept_with
from jaxshallow.many.elementwise import a_width, is_elementwise
from jaxshallow.many.optimizers import Recipe, shapes, trial
from jaxshallow.many.side_by_side import Places
from jaxshallow.params import Params
from jaxshallow.training.epochs import State, first_state

OURS = frozenset(HIDDEN.values())
Axes = Sequence[int | None]  # for each leaf, that of the hidden units


class Layout(NamedTuple):
    """Where the units of some networks stand in a program.

    Attributes:
        widths: (n,) of the networks.
        U, K: the program's numbers of units and networks; what the networks do not need is filled up.
        axes: of a network's parameters, and of the state of its optimizer.
    """

    widths: np.ndarray
    U: int
    K: int
    axes: tuple[Axes, Axes]

    @property
    def first(self) -> np.ndarray:
        """(n,) the first unit of each network."""
        return np.cumsum(self.widths) - self.widths

    @property
    def units(self) -> tuple[np.ndarray, np.ndarray]:
        """For each unit its network, and its place in the network's hidden layer."""
        network = np.repeat(np.arange(len(self.widths)), self.widths)
        return network, np.arange(len(network)) - self.first[network]

    @property
    def places(self) -> Places:
        network, _ = self.units
        return Places(
            _filled(network, self.U, self.K).astype(np.int32), _filled(self.first, self.K, 0).astype(np.int32)
        )

    def side_by_side(self, stack: State) -> State:
        """The networks of a stack (n, ...) as units (U, ...). What `patience` counts is still of networks."""
        network, place = self.units

        def leaf_of(leaf: np.ndarray, axis: int | None) -> np.ndarray:
            if axis is None:
                return _filled(leaf[network], self.U, 0)
            return _filled(np.expand_dims(np.moveaxis(leaf, axis + 1, 1)[network, place], axis + 1), self.U, 0)

        def watched(leaf: Any) -> Any:
            return None if leaf is None else _filled(leaf, self.K, 2**30)  # what fills the program up has no patience

        return self._by_leaf(leaf_of, watched, stack)

    def stacked(self, units: State, width: int) -> State:
        """The inverse of `side_by_side`: hidden layers are padded to `width` with zeros."""
        network, place = self.units
        n = len(self.widths)

        def leaf_of(leaf: np.ndarray, axis: int | None) -> np.ndarray:
            if axis is None:
                return leaf[self.first]
            own = np.squeeze(leaf, axis + 1)[: len(network)]
            padded = np.zeros((n, width, *own.shape[1:]), own.dtype)
            padded[network, place] = own
            return np.moveaxis(padded, 1, axis + 1)

        return self._by_leaf(leaf_of, lambda leaf: None if leaf is None else leaf[:n], units)

    def _by_leaf(self, of_leaf: Callable[..., Any], watched: Callable[[Any], Any], state: State) -> State:
        def mapped(tree: Any, axes: Axes) -> Any:
            leaves, form = jax.tree.flatten(tree)
            new = [of_leaf(np.asarray(leaf), axis) for leaf, axis in zip(leaves, axes, strict=True)]
            return jax.tree.unflatten(form, new)

        of_params, of_optimizer = self.axes
        return State(
            params=mapped(state.params, of_params),
            opt_state=mapped(state.opt_state, of_optimizer),
            best_cost=watched(state.best_cost),
            idle_epochs=watched(state.idle_epochs),
            best_params=None if state.best_params is None else mapped(state.best_params, of_params),
        )


def _filled(leaf: np.ndarray, n: int, value: Any) -> np.ndarray:
    """The leaf, lengthened to n rows of a value."""
    filled = np.full((n, *leaf.shape[1:]), value, leaf.dtype)
    filled[: len(leaf)] = leaf
    return filled


def axes_of_units(recipe: Recipe | None, like: Params) -> tuple[Axes, Axes]:
    """`Layout.axes` of networks whose optimizers have this recipe; found once, since each fold asks.

    Args:
        recipe: None for plain gradient descent.
        like: the shapes and dtypes of one of the networks.

    Raises:
        ValueError: the optimizer's state has not one entry for each unit.
    """
    if recipe is None:
        return _found_axes(None, like)
    return kept_with(recipe.factory, ("axes", *_all_but_width(recipe, like)), lambda: _found_axes(recipe, like))


def _all_but_width(recipe: Recipe, like: Params) -> tuple[Any, ...]:
    """What tells recipes of one factory apart where the width is a symbol."""
    return recipe.fixed, recipe.numbers, like.W1.shape[1], len(like.W2), like.W1.dtype


def _found_axes(recipe: Recipe | None, like: Params) -> tuple[Axes, Axes]:
    one = _of_any_width(like)

    def state(params: Params, numbers: Mapping[str, Any]) -> State:
        return first_state(params, None if recipe is None else recipe.optimizer(numbers))

    numbers = {name: jax.ShapeDtypeStruct((), jnp.result_type(kind)) for name, kind in recipe.numbers} if recipe else {}
    found = jax.eval_shape(state, one, numbers)

    params, opt_state = ([_axis(leaf) for leaf in jax.tree.leaves(part)] for part in (found.params, found.opt_state))
    return params, opt_state


def _axis(leaf: Any) -> int | None:
    """The axis of the hidden units."""
    of_units = [(i, size) for i, size in enumerate(leaf.shape) if not isinstance(size, int)]
    if not of_units:
        return None
    ((axis, size),) = of_units
    if size != a_width():
        raise ValueError(f"an array for each unit has {size} entries")
    return axis


def units_are_alone(hidden: Any, recipe: Recipe | None, like: Params) -> bool:
    """Whether this activation and optimizer treat each hidden unit by itself, so that units can stand side by side.

    Args:
        hidden: the activation.
        recipe: of the optimizer; None for plain gradient descent.
        like: the shapes and dtypes of a network.
    """
    if not (isinstance(hidden, str) and HIDDEN[hidden] in OURS):
        Z1 = jax.ShapeDtypeStruct((a_width(), 1), like.W1.dtype)
        if not all(is_elementwise(one, Z1) for one in resolve(hidden)):
            return False
    if recipe is None:
        return True
    key = "alone", *_all_but_width(recipe, like)
    return kept_with(recipe.factory, key, lambda: _trains_units_alone(recipe, like))


def _trains_units_alone(recipe: Recipe, like: Params) -> bool:
    if not is_elementwise(*trial(recipe, _of_any_width(like))):
        return False
    try:
        axes_of_units(recipe, like)
    except ValueError:
        return False
    return True


def _of_any_width(like: Params) -> Params:
    return shapes(a_width(), like.W1.shape[1], len(like.W2), like.W1.dtype)
