"""The distributions of NumPyro, which is imported when it is first needed."""

import copy
import itertools
import sys
from collections.abc import Callable

import jax
import jax.numpy as jnp
import keras

from layer_api.backend.jax.random import make_key

LIBRARY = "NumPyro"


def dtype_for_callables(name):
    """Return the dtype object that the library's functions expect for the dtype called `name`."""
    return jnp.dtype(name)


def _dist():
    try:
        import numpyro.distributions
    except ImportError as error:
        raise ImportError(
            f"On JAX the distributions are those of NumPyro, which cannot be imported: {error}. "
            "Install it, for example with pip install 'layer-api[jax]'."
        ) from error
    return numpyro.distributions


def is_distribution(value):
    """Tell whether `value` is a distribution of NumPyro."""
    return "numpyro.distributions" in sys.modules and isinstance(value, _dist().Distribution)


def _over_all_elements(distribution):
    return distribution.to_event(len(distribution.batch_shape))


def normal_distribution(loc, scale):
    """Return independent normals as one distribution over all elements."""
    return _over_all_elements(_dist().Normal(loc, scale))


def deterministic_distribution(loc):
    """Return the point mass at `loc` as one distribution over all elements."""
    return _dist().Delta(loc, event_dim=jnp.ndim(loc))


def laplace_distribution(loc, scale):
    """Return independent Laplace distributions as one distribution over all elements."""
    return _over_all_elements(_dist().Laplace(loc, scale))


def normal_mixture_distribution(weights, loc, scales):
    """Return independent mixtures of two normals as one distribution over all elements.

    Args:
        weights: tuple of two floats, the probabilities of the normals.
        loc: tensor, the means: both normals have the same.
        scales: tuple of two floats, the standard deviations.
    """
    dist = _dist()
    ones = jnp.ones_like(loc)[..., None]
    mixture = dist.MixtureSameFamily(
        dist.Categorical(probs=ones * jnp.asarray(weights, loc.dtype)),
        dist.Normal(loc[..., None], ones * jnp.asarray(scales, loc.dtype)),
    )
    return _over_all_elements(mixture)


def multivariate_normal_distribution(loc, scale_tril):
    """Return the normal over all elements of `loc`, which may have any shape, as one event."""
    dist = _dist()
    normal = dist.MultivariateNormal(loc.reshape(-1), scale_tril=scale_tril)
    if loc.ndim == 1:
        return normal
    reshape = dist.transforms.ReshapeTransform(loc.shape, (loc.size,))
    return dist.TransformedDistribution(normal, reshape)


# Of each kind the distribution of a number, or of a whole row.
_OF_NUMBERS: dict[str, Callable] = {
    "normal": lambda dist, loc, scale: dist.Normal(loc, scale),
    "student_t": lambda dist, df, loc, scale: dist.StudentT(df, loc, scale),
    "laplace": lambda dist, loc, scale: dist.Laplace(loc, scale),
    "log_normal": lambda dist, loc, scale: dist.LogNormal(loc, scale),
    "gamma": lambda dist, concentration, rate: dist.Gamma(concentration, rate),
    "beta": lambda dist, a, b: dist.Beta(a, b),
    "bernoulli": lambda dist, logits: dist.BernoulliLogits(logits),
    "poisson": lambda dist, log_rate: dist.Poisson(jnp.exp(log_rate)),
    "negative_binomial": lambda dist, total_count, logits: dist.NegativeBinomialLogits(
        total_count, logits
    ),
}
_OF_ROWS: dict[str, Callable] = {
    "categorical": lambda dist, logits: dist.CategoricalLogits(logits),
    "normal_mixture": lambda dist, logits, loc, scale: dist.MixtureSameFamily(
        dist.CategoricalLogits(logits), dist.Normal(loc, scale).to_event(1)
    ),
}


def distribution_of_rows(kind, **parameters):
    """Return the distribution of a row of observations, one for every row of parameters.

    Args:
        kind: one of those that the protocol lists.
        **parameters: tensors.
    """
    if kind in _OF_ROWS:
        return _OF_ROWS[kind](_dist(), **parameters)
    return _OF_NUMBERS[kind](_dist(), **parameters).to_event(1)


def log_gamma(x):
    """Return the logarithm of the gamma function, for positive numbers."""
    return jax.scipy.special.gammaln(x)


def log_prob(distribution, value):
    """Return the logarithm of the density of one of the library's distributions at `value`."""
    return distribution.log_prob(jnp.asarray(value, jnp.result_type(float)))


def mean(distribution):
    """Return the mean of one of the library's distributions."""
    return distribution.mean


def stddev(distribution):
    """Return the standard deviation of one of the library's distributions."""
    return jnp.sqrt(distribution.variance)


def sample(distribution, sample_shape=(), seed=None):
    """Draw from one of the library's distributions, so that gradients flow where it can.

    Args:
        distribution: distribution; one that `seeded` returned draws under its key.
        sample_shape: shape of the array of draws.
        seed: whole number or two of them, or None.
    """
    shape = (sample_shape,) if isinstance(sample_shape, int) else tuple(sample_shape)
    if seed is not None:
        words = jnp.broadcast_to(jnp.asarray(seed, "uint32"), (2,))
        return distribution.sample(make_key(words), shape)
    if "sample" in vars(distribution):
        return distribution.sample(sample_shape=shape)
    return distribution.sample(make_key(keras.random.SeedGenerator().next()), shape)


def dtype_of(distribution):
    """Return the name of the dtype of the draws, None where it is not known."""
    parameters = [each for each in jax.tree.leaves(distribution) if hasattr(each, "dtype")]
    return jnp.result_type(*parameters).name if parameters else None


def _base(distribution):
    """Return the distribution of one element, and the shape of all of them.

    A class of a user's own is never taken apart.
    """
    shape = jnp.shape(0)
    if is_distribution(distribution):
        dist = _dist()
        shape = distribution.batch_shape + distribution.event_shape
        while type(distribution) in (dist.Independent, dist.ExpandedDistribution):
            distribution = distribution.base_dist
    return distribution, shape


def normal_parameters(distribution):
    """Return (loc, scale) of an independent normal, None for anything else."""
    base, shape = _base(distribution)
    if not is_distribution(base) or type(base) is not _dist().Normal:
        return None
    return jnp.broadcast_to(base.loc, shape), jnp.broadcast_to(base.scale, shape)


def deterministic_parameter(distribution):
    """Return loc of a point mass, None for anything else."""
    base, shape = _base(distribution)
    if not is_distribution(base) or type(base) is not _dist().Delta:
        return None
    return jnp.broadcast_to(base.v, shape)


def kl_divergence(q, p):
    """Return KL(q || p) of two of the library's distributions where the library knows it."""
    return _dist().kl_divergence(q, p)


def seeded(distribution, key, first=None):
    """Return a copy of `distribution` whose `sample()` draws under `key`.

    It is what a user's own function receives, so that a layer's seed governs `d.sample()` too.

    Args:
        distribution: one of the library's distributions.
        key: key of the draws.
        first: function without arguments that makes the first draw of a single value; None for the
            library's own.
    """
    seeded_copy = copy.copy(distribution)
    draws = itertools.count()

    def sample(key=None, sample_shape=(), _key=key):
        if key is None:
            index = next(draws)
            if index == 0 and first is not None and sample_shape == ():
                return first()
            key = jax.random.fold_in(_key, index) if index else _key
        return distribution.sample(key, sample_shape)

    vars(seeded_copy)["sample"] = vars(seeded_copy)["rsample"] = sample
    return seeded_copy
