"""Progress on the terminal while networks train, and a clock."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

import jax
import numpy as np

import jaxshallow as js
from jaxshallow.programs import running
from jaxshallow.programs.extra import needs_scripts

with needs_scripts():
    from rich.live import Live
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Table

ROWS = 20  # in the live table


class Clock:
    """Wall time of a block, `total`, and JAX's share of it for compiling, `compiling`; both in seconds."""

    EVENTS = (
        "/jax/core/compile/jaxpr_trace_duration",
        "/jax/core/compile/jaxpr_to_mlir_module_duration",
        "/jax/core/compile/backend_compile_duration",
    )

    def __enter__(self) -> Self:
        self.compiling, self._open, self._start = 0.0, True, time.perf_counter()
        jax.monitoring.register_event_duration_secs_listener(self._listen)
        return self

    def _listen(self, event: str, duration_secs: float, **_: Any) -> None:
        # JAX has no public way to remove a listener, so a closed clock ignores its events.
        if self._open and event in self.EVENTS:
            self.compiling += duration_secs

    def __exit__(self, *_: object) -> None:
        self.total, self._open = time.perf_counter() - self._start, False


@contextlib.contextmanager
def progress_bar(epochs: int) -> Iterator[Callable[[int, float], None]]:
    """A live bar on stderr with the cost; nothing if stderr is not a terminal."""
    columns = (
        TextColumn("epochs"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=running.messages, disable=not is_live(), transient=True) as progress:
        task = progress.add_task("compiling", total=epochs)
        yield lambda done, cost: progress.update(task, completed=done, description=f"J = {cost:.6f}")


@contextlib.contextmanager
def live(configs: Sequence[dict[str, Any]], swept: list[str]) -> Iterator[Callable[[js.Progress], None]]:
    """A live table on stderr, the best kinds of networks first; nothing if stderr is not a terminal."""
    if not is_live():
        yield lambda now: None
        return
    kinds: dict[tuple[Any, ...], list[int]] = {}
    for k, config in enumerate(configs):
        kinds.setdefault(tuple(config[name] for name in swept), []).append(k)

    with Live(console=running.messages, transient=True, refresh_per_second=4) as display:
        yield lambda now: display.update(best_kinds(now, kinds, swept, len(configs)))


def best_kinds(now: js.Progress, kinds: dict[tuple[Any, ...], list[int]], swept: list[str], n_configs: int) -> Table:
    """The lowest cost of each kind and how many of its networks have begun.

    Args:
        now: the progress of training.
        kinds: the indices of each kind's configs.
        swept: the names of the settings in which kinds differ.
        n_configs: the number of configs; with folds, each is trained several times.
    """
    per_config = len(now.lowest) // n_configs
    lowest, epochs = (values.reshape(n_configs, per_config) for values in (now.lowest, now.epochs))
    title = f"{now.share:.0%}, best {now.best:.4f}, {now.seconds_left:.0f} s left"
    table = Table(*swept, "begun", "lowest cost", title=title, title_justify="left")
    found = [(np.fmin.reduce(lowest[rows], axis=None), kind, rows) for kind, rows in kinds.items()]
    for cost, kind, rows in sorted(found, key=lambda row: np.nan_to_num(row[0], nan=np.inf))[:ROWS]:
        begun = f"{(epochs[rows] > 0).sum()} of {len(rows) * per_config}"
        table.add_row(*map(str, kind), begun, f"{cost:.4f}" if np.isfinite(cost) else "")
    return table


def is_live() -> bool:
    return running.messages.is_terminal and not running.messages.quiet
