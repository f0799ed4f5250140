"""The compiled loop: epochs, minibatches and early stopping."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.tree_util import keystr
from jax.typing import ArrayLike

from jaxshallow import given
from jaxshallow.bounded import bounded_jit
from jaxshallow.checks import is_known
from jaxshallow.descent import CostAndGrads, take_step
from jaxshallow.meshes import on_any_mesh
from jaxshallow.network import propagate
from jaxshallow.optimizers import Optimizer, start, trained
from jaxshallow.params import Params, size_of


class History(NamedTuple):
    """What `fit` recorded, epoch by epoch: NumPy arrays of the parameters' dtype.

    Attributes:
        cost: (epochs,) J of the epoch: full-batch, at the parameters before its step; in minibatches, the mean of
            the batches' J, each at the parameters before that batch's step.
        validation_cost: (epochs,) cost on the validation data after the epoch, without l2; None if there is none.
        validation_score: (epochs,) the score that `Rules` ask for, of the same; None if they ask for none.
    """

    cost: np.ndarray | Array
    validation_cost: np.ndarray | Array | None = None
    validation_score: np.ndarray | Array | None = None


class State(NamedTuple):
    """What training carries from epoch to epoch.

    Attributes:
        params: the network.
        opt_state: the optimizer's state; () for plain gradient descent.
        best_cost: the lowest cost that `patience` has seen; None without patience, like the next two.
        idle_epochs: how many epochs have passed without a lower one.
        best_params: the parameters of the lowest validation cost; None where there is no validation.
    """

    params: Params
    opt_state: Any
    best_cost: Any = None
    idle_epochs: Any = None
    best_params: Params | None = None

    @property
    def network(self) -> Params:
        """The network that training has come to."""
        return trained(self.params, self.opt_state)

    @property
    def result(self) -> Params:
        """The parameters to return: the best if known, else the last."""
        return self.network if self.best_params is None else self.best_params


class Rules(NamedTuple):
    """Where the estimators train by scikit-learn's rules instead of those of `fit`.

    Attributes:
        batches_alone: a minibatch has the whole penalty, l2 / (2 Σ wᵢ) ‖W‖² with its own weights, instead of its share
            in that of all examples; and J of an epoch is the mean over examples, whatever they weigh.
        on_plateau: called with the optimizer's state when patience has run out: the new state, and whether training
            stops; if not, patience starts again. None: training stops.
        validation_score: a function (A2, Y, weights, task), recorded beside the validation cost.
    """

    batches_alone: bool = False
    on_plateau: Callable[[Any], tuple[Any, Array]] | None = None
    validation_score: Callable[..., Array] | None = None


OUR_RULES = Rules()
Carry: TypeAlias = tuple[Params, Any]  # the network and the optimizer's state


def first_state(params: Params, optimizer: Optimizer | None) -> State:
    """The `State` before the first epoch, without what `watched` adds."""

    def strong(leaf: Any) -> Any:
        """An array, not a Python number, and of no weak type, as L-BFGS starts with: files would lose both, and a
        resumed run would then be another program."""
        leaf = leaf if isinstance(leaf, Array) else jnp.asarray(leaf)
        return lax.convert_element_type(leaf, leaf.dtype) if getattr(leaf, "weak_type", False) else leaf

    return State(params, () if optimizer is None else jax.tree.map(strong, start(optimizer, params)))


started = bounded_jit(first_state, functions=("optimizer",))


def watched(state: State, patience: int | None, validated: bool) -> State:
    """The state, or stacked states, before the first epoch, with what `patience` needs, in NumPy: it compiles nothing.

    What it knows of an earlier run is kept. If patience has run out already, it does again after one more idle epoch.
    """
    if patience is None:
        return State(state.params, state.opt_state)
    if state.best_cost is not None and validated == (state.best_params is not None):
        return state._replace(idle_epochs=np.minimum(state.idle_epochs, np.int32(patience - 1)))
    W1 = state.params.W1
    best_cost, idle = np.full(W1.shape[:-2], np.inf, W1.dtype), np.zeros(W1.shape[:-2], np.int32)
    return State(state.params, state.opt_state, best_cost, idle, state.network if validated else None)


@partial(on_any_mesh, columns=False)
def run_epochs(
    state: State,
    X: Array,
    Y: Array,
    weights: Array | None,
    validation: tuple[Any, ...] | None,
    order: Array | None,
    learning_rate: Array,
    l2: Array,
    tol: Array,
    *,
    optimizer: Optimizer | None,
    grads: CostAndGrads,
    validation_cost_of: Callable[..., Array],
    epochs: int,
    patience: int | None,
    last: int | None = None,
    rules: Rules = OUR_RULES,
    axis: str | None = None,
) -> tuple[State, tuple[History, Array]]:
    """The compiled loop of `fit` and, under vmap, of `fit_many`; the arguments are theirs.

    Args:
        order: (epochs, batches, batch_size) the examples of each minibatch; None is full-batch.
        validation_cost_of: the cost on `validation`, called as `validation_cost_of(params, *validation)`.
        epochs: how many to run.
        last: as `last_batch` gives it.
        axis: the name of the axis that vmap maps over, if it does: when all have stopped, no step is computed.

    Returns:
        The new `State`, and for each epoch its `History` and whether it was run.
    """

    def step(carry: Carry, *batch: Any) -> tuple[Carry, Array]:
        return take_step(optimizer, learning_rate, grads, *carry, *batch)

    def score(params: Params, X: Array, Y: Array, weights: Array | None = None) -> Array:
        return rules.validation_score(propagate(params, X).A2, Y, weights, params.task)  # type: ignore[misc]

    def choose(which: Array, new: Any, old: Any) -> Any:
        return jax.tree.map(partial(jnp.where, which), new, old)

    def any_goes(going: Array) -> Array:
        return going if axis is None else lax.pmax(going.astype(jnp.int32), axis) > 0

    seen = validation_cost_of, score if rules.validation_score else None
    kind = Kind(step, seen, choose, rules.on_plateau, any_goes, alone=axis is None)
    return loop(
        kind, state, X, Y, weights, validation, order, l2, tol,
        epochs=epochs, patience=patience, last=last, batches_alone=rules.batches_alone,
    )  # fmt: skip


class Kind(NamedTuple):
    """What `loop` trains: a network, or K networks side by side, of which each number is (K,).

    Attributes:
        step: takes the network and the optimizer's state, X, Y, weights and l2; gives both after a step, and J before.
        seen: the validation cost and score, functions of the network and `validation`; None for no score.
        choose: (which, new, old) -> for each network its new arrays where `which` says so, else its old ones.
        on_plateau: as in `Rules`.
        any_goes: whether any of those that train together still goes on.
        alone: whether it is one network by itself.
    """

    step: Callable[..., tuple[Carry, Array]]
    seen: tuple[Callable[..., Array] | None, ...]
    choose: Callable[[Array, Any, Any], Any]
    on_plateau: Callable[[Any], tuple[Any, Array]] | None
    any_goes: Callable[[Array], Array] = jnp.any
    alone: bool = False


def loop(
    kind: Kind,
    state: State,
    X: Array,
    Y: Array,
    weights: Array | None,
    validation: tuple[Any, ...] | None,
    order: Array | None,
    l2: Array,
    tol: Array,
    *,
    epochs: int,
    patience: int | None,
    last: int | None,
    batches_alone: bool,
) -> tuple[State, tuple[History, Array]]:
    """Epoch after epoch; the arguments are those of `run_epochs`."""

    # A column of X is scattered in memory: an example's numbers are laid side by side once, not in every epoch.
    rows = () if order is None else lax.optimization_barrier((X.T, Y.T))

    validated_by = () if validation is None else kind.seen

    def descend(carry: Carry, *batch: Any) -> tuple[Carry, Array]:
        after, J = kind.step(carry, *batch)
        _check_form(carry[1], after[1])
        return after, J

    def epoch(state: State, order: Array | None) -> tuple[State, tuple[History, Any]]:
        carry = state.params, state.opt_state
        if order is None:
            carry, J = descend(carry, X, Y, weights, l2)
        else:
            carry, J = _minibatches(descend, carry, order, rows, weights, l2, last, batches_alone)
        state = state._replace(params=carry[0], opt_state=carry[1])
        seen = History(J, *(of and of(state.network, *(validation or ())) for of in validated_by))
        ran = jnp.ones(J.shape, bool)
        return state if patience is None else _watch(kind, state, seen, tol, patience), (seen, ran)

    def epoch_unless_stopped(state: State, order: Array | None) -> Any:
        going = state.idle_epochs < patience
        nothing = jnp.zeros(going.shape, X.dtype)

        def run(state: State, order: Array | None) -> tuple[State, tuple[History, Array]]:
            after, (seen, _) = epoch(state, order)
            return after if kind.alone else _chosen(kind, going, after, state), (seen, going)

        idle = state, (History(nothing, *(None if of is None else nothing for of in validated_by)), going)
        return lax.cond(kind.any_goes(going), run, lambda *_: idle, state, order)

    return lax.scan(epoch if patience is None else epoch_unless_stopped, state, order, length=epochs)


def _chosen(kind: Kind, which: Array, new: State, old: State) -> State:
    """Of networks that train together: the new states of those that `which` names."""
    params, opt_state, best = kind.choose(which, *((one.params, one.opt_state, one.best_params) for one in (new, old)))
    cost, idle = (jnp.where(which, *pair) for pair in zip(new[2:4], old[2:4], strict=True))
    return State(params, opt_state, cost, idle, best)


def _check_form(before: Any, after: Any) -> None:
    """TypeError if a step changes the form of the optimizer's state: a compiled loop needs one form."""
    forms = [
        {keystr(path): f"{leaf.dtype} {leaf.shape}" for path, leaf in jax.tree.leaves_with_path(s)}
        for s in (before, after)
    ]
    for name in {**forms[0], **forms[1]}:
        old, new = (form.get(name, "nothing") for form in forms)
        if old != new:
            raise TypeError(
                f"the optimizer's state must keep its form, but its step makes {new} of {name}, which is {old}: take "
                f"the steps in a loop of your own, with make_train_step"
            )


def last_batch(m: int, batch_size: int, entries: int) -> int | None:
    """The places of an epoch's last minibatch in the compiled loop: None if it is as full as the others.

    A size of its own needs a second copy of the step in the program. Where that is not worth compiling, the last batch
    has `batch_size` places, and examples of weight 0 fill it.

    Args:
        m, batch_size: of the epoch.
        entries: of all parameters that a step trains.
    """
    left = m % batch_size
    if left == 0:
        return None
    filled, step = (batch_size - left) / (m + batch_size - left), 6 * batch_size * entries
    return left if filled > 0.1 and step > 1e6 else batch_size


def _minibatches(
    descend: Callable[..., tuple[Carry, Array]],
    carry: Carry,
    order: Array,
    rows: tuple[Array, ...],
    weights: Array | None,
    l2: Array,
    last: int | None,
    alone: bool,
) -> tuple[Carry, Array]:
    """One epoch in minibatches, with `rows` (m, n_x) and (m, n_y): a step for each batch, and the mean of their J.

    Weights are (m,), or (K, m) of K networks. `alone` is `Rules.batches_alone`.
    """
    dtype = rows[0].dtype
    w = jnp.where(order >= 0, 1 if weights is None else weights[..., order], 0).astype(dtype)  # −1 fills the last batch
    w = jnp.moveaxis(w, -2, 0)
    totals = jnp.sum(w, axis=-1)
    counted = jnp.sum(order >= 0, axis=1, dtype=dtype)
    if l2.ndim:
        totals, counted, l2 = totals.reshape(len(order), -1), counted[:, None], l2[None, :]

    # Each batch takes its share of l2, so that the penalty is that of the whole cost, l2 / (2 Σ wᵢ) ‖W‖².
    shares = l2 * (jnp.ones_like(totals) if alone else totals / jnp.sum(totals, axis=0, keepdims=True))

    def one(carry: Carry, batch: tuple[Array, ...], weighted: bool) -> tuple[Carry, Array]:
        examples, w, share = batch
        x, y = (array[examples] for array in rows)
        return descend(carry, x.T, y.T, w if weighted else None, share)

    batches, own_size = (order, w, shares), last is not None and last < order.shape[1]
    full = jax.tree.map(lambda array: array[:-1], batches) if own_size else batches
    carry, J = lax.scan(partial(one, weighted=weights is not None or last == order.shape[1]), carry, full)
    if own_size:
        carry, J_last = one(carry, (order[-1, :last], w[-1, ..., :last], shares[-1]), weighted=True)
        J = jnp.concatenate([J, J_last[None]])
    counted = counted if alone else totals
    return carry, jnp.sum(J * counted, axis=0) / jnp.sum(counted, axis=0)


def _watch(kind: Kind, state: State, seen: History, tol: Array, patience: int) -> State:
    """The state after an epoch with what `patience` needs: is the cost the lowest so far?"""
    now = seen.cost if seen.validation_cost is None else seen.validation_cost
    lower = now < state.best_cost
    best_params = state.best_params and kind.choose(lower, state.network, state.best_params)
    idle, opt_state = jnp.where(now < state.best_cost - tol, 0, state.idle_epochs + 1), state.opt_state
    if kind.on_plateau is not None:
        (changed, stops), plateau = kind.on_plateau(opt_state), idle >= patience
        opt_state = kind.choose(plateau, changed, opt_state)
        idle = jnp.where(plateau & ~stops, 0, idle)
    return state._replace(
        opt_state=opt_state,
        best_cost=jnp.where(lower, now, state.best_cost),
        idle_epochs=idle,
        best_params=best_params,
    )


# Nothing is donated, so that an interrupted run leaves its starting parameters intact.
compiled_epochs = bounded_jit(
    run_epochs, functions=("optimizer", "grads", "validation_cost_of"), static_argnames=("epochs", "patience", "last")
)


def words(key: ArrayLike | list[int]) -> Any:
    """The integers of a JAX random key, new style or old: a list, or an array if the key is traced."""
    if isinstance(key, list):
        return key
    if isinstance(key, np.ndarray):
        return key.ravel().tolist()
    with jax.ensure_compile_time_eval():  # concrete numbers, even inside someone's jit
        words = key if jnp.issubdtype(jnp.asarray(key).dtype, jnp.integer) else jax.random.key_data(key)
        return words if given.is_traced(words) else np.asarray(words).ravel().tolist()


def epoch_order(key: ArrayLike | list[int], epoch: int, m: int, batch_size: int) -> np.ndarray:
    """The order of the examples in one epoch: a function of (key, epoch) alone, so that a resumed run is the same.

    Drawn by NumPy on the host, since `jax.random.permutation` can cost more than the epoch itself on a CPU.

    Returns:
        (batches, batch_size) int32 indices; the last batch is filled up with −1.

    Example:
        >>> epoch_order(jax.random.key(0), epoch=3, m=5, batch_size=4).shape
        (2, 4)
    """
    permutation = np.random.default_rng([*words(key), epoch]).permutation(m)
    batches = -(-m // batch_size)
    order = np.full(batches * batch_size, -1, np.int32)
    order[:m] = permutation
    return order.reshape(batches, batch_size)


def epoch_orders(key: Any, epochs: range, m: int, batch_size: int) -> Any:
    """`epoch_order` of several epochs: (epochs, batches, batch_size).

    Args:
        key: its `words`. If they are traced, the program asks the host for the orders when it runs.
        epochs, m, batch_size: as in `epoch_order`.
    """
    if given.is_traced(key):
        shape = jax.ShapeDtypeStruct((len(epochs), -(-m // batch_size), batch_size), np.int32)
        drawn = partial(epoch_orders, epochs=epochs, m=m, batch_size=batch_size)
        return jax.pure_callback(lambda key: drawn(words(np.asarray(key))), shape, key, vmap_method="sequential")
    return np.stack([epoch_order(key, epoch, m, batch_size) for epoch in epochs])


def epochs_a_program(params: Params, m: int, batch_size: int, epochs: int, callback: object, matrix: int = 0) -> int:
    """How many epochs a program runs: about a tenth of a second, so that Ctrl-C and `callback` get their turn.

    At least two: XLA unrolls a loop of one, and then rounds differently. `matrix` is as in `operations`.
    """
    most = epochs if callback is None else max(2, epochs // 100)
    if not is_known(m):
        return most
    return int(min(most, max(2, 2e9 // operations(size_of(params), m, batch_size, matrix))))


def operations(entries: int, m: int, batch_size: int, matrix: int = 0) -> int:
    """An epoch's cost in multiplications, with `entries` parameters; each step also takes about 10 µs of its own.

    `matrix` is P if a step forms and factors the P × P matrix of each network, else 0.
    """
    steps = -(-m // batch_size)
    return (6 * m + matrix * (m + steps * matrix // 3)) * entries + 200_000 * steps
