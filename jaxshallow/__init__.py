"""jaxshallow: shallow neural networks in JAX, one formula, many executions, all proven equal."""

from jaxshallow.activations import Activation
from jaxshallow.backprop import cost_and_grads, manual_grads, manual_grads_example
from jaxshallow.network import Cache, cost, forward, forward_example, losses, predict
from jaxshallow.params import Params, init
