"""The first weights, drawn in NumPy, so that a network is the same in whatever way it is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxshallow.params import Params


def first_params(config: Mapping[str, Any], n_x: int, n_y: int, output: str, seed: int, dtype: Any) -> Params:
    """The network of a config before its first step, in NumPy: weights and biases as scikit-learn draws them.

    Each layer is uniform within ±√(6 / (units before + units behind)), of Glorot and Bengio (2010), or ±√(2 / ...) for
    the sigmoid. The numbers depend on `seed` and the config's own, and but for rounding not on the dtype.

    Args:
        config: n_h, hidden and seed of the network.
        n_x, n_y, output: of all networks.
        seed: of the data.
        dtype: of the parameters.
    """
    rng = np.random.default_rng([seed, config["seed"]])
    factor = 2 if config["hidden"] == "sigmoid" else 6

    def layer(n_in: int, n_out: int) -> list[Any]:
        bound = np.sqrt(factor / (n_in + n_out))
        return [rng.uniform(-bound, bound, shape).astype(dtype) for shape in ((n_out, n_in), (n_out, 1))]

    W1, b1 = layer(n_x, config["n_h"])
    W2, b2 = layer(config["n_h"], n_y)
    return Params(W1, b1, W2, b2, hidden=config["hidden"], output=output)
