"""A network for use without this library: a `jax.export` artifact, one Python file that needs NumPy alone, or ONNX.

Each holds the same four equations and the same numbers. To load them:

    # model.jax: JAX alone, on cpu, cuda or tpu; X is (n_x, m), for any m, in the parameters' dtype
    labels, A2 = jax.export.deserialize(bytearray(Path("model.jax").read_bytes())).call(X)

    # model.py: NumPy alone; also a program, `python model.py table.csv` or `python model.py < table.csv`
    import model
    labels, A2 = model.predict(X), model.forward(X).A2

    # model.onnx: onnxruntime, or anything else that reads ONNX; there rows are examples
    label, A2 = onnxruntime.InferenceSession("model.onnx").run(["label", "A2"], {"X": X.T})

The files (to add a format, write one and list it in `exporting.FORMATS`):

    standalone    the program that .py files are made from
    known         what is exported, checked: the network, its columns and labels
    jax_artifact  .jax, by `jax.export`
    python_file   .py, a program that needs NumPy alone
    onnx_graph    .onnx
    exporting     `export`
"""

from jaxshallow.exports.exporting import export

__all__ = ["export"]
