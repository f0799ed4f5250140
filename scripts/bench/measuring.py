"""Timing: a process for each library, and contestants that take turns."""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

import jax

from bench.rows import Contestant, Measured, Prepare, Row, Run
from bench.work import on_device, split, torch_examples

PAUSE = 0.05  # seconds between two contestants: the idle threads of the last one spin for a while
SLOW = 0.25  # seconds; whoever takes longer gets only a few runs

NEW = "new processes"  # the group whose contestants start a process for each run

Sizes = dict[str, Any]
Answer = Measured | str | None  # what a run measured; or why it could not; None: it is prepared


def serve(pipe: Connection, group: str) -> None:
    """A worker process: runs contestants as it is told, and sends back what it measured or the reason why not."""
    if group == "jax, all devices":
        jax.config.update("jax_num_cpu_devices", os.cpu_count() or 1)
    runs: dict[str, Run] = {}
    while True:
        message = pipe.recv()
        if message == "stop":
            end_joblib()
            return
        if message == "drop":
            runs.clear()
            for shared in (on_device, torch_examples, split):
                shared.cache_clear()
            continue
        try:
            command, *work = message
            pipe.send(answer(command, runs, group, *work))
        except KeyboardInterrupt:
            return


def end_joblib() -> None:
    """Ends joblib's processes, which would wait for work for minutes, and removes its temporary files."""
    if "joblib" in sys.modules:
        from joblib.externals.loky import get_reusable_executor

        get_reusable_executor(reuse=True).shutdown(wait=True)
    atexit._run_exitfuncs()  # multiprocessing skips them


def answer(command: str, runs: dict[str, Run], group: str, who: str, prepare: Prepare, size: Sizes) -> Answer:
    """Prepares a contestant where needed, with a warm-up, and upon "run" measures it.

    What starts a process for each run needs no warm-up.
    """
    try:
        if who not in runs:  # the first time, or after another contestant crashed the process
            runs[who] = prepare(**size)
            if group != NEW:
                runs[who]()
        return timed(runs[who]) if command == "run" else None
    except ImportError as error:
        return f"{error}: pip install 'jaxshallow[bench]'"
    except Exception as error:
        return f"{type(error).__name__}: {error}".splitlines()[0]


def timed(run: Run) -> Measured:
    start = time.perf_counter()
    result = run()
    return result if isinstance(result, Measured) else Measured(time.perf_counter() - start, {})


class Workers:
    """A process for each group of contestants, started when it is first needed.

    Args:
        serve: what each process runs: takes messages from its end of a pipe and answers them, until "stop".
    """

    def __init__(self, serve: Callable[[Connection, str], None] = serve) -> None:
        self.serve = serve
        self.context = multiprocessing.get_context("spawn")
        self.pipes: dict[str, Connection] = {}
        self.processes: list[SpawnProcess] = []

    def start(self, group: str) -> None:
        self.pipes[group], theirs = self.context.Pipe()
        # No daemon, because scikit-learn on all cores starts joblib's processes as its children.
        process = self.context.Process(target=self.serve, args=(theirs, group))
        self.processes.append(process)
        process.start()
        theirs.close()

    def ask(self, command: str, who: str, contestant: Contestant, size: Sizes) -> Answer:
        """What its group's process answers to "prepare" or "run"."""
        return self.answer(contestant.group, (command, who, contestant.prepare, size))

    def answer(self, group: str, message: Any) -> Any:
        """What a group's process answers; a sentence if it died."""
        if group not in self.pipes:
            self.start(group)
        pipe = self.pipes[group]
        pipe.send(message)
        try:
            return pipe.recv()
        except EOFError:
            del self.pipes[group]
            return "its process died: out of memory?"

    def drop(self, groups: set[str]) -> None:
        """Frees what these groups have prepared."""
        for group in groups & set(self.pipes):
            self.pipes[group].send("drop")

    def stop(self) -> None:
        for pipe in self.pipes.values():
            with contextlib.suppress(OSError):
                pipe.send("stop")
        for process in self.processes:
            process.join(timeout=5)
            process.terminate()


def measure(
    name: str, row: Row, size: Sizes, repeats: int, few: int, workers: Workers, say: Callable[[str], None]
) -> tuple[dict[str, list[Measured]], dict[str, str]]:
    """Times a row's contestants in turns.

    Args:
        name: of the row.
        row: whose contestants run.
        size: the row's sizes.
        repeats: runs of each contestant.
        few: runs of those that take longer than SLOW.
        workers: the processes that they run in.
        say: shows the progress.

    Returns:
        What each contestant's runs measured, and why those left out could not run.
    """
    runs: dict[str, list[Measured]] = {}
    left_out: dict[str, str] = {}
    for who, contestant in row.contestants.items():
        say(f"{name}: preparing {who}")
        answer = workers.ask("prepare", who, contestant, size)
        if isinstance(answer, str):
            left_out[who] = answer
        else:
            runs[who] = []
    for k in range(repeats):
        say(f"{name}: run {k + 1} of {repeats}")
        for who in list(runs):
            if k >= few and min(run.seconds for run in runs[who]) > SLOW:
                continue
            time.sleep(PAUSE)
            answer = workers.ask("run", who, row.contestants[who], size)
            if isinstance(answer, Measured):
                runs[who].append(answer)
            else:
                left_out[who] = str(answer)
                del runs[who]
    workers.drop({contestant.group for contestant in row.contestants.values()})
    return runs, left_out
