"""The distributions that the package computes with itself.

A named posterior or prior is one of these small objects, so that layers of named blocks need no
probability library, neither to load nor to run. Whatever else a user brings is a distribution of
the backend's own library, and `to_library` turns these into such ones when a user's function,
or a user who looks at `layer.kernel_posterior`, wants to see them.
"""

import math
from typing import Any, NamedTuple

import keras
import ml_dtypes
import numpy as np
from keras import ops

from layer_api import backend, noise

_EPS = {
    dtype: float(ml_dtypes.finfo(dtype).eps)
    for dtype in ("float16", "bfloat16", "float32", "float64")
}


class Normal:
    """Independent normals: one for every element of `loc` and `scale`.

    Where `loc` is None, all means are 0.
    """

    def __init__(self, loc, scale):
        self.loc = loc
        self.scale = scale

    def __iter__(self):
        """Give the two parameters, as the other distributions here do."""
        return iter((self.loc, self.scale))

    def centred(self):
        """Return the distribution of the deviation from the mean."""
        return Normal(None, self.scale)


class SoftplusNormal(Normal):
    """Independent normals with scale = eps + softplus(untransformed_scale), which is above 0.

    Draws and divergences, of which training needs one for every weight in every step, the backend
    computes from `untransformed_scale` at once.
    """

    def __init__(self, loc, untransformed_scale):
        self.loc = loc
        self.untransformed_scale = untransformed_scale

    def centred(self):
        """Return the distribution of the deviation from the mean."""
        return SoftplusNormal(None, self.untransformed_scale)

    @staticmethod
    def least_scale(dtype):
        """Return what keeps the scale above 0 where the softplus is not: eps."""
        return _EPS[keras.backend.standardize_dtype(dtype)]

    @property
    def eps(self):
        """What keeps the scale above 0 where the softplus is not."""
        return self.least_scale(self.untransformed_scale.dtype)

    @property
    def scale(self):
        """The standard deviations."""
        return self.eps + ops.softplus(self.untransformed_scale)


def untransformed(scale, dtype):
    """Return the parameter of a `SoftplusNormal` of these standard deviations, as an array.

    log(exp(s) - 1) = s + log(1 - exp(-s)),    s = scale - eps

    Args:
        scale: array of numbers above 0; one too small for `dtype` becomes the least that it has.
        dtype: dtype of the parameter, in which eps is what a sum can still hold.
    """
    eps = SoftplusNormal.least_scale(dtype)
    s = np.maximum(np.asarray(scale, "float64") - eps, eps)
    return s + np.log(-np.expm1(-s))


class ComputedNormal(Normal):
    """Independent normals whose parameters were computed beforehand, for many draws.

    The draws have no derivatives.
    """


def computed(distribution):
    """Return a distribution from which many draws are to be made, without derivatives."""
    if type(distribution) in (Normal, SoftplusNormal):
        return ComputedNormal(distribution.loc, distribution.scale)
    return distribution


class Deterministic(NamedTuple):
    """All mass at `loc`."""

    loc: Any


class MultivariateNormal(NamedTuple):
    """Normal over all elements of `loc` at once, with the covariance scale_tril @ scale_tril^T."""

    loc: Any
    scale_tril: Any


class Laplace(NamedTuple):
    """Independent Laplace distributions with the parameters `loc` and `scale`, numbers."""

    loc: float
    scale: float


class NormalMixture(NamedTuple):
    """Independent mixtures of two normals with mean 0, the wider one first."""

    weights: tuple[float, float]
    scales: tuple[float, float]


# All of them.
OURS = (Normal, Deterministic, MultivariateNormal, Laplace, NormalMixture)


def as_tensor(x, dtype):
    """Return a tensor in a dtype, or a number as a tensor of it.

    The number is added to a zero: Keras would copy it to a device under torch, and wait for that.
    """
    return ops.cast(x, dtype) if hasattr(x, "dtype") else ops.zeros((), dtype) + x


def from_library(distribution):
    """Return a library's independent normal or point mass as one of ours, anything else as is.

    A user's subclass of the library's classes, which may compute something else, stays as it is.
    """
    if isinstance(distribution, (Normal, Deterministic, MultivariateNormal)):
        return distribution
    if (parameters := backend.distributions.normal_parameters(distribution)) is not None:
        return Normal(*parameters)
    if (loc := backend.distributions.deterministic_parameter(distribution)) is not None:
        return Deterministic(loc)
    return distribution


def to_library(distribution, shape, dtype=None):
    """Return the distribution of the backend's library that is equal to `distribution`.

    `dtype` is that of parameters which are plain numbers.
    """

    def everywhere(value):
        of_value = value.dtype if hasattr(value, "dtype") else dtype
        return ops.broadcast_to(as_tensor(value, of_value), shape)

    if isinstance(distribution, Normal):
        loc = ops.zeros_like(distribution.scale) if distribution.loc is None else distribution.loc
        return backend.distributions.normal_distribution(everywhere(loc), distribution.scale)
    if isinstance(distribution, Deterministic):
        return backend.distributions.deterministic_distribution(distribution.loc)
    if isinstance(distribution, MultivariateNormal):
        return backend.distributions.multivariate_normal_distribution(*distribution)
    if isinstance(distribution, Laplace):
        return backend.distributions.laplace_distribution(
            everywhere(distribution.loc), distribution.scale
        )
    if isinstance(distribution, NormalMixture):
        weights, scales = distribution
        return backend.distributions.normal_mixture_distribution(weights, everywhere(0.0), scales)
    return distribution


def widened(distribution):
    """Return one of ours with parameters of 32 bits at least, as a divergence takes them."""

    def wide(x):
        return ops.cast(x, _sum_dtype(x)) if hasattr(x, "dtype") else x

    if isinstance(distribution, Normal):
        return Normal(*map(wide, distribution))
    if isinstance(distribution, (Deterministic, MultivariateNormal)):
        return type(distribution)(*map(wide, distribution))
    return distribution


def has_closed_form(q, p):
    """Tell whether `kl_divergence` knows KL(q || p)."""
    return isinstance(q, (Normal, Deterministic, MultivariateNormal)) and isinstance(p, Normal)


def kl_divergence(q, p):
    """Return KL(q || p), summed over the elements, where `has_closed_form`.

    Normal from normal, with r = q.scale / p.scale and d = (q.loc - p.loc) / p.scale:

        KL = sum(-log r + (r^2 + d^2 - 1) / 2)

    Point mass from normal: the density of the point mass is left out, as for a point estimate,
    which makes it -sum(log p(q.loc)), the penalty of a maximum a posteriori estimate.

    Multivariate normal with the triangular factor L from normal, with R = L / p.scale by rows:

        KL = sum(-log diag(R) - 1/2) + (sum(R^2) + sum(d^2)) / 2
    """
    if _is_fused(q) and isinstance(p.loc, float):
        return backend.fused.kl_divergence(q.loc, q.untransformed_scale, q.eps, p.loc, p.scale)
    dtype = _sum_dtype(q.loc)
    loc, p_loc, p_scale = (as_tensor(x, dtype) for x in (q.loc, p.loc, p.scale))
    d = (loc - p_loc) / p_scale
    if isinstance(q, Deterministic):
        return ops.sum(0.5 * ops.square(d) + ops.log(p_scale) + 0.5 * math.log(2 * math.pi))
    if isinstance(q, MultivariateNormal):
        rows = ops.reshape(ops.broadcast_to(p_scale, ops.shape(loc)), (-1, 1))
        r = ops.convert_to_tensor(q.scale_tril, dtype) / rows
        squares = ops.sum(ops.square(r)) + ops.sum(ops.square(d))
        return 0.5 * squares - ops.sum(ops.log(ops.diagonal(r)) + 0.5)
    r = ops.convert_to_tensor(q.scale, dtype) / p_scale
    return ops.sum(0.5 * (ops.square(r) + ops.square(d) - 1.0) - ops.log(r))


def estimated_kl_divergence(q, p, shape, key, n_samples=1, is_shared=False):
    """Return the mean of log q(w) - log p(w) over draws w from q, summed over the elements.

    Its expectation is KL(q || p). A normal's own density at its draw w = loc + scale * e is taken
    from e: (w - loc) / scale would be mostly rounding where the scale is small.

    Where the likelihood is taken at the same w, the derivative of log q(w) is the one through w.
    The one through the parameters of q for a given w, whose expectation is 0, is left out (Roeder,
    Wu and Duvenaud 2017, Sticking the Landing, equation 8). So the noise of the gradient vanishes
    where q is the exact posterior: log q(w) - log p(w) - log p(data | w) is the same for all w
    there. With draws of its own the divergence would only be noisier for it.

    Args:
        q: distribution.
        p: distribution.
        shape: shape of a draw.
        key: key of the draws.
        n_samples: whole number, how many draws.
        is_shared: whether there is one draw, the one that `draw` makes under `key`.
    """
    if isinstance(q, Normal):
        dtype = _sum_dtype(q.loc)
        loc, scale = ops.cast(q.loc, dtype), ops.cast(q.scale, dtype)
        e = _normals(q, shape, key, n_samples, is_shared)
        w = loc + scale * e
        if is_shared:
            held = ops.stop_gradient(scale)
            e, scale = e + (_change(loc) + _change(scale) * e) / held, held
        log_q = _log_normal(e, ops.broadcast_to(scale, ops.shape(e)))
    elif isinstance(q, MultivariateNormal):
        dtype = _sum_dtype(q.loc)
        loc, scale_tril = ops.cast(q.loc, dtype), ops.cast(q.scale_tril, dtype)
        e = _normals(q, scale_tril.shape[:1], key, n_samples, is_shared)
        w = loc + ops.reshape(ops.matmul(e, ops.transpose(scale_tril)), (n_samples, *shape))
        if is_shared:
            held = ops.stop_gradient(scale_tril)
            change = ops.reshape(_change(loc), (-1, 1))
            change = change + ops.matmul(_change(scale_tril), ops.transpose(e))
            change = ops.solve_triangular(held, change, lower=True)
            e, scale_tril = e + ops.transpose(change), held
        log_q = _log_normal(e, ops.broadcast_to(ops.diagonal(scale_tril), ops.shape(e)))
    elif isinstance(q, Deterministic):  # one draw is as good as many, and its density is left out
        n_samples = 1
        w = ops.cast(q.loc, _sum_dtype(q.loc))[None]
        log_q = ops.zeros_like(w)
    else:
        w = backend.distributions.sample(backend.distributions.seeded(q, key), n_samples)
        log_q = backend.distributions.log_prob(q, w)
    return (_sum(log_q) - _sum(log_prob(p, w))) / n_samples


def _normals(q, shape, key, n_samples, is_shared):
    """Return the standard normals of draws from `q`, or those of the one that `draw` makes."""
    if not is_shared:
        return noise.normal((n_samples, *shape), key, _sum_dtype(q.loc))
    if _is_fused(q):
        e = backend.fused.draw(ops.zeros_like(q.loc), ops.ones_like(q.loc), key)
    else:
        e = noise.normal(shape, key, keras.backend.standardize_dtype(q.loc.dtype))
    return ops.cast(e, _sum_dtype(q.loc))[None]


def _change(x):
    """Return 0, with the derivative of `x`."""
    return x - ops.stop_gradient(x)


def log_prob(distribution, value):
    """Return the logarithm of the density at `value`; ours in the dtype of `value`."""
    if isinstance(distribution, Normal):
        loc, scale = (as_tensor(x, value.dtype) for x in distribution)
        return _log_normal((value - loc) / scale, scale)
    if isinstance(distribution, Laplace):
        loc, scale = distribution
        return -ops.abs(value - loc) / scale - math.log(2 * scale)
    if isinstance(distribution, NormalMixture):
        return _log_mixture(distribution, value)
    return backend.distributions.log_prob(to_library(distribution, value.shape[1:]), value)


def _log_normal(z, scale):
    return -0.5 * ops.square(z) - ops.log(scale) - 0.5 * math.log(2 * math.pi)


def _log_mixture(mixture, value):
    """Return log(a + b) = log a + softplus(log b - log a), a the term of the wider normal.

        log b - log a = c - k * value^2,    k >= 0

    so b vanishes far out. Beyond `far`, where it has done so in any dtype, it is taken as it is
    there: else the gradient would be 0 * infinity for very large values.
    """
    (a_weight, b_weight), (a_scale, b_scale) = mixture
    c = math.log(b_weight / a_weight) - math.log(b_scale / a_scale)
    k = (1 / b_scale**2 - 1 / a_scale**2) / 2
    far = math.sqrt((abs(c) + 1e3) / k) if k > 0 else 1.0
    log_a = _log_normal(value / a_scale, as_tensor(a_scale, value.dtype)) + math.log(a_weight)
    near = ops.clip(value, *(as_tensor(end, value.dtype) for end in (-far, far)))
    return log_a + ops.softplus(c - k * ops.square(near))


def _is_fused(distribution):
    """Tell whether the backend has functions of its own for all that a step needs of it."""
    is_one = isinstance(distribution, SoftplusNormal)
    return is_one and backend.fused.is_supported(distribution.untransformed_scale)


def _sum_dtype(x):
    """Return the dtype of a sum over a kernel, which float16 would overflow or round away."""
    return keras.backend.result_type(x.dtype, "float32")


def _sum(x):
    return ops.sum(ops.cast(x, _sum_dtype(x)))


def draw(distribution, shape, key):
    """Draw one value of `distribution` under `key`."""
    if isinstance(distribution, ComputedNormal) and backend.fused.is_supported(distribution.scale):
        return backend.fused.draw(distribution.loc, distribution.scale, key)
    if isinstance(distribution, Normal):
        deviation = _draw_noise(distribution, shape, key)
        return deviation if distribution.loc is None else distribution.loc + deviation
    if isinstance(distribution, MultivariateNormal):
        loc, scale_tril = distribution
        e = noise.normal((scale_tril.shape[0], 1), key, keras.backend.standardize_dtype(loc.dtype))
        return loc + ops.reshape(ops.matmul(scale_tril, e), ops.shape(loc))
    if isinstance(distribution, Deterministic):
        return distribution.loc
    return backend.distributions.sample(backend.distributions.seeded(distribution, key))


def _draw_noise(normal, shape, key):
    if _is_fused(normal):
        return backend.fused.draw_noise(normal.untransformed_scale, normal.eps, key)
    scale = normal.scale
    return scale * noise.normal(shape, key, keras.backend.standardize_dtype(scale.dtype))


def mean(distribution, *_):
    """Return the mean of `distribution`, which makes a layer's output free of its noise."""
    if isinstance(distribution, (Normal, Deterministic, MultivariateNormal)):
        return distribution.loc
    return backend.distributions.mean(distribution)
