"""What every step needs for every weight, in TensorFlow: each in one loop that XLA compiles.

Outside XLA an operation is a loop of its own, which reads and writes the kernel from memory once
more, and the normals are drawn one at a time.
"""

import functools
import math

import numpy as np
import tensorflow as tf

from layer_api.backend import xla

# To compile takes half a second for every shape; of a smaller kernel, a step gains too little.
_LEAST = 2**16


def is_supported(x):
    """Tell whether a kernel is large enough, and of the dtype that the loops are written for."""
    return x.dtype == tf.float32 and x.shape.is_fully_defined() and math.prod(x.shape) >= _LEAST


_VECTOR, _NUMBER = tf.TensorSpec([None], "float32"), tf.TensorSpec([], "float32")
_KEY = tf.TensorSpec([2], "int32")


def _compiled(*signature):
    """Decorate a function of tensors that XLA compiles, for each length of vectors.

    It is traced once for all of them: of every operation traced, TensorFlow keeps the Python stack.
    """
    return tf.function(input_signature=signature, jit_compile=True, autograph=False)


def _flat(x):
    return tf.reshape(x, [-1])


def draw_noise(untransformed_scale, eps, key):
    """Draw scale * e with scale = eps + softplus(untransformed_scale), e ~ N(0, 1)."""
    shape = untransformed_scale.shape

    @tf.custom_gradient
    def draw(x):
        value, e = _noise(_flat(x), eps, key)

        def pull(upstream):
            return tf.reshape(_pull_noise(_flat(x), e, _flat(upstream)), shape)

        return tf.reshape(value, shape), pull

    return draw(tf.convert_to_tensor(untransformed_scale))


@_compiled(_VECTOR, _NUMBER, _KEY)
def _noise(x, eps, key):
    opaque_one = _opaque_one(x)
    e = _normals(tf.size(x), key, opaque_one)
    return xla.scale(x, eps, opaque_one) * e, e


@_compiled(_VECTOR, _VECTOR, _VECTOR)
def _pull_noise(x, e, upstream):
    return upstream * xla.slope_of_deviation(x, e, _opaque_one(x))


def draw(loc, scale, key):
    """Draw loc + scale * e with e ~ N(0, 1), without a derivative."""
    return tf.reshape(_draw(_flat(loc), _flat(scale), key), loc.shape)


@_compiled(_VECTOR, _VECTOR, _KEY)
def _draw(loc, scale, key):
    return loc + scale * _normals(tf.size(loc), key, _opaque_one(loc))


def kl_divergence(loc, untransformed_scale, eps, p_loc, p_scale):
    """Return KL(q || p) of normals (`distributions.kl_divergence`); those of p are numbers."""
    shape, numbers = loc.shape, (eps, p_loc, p_scale)

    @tf.custom_gradient
    def divergence(loc, x):
        value = _divergence(xla.group(math.prod(shape)))(_flat(loc), _flat(x), *numbers)

        def pull(upstream):
            slopes = _pull_divergence(_flat(loc), _flat(x), *numbers, upstream)
            return [tf.reshape(slope, shape) for slope in slopes]

        return value, pull

    return divergence(tf.convert_to_tensor(loc), tf.convert_to_tensor(untransformed_scale))


@functools.cache
def _divergence(group):
    @_compiled(_VECTOR, _VECTOR, _NUMBER, _NUMBER, _NUMBER)
    def divergence(loc, x, eps, p_loc, p_scale):
        scale = xla.scale(x, eps, _opaque_one(x))
        sums = xla.divergence(loc, scale, p_loc, p_scale, group, tf.bitcast)
        return tf.cast(tf.reduce_sum(tf.cast(sums, "float64")), "float32")

    return divergence


@_compiled(_VECTOR, _VECTOR, _NUMBER, _NUMBER, _NUMBER, _NUMBER)
def _pull_divergence(loc, x, eps, p_loc, p_scale, upstream):
    by_loc = (loc - p_loc) * (upstream / p_scale**2)
    opaque_one = _opaque_one(x)
    slope = xla.slope_of_divergence(x, xla.scale(x, eps, opaque_one), p_scale, opaque_one)
    return by_loc, upstream * slope


def _opaque_one(x):
    """Return 1.0 such that XLA does not know it: as it does not see that shifts leave nothing."""
    word = tf.bitcast(x[0], "uint32")
    return 1.0 + _floats(_shifted_right(_shifted_right(word, 31), 1))


def _normals(n, key, opaque_one):
    """Draw `n` standard normals, two for two words."""
    key, counts = tf.bitcast(key, "uint32"), tf.range((n + 1) // 2)
    counts = [tf.bitcast(each, "uint32") for each in (counts, counts + (n + 1) // 2)]
    one, other = xla.threefry(tf.unstack(key), counts, _rotate_left)
    angle = _floats(_shifted_right(other, 32 - xla.ANGLE_BITS))
    pairs = xla.pairs_of_normals(tf.cast(one, "float32"), angle, opaque_one)
    return _flat(pairs)[:n]


def _rotate_left(x, places):
    left = tf.bitwise.left_shift(x, np.uint32(places))
    return left | _shifted_right(x, 32 - places)


def _shifted_right(x, places):
    return tf.bitwise.right_shift(x, np.uint32(places))


def _floats(x):
    """Convert words of less than 32 bits, as signed ones, which is faster."""
    return tf.cast(tf.bitcast(x, "int32"), "float32")
