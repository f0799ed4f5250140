"""What the tests share: the table of cases, the table of tolerances, and the notes' equations once more, in NumPy.

The reference is written from the notes, not from the library: sums over named indices in float64, and losses by
`logaddexp`. It knows nothing of JAX beyond the names of a user's own activations.
"""

from __future__ import annotations

import json
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special

import jaxshallow as js
from jaxshallow import bounded

# ---- the table of tolerances: the largest error of a leaf, relative to the leaf's largest entry ----

EPS32 = float(np.finfo(np.float32).eps)
EPS16 = float(jnp.finfo(jnp.bfloat16).eps)

TOLERANCES = {
    # The same sums in another order: a few dozen roundings of 1.1e-16, times the cancellation in them.
    "float64": 1e-12,
    # As above, carried through a few dozen steps of training that need not contract; Adam's first steps, which divide a
    # gradient by its own size, magnify the roundings of a gradient near 0.
    "float64, after training": 1e-9,
    # As above with roundings of 6e-8: 128 units in the last place of the leaf's largest entry, since a mean of
    # residuals of both signs (db2 above all) loses up to two of its seven digits.
    "float32": 128 * EPS32,
    # 8 bits of mantissa: each of the four layers of an equation rounds once, and cancellation doubles it.
    "bfloat16": 8 * EPS16,
    # Central differences with h = eps^(1/3) err by h²/6 · J‴ + eps · J / h, both about 4e-11 for J and J‴ near 1.
    "finite differences": 1e-8,
    # Elementwise results do not depend on m: one rounding for each operation, a product over at most 4 terms.
    "float32, each example": 16 * EPS32,
    # A sum of m ≤ 65537 terms: roundings walk about √m = 256 units away, relative to the mean term; gradients are
    # means of terms of both signs, smaller than their terms. A lost example is caught by the exact test instead.
    "float32, sums over many examples": 256 * EPS32,
    # Standard errors that an empirical standard deviation may lie from the true one: beyond 5, once in 10⁶ seeds.
    "standard errors": 5.0,
}


def programs_of(*functions):
    """What is compiled of functions that `bounded_jit` made: how often, for each form of their arguments."""
    kept = [program for program in bounded.PROGRAMS.values() if program.key[0] in map(id, functions)]
    return {program.key: program.jitted._cache_size() for program in kept}


def assert_close(actual, expected, tolerance: str):
    """Leaf by leaf: the same shape, no NaN, and no entry further off than the tolerance times the largest entry."""
    actual, expected = jax.tree.leaves_with_path(actual), jax.tree.leaves(expected)
    assert len(actual) == len(expected) > 0
    for (path, a), e in zip(actual, expected, strict=True):
        a, e, where = np.asarray(a, np.float64), np.asarray(e, np.float64), jax.tree_util.keystr(path)
        assert a.shape == e.shape, where
        assert np.isfinite(e).all(), where
        np.testing.assert_allclose(a, e, rtol=0, atol=TOLERANCES[tolerance] * np.abs(e).max(), err_msg=where)


def assert_same(actual, expected):
    """Leaf by leaf: the same shape, dtype and numbers."""
    actual, expected = jax.tree.leaves_with_path(actual), jax.tree.leaves(expected)
    assert len(actual) == len(expected) > 0
    for (path, a), e in zip(actual, expected, strict=True):
        where = jax.tree_util.keystr(path)
        assert (a.shape, a.dtype) == (e.shape, e.dtype), where
        np.testing.assert_array_equal(a, e, err_msg=where)


# ---- the table of cases: every hidden activation × every head × m ----

OWN_PAIR = js.Activation(jnp.sin, jnp.cos)
OWN_FUNCTION = jnp.sin
HIDDEN = {
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "relu": "relu",
    "leaky_relu": "leaky_relu",
    "identity": "identity",
    "own pair": OWN_PAIR,
    "own function": OWN_FUNCTION,
}
HEADS = [("sigmoid", 1), ("sigmoid", 3), ("softmax", 3), ("identity", 1), ("identity", 3)]
# Each hidden activation once, with the heads in turn: where what is under test does not look into either.
PAIRS = [(hidden, *HEADS[i % len(HEADS)]) for i, hidden in enumerate(HIDDEN.values())]
# Each activation with each head, and on a single example each activation once.
MATRIX = [*((hidden, *head, 7) for hidden in HIDDEN.values() for head in HEADS), *((*pair, 1) for pair in PAIRS)]
THREAD_EDGES = [16385, 32769, 65537]


class Case(NamedTuple):
    """A network and data that fit it, as NumPy arrays."""

    params: js.Params
    X: np.ndarray
    Y: np.ndarray
    weights: np.ndarray
    l2: float = 0.3

    @property
    def penalties(self):
        """Weights or not × l2 or not, as keyword arguments."""
        return [
            {},
            {"weights": self.weights},
            {"l2": self.l2},
            {"weights": self.weights, "l2": self.l2},
        ]


def draw(hidden="tanh", output="sigmoid", n_y=1, *, n_x=3, n_h=4, m=7, dtype=np.float64, seed=0) -> Case:
    """A case in which no parameter is 0, biases included, and weights of examples differ by an order of magnitude."""
    rng = np.random.default_rng([seed, n_x, n_h, n_y, m])
    # Z1 is of size 1: both curves of every activation, without the tails where 1 − A² has few digits.
    W1, b1 = rng.normal(0, 0.5, (n_h, n_x)), rng.normal(0, 0.5, (n_h, 1))
    W2, b2 = rng.normal(size=(n_y, n_h)), rng.normal(size=(n_y, 1))
    params = js.Params(*(W.astype(dtype) for W in (W1, b1, W2, b2)), hidden=hidden, output=output)
    X = rng.normal(size=(n_x, m)).astype(dtype)
    if output == "identity":
        Y = rng.normal(size=(n_y, m)).astype(dtype)
    elif output == "softmax":
        Y = np.eye(n_y, dtype=dtype)[:, rng.integers(n_y, size=m)]
    elif output == "exp":
        Y = rng.poisson(1.0, size=(n_y, m)).astype(dtype)
    else:
        Y = rng.integers(2, size=(n_y, m)).astype(dtype)
    return Case(params, X, Y, rng.uniform(0.2, 2.0, size=m).astype(dtype))


def largest_array(f, *arguments) -> int:
    """Entries of the largest array that f makes on its way, inside loops too."""

    def sizes(jaxpr):
        for equation in jaxpr.eqns:
            yield from (np.prod(variable.aval.shape, dtype=int) for variable in equation.outvars)
            for inner in jax.tree.leaves(list(equation.params.values())):
                if hasattr(inner, "eqns"):
                    yield from sizes(inner)

    return int(max(sizes(jax.make_jaxpr(f)(*arguments).jaxpr)))


def runner(main, *first, as_json=False):
    """A function that runs a program in this process.

    Args:
        main: the program's.
        first: words that each run begins with.
        as_json: ask for JSON and parse it.

    Returns:
        run(capsys, out, *words), where `out` is that of --out, or None: the exit code, what was printed, and what was
        said on stderr.
    """

    def run(capsys, out, *words):
        words = [*first, *words, *([] if out is None else ["--out", out]), *["--json"] * as_json]
        code = main([str(word) for word in words])
        printed = capsys.readouterr()
        shown = printed.out if not as_json else json.loads(printed.out) if printed.out else None
        return code, shown, printed.err

    return run


# In one program; `js.init` by itself runs a dozen.
init = jax.jit(js.init, static_argnums=(1, 2, 3), static_argnames=("hidden", "output", "scale", "dtype"))


def stack(*trees):
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


# ---- the notes in NumPy ----


def reference_sigmoid(Z):
    return np.exp(-np.logaddexp(0, -Z))


def reference_g(hidden):
    """(g, g′) of a hidden activation."""
    return {
        "sigmoid": (reference_sigmoid, lambda Z: reference_sigmoid(Z) * reference_sigmoid(-Z)),
        "tanh": (np.tanh, lambda Z: 1 / np.cosh(np.clip(Z, -300, 300)) ** 2),
        "relu": (lambda Z: Z * (Z > 0), lambda Z: 1.0 * (Z > 0)),
        "leaky_relu": (lambda Z: Z * np.where(Z > 0, 1, 0.01), lambda Z: np.where(Z > 0, 1, 0.01)),
        "identity": (lambda Z: Z, np.ones_like),
        OWN_PAIR: (np.sin, np.cos),
        OWN_FUNCTION: (np.sin, np.cos),
    }[hidden]


def reference_forward(params, X):
    """(Z1, A1, Z2, A2) in float64."""
    W1, b1, W2, b2, X = (np.asarray(x, np.float64) for x in (*jax.tree.leaves(params), X))
    Z1 = np.einsum("hx,xm->hm", W1, X) + b1
    A1 = reference_g(params.hidden)[0](Z1)
    Z2 = np.einsum("yh,hm->ym", W2, A1) + b2
    A2 = {
        "sigmoid": reference_sigmoid,
        "softmax": lambda Z: np.exp(Z - np.logaddexp.reduce(Z, axis=0, keepdims=True)),
        "identity": lambda Z: Z,
        "exp": np.exp,
    }[params.output](Z2)
    return Z1, A1, Z2, A2


def reference_losses(params, X, Y):
    """(m,) losses in float64, each from Z2."""
    Z2, Y = reference_forward(params, X)[2], np.asarray(Y, np.float64)
    return {
        "sigmoid": lambda: Y * np.logaddexp(0, -Z2) + (1 - Y) * np.logaddexp(0, Z2),
        "softmax": lambda: Y * (np.logaddexp.reduce(Z2, axis=0, keepdims=True) - Z2),
        "identity": lambda: np.square(Z2 - Y) / 2,
        "exp": lambda: scipy.special.kl_div(Y, np.exp(Z2)),  # y log (y / a2) − y + a2
    }[params.output]().sum(axis=0)


def reference_cost(params, X, Y, *, weights=None, l2=0.0):
    """J in float64: Σ wᵢLᵢ / Σ wᵢ + l2 / (2 Σ wᵢ) · (‖W1‖² + ‖W2‖²)."""
    weights = np.ones(X.shape[1]) if weights is None else np.asarray(weights, np.float64)
    squares = sum(np.square(np.asarray(W, np.float64)).sum() for W in (params.W1, params.W2))
    return (weights @ reference_losses(params, X, Y) + l2 / 2 * squares) / weights.sum()


def reference_grads(params, X, Y, *, weights=None, l2=0.0):
    """(dW1, db1, dW2, db2) in float64: the weighted mean of dz1 xᵀ, dz1, dz2 a1ᵀ, dz2 over the examples."""
    weights = np.ones(X.shape[1]) if weights is None else np.asarray(weights, np.float64)
    W1, W2, X, Y = (np.asarray(x, np.float64) for x in (params.W1, params.W2, X, Y))
    Z1, A1, _, A2 = reference_forward(params, X)
    dZ2 = A2 - Y
    dZ1 = np.einsum("yh,ym->hm", W2, dZ2) * reference_g(params.hidden)[1](Z1)
    dW1 = np.einsum("m,hm,xm->hx", weights, dZ1, X, optimize=True) + l2 * W1
    dW2 = np.einsum("m,ym,hm->yh", weights, dZ2, A1, optimize=True) + l2 * W2
    db1, db2 = (dZ1 @ weights)[:, None], (dZ2 @ weights)[:, None]
    return tuple(d / weights.sum() for d in (dW1, db1, dW2, db2))


def reference_cost_and_grads(params, X, Y, **options):
    return reference_cost(params, X, Y, **options), reference_grads(params, X, Y, **options)


def reference_labels(params, X):
    """What `predict` answers."""
    A2 = reference_forward(params, X)[3]
    if params.output == "softmax":
        return A2.argmax(axis=0)
    if params.output == "identity":
        return A2
    return (A2 > 0.5).astype(int)[slice(None) if len(A2) > 1 else 0]


def reference_each_gradient(params, X, Y):
    """Every example's gradient, with a leading axis of m. What the library never stores."""
    return stack(*(reference_grads(params, X[:, [i]], Y[:, [i]]) for i in range(X.shape[1])))


def reference_norms(params, X, Y):
    """(m,): of each example's own gradient."""
    return np.sqrt(sum(np.sum(leaf**2, axis=(1, 2)) for leaf in reference_each_gradient(params, X, Y)))


def reference_clipped_grads(params, X, Y, max_norm, *, weights=None, l2=0.0):
    """The definition: scale each gradient down, then take the weighted mean, then add the penalty's gradient."""
    scale = np.minimum(1, max_norm / reference_norms(params, X, Y))
    w = np.ones(X.shape[1]) if weights is None else weights
    penalty = (l2 / w.sum() * W for W in (params.W1, 0, params.W2, 0))
    gradients = reference_each_gradient(params, X, Y)
    means = (np.einsum("m,mij->ij", scale * w, leaf) / w.sum() for leaf in gradients)
    return tuple(mean + part for mean, part in zip(means, penalty, strict=True))


# ---- every function of the core, by one signature ----

FUNCTIONS = {
    "forward": lambda params, X, Y, weights, l2: js.forward(params, X),
    "forward_example": lambda params, X, Y, weights, l2: js.forward_example(params, X[:, :1]),
    "predict": lambda params, X, Y, weights, l2: js.predict(params, X),
    "losses": lambda params, X, Y, weights, l2: js.losses(params, X, Y),
    "cost": lambda params, X, Y, weights, l2: js.cost(params, X, Y, weights=weights, l2=l2),
    "manual_grads": lambda params, X, Y, weights, l2: js.manual_grads(params, X, Y, weights=weights, l2=l2),
    "manual_grads_example": lambda params, X, Y, weights, l2: js.manual_grads_example(params, X[:, :1], Y[:, :1]),
    "cost_and_grads": lambda params, X, Y, weights, l2: js.cost_and_grads(params, X, Y, weights=weights, l2=l2),
}


def every_function(*case):
    """The results of them all, by name."""
    return {name: function(*case) for name, function in FUNCTIONS.items()}
