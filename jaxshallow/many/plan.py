"""Which networks are trained together: the groups of a run."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.typing import DTypeLike

from jaxshallow.many.optimizers import Recipe
from jaxshallow.many.units import units_are_alone
from jaxshallow.many.widths import bucket
from jaxshallow.params import Params
from jaxshallow.tiles import tile_size

OPERATIONS_OF_COMPILING = 2e10
MAX_MEMORY = 2**32
OPERATIONS_OF_A_STEP = 2e6  # that take as long as a step of a small program takes for itself


class Group(NamedTuple):
    """Networks that are trained together.

    Attributes:
        number: its place in the order of training.
        members: (C,) the indices of its networks.
        width: of their hidden layers, or of the arrays that hold them.
        widths: (C,) of the hidden layers, of networks that are trained side by side; None if all are equal.
        hidden: their activation.
        recipe: of their optimizers; None for plain gradient descent.
        fold: 0 without folds.
    """

    number: int
    members: np.ndarray
    width: int
    widths: np.ndarray | None
    hidden: Any
    recipe: Recipe | None
    fold: int


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
    widths = (config["n_h"] for config in configs)
    return sum(4 * (width * (n_x + n_y + 1) + n_y) * np.dtype(dtype).itemsize for width in widths)


def groups_of(
    networks: Sequence[Mapping[str, Any]],
    recipes: Sequence[Recipe | None],
    like: Params,
    *,
    max_memory: int,
    examples: int,
    batch: int,
    devices: Sequence[jax.Device],
) -> list[Group]:
    """The groups in the order of training, fold after fold, each as large as `max_memory` allows.

    Args:
        networks: complete configs.
        recipes: of their optimizers.
        like: the shapes and dtypes of one of the networks.
        max_memory: bytes for networks in training.
        examples: how many each network is trained on, over all epochs.
        batch: how many are in a step.
        devices: to train on.

    Raises:
        ValueError: the results alone need more than `max_memory`.
    """

    n_x, n_y = like.W1.shape[1], like.W2.shape[0]

    def bytes_of(width: int) -> int:
        return memory([{"n_h": width}], n_x, n_y, like.W1.dtype)

    together: list[tuple[int, list[int], bool]] = []
    for (hidden, recipe), by_width in _kinds(networks, recipes).items():
        mixed: dict[int, list[int]] = {}
        if len(by_width) > 1 and not outgrows(like, batch, devices) and units_are_alone(hidden, recipe, like):
            mixed = _mixed(by_width, n_y, batch, examples / batch)
        together += [(width, members, False) for width, members in by_width.items() if width not in mixed]
        stored = _stored(mixed, bytes_of, max_memory)
        together += [(bucket(width), members, True) for width, members in stored.items()]
    results = sum(len(members) * bytes_of(width) for width, members, _ in together)
    if results > max_memory:
        raise ValueError(
            f"{len(networks):,} networks take {results / 2**20:,.1f} MiB for themselves alone, and max_memory is "
            f"{max_memory / 2**20:,.1f} MiB: raise it, or train fewer, or smaller ones"
        )

    def most(width: int) -> int:
        return max(1, max_memory // (2 * bytes_of(width)))  # old values and new

    groups = []
    for number, (group, width, side_by_side) in enumerate(_by_fold(networks, together, most)):
        hidden, recipe, fold = networks[group[0]]["hidden"], recipes[group[0]], networks[group[0]].get("fold", 0)
        widths = np.array([networks[k]["n_h"] for k in group])
        groups.append(Group(number, group, width, widths if side_by_side else None, hidden, recipe, fold))
    return groups


def outgrows(one: Params, batch: int, devices: Sequence[jax.Device]) -> bool:
    """Whether a network with so many examples outgrows a CPU's cache: then it is trained by itself, in tiles."""
    return devices[0].platform == "cpu" and batch >= 8 * tile_size(one)


def _kinds(
    networks: Sequence[Mapping[str, Any]], recipes: Sequence[Recipe | None]
) -> dict[tuple[Any, Recipe | None], dict[int, list[int]]]:
    """For each activation and recipe, the indices of its networks by width."""
    kinds: dict[tuple[Any, Recipe | None], dict[int, list[int]]] = {}
    for k, (network, recipe) in enumerate(zip(networks, recipes, strict=True)):
        kinds.setdefault((network["hidden"], recipe), {}).setdefault(network["n_h"], []).append(k)
    return kinds


def _mixed(by_width: dict[int, list[int]], n_y: int, batch: int, steps: float) -> dict[int, list[int]]:
    """Those that share a program side by side: widths of so few networks that one of their own is not worth compiling.

    Args:
        by_width: the networks of a kind.
        n_y: of all.
        batch, steps: examples in a step, and steps of the run.
    """

    def lost(width: int) -> float:
        """What a network loses side by side, in a step: half its share of a program's own time, half in zeros."""
        return 2 * OPERATIONS_OF_A_STEP / best_number(width, n_y, batch)

    return {w: them for w, them in by_width.items() if len(them) * steps * lost(w) < OPERATIONS_OF_COMPILING}


def best_number(width: float, n_y: int, batch: int) -> float:
    """How many networks should stand side by side: K of them take OPERATIONS_OF_A_STEP + 3 K² n_y · width · batch.

    The second part is of the three products with W2, which has K n_y rows of K · width entries, most of them 0.
    """
    return math.sqrt(OPERATIONS_OF_A_STEP / (3 * n_y * width * batch))


def _stored(by_width: dict[int, list[int]], bytes_of: Callable[[int], int], max_memory: int) -> dict[int, list[int]]:
    """The same networks by the width that they are stored in: that of the widest, unless memory is short."""
    for width, wider in itertools.pairwise(sorted(by_width)):
        if len(by_width[width]) * bytes_of(wider) < max_memory // 8:
            by_width[wider] = by_width.pop(width) + by_width[wider]
    return by_width


def _by_fold(
    networks: Sequence[Mapping[str, Any]], together: list[tuple[int, list[int], bool]], most: Callable[[int], int]
) -> Iterator[tuple[np.ndarray, int, bool]]:
    """(members, width, side by side) of each group, at most `most(width)` members."""
    for fold in sorted({network.get("fold", 0) for network in networks}):
        for width, everyone, side_by_side in together:
            members = sorted(k for k in everyone if networks[k].get("fold", 0) == fold)
            for start in range(0, len(members), most(width)):
                yield np.array(members[start : start + most(width)]), width, side_by_side
