"""Random bits under JAX: Threefry on keys of two words, unrolled for XLA."""

import functools
import math

import jax
import jax.numpy as jnp

from layer_api import keras_private, messages
from layer_api.backend import xla


def is_compiling():
    """Tell whether a compiler reads the Python code of a layer: it never does."""
    return False


def advance(generator, inputs=None):
    """Return the state of a generator for one call, and move it on to the next."""
    words = generator.state.value
    if not keras_private.is_in_stateless_scope():
        if _is_traced(words):
            raise messages.drawn_once("jax.jit")
        if _is_batched(inputs):
            raise messages.drawn_once("jax.vmap")
    generator.state.assign(_next(words))
    return words


def _is_traced(words):
    """Tell whether JAX traces a function here, which it would then run without the state."""
    return isinstance(jnp.add(words, 0), jax.core.Tracer)


def _is_batched(inputs):
    """Tell whether `inputs` stand for those of many calls, at any depth of what JAX traces."""
    while isinstance(inputs, jax.core.Tracer):
        if type(inputs).__name__ == "BatchTracer":
            return True
        inputs = getattr(inputs, "primal", None)
    return False


@jax.jit
def _next(words):
    """Return the state after `words`: the seed takes over what the number of the call loses."""
    return words + jnp.stack(
        [(words[1] == jnp.uint32(0xFFFFFFFF)).astype(words.dtype), jnp.uint32(1)]
    )


def current(generator):
    """Return the state that the next call will have."""
    return jnp.asarray(generator.state.value)


def previous(generator):
    """Return the state that the last call had."""
    words = current(generator)
    return words - jnp.stack([(words[1] == 0).astype(words.dtype), jnp.uint32(1)])


def reset(generator, seed):
    """Start a generator from `seed`, also while Keras traces a function."""
    with jax.ensure_compile_time_eval():  # a value, and nothing that belongs to a trace
        words = jnp.array([seed, 0], generator.state.dtype)
    keras_private.set_value(generator.state, words)


def make_key(state, stream=0):
    """Return the key of a stream, for Threefry: the seed with the stream's bits, and the call.

    A state counts 2^32 calls for each of the seeds from its own on: 2^63 calls at least.
    """
    words = state.astype("uint32") ^ jnp.array([stream, 0], "uint32")
    return jax.random.wrap_key_data(words, impl="threefry2x32")


def _words(n, key):
    """Draw two times `n` words of 32 random bits."""
    counts = jnp.arange(n, dtype="uint32")
    return xla.threefry(jax.random.key_data(key), (counts, counts + jnp.uint32(n)), _rotate_left)


def _rotate_left(x, places):
    return (x << places) | (x >> (32 - places))


def opaque_one():
    """Return 1.0 as a tensor whose value XLA does not know."""
    return jax.lax.optimization_barrier(jnp.float32(1.0))


@functools.partial(jax.jit, static_argnums=(0, 2))
def _normal(shape, key, dtype):
    if dtype != "float32":
        return jax.random.normal(key, shape, dtype)
    n = math.prod(shape)
    one, other = _words(-(-n // 2), key)
    angle = (other >> (32 - xla.ANGLE_BITS)).astype("float32")
    pairs = xla.pairs_of_normals(one.astype("float32"), angle, opaque_one())
    return pairs.reshape(-1)[:n].reshape(shape)


def normal(shape, key, dtype):
    """Draw standard normals."""
    return _normal(tuple(shape), key, jnp.dtype(dtype).name)


@functools.partial(jax.jit, static_argnums=(0, 2))
def _signs(shape, key, dtype):
    rows, columns = math.prod(shape[:-1]), shape[-1]
    # A sum of two words is as random as one. It is here because XLA would make drawing a word a
    # part of the loop over its bits, and draw it again for each, but does not so with a sum.
    words, _ = _words(2 * -(-rows // 32) * columns, key)
    words = jnp.sum(words.reshape(2, -1, columns), axis=0, dtype="uint32")
    places = jnp.arange(32, dtype="uint32")[:, None, None]
    highest = (words << places) & jnp.uint32(0x80000000)
    ones = jax.lax.bitcast_convert_type(highest | jnp.uint32(0x3F800000), jnp.float32)  # or -1
    return ones.reshape(-1, columns)[:rows].reshape(shape).astype(dtype)


def signs(shape, key, dtype):
    """Draw signs, one random bit each: the highest bit of a float is its sign.

    Words and bits lie such that a loop over the last axis reads words that lie together.
    """
    if 0 in shape:
        return jnp.ones(shape, dtype)
    return _signs(tuple(shape), key, jnp.dtype(dtype).name)
