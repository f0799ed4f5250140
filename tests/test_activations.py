import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import HEADS, HIDDEN, OWN_FUNCTION, OWN_PAIR, assert_close, reference_g

import jaxshallow as js
from jaxshallow.activations import HIDDEN as NAMED
from jaxshallow.activations import OUTPUTS, resolve, second_derivative

pytestmark = pytest.mark.usefixtures("compiled_lightly")

# From far in one tail to far in the other, through 0.
Z = np.concatenate([[-1000.0, -40.0], np.linspace(-6, 6, 49), [40.0, 1000.0]]).reshape(1, -1)


def test_the_cases_hold_every_named_activation_and_head():
    assert set(NAMED) < set(HIDDEN)
    assert set(OUTPUTS) == {*(output for output, _ in HEADS), "exp"}  # which has tests of its own


@pytest.mark.parametrize("hidden", HIDDEN.values(), ids=HIDDEN)
def test_g_and_g_prime_match_numpy(hidden, x64):
    g, g_prime = resolve(hidden)
    reference, reference_prime = reference_g(hidden)
    assert_close(g(jnp.asarray(Z)), reference(Z), "float64")
    assert_close(g_prime(jnp.asarray(Z)), reference_prime(Z), "float64")


@pytest.mark.parametrize("hidden", HIDDEN.values(), ids=HIDDEN)
def test_g_prime_is_the_derivative_of_g(hidden, x64):
    g, g_prime = resolve(hidden)
    z = jnp.asarray(Z[0])  # 0 is among them: where relu has a kink, autodiff and g′ choose the same side
    assert 0 in Z
    assert_close(g_prime(z), jax.vmap(jax.grad(g))(z), "float64")


@pytest.mark.parametrize("hidden", HIDDEN.values(), ids=HIDDEN)
def test_g_double_prime_is_the_derivative_of_g_prime(hidden, x64):
    z = jnp.asarray(Z[0])
    assert_close(second_derivative(hidden)(z), jax.vmap(jax.grad(resolve(hidden)[1]))(z), "float64")


def test_a_g_double_prime_of_ones_own_is_used_and_looked_at(x64):
    z = jnp.asarray(Z)
    own = js.Activation(jnp.sin, jnp.cos, lambda Z: -jnp.sin(Z))
    assert_close(second_derivative(own)(z), -jnp.sin(z), "float64")
    with pytest.raises(TypeError, match=r"g_double_prime of hidden must give a JAX array of Z's shape"):
        second_derivative(js.Activation(jnp.sin, jnp.cos, jnp.sum))(z)
    with pytest.raises(TypeError, match="hidden must be a name, a function or an Activation, got int"):
        second_derivative(js.Activation(jnp.sin, jnp.cos, 3))


@pytest.mark.parametrize("output", OUTPUTS)
def test_the_derivative_of_a_head_is_that_of_a2(output, x64):
    rng = np.random.default_rng(0)
    Z2, RZ2 = jnp.asarray(rng.normal(size=(2, 3, 20)))
    head = OUTPUTS[output]
    A2, RA2 = jax.jvp(head.activation, (Z2,), (RZ2,))
    assert_close(head.derivative(A2, RZ2), RA2, "float64")


def test_relu_counts_0_as_the_negative_side():
    assert resolve("relu")[1](jnp.zeros(())) == 0
    assert resolve("leaky_relu")[1](jnp.zeros(())) == jnp.float32(0.01)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("hidden", HIDDEN.values(), ids=HIDDEN)
def test_g_and_g_prime_keep_shape_and_dtype(hidden, dtype):
    for function in resolve(hidden):
        result = function(jnp.ones((4, 5), dtype))
        chex.assert_shape(result, (4, 5))
        chex.assert_type(result, dtype)


def test_an_activation_without_derivative_gets_it_from_jax(x64):
    z = jnp.asarray(Z)
    for hidden in (OWN_FUNCTION, js.Activation(OWN_FUNCTION)):
        _, g_prime = resolve(hidden)
        assert_close(g_prime(z), OWN_PAIR.g_prime(z), "float64")


def test_an_unknown_activation_is_refused_by_name():
    with pytest.raises(ValueError, match=r"hidden must be one of sigmoid, tanh, .* or an Activation, got 'selu'"):
        resolve("selu")
    with pytest.raises(TypeError, match="hidden must be a name, a function or an Activation, got int"):
        resolve(3)


# ---- the heads ----


@pytest.mark.parametrize("output", OUTPUTS)
def test_dZ2_of_each_head_is_A2_minus_Y(output, x64):
    rng = np.random.default_rng(0)
    # Plain numbers, far tails beside exact zeros, and nothing but zeros, as a network that starts at zero gives.
    far = np.eye(3) * (5.0 if output == "exp" else 1000.0)  # e¹⁰⁰⁰ is infinite
    Z2 = jnp.asarray(np.concatenate([rng.normal(size=(3, 20)), far, -far, np.zeros((3, 3))], axis=1))
    Y = jax.nn.one_hot(rng.integers(3, size=29), 3, axis=0)
    head = OUTPUTS[output]
    dZ2 = jax.grad(lambda Z2: head.loss(Z2, Y).sum())(Z2)
    assert_close(dZ2, head.activation(Z2) - Y, "float64")


def test_dZ2_holds_for_labels_between_0_and_1(x64):
    Z2 = jnp.asarray(Z)
    Y = jnp.linspace(0, 1, Z.size).reshape(1, -1)
    dZ2 = jax.grad(lambda Z2: OUTPUTS["sigmoid"].loss(Z2, Y).sum())(Z2)
    assert_close(dZ2, jax.nn.sigmoid(Z2) - Y, "float64")


@pytest.mark.parametrize(("z2", "y", "loss"), [(1000, 0, 1000), (1000, 1, 0), (-1000, 1, 1000), (-1000, 0, 0)])
def test_binary_cross_entropy_far_out_is_a_straight_line(z2, y, loss):
    assert OUTPUTS["sigmoid"].loss(jnp.full((1, 1), float(z2)), jnp.full((1, 1), float(y))) == loss


def test_binary_cross_entropy_of_a_sure_answer_keeps_its_digits():
    loss = OUTPUTS["sigmoid"].loss(jnp.array([[40.0, -40.0]]), jnp.array([[1.0, 0.0]]))
    np.testing.assert_allclose(loss, np.exp([-40.0, -40.0]), rtol=1e-5)  # where log(a2) would have been log 1 = 0


@pytest.mark.parametrize(("label", "loss"), [(0, 0), (1, 1000), (2, 2000)])
def test_cross_entropy_far_out_is_the_difference_to_the_largest(label, loss):
    Z2 = jnp.array([[1000.0], [0.0], [-1000.0]])
    assert OUTPUTS["softmax"].loss(Z2, jnp.eye(3)[:, [label]]) == loss


def test_softmax_columns_are_probabilities_that_no_shift_changes(x64):
    Z2 = jnp.asarray(np.random.default_rng(0).normal(size=(3, 5)))
    A2 = OUTPUTS["softmax"].activation(Z2)
    assert (A2 > 0).all()
    assert_close(A2.sum(axis=0), np.ones(5), "float64")
    assert_close(OUTPUTS["softmax"].activation(Z2 + 100), A2, "float64")


def test_softmax_of_two_units_is_sigmoid_of_their_difference(x64):
    Z2 = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5)))
    Y = jnp.asarray([[1.0, 0, 1, 0, 0]])
    difference = Z2[:1] - Z2[1:]
    assert_close(OUTPUTS["softmax"].activation(Z2)[:1], OUTPUTS["sigmoid"].activation(difference), "float64")
    both = jnp.concatenate([Y, 1 - Y])
    assert_close(OUTPUTS["softmax"].loss(Z2, both), OUTPUTS["sigmoid"].loss(difference, Y), "float64")


@pytest.mark.parametrize("output", OUTPUTS)
def test_each_loss_sums_over_the_output_units(output):
    loss = OUTPUTS[output].loss(jnp.zeros((3, 5)), jnp.eye(3, 5).at[0, 3:].set(1))
    per_example = {"sigmoid": 3 * np.log(2), "softmax": np.log(3), "identity": 0.5, "exp": 2.0}[output]
    np.testing.assert_allclose(loss, np.full(5, per_example), rtol=1e-6)
