"""What every step needs for every weight, in JAX, written such that XLA makes few loops of it."""

import jax
import jax.numpy as jnp

from layer_api.backend import jax as this_backend


def is_worth_it(x):
    return x.dtype == jnp.float32


def _series(x, coefficients):
    total = coefficients[0]
    for coefficient in coefficients[1:]:
        total = total * x + coefficient
    return total


@jax.custom_jvp
def softplus(x):
    t = jnp.exp(-jnp.abs(x))
    s = t / (2.0 + t)
    log1p = 2.0 * s * _series(s * s, [1 / 13, 1 / 11, 1 / 9, 1 / 7, 1 / 5, 1 / 3, 1.0])
    return jnp.maximum(x, 0.0) + log1p


@softplus.defjvp
def _(primals, tangents):
    (x,), (dx,) = primals, tangents
    return softplus(x), dx * jax.nn.sigmoid(x)


def deviation(rho, eps, key):
    return (eps + softplus(rho)) * this_backend.random_normal(rho.shape, key, "float32")


def kl_divergence(loc, rho, eps, p_loc, p_scale):
    r, d = (eps + softplus(rho)) / p_scale, (loc - p_loc) / p_scale
    return jnp.sum(0.5 * (r * r + d * d - 1.0) - jnp.log(r))
