"""A network as a `jax.export` artifact, which needs JAX alone: on cpu, cuda or tpu, for any number of examples."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import export as jax_export

from jaxshallow.exports.known import encoding_of
from jaxshallow.network import forward, predict
from jaxshallow.params import Params

PLATFORMS = ("cpu", "cuda", "tpu")


def to_jax(params: Params, known: dict[str, Any]) -> bytes:
    """X -> (label, A2) as a serialized artifact. It has no place for names: of `known` it takes the encoding alone."""
    encoding, n_x = encoding_of(known), len(known["feature_names"])
    largest = min(2**31 - 1, int(float(jnp.finfo(params.W1.dtype).max)))
    (m,) = jax_export.symbolic_shape("m", constraints=[f"m <= {largest}"])

    def answer(X: jax.Array) -> tuple[jax.Array, jax.Array]:
        rows = encoding.formula(X, jnp).astype(params.W1.dtype) if encoding else X
        return predict(params, rows), forward(params, rows).A2

    own = params.W1.dtype
    too_coarse = encoding and own.itemsize < 4  # for edges
    X = jax.ShapeDtypeStruct((n_x, m), jnp.dtype(jnp.float32) if too_coarse else own)
    frames = jax.config.values["jax_traceback_in_locations_limit"]
    jax.config.update("jax_traceback_in_locations_limit", 0)  # else it holds the paths of the sources
    try:
        return bytes(jax_export.export(jax.jit(answer), platforms=PLATFORMS)(X).serialize())
    finally:
        jax.config.update("jax_traceback_in_locations_limit", frames)
