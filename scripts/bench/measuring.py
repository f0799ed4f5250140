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

from bench.rows import Contestant, Prepare, Row, Run
from bench.work import on_device, split, torch_examples

PAUSE = 0.05  # seconds between two contestants: the idle threads of the last one spin for a while
SLOW = 0.25  # seconds; whoever takes longer gets only a few runs

Sizes = dict[str, Any]


def serve(pipe: Connection, group: str) -> None:
    """A worker process: runs contestants as it is told, and sends back the seconds or the reason why not."""
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
            pipe.send(timed(runs, *message))
        except KeyboardInterrupt:
            return


def end_joblib() -> None:
    """Ends joblib's processes, which would wait for work for minutes, and removes its temporary files."""
    if "joblib" in sys.modules:
        from joblib.externals.loky import get_reusable_executor

        get_reusable_executor(reuse=True).shutdown(wait=True)
    atexit._run_exitfuncs()  # multiprocessing skips them


def timed(runs: dict[str, Run], who: str, prepare: Prepare, size: Sizes) -> float | str:
    """Seconds of one run, after preparing and a warm-up where needed; or why it could not run."""
    try:
        if who not in runs:  # the first time, or after another contestant crashed the process
            runs[who] = prepare(**size)
            runs[who]()
        start = time.perf_counter()
        runs[who]()
        return time.perf_counter() - start
    except ImportError as error:
        return f"{error}: pip install 'jaxshallow[bench]'"
    except Exception as error:
        return f"{type(error).__name__}: {error}".splitlines()[0]


class Workers:
    """A process for each group of contestants, started when it is first needed."""

    def __init__(self) -> None:
        self.context = multiprocessing.get_context("spawn")
        self.pipes: dict[str, Connection] = {}
        self.processes: list[SpawnProcess] = []

    def start(self, group: str) -> None:
        self.pipes[group], theirs = self.context.Pipe()
        # No daemon, because scikit-learn on all cores starts joblib's processes as its children.
        process = self.context.Process(target=serve, args=(theirs, group))
        self.processes.append(process)
        process.start()
        theirs.close()

    def run(self, who: str, contestant: Contestant, size: Sizes) -> float | str:
        """Seconds of one run in the group's process, or why it could not run."""
        if contestant.group not in self.pipes:
            self.start(contestant.group)
        pipe = self.pipes[contestant.group]
        pipe.send((who, contestant.prepare, size))
        try:
            return pipe.recv()
        except EOFError:
            del self.pipes[contestant.group]
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
) -> tuple[dict[str, list[float]], dict[str, str]]:
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
        The seconds of each contestant's runs, and why those left out could not run.
    """
    seconds: dict[str, list[float]] = {}
    left_out: dict[str, str] = {}
    for who, contestant in row.contestants.items():
        say(f"{name}: preparing {who}")
        answer = workers.run(who, contestant, size)
        if isinstance(answer, str):
            left_out[who] = answer
        else:
            seconds[who] = []
    for k in range(repeats):
        say(f"{name}: run {k + 1} of {repeats}")
        for who in list(seconds):
            if k >= few and min(seconds[who]) > SLOW:
                continue
            time.sleep(PAUSE)
            answer = workers.run(who, row.contestants[who], size)
            if isinstance(answer, str):
                left_out[who] = answer
                del seconds[who]
            else:
                seconds[who].append(answer)
    workers.drop({contestant.group for contestant in row.contestants.values()})
    return seconds, left_out
