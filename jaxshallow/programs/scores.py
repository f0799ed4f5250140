"""How good a network is on some examples."""

from __future__ import annotations

import numpy as np

import jaxshallow as js
from jaxshallow.bounded import bounded_jit
from jaxshallow.network import score_of
from jaxshallow.programs.examples import Examples

FORMATS = {"cost": ".6f", "accuracy": ".2%", "R2": ".4f"}
# By themselves they run a dozen programs each.
cost, forward = bounded_jit(js.cost), bounded_jit(js.forward)


def cost_of(params: js.Params, examples: Examples, l2: float = 0.0) -> float:
    return float(cost(params, *examples, l2=l2))


def score(params: js.Params, examples: Examples) -> dict[str, float]:
    """The score under its name: accuracy or R²."""
    X, Y = examples
    A2 = np.asarray(forward(params, X).A2, np.float64)  # in float32 an accuracy of 0.95 would print as 0.949999988
    return {"R2" if params.task == "regression" else "accuracy": float(score_of(params, A2, Y))}


def described(found: dict[str, float]) -> str:
    """Costs and scores as text, such as "cost 0.217504, accuracy 90.50%"."""
    return ", ".join(f"{name} {value:{FORMATS[name]}}" for name, value in found.items())
