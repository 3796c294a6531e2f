"""The distributions of TensorFlow Probability, which is imported when it is first needed."""

import itertools
import sys
from collections.abc import Callable

import tensorflow as tf

LIBRARY = "TensorFlow Probability"


def dtype_for_callables(name):
    """Return the dtype object that the library's functions expect for the dtype called `name`."""
    return tf.as_dtype(name)


def _tfd():
    import tensorflow_probability as tfp

    return tfp.distributions


def _loaded_tfd():
    """TensorFlow Probability's distributions, if anybody has loaded them."""
    return _tfd() if "tensorflow_probability" in sys.modules else None


def is_distribution(value):
    """Tell whether `value` is a distribution of TensorFlow Probability."""
    tfd = _loaded_tfd()
    return tfd is not None and isinstance(value, tfd.Distribution)


def normal_distribution(loc, scale):
    """Return independent normals as one distribution over all elements."""
    tfd = _tfd()
    normal = tfd.Normal(loc, scale)
    return tfd.Independent(normal, reinterpreted_batch_ndims=normal.batch_shape.rank)


def deterministic_distribution(loc):
    """Return the point mass at `loc` as one distribution over all elements."""
    tfd = _tfd()
    deterministic = tfd.Deterministic(loc)
    return tfd.Independent(deterministic, reinterpreted_batch_ndims=deterministic.batch_shape.rank)


def multivariate_normal_distribution(loc, scale_tril):
    """Return the normal over all elements of `loc`, which may have any shape, as one event."""
    import tensorflow_probability as tfp

    normal = _tfd().MultivariateNormalTriL(tf.reshape(loc, [-1]), scale_tril)
    if len(loc.shape) == 1:
        return normal
    reshape = tfp.bijectors.Reshape(loc.shape, event_shape_in=[-1])
    return _tfd().TransformedDistribution(normal, reshape)


def laplace_distribution(loc, scale):
    """Return independent Laplace distributions as one distribution over all elements."""
    tfd = _tfd()
    laplace = tfd.Laplace(loc, scale)
    return tfd.Independent(laplace, reinterpreted_batch_ndims=laplace.batch_shape.rank)


def normal_mixture_distribution(weights, loc, scales):
    """Return independent mixtures of two normals as one distribution over all elements.

    Args:
        weights: tuple of two floats, the probabilities of the normals.
        loc: tensor, the means: both normals have the same.
        scales: tuple of two floats, the standard deviations.
    """
    tfd = _tfd()
    ones = tf.ones_like(loc)[..., None]
    mixture = tfd.MixtureSameFamily(
        tfd.Categorical(probs=ones * tf.constant(weights, loc.dtype), dtype="int32"),
        tfd.Normal(loc[..., None], ones * tf.constant(scales, loc.dtype)),
    )
    return tfd.Independent(mixture, reinterpreted_batch_ndims=mixture.batch_shape.rank)


# Of each kind the distribution of a number, or of a whole row.
_OF_NUMBERS: dict[str, Callable] = {
    "normal": lambda tfd, loc, scale: tfd.Normal(loc, scale),
    "student_t": lambda tfd, df, loc, scale: tfd.StudentT(df, loc, scale),
    "laplace": lambda tfd, loc, scale: tfd.Laplace(loc, scale),
    "log_normal": lambda tfd, loc, scale: tfd.LogNormal(loc, scale),
    "gamma": lambda tfd, concentration, rate: tfd.Gamma(concentration, rate),
    "beta": lambda tfd, a, b: tfd.Beta(a, b),
    "bernoulli": lambda tfd, logits: tfd.Bernoulli(logits=logits, dtype=logits.dtype),
    "poisson": lambda tfd, log_rate: tfd.Poisson(log_rate=log_rate),
    "negative_binomial": lambda tfd, total_count, logits: tfd.NegativeBinomial(
        total_count, logits=logits
    ),
}
_OF_ROWS: dict[str, Callable] = {
    "categorical": lambda tfd, logits: tfd.Categorical(logits=logits),
    "normal_mixture": lambda tfd, logits, loc, scale: tfd.MixtureSameFamily(
        tfd.Categorical(logits=logits), tfd.Independent(tfd.Normal(loc, scale), 1)
    ),
}


def distribution_of_rows(kind, **parameters):
    """Return the distribution of a row of observations, one for every row of parameters.

    Args:
        kind: one of those that the protocol lists.
        **parameters: tensors.
    """
    if kind in _OF_ROWS:
        return _OF_ROWS[kind](_tfd(), **parameters)
    return _tfd().Independent(_OF_NUMBERS[kind](_tfd(), **parameters), 1)


def log_gamma(x):
    """Return the logarithm of the gamma function, for positive numbers."""
    return tf.math.lgamma(x)


def log_prob(distribution, value):
    """Return the logarithm of the density of one of the library's distributions at `value`."""
    return distribution.log_prob(tf.cast(value, distribution.dtype))


def mean(distribution):
    """Return the mean of one of the library's distributions."""
    return distribution.mean()


def stddev(distribution):
    """Return the standard deviation of one of the library's distributions."""
    return distribution.stddev()


def sample(distribution, sample_shape=(), seed=None):
    """Draw from one of the library's distributions, so that gradients flow where it can.

    Args:
        distribution: distribution; one that `seeded` returned draws under its key.
        sample_shape: shape of the array of draws.
        seed: whole number or two of them, or None.
    """
    if seed is not None:
        seed = tf.broadcast_to(tf.cast(seed, "int32"), [2])
    return distribution.sample(sample_shape, seed=seed)


def dtype_of(distribution):
    """Return the name of the dtype of the draws, None where it is not known."""
    dtype = distribution.dtype
    return dtype.name if isinstance(dtype, tf.DType) else None


def _base(distribution):
    """Return the distribution of one element; a class of a user's own is never taken apart."""
    tfd = _loaded_tfd()
    while tfd is not None and type(distribution) is tfd.Independent:
        distribution = distribution.distribution
    return distribution


def normal_parameters(distribution):
    """Return (loc, scale) of an independent normal, None for anything else."""
    base = _base(distribution)
    if not is_distribution(base) or type(base) is not _tfd().Normal:
        return None
    return tf.convert_to_tensor(base.loc), tf.convert_to_tensor(base.scale)


def deterministic_parameter(distribution):
    """Return loc of a point mass, None for anything else."""
    base = _base(distribution)
    if not is_distribution(base) or type(base) is not _tfd().Deterministic:
        return None
    return tf.convert_to_tensor(base.loc)


def kl_divergence(q, p):
    """Return KL(q || p) of two of the library's distributions where the library knows it."""
    try:
        return _tfd().kl_divergence(q, p)
    except NotImplementedError:
        # Of a vector, independent normals are a multivariate one, which the library knows better.
        return _tfd().kl_divergence(*map(_multivariate, (q, p)))


def _multivariate(distribution):
    parameters = normal_parameters(distribution)
    if parameters is None or len(distribution.event_shape) != 1:
        return distribution
    loc, scale = parameters
    return _tfd().MultivariateNormalDiag(loc, tf.broadcast_to(scale, tf.shape(loc + scale)))


def _of_32_bits(number):
    """Return the lowest 32 bits of a number as a signed one."""
    return ((number + 2**31) & 0xFFFFFFFF) - 2**31


def seeded(distribution, key, first=None):
    """Return a copy of `distribution` whose `sample()` draws under `key`.

    It is what a user's own function receives, so that a layer's seed governs `d.sample()` too.

    Args:
        distribution: one of the library's distributions.
        key: key of the draws.
        first: function without arguments that makes the first draw of a single value; None for the
            library's own.
    """
    copy = distribution.copy()
    draws = itertools.count()

    def sample(sample_shape=(), seed=None, name="sample", **kwargs):
        if seed is None:
            index = next(draws)
            if index == 0 and first is not None and sample_shape == ():
                return first()
            # Each draw of one call has a stream of its own, and no other call has it.
            seed = tf.stack([key[0] ^ _of_32_bits(index * 0x9E3779B1), key[1]])
        return distribution.sample(sample_shape, seed=seed, name=name, **kwargs)

    copy.sample = sample
    return copy
