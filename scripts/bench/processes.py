"""Python programs that run in a new process, and may say where their time went."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.rows import Measured, Run


def new_process(*arguments: str) -> str:
    """What `python arguments` prints; RuntimeError with the last line of its errors if it fails."""
    path = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": path, "PYTHONWARNINGS": "ignore"}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)  # who is said to be cold has no cache
    result = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment)
    if result.returncode:
        raise RuntimeError((result.stderr.strip() or f"exit code {result.returncode}").splitlines()[-1])
    return result.stdout


def measured(program: str, **settings: Any) -> Measured:
    """What a program of this folder measures: the time of its whole process, if it names no other."""
    start = time.perf_counter()
    printed = json.loads(new_process("-m", f"bench.{program}", json.dumps(settings)))
    return Measured(printed.get("seconds", time.perf_counter() - start), printed["figures"])


def cached(program: str, **settings: Any) -> Run:
    """Measures a program that finds all that it compiles in a folder: it has run once."""
    folder = folder_for_now()
    measured(program, cache=folder, **settings)
    return lambda: measured(program, cache=folder, **settings)


def folder_for_now() -> str:
    """A new folder, until this process ends."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    return folder.name
