"""Who learns which fold of which table how well, and how fast: measured in turns, and written as it comes."""

from __future__ import annotations

import functools
import json
import time
import warnings
from collections.abc import Callable, Collection, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from bench.measuring import Workers, end_joblib
from bench.tabular_contestants import CONTESTANTS
from bench.tabular_scores import scores
from bench.tabular_tables import CLASSIFICATION, FOLDS, REGRESSION, examples
from jaxshallow.extras import require
from jaxshallow.store.files import json_text, write_atomically

LEVEL = 0.9
COVERAGE = f"share in {LEVEL:.0%} intervals or sets"

Found = dict[str, float] | str  # by measure; or why there is nothing


# ---- in a worker process ----


def serve(pipe: Connection, group: str) -> None:
    """Answers each (table, rows, fold, contestant) with what was measured, until "stop"."""
    while (message := pipe.recv()) != "stop":
        try:
            pipe.send(answer(*message))
        except KeyboardInterrupt:
            return
    end_joblib()


def answer(table: str, rows: int | None, fold: int, who: str) -> Found:
    """What a contestant's run measures, or why it could not. Contestants may warn of what they like."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warm_up(who)
            return measured(table, rows, fold, who)
    except Exception as error:
        return f"{type(error).__name__}: {error}".splitlines()[0]


@functools.cache
def warm_up(who: str) -> None:
    """A first fit, to a few made-up rows: it imports the library and starts its threads."""
    rng = np.random.default_rng(0)
    X = require("pandas", "bench").DataFrame({"number": rng.normal(size=100), "text": rng.choice(["a", "b"], 100)})
    CONTESTANTS[who].fit(X, rng.normal(size=100), REGRESSION)


def measured(table: str, rows: int | None, fold: int, who: str) -> dict[str, float]:
    """The scores on a fold after a fit to the others, and the seconds that fitting and predicting took."""
    X, y, folds, task = examples(table, rows)
    train, test = folds[fold]
    start = time.perf_counter()
    model = CONTESTANTS[who].fit(X.iloc[train], y[train], task)
    fitted = time.perf_counter()
    predicted = (model.predict_proba if task == CLASSIFICATION else model.predict)(X.iloc[test])
    seconds = {"fit s": fitted - start, "predict s": time.perf_counter() - fitted}
    found = scores(y[test], predicted, model.classes_ if task == CLASSIFICATION else None) | seconds
    return found | coverage(model, X.iloc[test], y[test])


def coverage(model: Any, X: Any, y: np.ndarray) -> dict[str, float]:
    """The share of targets that lie in the model's intervals or sets, if it gives any."""
    if hasattr(model, "predict_interval"):
        low, high = model.predict_interval(X, LEVEL).T
        return {COVERAGE: float(np.mean((low <= y) & (y <= high)))}
    if hasattr(model, "predict_set"):
        chosen = model.predict_set(X, LEVEL)
        return {COVERAGE: float(chosen[np.arange(len(y)), np.searchsorted(model.classes_, y)].mean())}
    return {}


# ---- in the program's process ----


class Records:
    """What has been measured, in memory and in a JSON file.

    Attributes:
        runs: by table, contestant and fold.
    """

    def __init__(self, path: Path, about: dict[str, Any], rows: int | None) -> None:
        """Starts with none.

        Args:
            path: the file.
            about: what it says beside the results.
            rows: that tables are cut to.
        """
        self.path = path
        self.about = about
        self.rows = rows
        self.runs: dict[str, dict[str, dict[str, Found]]] = {}

    def resume(self, again: Collection[str]) -> None:
        """Takes over what the file holds, without what failed, and without the contestants that are to run again.

        Raises:
            ValueError: the file holds something else, or its tables were cut to another number of rows.
        """
        if not self.path.exists():
            return
        try:
            old = json.loads(self.path.read_text())
            rows, runs = old["rows"], old["runs"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{self.path} holds no results of this program: give another --out") from error
        if rows != self.rows:
            raise ValueError(f"{self.path} holds tables of at most {rows} rows, not {self.rows}: give another --out")
        for table, of_table in runs.items():
            for who, folds in of_table.items():
                kept: dict[str, Found] = {fold: found for fold, found in folds.items() if isinstance(found, dict)}
                if kept and who not in again:
                    self.runs.setdefault(table, {})[who] = kept

    def has(self, table: str, who: str, fold: int) -> bool:
        return str(fold) in self.runs.get(table, {}).get(who, {})

    def enter(self, table: str, who: str, fold: int, found: Found) -> None:
        """Takes a result, and writes all."""
        self.runs.setdefault(table, {}).setdefault(who, {})[str(fold)] = found
        self.write()

    def write(self, **more: Any) -> str:
        """Writes the file; returns what is in it."""
        text = json_text({**self.about, "rows": self.rows, **more, "runs": self.runs})
        write_atomically(self.path, text.encode())
        return text


def measure(
    records: Records, tables: Sequence[str], contestants: Sequence[str], workers: Workers, say: Callable[[str], None]
) -> None:
    """Measures what the records lack, all contestants in turn on each fold of each table."""
    for table in tables:
        for fold in range(FOLDS):
            for who in contestants:
                if not records.has(table, who, fold):
                    say(f"{table}, fold {fold + 1} of {FOLDS}: {who}")
                    message = (table, records.rows, fold, who)
                    records.enter(table, who, fold, workers.answer(CONTESTANTS[who].group, message))
