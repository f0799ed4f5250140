"""Thousands of networks in one program: other seeds, rates, activations and widths, on the same examples.

`fit`'s own epochs, under `vmap`. All networks share X, so their first layers are one matrix product. They are run in
chunks, so few at a time that their activations stay in the cache.

Widths may differ, since a padded hidden unit, whose weights in and out are 0, stays exactly 0: it adds W2 g(0) = 0 to
Z2, and W2ᵀ dZ2 is 0 there, so that its dW1 and db1 are. Only its dW2 = dZ2 A1ᵀ is not where g(0) ≠ 0, as for σ, and
is set to 0.
"""

from __future__ import annotations

import inspect
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.typing import ArrayLike, DTypeLike

from jaxshallow import checks
from jaxshallow.activations import resolve
from jaxshallow.backprop import cost_and_grads
from jaxshallow.data import Scaling, fold_scaling, scaling
from jaxshallow.descent import (
    History,
    State,
    epoch_order,
    first_state,
    from_named,
    named,
    run_epochs,
    watched,
    words,
)
from jaxshallow.executions import stream, tile_size
from jaxshallow.network import cost, forward
from jaxshallow.params import Params, check_scale, check_sizes, check_tol, init

DEFAULTS = {"hidden": "sigmoid", "l2": 0.0, "scale": 0.01, "seed": 0}
PER_EXAMPLE = ("weights", "validation_weights")
# Numbers in A1 of the networks that run at once on a CPU: few enough for the cache, enough to be worth a product.
CHUNK_ELEMENTS = 2**19
OPERATIONS_A_PROGRAM = 4e9  # about a tenth of a second: Ctrl-C and `callback` get their turn
OPERATIONS_OF_COMPILING = 2e10
MAX_MEMORY = 2**32
CUT_DEVIATION = 0.87962566103423978  # of the standard normal distribution cut off at ±2


class Progress(NamedTuple):
    """What `fit_many` tells its `callback`.

    Attributes:
        share: of the work that is done, 0 to 1; networks that stopped early count as done.
        best: the lowest cost so far, the validation's where there is one.
        lowest: (K,) the same of each network; NaN before its turn.
        epochs: (K,) epochs that each network was trained.
        seconds: since the start.
        seconds_left: at the same speed.
        many: gives the `Many` so far, as `fit_many` would return it if it ended here.
    """

    share: float
    best: float
    lowest: np.ndarray
    epochs: np.ndarray
    seconds: float
    seconds_left: float
    many: Callable[[], Many]


class _Place(NamedTuple):
    """How far networks that are trained together have come, and in what portions.

    Attributes:
        epoch: the next one.
        block: epochs in a program.
        size: networks in a program.
        alive: (members,) whether each goes on.
    """

    epoch: int
    block: int
    size: int
    alive: np.ndarray


class _Stack(NamedTuple):
    """Networks that were trained together: their numbers, their states along a first axis, padded, how the features
    that they saw were scaled, (mean, deviation) of shape (n_x, 1), or not at all, and how far they have come."""

    members: np.ndarray
    state: State
    scaling: Scaling | None
    place: _Place

    def params(self, rows: Any = ()) -> Params:
        """The parameters of some rows, which take in the scaling."""
        params = jax.tree.map(lambda leaf: leaf[rows], self.state.result)
        return params if self.scaling is None else fold_scaling(params, self.scaling)


@dataclass(frozen=True)
class Many:
    """What `fit_many` returns: K networks and what became of them.

    Attributes:
        configs: K dicts, in the order given, completed by the defaults; with `folds`, one for each fold of each, with
            its number under "fold".
        history: `History` of (K, epochs) arrays, as `fit` has them; NaN after a network's end.
        epochs: (K,) epochs that each network was trained.
        diverged_at: (K,) the epoch, from 0, in which the cost was no longer finite; −1 if it always was.
        finished: False after Ctrl-C or a callback that ended the run.
    """

    configs: tuple[dict[str, Any], ...]
    history: History
    epochs: np.ndarray
    diverged_at: np.ndarray
    finished: bool
    _stacks: tuple[_Stack, ...]
    _epochs_before: int
    _pairs: list[tuple[np.ndarray, np.ndarray]] | None

    def __len__(self) -> int:
        return len(self.configs)

    def params(self, k: int) -> Params:
        """The k-th network, without padding; with `patience` and validation, the one of its best validation cost.

        Raises:
            IndexError: there is no such network.
        """
        k = range(len(self))[k]
        n_h = self.configs[k]["n_h"]
        for stack in self._stacks:
            if len(place := np.flatnonzero(stack.members == k)):
                wide = stack.params(place[0])
                return replace(wide, W1=wide.W1[:n_h], b1=wide.b1[:n_h], W2=wide.W2[:, :n_h])
        raise IndexError(f"network {k} was not trained: the run was interrupted before its turn")

    @property
    def cost(self) -> np.ndarray:
        """(K,) cost of each network's last epoch, as `fit` records it; NaN if it was not trained."""
        return self._last(self.history.cost)

    @property
    def validation_cost(self) -> np.ndarray | None:
        """(K,) validation cost of the network that `params(k)` gives; None if there was no validation."""
        costs = self.history.validation_cost
        if costs is None:
            return None
        best_is_kept = any(stack.state.best_params is not None for stack in self._stacks)
        return np.fmin.reduce(costs, axis=1) if best_is_kept else self._last(costs)

    def _last(self, costs) -> np.ndarray:
        return np.where(self.epochs > 0, costs[np.arange(len(self)), np.maximum(self.epochs - 1, 0)], np.nan)

    def arrays(self) -> dict[str, np.ndarray]:
        """All that `fit_many(..., resume=)` needs to go on, by name; `checkpoints` keeps it on disk."""
        # Ctrl-C may have come when a block's records were written and its state was not: the records are cut to it.
        return named({str(number): self._saved(stack) for number, stack in enumerate(self._stacks)})

    def _saved(self, stack: _Stack) -> dict[str, Any]:
        rows, epoch = stack.members, stack.place.epoch
        return {
            "members": rows,
            "state": stack.state,
            "place": stack.place,
            "history": jax.tree.map(lambda costs: costs[rows, :epoch], self.history),
            "epochs": np.minimum(self.epochs[rows], epoch),
            "diverged_at": np.where(self.diverged_at[rows] < epoch, self.diverged_at[rows], -1),
        }

    def order(self) -> np.ndarray:
        """The numbers of the networks, best first, by validation cost where there is one; those that diverged last."""
        costs = self.cost if self.validation_cost is None else self.validation_cost
        return np.argsort(np.where((self.diverged_at < 0) & np.isfinite(costs), costs, np.inf), kind="stable")

    def best(self) -> int:
        """The number of the best network: `many.params(many.best())`.

        Raises:
            ValueError: all networks diverged.
        """
        k = int(self.order()[0])
        if self.diverged_at[k] >= 0 or not self.epochs[k]:
            raise ValueError(f"there is no best of {len(self)} networks that all diverged: lower the learning rate")
        return k

    def table(self) -> dict[str, list]:
        """A row for each network, as a dict of columns: `polars.DataFrame(many.table())`."""
        names = [
            name for name in dict.fromkeys(n for config in self.configs for n in config) if name not in PER_EXAMPLE
        ]
        columns: dict[str, list] = {name: [config.get(name) for config in self.configs] for name in names}
        for name in ("hidden", "scale"):  # a column of numbers where all are, else of text
            if not all(isinstance(value, float | int) for value in columns[name]):
                columns[name] = [str(value) for value in columns[name]]
        columns["cost"] = self.cost.tolist()
        if self.validation_cost is not None:
            columns["validation_cost"] = self.validation_cost.tolist()
        return {**columns, "epochs": self.epochs.tolist(), "diverged_at": self.diverged_at.tolist()}

    def score(self, X: ArrayLike, Y: ArrayLike, networks: Sequence[int] | np.ndarray | None = None) -> np.ndarray:
        """How well each network does: its accuracy, or R² for output="identity"; as scikit-learn's `score`.

        Args:
            X: (n_x, m) examples as columns.
            Y: (n_y, m) targets. An example with several labels counts if all are right.
            networks: the numbers of those to score; None for all.

        Returns:
            A score for each, in the order asked; NaN where a network diverged or was not trained.

        Raises:
            ValueError, TypeError: X or Y has another shape or type.
        """
        asked = np.arange(len(self))[slice(None) if networks is None else np.asarray(networks)]
        found = np.full(len(self), np.nan)
        for stack in self._stacks:
            if len(rows := np.flatnonzero(np.isin(stack.members, asked))):
                found[stack.members[rows]] = _scores(stack.params(rows), X, Y)
        return np.where((self.diverged_at < 0) & (self.epochs > 0), found, np.nan)[asked]

    def predict_proba(self, X: ArrayLike, top: int | None = None) -> np.ndarray:
        """The mean output A2 of the best `top` networks, None for all that did not diverge.

        Probabilities are averaged, not logits or votes; for output="identity" it is the mean prediction.

        Args:
            X: (n_x, m) examples as columns.
            top: the number of networks.

        Returns:
            (n_y, m).

        Raises:
            ValueError: X is not (n_x, m), or `top` is not between 1 and the number of networks that did not diverge.
        """
        usable = int(((self.diverged_at < 0) & (self.epochs > 0)).sum())
        if not 1 <= (usable if top is None else top) <= usable:
            raise ValueError(f"top must be between 1 and the {usable} networks that did not diverge, got {top}")
        chosen = self.order()[: usable if top is None else top]
        total: Any = 0.0
        for stack in self._stacks:
            if len(rows := np.flatnonzero(np.isin(stack.members, chosen))):
                total = total + sum_of_outputs(stack.params(rows), X)
        return np.asarray(total) / len(chosen)


def _output(params: Params, X: ArrayLike) -> Array:
    return forward(params, X).A2


@jax.jit
def _scores(stack: Params, X: ArrayLike, Y: ArrayLike) -> Array:
    """Accuracy or R² of each network of a stack, one after another and in tiles."""
    first = jax.tree.map(lambda leaf: leaf[0], stack)
    X = checks.features(checks.parameters(first), X)
    Y = checks.targets(first, X, Y)

    def one(params):
        A2 = stream(_output)(params, X)
        if params.output == "identity":
            spread = jnp.sum((Y - Y.mean(axis=1, keepdims=True)) ** 2, axis=1)
            missed = jnp.sum((A2 - Y) ** 2, axis=1)
            constant = jnp.where(missed == 0, 1.0, 0.0).astype(Y.dtype)
            return jnp.mean(jnp.where(spread > 0, 1 - missed / jnp.where(spread > 0, spread, 1), constant))
        if params.output == "softmax":
            return jnp.mean(A2.argmax(axis=0) == Y.argmax(axis=0))
        return jnp.mean(jnp.all((A2 > 0.5) == (Y > 0.5), axis=0))

    return jax.lax.map(one, stack)


@jax.jit
def sum_of_outputs(stack: Params, X: ArrayLike) -> Array:
    """Σ A2 over the networks of a stack, one after another and in tiles: memory for one output."""

    def add(total, params):
        return total + stream(_output)(params, X), None

    first = jax.tree.map(lambda leaf: leaf[0], stack)
    X = checks.features(checks.parameters(first), X)
    return jax.lax.scan(add, jnp.zeros((stack.b2.shape[1], X.shape[1]), X.dtype), stack)[0]


def fit_many(
    key: ArrayLike,
    X: ArrayLike,
    Y: ArrayLike,
    configs: Sequence[Mapping[str, Any]] | Mapping[str, Any],
    *,
    epochs: int,
    batch_size: int | None = None,
    output: str = "sigmoid",
    optimizer: str | Callable[..., optax.GradientTransformation] = "sgd",
    weights: ArrayLike | None = None,
    validation: tuple[ArrayLike, ArrayLike] | None = None,
    folds: int | Iterable[tuple[ArrayLike, ArrayLike]] | None = None,
    standardize: bool = False,
    patience: int | None = None,
    tol: float = 0.0,
    callback: Callable[[Progress], Any] | None = None,
    max_memory: int = MAX_MEMORY,
    devices: Sequence[jax.Device] | None = None,
    dtype: DTypeLike | None = None,
    start: Many | None = None,
    resume: Many | Mapping[str, np.ndarray] | None = None,
) -> Many:
    """Train thousands of networks on the same examples: a compiled program for each activation and bucket of widths.

    Network k is the one that `fit` makes of it alone, up to rounding, which chaotic descent magnifies in long runs:
    `fit(init(jax.random.fold_in(key, seed), n_x, n_h, n_y, ...), X, Y, key=key, ...)`.

    Args:
        key: a JAX random key; with a network's `seed` it fixes its first weights, and alone the order of minibatches.
        X: (n_x, m) examples as columns.
        Y: (n_y, m) targets as columns.
        configs: a list of dicts, or a dict of columns, in which a single value stands for all. Each network has

            - n_h: its hidden units; all else may be left out:
            - hidden, scale: as in `init`; seed: an integer, 0;
            - learning_rate: 0.1 for "sgd", 0.001 for others; l2: 0.0;
            - weights: (m,) weight of each example, so that bootstraps and folds are rows of counts;
            - validation_weights: the same for the validation examples;
            - what else the optimizer takes that is a number, such as Adam's b1, b2 and eps.
        epochs: passes over the data.
        batch_size: examples a step; None is full-batch.
        output: the head of all networks, as in `init`.
        optimizer: "sgd" (plain gradient descent, `update`), the name of an optax optimizer such as "adam", or an optax
            factory that takes learning_rate, such as `optax.adamw` or `functools.partial(optax.sgd, momentum=0.9)`.
        weights: (m,) weights for all networks that have none of their own.
        validation: (X, Y) of the same form, whose cost is recorded after each epoch.
        folds: cross-validation: each config is trained once for each fold, on all other examples, and validated on the
            fold, where each example counts alike. A number of folds of consecutive examples, or what a scikit-learn
            splitter gives, pairs of indices (train, test): `StratifiedKFold(5).split(X.T, y)`.
        standardize: scale each feature to mean 0 and deviation 1 over the training examples, with `folds` those of the
            fold alone, whatever they weigh. W1 and b1 take it in afterwards: the networks returned expect X as it is.
        patience, tol: each network stops as in `fit`.
        callback: called with `Progress` now and then; anything true that it returns ends the run there, as Ctrl-C does.
        max_memory: bytes for networks in training; beyond it they are trained in several shifts.
        devices: the JAX devices to train on; None is all that this process has.
        dtype: of the parameters, as in `init`.
        start: a finished run to go on from, of the same networks: their parameters, optimizer states and scaling.
            Patience begins anew.
        resume: a run of these very arguments that Ctrl-C or its callback ended before it was finished: what `fit_many`
            returned, or the `arrays()` of it. It ends in the very bits of a run that was never stopped.

    Returns:
        `Many`. Networks whose cost is no longer finite are stopped, and disturb no other.

    Raises:
        ValueError: shapes and values as in `fit`; no networks; a config without n_h, with an unknown name or with a
            value that cannot be; more memory needed than `max_memory` for the results alone; `start` or `resume` is
            of others.
        TypeError: a value of the wrong type; an optimizer that is not a factory.

    Example:
        >>> from jaxshallow import data
        >>> X, Y = data.flower()
        >>> configs = [{"n_h": n_h, "seed": seed} for n_h in (1, 4, 20) for seed in range(5)]
        >>> many = fit_many(jax.random.key(0), X, Y, configs, epochs=50)
        >>> many.cost.shape, many.params(14).W1.shape
        ((15,), (20, 2))
    """
    check_sizes(epochs=epochs, batch_size=batch_size, patience=patience)
    check_tol(tol)
    factory = _factory(optimizer)
    networks = _complete(configs, factory)
    X, Y, weights, validation = _check_data(key, X, Y, output, weights, validation, dtype)
    m = X.shape[1]
    pairs = None
    if folds is not None:
        if validation is not None:
            raise ValueError("folds bring their own validation: give no other")
        pairs = _pairs(folds, m)
    _check_weights(networks, m, None if validation is None else validation[0].shape[1])
    if pairs is not None:
        for fold, (train, _) in enumerate(pairs):
            for w in (weights, *(network.get("weights") for network in networks)):
                if w is not None and not np.asarray(w)[train].any():
                    raise ValueError(f"weights must not all be 0 where fold {fold} is trained")
        networks = [{**network, "fold": fold} for network in networks for fold in range(len(pairs))]
    if start is not None:
        shifts = _going_on(start, networks, pairs, len(X), output, standardize)
    else:
        shifts = list(_shifts(networks, len(X), len(Y), X.dtype, max_memory, m * epochs))

    run = _Run(
        key, X, Y, weights, validation, pairs, standardize, output, factory, epochs, batch_size, patience, tol,
        callback, networks, start, jax.local_devices() if devices is None else list(devices),
    )  # fmt: skip
    if isinstance(resume, Many):
        runs = [
            ([{n: v for n, v in config.items() if n not in PER_EXAMPLE} for config in configs], _indices(some))
            for configs, some in ((resume.configs, resume._pairs), (networks, pairs))
        ]
        if runs[0] != runs[1]:
            raise ValueError("resume must be a run of the same configs and folds")
    elif not isinstance(resume, Mapping | None):
        raise TypeError(f"resume must be what fit_many returned, or the arrays() of it, got {type(resume).__name__}")
    if resume is not None:
        run.go_on_from(resume.arrays() if isinstance(resume, Many) else resume, shifts)
    try:
        for shift, (width, members) in enumerate(shifts):
            run.train(shift, width, members)
    except (KeyboardInterrupt, _Ended):
        return run.many(finished=False)
    return run.many(finished=True)


class _Ended(Exception):
    """The callback ended the run."""


# ---- what a user can get wrong ----


def _factory(optimizer) -> Callable[..., optax.GradientTransformation] | None:
    """The optax factory; None for plain gradient descent."""
    if isinstance(optimizer, str) and optimizer == "sgd":
        return None
    factory = getattr(optax, optimizer, None) if isinstance(optimizer, str) else optimizer
    if isinstance(factory, optax.GradientTransformation):
        raise TypeError("optimizer must be a factory such as optax.adam, not its result: rates belong to configs")
    if not callable(factory) or "learning_rate" not in inspect.signature(factory).parameters:
        raise (ValueError if isinstance(optimizer, str) else TypeError)(
            f"optimizer must be 'sgd', the name of an optax optimizer, or a factory that takes learning_rate, such as "
            f"optax.adamw, got {optimizer!r}"
        )
    return factory


def _complete(configs, factory) -> list[dict[str, Any]]:
    """A dict for each network, with the defaults filled in; ValueError or TypeError names the network and the value."""
    if isinstance(configs, Mapping):
        many = {
            name: column for name, column in configs.items() if isinstance(column, list | tuple | range | np.ndarray)
        }
        sizes = {name: len(column) for name, column in many.items()}
        if len(set(sizes.values())) > 1:
            raise ValueError(f"the columns of configs must be of one length, got {sizes}")
        n = next(iter(sizes.values()), 1)
        configs = [{name: many[name][k] if name in many else configs[name] for name in configs} for k in range(n)]
    if not len(configs):
        raise ValueError("configs must hold at least one network, got none")
    hyper = {} if factory is None else dict(inspect.signature(factory).parameters)
    known = {"n_h", *DEFAULTS, "learning_rate", *PER_EXAMPLE, *hyper}
    defaults = {**DEFAULTS, "learning_rate": 0.1 if factory is None else 0.001}
    complete = []
    for k, config in enumerate(configs):
        if unknown := set(config) - known:
            raise ValueError(f"configs[{k}] must have names of {sorted(known)}, got {sorted(unknown)}")
        if "n_h" not in config:
            raise ValueError(f"configs[{k}] must have n_h, its number of hidden units, got {sorted(config)}")
        complete.append({"n_h": config["n_h"], **defaults, **config})
    used = [name for name in hyper if name != "learning_rate" and any(name in config for config in complete)]
    for k, config in enumerate(complete):
        for name in used:
            config.setdefault(name, hyper[name].default)
        try:
            _check(config, ("learning_rate", "l2", *used))
        except (ValueError, TypeError) as error:
            raise type(error)(f"configs[{k}]: {error}") from None
    return complete


def _check(config: dict[str, Any], numbers: Iterable[str]) -> None:
    """The values of one config, made plain Python numbers."""
    check_sizes(n_h=config["n_h"])
    resolve(config["hidden"])
    check_scale(config["scale"])
    if not isinstance(config["seed"], int | np.integer):
        raise TypeError(f"seed must be an integer, got {config['seed']!r}")
    if not 0 <= config["seed"] < 2**32:
        raise ValueError(f"seed must be at least 0 and below 2^32, got {config['seed']}")
    for name in numbers:
        if isinstance(config[name], bool) or not isinstance(config[name], int | float | np.number):
            raise TypeError(f"{name} must be a number, got {config[name]!r}")
        if not np.isfinite(config[name]):
            raise ValueError(f"{name} must be finite, got {config[name]}")
    if config["l2"] < 0:
        raise ValueError(f"l2 must be at least 0, got {config['l2']}")
    plain = ("n_h", "seed", "scale", *numbers)
    config.update({name: config[name].item() for name in plain if isinstance(config[name], np.generic)})


def _check_data(
    key, X, Y, output, weights, validation, dtype
) -> tuple[Array, Array, Array | None, tuple[Array, Array] | None]:
    """X, Y, weights and validation as `fit` checks them, for a network of one hidden unit."""
    X, Y = (array if isinstance(array, jax.Array) else np.asarray(array) for array in (X, Y))
    for name, array in (("X", X), ("Y", Y)):
        if array.ndim != 2:
            raise ValueError(
                f"{name} must be ({'n_x' if name == 'X' else 'n_y'}, m), examples as columns, got {array.shape}"
            )
    one = init(key, len(X), 1, len(Y), output=output, scale=0.0, dtype=dtype)
    X = checks.features(one, X)
    Y = checks.targets(one, X, Y)
    weights, _ = checks.weights_and_l2(one, X.shape[1], weights, 0.0)
    checks.values(one, X, Y, weights)
    if validation is not None:
        if not (isinstance(validation, tuple | list) and len(validation) == 2):
            raise TypeError(f"validation must be (X, Y), got {type(validation).__name__}")
        X_validation = checks.features(one, validation[0], name="validation X")
        Y_validation = checks.targets(one, X_validation, validation[1], name="validation Y")
        checks.values(one, X_validation, Y_validation, of="validation ")
        validation = X_validation, Y_validation
    return X, Y, weights, validation


def _check_weights(networks, m: int, m_validation: int | None) -> None:
    for name, n in (("weights", m), ("validation_weights", m_validation)):
        for k, network in enumerate(networks):
            if network.get(name) is None:
                continue
            if n is None:
                raise ValueError(f"configs[{k}]: validation_weights need validation=(X, Y)")
            w = network[name] = np.asarray(network[name])
            if w.shape != (n,):
                raise ValueError(f"configs[{k}]: {name} must be (m,) = ({n},), got {w.shape}")
            if not np.isfinite(w).all() or w.min() < 0 or w.max() == 0:
                raise ValueError(f"configs[{k}]: {name} must be finite, at least 0 and not all 0")


def _pairs(folds, m: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(train, test) indices of each fold."""
    if isinstance(folds, int | np.integer):
        if not 2 <= folds <= m:
            raise ValueError(f"folds must be between 2 and m = {m}, got {folds}")
        return [(np.setdiff1d(np.arange(m), test), test) for test in np.array_split(np.arange(m), folds)]
    pairs = []
    for pair in folds:
        try:
            train, test = (np.arange(m)[np.asarray(rows, None if len(rows) else int)] for rows in pair)  # or masks
        except (IndexError, TypeError, ValueError) as error:
            raise ValueError(f"folds must be pairs (train, test) of indices below m = {m}: {error}") from error
        if not (len(train) and len(test)):
            raise ValueError("each of the folds must train on some examples and validate on some, got an empty part")
        pairs.append((train, test))
    if not pairs:
        raise ValueError("folds must hold at least one pair (train, test), got none")
    return pairs


def _going_on(start: Many, networks, pairs, n_x: int, output: str, standardize: bool) -> list[tuple[int, np.ndarray]]:
    """The shifts of a run before; ValueError if they are not of these networks."""
    same = [{name: c.get(name) for name in ("n_h", "hidden", "seed", "fold")} for c in (*start.configs, *networks)]
    shifts = [(stack.state.params.W1.shape[1], stack.members) for stack in start._stacks]
    heads = {
        (stack.state.params.W1.shape[2], stack.state.params.output, stack.scaling is not None)
        for stack in start._stacks
    }
    if (
        sum(len(members) for _, members in shifts) != len(networks)
        or same[: len(start)] != same[len(start) :]
        or heads != {(n_x, output, standardize)}
    ):
        raise ValueError(
            "start must be a run of the same networks, none left out: n_h, hidden, seed, output, n_x and standardize"
        )
    if _indices(pairs) != _indices(start._pairs):
        raise ValueError(
            "start must have the same folds: else networks would be validated on what they were trained on"
        )
    return shifts


def _indices(pairs) -> list[list[int]]:
    return [part.tolist() for pair in pairs or () for part in pair]


# ---- buckets, shifts and chunks ----


def bucket(n_h: int) -> int:
    """The width that n_h is padded to: a multiple of 4, and at most a quarter more, so that few widths are compiled."""
    step = max(4, 2 ** ((n_h - 1).bit_length() - 3))
    return -(-n_h // step) * step


def memory(configs: Sequence[Mapping[str, Any]], n_x: int, n_y: int = 1, dtype: DTypeLike = np.float32) -> int:
    """Bytes that `fit_many` keeps of these networks: parameters, the best so far, and two moments, which is what an
    optimizer has at most by far. In training it is twice that, and the histories come to it.

    Args:
        configs: the networks, of which n_h counts.
        n_x, n_y: sizes of the data.
        dtype: of the parameters.

    Example:
        >>> memory([{"n_h": 4}] * 10_000, n_x=2) / 2**20  # in MiB
        2.593994140625
    """
    widths = (bucket(config["n_h"]) for config in configs)
    return sum(4 * (width * (n_x + n_y + 1) + n_y) * np.dtype(dtype).itemsize for width in widths)


def _shifts(networks, n_x: int, n_y: int, dtype, max_memory: int, examples: int) -> Iterator[tuple[int, np.ndarray]]:
    """(width, members): networks of one activation and width, as many as may be in training at once."""
    groups: dict[Any, dict[int, list[int]]] = {}
    for k, network in enumerate(networks):
        groups.setdefault(network["hidden"], {}).setdefault(bucket(network["n_h"]), []).append(k)
    together = []
    for buckets in groups.values():
        widths = sorted(buckets)
        for width, wider in itertools.pairwise(widths):
            padding = 6 * (wider - width) * (n_x + n_y + 1) * examples * len(buckets[width])
            room = len(buckets[width]) * memory([{"n_h": wider}], n_x, n_y, dtype) < max_memory // 8
            if padding < OPERATIONS_OF_COMPILING and room:  # not worth a program of its own
                buckets[wider] = buckets.pop(width) + buckets[wider]
        for width, members in buckets.items():
            alike = {networks[k]["n_h"] for k in members}
            together.append((alike.pop() if len(alike) == 1 else width, sorted(members)))
    results = sum(len(members) * memory([{"n_h": width}], n_x, n_y, dtype) for width, members in together)
    if results > max_memory:
        raise ValueError(
            f"{len(networks):,} networks take {results / 2**20:,.1f} MiB for themselves alone, and max_memory is "
            f"{max_memory / 2**20:,.1f} MiB: raise it, or train fewer, or smaller ones"
        )
    for fold in sorted({network.get("fold", 0) for network in networks}):
        for width, everyone in together:
            members = [k for k in everyone if networks[k].get("fold", 0) == fold]
            most = max(1, max_memory // (2 * memory([{"n_h": width}], n_x, n_y, dtype)))  # old values and new
            for start in range(0, len(members), most):
                yield width, np.array(members[start : start + most])


@partial(jax.jit, static_argnames=("hidden", "output", "factory", "shape"))
def _start(key, networks, *, hidden, output, factory, shape) -> State:
    """The first state of each network, drawn as `init` does: its numbers do not depend on how many come after them."""
    width, n_x, n_y = shape

    def one(network):
        dtype, units = network["learning_rate"].dtype, jnp.arange(width, dtype=np.int32) < network["n_h"]
        key1, key2 = jax.random.split(jax.random.fold_in(key, network["seed"]))

        def draw(key, n, deviation):
            cut = jax.random.truncated_normal(key, -2, 2, (n,), dtype)
            return jnp.where(network["cut"], cut, jax.random.normal(key, (n,), dtype)) * deviation

        W1 = draw(key1, width * n_x, network["deviation1"]).reshape(width, n_x)
        W2 = draw(key2, n_y * width, network["deviation2"])
        # Row y of W2 begins at y n_h, as in an array (n_y, n_h).
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
        return first_state(params, _optimizer(factory, network))

    return jax.vmap(one)(networks)


def _optimizer(factory, network) -> optax.GradientTransformation | None:
    return None if factory is None else factory(learning_rate=network["learning_rate"], **network["others"])


def _validation_cost(params, X, Y, weights):
    return cost(params, X, Y, weights=weights)


def padded(grads: Callable, n_h: ArrayLike) -> Callable:
    """`grads`, such as `cost_and_grads`, for networks whose hidden units from n_h on are padding, and stay it."""

    def of_padded(params, X, Y, *, weights=None, l2=0.0):
        J, g = grads(params, X, Y, weights=weights, l2=l2)
        return J, replace(g, W2=jnp.where(jnp.arange(g.W2.shape[1], dtype=np.int32)[None, :] < n_h, g.W2, 0))

    return of_padded


def widened(params: Params, width: int, pad: Callable = jnp.pad) -> Params:
    """The same network with hidden units up to `width`, whose weights are 0; `pad` is NumPy's or JAX's."""
    spare = ((0, width - len(params.W1)), (0, 0))
    return replace(params, W1=pad(params.W1, spare), b1=pad(params.b1, spare), W2=pad(params.W2, spare[::-1]))


def cost_and_grads_among_others(
    params: Params, X: ArrayLike, Y: ArrayLike, *, weights: ArrayLike | None = None, l2: ArrayLike = 0.0
) -> tuple[Array, Params]:
    """`cost_and_grads` as `fit_many` computes it: padded, and stacked with another network. For the certificate."""
    n_h = len(params.W1)
    wide = widened(params, bucket(n_h + 1))
    two = jax.tree.map(lambda leaf: jnp.stack([leaf / 2, leaf]), wide)
    one = padded(cost_and_grads, n_h)
    J, grads = jax.tree.map(lambda leaf: leaf[1], jax.vmap(lambda p: one(p, X, Y, weights=weights, l2=l2))(two))
    return J, replace(grads, W1=grads.W1[:n_h], b1=grads.b1[:n_h], W2=grads.W2[:, :n_h])


@partial(jax.jit, static_argnames=("factory", "grads", "epochs", "patience"))
def _train(
    X, Y, validation, states, networks, weights, validation_weights, order, tol, *, factory, grads, epochs, patience
):
    """`epochs` epochs of a chunk of networks; X, Y and order, (epochs, batches, batch_size), are the same for all."""

    def one(state, network, weights, validation_weights):
        return run_epochs(
            state, X, Y, weights, validation and (*validation, validation_weights), order,
            network["learning_rate"], network["l2"], tol,
            optimizer=_optimizer(factory, network), grads=padded(grads, network["n_h"]),
            validation_cost_of=_validation_cost, epochs=epochs, patience=patience,
        )  # fmt: skip

    return jax.vmap(one)(states, networks, weights, validation_weights)


def length_step(m: int) -> int:
    """Numbers of examples are lengthened to a multiple of this, at most 3 % more, so that few are compiled."""
    return max(8, 2 ** (m.bit_length() - 6))


def _spare(m: int, batch_size: int) -> int:
    """Columns that no minibatch reaches: with them, folds that differ by an example share a program.

    `run_epochs` takes as many columns as places in the minibatches to mean that every place is taken.
    """
    places, step = -(-m // batch_size) * batch_size, length_step(m)
    spare = -m % step
    return 0 if m == places else spare + step if m + spare == places else spare


class _Examples(NamedTuple):
    """What the networks of one fold, or all, are trained on: `rows` of the examples given, or all m."""

    m: int
    rows: np.ndarray | None
    scaling: Scaling | None
    weights: Array | None
    on_devices: list[tuple]


@dataclass
class _Run:
    """What all networks of a `fit_many` share, and the records of each."""

    key: ArrayLike
    X: Array
    Y: Array
    weights: Array | None
    validation: tuple[Array, Array] | None
    pairs: list[tuple[np.ndarray, np.ndarray]] | None
    standardize: bool
    output: str
    factory: Callable[..., optax.GradientTransformation] | None
    epochs: int
    batch_size: int | None
    patience: int | None
    tol: float
    callback: Callable[[Progress], Any] | None
    networks: list[dict[str, Any]]
    start: Many | None
    devices: list[jax.Device]

    def __post_init__(self):
        K = len(self.networks)
        self.costs = np.full((K, self.epochs), np.nan, self.X.dtype)
        self.validation_costs = None if self.validation is None and self.pairs is None else self.costs.copy()
        self.epochs_run, self.diverged_at, self.ended = np.zeros(K, int), np.full(K, -1), np.zeros(K, bool)
        self.lowest = np.full(K, np.nan)
        self.epochs_before = 0 if self.start is None else self.start._epochs_before + int(self.start.epochs.max())
        self.stacks: dict[int, _Stack] = {}
        self.since, self.share_before = time.monotonic(), 0.0
        self.on_host: Any = jax.tree.map(np.asarray, (self.X, self.Y, self.weights, self.validation))
        self.key_words = None if self.batch_size is None else words(self.key)
        self.fold, self.examples = None, None

    @property
    def watched_costs(self) -> np.ndarray:
        """(K, epochs) what `patience` and `Progress` look at."""
        return self.costs if self.validation_costs is None else self.validation_costs

    @property
    def share(self) -> float:
        """Of the work that is done."""
        return float(np.where(self.ended, 1, self.epochs_run / self.epochs).mean())

    def many(self, finished: bool) -> Many:
        """What has come of the run; its records are a copy where they are still written."""
        kept = (lambda records: records) if finished else np.copy
        return Many(
            configs=tuple(self.networks),
            history=jax.tree.map(kept, History(self.costs, self.validation_costs)),
            epochs=kept(self.epochs_run),
            diverged_at=kept(self.diverged_at),
            finished=finished,
            _stacks=tuple(self.stacks.values()),
            _epochs_before=self.epochs_before,
            _pairs=self.pairs,
        )

    def scaling_of(self, fold: int, known: Scaling | None) -> Scaling | None:
        """By what the features of a fold, or all, are scaled."""
        if known is not None or not self.standardize:
            return known
        X = self.on_host[0]
        return scaling(X if self.pairs is None else X[:, self.pairs[fold][0]])

    def take(self, fold: int, known_scaling) -> _Examples:
        """The examples of a fold, or all, on the devices; those of one fold are there at a time."""
        if self.examples is None or fold != self.fold:
            X, Y, weights, validation = self.on_host
            rows: Any = None
            if self.pairs is not None:
                rows, held_out = self.pairs[fold]
                X, Y, validation = X[:, rows], Y[:, rows], (X[:, held_out], Y[:, held_out])
                weights = weights if weights is None else weights[rows]
            scaled = self.scaling_of(fold, known_scaling)
            if scaled is not None:
                standard = lambda X: ((X - scaled[0]) / scaled[1]).astype(self.X.dtype)  # noqa: E731
                X, validation = standard(X), validation and (standard(validation[0]), validation[1])
            m = X.shape[1]
            if self.batch_size is not None:
                X, Y = (np.pad(A, ((0, 0), (0, _spare(m, min(self.batch_size, m))))) for A in (X, Y))
            data = [jax.device_put((X, Y, validation), device) for device in self.devices]
            self.fold, self.examples = fold, _Examples(m, rows, scaled, weights, data)
        return self.examples

    def go_on_from(self, arrays: Mapping[str, np.ndarray], shifts: list[tuple[int, np.ndarray]]) -> None:
        """Take over what `Many.arrays` says of a run that was not finished."""
        stacks: dict[str, dict[str, np.ndarray]] = {}
        for name, array in arrays.items():
            number, _, rest = name.partition(".")
            stacks.setdefault(number, {})[rest] = array
        if len(stacks) > len(shifts):
            raise ValueError(f"resume must be a run of the same networks, got {len(stacks)} stacks for {len(shifts)}")
        for shift, (width, members) in enumerate(shifts[: len(stacks)]):
            self.take_over(shift, width, members, stacks.get(str(shift), {}))
        self.lowest[:] = np.fmin.reduce(self.watched_costs, axis=1)
        self.share_before = self.share

    def take_over(self, shift: int, width: int, members: np.ndarray, found: dict[str, np.ndarray]) -> None:
        """The stack of a shift, and the records of its networks."""
        C, epoch = len(members), int(found.get("place.epoch", 0))
        costs = np.empty((C, epoch), self.X.dtype)
        like = {
            "members": members,
            "state": jax.eval_shape(lambda: self.first(width, members)),
            "place": {"epoch": np.int64(0), "block": np.int64(0), "size": np.int64(0), "alive": np.zeros(C, bool)},
            "history": History(costs, None if self.validation_costs is None else costs),
            "epochs": members,
            "diverged_at": members,
        }
        saved = from_named(like, found)
        if (saved["members"] != members).any() or epoch > self.epochs:
            raise ValueError("resume must be a run of the same networks, and of no more epochs")
        known = None if self.start is None else self.start._stacks[shift].scaling
        scaled = self.scaling_of(self.networks[members[0]].get("fold", 0), known)
        block, size, alive = int(saved["place"]["block"]), int(saved["place"]["size"]), saved["place"]["alive"]
        self.stacks[shift] = _Stack(members, saved["state"], scaled, _Place(epoch, block, size, alive))
        self.costs[members, :epoch] = saved["history"].cost
        if self.validation_costs is not None:
            self.validation_costs[members, :epoch] = saved["history"].validation_cost
        self.epochs_run[members], self.diverged_at[members] = saved["epochs"], saved["diverged_at"]
        self.ended[members] = ~alive | (epoch == self.epochs)

    def first(self, width: int, members: np.ndarray) -> State:
        """The states of new networks, before their first epoch."""
        first = self.networks[members[0]]
        state = _start(
            self.key, self.stack(members), hidden=first["hidden"], output=self.output, factory=self.factory,
            shape=(width, len(self.X), len(self.Y)),
        )  # fmt: skip
        return self.watched(state)

    def watched(self, state: State) -> State:
        return jax.vmap(lambda state: watched(state, self.patience, self.validation_costs is not None))(state)

    def begin(self, shift: int, width: int, members: np.ndarray) -> _Stack:
        """The stack of new networks, or of those to start from, before the first epoch."""
        earlier = None if self.start is None else self.start._stacks[shift]
        examples = self.take(self.networks[members[0]].get("fold", 0), earlier and earlier.scaling)
        if earlier is None:
            state = self.first(width, members)
        else:
            state = self.watched(State(earlier.state.result, earlier.state.opt_state))
            fresh = jax.eval_shape(lambda: self.first(width, members))
            if [leaf.shape for leaf in jax.tree.leaves(state)] != [leaf.shape for leaf in jax.tree.leaves(fresh)]:
                raise ValueError("start must have been trained by an optimizer of the same form")
        size, _ = self.chunk(width, len(members), state.params, examples)
        place = _Place(0, self.epochs_a_program(state.params, size, examples), size, np.ones(len(members), bool))
        return _Stack(members, jax.tree.map(np.asarray, state), examples.scaling, place)

    def train(self, shift: int, width: int, members: np.ndarray) -> None:
        """Train the members, block of epochs after block, and keep their stack after each block."""
        if shift in self.stacks and self.ended[members].all():
            return
        _, state, scaled, (epoch, block, size, alive) = self.stacks.get(shift) or self.begin(shift, width, members)
        hyper, examples = self.stack(members), self.take(self.networks[members[0]].get("fold", 0), scaled)
        _, grads = self.chunk(width, len(members), state.params, examples)
        while epoch < self.epochs and alive.any():
            n, rows = min(block, self.epochs - epoch), np.flatnonzero(alive)
            rest = OPERATIONS_OF_COMPILING / (self.epochs - epoch) / self.operations(state.params, 1, examples)
            while len(rows) <= size // 2 and size // 2 * -(-len(rows) // size) >= rest:
                size //= 2  # what is saved is worth another program
            state, costs, ran = self.run_block(state, hyper, members, rows, size, epoch, n, grads, examples)
            alive = alive.copy()
            alive[rows] = self.record(members[rows], costs, ran, epoch)
            epoch += n
            self.stacks[shift] = _Stack(members, state, scaled, _Place(epoch, block, size, alive))
            self.report()
        self.ended[members] = True

    def stack(self, members: np.ndarray) -> dict[str, Any]:
        """The numbers of the members' configs as arrays (K,)."""
        configs, dtype = [self.networks[k] for k in members], self.X.dtype
        n_x, n_y = len(self.X), len(self.Y)

        def column(name, dtype=dtype):
            return np.array([config[name] for config in configs], dtype)

        deviations = np.array([_deviations(config["scale"], n_x, config["n_h"], n_y) for config in configs], dtype)
        others = set(configs[0]) - {"n_h", "hidden", "learning_rate", "l2", "scale", "seed", "fold", *PER_EXAMPLE}
        return {
            "n_h": column("n_h", np.int32),
            "seed": column("seed", np.uint32),
            "learning_rate": column("learning_rate"),
            "l2": column("l2"),
            "cut": np.array([isinstance(config["scale"], str) for config in configs]),
            "deviation1": deviations[:, 0],
            "deviation2": deviations[:, 1],
            "others": {name: column(name) for name in sorted(others)},
        }

    def own(self, name: str, default: ArrayLike | None, m: int, members: np.ndarray, rows=None) -> np.ndarray | None:
        """(C, m) weights of the members; None if no network of this run has any."""
        if default is None and all(network.get(name) is None for network in self.networks):
            return None
        default = np.ones(m) if default is None else np.asarray(default)
        mine = (self.networks[k].get(name) for k in members)
        return np.stack(
            [np.asarray(default if w is None else w if rows is None else w[rows], self.X.dtype) for w in mine]
        )

    def chunk(self, width: int, n: int, params: Params, examples: _Examples) -> tuple[int, Callable]:
        """How many networks run at once, and the gradient of each: streamed where one alone outgrows the cache."""
        m = examples.m
        one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), params)
        tile = tile_size(one)
        batch = min(m, self.batch_size or m)
        widest = max(width, *one.W2.shape)
        if self.devices[0].platform != "cpu":
            return max(1, min(n, 2**26 // (widest * batch))), cost_and_grads
        if batch >= 8 * tile:
            return 1, stream(cost_and_grads)
        devices = len(self.devices)
        most = max(1, CHUNK_ELEMENTS // devices // (widest * batch))
        chunks = -(-n // most // devices) * devices
        return -(-n // chunks), cost_and_grads

    def operations(self, params: Params, size: int, examples: _Examples) -> float:
        """Of an epoch of so many networks, in multiplications; a step takes its time whatever it computes."""
        entries = sum(leaf[0].size for leaf in jax.tree.leaves(params))
        return 6 * size * examples.m * entries + 200_000 * -(-examples.m // (self.batch_size or examples.m))

    def epochs_a_program(self, params: Params, size: int, examples: _Examples) -> int:
        """A divisor of all epochs where there is one near, or the last program would be another."""
        parts = 100 if self.callback else 20 if self.patience else 1
        most = min(self.epochs // parts, OPERATIONS_A_PROGRAM / self.operations(params, size, examples))
        block = int(min(self.epochs, max(2, most)))
        return next((n for n in range(block, block // 2, -1) if self.epochs % n == 0), block)

    def run_block(self, state, hyper, members, alive, size, epoch, n, grads, examples):
        """n epochs of those alive, in chunks; their new state among the others', their histories, and what ran."""
        m, order = examples.m, None
        if self.batch_size is not None and self.key_words is not None:
            batch, first = min(self.batch_size, m), self.epochs_before + epoch
            order = np.stack([epoch_order(self.key_words, e, m, batch) for e in range(first, first + n)])
        running = []
        for turn, start in enumerate(range(0, len(alive), size)):
            rows = alive[start : start + size]
            full = np.resize(rows, size)  # the last chunk is filled up with networks that it has already
            some = partial(jax.tree.map, lambda leaf, full=full: leaf[full])
            weights, held_out = self.own("weights", examples.weights, m, members[full], examples.rows), None
            if self.validation is not None:
                held_out = self.own("validation_weights", None, self.validation[0].shape[1], members[full])
            device = turn % len(self.devices)
            tol = np.asarray(self.tol, self.X.dtype)
            chunk = jax.device_put((some(state), some(hyper), weights, held_out, order, tol), self.devices[device])
            out = _train(
                *examples.on_devices[device], *chunk,
                factory=self.factory, grads=grads, epochs=n, patience=self.patience,
            )  # fmt: skip
            running.append((len(rows), out))
        parts = [jax.tree.map(lambda leaf, k=k: np.asarray(leaf)[:k], out) for k, out in running]
        states, (histories, ran) = jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)

        def placed(old, new):
            old = old.copy()
            old[alive] = new
            return old

        return jax.tree.map(placed, state, states), histories, ran

    def record(self, members: np.ndarray, costs: Any, ran: np.ndarray, epoch: int) -> np.ndarray:
        """Write the block's costs down; which of the members go on."""
        there = slice(epoch, epoch + ran.shape[1])
        self.costs[members, there] = np.where(ran, costs.cost, np.nan)
        if self.validation_costs is not None:
            self.validation_costs[members, there] = np.where(ran, costs.validation_cost, np.nan)
        lowest = np.fmin.reduce(self.watched_costs[members, there], axis=1)
        self.lowest[members] = np.fmin(self.lowest[members], lowest)
        self.epochs_run[members] += ran.sum(axis=1)
        lost = ran & ~np.isfinite(costs.cost)
        diverged = lost.any(axis=1)
        self.diverged_at[members[diverged]] = epoch + lost[diverged].argmax(axis=1)
        goes_on = ran[:, -1] & ~diverged
        self.ended[members[~goes_on]] = True
        return goes_on

    def report(self) -> None:
        if self.callback is None:
            return
        share, seconds = self.share, time.monotonic() - self.since
        left = seconds / max(share - self.share_before, 1e-9) * (1 - share)
        lowest, best = self.lowest.copy(), float(np.fmin.reduce(self.lowest))
        many = partial(self.many, finished=False)
        if self.callback(Progress(share, best, lowest, self.epochs_run.copy(), seconds, left, many)):
            raise _Ended


def _deviations(scale: float | str, n_x: int, n_h: int, n_y: int) -> tuple[float, float]:
    """The standard deviations of W1 and W2, for "glorot" and "he" before the cut, as jax.nn.initializers has them."""
    if scale == "glorot":
        return (2 / (n_x + n_h)) ** 0.5 / CUT_DEVIATION, (2 / (n_h + n_y)) ** 0.5 / CUT_DEVIATION
    if scale == "he":
        return (2 / n_x) ** 0.5 / CUT_DEVIATION, (2 / n_h) ** 0.5 / CUT_DEVIATION
    return float(scale), float(scale)
