"""Gradient descent: `update`, the compiled step, and `fit`."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cases import assert_close, assert_same, draw, reference_cost, reference_grads

import jaxshallow as js
from jaxshallow.training.epochs import epoch_order

pytestmark = pytest.mark.usefixtures("standard_promotion", "little_optimization")


def learnable(dtype="float32", m=60):
    params, X = first_numbers(dtype, m)
    X = np.asarray(X)
    return params, X, (X[:1] * X[1:] > 0).astype(X.dtype)


@partial(jax.jit, static_argnums=(0, 1))
def first_numbers(dtype, m):
    params = js.init(jax.random.key(0), 2, 5, dtype=dtype, hidden="tanh", scale="glorot")
    return params, jax.random.normal(jax.random.key(1), (2, m), dtype)


def by_hand(params, batches, learning_rate, l2=0.0):
    """Plain gradient descent, a step a batch; `l2` is that of the 60 examples, of which a batch takes its share."""
    for X, Y in batches:
        grads = reference_grads(params, X, Y, l2=l2 * X.shape[1] / 60)
        leaves = [W - learning_rate * dW for W, dW in zip(jax.tree.leaves(params), grads, strict=True)]
        params = jax.tree.unflatten(jax.tree.structure(params), leaves)
    return params


# ---- update and make_train_step ----


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_update_is_the_notes_line_and_keeps_the_dtype(dtype):
    params = draw(dtype=jnp.dtype(dtype)).params
    grads = draw(dtype=np.float32, seed=1).params
    new = js.update(params, grads, 0.5)
    assert_same(new, jax.tree.map(lambda W, dW: (W - np.float32(0.5) * dW).astype(W.dtype), params, grads))
    assert new.W1.dtype == dtype


OPTIMIZERS = {
    "sgd": optax.sgd(0.1),
    "momentum": optax.sgd(0.1, momentum=0.9),
    "adam": optax.adam(0.01),
    "clipped adamw": optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(0.01)),
    "schedule": optax.adam(optax.exponential_decay(0.01, 10, 0.9)),
    "lbfgs": optax.lbfgs(),
    "polyak": optax.polyak_sgd(max_learning_rate=1.0),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_train_step_runs_any_optax_transformation(name):
    optimizer = OPTIMIZERS[name]
    params, X, Y = learnable()

    @jax.jit
    def step_by_hand(params, state):
        value = lambda p: js.cost(p, X, Y, l2=0.1)  # noqa: E731
        J, grads = jax.value_and_grad(value)(params)
        updates, state = optax.with_extra_args_support(optimizer).update(
            grads, state, params, value=J, grad=grads, value_fn=value
        )
        return optax.apply_updates(params, updates), state, J

    init = jax.jit(optimizer.init)
    expected, expected_state = params, init(params)
    state, step = init(params), js.make_train_step(optimizer, l2=0.1)
    params = jax.tree.map(jnp.copy, params)
    for _ in range(3):
        expected, expected_state, J = step_by_hand(expected, expected_state)
        params, state, J_step = step(params, state, X, Y)
        assert_close(J_step, J, "float32")
    assert_close(params, expected, "float32")


def test_the_train_step_donates_its_buffers():
    params, X, Y = learnable()
    optimizer = optax.adam(0.01)
    state = optimizer.init(params)
    js.make_train_step(optimizer)(params, state, X, Y)
    assert params.W1.is_deleted()
    assert state[0].mu.W1.is_deleted()


def test_an_optimizer_that_shares_the_parameters_memory_is_not_donated():
    params, X, Y = learnable()
    optimizer = optax.lbfgs()
    js.make_train_step(optimizer)(params, optimizer.init(params), X, Y)
    assert not params.W1.is_deleted()


def test_the_train_step_compiles_once():
    traces = []

    def counted(*args, **kwargs):
        traces.append(1)
        return js.cost_and_grads(*args, **kwargs)

    params, X, Y = learnable()
    optimizer = optax.adam(0.01)
    step, state = js.make_train_step(optimizer, grads=counted), optimizer.init(params)
    for _ in range(20):
        params, state, _ = step(params, state, X, Y)
    assert len(traces) == 1


def test_the_train_step_takes_weights():
    params, X, Y = learnable()
    optimizer = optax.sgd(0.1)
    weights = np.where(np.arange(60) < 30, 1.0, 0.0)
    step = js.make_train_step(optimizer)
    copy = jax.tree.map(jnp.copy, params)
    weighted, _, _ = step(params, optimizer.init(params), X, Y, weights)
    half, _, _ = step(copy, optimizer.init(copy), X[:, :30], Y[:, :30])
    assert_close(weighted, half, "float32")


# ---- any optax transformation, and where a step may stand ----


def weights_and_biases(params):
    return jax.tree.map(lambda leaf: "weights" if leaf.shape[-1] > 1 else "biases", params)


def sam(opaque_mode):
    adversary = optax.chain(optax.contrib.normalize(), optax.sgd(0.05))
    return optax.contrib.sam(optax.adam(0.05), adversary, opaque_mode=opaque_mode)


POLYAK = optax.polyak_sgd(max_learning_rate=1.0)
SOPHIA = optax.contrib.sophia(0.05, update_interval=2)
# The optimizer, and what optax's own loop would give to its update beside the gradient.
ASKS = {
    "sam": (sam(opaque_mode=False), ""),
    "sam, in a chain": (optax.chain(optax.clip(0.1), sam(opaque_mode=True)), "grad_fn"),
    "sophia, of a part": (
        optax.partition({"weights": SOPHIA, "biases": optax.sgd(0.1)}, weights_and_biases),
        "obj_fn",
    ),
    "lookahead, in a chain": (optax.chain(optax.clip(0.1), optax.lookahead(optax.adam(0.05), 2, 0.5)), ""),
    "MultiSteps": (optax.MultiSteps(POLYAK, 2), "value"),
}


def test_an_optimizer_gets_what_it_asks_for_of_the_same_objective(x64):
    """In minibatches, with weights and l2, against a loop as optax's documentation writes it."""
    start, X, Y = learnable("float64", m=12)
    weights, key = np.linspace(0.5, 2, 12), jax.random.key(3)
    for name, (optimizer, asks) in ASKS.items():

        @jax.jit
        def step_by_hand(params, state, X, Y, w, l2, optimizer=optimizer, asks=asks):
            fast = getattr(params, "fast", params)

            def objective(part, *_):  # a part of the network, where a mask hides the rest
                own = lambda leaf, W: W if isinstance(leaf, optax.MaskedNode) else leaf  # noqa: E731
                whole = jax.tree.map(own, part, fast, is_leaf=lambda leaf: isinstance(leaf, optax.MaskedNode))
                return js.cost(whole, X, Y, weights=w, l2=l2)

            J, g = jax.value_and_grad(objective)(fast)
            known = {"value": J, "obj_fn": objective, "grad_fn": jax.grad(objective)}
            updates, state = optimizer.update(g, state, params, **{name: known[name] for name in asks.split()})
            return optax.apply_updates(params, updates), state

        params = optax.LookaheadParams.init_synced(start) if "lookahead" in name else start
        state = optimizer.init(params)
        for epoch in range(2):
            for row in epoch_order(key, epoch, 12, 4):
                share = 0.3 * weights[row].sum() / weights.sum()
                params, state = step_by_hand(params, state, X[:, row], Y[:, row], weights[row], share)
        options = {"batch_size": 4, "key": key, "weights": weights, "l2": 0.3}
        result = js.fit(start, X, Y, optimizer=optimizer, epochs=2, **options)
        assert_close(result.params, getattr(params, "slow", params), "float64, after training")


def test_make_train_step_takes_the_pair_of_lookahead():
    params, X, Y = learnable()
    optimizer = optax.lookahead(optax.sgd(0.5), 2, 0.5)
    pair = optax.LookaheadParams.init_synced(params)
    state, step = optimizer.init(pair), js.make_train_step(optimizer)
    with pytest.raises(TypeError, match=r"must be a pair for optax.lookahead, .*init_synced\(params\), got Params"):
        step(params, state, X, Y)
    for _ in range(4):
        pair, state, _ = step(pair, state, X, Y)
    result = js.fit(params, X, Y, optimizer=optimizer, epochs=4, validation=(X, Y))
    assert_close(result.params, pair.slow, "float32")
    assert_close(result.state.params, pair.fast, "float32")
    assert_close(result.history.validation_cost[-1], reference_cost(pair.slow, X, Y), "float32")


REFUSED = {
    "takes a gradient for each example: use grads that clip": optax.contrib.differentially_private_aggregate(
        1.0, 1.0, key=0
    ),
    r"got: .* missing 1 required keyword-only argument: 'hessian'": optax.GradientTransformationExtraArgs(
        lambda params: (), lambda g, state, params=None, *, hessian, **rest: (g, state)
    ),
    "hand these on .* got: .*'value'": optax.chain(optax.clip(1.0), optax.MultiSteps(POLYAK, 2)),
    "mask_compatible_extra_args=True": optax.masked(
        optax.lbfgs(), lambda params: jax.tree.map(lambda leaf: leaf.shape[-1] > 1, params)
    ),
    r"its step makes .* of \['n'\], which is nothing: take the steps .* make_train_step": optax.GradientTransformation(
        lambda params: {}, lambda g, state, params=None: (g, {"n": jnp.int32(1)})
    ),
    r"an update of the parameters' form, .*'W1': \(5, 2\)": optax.GradientTransformation(
        lambda params: (), lambda g, state, params=None: (jax.tree.map(lambda dW: dW[:1], g), state)
    ),
    "but its update fails: tuple index out of range": optax.GradientTransformation(
        lambda params: (), lambda g, state, params=None: (state[0], state)
    ),
}


def test_what_cannot_take_a_step_is_refused_by_a_sentence():
    params, X, Y = learnable()
    for message, optimizer in REFUSED.items():
        with pytest.raises(TypeError, match=message):
            js.fit(params, X, Y, optimizer=optimizer, epochs=2)


def test_the_train_step_stands_inside_scan_vmap_and_grad_and_leaves_its_arguments_alone():
    params, X, Y = learnable(m=12)

    def last_cost(rate):
        optimizer = optax.sgd(rate)
        step = js.make_train_step(optimizer, l2=rate)
        carry = params, optimizer.init(params)
        body = lambda carry, _: ((after := step(*carry, X, Y))[:2], after[2])  # noqa: E731
        return jax.lax.scan(body, carry, length=3)[1][-1]

    rates = jnp.array([0.45, 0.55])
    alone = jnp.stack([last_cost(rate) for rate in rates])
    assert_close(jax.vmap(last_cost)(rates), alone, "float32")
    slope = (alone[1] - alone[0]) / 0.1
    np.testing.assert_allclose(jax.jit(jax.grad(last_cost))(0.5), slope, rtol=0.01)  # 0.05² / 6 of the third derivative
    one = js.make_train_step(optax.adam(0.1))
    state = optax.adam(0.1).init(params)
    jax.vmap(lambda X: one(params, state, X, Y)[2])(np.stack([X, 2 * X]))
    assert not params.W1.is_deleted()


def test_the_arrays_that_an_optimizer_starts_from_are_not_donated():
    params, X, Y = learnable(m=12)
    for optimizer in (
        optax.noisy_sgd(0.1, key=jax.random.key(1)),
        optax.inject_hyperparams(optax.sgd)(jnp.float32(0.1)),
    ):
        step = js.make_train_step(optimizer)
        first, second = (step(params, optimizer.init(params), X, Y)[0] for _ in range(2))
        assert_same(first, second)


# ---- fit ----


def test_fit_is_gradient_descent_by_hand(x64):
    params, X, Y = learnable("float64")
    result = js.fit(params, X, Y, learning_rate=0.7, epochs=25, l2=0.3)
    assert_close(result.params, by_hand(params, [(X, Y)] * 25, 0.7, 0.3), "float64")
    assert_close(result.history.cost[0], reference_cost(params, X, Y, l2=0.3), "float64")
    assert result.history.cost.shape == (25,)
    assert result.history.validation_cost is None


@pytest.mark.parametrize("batch_size", [7, 20, 60, 1000])
def test_fit_in_minibatches_is_a_step_for_each_batch_of_the_epochs_order(x64, batch_size):
    params, X, Y = learnable("float64")
    key = jax.random.key(3)
    batches = []
    for epoch in range(3):
        for row in epoch_order(key, epoch, 60, min(batch_size, 60)):
            kept = row[row >= 0]
            batches.append((X[:, kept], Y[:, kept]))
    result = js.fit(params, X, Y, learning_rate=0.5, epochs=3, batch_size=batch_size, key=key, l2=0.1)
    assert_close(result.params, by_hand(params, batches, 0.5, 0.1), "float64")


def test_minibatches_descend_the_cost_of_all_the_data(x64):
    """With a strong l2, the end of small steps in minibatches is near that of full batch, in weights and cost."""
    params, X, Y = learnable("float64")
    full = js.fit(params, X, Y, learning_rate=0.3, epochs=4000, l2=2.0).params
    small = js.fit(params, X, Y, learning_rate=0.03, epochs=6000, l2=2.0, batch_size=10, key=jax.random.key(0)).params
    # Batches of 10 of 60 leave the end noisy by about the rate: within 2 % of the cost. Six times the decay is far off.
    np.testing.assert_allclose(reference_cost(small, X, Y, l2=2.0), reference_cost(full, X, Y, l2=2.0), rtol=0.02)
    assert reference_cost(
        js.fit(params, X, Y, learning_rate=0.3, epochs=4000, l2=12.0).params, X, Y, l2=2.0
    ) > 1.04 * reference_cost(full, X, Y, l2=2.0)


def test_a_minibatch_epochs_cost_is_the_mean_over_its_examples(x64):
    params, X, Y = learnable("float64")
    result = js.fit(params, X, Y, learning_rate=0.0, epochs=1, batch_size=7, key=jax.random.key(0))
    assert_close(result.history.cost[0], reference_cost(params, X, Y), "float64")


def test_the_order_holds_every_example_once_and_depends_on_key_and_epoch_alone():
    key = jax.random.key(5)
    order = epoch_order(key, 2, 103, 10)
    assert order.shape == (11, 10)
    assert sorted(order[order >= 0]) == list(range(103))
    np.testing.assert_array_equal(order, epoch_order(jax.random.key(5), 2, 103, 10))
    np.testing.assert_array_equal(order, epoch_order(jax.random.PRNGKey(5), 2, 103, 10))
    assert (order != epoch_order(key, 3, 103, 10)).any()
    assert (order != epoch_order(jax.random.key(6), 2, 103, 10)).any()


def test_weights_of_zero_and_one_train_on_a_part(x64):
    params, X, Y = learnable("float64")
    weights = (np.arange(60) < 40).astype(float)
    whole = js.fit(params, X, Y, learning_rate=0.5, epochs=10, weights=weights, l2=0.2)
    part = js.fit(params, X[:, :40], Y[:, :40], learning_rate=0.5, epochs=10, l2=0.2)
    assert_close(whole.params, part.params, "float64")


def test_a_batch_whose_weights_are_all_zero_changes_nothing(x64):
    params, X, Y = learnable("float64")
    key = jax.random.key(0)
    order = epoch_order(key, 0, 60, 20)
    weights = np.ones(60)
    weights[order[1]] = 0
    result = js.fit(params, X, Y, learning_rate=0.5, epochs=1, batch_size=20, key=key, weights=weights)
    expected = by_hand(params, [(X[:, order[i]], Y[:, order[i]]) for i in (0, 2)], 0.5)
    assert_close(result.params, expected, "float64")


def test_fit_with_optax_is_the_train_step_repeated():
    params, X, Y = learnable()
    optimizer = optax.adam(0.05)
    result = js.fit(params, X, Y, optimizer=optimizer, epochs=30)
    step, state = js.make_train_step(optimizer), optimizer.init(params)
    for _ in range(30):
        params, state, _ = step(params, state, X, Y)
    assert_close(result.params, params, "float32")
    assert_close(result.opt_state[0].mu, state[0].mu, "float32")


def test_the_validation_cost_is_that_after_each_epoch(x64):
    params, X, Y = learnable("float64")
    result = js.fit(params, X[:, :40], Y[:, :40], learning_rate=0.5, epochs=5, validation=(X[:, 40:], Y[:, 40:]))
    assert_close(result.history.validation_cost[-1], reference_cost(result.params, X[:, 40:], Y[:, 40:]), "float64")
    assert result.history.validation_cost.shape == (5,)


def test_patience_stops_and_returns_the_best_parameters():
    params, X, Y = learnable(m=30)
    wrong = 1 - Y  # validation labels that get worse as training gets better
    result = js.fit(params, X, Y, learning_rate=0.5, epochs=500, validation=(X, wrong), patience=7)
    costs = result.history.validation_cost
    best = int(costs.argmin())
    assert len(costs) == len(result.history.cost) == best + 1 + 7
    assert_close(reference_cost(result.params, X, wrong), costs[best], "float32")


def test_patience_that_is_never_tried_changes_nothing():
    params, X, Y = learnable()
    plain = js.fit(params, X, Y, learning_rate=0.1, epochs=50, validation=(X, Y))
    patient = js.fit(params, X, Y, learning_rate=0.1, epochs=50, validation=(X, Y), patience=50)
    assert_same(patient.params, plain.params)
    np.testing.assert_array_equal(patient.history.cost, plain.history.cost)


def test_the_callback_sees_the_run_grow_and_can_end_it():
    params, X, Y = learnable()
    seen = []
    full = js.fit(params, X, Y, learning_rate=0.5, epochs=250, callback=lambda r: seen.append(len(r.history.cost)))
    assert seen[-1] == 250
    assert len(seen) >= 100
    stopped = js.fit(params, X, Y, learning_rate=0.5, epochs=250, callback=lambda r: len(r.history.cost) >= 100)
    assert len(stopped.history.cost) == 100
    np.testing.assert_array_equal(stopped.history.cost, full.history.cost[:100])


def test_the_callback_does_not_change_the_result():
    params, X, Y = learnable()
    options = {"optimizer": optax.adam(0.01), "epochs": 30, "batch_size": 16, "key": jax.random.key(1)}
    with_callback = js.fit(params, X, Y, callback=lambda r: None, **options)
    assert_same(with_callback.params, js.fit(params, X, Y, **options).params)


def test_an_exception_in_the_middle_leaves_the_starting_parameters_alone():
    params, X, Y = learnable()
    before = jax.tree.map(np.asarray, params)

    def interrupt(result):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        js.fit(params, X, Y, learning_rate=0.5, epochs=200, callback=interrupt)
    assert_same(params, before)


def test_other_rates_and_l2_do_not_recompile():
    traces = []

    def counted(*args, **kwargs):
        traces.append(1)
        return js.cost_and_grads(*args, **kwargs)

    params, X, Y = learnable()
    for learning_rate, l2 in ((0.1, 0.0), (0.2, 0.5), (1, 2)):
        js.fit(params, X, Y, learning_rate=learning_rate, l2=l2, epochs=5, grads=counted)
    assert len(traces) == 1


def test_fit_runs_under_jit_and_vmap_over_stacked_parameters():
    _, X, Y = learnable()
    keys = jax.random.split(jax.random.key(0), 3)
    stacked = jax.jit(jax.vmap(lambda key: js.init(key, 2, 5, hidden="tanh", scale="glorot")))(keys)
    stacked = jax.tree.map(np.asarray, stacked)
    train = lambda params: js.fit(params, X, Y, learning_rate=0.5, epochs=10).params  # noqa: E731
    together = jax.jit(jax.vmap(train))(stacked)
    for k in range(3):
        alone = train(jax.tree.map(lambda leaf, k=k: leaf[k], stacked))
        assert_close(jax.tree.map(lambda leaf, k=k: np.asarray(leaf)[k], together), alone, "float32")


def test_a_long_run_under_jit_keeps_its_whole_history():
    """A run of many programs: 200 epochs of 120,000 examples."""
    params, X, Y = learnable()
    X, Y = (jnp.asarray(np.tile(array, (1, 2000))) for array in (X, Y))
    train = lambda params: js.fit(params, X, Y, learning_rate=0.1, epochs=200).history.cost  # noqa: E731
    np.testing.assert_allclose(jax.jit(train)(params), train(params), rtol=1e-4)  # 200 steps of float32 rounding


def test_minibatches_run_under_jit_and_patience_says_that_it_cannot():
    params, X, Y = learnable()
    key = jax.random.key(0)
    train = lambda params: js.fit(params, X, Y, epochs=2, batch_size=20, key=key).params  # noqa: E731
    assert_close(jax.jit(train)(params), train(params), "float32")
    patient = lambda params: js.fit(params, X, Y, epochs=2, validation=(X, Y), patience=1).params  # noqa: E731
    with pytest.raises(TypeError, match="fit with it outside of jit"):
        jax.jit(patient)(params)


def test_a_traced_key_gives_the_order_that_it_gives_alone():
    _, X, Y = learnable(m=12)

    def train(key):
        params = js.init(key, 2, 5, hidden="tanh", scale="glorot")
        return js.fit(params, X, Y, learning_rate=0.5, epochs=2, batch_size=5, key=key).params

    keys = jax.random.split(jax.random.key(0), 2)
    together, old = jax.vmap(train)(keys), jax.jit(train)(jax.random.key_data(keys[1]))
    for k in range(2):
        alone = train(keys[k])
        assert_close(jax.tree.map(lambda leaf, k=k: np.asarray(leaf)[k], together), alone, "float32")
    assert_close(old, alone, "float32")


def test_hyperparameters_of_fit_are_differentiated_and_mapped():
    params, X, Y = learnable(m=12)
    weights = jnp.linspace(0.5, 2, 12)

    def last_cost(rate, l2, weights):
        result = js.fit(params, X, Y, optimizer=optax.sgd(rate), epochs=3, l2=l2, weights=weights, tol=rate)
        return result.history.cost[-1]

    rates = jnp.array([0.1, 0.5])
    alone = jnp.stack([last_cost(float(rate), 0.3, weights) for rate in rates])
    assert_close(jax.vmap(last_cost, (0, None, None))(rates, jnp.float32(0.3), weights), alone, "float32")
    slopes = jax.jit(jax.grad(last_cost, (0, 1, 2)))(0.5, 0.3, weights)
    assert all(jnp.isfinite(slope).all() and jnp.any(slope != 0) for slope in slopes)


def test_what_needs_numbers_says_so_where_they_are_traced(tmp_path):
    params, X, Y = learnable(m=12)
    many = js.fit_many(jax.random.key(0), X, Y, [{"n_h": 2}], epochs=2)
    host = {
        r"arrays\(\) needs numbers": lambda p: js.fit(p, X, Y, epochs=2).arrays(),
        "callback must answer from what it knows": lambda p: js.fit(
            p, X, Y, epochs=2, callback=lambda result: result.history.cost[-1] < 0
        ),
        "fit_many needs numbers": lambda p: js.fit_many(jax.random.key(0), p.W1.T, Y, [{"n_h": 2}], epochs=2),
        "certify needs numbers": lambda p: js.certify(p, X, Y),
        "score needs numbers": lambda p: many.score(p.W1[: len(X)], Y),
        "save needs numbers": lambda p: js.save(tmp_path / "model.safetensors", p),
        "export needs numbers": lambda p: js.export(p, tmp_path / "model.py"),
    }
    for message, ask in host.items():
        with pytest.raises(TypeError, match=message):
            jax.jit(ask)(params)


def test_optimizers_that_wrap_or_mask_others_train():
    params, X, Y = learnable()
    mask = jax.tree.map(lambda leaf: leaf.shape[-1] > 1, params)  # weight decay on W1 and W2 alone
    for optimizer in (optax.MultiSteps(optax.adam(0.01), 2), optax.adamw(0.01, mask=mask)):
        assert js.fit(params, X, Y, optimizer=optimizer, epochs=20).history.cost[-1] < reference_cost(params, X, Y)
    step = js.make_train_step(optax.adamw(0.01, mask=mask))
    step(params, optax.adamw(0.01, mask=mask).init(params), X, Y)
    assert not params.W1.is_deleted()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_fit_keeps_the_parameters_dtype(dtype):
    params, X, Y = learnable(dtype)
    result = js.fit(params, np.asarray(X, np.float32), np.asarray(Y, int), learning_rate=0.1, epochs=2)
    assert {leaf.dtype for leaf in jax.tree.leaves(result.params)} == {jnp.dtype(dtype)}
    assert result.history.cost.dtype == dtype


def test_the_course_costs_come_out(x64):
    """The course prints these; its own trajectory is chaotic after iteration 7000."""
    X, Y = js.data.flower()
    random = np.random.RandomState(2)
    W1, W2 = random.randn(4, 2) * 0.01, random.randn(1, 4) * 0.01
    params = js.Params(W1, np.zeros((4, 1)), W2, np.zeros((1, 1)), hidden="tanh")
    costs = js.fit(params, X, Y, learning_rate=1.2, epochs=3001).history.cost[::1000]
    assert [f"{cost:.6f}" for cost in costs] == ["0.693048", "0.288083", "0.254385", "0.233864"]


WRONG = {
    "X must be finite, got nan at \\(1, 2\\)": lambda X, Y: {
        "X": np.where([[False], [True]] & (np.arange(60) == 2), np.nan, X)
    },
    "Y must be \\(n_y, m\\) = \\(1, 60\\), got \\(60,\\): use Y.reshape": lambda X, Y: {"Y": Y[0]},
    "Y must lie in \\[0, 1\\]": lambda X, Y: {"Y": Y + 1},
    "weights must be at least 0 and not all 0": lambda X, Y: {"weights": np.zeros(60)},
    "weights must be \\(m,\\) = \\(60,\\), got \\(1, 60\\)": lambda X, Y: {"weights": np.ones((1, 60))},
    "l2 must be at least 0 and finite, got -1": lambda X, Y: {"l2": -1},
    "learning_rate must be at least 0 and finite, got nan": lambda X, Y: {"learning_rate": float("nan")},
    "epochs must be at least 1, got 0": lambda X, Y: {"epochs": 0},
    "batch_size must be at least 1, got -4": lambda X, Y: {"batch_size": -4, "key": jax.random.key(0)},
    "batch_size needs a key": lambda X, Y: {"batch_size": 4},
    "tol must be at least 0 and finite, got -1": lambda X, Y: {"patience": 4, "tol": -1},
    "learning_rate is for plain gradient descent": lambda X, Y: {"optimizer": optax.sgd(1.0), "learning_rate": 0.1},
    "validation X must be \\(n_x, m\\) = \\(2, m\\), got \\(3, 60\\)": lambda X, Y: {
        "validation": (np.vstack([X, X[:1]]), Y)
    },
    "validation X must be finite": lambda X, Y: {"validation": (X * np.nan, Y)},
}


@pytest.mark.parametrize("message", WRONG)
def test_fit_refuses_what_cannot_be_right(message):
    params, X, Y = learnable()
    with pytest.raises(ValueError, match=message):
        js.fit(params, **{"X": X, "Y": Y, "epochs": 3, **WRONG[message](X, Y)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": "adam"}, "optimizer must be an optax transformation such as optax.adam\\(0.01\\), got 'adam'"),
        ({"optimizer": optax.adam}, "optimizer must be an optax transformation"),
        ({"epochs": 1e3}, "epochs must be an integer, got 1000.0"),
        ({"batch_size": 32.0}, "batch_size must be an integer, got 32.0"),
        ({"validation": 0.2}, "validation must be \\(X, Y\\), got float"),
    ],
)
def test_fit_refuses_wrong_types_by_name(change, message):
    params, X, Y = learnable()
    with pytest.raises(TypeError, match=message):
        js.fit(params, X, Y, **{"epochs": 3, **change})


def test_a_result_in_place_of_its_parameters_is_told_apart():
    params, X, Y = learnable()
    result = js.fit(params, X, Y, epochs=1)
    with pytest.raises(TypeError, match=r"params must be Params, got FitResult: use result\.params"):
        js.predict(result, X)
