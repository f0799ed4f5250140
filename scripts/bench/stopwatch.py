"""Where the seconds of a process go: importing, compiling, training, scikit-learn's own."""

from __future__ import annotations

import bisect
import math
import sys
import threading
import time
from types import FrameType
from typing import Self

INTERVAL = 0.005  # seconds between two looks
COMPILING = "/jax/core/compile/"  # JAX's events of tracing, lowering and compiling, or reading from the cache
OURS = {"jaxshallow", "jax", "jaxlib"}


class Stopwatch:
    """Looks at the main thread every few milliseconds, inside `with`, and asks JAX when it compiled.

    What another library spends counts for the one that called it. `training` is all of ours but compiling.
    """

    def __init__(self) -> None:
        self.main = threading.get_ident()
        self.looks: list[tuple[float, float, str]] = []  # when, for how long, and where
        self.compiled: list[tuple[float, float]] = []  # from, to; in several threads at once, maybe
        self.over = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self.look).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()

    def look(self) -> None:
        last = time.perf_counter()
        while not self.over.wait(INTERVAL):
            where, now = place(sys._current_frames()[self.main]), time.perf_counter()
            self.looks.append((now, now - last, where))
            last = now

    def listen(self, cache: str | None = None) -> None:
        """Hear of JAX's compiling from here on; `cache` is a folder for what is compiled."""
        import jax

        import jaxshallow as js

        if cache:
            js.enable_compilation_cache(cache)
        jax.monitoring.register_event_duration_secs_listener(self.on_event)

    def on_event(self, event: str, duration_secs: float, **_: str | int) -> None:
        if event.startswith(COMPILING):
            now = time.perf_counter()
            self.compiled.append((now - duration_secs, now))

    def lap(self) -> dict[str, float]:
        """The seconds of each part since the last lap."""
        looks, spans = self.looks.copy(), apart(self.compiled)
        del self.looks[: len(looks)], self.compiled[:]
        parts = dict.fromkeys(("importing", "compiling", "training", "scikit-learn's own"), 0.0)
        for when, seconds, where in looks:
            span = bisect.bisect(spans, (when, math.inf)) - 1
            compiling = where != "importing" and span >= 0 and when <= spans[span][1]
            part = "compiling" if compiling else where
            parts[part] = parts.get(part, 0.0) + seconds
        return {f"s {part}": seconds for part, seconds in parts.items()}


def apart(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The same time in spans that do not overlap, in order."""
    found: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


def place(frame: FrameType | None) -> str:
    """Which part of the work a stack is in, by the innermost function of a library that we name."""
    found = ""
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith("importlib._bootstrap"):
            return "importing"
        package = module.partition(".")[0]
        if not found and (package in OURS or package == "sklearn"):
            found = "training" if package in OURS else "scikit-learn's own"
        frame = frame.f_back
    return found or "other"
