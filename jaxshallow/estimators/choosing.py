"""NumPy or JAX? NumPy where it has trained the networks before JAX would have compiled anything.

JAX compiles for most of a second, however small the network, and NumPy trains it as fast as scikit-learn does, or up to
three times as fast. Shapes and settings decide, and nothing that is measured when it runs: on another day, and on
another machine, the networks are the same.

`partial_fit` chooses as `fit` would on the rows of the first call, since many calls will follow, and stays with it. So
the dtype does not change from call to call, nor is a program compiled for a last, shorter part of the rows.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxshallow import in_numpy
from jaxshallow.estimators.examples import Data
from jaxshallow.estimators.settings import Recipe

# In seconds of one core of a server (AMD EPYC). NumPy's were measured in float64; it takes 0.6 to 1.1 of the estimate.
COMPILING = 0.7  # what is to be compiled for a fit, at the least
STEP = 4.5e-5  # of a network with a few units: some 40 calls of NumPy
MULTIPLICATION = 1 / 5e9  # forward, and backward again
ACTIVATION = 32  # multiplications take as long as one activation with its derivative


def is_for_numpy(recipes: Sequence[Recipe], data: Data, runs: int = 1) -> bool:
    """Whether the networks of these recipes should be trained in NumPy.

    Args:
        recipes: of equal `settings`.
        data: what they train on.
        runs: how many trainings will share what JAX compiles, such as the folds of a search.
    """
    params, output = recipes[0].params, data.output
    if params["bagging"] or params["solver"] == "lm" or str(params["device"] or "cpu").partition(":")[0] != "cpu":
        return False
    configs = [recipe.config(0) for recipe in recipes]
    if any(in_numpy.Formula.of(config["hidden"], output) is None for config in configs):
        return False
    (m, n_x), n_y = data.examples.X.shape, data.examples.Y.shape[1]
    forward_alone = 0 if data.validation is None else len(data.validation.X)
    units = sum(config["n_h"] for config in configs)
    steps = len(configs) * recipes[0].steps(m)
    epoch = steps * STEP + (m + forward_alone / 3) * units * (n_x + n_y + ACTIVATION) * MULTIPLICATION
    return runs * params["max_iter"] * params["n_members"] * epoch < COMPILING
