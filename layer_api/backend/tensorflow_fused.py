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


def is_worth_it(x):
    """Tell whether a kernel is large enough, and of the dtype that the loops are written for."""
    return x.dtype == tf.float32 and x.shape.is_fully_defined() and math.prod(x.shape) >= _LEAST


@functools.cache
def _compiled(function, *shape):
    """Return `function` of tensors, for a shape: one for each, so that none is traced twice."""
    return tf.function(functools.partial(function, shape), jit_compile=True, autograph=False)


def deviation(untransformed_scale, eps, key):
    """Draw scale * e with scale = eps + softplus(untransformed_scale), e ~ N(0, 1)."""
    shape = tuple(untransformed_scale.shape)

    @tf.custom_gradient
    def draw(x):
        value, e = _compiled(_deviation, *shape)(x, eps, key)
        return value, lambda upstream: _compiled(_pull_deviation, *shape)(x, e, upstream)

    return draw(tf.convert_to_tensor(untransformed_scale))


def _deviation(shape, x, eps, key):
    unknown = _unknown(x)
    e = _normals(shape, key, unknown)
    return xla.scale(x, eps, unknown) * e, e


def _pull_deviation(_, x, e, upstream):
    return upstream * xla.slope_of_deviation(x, e, _unknown(x))


def kl_divergence(loc, untransformed_scale, eps, p_loc, p_scale):
    """Return KL(q || p) of normals (`distributions.kl_divergence`); those of p are numbers."""
    numbers = [tf.constant(number, loc.dtype) for number in (eps, p_loc, p_scale)]

    @tf.custom_gradient
    def divergence(loc, x):
        value = _compiled(_divergence, *x.shape)(loc, x, *numbers)
        pull = _compiled(_pull_divergence, *x.shape)
        return value, lambda upstream: pull(loc, x, *numbers, upstream)

    return divergence(tf.convert_to_tensor(loc), tf.convert_to_tensor(untransformed_scale))


def _divergence(_, loc, x, eps, p_loc, p_scale):
    scale = xla.scale(x, eps, _unknown(x))
    sums = xla.divergence(loc, scale, p_loc, p_scale, tf.bitcast)
    return tf.cast(tf.reduce_sum(tf.cast(sums, "float64")), "float32")


def _pull_divergence(_, loc, x, eps, p_loc, p_scale, upstream):
    by_loc = (loc - p_loc) * (upstream / p_scale**2)
    unknown = _unknown(x)
    slope = xla.slope_of_divergence(x, xla.scale(x, eps, unknown), p_scale, unknown)
    return by_loc, upstream * slope


def _unknown(x):
    """Return 1.0 such that XLA does not know it: as it does not see that shifts leave nothing."""
    word = tf.bitcast(tf.reshape(x, [-1])[0], "uint32")
    return 1.0 + _floats(_shifted_right(_shifted_right(word, 31), 1))


def _normals(shape, key, unknown):
    """Draw standard normals, two for two words."""
    n = math.prod(shape)
    key, counts = tf.bitcast(key, "uint32"), tf.range((n + 1) // 2)
    counts = [tf.bitcast(each, "uint32") for each in (counts, counts + (n + 1) // 2)]
    one, other = xla.threefry(tf.unstack(key), counts, _rotate_left)
    angle = _floats(_shifted_right(other, 32 - xla.ANGLE_BITS))
    pairs = xla.pairs_of_normals(tf.cast(one, "float32"), angle, xla.QUARTER_TURN * unknown)
    return tf.reshape(tf.reshape(pairs, [-1])[:n], shape)


def _rotate_left(x, places):
    left = tf.bitwise.left_shift(x, np.uint32(places))
    return left | _shifted_right(x, 32 - places)


def _shifted_right(x, places):
    return tf.bitwise.right_shift(x, np.uint32(places))


def _floats(x):
    """Convert words of less than 32 bits, as signed ones, which is faster."""
    return tf.cast(tf.bitcast(x, "int32"), "float32")
