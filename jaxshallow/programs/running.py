"""How the programs run: what they say and print, how they are stopped, and what they go on from."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import numpy as np

from jaxshallow import checkpoints, data
from jaxshallow.programs.extra import needs_scripts
from jaxshallow.programs.options import RunOptions, option
from jaxshallow.store import json_text

with needs_scripts():
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

messages = Console(stderr=True, highlight=False)  # remarks and progress; --quiet silences it
errors = Console(stderr=True, highlight=False)


class Outcome(NamedTuple):
    """What came out of a run: for JSON, for people, and whether it went well."""

    results: dict[str, Any]
    table: Table
    ok: bool


def say(text: str) -> None:
    messages.print(escape(text), soft_wrap=True)


def remark(text: str) -> None:
    messages.print(f"[yellow]remark[/]: {escape(text)}", soft_wrap=True)


def error(text: str) -> None:
    errors.print(f"[bold red]error[/]: {escape(text)}", soft_wrap=True)


def show(results: dict[str, Any], table: Table, options: RunOptions) -> None:
    """Prints the JSON or the table, as the options say."""
    if options.json:
        print(json_text(results))
    elif not options.quiet:
        Console(highlight=False).print(table)


def remark_older(folder: Path, written: Iterable[Path], known: Iterable[str]) -> None:
    """Says which files that a run may write are there from a run before."""
    if older := [name for name in known if (folder / name).exists() and folder / name not in written]:
        remark(f"of an earlier run, in {folder}: {', '.join(older)}")


class Interrupted(Exception):
    """By Ctrl-C or SIGTERM; what was done until then has been kept."""

    def __init__(self, text: str, number: int):
        super().__init__(text, number)
        self.text, self.number = text, number


def exit_code(program: Callable[[], int], out: Path | None = None, hint: Callable[[], str] = lambda: "") -> int:
    """What the program returns; after an error, a one-line message on stderr and a non-zero exit code.

    Args:
        program: to run.
        out: where it writes.
        hint: what to say after "nothing was written", if it is interrupted.
    """
    try:
        return program()
    except Interrupted as interrupt:
        errors.print(escape(f"interrupted: {interrupt.text}"), soft_wrap=True)
        return 128 + interrupt.number
    except KeyboardInterrupt:
        errors.print(escape(f"interrupted: nothing was written{hint()}"), soft_wrap=True)
        return 128 + signal.SIGINT
    except (ValueError, TypeError, FileNotFoundError, ImportError) as wrong:
        error(str(wrong))
        return 2
    except OSError as wrong:
        error(f"could not write{f' to {out}' if out else ''}: {wrong}")
        return 1


@contextlib.contextmanager
def interruptible() -> Iterator[Callable[[], int]]:
    """Inside, the first Ctrl-C or SIGTERM only makes the yielded function return its number; a second stops at once."""
    noted = 0

    def note(signum: int, frame: FrameType | None) -> None:
        nonlocal noted
        if noted:
            raise KeyboardInterrupt if signum == signal.SIGINT else SystemExit(128 + signum)
        noted = signum
        say("stopping and writing; once more to stop at once")

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Keeper:
    """Keeps the state of a run on disk, every --checkpoint-every seconds, and gives it back to --resume."""

    def __init__(self, folder: Path, options: RunOptions, dataset: data.Dataset, examples: Any):
        if not 0 <= options.checkpoint_every < float("inf"):
            raise ValueError(f"--checkpoint-every must be at least 0 seconds, got {options.checkpoint_every}")
        if options.checkpoint_every:
            checkpoints.check_installed()
        self.folder, self.options, self.dataset, self.examples = folder, options, dataset, examples
        self.seconds, self.last = 0.0, time.monotonic()

    @cached_property
    def about(self) -> dict[str, Any]:
        # These change no bit of the result.
        apart = ("out", "report", "json", "quiet", "checkpoint_every", "resume", "course", "demo")
        settings = {option(name): value for name, value in asdict(self.options).items() if name not in apart}
        names = {"the columns": self.dataset.feature_names, "the classes": self.dataset.labels}
        return checkpoints.fingerprint({**settings, **names}, self.examples)

    def earlier(self) -> dict[str, np.ndarray] | None:
        """The state to go on from; ValueError if there should be one and is none, or if one would be lost."""
        progress = checkpoints.unfinished(self.folder)
        if not self.options.resume:
            if progress is not None:
                raise ValueError(
                    f"{self.folder} holds an unfinished run, {progress}: --resume goes on with it; "
                    "delete the folder to begin anew"
                )
            return None
        state, passed_over = checkpoints.load_state(self.folder, self.about)
        for sentence in passed_over:
            remark(f"passed over: {self.folder / sentence}")
        if state is None:
            if passed_over:
                fix = "give the options of that run, or delete the folder to begin anew"
                raise ValueError(f"--resume: {self.folder} holds no state of this run that is whole: {fix}")
            raise ValueError(f"--resume: {self.folder} holds no state to go on from: leave --resume out to begin")
        say(f"going on from {progress}")
        self.last = time.monotonic()
        return state

    def keep_if_due(self, arrays: Callable[[], dict[str, np.ndarray]], progress: Callable[[], str]) -> None:
        if 0 < self.options.checkpoint_every <= time.monotonic() - self.last:
            self.keep(arrays(), progress())

    def keep(self, arrays: dict[str, np.ndarray], progress: str) -> None:
        if not self.options.checkpoint_every:
            return
        start = time.monotonic()
        try:
            checkpoints.save_state(self.folder, arrays, self.about, progress)
        except Exception as error:  # a full disk, as Orbax says it: what was trained is worth more than its copy
            remark(f"no state was kept in {self.folder}: {error}")
        self.last = time.monotonic()
        self.seconds += self.last - start

    def clear(self) -> None:
        """The run is finished and written: there is nothing to go on with."""
        checkpoints.clear(self.folder)


def hint(folder: Path) -> str:
    return "" if checkpoints.unfinished(folder) is None else "; --resume goes on with it"
