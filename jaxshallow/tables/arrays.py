"""Files that NumPy reads: .npz and .npy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from jaxshallow.tables.dataset import Column
from jaxshallow.tables.problems import find, malformed


def read_npz(
    path: Path, target: str | None, drop: list[str], *_: Any
) -> tuple[np.ndarray, np.ndarray, list[Column], str, list[str]]:
    """X (n_x, m), targets (m,) or (m, n_y ≥ 2), the columns x1, x2, ... and the target's name."""
    with open(path, "rb") as stream:
        try:
            with np.load(stream, allow_pickle=False) as file:
                arrays = dict(file)
        except Exception as error:  # zipfile, zlib and NumPy each raise their own
            raise malformed(path, error) from error

    X = arrays.pop(find(path, "X", arrays))
    target = find(path, target or ("Y" if "Y" in arrays else "y"), arrays)
    y = arrays[target]
    if X.ndim != 2 or X.dtype.kind not in "biuf":
        raise ValueError(f"{path}: X must be numbers (m, n_x), got {X.dtype} {X.shape}")
    m, n_x = X.shape
    y = y.ravel() if y.shape == (m, 1) else y
    if y.ndim not in (1, 2) or len(y) != m or y.size < m or y.dtype.kind not in ("Ubiuf" if y.ndim == 1 else "biuf"):
        fix = f": in files, rows are examples, use X.T and {target}.T" if y.ndim and y.shape[-1] == n_x else ""
        raise ValueError(f"{path}: {target} must be (m,) or (m, n_y) with m = {m}, got {y.dtype} {y.shape}{fix}")
    X, columns = _kept(path, X, [f"x{i + 1}" for i in range(n_x)], drop)
    return X, y, columns, target, []


def read_npy(
    path: Path, target: str | None, drop: list[str], *_: Any
) -> tuple[np.ndarray, np.ndarray, list[Column], str, list[str]]:
    """As `read_npz`, from one matrix (m, n) whose columns, with the target, are called x1, x2, ...."""
    try:
        table = np.load(path, allow_pickle=False)
    except Exception as error:
        raise malformed(path, error) from error
    if table.ndim != 2 or table.dtype.kind not in "biuf" or table.shape[1] < 2:
        raise ValueError(f"{path} must hold numbers (m, n), features and a target, got {table.dtype} {table.shape}")
    names = [f"x{i + 1}" for i in range(table.shape[1])]
    target = find(path, names[-1] if target is None else target, names)
    place = names.index(target)
    names.remove(target)
    X, columns = _kept(path, np.delete(table, place, axis=1), names, drop)
    return X, table[:, place], columns, target, []


def _kept(path: Path, rows: np.ndarray, names: list[str], drop: list[str]) -> tuple[np.ndarray, list[Column]]:
    """X (n_x, m) and its columns, without the dropped ones."""
    out = {find(path, name, names) for name in drop}
    left = [i for i, name in enumerate(names) if name not in out]
    return rows[:, left].T.astype(np.float64), [Column(names[i]) for i in left]
