"""JAX does not survive `os.fork`: in the child, which has none of its threads, the first computation waits for ever."""

from __future__ import annotations

import os

from jax._src import xla_bridge  # JAX has no public way to ask whether it runs without starting it


class Owner:
    """The process in which JAX ran when it was first forked.

    Attributes:
        pid: None while there was no fork, or none after JAX had started.
    """

    pid: int | None = None

    def before_fork(self) -> None:
        if self.pid is None and xla_bridge.backends_are_initialized():
            self.pid = os.getpid()


OWNER = Owner()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=OWNER.before_fork)


def is_forked() -> bool:
    """Whether this process was forked from one in which JAX ran."""
    return OWNER.pid not in (None, os.getpid())


def refuse_after_fork() -> None:
    """To be called before JAX is.

    Raises:
        RuntimeError: `is_forked`.
    """
    if is_forked():
        raise RuntimeError(
            "JAX cannot run in this process: it was forked from one in which JAX ran already, and would wait for ever. "
            "Use joblib's default backend 'loky' or its 'threading' in the place of 'multiprocessing', or "
            "multiprocessing.get_context('spawn')"
        )
