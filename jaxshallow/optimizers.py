"""One step of any optax transformation, by optax's protocol: it gets what it asks for, or a sentence says why not."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
import optax
from jax import Array

from jaxshallow.params import Params

Optimizer: TypeAlias = optax.GradientTransformation | optax.MultiSteps

# What an update may ask for beside the gradient, under all names that optax has for it.
GIVEN = "value, loss, grad, value_fn, obj_fn, grad_fn, gauss_newton_fn, acceleration_fn"
UNKNOWN = re.compile(r"nexpected keyword arguments? .*?('\w+'|\[.*?\])")


class Paired(NamedTuple):
    """The state of an optimizer that holds `optax.lookahead`, which trains a pair of networks.

    Attributes:
        state: the optimizer's own.
        slow: the slow network, the one to use; the fast one is where gradients are taken.
    """

    state: Any
    slow: Params


def check_optimizer(optimizer: Any) -> None:
    """TypeError for what is not an optax transformation, or takes a gradient for each example."""
    if not (callable(getattr(optimizer, "init", None)) and callable(getattr(optimizer, "update", None))):
        raise TypeError(f"optimizer must be an optax transformation such as optax.adam(0.01), got {optimizer!r}")
    if type(optimizer).__name__ == "Aggregator":
        raise TypeError(_one_gradient("an optax Aggregator"))


def start(optimizer: Optimizer, params: Params) -> Any:
    """The optimizer's state before its first step; a `Paired` one if it trains a pair of networks."""
    absl = logging.getLogger("absl")
    level = absl.level
    absl.setLevel(logging.ERROR)  # lookahead says that it was given one network: it is meant so
    try:
        state = optimizer.init(params)
    finally:
        absl.setLevel(level)
    return Paired(state, params) if _holds(state, optax.LookaheadState) else state


def trained(params: Params, opt_state: Any) -> Params:
    """The network that training has come to: with lookahead the slow one."""
    return opt_state.slow if isinstance(opt_state, Paired) else params


def step(
    optimizer: Optimizer,
    cost_and_grads: Callable[[Params], tuple[Array, Params]],
    params: Any,
    opt_state: Any,
    curvature: Mapping[str, Callable[..., Any]],
) -> tuple[tuple[Any, Any], Array]:
    """The parameters and the state after a step, and the cost before it.

    Args:
        optimizer: any optax transformation.
        cost_and_grads: the objective of this step, of the parameters alone.
        params: `Params`, or for lookahead `optax.LookaheadParams`, unless the state is `Paired`.
        opt_state: from `start`, or the optimizer's own.
        curvature: what else it may ask for, by name.

    Raises:
        TypeError: the optimizer cannot take the step.
    """
    if isinstance(opt_state, Paired):
        pair = optax.LookaheadParams(fast=params, slow=opt_state.slow)
        (pair, state), J = step(optimizer, cost_and_grads, pair, opt_state.state, curvature)
        return (pair.fast, Paired(state, pair.slow)), J

    is_pair = isinstance(params, optax.LookaheadParams)
    if not is_pair and _holds(opt_state, optax.LookaheadState):
        raise TypeError(
            f"params must be a pair for optax.lookahead, optax.LookaheadParams.init_synced(params), got "
            f"{type(params).__name__}: the step returns the pair, and its slow network is the one to use"
        )
    J, g = cost_and_grads(params.fast if is_pair else params)
    if _holds(opt_state, optax.contrib.DifferentiallyPrivateAggregateState) and _shapes(g) == _shapes(params):
        raise TypeError(_one_gradient("optax.contrib.differentially_private_aggregate (dpsgd)"))
    updates, opt_state = _update(
        optimizer, g, opt_state, params, {**_extras(cost_and_grads, params, J, g), **curvature}
    )
    if _shapes(updates) != _shapes(params):
        raise TypeError(
            f"optimizer must return an update of the parameters' form, {_shapes(params)}, got {_shapes(updates)}"
        )
    return (optax.apply_updates(params, updates), opt_state), J


def _one_gradient(name: str) -> str:
    return (
        f"optimizer must take the mean gradient, but {name} takes a gradient for each example: use grads that clip, "
        f"js.clipped_grads, before optax.add_noise, as in the example of js.clipped_grads"
    )


def _holds(state: Any, kind: type) -> bool:
    """Whether there is such a state in this one, however deep."""
    return any(isinstance(node, kind) for node in jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, kind)))


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    return {jax.tree_util.keystr(path, simple=True): leaf.shape for path, leaf in jax.tree.leaves_with_path(tree)}


def _extras(
    cost_and_grads: Callable[[Params], tuple[Array, Params]], params: Any, J: Array, g: Params
) -> dict[str, Any]:
    """What an update may ask for, of the same examples, weights and l2 as the gradient.

    Within `optax.masked` and `optax.partition` an optimizer sees a part of the network. The rest stays as it is.
    """

    def is_masked(leaf: Any) -> bool:
        return isinstance(leaf, optax.MaskedNode)

    def at(part: Any) -> tuple[Array, Params]:
        if not isinstance(part, Params):
            raise TypeError(
                f"an optimizer that asks for the cost must ask for that of Params, got {type(part).__name__}"
            )
        return cost_and_grads(jax.tree.map(lambda W, own: own if is_masked(W) else W, part, params, is_leaf=is_masked))

    def cost(params: Any) -> Array:
        return at(params)[0]

    def grads(params: Any, step: Any = 0) -> Any:
        return jax.tree.map(lambda W, dW: W if is_masked(W) else dW, params, at(params)[1], is_leaf=is_masked)

    return {"value": J, "loss": J, "grad": g, "value_fn": cost, "obj_fn": cost, "grad_fn": grads}


def _update(optimizer: Optimizer, g: Params, opt_state: Any, params: Any, extras: dict[str, Any]) -> tuple[Any, Any]:
    """The optimizer's `update`, with those of the extra arguments that it takes."""
    takes = inspect.signature(optimizer.update).parameters.values()
    if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in takes):
        extras = {name: extras[name] for name in extras if name in [parameter.name for parameter in takes]}
    while True:
        try:
            updates, opt_state = optimizer.update(g, opt_state, params, **extras)
        except (TypeError, ValueError, AttributeError, LookupError) as error:
            # What wraps others hands everything on; line searches and sam take nothing that they do not know.
            unknown = UNKNOWN.search(str(error))
            names = re.findall(r"\w+", unknown[1]) if unknown else []
            if not extras.keys() & names:
                raise TypeError(_refusal(error)) from error
            extras = {name: value for name, value in extras.items() if name not in names}
        else:
            return updates, opt_state


def _refusal(error: Exception) -> str:
    reason = " ".join(str(error).partition("\n-----")[0].split())[:400]  # JAX adds a line on its tracebacks
    if re.search("missing .* required|must be provided", reason):
        return (
            f"optimizer must ask for no more than {GIVEN}, and what wraps it must hand these on (as "
            f"optax.MultiSteps does outermost, but not inside optax.chain), got: {reason}"
        )
    if re.search("MaskedNode|Expected named tuple", reason):  # as jax says it, and jax below 0.10
        return (
            f"optimizer must see {GIVEN} as it sees the network: give optax.masked or optax.partition "
            f"mask_compatible_extra_args=True, got: {reason}"
        )
    return f"optimizer must fit this network and its own state, but its update fails: {reason}"
