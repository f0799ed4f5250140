"""How good is a network on some examples?"""

from __future__ import annotations

import numpy as np

import jaxshallow as js
from jaxshallow import plots
from jaxshallow.programs.examples import Examples

FORMATS = {"cost": ".6f", "accuracy": ".2%", "R2": ".4f"}


def cost_of(params: js.Params, examples: Examples, l2: float = 0.0) -> float:
    return float(js.cost(params, *examples, l2=l2))


def score(params: js.Params, examples: Examples) -> dict[str, float]:
    """Accuracy (of labels) or R² (of numbers)."""
    X, Y = examples
    if params.output == "identity":
        error = np.asarray(js.predict(params, X), np.float64) - Y
        missed, spread = (error**2).sum(), ((Y - Y.mean(axis=1, keepdims=True)) ** 2).sum()
        return {"R2": float(1 - missed / spread) if spread else float(missed == 0)}  # as scikit-learn has it
    return {"accuracy": float((np.asarray(js.predict(params, X)) == plots.classes_of(params, Y)).mean())}


def described(found: dict[str, float]) -> str:
    """Costs and scores as words, such as "cost 0.217504, accuracy 90.50%"."""
    return ", ".join(f"{name} {value:{FORMATS[name]}}" for name, value in found.items())
