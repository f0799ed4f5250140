"""Arrays on explicit meshes. The equations say nothing of devices, and XLA divides their work, as on automatic meshes.

`jax.make_mesh` makes explicit axes since JAX 0.9: the type of an array says how it is split, and a product that sums
over a split axis must say how its result is to be. `on_any_mesh` leaves that to XLA inside a function, and says it of
the function's result.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar

import jax
from jax.sharding import (
    AbstractMesh,
    AxisType,
    Mesh,
    NamedSharding,
    PartitionSpec,
    get_abstract_mesh,
    reshard,
    use_abstract_mesh,
)

Args = ParamSpec("Args")
Result = TypeVar("Result")


def on_any_mesh(fn: Callable[Args, Result], *, columns: bool = True) -> Callable[Args, Result]:
    """`fn(params, X, ...)`, which may take arrays on an explicit mesh, and run under `jax.set_mesh`.

    There, what has the form of the first argument, such as a gradient, is split as the first argument is, and what has
    a column for each example as X is, if `columns` is true. All else is on every device. Elsewhere this is `fn`.
    """

    @wraps(fn)
    def run(*args: Args.args, **options: Args.kwargs) -> Result:
        mesh = explicit_mesh((args, options))
        return fn(*args, **options) if mesh is None else _in_auto_mode(fn, mesh, columns, args, options)

    return run


def explicit_mesh(tree: Any) -> Mesh | AbstractMesh | None:
    """The mesh with explicit axes that an array of the tree is on, or that we are in."""
    arrays = (leaf for leaf in jax.tree.leaves(tree) if isinstance(leaf, jax.Array))
    on = next((array for array in arrays if jax.typeof(array).sharding.mesh.explicit_axes), None)
    if on is None:
        context = get_abstract_mesh()
        return context if context.explicit_axes else None
    return jax.typeof(on).sharding.mesh if isinstance(on, jax.core.Tracer) else on.sharding.mesh


def _in_auto_mode(
    fn: Callable[..., Any], mesh: AbstractMesh, columns: bool, args: tuple[Any, ...], options: dict[str, Any]
) -> Any:
    automatic = mesh.abstract_mesh.update_axis_types(dict.fromkeys(mesh.explicit_axes, AxisType.Auto))
    with use_abstract_mesh(automatic):
        result = fn(*onto(automatic, args), **onto(automatic, options))

    first, X = args[0], args[1] if len(args) > 1 else options.get("X")
    form, m, over = jax.tree.structure(first), X.shape[-1], spec_of(X)[-1]

    def back(part: Any) -> Any:
        if jax.tree.structure(part) == form:
            return jax.tree.map(lambda leaf, like: leaf_onto(mesh, spec_of(like), leaf), part, first)
        is_column = columns and part.shape[-1:] == (m,)
        return leaf_onto(mesh, PartitionSpec(*[None] * (part.ndim - 1), over) if is_column else PartitionSpec(), part)

    return jax.tree.map(back, result, is_leaf=lambda part: jax.tree.structure(part) == form)


def spec_of(array: Any) -> PartitionSpec:
    """How the type of an array says that it is split."""
    return jax.typeof(array).sharding.spec


def onto(mesh: AbstractMesh, tree: Any) -> Any:
    """The tree with its arrays on a mesh"""
    return jax.tree.map(partial(leaf_onto, mesh, PartitionSpec()), tree)


def leaf_onto(mesh: Mesh | AbstractMesh, spec: PartitionSpec, leaf: Any) -> Any:
    if not isinstance(leaf, jax.Array):
        return leaf
    sharding = NamedSharding(mesh, spec)
    concrete = isinstance(mesh, Mesh) and not isinstance(leaf, jax.core.Tracer)
    return jax.device_put(leaf, sharding) if concrete else reshard(leaf, sharding)
