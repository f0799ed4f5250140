"""What is made of a function, kept as long as that function lives, with the arrays that it holds, and no longer."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable, Sequence
from functools import wraps
from types import MethodType
from typing import Any, TypeVar

import jax

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


class jit_weakly:
    """`jax.jit(body)`, in which the keyword arguments `functions` are static as well, but are not kept alive.

    Each is a callable, None, or a tuple or list of callables, such as an optimizer.

    Attributes:
        programs: a jitted function for each choice of functions; it goes when one of them does.
    """

    def __init__(
        self, body: Callable[..., Any], *, functions: Sequence[str], static_argnames: Sequence[str] = ()
    ) -> None:
        self.body, self.functions, self.static_argnames = body, functions, static_argnames
        self.programs: dict[tuple[Any, ...], Any] = {}

    def __call__(self, *args: Any, **options: Any) -> Any:
        given = {name: options.pop(name) for name in self.functions}
        leaves, form = jax.tree.flatten(given, is_leaf=callable)
        key = form, *map(_Reference, leaves)
        if key not in self.programs:
            lasting = form, *(_Reference(leaf, lambda _: self.programs.pop(lasting, None)) for leaf in leaves)
            self.programs[lasting] = self._program(form, lasting[1:])
        return self.programs[key](*args, **options)

    def prepared(self, *args: Any, **options: Any) -> Any:
        """STAND-IN: the program for such arguments, compiled."""
        given = {name: options.pop(name) for name in self.functions}
        leaves, form = jax.tree.flatten(given, is_leaf=callable)
        key = form, *map(_Reference, leaves)
        if key not in self.programs:
            lasting = form, *(_Reference(leaf, lambda _: self.programs.pop(lasting, None)) for leaf in leaves)
            self.programs[lasting] = self._program(form, lasting[1:])
        shapes = jax.tree.map(lambda x: (x.shape, x.dtype, x.weak_type), args)
        avals, tree = jax.tree.flatten(shapes)
        k = (id(self.programs[key]), tree, tuple(map(str,avals)), tuple(options.items()), jax.config.jax_enable_x64, jax.config.jax_default_matmul_precision, str(args[0].devices()))
        if not hasattr(self, "ahead"):
            self.ahead = {}
        if k not in self.ahead:
            self.ahead[k] = self.programs[key].lower(*args, **options).compile()
        return self.ahead[k]

    def _program(self, form: Any, references: tuple[Any, ...]) -> Any:
        @wraps(self.body)
        def with_functions(*args: Any, **options: Any) -> Any:
            return self.body(*args, **options, **jax.tree.unflatten(form, [reference() for reference in references]))

        return jax.jit(with_functions, static_argnames=self.static_argnames)


class _Reference:
    """What gives a callable when called, and keeps it alive only if there is no other way; equal if it is the same one.

    Each `object.method` is a new object: it lives as long as the object does.
    """

    def __init__(self, fn: Any, when_gone: Callable[[Any], Any] | None = None) -> None:
        owner, method = (fn.__self__, fn.__func__) if isinstance(fn, MethodType) else (fn, None)
        self.method: Any = method
        self.number = id(owner)
        try:
            self.owner: Callable[[], Any] = weakref.ref(owner, when_gone)
        except TypeError:
            self.owner = lambda: owner

    def __call__(self) -> Any:
        return self.owner() if self.method is None else MethodType(self.method, self.owner())

    def __hash__(self) -> int:
        return hash((self.number, self.method))

    def __eq__(self, other: object) -> bool:
        if self is other or not isinstance(other, _Reference):
            return self is other
        return self.method is other.method and self.owner() is other.owner() is not None
