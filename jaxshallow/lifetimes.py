"""What is made of a function, kept as long as that function lives, with the arrays that it holds, and no longer."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from types import MethodType
from typing import Any, TypeVar

Made = TypeVar("Made")


class _Kept:
    """What hangs on a callable. It is no part of it: copies and pickles of the callable start without."""

    def __init__(self, owner: Any = None) -> None:
        self.owner, self.made = owner, dict[Hashable, Any]()

    def __reduce__(self) -> tuple[type[_Kept], tuple[()]]:
        return _Kept, ()


def kept_with(fn: Callable[..., Any], key: Hashable, make: Callable[[], Made]) -> Made:
    """`make()`, or what it made for the same function and key before.

    A result that holds the function keeps it alive, and so must hang on the function itself: then both go together.
    A callable that nothing can hang on gets a new result each time.
    """
    owner, key = (fn.__self__, (fn.__func__, key)) if isinstance(fn, MethodType) else (fn, key)
    try:
        kept = vars(owner).get("__jaxshallow__")
        if kept is None or kept.owner is not owner:  # `functools.wraps` and `copy` take it to another
            kept = vars(owner)["__jaxshallow__"] = _Kept(owner)
    except TypeError:  # without a __dict__, or a class
        return make()
    if key not in kept.made:
        kept.made[key] = make()
    made: Made = kept.made[key]
    return made


class Reference:
    """What gives a callable when called, and keeps it alive only if there is no other way.

    Each `object.method` is a new object: it lives as long as the object does.
    """

    def __init__(self, fn: Any, when_gone: Callable[[Any], Any]) -> None:
        owner, method = (fn.__self__, fn.__func__) if isinstance(fn, MethodType) else (fn, None)
        self.method: Any = method
        try:
            self.owner: Callable[[], Any] = weakref.ref(owner, when_gone)
        except TypeError:
            self.owner = lambda: owner

    def __call__(self) -> Any:
        return self.owner() if self.method is None else MethodType(self.method, self.owner())
