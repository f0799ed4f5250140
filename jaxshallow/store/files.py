"""Atomic writes: a file is written in full or not at all."""

from __future__ import annotations

import contextlib
import errno
import importlib.metadata
import json
import math
import os
import re
import secrets
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

if sys.platform != "win32":
    import fcntl

TEMPORARY = ".tmp"

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the disk, the quota, the largest file


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Writes `data` to the file at `path`. At every moment, even after a crash, it is the complete old file or the new.

    Args:
        path: the file; a link is followed.
        data: its new contents.

    Raises:
        OSError: as for `replacing`.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(data)


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary file beside `path`. It replaces `path` when the block ends, and is deleted if the block fails.

    The new file has the permissions of the old, and its owner if that is allowed. A symbolic link stays, and what it
    points to is replaced. The other names of a hard link keep the old contents. What killed writers of the same file
    left behind is deleted; what a running one writes is not.

    Args:
        path: the file.

    Raises:
        OSError: the file cannot be written, such as for a full disk, or `path` is a folder, a device or a pipe. What
            was there is unchanged, and no temporary file is left.
    """
    old, target = _replaceable(path), Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {target.parent}: make it first")
    with _naming(target), _temporary(target, 0o666 if old is None else 0o600) as temporary:
        yield temporary
        _sync(temporary)
        if old is not None:
            with contextlib.suppress(OSError, AttributeError):  # only root may give a file away; Windows has no chown
                os.chown(temporary, old.st_uid, old.st_gid)
            with contextlib.suppress(OSError):  # not every system has permissions
                temporary.chmod(old.st_mode & 0o777)
        _replaceable(path)  # once more: the block may have taken hours
        os.replace(temporary, target)
    with contextlib.suppress(OSError):  # not every system can sync a folder
        _sync(target.parent)


def kind_of(mode: int) -> str:
    """What `os.stat`'s mode says a path is: "a file", "a folder", "a pipe", "a socket" or "a device"."""
    kinds = {stat.S_IFREG: "a file", stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def _replaceable(path: str | os.PathLike[str]) -> os.stat_result | None:
    """What is at `path`, or None; OSError if a new file must not take its place."""
    try:
        old = os.stat(path)
    except FileNotFoundError:
        return None
    name = os.fspath(path)
    if stat.S_ISDIR(old.st_mode):
        raise IsADirectoryError(errno.EISDIR, "is a folder, give the name of a file in it", name)
    if not stat.S_ISREG(old.st_mode):
        raise OSError(errno.EINVAL, f"is {kind_of(old.st_mode)}: write to a file, and copy that", name)
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, "is read-only", name)
    return old


@contextlib.contextmanager
def _naming(target: Path) -> Iterator[None]:
    """Errors of the block tell of the file that people know, not of its temporary, and of a full disk as such."""
    try:
        yield
    except Exception as error:
        code, reason = getattr(error, "errno", None), getattr(error, "strerror", None)
        if code is None and (found := re.search(r"\(os error (\d+)\)", str(error))):  # of a library in Rust
            code = int(found[1])
        if code in FULL:
            raise OSError(code, f"{os.strerror(code)}, while writing", str(target)) from error
        if str(getattr(error, "filename", "")).endswith(TEMPORARY):
            raise OSError(code, reason, str(target)) from error
        raise


@contextlib.contextmanager
def _temporary(target: Path, mode: int) -> Iterator[Path]:
    """An empty file beside `target`. It is locked while it is written: without a lock, its writer was killed."""
    start = f".{target.name[:60]}."  # names end at 255 bytes
    ours = re.compile(re.escape(start) + r"[0-9a-f]{8}" + re.escape(TEMPORARY))
    with contextlib.suppress(PermissionError):  # one may be allowed to write into a folder, but not to list it
        for path in target.parent.iterdir():
            if ours.fullmatch(path.name):
                _delete_if_abandoned(path)
    temporary, lock = _created(target.with_name(start), mode)
    try:
        if sys.platform == "win32":  # which replaces no open file
            os.close(lock)
        yield temporary
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        if sys.platform != "win32":
            os.close(lock)


def _created(start: Path, mode: int) -> tuple[Path, int]:
    """A new file whose name begins so, and its descriptor, which holds the lock."""
    while True:
        temporary = start.with_name(f"{start.name}{secrets.token_hex(4)}{TEMPORARY}")
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
        _lock(descriptor)
        if os.fstat(descriptor).st_nlink:
            return temporary, descriptor
        os.close(descriptor)  # another writer took it for abandoned just before it was locked


def _delete_if_abandoned(path: Path) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        try:
            if _lock(descriptor, wait=False):
                path.unlink()
        finally:
            os.close(descriptor)


def _lock(descriptor: int, wait: bool = True) -> bool:
    """Whether this process now holds the file's lock, which ends with the process. Some systems have no locks."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


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
