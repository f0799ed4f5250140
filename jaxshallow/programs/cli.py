"""The command `jaxshallow`: the first word picks a program, the rest are its options.

`jaxshallow train --n-h 8` and `python scripts/train.py --n-h 8` both start here. A program is imported only when it is
needed.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence

import jax

import jaxshallow as js
from jaxshallow.programs.extra import MissingExtra, needs_scripts
from jaxshallow.store.files import version

PROGRAMS = {  # the first line of each program's docstring
    "train": "Train a shallow network on a course data set or on a table of your own.",
    "sweep": "Train many networks at once and compare them.",
    "predict": "Predict with a saved model: a table in, the same table with predictions and probabilities out.",
    "export": "Export a saved model for use without this library: with JAX alone, NumPy alone, or any ONNX runtime.",
    "compare": "Compare vmap with the matrix form, and with loops.",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program that the first word names.

    Args:
        argv: the words after `jaxshallow`; None for those of the command line.

    Returns:
        The program's exit code; 1 if the extra `scripts` is missing.

    Raises:
        SystemExit: 0 after --help; 2 if there is no such program or option.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        if words == ["--version"]:
            print(f"jaxshallow {version()}")
            return 0
        if not words or words[0] not in PROGRAMS:
            return explain(words[:1])
        program = importlib.import_module(f"jaxshallow.programs.{words[0]}")
    except MissingExtra as missing:
        print(missing, file=sys.stderr)
        return 1
    prepare(words[0])
    code: int = program.main(words[1:])
    return code


def explain(words: list[str]) -> int:
    """Without a known program: let tyro list the programs or print the error, and exit."""
    with needs_scripts():
        import tyro

    programs: dict[str, Callable[[], None]] = {}
    for name, line in PROGRAMS.items():
        programs[name] = lambda: None
        programs[name].__doc__ = line
    description = "Shallow neural networks in JAX."
    tyro.extras.subcommand_cli_from_dict(programs, prog="jaxshallow", description=description, args=words)
    return 2  # not reached: tyro accepts only a program's name


def prepare(program: str) -> None:
    """Set up JAX for a process that runs only this program."""
    js.enable_compilation_cache()
    if program == "sweep" and not os.environ.get("JAX_NUM_CPU_DEVICES"):
        jax.config.update("jax_num_cpu_devices", os.cpu_count())  # one device a core, to spread chunks of networks over
