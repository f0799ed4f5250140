"""A Parquet file that is larger than memory, some rows at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jaxshallow.extras import require
from jaxshallow.tables.dataset import Column
from jaxshallow.tables.problems import check_is_file, find, malformed, quoted, refuse


@dataclass(frozen=True)
class Tiles:
    """The rows of a .parquet file, some at a time, for data larger than memory. Each iteration reads the file again.

    For `js.stream(js.cost_and_grads)(params, Tiles("table.parquet", "label"))`. All columns must be numeric or boolean;
    nothing is encoded or scaled here.

    Attributes:
        path: the file.
        target: name of the target column; None is the last.
        rows: how many in a tile.

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

    def __post_init__(self) -> None:
        check_is_file(Path(self.path))
        if self.rows < 1:
            raise ValueError(f"rows must be at least 1, got {self.rows}")

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        pl, path = require("polars", "scripts"), Path(self.path)
        try:
            table = pl.scan_parquet(path, glob=False)
            schema = table.collect_schema()
            m = table.select(pl.len()).collect().item()
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise malformed(path, error) from error
        if not m:
            raise ValueError(f"{path} must hold at least one row, got none under {quoted(schema)}")
        names = list(schema)
        target = find(path, names[-1] if self.target is None else self.target, names)
        if other := [
            f"{name!r} ({dtype})" for name, dtype in schema.items() if not (dtype.is_numeric() or dtype == pl.Boolean)
        ]:
            raise ValueError(f"{path}: columns must be numeric or boolean, got {', '.join(other)}")
        features = [name for name in names if name != target]
        for start in range(0, m, self.rows):
            try:
                frame = table.slice(start, self.rows).select(pl.col([*features, target]).cast(pl.Float64)).collect()
            except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
                raise malformed(path, error) from error
            tile = frame.to_numpy().T  # a missing value is NaN here
            columns = [Column(name) for name in frame.columns]
            refuse(path, "missing values, NaN or infinity", columns, ~np.isfinite(tile), "drop them first", start + 1)
            yield tile[:-1], tile[-1:]
