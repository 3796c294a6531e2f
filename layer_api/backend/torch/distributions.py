"""torch's own distributions."""

import copy
import itertools
import math
from collections.abc import Callable

import torch
from torch import distributions as dist

from layer_api.backend.torch.random import (
    has_no_values,
    key_of_words,
    number_of,
    scrambled,
)

LIBRARY = "torch.distributions"


def dtype_for_callables(name):
    """Return the dtype object that the library's functions expect for the dtype called `name`."""
    return getattr(torch, name)


def is_distribution(value):
    """Tell whether `value` is a distribution of torch."""
    return isinstance(value, dist.Distribution)


class Deterministic(dist.Distribution):
    """The point mass at `loc`, which torch has no distribution for."""

    has_rsample = True
    arg_constraints = {"loc": dist.constraints.real}  # noqa: RUF012 - as in torch's distributions
    support = dist.constraints.real

    def __init__(self, loc, validate_args=None):
        self.loc = loc
        super().__init__(loc.shape, validate_args=validate_args)

    def expand(self, batch_shape, _instance=None):
        """Return the point mass at `loc`, expanded."""
        return Deterministic(self.loc.expand(batch_shape), validate_args=False)

    @property
    def mean(self):
        """The point."""
        return self.loc

    @property
    def mode(self):
        """The point."""
        return self.loc

    @property
    def variance(self):
        """Zero."""
        return torch.zeros_like(self.loc)

    def rsample(self, sample_shape=()):
        """Return the point, as often as is asked for."""
        return self.loc.expand(self._extended_shape(sample_shape))

    def log_prob(self, value):
        """Return the logarithm of the probability of `value`: 0 at the point, else -infinity."""
        nothing = torch.zeros_like(self.loc)
        return torch.where(value == self.loc, nothing, nothing - math.inf)


def _over_all_elements(distribution):
    rank = len(distribution.batch_shape)
    return dist.Independent(distribution, rank, validate_args=False)


def normal_distribution(loc, scale):
    """Return independent normals as one distribution over all elements."""
    return _over_all_elements(dist.Normal(loc, scale, validate_args=False))


def deterministic_distribution(loc):
    """Return the point mass at `loc` as one distribution over all elements."""
    return _over_all_elements(Deterministic(loc, validate_args=False))


def laplace_distribution(loc, scale):
    """Return independent Laplace distributions as one distribution over all elements."""
    return _over_all_elements(dist.Laplace(loc, scale, validate_args=False))


def normal_mixture_distribution(weights, loc, scales):
    """Return independent mixtures of two normals as one distribution over all elements.

    Args:
        weights: tuple of two floats, the probabilities of the normals.
        loc: tensor, the means: both normals have the same.
        scales: tuple of two floats, the standard deviations.
    """
    ones = torch.ones_like(loc)
    probs, stddevs = (torch.stack([ones * x for x in each], -1) for each in (weights, scales))
    mixture = dist.MixtureSameFamily(
        dist.Categorical(probs=probs, validate_args=False),
        dist.Normal(loc[..., None], stddevs, validate_args=False),
        validate_args=False,
    )
    return _over_all_elements(mixture)


def multivariate_normal_distribution(loc, scale_tril):
    """Return the normal over all elements of `loc`, which may have any shape, as one event."""
    normal = dist.MultivariateNormal(loc.reshape(-1), scale_tril=scale_tril, validate_args=False)
    if loc.ndim == 1:
        return normal
    reshape = dist.transforms.ReshapeTransform(normal.event_shape, loc.shape)
    return dist.TransformedDistribution(normal, reshape, validate_args=False)


# Of each kind the distribution of a number, or of a whole row.
_OF_NUMBERS: dict[str, Callable] = {
    "normal": dist.Normal,
    "student_t": dist.StudentT,
    "laplace": dist.Laplace,
    "log_normal": dist.LogNormal,
    "gamma": dist.Gamma,
    "beta": lambda a, b, **kwargs: dist.Beta(a, b, **kwargs),
    "bernoulli": dist.Bernoulli,
    "poisson": lambda log_rate, **kwargs: dist.Poisson(torch.exp(log_rate), **kwargs),
    "negative_binomial": dist.NegativeBinomial,
}
_OF_ROWS: dict[str, Callable] = {
    "categorical": dist.Categorical,
    "normal_mixture": lambda logits, loc, scale, **kwargs: dist.MixtureSameFamily(
        dist.Categorical(logits=logits, **kwargs),
        dist.Independent(dist.Normal(loc, scale, **kwargs), 1, **kwargs),
        **kwargs,
    ),
}


def distribution_of_rows(kind, **parameters):
    """Return the distribution of a row of observations, one for every row of parameters.

    Args:
        kind: one of those that the protocol lists.
        **parameters: tensors.
    """
    if kind in _OF_ROWS:
        return _OF_ROWS[kind](**parameters, validate_args=False)
    numbers = _OF_NUMBERS[kind](**parameters, validate_args=False)
    return dist.Independent(numbers, 1, validate_args=False)


def log_gamma(x):
    """Return the logarithm of the gamma function, for positive numbers."""
    return torch.lgamma(x)


def log_prob(distribution, value):
    """Return the logarithm of the density of one of the library's distributions at `value`."""
    if not torch.is_tensor(value):
        # A copy: torch warns of arrays that cannot be written to, as those of R.
        value = torch.tensor(value, dtype=torch.get_default_dtype())
    return distribution.log_prob(value)


def mean(distribution):
    """Return the mean of one of the library's distributions."""
    return distribution.mean


def stddev(distribution):
    """Return the standard deviation of one of the library's distributions."""
    return distribution.stddev


def sample(distribution, sample_shape=(), seed=None):
    """Draw from one of the library's distributions, so that gradients flow where it can.

    Args:
        distribution: distribution; one that `seeded` returned draws under its key.
        sample_shape: shape of the array of draws.
        seed: whole number or two of them, or None.
    """
    shape = torch.Size([sample_shape] if isinstance(sample_shape, int) else sample_shape)
    if seed is not None:
        words = torch.as_tensor(seed).expand(2)
        distribution = seeded(distribution, key_of_words(words))
    return distribution.rsample(shape) if distribution.has_rsample else distribution.sample(shape)


def dtype_of(distribution):
    """Return the name of the dtype of the draws, None where it is not known."""
    try:
        return str(distribution.mean.dtype).removeprefix("torch.")
    except (NotImplementedError, AttributeError):  # it has no mean
        return None


def _base(distribution):
    """Return the distribution of one element; a class of a user's own is never taken apart."""
    while type(distribution) is dist.Independent:
        distribution = distribution.base_dist
    return distribution


def normal_parameters(distribution):
    """Return (loc, scale) of an independent normal, None for anything else."""
    base = _base(distribution)
    return (base.loc, base.scale) if type(base) is dist.Normal else None


def deterministic_parameter(distribution):
    """Return loc of a point mass, None for anything else."""
    base = _base(distribution)
    return base.loc if type(base) is Deterministic else None


def kl_divergence(q, p):
    """Return KL(q || p) of two of the library's distributions where the library knows it."""
    return dist.kl_divergence(q, p)


# Not compiled, as torch does not let the state of its global generator be a part of that.
@torch.compiler.disable
def _draw_in_place_of_the_global_generator(key, index, method, shape):
    """Let torch's global generator draw under `key`, and put it back as it was."""
    device, number = key.state.words.device, number_of(key)
    if device.type == "cpu":
        generator = torch.default_generator
    else:
        generator = getattr(torch, device.type).default_generators[device.index or 0]
    before = generator.get_state()
    generator.manual_seed(scrambled(number ^ index) if index else number)
    try:
        return method(shape)
    finally:
        generator.set_state(before)


def seeded(distribution, key, first=None):
    """Return a copy of `distribution` whose `sample()` and `rsample()` draw under `key`.

    It is what a user's own function receives, so that a layer's seed governs `d.rsample()` too.
    torch's distributions draw only from the global generator.

    Args:
        distribution: one of the library's distributions.
        key: key of the draws.
        first: function without arguments that makes the first draw of a single value; None for the
            library's own.
    """
    if has_no_values(key):
        return distribution
    seeded_copy = copy.copy(distribution)
    draws = itertools.count()

    def governed(method, keep):
        def draw(sample_shape=()):
            index, shape = next(draws), torch.Size(sample_shape)
            if index == 0 and first is not None and not shape:
                return keep(first())
            return _draw_in_place_of_the_global_generator(key, index, method, shape)

        return draw

    vars(seeded_copy)["sample"] = governed(distribution.sample, torch.Tensor.detach)
    vars(seeded_copy)["rsample"] = governed(distribution.rsample, lambda drawn: drawn)
    return seeded_copy
