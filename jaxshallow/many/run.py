"""`train_group`: one block of epochs after another, until all have run or every network of the group has stopped."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

from jaxshallow.many.configs import Settings, columns
from jaxshallow.many.examples import FoldExamples, validation_weights_of, weights_of
from jaxshallow.many.plan import Block, Group, chunk, first_place, next_block
from jaxshallow.many.programs import new_states, train_chunk, watched_states, with_optimizers
from jaxshallow.many.records import Records
from jaxshallow.many.result import Many, Stack
from jaxshallow.many.resume import states_of_start
from jaxshallow.params import Params
from jaxshallow.training.epochs import History, State, epoch_orders


class Work(NamedTuple):
    """What all blocks of a group share.

    Attributes:
        settings: of the run.
        group: the networks.
        columns: the numbers of their configs, (C,) each.
        examples: what they are trained on.
        grads: the gradient function of one network.
    """

    settings: Settings
    group: Group
    columns: dict[str, Any]
    examples: FoldExamples
    grads: Callable[..., tuple[Array, Params]]


def train_group(
    group: Group, settings: Settings, examples: FoldExamples, records: Records, start: Many | State | None = None
) -> None:
    """Train the networks of a group: choose a block, run it, record it, report.

    Args:
        group: the networks.
        settings: of the run.
        examples: of the group's fold.
        records: receive its costs and its stack after every block; training continues from what they already have.
        start: the run to start from, or the states of all networks.

    Raises:
        ValueError: `start` was trained by an optimizer of another form.
        Ended: the callback ended the run.
    """
    stack = records.stacks.get(group.number) or first_stack(group, settings, examples, start)
    _, grads = chunk(group, stack.state.params, examples.m, settings)
    work = Work(settings, group, columns(settings, group.members), examples, grads)
    while stack.place.epoch < settings.epochs and stack.place.alive.any():
        block = next_block(stack.place, stack.state.params, examples.m, settings)
        state, costs, ran = run_block(block, stack.state, work)
        goes_on = records.record(group.members[block.rows], costs, ran, block.first)
        records.stacks[group.number] = stack = after(stack, block, state, goes_on)
        records.report()
    records.ended[group.members] = True


def first_stack(group: Group, settings: Settings, examples: FoldExamples, start: Many | State | None) -> Stack:
    """The stack of a group before its first epoch: new networks, or those to start from."""
    if start is None:
        state = new_states(group, settings)
    else:
        if isinstance(start, Many):
            state = states_of_start(start, group, settings)
        else:
            state = with_optimizers(jax.tree.map(lambda leaf: leaf[group.members], start), group, settings)
        state = watched_states(state, settings)
        new = jax.eval_shape(lambda: new_states(group, settings))
        if [leaf.shape for leaf in jax.tree.leaves(state)] != [leaf.shape for leaf in jax.tree.leaves(new)]:
            raise ValueError("start must have been trained by an optimizer of the same form, on as many features")
    place = first_place(group, state.params, examples.m, settings)
    return Stack(group.members, jax.tree.map(np.asarray, state), examples.scaling, place)


def run_block(block: Block, state: State, work: Work) -> tuple[State, History, np.ndarray]:
    """Train a block, in chunks.

    Returns:
        The group's new states, the costs of those trained, (n, epochs), and whether each epoch ran.
    """
    order = _order(block, work)
    chunks = [block.rows[first : first + block.size] for first in range(0, len(block.rows), block.size)]
    # Launch all before waiting for the first: devices work in parallel.
    running = [_launch(turn, rows, block, order, state, work) for turn, rows in enumerate(chunks)]
    parts = [
        jax.tree.map(lambda leaf, rows=rows: np.asarray(leaf)[: len(rows)], out)
        for rows, out in zip(chunks, running, strict=True)
    ]
    trained, (costs, ran) = jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)

    def put(old: np.ndarray, new: np.ndarray) -> np.ndarray:
        old = old.copy()
        old[block.rows] = new
        return old

    return jax.tree.map(put, state, trained), costs, ran


def _order(block: Block, work: Work) -> np.ndarray | None:
    """(epochs, batches, batch_size) the order of the examples; None: full batch."""
    settings, m = work.settings, work.examples.m
    if settings.batch_size is None:
        return None
    batch, first = min(settings.batch_size, m), settings.epochs_before + block.first
    if not settings.shuffle:
        in_turn = np.pad(np.arange(m, dtype=np.int32), (0, -m % batch), constant_values=-1).reshape(-1, batch)
        return np.broadcast_to(in_turn, (block.epochs, *in_turn.shape))
    return epoch_orders(settings.key_words, range(first, first + block.epochs), m, batch)


def _launch(turn: int, rows: np.ndarray, block: Block, order: np.ndarray | None, state: State, work: Work) -> Any:
    """Start the program of a chunk without waiting for it; chunks take devices in turn."""
    settings, examples = work.settings, work.examples
    full = np.resize(rows, block.size)  # pad the last chunk with copies of its networks
    of_full = partial(jax.tree.map, lambda leaf: leaf[full])
    members = work.group.members[full]
    own = weights_of(settings, members, examples), validation_weights_of(settings, members)
    tol = np.asarray(settings.tol, settings.dtype)
    device = turn % len(settings.devices)
    chunk = jax.device_put((of_full(state), of_full(work.columns), *own, order, tol), settings.devices[device])
    return train_chunk(
        *examples.on_devices[device], *chunk,
        recipe=work.group.recipe, padded=work.group.padded, grads=work.grads, epochs=block.epochs,
        patience=settings.patience, rules=settings.rules,
    )  # fmt: skip


def after(stack: Stack, block: Block, state: State, goes_on: np.ndarray) -> Stack:
    """The stack after a block; `goes_on` says which of those trained are still training."""
    alive = stack.place.alive.copy()
    alive[block.rows] = goes_on
    place = stack.place._replace(epoch=block.first + block.epochs, size=block.size, alive=alive)
    return stack._replace(state=state, place=place)
