"""alpha="evidence": the weight decay by `fit_evidence`, and the error bars that come with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import jax
import numpy as np

from jaxshallow.bayes import Evidence, Gaussian, fit_evidence, laplace
from jaxshallow.estimators.examples import Data, cast
from jaxshallow.estimators.settings import Recipe, devices, precision
from jaxshallow.estimators.training import beginning
from jaxshallow.forks import refuse_after_fork
from jaxshallow.many.widths import length
from jaxshallow.meshes import no_mesh
from jaxshallow.params import Params
from jaxshallow.training.epochs import State
from jaxshallow.training.scaling import Scaling, fold_scaling, scaling

PART = 2**16  # rows that are predicted at once, at most


class Found(NamedTuple):
    """The networks, the best evidence first, in the units of y.

    Attributes:
        gaussians: with their error bars.
        places: of the networks among those that training began with.
        evidence: of the best, for targets of mean 0 and deviation 1.
        noise: of the best in the units of y, a number or (n_outputs,); None for heads without.
    """

    gaussians: list[Gaussian]
    places: np.ndarray
    evidence: Evidence
    noise: float | np.ndarray | None


def train_by_evidence(recipe: Recipe, data: Data, start: State | None, alpha: float | None) -> Found:
    """Train by L-BFGS, or "lm", which find a minimum, and in the dtype of X.

    Numbers as targets are standardised, since one weight decay is for both layers, and the networks folded back.

    Args:
        recipe: with alpha="evidence".
        data: without validation.
        start: the networks to begin with, in the units of y; None: new ones.
        alpha: to begin with, as `fit_evidence` takes it.
    """
    refuse_after_fork()
    dtype, params = data.examples.X.dtype, recipe.params
    targets = scaling(data.examples.Y.T) if data.output == "identity" else None
    if targets is not None and len(data.examples.X) == 1:
        raise ValueError("alpha='evidence' needs more than 1 sample: from one it cannot tell noise")
    examples, _ = data._replace(examples=data.examples._replace(Y=standardised(data.examples.Y, targets))).columns(
        dtype
    )
    configs = [{**recipe.config(0), "seed": seed} for seed in range(params["n_members"])]
    first = beginning(configs, data, start, dtype)
    if start is not None and targets is not None:
        mean, deviation = targets
        first = [fold_scaling(one, targets=(-mean / deviation, 1 / deviation)) for one in first]

    with precision(dtype), no_mesh(), jax.default_device(devices(params["device"])[0]):
        found = fit_evidence(
            first, examples.X, examples.Y,
            weights=examples.weights, l2=alpha, epochs=params["max_iter"],
            patience=recipe.patience, optimizer="levenberg_marquardt" if params["solver"] == "lm" else "lbfgs",
        )  # fmt: skip
        # The best is that of `fit_evidence`, for which a high evidence is not all.
        best_first = sorted(range(len(first)), key=lambda k: (k != found.best, -found.evidences[k]))
        places = np.array([k for k in best_first if np.isfinite(found.evidences[k])])
        posteriors = [
            found.posterior if k == found.best
            else laplace(found.networks[k], examples.X, examples.Y, l2=found.l2s[k], weights=examples.weights)
            for k in places
        ]  # fmt: skip
        raw = [jax.tree.map(np.asarray, posterior.unscaled(targets=targets)) for posterior in posteriors]
    noise = None if raw[0].noise is None else np.ravel(raw[0].noise)
    return Found(raw, places, found, float(noise[0]) if noise is not None and len(noise) == 1 else noise)


def standardised(Y: np.ndarray, targets: Scaling | None) -> np.ndarray:
    """(n_samples, n_outputs) of mean 0 and deviation 1, if numbers are the targets."""
    if targets is None:
        return Y
    mean, deviation = targets
    return (Y - mean.T) / deviation.T


# ---- predicting ----


def deviations(
    gaussians: Sequence[Gaussian], networks: Sequence[Params], X: np.ndarray, device: str | None
) -> np.ndarray:
    """(n_samples, n_outputs) standard deviation of new targets: of each member, and between the members.

    The rows are taken in parts whose number is filled up, so that few programs are compiled.

    Args:
        gaussians: error bars.
        networks: to have them around: weights may have been assigned.
        X: rows.
        device: where JAX predicts.
    """
    refuse_after_fork()
    members = [replace(gaussian, params=network) for gaussian, network in zip(gaussians, networks, strict=True)]
    dtype, found = networks[0].W1.dtype, []
    with precision(dtype), no_mesh(), jax.default_device(devices(device)[0]):
        for start in range(0, len(X), PART):
            columns = cast("X", X[start : start + PART].T, dtype)
            m = columns.shape[1]
            padded = np.pad(columns, ((0, 0), (0, length(m) - m)))
            means, own = np.array([member.predict(padded) for member in members], np.float64).swapaxes(0, 1)
            found.append(np.sqrt((own**2).mean(axis=0) + means.var(axis=0)).T[:m])
    return np.concatenate(found)
