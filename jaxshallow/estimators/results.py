"""Networks that were trained one by one, as the `Many` that `fit_many` returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxshallow.many.chunks import Place
from jaxshallow.many.result import Many, Stack
from jaxshallow.training.epochs import History, State


def many_of(
    configs: Sequence[Mapping[str, Any]],
    states: Sequence[State],
    history: History,
    epochs: np.ndarray,
    diverged_at: np.ndarray,
    *,
    finished: bool,
) -> Many:
    """The networks of some configs, each a stack of its own; fewer states than configs are the first.

    Args:
        configs: of all networks.
        states: of those that were trained, in NumPy.
        history, epochs, diverged_at, finished: as in `Many`.
    """
    return Many(
        configs=tuple(dict(config) for config in configs),
        history=history,
        epochs=epochs,
        diverged_at=diverged_at,
        finished=finished,
        stacks=tuple(stack_of(k, state, int(epochs[k])) for k, state in enumerate(states)),
        epochs_before=0,
        folds=None,
    )


def stack_of(k: int, state: State, epochs: int) -> Stack:
    """A network alone in its stack."""
    stacked = jax.tree.map(lambda leaf: np.asarray(leaf)[None], state)
    return Stack(np.array([k]), stacked, None, Place(epochs, 1, 1, np.array([False])))
