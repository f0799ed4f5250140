"""Export a saved model for use without this library: with JAX alone, NumPy alone, or any ONNX runtime.

Examples:
    jaxshallow export out/model.safetensors out/model.py
    jaxshallow export out/model.safetensors out/model.onnx out/model.py out/model.jax

The suffix sets the format; the docstring of jaxshallow.exports says how to load each. Every file is then run on a few
random examples and compared with the model.

Exit codes: 0 success, 1 could not write or the answers differ, 2 wrong usage, 130 Ctrl-C.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np

import jaxshallow as js
from jaxshallow.exports.known import encoding_of
from jaxshallow.programs import running, saved
from jaxshallow.programs.export_check import agrees
from jaxshallow.programs.extra import needs_scripts
from jaxshallow.programs.options import read

with needs_scripts():
    import tyro


@dataclass
class Options:
    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """A .safetensors file."""
    paths: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PATH")]
    """What to write: .jax, .py or .onnx."""
    quiet: bool = False
    """Print only errors."""


def main(argv: Sequence[str] | None = None) -> int:
    options = read(Options, argv, "export", __doc__)
    running.messages.quiet = options.quiet
    return running.exit_code(lambda: run_and_show(options))


def run_and_show(options: Options) -> int:
    with jax.default_matmul_precision("highest"):
        differing = run(options)
    for path in differing:
        running.error(f"{path} does not answer as {options.model} does")
    return 1 if differing else 0


def run(options: Options) -> list[Path]:
    """Write each file; return those whose answers differ from the model's."""
    if not options.paths:
        raise ValueError("give a PATH or more to write to, after MODEL")
    params, metadata, error_bars = saved.model(options.model)
    if error_bars and params.task == "regression":
        running.remark(f"{options.model} knows deviations, too; these files hold the network alone")
    with jax.enable_x64(params.W1.dtype == np.float64):
        return write(options, params, metadata)


def write(options: Options, params: js.Params, metadata: dict[str, Any]) -> list[Path]:
    for path in options.paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        js.export(params, path, metadata)
        if not options.quiet:
            print(f"{path}: {path.stat().st_size:,} bytes")
    encoding = encoding_of(metadata)
    return [path for path in options.paths if not agrees(path, params, encoding)]
