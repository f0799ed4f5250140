"""How the programs run: messages, exit codes and interrupts."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from jaxshallow.programs.extra import needs_scripts
from jaxshallow.programs.options import RunOptions
from jaxshallow.store.files import json_text

with needs_scripts():
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

messages = Console(stderr=True, highlight=False)  # remarks and progress; --quiet turns them off
errors = Console(stderr=True, highlight=False)


class Outcome(NamedTuple):
    """The outcome of a run: results for JSON, a table for people, and whether it succeeded."""

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
    """Print the JSON or the table, as the options say."""
    if options.json:
        print(json_text(results))
    elif not options.quiet:
        Console(highlight=False).print(table)


def remark_older(folder: Path, written: Iterable[Path], known: Iterable[str]) -> None:
    """Warn of files in the folder that an earlier run wrote and this one did not."""
    if older := [name for name in known if (folder / name).exists() and folder / name not in written]:
        remark(f"of an earlier run, in {folder}: {', '.join(older)}")


class Interrupted(Exception):
    """The run was stopped by Ctrl-C or SIGTERM, and its work so far was saved."""

    def __init__(self, text: str, number: int):
        super().__init__(text, number)
        self.text, self.number = text, number


def exit_code(program: Callable[[], int], out: Path | None = None, hint: Callable[[], str] = lambda: "") -> int:
    """What the program returns; after an error, a one-line message on stderr and a non-zero exit code.

    Args:
        program: the program to run.
        out: where it writes.
        hint: what to add to "nothing was written" if it is interrupted.
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
