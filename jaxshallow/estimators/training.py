"""Training: rows become `Data`, on which `train` trains the networks of some recipes in one `fit_many`."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from sklearn.model_selection import train_test_split

from jaxshallow.estimators.settings import Recipe, devices
from jaxshallow.many import Many, Progress, fit_many
from jaxshallow.many.examples import length_step


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
        return Examples(columns(f"X{ending}", self.X, dtype), columns(f"y{ending}", self.Y, dtype), self.weights)


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
    more = -m % length_step(m)
    # The last column is repeated, since zeros may not be targets.
    X, Y = (np.pad(A, ((0, 0), (0, more)), mode="edge") for A in (examples.X, examples.Y))
    return Examples(X, Y, np.pad(np.ones(m) if examples.weights is None else examples.weights, (0, more)))


def train(
    recipes: Sequence[Recipe], data: Data, *, start: Many | None = None, incremental: bool = False
) -> tuple[Many, np.ndarray]:
    """Train the networks of all recipes in one `fit_many`.

    Args:
        recipes: of equal `settings`.
        data: what all of them train on.
        start: networks to continue with, as `fit_many` returned them.
        incremental: for one epoch.

    Returns:
        The networks, and their numbers (recipes, members).
    """
    first, n = recipes[0], data.examples.X.shape[1]
    params, batch_size = first.params, first.batch_size(n)
    full_batch = batch_size == n
    # With minibatches, `fit_many` does it, so that no minibatch holds an added example.
    examples = lengthened(data.examples) if full_batch else data.examples
    held_out = None if data.validation is None else lengthened(data.validation)
    shared = {} if held_out is None else {"validation_weights": held_out.weights}
    configs = [
        {**recipe.config(n), "seed": seed, **shared} for recipe in recipes for seed in range(params["n_members"])
    ]
    with progress_bar(params["verbose"], len(configs)) as callback:
        many = fit_many(
            jax.random.key(data.seed), examples.X, examples.Y, configs,
            epochs=1 if incremental else params["max_iter"], batch_size=None if full_batch else batch_size,
            output=data.output, optimizer=first.optimizer(n), weights=examples.weights,
            validation=None if held_out is None else (held_out.X, held_out.Y),
            patience=None if incremental else first.patience(held_out is not None), tol=params["tol"],
            callback=callback, devices=devices(params["device"]), dtype=examples.X.dtype, start=start,
        )  # fmt: skip
    return many, np.arange(len(configs)).reshape(len(recipes), -1)


def ranked(many: Many, numbers: np.ndarray) -> np.ndarray:
    """Some of the networks, best first, without those that diverged."""
    order = many.order()
    return order[np.isin(order, numbers) & (many.diverged_at[order] < 0)]


@contextlib.contextmanager
def progress_bar(verbose: Any, n_networks: int) -> Iterator[Callable[[Progress], None] | None]:
    """A callback for `fit_many` that draws a progress bar on stderr; None if not `verbose`."""
    if not verbose:
        yield None
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar
    except ImportError as error:
        raise ImportError("verbose needs rich: pip install 'jaxshallow[scripts]'") from error
    fields = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Bar(*fields, console=Console(stderr=True)) as bar:
        what = f"{n_networks} networks" if n_networks > 1 else "network"
        task = bar.add_task(what, total=1.0)
        yield lambda now: bar.update(task, completed=now.share, description=f"{what}, best cost {now.best:.4g}")
