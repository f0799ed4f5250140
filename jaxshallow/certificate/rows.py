"""The certificate: a row for each comparison, and the table of all rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxshallow.certificate.bounds import Bounded
from jaxshallow.certificate.reference import Reference


@dataclass(frozen=True)
class Row:
    """One execution, in one mode, at one precision, on one number of examples.

    Attributes:
        quantity: what was compared: "forward", "losses", "cost", "gradient", "cost, gradient", "gradient norms" (of
            each example), "clipped gradient" or "second derivatives" (the Hessian and the Gauss-Newton matrix times a
            vector).
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


def compare(arrays: Mapping[str, Any], reference: Reference, dtype: Any) -> tuple[float, float, float, bool]:
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
        worst = np.maximum(worst, figures_of(difference, expected.value, bound, dtype))
    return float(worst[0]), float(worst[1]), float(worst[2]), bool(worst[2] <= 1)


def figures_of(difference: np.ndarray, expected: np.ndarray, bound: np.ndarray, dtype: Any) -> np.ndarray:
    """ulps, relative error and fraction of the bound, as `Row` says; NaN counts as infinite."""
    tiny, eps = float(jnp.finfo(dtype).tiny), float(jnp.finfo(dtype).eps)
    ulp = np.ldexp(eps, np.frexp(max(abs(expected).max(), tiny))[1] - 1)
    norm = max(float(np.linalg.norm(expected)), tiny)
    figures = [difference.max() / ulp, np.linalg.norm(difference) / norm, (difference / bound).max()]
    return np.nan_to_num(figures, nan=np.inf, posinf=np.inf)
