"""JAX, with the distributions of NumPyro."""

import copy
import functools
import itertools
import math
import sys

import jax
import jax.numpy as jnp
import keras

from layer_api.backend import xla

LIBRARY = "NumPyro"
CONVOLVES_CHANNELS_FIRST = True


def advance(generator):
    """Return the state of a generator for one call, and move it on to the next."""
    return generator.next()


def state_of(words):
    """Return the state that the two words of a generator stand for: themselves."""
    return words


def make_key(state, streams=1, index=0):
    """Return the key (seed, counter * streams + index) of random numbers, as that of Threefry."""
    words = state.astype("uint32") * jnp.uint32([1, streams]) + jnp.uint32([0, index])
    return jax.random.wrap_key_data(words, impl="threefry2x32")


def _words(n, key):
    """Draw two times `n` words of 32 random bits."""
    counts = jnp.arange(n, dtype="uint32")
    return xla.threefry(jax.random.key_data(key), (counts, counts + jnp.uint32(n)), _rotate_left)


def _rotate_left(x, places):
    return (x << places) | (x >> (32 - places))


def unknown():
    """Return 1.0 as a tensor whose value XLA does not know."""
    return jax.lax.optimization_barrier(jnp.float32(1.0))


@functools.partial(jax.jit, static_argnums=(0, 2))
def _random_normal(shape, key, dtype):
    if dtype != "float32":
        return jax.random.normal(key, shape, dtype)
    n = math.prod(shape)
    one, other = _words(-(-n // 2), key)
    angle = (other >> (32 - xla.ANGLE_BITS)).astype("float32")
    pairs = xla.pairs_of_normals(one.astype("float32"), angle, unknown())
    return pairs.reshape(-1)[:n].reshape(shape)


def random_normal(shape, key, dtype):
    """Draw standard normals."""
    return _random_normal(tuple(shape), key, jnp.dtype(dtype).name)


@functools.partial(jax.jit, static_argnums=(0, 2))
def _random_signs(shape, key, dtype):
    rows, columns = math.prod(shape[:-1]), shape[-1]
    # A sum of two words is as random as one. It is here because XLA would make drawing a word a
    # part of the loop over its bits, and draw it anew for each, but does not so with a sum.
    words, _ = _words(2 * -(-rows // 32) * columns, key)
    words = jnp.sum(words.reshape(2, -1, columns), axis=0, dtype="uint32")
    places = jnp.arange(32, dtype="uint32")[:, None, None]
    highest = (words << places) & jnp.uint32(0x80000000)
    ones = jax.lax.bitcast_convert_type(highest | jnp.uint32(0x3F800000), jnp.float32)  # or -1
    return ones.reshape(-1, columns)[:rows].reshape(shape).astype(dtype)


def random_signs(shape, key, dtype):
    """Draw signs, one random bit each: the highest bit of a float is its sign.

    Words and bits lie such that a loop over the last axis reads words that lie together.
    """
    return _random_signs(tuple(shape), key, jnp.dtype(dtype).name)


def constant(array):
    """Return an array of NumPy as what a layer computes with: the array."""
    return array


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
