"""Tiles on all cores: chains of them, each a program of its own that a thread starts.

In one program, XLA's CPU runs loops one after another, however many cores there are. But it runs as many programs at
once as threads start.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxshallow.params import Params
from jaxshallow.tiles.parts import Parts, compiled, is_numbers, wide

# To start a program takes as long as a few tiles, and a core that has none left waits for the last.
LEAST, FEWEST = 96, 8  # tiles in a chain, and chains
A_CORE = 4  # chains for each core


class Span(NamedTuple):
    """Some of the examples.

    Attributes:
        tile: examples in a tile.
        turns: how many tiles.
        left: examples that follow them.
        m: how many examples there are in all.
    """

    tile: int
    turns: int
    left: int
    m: int


def spans_of(m: int, tile: int, cores: int) -> list[Span] | None:
    """All examples, one span after another: chains of as many tiles, and what is left.

    None: there are too few examples, or a single core.
    """
    tiles, left = divmod(m, tile)
    chains = min(A_CORE * cores, tiles // LEAST)
    if cores < 2 or chains < FEWEST:
        return None
    turns = tiles // chains
    rest = Span(tile, tiles - chains * turns, left, m)
    return [Span(tile, turns, 0, m)] * chains + [rest] * (rest.turns + rest.left > 0)


class Chains:
    """A function of examples that stay, at any parameters.

    Args:
        sums: called as sums(span, *arguments, first, total): the sums of the means over a span from the example `first`
            on, and its columns; `total` is Σ wᵢ of all examples.
        spans: one after another.
        threads: how many run at once.
        parts: of the result.
        arguments: (params, data, weights, rest, options), of arrays and numbers that are not traced.
    """

    def __init__(
        self, sums: compiled, spans: Sequence[Span], threads: int, parts: Parts, arguments: tuple[Any, ...]
    ) -> None:
        self.spans, self.threads, self.parts, self.device = spans, threads, parts, arguments[1][0].sharding
        params, *fixed = jax.tree.map(self._put, arguments)
        weights = arguments[2]
        total = None if weights is None else jnp.asarray(np.asarray(weights).sum(dtype=wide(weights.dtype)))
        sizes = [span.tile * span.turns + span.left for span in spans]
        self.firsts = [jnp.asarray(first) for first in itertools.accumulate(sizes[:-1], initial=0)]
        self.fixed, self.total = fixed, total
        # Compiled here: what holds in this thread alone, such as x64, does not hold in others.
        self.programs = {span: sums.ahead(span, params, *fixed, self.firsts[0], total) for span in dict.fromkeys(spans)}

    def _put(self, leaf: Any) -> Any:
        return jax.device_put(leaf, self.device) if is_numbers(leaf) else leaf

    def __call__(self, params: Params) -> Any:
        params = jax.tree.map(self._put, params)

        def run(span: Span, first: Any) -> Any:
            return jax.block_until_ready(self.programs[span](span, params, *self.fixed, first, self.total))

        with ThreadPoolExecutor(self.threads) as pool:
            means, columns = zip(*pool.map(run, self.spans, self.firsts), strict=True)
        sums = [functools.reduce(np.add, map(np.asarray, each)) for each in zip(*means, strict=True)]
        result = self.parts.whole(sums, (np.concatenate(each, axis=-1) for each in zip(*columns, strict=True)))
        return jax.device_put(result, self.device)
