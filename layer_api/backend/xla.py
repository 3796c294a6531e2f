"""Arithmetic that XLA compiles into few loops, under TensorFlow and under JAX.

XLA puts into memory, in a loop of its own, what several loops use and what is expensive: quotients,
exponentials, logarithms and roots. It computes everything else again in each of these loops. So
what several loops are to share ends here with a quotient: by `opaque_one`, a tensor that is 1.0 but
whose value XLA does not know, where it would not end with one by itself. What they should not
share, because keeping an exponential takes longer than computing it again, is written in two ways.

Functions by series, exact to float32's precision, stand for those that XLA calls a library for.
"""

import math

import numpy as np
from keras import ops

# artanh s = s P(s^2), for 0 <= s <= 1 / 3
_ARTANH = (1 / 13, 1 / 11, 1 / 9, 1 / 7, 1 / 5, 1 / 3, 1.0)
# sin t = t P(t^2), for |t| <= pi / 2
_SIN = (-1 / 39916800, 1 / 362880, -1 / 5040, 1 / 120, -1 / 6, 1.0)

# The bits of a float32 that are its exponent, and those of 1.0.
_EXPONENT, _ONE = 0x7F800000, 0x3F800000

# Of Threefry: by how many places each round rotates, and the parity of its key.
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = np.uint32(0x1BD11BDA)

# Of the second word of a pair, the highest bits become an angle; so many of them in a quarter turn.
ANGLE_BITS = 24
_QUARTER_TURN = 2.0 ** (ANGLE_BITS - 2)


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


def pairs_of_normals(one, other, opaque_one):
    """Return normals by the method of Box and Muller (1958), in two rows.

        sqrt(-2 log u) cos a,    -sqrt(-2 log u) sin a,    a = w pi / 2,    0 <= w < 4

    Over a whole turn cos a = sin((|w - 2| - 1) pi / 2), and -sin a is the cosine one quarter
    further. Angles are on a grid. To move them by half of its distance keeps normals from being 0.

    Args:
        one: tensor of float32, random whole numbers of 32 bits. All of them go into u, so that the
            tail ends at 6.7.
        other: tensor of float32, random whole numbers of `ANGLE_BITS` bits.
        opaque_one: 1.0, see above.
    """
    r = ops.sqrt(-2.0 * ops.log((one + 0.5) * 2.0**-32))
    w = other / (_QUARTER_TURN * opaque_one) + np.array([[0.0], [1.0]], "float32")
    w = ops.where(w >= 4.0, w - 4.0, w)
    t = (ops.abs(w - 2.0) - (1.0 - 0.5 / _QUARTER_TURN)) * (math.pi / 2)
    return r * (t * _polynomial(t * t, _SIN))


def scale(x, eps, opaque_one):
    """Return eps + softplus(x) = eps + max(x, 0) + log(1 + exp(-|x|))."""
    t = ops.exp(-ops.abs(x))
    return (eps + ops.where(x >= 0.0, x, 0.0) + _log1p(t)) / opaque_one


def _slope_of_scale(x):
    """Return the derivative of `scale` by x: 1 / (1 + exp(-x))."""
    t = ops.exp(ops.minimum(x, -x))
    return ops.where(x >= 0.0, 1.0, t) / (1.0 + t)


def slope_of_deviation(x, e, opaque_one):
    """Return the derivative of scale * e by x."""
    return _slope_of_scale(x) * e / opaque_one


def group(n):
    """Return of how many weights, of `n`, `divergence` makes one sum."""
    return math.gcd(n, 8)


def divergence(loc, scale, p_loc, p_scale, group, bitcast):
    """Return the divergence of each weight, -log r + (r^2 + d^2 - 1) / 2, in sums over groups.

    See `distributions.kl_divergence`. A logarithm takes long, so one serves a group of weights:

        sum(log r) = sum(n) log 2 + log(product(m)),    r = m 2^n,    1 <= m < 2

    Args:
        loc: tensor of float32.
        scale: tensor of float32.
        p_loc: number.
        p_scale: number.
        group: `group` of the number of weights.
        bitcast: function of a tensor and a dtype.
    """
    locs, scales = (ops.reshape(each, (group, -1)) for each in (loc, scale))
    squares, exponents, mantissas = -group, 0.0, 1.0
    for i in range(group):
        r, d = scales[i] * (1.0 / p_scale), (locs[i] - p_loc) * (1.0 / p_scale)
        squares = squares + (r * r + d * d)
        bits = bitcast(r, "int32")
        exponents = exponents + ops.cast(bits & _EXPONENT, "float32")
        mantissas = mantissas * bitcast(bits & ~_EXPONENT | _ONE, "float32")
    n = exponents * 2.0**-23 - 127.0 * group
    return 0.5 * squares - n * math.log(2.0) - ops.log(mantissas)


def slope_of_divergence(x, scale, p_scale, opaque_one):
    """Return the derivative of `divergence` by x: that by scale, times that of scale."""
    # Of a quotient by a quotient, which scale is, XLA would make one, and so compute scale again.
    by_scale = scale * p_scale**-2.0 - 1.0 / ops.abs(scale)
    return by_scale * _slope_of_scale(x) / opaque_one


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
