"""What the reports of train and sweep share, and the pictures of one network."""

from __future__ import annotations

import importlib.metadata
import platform
import shlex
from collections.abc import Callable
from dataclasses import MISSING, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

import jaxshallow as js
from jaxshallow import data, plots, reports
from jaxshallow.params import ONE_CLASS
from jaxshallow.programs.examples import Examples
from jaxshallow.programs.options import RunOptions, option, started_as
from jaxshallow.programs.scores import forward
from jaxshallow.store.files import version

MOST_COLUMNS = 100
MOST_CATEGORIES = 10


class Picture(NamedTuple):
    """A figure, its file name without suffix, and what it shows."""

    name: str
    drawing: plots.Figure
    shows: str


def pictures_of(params: js.Params, dataset: data.Dataset, examples: Examples, of: str, A2: Any = None) -> list[Picture]:
    """What the network gets wrong on some examples, how sure it is, and what its hidden units respond to.

    Args:
        params: the network; it takes raw values.
        dataset: where the examples come from.
        examples: (X, Y).
        of: what to call them, such as "validation".
        A2: (n_y, m) outputs for them; None to compute them.
    """
    X, Y = examples
    A2 = np.asarray(forward(params, X).A2 if A2 is None else A2, np.float64)
    if params.task == "regression":
        found = residuals_of(dataset, Y, A2, of)
    elif params.task in ONE_CLASS:
        found = answers_of(params, dataset, Y, A2, of)
    else:
        found = []
    return found + units_of(params, dataset)


def residuals_of(dataset: data.Dataset, Y: np.ndarray, A2: np.ndarray, of: str) -> list[Picture]:
    """The residuals of each output."""
    shows, target = f"Residuals, {of} examples", dataset.target or "target"
    if len(Y) == 1:
        return [picture("residuals", shows, plots.residuals, Y[0], A2[0], target)]
    return [
        picture(f"residuals{k}", shows, plots.residuals, truth, predicted, f"{target} {k}")
        for k, (truth, predicted) in enumerate(zip(Y, A2, strict=True), 1)
    ]


def answers_of(params: js.Params, dataset: data.Dataset, Y: np.ndarray, A2: np.ndarray, of: str) -> list[Picture]:
    """The classes that the network confuses, and how sure it is."""
    truth, predicted = plots.classes_of(params, Y), plots.classes_of(params, A2)
    return [
        picture(
            "confusion", f"Confusion matrix, {of} examples", plots.confusion_matrix, truth, predicted, dataset.labels
        ),
        picture("calibration", f"Calibration, {of} examples", plots.calibration, truth, A2, dataset.labels),
    ]


def units_of(params: js.Params, dataset: data.Dataset) -> list[Picture]:
    """The hidden units, if there is a way to see them: as lines in a plane, or as images."""
    found = []
    if len(dataset.X) == 2 and params.task in ONE_CLASS:
        shows = "The line where each hidden unit changes its sign"
        names = {"labels": dataset.labels, "names": dataset.feature_names}
        found.append(picture("units", shows, plots.hidden_units, params, *dataset, **names))
    if dataset.name == "digits":
        # As for standardised features: the weight of a pixel that is nearly always white says little.
        standard = replace(params, W1=params.W1 * dataset.X.std(axis=1, keepdims=True).T.astype(params.W1.dtype))
        shows = "Weights of the hidden units, times the deviation of their pixels"
        found.append(picture("weights", shows, plots.weight_images, standard))
    return found


def picture(name: str, shows: str, plot: Callable[..., Any], *arguments: Any, **keywords: Any) -> Picture:
    """A figure with one plot."""
    drawing, (ax,) = plots.figure()
    plot(ax, *arguments, **keywords)
    return Picture(name, drawing, shows)


def what_was_run(program: str, options: RunOptions, seconds: float) -> reports.Html:
    """The command, the machine and the versions."""
    device = jax.devices()[0]
    others = [f"{name} {importlib.metadata.version(name)}" for name in ("jax", "numpy", "optax")]
    versions = ", ".join([f"jaxshallow {version()}", *others])
    return reports.section(
        "What was run",
        reports.preformatted(command(program, options)),
        reports.table(
            [
                ["", ""],
                ["finished", datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")],
                ["seconds of training", f"{seconds:,.2f}"],
                ["device", f"{device.platform} ({device.device_kind})"],
                ["versions", f"{versions}, Python {platform.python_version()}"],
            ]
        ),
    )


def command(program: str, options: RunOptions) -> str:
    """The command line with these options, as the program was started."""
    words = started_as(program)
    for field in fields(options):
        value, default = getattr(options, field.name), field.default
        if default is MISSING or value == default:
            continue
        flag = option(field.name)
        values = value if isinstance(value, tuple) else [value]
        words += [flag] if value is True else [word for one in values for word in (flag, str(one))]
    return shlex.join(words)


def about_the_data(dataset: data.Dataset) -> reports.Html:
    """The columns, the classes, and what looks suspicious."""
    rows: list[list[Any]] = [["column", "kind", "missing", "lowest", "mean", "highest"]]
    start = 0
    for column in dataset.columns[:MOST_COLUMNS]:
        here, start = start, start + len(column.feature_names)
        x = dataset.X[here]
        gaps = 0 if dataset.missing is None else int(dataset.missing[here].sum())
        more = (
            f" and {len(column.categories) - MOST_CATEGORIES} more" if len(column.categories) > MOST_CATEGORIES else ""
        )
        kind = f"categories: {', '.join(column.categories[:MOST_CATEGORIES])}{more}" if column.categories else "numbers"
        numbers = [None] * 3 if column.categories else [float(x.min()), float(x.mean()), float(x.max())]
        rows.append([column.name, kind, gaps, *numbers])
    n_x, m = dataset.X.shape
    columns = f"{len(dataset.columns):,} column{'s' * (len(dataset.columns) > 1)}"
    pieces: list[str] = [f"{dataset.name}: {m:,} examples of {columns}, n_x = {n_x:,}."]
    if dataset.target:
        pieces.append(f"The target is {dataset.target}.")
    if dataset.balance:
        counts = [[label, count, f"{count / m:.1%}"] for label, count in dataset.balance.items()]
        pieces.append(reports.table([["class", "examples", "share"], *counts]))
    pieces.append(reports.table(rows))
    if len(dataset.columns) > MOST_COLUMNS:
        pieces.append(f"And {len(dataset.columns) - MOST_COLUMNS:,} columns more.")
    return reports.section("The data", *pieces, *(f"Remark: {remark}." for remark in dataset.remarks))


def forward_passes(params: js.Params, dataset: data.Dataset) -> list[reports.Html]:
    """The live forward pass, if the network has two inputs and can run in a page."""
    if not len(dataset.X) == params.W1.shape[1] == 2 or params.hidden not in reports.IN_JAVASCRIPT:
        return []
    labels = dataset.labels or ([dataset.target] if dataset.target and len(dataset.Y) == 1 else [])
    return [reports.forward_pass(params, *dataset, names=dataset.feature_names, labels=labels)]


def save_all(pictures: list[Picture], folder: Path) -> list[Path]:
    """Each picture as PNG and SVG."""
    return [path for picture in pictures for path in plots.save(picture.drawing, folder / picture.name)]


def shown(pictures: list[Picture]) -> list[reports.Html]:
    return [reports.picture(picture.drawing, picture.shows, caption=picture.shows) for picture in pictures]
