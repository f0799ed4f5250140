"""`bounded_jit`: `jax.jit`, with a bound on the compiled programs that a process keeps.

JAX keeps what it compiled for a function as long as the function lives. A program takes up to 130 memory maps and a
few MiB, and Linux allows a process 65,530 maps: after a few hundred tables it would die. So each program is jitted here
as a function of its own: when that is dropped, JAX frees all that it has of it. What it has of the operations inside,
such as `jnp.multiply` of these shapes, it keeps as long as the process lives: about a quarter of a MiB of each table.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Hashable, Sequence
from types import MethodType
from typing import Any

import jax

from jaxshallow import given
from jaxshallow.lifetimes import Reference

# Of all functions together: a search, or a dozen tables in turn. They take a quarter of the maps at most. The others
# are for JAX's own small programs, of which it keeps thousands, and for the user's.
LIMIT = 128


class Program:
    """A jitted function that is called with arguments of one form only.

    Attributes:
        key: what it is found by.
        jitted: the function.
        used: a number that grows with each use.
    """

    def __init__(self, key: Hashable, jitted: Any) -> None:
        self.key, self.jitted, self.used = key, jitted, 0


PROGRAMS: dict[Hashable, Program] = {}
_adding = threading.RLock()  # what a dropped program frees may run code of its own
_clock = itertools.count()


def forms(*args: Any, **options: Any) -> Hashable:
    """The tree of some arguments, their shapes and dtypes, and the devices that they are committed to."""
    leaves, tree = jax.tree.flatten((args, options))
    return (tree, *map(_form, leaves))


def _form(leaf: Any) -> Hashable:
    return getattr(leaf, "shape", None), getattr(leaf, "dtype", type(leaf)), _place(leaf)


def _place(leaf: Any) -> Hashable:
    if isinstance(leaf, jax.ShapeDtypeStruct):
        return leaf.sharding
    return None if given.is_traced(leaf) or not getattr(leaf, "committed", False) else leaf.sharding


class bounded_jit:
    """`jax.jit(body)`, of which the process keeps the programs that were used last, `LIMIT` of all functions together.

    Args:
        body: the function.
        static_argnames: its static arguments, which are given by name.
        functions: arguments that are static, too, but are not kept alive: each is a callable, None, or a tuple or list
            with callables in it, such as an optimizer. When one of them goes, so do its programs.
        donate_argnums: as in `jax.jit`.
        by: what tells programs apart, given the other arguments. It need not know all: what else JAX compiles for,
            such as x64 or the precision of products, may make a few programs of one.
    """

    def __init__(
        self,
        body: Callable[..., Any],
        *,
        static_argnames: Sequence[str] = (),
        functions: Sequence[str] = (),
        donate_argnums: Sequence[int] = (),
        by: Callable[..., Hashable] = forms,
    ) -> None:
        self.body, self.static_argnames, self.functions = body, static_argnames, functions
        self.donate_argnums, self.by = donate_argnums, by

    def __call__(self, *args: Any, **options: Any) -> Any:
        jitted, traced = self._jitted(args, options)
        return jitted(*args, **traced)

    def prepare(self, *args: Any, **options: Any) -> None:
        """Compile for such arguments, and run nothing: a call with them, from any thread, finds the program.

        An array may be a `jax.ShapeDtypeStruct`; it needs the `sharding` of one that is committed to a device. The call
        must be under the same settings of JAX, and those of a `with` belong to one thread.
        """
        jitted, traced = self._jitted(args, options)
        jitted.lower(*args, **traced).compile()

    def compiled(self, *args: Any, **options: Any) -> Callable[..., Any]:
        """The program for such arguments. It takes `args`, in any thread: what holds in this one alone, such as x64 and
        the precision of products, has gone into it."""
        jitted, traced = self._jitted(args, options)
        program: Callable[..., Any] = jitted.lower(*args, **traced).compile()
        return program

    def traced(self, *args: Any, **options: Any) -> Any:
        """What JAX has of it before it is compiled: a `jax.stages.Traced`."""
        jitted, traced = self._jitted(args, options)
        return jitted.trace(*args, **traced)

    def _jitted(self, args: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """The jitted function for these arguments, and those of the options that it takes."""
        static = {name: options.pop(name) for name in self.static_argnames if name in options}
        held, form = jax.tree.flatten([options.pop(name) for name in self.functions], is_leaf=callable)
        key = (id(self), *map(_identity, held), form, *static.items(), self.by(*args, **options))
        program = PROGRAMS.get(key)
        if program is None:
            program = _added(key, lambda: self._new(static, held, form, lambda _: PROGRAMS.pop(key, None)))
        program.used = next(_clock)
        return program.jitted, options

    def _new(self, static: dict[str, Any], held: list[Any], form: Any, forget: Callable[[Any], Any]) -> Any:
        """A jitted function that nothing else knows, and that keeps neither its body nor `held` alive."""
        itself, functions = Reference(self, forget), [Reference(one, forget) for one in held]

        def program(*args: Any, **traced: Any) -> Any:
            this, given = itself(), jax.tree.unflatten(form, [one() for one in functions])
            return this.body(*args, **traced, **static, **dict(zip(this.functions, given, strict=True)))

        program.__name__ = getattr(self.body, "__name__", "program")
        return jax.jit(program, donate_argnums=self.donate_argnums)


def _added(key: Hashable, make: Callable[[], Any]) -> Program:
    """The program of this key; another thread may just have made it. Those that were not used for longest go."""
    with _adding:
        if key not in PROGRAMS:
            while len(PROGRAMS) >= LIMIT:
                oldest = min(list(PROGRAMS.values()), key=lambda program: program.used)
                PROGRAMS.pop(oldest.key, None)
            PROGRAMS[key] = Program(key, make())
        return PROGRAMS[key]


def _identity(held: Any) -> Hashable:
    """What tells a callable from all others while it lives, and a value from other values."""
    if isinstance(held, MethodType):
        return id(held.__self__), held.__func__
    return id(held) if callable(held) else (type(held), held)
