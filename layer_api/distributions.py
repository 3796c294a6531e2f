"""The two distributions that the package computes with itself.

A named posterior or prior is one of these two small tuples, so that the default layers need
no probability library, neither to load nor to run. Whatever else a user brings is a distribution
of the backend's own library, and `library` turns these two into such ones when a user's function,
or a user who looks at `layer.kernel_posterior`, wants to see them.
"""

import math
from typing import Any, NamedTuple

import keras
from keras import ops

from layer_api import backend, noise


class Normal(NamedTuple):
    """Independent normals: one for every element of `loc` and `scale`."""

    loc: Any
    scale: Any


class Deterministic(NamedTuple):
    """All mass at `loc`."""

    loc: Any


def known(distribution):
    """Return a library's independent normal or point mass as one of ours, anything else as is."""
    if isinstance(distribution, (Normal, Deterministic)):
        return distribution
    if (parameters := backend.normal_parameters(distribution)) is not None:
        return Normal(*parameters)
    if (loc := backend.deterministic_parameter(distribution)) is not None:
        return Deterministic(loc)
    return distribution


def library(distribution, shape):
    """Return the distribution of the backend's library that is equal to `distribution`."""
    if isinstance(distribution, Normal):
        loc = ops.broadcast_to(distribution.loc, shape)
        return backend.normal_distribution(loc, distribution.scale)
    if isinstance(distribution, Deterministic):
        return backend.deterministic_distribution(distribution.loc)
    return distribution


def has_closed_form(q, p):
    """Tell whether `kl_divergence` knows KL(q || p)."""
    return isinstance(q, (Normal, Deterministic)) and isinstance(p, Normal)


def kl_divergence(q, p):
    """Return KL(q || p), summed over the elements, where `has_closed_form`.

    Normal from normal, with r = q.scale / p.scale and d = (q.loc - p.loc) / p.scale:

        KL = sum(-log r + (r^2 + d^2 - 1) / 2)

    Point mass from normal: the density of the point mass is left out, as for a point estimate,
    which makes it -sum(log p(q.loc)), the penalty of a maximum a posteriori estimate.
    """
    # A sum over a kernel in float16 would overflow, or lose its small terms.
    dtype = keras.backend.result_type(q.loc.dtype, "float32")
    loc, p_loc, p_scale = (ops.convert_to_tensor(x, dtype) for x in (q.loc, p.loc, p.scale))
    d = (loc - p_loc) / p_scale
    if isinstance(q, Deterministic):
        return ops.sum(0.5 * ops.square(d) + ops.log(p_scale) + 0.5 * math.log(2 * math.pi))
    r = ops.convert_to_tensor(q.scale, dtype) / p_scale
    return ops.sum(0.5 * (ops.square(r) + ops.square(d) - 1.0) - ops.log(r))


def draw(distribution, shape, key):
    """Draw one value of `distribution` under `key`."""
    if isinstance(distribution, Normal):
        dtype = keras.backend.standardize_dtype(distribution.loc.dtype)
        return distribution.loc + distribution.scale * noise.normal(shape, key, dtype)
    if isinstance(distribution, Deterministic):
        return distribution.loc
    return backend.sample(backend.seeded(distribution, key))


def mean(distribution, *_):
    """Return the mean of `distribution`, which makes a layer's output free of its noise."""
    if isinstance(distribution, (Normal, Deterministic)):
        return distribution.loc
    return backend.mean(distribution)
