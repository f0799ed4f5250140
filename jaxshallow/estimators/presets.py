"""Presets: values for several parameters at once, by a name.

An estimator made with a preset has its values, unless others are given beside it: `get_params()` shows all of them. So
each part can be set by itself, and a search can try each.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")

PRESETS: dict[str, dict[str, Any]] = {
    "tables": {
        "hidden_layer_sizes": (128,),
        "encoding": ("piecewise linear", "smooth clip"),
        "categorical_features": "from_dtype",
        "normalize_y": True,
        "learning_rate": "cosine",
        "learning_rate_init": 0.003,
        "beta_2": 0.95,
        "max_iter": 200,
        "n_iter_no_change": 30,
        "n_members": 8,
        "bagging": "folds",
        "average": "logits",
    },
}


def values_of(preset: Any, names: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a preset for an estimator with these parameters; none for a name that is no preset."""
    values = PRESETS.get(preset, {}) if isinstance(preset, str) else {}
    return {name: value for name, value in values.items() if name in names}


def takes_presets(cls: type[T]) -> type[T]:
    """Let the `__init__` of an estimator fill in the values of its preset where none is given."""
    init: Callable[..., None] = cls.__init__
    signature = inspect.signature(init)

    @functools.wraps(init)
    def __init__(self: Any, *args: Any, **parameters: Any) -> None:
        given = signature.bind(self, *args, **parameters).arguments
        own = values_of(given.get("preset"), signature.parameters)
        init(self, *args, **{name: value for name, value in own.items() if name not in given}, **parameters)

    cls.__init__ = __init__  # type: ignore[method-assign]
    return cls
