"""Training: rows become `Data`, on which `train` trains the networks of some recipes in one `fit_many`."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from sklearn.model_selection import train_test_split

from jaxshallow.estimators.lbfgs import Limits, Run, train_lbfgs
from jaxshallow.estimators.settings import Recipe, devices, validation_score
from jaxshallow.many import Many, Progress, fit_many
from jaxshallow.many.widths import length
from jaxshallow.params import Params
from jaxshallow.training.epochs import State

NOT_FINITE = (  # in scikit-learn's words
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be preprocessed."
)


class Examples(NamedTuple):
    """Examples as rows, as scikit-learn has them, or as columns, as `fit_many` does.

    Attributes:
        X: features.
        Y: targets, always of two dimensions.
        weights: of each example; None for equal ones.
    """

    X: np.ndarray
    Y: np.ndarray
    weights: np.ndarray | None

    def rows(self, chosen: np.ndarray) -> Examples:
        return Examples(self.X[chosen], self.Y[chosen], None if self.weights is None else self.weights[chosen])

    def columns(self, dtype: Any, ending: str = "") -> Examples:
        """Rows as columns; `ending` makes X and y the names that the user knows them by."""
        try:
            return Examples(columns(f"X{ending}", self.X, dtype), columns(f"y{ending}", self.Y, dtype), self.weights)
        except ValueError as error:
            raise ValueError(f"{NOT_FINITE} {error}") from None


class Data(NamedTuple):
    """What a fit trains on.

    Attributes:
        examples: as columns.
        validation: the same of those that are held out; None if there are none.
        output: the head of the network, which the kind of y decides.
        seed: of the key of `fit_many`.
    """

    examples: Examples
    validation: Examples | None
    output: str
    seed: int

    @classmethod
    def of_rows(cls, examples: Examples, validation: Examples | None, output: str, seed: int) -> Data:
        """Data of examples as rows.

        Raises:
            ValueError: a number is beyond the dtype of computation.
        """
        dtype = examples.X.dtype
        held_out = None if validation is None else validation.columns(dtype, "_val")
        return cls(examples.columns(dtype), held_out, output, seed)

    def digest(self) -> bytes:
        """A fingerprint: equal for equal data."""
        seen = hashlib.blake2b(str((self.seed, self.examples.X.shape, self.examples.Y.shape)).encode())
        for array in (*self.examples, *(self.validation or ())):
            if array is not None:
                seen.update(np.ascontiguousarray(array).tobytes())
        return seen.digest()


class Before(NamedTuple):
    """What a training continues.

    Attributes:
        state: the networks, stacked; without an optimizer's state a new one begins.
        examples: how many they have seen.
        epochs: how many they have had: the order of minibatches goes on from there.
    """

    state: State | None = None
    examples: int = 0
    epochs: int = 0


def columns(name: str, rows: np.ndarray, dtype: Any) -> np.ndarray:
    """Examples as columns, in the dtype of computation; ValueError where a number is beyond it."""
    return cast(name, rows.T, jax.dtypes.canonicalize_dtype(dtype))


def cast(name: str, values: np.ndarray, dtype: Any) -> np.ndarray:
    """Numbers in a dtype; ValueError where one is beyond it."""
    with np.errstate(over="ignore"):
        narrow = np.ascontiguousarray(values, dtype)
    if not np.isfinite(narrow).all():
        raise ValueError(f"{name} holds numbers beyond {dtype}, such as {np.abs(values).max():.3g}: scale them")
    return narrow


def hold_out(examples: Examples, fraction: float, seed: int, stratify: np.ndarray | None) -> tuple[Examples, Examples]:
    """Rows to train on, and a random fraction of them to validate on.

    Args:
        examples: as rows.
        fraction, seed, stratify: test_size, random_state and stratify of scikit-learn's `train_test_split`.

    Raises:
        ValueError: fewer than two examples would be held out, or none that has weight.
    """
    train, test = train_test_split(np.arange(len(examples.X)), test_size=fraction, random_state=seed, stratify=stratify)
    if len(test) < 2:
        raise ValueError("The validation set is too small. Increase 'validation_fraction' or give X_val, y_val")
    if examples.weights is not None and not examples.weights[test].any():
        raise ValueError("all examples held out for validation weigh 0")
    return examples.rows(train), examples.rows(test)


def lengthened(examples: Examples) -> Examples:
    """Columns with a few more, at most 3 %, that weigh 0: folds that differ by one example then share a program."""
    m = examples.X.shape[1]
    more = length(m) - m
    # The last column is repeated, since zeros may not be targets.
    X, Y = (np.pad(A, ((0, 0), (0, more)), mode="edge") for A in (examples.X, examples.Y))
    return Examples(X, Y, np.pad(np.ones(m) if examples.weights is None else examples.weights, (0, more)))


def train(
    recipes: Sequence[Recipe], data: Data, before: Before | None = None, *, incremental: bool = False
) -> tuple[Many, np.ndarray]:
    """Train the networks of all recipes in one `fit_many`, or by "lbfgs" one after another.

    Args:
        recipes: of equal `settings`.
        data: what all of them train on.
        before: what to continue; None: nothing.
        incremental: for one epoch.

    Returns:
        The networks, and their numbers (recipes, members).
    """
    before = before or Before()
    first, n = recipes[0], data.examples.X.shape[1]
    params, batch_size = first.params, first.batch_size(n)
    full_batch = batch_size == n
    # With minibatches, `fit_many` does it, so that no minibatch holds an added example.
    examples = lengthened(data.examples) if full_batch else data.examples
    held_out = None if data.validation is None else lengthened(data.validation)
    configs = [
        {**recipe.config(before.examples), "seed": seed} for recipe in recipes for seed in range(params["n_members"])
    ]
    numbers = np.arange(len(configs)).reshape(len(recipes), -1)
    if params["solver"] == "lbfgs":
        return by_lbfgs(first, examples, held_out, configs, data, before.state), numbers
    if held_out is not None:
        configs = [{**config, "validation_weights": held_out.weights} for config in configs]
    with progress(params, len(configs)) as callback:
        many = fit_many(
            jax.random.key(data.seed), examples.X, examples.Y, configs,
            epochs=1 if incremental else params["max_iter"], batch_size=None if full_batch else batch_size,
            output=data.output, optimizer=first.optimizer(n), weights=examples.weights,
            validation=None if held_out is None else (held_out.X, held_out.Y),
            patience=first.patience, tol=params["tol"], callback=callback, devices=devices(params["device"]),
            dtype=examples.X.dtype, start=before.state, epochs_before=before.epochs, shuffle=bool(params["shuffle"]),
            rules=first.rules,
        )  # fmt: skip
    return many, numbers


def by_lbfgs(
    recipe: Recipe,
    examples: Examples,
    held_out: Examples | None,
    configs: Sequence[dict[str, Any]],
    data: Data,
    start: State | None,
) -> Many:
    """`train_lbfgs` for recipes of equal settings."""
    params = recipe.params

    def report(run: Run) -> None:
        if params["verbose"]:
            print_iteration(run.n_iter, run.costs[-1], run.scores[-1] if run.scores else None)

    return train_lbfgs(
        jax.random.key(data.seed), examples, held_out, configs,
        Limits(params["max_iter"], params["max_fun"], params["tol"], recipe.patience),
        output=data.output, device=devices(params["device"])[0], start=start, score=validation_score, report=report,
    )  # fmt: skip


def ranked(many: Many, numbers: np.ndarray) -> np.ndarray:
    """Some of the networks, best first, without those that diverged; with validation, before there was a best."""
    costs, order = many.validation_cost, many.order()
    usable = many.diverged_at < 0 if costs is None else (many.diverged_at < 0) | np.isfinite(costs)
    return order[np.isin(order, numbers) & usable[order]]


def state_of(many: Many, numbers: np.ndarray) -> State | None:
    """Some of the networks in their order, as `fit_many` takes them to go on from; None if one had no turn."""
    rows = [np.flatnonzero(np.isin(stack.members, numbers)) for stack in many.stacks]
    own = [(stack, of_stack) for stack, of_stack in zip(many.stacks, rows, strict=True) if len(of_stack)]
    members = np.concatenate([stack.members[of_stack] for stack, of_stack in own])
    if len(members) < len(numbers):
        return None
    states = [jax.tree.map(lambda leaf, rows=of_stack: leaf[rows], stack.state) for stack, of_stack in own]
    order = np.argsort(members)  # numbers are in order
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[order], *states)


def going_on(
    known: State | None, members: Sequence[Params], best_first: np.ndarray | None, incremental: bool, dtype: Any
) -> State:
    """What to go on from: what is known of the last training, with the members' present weights.

    Args:
        known: the last state, in the order of the seeds; None if there was none.
        members: the networks, the best first.
        best_first: the place of each in `known`.
        incremental: whether the optimizer goes on, too; else a new one begins.
        dtype: of the new training.
    """
    params = jax.tree.map(lambda *leaves: np.stack(leaves), *members)
    state = State(params, None)
    if known is not None:

        def put(old: np.ndarray, new: np.ndarray) -> np.ndarray:
            old = old.copy()
            old[best_first] = new
            return old

        opt_state = known.opt_state if incremental else None
        state = known._replace(params=jax.tree.map(put, known.result, params), opt_state=opt_state)
    return jax.tree.map(lambda leaf: leaf.astype(dtype) if leaf.dtype.kind == "f" else leaf, state)


class Curves(NamedTuple):
    """How the training of a network went: a number for each epoch; None where there was no validation."""

    cost: list[float]
    validation_cost: list[float] | None
    validation_score: list[float] | None

    @classmethod
    def of(cls, many: Many, k: int) -> Curves:
        n = max(int(many.epochs[k]), 1)
        cost, *validated = (None if of is None else np.asarray(of)[k, :n].tolist() for of in many.history)
        return cls(cost or [], *validated)

    def and_then(self, later: Curves) -> Curves:
        """Those of one training after another."""
        validated = zip(self[1:], later[1:], strict=True)
        longer = (None if new is None else [*(old or []), *new] for old, new in validated)
        return Curves(self.cost + later.cost, *longer)


def lowest(curve: Sequence[float]) -> float:
    """The lowest number, of those that are finite."""
    return min((value for value in curve if np.isfinite(value)), default=np.inf)


# ---- `verbose` ----


@contextlib.contextmanager
def progress(params: Mapping[str, Any], n_networks: int) -> Iterator[Callable[[Progress], None] | None]:
    """A callback for `fit_many`: scikit-learn's lines for one network, a bar for many; None if not `verbose`."""
    if not params["verbose"]:
        yield None
    elif n_networks > 1:
        with progress_bar(n_networks) as callback:
            yield callback
    else:
        yield Lines(params)


def print_iteration(n_iter: int, loss: float, score: float | None) -> None:
    print(f"Iteration {n_iter}, loss = {loss:.8f}")
    if score is not None:
        print(f"Validation score: {score:f}")


class Lines:
    """A callback that prints what each epoch brought, on stdout, as scikit-learn does."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.params, self.printed = params, 0

    def __call__(self, now: Progress) -> None:
        n_iter, history = int(now.epochs[0]), now.many().history
        for k in range(self.printed, n_iter):
            score = None if history.validation_score is None else float(history.validation_score[0, k])
            print_iteration(k + 1, float(history.cost[0, k]), score)
        if now.share == 1 and n_iter < self.params["max_iter"] and n_iter > self.params["n_iter_no_change"]:
            what = "Training loss" if history.validation_cost is None else "Validation cost"
            idle = f"{self.params['n_iter_no_change']} consecutive epochs"
            print(f"{what} did not improve more than tol={self.params['tol']:f} for {idle}. Stopping.")
        self.printed = n_iter


@contextlib.contextmanager
def progress_bar(n_networks: int) -> Iterator[Callable[[Progress], None]]:
    """A callback that draws a progress bar on stderr."""
    try:
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar
    except ImportError as error:
        raise ImportError("verbose needs rich: pip install 'jaxshallow[scripts]'") from error
    fields = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Bar(*fields, console=Console(stderr=True)) as bar:
        what = f"{n_networks} networks"
        task = bar.add_task(what, total=1.0)
        yield lambda now: bar.update(task, completed=now.share, description=f"{what}, best cost {now.best:.4g}")
