"""Several starts on the same examples: checked together, and trained by `fit_many`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from jaxshallow.bayes.gaussian import checked
from jaxshallow.checks import parameters, untraced
from jaxshallow.many import fit_many
from jaxshallow.params import Params


class Task(NamedTuple):
    """What all starts share: the arguments of `laplace`, checked."""

    X: Array
    Y: Array
    weights: Array | None
    l2: Array
    noise: Array | None


def checked_starts(
    function: str,
    params: Params | Sequence[Params],
    X: ArrayLike,
    Y: ArrayLike,
    weights: ArrayLike | None,
    l2: ArrayLike,
    noise: ArrayLike | None,
) -> tuple[list[Params], Task]:
    """The networks to start from, one or several, and what they share.

    Raises:
        ValueError, TypeError: as `laplace`; there is no network, or they have not one head and dtype.
    """
    untraced(function, params, X, Y, weights)
    starts = [params] if isinstance(params, Params) else list(params)
    if not starts:
        raise ValueError("params must hold at least one network to start from, got none")
    heads = {f"{one.output} in {one.W1.dtype}": None for one in map(parameters, starts)}
    if len(heads) > 1:
        raise ValueError(f"params must have one output and dtype, got {', '.join(heads)}")
    problems = [checked(start, X, Y, weights, l2, noise) for start in starts]
    return [problem[0] for problem in problems], Task(*problems[0][1:])


def trained(
    networks: Sequence[Params],
    task: Task,
    l2s: Sequence[float],
    weights: Sequence[np.ndarray] | None = None,
    **options: Any,
) -> list[Params]:
    """The networks, each at the minimum of the cost with its l2, and, if given, with its own weights of examples."""
    configs = [
        {"n_h": len(one.W1), "hidden": one.hidden, "l2": l2, **({} if weights is None else {"weights": weights[k]})}
        for k, (one, l2) in enumerate(zip(networks, l2s, strict=True))
    ]
    many = fit_many(
        jax.random.key(0), task.X, task.Y, configs,
        weights=task.weights if weights is None else None, first=networks, output=networks[0].output, **options,
    )  # fmt: skip
    if not many.finished:  # Ctrl-C
        raise KeyboardInterrupt
    return [many.params(k) for k in range(len(networks))]
