"""What every step needs for every weight, in JAX: in few loops, with derivatives in closed form."""

import functools

import jax
import jax.numpy as jnp

from layer_api.backend import xla
from layer_api.backend.jax import random


def is_supported(x):
    """Tell whether a kernel has the dtype that the loops are written for."""
    return x.dtype == jnp.float32


def draw_noise(untransformed_scale, eps, key):
    """Draw scale * e with scale = eps + softplus(untransformed_scale), e ~ N(0, 1)."""
    e = random.normal(untransformed_scale.shape, key, "float32")
    return _noise(untransformed_scale, e, eps)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _noise(x, e, eps):
    return xla.scale(x, eps, random.opaque_one()) * e


@_noise.defjvp
def _(eps, primals, tangents):
    x, e = primals
    return _noise(x, e, eps), tangents[0] * xla.slope_of_deviation(x, e, random.opaque_one())


def draw(loc, scale, key):
    """Draw loc + scale * e with e ~ N(0, 1), without a derivative."""
    return loc + scale * random.normal(loc.shape, key, "float32")


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3, 4))
def kl_divergence(loc, untransformed_scale, eps, p_loc, p_scale):
    """Return KL(q || p) of normals (`distributions.kl_divergence`); those of p are numbers."""
    scale = xla.scale(untransformed_scale, eps, random.opaque_one())
    group, bitcast = xla.group(loc.size), jax.lax.bitcast_convert_type
    return jnp.sum(xla.divergence(loc, scale, p_loc, p_scale, group, bitcast))


@kl_divergence.defjvp
def _(eps, p_loc, p_scale, primals, tangents):
    loc, x = primals
    scale = xla.scale(x, eps, random.opaque_one())
    by_loc = (loc - p_loc) / p_scale**2
    by_x = xla.slope_of_divergence(x, scale, p_scale, random.opaque_one())
    slope = jnp.sum(tangents[0] * by_loc) + jnp.sum(tangents[1] * by_x)
    return kl_divergence(loc, x, eps, p_loc, p_scale), slope
