"""Gradient descent: one step (`update`), a compiled training step (`make_train_step`), and a whole run (`fit`).

W := W − α dW. Any optax transformation can take the place of plain gradient descent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax
from jax.typing import ArrayLike

from jaxshallow import checks
from jaxshallow.backprop import cost_and_grads
from jaxshallow.executions import faster
from jaxshallow.network import cost
from jaxshallow.params import Params, check_sizes, check_tol

Optimizer: TypeAlias = optax.GradientTransformation
CostAndGrads = Callable[..., tuple[Array, Params]]


class History(NamedTuple):
    """What `fit` saw, epoch by epoch: NumPy arrays of the parameters' dtype.

    Attributes:
        cost: (epochs,) J of the epoch: full-batch, at the parameters before its step; in minibatches, the mean of
            the batches' J, each at the parameters before that batch's step.
        validation_cost: (epochs,) cost on the validation data after the epoch, without l2; None if there is none.
    """

    cost: np.ndarray | Array
    validation_cost: np.ndarray | Array | None = None


def update(params: Params, grads: Params, learning_rate: ArrayLike) -> Params:
    """One step of gradient descent, W := W − α dW, for each of W1, b1, W2, b2; every dtype stays.

    Args:
        params: the network.
        grads: its gradient, of the same shapes.
        learning_rate: α.

    Returns:
        The new `Params`.

    Example:
        >>> from jaxshallow import init
        >>> params = init(jax.random.key(0), n_x=3, n_h=4)
        >>> float(update(params, jax.tree.map(jnp.ones_like, params), 0.5).b1[0, 0])
        -0.5
    """
    return jax.tree.map(lambda W, dW: (W - learning_rate * dW).astype(W.dtype), params, grads)


def _descend(optimizer: Optimizer | None, learning_rate, grads: CostAndGrads, params, opt_state, X, Y, weights, l2):
    """One step, optax's where an optimizer is given and `update` otherwise, and the cost before it."""

    def at(params):
        return grads(params, X, Y, weights=weights, l2=l2)

    J, g = at(params)
    if optimizer is None:
        return (update(params, g, learning_rate), opt_state), J
    # Line searches (L-BFGS) and plateau schedules ask for the cost as well; others pass it over.
    updates, opt_state = optax.with_extra_args_support(optimizer).update(
        g, opt_state, params, value=J, grad=g, value_fn=lambda params: at(params)[0]
    )
    return (optax.apply_updates(params, updates), opt_state), J


def _keeps_params(optimizer: Optimizer) -> bool:
    """Whether the optimizer's state holds the very buffers of the parameters, as L-BFGS's first state does."""
    W1, b1, W2, b2 = (jnp.full((1, 1), k, jnp.float32) for k in range(4))
    one = Params(W1, b1, W2, b2)
    try:
        leaves = jax.tree.leaves((one, optimizer.init(one)))
    except (TypeError, ValueError):
        return True  # a mask or labels made for the user's own network: there is no telling from another one
    buffers = [leaf.unsafe_buffer_pointer() for leaf in leaves if isinstance(leaf, Array)]
    return len(set(buffers)) < len(buffers)


def make_train_step(optimizer: Optimizer, *, l2: ArrayLike = 0.0, grads: CostAndGrads = cost_and_grads):
    """A compiled training step for a loop of your own.

    `params` and `opt_state` are donated: their memory is used again for the results, so keep the returned ones.
    (An optimizer whose state shares the parameters' memory, as L-BFGS's, cannot be donated, and is not.)

    Args:
        optimizer: any optax transformation.
        l2: strength of the weight decay, as in `cost`.
        grads: cost and gradient, with `cost_and_grads`' signature.

    Returns:
        `step(params, opt_state, X, Y, weights=None) -> (params, opt_state, J)`, with J the cost before the step.

    Raises:
        ValueError, TypeError: from `step`, as `cost_and_grads`.

    Example:
        >>> from jaxshallow import init
        >>> optimizer = optax.adam(0.01)
        >>> params = init(jax.random.key(0), n_x=3, n_h=4)
        >>> step = make_train_step(optimizer)
        >>> params, opt_state, J = step(params, optimizer.init(params), jnp.ones((3, 5)), jnp.ones((1, 5)))
        >>> round(float(J), 1)
        0.7
    """

    def step(params, opt_state, X, Y, weights=None):
        (params, opt_state), J = _descend(optimizer, None, grads, params, opt_state, X, Y, weights, l2)
        return params, opt_state, J

    return jax.jit(step, donate_argnums=() if _keeps_params(optimizer) else (0, 1))


class State(NamedTuple):
    """What training carries from epoch to epoch.

    Attributes:
        params: the network.
        opt_state: the optimizer's state; () for plain gradient descent.
        best_cost: the lowest cost that `patience` has seen; None without patience, as the two that follow.
        idle_epochs: how many epochs it has waited for a lower one.
        best_params: the parameters of the lowest validation cost; None where there is no validation.
    """

    params: Params
    opt_state: Any
    best_cost: Array | None = None
    idle_epochs: Array | None = None
    best_params: Params | None = None

    @property
    def result(self) -> Params:
        """The parameters to return: the best where they are known, or else the last."""
        return self.params if self.best_params is None else self.best_params


class FitResult(NamedTuple):
    """What `fit` returns.

    Attributes:
        params: the trained network; with `patience` and validation, the one of the lowest validation cost.
        opt_state: the optimizer's state after the last epoch.
        history: `History`, one entry for each epoch that was run.
        state: `State` after the last epoch, with which the run can go on.
    """

    params: Params
    opt_state: Any
    history: History
    state: State

    def arrays(self) -> dict[str, np.ndarray]:
        """All that `fit(..., resume=)` needs to go on, by name; `checkpoints` keeps it on disk.

        Example:
            >>> from jaxshallow import init
            >>> result = fit(init(jax.random.key(0), 1, 1), jnp.ones((1, 2)), jnp.ones((1, 2)), epochs=2)
            >>> list(result.arrays())
            ['history.cost', 'state.params.W1', 'state.params.b1', 'state.params.W2', 'state.params.b2']
        """
        return named({"state": self.state, "history": self.history})


def named(tree: Any) -> dict[str, np.ndarray]:
    """The leaves of a tree, by their places in it: {"state.params.W1": ...}."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): np.asarray(leaf) for path, leaf in leaves}


def from_named(like: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """The tree that `named` took apart, which must be like `like`: a tree of arrays or of their shapes and dtypes.

    Raises:
        ValueError: an array is missing or not known, or has another shape or dtype.
    """
    leaves, form = jax.tree_util.tree_flatten_with_path(like)
    expected = {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}
    for name in {**expected, **arrays}:
        wanted, got = (
            f"{some[name].dtype} {some[name].shape}" if name in some else "nothing" for some in (expected, arrays)
        )
        if wanted != got:
            raise ValueError(
                f"resume must be a run of the same networks, data and form of optimizer: {name} must be {wanted}, "
                f"got {got}"
            )
    return jax.tree.unflatten(form, [arrays[name] for name in expected])


def first_state(params: Params, optimizer: Optimizer | None) -> State:
    """The `State` before the first epoch, without `watched`."""

    def strong(leaf):
        """Weak types, as L-BFGS begins with, are lost on the disk, and with them the program would be another."""
        return lax.convert_element_type(leaf, leaf.dtype) if getattr(leaf, "weak_type", False) else leaf

    return State(params, () if optimizer is None else jax.tree.map(strong, optimizer.init(params)))


def watched(state: State, patience: int | None, validated: bool) -> State:
    """The state with what `patience` needs, as before the first epoch."""
    if patience is None:
        return State(state.params, state.opt_state)
    best_cost = jnp.full((), jnp.inf, state.params.W1.dtype)
    return State(state.params, state.opt_state, best_cost, jnp.int32(0), state.params if validated else None)


def run_epochs(
    state, X, Y, weights, validation, order, learning_rate, l2, tol,
    *, optimizer, grads, validation_cost_of, epochs, patience,
):  # fmt: skip
    """`epochs` epochs, after (epochs, batches, batch_size) `order`, or full-batch where it is None.

    Returns:
        The new `State`, and for each epoch a `History` and whether it was run.
    """

    # A column of X is scattered in memory: each example's numbers are laid together, once and not in every epoch.
    rows_of = () if order is None else lax.optimization_barrier((X.T, Y.T))

    def descend(carry, batch):
        return _descend(optimizer, learning_rate, grads, *carry, *batch)

    def minibatches(carry, order):
        rows = [rows[order] for rows in rows_of]  # -1 fills up the last batch
        w = jnp.where(order >= 0, 1 if weights is None else weights[order], 0).astype(X.dtype)
        full = weights is None and order.size == X.shape[1]
        totals = jnp.sum(w, axis=1)

        # Each batch takes its share of l2, so that the penalty is that of the whole cost, l2 / (2 Σ wᵢ) ‖W‖².
        shares = l2 * totals / jnp.sum(totals)

        def one(carry, batch):
            x, y, w, share = batch
            return descend(carry, (x.T, y.T, None if full else w, share))

        carry, J = lax.scan(one, carry, (*rows, w, shares))
        return carry, jnp.sum(J * totals) / jnp.sum(totals)

    def epoch(state, order):
        carry = state.params, state.opt_state
        carry, J = descend(carry, (X, Y, weights, l2)) if order is None else minibatches(carry, order)
        state = state._replace(params=carry[0], opt_state=carry[1])
        seen = History(J, None if validation is None else validation_cost_of(state.params, *validation))
        return state if patience is None else watch(state, seen), (seen, True)

    def watch(state, seen):
        now = seen.cost if seen.validation_cost is None else seen.validation_cost
        lower = now < state.best_cost
        best_params = state.best_params and jax.tree.map(partial(jnp.where, lower), state.params, state.best_params)
        return state._replace(
            best_cost=jnp.where(lower, now, state.best_cost),
            idle_epochs=jnp.where(now < state.best_cost - tol, 0, state.idle_epochs + 1),
            best_params=best_params,
        )

    def epoch_unless_stopped(state, order):
        nothing = jnp.zeros((), X.dtype)
        idle = state, (History(nothing, None if validation is None else nothing), False)
        return lax.cond(state.idle_epochs < patience, epoch, lambda *_: idle, state, order)

    return lax.scan(epoch if patience is None else epoch_unless_stopped, state, order, length=epochs)


# Nothing is donated: whatever interrupts the run, the parameters that it started from are still there.
_run = jax.jit(run_epochs, static_argnames=("optimizer", "grads", "validation_cost_of", "epochs", "patience"))


def words(key: ArrayLike | list[int]) -> list[int]:
    """The integers of a JAX random key, new style or old."""
    if isinstance(key, list):
        return key
    with jax.ensure_compile_time_eval():  # inside someone's jit these are numbers still
        words = key if jnp.issubdtype(jnp.asarray(key).dtype, jnp.integer) else jax.random.key_data(key)
        return np.asarray(words).ravel().tolist()


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


def fit(
    params: Params,
    X: ArrayLike,
    Y: ArrayLike,
    *,
    optimizer: Optimizer | None = None,
    learning_rate: ArrayLike | None = None,
    epochs: int,
    batch_size: int | None = None,
    key: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    l2: ArrayLike = 0.0,
    validation: tuple[ArrayLike, ArrayLike] | None = None,
    patience: int | None = None,
    tol: float = 0.0,
    callback: Callable[[FitResult], Any] | None = None,
    grads: CostAndGrads = cost_and_grads,
    resume: FitResult | Mapping[str, np.ndarray] | None = None,
) -> FitResult:
    """Train a network: the whole run compiled into a few programs of many epochs each.

    Computation takes the parameters' dtype. The learning rate and l2 are traced: other values do not recompile.

    Args:
        params: the network to start from; it is left as it is.
        X: (n_x, m) examples as columns.
        Y: (n_y, m) targets as columns.
        optimizer: any optax transformation; None is plain gradient descent, `update`. Each new object is compiled
            anew: keep it for the next call.
        learning_rate: α of plain gradient descent, 0.1 if not given; an optax optimizer has its own.
        epochs: passes over the data.
        batch_size: examples a step; None is full-batch, one step an epoch. The last batch may be smaller.
        key: a JAX random key that fixes the order of the examples; needed with `batch_size`.
        weights: (m,) weight of each example, ≥ 0, not all 0. A minibatch's cost is its own weighted mean, as in
            scikit-learn and PyTorch: weights act within a batch, and a heavy one steps no further than a light one.
        l2: strength of the weight decay, ≥ 0; minibatches share it, so that together they feel that of `cost`.
        validation: (X, Y) of the same form, whose cost is recorded after each epoch.
        patience: stop after this many epochs without a lower cost: that of `validation`, and then the parameters of the
            lowest are returned; or, where there is none, that of training, which `History` describes.
        tol: by how much a cost must be lower than the lowest before it for `patience` to count it.
        callback: called now and then (a hundred times in a long run, and at the end) with the `FitResult` so far;
            anything true that it returns ends the run there.
        grads: cost and gradient, with `cost_and_grads`' signature, which on a CPU is streamed if there are many
            examples (`stream`). `shard(cost_and_grads, mesh)` trains on all devices of a mesh.
        resume: a run to go on from, of the same arguments, that its callback ended or that was trained for fewer
            epochs: what `fit` returned, or the `arrays()` of it. It ends, after `epochs` in all, in the very bits of a
            run that was never stopped. (Only where a single epoch is left it may round otherwise.)

    Returns:
        `FitResult` with `params`, `opt_state` and `history`.

    Raises:
        ValueError: wrong shapes; NaN or infinity; labels outside [0, 1] (sigmoid) or not one-hot (softmax); negative
            or all-zero weights; negative l2; `epochs`, `batch_size` or `patience` below 1; `batch_size` without
            `key`; `tol` below 0; `learning_rate` beside an optimizer; `resume` is of other data, networks or
            optimizers, as far as their sizes tell, or has more epochs already.
        TypeError: X is not floating point, a number of epochs is not an integer, or `optimizer` is not optax's.

    A run that diverges is not an error: its history holds NaN, and `patience` ends it.

    Example:
        >>> from jaxshallow import init
        >>> X = jnp.array([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]])
        >>> Y = jnp.array([[0, 1, 1, 0]])
        >>> params = init(jax.random.key(1), n_x=2, n_h=4, hidden="tanh", scale=1.0)
        >>> result = fit(params, X, Y, learning_rate=2.0, epochs=500)
        >>> bool(result.history.cost[-1] < 0.05)
        True
    """
    if optimizer is not None and not (hasattr(optimizer, "init") and hasattr(optimizer, "update")):
        raise TypeError(f"optimizer must be an optax transformation such as optax.adam(0.01), got {optimizer!r}")
    check_sizes(epochs=epochs, batch_size=batch_size, patience=patience)
    check_tol(tol)
    if validation is not None and not (isinstance(validation, tuple | list) and len(validation) == 2):
        raise TypeError(f"validation must be (X, Y), got {type(validation).__name__}")
    params = checks.parameters(params)
    X = checks.features(params, X)
    Y = checks.targets(params, X, Y)
    m, dtype = X.shape[1], X.dtype
    weights, l2 = checks.weights_and_l2(params, m, weights, l2)
    checks.values(params, X, Y, weights)
    if validation is not None:
        X_validation = checks.features(params, validation[0], name="validation X")
        Y_validation = checks.targets(params, X_validation, validation[1], name="validation Y")
        checks.values(params, X_validation, Y_validation, of="validation ")
        validation = X_validation, Y_validation
    if batch_size is not None and key is None:
        raise ValueError("batch_size needs a key for the order of the examples, e.g. key=jax.random.key(0)")
    if optimizer is not None and learning_rate is not None:
        raise ValueError("learning_rate is for plain gradient descent: give it to the optimizer, optax.adam(0.01)")
    if isinstance(learning_rate, int | float) and not np.isfinite(learning_rate):
        raise ValueError(f"learning_rate must be finite, got {learning_rate}")
    learning_rate = jnp.asarray(0.1 if learning_rate is None else learning_rate).astype(dtype)

    if grads is cost_and_grads:
        grads = faster(cost_and_grads, params, X, min(batch_size or m, m))
    validation_cost_of = cost if validation is None else faster(cost, params, validation[0], validation[0].shape[1])
    state = watched(first_state(params, optimizer), patience, validation is not None)
    programs, done = [], 0
    if resume is not None:
        state, history = _resumed(resume, state, epochs, validation is not None)
        programs, done = [history], len(history.cost)
    key_words = None if batch_size is None or key is None else words(key)  # read once: it costs more than an epoch
    chunk = _epochs_a_program(params, m, batch_size or m, epochs, callback)
    while done < epochs:
        n = chunk if epochs - done > chunk + 1 else epochs - done  # a last one is not left alone
        order = None
        if batch_size is not None and key_words is not None:
            order = np.stack([epoch_order(key_words, epoch, m, min(batch_size, m)) for epoch in range(done, done + n)])
        state, (costs, ran) = _run(
            state, X, Y, weights, validation, order, learning_rate, l2, np.asarray(tol, dtype),
            optimizer=optimizer, grads=grads, validation_cost_of=validation_cost_of, epochs=n, patience=patience,
        )  # fmt: skip
        if patience is not None and isinstance(ran, jax.core.Tracer):
            raise TypeError("patience ends a run at an epoch that only the run can tell: fit with it outside of jit")
        stopped = patience is not None and not ran[-1]
        programs.append(jax.tree.map(lambda c, ran=ran: np.asarray(c)[ran], costs) if stopped else costs)
        done += n
        if (callback is not None and callback(_result(state, programs))) or stopped:
            break
    return _result(state, programs)


def _result(state: State, programs: list[History]) -> FitResult:
    """The result so far. Histories are joined on the host, since on a device each new length would compile anew."""
    join = jnp.concatenate if isinstance(programs[-1].cost, jax.core.Tracer) else np.concatenate
    history = jax.tree.map(lambda *parts: join(parts), *programs)
    return FitResult(state.result, state.opt_state, history, state)


def _resumed(
    resume: FitResult | Mapping[str, np.ndarray], first: State, epochs: int, validated: bool
) -> tuple[State, History]:
    """Where the run that `fit` goes on from stands."""
    if isinstance(resume, FitResult):
        heads = [(params.hidden, params.output) for params in (first.params, resume.params)]
        if heads[0] != heads[1]:
            raise ValueError(f"resume must be of the same hidden and output, {heads[0]}, got {heads[1]}")
        resume = resume.arrays()
    if not isinstance(resume, Mapping):
        raise TypeError(f"resume must be what fit returned, or the arrays() of it, got {type(resume).__name__}")
    costs = np.empty(np.shape(resume.get("history.cost", ())), first.params.W1.dtype)
    found = from_named({"state": first, "history": History(costs, costs if validated else None)}, resume)
    if len(found["history"].cost) > epochs:
        raise ValueError(f"epochs must be at least the {len(found['history'].cost)} of resume, got {epochs}")
    return jax.tree.map(jnp.asarray, found["state"]), found["history"]


def _epochs_a_program(params: Params, m: int, batch_size: int, epochs: int, callback) -> int:
    """So many epochs that a program runs for about a tenth of a second: Ctrl-C and `callback` get their turn.

    At least two: XLA unrolls a loop of one, and rounds it otherwise.
    """
    steps = -(-m // batch_size)
    operations = 6 * m * sum(leaf.size for leaf in jax.tree.leaves(params)) + 200_000 * steps  # a step takes its 10 µs
    most = epochs if callback is None else max(2, epochs // 100)
    return int(min(most, max(2, 2e9 // operations)))
