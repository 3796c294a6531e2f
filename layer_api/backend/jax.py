"""JAX, with the distributions of NumPyro."""

import copy
import itertools
import math
import sys

import jax
import jax.extend
import jax.numpy as jnp
import keras

from layer_api.backend import series

LIBRARY = "NumPyro"


def make_key(state, streams=1, index=0):
    """Return the key (seed, counter * streams + index) of random numbers, as that of Threefry."""
    seed, counter = state[0], state[1] * streams + index
    return jax.random.wrap_key_data(
        jnp.stack([seed, counter]).astype("uint32"), impl="threefry2x32"
    )


def _words(shape, key):
    """Draw words of 32 random bits, by Threefry, which makes two at a time."""
    counts = jnp.arange(math.prod(shape), dtype="uint32")
    words = jax.extend.random.threefry_2x32(jax.random.key_data(key), counts)
    return words.reshape(shape)


def random_normal(shape, key, dtype):
    """Draw standard normals."""
    shape = tuple(shape)
    if jnp.dtype(dtype) != jnp.float32:
        return jax.random.normal(key, shape, dtype)
    n = math.prod(shape)
    pairs = _pairs_of_normals(*_words((2, -(-n // 2)), key))
    return jnp.concatenate(pairs)[:n].reshape(shape)


def _pairs_of_normals(one, other):
    """Return two normals for two words: the lowest bits of the second are the signs."""
    angle = (other >> 8).astype("int32").astype("float32")
    cosine, sine = series.normals_without_signs(one.astype("float32"), angle, jnp.log, jnp.sqrt)
    return _with_sign(cosine, other << 31), _with_sign(sine, other >> 1 << 31)


def _with_sign(x, sign):
    """Flip the signs of `x` where the highest bit of `sign` is set."""
    bits = jax.lax.bitcast_convert_type(x, jnp.uint32) ^ sign
    return jax.lax.bitcast_convert_type(bits, jnp.float32)


def random_signs(shape, key, dtype):
    """Draw signs, one random bit each: the highest bit of a float is its sign.

    Words and bits lie such that a loop over the last axis reads words that lie together.
    """
    rows, columns = math.prod(shape[:-1]), shape[-1]
    # A sum of two words is as random as one. It is here because XLA would make drawing a word a
    # part of the loop over its bits, and draw it anew for each, but does not so with a sum.
    words = jnp.sum(_words((2, -(-rows // 32), columns), key), axis=0, dtype="uint32")
    places = jnp.arange(32, dtype="uint32")[:, None, None]
    highest = (words << places) & jnp.uint32(0x80000000)
    ones = jax.lax.bitcast_convert_type(highest | jnp.uint32(0x3F800000), jnp.float32)  # or -1
    return ones.reshape(-1, columns)[:rows].reshape(shape).astype(dtype)


def dtype_for_callables(name):
    """Return the dtype object that the library's functions expect for the dtype called `name`."""
    return jnp.dtype(name)


def owns(function):
    """Tell whether `function` is the backend's own, such as `jax.nn.relu`."""
    return (function.__module__ or "").startswith("jax.")


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


def _base(distribution):
    """Return the distribution of one element, and the shape of all of them."""
    shape = jnp.shape(0)
    if is_distribution(distribution):
        dist = _dist()
        shape = distribution.batch_shape + distribution.event_shape
        while isinstance(distribution, (dist.Independent, dist.ExpandedDistribution)):
            distribution = distribution.base_dist
    return distribution, shape


def normal_parameters(distribution):
    """Return (loc, scale) of an independent normal, None for anything else."""
    base, shape = _base(distribution)
    if not is_distribution(base) or not isinstance(base, _dist().Normal):
        return None
    return jnp.broadcast_to(base.loc, shape), jnp.broadcast_to(base.scale, shape)


def deterministic_parameter(distribution):
    """Return loc of a point mass, None for anything else."""
    base, shape = _base(distribution)
    if not is_distribution(base) or not isinstance(base, _dist().Delta):
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
