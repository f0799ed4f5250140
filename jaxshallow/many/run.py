"""`train_group`: one block of epochs after another, until all have run or every network of the group has stopped."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxshallow.backprop import cost_and_grads
from jaxshallow.bounded import bounded_jit
from jaxshallow.many.chunks import Block, Capacity, capacity, chunks, entries, first_place, is_tall, next_block
from jaxshallow.many.configs import Settings, columns
from jaxshallow.many.examples import FoldExamples, validation_weights_of, weights_of
from jaxshallow.many.optimizers import shapes
from jaxshallow.many.plan import Group
from jaxshallow.many.programs import new_states, train_stack, train_units, watched_states, with_optimizers
from jaxshallow.many.records import Records
from jaxshallow.many.result import Many, Stack
from jaxshallow.many.resume import states_of_start
from jaxshallow.many.units import Axes, Layout, axes_of_units
from jaxshallow.tiles import stream
from jaxshallow.training.epochs import History, State, epoch_orders

Trained = tuple[State, History, np.ndarray]  # a stack's states, its costs (n, epochs), and whether each epoch ran


class Work(NamedTuple):
    """What all blocks of a group share.

    Attributes:
        settings: of the run.
        group: the networks.
        columns: the numbers of their configs, (C,) each.
        examples: what they are trained on.
        axes: where a network's arrays have its hidden units; None if networks do not stand side by side.
        workers: the threads that wait for programs: a CPU runs as many at once as threads start.
        programs: what is compiled, by all that may change from block to block.
    """

    settings: Settings
    group: Group
    columns: dict[str, Any]
    examples: FoldExamples
    axes: tuple[Axes, Axes] | None
    workers: ThreadPoolExecutor
    programs: dict[Any, Callable[..., Any]]


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
    like = shapes(group.width, settings.n_x, settings.n_y, settings.dtype)
    axes = None if group.widths is None else axes_of_units(group.recipe, like)
    with ThreadPoolExecutor(settings.workers) as workers:
        work = Work(settings, group, columns(settings, group.members), examples, axes, workers, {})
        while stack.place.epoch < settings.epochs and stack.place.alive.any():
            block = next_block(group, stack.place, examples.m, settings)
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
    place = first_place(group, examples.m, settings)
    return Stack(group.members, jax.tree.map(np.asarray, state), examples.scaling, place)


def run_block(block: Block, state: State, work: Work) -> Trained:
    """Train a block, in chunks: the group's new states, the costs of those trained, and whether each epoch ran."""
    room = capacity(work.group, block.size, work.examples.m, work.settings)
    start = _start_stack if work.axes is None else _start_units
    order = _order(block, work)
    # Start all before waiting for the first: they run at the same time.
    parts = chunks(work.group, block.rows, room)
    running = [start(turn, rows, room, block, order, state, work) for turn, rows in enumerate(parts)]
    trained, costs, ran = jax.tree.map(lambda *leaves: np.concatenate(leaves), *(finish() for finish in running))
    rows = np.concatenate(parts)

    def put(old: np.ndarray, new: np.ndarray) -> np.ndarray:
        old = old.copy()
        old[rows] = new
        return old

    in_order = np.argsort(rows)
    return jax.tree.map(put, state, trained), *jax.tree.map(lambda leaf: leaf[in_order], (costs, ran))


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


def _start_stack(
    turn: int, rows: np.ndarray, room: Capacity, block: Block, order: np.ndarray | None, state: State, work: Work
) -> Callable[[], Trained]:
    """Start the program of a chunk of networks of one width; what is returned waits for it."""
    full = np.resize(rows, room.networks)  # copies of its networks fill the last chunk up
    tall = is_tall(work.group, work.examples.m, work.settings)
    options = {"grads": stream(cost_and_grads) if tall else cost_and_grads}
    running = _start(train_stack, (_rows(state, full),), turn, full, room, block, order, work, **options)

    def finish() -> Trained:
        trained, (costs, ran) = _rows(running(), slice(len(rows)))
        return trained, costs, ran

    return finish


def _start_units(
    turn: int, rows: np.ndarray, room: Capacity, block: Block, order: np.ndarray | None, state: State, work: Work
) -> Callable[[], Trained]:
    """The same for networks of several widths, side by side."""
    layout = Layout(work.group.widths[rows], room.units, room.networks, work.axes)  # type: ignore[index, arg-type]
    networks = layout.side_by_side(_rows(state, rows)), layout.places
    running = _start(train_units, networks, turn, np.resize(rows, room.networks), room, block, order, work)

    def finish() -> Trained:
        trained, seen = jax.tree.map(np.asarray, running())
        costs, ran = _rows(seen, slice(len(rows)))
        return layout.stacked(trained, work.group.width), costs, ran

    return finish


def _rows(tree: Any, rows: Any) -> Any:
    return jax.tree.map(lambda leaf: np.asarray(leaf)[rows], tree)


def _start(
    program: bounded_jit,
    networks: tuple[Any, ...],
    turn: int,
    rows: np.ndarray,
    room: Capacity,
    block: Block,
    order: np.ndarray | None,
    work: Work,
    **options: Any,
) -> Callable[[], Any]:
    """Start a program in a thread of its own; what is returned waits for its result. Chunks take devices in turn.

    That thread copies what the host keeps to the device, beside the other chunks: here it would keep them waiting.
    """
    settings, examples = work.settings, work.examples
    members = work.group.members[rows]
    own = weights_of(settings, members, examples), validation_weights_of(settings, members, examples)
    device, tol = turn % len(settings.devices), np.asarray(settings.tol, settings.dtype)
    arguments = (*examples.on_devices[device], *networks, _rows(work.columns, rows), *own, order, tol)
    of_block = block.epochs, room, device
    if of_block not in work.programs:
        work.programs[of_block] = program.compiled(
            *arguments, recipe=work.group.recipe, epochs=block.epochs, patience=settings.patience, rules=settings.rules,
            last=examples.last(settings.batch_size, entries(work.group, room, settings)), **options,
        )  # fmt: skip
    compiled, x64 = work.programs[of_block], jax.config.jax_enable_x64  # type: ignore[attr-defined]

    def run() -> Any:
        with jax.enable_x64(x64):  # as here, where it may be so in this thread alone
            return jax.block_until_ready(compiled(*arguments))

    return work.workers.submit(run).result


def after(stack: Stack, block: Block, state: State, goes_on: np.ndarray) -> Stack:
    """The stack after a block; `goes_on` says which of those trained are still training."""
    alive = stack.place.alive.copy()
    alive[block.rows] = goes_on
    place = stack.place._replace(epoch=block.first + block.epochs, size=block.size, alive=alive)
    return stack._replace(state=state, place=place)
