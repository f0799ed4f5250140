"""How sure is the network, and how much weight decay does it want? All of it from the second derivatives by hand.

predictive   what a Gaussian posterior says of new examples
posterior    `Posterior`: the Gaussian around a trained network
laplace      `laplace`: its precision, its evidence, and what cannot be
"""

from jaxshallow.bayes.gaussian import laplace
from jaxshallow.bayes.posterior import Posterior

__all__ = ["Posterior", "laplace"]
