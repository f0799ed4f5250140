"""How a group is trained: so many epochs a program (a block), so many networks (a chunk)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jaxshallow.many.configs import Settings
from jaxshallow.many.optimizers import is_own, shapes
from jaxshallow.many.plan import OPERATIONS_OF_COMPILING, Group, best_number, outgrows
from jaxshallow.many.widths import length
from jaxshallow.training.epochs import operations

# Entries of A1 over the networks that run at once on a CPU: few enough for the cache, enough for a fast product.
CHUNK_ELEMENTS = 2**19
DEVICE_ELEMENTS = 2**26
MATRIX_ENTRIES = 2**24  # of the P × P matrices of a chunk, each of which is in memory a few times
OPERATIONS_A_PROGRAM = 4e9  # about a tenth of a second: Ctrl-C and `callback` get their turn


class Place(NamedTuple):
    """Training progress of a group, and its block and chunk sizes.

    Attributes:
        epoch: the next to train.
        block: epochs in a program.
        size: networks in a chunk; if they stand side by side, units.
        alive: (C,) whether each network is still training.
    """

    epoch: int
    block: int
    size: int
    alive: np.ndarray


class Block(NamedTuple):
    """The next block of a group.

    Attributes:
        first: its first epoch.
        epochs: how many.
        rows: of the networks still training, in the group's stack.
        size: as in `Place`.
    """

    first: int
    epochs: int
    rows: np.ndarray
    size: int


class Capacity(NamedTuple):
    """What the program of a chunk has room for.

    Attributes:
        networks: how many.
        units: of all together; None if all have the same width.
    """

    networks: int
    units: int | None


def is_tall(group: Group, m: int, settings: Settings) -> bool:
    """Whether one network outgrows a CPU's cache, so that its gradient is streamed."""
    one = shapes(group.width, settings.n_x, settings.n_y, settings.dtype)
    return group.widths is None and outgrows(one, min(m, settings.batch_size or m), settings.devices)


def first_place(group: Group, m: int, settings: Settings) -> Place:
    """The place of a group before its first epoch. All blocks are equal if `epochs` has a divisor near their size.

    Args:
        group: the networks.
        m: examples.
        settings: of the run.
    """
    chunk = _first_capacity(group, m, settings)
    most = OPERATIONS_A_PROGRAM / _operations(group, chunk, m, settings)
    if settings.patience:  # networks that have stopped take their part of a program until it ends
        most /= 2
    if settings.callback:
        most = min(most, settings.epochs // 100)
    block = int(min(settings.epochs, max(2, most)))
    # A shorter last block would be one more program to compile.
    block = next((n for n in range(block, block // 2, -1) if settings.epochs % n == 0), block)
    return Place(0, block, chunk.units or chunk.networks, np.ones(len(group.members), bool))


def _first_capacity(group: Group, m: int, settings: Settings) -> Capacity:
    n, n_y, batch = len(group.members), settings.n_y, min(m, settings.batch_size or m)
    on_cpu = settings.devices[0].platform == "cpu"
    most = max(1, (CHUNK_ELEMENTS // settings.workers if on_cpu else DEVICE_ELEMENTS) // batch)  # units
    if group.widths is not None:
        at_once = max(1, round(best_number(group.widths.mean(), n_y, batch)))
        parts = _for_all_workers(max(-(-int(group.widths.sum()) // most), -(-n // at_once)), n, settings)
        units = max(int(group.widths[part].sum()) for part in balanced(group.widths, parts))
        # Rounded up, so that other widths find the same program.
        return Capacity(min(at_once, -(-n // (4 * parts)) * 4), length(units, least=64))
    if (group.recipe is not None and group.recipe.one_by_one) or is_tall(group, m, settings):
        return Capacity(1, None)
    most = max(1, most // max(group.width, n_y))
    if matrix := _matrix(group, settings):
        most = max(1, min(most, MATRIX_ENTRIES // matrix**2))
    return Capacity(-(-n // _for_all_workers(-(-n // most), n, settings)), None)


def _for_all_workers(chunks: int, n: int, settings: Settings) -> int:
    """A number of chunks that keeps all workers busy to the end."""
    return min(n, -(-chunks // settings.workers) * settings.workers)


def capacity(group: Group, size: int, m: int, settings: Settings) -> Capacity:
    """What a chunk of a size, as `Place` has it, has room for."""
    if group.widths is None:
        return Capacity(size, None)
    return Capacity(_first_capacity(group, m, settings).networks, size)


def next_block(group: Group, place: Place, m: int, settings: Settings) -> Block:
    """The next epochs of the networks still training, in smaller chunks once that is worth another program."""
    rows, size, left = np.flatnonzero(place.alive), place.size, settings.epochs - place.epoch
    widths = np.ones(len(rows), int) if group.widths is None else group.widths[rows]
    one = Capacity(1, None if group.widths is None else 1)
    worth = OPERATIONS_OF_COMPILING / left / _operations(group, one, m, settings)
    while widths.sum() <= size // 2 and size // 2 >= worth:
        size //= 2
    return Block(place.epoch, min(place.block, left), rows, size)


def chunks(group: Group, rows: np.ndarray, room: Capacity) -> list[np.ndarray]:
    """The rows of a group's stack that run together."""
    if group.widths is None or room.units is None:
        return [rows[first : first + room.networks] for first in range(0, len(rows), room.networks)]
    widths = group.widths[rows]
    for parts in range(max(-(-widths.sum() // room.units), -(-len(rows) // room.networks)), len(rows) + 1):
        split = balanced(widths, parts)
        if max(widths[part].sum() for part in split) <= room.units:
            break
    return [rows[part] for part in split]


def balanced(widths: np.ndarray, parts: int) -> list[np.ndarray]:
    """Indices of networks in so many parts, of about as many networks and about as many units each."""
    most = -(-len(widths) // parts)
    split: list[list[int]] = [[] for _ in range(parts)]
    units = np.zeros(parts, int)
    for k in np.argsort(-widths, kind="stable").tolist():
        lightest = min((p for p in range(parts) if len(split[p]) < most), key=lambda p: (units[p], p))
        split[lightest].append(k)
        units[lightest] += widths[k]
    return [np.array(sorted(part)) for part in split if part]


def entries(group: Group, room: Capacity, settings: Settings) -> int:
    """The parameters that a chunk trains in a step."""
    units = room.networks * group.width if room.units is None else room.units
    return units * (settings.n_x + settings.n_y + 1) + room.networks * settings.n_y


def _operations(group: Group, room: Capacity, m: int, settings: Settings) -> int:
    """`operations` of an epoch of a chunk."""
    return operations(entries(group, room, settings), m, settings.batch_size or m, _matrix(group, settings))


def _matrix(group: Group, settings: Settings) -> int:
    """P if a step forms the P × P matrix of each network, else 0."""
    second_order = group.recipe is not None and is_own(group.recipe.factory)
    return entries(group, Capacity(1, None), settings) if second_order else 0
