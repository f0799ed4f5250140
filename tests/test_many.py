"""fit_many: each network is the one that fit makes of it alone, and none disturbs another."""

import functools

import jax
import numpy as np
import optax
import polars as pl
import pytest
from cases import (
    assert_close,
    draw,
    init,
    programs_of,
    reference_cost,
    reference_forward,
    reference_grads,
    reference_labels,
)
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import StratifiedKFold

import jaxshallow as js
from jaxshallow.many import chunks, plan, programs
from jaxshallow.tiles import streaming

KEY = jax.random.key(3)


pytestmark = pytest.mark.usefixtures("standard_promotion", "compiled_lightly")


# All free at once: widths on both sides of buckets, activations with g(0) ≠ 0, every kind of scale.
CONFIGS = [
    {"n_h": 1, "hidden": "tanh", "learning_rate": 0.5, "seed": 0, "scale": "glorot"},
    {"n_h": 4, "hidden": "sigmoid", "learning_rate": 0.1, "l2": 0.1, "seed": 1, "scale": 0.5},
    {"n_h": 5, "hidden": "relu", "learning_rate": 0.05, "seed": 2, "scale": "he"},
    {"n_h": 6, "hidden": "sigmoid", "learning_rate": 0.3, "seed": 3},
    {"n_h": 3, "hidden": "sigmoid", "learning_rate": 0.2, "l2": 0.3, "seed": 1, "scale": "glorot"},
]
# One program of theirs, where CONFIGS are three: for tests that look at something else.
SIGMOIDS = [config for config in CONFIGS if config["hidden"] == "sigmoid"]
OPTIMIZERS = {
    "sgd": ("sgd", lambda rate: {"learning_rate": rate}),
    "adam": ("adam", lambda rate: {"optimizer": optax.adam(rate)}),
    "momentum": (functools.partial(optax.sgd, momentum=0.9), lambda rate: {"optimizer": optax.sgd(rate, momentum=0.9)}),
}


def alone(config, case, *, output="sigmoid", settings, **more):
    """The same network, by fit."""
    params = init(
        jax.random.fold_in(KEY, config.get("seed", 0)), len(case.X), config["n_h"], len(case.Y),
        hidden=config.get("hidden", "sigmoid"), output=output, scale=config.get("scale", 0.01),
    )  # fmt: skip
    return js.fit(params, case.X, case.Y, l2=config.get("l2", 0.0), key=KEY, **settings, **more)


def by_hand(config, X, Y, *, epochs, params=None, weights=None):
    """Plain gradient descent in NumPy: what `fit` does, where it would compile a program for each network."""
    if params is None:
        key = jax.random.fold_in(KEY, config.get("seed", 0))
        names = {"hidden": config.get("hidden", "sigmoid"), "scale": config.get("scale", 0.01)}
        params = init(key, len(X), config["n_h"], len(Y), **names)
    for _ in range(epochs):
        grads = reference_grads(params, X, Y, weights=weights, l2=config.get("l2", 0.0))
        steps = [
            W - config.get("learning_rate", 0.1) * dW for W, dW in zip(jax.tree.leaves(params), grads, strict=True)
        ]
        params = jax.tree.unflatten(jax.tree.structure(params), steps)
    return params


@pytest.mark.parametrize(
    ("optimizer", "batch_size", "configs"),
    [("sgd", None, CONFIGS), ("adam", 6, CONFIGS), ("momentum", None, CONFIGS[1:3])],
)
def test_each_network_is_the_one_that_fit_trains_alone(x64, as_users_compile, optimizer, batch_size, configs):
    case, (name, by_fit) = draw(m=20), OPTIMIZERS[optimizer]
    settings = {"epochs": 15, "batch_size": batch_size}
    many = js.fit_many(KEY, case.X, case.Y, configs, optimizer=name, **settings)
    for k, config in enumerate(configs):
        expected = alone(config, case, settings=settings, **by_fit(config["learning_rate"]))
        assert jax.tree.structure(many.params(k)) == jax.tree.structure(expected.params)
        assert_close(many.params(k), expected.params, "float64, after training")
        assert_close(many.history.cost[k], expected.history.cost, "float64, after training")


@pytest.mark.parametrize(("output", "n_y"), [("softmax", 3), ("sigmoid", 3), ("identity", 2)])
def test_every_head_is_trained_with_weights_of_its_own(x64, output, n_y):
    case = draw("tanh", output, n_y, m=20)
    own = np.arange(20) % 3
    configs = [{**CONFIGS[1], "weights": own}, {**CONFIGS[3]}]
    settings = {"epochs": 10, "batch_size": 8}
    many = js.fit_many(KEY, case.X, case.Y, configs, output=output, weights=case.weights, **settings)
    for k, weights in enumerate((own, case.weights)):
        rate = configs[k]["learning_rate"]
        expected = alone(configs[k], case, output=output, settings=settings, weights=weights, learning_rate=rate)
        assert_close(many.params(k), expected.params, "float64, after training")


def test_optimizers_take_numbers_of_their_own_for_each_network(x64):
    case = draw(m=20)
    configs = [{"n_h": 3, "b1": 0.5, "learning_rate": 0.1}, {"n_h": 4, "learning_rate": 0.2}, {"n_h": 4, "eps": 0.1}]
    many = js.fit_many(KEY, case.X, case.Y, configs, epochs=10, optimizer=optax.adam)
    optimizers = optax.adam(0.1, b1=0.5), optax.adam(0.2), optax.adam(0.001, eps=0.1)
    for k, optimizer in enumerate(optimizers):
        expected = alone(configs[k], case, settings={"epochs": 10}, optimizer=optimizer)
        assert_close(many.params(k), expected.params, "float64, after training")


def test_padding_stays_exactly_zero():
    case = draw(m=20, dtype=np.float32)
    configs = [{"n_h": 1, "hidden": "sigmoid", "scale": 1.0}, {"n_h": 3, "hidden": "sigmoid", "scale": 1.0}]
    many = js.fit_many(KEY, case.X, case.Y, configs, epochs=50, optimizer="adamw")
    ((members, state, *_),) = many.stacks
    stack = state.params
    assert stack.W1.shape == (2, 4, 3)
    for k, n_h in zip(members, (1, 3), strict=True):
        assert not stack.W1[k, n_h:].any()
        assert not stack.b1[k, n_h:].any()
        assert not stack.W2[k, :, n_h:].any()
        assert stack.W1[k, :n_h].all()


@pytest.mark.parametrize("elements", [1, 10**9])
def test_chunks_do_not_matter(x64, monkeypatch, elements, as_users_compile):
    case = draw(m=20)
    configs = {"n_h": [3, 4, 4, 2, 1], "seed": range(5), "hidden": "tanh", "learning_rate": 0.5}
    expected = js.fit_many(KEY, case.X, case.Y, configs, epochs=20)
    monkeypatch.setattr(chunks, "CHUNK_ELEMENTS", elements)
    assert_close(js.fit_many(KEY, case.X, case.Y, configs, epochs=20).history.cost, expected.history.cost, "float64")


def test_examples_that_outgrow_the_cache_are_streamed(x64, monkeypatch):
    case = draw(m=50)
    expected = js.fit_many(KEY, case.X, case.Y, SIGMOIDS, epochs=5)
    for module in (streaming, plan):
        monkeypatch.setattr(module, "tile_size", lambda params: 6)
    got = js.fit_many(KEY, case.X, case.Y, SIGMOIDS, epochs=5)
    assert_close(got.history.cost, expected.history.cost, "float64")


def test_more_than_memory_holds_are_trained_in_several_groups(x64):
    case = draw(m=20)
    configs = {"n_h": 4, "seed": range(7), "learning_rate": 0.5}
    expected = js.fit_many(KEY, case.X, case.Y, configs, epochs=5)
    groups = js.fit_many(KEY, case.X, case.Y, configs, epochs=5, max_memory=6000)
    assert len(groups.stacks) > 1
    assert_close(groups.history.cost, expected.history.cost, "float64")
    assert_close([groups.params(k) for k in range(7)], [expected.params(k) for k in range(7)], "float64")
    with pytest.raises(ValueError, match=r"7 networks take .* MiB .* max_memory .*: raise it"):
        js.fit_many(KEY, case.X, case.Y, configs, epochs=5, max_memory=100)


def test_other_numbers_do_not_compile_again():
    case = draw(m=20, dtype=np.float32)
    train = lambda widths, rate, l2, seed: js.fit_many(  # noqa: E731
        KEY, case.X, case.Y, {"n_h": widths, "learning_rate": rate, "l2": l2, "seed": seed}, epochs=4, optimizer="adam"
    )
    train([5, 6], 0.1, 0.0, 0)
    compiled = programs.draw, programs.train_units, programs.first_states
    before = programs_of(*compiled)
    train([8, 7], 0.3, 0.2, 5)
    assert programs_of(*compiled) == before


@pytest.mark.parametrize(
    ("n_h", "width"), [(1, 4), (4, 4), (5, 8), (20, 20), (33, 40), (50, 56), (100, 112), (128, 128)]
)
def test_buckets_pad_by_a_quarter_at_most(n_h, width):
    assert js.many.bucket(n_h) == width


def test_widths_share_a_program_where_padding_costs_less_than_compiling(x64, monkeypatch):
    case = draw(m=20)
    configs = {"n_h": [3, 50, 17], "seed": range(3), "learning_rate": 0.5}
    together = js.fit_many(KEY, case.X, case.Y, configs, epochs=5, batch_size=8, optimizer="adam")
    assert [stack.state.params.W1.shape[:2] for stack in together.stacks] == [(3, 56)]
    monkeypatch.setattr(plan, "OPERATIONS_OF_COMPILING", 0)
    apart = js.fit_many(KEY, case.X, case.Y, configs, epochs=5, batch_size=8, optimizer="adam")
    assert len(apart.stacks) == 3
    assert_close([together.params(k) for k in range(3)], [apart.params(k) for k in range(3)], "float64, after training")


def test_one_program_serves_all_widths():
    case = draw(m=20, dtype=np.float32)
    train = lambda widths, **more: js.fit_many(  # noqa: E731
        KEY, case.X, case.Y, {"n_h": widths, "learning_rate": 0.1, "seed": range(len(widths))}, epochs=3, **more
    )

    train([3, 9, 4, 20], batch_size=8)
    before = programs_of(programs.train_units)
    train([5, 18, 7, 6], batch_size=8)
    train([1, 2, 30, 3], batch_size=8)
    assert programs_of(programs.train_units) == before


def test_networks_start_where_they_are_told_to(x64):
    case = draw(m=20)
    configs = [{"n_h": n_h, "hidden": "tanh", "learning_rate": 0.5} for n_h in (2, 3, 3)]
    first = [js.init(jax.random.key(n), 3, config["n_h"], hidden="tanh", scale=1.0) for n, config in enumerate(configs)]
    many = js.fit_many(KEY, case.X, case.Y, configs, epochs=4, first=first, folds=2)
    for k in (0, 5):
        train, _ = many.folds[k % 2]
        expected = by_hand(configs[k // 2], case.X[:, train], case.Y[:, train], epochs=4, params=first[k // 2])
        assert_close(many.params(k), expected, "float64, after training")
    with pytest.raises(ValueError, match=r"first must hold Params for each of the 3 configs, got 2"):
        js.fit_many(KEY, case.X, case.Y, configs, epochs=4, first=first[:2])
    with pytest.raises(ValueError, match=r"first\[0\] must have \(n_h, .*\) = \(2, 3, 1, 'tanh', .*, got \(3, 3, 1,"):
        js.fit_many(KEY, case.X, case.Y, configs, epochs=4, first=first[::-1])


# ---- validation, folds, patience ----


def test_folds_train_on_the_others_and_validate_on_themselves(x64):
    case = draw(m=20)
    y = case.Y[0].astype(int)
    pairs = list(StratifiedKFold(3).split(case.X.T, y))
    settings = {"epochs": 8, "batch_size": 6}
    many = js.fit_many(KEY, case.X, case.Y, CONFIGS[:2], folds=iter(pairs), **settings)
    assert [config["fold"] for config in many.configs] == [0, 1, 2] * 2
    for k, (config, (train, test)) in enumerate((c, p) for c in CONFIGS[:2] for p in pairs):
        fold = case._replace(X=case.X[:, train], Y=case.Y[:, train])
        expected = alone(config, fold, settings=settings, learning_rate=config["learning_rate"])
        assert_close(many.params(k), expected.params, "float64, after training")
        held_out = reference_cost(expected.params, case.X[:, test], case.Y[:, test])
        assert_close(many.validation_cost[k], held_out, "float64, after training")


def test_a_network_may_have_a_fold_of_its_own(x64):
    case = draw(m=20)
    all_folds = js.fit_many(KEY, case.X, case.Y, CONFIGS[:2], epochs=4, folds=4)
    configs = [{**CONFIGS[1], "fold": 3}, {**CONFIGS[0], "fold": 1}]
    own = js.fit_many(KEY, case.X, case.Y, configs, epochs=4, folds=4)
    assert [config["fold"] for config in own.configs] == [3, 1]
    for k, same in enumerate((7, 1)):
        jax.tree.map(np.testing.assert_array_equal, own.params(k), all_folds.params(same))
        assert own.validation_cost[k] == all_folds.validation_cost[same]


def test_the_rows_of_a_bootstrap_sample_may_repeat(x64):
    case = draw(m=20)
    rows = np.array([0, 0, 3, 5, 5, 5, 9, 14])
    unseen = np.setdiff1d(np.arange(20), rows)
    many = js.fit_many(KEY, case.X, case.Y, CONFIGS[:1], epochs=4, folds=[(rows, unseen)])
    counts = np.bincount(rows, minlength=20).astype(float)
    weighted = js.fit_many(KEY, case.X, case.Y, [{**CONFIGS[0], "weights": counts}], epochs=4)
    jax.tree.map(lambda *leaves: np.testing.assert_allclose(*leaves, rtol=1e-10), many.params(0), weighted.params(0))


def test_a_number_of_folds_cuts_the_examples_in_a_row(x64):
    case = draw(m=7)
    own = np.arange(7.0)
    configs = [{"n_h": 2}, {"n_h": 2, "weights": own}]
    many = js.fit_many(KEY, case.X, case.Y, configs, epochs=3, folds=3)
    for k, (weights, test) in enumerate((w, t) for w in (np.ones(7), own) for t in ([0, 1, 2], [3, 4], [5, 6])):
        train = np.setdiff1d(np.arange(7), test)
        expected = by_hand({"n_h": 2}, case.X[:, train], case.Y[:, train], epochs=3, weights=weights[train])
        assert_close(many.params(k), expected, "float64, after training")
        assert_close(
            many.validation_cost[k],
            reference_cost(expected, case.X[:, test], case.Y[:, test]),
            "float64, after training",
        )


@pytest.mark.parametrize("folds", [None, 3])
def test_standardised_features_are_those_of_the_fold_alone(x64, folds):
    case = draw(m=20)
    X = 50 + 7 * case.X
    many = js.fit_many(KEY, X, case.Y, CONFIGS[:3], epochs=10, folds=folds, standardize=True)
    for k, config in enumerate(many.configs):
        test = np.array_split(np.arange(20), 3)[config["fold"]] if folds else np.zeros(0, int)
        train = np.setdiff1d(np.arange(20), test)
        mean, deviation = js.data.scaling(X[:, train])
        expected = by_hand(config, (X[:, train] - mean) / deviation, case.Y[:, train], epochs=10)
        A2 = reference_forward(expected, (X - mean) / deviation)[3]
        assert_close(reference_forward(many.params(k), X)[3], A2, "float64, after training")
        if folds:
            held_out = reference_cost(many.params(k), X[:, test], case.Y[:, test])
            assert_close(many.validation_cost[k], held_out, "float64, after training")


@pytest.mark.parametrize("more", [{}, {"folds": 2, "standardize": True}])
def test_a_run_goes_on_where_it_ended(x64, more):
    case = draw(m=20)

    def train(epochs, start=None):
        settings = {"batch_size": 6, "optimizer": "adam", **more}
        return js.fit_many(KEY, case.X, case.Y, CONFIGS[:2], epochs=epochs, start=start, **settings)

    whole, parts = train(12), None
    for epochs in (5, 3, 4):
        parts = train(epochs, parts)
    assert_close(parts.history.cost, whole.history.cost[:, 8:], "float64, after training")
    assert_close(parts.params(1), whole.params(1), "float64, after training")
    for other, message in (
        ({"configs": CONFIGS[:1]}, "start must be a run of the same networks"),
        ({"standardize": not more}, "start must be a run of the same networks"),
        ({"folds": [(range(9), range(9, 20)), (range(10, 20), range(10))]}, "start must have the same folds|same netw"),
        ({"optimizer": "sgd"}, "an optimizer of the same form"),
    ):
        settings = {"configs": CONFIGS[:2], "epochs": 1, "batch_size": 6, "optimizer": "adam", **more, **other}
        with pytest.raises(ValueError, match=message):
            js.fit_many(KEY, case.X, case.Y, settings.pop("configs"), start=whole, **settings)


def test_patience_watches_the_training_cost_where_there_is_no_validation(x64):
    case = draw(m=20)
    configs = [{**config, "learning_rate": 20 * config["learning_rate"]} for config in CONFIGS]
    many = js.fit_many(KEY, case.X, case.Y, configs, epochs=60, patience=3, tol=1e-2)
    assert len(set(many.epochs)) > 1
    for k, config in enumerate(configs):
        settings = {"epochs": 60, "patience": 3, "tol": 1e-2}
        expected = alone(config, case, settings=settings, learning_rate=config["learning_rate"])
        n = len(expected.history.cost)
        assert many.epochs[k] == n
        assert_close(many.params(k), expected.params, "float64, after training")
        lowest = np.fmin.accumulate(expected.history.cost)
        idle = expected.history.cost[1:] >= lowest[:-1] - 1e-2
        assert n == 60 or idle[-3:].all()


def test_patience_stops_each_network_as_fit_does(x64):
    case, held_out = draw(m=30), draw(m=30, seed=1)
    validation = held_out.X, held_out.Y
    configs = [{**config, "learning_rate": 20 * config["learning_rate"]} for config in CONFIGS]
    many = js.fit_many(KEY, case.X, case.Y, configs, epochs=60, validation=validation, patience=3)
    assert len(set(many.epochs)) > 1
    for k, config in enumerate(configs):
        expected = alone(
            config, case, settings={"epochs": 60}, validation=validation, patience=3,
            learning_rate=config["learning_rate"],
        )  # fmt: skip
        n = len(expected.history.cost)
        assert many.epochs[k] == n
        assert np.isnan(many.history.cost[k, n:]).all()
        assert_close(many.history.validation_cost[k, :n], expected.history.validation_cost, "float64, after training")
        assert_close(many.params(k), expected.params, "float64, after training")
        assert_close(many.validation_cost[k], reference_cost(many.params(k), *validation), "float64, after training")


def test_when_all_networks_of_a_program_have_stopped_no_step_is_computed(x64):
    case, steps = draw(m=20), []

    def counted(learning_rate):
        plain = optax.sgd(learning_rate)

        def update(grads, state, params=None):
            jax.debug.callback(lambda: steps.append(1))
            # A sum over all entries, so that networks train in a stack, not side by side.
            size = sum((g**2).sum() for g in jax.tree.leaves(grads))
            return plain.update(jax.tree.map(lambda g: g / (1 + size), grads), state, params)

        return optax.GradientTransformation(plain.init, update)

    configs = {"n_h": 4, "hidden": "tanh", "learning_rate": [0.1, 0.2], "scale": "glorot"}
    many = js.fit_many(KEY, case.X, case.Y, configs, epochs=50, patience=3, tol=1e9, optimizer=counted)
    jax.effects_barrier()
    assert many.epochs.tolist() == [4, 4]  # the first is lower than none
    assert len(steps) <= 2 * 4 + 2  # and what tracing and a warm-up may add


@pytest.mark.parametrize("n_h", [4, 3])  # as wide as the others, and not: then all stand side by side
def test_a_network_that_diverges_stops_alone(x64, n_h):
    case = draw("tanh", "identity", m=20)
    tame = [{"n_h": 4, "seed": seed, "scale": 1.0, "learning_rate": 0.01} for seed in range(3)]
    wild = {"n_h": n_h, "seed": 9, "scale": 1.0, "learning_rate": 1e6}
    expected = js.fit_many(KEY, case.X, case.Y, tame, epochs=2000, output="identity")
    many = js.fit_many(KEY, case.X, case.Y, [tame[0], wild, *tame[1:]], epochs=2000, output="identity")
    assert many.diverged_at[1] == np.flatnonzero(~np.isfinite(many.history.cost[1]))[0] > 0
    assert many.epochs[1] <= 2000 == many.epochs[0]
    assert (many.diverged_at[[0, 2, 3]] == -1).all()
    assert_close(many.history.cost[[0, 2, 3]], expected.history.cost, "float64")
    assert many.best() != 1
    assert many.order()[-1] == 1
    with pytest.raises(ValueError, match="top must be between 1 and the 3 networks"):
        many.predict_proba(case.X, top=4)
    lost = js.fit_many(KEY, case.X, case.Y, [wild], epochs=2000, output="identity")
    with pytest.raises(ValueError, match="all diverged: lower the learning rate"):
        lost.best()


# ---- being interrupted ----


def raising(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize("callback", [raising, lambda progress: progress.share > 0.1])
def test_an_interrupted_run_returns_what_it_has(x64, monkeypatch, callback):
    monkeypatch.setattr(plan, "OPERATIONS_OF_COMPILING", 0)  # a program for each width
    case = draw(m=20)
    configs = {"n_h": [4, 4, 50], "learning_rate": 0.5, "seed": [0, 1, 2]}
    many = js.fit_many(KEY, case.X, case.Y, configs, epochs=1000, callback=callback)
    assert not many.finished
    n = many.epochs[0]
    assert 0 < n < 1000
    expected = js.fit_many(KEY, case.X, case.Y, configs, epochs=int(n))
    assert_close(many.params(1), expected.params(1), "float64, after training")
    assert np.isnan(many.cost[2])
    assert many.best() in (0, 1)
    with pytest.raises(IndexError, match="network 2 was not trained"):
        many.params(2)


def test_the_callback_sees_the_work_grow(monkeypatch):
    monkeypatch.setattr(plan, "OPERATIONS_OF_COMPILING", 0)
    case = draw(m=20, dtype=np.float32)
    seen = []
    many = js.fit_many(
        KEY, case.X, case.Y, {"n_h": [3, 50], "learning_rate": 0.5}, epochs=300, callback=lambda p: seen.append(p)
    )
    shares = [progress.share for progress in seen]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert many.finished
    assert seen[-1].best == np.nanmin(many.history.cost)
    np.testing.assert_array_equal(seen[-1].lowest, np.nanmin(many.history.cost, axis=1))
    np.testing.assert_array_equal(seen[-1].epochs, [300, 300])
    assert np.isnan(seen[0].lowest).tolist() == [False, True]
    assert all(progress.seconds_left >= 0 for progress in seen)


# ---- what comes out ----


def test_the_table_is_a_data_frame_and_the_best_comes_first():
    case = draw(m=20, dtype=np.float32)
    many = js.fit_many(KEY, case.X, case.Y, SIGMOIDS, epochs=10, validation=(case.X, case.Y))
    frame = pl.DataFrame(many.table())
    assert frame.height == len(many) == 3
    assert frame["n_h"].to_list() == [config["n_h"] for config in SIGMOIDS]
    assert {"hidden", "scale", "l2", "seed", "learning_rate", "cost", "validation_cost", "epochs"} <= set(frame.columns)
    assert many.best() == frame["validation_cost"].arg_min() == many.order()[0]
    assert (np.diff(many.validation_cost[many.order()]) >= 0).all()


@pytest.mark.parametrize("top", [None, 1, 2])
def test_an_ensemble_averages_probabilities(x64, top):
    case = draw("tanh", "softmax", 3, m=20)
    many = js.fit_many(KEY, case.X, case.Y, SIGMOIDS, epochs=10, output="softmax")
    members = many.order()[:top]
    expected = np.mean([reference_forward(many.params(k), case.X)[3] for k in members], axis=0)
    assert_close(many.predict_proba(case.X, top=top), expected, "float64")


@pytest.mark.parametrize(("output", "n_y"), [("sigmoid", 1), ("sigmoid", 2), ("softmax", 3), ("identity", 2)])
def test_scores_are_those_of_scikit_learn(x64, output, n_y):
    case = draw("tanh", output, n_y, m=30)
    many = js.fit_many(KEY, case.X, case.Y, SIGMOIDS, epochs=5, output=output)
    measure = r2_score if output == "identity" else accuracy_score
    truth = case.Y.argmax(axis=0) if output == "softmax" else case.Y.T
    for k, score in zip([2, 1], many.score(case.X, case.Y, [2, 1]), strict=True):
        predicted = reference_labels(many.params(k), case.X)
        assert score == pytest.approx(measure(truth, predicted.reshape(-1, 30).T if n_y != 3 else predicted))
    assert many.score(case.X, case.Y).shape == (3,)


def test_networks_are_numbered_as_lists_are():
    case = draw(m=20, dtype=np.float32)
    many = js.fit_many(KEY, case.X, case.Y, SIGMOIDS, epochs=2)
    assert many.params(-1).W1.shape == (3, 3)
    with pytest.raises(IndexError):
        many.params(3)


# ---- what is refused ----


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"configs": []}, ValueError, "at least one network"),
        ({"configs": [{"hidden": "tanh"}]}, ValueError, r"configs\[0\] must have n_h"),
        (
            {"configs": [{"n_h": 3}, {"n_h": 4, "lr": 1}]},
            ValueError,
            r"configs\[1\] must have names of .*, got \['lr'\]",
        ),
        ({"configs": {"n_h": [1, 2], "seed": [1, 2, 3]}}, ValueError, "of one length, got {'n_h': 2, 'seed': 3}"),
        ({"configs": {"n_h": 2.5}}, TypeError, "n_h must be an integer, got 2.5"),
        ({"configs": {"n_h": 0}}, ValueError, "n_h must be at least 1, got 0"),
        ({"configs": {"n_h": 2, "hidden": "tan"}}, ValueError, "hidden must be one of"),
        ({"configs": {"n_h": 2, "scale": "xavier"}}, ValueError, "scale must be"),
        ({"configs": {"n_h": 2, "scale": -1.0}}, ValueError, "scale must be"),
        ({"configs": {"n_h": 2, "seed": -1}}, ValueError, "seed must be at least 0"),
        ({"configs": {"n_h": 2, "l2": -1.0}}, ValueError, "l2 must be at least 0, got -1.0"),
        ({"configs": {"n_h": 2, "learning_rate": "fast"}}, TypeError, "learning_rate must be a number, got 'fast'"),
        ({"configs": {"n_h": 2, "learning_rate": np.inf}}, ValueError, "learning_rate must be finite, got inf"),
        ({"configs": [{"n_h": 2, "weights": np.ones(3)}]}, ValueError, r"weights must be \(m,\) = \(20,\), got \(3,\)"),
        ({"configs": [{"n_h": 2, "weights": -np.ones(20)}]}, ValueError, "weights must be finite, at least 0"),
        ({"configs": [{"n_h": 2, "validation_weights": np.ones(20)}]}, ValueError, "need validation"),
        ({"configs": {"n_h": 2, "b1": 0.9}}, ValueError, r"got \['b1'\]"),
        (
            {"configs": {"n_h": 2, "b1": "0.9"}, "optimizer": "adam"},
            ValueError,
            r"configs\[0\]: the optimizer .* b1=.0.9",
        ),
        ({"optimizer": "adams"}, ValueError, "optimizer must be 'sgd', the name of an optax optimizer"),
        ({"optimizer": optax.adam(0.1)}, TypeError, "must be a factory such as optax.adam, not its result"),
        ({"epochs": 0}, ValueError, "epochs must be at least 1, got 0"),
        ({"batch_size": 2.0}, TypeError, "batch_size must be an integer"),
        ({"tol": -1.0}, ValueError, "tol must be at least 0 and finite, got -1.0"),
        ({"folds": []}, ValueError, "folds must hold at least one pair"),
        ({"folds": 2, "weights": np.arange(20) < 10}, ValueError, "weights must not all be 0 where fold 0 is trained"),
        ({"folds": [(range(20), [])]}, ValueError, "train on some examples and validate on some"),
        ({"folds": 1}, ValueError, "folds must be between 2 and m = 20, got 1"),
        ({"folds": 2, "configs": [{"n_h": 2, "fold": 2}]}, ValueError, "fold must be an integer from 0 to 1, got 2"),
        ({"configs": [{"n_h": 2, "fold": 0}]}, ValueError, "fold must be left out, since there are no folds, got 0"),
        ({"folds": 2, "validation": (np.ones((3, 2)), np.ones((1, 2)))}, ValueError, "bring their own validation"),
        ({"validation": 0.2}, TypeError, r"validation must be \(X, Y\), got float"),
        ({"output": "softmax"}, ValueError, "softmax needs n_y of at least 2"),
        ({"Y": np.ones(20)}, ValueError, r"Y must be \(n_y, m\), examples as columns, got \(20,\)"),
        ({"Y": np.full((1, 20), 2.0)}, ValueError, r"Y must lie in \[0, 1\]"),
        ({"X": np.full((3, 20), np.nan)}, ValueError, "X must be finite"),
        ({"X": np.ones((20, 3))}, ValueError, r"Y must be \(n_y, m\) = \(1, 3\), got \(1, 20\)"),
    ],
)
def test_what_cannot_be_is_refused_by_name(change, error, message):
    case = draw(m=20, dtype=np.float32)
    arguments = {"X": case.X, "Y": case.Y, "configs": {"n_h": 2}, "epochs": 2, **change}
    with pytest.raises(error, match=message):
        js.fit_many(KEY, arguments.pop("X"), arguments.pop("Y"), arguments.pop("configs"), **arguments)


def test_runs_compare_by_identity_and_hash():
    case = draw(m=20)
    many, other = (js.fit_many(KEY, case.X, case.Y, {"n_h": 2}, epochs=2) for _ in range(2))
    assert many == many
    assert many != other
    assert len({many, other}) == 2
