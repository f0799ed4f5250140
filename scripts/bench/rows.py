"""The rows of the table: what each one measures, at which sizes, and which speeds are claimed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

OURS = "jaxshallow"
LIMIT = "limit: "
ERROR, COVERED = "thousandths of the deviation", "% within"  # of the rows L2 and L4
RMSE, STEPS = "thousandths median rmse", (25, 50, 100, 200, 400, 800)  # of the rows L1
FROM_STARTS = f"{OURS}, fit_many, {STEPS[-1]} steps"  # of the rows L1a and L1b

Times = dict[str, float]  # each contestant's median, in seconds, and the figures that it reports, see `figure`
Run = Callable[[], object]  # does the work once, and returns when it is done
Prepare = Callable[..., Run]  # takes the row's sizes


class Measured(NamedTuple):
    """What a run measures, or has measured by itself.

    Attributes:
        seconds: of the work.
        figures: what the row says beside its times, by unit and name, such as "s compiling" or "MiB at the end".
    """

    seconds: float
    figures: dict[str, float]


class Contestant(NamedTuple):
    """Someone who does a row's work. `group` names the process that runs it."""

    group: str
    prepare: Prepare


@dataclass
class Row:
    """Work that several contestants do.

    Attributes:
        title: the work in words; names of sizes are in braces.
        quick: the sizes for --quick; None leaves the row out, because small sizes would show nothing new.
        full: the sizes that the aims are set for.
        aims: for each claim its name, how to compute its value from the medians, and the aim.
        contestants: by name.
    """

    title: str
    quick: dict[str, Any] | None
    full: dict[str, Any]
    aims: list[tuple[str, Callable[[Times], float], str]]
    contestants: dict[str, Contestant] = field(default_factory=dict)


def best(times: Times, prefix: str) -> float:
    """The shortest time among the contestants whose names start so; NaN if none ran."""
    return min((seconds for name, seconds in times.items() if name.startswith(prefix)), default=float("nan"))


def limit(times: Times) -> float:
    """The sum of the limits: the time that this machine needs for the bare products and activations."""
    return sum(seconds for name, seconds in times.items() if name.startswith(LIMIT)) or float("nan")


def figure(name: str, who: str) -> str:
    """The name of a contestant's figure among the times."""
    return f"{name}, {who}"


def ratio(one: str, other: str) -> Callable[[Times], float]:
    """One of the times or figures as a multiple of the other."""
    return lambda times: times[one] / times[other]


def growth(name: str, who: str) -> tuple[str, Callable[[Times], float], str]:
    """The claim that what a contestant uses does not grow from half-time to the end."""
    first, last = (figure(f"{name} {when}", who) for when in ("at half-time", "at the end"))
    return f"of the {name} at half-time", ratio(last, first), "≤ 1.1"


def faster_than(peer: str) -> Callable[[Times], float]:
    """How many times faster than the peer our best is."""
    return lambda times: best(times, peer) / best(times, OURS)


def sooner_than(peer: str) -> Callable[[Times], float]:
    """How many times sooner the shortest of our runs ends whose median rmse is no higher than the peer's."""

    def value(times: Times) -> float:
        runs = (
            (figure(f"s for {k} steps", FROM_STARTS), figure(f"{RMSE} after {k} steps", FROM_STARTS)) for k in STEPS
        )
        as_low = (times[seconds] for seconds, rmse in runs if times[rmse] <= times[figure(RMSE, peer)])
        return times[peer] / min(as_low, default=float("inf"))

    return value


def over_limit(times: Times) -> float:
    """Our best time as a multiple of the limit."""
    return best(times, OURS) / limit(times)


def rate_of_limit(times: Times) -> float:
    """Our best rate as a fraction of the limit's."""
    return limit(times) / best(times, OURS)


ROWS = {
    "S1": Row(
        "grid of {candidates} × {folds} folds on breast_cancer, default settings",
        quick={"candidates": 4, "folds": 2},
        full={"candidates": 24, "folds": 5},
        aims=[
            (f"× GridSearchCV on all cores, {how}", ratio(f"scikit-learn, {peer}", f"{OURS}, {how}"), aim)
            for how, peer, aim in (("cold", "cold", "≥ 2"), ("cached", "cold", "≥ 3"), ("warm", "warm", "≥ 4"))
        ],
    ),
    "S2": Row(
        "grid of {candidates} × {folds} folds on breast_cancer, Adam, batch 200, at most {epochs} epochs",
        quick={"candidates": 10, "folds": 2, "epochs": 20},
        full={"candidates": 100, "folds": 5, "epochs": 200},
        aims=[("× GridSearchCV on all cores", faster_than("scikit-learn"), "≥ 10")],
    ),
    "S3": Row(
        "{tables} tables of different shapes, one after another: {epochs} epochs and a score",
        quick={"tables": 8, "epochs": 5},
        full={"tables": 100, "epochs": 5},
        aims=[
            ("× MLPClassifier, cold", ratio("scikit-learn", f"{OURS}, cold"), ""),
            ("× MLPClassifier, cached", ratio("scikit-learn", f"{OURS}, cached"), "≥ 1"),
            growth("MiB", f"{OURS}, cold"),
            growth("memory maps", f"{OURS}, cold"),
        ],
    ),
    "W1": Row(
        "2-4-1 tanh, m = 400: {epochs:,} steps of gradient descent",
        quick={"epochs": 10_000},
        full={"epochs": 10_000},
        aims=[("× NumPy", faster_than("NumPy"), "≥ 10"), ("of the activations alone", over_limit, "≤ 1.5")],
    ),
    "W2": Row(
        "20-100-1 relu, Adam, batch 200: {epochs} epochs of {m:,} shuffled rows",
        quick={"m": 51_200, "epochs": 3},
        full={"m": 51_200, "epochs": 10},
        aims=[("× scikit-learn", faster_than("scikit-learn"), "≥ 15")],
    ),
    "W3": Row(
        "784-256-10 relu, m = {m:,}: one gradient",
        quick={"m": 8192, "compile": False},
        full={"m": 8192, "compile": True},
        aims=[("of the rate of the bare products", rate_of_limit, "≥ 0.9")],
    ),
    **{
        name: Row(
            f"{n_x}-64-1 tanh, m = {{m:,}}: one full-batch gradient",
            quick={"n_x": n_x, "m": 500_000},
            full={"n_x": n_x, "m": 10_000_000},
            aims=[
                ("of bare products + tanh", over_limit, "≤ 1.25"),
                ("of these, at default settings", lambda t: t[f"{OURS}, stream"] / limit(t), "≤ 1.5"),
                ("× NumPy", faster_than("NumPy"), "≥ 4.5"),
                ("× PyTorch, whole", faster_than("PyTorch, whole"), "≥ 7"),
                ("× jax.grad, whole", faster_than("jax.grad"), "≥ 4"),
            ],
        )
        for name, n_x in (("W4a", 32), ("W4b", 28))
    },
    "W5a": Row(
        "64-100-10 relu on digits, Adam, batch 200: {networks} networks, {epochs} epochs",
        quick={"problem": "digits", "networks": 16, "epochs": 5},
        full={"problem": "digits", "networks": 64, "epochs": 20},
        aims=[
            ("× scikit-learn on all cores", faster_than("scikit-learn"), ""),
            ("× plain vmap", faster_than("plain vmap"), "≥ 2"),
            ("of the best rate of the bare products", rate_of_limit, "≥ 0.9"),
        ],
    ),
    **{
        name: Row(
            f"{title} tanh, full batch: {{networks}} networks, {{epochs}} epochs",
            quick={"problem": problem, **quick} if quick else None,
            full={"problem": problem, "networks": 1000, "epochs": 100},
            aims=[
                ("× scikit-learn on all cores", faster_than("scikit-learn"), ""),
                ("× plain vmap", faster_than("plain vmap"), "≥ 2"),
                ("of the best rate of the bare products", rate_of_limit, "≥ 0.9"),
            ],
        )
        for name, title, problem, quick in (
            ("W5b", "30-32-1, breast_cancer,", "breast_cancer", {"networks": 100, "epochs": 20}),
            ("W5c", "8-16-1, m = 768,", "random", None),
        )
    },
    **{
        name: Row(
            f"{n_x}-{n_h}-{n_y} relu, m = {{m:,}}: gradient of examples clipped at norm 1",
            quick={"n_x": n_x, "n_h": n_h, "n_y": n_y, "m": 1024},
            full={"n_x": n_x, "n_h": n_h, "n_y": n_y, "m": 4096},
            aims=[
                ("of one plain gradient", ratio(f"{OURS}, clipped", f"{OURS}, plain"), "≤ 1.10"),
                ("× vmap(jax.grad)", lambda t: best(t, "vmap") / t[f"{OURS}, clipped"], aim),
            ],
        )
        for name, n_x, n_h, n_y, aim in (("W6a", 784, 128, 10, "≥ 50"), ("W6b", 20, 64, 1, ""))
    },
    **{
        name: Row(
            f"{title}: {{starts}} starts",
            quick={"problem": problem, "starts": 4} if name == "L1a" else None,
            full={"problem": problem, "starts": 20 if name == "L1a" else 2},
            aims=[
                (f"× {peer}, to no higher an error", sooner_than(peer), aim)
                for peer, aim in (
                    ("MINPACK, SciPy's least_squares", "≥ 2"),
                    ("R's nnet", "≥ 5"),
                    ("scikit-learn, lbfgs", "≥ 20"),
                    ("optimistix, LevenbergMarquardt", "≥ 1"),
                    ("torch-levenberg-marquardt", "≥ 1"),
                )
            ],
        )
        for name, title, problem in (
            ("L1a", "1-10-1 tanh on sin 2x + 0.3 cos 5x, 200 examples", "curve"),
            ("L1b", "10-20-1 tanh regression, 5,000 examples", "table"),
        )
    },
    "L1c": Row(
        "the curve of L1a in a new process: {starts} starts, {steps} steps of ours",
        quick={"starts": 2, "steps": 5},
        full={"starts": 20, "steps": 100},
        aims=[
            *(
                (f"× scikit-learn's lbfgs, {how}", ratio("scikit-learn, lbfgs", f"{OURS}, {how}"), "≥ 1")
                for how in ("cold", "cached")
            ),
            ("of its error", ratio(figure(RMSE, f"{OURS}, cold"), figure(RMSE, "scikit-learn, lbfgs")), "≤ 1"),
        ],
    ),
    **{
        name: Row(
            f"{{n_h}} tanh units, {title}: the weight decay",
            quick={"name": "diabetes", "n_h": 2} if name == "L2a" else None,
            full={"name": table, "n_h": 10},
            aims=[
                (f"× grid search, {how}", ratio("scikit-learn, GridSearchCV", f"{OURS}, {how}"), aim)
                for how, aim in (("evidence", "≥ 10"), ("evidence, 4 starts", ""))
            ]
            + [
                (
                    f"of its error, {how}",
                    ratio(figure(ERROR, f"{OURS}, {how}"), figure(ERROR, "scikit-learn, GridSearchCV")),
                    "≤ 1",
                )
                for how in ("evidence", "evidence, 4 starts")
            ],
        )
        for name, title, table in (
            ("L2a", "diabetes, 442 rows", "diabetes"),
            ("L2b", "concrete, 1,030 rows", "concrete"),
        )
    },
    "L3": Row(
        "10-20-1 tanh, m = {m:,}: a posterior, and 1,000 error bars",
        quick={"m": 200},
        full={"m": 5000},
        aims=[
            ("× laplace-torch", ratio("laplace-torch", f"{OURS}, laplace"), "≥ 5"),
            (
                "of its deviations",
                ratio(*(figure("thousandths mean deviation", who) for who in (f"{OURS}, laplace", "laplace-torch"))),
                "",
            ),
        ],
    ),
    "L4": Row(
        "{n_h} tanh units, by the evidence: held-out targets within the intervals",
        quick={"tables": ["diabetes"], "n_h": 2},
        full={"tables": ["diabetes", "Boston", "concrete", "Sacramento", "CPS1985"], "n_h": 10},
        aims=[],
    ),
    "C1": Row(
        "{n_x}-{n_h}-1 tanh, m = {m:,}: the Hessian times a vector",
        quick={"n_x": 20, "n_h": 64, "m": 10_000},
        full={"n_x": 20, "n_h": 64, "m": 10_000},
        aims=[("of autodiff's best", lambda t: best(t, OURS) / best(t, "jax,"), "≤ 1.3")],
    ),
    "C2": Row(
        "{n_x}-{n_h}-1 tanh, m = {m:,}: the Gauss-Newton matrix",
        quick={"n_x": 20, "n_h": 16, "m": 10_000},
        full={"n_x": 20, "n_h": 64, "m": 10_000},
        aims=[("of the rate of its bare product", rate_of_limit, "≥ 0.6")],
    ),
    "W7": Row(
        "import to first trained step, 20-100-1, m = 1,000, in a new process",
        quick={},
        full={},
        aims=[("s beyond importing jax", lambda t: t[f"{OURS}, warm cache"] - t["import jax alone"], "≤ 0.6")],
    ),
}


def contestant(rows: str, name: str, group: str) -> Callable[[Prepare], Prepare]:
    """Enters `prepare(**sizes) -> run` in some rows.

    The group "jax, all devices" has one JAX device per core, the group "jax" a single one.
    """

    def enter(prepare: Prepare) -> Prepare:
        for row in rows.split():
            ROWS[row].contestants[name] = Contestant(group, prepare)
        return prepare

    return enter
