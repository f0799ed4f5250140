"""Is every execution equal to the formula, here, on this data? The certificate.

Each execution is compared, entry by entry, with a reference that shares nothing with XLA: the notes' equations in
NumPy, float64, on the CPU. Two roundings of one formula are never equal to the last bit, so each entry comes with a
bound on how far rounding alone can take it. An entry beyond its bound is a fault: in a formula, in a compiler, or in
the hardware.

The bound is a running error analysis (Wilkinson 1960): `Bounded` carries each value with a bound on its error, and
each operation of the formula passes the errors on and adds its own:

- a sum of n terms: γ(n) Σ|terms|, with γ(n) = n u, or λ√n u where that is smaller (Higham and Mary 2019: rounding
  errors of independent sign; with λ = 10 it fails for an entry with probability below 2 exp(−λ²/2) ~ 1e-21). The order
  of the sum does not matter, so loops, tiles and threads share it;
- a matrix product: the same, and 2 p |A||B| where the hardware rounds the factors to p first (TF32 on GPUs,
  bfloat16 on TPUs, at precision "default" and "high");
- an elementwise operation: 4 u, room for a compiler that reorders (x / m as x · (1/m));
- an elementary function: what it makes of the error of its argument, and 16 u of its own (5 u was the most seen of
  XLA's tanh, σ, exp and log1p); g′ is taken from g near 1, 1 − A² or A (1 − A), so there 16 u of 1.

u is the unit roundoff: 2⁻²⁴ for float32, 2⁻⁵³ for float64, 2⁻⁸ for bfloat16, whose sums XLA takes in float32 except
in the loops, and whose operations and functions it rounds once from float32: 2 u and 4 u there. What is too small for
the dtype may be flushed to 0; what is too large for it fails.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property, lru_cache
from itertools import groupby
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.typing import ArrayLike

from jaxshallow import backprop, checks, executions, many, network
from jaxshallow.activations import resolve
from jaxshallow.network import Cache
from jaxshallow.params import Params

PRECISIONS = ("default", "high", "highest")
# Sums and tiles split over threads at sizes such as these; compilers have been caught wrong in the last column there.
THREAD_SPLIT_SIZES = (16385, 32769, 65537)
LOOP_EXAMPLES, SCAN_EXAMPLES, VMAP_ENTRIES = 16, 1024, 2**25
DIFFERENCE_EXAMPLES, DIFFERENCE_ENTRIES = 64, 25


# ---- arithmetic with error bounds ----


@dataclass(frozen=True)
class Arithmetic:
    """Unit roundoffs of the execution under test: of its dtype, of factors in products, and of sums."""

    u: float
    u_product: float
    u_sum: float
    tiny: float

    @property
    def operation(self) -> float:
        return (4 if self.u < 2**-20 else 2) * self.u

    @property
    def function(self) -> float:
        return (16 if self.u < 2**-20 else 4) * self.u

    def gamma(self, n: int) -> float:
        """γ(n), the relative error of a sum of n terms."""
        return min(n, 10 * n**0.5) * self.u_sum + self.u


@dataclass(frozen=True)
class Bounded:
    """An array in float64, with a bound on the error of each entry in the execution under test."""

    value: np.ndarray
    error: np.ndarray
    arithmetic: Arithmetic

    def _rounded(self, value, error, rounding, underflow: float = 1.0) -> Bounded:
        return Bounded(value, error + rounding + underflow * self.arithmetic.tiny, self.arithmetic)

    def __add__(self, other: Bounded) -> Bounded:
        value, error = self.value + other.value, self.error + other.error
        return self._rounded(value, error, self.arithmetic.operation * (abs(value) + error))

    def __sub__(self, other: Bounded) -> Bounded:
        return self + replace(other, value=-other.value)

    def __mul__(self, other: Bounded) -> Bounded:
        a, b = abs(self.value), abs(other.value)
        error = a * other.error + self.error * b + self.error * other.error
        return self._rounded(self.value * other.value, error, self.arithmetic.operation * a * b)

    def __truediv__(self, n: float) -> Bounded:
        return self._rounded(self.value / n, self.error / n, self.arithmetic.operation * abs(self.value) / n)

    def __matmul__(self, other: Bounded) -> Bounded:
        a, b = abs(self.value), abs(other.value)
        n = a.shape[1]
        error = a @ other.error + self.error @ (b + other.error)
        rounding = (2 * self.arithmetic.u_product + self.arithmetic.gamma(n)) * (a @ b)
        # Each of the n terms, and each factor of a term, may have been flushed to 0.
        return self._rounded(self.value @ other.value, error, rounding, n * (1 + a.max() + b.max()))

    def sum(self, axis: int) -> Bounded:
        n = self.value.shape[axis]
        value, error = self.value.sum(axis, keepdims=True), self.error.sum(axis, keepdims=True)
        return self._rounded(value, error, self.arithmetic.gamma(n) * abs(self.value).sum(axis, keepdims=True), n)

    def apply(self, f: Callable[[np.ndarray], np.ndarray], least: float = 0.0) -> Bounded:
        """f entry by entry: the spread of f over value ± error, and 16 u of the result, or of `least`."""
        value = f(self.value)
        spread = np.maximum(abs(f(self.value + self.error) - value), abs(f(self.value - self.error) - value))
        return self._rounded(value, spread, self.arithmetic.function * np.maximum(abs(value), least))

    @property
    def T(self) -> Bounded:
        return replace(self, value=self.value.T, error=self.error.T)


# ---- the reference: the notes in NumPy, written apart from the rest of the library ----


def _sigmoid(Z):
    return np.exp(-np.logaddexp(0, -Z))


def _softmax(Z: Bounded) -> Bounded:
    E = np.exp(Z.value - Z.value.max(axis=0))
    A = E / E.sum(axis=0)
    # exp turns errors of z into factors: a_i grows at most by exp(error_i + max_j error_j), and never beyond 1.
    spread = np.minimum(A * np.expm1(np.minimum(Z.error + Z.error.max(axis=0), 700)), 1)
    return Z._rounded(A, spread, (Z.arithmetic.function + len(A) * Z.arithmetic.u_sum) * A)


REFERENCE_HIDDEN: dict[str, tuple[Callable, Callable]] = {
    "sigmoid": (_sigmoid, lambda Z: _sigmoid(Z) * _sigmoid(-Z)),
    "tanh": (np.tanh, lambda Z: 1 - np.tanh(Z) ** 2),
    "relu": (lambda Z: Z * (Z > 0), lambda Z: 1.0 * (Z > 0)),
    "leaky_relu": (lambda Z: np.where(Z > 0, Z, 0.01 * Z), lambda Z: np.where(Z > 0, 1, 0.01)),
    "identity": (lambda Z: Z, np.ones_like),
}


def _reference_hidden(hidden) -> tuple[Callable, Callable]:
    """g and g′ on float64 arrays. A user's g runs in JAX, and its g′ is JAX's own: a wrong `g_prime` is found."""
    if isinstance(hidden, str) and hidden in REFERENCE_HIDDEN:
        return REFERENCE_HIDDEN[hidden]
    g, _ = resolve(hidden)

    def in_float64(f):
        def on_cpu(Z):
            with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
                return np.asarray(f(jnp.asarray(Z)))

        return on_cpu

    return in_float64(g), in_float64(lambda Z: jax.jvp(g, (Z,), (jnp.ones_like(Z),))[1])


class Reference:
    """Every quantity of the notes, with its bound: `Reference(...).dW1` and so on, each computed when asked for.

    `spread` is an uncertainty of the parameters themselves, relative to those above 1; finite differences use it.
    `max_norm` is that of the clipped gradient.
    """

    def __init__(
        self, params: Params, X, Y, weights, l2, arithmetic: Arithmetic, *, spread: float = 0.0, max_norm: float = 1.0
    ):
        # A term of a mean may be flushed to 0 after its division by m, and a sum has as many terms as the longest axis.
        longest = max(X.shape[1], *params.W1.shape, *params.W2.shape)
        arithmetic = replace(arithmetic, tiny=arithmetic.tiny * longest)

        def exact(array, error=0.0):
            array = np.asarray(array, np.float64)
            return Bounded(array, error * np.maximum(1, abs(array)), arithmetic)

        self.W1, self.b1, self.W2, self.b2 = (exact(leaf, spread) for leaf in jax.tree.leaves(params))
        self.X, self.Y, self.m = exact(X), exact(Y), X.shape[1]
        self.g, self.g_prime = _reference_hidden(params.hidden)
        self.least = 0.0 if params.hidden in REFERENCE_HIDDEN else 1.0
        self.output, self.max_norm = params.output, max_norm
        w = exact(np.ones((1, self.m)) if weights is None else np.asarray(weights, np.float64).reshape(1, -1))
        total = w.sum(axis=1)
        if weights is None:
            total = exact(total.value)
        some = np.where(total.value > 0, total.value, np.inf)  # where every weight is 0, cost and gradients are 0
        per_total = Bounded(1 / some, total.error / some**2, arithmetic)
        self.w, self.λ = w * per_total * exact([[self.m]]), exact([[float(l2)]]) * per_total

    @cached_property
    def Z1(self):
        return self.W1 @ self.X + self.b1

    @cached_property
    def A1(self):
        return self.Z1.apply(self.g, self.least)

    @cached_property
    def Z2(self):
        return self.W2 @ self.A1 + self.b2

    @cached_property
    def A2(self):
        if self.output == "identity":
            return self.Z2
        return _softmax(self.Z2) if self.output == "softmax" else self.Z2.apply(_sigmoid)

    @cached_property
    def L(self):
        Z, Y = self.Z2, self.Y
        if self.output == "identity":
            D = Z - Y
            return (D * D).sum(axis=0) / 2
        if self.output == "sigmoid":
            f = lambda z: np.maximum(z, 0) - Y.value * z + np.log1p(np.exp(-abs(z)))  # noqa: E731
            L = Z.apply(f)
            return replace(L, error=L.error + Z.arithmetic.operation * abs(Z.value)).sum(axis=0)
        z = Z.value - Z.value.max(axis=0)
        L = (np.log(np.exp(z).sum(axis=0)) - (Y.value * z).sum(axis=0))[None]
        spread = 2 * Z.error.max(axis=0, keepdims=True)
        return Z._rounded(
            L,
            spread,
            (Z.arithmetic.function + len(z) * Z.arithmetic.u_sum) * (abs(L) + abs(Y.value * z).sum(axis=0) + 1),
        )

    @cached_property
    def J(self):
        squares = (self.W1 * self.W1).sum(1).sum(0) + (self.W2 * self.W2).sum(1).sum(0)
        return (self.w * self.L).sum(axis=1) / self.m + self.λ * squares / 2

    @cached_property
    def dZ2(self):
        return self.w * (self.A2 - self.Y)

    @cached_property
    def dW2(self):
        return self.dZ2 @ self.A1.T / self.m + self.λ * self.W2

    @cached_property
    def db2(self):
        return self.dZ2.sum(axis=1) / self.m

    @cached_property
    def dZ1(self):
        return (self.W2.T @ self.dZ2) * self.Z1.apply(self.g_prime, 1.0)

    @cached_property
    def dW1(self):
        return self.dZ1 @ self.X.T / self.m + self.λ * self.W1

    @cached_property
    def db1(self):
        return self.dZ1.sum(axis=1) / self.m

    @cached_property
    def dz2(self):
        return self.A2 - self.Y

    @cached_property
    def dz1(self):
        return (self.W2.T @ self.dz2) * self.Z1.apply(self.g_prime, 1.0)

    @cached_property
    def norms(self):
        """(1, m), each from all entries of its own gradient: ‖dz1 xᵀ‖² + ‖dz1‖² + ‖dz2 a1ᵀ‖² + ‖dz2‖²."""
        outer = (self.dz1 * self.dz1).sum(0) * (self.X * self.X).sum(0) + (self.dz1 * self.dz1).sum(0)
        outer2 = (self.dz2 * self.dz2).sum(0) * (self.A1 * self.A1).sum(0) + (self.dz2 * self.dz2).sum(0)
        return (outer + outer2).apply(lambda square: np.sqrt(np.maximum(square, 0)))

    @cached_property
    def clipping(self):
        return self.w * self.norms.apply(lambda norm: np.minimum(1, self.max_norm / np.maximum(norm, 1e-300)))

    @cached_property
    def clipped_dW2(self):
        return (self.clipping * self.dz2) @ self.A1.T / self.m + self.λ * self.W2

    @cached_property
    def clipped_db2(self):
        return (self.clipping * self.dz2).sum(axis=1) / self.m

    @cached_property
    def clipped_dW1(self):
        return (self.clipping * self.dz1) @ self.X.T / self.m + self.λ * self.W1

    @cached_property
    def clipped_db1(self):
        return (self.clipping * self.dz1).sum(axis=1) / self.m


# ---- the certificate ----


@dataclass(frozen=True)
class Row:
    """One execution, in one mode, at one precision, on one number of examples.

    Attributes:
        quantity: what was compared: "forward", "losses", "cost", "gradient", "cost, gradient", "gradient norms" (of
            each example) or "clipped gradient".
        execution: how it was computed.
        mode: "eager", "jit", or "NumPy" for the finite differences of the reference itself.
        precision: of matrix products, as `jax.default_matmul_precision`.
        n_examples: the number of examples, m or a subsample.
        ulps: the largest difference in an array, in units in the last place of its largest entry; the worst array.
        relative_error: ‖difference‖ / ‖expected‖ of an array; the worst array.
        of_bound: the largest difference, as a fraction of the entry's bound.
        holds: whether every entry is within its bound.
        seconds: the best of three runs (of one, in the loops), compiled beforehand.
    """

    quantity: str
    execution: str
    mode: str
    precision: str
    n_examples: int
    ulps: float
    relative_error: float
    of_bound: float
    holds: bool
    seconds: float


@dataclass(frozen=True)
class Certificate:
    """What `certify` found: `ok`, `rows`, `str()` for a table and `to_json()`.

    Attributes:
        device: where the executions ran.
        dtype: in which they ran.
        network: its sizes and nonlinearities, "2-4-1 tanh, sigmoid".
        rows: a `Row` for each execution, mode, precision and size.
    """

    device: str
    dtype: str
    network: str
    rows: tuple[Row, ...]

    @property
    def ok(self) -> bool:
        """Whether every row holds."""
        return all(row.holds for row in self.rows)

    def to_json(self) -> str:
        """The certificate as JSON; numbers that are not finite are null."""
        rows = [
            {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in asdict(row).items()}
            for row in self.rows
        ]
        facts = {"ok": self.ok, "device": self.device, "dtype": self.dtype, "network": self.network}
        return json.dumps({**facts, "jax": jax.__version__, "rows": rows}, indent=1)

    def __str__(self) -> str:
        lines = [("quantity", "execution", "mode", "precision", "m", "ulps", "rel. error", "of bound", "time", "")]
        same = lambda row: (row.quantity, row.execution, row.mode, row.n_examples, row.holds)  # noqa: E731
        for (quantity, execution, mode, n, holds), group in groupby(self.rows, same):
            rows = list(group)
            ulps, relative_error, of_bound = (
                max(getattr(row, name) for row in rows) for name in ("ulps", "relative_error", "of_bound")
            )
            lines.append(
                (
                    quantity,
                    execution,
                    mode,
                    ", ".join(row.precision for row in rows),
                    f"{n:,}",
                    f"{ulps:,.0f}",
                    f"{relative_error:.1e}",
                    f"{of_bound:.2f}",
                    f"{min(row.seconds for row in rows) * 1e3:,.3f} ms",
                    "holds" if holds else "FAILS",
                )
            )
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        align = "<<<<>>>>><"
        table = ["  ".join(f"{c:{a}{w}}" for c, a, w in zip(line, align, widths, strict=True)) for line in lines]
        failed = sum(not row.holds for row in self.rows)
        verdict = f"{failed} of {len(self.rows)} rows FAIL" if failed else f"all {len(self.rows)} rows hold"
        return "\n".join([f"Certificate: {self.network}, {self.dtype} on {self.device}: {verdict}", *table])


def certify(
    params: Params,
    X: ArrayLike,
    Y: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    l2: ArrayLike = 0.0,
    executions: Mapping[str, Callable] | None = None,
    max_examples: int = THREAD_SPLIT_SIZES[-1],
    precisions: Sequence[str] = PRECISIONS,
) -> Certificate:
    """Run every execution of the formula on this data and device, and hold each against a float64 reference.

    Forward propagation, losses, cost and gradients; by Python loop, scan loop, vmap, matrix form, autodiff, `stream`,
    and padded among other networks as in `fit_many`; where there are several devices by `shard`, and by it and `stream`
    together; per-example norms and the gradient clipped at their median; eager and jitted; at matmul precision default,
    high and highest. The reference itself is held against finite differences of its cost. See the module's docstring
    for the bounds.

    The loops and vmap take a subsample, since they are slow or store much. Data of more than `max_examples` examples
    is certified on subsamples of the sizes at which threads split it (16385, 32769 and 65537), eagerly on the first.

    Args:
        params: the network.
        X: (n_x, m) examples as columns.
        Y: (n_y, m) targets as columns.
        weights: (m,) weight of each example.
        l2: strength of the weight decay.
        executions: more of them, by name: each is called as `f(params, X, Y, weights=..., l2=...)` and returns what
            `forward`, `losses`, `cost`, `manual_grads` or `cost_and_grads` returns. One that JAX cannot trace, such
            as a student's NumPy, is run eagerly only.
        max_examples: the largest number of examples that is run whole.
        precisions: of matrix products; each of them compiles everything anew.

    Returns:
        The `Certificate`.

    Raises:
        ValueError: shapes or values that the network cannot be trained on, as `fit`.
        TypeError: X is not floating point, or an execution returns something else.

    Example:
        >>> from jaxshallow import init
        >>> params = init(jax.random.key(0), n_x=2, n_h=3, hidden="tanh", scale=1.0)
        >>> X = jax.random.normal(jax.random.key(1), (2, 7))
        >>> certify(params, X, X[:1] > 0, precisions=["highest"]).ok
        True
    """
    params = checks.parameters(params)
    X = checks.features(params, X)
    Y = checks.targets(params, X, Y)
    weights, l2 = checks.weights_and_l2(params, X.shape[1], weights, l2)
    checks.values(params, X, Y, weights)
    device, dtype = next(iter(X.devices())), X.dtype

    @cache
    def sample(n: int):
        columns = np.linspace(0, X.shape[1] - 1, n).round().astype(int)
        return X[:, columns], Y[:, columns], None if weights is None else weights[columns]

    @lru_cache(maxsize=4)
    def reference(n: int, arithmetic: Arithmetic) -> Reference:
        x, y, w = sample(n)
        return Reference(params, x, y, w, l2, arithmetic, max_norm=max_norm)

    norms = jax.jit(backprop.per_example_grad_norms)(params, *sample(min(X.shape[1], max_examples))[:2])
    max_norm = float(np.median(norms)) or 1.0  # clips every second example, or none of those that have no gradient
    rows = []
    for execution in _executions(params, executions, max_norm):
        sizes = sorted({min(size, execution.most) for size in _sizes(X.shape[1], max_examples)})
        for n in sizes:
            x, y, w = sample(n)
            # Operation by operation nothing is fused or split: one size shows it, and each further one would compile
            # every operation anew.
            for mode in ("eager", "jit") if n == sizes[0] and not execution.compiled else ("jit",):
                for precision in precisions:
                    f = jax.jit(execution.run) if mode == "jit" else execution.run
                    try:
                        with jax.default_matmul_precision(precision):
                            got, seconds = _timed(f, params, x, y, weights=w, l2=l2, repeats=1 if execution.loop else 3)
                    except (jax.errors.TracerArrayConversionError, jax.errors.ConcretizationTypeError):
                        continue  # it is not written in JAX: the eager rows speak for it
                    quantity, arrays = execution.named(got, execution.name)
                    arithmetic = _arithmetic(device.platform, dtype, precision, execution.loop)
                    ulps, relative, of_bound, holds = _compare(arrays, reference(n, arithmetic), dtype)
                    row = Row(quantity, execution.name, mode, precision, n, ulps, relative, of_bound, holds, seconds)
                    rows.append(row)
    x, y, w = sample(min(X.shape[1], DIFFERENCE_EXAMPLES))
    rows.append(_finite_differences(params, x, y, w, l2))

    n_y, n_h = params.W2.shape
    hidden = params.hidden if isinstance(params.hidden, str) else "custom"
    name = f"{X.shape[0]}-{n_h}-{n_y} {hidden}, {params.output}"
    return Certificate(f"{device.platform} ({device.device_kind})", str(dtype), name, tuple(rows))


def _named(result, execution: str) -> tuple[str, dict[str, Any]]:
    """What an execution returned: the quantity, and its arrays by the names of the reference."""
    if isinstance(result, Cache):
        return "forward", result._asdict()
    if isinstance(result, Params):
        return "gradient", {"dW1": result.W1, "db1": result.b1, "dW2": result.W2, "db2": result.b2}
    if isinstance(result, tuple) and len(result) == 2:
        return "cost, gradient", {"J": result[0], **_named(result[1], execution)[1]}
    if isinstance(result, jax.Array | np.ndarray | np.generic | float) and np.ndim(result) < 2:
        return ("cost", {"J": result}) if np.ndim(result) == 0 else ("losses", {"L": result})
    raise TypeError(f"execution {execution!r} must return a Cache, losses, a cost, Params or (cost, Params)")


def _named_clipped(grads: Params, execution: str) -> tuple[str, dict[str, Any]]:
    return "clipped gradient", {f"clipped_{name}": leaf for name, leaf in _named(grads, execution)[1].items()}


def _named_norms(norms, execution: str) -> tuple[str, dict[str, Any]]:
    return "gradient norms", {"norms": norms[None]}


@dataclass(frozen=True)
class Execution:
    """One way of running the formula: `run(params, X, Y, *, weights, l2)`, on at most `most` examples.

    `loop`: it goes example by example, so sums are taken one by one. `compiled`: it is a program even when not jitted.
    `named` says what its result is.
    """

    name: str
    run: Callable
    most: int = sys.maxsize
    loop: bool = False
    compiled: bool = False
    named: Callable[[Any, str], tuple[str, dict[str, Any]]] = _named


@cache
def _with_targets(forward: Callable) -> Callable:
    """`forward(params, X)` in the signature of the others; cached, so that jit knows it again."""
    return lambda params, X, Y, **_: forward(params, X)


_gradient_of = cache(jax.grad)


@cache
def _without_weights(losses: Callable) -> Callable:
    return lambda params, X, Y, **_: losses(params, X, Y)


@cache
def _clipped_at(max_norm: float) -> Callable:
    return lambda params, X, Y, **options: backprop.clipped_grads(params, X, Y, max_norm, **options)


def _streamed(params: Params, X, Y, **options):
    """In three tiles or more, and mostly a rest."""
    tile = max(1, min(executions.tile_size(params), X.shape[1] // 3))
    return executions.stream(backprop.cost_and_grads, tile)(params, X, Y, **options)


def _executions(params: Params, more: Mapping[str, Callable] | None, max_norm: float) -> list[Execution]:
    def python_loop(run):
        return Execution("Python loop", run, LOOP_EXAMPLES, loop=True)

    def scan_loop(run):
        wide = params.W1.dtype in (jnp.float32, jnp.float64)  # sums of 1024 terms mean nothing in a narrower dtype
        return Execution("scan loop", run, SCAN_EXAMPLES if wide else LOOP_EXAMPLES, loop=True)

    vmap_examples = max(1, VMAP_ENTRIES // sum(leaf.size for leaf in jax.tree.leaves(params)))
    tiled = {"stream": _streamed}
    if jax.local_device_count() > 1:
        mesh = Mesh(np.array(jax.local_devices()), ("examples",))
        tiled["shard"] = executions.shard(backprop.cost_and_grads, mesh)
        tiled["shard, stream"] = executions.shard(_streamed, mesh)
    return [
        python_loop(_with_targets(executions.forward_loop)),
        scan_loop(_with_targets(executions.forward_scan)),
        Execution("vmap", _with_targets(executions.forward_vmap)),
        Execution("matrix", _with_targets(network.forward)),
        Execution("matrix", _without_weights(network.losses)),
        Execution("matrix", network.cost),
        python_loop(executions.manual_grads_loop),
        scan_loop(executions.manual_grads_scan),
        Execution("vmap", executions.manual_grads_vmap, vmap_examples),
        Execution("matrix", backprop.manual_grads),
        Execution("matrix", backprop.cost_and_grads),
        Execution("autodiff", _gradient_of(network.cost)),
        *(Execution(name, run, compiled=True) for name, run in tiled.items()),
        Execution("many", many.cost_and_grads_among_others, compiled=True),
        Execution("matrix", _without_weights(backprop.per_example_grad_norms), named=_named_norms),
        Execution("matrix", _clipped_at(max_norm), named=_named_clipped),
        *(Execution(name, run) for name, run in (more or {}).items()),
    ]


def _sizes(m: int, max_examples: int) -> list[int]:
    if m <= max_examples:
        return [m]
    return [size for size in THREAD_SPLIT_SIZES if size <= max_examples] or [max_examples]


def _arithmetic(platform: str, dtype, precision: str, loop: bool) -> Arithmetic:
    u = float(jnp.finfo(dtype).eps) / 2
    rounded_factors = {"gpu": {"default": 2**-11, "high": 2**-11}, "tpu": {"default": 2**-8, "high": 2**-16}}
    u_product = rounded_factors.get(platform, {}).get(precision, u) if dtype == jnp.float32 else u
    return Arithmetic(u, u_product, u if loop else min(u, 2**-24), float(jnp.finfo(dtype).tiny))


def _timed(f: Callable, *args, repeats: int, **kwargs) -> tuple[Any, float]:
    result, best = jax.block_until_ready(f(*args, **kwargs)), float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(f(*args, **kwargs))
        best = min(best, time.perf_counter() - start)
    return result, best


def _compare(arrays: Mapping[str, Any], reference: Reference, dtype) -> tuple[float, float, float, bool]:
    """ulps, relative error, fraction of the bound, and whether it holds: the worst over all entries of all arrays."""
    u64 = 2.0**-52  # the reference rounds as well, by the same analysis
    worst = np.zeros(3)
    for name, array in arrays.items():
        expected: Bounded = getattr(reference, name)
        got = np.asarray(array, np.float64)
        shape = {"J": (), "L": expected.value.shape[1:]}.get(name, expected.value.shape)
        if got.shape != shape:
            raise TypeError(f"an execution returned {name} of shape {got.shape}, expected {shape}")
        difference = abs(got - expected.value)
        bound = expected.error * (1 + u64 / expected.arithmetic.u)
        worst = np.maximum(worst, _figures(difference, expected.value, bound, dtype))
    return float(worst[0]), float(worst[1]), float(worst[2]), bool(worst[2] <= 1)


def _figures(difference, expected, bound, dtype) -> np.ndarray:
    """ulps, relative error and fraction of the bound, as `Row` says; NaN counts as infinite."""
    tiny, eps = float(jnp.finfo(dtype).tiny), float(jnp.finfo(dtype).eps)
    ulp = np.ldexp(eps, np.frexp(max(abs(expected).max(), tiny))[1] - 1)
    norm = max(float(np.linalg.norm(expected)), tiny)
    figures = [difference.max() / ulp, np.linalg.norm(difference) / norm, (difference / bound).max()]
    return np.nan_to_num(figures, nan=np.inf, posinf=np.inf)


def _finite_differences(params: Params, X, Y, weights, l2) -> Row:
    """The reference's gradient against central differences of its cost, for up to 25 entries of each array.

    By the mean value theorem a central difference is the derivative somewhere within ±h, so it is within the
    gradient's bound for parameters uncertain by h, and the rounding of the two costs over 2 h. Kinks are included.
    """
    start = time.perf_counter()
    h = 1e-7
    if params.output == "softmax":
        Y = np.asarray(Y, np.float64)
        Y = Y / Y.sum(axis=0)  # dZ2 = A2 − Y is the derivative where Y sums to 1; rounded to its dtype, it nearly does
    arithmetic = Arithmetic(2**-53, 2**-53, 2**-53, float(np.finfo(np.float64).tiny))
    gradient = Reference(params, X, Y, weights, l2, arithmetic, spread=h)
    leaves, structure = jax.tree.flatten(jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params))
    places = [
        (i, j)
        for i, leaf in enumerate(leaves)
        for j in np.linspace(0, leaf.size - 1, min(leaf.size, DIFFERENCE_ENTRIES)).round().astype(int)
    ]

    def cost_at(i, j, step):
        moved = [leaf.copy() for leaf in leaves]
        moved[i].flat[j] += step * max(1, abs(leaves[i].flat[j]))
        at = moved[i].flat[j] - leaves[i].flat[j]  # what the addition really moved
        return Reference(jax.tree.unflatten(structure, moved), X, Y, weights, l2, arithmetic).J, at

    found = []
    for i, j in places:
        expected = (gradient.dW1, gradient.db1, gradient.dW2, gradient.db2)[i]
        (above, up), (below, down) = cost_at(i, j, h), cost_at(i, j, -h)
        slope = (above.value - below.value).item() / (up - down)
        bound = expected.error.flat[j] + (above.error + below.error).item() / (up - down)
        found.append((slope, expected.value.flat[j], bound))
    slopes, expected, bounds = np.array(found).T
    ulps, relative_error, of_bound = _figures(abs(slopes - expected), expected, bounds, params.W1.dtype)
    return Row(
        quantity="gradient",
        execution="finite differences",
        mode="NumPy",
        precision="float64",
        n_examples=X.shape[1],
        ulps=float(ulps),
        relative_error=float(relative_error),
        of_bound=float(of_bound),
        holds=bool(of_bound <= 1),
        seconds=time.perf_counter() - start,
    )
