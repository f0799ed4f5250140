"""Does a function treat each hidden unit by itself? Read off its trace, for all widths at once.

The function is traced with a width that is a symbol, h. If it looks at the width, the trace fails. If it mixes units,
by a sum, a product of matrices or a sort, some operation on an array of h units is not elementwise. Otherwise, units
that are added for padding do not reach the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import jax
from jax import export

# Operations of jax.lax whose every result depends on the entry at its own place alone.
ELEMENTWISE = {
    "abs", "acos", "acosh", "add", "add_any", "and", "asin", "asinh", "atan", "atan2", "atanh", "bessel_i0e",
    "bessel_i1e", "broadcast_in_dim", "cbrt", "ceil", "clamp", "convert_element_type", "copy", "cos", "cosh",
    "digamma", "div", "eq", "erf", "erf_inv", "erfc", "exp", "exp2", "expm1", "floor", "ge", "gt", "igamma",
    "igammac", "integer_pow", "is_finite", "le", "lgamma", "log", "log1p", "logistic", "lt", "max", "min",
    "mul", "ne", "neg", "nextafter", "not", "optimization_barrier", "or", "polygamma", "pow",
    "reduce_precision", "regularized_incomplete_beta", "rem", "round", "rsqrt", "select_n", "sign", "sin",
    "sinh", "sqrt", "square", "stop_gradient", "sub", "tan", "tanh", "xor",
}  # fmt: skip
# These only hold others, which are looked at one by one; the arrays that go in keep their shapes.
HOLDERS = {"closed_call", "cond", "custom_jvp_call", "custom_vjp_call", "jit", "pjit", "remat", "while"}


@cache  # for another symbol all would be traced again
def a_width() -> Any:
    """The symbol to use as a size, in the place of a number of hidden units."""
    return export.symbolic_shape("h")[0]


def is_elementwise(function: Callable[..., Any], *arguments: Any) -> bool:
    """Whether the function treats each hidden unit by itself; where it cannot be told, no.

    Args:
        function: of arrays.
        arguments: their shapes, with `a_width()` as the number of hidden units.
    """
    try:
        trace = jax.make_jaxpr(function)(*arguments)
    except Exception:  # whatever its own code raises where a size is no number
        return False
    return all(_is_elementwise(operation) for operation in operations(trace.jaxpr))


def operations(jaxpr: Any) -> Iterator[Any]:
    """The operations of a trace, those inside others too."""
    for operation in jaxpr.eqns:
        yield operation
        for held in jax.tree.leaves(list(operation.params.values()), is_leaf=lambda leaf: hasattr(leaf, "eqns")):
            if hasattr(held, "eqns"):
                yield from operations(held)


def _is_elementwise(operation: Any) -> bool:
    name = operation.primitive.name
    if name == "dim_as_value":  # h as a number
        return False
    taken, given = operation.invars, operation.outvars
    if name == "scan":  # what it carries keeps its shape; what it walks along is taken apart
        kept = operation.params["num_consts"] + operation.params["num_carry"]
        taken, given = taken[kept:], given[operation.params["num_carry"] :]
    elif name in ELEMENTWISE or name in HOLDERS:
        return True
    return not any(_has_units(variable) for variable in (*taken, *given))


def _has_units(variable: Any) -> bool:
    return any(not isinstance(size, int) for size in getattr(variable.aval, "shape", ()))
