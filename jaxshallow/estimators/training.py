"""Training: `train` trains the networks of some recipes on one `Data`, in JAX or in NumPy."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxshallow.estimators import objectives
from jaxshallow.estimators.examples import Data, Examples
from jaxshallow.estimators.first import first_params
from jaxshallow.estimators.lbfgs import Limits, Run, train_lbfgs
from jaxshallow.estimators.numpy_epochs import Member, Shared, train_in_numpy
from jaxshallow.estimators.numpy_network import Batch, Network
from jaxshallow.estimators.numpy_solvers import numpy_solver
from jaxshallow.estimators.settings import Recipe, devices, precision
from jaxshallow.forks import refuse_after_fork
from jaxshallow.many import Many, Progress, fit_many
from jaxshallow.many.plan import MAX_MEMORY, memory
from jaxshallow.many.widths import length
from jaxshallow.meshes import no_mesh
from jaxshallow.params import Params
from jaxshallow.training.epochs import State, watched

Configs = Sequence[Mapping[str, Any]]


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


def lengthened(examples: Examples) -> Examples:
    """Columns with a few more, at most 3 %, that weigh 0: folds that differ by one example then share a program."""
    m = examples.X.shape[1]
    more = length(m) - m
    # The last column is repeated, since zeros may not be targets.
    X, Y = (np.pad(A, ((0, 0), (0, more)), mode="edge") for A in (examples.X, examples.Y))
    return Examples(X, Y, np.pad(np.ones(m) if examples.weights is None else examples.weights, (0, more)))


def train(
    recipes: Sequence[Recipe],
    data: Data,
    before: Before | None = None,
    *,
    in_numpy: bool,
    incremental: bool = False,
) -> tuple[Many, np.ndarray]:
    """Train the networks of all recipes side by side, or by "lbfgs" one after another.

    Args:
        recipes: of equal `settings`.
        data: what all of them train on.
        before: what to continue; None: nothing.
        in_numpy: in NumPy, and in the dtype of X; else in JAX.
        incremental: for one epoch.

    Returns:
        The networks, and their numbers (recipes, members).
    """
    before, params = before or Before(), recipes[0].params
    configs = [
        {**recipe.config(before.examples), "seed": seed} for recipe in recipes for seed in range(params["n_members"])
    ]
    numbers = np.arange(len(configs)).reshape(len(recipes), -1)
    if not in_numpy:
        refuse_after_fork()
    if params["solver"] == "lbfgs":
        by_lbfgs = lbfgs_in_numpy if in_numpy else lbfgs_in_jax
        return by_lbfgs(recipes[0], data, configs, before.state), numbers
    descend = descend_in_numpy if in_numpy else descend_in_jax
    own = precision(data.examples.X.dtype) if params["solver"] == "lm" else contextlib.nullcontext()
    with own, progress(params, len(configs)) as callback:
        return descend(recipes[0], data, configs, before, 1 if incremental else params["max_iter"], callback), numbers


def descend_in_jax(
    recipe: Recipe,
    data: Data,
    configs: Configs,
    before: Before,
    epochs: int,
    callback: Callable[[Progress], None] | None,
) -> Many:
    """By "adam", "sgd" or "lm", in one `fit_many`."""
    dtype, n = jax.dtypes.canonicalize_dtype(data.examples.X.dtype), len(data.examples.X)
    examples, held_out = data.columns(dtype)
    check_memory(configs, data, dtype)
    first = beginning(configs, data, before.state, dtype)
    full_batch = recipe.batch_size(n) == n
    # With minibatches, `fit_many` does it, so that no minibatch holds an added example.
    examples = lengthened(examples) if full_batch and data.bags is None else examples
    if held_out is not None:
        held_out = lengthened(held_out)
        configs = [{**config, "validation_weights": held_out.weights} for config in configs]
    if data.bags is not None:
        configs = [{**config, "fold": config["seed"]} for config in configs]  # seeds count the members
    return fit_many(
        np.array(data.key_words, np.uint32), examples.X, examples.Y, configs,
        epochs=epochs, batch_size=None if full_batch else recipe.batch_size(n), output=data.output,
        optimizer=recipe.optimizer(n), weights=examples.weights,
        validation=None if held_out is None else (held_out.X, held_out.Y), folds=data.bags,
        patience=recipe.patience, tol=recipe.params["tol"], callback=callback, devices=devices(recipe.params["device"]),
        dtype=dtype, start=in_dtype(before.state, dtype), first=first, epochs_before=before.epochs,
        shuffle=bool(recipe.params["shuffle"]), rules=recipe.rules,
    )  # fmt: skip


def check_memory(configs: Configs, data: Data, dtype: Any) -> None:
    """ValueError for networks that `fit_many` would refuse, before they are drawn."""
    needed = memory(configs, data.examples.X.shape[1], data.examples.Y.shape[1], dtype)
    if needed > MAX_MEMORY:
        raise ValueError(f"{len(configs)} networks take {needed / 2**30:.3g} GiB: train fewer, or smaller ones")


def descend_in_numpy(
    recipe: Recipe,
    data: Data,
    configs: Configs,
    before: Before,
    epochs: int,
    callback: Callable[[Progress], None] | None,
) -> Many:
    """The same in NumPy."""
    dtype, n = data.examples.X.dtype, len(data.examples.X)
    examples, held_out = data.rows(dtype)
    first, state = beginning(configs, data, before.state, dtype), in_dtype(before.state, dtype)
    batch_size = recipe.batch_size(n)
    shared = Shared(
        examples, held_out, None if batch_size == n else batch_size, data.key_words, bool(recipe.params["shuffle"]),
        epochs, before.epochs, recipe.patience, recipe.params["tol"], callback, recipe.rules.on_plateau,
    )  # fmt: skip
    states = [State(params, None) for params in first]
    if state is not None:
        states = [jax.tree.map(lambda leaf, k=k: leaf[k], state) for k in range(len(configs))]
    members = [
        Member(config, Network(params, float(config["l2"])), numpy_solver(recipe.params, config, n, recipe.steps(n)))
        for params, config in zip(first, configs, strict=True)
    ]
    return train_in_numpy(shared, members, [watched(state, recipe.patience, held_out is not None) for state in states])


def lbfgs_in_jax(recipe: Recipe, data: Data, configs: Configs, start: State | None) -> Many:
    """By "lbfgs", whose line search needs the dtype of X, in JAX, too: in this thread, until it has ended."""
    dtype = data.examples.X.dtype
    device = devices(recipe.params["device"])[0]
    with precision(dtype), no_mesh(), jax.default_device(device):
        examples, held_out = data.columns(dtype)
        examples, held_out = jax.device_put((lengthened(examples), held_out and lengthened(held_out)), device)
        first = beginning(configs, data, start, dtype)
        wanted = [
            objectives.in_jax(params, config["l2"], examples, held_out)
            for params, config in zip(first, configs, strict=True)
        ]
        return train_lbfgs(first, wanted, configs, limits(recipe), reporting(recipe))


def lbfgs_in_numpy(recipe: Recipe, data: Data, configs: Configs, start: State | None) -> Many:
    """The same in NumPy."""
    dtype = data.examples.X.dtype
    rows, held_out = data.rows(dtype)
    examples, validation = Batch.of(rows), held_out and Batch.of(held_out)
    first = beginning(configs, data, start, dtype)
    wanted = [
        objectives.in_numpy(params, float(config["l2"]), examples, validation)
        for params, config in zip(first, configs, strict=True)
    ]
    return train_lbfgs(first, wanted, configs, limits(recipe), reporting(recipe))


def limits(recipe: Recipe) -> Limits:
    params = recipe.params
    return Limits(params["max_iter"], params["max_fun"], params["tol"], recipe.patience)


def reporting(recipe: Recipe) -> Callable[[Run], None]:
    """What "lbfgs" calls after an iteration."""

    def report(run: Run) -> None:
        if recipe.params["verbose"]:
            print_iteration(run.n_iter, run.costs[-1], run.scores[-1] if run.scores else None)

    return report


def beginning(configs: Configs, data: Data, state: State | None, dtype: Any) -> list[Params]:
    """The networks to begin with: those of a state, or new ones."""
    if state is not None:
        return [jax.tree.map(lambda leaf, k=k: leaf[k].astype(dtype), state.params) for k in range(len(configs))]
    n_x, n_y = data.examples.X.shape[1], data.examples.Y.shape[1]
    return [first_params(config, n_x, n_y, data.output, data.seed, dtype) for config in configs]


def in_dtype(state: State | None, dtype: Any) -> State | None:
    return jax.tree.map(lambda leaf: leaf.astype(dtype) if leaf.dtype.kind == "f" else leaf, state)


def ranked(many: Many, numbers: np.ndarray) -> np.ndarray:
    """Some of the networks, best first, without those that diverged; with validation, before there was a best."""
    costs, order = many.validation_cost, many.order()
    usable = many.diverged_at < 0 if costs is None else (many.diverged_at < 0) | np.isfinite(costs)
    return order[np.isin(order, numbers) & usable[order]]


def error_of(many: Many, numbers: np.ndarray) -> float:
    """The mean cost of some of the networks on examples that they have not seen; infinite if one has none."""
    found = np.asarray(many.validation_cost, np.float64)[numbers]
    return float(np.where(np.isfinite(found), found, np.inf).mean())


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


def going_on(known: State | None, members: Sequence[Params], best_first: np.ndarray | None, incremental: bool) -> State:
    """What to go on from: what is known of the last training, with the members' present weights.

    Args:
        known: the last state, in the order of the seeds; None if there was none.
        members: the networks, the best first.
        best_first: the place of each in `known`.
        incremental: whether the optimizer goes on, too; else a new one begins.
    """
    params = jax.tree.map(lambda *leaves: np.stack(leaves), *members)
    if known is None:
        return State(params, None)

    def put(old: np.ndarray, new: np.ndarray) -> np.ndarray:
        old = old.astype(new.dtype)  # a copy; assigned weights may be of another dtype
        old[best_first] = new
        return old

    return known._replace(
        params=jax.tree.map(put, known.result, params), opt_state=known.opt_state if incremental else None
    )


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
    values = np.asarray(curve)
    return float(values[np.isfinite(values)].min(initial=np.inf))


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
