"""The result of a run, `Many`, and the `Progress` that a callback sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from jaxshallow import checks
from jaxshallow.bounded import bounded_jit
from jaxshallow.many.chunks import Place
from jaxshallow.many.configs import PER_EXAMPLE
from jaxshallow.many.examples import Folds
from jaxshallow.many.widths import narrowed
from jaxshallow.meshes import no_mesh, on_automatic_axes
from jaxshallow.network import forward, score_of
from jaxshallow.params import Params
from jaxshallow.tiles import stream
from jaxshallow.training.epochs import History, State
from jaxshallow.training.resume import named
from jaxshallow.training.scaling import Scaling, fold_scaling


class Progress(NamedTuple):
    """What `fit_many` tells its `callback`.

    Attributes:
        share: of the work done, 0 to 1; networks that stopped early count as done.
        best: the lowest cost so far, the validation's where there is one.
        lowest: (K,) the same for each network; NaN before its turn.
        epochs: (K,) epochs that each network was trained.
        seconds: since the start.
        seconds_left: estimated, at the same speed.
        many: returns the `Many` so far, as if the run ended here.
    """

    share: float
    best: float
    lowest: np.ndarray
    epochs: np.ndarray
    seconds: float
    seconds_left: float
    many: Callable[[], Many]


class Stack(NamedTuple):
    """The networks of a group: arrays stacked along a first axis.

    Attributes:
        members: (C,) their indices.
        state: their `State`, each leaf (C, ...), hidden layers padded.
        scaling: (mean, deviation) of the features, each (n_x, 1); None if they were not scaled.
        place: their training progress.
    """

    members: np.ndarray
    state: State
    scaling: Scaling | None
    place: Place

    def params(self, rows: Any = ()) -> Params:
        """The parameters of some rows, with the scaling folded in."""
        params = jax.tree.map(lambda leaf: leaf[rows], self.state.result)
        return params if self.scaling is None else fold_scaling(params, self.scaling)


@dataclass(frozen=True, eq=False)
class Many:
    """What `fit_many` returns: K networks and their histories.

    Attributes:
        configs: K dicts, in the order given, with defaults filled in; with `folds`, one per config and fold, the fold's
            number under "fold".
        history: `History` of (K, epochs) arrays, as in `fit`; NaN after a network stopped.
        epochs: (K,) epochs that each network was trained.
        diverged_at: (K,) the epoch, from 0, in which the cost stopped being finite; −1 if it never did.
        finished: False after Ctrl-C or a callback that ended the run.
        stacks: the networks as they were trained, group by group; those that were not trained are in none.
        epochs_before: how many epochs the runs behind `start` had; 0 without `start`.
        folds: (train, test) indices of each fold; None without.
    """

    configs: tuple[dict[str, Any], ...]
    history: History
    epochs: np.ndarray
    diverged_at: np.ndarray
    finished: bool
    stacks: tuple[Stack, ...]
    epochs_before: int
    folds: Folds | None

    def __len__(self) -> int:
        return len(self.configs)

    def params(self, k: int) -> Params:
        """The k-th network, without padding; with `patience` and validation, at its best validation cost.

        Raises:
            IndexError: there is no such network.
        """
        k = range(len(self))[k]
        n_h = self.configs[k]["n_h"]
        for stack in self.stacks:
            if len(place := np.flatnonzero(stack.members == k)):
                return narrowed(stack.params(place[0]), n_h)
        raise IndexError(f"network {k} was not trained: the run was interrupted before its turn")

    @property
    def cost(self) -> np.ndarray:
        """(K,) cost of each network's last epoch, as `fit` records it; NaN if it was not trained."""
        return self._last(np.asarray(self.history.cost))

    @property
    def validation_cost(self) -> np.ndarray | None:
        """(K,) validation cost of the network that `params(k)` gives; None if there was no validation."""
        if self.history.validation_cost is None:
            return None
        costs = np.asarray(self.history.validation_cost)
        best_is_kept = any(stack.state.best_params is not None for stack in self.stacks)
        return np.fmin.reduce(costs, axis=1) if best_is_kept else self._last(costs)

    def _last(self, costs: np.ndarray) -> np.ndarray:
        return np.where(self.epochs > 0, costs[np.arange(len(self)), np.maximum(self.epochs - 1, 0)], np.nan)

    @property
    def scalings(self) -> dict[int, Scaling]:
        """By fold (0 without folds), how the features were scaled; empty if they were not."""
        by_fold = {self.configs[stack.members[0]].get("fold", 0): stack.scaling for stack in self.stacks}
        return {fold: scaling for fold, scaling in by_fold.items() if scaling is not None}

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything that `fit_many(..., resume=)` needs, by name; `checkpoints` saves it to disk."""
        # Ctrl-C may come when a block's records are written and its state is not: the records are cut to the state.
        return named({str(number): self._saved(stack) for number, stack in enumerate(self.stacks)})

    def _saved(self, stack: Stack) -> dict[str, Any]:
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
        """The indices of the networks, best first, by validation cost if there is one, those that diverged last."""
        costs = self.cost if self.validation_cost is None else self.validation_cost
        return np.argsort(np.where((self.diverged_at < 0) & np.isfinite(costs), costs, np.inf), kind="stable")

    def best(self) -> int:
        """The index of the best network: `many.params(many.best())`.

        Raises:
            ValueError: all networks diverged.
        """
        k = int(self.order()[0])
        if self.diverged_at[k] >= 0 or not self.epochs[k]:
            raise ValueError(f"there is no best of {len(self)} networks that all diverged: lower the learning rate")
        return k

    def table(self) -> dict[str, list[Any]]:
        """A row for each network, as a dict of columns: `polars.DataFrame(many.table())`."""
        names = [
            name for name in dict.fromkeys(n for config in self.configs for n in config) if name not in PER_EXAMPLE
        ]
        columns: dict[str, list[Any]] = {name: [config.get(name) for config in self.configs] for name in names}
        for name, values in columns.items():  # a column of numbers if all are, else of text
            if not all(value is None or isinstance(value, float | int) for value in values):
                columns[name] = [str(value) for value in values]
        columns["cost"] = self.cost.tolist()
        if self.validation_cost is not None:
            columns["validation_cost"] = self.validation_cost.tolist()
        return {**columns, "epochs": self.epochs.tolist(), "diverged_at": self.diverged_at.tolist()}

    def score(self, X: ArrayLike, Y: ArrayLike, networks: Sequence[int] | np.ndarray | None = None) -> np.ndarray:
        """How well each network does: its accuracy, or R² for identity and exp; as scikit-learn's `score`.

        Args:
            X: (n_x, m) examples as columns.
            Y: (n_y, m) targets. An example with several labels counts if all are right.
            networks: the indices of those to score; None: all.

        Returns:
            A score for each, in the order asked; NaN if the network diverged or was not trained.

        Raises:
            ValueError, TypeError: X or Y has another shape or type.
        """
        asked = np.arange(len(self))[slice(None) if networks is None else np.asarray(networks)]
        found = np.full(len(self), np.nan)
        examples = self._looked_at("score", X, Y) if self.stacks else ()
        for stack in self.stacks:
            if len(rows := np.flatnonzero(np.isin(stack.members, asked))):
                with no_mesh():
                    found[stack.members[rows]] = _scores(stack.params(rows), *examples)
        return np.where((self.diverged_at < 0) & (self.epochs > 0), found, np.nan)[asked]

    def predict_proba(self, X: ArrayLike, top: int | None = None) -> np.ndarray:
        """The mean output A2 of the best `top` networks.

        Probabilities are averaged, not logits or votes; for identity and exp it is the mean prediction.

        Args:
            X: (n_x, m) examples as columns.
            top: how many networks; None: all that did not diverge.

        Returns:
            (n_y, m).

        Raises:
            ValueError: X is not (n_x, m), or `top` is not between 1 and the number of networks that did not diverge.
        """
        usable = int(((self.diverged_at < 0) & (self.epochs > 0)).sum())
        if not 1 <= (usable if top is None else top) <= usable:
            raise ValueError(f"top must be between 1 and the {usable} networks that did not diverge, got {top}")
        chosen = self.order()[: usable if top is None else top]
        (X,) = self._looked_at("predict_proba", X)
        total: Any = 0.0
        for stack in self.stacks:
            if len(rows := np.flatnonzero(np.isin(stack.members, chosen))):
                with no_mesh():
                    total = total + np.asarray(sum_of_outputs(stack.params(rows), X))
        return np.asarray(total) / len(chosen)

    def _looked_at(self, name: str, X: ArrayLike, *Y: ArrayLike) -> tuple[Array, ...]:
        """X, and Y where it is given, checked, and on no explicit mesh."""
        checks.untraced(name, X, Y)
        one = checks.parameters(self.params(int(self.stacks[0].members[0])))
        x = checks.features(one, X)
        there: tuple[Array, ...] = on_automatic_axes((x, *(checks.targets(one, x, y) for y in Y)))
        return there


def _output(params: Params, X: ArrayLike) -> Array:
    return forward(params, X).A2


@bounded_jit
def _scores(networks: Params, X: Array, Y: Array) -> Array:
    """The score of each network, leaves (C, ...), one at a time and in tiles."""
    return jax.lax.map(lambda params: score_of(params, stream(_output)(params, X), Y), networks)


@bounded_jit
def sum_of_outputs(networks: Params, X: Array) -> Array:
    """Σ A2 over networks, leaves (C, ...), one at a time and in tiles: memory for one output."""

    def add(total: Array, params: Params) -> tuple[Array, None]:
        return total + stream(_output)(params, X), None

    return jax.lax.scan(add, jnp.zeros((networks.b2.shape[1], X.shape[1]), X.dtype), networks)[0]
