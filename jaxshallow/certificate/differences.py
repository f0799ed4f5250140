"""The reference itself, compared with finite differences of its cost."""

from __future__ import annotations

import time
from typing import Any

import jax
import numpy as np

from jaxshallow.certificate.bounds import Arithmetic, Bounded
from jaxshallow.certificate.reference import Reference
from jaxshallow.certificate.rows import Row, figures_of
from jaxshallow.params import Params

DIFFERENCE_EXAMPLES, DIFFERENCE_ENTRIES = 64, 25


def finite_differences(params: Params, X: Any, Y: Any, weights: Any, l2: Any) -> Row:
    """The reference's gradient against central differences of its cost, for up to 25 entries of each array.

    By the mean value theorem a central difference is the derivative somewhere within ±h, so it is within the
    gradient's bound for parameters uncertain by h, and the rounding of the two costs over 2 h. Kinks are included.
    """
    start = time.perf_counter()
    h = 1e-7
    if params.output == "softmax":
        Y = np.asarray(Y, np.float64)
        Y = Y / Y.sum(axis=0)  # dZ2 = A2 − Y is the derivative where Y sums to 1; in its dtype, it only nearly does
    arithmetic = Arithmetic(2**-53, 2**-53, 2**-53, float(np.finfo(np.float64).tiny))
    gradient = Reference(params, X, Y, weights, l2, arithmetic, spread=h)
    leaves, structure = jax.tree.flatten(jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params))
    places = [
        (i, j)
        for i, leaf in enumerate(leaves)
        for j in np.linspace(0, leaf.size - 1, min(leaf.size, DIFFERENCE_ENTRIES)).round().astype(int)
    ]

    def cost_at(i: int, j: int, step: float) -> tuple[Bounded, float]:
        moved = [leaf.copy() for leaf in leaves]
        moved[i].flat[j] += step * max(1, abs(leaves[i].flat[j]))
        at = moved[i].flat[j] - leaves[i].flat[j]  # what the addition really moved
        return Reference(jax.tree.unflatten(structure, moved), X, Y, weights, l2, arithmetic).J, at

    found = []
    for i, j in places:
        expected = (gradient.dW1, gradient.db1, gradient.dW2, gradient.db2)[i]
        (above, up), (below, down) = cost_at(i, j, h), cost_at(i, j, -h)
        slope = (above.value - below.value).item() / (up - down)
        bound = expected.error.flat[j] + (above.error + below.error).item() / (up - down)
        found.append((slope, expected.value.flat[j], bound))
    slopes, expected, bounds = np.array(found).T
    ulps, relative_error, of_bound = figures_of(abs(slopes - expected), expected, bounds, params.W1.dtype)
    return Row(
        quantity="gradient",
        execution="finite differences",
        mode="NumPy",
        precision="float64",
        n_examples=X.shape[1],
        ulps=float(ulps),
        relative_error=float(relative_error),
        of_bound=float(of_bound),
        holds=bool(of_bound <= 1),
        seconds=time.perf_counter() - start,
    )
