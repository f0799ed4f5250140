"""One thread for BLAS: those of small products wait for each other most of the time."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Iterator
from typing import Any

from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_inside = 0  # how many threads of this process ask for it now
_limit = contextlib.ExitStack()


@functools.cache
def _controller() -> Any:
    """Found once: to look for the libraries takes milliseconds."""
    return ThreadpoolController()


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """The limit holds for the whole process: the first that asks sets it, and the last that leaves lifts it."""
    global _inside
    with _lock:
        if not _inside:
            _limit.enter_context(_controller().limit(limits=1, user_api="blas"))
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                _limit.close()
