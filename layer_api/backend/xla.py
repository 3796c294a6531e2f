"""Arithmetic that XLA compiles into few loops, under TensorFlow and under JAX.

XLA puts into memory, in a loop of its own, what several loops use and what is expensive: quotients,
exponentials, logarithms and roots. Everything else it computes anew in each of these loops. It
takes longer to write and read a kernel than to compute an exponential once more, but not than to
draw the kernel once more. So here each use has an exponential of its own, written in a way of its
own; and a draw ends with a root and a quotient.

Functions by series, exact to float32's precision, stand for those that XLA calls a library for.
"""

import math

import numpy as np
from keras import ops

# artanh s = s P(s^2), for 0 <= s <= 1 / 3
_ARTANH = (1 / 13, 1 / 11, 1 / 9, 1 / 7, 1 / 5, 1 / 3, 1.0)
# cos t = P(t^2) and sin t = t P(t^2), for |t| <= pi / 4
_COS = (1 / 40320, -1 / 720, 1 / 24, -1 / 2, 1.0)
_SIN = (1 / 362880, -1 / 5040, 1 / 120, -1 / 6, 1.0)

# Of Threefry: by how many places each round rotates, and the parity of its key.
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = np.uint32(0x1BD11BDA)

# Of the second word of a pair, the highest bits become an angle; so many of them in a quarter turn.
ANGLE_BITS = 24
QUARTER_TURN = 2.0 ** (ANGLE_BITS - 2)


def threefry(key, counts, rotate_left):
    """Return two words of 32 random bits for each pair of counts.

    It is Threefry with 20 rounds, unrolled (Salmon, Moraes, Dror and Shaw 2011, Parallel random
    numbers: as easy as 1, 2, 3). What XLA or JAX offer goes through memory after every few rounds.

    Args:
        key: two words, uint32.
        counts: two tensors of uint32 of one shape.
        rotate_left: function of a tensor of uint32 and a number of places.
    """
    words = [*key, key[0] ^ key[1] ^ _PARITY]
    one, other = counts[0] + words[0], counts[1] + words[1]
    for group in range(5):
        for places in _ROTATIONS[group % 2]:
            one = one + other
            other = rotate_left(other, places) ^ one
        one = one + words[(group + 1) % 3]
        other = other + words[(group + 2) % 3] + np.uint32(group + 1)
    return one, other


def pairs_of_normals(one, other, quarter_turn):
    """Return normals by the method of Box and Muller (1958), in two rows.

        sqrt(-2 log u) cos a,    sqrt(-2 log u) sin a,    a = t + pi / 4 + q pi / 2

    where q is the quarter, |t| <= pi / 4, and the sine is the cosine three quarters further.

    Args:
        one: tensor of float32, random whole numbers of 32 bits. All of them go into u, so that the
            tail ends at 6.7.
        other: tensor of float32, random whole numbers of `ANGLE_BITS` bits.
        quarter_turn: `QUARTER_TURN` as a tensor whose value XLA does not know: else it would make
            the quotient a product.
    """
    r = ops.sqrt(-ops.log((one + 0.5) * 2.0**-32))
    turns = other / quarter_turn
    q = ops.floor(turns)
    t = (turns - q - (0.5 - 0.5 / QUARTER_TURN)) * (math.pi / 2)
    cos, sin = _polynomial(t * t, _COS), t * _polynomial(t * t, _SIN)
    q = q + np.array([[0.0], [3.0]], "float32")
    q = q - 4.0 * ops.floor(0.25 * q)
    return r * (ops.where(ops.abs(q - 1.5) < 1.0, -cos, cos) - ops.where(q >= 2.0, -sin, sin))


def deviation(x, e, eps):
    """Return scale * e with scale = eps + softplus(x)."""
    return _scale(x, ops.exp(-ops.abs(x)), eps) * e


def slope_of_deviation(x, e):
    """Return the derivative of `deviation` by x: e * sigmoid(x)."""
    t = ops.exp(ops.where(x >= 0.0, -x, x))
    return e * ops.where(x >= 0.0, 1.0, t) / (1.0 + t)


def divergence(loc, x, eps, p_loc, p_scale):
    """Return the divergence of each weight: -log r + (r^2 + d^2 - 1) / 2.

    See `distributions.kl_divergence`.
    """
    r = _scale(x, ops.exp(ops.minimum(x, -x)), eps) / p_scale
    d = (loc - p_loc) / p_scale
    return 0.5 * (r * r + d * d - 1.0) - ops.log(r)


def slope_of_divergence(x, eps, p_scale):
    """Return the derivative of `divergence` by x: (scale / p_scale^2 - 1 / scale) * sigmoid(x)."""
    t = ops.exp(x * ops.where(x >= 0.0, -1.0, 1.0))
    scale = _scale(x, t, eps)
    by_scale = scale / p_scale**2 - 1.0 / scale
    return by_scale * ops.where(x >= 0.0, 1.0, t) / (1.0 + t)


def _scale(x, t, eps):
    """Return eps + softplus(x) = eps + max(x, 0) + log(1 + t), where t = exp(-|x|)."""
    return eps + ops.where(x >= 0.0, x, 0.0) + _log1p(t)


def _log1p(t):
    """Return log(1 + t) = 2 artanh(t / (2 + t)), for 0 <= t <= 1."""
    s = t * (1.0 / (2.0 + t))
    return 2.0 * s * _polynomial(s * s, _ARTANH)


def _polynomial(x, coefficients):
    """Return the polynomial with these coefficients, that of the highest power first."""
    total = coefficients[0]
    for coefficient in coefficients[1:]:
        total = total * x + coefficient
    return total
