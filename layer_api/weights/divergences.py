"""Divergences: what it costs a posterior to differ from the prior."""

import math

import keras
from keras import ops

from layer_api import backend, messages, validation
from layer_api.weights import distributions
from layer_api.weights.block import Divergence

# What a divergence function receives: posterior, prior and a value drawn from the posterior.
TAKES = ("q", "p", "sample")


@keras.saving.register_keras_serializable("layer_api")
class KLDivergence(Divergence):
    """Kullback-Leibler divergence of the posterior from the prior.

    It is what the evidence lower bound subtracts from the expected log-likelihood. The closed form
    is used where one is known; where none is, as for `LaplacePrior`, the estimate
    `log q(w) - log p(w)` at one value `w` drawn from the posterior, whose expectation is the
    divergence. `MonteCarloKL` draws more of them.

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
        self.weight = validation.check_weight("weight", weight)

    def __call__(self, q, p, sample=None):
        """Return the divergence of `q` from `p`, a scalar; `sample` is a value drawn from `q`."""
        ours = distributions.from_library(q), distributions.from_library(p)
        if distributions.has_closed_form(*ours):
            return self.weight * distributions.kl_divergence(*ours)
        try:
            return self.weight * ops.sum(backend.distributions.kl_divergence(q, p))
        except NotImplementedError:  # the library knows no closed form for this pair
            return MonteCarloKL(weight=self.weight)(q, p, sample)

    def divergence(self, q, p, shape, key):
        """Return the divergence for tensors of one shape; draw under `key` where it must."""
        if distributions.has_closed_form(q, p):
            return self.weight * distributions.kl_divergence(q, p)
        if backend.distributions.is_distribution(q) and backend.distributions.is_distribution(p):
            try:
                return self.weight * ops.sum(backend.distributions.kl_divergence(q, p))
            except NotImplementedError:  # the library knows no closed form for this pair
                pass
        return MonteCarloKL(weight=self.weight).divergence(q, p, shape, key)

    def get_config(self):
        """Return the arguments that make an equal block."""
        return {"weight": self.weight}


@keras.saving.register_keras_serializable("layer_api")
class MonteCarloKL(Divergence):
    """Kullback-Leibler divergence of the posterior from the prior, estimated from draws.

    The mean of `log q(w) - log p(w)` over values `w` drawn from the posterior: its expectation is
    the divergence, and its variance falls like `1 / n_samples`. Use it where no closed form is
    known and one draw, as `KLDivergence` takes, makes the loss too noisy. The draws are governed
    by the layer's `seed`.

    Args:
        n_samples: Whole number of at least 1, how many values are drawn. Default `1`.
        weight: Float of at least 0, the factor on the divergence, beside the layer's `kl_weight`.
            Default `1.0`.

    Returns:
        A config object for the arguments `kernel_divergence_fn` and `bias_divergence_fn`.

    Raises:
        ValueError: `n_samples` is not a whole number of at least 1, or `weight` is negative,
            infinite or not a number.

    Example:

    ```python
    layer = layer_api.layer_dense_flipout(
        units=10,
        kernel_prior_fn=layer_api.LaplacePrior(),
        kernel_divergence_fn=layer_api.MonteCarloKL(n_samples=5),
    )
    ```

    References:
        Blundell et al. (2015), Weight Uncertainty in Neural Networks, equation 2.
        <https://arxiv.org/abs/1505.05424>
    """

    def __init__(self, n_samples=1, weight=1.0):
        remedy = "Pass, for example, n_samples = 5."
        self.n_samples = validation.check_whole_number("n_samples", n_samples, 1, remedy)
        self.weight = validation.check_weight("weight", weight)

    def __call__(self, q, p, sample=None):
        """Return the estimate for the library's distributions; `sample` may be the only draw."""
        if sample is None or self.n_samples > 1:
            draws = backend.distributions.sample(q, self.n_samples)
        else:
            draws = ops.convert_to_tensor(sample)[None]
        total = ops.sum(backend.distributions.log_prob(q, draws)) - ops.sum(
            backend.distributions.log_prob(p, draws)
        )
        return self.weight * total / self.n_samples

    def divergence(self, q, p, shape, key):
        """Return the estimate for tensors of one shape, with draws under `key`."""
        most = validation.LARGEST // max(math.prod(shape), 1)
        if self.n_samples > most:
            raise messages.invalid(
                "n_samples",
                f"at most {most} for a weight of {messages.describe_shape(shape)}",
                messages.describe(self.n_samples),
                "All are drawn at once. Pass, for example, n_samples = 5.",
            )
        estimate = distributions.estimated_kl_divergence(q, p, shape, key, self.n_samples)
        return self.weight * estimate

    def get_config(self):
        """Return the arguments that make an equal block."""
        return {"n_samples": self.n_samples, "weight": self.weight}


NAMED = {"kl_divergence": KLDivergence, "monte_carlo": MonteCarloKL}
