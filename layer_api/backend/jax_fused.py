"""What every step needs for every weight, in JAX: written such that XLA makes few loops of it."""

import jax
import jax.numpy as jnp

from layer_api.backend import jax as this_backend
from layer_api.backend import series


def is_worth_it(x):
    """Tell whether a kernel has the dtype that the series are long enough for."""
    return x.dtype == jnp.float32


def deviation(untransformed_scale, eps, key):
    """Draw scale * e with scale = eps + softplus(untransformed_scale), e ~ N(0, 1)."""
    e = this_backend.random_normal(untransformed_scale.shape, key, "float32")
    return (eps + _softplus(untransformed_scale)) * e


def kl_divergence(loc, untransformed_scale, eps, p_loc, p_scale):
    """Return KL(q || p) of normals (`distributions.kl_divergence`); those of p are numbers."""
    r, d = (eps + _softplus(untransformed_scale)) / p_scale, (loc - p_loc) / p_scale
    return jnp.sum(0.5 * (r * r + d * d - 1.0) - jnp.log(r))


@jax.custom_jvp
def _softplus(x):
    """Return max(x, 0) + log(1 + t), t = exp(-|x|), in one loop; that of `jax.nn` makes several."""
    t = jnp.exp(-jnp.abs(x))
    return jnp.maximum(x, 0.0) + series.log1p(t)


@_softplus.defjvp
def _(primals, tangents):
    (x,), (dx,) = primals, tangents
    return _softplus(x), dx * jax.nn.sigmoid(x)
