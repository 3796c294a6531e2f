"""JAX, with the distributions of NumPyro."""

import jax
from keras import ops

CONVOLVES_CHANNELS_FIRST = True

matmul = ops.matmul


def supports_dtype(dtype):
    """Tell whether JAX computes in `dtype`: in 64 bits only where it is configured to."""
    return dtype != "float64" or jax.config.read("jax_enable_x64")


def constant(array):
    """Return an array of NumPy as what a layer computes with: the array."""
    return array


def owns(function):
    """Tell whether `function` is the backend's own, such as `jax.nn.relu`."""
    return (function.__module__ or "").startswith("jax.")
