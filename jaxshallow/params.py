"""`Params`, the network's weights and biases, and `init`, their random start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike, DTypeLike

from jaxshallow import given
from jaxshallow.activations import OUTPUTS, Activation, resolve
from jaxshallow.bounded import bounded_jit
from jaxshallow.forks import refuse_after_fork


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Params:
    """The parameters of a 2-layer (one hidden layer) network, a pytree. Gradients are `Params` as well.

    The nonlinearities are static fields: a network cannot be trained with one and used with another.

    Attributes:
        W1: (n_h, n_x) weights of the hidden layer.
        b1: (n_h, 1) biases of the hidden layer.
        W2: (n_y, n_h) weights of the output layer.
        b2: (n_y, 1) biases of the output layer.
        hidden: "sigmoid", "tanh", "relu", "leaky_relu", "identity", an `Activation`, or a function of Z1.
        output: "sigmoid", "softmax", "identity" or "exp" (for counts); it fixes the loss too.

    Raises:
        ValueError: `hidden` or `output` is not a known name.

    Example:
        >>> params = Params(W1=jnp.ones((4, 3)), b1=jnp.zeros((4, 1)), W2=jnp.ones((1, 4)), b2=jnp.zeros((1, 1)))
        >>> jax.tree.map(jnp.shape, params).W1
        (4, 3)
    """

    W1: Array
    b1: Array
    W2: Array
    b2: Array
    hidden: str | Activation | Callable[[Array], Array] = field(default="sigmoid", metadata={"static": True})
    output: str = field(default="sigmoid", metadata={"static": True})

    def __post_init__(self) -> None:
        resolve(self.hidden)
        if self.output not in OUTPUTS:
            raise ValueError(f"output must be one of {', '.join(OUTPUTS)}, got {self.output!r}")

    @property
    def task(self) -> Task:
        """What the outputs stand for: see `task_of`.

        Example:
            >>> init(jax.random.key(0), n_x=3, n_h=4, n_y=3, output="softmax").task
            'multiclass'
        """
        return task_of(self.output, self.W2.shape[-2])


def size_of(params: Params) -> int:
    """P, the number of parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))


Task: TypeAlias = Literal["binary", "multilabel", "multiclass", "regression"]
ONE_CLASS = ("binary", "multiclass")  # the tasks in which each example has one class


def task_of(output: str, n_y: int) -> Task:
    """What n_y outputs of a head stand for: two classes (one output), several yes-or-no labels, classes, or numbers."""
    if output in ("identity", "exp"):
        return "regression"
    if output == "softmax":
        return "multiclass"
    return "binary" if n_y == 1 else "multilabel"


INITIALIZERS = {
    "glorot": jax.nn.initializers.glorot_normal(in_axis=1, out_axis=0),
    "he": jax.nn.initializers.he_normal(in_axis=1, out_axis=0),
}


def init(
    key: ArrayLike,
    n_x: int,
    n_h: int,
    n_y: int = 1,
    *,
    hidden: str | Activation | Callable[[Array], Array] = "sigmoid",
    output: str = "sigmoid",
    scale: float | str = 0.01,
    dtype: DTypeLike | None = None,
) -> Params:
    """Random initialization: W1 = scale · randn(n_h, n_x), W2 = scale · randn(n_y, n_h), b1 = b2 = 0.

    The weights must differ, or every hidden unit computes the same thing for ever. They must be small, or |Z1| is
    large, σ and tanh saturate, and g′ ≈ 0 stalls learning.

    Args:
        key: a JAX random key, `jax.random.key(seed)`.
        n_x: number of input features.
        n_h: number of hidden units.
        n_y: number of output units.
        hidden: the hidden activation, see `Params`.
        output: the output head, see `Params`.
        scale: the standard deviation of the weights (0.0 shows the symmetry), or "glorot" (Glorot and Bengio 2010)
            or "he" (He et al. 2015) for one that depends on the layer's width.
        dtype: of the parameters, and so of every computation with them. None: JAX's default, float32 unless x64 is on.

    Returns:
        `Params` with W1 (n_h, n_x), b1 (n_h, 1), W2 (n_y, n_h), b2 (n_y, 1).

    Raises:
        ValueError: a size is below 1, `scale` is negative or not finite, softmax with one unit, or an unknown name.
        TypeError: a size is not an integer, or `dtype` is not a floating-point type.

    Example:
        >>> params = init(jax.random.key(0), n_x=3, n_h=4, hidden="tanh")
        >>> params.W1.shape, params.b1.shape, params.W2.shape, params.b2.shape
        ((4, 3), (4, 1), (1, 4), (1, 1))
    """
    dtype = checked_dtype(key, n_x, n_h, n_y, output, scale, dtype)
    rule, deviation = (scale, 0.0) if isinstance(scale, str) else (None, given.scalar("scale", scale, dtype))
    W1, W2 = _draw(key, deviation, rule=rule, n_x=int(n_x), n_h=int(n_h), n_y=int(n_y), dtype=dtype)
    b1, b2 = (jax.device_put(np.zeros((n, 1), dtype)) for n in (n_h, n_y))
    return Params(W1, b1, W2, b2, hidden=hidden, output=output)


def checked_dtype(
    key: ArrayLike, n_x: int, n_h: int, n_y: int, output: str, scale: float | str, dtype: DTypeLike | None
) -> np.dtype[Any]:
    """The dtype of what `init` draws; ValueError or TypeError for what it cannot draw."""
    refuse_after_fork()
    given.key(key)
    check_sizes(n_x=n_x, n_h=n_h, n_y=n_y)
    check_scale(scale)
    if output == "softmax" and n_y == 1:
        raise ValueError("softmax needs n_y of at least 2, got 1: for two classes in one unit use output='sigmoid'")
    found: np.dtype[Any] = jax.eval_shape(lambda: jnp.zeros((), dtype)).dtype
    if not jnp.issubdtype(found, jnp.floating):
        raise TypeError(f"dtype must be a floating-point type, got {found}")
    return found


def check_sizes(**sizes: int | None) -> None:
    """TypeError or ValueError for a size that is not an integer of at least 1; None is a size that was not given."""
    for name, size in sizes.items():
        if size is not None and (isinstance(size, bool) or not isinstance(size, int | np.integer)):
            raise TypeError(f"{name} must be an integer, got {size!r}")
        if size is not None and size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")


def check_scale(scale: float | str) -> None:
    """ValueError or TypeError for a scale that is neither a number of at least 0 nor the name of a rule."""
    if isinstance(scale, str) and scale not in INITIALIZERS:
        raise ValueError(f"scale must be a number, {' or '.join(INITIALIZERS)}, got {scale!r}")
    if not isinstance(scale, str):
        given.number("scale", scale)


# One program: to compile its dozen operations one by one would take most of a first run's start-up time.
@partial(bounded_jit, static_argnames=("rule", "n_x", "n_h", "n_y", "dtype"))
def _draw(
    key: ArrayLike, deviation: ArrayLike, *, rule: str | None, n_x: int, n_h: int, n_y: int, dtype: DTypeLike
) -> tuple[Array, Array]:
    draw = INITIALIZERS[rule] if rule else jax.nn.initializers.normal(deviation)
    key1, key2 = jax.random.split(key)
    return draw(key1, (n_h, n_x), dtype), draw(key2, (n_y, n_h), dtype)
