"""TensorFlow, with the distributions of TensorFlow Probability."""

import itertools
import sys

import numpy as np
import tensorflow as tf

LIBRARY = "TensorFlow Probability"

# It does so on some processors only. On a GPU it makes one of the two layouts of the other itself.
CONVOLVES_CHANNELS_FIRST = False

# The eight signs that each value of a byte stands for: to look bytes up in this table is faster
# than to take the bits out of them.
_SIGNS_OF_A_BYTE = 1.0 - 2.0 * np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)


def advance(generator):
    """Return the state of a generator for one call, and move it on to the next."""
    return generator.next()


def state_of(words):
    """Return the state that the two words of a generator stand for: themselves."""
    return words


def make_key(state, streams=1, index=0):
    """Return the key (seed, counter * streams + index) of random numbers.

    It is different in each replica of a distributed run.
    """
    key = state * tf.constant([1, streams], state.dtype) + tf.constant([0, index], state.dtype)
    context = tf.distribute.get_replica_context()
    if context is not None and context.num_replicas_in_sync > 1:
        # 0x9E3779B1, the golden ratio of 32 bits, keeps the replicas' seeds far apart.
        replica = tf.cast(context.replica_id_in_sync_group, state.dtype)
        key = key + tf.stack([replica * 0x9E3779B1, tf.zeros_like(replica)])
    # XLA takes keys of 32 bits only; the generator's state has 64.
    return tf.cast(tf.math.floormod(key, 2**31 - 1), "int32")


def _philox(key):
    """Return what Philox draws from: 2^64 blocks of numbers for each pair of a key's words.

    `tf.random.stateless_normal` scrambles a seed first, which takes longer than a small layer's
    draws. Philox needs it not: its blocks are independent whatever key and counter are.
    """
    counter = tf.cast(key * tf.constant([0, 1], key.dtype), "uint64")
    return {"key": tf.cast(key[:1], "uint64"), "counter": counter, "alg": 1}


def random_normal(shape, key, dtype):
    """Draw standard normals."""
    return tf.raw_ops.StatelessRandomNormalV2(shape=shape, dtype=dtype, **_philox(key))


def random_signs(shape, key, dtype):
    """Draw signs, one random bit each."""
    shape = tf.convert_to_tensor(shape, dtype="int32")
    n = tf.reduce_prod(shape)
    words = tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=tf.reshape((n + 63) // 64, [1]), dtype="uint64", **_philox(key)
    )
    # XLA would make drawing a word a part of the loop over its bits, and draw it anew for each, but
    # does not so with a quotient whose divisor, here 1, it does not know.
    words = words // (1 + tf.cast(key[0] < 0, "uint64"))
    octets = tf.cast(tf.reshape(tf.bitcast(words, "uint8"), [-1]), "int32")
    signs = tf.gather(tf.constant(_SIGNS_OF_A_BYTE, dtype), octets)
    return tf.reshape(tf.reshape(signs, [-1])[:n], shape)


def constant(array):
    """Return an array of NumPy as what a layer computes with: the array."""
    return array


def dtype_for_callables(name):
    """Return the dtype object that the library's functions expect for the dtype called `name`."""
    return tf.as_dtype(name)


def owns(function):
    """Tell whether `function` is the backend's own, such as `tf.nn.relu`."""
    return function.__module__.startswith("tensorflow.")


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


def _base(distribution):
    tfd = _loaded_tfd()
    while tfd is not None and isinstance(distribution, tfd.Independent):
        distribution = distribution.distribution
    return distribution


def normal_parameters(distribution):
    """Return (loc, scale) of an independent normal, None for anything else."""
    base = _base(distribution)
    if not is_distribution(base) or not isinstance(base, _tfd().Normal):
        return None
    return tf.convert_to_tensor(base.loc), tf.convert_to_tensor(base.scale)


def deterministic_parameter(distribution):
    """Return loc of a point mass, None for anything else."""
    base = _base(distribution)
    if not is_distribution(base) or not isinstance(base, _tfd().Deterministic):
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
            seed = tf.stack([key[0], key[1] ^ (index << 20)])
        return distribution.sample(sample_shape, seed=seed, name=name, **kwargs)

    copy.sample = sample
    return copy
