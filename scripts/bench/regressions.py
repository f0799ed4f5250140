"""Regressions from several starts, and how scikit-learn fits them; without JAX, for which it should not wait."""

from __future__ import annotations

import warnings

import numpy as np


def regression(problem: str) -> tuple[np.ndarray, np.ndarray, int]:
    """X (n_x, m), Y (1, m), both in float64 and standardised, and the hidden units that are to learn it."""
    if problem == "curve":
        x = np.linspace(-3, 3, 200)[None]
        return x / x.std(), np.sin(2 * x) + 0.3 * np.cos(5 * x), 10
    rng = np.random.default_rng(0)
    X = rng.normal(size=(10, 5000))
    Y = np.sin(X[:1] * X[1:2]) + np.tanh(X[2:3] - X[3:4]) + 0.1 * X[4:5] ** 2 + 0.05 * rng.normal(size=(1, 5000))
    return X, (Y - Y.mean()) / Y.std(), 20


def starts_of(problem: str, starts: int) -> list[list[np.ndarray]]:
    """W1, b1, W2 and b2 of each start, the same for all who can be given them."""
    X, _, n_h = regression(problem)
    rng, n_x = np.random.default_rng(1), len(X)
    sizes = [((n_h, n_x), n_x**-0.5), ((n_h, 1), 1.0), ((1, n_h), n_h**-0.5), ((1, 1), 0.0)]
    return [[rng.normal(size=size) * scale for size, scale in sizes] for _ in range(starts)]


def by_scikit_learn(problem: str, seed: int) -> float:
    """The rmse of a start."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor

    X, Y, n_h = regression(problem)
    x, y = np.ascontiguousarray(X.T), Y[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        network = MLPRegressor(
            hidden_layer_sizes=(n_h,), activation="tanh", solver="lbfgs", alpha=0, random_state=seed,
            max_iter=2000, max_fun=30_000, tol=1e-9,
        ).fit(x, y)  # fmt: skip
    return float(np.sqrt(np.mean((network.predict(x) - y) ** 2)))
