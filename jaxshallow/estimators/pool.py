"""The candidates of a search, trained together on each fold.

scikit-learn's searches fit one candidate after another. With a pool around them, the first that is fitted on a fold
trains the networks of all on it, and the others find theirs.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from sklearn.utils import check_random_state

from jaxshallow.estimators.choosing import is_for_numpy
from jaxshallow.estimators.examples import Data
from jaxshallow.estimators.settings import Recipe, Settings
from jaxshallow.estimators.training import train
from jaxshallow.many import Many

Run = tuple[Many, dict[Recipe, np.ndarray]]  # networks, and the numbers of each recipe's


class Pool:
    """Recipes that train together where their settings are equal.

    Attributes:
        seed: of all estimators with random_state=None, so that they see the same data.
    """

    def __init__(self, recipes: Iterable[Recipe], n_folds: int) -> None:
        self.seed = int(check_random_state(None).randint(2**31 - 1))
        self.n_folds = n_folds
        self.mates: dict[Settings, list[Recipe]] = {}
        for recipe in dict.fromkeys(recipes):
            self.mates.setdefault(recipe.settings, []).append(recipe)
        # By the settings and by the digest of the data; None where training together failed.
        self.runs: dict[Settings, dict[bytes, Run | None]] = {settings: {} for settings in self.mates}

    def trained(self, recipe: Recipe, data: Data) -> tuple[Many, np.ndarray]:
        """The networks of a run, and the numbers of the recipe's own."""
        mates = self.mates.get(recipe.settings, [])
        if recipe in mates:
            runs, seen = self.runs[recipe.settings], data.digest()
            if seen not in runs and len(runs) < self.n_folds * recipe.n_encodings:
                runs[seen] = self.together(mates, data)
            if run := runs.get(seen):
                many, numbers = run
                return many, numbers[recipe]
        # A random step before the network gives each candidate data of its own; or training together failed.
        many, (mine,) = uninterrupted([recipe], data)
        return many, mine

    def together(self, recipes: Sequence[Recipe], data: Data) -> Run | None:
        """Train all; None if one of them spoils it for all, such as by its size, so that each is trained alone."""
        try:
            many, numbers = uninterrupted(recipes, data, self.n_folds)
        except ValueError:
            return None
        return many, dict(zip(recipes, numbers, strict=True))


def uninterrupted(recipes: Sequence[Recipe], data: Data, runs: int = 1) -> tuple[Many, np.ndarray]:
    """`train`, in which Ctrl-C ends the search, too; `runs` as in `is_for_numpy`."""
    many, numbers = train(recipes, data, in_numpy=is_for_numpy(recipes, data, runs))
    if not many.finished:
        raise KeyboardInterrupt
    return many, numbers


current_pool: contextvars.ContextVar[Pool | None] = contextvars.ContextVar("current_pool", default=None)


@contextlib.contextmanager
def trained_together(recipes: Iterable[Recipe], n_folds: int) -> Iterator[None]:
    """Estimators that are fitted inside train with the others of these recipes; in this thread alone."""
    before = current_pool.set(Pool(recipes, n_folds))
    try:
        yield
    finally:
        current_pool.reset(before)
