"""The comparison: each execution, eager and jitted, at each precision, on samples of the examples."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, lru_cache, partial
from typing import Any

import jax
import numpy as np
from jax import Array

from jaxshallow.bounded import bounded_jit
from jaxshallow.certificate.bounds import Arithmetic, arithmetic_of
from jaxshallow.certificate.differences import DIFFERENCE_EXAMPLES, finite_differences
from jaxshallow.certificate.executions import Execution, all_executions
from jaxshallow.certificate.rows import Certificate, Row, compare
from jaxshallow.certificate.second_order import SecondOrder
from jaxshallow.checks import Problem
from jaxshallow.per_example import per_example_grad_norms

# Sums and tiles split over threads at sizes such as these; compilers have been caught wrong in the last column there.
THREAD_SPLIT_SIZES = (16385, 32769, 65537)


class Samples:
    """Samples of a problem's examples, and the reference on each.

    Attributes:
        problem: what is certified.
        sizes: of the samples to run, in examples: all of them, or those at which threads split.
        max_norm: at which the clipped gradient is certified: the median, so that every second example is clipped.
        examples: (X, Y, weights) of n examples, spread evenly over all.
        reference: the reference, `SecondOrder`, on n examples, in some `Arithmetic`.
    """

    def __init__(self, problem: Problem, max_examples: int) -> None:
        m = problem.X.shape[1]
        self.problem = problem
        self.sizes = [m]
        if m > max_examples:
            self.sizes = [size for size in THREAD_SPLIT_SIZES if size <= max_examples] or [max_examples]
        self.examples: Callable[[int], tuple[Array, Array, Array | None]] = cache(self._examples)
        self.reference: Callable[[int, Arithmetic], SecondOrder] = lru_cache(maxsize=4)(self._reference)
        X, Y, _ = self.examples(min(m, max_examples))
        norms = np.asarray(jitted(problem.params, X, Y, run=per_example_grad_norms), np.float64)
        if not (finite := np.isfinite(norms)).all():
            fix = "the network's numbers are too large for its dtype, scale X or the weights"
            raise ValueError(f"gradients must be finite to be certified, got {norms[~finite][0]}: {fix}")
        self.max_norm = float(np.median(norms)) or 1.0  # 1 where no example has a gradient

    def _examples(self, n: int) -> tuple[Array, Array, Array | None]:
        _, X, Y, weights, _, _ = self.problem
        columns = np.linspace(0, X.shape[1] - 1, n).round().astype(int)
        return X[:, columns], Y[:, columns], None if weights is None else weights[columns]

    def _reference(self, n: int, arithmetic: Arithmetic) -> SecondOrder:
        X, Y, weights = self.examples(n)
        return SecondOrder(self.problem.params, X, Y, weights, self.problem.l2, arithmetic, max_norm=self.max_norm)


def certificate_of(
    problem: Problem, more: Mapping[str, Callable[..., Any]] | None, max_examples: int, precisions: Sequence[str]
) -> Certificate:
    """Run all executions, and `more`, and compare each with the reference; the arguments are those of `certify`."""
    params, X = problem.params, problem.X
    samples = Samples(problem, max_examples)
    rows = [
        row
        for execution in all_executions(params, more, samples.max_norm)
        for n, mode in sizes_and_modes(execution, samples.sizes)
        for precision in precisions
        if (row := row_of(execution, n, mode, precision, samples)) is not None
    ]
    few = samples.examples(min(X.shape[1], DIFFERENCE_EXAMPLES))
    rows.append(finite_differences(params, *few, problem.l2))

    device, (n_y, n_h) = next(iter(X.devices())), params.W2.shape
    hidden = params.hidden if isinstance(params.hidden, str) else "custom"
    network = f"{len(X)}-{n_h}-{n_y} {hidden}, {params.output}"
    return Certificate(f"{device.platform} ({device.device_kind})", str(X.dtype), network, tuple(rows))


def sizes_and_modes(execution: Execution, sizes: Sequence[int]) -> Iterator[tuple[int, str]]:
    """On how many examples an execution runs, and how.

    Eager operations are neither fused nor split, so one size is enough for them; each further one would compile every
    operation anew. What runs in threads is made of programs, and runs at each.
    """
    for k, n in enumerate(sorted({min(size, execution.most) for size in sizes})):
        if execution.in_threads or (k == 0 and not execution.compiled):
            yield n, "eager"
        if not execution.in_threads:
            yield n, "jit"


def row_of(execution: Execution, n: int, mode: str, precision: str, samples: Samples) -> Row | None:
    """An execution compared with the reference; None where it should be jitted but is not written in JAX."""
    X, Y, weights = samples.examples(n)
    run = partial(jitted, run=execution.run) if mode == "jit" else execution.run
    repeats = 1 if execution.loop else 3
    try:
        with jax.default_matmul_precision(precision):
            result, seconds = timed(
                run, samples.problem.params, X, Y, weights=weights, l2=samples.problem.l2, repeats=repeats
            )
    except (jax.errors.TracerArrayConversionError, jax.errors.ConcretizationTypeError):
        return None
    quantity, arrays = execution.named(result, execution.name)
    platform, dtype = next(iter(samples.problem.X.devices())).platform, samples.problem.X.dtype
    arithmetic = arithmetic_of(platform, dtype, precision, execution.loop)
    ulps, relative, of_bound, holds = compare(arrays, samples.reference(n, arithmetic), dtype)
    return Row(quantity, execution.name, mode, precision, n, ulps, relative, of_bound, holds, seconds)


@partial(bounded_jit, functions=("run",))
def jitted(*args: Any, run: Callable[..., Any], **options: Any) -> Any:
    """What a function makes of these arguments, as one program."""
    return run(*args, **options)


def timed(run: Callable[..., Any], *args: Any, repeats: int, **options: Any) -> tuple[Any, float]:
    """The result, and the seconds of the fastest of some repeats; the first run, which compiles, does not count."""
    result, best = jax.block_until_ready(run(*args, **options)), float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(run(*args, **options))
        best = min(best, time.perf_counter() - start)
    return result, best
