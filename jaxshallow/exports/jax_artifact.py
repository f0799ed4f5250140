"""A network as a `jax.export` artifact: JAX alone, on cpu, cuda or tpu, any number of examples."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import export as jax_export

from jaxshallow.network import forward, predict
from jaxshallow.params import Params

PLATFORMS = ("cpu", "cuda", "tpu")


def to_jax(params: Params, known: dict[str, list]) -> bytes:
    largest = min(2**31 - 1, int(float(jnp.finfo(params.W1.dtype).max)))
    (m,) = jax_export.symbolic_shape("m", constraints=[f"m <= {largest}"])

    def answer(X):
        return predict(params, X), forward(params, X).A2

    X = jax.ShapeDtypeStruct((params.W1.shape[1], m), params.W1.dtype)
    frames = jax.config.values["jax_traceback_in_locations_limit"]
    jax.config.update("jax_traceback_in_locations_limit", 0)  # else the paths of this machine's sources are written too
    try:
        return bytes(jax_export.export(jax.jit(answer), platforms=PLATFORMS)(X).serialize())
    finally:
        jax.config.update("jax_traceback_in_locations_limit", frames)
