"""Files that are written whole or not at all."""

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
    """Replaces the file at `path` by `data`, so that a reader, or a crash, finds the old file or the new, whole.

    Args:
        path: the file; a link is followed.
        data: its new contents.

    Raises:
        OSError: it cannot be written; the old file is as it was and no temporary file is left.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(data)


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary file beside `path`, which takes its place when the block ends well, and is gone if it does not.

    Args:
        path: the file; a link is followed.

    Raises:
        OSError: as `write_atomically`.
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
    """Waits until what was written there is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def json_text(value: Any) -> str:
    """`value` as JSON that every reader takes: numbers that are not finite become null."""

    def finite(value):
        if isinstance(value, dict):
            return {str(key): finite(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [finite(item) for item in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return json.dumps(finite(value), indent=1, allow_nan=False, default=str)


def version() -> str:
    """This library's version; "unknown" where it was not installed."""
    try:
        return importlib.metadata.version("jaxshallow")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
