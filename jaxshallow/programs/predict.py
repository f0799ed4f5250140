"""Predict with a saved model: a table in, the same table with predictions and probabilities out.

Examples:
    jaxshallow predict out/model.safetensors table.csv
    jaxshallow predict out/sweep.safetensors table.parquet --out out/predictions.parquet

The model comes from train, sweep or an estimator's `save`. Its features are found by column name, in any order; other
columns are copied. Where a feature is called "prediction", the predictions are called "predicted prediction". The table
is read and written in parts, so it may be larger than memory.

A model of train --l2 evidence knows how sure it is of a number: "deviation" is the standard deviation of new targets.
One of train --preset knows how far off it is on unseen rows: --confidence 0.9 writes intervals or sets that hold the
truth nine times of ten.

Exit codes: 0 success, 1 could not write, 2 wrong usage, 130 Ctrl-C, which leaves an older file of that name as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxshallow as js
from jaxshallow import tables
from jaxshallow.bayes.conformal import groups_of, upper_end, within
from jaxshallow.bayes.loading import gaussian_of
from jaxshallow.exports.known import encoding_of
from jaxshallow.many import bucket
from jaxshallow.params import ONE_CLASS
from jaxshallow.programs import running, saved
from jaxshallow.programs.extra import needs_scripts
from jaxshallow.programs.options import read
from jaxshallow.store.files import replacing

with needs_scripts():
    import polars as pl
    import tyro

SEPARATORS = {".csv": ",", ".tsv": "\t"}
TABLES = (*SEPARATORS, ".parquet", ".feather")


@dataclass
class Options:
    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """A .safetensors file."""
    table: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="TABLE")]
    """A .csv, .tsv, .parquet or .feather file; rows are examples."""
    confidence: float | None = None
    """Also write intervals of numbers, lower and upper, or sets of classes, that hold the truth so often, such as 0.9.
    For models that know their errors on unseen rows: of train --preset, or of an estimator with bagging."""
    out: Path = Path("out/predictions.csv")
    """What to write: .csv, .tsv or .parquet."""
    quiet: bool = False
    """Print only errors."""


class Model:
    """A network, with the columns and labels from its file."""

    def __init__(self, path: Path, confidence: float | None = None):
        found = saved.model(path)
        self.params, metadata = found.params, found.metadata
        self.confidence, self.groups = confidence, groups_of(metadata) if confidence else None
        self.gaussian = gaussian_of(found) if self.params.task == "regression" else None
        if not (metadata.get("columns") or metadata.get("feature_names")):
            raise ValueError(f"{path} does not say which columns its {self.params.W1.shape[1]} features are")
        known = saved.known(path, self.params, metadata)
        self.known, self.encoding = tables.columns_of(known), encoding_of(known)
        self.features = [column.name for column in self.known]
        self.numbers = [column.name for column in self.known if not column.categories]
        self.decimal = next((column.decimal for column in self.known if column.decimal), "")
        self.labels = np.array(known["labels"])
        if len(set(self.columns())) < len(self.columns()):
            raise ValueError(f"{path}: each of its labels must differ from the others, got {known['labels']}")
        self._check_confidence(path)
        self.plain = jax.jit(lambda params, X: js.forward(params, X).A2)

    @property
    def names_a_class(self) -> bool:
        """Whether a prediction is a class name."""
        return self.params.task in ONE_CLASS

    def _check_confidence(self, path: Path) -> None:
        if self.confidence is None:
            return
        if not 0 < self.confidence < 1:
            raise ValueError(f"--confidence must be above 0 and below 1, got {self.confidence}")
        outputs = 1 if self.names_a_class else len(self.params.W2)
        if self.groups is None or len(self.groups) != outputs or self.params.task == "multilabel":
            raise ValueError(
                f"{path} does not know how far off it is on unseen rows: leave --confidence out, or train it with "
                "--preset tables"
            )

    def columns(self) -> list[str]:
        """The names of the predicted columns; where a feature is called so, with "predicted" before it."""
        n_y = len(self.params.W2)
        names = [*(["prediction"] if self.names_a_class else []), *(f"P({label})" for label in self.labels)]
        if self.params.task == "regression":
            ends = [""] if n_y == 1 else [f" {k}" for k in range(n_y)]
            names = [f"prediction{end}" for end in ends]
            names += [] if self.gaussian is None else [f"deviation{end}" for end in ends]
            names += [] if self.groups is None else [f"{which}{end}" for which in ("lower", "upper") for end in ends]
        elif self.groups is not None:
            names += ["set"]
        while taken := set(names).intersection(self.features):
            names = [f"predicted {name}" if name in taken else name for name in names]
        return names

    def predict(self, frame: pl.DataFrame, where: str, first_row: int) -> pl.DataFrame:
        """The frame with the predicted columns added."""
        m = frame.height
        X = tables.encode(frame, self.known, where, first_row)
        X = self.encoding.apply(X) if self.encoding else X
        X = np.pad(X, ((0, 0), (0, bucket(max(m, 1)) - m)))  # so that not every length compiles again
        with jax.enable_x64(self.params.W1.dtype == np.float64), np.errstate(over="ignore"):
            A2 = np.asarray(self.outputs(X), np.float64)[:, :m]
        held = (np.abs(X[:, :m]) <= float(jnp.finfo(self.params.W1.dtype).max)).all(axis=0)
        if not (finite := held & np.isfinite(A2).all(axis=0)).all():
            row = first_row + int(finite.argmin())
            raise ValueError(f"{where}: the numbers in row {row} are too large for {self.params.W1.dtype}")
        return frame.hstack(pl.DataFrame(dict(zip(self.columns(), self._found(A2), strict=True))))

    def outputs(self, X: np.ndarray) -> Any:
        """(n_y, m) A2; below it the deviations, where they are known."""
        A2 = self.plain(self.params, X)
        if self.gaussian is None:
            return A2
        return jnp.concatenate([A2, self.gaussian.predict(X.astype(self.params.W1.dtype))[1]])

    def _found(self, A2: np.ndarray) -> list[Any]:
        if not self.names_a_class:
            return [*A2, *self._intervals(A2[: len(self.params.W2)])]
        P = np.concatenate([1 - A2, A2]) if self.params.task == "binary" else A2
        predicted = (A2[0] > 0.5).astype(int) if self.params.task == "binary" else A2.argmax(axis=0)
        return [self.labels[predicted], *P, *self._sets(P)]

    def _intervals(self, means: np.ndarray) -> list[np.ndarray]:
        """The lower ends of the intervals of each output, then the upper ends."""
        if self.groups is None or self.confidence is None:
            return []
        pairs = list(zip(self.groups, means, strict=True))
        lower = [-upper_end(groups, [-mean], self.confidence) for groups, mean in pairs]
        return lower + [upper_end(groups, [mean], self.confidence) for groups, mean in pairs]

    def _sets(self, P: np.ndarray) -> list[list[str]]:
        """The classes that cannot be ruled out, as text."""
        if self.groups is None or self.confidence is None:
            return []
        chosen = within(self.groups[0], [1 - P.T], self.confidence)
        return [[" or ".join(self.labels[row]) for row in chosen]]


def main(argv: Sequence[str] | None = None) -> int:
    options = read(Options, argv, "predict", __doc__)
    running.messages.quiet = options.quiet
    return running.exit_code(lambda: run_and_show(options), options.out)


def run_and_show(options: Options) -> int:
    rows = run(options)
    if not options.quiet:
        print(f"{options.out}: {rows:,} rows")
    return 0


def run(options: Options) -> int:
    """Write the predictions; return the number of rows."""
    for what, path, suffixes in (("table", options.table, TABLES), ("--out", options.out, TABLES[:-1])):
        if path.suffix.lower() not in suffixes:
            raise ValueError(f"{what} must end in {', '.join(suffixes)}, got {path}")
    tables.check_is_file(options.table)
    if options.out.resolve() == options.table.resolve():
        raise ValueError(f"--out must be another file than the table, got {options.out} for both")
    model = Model(options.model, options.confidence)
    text = tables.open_text(options.table) if options.table.suffix.lower() in tables.TEXT else None
    try:
        return predicted(model, text, options)
    except pl.exceptions.PolarsError as error:
        raise tables.why_unreadable(options.table, error) from error


def predicted(model: Model, text: tables.Text | None, options: Options) -> int:
    """Write the predictions. Whether numbers have decimal commas is asked where not all of them are plain."""
    table = scan(options, text, model.features)
    check_columns(model, table.collect_schema(), options.table, text.doubt if text else "")
    mark = decimal_mark(model, table, text, options) if text and model.decimal else ""
    numbers = model.numbers if text and options.out.suffix.lower() == ".parquet" else []
    try:
        return write(model, table, numbers, mark, options)
    except ValueError:
        if text is None or mark or not (mark := decimal_mark(model, table, text, options)):
            raise
    return write(model, table, numbers, mark, options)


def scan(options: Options, text: tables.Text | None, features: list[str]) -> pl.LazyFrame:
    """The table, not read yet. A .csv stays text, to be copied unchanged, but for a .parquet only its features do."""
    if text:
        return text.scan(typed=options.out.suffix.lower() == ".parquet", as_text=features)
    if options.table.suffix.lower() == ".parquet":
        return pl.scan_parquet(options.table, glob=False)
    return pl.scan_ipc(options.table, glob=False)


def decimal_mark(model: Model, table: pl.LazyFrame, text: tables.Text, options: Options) -> str:
    try:
        return tables.find_mark(table, model.numbers, text.separator, model.decimal)
    except ValueError as error:
        raise ValueError(f"{options.table}: {error}") from None


def write(model: Model, table: pl.LazyFrame, numbers: list[str], mark: str, options: Options) -> int:
    """Write the table, part by part, with the predictions beside it; return the number of rows.

    Args:
        model: what predicts.
        table: the table.
        numbers: its columns of text to write as numbers.
        mark: the decimal mark of the model's numbers, "" if they are plain.
        options: where to.
    """
    heights: list[int] = []
    failed: list[str] = []

    def part(frame: pl.DataFrame) -> pl.DataFrame:  # parts come from several threads, in any order
        first_row = int(frame[tables.ROW][0]) if frame.height else 1
        frame = frame.drop(tables.ROW)
        frame = tables.with_plain_numbers(frame, model.numbers, mark) if mark else frame
        try:
            frame = model.predict(frame, str(options.table), first_row)
        except ValueError as error:  # polars would wrap it in an error of its own
            failed.append(str(error))
            raise
        heights.append(frame.height)
        return tables.known_numbers(frame, numbers) if numbers else frame

    texts = ("prediction", "set") if model.names_a_class else ()
    found = {name: pl.String if name.split()[-1] in texts else pl.Float64 for name in model.columns()}
    schema = {**table.collect_schema(), **dict.fromkeys(numbers, pl.Float64), **found}
    answers = table.with_row_index(tables.ROW, 1).map_batches(part, streamable=True, schema=schema)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(options.out) as temporary:
        suffix = options.out.suffix.lower()
        try:
            if suffix == ".parquet":
                answers.sink_parquet(temporary, engine="streaming")
            else:
                answers.sink_csv(temporary, separator=SEPARATORS[suffix], engine="streaming")
        except pl.exceptions.PolarsError:
            if failed:
                raise ValueError(failed[0]) from None
            raise
        if not sum(heights):
            raise ValueError(f"{options.table} must hold at least one row, got none")
    return sum(heights)


def check_columns(model: Model, schema: pl.Schema, path: Path, doubt: str = "") -> None:
    """Every feature must be a column of the table; no predicted column may be."""
    known = set(model.features)
    if missing := [name for name in model.features if name not in schema]:
        others = [name for name in schema if name not in known]
        hint = doubt or tables.did_you_mean(missing[0], others)
        named = f"[{', '.join(map(repr, missing[:10]))}{f' and {len(missing) - 10:,} more' if missing[10:] else ''}]"
        raise ValueError(f"{path} must have the columns {named}, which the model was trained on{hint}")
    if there := [name for name in model.columns() if name in schema]:
        raise ValueError(f"{path} already has columns named {there}: rename or drop them")
