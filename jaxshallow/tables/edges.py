"""Where the bins of a column of numbers lie: at its quantiles, or where a decision tree would split it."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxshallow.extras import require

NARROWEST = float(np.finfo(np.float32).tiny)  # a bin must have a width in float32, too


def quantile_edges(x: np.ndarray, n_bins: int) -> np.ndarray:
    """Edges of bins that hold about as many values each.

    A value that would fill a bin by itself, such as the 0 of a sum that is mostly 0, is an edge; the other values share
    the other bins. A column with few different values has an edge at each.

    Args:
        x: (m,) the known values of a column.
        n_bins: bins at most.

    Returns:
        Edges, increasing: fewer than two for fewer than two different values.

    Example:
        >>> quantile_edges(np.arange(9.0), 4), quantile_edges(np.array([0, 0, 0, 0, 1, 2, 3, 9.0]), 2)
        (array([0., 2., 4., 6., 8.]), array([0., 1., 9.]))
    """
    values, counts = np.unique(x, return_counts=True)
    if len(values) > n_bins + 1:
        often = counts * n_bins >= len(x)  # fewer than n_bins of them, or there would be no others
        others = np.repeat(values[~often], counts[~often])
        levels = np.linspace(0, 1, n_bins + 1 - int(often.sum()))
        values = np.union1d(values[often], np.quantile(others, levels).astype(x.dtype))
    return well_apart(values)


def tree_edges(x: np.ndarray, y: np.ndarray, n_bins: int, smallest: int = 1) -> np.ndarray:
    """Edges where a decision tree that sees this column alone splits it to predict y.

    The tree lowers the squared error; of classes as one-hot rows that is the Gini impurity.

    Args:
        x: (m,) the known values of a column.
        y: (m,) or (m, n_y) their targets, numbers.
        n_bins: bins at most, the leaves of the tree.
        smallest: the fewest examples in a bin.

    Returns:
        Edges, increasing, halfway between two values; the first and the last are the least and the largest value.

    Raises:
        ImportError: scikit-learn is missing.

    Example:
        >>> x = np.arange(8.0)
        >>> tree_edges(x, x > 4, n_bins=4)
        array([0. , 4.5, 7. ])
    """
    trees = require("sklearn.tree", "sklearn")
    values, ranks = np.unique(x, return_inverse=True)
    if len(values) <= 2:
        return well_apart(values)
    tree: Any = trees.DecisionTreeRegressor(max_leaf_nodes=n_bins, min_samples_leaf=smallest, random_state=0)
    found = tree.fit(ranks[:, None], y).tree_  # it computes in float32, where ranks differ and values need not
    below = np.floor(found.threshold[found.feature >= 0]).astype(int)
    halfway = values[below] + (values[below + 1] - values[below]) / 2
    return well_apart(np.unique([values[0], *halfway, values[-1]]).astype(x.dtype))


def well_apart(edges: np.ndarray) -> np.ndarray:
    """The edges, without those that are too near to the one before them."""
    return edges[np.diff(edges, prepend=-np.inf) >= NARROWEST]
