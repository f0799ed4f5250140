"""The course's exercise, "Planar data classification with one hidden layer": its published results beside ours."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

import jaxshallow as js
from jaxshallow import data, plots
from jaxshallow.programs.extra import needs_scripts
from jaxshallow.programs.options import RunOptions
from jaxshallow.programs.running import Outcome
from jaxshallow.programs.scores import score

with needs_scripts():
    from rich.table import Table

COURSE_COSTS = (0.693048, 0.288083, 0.254385, 0.233864, 0.226792, 0.222644, 0.219731, 0.217504)
COURSE_ACCURACIES = {1: 67.5, 2: 67.25, 3: 90.75, 4: 90.5, 5: 91.25}


def course_start(n_h: int) -> js.Params:
    """The exercise's own first weights: NumPy's legacy generator, seed 2, times 0.01, W1 before W2."""
    random = np.random.RandomState(2)
    W1, W2 = jnp.asarray(random.randn(n_h, 2) * 0.01), jnp.asarray(random.randn(1, n_h) * 0.01)
    return js.Params(W1, jnp.zeros((n_h, 1)), W2, jnp.zeros((1, 1)), hidden="tanh")


def run_course(options: RunOptions) -> Outcome:
    """The published costs and accuracies beside ours, and a picture of the decision boundaries."""
    X, Y = data.flower()
    drawing, axes = plots.figure(2, 3, size=(4.2, 3.6))
    history = js.fit(course_start(4), X, Y, learning_rate=1.2, epochs=8000).history
    costs = np.asarray(history.cost)[::1000]
    rows = [
        (f"cost at iteration {1000 * i}", f"{p:.6f}", f"{c:.6f}")
        for i, (p, c) in enumerate(zip(COURSE_COSTS, costs, strict=True))
    ]
    accuracies = {}
    for ax, (n_h, published) in zip(axes, COURSE_ACCURACIES.items(), strict=False):
        params = js.fit(course_start(n_h), X, Y, learning_rate=1.2, epochs=5000).params
        accuracies[n_h] = 100 * score(params, (X, Y))["accuracy"]
        rows.append((f"accuracy with n_h = {n_h}", f"{published:.2f} %", f"{accuracies[n_h]:.2f} %"))
        plots.decision_boundary(ax, params, X, Y)
        ax.set_title(f"n_h = {n_h}: {accuracies[n_h]:.2f} %", loc="left", fontsize=10)
    plots.learning_curves(axes[-1], history)
    axes[-1].plot(np.arange(8) * 1000 + 1, COURSE_COSTS, "o", color=plots.COLOURS[4], label="published, n_h = 4")
    axes[-1].legend(frameon=False)
    files = list(map(str, plots.save(drawing, options.out / "course")))

    table = Table("", "published", "ours", "", title="The course's exercise, in float64", title_justify="left")
    for title, printed, found in rows:
        table.add_row(title, printed, found, "equal" if printed == found else "[red]DIFFERS[/]")
    table.add_row("written", "\n".join(files), "", "")
    results = {"costs": costs.tolist(), "accuracies": accuracies, "files": files}
    return Outcome(results, table, all(printed == found for _, printed, found in rows))
