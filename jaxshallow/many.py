"""Thousands of networks in one program: other seeds, rates, activations and widths, on the same examples.

`fit`'s own epochs, under `vmap`. All networks share X, so their first layers are one matrix product. They are run in
chunks, so few at a time that their activations stay in the cache.

Widths may differ, since a padded hidden unit, whose weights in and out are 0, stays exactly 0: it adds W2 g(0) = 0 to
Z2, and W2ᵀ dZ2 is 0 there, so that its dW1 and db1 are. Only its dW2 = dZ2 A1ᵀ is not where g(0) ≠ 0, as for σ, and
is set to 0.
"""

from __future__ import annotations

import inspect
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
from jaxshallow.descent import History, State, epoch_order, first_state, run_epochs, words
from jaxshallow.executions import stream, tile_size
from jaxshallow.network import cost, forward
from jaxshallow.params import Params, check_scale, check_sizes, init

DEFAULTS = {"hidden": "sigmoid", "l2": 0.0, "scale": 0.01, "seed": 0}
PER_EXAMPLE = ("weights", "validation_weights")
# Numbers in A1 of the networks that run at once on a CPU: few enough for the cache, enough to be worth a product.
CHUNK_ELEMENTS = 2**19
OPERATIONS_A_PROGRAM = 4e9  # about a tenth of a second: Ctrl-C and `callback` get their turn
MAX_MEMORY = 2**32
CUT_DEVIATION = 0.87962566103423978  # of the standard normal distribution cut off at ±2


class Progress(NamedTuple):
    """What `fit_many` tells its `callback`.

    Attributes:
        share: of the work that is done, 0 to 1; networks that stopped early count as done.
        best: the lowest cost so far, the validation's where there is one.
        seconds: since the start.
        seconds_left: at the same speed.
    """

    share: float
    best: float
    seconds: float
    seconds_left: float


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
    _stacks: tuple[tuple[np.ndarray, Params], ...]
    _patient: bool

    def __len__(self) -> int:
        return len(self.configs)

    def params(self, k: int) -> Params:
        """The k-th network, without padding; with `patience`, the one of its best validation cost.

        Raises:
            IndexError: there is no such network.
        """
        k = range(len(self))[k]
        n_h = self.configs[k]["n_h"]
        for members, stack in self._stacks:
            if len(place := np.flatnonzero(members == k)):
                W1, b1, W2, b2 = (leaf[place[0]] for leaf in jax.tree.leaves(stack))
                return replace(stack, W1=W1[:n_h], b1=b1[:n_h], W2=W2[:, :n_h], b2=b2)
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
        best = np.fmin.reduce(costs, axis=1)
        return best if self._patient else self._last(costs)

    def _last(self, costs) -> np.ndarray:
        return np.where(self.epochs > 0, costs[np.arange(len(self)), np.maximum(self.epochs - 1, 0)], np.nan)

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
        for members, stack in self._stacks:
            if len(rows := np.flatnonzero(np.isin(members, chosen))):
                total = total + _sum_of_outputs(jax.tree.map(lambda leaf, rows=rows: leaf[rows], stack), X)
        return np.asarray(total) / len(chosen)


def _output(params: Params, X: ArrayLike) -> Array:
    return forward(params, X).A2


@jax.jit
def _sum_of_outputs(stack: Params, X: ArrayLike) -> Array:
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
    patience: int | None = None,
    callback: Callable[[Progress], Any] | None = None,
    max_memory: int = MAX_MEMORY,
    dtype: DTypeLike | None = None,
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
            fold. A number of folds of consecutive examples, or what a scikit-learn splitter gives, pairs of
            indices (train, test): `StratifiedKFold(5).split(X.T, y)`.
        patience: a network stops after this many epochs without a lower validation cost, and is its best one.
        callback: called with `Progress` now and then; anything true that it returns ends the run there, as Ctrl-C does.
        max_memory: bytes for networks in training; beyond it they are trained in several shifts.
        dtype: of the parameters, as in `init`.

    Returns:
        `Many`. Networks whose cost is no longer finite are stopped, and disturb no other.

    Raises:
        ValueError: shapes and values as in `fit`; no networks; a config without n_h, with an unknown name or with a
            value that cannot be; more memory needed than `max_memory` for the results alone.
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
    factory = _factory(optimizer)
    networks = _complete(configs, factory)
    data = _check_data(key, X, Y, output, weights, validation, dtype)
    X, Y, weights, validation = data
    n_x, m = X.shape
    if folds is not None:
        if validation is not None:
            raise ValueError("folds bring their own validation: give no other")
        validation = X, Y
        networks = list(_each_fold(networks, folds, m, weights))
    if patience is not None and validation is None:
        raise ValueError("patience needs validation=(X, Y) to watch, or folds")
    _check_weights(networks, m, None if validation is None else validation[0].shape[1])

    run = _Run(
        key, X, Y, weights, validation, output, factory, epochs, batch_size, patience, callback, networks
    )  # fmt: skip
    stacks: dict[int, tuple[np.ndarray, Params]] = {}
    finished = True
    try:
        for shift, (width, members) in enumerate(_shifts(networks, n_x, len(Y), X.dtype, max_memory)):
            for stack in run.train(width, members):
                stacks[shift] = members, stack
    except (KeyboardInterrupt, _Ended):
        finished = False
    return Many(
        configs=tuple(networks),
        history=History(run.costs, run.validation_costs),
        epochs=run.epochs_run,
        diverged_at=run.diverged_at,
        finished=finished,
        _stacks=tuple(stacks.values()),
        _patient=patience is not None,
    )


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
        complete.append({**defaults, **config})
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


def _each_fold(networks, folds, m: int, weights) -> Iterator[dict[str, Any]]:
    """Each config once for each fold: trained where its test rows weigh 0, validated on them."""
    if isinstance(folds, int | np.integer):
        if not 2 <= folds <= m:
            raise ValueError(f"folds must be between 2 and m = {m}, got {folds}")
        tests = np.array_split(np.arange(m), folds)
        folds = [(np.setdiff1d(np.arange(m), test), test) for test in tests]
    masks = []
    for pair in folds:
        masks.append([np.zeros(m, np.float32), np.zeros(m, np.float32)])
        for mask, rows in zip(masks[-1], pair, strict=True):
            mask[np.asarray(rows)] = 1
    for network in networks:
        if network.get("validation_weights") is not None:
            raise ValueError("folds bring their own validation: give no validation_weights")
        own = weights if network.get("weights") is None else network["weights"]
        for fold, pair in enumerate(masks):  # without weights, all networks of a fold share its arrays
            train, test = pair if own is None else (mask * np.asarray(own) for mask in pair)
            yield {**network, "fold": fold, "weights": train, "validation_weights": test}


# ---- buckets, shifts and chunks ----


def bucket(n_h: int) -> int:
    """The width that n_h is padded to: a multiple of 4, and at most a quarter more, so that few widths are compiled."""
    step = max(4, 2 ** ((n_h - 1).bit_length() - 3))
    return -(-n_h // step) * step


def _shifts(networks, n_x: int, n_y: int, dtype, max_memory: int) -> Iterator[tuple[int, np.ndarray]]:
    """(width, members): networks of one activation and bucket, as many as may be in training at once."""
    groups: dict[tuple[Any, int], list[int]] = {}
    for k, network in enumerate(networks):
        groups.setdefault((network["hidden"], bucket(network["n_h"])), []).append(k)
    # Parameters, gradient, the best so far, the results, and two moments are what an optimizer keeps at most by far.
    size = lambda width: (width * (n_x + n_y + 1) + n_y) * dtype.itemsize  # noqa: E731
    results = sum(size(width) * len(members) for (_, width), members in groups.items())
    if results > max_memory:
        raise ValueError(
            f"{len(networks):,} networks take {results / 2**30:.1f} GiB for themselves alone, and max_memory is "
            f"{max_memory / 2**30:.1f} GiB: raise it, or train fewer at once"
        )
    for (_, width), members in groups.items():
        widths = {networks[k]["n_h"] for k in members}
        width = widths.pop() if len(widths) == 1 else width  # nothing to pad where all are alike
        most = max(1, max_memory // (8 * size(width)))
        for start in range(0, len(members), most):
            yield width, np.array(members[start : start + most])


@partial(jax.jit, static_argnames=("hidden", "output", "factory", "shape", "patience"))
def _start(key, networks, *, hidden, output, factory, shape, patience) -> State:
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
        return first_state(params, _optimizer(factory, network), patience)

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


def cost_and_grads_among_others(
    params: Params, X: ArrayLike, Y: ArrayLike, *, weights: ArrayLike | None = None, l2: ArrayLike = 0.0
) -> tuple[Array, Params]:
    """`cost_and_grads` as `fit_many` computes it: padded, and stacked with another network. For the certificate."""
    n_h, width = len(params.W1), bucket(len(params.W1) + 1)
    spare = ((0, width - n_h), (0, 0))
    wide = replace(
        params, W1=jnp.pad(params.W1, spare), b1=jnp.pad(params.b1, spare), W2=jnp.pad(params.W2, spare[::-1])
    )
    two = jax.tree.map(lambda leaf: jnp.stack([leaf / 2, leaf]), wide)
    one = padded(cost_and_grads, n_h)
    J, grads = jax.tree.map(lambda leaf: leaf[1], jax.vmap(lambda p: one(p, X, Y, weights=weights, l2=l2))(two))
    return J, replace(grads, W1=grads.W1[:n_h], b1=grads.b1[:n_h], W2=grads.W2[:, :n_h])


@partial(jax.jit, static_argnames=("factory", "grads", "epochs", "patience"))
def _train(X, Y, validation, states, networks, weights, validation_weights, order, *, factory, grads, epochs, patience):
    """`epochs` epochs of a chunk of networks; X, Y and order, (epochs, batches, batch_size), are the same for all."""

    def one(state, network, weights, validation_weights):
        return run_epochs(
            state, X, Y, weights, validation and (*validation, validation_weights), order,
            network["learning_rate"], network["l2"],
            optimizer=_optimizer(factory, network), grads=padded(grads, network["n_h"]),
            validation_cost_of=_validation_cost, epochs=epochs, patience=patience,
        )  # fmt: skip

    return jax.vmap(one)(states, networks, weights, validation_weights)


@dataclass
class _Run:
    """What all networks of a `fit_many` share, and the records of each."""

    key: ArrayLike
    X: Array
    Y: Array
    weights: Array | None
    validation: tuple[Array, Array] | None
    output: str
    factory: Callable[..., optax.GradientTransformation] | None
    epochs: int
    batch_size: int | None
    patience: int | None
    callback: Callable[[Progress], Any] | None
    networks: list[dict[str, Any]]

    def __post_init__(self):
        K = len(self.networks)
        self.costs = np.full((K, self.epochs), np.nan, self.X.dtype)
        self.validation_costs = None if self.validation is None else self.costs.copy()
        self.epochs_run, self.diverged_at, self.ended = np.zeros(K, int), np.full(K, -1), np.zeros(K, bool)
        self.start = time.monotonic()
        self.key_words = None if self.batch_size is None else words(self.key)
        self.devices = jax.local_devices()
        self.data = [jax.device_put((self.X, self.Y, self.validation), device) for device in self.devices]

    def train(self, width: int, members: np.ndarray) -> Iterator[Params]:
        """Train the members, block of epochs after block; the stack of their parameters after each block."""
        hyper = self.stack(members)
        state = _start(
            self.key, hyper, hidden=self.networks[members[0]]["hidden"], output=self.output, factory=self.factory,
            shape=(width, len(self.X), len(self.Y)), patience=self.patience,
        )  # fmt: skip
        state, alive = jax.tree.map(np.asarray, state), np.arange(len(members))
        size, grads = self.chunk(width, len(members), state.params)
        block = self.epochs_a_program(state.params, size)
        for epoch in range(0, self.epochs, block):
            n = min(block, self.epochs - epoch)
            while len(alive) <= size // 2:
                size //= 2
            state, costs, ran = self.run_block(state, hyper, members, alive, size, epoch, n, grads)
            alive = alive[self.record(members[alive], costs, ran, epoch)]
            yield state.params if state.best_params is None else state.best_params
            self.report()
            if not len(alive):
                break
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

    def rows(self, name: str, default: ArrayLike | None, m: int, members: np.ndarray) -> np.ndarray | None:
        """(C, m) weights of the members; None if no network of this run has any."""
        if default is None and all(network.get(name) is None for network in self.networks):
            return None
        default = np.ones(m) if default is None else np.asarray(default)
        own = (self.networks[k].get(name) for k in members)
        return np.stack([np.asarray(default if w is None else w, self.X.dtype) for w in own])

    def chunk(self, width: int, n: int, params: Params) -> tuple[int, Callable]:
        """How many networks run at once, and the gradient of each: streamed where one alone outgrows the cache."""
        m = self.X.shape[1]
        one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), params)
        tile = tile_size(one)
        batch = min(m, self.batch_size or m)
        widest = max(width, *one.W2.shape)
        if jax.default_backend() != "cpu":
            return max(1, min(n, 2**26 // (widest * batch))), cost_and_grads
        if batch >= 8 * tile:
            return 1, stream(cost_and_grads)
        devices = len(self.devices)
        most = max(1, CHUNK_ELEMENTS // devices // (widest * batch))
        chunks = -(-n // most // devices) * devices
        return -(-n // chunks), cost_and_grads

    def epochs_a_program(self, params: Params, size: int) -> int:
        m = self.X.shape[1]
        steps = -(-m // (self.batch_size or m))
        entries = sum(leaf[0].size for leaf in jax.tree.leaves(params))
        operations = 6 * size * m * entries + 200_000 * steps
        most = self.epochs if self.callback is None and self.patience is None else max(2, self.epochs // 100)
        return int(min(self.epochs, max(2, min(most, OPERATIONS_A_PROGRAM / operations))))

    def run_block(self, state, hyper, members, alive, size, epoch, n, grads):
        """n epochs of those alive, in chunks; their new state among the others', their histories, and what ran."""
        m, order = self.X.shape[1], None
        if self.batch_size is not None and self.key_words is not None:
            batch = min(self.batch_size, m)
            order = np.stack([epoch_order(self.key_words, e, m, batch) for e in range(epoch, epoch + n)])
        running = []
        for turn, start in enumerate(range(0, len(alive), size)):
            rows = alive[start : start + size]
            full = np.resize(rows, size)  # the last chunk is filled up with networks that it has already
            some = partial(jax.tree.map, lambda leaf, full=full: leaf[full])
            weights, own = self.rows("weights", self.weights, m, members[full]), None
            if self.validation is not None:
                own = self.rows("validation_weights", None, self.validation[0].shape[1], members[full])
            device = turn % len(self.devices)
            chunk = jax.device_put((some(state), some(hyper), weights, own, order), self.devices[device])
            out = _train(
                *self.data[device], *chunk, factory=self.factory, grads=grads, epochs=n, patience=self.patience
            )
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
        seconds = time.monotonic() - self.start
        share = float(np.where(self.ended, 1, self.epochs_run / self.epochs).mean())
        costs = self.costs if self.validation_costs is None else self.validation_costs
        best = float(np.fmin.reduce(costs, axis=None))
        if self.callback(Progress(share, best, seconds, seconds / share * (1 - share))):
            raise _Ended


def _deviations(scale: float | str, n_x: int, n_h: int, n_y: int) -> tuple[float, float]:
    """The standard deviations of W1 and W2, for "glorot" and "he" before the cut, as jax.nn.initializers has them."""
    if scale == "glorot":
        return (2 / (n_x + n_h)) ** 0.5 / CUT_DEVIATION, (2 / (n_h + n_y)) ** 0.5 / CUT_DEVIATION
    if scale == "he":
        return (2 / n_x) ** 0.5 / CUT_DEVIATION, (2 / n_h) ** 0.5 / CUT_DEVIATION
    return float(scale), float(scale)
