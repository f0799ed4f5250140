"""`without_compiling`: what a program gives that only hands on its arguments and constants, such as zeros of a shape.

To compile it would take a tenth of a second, which a first search waits for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxshallow import given
from jaxshallow.bounded import bounded_jit


def without_compiling(program: bounded_jit, *args: Any, **options: Any) -> Any:
    """The program's result: on the host if it is of its arguments and constants alone, else as the program gives it.

    Args:
        program: what would be compiled.
        args: arrays, which the host can read.
        options: its static arguments.
    """
    leaves = jax.tree.leaves(args)
    if not any(map(given.is_traced, leaves)):
        trace = program.traced(*args, **options)
        found = _on_the_host(trace.jaxpr, [*map(np.asarray, leaves)])
        if found is not None:
            return jax.tree.unflatten(jax.tree.structure(trace.out_info), found)
    return program(*args, **options)


def _on_the_host(trace: Any, arguments: Sequence[np.ndarray]) -> list[np.ndarray] | None:
    """The results of a trace, none of which shares memory with another; None if one of them is computed."""
    known = dict(zip(trace.jaxpr.invars, arguments, strict=True))
    known |= zip(trace.jaxpr.constvars, map(np.asarray, trace.consts), strict=True)
    made = {result: operation for operation in trace.jaxpr.eqns for result in operation.outvars}

    def value(of: Any) -> np.ndarray:
        if hasattr(of, "val"):
            return np.asarray(of.val, of.aval.dtype)
        if of in known:
            return known[of]
        operation = made[of]
        if operation.primitive.name != "broadcast_in_dim" or len(operation.invars) != 1:
            raise NotImplementedError(operation.primitive.name)
        return _broadcast(value(operation.invars[0]), operation.params)

    try:
        return [np.array(value(result)) for result in trace.jaxpr.outvars]
    except NotImplementedError:
        return None


def _broadcast(A: np.ndarray, params: dict[str, Any]) -> np.ndarray:
    """`jax.lax.broadcast_in_dim`: the axes of A, in their places among those of a shape."""
    sizes = [1] * len(params["shape"])
    for axis, size in zip(params["broadcast_dimensions"], A.shape, strict=True):
        sizes[axis] = size
    return np.broadcast_to(A.reshape(sizes), params["shape"])
