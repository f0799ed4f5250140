"""Training state on disk, by orbax-checkpoint: what a run that is stopped, however suddenly, goes on from.

A folder holds the last states of one run, each as what Orbax writes, in a folder with a number, and a JSON file of the
same number, which is written last: what the run is (`fingerprint`), how far it had come, and the checksum of each file.
A state without its JSON file was not finished and does not count.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import logging
import re
import shutil
import warnings
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import numpy as np

from jaxshallow.store.files import write_atomically

KEPT = 3

PACKAGES = ("jaxshallow", "jax", "jaxlib", "optax", "numpy")

MISSING = "orbax-checkpoint is missing: pip install 'jaxshallow[scripts]'"


def save_state(folder: Path, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any], progress: str) -> None:
    """Adds a state to a folder, which is made if it is not there, and removes all but the last `KEPT`.

    Args:
        folder: of this run alone.
        arrays: such as `FitResult.arrays` and `Many.arrays` give; of any dtype that NumPy or JAX knows.
        about: what must be the same where the run goes on, such as `fingerprint`.
        progress: how far it has come, for people.

    Raises:
        ImportError: orbax-checkpoint is missing.
        OSError: it cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_state(Path(folder), {"W1": np.ones((4, 2))}, {"--n-h": 4}, "3 of 10 epochs")
        ...     unfinished(Path(folder)), load_state(Path(folder), {"--n-h": 8})
        ('3 of 10 epochs', (None, ['000001 is of another run: --n-h was 4, now 8']))
    """
    folder.mkdir(parents=True, exist_ok=True)
    last = max((int(number) for number in _ours(folder).values()), default=0)
    state = folder.resolve() / f"{last + 1:06d}"
    orbax = _orbax()
    with _quiet(), orbax.PyTreeCheckpointer() as checkpointer:
        checkpointer.save(state, dict(arrays))
    files = {str(path.relative_to(state)): _checksum(path) for path in sorted(state.rglob("*")) if path.is_file()}
    record = {"about": about, "progress": progress, "files": files}
    write_atomically(state.with_suffix(".json"), json.dumps(record, indent=1).encode())
    kept = {path.stem for path in _records(folder)[-KEPT:]}
    _remove([path for path, number in _ours(folder).items() if number not in kept])


def load_state(folder: Path, about: Mapping[str, Any]) -> tuple[dict[str, np.ndarray] | None, list[str]]:
    """The last state in a folder that is whole and of this run.

    Args:
        folder: where `save_state` wrote.
        about: as it was given to `save_state`.

    Returns:
        The arrays, bit for bit, or None if there is none to go on from; and a sentence for each state passed over.

    Raises:
        ImportError: orbax-checkpoint is missing.
    """
    about = json.loads(json.dumps(about))
    passed_over: list[str] = []
    for path in reversed(_records(folder)):
        try:
            return _state(path, about), passed_over
        except ValueError as error:
            passed_over.append(f"{path.stem} {error}")
    return None, passed_over


def unfinished(folder: Path) -> str | None:
    """How far the run had come whose states are in a folder; None if there are none."""
    records = _records(folder)
    for path in reversed(records):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            return str(json.loads(path.read_bytes())["progress"])
    return "torn" if records else None


def clear(folder: Path) -> None:
    """Removes the states, and the folder if nothing else is in it."""
    if folder.is_dir():
        _remove(_ours(folder))
        with contextlib.suppress(OSError):
            folder.rmdir()


def fingerprint(settings: Mapping[str, Any], examples: Any) -> dict[str, Any]:
    """What decides a run to the last bit: its settings, its examples, the versions of what computes, and the devices.

    Args:
        settings: by the names that a message may call them; what is not JSON's is told by its text.
        examples: arrays, in tuples or otherwise.

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
    """ImportError if orbax-checkpoint is missing; it is not imported, which takes a third of a second."""
    if importlib.util.find_spec("orbax") is None or importlib.util.find_spec("orbax.checkpoint") is None:
        raise ImportError(MISSING)


def _state(path: Path, about: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The arrays of a state, by its JSON file; ValueError says why it is of no use."""
    try:
        record = json.loads(path.read_bytes())
        before, files = dict(record["about"]), dict(record["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"is torn: {path.name} cannot be read") from error
    others = [name for name in {**before, **about} if before.get(name) != about.get(name)]
    if others:
        changes = (f"{name} was {before.get(name)}, now {about.get(name)}" for name in others)
        raise ValueError(f"is of another run: {', '.join(changes)}")
    state = path.resolve().with_suffix("")
    for name, checksum in files.items():
        try:
            whole = _checksum(state / name) == checksum
        except OSError:
            whole = False
        if not whole:
            raise ValueError(f"is torn: {name} is not as it was written")
    orbax = _orbax()
    try:
        with _quiet(), orbax.PyTreeCheckpointer() as checkpointer:
            return checkpointer.restore(state)
    except Exception as error:  # whatever another version of Orbax has against it
        raise ValueError(f"cannot be read: {error}") from error


def _records(folder: Path) -> list[Path]:
    return sorted(path for path in _ours(folder) if path.suffix == ".json")


def _ours(folder: Path) -> dict[Path, str]:
    """What `save_state` wrote there, finished or not, and its number; nothing of anyone else's."""
    known = re.compile(r"(\d{6})(\.json|\.orbax-checkpoint-tmp.*)?|\.(\d{6})\.json\..*\.tmp")
    matches = {path: known.fullmatch(path.name) for path in folder.glob("*")}
    return {path: match[1] or match[3] for path, match in matches.items() if match}


def _remove(paths: Iterable[Path]) -> None:
    for path in sorted(paths, key=lambda path: path.suffix != ".json"):  # what is half removed must not count
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


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What Orbax remarks on, through absl and as warnings, is not for those who train."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _orbax() -> ModuleType:
    try:
        import orbax.checkpoint
    except ImportError as error:
        raise ImportError(MISSING) from error
    return orbax.checkpoint
