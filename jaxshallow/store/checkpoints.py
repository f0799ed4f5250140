"""Training states on disk, written with orbax-checkpoint: a run that was stopped, or killed, resumes bit-identically.

A folder holds the last `KEPT` states of one run. State 7 is the folder 000007, as Orbax writes it, and its record
000007.json: the run's `fingerprint`, its progress, and a checksum of each file. The record is written last, so a folder
without one is unfinished and is ignored. Corrupt states and states of another run are reported and skipped.

Why not Orbax's CheckpointManager? It counts a state as soon as its folder is there: three crashes before the record
would delete every complete state. It also has its own layout, and cannot restore the states that are on disk today.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import logging
import re
import shutil
import warnings
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxshallow import extras
from jaxshallow.store.files import write_atomically

KEPT = 3

# Another version of one of these may compute other bits.
PACKAGES = ("jaxshallow", "jax", "jaxlib", "optax", "numpy")

ORBAX = ("orbax.checkpoint", "scripts")


def save_state(folder: Path, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any], progress: str) -> None:
    """Adds a state to a folder, which is made if needed, and deletes all but the last `KEPT` states.

    Args:
        folder: for this run alone.
        arrays: such as `FitResult.arrays` and `Many.arrays` give, of any dtype that NumPy or JAX knows.
        about: what must be the same when the run resumes, such as its `fingerprint`.
        progress: how far the run is, for people.

    Raises:
        ImportError: orbax-checkpoint is missing.
        OSError: the state cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_state(Path(folder), {"W1": np.ones((4, 2))}, {"--n-h": 4}, "3 of 10 epochs")
        ...     unfinished(Path(folder)), load_state(Path(folder), {"--n-h": 8})
        ('3 of 10 epochs', (None, ['000001 is of another run: --n-h was 4, now 8']))
    """
    folder.mkdir(parents=True, exist_ok=True)
    last = max((int(number) for number in _written(folder).values()), default=0)
    state = folder.resolve() / f"{last + 1:06d}"
    orbax = extras.require(*ORBAX)
    with _quiet(), orbax.PyTreeCheckpointer() as checkpointer:
        checkpointer.save(state, dict(arrays))
    files = {str(path.relative_to(state)): _checksum(path) for path in sorted(state.rglob("*")) if path.is_file()}
    record = {"about": about, "progress": progress, "files": files}
    write_atomically(state.with_suffix(".json"), json.dumps(record, indent=1).encode())
    kept = {path.stem for path in _records(folder)[-KEPT:]}
    _delete([path for path, number in _written(folder).items() if number not in kept])


def load_state(folder: Path, about: Mapping[str, Any]) -> tuple[dict[str, np.ndarray] | None, list[str]]:
    """The last state in a folder that is complete and of this run.

    Args:
        folder: where `save_state` wrote.
        about: as it was given to `save_state`.

    Returns:
        The arrays, bit for bit, or None if there is no such state; and a sentence for each state that was skipped.

    Raises:
        ImportError: orbax-checkpoint is missing.
    """
    about = json.loads(json.dumps(about))
    skipped: list[str] = []
    for record in reversed(_records(folder)):
        try:
            return _restored(record, about), skipped
        except ValueError as error:
            skipped.append(f"{record.stem} {error}")
    return None, skipped


def unfinished(folder: Path) -> str | None:
    """The progress of the run whose states are in a folder, or None if there are none."""
    records = _records(folder)
    for record in reversed(records):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
            return str(json.loads(record.read_bytes())["progress"])
    return "torn" if records else None


def clear(folder: Path) -> None:
    """Deletes the states, and the folder if nothing else is in it."""
    if folder.is_dir():
        _delete(_written(folder))
        with contextlib.suppress(OSError):
            folder.rmdir()


def fingerprint(settings: Mapping[str, Any], examples: Any) -> dict[str, Any]:
    """All that a run's result depends on, to the last bit: settings, examples, versions and devices.

    Args:
        settings: under the names that messages use; a value that is not JSON-serializable counts by its `str`.
        examples: arrays, or a tree of them.

    Example:
        >>> fingerprint({"--n-h": 4}, np.zeros((2, 3)))["the examples"]
        '5e4654d978c7'
    """
    digest = hashlib.sha256()
    for array in map(np.asarray, jax.tree.leaves(examples)):
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).view(np.uint8).data)
    versions = {}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    devices = jax.local_devices()
    return {
        **json.loads(json.dumps(settings, default=str)),
        "the examples": digest.hexdigest()[:12],
        **versions,
        "devices": f"{len(devices)} × {devices[0].device_kind}",
    }


def check_installed() -> None:
    """ImportError if orbax-checkpoint is missing. It is not imported, which takes a third of a second."""
    extras.check_installed(*ORBAX)


def _restored(record: Path, about: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The arrays of the state that has this record; ValueError says why it is skipped."""
    try:
        content = json.loads(record.read_bytes())
        before, files = dict(content["about"]), dict(content["files"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"is torn: {record.name} cannot be read") from error
    if others := [name for name in {**before, **about} if before.get(name) != about.get(name)]:
        changes = (f"{name} was {before.get(name)}, now {about.get(name)}" for name in others)
        raise ValueError(f"is of another run: {', '.join(changes)}")
    state = record.resolve().with_suffix("")
    for name, checksum in files.items():
        if not _is_intact(state / name, checksum):
            raise ValueError(f"is torn: {name} is not as it was written")
    orbax = extras.require(*ORBAX)
    try:
        with _quiet(), orbax.PyTreeCheckpointer() as checkpointer:
            return dict(checkpointer.restore(state))
    except Exception as error:  # whatever another version of Orbax objects to
        raise ValueError(f"cannot be read: {error}") from error


def _records(folder: Path) -> list[Path]:
    return sorted(path for path in _written(folder) if path.suffix == ".json")


def _written(folder: Path) -> dict[Path, str]:
    """What `save_state` wrote into a folder, finished or not, with the number of its state; no one else's files."""
    names = re.compile(r"(\d{6})(\.json|\.orbax-checkpoint-tmp.*)?|\.(\d{6})\.json\..*\.tmp")
    matches = {path: names.fullmatch(path.name) for path in folder.glob("*")}
    return {path: match[1] or match[3] for path, match in matches.items() if match}


def _delete(paths: Iterable[Path]) -> None:
    for path in sorted(paths, key=lambda path: path.suffix != ".json"):  # records first: half a state must not count
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _checksum(path: Path) -> list[int]:
    """[size, CRC-32]."""
    size, crc = 0, 0
    with path.open("rb") as file:
        while part := file.read(2**22):
            size, crc = size + len(part), zlib.crc32(part, crc)
    return [size, crc]


def _is_intact(path: Path, checksum: list[int]) -> bool:
    try:
        return _checksum(path) == checksum
    except OSError:
        return False


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences Orbax's logs and warnings."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
