"""Loops, scans and vmap: the same formula, run otherwise."""

import jax
import numpy as np
import pytest
from cases import HEADS, assert_close, draw, reference_forward

import jaxshallow as js

pytestmark = pytest.mark.usefixtures("compiled_lightly")

FORWARD = [js.forward_loop, js.forward_scan, js.forward_vmap]
GRADIENT = [js.manual_grads_loop, js.manual_grads_scan, js.manual_grads_vmap]


@pytest.mark.parametrize("execution", FORWARD, ids=lambda f: f.__name__)
@pytest.mark.parametrize(("output", "n_y", "m"), [*((*head, 7) for head in HEADS), ("softmax", 3, 1)])
def test_every_execution_is_the_forward_formula(x64, execution, output, n_y, m):
    params, X = draw("tanh", output, n_y, m=m)[:2]
    assert_close(execution(params, X), js.forward(params, X), "float64")
    assert_close(jax.jit(execution)(params, X), js.forward(params, X), "float64")


@pytest.mark.parametrize("execution", GRADIENT, ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    ("output", "n_y", "m", "weighted", "l2"),
    [
        ("sigmoid", 1, 1, False, 0.0),
        *((*head, 7, True, 0.3) for head in HEADS),
        # The heads know nothing of weights and l2.
        ("softmax", 3, 7, False, 0.3),
        ("softmax", 3, 7, True, 0.0),
    ],
)
def test_every_execution_is_the_gradient(x64, execution, output, n_y, m, weighted, l2):
    params, X, Y = draw("tanh", output, n_y, m=m)[:3]
    options = {"weights": np.array([2.0, 0.0, 1.0, 0.5, 3.0, 1.0, 0.2]) if weighted else None, "l2": l2}
    expected = js.manual_grads(params, X, Y, **options)
    assert_close(execution(params, X, Y, **options), expected, "float64")
    assert_close(jax.jit(execution)(params, X, Y, **options), expected, "float64")


@pytest.mark.parametrize("m", [16385, 32769])
def test_vmap_holds_at_sizes_where_threads_split_the_work(m, as_users_compile):
    """Compilers have been caught wrong in the last column there: each entry counts, not the mean."""
    params, X = draw("tanh", "softmax", 3, m=m, dtype=np.float32)[:2]
    cache, expected = jax.jit(js.forward_vmap)(params, X), reference_forward(params, X)
    assert_close(cache, expected, "float32, each example")
    np.testing.assert_allclose(np.asarray(cache.A2)[:, -1], expected[-1][:, -1], rtol=1e-5)  # ~100 roundings of 6e-8


def test_vmap_compiles_to_the_same_products_as_the_matrix_form_forward(as_users_compile):
    if jax.default_backend() != "cpu":
        pytest.skip("products have other names in programs for other devices")
    params, X = draw(m=50, dtype=np.float32)[:2]
    count = {f: jax.jit(f).lower(params, X).compile().as_text().count(" dot(") for f in (js.forward, js.forward_vmap)}
    assert count[js.forward_vmap] == count[js.forward] == 2


@pytest.mark.parametrize("execution", FORWARD + GRADIENT, ids=lambda f: f.__name__)
def test_every_execution_refuses_rows_as_features(execution):
    params, X, Y = draw(m=6, dtype=np.float32)[:3]
    arguments = (X.T,) if execution in FORWARD else (X.T, Y)
    with pytest.raises(ValueError, match=r"X must be \(n_x, m\) = \(3, m\), got \(6, 3\): examples are columns"):
        execution(params, *arguments)
