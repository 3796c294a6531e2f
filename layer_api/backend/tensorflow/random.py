"""Random bits under TensorFlow: Philox, as outside and inside XLA, on keys of two words."""

import numpy as np
import tensorflow as tf

# The eight signs that each value of a byte stands for: to look bytes up in this table is faster
# than to take the bits out of them.
_SIGNS_OF_A_BYTE = 1.0 - 2.0 * np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)

# Odd numbers of 32 bits whose multiples are spread evenly: they keep apart what is counted.
_SPREAD_REPLICAS, _SPREAD_ROUNDS = 0x9E3779B1, 0x85EBCA6B


def is_compiling():
    """Tell whether a compiler reads the Python code of a layer: it never does."""
    return False


def advance(generator, inputs=None):
    """Return the state of a generator for one call, and move it on to the next."""
    return generator.next()


def current(generator):
    """Return the state that the next call will have."""
    return tf.convert_to_tensor(generator.state.value)


def previous(generator):
    """Return the state that the last call had."""
    words = current(generator)
    return words - tf.constant([0, 1], words.dtype)


def reset(generator, seed):
    """Start a generator from `seed`, also while TensorFlow traces a function."""
    with tf.init_scope():
        variable = generator.state.value
        variable.assign(tf.constant([seed, 0], variable.dtype))


def make_key(state, stream=0):
    """Return the key of a stream: two words of 32 bits, as XLA takes them.

    The second is the number of the call, of which the state holds 63 bits: those beyond 32 change
    the first word, so that no key of a stream comes twice.
    """
    seed, call = state[0], state[1]
    rounds = tf.bitwise.right_shift(call, tf.constant(32, state.dtype))
    first = seed ^ tf.constant(stream, state.dtype)
    first = first ^ (rounds * tf.constant(_SPREAD_ROUNDS, state.dtype))
    context = tf.distribute.get_replica_context()
    if context is not None and context.num_replicas_in_sync > 1:
        replica = tf.cast(context.replica_id_in_sync_group, state.dtype)
        first = first ^ (replica * tf.constant(_SPREAD_REPLICAS, state.dtype))
    # The lower halves; a cast would be another number under XLA where one does not fit.
    return tf.bitcast(tf.stack([first, call]), "int32")[:, 0]


def _philox(key):
    """Return what Philox draws from: 2^64 blocks of numbers for each pair of a key's words.

    `tf.random.stateless_normal` scrambles a seed first, which takes longer than a small layer's
    draws. Philox does not need that: its blocks are independent for all keys and counters.
    """
    counter = tf.cast(key * tf.constant([0, 1], key.dtype), "uint64")
    return {"key": tf.cast(key[:1], "uint64"), "counter": counter, "alg": 1}


def normal(shape, key, dtype):
    """Draw standard normals."""
    return tf.raw_ops.StatelessRandomNormalV2(shape=shape, dtype=dtype, **_philox(key))


def signs(shape, key, dtype):
    """Draw signs, one random bit each."""
    shape = tf.convert_to_tensor(shape, dtype="int32")
    n = tf.reduce_prod(shape)
    words = tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=tf.reshape((n + 63) // 64, [1]), dtype="uint64", **_philox(key)
    )
    # XLA would make drawing a word a part of the loop over its bits, and draw it again for each; it
    # does not with a quotient whose divisor, here 1, it does not know.
    words = words // (1 + tf.cast(key[0] < 0, "uint64"))
    octets = tf.cast(tf.reshape(tf.bitcast(words, "uint8"), [-1]), "int32")
    values = tf.gather(tf.constant(_SIGNS_OF_A_BYTE, dtype), octets)
    return tf.reshape(tf.reshape(values, [-1])[:n], shape)
