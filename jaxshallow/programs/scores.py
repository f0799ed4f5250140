"""How good is a network on some examples?"""

from __future__ import annotations

import jaxshallow as js
from jaxshallow.programs.examples import Examples

FORMATS = {"cost": ".6f", "accuracy": ".2%", "R2": ".4f"}


def cost_of(params: js.Params, examples: Examples, l2: float = 0.0) -> float:
    return float(js.cost(params, *examples, l2=l2))


def score(params: js.Params, examples: Examples) -> dict[str, float]:
    """The score under its name: accuracy or R²."""
    return {"R2" if params.task == "regression" else "accuracy": float(js.score(params, *examples))}


def described(found: dict[str, float]) -> str:
    """Costs and scores as words, such as "cost 0.217504, accuracy 90.50%"."""
    return ", ".join(f"{name} {value:{FORMATS[name]}}" for name, value in found.items())
