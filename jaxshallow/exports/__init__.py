"""A network for use elsewhere: a `jax.export` artifact, a NumPy file, or ONNX."""

from jaxshallow.exports.exporting import export

__all__ = ["export"]
