"""Is every execution equal to the formula, here, on this data? The certificate.

Each execution is compared, entry by entry, with a reference that shares nothing with XLA: the notes' equations in
NumPy, float64, on the CPU. Two roundings of one formula are never equal to the last bit, so each entry comes with a
bound on how far rounding alone can take it. An entry beyond its bound is a fault: in a formula, in a compiler, or in
the hardware.

`certificate/bounds.py` derives the bounds, and `certificate/` holds the parts of the comparison.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

import jax
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from jaxshallow import checks
from jaxshallow.certificate.bounds import Arithmetic, arithmetic_of
from jaxshallow.certificate.differences import DIFFERENCE_EXAMPLES, finite_differences
from jaxshallow.certificate.executions import all_executions
from jaxshallow.certificate.reference import Reference
from jaxshallow.certificate.rows import Certificate, Row, compare
from jaxshallow.params import Params
from jaxshallow.per_example import per_example_grad_norms

PRECISIONS = ("default", "high", "highest")

# Sums and tiles split over threads at sizes such as these; compilers have been caught wrong in the last column there.
THREAD_SPLIT_SIZES = (16385, 32769, 65537)


def certify(
    params: Params,
    X: ArrayLike,
    Y: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    l2: ArrayLike = 0.0,
    executions: Mapping[str, Callable[..., Any]] | None = None,
    max_examples: int = THREAD_SPLIT_SIZES[-1],
    precisions: Sequence[str] = PRECISIONS,
) -> Certificate:
    """Run every execution of the formula on this data and device, and hold each against a float64 reference.

    Forward propagation, losses, cost and gradients; by Python loop, scan loop, vmap, matrix form, autodiff, `stream`,
    and padded among other networks as in `fit_many`; where there are several devices by `shard`, and by it and `stream`
    together; per-example norms and the gradient clipped at their median; eager and jitted; at matmul precision default,
    high and highest. The reference itself is held against finite differences of its cost. See
    `certificate/bounds.py` for the bounds.

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
    params, X, Y, weights, l2, _ = checks.problem(params, X, Y, weights, l2)
    device, dtype = next(iter(X.devices())), X.dtype

    @cache
    def sample(n: int) -> tuple[Array, Array, Array | None]:
        columns = np.linspace(0, X.shape[1] - 1, n).round().astype(int)
        return X[:, columns], Y[:, columns], None if weights is None else weights[columns]

    @lru_cache(maxsize=4)
    def reference(n: int, arithmetic: Arithmetic) -> Reference:
        x, y, w = sample(n)
        return Reference(params, x, y, w, l2, arithmetic, max_norm=max_norm)

    norms = jax.jit(per_example_grad_norms)(params, *sample(min(X.shape[1], max_examples))[:2])
    max_norm = float(np.median(norms)) or 1.0  # clips every second example, or none of those that have no gradient
    rows = []
    for execution in all_executions(params, executions, max_norm):
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
                    arithmetic = arithmetic_of(device.platform, dtype, precision, execution.loop)
                    ulps, relative, of_bound, holds = compare(arrays, reference(n, arithmetic), dtype)
                    row = Row(quantity, execution.name, mode, precision, n, ulps, relative, of_bound, holds, seconds)
                    rows.append(row)
    x, y, w = sample(min(X.shape[1], DIFFERENCE_EXAMPLES))
    rows.append(finite_differences(params, x, y, w, l2))

    n_y, n_h = params.W2.shape
    hidden = params.hidden if isinstance(params.hidden, str) else "custom"
    name = f"{X.shape[0]}-{n_h}-{n_y} {hidden}, {params.output}"
    return Certificate(f"{device.platform} ({device.device_kind})", str(dtype), name, tuple(rows))


def _sizes(m: int, max_examples: int) -> list[int]:
    if m <= max_examples:
        return [m]
    return [size for size in THREAD_SPLIT_SIZES if size <= max_examples] or [max_examples]


def _timed(f: Callable[..., Any], *args: Any, repeats: int, **kwargs: Any) -> tuple[Any, float]:
    result, best = jax.block_until_ready(f(*args, **kwargs)), float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(f(*args, **kwargs))
        best = min(best, time.perf_counter() - start)
    return result, best
