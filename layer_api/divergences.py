"""Divergences: what it costs a posterior to differ from the prior."""

import keras
from keras import ops

from layer_api import arguments, backend, distributions, identifiers

# What a divergence function receives: posterior, prior and a value drawn from the posterior.
TAKES = ("q", "p", "sample")


@keras.saving.register_keras_serializable("layer_api")
class KLDivergence(identifiers.Block):
    """Kullback-Leibler divergence of the posterior from the prior.

    It is what the evidence lower bound subtracts from the expected log-likelihood. The closed form
    is used where one is known; where none is, the estimate `log q(w) - log p(w)` at the value `w`
    drawn from the posterior, whose expectation is the divergence.

    Args:
        weight: Float of at least 0, the factor on the divergence, beside the layer's `kl_weight`.
            Default `1.0`.

    Returns:
        A config object for the arguments `kernel_divergence_fn` and `bias_divergence_fn`.

    Raises:
        ValueError: `weight` is negative, infinite or not a number.

    Example:

    ```python
    layer = layer_api.layer_dense_flipout(
        units=10, kernel_divergence_fn=layer_api.KLDivergence(weight=1 / 60000)
    )
    ```

    References:
        Blundell et al. (2015), Weight Uncertainty in Neural Networks, equations 1 and 2.
        <https://arxiv.org/abs/1505.05424>
    """

    def __init__(self, weight=1.0):
        self.weight = arguments.weight("weight", weight)

    def __call__(self, q, p, sample=None):
        """Return the divergence of `q` from `p`, a scalar; `sample` is a value drawn from `q`."""
        q, p = distributions.known(q), distributions.known(p)
        if distributions.has_closed_form(q, p):
            return self.weight * distributions.kl_divergence(q, p)
        shape = None if sample is None else ops.shape(sample)
        q, p = (distributions.library(d, shape) for d in (q, p))
        try:
            divergence = backend.kl_divergence(q, p)
        except NotImplementedError:  # the library knows no closed form for this pair
            divergence = backend.log_prob(q, sample) - backend.log_prob(p, sample)
        return self.weight * ops.sum(divergence)

    def get_config(self):
        """Return the arguments that make an equal block."""
        return {"weight": self.weight}


NAMED = {"kl_divergence": KLDivergence}
