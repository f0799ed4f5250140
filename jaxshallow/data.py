"""The course's data sets, and tables from files.

Every function returns a `Dataset`, whose examples are columns: `X, Y = data.flower()`. Needs NumPy only; what comes
from scikit-learn or is read by polars imports them when called.
"""

from __future__ import annotations

import difflib
import importlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

MAX_INTEGER_CLASSES = 20
MISSING = ["", "NA", "N/A", "NaN", "nan", "NULL", "null"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Examples as columns, with what is known about them; unpacks as `X, Y`.

    Attributes:
        X: (n_x, m) features, float64.
        Y: (n_y, m) targets, float64: a row of 0 and 1 for two classes, one-hot columns for more, else numbers.
        output: the head that fits Y: "sigmoid" for two classes, "softmax" for more, "identity" for regression.
        feature_names: the n_x names of X's rows.
        labels: the classes' names, in the order of their numbers; empty for regression.
        name: what the data set is called.

    Example:
        >>> X, Y = flower()
        >>> X.shape, Y.shape
        ((2, 400), (1, 400))
    """

    X: np.ndarray
    Y: np.ndarray
    output: str
    feature_names: tuple[str, ...]
    labels: tuple[str, ...]
    name: str

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter((self.X, self.Y))


def scaling(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each feature, for `(X - mean) / std`; take them from the training examples only.

    Args:
        X: (n_x, m) features.

    Returns:
        mean (n_x, 1) and std (n_x, 1), float64; the std of a constant feature is given as 1, so that it becomes 0.

    Raises:
        ValueError: X is not (n_x, m) with m ≥ 1.

    Example:
        >>> mean, std = scaling(np.array([[1.0, 3.0], [5.0, 5.0]]))
        >>> mean.ravel().tolist(), std.ravel().tolist()
        ([2.0, 5.0], [1.0, 1.0])
    """
    X = np.asarray(X, dtype=np.float64)
    if X.ndim != 2 or X.shape[1] == 0:
        raise ValueError(f"X must be (n_x, m) with m at least 1, got {X.shape}")
    mean, std = X.mean(axis=1, keepdims=True), X.std(axis=1, keepdims=True)
    constant = X.min(axis=1, keepdims=True) == X.max(axis=1, keepdims=True)  # rounding may leave its std above 0
    return np.where(constant, X[:, :1], mean), np.where(constant | (std == 0), 1.0, std)


# ---- the course's data sets, two features each ----


def flower(m: int = 400, seed: int = 1) -> Dataset:
    """The course's flower: two classes of four petals, r = 4 sin 4t, which no straight line separates.

    Args:
        m: number of examples, even; half are of each class.
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
    return _classes(np.concatenate(rows), np.repeat([0, 1], n), "flower")


def moons(m: int = 200, seed: int = 0) -> Dataset:
    """Two interleaved half circles with noise (scikit-learn's `make_moons`)."""
    return _made("moons", m, seed, noise=0.2)


def circles(m: int = 200, seed: int = 0) -> Dataset:
    """A circle inside another, with noise (scikit-learn's `make_circles`)."""
    return _made("circles", m, seed, factor=0.5, noise=0.3)


def blobs(m: int = 200, seed: int = 5) -> Dataset:
    """Six round clouds, their classes taken in turn, 0 and 1 (scikit-learn's `make_blobs`)."""
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
    return _classes(rows, rows[:, 0] * rows[:, 1] < 0, "xor")


def spiral(m: int = 300, n_classes: int = 3, seed: int = 0) -> Dataset:
    """Arms of a spiral, one to a class, m / n_classes examples on each.

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
    return _classes(np.stack([r * np.sin(t), r * np.cos(t)], axis=1), codes, "spiral", n_classes=n_classes)


# ---- scikit-learn's bundled tables: no download ----


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


def _classes(rows, codes, name, feature_names: Iterable[str] = ("x1", "x2"), labels=None, n_classes=2) -> Dataset:
    """Rows (m, n_x) and class numbers (m,) as a `Dataset`; labels are the numbers themselves unless given."""
    labels = tuple(map(str, range(n_classes) if labels is None else labels))
    binary = len(labels) == 2
    Y = codes[None, :] if binary else codes[None, :] == np.arange(len(labels))[:, None]
    X = np.array(rows.T, dtype=np.float64, order="C")
    return Dataset(X, Y.astype(np.float64), "sigmoid" if binary else "softmax", tuple(feature_names), labels, name)


def _made(kind: str, m: int, seed: int, **options) -> Dataset:
    if m < 2:
        raise ValueError(f"m must be at least 2, got {m}")
    make = getattr(_require("sklearn.datasets", "sklearn"), f"make_{kind}")
    rows, codes = make(n_samples=m, random_state=seed, **options)
    return _classes(rows, codes % 2, kind.removeprefix("gaussian_"))


def _bundled(name: str) -> Dataset:
    table = getattr(_require("sklearn.datasets", "sklearn"), f"load_{name}")()
    names = tuple(map(str, table.feature_names))
    if name == "diabetes":
        return _regression(table.data, table.target, name, names)
    return _classes(table.data, table.target, name, names, table.target_names)


def _regression(rows, targets, name: str, feature_names: Iterable[str]) -> Dataset:
    """Rows (m, n_x) and targets (m,) or (m, n_y) as a `Dataset`."""
    X, Y = (np.array(A.T, dtype=np.float64, order="C") for A in (rows, targets.reshape(len(rows), -1)))
    return Dataset(X, Y, "identity", tuple(feature_names), (), name)


def _require(module: str, extra: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{module.split('.')[0]} is missing: pip install 'jaxshallow[{extra}]'") from error


# ---- tables from files ----


def load(name_or_path: str | os.PathLike[str], target: str | None = None) -> Dataset:
    """A data set by its name in `DATASETS`, or a table by its path.

    Args:
        name_or_path: a name such as "flower", or a path with a suffix, see `load_table`.
        target: the column to predict; for tables only.

    Raises:
        ValueError: the name is unknown, a target is given for a named data set, or as `load_table`.

    Example:
        >>> load("flower").output
        'sigmoid'
    """
    name = os.fspath(name_or_path)
    if name not in DATASETS and Path(name).suffix:
        return load_table(name, target)
    if name not in DATASETS:
        hint = did_you_mean(name, DATASETS)
        raise ValueError(
            f"data must be a file (.csv, .tsv, .parquet, .npz) or {', '.join(DATASETS)}, got {name!r}{hint}"
        )
    if target is not None:
        raise ValueError(f"target is for tables: {name} has its own, got {target!r}")
    return DATASETS[name]()


def load_table(path: str | os.PathLike[str], target: str | None = None) -> Dataset:
    """A table from .csv, .tsv, .parquet (polars) or .npz (NumPy). In files, rows are examples.

    The target decides the task. Text, booleans, and integers with at most 20 distinct values are classes, sorted:
    two give output "sigmoid", more give "softmax". Anything else numeric is regression, "identity"; so 0.0 and 1.0,
    being floats, are regression too. Every other column is a feature and must be numeric or boolean; constant
    features are kept. The first line of a .csv or .tsv names the columns; blank lines are skipped.

    An .npz holds X (m, n_x) and Y or y: (m,) or (m, 1) as above, or (m, n_y), which is n_y classes where every row
    is one-hot and regression where one is not. Nothing is ever unpickled.

    Args:
        path: the file.
        target: name of the target column or array. None: the last column; in an .npz, Y or else y.

    Returns:
        `Dataset` with X (n_x, m) and Y (n_y, m).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the suffix is unknown, the file is malformed, has no rows or one column only, the target is not
            there or holds a single class, a feature is text, or values are missing, NaN or infinite.
        ImportError: polars is missing.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "pets.csv")
        ...     _ = path.write_text("weight,indoors,pet\\n4.1,true,cat\\n30.5,false,dog\\n")
        ...     pets = load_table(path)
        >>> pets.feature_names, pets.labels, pets.Y.tolist()
        (('weight', 'indoors'), ('cat', 'dog'), [[0.0, 1.0]])
    """
    path = Path(path)
    if path.suffix.lower() not in (".csv", ".tsv", ".parquet", ".npz"):
        raise ValueError(f"path must end in .csv, .tsv, .parquet or .npz, got {path}")
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    read = _read_npz if path.suffix.lower() == ".npz" else _read_frame
    return _dataset(path, *read(path, target))


@dataclass(frozen=True)
class Tiles:
    """The rows of a .parquet file, some at a time: each iteration reads the file anew, for data larger than memory.

    For `js.stream(js.cost_and_grads)(params, Tiles("table.parquet", "label"))`. All columns must be numeric or boolean;
    nothing is coded or scaled here.

    Attributes:
        path: the file.
        target: name of the target column; None is the last.
        rows: of a tile.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: when iterated, if the file is malformed, the target is not there, a column is text, or values are
            missing, NaN or infinite; it names the column and the rows.
        ImportError: polars is missing.

    Example:
        >>> import tempfile
        >>> import polars as pl
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "table.parquet")
        ...     pl.DataFrame({"a": [1.0, 2.0, 3.0], "label": [0, 1, 1]}).write_parquet(path)
        ...     [(X.tolist(), Y.tolist()) for X, Y in Tiles(path, "label", rows=2)]
        [([[1.0, 2.0]], [[0.0, 1.0]]), ([[3.0]], [[1.0]])]
    """

    path: str | os.PathLike[str]
    target: str | None = None
    rows: int = 2**17

    def __post_init__(self):
        if not Path(self.path).is_file():
            raise FileNotFoundError(f"there is no file {self.path}")
        if self.rows < 1:
            raise ValueError(f"rows must be at least 1, got {self.rows}")

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        pl, path = _require("polars", "scripts"), Path(self.path)
        try:
            table = pl.scan_parquet(path, glob=False)
            schema = table.collect_schema()
            m = table.select(pl.len()).collect().item()
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise _malformed(path, error) from error
        if not m:
            raise ValueError(f"{path} must hold at least one row, got none under {list(schema)}")
        names = list(schema)
        target = _find(path, names[-1] if self.target is None else self.target, names)
        if other := [
            f"{name!r} ({dtype})" for name, dtype in schema.items() if not (dtype.is_numeric() or dtype == pl.Boolean)
        ]:
            raise ValueError(f"{path}: columns must be numeric or boolean, got {', '.join(other)}")
        features = [name for name in names if name != target]
        for start in range(0, m, self.rows):
            try:
                frame = table.slice(start, self.rows).select(pl.col([*features, target]).cast(pl.Float64)).collect()
            except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
                raise _malformed(path, error) from error
            tile = frame.to_numpy()  # a missing value is NaN here
            counts = (~np.isfinite(tile)).sum(axis=0)
            _refuse(
                path, f"in rows {start} to {start + len(tile)}, missing values, NaN or infinity", frame.columns, counts
            )
            yield tile[:, :-1].T, tile[:, -1:].T


def _read_frame(path: Path, target: str | None) -> tuple[np.ndarray, np.ndarray, list[str], str]:
    """Rows (m, n_x), targets (m,), the features' names and the target's, of a .csv, .tsv or .parquet."""
    pl = _require("polars", "scripts")
    try:
        if path.suffix.lower() == ".parquet":
            frame = pl.read_parquet(path, glob=False)
        else:
            separator = "\t" if path.suffix.lower() == ".tsv" else ","
            frame = pl.read_csv(path, separator=separator, infer_schema_length=None, null_values=MISSING, glob=False)
            frame = frame.filter(~pl.all_horizontal(pl.all().is_null()))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise _malformed(path, error) from error

    names = frame.columns
    if "" in names or any(f"{name}_duplicated_0" in names for name in names):
        raise ValueError(f"{path}: columns must have names, each its own, got {list(names)}")
    if not frame.height:
        raise ValueError(f"{path} must hold at least one row, got none under {list(names)}")
    if len(names) < 2:
        fix = ": .csv separates columns by commas, .tsv by tabs" if set(names[0]) & set(";\t") else ""
        raise ValueError(f"{path} must hold a target and at least one feature, got one column, {list(names)}{fix}")
    target = _find(path, names[-1] if target is None else target, names)
    _refuse(path, "missing values", names, frame.null_count().row(0))
    names.remove(target)
    numeric = {name for name, dtype in frame.schema.items() if dtype.is_numeric() or dtype == pl.Boolean}
    if other := [f"{name!r} ({_not_a_number(frame[name])!r})" for name in names if name not in numeric]:
        fix = "encode as numbers, drop, or name one as the target"
        raise ValueError(f"{path}: features must be numeric or boolean, got {', '.join(other)}: {fix}")

    dtype = frame.schema[target]
    if target not in numeric and dtype not in (pl.String, pl.Categorical, pl.Enum):
        raise ValueError(f"{path}: {target} must be text, boolean or numeric, got {dtype}")
    y = frame[target].cast(pl.String if target not in numeric else pl.Float64 if dtype.is_decimal() else dtype)
    return frame.select(pl.col(names).cast(pl.Float64)).to_numpy(), y.to_numpy(), names, target


def _not_a_number(column):
    """The first value of a column of text that is no number, or its first value where all are."""
    if str(column.dtype) != "String":
        return column[0]
    wrong = column.filter(column.str.strip_chars().cast(float, strict=False).is_null())
    return wrong[0] if len(wrong) else column[0]


def _read_npz(path: Path, target: str | None) -> tuple[np.ndarray, np.ndarray, list[str], str]:
    """Rows (m, n_x), targets (m,) or (m, n_y ≥ 2), the names x1, x2, ... and the target's, of an .npz."""
    with open(path, "rb") as stream:
        try:
            with np.load(stream, allow_pickle=False) as file:
                arrays = dict(file)
        except Exception as error:  # zipfile, zlib and NumPy each raise their own
            raise _malformed(path, error) from error

    X = arrays.pop(_find(path, "X", arrays))
    target = _find(path, target or ("Y" if "Y" in arrays else "y"), arrays)
    y = arrays[target]
    if X.ndim != 2 or X.dtype.kind not in "biuf":
        raise ValueError(f"{path}: X must be numbers (m, n_x), got {X.dtype} {X.shape}")
    m, n_x = X.shape
    y = y.ravel() if y.shape == (m, 1) else y
    if y.ndim not in (1, 2) or len(y) != m or y.size < m or y.dtype.kind not in ("Ubiuf" if y.ndim == 1 else "biuf"):
        fix = f": in files, rows are examples, use X.T and {target}.T" if y.ndim and y.shape[-1] == n_x else ""
        raise ValueError(f"{path}: {target} must be (m,) or (m, n_y) with m = {m}, got {y.dtype} {y.shape}{fix}")
    return X.astype(np.float64), y, [f"x{i + 1}" for i in range(n_x)], target


def _dataset(path: Path, rows: np.ndarray, targets: np.ndarray, names: list[str], target: str) -> Dataset:
    """The rule of `load_table`: which targets are classes and which are numbers."""
    name, kind = path.stem, targets.dtype.kind
    if not rows.size:
        raise ValueError(f"{path} must hold at least one row and one feature, got X (m, n_x) = {rows.shape}")
    _refuse(path, "NaN or infinity", names, (~np.isfinite(rows)).sum(axis=0))
    if kind == "f":
        _refuse(path, "NaN or infinity", [target], [(~np.isfinite(targets)).sum()])
    if targets.ndim == 2 and np.isin(targets, (0, 1)).all() and (targets.sum(axis=1) == 1).all():
        return _classes(rows, targets.argmax(axis=1), name, names, range(targets.shape[1]))
    if targets.ndim == 2 or kind == "f":
        return _regression(rows, targets, name, names)
    classes, codes = np.unique(targets, return_inverse=True)
    if kind in "iu" and len(classes) > MAX_INTEGER_CLASSES:
        return _regression(rows, targets, name, names)
    if len(classes) == 1:
        raise ValueError(f"{path}: {target} must hold at least two classes, got {str(classes[0])!r} only")
    return _classes(rows, codes, name, names, classes)


def _find(path: Path, name: str, names: Iterable[str]) -> str:
    if name not in names:
        raise ValueError(f"{path} must hold {name!r}, got {list(names)}{did_you_mean(name, names)}")
    return name


def _refuse(path: Path, what: str, names: Iterable[str], counts: Iterable[int]) -> None:
    if found := ", ".join(f"{name!r} ({n})" for name, n in zip(names, counts, strict=True) if n):
        raise ValueError(f"{path}: {what} in {found}: fill or drop them first")


def _malformed(path: Path, error: BaseException) -> ValueError:
    return ValueError(f"{path} is not a readable {path.suffix.lower()} file: {str(error).partition(chr(10))[0]}")


def did_you_mean(name: str, names: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(names), n=1)
    return f": did you mean {close[0]!r}?" if close else ""
