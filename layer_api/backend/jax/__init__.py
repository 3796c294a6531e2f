"""JAX, with the distributions of NumPyro."""

import warnings

import jax
import jaxlib
from keras import ops

CONVOLVES_CHANNELS_FIRST = True

matmul = ops.matmul


def warn_of_wrong_products(version):
    """Warn if jaxlib is the version whose products on CPUs can be read before they are there."""
    if version == "0.7.1":
        warnings.warn(
            "jaxlib 0.7.1 gives wrong numbers on CPUs: a product that is computed outside of "
            "jax.jit can be read before it is there, in a third of the calls and more. Install "
            "another version: pip install 'jax!=0.7.1'.",
            RuntimeWarning,
            stacklevel=2,
        )


warn_of_wrong_products(jaxlib.__version__)


def supports_dtype(dtype):
    """Tell whether JAX computes in `dtype`: in 64 bits only where it is configured to."""
    return dtype != "float64" or jax.config.read("jax_enable_x64")


def constant(array):
    """Return an array of NumPy as what a layer computes with: the array."""
    return array


def owns(function):
    """Tell whether `function` is the backend's own, such as `jax.nn.relu`."""
    return (function.__module__ or "").startswith("jax.")
