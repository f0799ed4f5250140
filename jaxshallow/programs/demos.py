"""The notes' two questions, answered by experiment: what if all weights start at zero, and why 0.01?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxshallow as js
from jaxshallow import data, plots
from jaxshallow.programs.extra import needs_scripts
from jaxshallow.programs.options import RunOptions
from jaxshallow.programs.running import Outcome
from jaxshallow.programs.scores import cost_of, score

with needs_scripts():
    from rich.table import Table


def run_symmetry(options: RunOptions) -> Outcome:
    """What if all weights start equal? Then all hidden units compute the same thing forever."""
    X, Y = data.flower()
    key = jax.random.key(options.seed)
    random = js.init(key, 2, 4, hidden="tanh", dtype=options.precision)
    starts = {
        "zero weights": js.init(key, 2, 4, hidden="tanh", scale=0.0, dtype=options.precision),
        "equal weights, 0.5": jax.tree.map(lambda leaf: leaf * 0 + 0.5, random),
        "random weights × 0.01": random,
    }
    title = "Symmetry: 2-4-1, 2000 iterations"
    table = Table("start", "units differ by", "cost", "accuracy", title=title, title_justify="left")
    drawing, axes = plots.figure(1, 3, size=(4.0, 3.4))
    results: dict[str, Any] = {}
    for ax, (name, params) in zip(axes, starts.items(), strict=True):
        trained, paths = with_paths(params, X, Y)
        spread = float(np.ptp(np.asarray(trained.W1, np.float64), axis=0).max())
        found = {"cost": cost_of(trained, (X, Y)), **score(trained, (X, Y))}
        results[name] = {"spread": spread, **found}
        table.add_row(name, f"{spread:.3g}", f"{found['cost']:.4f}", f"{found['accuracy']:.1%}")
        iterations = np.linspace(0, 2000, len(paths))
        for unit, path in enumerate(paths.T):
            ax.plot(iterations, path, lw=6 - 1.5 * unit, label=f"unit {unit + 1}")
        ax.set_title(f"{name}: accuracy {found['accuracy']:.1%}", loc="left", fontsize=10)
        ax.set(xlabel="iteration", ylabel="first weight of each hidden unit")
    axes[-1].legend(frameon=False, loc="center right")
    files = list(map(str, plots.save(drawing, options.out / "symmetry")))
    table.caption = f"Units that start equal stay equal, to the last bit. Pictures: {', '.join(files)}"
    identical = results["zero weights"]["spread"] == 0 and results["equal weights, 0.5"]["spread"] == 0
    ok = identical and results["random weights × 0.01"]["spread"] > 0
    return Outcome({**results, "files": files}, table, ok)


def with_paths(params: js.Params, X: np.ndarray, Y: np.ndarray) -> tuple[js.Params, np.ndarray]:
    """The network after 2000 iterations, and (reports, n_h) the path of each unit's first weight."""
    paths = [np.asarray(params.W1)[:, 0]]

    def record(result: js.FitResult) -> None:
        paths.append(np.asarray(result.params.W1)[:, 0])

    result = js.fit(params, X, Y, learning_rate=1.2, epochs=2000, callback=record)
    return result.params, np.array(paths, np.float64)


def run_scale(options: RunOptions) -> Outcome:
    """Why 0.01? A large W1 makes |Z1| large; tanh saturates, g′ vanishes, and learning stalls.

    Shows the median of 20 starts, trained at once with vmap: a single start may be lucky.
    """
    title = "Scale of W1: 2-4-1, 2000 iterations, median of 20 starts"
    table = Table("scale", "mean g′(Z1) at the start", "cost", "accuracy", title=title, title_justify="left")
    drawing, (left, right) = plots.figure(1, 2)
    results: dict[str, Any] = {}
    for scale in (0.01, 1.0, 10.0, 100.0):
        slopes, costs, accuracies = trained_at(scale, options)
        low, cost, high = np.quantile(costs, (0.25, 0.5, 0.75), axis=0)
        found = {"slope": np.median(slopes).item(), "cost": cost[-1].item(), "accuracy": np.median(accuracies).item()}
        results[f"{scale:g}"] = found
        table.add_row(f"{scale:g}", f"{found['slope']:.4f}", f"{found['cost']:.4f}", f"{found['accuracy']:.1%}")
        iterations = np.arange(1, len(cost) + 1)
        left.plot(iterations, cost, label=f"scale {scale:g}")
        left.fill_between(iterations, low, high, alpha=0.2)
    left.set(xlabel="iteration", ylabel="cost J, median and quartiles", ylim=(0.2, 1.0))
    left.legend(frameon=False)
    right.bar(list(results), [found["slope"] for found in results.values()], color=plots.COLOURS[:4])
    right.set(xlabel="scale of W1", ylabel="mean g′(Z1) at the start")
    files = list(map(str, plots.save(drawing, options.out / "scale")))
    table.caption = f"A saturated unit has g′ ≈ 0: its weights hardly move. Pictures: {', '.join(files)}"
    ok = results["100"]["cost"] > results["0.01"]["cost"] and results["100"]["slope"] < results["0.01"]["slope"]
    return Outcome({**results, "files": files}, table, ok)


def trained_at(scale: float, options: RunOptions) -> list[np.ndarray]:
    """For 20 starts with W1 of that scale: (20,) mean g′(Z1) at the start, (20, 2000) costs, (20,) accuracies."""
    X, Y = (jnp.asarray(array, options.precision) for array in data.flower())

    def one(key: jax.Array) -> tuple[Any, Any, Any]:
        params = js.init(key, 2, 4, hidden="tanh", dtype=options.precision)
        params = replace(params, W1=params.W1 * (scale / 0.01))
        slope = (1 - js.forward(params, X).A1 ** 2).mean()
        result = js.fit(params, X, Y, learning_rate=1.2, epochs=2000)
        return slope, result.history.cost, (js.predict(result.params, X) == Y[0].astype(int)).mean()

    keys = jax.random.split(jax.random.key(options.seed), 20)
    return [np.asarray(array, np.float64) for array in jax.jit(jax.vmap(one))(keys)]


DEMOS: dict[str, Callable[[RunOptions], Outcome]] = {"symmetry": run_symmetry, "scale": run_scale}
