from dataclasses import FrozenInstanceError, replace

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import OWN_PAIR, TOLERANCES, assert_close, assert_same, draw

import jaxshallow as js

pytestmark = pytest.mark.usefixtures("compiled_lightly")

KEY = jax.random.key


# ---- Params, the pytree ----


def test_params_are_a_pytree_of_four_leaves_in_the_notes_order():
    params = js.init(KEY(0), 3, 4, hidden="tanh")
    leaves, treedef = jax.tree.flatten(params)
    assert [leaf.shape for leaf in leaves] == [(4, 3), (4, 1), (1, 4), (1, 1)]
    assert_same(jax.tree.unflatten(treedef, leaves), params)
    names = [jax.tree_util.keystr(path) for path, _ in jax.tree.leaves_with_path(params)]
    assert names == [".W1", ".b1", ".W2", ".b2"]


def test_tree_map_keeps_the_nonlinearities():
    params, X, Y, *_ = draw(OWN_PAIR, "softmax", 3, dtype=np.float32)
    doubled = jax.tree.map(lambda W: 2 * W, params)
    assert (doubled.hidden, doubled.output) == (OWN_PAIR, "softmax")
    assert_same(doubled.W1, 2 * params.W1)
    grads = jax.eval_shape(js.manual_grads, params, X, Y)
    assert (grads.hidden, grads.output) == (OWN_PAIR, "softmax")


def test_params_are_frozen():
    params = js.init(KEY(0), 3, 4)
    with pytest.raises(FrozenInstanceError):
        params.W1 = params.W1 + 1
    with pytest.raises(FrozenInstanceError):
        params.hidden = "relu"


def test_params_of_different_nonlinearities_do_not_mix():
    params = js.init(KEY(0), 3, 4, hidden="tanh")
    same = js.init(KEY(1), 3, 4, hidden="tanh")
    assert jax.tree.structure(params) == jax.tree.structure(same)
    for other in (replace(params, hidden="relu"), replace(params, hidden=OWN_PAIR), replace(params, output="identity")):
        assert jax.tree.structure(params) != jax.tree.structure(other)
        with pytest.raises(ValueError, match=r"different pytree metadata|custom dataclass node"):
            jax.tree.map(jnp.add, params, other)


def test_params_compare_by_identity_and_hash():
    """Their arrays have no single truth value: `==` over them would raise."""
    params = js.init(KEY(0), 3, 4)
    assert params == params
    assert params != js.init(KEY(0), 3, 4)
    assert len({params, params}) == 1


@pytest.mark.parametrize(
    ("output", "n_y", "task"),
    [
        ("sigmoid", 1, "binary"),
        ("sigmoid", 2, "multilabel"),
        ("softmax", 3, "multiclass"),
        ("identity", 1, "regression"),
        ("identity", 2, "regression"),
    ],
)
def test_the_task_follows_from_the_head_and_n_y(output, n_y, task):
    params = draw("sigmoid", output, n_y).params
    assert params.task == task
    assert jax.tree.map(lambda leaf: np.stack([leaf, leaf]), params).task == task


def test_the_static_fields_hash():
    structures = {jax.tree.structure(js.init(KEY(0), 3, 4, hidden=h)) for h in ("tanh", "tanh", OWN_PAIR, jnp.sin)}
    assert len(structures) == 3


def test_params_default_to_sigmoid_and_sigmoid():
    params = js.Params(*js.init(KEY(0), 3, 4).__dict__.values())
    bare = js.Params(params.W1, params.b1, params.W2, params.b2)
    assert (bare.hidden, bare.output) == ("sigmoid", "sigmoid")
    assert js.init(KEY(0), 3, 4).W2.shape == (1, 4)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"hidden": "selu"}, "hidden must be one of sigmoid, tanh, relu, leaky_relu, identity, .* got 'selu'"),
        ({"output": "relu"}, "output must be one of sigmoid, softmax, identity, exp, got 'relu'"),
    ],
)
def test_unknown_nonlinearities_are_refused(wrong, message):
    case = draw()
    with pytest.raises(ValueError, match=message):
        replace(case.params, **wrong)
    with pytest.raises(ValueError, match=message):
        js.init(KEY(0), 3, 4, **wrong)


# ---- init ----


@pytest.mark.parametrize("output", ["sigmoid", "softmax", "identity"])
@pytest.mark.parametrize("scale", [0.01, 0.0, "glorot", "he"])
def test_init_gives_the_notes_shapes_and_zero_biases(scale, output):
    params = js.init(KEY(0), 3, 4, 2, scale=scale, output=output)
    chex.assert_shape([params.W1, params.b1, params.W2, params.b2], [(4, 3), (4, 1), (2, 4), (2, 1)])
    params = jax.tree.map(np.asarray, params)
    assert not params.b1.any()
    assert not params.b2.any()
    assert params.W1.any() == params.W2.any() == (scale != 0.0)


@pytest.mark.parametrize(
    ("scale", "std1", "std2"),
    [
        (0.01, 0.01, 0.01),
        (2.0, 2.0, 2.0),
        ("glorot", np.sqrt(2 / (300 + 200)), np.sqrt(2 / (200 + 100))),
        ("he", np.sqrt(2 / 300), np.sqrt(2 / 200)),
    ],
)
def test_init_draws_with_the_scale_that_was_asked_for(scale, std1, std2):
    params = js.init(KEY(0), 300, 200, 100, scale=scale)
    for W, std in ((np.asarray(params.W1), std1), (np.asarray(params.W2), std2)):
        errors = TOLERANCES["standard errors"]
        assert abs(W.mean()) < errors * std / np.sqrt(W.size)
        assert abs(W.std() / std - 1) < errors / np.sqrt(2 * W.size)


def test_init_draws_a_normal_distribution():
    W1 = np.asarray(js.init(KEY(0), 300, 200, scale=1.0).W1)
    for z, share in ((1, 0.682689), (2, 0.954500), (3, 0.997300)):
        error = np.sqrt(share * (1 - share) / W1.size)
        assert abs((np.abs(W1) < z).mean() - share) < TOLERANCES["standard errors"] * error


@pytest.mark.parametrize("scale", [0.01, "glorot", "he"])
def test_the_key_decides_the_draw(scale):
    params = js.init(KEY(7), 3, 4, scale=scale)
    assert_same(js.init(KEY(7), 3, 4, scale=scale), params)
    other = js.init(KEY(8), 3, 4, scale=scale)
    for name in ("W1", "W2"):
        assert not (np.asarray(getattr(params, name)) == np.asarray(getattr(other, name))).any()


def test_the_two_layers_are_drawn_independently():
    params = js.init(KEY(0), 4, 4, 4)
    assert not (np.asarray(params.W1) == np.asarray(params.W2)).any()


def test_init_takes_a_raw_key_as_well():
    assert_same(js.init(jax.random.PRNGKey(0), 3, 4), js.init(KEY(0), 3, 4))


def dtypes(**keywords):
    return {leaf.dtype for leaf in jax.tree.leaves(jax.eval_shape(lambda key: js.init(key, 3, 4, **keywords), KEY(0)))}


@pytest.mark.parametrize("scale", [0.01, "glorot", "he"])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16, "float32"])
def test_init_gives_the_dtype_that_was_asked_for(dtype, scale):
    assert dtypes(dtype=dtype, scale=scale) == {jnp.dtype(dtype)}


def test_init_without_dtype_takes_jax_default():
    assert dtypes() == {jnp.dtype("float32")}


def test_init_without_dtype_takes_float64_where_x64_is_on(x64):
    assert dtypes() == {jnp.dtype("float64")}
    assert dtypes(dtype=jnp.float32) == {jnp.dtype("float32")}


def test_init_under_vmap_and_jit_draws_what_it_draws_alone():
    keys = jax.random.split(KEY(0), 3)
    stacked = jax.jit(jax.vmap(lambda key: js.init(key, 3, 4, scale="he")))(keys)
    for k in range(3):
        one = jax.tree.map(lambda W, k=k: np.asarray(W)[k], stacked)
        assert_close(one, js.init(keys[k], 3, 4, scale="he"), "float32")


@pytest.mark.parametrize(
    ("error", "wrong", "message"),
    [
        (ValueError, {"n_x": 0}, "n_x must be at least 1, got 0"),
        (ValueError, {"n_h": -1}, "n_h must be at least 1, got -1"),
        (ValueError, {"n_y": 0}, "n_y must be at least 1, got 0"),
        (ValueError, {"n_y": 1, "output": "softmax"}, "softmax needs n_y of at least 2, got 1: .* output='sigmoid'"),
        (ValueError, {"scale": "lecun"}, "scale must be a number, glorot or he, got 'lecun'"),
        (TypeError, {"dtype": int}, "dtype must be a floating-point type, got int32"),
        (TypeError, {"dtype": complex}, "dtype must be a floating-point type, got complex64"),
    ],
)
def test_init_says_what_is_wrong(error, wrong, message):
    with pytest.raises(error, match=message):
        js.init(**{"key": KEY(0), "n_x": 3, "n_h": 4, **wrong})


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"n_x": 2.0}, TypeError, "n_x must be an integer, got 2.0"),
        ({"n_h": "4"}, TypeError, "n_h must be an integer, got '4'"),
        ({"scale": -1.0}, ValueError, "scale must be at least 0 and finite, got -1.0"),
        ({"scale": float("nan")}, ValueError, "scale must be at least 0 and finite, got nan"),
    ],
)
def test_init_refuses_wrong_sizes_and_scales(change, error, message):
    with pytest.raises(error, match=message):
        js.init(jax.random.key(0), **{"n_x": 2, "n_h": 4, **change})
