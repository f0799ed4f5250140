"""The results of a sweep: scores of each network, and of each kind of network."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import jaxshallow as js
from jaxshallow.programs.examples import Examples
from jaxshallow.programs.extra import needs_scripts
from jaxshallow.programs.sweep_examples import Parts

with needs_scripts():
    import polars as pl


class Found(NamedTuple):
    """The results: a row for each trained network, and a row for each kind, the best mean cost first.

    `cost` and `score` name the columns to judge by: those of the validation examples, if there are any.
    """

    trained: js.Many
    networks: pl.DataFrame
    kinds: pl.DataFrame
    swept: list[str]
    cost: str
    score: str
    measure: str  # accuracy or R2

    @property
    def judged_by(self) -> str:
        """Which examples tell how good a network is: "training" or "validation"."""
        return "training" if self.cost == "cost" else "validation"

    def text(self, value: Any) -> str:
        if value is None or not np.isfinite(value):
            return ""
        return f"{value:.1%}" if self.measure == "accuracy" else f"{value:.3f}"

    def of_kind(self, row: dict[str, Any]) -> pl.DataFrame:
        return self.networks.filter(*(pl.col(name) == row[name] for name in self.swept))

    def median(self, row: dict[str, Any], by: str) -> dict[str, Any]:
        """The median network of its kind."""
        kind = self.of_kind(row).sort(by)  # NaN last
        return kind.row((int(kind[by].is_finite().sum()) - 1) // 2, named=True)


def called(row: dict[str, Any], swept: list[str]) -> str:
    """A kind's name, such as "n_h 4, learning_rate 0.1"."""
    return ", ".join(
        f"{name} {row[name]:.4g}" if isinstance(row[name], float) else f"{name} {row[name]}" for name in swept
    )


def measured(trained: js.Many, parts: Parts, swept: list[str], measure: str) -> Found:
    """The scores of all networks that have started training, and of their kinds."""
    columns: dict[str, Any] = {"network": list(range(len(trained))), **trained.table()}
    if parts.folds is None:
        columns["score"] = trained.score(*parts.train)
        if parts.validation is not None:
            columns["validation_score"] = trained.score(*parts.validation)
    else:
        columns |= scores_of_folds(trained, parts.train, parts.folds, np.array(columns["fold"]))
    suffix = "validation_" if "validation_score" in columns else ""
    cost, score = f"{suffix}cost", f"{suffix}score"
    networks = pl.DataFrame(columns).filter(pl.col("epochs") > 0)
    return Found(trained, networks, kinds_of(networks, swept, cost, score), swept, cost, score, measure)


def scores_of_folds(
    trained: js.Many, examples: Examples, folds: list[tuple[np.ndarray, np.ndarray]], of_fold: np.ndarray
) -> dict[str, np.ndarray]:
    """Each network's score on its fold's training examples, and on its held-out examples.

    Args:
        trained: the networks.
        examples: X and Y, all examples.
        folds: the training and the held-out examples of each fold, as indices.
        of_fold: each network's fold.
    """
    X, Y = examples
    columns = {}
    for name, part in (("score", 0), ("validation_score", 1)):
        columns[name] = np.full(len(trained), np.nan)
        for fold, rows in enumerate(folds):
            members = np.flatnonzero(of_fold == fold)
            columns[name][members] = trained.score(X[:, rows[part]], Y[:, rows[part]], members)
    return columns


def kinds_of(networks: pl.DataFrame, swept: list[str], cost: str, score: str) -> pl.DataFrame:
    """A row for each kind: first the kinds in which no network diverged, each group by mean cost."""
    of_each = [name for name in ("cost", "score", "validation_cost", "validation_score") if name in networks.columns]
    well = (pl.col("diverged_at") < 0) & pl.col(cost).is_finite()
    return (
        networks.group_by(swept, maintain_order=True)
        .agg(
            pl.len().alias("networks"),
            (~well).sum().alias("diverged"),
            *(pl.col(name).filter(well).mean() for name in of_each),
            pl.col(score).filter(well).std().alias("deviation"),
            pl.col(score).filter(well).min().alias("lowest"),
            pl.col(score).filter(well).max().alias("highest"),
        )
        .sort(pl.col("diverged") > 0, cost, nulls_last=True, maintain_order=True)
    )
