"""The records of a run: what has become of each network, written block by block."""

from __future__ import annotations

import time
from functools import partial

import jax
import numpy as np

from jaxshallow.many.configs import Settings
from jaxshallow.many.examples import Folds
from jaxshallow.many.result import Many, Progress, Stack
from jaxshallow.training.epochs import History


class Ended(Exception):
    """The callback ended the run."""


class Records:
    """What has become of the K networks of a run.

    Attributes:
        costs: (K, epochs) as in `History`; NaN for epochs that did not run.
        validation_costs, validation_scores: likewise; None if there is no validation, and if `Rules` ask for no score.
        epochs: (K,) epochs that each network was trained.
        diverged_at: (K,) the epoch, from 0, in which the cost stopped being finite; −1 if it never did.
        ended: (K,) whether nothing is left to train.
        lowest: (K,) the lowest cost, the validation's where there is one; NaN before the network's turn.
        stacks: the networks, by their group's number.
    """

    def __init__(self, settings: Settings, folds: Folds | None):
        K = len(settings.networks)
        self.costs = np.full((K, settings.epochs), np.nan, settings.dtype)
        self.validation_costs = self.costs.copy() if settings.validated else None
        self.validation_scores = self.costs.copy() if settings.validated and settings.rules.validation_score else None
        self.epochs, self.diverged_at, self.ended = np.zeros(K, int), np.full(K, -1), np.zeros(K, bool)
        self.lowest = np.full(K, np.nan)
        self.stacks: dict[int, Stack] = {}
        self._settings, self._folds = settings, folds
        self._since, self._share_before = time.monotonic(), 0.0

    @property
    def share(self) -> float:
        """The share of the work that is done."""
        return float(np.where(self.ended, 1, self.epochs / self._settings.epochs).mean())

    @property
    def _watched(self) -> np.ndarray:
        """(K, epochs) the costs that `patience` and `Progress` look at."""
        return self.costs if self.validation_costs is None else self.validation_costs

    def record(self, members: np.ndarray, costs: History, ran: np.ndarray, epoch: int) -> np.ndarray:
        """Record the costs of a block.

        Args:
            members: (C,) the networks that were trained.
            costs: their costs, (C, epochs of the block).
            ran: whether each epoch ran, of the same shape.
            epoch: the block's first.

        Returns:
            (C,) whether each of them is still training.
        """
        block = slice(epoch, epoch + ran.shape[1])
        self.costs[members, block] = np.where(ran, costs.cost, np.nan)
        if self.validation_costs is not None and costs.validation_cost is not None:
            self.validation_costs[members, block] = np.where(ran, costs.validation_cost, np.nan)
        if self.validation_scores is not None and costs.validation_score is not None:
            self.validation_scores[members, block] = np.where(ran, costs.validation_score, np.nan)
        self.lowest[members] = np.fmin(self.lowest[members], np.fmin.reduce(self._watched[members, block], axis=1))
        self.epochs[members] += ran.sum(axis=1)
        lost = ran & ~np.isfinite(costs.cost)
        diverged = lost.any(axis=1)
        self.diverged_at[members[diverged]] = epoch + lost[diverged].argmax(axis=1)
        goes_on: np.ndarray = ran[:, -1] & ~diverged
        self.ended[members[~goes_on]] = True
        return goes_on

    def take_over(
        self, number: int, stack: Stack, history: History, epochs: np.ndarray, diverged_at: np.ndarray
    ) -> None:
        """Take over a group's networks and records from an earlier run."""
        members, place = stack.members, stack.place
        self.stacks[number] = stack
        self.costs[members, : place.epoch] = history.cost
        if self.validation_costs is not None:
            self.validation_costs[members, : place.epoch] = history.validation_cost
        if self.validation_scores is not None:
            self.validation_scores[members, : place.epoch] = history.validation_score
        self.epochs[members], self.diverged_at[members] = epochs, diverged_at
        self.ended[members] = ~place.alive | (place.epoch == self._settings.epochs)
        self.lowest[members] = np.fmin.reduce(self._watched[members], axis=1)
        self._share_before = self.share

    def report(self) -> None:
        """Report progress to the callback.

        Raises:
            Ended: the callback returned something true.
        """
        callback = self._settings.callback
        if callback is None:
            return
        share, seconds = self.share, time.monotonic() - self._since
        progress = Progress(
            share=share,
            best=float(np.fmin.reduce(self.lowest)),
            lowest=self.lowest.copy(),
            epochs=self.epochs.copy(),
            seconds=seconds,
            seconds_left=seconds / max(share - self._share_before, 1e-9) * (1 - share),
            many=partial(self.many, finished=False),
        )
        if callback(progress):
            raise Ended

    def many(self, finished: bool) -> Many:
        """The result so far; records that are still being written are copied."""
        records = History(self.costs, self.validation_costs, self.validation_scores), self.epochs, self.diverged_at
        history, epochs, diverged_at = records if finished else jax.tree.map(np.copy, records)
        return Many(
            configs=tuple(self._settings.networks),
            history=history,
            epochs=epochs,
            diverged_at=diverged_at,
            finished=finished,
            stacks=tuple(self.stacks.values()),
            epochs_before=self._settings.epochs_before,
            folds=self._folds,
        )
