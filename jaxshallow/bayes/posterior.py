"""`Posterior`: the Gaussian around a trained network, and what it predicts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxshallow.bayes import predictive
from jaxshallow.params import Params
from jaxshallow.tiles import stream
from jaxshallow.tiles.jacobians import tile_of_jacobians


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Posterior:
    """What `laplace` returns: the parameters are Gaussian around those of the trained network. A pytree.

    Attributes:
        params: the trained network, the mean.
        root: R, (P, P), with RᵀR = A⁻¹, the covariance of the P parameters in the order of
            `jax.flatten_util.ravel_pytree`: W1, b1, W2, b2.
        l2: strength of the weight decay, as in `cost`.
        noise: standard deviation of the noise of Y for identity; None for other heads.
        log_evidence: log p(Y | X, l2, noise, n_h), by which these can be compared.
        effective_parameters: γ, how many parameters the data determine, below P. The others follow the prior.
        next_l2: the l2 of MacKay's next update. Where it is l2, the evidence is the highest.
    """

    params: Params
    root: Array
    l2: Array
    noise: Array | None
    log_evidence: Array
    effective_parameters: Array
    next_l2: Array

    @property
    def β(self) -> Array:
        """The precision of the noise, by which the cost is an energy; 1 for heads without noise."""
        return jnp.ones((), self.root.dtype) if self.noise is None else 1 / self.noise**2

    def predict(self, X: ArrayLike, *, include_noise: bool = True) -> tuple[Array, Array]:
        """Mean and standard deviation of new targets, for the heads "identity" and "exp".

        Args:
            X: (n_x, m) examples as columns, a million if need be: they are taken in tiles.
            include_noise: whether the deviation is that of new data, as in scikit-learn's `return_std`. False: that of
                what the network itself knows, without noise (identity), of the rate (exp).

        Returns:
            Two arrays (n_y, m). For exp the mean is that of the rate exp(z2) over the posterior, above `forward`'s A2.

        Raises:
            ValueError, TypeError: X is not (n_x, m) floating-point numbers, or the network predicts classes.
        """
        if self.params.task != "regression":
            raise ValueError(f"predict is for numbers: for output={self.params.output!r} use predict_proba")
        if self.noise is None:
            return self._in_tiles(predictive.counts, X, noise=jnp.asarray(float(include_noise), self.root.dtype))
        return self._in_tiles(predictive.numbers, X, noise=self.noise * include_noise)

    def predict_proba(self, X: ArrayLike) -> Array:
        """Probabilities for the heads "sigmoid" and "softmax": the mean of A2 over the posterior.

        Where the network is unsure they lie nearer to chance than `forward`'s A2 ("moderated", MacKay 1992).

        Args:
            X: (n_x, m) examples as columns, in tiles as in `predict`.

        Returns:
            (n_y, m).

        Raises:
            ValueError, TypeError: X is not (n_x, m) floating-point numbers, or the network predicts numbers.
        """
        if self.params.task == "regression":
            raise ValueError(f"predict_proba is for classes: for output={self.params.output!r} use predict")
        softmax = self.params.output == "softmax"
        return self._in_tiles(predictive.class_probabilities if softmax else predictive.probabilities, X)

    def _in_tiles(self, columns: Callable[..., Any], X: ArrayLike, **options: Array) -> Any:
        return stream(columns, tile_of_jacobians(self.params))(self.params, X, root=self.root, **options)
