"""The data of a run: checked, split into folds, scaled, and put on the devices one fold at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import jax
import numpy as np
from jax import Array
from jax.typing import ArrayLike, DTypeLike

from jaxshallow import checks, given
from jaxshallow.many.configs import PER_EXAMPLE, Settings
from jaxshallow.many.optimizers import shapes
from jaxshallow.many.widths import length
from jaxshallow.params import Params, checked_dtype
from jaxshallow.training.epochs import last_batch
from jaxshallow.training.scaling import Scaling, scaling

Folds: TypeAlias = list[tuple[np.ndarray, np.ndarray]]


class FoldExamples(NamedTuple):
    """What the networks of one fold are trained on, or all networks if there are no folds.

    Attributes:
        m: how many examples.
        lengths: of all folds.
        rows: their indices in the examples given; None for all.
        scaling: (mean, deviation) of their features, each (n_x, 1); None if they were not scaled.
        weights: (m,) for networks that have none of their own; None: all 1.
        validation_weights: of the validation examples: 0 for those that fill a fold up to the length of the longest, so
            that all folds share a program; None: all 1.
        on_devices: for each device (X, Y, validation); X and Y may have padding that no minibatch uses.
    """

    m: int
    lengths: list[int]
    rows: np.ndarray | None
    scaling: Scaling | None
    weights: np.ndarray | None
    validation_weights: np.ndarray | None
    on_devices: list[tuple[Array, Array, tuple[Array, Array] | None]]

    def last(self, batch_size: int | None, entries: int) -> int | None:
        """`last_batch` of a step that trains so many entries: a multiple of 8, so that folds share a program."""
        if batch_size is None:
            return None
        batch = min(batch_size, self.m)
        lengths = {n for n in self.lengths if -(-n // batch) == -(-self.m // batch)}
        last = last_batch(max(lengths), batch, entries)
        if last is None:  # full in this fold, and maybe not in another
            return None if len(lengths) == 1 else batch
        return min(batch, -(-last // 8) * 8)


@dataclass(frozen=True, eq=False, kw_only=True)
class Examples:
    """All examples of a run, on the host.

    Attributes:
        X: (n_x, m).
        Y: (n_y, m).
        weights: (m,) or None.
        validation: (X, Y) of the same form, or None; with `folds`, always None.
        folds: (train, test) indices of each fold; None without.
        standardize: whether features are scaled.
        known_scalings: by fold, those that an earlier run found.
    """

    X: np.ndarray
    Y: np.ndarray
    weights: np.ndarray | None
    validation: tuple[np.ndarray, np.ndarray] | None
    folds: Folds | None
    standardize: bool
    known_scalings: Mapping[int, Scaling] = field(default_factory=dict)

    @property
    def m(self) -> int:
        return self.X.shape[1]

    @property
    def m_validation(self) -> int | None:
        """How many validation examples there are; None with folds or without validation."""
        return None if self.validation is None else self.validation[0].shape[1]

    @property
    def validated(self) -> bool:
        """Whether there is a validation cost."""
        return self.validation is not None or self.folds is not None

    def scaling_of(self, fold: int) -> Scaling | None:
        """The scaling of a fold's features, or of all; None if they are not scaled."""
        if fold in self.known_scalings or not self.standardize:
            return self.known_scalings.get(fold)
        return scaling(self.X if self.folds is None else self.X[:, self.folds[fold][0]])

    def of_fold(self, fold: int, settings: Settings) -> FoldExamples:
        """The examples of a fold, or all of them, on the devices."""
        X, Y, weights, validation, rows = self.X, self.Y, self.weights, self.validation, None
        counts = None
        if self.folds is not None:
            rows, held_out = self.folds[fold]
            held_out, counts = _filled_up(held_out, [len(test) for _, test in self.folds])
            X, Y, validation = X[:, rows], Y[:, rows], (X[:, held_out], Y[:, held_out])
            weights = None if weights is None else weights[rows]
        scaled = self.scaling_of(fold)
        if scaled is not None:
            X = _standard(X, scaled)
            validation = validation and (_standard(validation[0], scaled), validation[1])
        m, lengths = X.shape[1], self._lengths
        if settings.batch_size is not None:  # no minibatch takes the columns added
            X, Y = (np.pad(A, ((0, 0), (0, length(max(lengths)) - m))) for A in (X, Y))
        on_devices = [jax.device_put((X, Y, validation), device) for device in settings.devices]
        return FoldExamples(m, lengths, rows, scaled, weights, counts, on_devices)

    @property
    def _lengths(self) -> list[int]:
        """How many examples each fold is trained on."""
        return [self.m] if self.folds is None else [len(train) for train, _ in self.folds]


def _filled_up(rows: np.ndarray, lengths: Sequence[int]) -> tuple[np.ndarray, np.ndarray | None]:
    """As many indices as the longest of all lengths, the last repeated, and 0 for those; None if all are as long."""
    n = max(lengths)
    if min(lengths) == n:
        return rows, None
    return np.pad(rows, (0, n - len(rows)), mode="edge"), np.arange(n) < len(rows)


def _standard(X: np.ndarray, by: Scaling) -> np.ndarray:
    mean, deviation = by
    return ((X - mean) / deviation).astype(X.dtype)


def weights_of(settings: Settings, members: np.ndarray, examples: FoldExamples) -> np.ndarray | None:
    """(C, m) weights of the members in a fold; None if no network of the run has any."""
    default, rows = examples.weights, slice(None) if examples.rows is None else examples.rows
    if default is None and _first("weights", settings) is None:
        return None
    default = np.ones(examples.m) if default is None else default
    own = (settings.networks[k].get("weights") for k in members)
    return np.stack([np.asarray(default if w is None else w[rows], settings.dtype) for w in own])


def validation_weights_of(settings: Settings, members: np.ndarray, examples: FoldExamples) -> np.ndarray | None:
    """(C, m) weights of the members for the validation examples; None if no network of the run has any."""
    if examples.validation_weights is not None:
        return np.tile(examples.validation_weights.astype(settings.dtype), (len(members), 1))
    first = _first("validation_weights", settings)
    if first is None:
        return None
    own = (settings.networks[k].get("validation_weights") for k in members)
    return np.stack([np.asarray(np.ones(len(first)) if w is None else w, settings.dtype) for w in own])


def _first(name: str, settings: Settings) -> np.ndarray | None:
    """The first weights that a network has of its own; None if none has any."""
    return next((network[name] for network in settings.networks if network.get(name) is not None), None)


# ---- what a user can get wrong ----


def checked_examples(
    key: ArrayLike,
    X: ArrayLike,
    Y: ArrayLike,
    *,
    output: str,
    weights: ArrayLike | None,
    validation: tuple[ArrayLike, ArrayLike] | None,
    folds: int | Iterable[tuple[ArrayLike, ArrayLike]] | None,
    standardize: bool,
    dtype: DTypeLike | None,
) -> Examples:
    """Check the examples that `fit_many` was given.

    Raises:
        ValueError, TypeError: a shape or a value is wrong, or folds and validation are both given.
    """
    on_host: Any = jax.tree.map(np.asarray, _problem(key, X, Y, output, weights, validation, dtype))
    if folds is not None and validation is not None:
        raise ValueError("folds bring their own validation: give no other")
    return Examples(
        X=on_host.X,
        Y=on_host.Y,
        weights=on_host.weights,
        validation=on_host.validation,
        folds=None if folds is None else _pairs(folds, on_host.X.shape[1]),
        standardize=standardize,
    )


def _problem(
    key: ArrayLike,
    X: ArrayLike,
    Y: ArrayLike,
    output: str,
    weights: ArrayLike | None,
    validation: tuple[ArrayLike, ArrayLike] | None,
    dtype: DTypeLike | None,
) -> checks.Problem:
    """Check the examples as `fit` does, for a network of one hidden unit."""
    checks.untraced("fit_many", key, X, Y, weights, validation)
    for name, rows, array in (("X", "n_x", X), ("Y", "n_y", Y)):
        if np.ndim(given.numbers(name, array)) != 2:
            raise ValueError(f"{name} must be ({rows}, m), examples as columns, got {np.shape(array)}")
    n_x, n_y = np.shape(X)[0], np.shape(Y)[0]
    dtype = checked_dtype(key, n_x, 1, n_y, output, 0.0, dtype)
    W1, b1, W2, b2 = (np.zeros(shape, dtype) for shape in ((1, n_x), (1, 1), (n_y, 1), (n_y, 1)))
    one: Any = Params(W1, b1, W2, b2, output=output)  # type: ignore[arg-type]
    return checks.problem(one, X, Y, weights, validation=validation)


def _pairs(folds: int | Iterable[tuple[ArrayLike, ArrayLike]], m: int) -> Folds:
    """(train, test) indices of each fold."""
    if isinstance(folds, int | np.integer):
        if not 2 <= folds <= m:
            raise ValueError(f"folds must be between 2 and m = {m}, got {folds}")
        return [(np.setdiff1d(np.arange(m), test), test) for test in np.array_split(np.arange(m), folds)]
    pairs = []
    for pair in folds:
        try:
            parts = (np.asarray(given.numbers("indices", rows)) for rows in pair)
            train, test = (np.arange(m)[rows if rows.size else rows.astype(int)] for rows in parts)  # or masks
        except (IndexError, TypeError, ValueError) as error:
            raise ValueError(f"folds must be pairs (train, test) of indices below m = {m}: {error}") from error
        if not (len(train) and len(test)):
            raise ValueError("each of the folds must train on some examples and validate on some, got an empty part")
        pairs.append((train, test))
    if not pairs:
        raise ValueError("folds must hold at least one pair (train, test), got none")
    return pairs


def for_each_fold(networks: Sequence[dict[str, Any]], examples: Examples) -> list[dict[str, Any]]:
    """The networks, their own weights as arrays; with folds, each network once per fold, or on its own fold alone.

    Raises:
        ValueError: weights have another shape, are invalid, or leave nothing to train on; there is no such fold.
    """
    networks = [_with_checked_weights(k, network, examples) for k, network in enumerate(networks)]
    folds = [_folds_of(k, network, examples) for k, network in enumerate(networks)]
    if examples.folds is None:
        return networks
    everyone = [w for w in (examples.weights, *(network.get("weights") for network in networks)) if w is not None]
    for fold, (train, _) in enumerate(examples.folds):
        if not all(w[train].any() for w in everyone):
            raise ValueError(f"weights must not all be 0 where fold {fold} is trained")
    return [{**network, "fold": fold} for network, own in zip(networks, folds, strict=True) for fold in own]


def _folds_of(k: int, network: Mapping[str, Any], examples: Examples) -> Sequence[int]:
    """The folds that a network is trained on; 0, without folds."""
    n = 0 if examples.folds is None else len(examples.folds)
    if "fold" not in network:
        return range(max(1, n))
    fold = network["fold"]
    if isinstance(fold, bool) or not isinstance(fold, int | np.integer) or not 0 <= fold < n:
        expected = f"an integer from 0 to {n - 1}" if n else "left out, since there are no folds"
        raise ValueError(f"configs[{k}]: fold must be {expected}, got {fold!r}")
    return [int(fold)]


def first_of_each(
    first: Sequence[Params], networks: Sequence[Mapping[str, Any]], examples: Examples, output: str
) -> list[Params]:
    """The networks to start from, in NumPy; with folds, each once per fold.

    Raises:
        ValueError, TypeError: there is not one for each config, or one of another form.
    """
    if len(first) != len(networks):
        raise ValueError(f"first must hold Params for each of the {len(networks)} configs, got {len(first)}")
    n_x, n_y, dtype = len(examples.X), len(examples.Y), examples.X.dtype
    found = []
    for k, (one, network) in enumerate(zip(first, networks, strict=True)):
        times = len(_folds_of(k, network, examples))
        like = shapes(network["n_h"], n_x, n_y, dtype)
        if not _is_on_the_host(one, like):  # else thousands would go to a device and back
            try:
                one = jax.tree.map(np.asarray, checks.parameters(one))
            except (ValueError, TypeError) as error:
                raise type(error)(f"first[{k}]: {error}") from None
        wanted = (network["n_h"], n_x, n_y, network["hidden"], output, dtype)
        came = (*one.W1.shape, len(one.W2), one.hidden, one.output, one.W1.dtype)
        if came != wanted:
            raise ValueError(f"first[{k}] must have (n_h, n_x, n_y, hidden, output, dtype) = {wanted}, got {came}")
        found += [one] * times
    return found


def _is_on_the_host(one: Any, like: Params) -> bool:
    """Whether these are `Params` in NumPy, of the shapes and dtypes of `like`."""
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(like), strict=False)
    return isinstance(one, Params) and all(
        isinstance(leaf, np.ndarray) and (leaf.shape, leaf.dtype) == (as_in.shape, as_in.dtype) for leaf, as_in in pairs
    )


def _with_checked_weights(k: int, network: dict[str, Any], examples: Examples) -> dict[str, Any]:
    checked = dict(network)
    for name, m in zip(PER_EXAMPLE, (examples.m, examples.m_validation), strict=True):
        if network.get(name) is None:
            continue
        if m is None:
            raise ValueError(f"configs[{k}]: validation_weights need validation=(X, Y)")
        w = checked[name] = np.asarray(given.numbers(f"configs[{k}]: {name}", network[name]))
        if w.shape != (m,):
            raise ValueError(f"configs[{k}]: {name} must be (m,) = ({m},), got {w.shape}")
        if not np.isfinite(w).all() or w.min() < 0 or w.max() == 0:
            raise ValueError(
                f"configs[{k}]: {name} must be finite, at least 0 and not all 0, got values from {w.min()} to {w.max()}"
            )
        checks.check_weights(f"configs[{k}]: {name}", w, examples.X.dtype)
    return checked


def indices(folds: Folds | None) -> list[list[int]]:
    """The folds' indices as lists, for comparison."""
    return [part.tolist() for pair in folds or () for part in pair]
