"""stream: tile by tile, from memory, from mapped files and from iterables; the same answer in less memory."""

import gc
import pickle
import subprocess
import sys
import weakref
from copy import copy
from functools import partial, partialmethod
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cases import (
    HIDDEN,
    PAIRS,
    THREAD_EDGES,
    assert_close,
    assert_same,
    draw,
    largest_array,
    reference_clipped_grads,
    reference_cost,
    reference_cost_and_grads,
    reference_forward,
    reference_grads,
    reference_labels,
    reference_losses,
    reference_norms,
    stack,
)

import jaxshallow as js
from jaxshallow import tiles
from jaxshallow.tiles import chains, host, streaming
from jaxshallow.training.epochs import first_state
from jaxshallow.training.tall import asks_once

# Tiles that divide m = 7, that leave a rest, of one example, and larger than m.
TILES = [1, 3, 7, 100]

# Each function, and what it is in NumPy.
COLUMNS = {
    "forward": (js.forward, reference_forward),
    "vmap": (js.forward_vmap, reference_forward),
    "predict": (js.predict, reference_labels),
    "losses": (js.losses, reference_losses),
    "norms": (js.per_example_grad_norms, reference_norms),
}
MEANS = {
    "cost": (js.cost, reference_cost),
    "manual_grads": (js.manual_grads, reference_grads),
    "cost_and_grads": (js.cost_and_grads, reference_cost_and_grads),
    "autodiff": (jax.value_and_grad(js.cost), reference_cost_and_grads),
    "clipped_grads": (js.clipped_grads, reference_clipped_grads),
}


compiled_lightly = pytest.mark.usefixtures("little_optimization")  # what tiles get and give is the same


def called(name, fn, params, X, Y, **keywords):
    arguments = {"forward": (X,), "vmap": (X,), "predict": (X,), "clipped_grads": (X, Y, 0.5)}.get(name, (X, Y))
    return fn(params, *arguments, **keywords)


@compiled_lightly
@pytest.mark.parametrize(
    ("name", "tile"), [*((name, 3) for name in MEANS), *(("cost_and_grads", tile) for tile in TILES if tile != 3)]
)
def test_means_over_tiles_are_the_mean(x64, name, tile):
    case, (fn, reference) = draw("tanh", "softmax", 3), MEANS[name]
    every = (name, tile) == ("cost_and_grads", 3)
    for keywords in case.penalties if every else case.penalties[-1:]:
        expected = called(name, reference, *case[:3], **keywords)
        assert_close(called(name, js.stream(fn, tile), *case[:3], **keywords), expected, "float64")


@compiled_lightly
@pytest.mark.parametrize("name", MEANS)
def test_it_may_be_jitted_as_all_here(x64, name):
    case, (fn, reference) = draw("tanh", "softmax", 3), MEANS[name]
    keywords = case.penalties[-1]
    jitted = jax.jit(lambda *arguments: called(name, js.stream(fn, 3), *arguments, **keywords))
    assert_close(jitted(*case[:3]), called(name, reference, *case[:3], **keywords), "float64")


@compiled_lightly
@pytest.mark.parametrize(
    ("name", "tile"), [*((name, 3) for name in COLUMNS), *(("forward", tile) for tile in TILES if tile != 3)]
)
def test_columns_of_tiles_lie_side_by_side(x64, name, tile):
    case, (fn, reference) = draw("tanh", "softmax", 3), COLUMNS[name]
    assert_close(called(name, js.stream(fn, tile), *case[:3]), called(name, reference, *case[:3]), "float64")


@compiled_lightly
@pytest.mark.parametrize(("hidden", "output", "n_y"), PAIRS, ids=HIDDEN)
def test_every_activation_and_head_streams(x64, hidden, output, n_y):
    case = draw(hidden, output, n_y)
    keywords = case.penalties[-1]
    expected = reference_cost_and_grads(*case[:3], **keywords)
    assert_close(js.stream(js.cost_and_grads, 3)(*case[:3], **keywords), expected, "float64")


@compiled_lightly
@pytest.mark.parametrize("weights", [[0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0, 1], [0] * 7])
def test_a_tile_without_weight_counts_nothing(x64, weights):
    case = draw()
    keywords = {"weights": np.array(weights, float), "l2": 0.3}
    some = reference_cost_and_grads(*case[:3])
    expected = reference_cost_and_grads(*case[:3], **keywords) if any(weights) else jax.tree.map(np.zeros_like, some)
    assert_close(js.stream(js.cost_and_grads, 3)(*case[:3], **keywords), expected, "float64")


@pytest.mark.parametrize("m", THREAD_EDGES)
@pytest.mark.parametrize("tile", [None, 4096])
def test_it_holds_at_sizes_where_threads_split_the_work(m, tile, as_users_compile):
    params, X, Y, *_ = draw("tanh", "softmax", 3, m=m, dtype=np.float32)
    mean = jax.jit(js.stream(js.cost_and_grads, tile))(params, X, Y)
    assert_close(mean, reference_cost_and_grads(params, X, Y), "float32, sums over many examples")
    losses = jax.jit(js.stream(js.losses, tile))(params, X, Y)
    assert_close(losses, reference_losses(params, X, Y), "float32, each example")


def test_thousands_of_tiles_add_up_in_bfloat16(as_users_compile):
    """Its sums stop growing at 256 equal terms; over tiles they are taken in float32."""
    params, X, Y, *_ = draw(m=4096, dtype=np.float32)
    params, X, Y = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.bfloat16), (params, X, Y))
    J, grads = js.stream(js.cost_and_grads, 1)(params, X, Y)
    assert {leaf.dtype for leaf in jax.tree.leaves((J, grads))} == {jnp.dtype(jnp.bfloat16)}
    assert_close(J, reference_cost(params, X, Y), "bfloat16")


def test_memory_does_not_grow_with_the_examples():
    def largest(m):
        return largest_array(js.stream(js.cost_and_grads, 64), *draw(n_x=3, n_h=50, m=m, dtype=np.float32)[:3])

    assert largest(6400) == largest(64_000) == 50 * 64
    assert largest_array(js.cost_and_grads, *draw(n_x=3, n_h=50, m=6400, dtype=np.float32)[:3]) == 50 * 6400


def test_the_same_function_again_is_the_same_stream():
    """So that jit, which knows functions by identity, compiles once; and it keeps its name."""
    assert js.stream(js.cost_and_grads) is js.stream(js.cost_and_grads)
    assert js.stream(js.cost_and_grads, 5) is not js.stream(js.cost_and_grads)
    assert js.stream(js.cost_and_grads).__name__ == "cost_and_grads"


@compiled_lightly
def test_streams_compose_with_grad_and_vmap(x64):
    case = draw()
    assert_close(jax.grad(js.stream(js.cost, 3))(*case[:3]), reference_grads(*case[:3]), "float64")
    both = case.params, jax.tree.map(lambda leaf: 2 * leaf, case.params)
    each = jax.vmap(js.stream(js.cost, 3), (0, None, None))(stack(*both), *case[1:3])
    assert_close(each, np.stack([reference_cost(params, *case[1:3]) for params in both]), "float64")


@pytest.mark.parametrize(("tile", "error"), [(0, ValueError), (-3, ValueError), (2.5, TypeError), (True, TypeError)])
def test_a_tile_that_cannot_be_is_refused(tile, error):
    with pytest.raises(error, match="tile must be"):
        js.stream(js.cost, tile)


def test_a_wrong_shape_is_named_as_without_it():
    params, X, Y, *_ = draw(dtype=np.float32)
    with pytest.raises(ValueError, match=r"examples are columns, use X\.T"):
        js.stream(js.cost, 3)(params, X.T, Y)
    with pytest.raises(ValueError, match=r"Y must be \(n_y, m\) = \(1, 7\), got \(7,\)"):
        js.stream(js.cost, 3)(params, X, Y[0])
    with pytest.raises(ValueError, match=r"weights must be \(m,\) = \(7,\), got \(3,\)"):
        js.stream(js.cost, 3)(params, X, Y, weights=np.ones(3))


def test_a_tile_whose_weights_are_tiny_counts_what_it_weighs():
    """Σ wᵢ of a tile may be so small that m / Σ wᵢ is not finite: recency weights reach that."""
    case = draw("tanh", m=40, dtype=np.float32)
    weights = np.where(np.arange(40) < 4, 1e-38, 1).astype(np.float32)
    keywords = {"weights": weights, "l2": 0.3}
    expected = reference_cost_and_grads(*case[:3], **keywords)
    assert_close(js.stream(js.cost_and_grads, 4)(*case[:3], **keywords), expected, "float32")


def test_a_mean_of_ones_own_may_be_nothing_where_no_weight_is(x64):
    def mean_loss(params, X, Y, *, weights):
        return jnp.average(js.losses(params, X, Y), weights=weights)

    case, weights = draw(), np.array([0, 0, 0, 1.0, 2, 3, 4])
    assert_close(js.stream(mean_loss, 3)(*case[:3], weights=weights), mean_loss(*case[:3], weights=weights), "float64")


def test_what_is_neither_a_mean_nor_columns_is_refused():
    params, X, Y, *_ = draw(dtype=np.float32)
    with pytest.raises(TypeError, match=r"what hits returns must be means .*, got int32"):
        js.stream(_named("hits", lambda params, X: js.predict(params, X).sum()), 3)(params, X)
    with pytest.raises(ValueError, match=r"along the last axis of what rows returns, got \(2, 4\)"):
        js.stream(_named("rows", lambda params, X: js.forward(params, X).A1.T), 3)(params, X)
    with pytest.raises(ValueError, match="along the last axis of what gram returns"):
        js.stream(_named("gram", lambda params, X: X.T @ X), 3)(params, X)


def _named(name, fn):
    fn.__name__ = name
    return fn


def test_a_second_call_compiles_nothing_even_outside_of_jit():
    traced = []

    def mean_loss(params, X, Y):
        traced.append(X.shape)
        return js.losses(params, X, Y).mean()

    params, X, Y, *_ = draw(dtype=np.float32)
    streamed = js.stream(mean_loss, 3)
    streamed(params, X, Y)
    traced.clear()
    streamed(params, X, Y)
    assert traced == [(3, 2), (3, 3)]  # what it returns for 2 and 3 examples: its shape tells means from columns


def test_the_derivative_of_a_stream_keeps_no_activations():
    params, X, Y, *_ = draw(n_x=3, n_h=50, m=6400, dtype=np.float32)
    program = jax.jit(jax.grad(js.stream(js.cost, 64))).lower(params, X, Y).compile()
    assert program.memory_analysis().temp_size_in_bytes < 50 * 6400 * 4 / 4  # a quarter of Z1


def test_targets_may_be_named(x64):
    params, X, Y, *_ = draw()
    assert_close(js.stream(js.cost, 3)(params, X, Y=Y), reference_cost(params, X, Y), "float64")


# ---- options of the user's own function ----


def power_mean(params, X, Y, *, half=False, powers=(1,), factor=1.0, times=1, sign=None, more=None, traced=None):
    if traced is not None:
        traced.calls += 1
    A = js.forward(params, X).A2
    A = A / 2 if half else A
    for power in powers:
        A = A**power
    for _ in range(times):
        A = factor * A
    return (-A if sign == "minus" else A).mean() * (1.0 if more is None else more["by"](more["factors"][0]))


@compiled_lightly
@pytest.mark.parametrize("how", ["tiles", "devices", "host"])
def test_options_that_are_no_numbers_reach_the_function_as_they_are(x64, how):
    params, X, Y, *_ = draw()
    run = {
        "tiles": js.stream(power_mean, 3),
        "devices": js.shard(power_mean, jax.make_mesh((1,), ("a",))),
        "host": lambda params, X, Y, **options: js.stream(power_mean)(params, [(X, Y)], **options),
    }[how]
    for options in (
        {"half": True, "powers": [1, 2], "sign": None},
        {"half": np.bool_(True), "times": np.int64(3), "sign": "minus"},
        {"times": 1},
        {"times": True},  # equal to 1, and yet not the same
        {"powers": {2, 3}},  # without a hash
        {"more": {"by": jnp.sin, "factors": [np.float64(0.3), "x"], "none": None}},
    ):
        assert_close(run(params, X, Y, **options), power_mean(params, X, Y, **options), "float64")


def test_options_by_position_follow_the_same_rule(x64):
    params, X, Y, *_ = draw()

    def fn(params, X, Y, half, powers, sign="plus"):
        return power_mean(params, X, Y, half=half, powers=powers, sign=sign)

    assert_close(
        js.stream(fn, 3)(params, X, Y, True, [1, 2], "minus"), fn(params, X, Y, True, [1, 2], "minus"), "float64"
    )


def test_other_floats_and_arrays_compile_nothing(x64):
    params, X, Y, *_ = draw()
    traced = SimpleNamespace(calls=0)
    fn = partial(power_mean, traced=traced)
    calls = []
    for factor in (0.5, 0.7, 1.0):
        for more in ({"by": jnp.sin, "factors": [factor]}, {"by": jnp.sin, "factors": [np.float64(factor)]}):
            traced.calls = 0
            actual = js.stream(fn, 3)(params, X, Y, factor=factor, more=more)
            assert_close(actual, power_mean(params, X, Y, factor=factor, more=more), "float64")
            calls.append(traced.calls)
    assert calls[0] > calls[2] == calls[4] == 2  # what it returns for 2 and 3 examples


# ---- chains of tiles, from threads ----


@pytest.fixture
def few_are_many(monkeypatch):
    """Three chains of four tiles or so, on three cores."""
    monkeypatch.setattr(chains, "LEAST", 2)
    monkeypatch.setattr(chains, "FEWEST", 3)
    monkeypatch.setattr(chains, "A_CORE", 1)
    monkeypatch.setattr(streaming, "_cores", lambda: 3)
    monkeypatch.setattr(streaming, "ONE_CORE", 0)  # tiles of LEAST
    monkeypatch.setattr(streaming, "LEAST", 4)


@pytest.mark.parametrize(("m", "tile", "cores"), [(4099, 4, 2), (5000, 3, 64), (10**6, 512, 2), (10**7 + 1, 64, 16)])
def test_spans_hold_every_example_once(m, tile, cores):
    spans = chains.spans_of(m, tile, cores)
    assert sum(span.tile * span.turns + span.left for span in spans) == m
    assert chains.FEWEST <= len(spans) <= chains.A_CORE * cores + 1
    assert len(set(spans)) <= 2  # programs


def test_few_examples_or_a_single_core_need_no_threads():
    few = chains.FEWEST * chains.LEAST * 4
    assert chains.spans_of(few, 4, 2) is not None
    assert chains.spans_of(few - 1, 4, 2) is None
    assert chains.spans_of(few, 4, 1) is None


@compiled_lightly
@pytest.mark.usefixtures("few_are_many")
@pytest.mark.parametrize("name", ["cost_and_grads", "clipped_grads", "forward"])
@pytest.mark.skipif(jax.default_backend() != "cpu", reason="one program fills another device")
def test_chains_are_the_whole(x64, monkeypatch, name):
    """Under x64, which holds in this thread alone: the programs are compiled here."""
    case, (fn, reference) = draw("tanh", "softmax", 3, m=50), (MEANS | COLUMNS)[name]
    run = []
    monkeypatch.setattr(chains.Chains, "__call__", partialmethod(_noted, chains.Chains.__call__, run))
    keywords = case.penalties[-1] if name == "cost_and_grads" else {}
    result = called(name, js.stream(fn, 5), *case[:3], **keywords)
    assert run == [3 + 1]
    assert_close(result, called(name, reference, *case[:3], **keywords), "float64")


def _noted(itself, call, run, params):
    run.append(len(itself.spans))
    return call(itself, params)


@compiled_lightly
@pytest.mark.usefixtures("few_are_many")
@pytest.mark.skipif(jax.default_backend() != "cpu", reason="one program fills another device")
@pytest.mark.parametrize("optimizer", [None, optax.adam(0.1)], ids=["none", "adam"])
def test_fit_takes_its_gradients_from_chains(x64, monkeypatch, optimizer, standard_promotion):
    case, run = draw("tanh", m=50), []
    settings = {"optimizer": optimizer, "epochs": 4, **case.penalties[-1]}
    plain = js.fit(*case[:3], **settings, grads=partial(js.cost_and_grads))
    monkeypatch.setattr(chains.Chains, "__call__", partialmethod(_noted, chains.Chains.__call__, run))
    ours = js.fit(*case[:3], **settings)
    assert run == [3 + 1] * 4
    assert_close((ours.params, ours.history.cost), (plain.params, plain.history.cost), "float64")


@pytest.mark.parametrize(
    ("optimizer", "once"),
    [(None, True), (optax.adamw(0.1), True), (optax.lbfgs(), False)],
    ids=["none", "adamw", "lbfgs"],
)
def test_an_optimizer_that_looks_elsewhere_is_known(standard_promotion, optimizer, once):
    """The line search of L-BFGS asks for the cost at other parameters: a gradient from the host would not do."""
    state = first_state(draw(dtype=np.float32).params, optimizer)
    assert asks_once(optimizer, state) == once


@pytest.mark.usefixtures("few_are_many")
def test_fit_from_chains_stops_and_goes_on(x64):
    case = draw("tanh", m=50)
    settings = {"learning_rate": 0.5, "validation": case[1:3], "patience": 3}
    whole = js.fit(*case[:3], **settings, epochs=6)
    assert_same(js.fit(*case[:3], **settings, epochs=6, resume=js.fit(*case[:3], **settings, epochs=2)), whole)
    assert len(js.fit(*case[:3], epochs=9, learning_rate=0.0, patience=2).history.cost) == 3


@compiled_lightly
@pytest.mark.usefixtures("few_are_many")
def test_a_run_may_be_differentiated_by_its_learning_rate(x64):
    """What is traced need not be an argument of the gradient, nor of `fit`: after a step, the parameters are."""
    case = draw("tanh", m=50)
    slopes = [
        jax.grad(lambda rate, how=how: js.fit(*case[:3], epochs=2, **how(rate)).history.cost[-1])(0.1)
        for how in (lambda rate: {"learning_rate": rate}, lambda rate: {"optimizer": optax.sgd(rate)})
    ]
    assert slopes[0] < 0
    assert_close(slopes[0], slopes[1], "float64")


# ---- what lives how long ----


class Holder:
    """A gradient that holds an array, as a function, a method, a partial or itself; it has no hash."""

    __hash__ = None

    def __init__(self):
        self.array = jnp.ones(3)
        self.traced = 0

    def __call__(self, params, X, Y, *, weights=None, l2=0.0):
        self.traced += 1
        J, gradient = js.cost_and_grads(params, X, Y, weights=weights, l2=l2)
        return J * self.array.mean().astype(J.dtype), gradient

    def method(self, params, X, Y, **options):
        return self(params, X, Y, **options)

    def step(self, updates, state, params=None):
        return jax.tree.map(lambda leaf: -leaf * self.array.mean().astype(leaf.dtype), updates), state

    @property
    def optimizer(self):
        return optax.GradientTransformation(lambda _: (), lambda *some: self.step(*some))


SEEN_BY = {
    "stream": lambda held, params, X, Y: js.stream(lambda *some, **options: held(*some, **options), 3)(params, X, Y),
    "stream of a method": lambda held, params, X, Y: js.stream(held.method, 3)(params, X, Y),
    "shard": lambda held, params, X, Y: js.shard(held, jax.make_mesh((1,), ("a",)))(params, X, Y),
    "an option": lambda held, params, X, Y: js.stream(power_mean)(
        params, X, Y, more={"by": lambda x: x * held.array[0].astype(jnp.float32), "factors": [2.0]}
    ),
    "fit": lambda held, params, X, Y: js.fit(params, X, Y, epochs=2, grads=partial(held)),
    "fit by a method": lambda held, params, X, Y: js.fit(params, X, Y, epochs=2, grads=held.method),
    "fit by a stream": lambda held, params, X, Y: js.fit(params, X, Y, epochs=2, grads=js.stream(held, 3)),
    "an optimizer": lambda held, params, X, Y: js.fit(params, X, Y, epochs=2, optimizer=held.optimizer),
    "a callback": lambda held, params, X, Y: js.fit(params, X, Y, epochs=2, callback=lambda _: held.array[0] > 2),
    "many": lambda held, params, X, Y: js.fit_many(
        jax.random.key(0), X, Y, {"n_h": [2]}, epochs=2, optimizer=lambda learning_rate: held.optimizer
    ),
}


@compiled_lightly
@pytest.mark.parametrize("way", SEEN_BY)
def test_nothing_keeps_a_function_alive_with_the_arrays_it_holds(way):
    params, X, Y, *_ = draw(dtype=np.float32)
    held = Holder()
    alive = weakref.ref(held), weakref.ref(held.array)
    SEEN_BY[way](held, params, X, Y)
    del held
    gc.collect()
    assert [one() for one in alive] == [None, None]


@compiled_lightly
def test_what_lives_compiles_once():
    params, X, Y, *_ = draw(dtype=np.float32)
    held = Holder()
    for way in ("fit by a method", "fit by a stream"):
        SEEN_BY[way](held, params, X, Y)
        held.traced = 0
        SEEN_BY[way](held, params, X, Y)
        assert held.traced == 0
    assert js.stream(held.method, 3) is js.stream(held.method, 3)
    assert js.stream(held) is not js.stream(copy(held))


def test_what_hangs_on_a_function_is_no_part_of_it():
    """`functools.wraps` copies what hangs on a function, and `stream` itself uses it."""
    fn = partial(js.cost)
    streamed = js.stream(fn, 3)
    assert js.stream(streamed, 3) not in (streamed, fn)
    assert pickle.loads(pickle.dumps(fn)).func is js.cost


# ---- fit ----


@compiled_lightly
def test_fit_streams(x64):
    case = draw("tanh", m=50)
    settings = {"learning_rate": 0.5, "epochs": 20, "l2": 0.1}
    plain = js.fit(*case[:3], **settings)
    streamed = js.fit(*case[:3], **settings, grads=js.stream(js.cost_and_grads, 8))
    assert_close(streamed.params, plain.params, "float64")
    assert_close(streamed.history.cost, plain.history.cost, "float64")


def test_fit_streams_by_itself_where_that_is_faster(monkeypatch):
    """On one CPU device, for eight tiles or more; and never inside someone's jit, where devices are not known."""
    monkeypatch.setattr(streaming, "tile_size", lambda params: 10)
    case = draw(m=80, dtype=np.float32)
    X = jnp.asarray(case.X)
    on_cpu = jax.default_backend() == "cpu"
    assert (tiles.faster(js.cost, case.params, X, 80) is js.stream(js.cost)) == on_cpu
    assert tiles.faster(js.cost, case.params, X, 79) is js.cost

    traced = []
    jax.jit(lambda X: traced.append(tiles.faster(js.cost, case.params, X, 80)) or X)(X)
    assert traced == [js.cost]


def test_the_tile_fits_the_cache_and_holds_at_least_128_examples():
    def tile(n_x, n_h):
        return tiles.tile_size(jax.eval_shape(lambda key: js.init(key, n_x, n_h), jax.random.key(0)))

    assert tile(30, 64) * 64 * 4 <= 2**26
    assert tile(20_000, 3000) >= 128
    assert tile(30, 64) > tile(30, 128)


# ---- larger than memory ----


@pytest.fixture
def mapped(tmp_path):
    """A case whose X and Y lie in .npy files, rows as examples, and are mapped."""
    case = draw("tanh", "softmax", 3, m=50, dtype=np.float32)
    for name, array in (("x", case.X), ("y", case.Y)):
        np.save(tmp_path / f"{name}.npy", array.T)
    X, Y = (np.load(tmp_path / f"{name}.npy", mmap_mode="r").T for name in ("x", "y"))
    return case, X, Y


@pytest.fixture
def small_host_tiles(monkeypatch):
    monkeypatch.setattr(host, "HOST_TILE_BYTES", 3 * 4 * 12)  # 12 examples of 3 float32


@compiled_lightly
@pytest.mark.parametrize("name", MEANS)
@pytest.mark.usefixtures("small_host_tiles")
def test_a_mapped_file_is_streamed(mapped, name):
    (case, X, Y), (fn, reference) = mapped, MEANS[name]
    for keywords in case.penalties[0 if name == "cost_and_grads" else 3 :: 3]:  # none and all, or all
        expected = called(name, reference, *case[:3], **keywords)
        assert_close(called(name, js.stream(fn, 5), case.params, X, Y, **keywords), expected, "float32")


@compiled_lightly
@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.usefixtures("small_host_tiles")
def test_columns_of_a_mapped_file_lie_side_by_side(mapped, name):
    (case, X, Y), (fn, reference) = mapped, COLUMNS[name]
    expected = called(name, reference, *case[:3])
    assert_close(called(name, js.stream(fn, 5), case.params, X, Y), expected, "float32")


class Tiles:
    """Tiles of 20, 1 and 29 examples, again and again, with weights or without."""

    def __init__(self, case, weighted):
        self.arrays = (case.X, case.Y, case.weights)[: 3 if weighted else 2]

    def __iter__(self):
        for here in (slice(0, 20), slice(20, 21), slice(21, 50)):
            yield tuple(array[..., here] for array in self.arrays)


@compiled_lightly
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", ["cost", "cost_and_grads", "losses", "norms"])
def test_any_iterable_of_tiles_is_streamed(name, weighted):
    case = draw("tanh", m=50, dtype=np.float32)
    (fn, reference), tiles = (MEANS | COLUMNS)[name], Tiles(case, weighted)
    keywords = {"l2": 0.3} if name in MEANS else {}
    expected = reference(*case[:3], **keywords, **({"weights": case.weights} if weighted and name in MEANS else {}))
    if name in COLUMNS and weighted:
        with pytest.raises(TypeError):  # what has a column for each example takes no weights
            js.stream(fn, 8)(case.params, tiles)
        return
    for _ in range(2):
        assert_close(js.stream(fn, 8)(case.params, tiles, **keywords), expected, "float32")
    assert_close(js.stream(fn, 8)(case.params, iter(tiles), **keywords), expected, "float32")


@compiled_lightly
def test_tiles_may_be_lists_and_a_list_of_tiles_serves_too():
    case = draw("tanh", m=50, dtype=np.float32)
    tiles = list(Tiles(case, weighted=False))
    expected = reference_cost(*case[:3])
    assert_close(js.stream(js.cost, 8)(case.params, tiles), expected, "float32")
    assert_close(js.stream(js.cost, 8)(case.params, iter([list(tile) for tile in tiles])), expected, "float32")


def test_tiles_may_use_their_memory_again():
    """The device computes while the next tile is read, but never from memory that is written to."""
    case = draw("tanh", n_h=64, m=40_000, dtype=np.float32)
    X, Y = np.empty((3, 2000), np.float32), np.empty((1, 2000), np.float32)

    def tiles():
        for start in range(0, 40_000, 2000):
            X[:], Y[:] = case.X[:, start : start + 2000], case.Y[:, start : start + 2000]
            yield X, Y
            X[:], Y[:] = np.nan, np.nan

    expected = reference_cost(*case[:3])
    for _ in range(5):
        assert_close(js.stream(js.cost)(case.params, tiles()), expected, "float32")


@pytest.mark.parametrize("tiny", [1e-50, 1e-40, 0.0])
def test_l2_counts_once_whatever_the_first_tile_weighs(tiny):
    """A weight that is 0 in the parameters' dtype has no share of l2, so it must not be given all of it."""
    case = draw("tanh", m=20, dtype=np.float32)
    weights = np.where(np.arange(20) < 10, tiny, 1.0)
    tiles = [(case.X[:, here], case.Y[:, here], weights[here]) for here in (slice(0, 10), slice(10, 20))]
    expected = reference_cost(*case[:3], weights=weights > 0.5, l2=1e3)
    assert_close(js.stream(js.cost)(case.params, tiles, l2=1e3), expected, "float32")


def test_what_is_no_stream_of_tiles_is_said(mapped):
    case, X, Y = mapped
    streamed = js.stream(js.cost)
    with pytest.raises(ValueError, match="X held no tiles: an iterator serves once"):
        streamed(case.params, iter([]))
    with pytest.raises(TypeError, match=r"a tile must be arrays X, \(X, Y\) or \(X, Y, weights\)"):
        streamed(case.params, iter([{"X": case.X}]))
    with pytest.raises(ValueError, match=r"X must be \(n_x, m\)"):
        streamed(case.params, iter([(case.X[0], case.Y)]))
    with pytest.raises(TypeError, match="give nothing beside them"):
        streamed(case.params, iter([(case.X, case.Y)]), case.Y)
    with pytest.raises(ValueError, match=r"examples are columns, use X\.T"):
        streamed(case.params, X.T, Y)
    with pytest.raises(ValueError, match=r"Y must be \(n_y, m\) = \(3, 50\), got \(3, 40\)"):
        streamed(case.params, X, Y[:, :40])


@pytest.mark.usefixtures("small_host_tiles")
def test_changes_in_a_private_map_are_read_and_kept(tmp_path, mapped):
    case, *_ = mapped
    X = np.load(tmp_path / "x.npy", mmap_mode="c").T
    X[:] = 2 * case.X
    expected = reference_forward(case.params, 2 * case.X)
    for _ in range(2):
        assert_close(js.stream(js.forward)(case.params, X), expected, "float32")
    assert_same(np.array(X), 2 * case.X)


LARGE = """
import resource, sys
import jax, numpy as np
import jaxshallow as js

m, n_x = 10_000_000, 28
X, Y = (np.load(sys.argv[1], mmap_mode="r").T, np.load(sys.argv[2], mmap_mode="r").T)
params = js.init(jax.random.key(0), n_x, 8, hidden="tanh")
grads = js.stream(js.cost_and_grads)
grads(params, X[:, :1_000_000], Y[:, :1_000_000])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
J, g = grads(params, X, Y)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, float(J), float(g.b2[0, 0]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss has other units elsewhere")
def test_a_file_of_a_gigabyte_is_streamed_in_a_fraction_of_it(tmp_path):
    """The files are sparse, all zeros: they take no disk, but memory all the same if they are read at once."""
    m, n_x = 10_000_000, 28
    for name, columns in (("x", n_x), ("y", 1)):
        np.lib.format.open_memmap(tmp_path / f"{name}.npy", "w+", np.float32, (m, columns)).flush()
    run = [sys.executable, "-c", LARGE, tmp_path / "x.npy", tmp_path / "y.npy"]
    result = subprocess.run(run, capture_output=True, text=True, check=True)
    grown, J, db2 = map(float, result.stdout.split())
    assert grown < 250  # MiB, of 1,107; a tile is 16 MiB, and several are under way
    # All X are 0 and so are the biases: A2 = ½. Some 400 equal terms are summed at a time, each sum rounding once.
    np.testing.assert_allclose([J, db2], [np.log(2), 0.5], rtol=400 * 2**-24)
