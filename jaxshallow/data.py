"""The course's data sets, and `load`, which also reads tables from files (see `tables/`).

Every function returns a `Dataset`, whose examples are columns: `X, Y = data.flower()`. This needs NumPy alone;
scikit-learn and polars are imported by the functions that need them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from jaxshallow.extras import require
from jaxshallow.tables import Column, Dataset, Tiles, did_you_mean, load_table
from jaxshallow.tables.dataset import classes, regression
from jaxshallow.tables.load import READERS
from jaxshallow.training import Scaling, fold_scaling, scaling

__all__ = ["DATASETS", "Column", "Dataset", "Scaling", "Tiles", "fold_scaling", "load", "load_table", "scaling"]


def flower(m: int = 400, seed: int = 1) -> Dataset:
    """The course's flower: two classes of four petals, r = 4 sin 4t, which no straight line separates.

    Args:
        m: number of examples, even; half in each class.
        seed: of the noise; 1 is the course's.

    Example:
        >>> flower().X[:, 0].round(3).tolist()
        [1.204, 3.576]
    """
    _check_multiple(m, 2)
    random, n = np.random.RandomState(seed), m // 2
    rows = []
    for j in range(2):
        t = np.linspace(3.12 * j, 3.12 * (j + 1), n) + 0.2 * random.randn(n)
        r = 4 * np.sin(4 * t) + 0.2 * random.randn(n)
        rows.append(np.stack([r * np.sin(t), r * np.cos(t)], axis=1))
    return _planar(np.concatenate(rows), np.repeat([0, 1], n), "flower")


def moons(m: int = 200, seed: int = 0) -> Dataset:
    """Two interleaved half circles with noise (scikit-learn's `make_moons`)."""
    return _made("moons", m, seed, noise=0.2)


def circles(m: int = 200, seed: int = 0) -> Dataset:
    """A circle inside another, with noise (scikit-learn's `make_circles`)."""
    return _made("circles", m, seed, factor=0.5, noise=0.3)


def blobs(m: int = 200, seed: int = 5) -> Dataset:
    """Six round clouds, alternately of class 0 and class 1 (scikit-learn's `make_blobs`)."""
    return _made("blobs", m, seed, n_features=2, centers=6)


def quantiles(m: int = 200, seed: int = 0) -> Dataset:
    """One normal cloud, its inner half against its outer half (scikit-learn's `make_gaussian_quantiles`)."""
    return _made("gaussian_quantiles", m, seed, mean=None, cov=0.5, n_features=2, n_classes=2, shuffle=True)


def xor(m: int = 200, seed: int = 0) -> Dataset:
    """The square [−1, 1]², class 1 where the signs of x1 and x2 differ.

    Example:
        >>> X, Y = xor()
        >>> bool(((X[0] * X[1] < 0) == Y[0]).all())
        True
    """
    _check_multiple(m, 1)
    rows = np.random.default_rng(seed).uniform(-1, 1, (m, 2))
    return _planar(rows, rows[:, 0] * rows[:, 1] < 0, "xor")


def spiral(m: int = 300, n_classes: int = 3, seed: int = 0) -> Dataset:
    """A spiral with one arm for each class, and m / n_classes examples on each arm.

    Example:
        >>> spiral().Y[:, ::100].tolist()
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    if n_classes < 2:
        raise ValueError(f"n_classes must be at least 2, got {n_classes}")
    _check_multiple(m, n_classes)
    codes = np.repeat(np.arange(n_classes), m // n_classes)
    r = np.tile(np.linspace(0, 1, m // n_classes), n_classes)
    t = 4 * r + 2 * np.pi * codes / n_classes + 0.2 * np.random.default_rng(seed).standard_normal(m)
    return _planar(np.stack([r * np.sin(t), r * np.cos(t)], axis=1), codes, "spiral", n_classes)


def digits() -> Dataset:
    """Handwritten digits: 1797 images of 8×8 pixels from 0 to 16, ten classes."""
    return _bundled("digits")


def breast_cancer() -> Dataset:
    """Wisconsin breast cancer: 569 tumours, 30 measurements, malignant (0) or benign (1)."""
    return _bundled("breast_cancer")


def iris() -> Dataset:
    """Fisher's iris: 150 flowers, 4 measurements in cm, three species."""
    return _bundled("iris")


def wine() -> Dataset:
    """Italian wines: 178 samples, 13 measurements, three growers."""
    return _bundled("wine")


def diabetes() -> Dataset:
    """Diabetes: 442 patients, 10 scaled measurements, the disease's progression a year on (regression)."""
    return _bundled("diabetes")


DATASETS: dict[str, Callable[[], Dataset]] = {
    f.__name__: f
    for f in (flower, moons, circles, blobs, quantiles, xor, spiral, digits, breast_cancer, iris, wine, diabetes)
}


def _check_multiple(m: int, n: int) -> None:
    if m < 1 or m % n:
        raise ValueError(f"m must be a positive multiple of {n}, got {m}")


def _planar(rows: np.ndarray, codes: np.ndarray, name: str, n_classes: int = 2) -> Dataset:
    return classes(rows, codes, name, ("x1", "x2"), range(n_classes))


def _made(kind: str, m: int, seed: int, **options: Any) -> Dataset:
    if m < 2:
        raise ValueError(f"m must be at least 2, got {m}")
    make = getattr(require("sklearn.datasets", "sklearn"), f"make_{kind}")
    rows, codes = make(n_samples=m, random_state=seed, **options)
    return _planar(rows, codes % 2, kind.removeprefix("gaussian_"))


def _bundled(name: str) -> Dataset:
    table = getattr(require("sklearn.datasets", "sklearn"), f"load_{name}")()
    names = tuple(map(str, table.feature_names))
    if name == "diabetes":
        return regression(table.data, table.target, name, names)
    return classes(table.data, table.target, name, names, table.target_names)


def load(name_or_path: str | os.PathLike[str], target: str | None = None, **table: Any) -> Dataset:
    """A data set by its name in `DATASETS`, or a table by its path.

    Args:
        name_or_path: a name such as "flower", or a path with a suffix, see `load_table`.
        target: the column to predict; for tables only.
        **table: other arguments of `load_table`; for tables only.

    Raises:
        ValueError: the name is unknown, a named data set is given a table's arguments, or as `load_table`.

    Example:
        >>> load("flower").output
        'sigmoid'
    """
    name = os.fspath(name_or_path)
    if name not in DATASETS and Path(name).suffix:
        return load_table(name, target, **table)
    if name not in DATASETS:
        hint = did_you_mean(name, DATASETS)
        raise ValueError(f"data must be a file ({', '.join(READERS)}) or {', '.join(DATASETS)}, got {name!r}{hint}")
    if target is not None:
        raise ValueError(f"target is for tables: {name} has its own, got {target!r}")
    if given := [option for option, value in table.items() if value not in (None, "error", (), [])]:
        raise ValueError(f"{', '.join(given)} is for tables: {name} is one of the library's own")
    return DATASETS[name]()
