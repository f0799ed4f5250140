"""fit_many: what a network becomes does not depend on who else is in the program, whatever the optimizer."""

import functools
import inspect
from types import FunctionType

import jax
import jax.numpy as jnp
import numpy as np
import optax
import polars as pl
import pytest
from cases import assert_close, assert_same, draw, init

import jaxshallow as js
from jaxshallow.descent import take_step
from jaxshallow.many.optimizers import recipes_of, shapes
from jaxshallow.many.units import Layout, axes_of_units, units_are_alone
from jaxshallow.training.epochs import State, first_state

pytestmark = pytest.mark.usefixtures("standard_promotion", "little_optimization")
KEY = jax.random.key(3)
CASE = draw(n_y=2, m=12)
NARROW, WIDE = ({"n_h": n_h, "seed": n_h, "scale": 0.7, "hidden": "tanh", "learning_rate": 0.04} for n_h in (5, 17))


def alone(config, optimizer, epochs=5, **more):
    params = init(
        jax.random.fold_in(KEY, config["seed"]), 3, config["n_h"], 2, hidden=config["hidden"], scale=config["scale"]
    )
    return js.fit(params, CASE.X, CASE.Y, optimizer=optimizer, epochs=epochs, **more)


def assert_as_alone(many, k, optimizer, tolerance="float64, after training", **more):
    expected = alone(many.configs[k], optimizer, epochs=many.history.cost.shape[1], **more)
    assert_close(many.params(k), expected.params, tolerance)
    assert_close(many.history.cost[k], expected.history.cost, tolerance)


# ---- widths ----


def chained(*before):
    return lambda learning_rate: optax.chain(*before, optax.sgd(learning_rate))


# Each looks at more than one weight at a time, in a way of its own.
MIXING = {
    "factored moments and the mean of a leaf": optax.adafactor,
    "the mean of a row": chained(optax.centralize()),
    "products of matrices": functools.partial(optax.contrib.muon, ns_steps=2),
    "the norm of all": chained(optax.clip_by_global_norm(0.1)),
    "the norm of a leaf": optax.lamb,
    "the largest of a row": optax.sm3,
    "the cost elsewhere": lambda learning_rate: optax.chain(
        optax.sgd(learning_rate), optax.scale_by_backtracking_linesearch(3)
    ),
    "random numbers of the shape of a leaf": chained(optax.add_noise(0.1, 0.5, jax.random.key(0))),
    "a product with the step of L-BFGS": functools.partial(optax.lbfgs, linesearch=optax.scale(1.0)),
}


def test_an_optimizer_that_looks_at_many_weights_is_not_asked_for_units():
    sizes = shapes(17, 3, 2, jnp.dtype(jnp.float32))
    for name, factory in MIXING.items():
        (recipe,) = recipes_of([NARROW], factory, sizes)
        assert not units_are_alone("tanh", recipe, sizes), name


@pytest.mark.parametrize("factory", [optax.adafactor, chained(optax.centralize()), optax.lbfgs])
def test_a_network_beside_a_wider_one_is_the_one_that_fit_makes_alone(x64, factory):
    many = js.fit_many(KEY, CASE.X, CASE.Y, [NARROW, WIDE], epochs=5, optimizer=factory)
    assert {stack.state.params.W1.shape[1] for stack in many.stacks} == {5, 17}
    assert_as_alone(many, 0, factory(learning_rate=0.04))


def optimizers():
    """All of optax that `fit_many` takes by name or as a factory."""
    for module in (optax, optax.contrib):
        for name, factory in inspect.getmembers(module, lambda one: isinstance(one, FunctionType | functools.partial)):
            parameters = inspect.signature(factory).parameters
            required = {one.name for one in parameters.values() if one.default is one.empty}
            if "learning_rate" in parameters and required <= {"learning_rate"} and not name.startswith(("_", "scale_")):
                yield name, factory


def steps(optimizer, params, n=2):
    """Steps on a cost that treats each weight by itself, but padding's gradient is not 0."""

    def grads(at, *_, **__):
        g = jax.tree.map(lambda W: jnp.sin(3 * W) + 0.1, at)
        return jnp.sum(at.b2**2), g

    state = first_state(params, optimizer).opt_state
    for _ in range(n):
        (params, state), _ = take_step(optimizer, None, grads, params, state, None, None, None, None)
    return params


@functools.partial(jax.jit, static_argnames="optimizer")
def both_ways(units, network, optimizer):
    """In one program, where step by step they would be hundreds."""
    take = functools.partial(steps, optimizer)
    return jax.vmap(take)(units), take(network)


@pytest.mark.filterwarnings("ignore:Specifying a key")
def test_an_optimizer_that_trains_units_by_themselves_trains_the_network(x64):
    sizes, side_by_side = shapes(5, 3, 2, jnp.dtype(float)), []
    one = js.Params(*(jnp.asarray(leaf, float) for leaf in jax.tree.leaves(CASE.params)))
    stack = State(jax.tree.map(lambda leaf: leaf[None], one), ())
    for name, factory in optimizers():
        try:
            (recipe,) = recipes_of([NARROW], factory, sizes)
        except ValueError:
            continue  # `fit` refuses it, too
        if not units_are_alone("tanh", recipe, sizes):
            continue
        side_by_side.append(name)
        optimizer, n_h = factory(learning_rate=0.04), len(one.W1)
        layout = Layout(np.array([n_h]), n_h, 1, (axes_of_units(recipe, sizes)[0], []))
        each, whole = both_ways(layout.side_by_side(stack).params, one, optimizer)
        (network,) = (jax.tree.map(lambda leaf: leaf[0], layout.stacked(State(each, ()), n_h).params),)
        assert_close(network, whole, "float64")
    assert {"adam", "adamw", "adagrad", "nadam", "rmsprop", "lion", "sgd", "yogi", "schedule_free_sgd"} <= set(
        side_by_side
    )


def stateless(update):
    """A factory whose optimizer is a function of the gradient."""
    return lambda learning_rate: optax.stateless(lambda g, _: jax.tree.map(lambda leaf: update(leaf, learning_rate), g))


def test_units_are_not_alone_in_every_way_to_look_at_the_width():
    sizes = shapes(5, 3, 2, jnp.dtype(jnp.float32))
    ways = {
        "h as a number": lambda g, rate: -rate * g / g.shape[0],
        "h decides": lambda g, rate: -rate * (g if g.shape[0] < 64 else g / 2),
        "sorted": lambda g, rate: -rate * jnp.sort(g, axis=0),
        "walked along": lambda g, rate: jax.lax.scan(lambda sum, row: (sum + row, -rate * sum), g[0], g)[1],
        "numbered": lambda g, rate: -rate * g * jnp.arange(g.size, dtype=g.dtype).reshape(g.shape),
        "drawn": lambda g, rate: -rate * g * jax.random.normal(jax.random.key(0), g.shape, g.dtype),
        "inside a condition": lambda g, rate: jax.lax.cond(rate > 0, lambda g: -rate * g / g.sum(), lambda g: g, g),
    }
    for name, way in ways.items():
        (recipe,) = recipes_of([NARROW], stateless(way), sizes)
        assert not units_are_alone("tanh", recipe, sizes), name
    (recipe,) = recipes_of([NARROW], stateless(lambda g, rate: -rate * jnp.clip(g, -1, 1)), sizes)
    assert units_are_alone("tanh", recipe, sizes)
    assert not units_are_alone(lambda Z: jax.nn.softmax(Z, axis=0), recipe, sizes)


def test_an_activation_without_a_slope_at_0_is_not_spoilt_by_what_fills_a_program_up(x64):
    root = js.Activation(lambda Z: jnp.sign(Z) * jnp.sqrt(abs(Z)), lambda Z: 0.5 / jnp.sqrt(abs(Z)))
    configs = [{**config, "hidden": root} for config in (NARROW, WIDE)]
    many = js.fit_many(KEY, CASE.X, CASE.Y, configs, epochs=3)
    expected = alone(configs[0], None, epochs=3, learning_rate=0.04)
    assert_close(many.params(0), expected.params, "float64, after training")


def test_a_run_goes_on_in_other_groups(x64):
    configs = [NARROW, {**WIDE, "learning_rate": 0.02}]
    first = js.fit_many(KEY, CASE.X, CASE.Y, configs, epochs=3, optimizer=chained(optax.clip(1.0)))
    assert len(first.stacks) == 1
    second = js.fit_many(KEY, CASE.X, CASE.Y, configs, epochs=3, optimizer=chained(optax.centralize()), start=first)
    optimizer = chained(optax.centralize())(0.04)
    expected = js.fit(first.params(0), CASE.X, CASE.Y, optimizer=optimizer, epochs=3)
    assert_close(second.params(0), expected.params, "float64, after training")


# ---- first weights ----


def test_first_weights_are_those_of_init_for_every_kind_of_key():
    X, Y = CASE.X.astype(np.float32), CASE.Y.astype(np.float32)
    configs = [
        {"n_h": n_h, "seed": seed, "scale": scale, "learning_rate": 0.0}
        for seed, (n_h, scale) in enumerate([(3, "he"), (5, 0.5)])
    ]

    def check(key):
        many = js.fit_many(key, X, Y, configs, epochs=1)
        for k, config in enumerate(configs):
            folded = jax.random.fold_in(key, config["seed"])
            assert_same(many.params(k), js.init(folded, 3, config["n_h"], 2, scale=config["scale"]))

    check(jax.random.key(1))
    with jax.threefry_partitionable(False):
        check(jax.random.key(1))
    with jax.default_prng_impl("rbg"):
        check(jax.random.PRNGKey(1))


# ---- what an optimizer is compiled for ----


def fixed_and_numbers(factory, **config):
    (recipe,) = recipes_of([{**NARROW, **config}], factory, shapes(5, 3, 2, jnp.dtype(jnp.float32)))
    return dict(recipe.fixed), {name for name, _ in recipe.numbers}


def test_sizes_and_decisions_are_compiled_in_and_other_numbers_are_not():
    for factory, name, value in (
        (optax.lbfgs, "memory_size", 3),
        (optax.contrib.schedule_free_sgd, "warmup_steps", 2),
        (optax.adafactor, "min_dim_size_to_factor", 2),
        (optax.adam, "nesterov", True),
        (optax.sgd, "momentum", None),
        (optax.sgd, "accumulator_dtype", "float32"),
        (optax.contrib.prodigy, "betas", (0.8, 0.9)),
        (optax.adam, "learning_rate", optax.linear_schedule(0.1, 0.0, 9)),
    ):
        fixed, numbers = fixed_and_numbers(factory, **{name: value})
        assert fixed == {name: value}
        assert numbers == {"learning_rate"} - {name}
    assert fixed_and_numbers(optax.contrib.muon, ns_steps=2) == ({}, {"learning_rate", "ns_steps"})
    assert fixed_and_numbers(optax.adam, b1=0, eps=1e-3) == ({}, {"learning_rate", "b1", "eps"})


def test_networks_whose_optimizers_differ_in_form_are_grouped(x64):
    own = [
        {"momentum": 0.9},
        {"momentum": 0.5, "nesterov": True},
        {"learning_rate": optax.linear_schedule(0.1, 0.0, 9)},
        {"momentum": 0.8},
    ]
    many = js.fit_many(KEY, CASE.X, CASE.Y, [{**NARROW, **one} for one in own], epochs=4, optimizer=optax.sgd)
    assert [stack.members.tolist() for stack in many.stacks] == [[0, 3], [1], [2]]
    for k, one in enumerate(own[:3]):
        assert_as_alone(many, k, optax.sgd(**{"learning_rate": 0.04, **one}))
    frame = pl.DataFrame(many.table())
    assert frame["momentum"].to_list() == [0.9, 0.5, None, 0.8]
    assert frame["nesterov"].to_list() == [False, True, False, False]


def test_numbers_of_an_optimizer_are_as_exact_as_pythons():
    """In bfloat16, 0.999 is 1, and Adam would divide by 1 − 1."""
    X = CASE.X.astype(jnp.bfloat16)
    config = {**NARROW, "b2": 0.999}
    many = js.fit_many(KEY, X, CASE.Y, [config], epochs=5, optimizer="adam", dtype=jnp.bfloat16)
    params = init(jax.random.fold_in(KEY, 5), 3, 5, 2, hidden="tanh", scale=0.7, dtype=jnp.bfloat16)
    expected = js.fit(params, X, CASE.Y, optimizer=optax.adam(0.04, b2=0.999), epochs=5)
    assert_close(many.params(0), expected.params, "bfloat16")


@pytest.mark.parametrize(
    ("optimizer", "config", "error", "message"),
    [
        (optax.contrib.dpsgd, {}, TypeError, r"must not need seed, .* functools.partial\(optimizer, seed=...\)"),
        (optax.contrib.schedule_free, {}, ValueError, r"configs\[0\]: base_optimizer must be given"),
        ("adamw", {"mask": {"W1": True}}, TypeError, r"configs\[0\]: mask .* functools.partial\(optimizer, mask=...\)"),
        ("adam", {"b1": "0.9"}, ValueError, r"configs\[0\]: the optimizer cannot be used with .*b1='0.9'.*: "),
        ("lbfgs", {"memory_size": -1}, ValueError, r"configs\[0\]: the optimizer .*memory_size=-1.*: "),
    ],
)
def test_what_an_optimizer_cannot_be_is_refused_by_name(optimizer, config, error, message):
    with pytest.raises(error, match=message):
        js.fit_many(KEY, CASE.X, CASE.Y, [{**NARROW, **config}], epochs=1, optimizer=optimizer)
