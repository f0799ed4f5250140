"""Contestants that fit a regression from many starts by methods of second order (L1).

Each contestant trains every start as far as its own settings take it, with a start in every process or program that the
machine has cores for, and reports the median of the starts' root mean squared errors. We run for fewer and for more
steps: the claims compare a peer with the shortest of our runs that comes as low.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

import jaxshallow as js
from bench.processes import cached, measured
from bench.regressions import by_scikit_learn, regression, starts_of
from bench.rows import FROM_STARTS, OURS, RMSE, STEPS, Measured, Run, contestant

STARTS = "L1a L1b"


def all_starts(fit: Callable[[int], float], starts: int) -> Run:
    """Runs `fit(start) -> rmse` of all starts in joblib's processes, one for each core."""
    from joblib import Parallel, delayed

    def run() -> Measured:
        start = time.perf_counter()
        rmse = Parallel(n_jobs=-1)(delayed(fit)(k) for k in range(starts))
        return Measured(time.perf_counter() - start, {RMSE: 1e3 * float(np.median(rmse))})

    return run


# ---- ours ----


def network_of(W1: Any, b1: Any, W2: Any, b2: Any) -> js.Params:
    return js.Params(W1, b1, W2, b2, hidden="tanh", output="identity")


def fitted(problem: str, starts: int, steps: int) -> float:
    """The median rmse of all starts."""
    X, Y, n_h = regression(problem)
    configs = {"n_h": n_h, "hidden": "tanh", "seed": list(range(starts))}
    first = [network_of(*start) for start in starts_of(problem, starts)]
    with jax.enable_x64(True):
        many = js.fit_many(
            jax.random.key(0), X, Y, configs,
            epochs=steps, optimizer="levenberg_marquardt", output="identity", first=first, dtype=np.float64,
        )  # fmt: skip
    return float(np.median(np.sqrt(2 * many.cost)))


@contestant(STARTS, FROM_STARTS, "jax")
def l1_fit_many(problem: str, starts: int) -> Run:
    """For fewer and for more steps, each from the beginning; its time is that of the most."""

    def run() -> Measured:
        figures = {}
        for steps in STEPS:
            start = time.perf_counter()
            figures[f"{RMSE} after {steps} steps"] = 1e3 * fitted(problem, starts, steps)
            figures[f"s for {steps} steps"] = time.perf_counter() - start
        return Measured(figures[f"s for {STEPS[-1]} steps"], figures)

    return run


# ---- peers ----


@contestant(STARTS, "scikit-learn, lbfgs", "numpy")
def l1_scikit_learn(problem: str, starts: int) -> Run:
    return all_starts(partial(by_scikit_learn, problem), starts)


@contestant(STARTS, "MINPACK, SciPy's least_squares", "numpy")
def l1_minpack(problem: str, starts: int) -> Run:
    """Levenberg-Marquardt of 1980, with the same Jacobian, written in NumPy."""
    from scipy.optimize import least_squares

    X, Y, n_h = regression(problem)
    (n_x, m), first = X.shape, starts_of(problem, starts)
    evaluations = 200 if problem == "curve" else 50  # of which each takes half a second on the table

    def parts(θ: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        W1, b1, W2, b2 = np.split(θ, np.cumsum([n_h * n_x, n_h, n_h]))
        return W1.reshape(n_h, n_x), b1[:, None], W2, b2

    def residuals(θ: np.ndarray) -> np.ndarray:
        W1, b1, W2, b2 = parts(θ)
        return W2 @ np.tanh(W1 @ X + b1) + b2 - Y[0]

    def jacobian(θ: np.ndarray) -> np.ndarray:
        W1, b1, W2, _ = parts(θ)
        A1 = np.tanh(W1 @ X + b1)
        δ = W2[:, None] * (1 - A1**2)
        rows = (δ[:, None] * X).reshape(-1, m), δ, A1, np.ones((1, m))
        return np.concatenate(rows).T

    def fit(k: int) -> float:
        θ = np.concatenate([one.ravel() for one in first[k]])
        found = least_squares(residuals, θ, jacobian, method="lm", max_nfev=evaluations)
        return float(np.sqrt(np.mean(found.fun**2)))

    return all_starts(fit, starts)


NNET = """
library(nnet)
library(parallel)
table <- read.csv("{folder}/table.csv")
fit <- function(seed) {{
  set.seed(seed)
  network <- nnet(y ~ ., table, size = {n_h}, linout = TRUE, maxit = 2000, trace = FALSE, abstol = 0, reltol = 1e-10)
  sqrt(mean((predict(network) - table$y)^2))
}}
start <- proc.time()[["elapsed"]]
rmse <- unlist(mclapply(1:{starts}, fit, mc.cores = detectCores()))
cat(proc.time()[["elapsed"]] - start, median(rmse))
"""


@contestant(STARTS, "R's nnet", "numpy")
def l1_nnet(problem: str, starts: int) -> Run:
    """BFGS, timed inside R. Its units are logistic, which is tanh in other coordinates."""
    if not shutil.which("Rscript"):
        raise RuntimeError("there is no R here: apt-get install r-cran-nnet")
    X, Y, n_h = regression(problem)
    folder = tempfile.TemporaryDirectory()
    header = ",".join([*(f"x{k}" for k in range(len(X))), "y"])
    np.savetxt(f"{folder.name}/table.csv", np.concatenate([X, Y]).T, delimiter=",", header=header, comments="")
    script = Path(folder.name) / "fit.R"
    script.write_text(NNET.format(folder=folder.name, n_h=n_h, starts=starts))

    def run() -> Measured:
        assert folder  # kept as long as this function
        found = subprocess.run(["Rscript", str(script)], capture_output=True, text=True, check=True)
        seconds, rmse = map(float, found.stdout.split())
        return Measured(seconds, {RMSE: 1e3 * rmse})

    return run


@contestant(STARTS, "optimistix, LevenbergMarquardt", "jax, optimistix")
def l1_optimistix(problem: str, starts: int) -> Run:
    """All starts in one compiled program, as its users do it."""
    import jax.numpy as jnp
    import optimistix as optx

    X, Y, _ = regression(problem)
    with jax.enable_x64(True):
        x, y = jnp.asarray(X), jnp.asarray(Y)
        first = [jnp.stack(leaves) for leaves in zip(*starts_of(problem, starts), strict=True)]
    solver: Any = optx.LevenbergMarquardt(rtol=1e-9, atol=1e-9)

    def residuals(θ: Any, _: Any) -> jax.Array:
        W1, b1, W2, b2 = θ
        return (W2 @ jnp.tanh(W1 @ x + b1) + b2 - y)[0]

    def fit(θ: Any) -> jax.Array:
        found = optx.least_squares(residuals, solver, θ, max_steps=200, throw=False).value
        return jnp.sqrt(jnp.mean(residuals(found, None) ** 2))

    fit_all = jax.jit(jax.vmap(fit))

    def run() -> Measured:
        start = time.perf_counter()
        with jax.enable_x64(True):
            rmse = np.asarray(fit_all(first))
        return Measured(time.perf_counter() - start, {RMSE: 1e3 * float(np.median(rmse))})

    return run


@contestant(STARTS, "torch-levenberg-marquardt", "torch")
def l1_torch(problem: str, starts: int) -> Run:
    """One start after another; its products use all cores."""
    import torch
    import torch_levenberg_marquardt as tlm

    X, Y, n_h = regression(problem)
    x, y = torch.from_numpy(np.ascontiguousarray(X.T)), torch.from_numpy(np.ascontiguousarray(Y.T))

    def fit(start: list[np.ndarray]) -> float:
        net = torch.nn.Sequential(torch.nn.Linear(len(X), n_h), torch.nn.Tanh(), torch.nn.Linear(n_h, 1)).double()
        W1, b1, W2, b2 = start
        for parameter, value in zip(net.parameters(), (W1, b1[:, 0], W2, b2[:, 0]), strict=True):
            parameter.data = torch.from_numpy(value.copy())
        module = tlm.training.LevenbergMarquardtModule(model=net, loss_fn=tlm.loss.MSELoss())
        for _ in range(200):
            module.training_step(x, y)
        with torch.no_grad():
            return float(torch.sqrt(torch.mean((net(x) - y) ** 2)))

    first = starts_of(problem, starts)

    def run() -> Measured:
        start = time.perf_counter()
        rmse = [fit(one) for one in first]
        return Measured(time.perf_counter() - start, {RMSE: 1e3 * float(np.median(rmse))})

    return run


# ---- L1c: the same curve in a new process ----


@contestant("L1c", f"{OURS}, cold", "new processes")
def l1c_cold(starts: int, steps: int) -> Run:
    return lambda: measured("starts_program", library=OURS, starts=starts, steps=steps)


@contestant("L1c", f"{OURS}, cached", "new processes")
def l1c_cached(starts: int, steps: int) -> Run:
    return cached("starts_program", library=OURS, starts=starts, steps=steps)


@contestant("L1c", "scikit-learn, lbfgs", "new processes")
def l1c_scikit_learn(starts: int, steps: int) -> Run:
    return lambda: measured("starts_program", library="scikit-learn", starts=starts, steps=steps)
