"""`fit`: a whole training run, compiled into a few programs of many epochs each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from jaxshallow import checks, given
from jaxshallow.backprop import cost_and_grads
from jaxshallow.descent import CostAndGrads
from jaxshallow.network import cost
from jaxshallow.optimizers import Optimizer, check_optimizer
from jaxshallow.params import Params, check_sizes, size_of
from jaxshallow.tiles.streaming import faster
from jaxshallow.training.epochs import (
    History,
    State,
    compiled_epochs,
    epoch_orders,
    epochs_a_program,
    last_batch,
    started,
    watched,
    words,
)
from jaxshallow.training.levenberg_marquardt import matrix_of
from jaxshallow.training.resume import named, resumed
from jaxshallow.training.tall import epochs_on_all_cores, objective_on_all_cores


class FitResult(NamedTuple):
    """What `fit` returns.

    Attributes:
        params: the trained network; with `patience` and validation, the one of the lowest validation cost.
        opt_state: the optimizer's state after the last epoch.
        history: `History`, one entry for each epoch that was run.
        state: `State` after the last epoch, from which the run can continue.
    """

    params: Params
    opt_state: Any
    history: History
    state: State

    def arrays(self) -> dict[str, np.ndarray]:
        """All that `fit(..., resume=)` needs to continue, by name; `store/checkpoints.py` keeps it on disk.

        Example:
            >>> from jaxshallow import init
            >>> result = fit(init(jax.random.key(0), 1, 1), jnp.ones((1, 2)), jnp.ones((1, 2)), epochs=2)
            >>> list(result.arrays())
            ['history.cost', 'state.params.W1', 'state.params.b1', 'state.params.W2', 'state.params.b2']
        """
        return named({"state": self.state, "history": self.history})


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
    tol: ArrayLike = 0.0,
    callback: Callable[[FitResult], Any] | None = None,
    grads: CostAndGrads = cost_and_grads,
    resume: FitResult | Mapping[str, np.ndarray] | None = None,
) -> FitResult:
    """Train a network: the whole run compiled into a few programs of many epochs each.

    Computation takes the parameters' dtype. The learning rate and l2 are traced: new values do not recompile.

    Args:
        params: the network to start from; it is left as it is.
        X: (n_x, m) examples as columns.
        Y: (n_y, m) targets as columns.
        optimizer: any optax transformation, which gets what it asks for, as in `make_train_step`; None is plain
            gradient descent, `update`. A new object compiles again: keep it for the next call. With `optax.lookahead`
            the slow network is validated and returned; of `optax.contrib.schedule_free` the one to use is
            `schedule_free_eval_params(result.opt_state, result.params)`.
        learning_rate: α of plain gradient descent, ≥ 0, 0.1 if not given; an optax optimizer has its own, and may
            take a schedule, `optax.sgd(schedule)`.
        epochs: passes over the data.
        batch_size: examples a step; None is full-batch, one step an epoch. The last batch may be smaller.
        key: a JAX random key that fixes the order of the examples; needed with `batch_size`. It may be traced: the
            program then asks the host for the same order.
        weights: (m,) weight of each example, ≥ 0, not all 0. A minibatch's cost is its own weighted mean, as in
            scikit-learn and PyTorch: weights act within a batch, and a heavy batch steps no further than a light one.
        l2: strength of the weight decay, ≥ 0; minibatches share it, so that together they apply that of `cost`.
        validation: (X, Y) of the same form, whose cost is recorded after each epoch.
        patience: early stopping after this many epochs without a lower validation cost; the parameters of the lowest
            are returned. Without `validation`, the training cost counts, and the last parameters are returned.
        tol: how far a cost must be below the lowest so far for `patience` to count it.
        callback: called now and then (a hundred times in a long run, and at the end) with the `FitResult` so far;
            a true return value ends the run there.
        grads: cost and gradient, with `cost_and_grads`' signature, which on a CPU is streamed if there are many
            examples (`stream`). `shard(cost_and_grads, mesh)` trains on all devices of a mesh.
        resume: a run to continue, with the same arguments, that its callback ended or that had fewer epochs: what `fit`
            returned, or its `arrays()`. After `epochs` in all, the result is bit-identical to an uninterrupted run's.
            (If only a single epoch is left, it may round differently.)

    Returns:
        `FitResult` with `params`, `opt_state` and `history`.

    Raises:
        ValueError: wrong shapes; NaN, infinity, masked entries or numbers that the dtype cannot hold; labels outside
            [0, 1] (sigmoid), not one-hot (softmax) or below 0 (exp); negative or all-zero weights; negative l2 or
            `learning_rate`; `epochs`, `batch_size` or `patience` below 1; `batch_size` without `key`; `tol` below 0;
            `learning_rate` beside an optimizer; `resume` is of other data, networks or optimizers, as far as sizes
            show, or has more epochs already.
        TypeError: X is not floating point, a number of epochs is not an integer, `optimizer` is not optax's or cannot
            take a step on this network, or `patience` is used inside jit or vmap.

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
    _check_options(optimizer, learning_rate, epochs, batch_size, key, patience, tol)
    params, X, Y, weights, l2, validation = checks.problem(params, X, Y, weights, l2, validation)
    m, dtype = X.shape[1], X.dtype
    learning_rate = given.scalar("learning_rate", 0.1 if learning_rate is None else learning_rate, dtype)
    streams = False
    if grads is cost_and_grads:
        grads = faster(cost_and_grads, params, X, min(batch_size or m, m))
        streams = grads is not cost_and_grads and batch_size is None
    tol = tol if given.is_traced(tol) else given.narrowed("tol", np.asarray(tol), dtype)
    if batch_size is not None and not checks.is_known(m):
        raise TypeError(f"batch_size needs a known number of examples, got X of {X.shape}: use the full batch")
    validation_cost_of = cost if validation is None else faster(cost, params, validation[0], validation[0].shape[1])
    key_words = None if batch_size is None or key is None else words(key)  # read once: it costs more than an epoch

    state = State(params, ()) if optimizer is None else started(params, optimizer=optimizer)
    state = watched(state, patience, validation is not None)
    histories: list[History] = []
    done = 0
    if resume is not None:
        state, history = resumed(_arrays_of(resume, params), state, epochs, validation is not None)
        histories, done = [history], len(history.cost)

    tall = objective_on_all_cores(optimizer, state, X, Y, weights, l2) if streams else None
    last = None
    if batch_size is not None:
        last = last_batch(m, min(batch_size, m), size_of(params))
    block = epochs_a_program(params, m, batch_size or m, epochs, callback, matrix_of(params, state.opt_state))
    while done < epochs:
        n = block if epochs - done > block + 1 else epochs - done  # no program of a single epoch
        order = None
        if batch_size is not None and key_words is not None:
            order = epoch_orders(key_words, range(done, done + n), m, min(batch_size, m))
        run = partial(compiled_epochs, grads=grads) if tall is None else partial(epochs_on_all_cores, tall)
        state, (history, ran) = run(
            state, X, Y, weights, validation, order, learning_rate, l2, tol,
            optimizer=optimizer, validation_cost_of=validation_cost_of, epochs=n, patience=patience,
            last=last,
        )  # fmt: skip
        stopped = patience is not None and _stopped(ran)
        histories.append(_of_epochs_that_ran(history, ran) if stopped else history)
        done += n
        if (callback is not None and _ends(callback(_result(state, histories)))) or stopped:
            break
    return _result(state, histories)


def _check_options(
    optimizer: Any,
    learning_rate: ArrayLike | None,
    epochs: int,
    batch_size: int | None,
    key: ArrayLike | None,
    patience: int | None,
    tol: ArrayLike,
) -> None:
    """Check the options of `fit`: all but the network and its data."""
    if optimizer is not None:
        check_optimizer(optimizer)
    check_sizes(epochs=epochs, batch_size=batch_size, patience=patience)
    checks.check_tol(tol)
    if batch_size is not None and key is None:
        raise ValueError("batch_size needs a key for the order of the examples, e.g. key=jax.random.key(0)")
    if optimizer is not None and learning_rate is not None:
        raise ValueError("learning_rate is for plain gradient descent: give it to the optimizer, optax.adam(0.01)")
    if key is not None:
        given.key(key)


def _ends(answer: Any) -> bool:
    """Whether the callback's answer ends the run."""
    if given.is_traced(answer):
        raise TypeError("callback must answer from what it knows, and a run under jit or vmap has no numbers yet")
    return bool(answer)


def _stopped(ran: Array | np.ndarray) -> bool:
    """Whether `patience` ended the run before the last of these epochs."""
    if given.is_traced(ran):
        raise TypeError("patience ends a run at an epoch that only the run can tell: fit with it outside of jit")
    return not np.asarray(ran)[-1]


def _of_epochs_that_ran(history: History, ran: Array | np.ndarray) -> History:
    return jax.tree.map(lambda costs: np.asarray(costs)[ran], history)


def _result(state: State, histories: list[History]) -> FitResult:
    """The result so far. Histories are joined on the host, since a device would compile each new length."""
    join = jnp.concatenate if given.is_traced(histories[-1].cost) else np.concatenate
    history = jax.tree.map(lambda *parts: join(parts), *histories)
    return FitResult(state.result, state.opt_state, history, state)


def _arrays_of(resume: Any, params: Params) -> Mapping[str, np.ndarray]:
    """The `arrays()` of the run to resume, which must have the same activations."""
    if isinstance(resume, FitResult):
        heads = [(one.hidden, one.output) for one in (params, resume.params)]
        if heads[0] != heads[1]:
            raise ValueError(f"resume must be of the same hidden and output, {heads[0]}, got {heads[1]}")
        resume = resume.arrays()
    if not isinstance(resume, Mapping):
        raise TypeError(f"resume must be what fit returned, or the arrays() of it, got {type(resume).__name__}")
    return resume
