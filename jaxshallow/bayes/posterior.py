"""`Gaussian`: what is known of a network, and what it predicts; `Posterior`: the one that `laplace` finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree
from jax.typing import ArrayLike

from jaxshallow.bayes import predictive
from jaxshallow.params import Params
from jaxshallow.tiles import stream
from jaxshallow.tiles.jacobians import tile_of_jacobians
from jaxshallow.training.scaling import Scaling, fold_scaling


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Gaussian:
    """The parameters are Gaussian around those of a trained network: enough to predict with error bars. A pytree.

    Attributes:
        params: the trained network, the mean.
        root: R, (P, P), with RᵀR = A⁻¹, the covariance of the P parameters in the order of
            `jax.flatten_util.ravel_pytree`: W1, b1, W2, b2.
        noise: standard deviation of the noise of Y for identity, a scalar or (n_y, 1); None for other heads.
    """

    params: Params
    root: Array
    noise: Array | None

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

    def unscaled(self, features: Scaling | None = None, targets: Scaling | None = None) -> Gaussian:
        """The same for raw features and targets, as they were before `(X - mean) / std`; see `data.fold_scaling`.

        Args:
            features: (mean, std), each (n_x, 1), as `data.scaling` gives them; None if features were not scaled.
            targets: the same of shape (n_y, 1); for output "identity".

        Returns:
            `Gaussian`, in the dtype of this.

        Raises:
            ValueError: a std is not above 0.
        """
        dtype, unravel = self.root.dtype, ravel_pytree(self.params)[1]
        # A row of R is a step of the parameters, and a step is not shifted.
        unshifted = None if targets is None else (np.zeros_like(targets[0]), targets[1])
        steps = fold_scaling(jax.vmap(unravel)(self.root), features, unshifted)
        rows = [leaf.reshape(len(leaf), -1) for leaf in jax.tree.leaves(steps)]
        noise = self.noise if targets is None or self.noise is None else self.noise * jnp.asarray(targets[1], dtype)
        params = fold_scaling(self.params, features, targets)
        return Gaussian(jax.tree.map(jnp.asarray, params), jnp.asarray(np.concatenate(rows, axis=1)), noise)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Posterior(Gaussian):
    """What `laplace` returns: a `Gaussian`, and what the evidence says.

    Attributes:
        l2: strength of the weight decay, as in `cost`.
        log_evidence: log p(Y | X, l2, noise, n_h), by which these can be compared.
        effective_parameters: γ, how many parameters the data determine, below P. The others follow the prior.
        next_l2: the l2 of MacKay's next update. Where it is l2, the evidence is the highest.
    """

    l2: Array
    log_evidence: Array
    effective_parameters: Array
    next_l2: Array

    @property
    def β(self) -> Array:
        """The precision of the noise, by which the cost is an energy; 1 for heads without noise."""
        return jnp.ones((), self.root.dtype) if self.noise is None else 1 / self.noise**2
