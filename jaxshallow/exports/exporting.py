"""A network outside this library: a `jax.export` artifact, one Python file that needs NumPy alone, or ONNX.

Each holds the same four equations and the same numbers. How to load them:

    # model.jax: JAX alone, on cpu, cuda or tpu, any number of examples; X (n_x, m) of the parameters' dtype
    labels, A2 = jax.export.deserialize(bytearray(Path("model.jax").read_bytes())).call(X)

    # model.py: NumPy alone; also `python model.py table.csv` and `python model.py < table.csv`
    import model
    labels, A2 = model.predict(X), model.forward(X).A2

    # model.onnx: onnxruntime, or whatever reads ONNX; there rows are examples
    label, A2 = onnxruntime.InferenceSession("model.onnx").run(["label", "A2"], {"X": X.T})
"""

from __future__ import annotations

import os
from pathlib import Path

from jaxshallow.exports.jax_artifact import to_jax
from jaxshallow.exports.known import checked_metadata, on_host
from jaxshallow.exports.onnx_graph import to_onnx
from jaxshallow.exports.python_file import to_python
from jaxshallow.params import Params
from jaxshallow.store.files import write_atomically


def export(params: Params, path: str | os.PathLike[str], metadata: dict | None = None) -> None:
    """Writes a network for use elsewhere, atomically; the suffix of `path` says as what.

    - .jax: a `jax.export` artifact of X (n_x, m) -> (`predict(params, X)`, `forward(params, X).A2`) with the parameters
      in it, for cpu, cuda and tpu and every m. X has the parameters' dtype, and float64 needs x64 where it is loaded
      too. Products have the `jax.default_matmul_precision` that is set here. Later releases of JAX read it for six
      months at least.
    - .py: Python source, to be read, imported or run on a CSV file, with NumPy alone.
    - .onnx: X (m, n_x) -> label, A2 (m, n_y), examples as rows. label is `predict`, transposed: (m,) int64, or (m, n_y)
      with several outputs and for regression.

    In .py and .onnx float16 and bfloat16 are widened to float32.

    Args:
        params: the network; it takes raw features, so any scaling must be in W1 and b1.
        path: the file.
        metadata: what `read_metadata` gives. "feature_names" (n_x names of X's rows), "labels" (the classes' names;
            empty for regression) and "columns" are used: how the columns of a table become the rows of X, dicts with
            "name", "categories" and "fill". Without categories a column holds numbers, one row of X; with them it holds
            text, and is a row of 0 and 1 per category, named "colour=blue". "fill" is a list of the numbers, one for
            each of its rows, that stand for a missing value, or None where that is refused. Without "columns" each
            feature is a number; without "feature_names" they are x1, x2, ...

    Raises:
        ValueError: the suffix is none of the three; names, labels or columns do not fit the network's sizes or are
            malformed; a number is not finite; float64 while JAX's x64 is off; or, for .py and .onnx, `hidden` is not
            the name of an activation of this library.
        TypeError: `params` is not `Params`, or `metadata` not a dict.
        OSError: the file cannot be written; an older one is as it was.
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
    params = on_host(params)
    write_atomically(path, FORMATS[suffix](params, checked_metadata(params, metadata)))


FORMATS = {".jax": to_jax, ".py": to_python, ".onnx": to_onnx}
