"""Series that are exact to float32's precision, for loops that XLA compiles.

XLA calls a library's function for a sine, and makes a loop by itself of a logarithm of 1 + t; a
polynomial is a part of the loop that it stands in.
"""

# log(1 + t) = 2 artanh(s) = 2 s P(s^2), s = t / (2 + t), for 0 <= t <= 1
LOG1P = (1 / 13, 1 / 11, 1 / 9, 1 / 7, 1 / 5, 1 / 3, 1.0)
# cos t = P(t^2) and sin t = t P(t^2), for |t| <= pi / 4
COS = (1 / 40320, -1 / 720, 1 / 24, -1 / 2, 1.0)
SIN = (1 / 362880, -1 / 5040, 1 / 120, -1 / 6, 1.0)


def polynomial(x, coefficients):
    """Return the polynomial with these coefficients, that of the highest power first."""
    total = coefficients[0]
    for coefficient in coefficients[1:]:
        total = total * x + coefficient
    return total
