"""The second derivatives: by hand against autodiff, in tiles, over devices, and what cannot be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import HEADS, HIDDEN, PAIRS, THREAD_EDGES, assert_close, draw
from jax.flatten_util import ravel_pytree

import jaxshallow as js
from jaxshallow import curvature
from jaxshallow.activations import OUTPUTS
from jaxshallow.params import size_of

pytestmark = pytest.mark.usefixtures("compiled_lightly")

HEADS_AND_COUNTS = [*HEADS, ("exp", 1), ("exp", 2)]


def direction(params):
    """A direction in which no entry is 0."""
    rng = np.random.default_rng(5)
    return jax.tree.map(lambda W: rng.normal(size=W.shape).astype(W.dtype), params)


def flat(params):
    return ravel_pytree(params)[0]


def by_autodiff(params, X, Y, V, weights, l2):
    """The Hessian, the Gauss-Newton matrix Jᵀ H J, and their products with V: by JAX, from `cost` and `forward`."""
    θ, unravel = ravel_pytree(params)
    Z2 = lambda θ: js.forward(unravel(θ), X).Z2  # noqa: E731

    def loss_of(z2, y):  # of one example: that of a network whose Z2 is given
        empty, W2 = jnp.zeros((1, 1), X.dtype), jnp.zeros((len(z2), 1), X.dtype)
        return js.losses(js.Params(empty, empty, W2, z2[:, None], output=params.output), empty, y[:, None])[0]

    J = jax.jacobian(Z2)(θ)  # (n_y, m, P)
    H = jax.vmap(jax.hessian(loss_of))(Z2(θ).T, Y.T)
    decays = [jnp.full(W.size, k, X.dtype) for W, k in zip(jax.tree.leaves(params), (1, 0, 1, 0), strict=True)]
    decay = l2 * jnp.diag(jnp.concatenate(decays))
    G = (jnp.einsum("kip,i,ikl,liq->pq", J, weights, H, J) + decay) / weights.sum()
    H = jax.hessian(lambda θ: js.cost(unravel(θ), X, Y, weights=weights, l2=l2))(θ)
    return H, G, H @ flat(V), G @ flat(V)


def by_hand(params, X, Y, V, weights, l2):
    keywords = {"weights": weights, "l2": l2}
    return (
        js.hessian(params, X, Y, **keywords),
        js.gauss_newton(params, X, Y, **keywords),
        flat(js.hessian_vector(params, X, Y, V, **keywords)),
        flat(js.gauss_newton_vector(params, X, Y, V, **keywords)),
    )


def assert_both_ways(case, tolerance, given=lambda weights: weights):
    """By hand as by autodiff, with and without weights and l2. No weights are weights of 1, which spares programs."""
    dtype, V = case.X.dtype, direction(case.params)
    hand, autodiff = jax.jit(by_hand), jax.jit(by_autodiff)
    for keywords in case.penalties:
        l2, alike = dtype.type(keywords.get("l2", 0)), np.ones(case.X.shape[1], dtype)
        weights = keywords.get("weights", alike)
        by = hand(*case[:3], V, weights if "weights" in keywords else given(alike), l2)
        assert_close(by, autodiff(*case[:3], V, weights, l2), tolerance)


@pytest.mark.parametrize(("output", "n_y"), HEADS_AND_COUNTS)
@pytest.mark.parametrize("hidden", HIDDEN.values(), ids=HIDDEN)
def test_second_derivatives_match_autodiff(hidden, output, n_y, x64):
    assert_both_ways(draw(hidden, output, n_y), "float64")


@pytest.mark.parametrize(("hidden", "output", "n_y"), PAIRS)
def test_second_derivatives_of_one_example_match_autodiff(hidden, output, n_y, x64):
    assert_both_ways(draw(hidden, output, n_y, m=1), "float64", given=lambda alike: None)


@pytest.mark.parametrize(("hidden", "output", "n_y"), PAIRS)
def test_second_derivatives_match_autodiff_in_float32(hidden, output, n_y, as_users_compile):
    assert_both_ways(draw(hidden, output, n_y, dtype=np.float32), "float32")


@pytest.mark.parametrize(("hidden", "output", "n_y"), PAIRS)
def test_hessian_vector_is_the_derivative_of_the_gradient(hidden, output, n_y, x64):
    params, X, Y, weights, l2 = draw(hidden, output, n_y)

    @jax.jit
    def both(params, V, X, Y, weights, l2):
        keywords = {"weights": weights, "l2": l2}
        _, along = jax.jvp(lambda params: js.manual_grads(params, X, Y, **keywords), (params,), (V,))
        return js.hessian_vector(params, X, Y, V, **keywords), along

    assert_close(*both(params, direction(params), X, Y, weights, l2), "float64")


@pytest.mark.parametrize(("hidden", "output", "n_y"), [*PAIRS, ("tanh", "exp", 2)])
def test_the_acceleration_is_that_of_the_outputs_along_a_line(hidden, output, n_y, x64):
    params, X, Y, weights, _ = draw(hidden, output, n_y)

    @jax.jit
    def both(params, V, X, Y, weights):
        def Z2(t):
            return js.forward(jax.tree.map(lambda W, d: W + t * d, params, V), X).Z2

        along = lambda f: lambda t: jax.jvp(f, (t,), (1.0,))[1]  # noqa: E731
        _, RRA2 = jax.jvp(OUTPUTS[output].activation, (Z2(0.0),), (along(along(Z2))(0.0),))
        _, back = jax.vjp(lambda params: js.forward(params, X).Z2, params)
        (expected,) = back(weights[None] * RRA2 / weights.sum())
        return curvature.acceleration(params, X, Y, V, weights=weights), expected

    assert_close(*both(params, direction(params), X, Y, weights), "float64")


@pytest.mark.parametrize(("output", "n_y"), HEADS_AND_COUNTS)
def test_gauss_newton_is_symmetric_and_positive_semidefinite(output, n_y, x64):
    # More parameters than examples: it is singular, and only rounding is below 0.
    params, X, Y, _, _ = draw("tanh", output, n_y, m=2)
    G = np.asarray(jax.jit(js.gauss_newton)(params, X, Y))
    assert_close(G, G.T, "float64")
    assert np.linalg.matrix_rank(G) <= 2 * n_y < len(G)
    assert np.linalg.eigvalsh(G).min() > -1e-12 * np.linalg.eigvalsh(G).max()


def test_a_network_that_fits_has_its_gauss_newton_matrix_as_hessian(x64):
    params, X, _, _, _ = draw("tanh", "identity", 3)
    Y = js.forward(params, X).A2
    assert_close(jax.jit(js.hessian)(params, X, Y), jax.jit(js.gauss_newton)(params, X, Y), "float64")


@pytest.mark.parametrize("m", [1, 7])
@pytest.mark.parametrize(("hidden", "output", "n_y"), PAIRS)
def test_the_jacobian_is_the_derivative_of_z2(hidden, output, n_y, m, x64):
    params, X = draw(hidden, output, n_y, m=m)[:2]

    @jax.jit
    def both(params, X):
        θ, unravel = ravel_pytree(params)
        expected = jax.jacobian(lambda θ: js.forward(unravel(θ), X).Z2)(θ)
        return js.jacobian(params, X), jnp.moveaxis(expected, -1, 1)

    assert_close(*both(params, X), "float64")


@pytest.mark.parametrize(("output", "n_y"), HEADS)
def test_the_kernel_is_the_product_of_two_jacobians(output, n_y, x64):
    params, X = draw("sigmoid", output, n_y)[:2]
    X2 = draw(m=3).X
    kernels, J, J2 = jax.jit(
        lambda params, X, X2: (
            (js.ntk(params, X, X2), js.ntk(params, X)),
            js.jacobian(params, X),
            js.jacobian(params, X2),
        )
    )(params, X, X2)
    for kernel, other in zip(kernels, (J2, J), strict=True):
        expected = np.einsum("kpm,lpn->klmn", J, other)
        assert_close(kernel, expected[0, 0] if n_y == 1 else expected, "float64")


@pytest.mark.parametrize(("output", "n_y"), [("sigmoid", 1), ("softmax", 3)])
def test_a_weight_of_0_removes_an_example_from_every_second_derivative(output, n_y, x64):
    params, X, Y, weights, l2 = draw("tanh", output, n_y)
    V, without = direction(params), weights * (np.arange(7) > 0)
    expected = jax.jit(by_hand)(params, X[:, 1:], Y[:, 1:], V, weights[1:], l2)
    assert_close(jax.jit(by_hand)(params, X, Y, V, without, l2), expected, "float64")


# ---- executions: tiles, devices, jit, vmap, and the sizes at which threads split ----

OF_EXAMPLES = [js.hessian, js.gauss_newton, js.hessian_vector, js.gauss_newton_vector]


def arguments_of(fn, case):
    along = (direction(case.params),) if fn.__name__.endswith("vector") else ()
    return (*case[:3], *along)


@pytest.mark.parametrize("fn", OF_EXAMPLES)
def test_second_derivatives_stream(fn, x64):
    case = draw("tanh", "softmax", 3, m=50)
    arguments = arguments_of(fn, case)
    for keywords in ({}, {"weights": case.weights, "l2": 0.3}):
        assert_close(js.stream(fn, tile=8)(*arguments, **keywords), jax.jit(fn)(*arguments, **keywords), "float64")


def test_the_jacobian_streams(x64):
    params, X = draw("tanh", "softmax", 3, m=50)[:2]
    assert_close(js.stream(js.jacobian, tile=8)(params, X), jax.jit(js.jacobian)(params, X), "float64")


@pytest.mark.parametrize("fn", OF_EXAMPLES)
def test_second_derivatives_run_under_jit_and_vmap(fn, x64):
    case = draw("tanh", "sigmoid", 1)
    params, X, Y, *along = arguments_of(fn, case)
    expected = fn(params, X, Y, *along, weights=case.weights)
    two = jax.tree.map(lambda W: jnp.stack([W, 2 * W]), params)
    stacked = jax.jit(jax.vmap(lambda params: fn(params, X, Y, *along, weights=case.weights)))(two)
    assert_close(jax.tree.map(lambda leaf: leaf[0], stacked), expected, "float64")


@pytest.mark.parametrize("m", THREAD_EDGES)
def test_second_derivatives_at_the_sizes_at_which_threads_split(m, as_users_compile):
    params, X, Y, weights, l2 = draw("tanh", "sigmoid", 1, m=m, n_x=2, n_h=3, dtype=np.float32)
    problem = params, X, Y, direction(params), weights, np.float32(l2)
    with jax.enable_x64(True):
        expected = jax.jit(by_hand)(*jax.tree.map(lambda A: A.astype(np.float64), problem))
    assert_close(jax.jit(by_hand)(*problem), expected, "float32, sums over many examples")


# ---- what cannot be ----


def test_directions_of_another_shape_are_refused():
    case = draw()
    params, X, Y = case[:3]
    with pytest.raises(ValueError, match=r"V\.W1 must be of the shape of W1, \(4, 3\), got \(5, 3\)"):
        js.hessian_vector(params, X, Y, draw(n_h=5).params)
    with pytest.raises(TypeError, match="V must be Params, a direction, got ndarray"):
        js.gauss_newton_vector(params, X, Y, np.ones(21))


def test_a_matrix_that_would_not_fit_is_refused_with_a_way_out():
    params = js.init(jax.random.key(0), n_x=999, n_h=100)
    P = size_of(params)
    assert P > curvature.MOST_PARAMETERS
    for fn in (js.hessian, js.gauss_newton):
        with pytest.raises(
            ValueError, match=rf"{fn.__name__} must be of at most 20,000 .*got 100,101.*{fn.__name__}_vector"
        ):
            fn(params, jnp.ones((999, 2)), jnp.ones((1, 2)))
