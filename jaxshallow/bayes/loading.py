"""`load_posterior`: what `save` kept of a posterior."""

from __future__ import annotations

import os

from jaxshallow import store
from jaxshallow.bayes.posterior import Gaussian


def load_posterior(path: str | os.PathLike[str]) -> Gaussian:
    """Read a network with its error bars, as `save(path, posterior)` wrote it. `load` reads the network alone.

    Args:
        path: the file.

    Returns:
        `Gaussian`, which predicts as the posterior did.

    Raises:
        FileNotFoundError, ImportError: as `load`.
        ValueError: as `load`; or the file holds a network without error bars.

    Example:
        >>> import tempfile
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxshallow import fit, init, laplace, levenberg_marquardt, save
        >>> X = jnp.linspace(-2.0, 2.0, 50)[None]
        >>> Y = jnp.sin(2 * X) + 0.1 * jax.random.normal(jax.random.key(1), X.shape)
        >>> params = init(jax.random.key(0), n_x=1, n_h=4, hidden="tanh", output="identity", scale=1.0)
        >>> trained = fit(params, X, Y, optimizer=levenberg_marquardt(), epochs=200, l2=0.01).params
        >>> posterior = laplace(trained, X, Y, l2=0.01)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save(f"{folder}/curve.safetensors", posterior)
        ...     again = load_posterior(f"{folder}/curve.safetensors")
        >>> bool((again.predict(X)[1] == posterior.predict(X)[1]).all())
        True
    """
    gaussian = gaussian_of(store.load_all(path))
    if gaussian is None:
        raise ValueError(f"{os.fspath(path)} holds a network without error bars: save(path, laplace(...)) keeps them")
    return gaussian


def gaussian_of(saved: store.Saved) -> Gaussian | None:
    """The network with its error bars, if the file held them."""
    if not saved.error_bars:
        return None
    return Gaussian(saved.params, saved.error_bars["root"], saved.error_bars.get("noise"))
