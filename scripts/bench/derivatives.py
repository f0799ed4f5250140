"""Contestants that take second derivatives (C1: the Hessian times a vector; C2: the Gauss-Newton matrix)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

import jaxshallow as js
from bench.rows import LIMIT, OURS, Run, contestant
from bench.work import jitted, on_device


@contestant("C1", f"{OURS}, hessian_vector", "jax")
def c1_by_hand(n_x: int, n_h: int, m: int) -> Run:
    params, X, Y = on_device(n_x, n_h, m)
    return jitted(js.hessian_vector, params, X, Y, params)


@contestant("C1", "jax, forward over reverse", "jax")
def c1_forward_over_reverse(n_x: int, n_h: int, m: int) -> Run:
    params, X, Y = on_device(n_x, n_h, m)

    def product(params: js.Params, X: jax.Array, Y: jax.Array, V: js.Params) -> js.Params:
        return jax.jvp(lambda params: jax.grad(js.cost)(params, X, Y), (params,), (V,))[1]

    return jitted(product, params, X, Y, params)


@contestant("C1", "jax, reverse over forward", "jax")
def c1_reverse_over_forward(n_x: int, n_h: int, m: int) -> Run:
    params, X, Y = on_device(n_x, n_h, m)

    def product(params: js.Params, X: jax.Array, Y: jax.Array, V: js.Params) -> js.Params:
        return jax.grad(lambda at: jax.jvp(lambda params: js.cost(params, X, Y), (at,), (V,))[1])(params)

    return jitted(product, params, X, Y, params)


@contestant("C2", f"{OURS}, gauss_newton", "jax")
def c2_gauss_newton(n_x: int, n_h: int, m: int) -> Run:
    return jitted(js.gauss_newton, *on_device(n_x, n_h, m))


@contestant("C2", f"{LIMIT}its product", "jax")
def c2_bare_product(n_x: int, n_h: int, m: int) -> Run:
    params, X, _ = on_device(n_x, n_h, m)
    J = js.jacobian(params, X)[0]
    return jitted(lambda J: jnp.inner(J, J), J)
