"""Atomic writes: a file is written in full or not at all."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import math
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Writes `data` to the file at `path`. At every moment, even after a crash, it is the complete old file or the new.

    Args:
        path: the file; a link is followed.
        data: its new contents.

    Raises:
        OSError: it cannot be written. The old file is unchanged, and no temporary file is left.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(data)


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary file beside `path`. It replaces `path` when the block ends, and is deleted if the block fails.

    Args:
        path: the file; a link is followed.

    Raises:
        OSError: as for `write_atomically`.
    """
    path = Path(os.path.realpath(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent}: make it first")
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.touch(exist_ok=False)
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    with contextlib.suppress(OSError):  # not every system can sync a folder
        _sync(path.parent)


def _sync(path: Path) -> None:
    """Waits until what was written to a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def json_text(value: Any) -> str:
    """`value` as strict JSON: numbers that are not finite become null, anything else becomes its `str`."""

    def finite(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(key): finite(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [finite(item) for item in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return json.dumps(finite(value), indent=1, allow_nan=False, default=str)


def version() -> str:
    """This library's version, or "unknown" if it is not installed."""
    try:
        return importlib.metadata.version("jaxshallow")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
