"""The optimizer of each network: a factory, the values it is compiled for, and the numbers that a program is given."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax

from jaxshallow.bounded import bounded_jit
from jaxshallow.descent import no_curvature, take_step
from jaxshallow.many.elementwise import operations
from jaxshallow.params import Params
from jaxshallow.training.epochs import first_state
from jaxshallow.training.levenberg_marquardt import levenberg_marquardt

Factory: TypeAlias = Callable[..., optax.GradientTransformation]

OWN = {"levenberg_marquardt": levenberg_marquardt}  # optimizers of this library, which have no learning rate

# What a config says of the network itself; an argument of the same name is left to its default.
OF_THE_NETWORK = ("n_h", "hidden", "l2", "scale", "seed", "weights", "validation_weights", "fold")


def factory_of(optimizer: str | Factory) -> Factory | None:
    """The optax factory; None for plain gradient descent.

    Raises:
        ValueError, TypeError: it is neither a factory nor the name of one.
    """
    if isinstance(optimizer, str) and optimizer == "sgd":
        return None
    factory = OWN.get(optimizer, getattr(optax, optimizer, None)) if isinstance(optimizer, str) else optimizer
    if isinstance(factory, optax.GradientTransformation):
        raise TypeError("optimizer must be a factory such as optax.adam, not its result: rates belong to configs")
    if not callable(factory) or not (takes_rate(factory) or is_own(factory)):
        raise (ValueError if isinstance(optimizer, str) else TypeError)(
            f"optimizer must be 'sgd', the name of an optax optimizer, or a factory that takes learning_rate, such as "
            f"optax.adamw, got {optimizer!r}"
        )
    return factory


def takes_rate(factory: Factory | None) -> bool:
    """Whether configs may have a learning rate; None is plain gradient descent, which has one."""
    return factory is None or "learning_rate" in inspect.signature(factory).parameters


def is_own(factory: Factory) -> bool:
    """Whether it is one of ours, or a `functools.partial` of it."""
    return getattr(factory, "func", factory) in OWN.values()


def arguments_of(factory: Factory | None) -> dict[str, Any]:
    """The arguments of a factory that configs may have, with their defaults (`inspect.Parameter.empty`: none).

    Raises:
        TypeError: it needs one that configs cannot have.
    """
    if factory is None:
        return {}
    parameters = inspect.signature(factory).parameters
    named = {
        name: one.default for name, one in parameters.items() if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    }
    for name in OF_THE_NETWORK:
        if named.pop(name, None) is inspect.Parameter.empty:
            raise TypeError(
                f"optimizer must not need {name}, which is the network's own in configs: give it by "
                f"functools.partial(optimizer, {name}=...)"
            )
    return named


class Recipe(NamedTuple):
    """How the optimizer of a network is made. Networks of one recipe can be trained by one program.

    Attributes:
        factory: the optax factory.
        fixed: (name, value) of the arguments that the program is compiled for: a flag, a size, None, a schedule.
        numbers: (name, type) of those that it is given, `float` or `int`, so that they can differ among its networks.
        one_by_one: whether networks cannot run side by side, because of its random numbers.
    """

    factory: Factory
    fixed: tuple[tuple[str, Any], ...]
    numbers: tuple[tuple[str, type], ...]
    one_by_one: bool = False

    def optimizer(self, numbers: Mapping[str, Any]) -> optax.GradientTransformation:
        """The optimizer of one network, from its numbers."""
        given = {name: _as_python_has_it(numbers[name]) for name, _ in self.numbers}
        return self.factory(**dict(self.fixed), **given)


def _as_python_has_it(number: Array) -> Array:
    """The number as a weakly typed scalar: like a Python number, it takes the dtype of the arrays that it meets."""
    zero = jnp.asarray(0.0 if jnp.issubdtype(number.dtype, jnp.floating) else 0)
    return zero.at[()].set(number)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def recipes_of(networks: Sequence[Mapping[str, Any]], factory: Factory | None, like: Params) -> list[Recipe | None]:
    """The recipe of each network; None for plain gradient descent.

    A number is given to the program if the factory can do with a number that is not known yet. It cannot where the
    number is a size, as L-BFGS's `memory_size` is, or decides something.

    Args:
        networks: complete configs, which all have the same names.
        factory: the optax factory.
        like: the shapes and dtypes of the widest network.

    Raises:
        ValueError: the factory cannot make an optimizer of a network's values.
    """
    if factory is None:
        return [None] * len(networks)
    given = {name: default for name, default in arguments_of(factory).items() if name in networks[0]}
    types = {name: _type_of(name, default, networks) for name, default in given.items()}
    must_know: dict[Recipe, tuple[str, ...]] = {}
    finished: dict[Recipe, Recipe] = {}
    recipes: list[Recipe | None] = []
    for k, network in enumerate(networks):
        recipe = _recipe(k, factory, network, types)
        if recipe not in must_know:
            must_know[recipe] = _sizes_and_decisions(k, recipe, network, like)
        recipe = _with_fixed(recipe, must_know[recipe], network)
        if recipe not in finished:  # thousands of networks have few recipes
            finished[recipe] = recipe._replace(one_by_one=_draws_by_hardware(recipe, like))
        recipes.append(finished[recipe])
    return recipes


def _type_of(name: str, default: Any, networks: Sequence[Mapping[str, Any]]) -> type:
    """`int` where no network has a fraction and none is expected."""
    real = name == "learning_rate" or isinstance(default, float)
    return float if real or any(isinstance(network[name], float) for network in networks) else int


def _recipe(k: int, factory: Factory, network: Mapping[str, Any], types: Mapping[str, type]) -> Recipe:
    """The recipe in which all numbers are given to the program."""
    limits = np.iinfo(np.int32)
    numbers = tuple(
        (name, kind)
        for name, kind in types.items()
        if is_number(network[name]) and (kind is float or limits.min <= network[name] <= limits.max)
    )
    recipe = Recipe(factory, tuple((n, network[n]) for n in types if n not in dict(numbers)), numbers)
    for name, value in recipe.fixed:
        try:
            hash(value)
        except TypeError:
            raise TypeError(
                f"configs[{k}]: {name} must be a number, text, a tuple or another value with a hash, got {value!r}: "
                f"give it to all networks by functools.partial(optimizer, {name}=...)"
            ) from None
    return recipe


def _with_fixed(recipe: Recipe, names: Sequence[str], network: Mapping[str, Any]) -> Recipe:
    """The recipe with some of its numbers fixed."""
    fixed = (*recipe.fixed, *((name, network[name]) for name in names))
    return Recipe(recipe.factory, fixed, tuple(one for one in recipe.numbers if one[0] not in names))


def _sizes_and_decisions(k: int, recipe: Recipe, network: Mapping[str, Any], like: Params) -> tuple[str, ...]:
    """The numbers of a recipe that its factory must know."""

    def failure(fixed: Sequence[str]) -> Exception | None:
        try:
            _draws_by_hardware(_with_fixed(recipe, fixed, network), like)
        except Exception as error:  # the factory's own code raises whatever it wants
            return error
        return None

    names = [name for name, _ in recipe.numbers]
    if failure(()) is None:
        return ()
    must = tuple(name for name in names if failure([other for other in names if other != name]))
    if failure(must) is None:
        return must
    if (error := failure(names)) is None:
        return tuple(names)
    values = ", ".join(f"{name}={network[name]!r}" for name in dict((*recipe.fixed, *recipe.numbers)))
    cause = f"the optimizer cannot be used with {values}: {error}" if values else error
    raise ValueError(f"configs[{k}]: {cause}") from error


# ---- the trial: two steps that are traced and not run ----


def trial(recipe: Recipe, like: Params) -> tuple[Any, ...]:
    """A function that is two steps of the recipe's optimizer, and the shapes of its arguments."""
    numbers = {name: jax.ShapeDtypeStruct((), jnp.result_type(kind)) for name, kind in recipe.numbers}
    return partial(_two_steps, recipe=recipe), like, like, jax.ShapeDtypeStruct((), like.W1.dtype), numbers


@partial(bounded_jit, functions=("recipe",))
def _two_steps(params: Params, gradient: Params, J: Array, numbers: Mapping[str, Array], *, recipe: Recipe) -> Any:
    """Two, so that a state that changes its form is noticed; the network's cost and gradient are given."""
    optimizer = recipe.optimizer(numbers)

    def step(carry: tuple[Params, Any], _: None) -> tuple[tuple[Params, Any], None]:
        def grads(at: Params, *_: Any, **__: Any) -> tuple[Array, Params]:
            # An optimizer that asks for the cost elsewhere must leave the padding at zero there, too.
            return (J if at is carry[0] else J + jnp.sum(at.W1)), gradient

        return take_step(optimizer, None, grads, *carry, None, None, None, None, no_curvature)[0], None  # type: ignore[arg-type]

    state = first_state(params, optimizer)
    return lax.scan(step, (state.params, state.opt_state), None, length=2)


def _draws_by_hardware(recipe: Recipe, like: Params) -> bool:
    """Whether the optimizer's random numbers depend on the networks beside it, as those of "rbg" keys do under vmap.

    Raises:
        Exception: whatever the factory's own code raises, if the recipe is impossible.
    """
    function, *arguments = trial(recipe, like)
    trace = jax.make_jaxpr(function)(*arguments)
    dtypes = [one.aval.dtype for operation in operations(trace.jaxpr) for one in operation.outvars]
    return any(jnp.issubdtype(one, jax.dtypes.prng_key) and "fry" not in str(one) for one in dtypes)


def shapes(n_h: Any, n_x: int, n_y: int, dtype: Any) -> Params:
    """The shapes and dtypes of a network."""
    sizes = (n_h, n_x), (n_h, 1), (n_y, n_h), (n_y, 1)
    arrays: Any = [jax.ShapeDtypeStruct(size, dtype) for size in sizes]
    return Params(*arrays)
