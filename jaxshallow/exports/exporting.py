"""`export`: the format is the suffix of the path."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from jaxshallow import checks
from jaxshallow.exports.jax_artifact import to_jax
from jaxshallow.exports.known import checked_metadata, on_host
from jaxshallow.exports.onnx_graph import to_onnx
from jaxshallow.exports.python_file import to_python
from jaxshallow.params import Params
from jaxshallow.store.files import write_atomically


def export(params: Params, path: str | os.PathLike[str], metadata: dict[str, Any] | None = None) -> None:
    """Writes a network for use elsewhere, atomically. The suffix of `path` chooses the format.

    - .jax: a `jax.export` artifact, X (n_x, m) -> (`predict(params, X)`, `forward(params, X).A2`), for cpu, cuda and
      tpu and for every m. X has the parameters' dtype; float64 needs x64 where it is loaded, too. Matrix products use
      the `jax.default_matmul_precision` that is set now. JAX promises to read it for at least six months of releases.
    - .py: Python source, to read, to import or to run on a CSV file. It needs NumPy alone.
    - .onnx: X (m, n_x) -> label, A2 (m, n_y): rows are examples. label is `predict`, transposed: (m,) int64, or
      (m, n_y) with several outputs and for regression.

    .py and .onnx widen float16 and bfloat16 to float32.

    Args:
        params: the network. It takes raw features, so any scaling must be folded into W1 and b1.
        path: the file.
        metadata: as `read_metadata` gives it. Four entries are used, each optional: "feature_names" (the names of X's
            n_x rows, else x1, x2, ...), "labels" (the names of the classes; empty for regression), "columns" and
            "encoding". The columns say how those of a table become the rows of X, else each feature is a column of
            numbers. A column is a dict of "name", "categories", "fill" and "unknown". Without categories it holds
            numbers and becomes one row of X. With them it holds text and becomes one row of 0 and 1 per category,
            named "colour=blue". "fill" lists the numbers that replace a missing value, one for each of its rows; None
            refuses missing values. "unknown" does so for a text that is none of the categories. An encoding, as
            `as_json` of `tables.encodings` gives it, comes between X and the network: the file applies it, and takes
            X with NaN where a value is missing, in .py as float64.

    Raises:
        ValueError: the suffix is none of these; names, labels or columns are malformed or do not fit the network; a
            number is not finite; the network is float64 while JAX's x64 is off; or, for .py and .onnx, `hidden` is not
            the name of an activation of this library.
        TypeError: `params` is not `Params`, or `metadata` is not a dict.
        OSError: the file cannot be written. An older one is unchanged.
        ImportError: onnx is missing.

    Example:
        >>> import runpy, tempfile
        >>> import jax.numpy as jnp
        >>> params = Params(jnp.ones((4, 3)), jnp.zeros((4, 1)), jnp.ones((1, 4)), jnp.full((1, 1), -2.0))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     export(params, f"{folder}/model.py", {"labels": ["small", "large"]})
        ...     model = runpy.run_path(f"{folder}/model.py")
        >>> model["predict"]([[-9.0, 9.0]] * 3)
        array([0, 1])
        >>> model["FEATURES"], model["LABELS"], model["forward"]([[0.0]] * 3).A2.round(3).tolist()
        (['x1', 'x2', 'x3'], ['small', 'large'], [[0.5]])
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise ValueError(f"path must end in .jax, .py or .onnx, got {os.fspath(path)!r}")
    checks.untraced("export", params)
    params = on_host(params)
    write_atomically(path, FORMATS[suffix](params, checked_metadata(params, metadata)))


FORMATS = {".jax": to_jax, ".py": to_python, ".onnx": to_onnx}
