"""Random keys as plain numbers: what NumPy and files can hold, and back into keys of the same kind."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import GetAttrKey


@jax.tree_util.register_pytree_with_keys_class
class KeyData:
    """The numbers of a random key, or of an array of keys.

    Attributes:
        data: as `jax.random.key_data` gives them.
        impl: the kind of key, such as "threefry2x32".
    """

    def __init__(self, data: Any, impl: Any):
        self.data, self.impl = data, impl

    def tree_flatten_with_keys(self) -> tuple[tuple[tuple[GetAttrKey, Any]], Any]:
        """The numbers, under the name of their kind: keys of two kinds are never taken for each other."""
        return ((GetAttrKey(str(self.impl)), self.data),), self.impl

    @classmethod
    def tree_unflatten(cls, impl: Any, children: tuple[Any]) -> KeyData:
        return cls(children[0], impl)


def is_key(leaf: Any) -> bool:
    """Whether a leaf is a typed random key; an old one, of raw numbers, is not."""
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def packed(tree: Any) -> Any:
    """The tree with `KeyData` in place of typed random keys.

    Example:
        >>> jax.tree.leaves(packed({"key": jax.random.key(7)}))[0].tolist()
        [0, 7]
    """
    return jax.tree.map(
        lambda leaf: KeyData(jax.random.key_data(leaf), jax.random.key_impl(leaf)) if is_key(leaf) else leaf, tree
    )


def unpacked(tree: Any) -> Any:
    """The tree that `packed` was given."""

    def is_packed(node: Any) -> bool:
        return isinstance(node, KeyData)

    return jax.tree.map(
        lambda node: jax.random.wrap_key_data(node.data, impl=node.impl) if is_packed(node) else node,
        tree,
        is_leaf=is_packed,
    )
