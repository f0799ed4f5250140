"""Training state as named arrays, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxshallow import checks, given
from jaxshallow.training.epochs import History, State
from jaxshallow.training.keys import packed, unpacked


def named(tree: Any) -> dict[str, np.ndarray]:
    """The leaves of a tree, by their paths: {"state.params.W1": ...}; of a random key its numbers.

    Raises:
        TypeError: they are traced.
    """
    leaves, _ = jax.tree_util.tree_flatten_with_path(packed(tree))
    checks.untraced("arrays()", leaves)
    return {jax.tree_util.keystr(path, simple=True, separator="."): np.asarray(leaf) for path, leaf in leaves}


def from_named(like: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """The tree that `named` took apart, `packed`. It must match `like`, packed too, of arrays or shapes and dtypes.

    Raises:
        ValueError: an array is missing or not known, or has another shape or dtype.
    """
    leaves, form = jax.tree_util.tree_flatten_with_path(like)
    expected = {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}
    for name in {**expected, **arrays}:
        wanted, got = (
            f"{some[name].dtype} {some[name].shape}" if name in some else "nothing" for some in (expected, arrays)
        )
        if wanted != got:
            raise ValueError(
                f"resume must be a run of the same networks, data and form of optimizer: {name} must be {wanted}, "
                f"got {got}"
            )
    return jax.tree.unflatten(form, [arrays[name] for name in expected])


def resumed(arrays: Mapping[str, np.ndarray], first: State, epochs: int, validated: bool) -> tuple[State, History]:
    """The state and the history of a run of `fit`, from its named arrays.

    Args:
        arrays: what `FitResult.arrays` gave.
        first: the state of the same run before its first epoch, for the names, shapes and dtypes.
        epochs: how many the run may have in all.
        validated: whether it has validation data.

    Raises:
        ValueError: the arrays are of another run, or of more epochs.
    """
    costs = np.empty(np.shape(arrays.get("history.cost", ())), first.params.W1.dtype)
    found = from_named({"state": packed(first), "history": History(costs, costs if validated else None)}, arrays)
    if len(found["history"].cost) > epochs:
        raise ValueError(f"epochs must be at least the {len(found['history'].cost)} of resume, got {epochs}")
    return unpacked(jax.tree.map(given.own, found["state"])), found["history"]
