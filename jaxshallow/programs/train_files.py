"""What train writes: the model, its pictures, the report and the history."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxshallow import reports, store
from jaxshallow.params import Params
from jaxshallow.programs import reporting, running
from jaxshallow.programs.examples import metadata_of
from jaxshallow.programs.options import settings
from jaxshallow.programs.train_options import Options
from jaxshallow.programs.train_results import report
from jaxshallow.programs.train_task import Task
from jaxshallow.store.files import json_text, write_atomically
from jaxshallow.store.models import WithErrorBars

PICTURES = tuple(
    f"{name}.png"
    for name in (
        "boundary", "learning_curves", "evidence", "confusion", "calibration", "units", "weights", "residuals",
    )
)  # fmt: skip


def write_record(options: Options, files: list[Path], results: dict[str, Any], history: Any) -> list[str]:
    """Write the history, a NamedTuple, beside the files that are written already; return the names of all."""
    columns = {name: np.asarray(one, np.float64).tolist() for name, one in history._asdict().items() if one is not None}
    record = {**results, "options": settings(options), "history": columns}
    write_atomically(options.out / "history.json", json_text(record).encode())
    files = [*files, options.out / "history.json"]
    running.remark_older(options.out, files, ("model.safetensors", "report.html", *PICTURES))
    return [str(file) for file in files]


def lasting(results: dict[str, Any]) -> Any:
    """The results without the times, so that a resumed run writes the same bytes."""
    return json.loads(json_text({name: v for name, v in results.items() if not name.endswith("_seconds")}))


def write_model(
    task: Task,
    model: Params | WithErrorBars,
    options: Options,
    results: dict[str, Any],
    picture: reporting.Picture,
    sections: Sequence[reports.Html] = (),
) -> list[Path]:
    """Write the model, for raw values, its pictures and the report.

    Args:
        task: what was trained.
        model: the network, or with its error bars.
        options: where to, and whether there is a report.
        results: as in the table.
        picture: how the training went.
        sections: of the report, beside those that each has.
    """
    dataset, train, validation = task.split
    params = model if isinstance(model, Params) else model.params
    path, page = options.out / "model.safetensors", options.out / "report.html"
    store.save(path, model, metadata_of(dataset, task.scalings, results=lasting(results)))
    pictures = [picture]
    if options.report:
        examples, of = (train, "training") if validation is None else (validation, "validation")
        pictures += reporting.pictures_of(params, dataset, examples, of)
    files = [path, *reporting.save_all(pictures, options.out)]
    if options.report:
        write_atomically(page, report(options, dataset, params, pictures, results, sections).encode())
        files.append(page)
    return files
