"""A network for use without this library. To add a format, write a file here and list it in `exporting.FORMATS`.

standalone    the program that .py files are made from
known         what is exported, checked: the network, its columns and labels
jax_artifact  .jax, by `jax.export`
python_file   .py, a program that needs NumPy alone
onnx_graph    .onnx
exporting     `export`
"""

from jaxshallow.exports.exporting import export

__all__ = ["export"]
