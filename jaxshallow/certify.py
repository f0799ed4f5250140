"""Is every execution equal to the formula, here, on this data? The certificate.

Each execution is compared, entry by entry, with a reference that shares nothing with XLA: the notes' equations in
NumPy, float64, on the CPU. Two roundings of one formula are never equal to the last bit, so each entry comes with a
bound on how far rounding alone can take it. An entry beyond its bound is a fault: in a formula, in a compiler, or in
the hardware.

`certificate/bounds.py` derives the bounds; the parts of the comparison are in `certificate/`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jax.typing import ArrayLike

from jaxshallow import checks
from jaxshallow.meshes import no_mesh, on_automatic_axes
from jaxshallow.params import Params

if TYPE_CHECKING:
    from jaxshallow.certificate.rows import Certificate

PRECISIONS = ("default", "high", "highest")
MOST_EXAMPLES = 65537  # the largest of THREAD_SPLIT_SIZES in certificate/comparison.py, which a test holds


def certify(
    params: Params,
    X: ArrayLike,
    Y: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    l2: ArrayLike = 0.0,
    executions: Mapping[str, Callable[..., Any]] | None = None,
    max_examples: int = MOST_EXAMPLES,
    precisions: Sequence[str] = PRECISIONS,
) -> Certificate:
    """Run every execution of the formula on this data and device, and hold each against a float64 reference.

    Forward propagation, losses, cost and gradients; by Python loop, scan loop, vmap, matrix form, autodiff, `stream`,
    and on a single CPU device in chains of tiles from threads, which are never jitted; padded among other networks as
    in `fit_many`, and in NumPy as the estimators train small problems; where there are several devices by `shard`, and
    by it and `stream` together; per-example norms and the gradient clipped at their median; eager and jitted; at matmul
    precision default, high and highest. The reference itself is held against finite differences of its cost. See
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
        >>> import jax
        >>> from jaxshallow import init
        >>> params = init(jax.random.key(0), n_x=3, n_h=4, hidden="tanh", scale=1.0)
        >>> X = jax.random.normal(jax.random.key(1), (3, 7))
        >>> certify(params, X, X[:1] > 0, precisions=["highest"]).ok
        True
    """
    from jaxshallow.certificate.comparison import (
        certificate_of,  # here, so that `import jaxshallow` need not wait for it
    )

    checks.untraced("certify", params, X, Y, weights, l2)
    with no_mesh():
        problem = checks.problem(*on_automatic_axes((params, X, Y, weights, l2)))
        return certificate_of(problem, executions, max_examples, precisions)
