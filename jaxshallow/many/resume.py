"""Continuing earlier runs: `start` from a finished one, or `resume` an interrupted one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np

from jaxshallow.many.chunks import Place
from jaxshallow.many.configs import PER_EXAMPLE, Settings
from jaxshallow.many.examples import Examples, indices
from jaxshallow.many.plan import Group
from jaxshallow.many.programs import new_states
from jaxshallow.many.records import Records
from jaxshallow.many.result import Many, Stack
from jaxshallow.training.epochs import History, State
from jaxshallow.training.resume import from_named


def check_start(start: Many, networks: Sequence[dict[str, Any]], examples: Examples, output: str) -> None:
    """Check the run to start from.

    Raises:
        ValueError: it has other networks or folds.
    """
    same = [{name: c.get(name) for name in ("n_h", "hidden", "seed", "fold")} for c in (*start.configs, *networks)]
    heads = {
        (stack.state.params.W1.shape[2], stack.state.params.output, stack.scaling is not None) for stack in start.stacks
    }
    if (
        sum(len(stack.members) for stack in start.stacks) != len(networks)
        or same[: len(start)] != same[len(start) :]
        or heads != {(len(examples.X), output, examples.standardize)}
    ):
        raise ValueError(
            "start must be a run of the same networks, none left out: n_h, hidden, seed, output, n_x and standardize"
        )
    if indices(examples.folds) != indices(start.folds):
        raise ValueError(
            "start must have the same folds: else networks would be validated on what they were trained on"
        )


def states_of_start(start: Many, group: Group, settings: Settings) -> State:
    """The group's networks and the states of their optimizers at the end of an earlier run, without its patience.

    It may have had other groups, and so another width: the hidden units stand first in every array.

    Raises:
        ValueError: they were trained by an optimizer of another form.
    """
    new = jax.eval_shape(lambda: new_states(group, settings))
    states = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), State(new.params, new.opt_state))
    for stack in start.stacks:
        _, mine, theirs = np.intersect1d(group.members, stack.members, assume_unique=True, return_indices=True)
        if len(mine):
            widths = {group.width, stack.state.params.W1.shape[1]}
            try:
                put = partial(_put, mine=mine, theirs=theirs, widths=widths)
                jax.tree.map(put, states, State(stack.state.result, stack.state.opt_state))
            except ValueError:
                raise ValueError("start must have been trained by an optimizer of the same form") from None
    return states


def _put(new: np.ndarray, old: np.ndarray, *, mine: np.ndarray, theirs: np.ndarray, widths: set[int]) -> None:
    """Copy the rows of networks from one array of a stack to another; they may differ in width.

    Raises:
        ValueError: they differ in something else.
    """
    sizes = list(zip(new.shape[1:], old.shape[1:], strict=False))
    if (new.ndim, new.dtype) != (old.ndim, old.dtype) or any(a != b and {a, b} != widths for a, b in sizes):
        raise ValueError
    part: Any = [slice(min(pair)) for pair in sizes]
    new[mine, *part] = old[theirs, *part]


def arrays_of_resume(
    resume: Many | Mapping[str, np.ndarray], networks: Sequence[dict[str, Any]], examples: Examples
) -> Mapping[str, np.ndarray]:
    """The `Many.arrays()` of the interrupted run.

    Raises:
        ValueError: it has other configs or folds.
        TypeError: it is not a run.
    """
    if isinstance(resume, Many):
        if indices(resume.folds) != indices(examples.folds) or _settled(resume.configs) != _settled(networks):
            raise ValueError("resume must be a run of the same configs and folds")
        return resume.arrays()
    if not isinstance(resume, Mapping):
        raise TypeError(f"resume must be what fit_many returned, or the arrays() of it, got {type(resume).__name__}")
    return resume


def _settled(configs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The configs without their arrays, which == cannot compare."""
    return [{name: value for name, value in config.items() if name not in PER_EXAMPLE} for config in configs]


def take_over(
    records: Records, arrays: Mapping[str, np.ndarray], groups: Sequence[Group], settings: Settings, examples: Examples
) -> None:
    """Restore the records of the interrupted run.

    Raises:
        ValueError: `arrays` are from another run.
    """
    stacks: dict[str, dict[str, np.ndarray]] = {}
    for name, array in arrays.items():
        number, _, rest = name.partition(".")
        stacks.setdefault(number, {})[rest] = array
    if len(stacks) > len(groups):
        raise ValueError(f"resume must be a run of the same networks, got {len(stacks)} stacks for {len(groups)}")
    for group in groups[: len(stacks)]:
        saved = _saved(stacks.get(str(group.number), {}), group, settings)
        epoch, block, size = (int(saved["place"][name]) for name in ("epoch", "block", "size"))
        place = Place(epoch, block, size, saved["place"]["alive"])
        stack = Stack(group.members, saved["state"], examples.scaling_of(group.fold), place)
        records.take_over(group.number, stack, saved["history"], saved["epochs"], saved["diverged_at"])


def _saved(arrays: dict[str, np.ndarray], group: Group, settings: Settings) -> dict[str, Any]:
    """A group's part of `Many.arrays`, checked."""
    C, epoch = len(group.members), int(arrays.get("place.epoch", 0))
    costs = np.empty((C, epoch), settings.dtype)
    like = {
        "members": group.members,
        "state": jax.eval_shape(lambda: new_states(group, settings)),
        "place": {"epoch": np.int64(0), "block": np.int64(0), "size": np.int64(0), "alive": np.zeros(C, bool)},
        "history": History(
            costs,
            costs if settings.validated else None,
            costs if settings.validated and settings.rules.validation_score else None,
        ),
        "epochs": group.members,
        "diverged_at": group.members,
    }
    saved: dict[str, Any] = from_named(like, arrays)
    if (saved["members"] != group.members).any() or epoch > settings.epochs:
        raise ValueError("resume must be a run of the same networks, and of no more epochs")
    return saved
