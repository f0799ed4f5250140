"""Arrays on explicit meshes. The equations say nothing of devices, and XLA divides their work, as on automatic meshes.

`jax.make_mesh` makes explicit axes since JAX 0.9: the type of an array says how it is split, and a product that sums
over a split axis must say how its result is to be. `on_any_mesh` leaves that to XLA inside a function, and says it of
the function's result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar

import jax
import numpy as np
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

from jaxshallow import given

Args = ParamSpec("Args")
Result = TypeVar("Result")


def on_any_mesh(
    fn: Callable[Args, Result], *, inside: Mesh | None = None, columns: bool = True
) -> Callable[Args, Result]:
    """`fn(params, X, ...)`, which may then take arrays on an explicit mesh, and run under `jax.set_mesh`.

    There, a result of the form of the first argument, such as a gradient, is split as the first argument is. One that
    has a column for each example is split as X is. All others are on every device. Elsewhere this is `fn`.

    Args:
        fn: a function of a network, or of what holds one, and of X.
        inside: the automatic mesh that `fn` needs around it; None: the one that we are in.
        columns: whether a result may have a column for each example.
    """
    needed = None if inside is None else inside.abstract_mesh

    @wraps(fn)
    def run(*args: Args.args, **options: Args.kwargs) -> Result:
        mesh = home_of((args, options), needed)
        if mesh is None:
            return fn(*args, **options)
        automatic = needed or mesh.abstract_mesh.update_axis_types(dict.fromkeys(mesh.explicit_axes, AxisType.Auto))
        args, options = jax.tree.map(partial(_at_home, mesh=mesh), (args, options))
        with use_abstract_mesh(automatic):
            there = partial(moved, mesh=automatic, spec=PartitionSpec())
            result = fn(*jax.tree.map(there, args), **jax.tree.map(there, options))
        named = {**dict(zip(("params", "X"), args, strict=False)), **options}
        return _brought_home(result, mesh, named["params"], named.get("X") if columns else None)

    return run


def home_of(tree: Any, needed: AbstractMesh | None) -> Mesh | AbstractMesh | None:
    """The mesh with explicit axes that an array of the tree is on, or that we are in; or ours, if another is needed."""
    for leaf in jax.tree.leaves(tree, is_leaf=lambda node: isinstance(node, Iterator)):
        if isinstance(leaf, jax.Array) and (mesh := jax.typeof(leaf).sharding.mesh).explicit_axes:
            return mesh if given.is_traced(leaf) else getattr(leaf.sharding, "mesh", mesh)
    ours = get_abstract_mesh()
    elsewhere = needed is not None and not ours.empty and ours != needed
    return ours if ours.explicit_axes or elsewhere else None


def _brought_home(result: Any, mesh: Mesh | AbstractMesh, first: Any, X: Any) -> Any:
    """The result on a mesh, split as `on_any_mesh` says."""
    form: Any = jax.tree.structure(first)

    def is_alike(part: Any) -> bool:
        return bool(jax.tree.structure(part) == form)

    def back(part: Any) -> Any:
        if is_alike(part):
            return jax.tree.map(lambda leaf, like: moved(leaf, mesh, spec_of(like)), part, first)
        split = isinstance(X, jax.Array) and part.shape[-1:] == X.shape[-1:]
        return moved(part, mesh, PartitionSpec(*[None] * (part.ndim - 1), spec_of(X)[-1]) if split else PartitionSpec())

    return jax.tree.map(back, result, is_leaf=is_alike)


def _at_home(leaf: Any, mesh: Mesh | AbstractMesh) -> Any:
    """An array that is on no mesh, on every device of ours: its derivative is then there, too."""
    nowhere = isinstance(leaf, jax.Array) and jax.typeof(leaf).sharding.mesh.empty
    return moved(leaf, mesh, PartitionSpec()) if nowhere else leaf


def spec_of(array: Any) -> PartitionSpec:
    """How the type of an array says that it is split."""
    return jax.typeof(array).sharding.spec


def moved(leaf: Any, mesh: Mesh | AbstractMesh, spec: PartitionSpec) -> Any:
    """An array on a mesh, split so; on automatic axes XLA chooses how. What is no array stays as it is."""
    if not isinstance(leaf, jax.Array):
        return leaf
    sharding = NamedSharding(mesh, spec)
    concrete = isinstance(mesh, Mesh) and not given.is_traced(leaf)
    return jax.device_put(leaf, sharding) if concrete else reshard(leaf, sharding)


def on_automatic_axes(tree: Any) -> Any:
    """The tree with its arrays on explicit meshes where they are, but with automatic axes."""

    def there(leaf: Any) -> Any:
        if not isinstance(leaf, jax.Array) or not jax.typeof(leaf).sharding.mesh.explicit_axes:
            return leaf
        sharding: Any = leaf.sharding
        automatic = (AxisType.Auto,) * len(sharding.mesh.axis_names)
        mesh = Mesh(sharding.mesh.devices, sharding.mesh.axis_names, axis_types=automatic)
        return jax.device_put(leaf, NamedSharding(mesh, sharding.spec))

    return jax.tree.map(there, tree)


def no_mesh() -> AbstractContextManager[Any]:
    """Outside of every `jax.set_mesh`, for programs that choose their devices themselves."""
    return jax.set_mesh(Mesh(np.empty((), object), ()))
