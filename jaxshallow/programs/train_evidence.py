"""train --l2 evidence: how much weight decay does the network want, and how sure is it?"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

import jaxshallow as js
from jaxshallow import plots, reports
from jaxshallow.params import ONE_CLASS, size_of
from jaxshallow.programs import by_evidence, reporting, running
from jaxshallow.programs.options import weight_scale
from jaxshallow.programs.progress import Clock
from jaxshallow.programs.running import Outcome
from jaxshallow.programs.train_files import write_model, write_record
from jaxshallow.programs.train_options import Options
from jaxshallow.programs.train_results import beside_boundary, in_words, table_of
from jaxshallow.programs.train_task import Task, Trained, prepare, results_of

STARTS = 5
MOST_INFLUENTIAL = 10
TRAINED_AGAIN = 20
JUDGES = 1_000  # examples whose loss tells how influential another is


def run_by_evidence(options: Options) -> Outcome:
    """Train from several starts, by the evidence; write the model with its error bars, and a picture."""
    by_evidence.check(options, "--l2 evidence")
    task = prepare(options)
    running.say(f"{STARTS} starts, each with several weight decays")
    with Clock() as clock:
        found = by_evidence.fit(starts_of(task, options), task.train, options)
        model = unscaled(found.posterior, task)
    trained = Trained(
        found.params, model.params, found.l2, by_evidence.OPTIMIZERS[options.optimizer], None, clock.compiling,
        clock.total - clock.compiling,
    )  # fmt: skip
    results = results_of(task, trained, options) | {
        "weight_decays_tried": len(found.history.l2),
        "l2": found.l2,
        "noise": None if model.noise is None else np.ravel(model.noise).tolist(),
        "log_evidence": found.log_evidence,
        "effective_parameters": f"{float(found.posterior.effective_parameters):.1f} of {size_of(found.params)}",
    }
    sections = [about_the_evidence(found, task, results)] if options.report else []
    files = write_model(task, model, options, results, picture(found, model, task, results), sections)
    results["files"] = write_record(options, files, results, found.history)
    return Outcome(results, table_of(results, ok=True), True)


def starts_of(task: Task, options: Options) -> list[js.Params]:
    (n_h, n_x), n_y = task.start.W1.shape, len(task.start.W2)
    return [
        js.init(key, n_x, n_h, n_y, hidden=options.hidden, output=task.start.output, dtype=options.precision,
                scale=weight_scale(options.scale))
        for key in jax.random.split(jax.random.key(options.seed), STARTS)
    ]  # fmt: skip


def unscaled(posterior: js.Posterior, task: Task) -> js.Gaussian:
    """Its error bars for raw features and targets."""
    return posterior.unscaled(task.scalings.get("features"), task.scalings.get("targets"))


def picture(found: js.Evidence, model: js.Gaussian, task: Task, results: dict[str, Any]) -> reporting.Picture:
    """The evidence of each weight decay; beside it the curve or the boundary, where there is one to see."""
    dataset, (X, Y), _ = task.split
    if len(X) == 1 and model.params.task == "regression" and len(Y) == 1:
        drawing, (left, right) = plots.figure(1, 2)
        plots.error_band(left, model, X, Y, names=(dataset.feature_names[0], dataset.target or "y"))
        left.set_title(f"{results['network']}: R² {results['train']['R2']:.3f}", loc="left", fontsize=10)
        shows = "The curve with its error band, and the evidence for each weight decay"
    else:
        drawing, right = beside_boundary(dataset, model.params, (X, Y), results)
        shows = "The evidence for each weight decay"
    plots.evidence(right, found.history.l2, found.history.log_evidence, found.l2)
    return reporting.Picture("evidence", drawing, shows)


def about_the_evidence(found: js.Evidence, task: Task, results: dict[str, Any]) -> reports.Html:
    """The numbers, and the examples that matter most."""
    (X, Y), (_, Y_raw) = task.train, task.split.train
    judges, some = spread(X.shape[1], JUDGES), spread(X.shape[1], TRAINED_AGAIN)
    asked = np.concatenate([judges, some])
    changes = np.asarray(js.influence(found.posterior, X, Y, X[:, asked], Y[:, asked]), float)
    of_others = judges[:, None] != np.arange(X.shape[1])
    effect = (changes[: len(judges)] * of_others).sum(axis=0) / np.maximum(of_others.sum(axis=0), 1)
    most = np.argsort(-abs(effect))[:MOST_INFLUENTIAL]
    rows = [[int(k) + 1, target_in_words(found.params, task, Y_raw[:, k]), f"{effect[k]:+.3g}"] for k in most]
    numbers = [[name.replace("_", " "), shown] for name in ("l2", "noise", "log_evidence", "effective_parameters")
               if (shown := results[name]) is not None]  # fmt: skip
    return reports.section(
        "How sure is it?",
        "The weight decay and the noise are those of the highest evidence, log p(targets); the data determine the "
        "effective parameters, and the weight decay the others.",
        reports.table([["", ""], *([name, in_words(value)] for name, value in numbers)]),
        "The examples that matter most. Without one of them, the loss of the others would change by so much on "
        "average: up where it helps, down where it harms, as a wrong label does.",
        reports.table([["training example", "target", "change of the loss"], *rows]),
        *reporting.shown([leaving_out(found, X, Y, some, changes[np.arange(len(judges), len(asked)), some])]),
    )


def spread(m: int, n: int) -> np.ndarray:
    """At most n of m examples, evenly spread."""
    return np.unique(np.linspace(0, m - 1, min(n, m)).astype(int))


def target_in_words(params: js.Params, task: Task, y: np.ndarray) -> str:
    """A label, or numbers."""
    if params.task in ONE_CLASS:
        return str(task.split.dataset.labels[int(plots.classes_of(params, y[:, None])[0])])
    return " ".join(f"{value:.6g}" for value in y)


def leaving_out(
    found: js.Evidence, X: np.ndarray, Y: np.ndarray, some: np.ndarray, one_step: np.ndarray
) -> reporting.Picture:
    """Is it so? Some examples, for which networks are trained again, against what one step says of their losses."""
    networks = js.trained_without(found.params, X, Y, some.tolist(), l2=found.l2)
    X, Y = X[:, some], Y[:, some]
    with_all = np.asarray(js.losses(found.params, X, Y))
    changes = [js.losses(network, X, Y)[k].item() - with_all[k] for k, network in enumerate(networks)]
    shows = f"Is it so? For {len(some)} examples, networks were trained again without them"
    return reporting.picture("leaving_out", shows, plots.foretold, one_step, changes)
