"""Functions by series that are exact to float32's precision, for loops that XLA compiles.

XLA calls a library's function for a sine, and makes a loop by itself of a logarithm of 1 + t; a
polynomial is a part of the loop that it stands in.
"""

import math

# artanh s = s P(s^2), for 0 <= s <= 1 / 3
_ARTANH = (1 / 13, 1 / 11, 1 / 9, 1 / 7, 1 / 5, 1 / 3, 1.0)
# cos t = P(t^2) and sin t = t P(t^2), for |t| <= pi / 4
_COS = (1 / 40320, -1 / 720, 1 / 24, -1 / 2, 1.0)
_SIN = (1 / 362880, -1 / 5040, 1 / 120, -1 / 6, 1.0)


def _polynomial(x, coefficients):
    """Return the polynomial with these coefficients, that of the highest power first."""
    total = coefficients[0]
    for coefficient in coefficients[1:]:
        total = total * x + coefficient
    return total


def log1p(t):
    """Return log(1 + t) = 2 artanh(t / (2 + t)), for 0 <= t <= 1."""
    s = t / (2.0 + t)
    return 2.0 * s * _polynomial(s * s, _ARTANH)


def normals_without_signs(one, other, log, sqrt):
    """Return two normals r * (cos a, sin a), r = sqrt(-2 log u), but for their signs.

    (Box and Muller 1958.) The angle is one of the first quadrant, a = t + pi / 4, and each normal
    needs a random sign:

        cos a = (cos t - sin t) / sqrt(2),    sin a = (cos t + sin t) / sqrt(2)

    Args:
        one: tensor of float32, random whole numbers of 32 bits. All of them go into u, so that the
            tail ends at 6.7.
        other: tensor of float32, random whole numbers of 24 bits, for the angle.
        log: the backend's function.
        sqrt: the backend's function.
    """
    r = sqrt(-log((one + 0.5) * 2.0**-32))
    t = ((other + 0.5) * 2.0**-24 - 0.5) * (math.pi / 2)
    cos, sin = _polynomial(t * t, _COS), t * _polynomial(t * t, _SIN)
    return r * (cos - sin), r * (cos + sin)
