"""How the work is divided: which networks make a group, how many a chunk, how many epochs a block."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array
from jax.typing import DTypeLike

from jaxshallow.backprop import cost_and_grads
from jaxshallow.many.configs import Settings
from jaxshallow.many.optimizers import Recipe
from jaxshallow.many.widths import bucket, padding_shows
from jaxshallow.params import Params
from jaxshallow.tiles import stream, tile_size
from jaxshallow.training.epochs import operations

# Entries of A1 over the networks that run at once on a CPU: few enough for the cache, enough for a fast product.
CHUNK_ELEMENTS = 2**19
OPERATIONS_A_PROGRAM = 4e9  # about a tenth of a second: Ctrl-C and `callback` get their turn
OPERATIONS_OF_COMPILING = 2e10
MAX_MEMORY = 2**32


class Group(NamedTuple):
    """Networks that are trained together.

    Attributes:
        number: its place in the order of training.
        members: (C,) the indices of its networks.
        width: of their hidden layers.
        padded: whether some of the hidden layers are narrower.
        hidden: their activation.
        recipe: of their optimizers; None for plain gradient descent.
        fold: 0 without folds.
    """

    number: int
    members: np.ndarray
    width: int
    padded: bool
    hidden: Any
    recipe: Recipe | None
    fold: int


class Place(NamedTuple):
    """Training progress of a group, and its block and chunk sizes.

    Attributes:
        epoch: the next to train.
        block: epochs in a program.
        size: networks in a chunk.
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
        size: networks in a chunk.
    """

    first: int
    epochs: int
    rows: np.ndarray
    size: int


# ---- groups ----


def memory(configs: Sequence[Mapping[str, Any]], n_x: int, n_y: int = 1, dtype: DTypeLike = np.float32) -> int:
    """Bytes that `fit_many` keeps of these networks: the parameters, the best so far, and two moments, as
    Adam has them. Training takes twice that, and the histories.

    Args:
        configs: the networks; only n_h matters.
        n_x, n_y: sizes of the data.
        dtype: of the parameters.

    Example:
        >>> memory([{"n_h": 4}] * 10_000, n_x=2) / 2**20  # in MiB
        2.593994140625
    """
    widths = (bucket(config["n_h"]) for config in configs)
    return sum(4 * (width * (n_x + n_y + 1) + n_y) * np.dtype(dtype).itemsize for width in widths)


def groups_of(
    networks: Sequence[Mapping[str, Any]],
    recipes: Sequence[Recipe | None],
    like: Params,
    *,
    max_memory: int,
    examples: int,
) -> list[Group]:
    """The groups in the order of training, fold after fold, each as large as `max_memory` allows.

    Args:
        networks: complete configs.
        recipes: of their optimizers.
        like: the shapes and dtypes of one of the networks.
        max_memory: bytes for networks in training.
        examples: how many each network is trained on, over all epochs.

    Raises:
        ValueError: the results alone need more than `max_memory`.
    """

    n_x, n_y = like.W1.shape[1], like.W2.shape[0]

    def bytes_of(width: int) -> int:
        return memory([{"n_h": width}], n_x, n_y, like.W1.dtype)

    together = []
    for (hidden, recipe), by_width in _kinds(networks, recipes).items():
        if len(by_width) > 1 and not padding_shows(hidden, recipe, like):
            by_width = _buckets(by_width)
            _join(by_width, bytes_of, max_memory, padding=6 * (n_x + n_y + 1) * examples)
        for width, members in by_width.items():
            alike = {networks[k]["n_h"] for k in members}
            together.append((alike.pop() if len(alike) == 1 else width, sorted(members)))
    results = sum(len(members) * bytes_of(width) for width, members in together)
    if results > max_memory:
        raise ValueError(
            f"{len(networks):,} networks take {results / 2**20:,.1f} MiB for themselves alone, and max_memory is "
            f"{max_memory / 2**20:,.1f} MiB: raise it, or train fewer, or smaller ones"
        )

    def most(width: int) -> int:
        return max(1, max_memory // (2 * bytes_of(width)))  # old values and new

    groups = []
    for number, (group, width) in enumerate(_by_fold(networks, together, most)):
        first, padded = networks[group[0]], any(networks[k]["n_h"] < width for k in group)
        hidden, recipe, fold = first["hidden"], recipes[group[0]], first.get("fold", 0)
        groups.append(Group(number, group, width, padded, hidden, recipe, fold))
    return groups


def _kinds(
    networks: Sequence[Mapping[str, Any]], recipes: Sequence[Recipe | None]
) -> dict[tuple[Any, Recipe | None], dict[int, list[int]]]:
    """For each activation and recipe, the indices of its networks by width."""
    kinds: dict[tuple[Any, Recipe | None], dict[int, list[int]]] = {}
    for k, (network, recipe) in enumerate(zip(networks, recipes, strict=True)):
        kinds.setdefault((network["hidden"], recipe), {}).setdefault(network["n_h"], []).append(k)
    return kinds


def _buckets(by_width: dict[int, list[int]]) -> dict[int, list[int]]:
    buckets: dict[int, list[int]] = {}
    for width, members in by_width.items():
        buckets.setdefault(bucket(width), []).extend(members)
    return buckets


def _join(buckets: dict[int, list[int]], bytes_of: Callable[[int], int], max_memory: int, padding: int) -> None:
    """Move networks to the next wider bucket if their own is not worth a program; each padded unit costs `padding`."""
    for width, wider in itertools.pairwise(sorted(buckets)):
        members = buckets[width]
        operations = (wider - width) * padding * len(members)
        if operations < OPERATIONS_OF_COMPILING and len(members) * bytes_of(wider) < max_memory // 8:
            buckets[wider] = buckets.pop(width) + buckets[wider]


def _by_fold(
    networks: Sequence[Mapping[str, Any]], together: list[tuple[int, list[int]]], most: Callable[[int], int]
) -> Iterator[tuple[np.ndarray, int]]:
    """(members, width) of each group, at most `most(width)` members."""
    for fold in sorted({network.get("fold", 0) for network in networks}):
        for width, everyone in together:
            members = [k for k in everyone if networks[k].get("fold", 0) == fold]
            for start in range(0, len(members), most(width)):
                yield np.array(members[start : start + most(width)]), width


# ---- chunks and blocks ----


def chunk(group: Group, params: Params, m: int, settings: Settings) -> tuple[int, Callable[..., tuple[Array, Params]]]:
    """How many networks run at once, and the gradient of each, streamed if one alone outgrows the cache.

    Args:
        group: the networks.
        params: their stack.
        m: examples.
        settings: batch_size and devices.
    """
    one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), params)
    batch = min(m, settings.batch_size or m)
    widest, n = max(group.width, *one.W2.shape), len(group.members)
    if group.recipe is not None and group.recipe.one_by_one:
        return 1, cost_and_grads
    if settings.devices[0].platform != "cpu":
        return max(1, min(n, 2**26 // (widest * batch))), cost_and_grads
    if batch >= 8 * tile_size(one):
        return 1, stream(cost_and_grads)
    devices = len(settings.devices)
    most = max(1, CHUNK_ELEMENTS // devices // (widest * batch))
    chunks = -(-n // most // devices) * devices
    return -(-n // chunks), cost_and_grads


def first_place(group: Group, params: Params, m: int, settings: Settings) -> Place:
    """The place of a group before its first epoch. All blocks are equal if `epochs` has a divisor near their size."""
    size, _ = chunk(group, params, m, settings)
    parts = 100 if settings.callback else 20 if settings.patience else 1
    most = min(settings.epochs // parts, OPERATIONS_A_PROGRAM / _operations(params, size, m, settings.batch_size))
    block = int(min(settings.epochs, max(2, most)))
    # A shorter last block would be one more program to compile.
    block = next((n for n in range(block, block // 2, -1) if settings.epochs % n == 0), block)
    return Place(0, block, size, np.ones(len(group.members), bool))


def next_block(place: Place, params: Params, m: int, settings: Settings) -> Block:
    """The next epochs of the networks still training, in smaller chunks once that is worth another program."""
    rows, size, left = np.flatnonzero(place.alive), place.size, settings.epochs - place.epoch
    worth = OPERATIONS_OF_COMPILING / left / _operations(params, 1, m, settings.batch_size)
    while len(rows) <= size // 2 and size // 2 * -(-len(rows) // size) >= worth:
        size //= 2
    return Block(place.epoch, min(place.block, left), rows, size)


def _operations(params: Params, size: int, m: int, batch_size: int | None) -> int:
    """`operations` of an epoch of `size` networks of a stack."""
    entries = sum(leaf.size // len(leaf) for leaf in jax.tree.leaves(params))
    return operations(size * entries, m, batch_size or m)
