"""What every step needs for every weight, in TensorFlow: each in one loop that XLA compiles.

Outside XLA an operation is a loop of its own, which reads and writes the kernel from memory once
more, and the normals are drawn one at a time.
"""

import functools
import math

import tensorflow as tf

from layer_api.backend import series

# To compile takes half a second for every shape; of a smaller kernel, a step gains too little.
_LEAST = 2**16


def is_worth_it(x):
    """Tell whether a kernel is large enough, and of the dtype that the loops are written for."""
    return x.dtype == tf.float32 and x.shape.is_fully_defined() and math.prod(x.shape) >= _LEAST


@functools.cache
def _compiled(function, *shape):
    """Return `function` of tensors, for a shape: one for each, so that none is traced twice."""
    return tf.function(functools.partial(function, shape), jit_compile=True, autograph=False)


def _with_derivative_of(function, x, value):
    """Return `value`, which is known to be `function(x)`, such that it has a derivative."""

    @tf.custom_gradient
    def known(x):
        def gradient(upstream):
            with tf.GradientTape() as tape:
                tape.watch(x)
                result = function(x)
            return tape.gradient(result, x, upstream)

        return value, gradient

    return known(x)


def deviation(untransformed_scale, eps, key):
    """Draw scale * e with scale = eps + softplus(untransformed_scale), e ~ N(0, 1)."""
    shape = tuple(untransformed_scale.shape)

    @tf.custom_gradient
    def draw(untransformed_scale):
        value, slope = _compiled(_deviation, *shape)(untransformed_scale, eps, key)

        def gradient(upstream):
            def derivative(x):
                return _compiled(_normals, *shape)(key) * tf.sigmoid(x)

            return upstream * _with_derivative_of(derivative, untransformed_scale, slope)

        return value, gradient

    return draw(tf.convert_to_tensor(untransformed_scale))


def _deviation(shape, untransformed_scale, eps, key):
    """Return scale * e and its derivative, e * sigmoid(untransformed_scale)."""
    e = _normals(shape, key)
    softplus, sigmoid = _softplus_and_sigmoid(untransformed_scale)
    return (eps + softplus) * e, sigmoid * e


def kl_divergence(loc, untransformed_scale, eps, p_loc, p_scale):
    """Return KL(q || p) of normals (`distributions.kl_divergence`); those of p are numbers."""
    p_loc, p_scale = tf.constant(p_loc, loc.dtype), tf.constant(p_scale, loc.dtype)

    @tf.custom_gradient
    def divergence(loc, untransformed_scale):
        value, slope = _compiled(_divergence, *loc.shape)(
            loc, untransformed_scale, eps, p_loc, p_scale
        )

        def gradient(upstream):
            def derivative(x):
                scale = eps + tf.math.softplus(x)
                return (scale / p_scale**2 - 1 / scale) * tf.sigmoid(x)

            by_loc = (loc - p_loc) * (upstream / p_scale**2)
            return by_loc, upstream * _with_derivative_of(derivative, untransformed_scale, slope)

        return value, gradient

    return divergence(tf.convert_to_tensor(loc), tf.convert_to_tensor(untransformed_scale))


def _divergence(_, loc, untransformed_scale, eps, p_loc, p_scale):
    """Return the divergence and its derivative with respect to `untransformed_scale`."""
    softplus, sigmoid = _softplus_and_sigmoid(untransformed_scale)
    scale = eps + softplus
    r, d = scale / p_scale, (loc - p_loc) / p_scale
    terms = 0.5 * (r * r + d * d - 1.0) - tf.math.log(r)
    # A sum over millions of float32, one after the other, would lose digits.
    total = tf.reduce_sum(tf.cast(terms, "float64"))
    return tf.cast(total, "float32"), (r / p_scale - 1 / scale) * sigmoid


def _softplus_and_sigmoid(x):
    """Return max(x, 0) + log(1 + t), t = exp(-|x|), and its derivative."""
    t = tf.exp(-tf.abs(x))
    return tf.maximum(x, 0.0) + series.log1p(t), tf.where(x >= 0.0, 1.0, t) / (1.0 + t)


def _normals(shape, key):
    """Draw standard normals, two for two words: the lowest bits of the second are the signs."""
    n = math.prod(shape)
    words = tf.random.stateless_uniform(
        [2, (n + 1) // 2], key, minval=None, maxval=None, dtype="uint32", alg="philox"
    )
    one = tf.cast(words[0], "float32")
    other = tf.cast(tf.bitcast(tf.bitwise.right_shift(words[1], 8), "int32"), "float32")
    cosine, sine = series.normals_without_signs(one, other, tf.math.log, tf.sqrt)
    first = tf.bitwise.left_shift(words[1], 31)
    second = tf.bitwise.left_shift(tf.bitwise.right_shift(words[1], 1), 31)
    pairs = [_with_sign(cosine, first), _with_sign(sine, second)]
    return tf.reshape(tf.concat(pairs, 0)[:n], shape)


def _with_sign(x, sign):
    """Flip the signs of `x` where the highest bit of `sign` is set."""
    return tf.bitcast(tf.bitwise.bitwise_xor(tf.bitcast(x, "uint32"), sign), "float32")
