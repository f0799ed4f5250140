"""A function of the examples, computed in parts that add up to the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from jaxshallow import checks
from jaxshallow.bounded import bounded_jit
from jaxshallow.params import Params

Arguments: TypeAlias = tuple[Params, tuple[Array, ...], tuple[Any, ...], Array | None, dict[str, Any]]


class Parts:
    """A function of the examples, computed on some of them at a time.

    An array in its result whose last axis grows with the examples has a column for each (`forward`, `losses`): the
    parts are joined side by side. Any other is a mean over the examples (cost, gradients): the whole is Σ shareₖ partₖ,
    where shareₖ is the part's share of Σ wᵢ.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        params: Params,
        data: tuple[Any, ...],
        weights: ArrayLike | None,
        rest: tuple[Any, ...],
        options: dict[str, Any],
    ) -> None:
        self.fn, self.rest, self.options = fn, rest, options

        def result_of(m: int) -> Any:
            few = [jax.ShapeDtypeStruct((array.shape[0], m), params.W1.dtype) for array in data]
            w = {} if weights is None else {"weights": jax.ShapeDtypeStruct((m,), params.W1.dtype)}
            return jax.eval_shape(
                lambda params, *data, **w: fn(params, *data, *rest, **options, **w), params, *few, **w
            )

        two = result_of(2)
        self.rebuild = partial(jax.tree.unflatten, jax.tree.structure(two))
        two, three = jax.tree.leaves(two), jax.tree.leaves(result_of(3))
        self.is_column = [a.shape != b.shape for a, b in zip(two, three, strict=True)]
        for leaf, longer, is_column in zip(two, three, self.is_column, strict=True):
            if is_column and (leaf.shape, longer.shape) != ((*leaf.shape[:-1], 2), (*leaf.shape[:-1], 3)):
                raise ValueError(
                    f"the examples must lie along the last axis of what {_name(fn)} returns, got {leaf.shape}"
                )
            if not is_column and not jnp.issubdtype(leaf.dtype, jnp.floating):
                raise TypeError(
                    f"what {_name(fn)} returns must be means over the examples, or columns, got {leaf.dtype}"
                )
        self.means, self.columns = self._leaves(two, columns=False), self._leaves(two, columns=True)

    def _leaves(self, leaves: list[Any], *, columns: bool) -> list[Any]:
        return [leaf for leaf, is_column in zip(leaves, self.is_column, strict=True) if is_column == columns]

    def zeros(self) -> list[Array]:
        """The sums of the means, before the first part."""
        return [jnp.zeros(mean.shape, wide(mean.dtype)) for mean in self.means]

    def part(
        self,
        params: Params,
        data: Sequence[ArrayLike],
        weights: Array | None,
        share: Array | float,
        l2_share: Array | float | None = None,
    ) -> tuple[list[Array], list[Array]]:
        """The means of these examples times their share, and their columns. l2 gets `l2_share`, or the same share."""
        options = dict(self.options) if weights is None else {**self.options, "weights": weights}
        if "l2" in options:
            options["l2"] = options["l2"] * (share if l2_share is None else l2_share)
        leaves = jax.tree.leaves(self.fn(params, *data, *self.rest, **options))
        means = [mean.astype(wide(mean.dtype)) for mean in self._leaves(leaves, columns=False)]
        # A part without weight adds nothing, even where its mean is 0 / 0.
        means = [jnp.where(share > 0, mean * jnp.asarray(share, mean.dtype), 0) for mean in means]
        return means, self._leaves(leaves, columns=True)

    def whole(self, means: Sequence[Array | np.ndarray], columns: Iterable[Array | np.ndarray]) -> Any:
        """The result of `fn`, from the sums of the means and the columns side by side."""
        sums = iter([total.astype(mean.dtype) for total, mean in zip(means, self.means, strict=True)])
        joined = iter(columns)
        return self.rebuild([next(joined if is_column else sums) for is_column in self.is_column])


def _name(fn: Callable[..., Any]) -> str:
    return getattr(fn, "__name__", "the function")


class compiled:
    """`body`, compiled. Arrays and floats in its arguments are traced, and all else is static."""

    def __init__(self, body: Callable[..., Any]) -> None:
        def program(traced: dict[int, Any], *, static: Any, functions: dict[int, Any]) -> Any:
            form, values = static
            leaves = traced | functions | {i: value for i, _, value in values}
            return body(*jax.tree.unflatten(form, [leaves[i] for i in range(len(leaves))]))

        self.body, self.jitted = body, bounded_jit(program, functions=("functions",), static_argnames=("static",))

    def __call__(self, *args: Any) -> Any:
        if not can_be_compiled_for(args):
            return self.body(*args)
        traced, others = _divided(args)
        return self.jitted(traced, **others)

    def ahead(self, *args: Any) -> Callable[..., Any]:
        """The same function for such arguments, compiled: it may be called in any thread, if all arrays are JAX's."""
        traced, others = _divided(args)
        program = self.jitted.compiled(traced, **others)
        return lambda *args: program(_divided(args)[0])


def _divided(args: tuple[Any, ...]) -> tuple[dict[int, Any], dict[str, Any]]:
    """The traced leaves of some arguments, by their places, and what a program must be compiled for."""
    leaves, form = jax.tree.flatten(args)
    traced = {i: leaf for i, leaf in enumerate(leaves) if is_numbers(leaf)}
    functions = {i: leaf for i, leaf in enumerate(leaves) if i not in traced and callable(leaf)}
    others = [i for i in range(len(leaves)) if i not in traced and i not in functions]
    static = form, tuple((i, type(leaves[i]), leaves[i]) for i in others)  # 1 and True are equal: hence the type
    return traced, {"static": static, "functions": functions}


def can_be_compiled_for(args: tuple[Any, ...]) -> bool:
    """Whether it can be told if a program is for these arguments: not if a set is among them, say, without a hash."""
    try:
        hash(_divided(args)[1]["static"])
    except TypeError:
        return False
    return True


def is_numbers(leaf: Any) -> bool:
    """Whether it is traced when a function is compiled: an array or a float."""
    numbers = isinstance(leaf, np.ndarray) and leaf.dtype.kind not in "OSUMm"
    return numbers or isinstance(leaf, Array | float | complex | np.inexact)


def arguments(params: Params, X: ArrayLike, rest: tuple[Any, ...], options: dict[str, Any]) -> Arguments:
    """The arguments of a function of the examples, checked: params, (X, Y), those that follow, weights, options."""
    params = checks.parameters(params)
    X, options = checks.features(params, X), dict(options)
    if "Y" in options:
        rest = (options.pop("Y"), *rest)
    data = (X, checks.targets(params, X, rest[0])) if rest else (X,)
    weights, l2 = checks.weights_and_l2(params, X.shape[1], options.pop("weights", None), options.get("l2", 0.0))
    if "l2" in options:
        options["l2"] = l2
    return params, data, rest[1:], weights, options


def checked(
    fn: Callable[..., Any],
    program: Callable[..., Any],
    params: Params,
    X: ArrayLike,
    rest: tuple[Any, ...],
    options: dict[str, Any],
) -> Any:
    """`program` on the arguments of `fn`, which are checked here: inside the program they are traced."""
    return program(*prepared(fn, params, X, rest, options)[1])


def prepared(
    fn: Callable[..., Any], params: Params, X: ArrayLike, rest: tuple[Any, ...], options: dict[str, Any]
) -> tuple[Parts, Any]:
    """What the parts of the result are, and the arguments of a program: (params, data, weights, rest, options)."""
    params, data, rest, weights, options = arguments(params, X, rest, options)
    return Parts(fn, params, data, weights, rest, options), (params, data, weights, rest, options)


def wide(dtype: Any) -> Any:
    """The dtype of sums over tiles: float32 at least, since a bfloat16 sum stops growing before thousands of tiles."""
    return dtype if dtype.itemsize >= 4 else jnp.float32


def total_weight(weights: Array) -> Array:
    return weights.sum(dtype=wide(weights.dtype))


def share_of(weights: Array, total: Array) -> Array:
    """Σ wᵢ of these examples over that of all; 0 where every weight is 0."""
    return jnp.where(total > 0, total_weight(weights) / jnp.where(total > 0, total, 1), 0)
