"""Estimators: how the noise of a kernel reaches the outputs.

Each is the base of layers with `_linear(inputs, kernel)`, which is linear in both arguments, and
with `_sign_shapes(input_shape, output_shape)`.
"""

import ml_dtypes
from keras import ops

from layer_api import messages
from layer_api.layers.variational_layer import KernelLayer
from layer_api.weights import distributions

_TINY = {d: float(ml_dtypes.finfo(d).tiny) for d in ("bfloat16", "float32", "float64")}


class Flipout(KernelLayer):
    """One perturbation of the kernel for a batch, with random signs for every example.

        outputs = linear(x, loc) + linear(x * s, scale * e) * r,    e ~ N(0, 1),  s, r in {-1, +1}

    For every example the kernel has the right distribution, and examples are uncorrelated
    (Wen et al. 2018, equation 4).
    """

    def _apply_kernel(self, inputs, state, bias):
        posterior = self.kernel.posterior
        mean = self._affine(inputs, posterior.loc, bias)
        if self.kernel.is_mean:
            return mean
        perturbation = self._cast(self.kernel.draw(state, posterior.centred()))
        in_signs, out_signs = self._sign_shapes(ops.shape(inputs), ops.shape(mean))
        s = self.kernel.signs(state, "input", in_signs, self.compute_dtype)
        r = self.kernel.signs(state, "output", out_signs, self.compute_dtype)
        return mean + self._linear(inputs * s, perturbation) * r

    def _check_posterior(self, weight, posterior):
        _check_normal(self, weight, posterior)


class Reparameterization(KernelLayer):
    """One draw of the kernel for a batch.

        outputs = linear(x, kernel),    kernel ~ posterior

    Examples x and z of a batch share it, so that their outputs covary: by sum(x * z * scale^2).
    """

    def _apply_kernel(self, inputs, state, bias):
        return self._affine(inputs, self.kernel.draw(state), bias)


class LocalReparameterization(KernelLayer):
    """The outputs drawn from the distribution that the kernel gives each of them.

        outputs ~ N(linear(x, loc), linear(x^2, scale^2))

    (Kingma, Salimans and Welling 2015, equation 6.)
    """

    def _apply_kernel(self, inputs, state, bias):
        loc, scale = self.kernel.posterior
        # In float16 squares overflow early.
        dtype = "float32" if self.compute_dtype == "float16" else self.compute_dtype
        # Every row in units of its largest element, so that no square overflows in any dtype.
        rows = ops.cast(inputs, dtype)
        unit = _largest(rows, _TINY[dtype])
        variance = self._linear(ops.square(rows / unit), ops.square(ops.cast(scale, dtype)))
        # The square root has no derivative at 0, which is where inputs are all 0.
        deviation = unit * ops.sqrt(variance + _TINY[dtype])
        outputs = distributions.Normal(self._linear(inputs, self._cast(loc)), self._cast(deviation))
        drawn = self._cast(self.kernel.draw(state, outputs, ops.shape(outputs.loc)))
        return drawn if bias is None else self._add_bias(drawn, bias)

    def _check_posterior(self, weight, posterior):
        _check_normal(self, weight, posterior)


def _largest(rows, least):
    """Return the largest absolute value of every row, and not less than `least`."""
    if rows.shape[-1] == 0:
        return least
    largest = ops.norm(rows, ord=float("inf"), axis=-1, keepdims=True)
    least = distributions.as_tensor(least, largest.dtype)
    return ops.stop_gradient(ops.maximum(largest, least))


def _check_normal(layer, weight, posterior):
    if weight.name == "kernel" and not isinstance(posterior, distributions.Normal):
        raise messages.invalid(
            "kernel_posterior_fn",
            "a posterior of independent normals",
            messages.describe(posterior),
            f"{type(layer).__name__} needs the mean and the standard deviation of every weight. "
            "Use 'mean_field_normal', or return Independent(Normal(loc, scale)).",
            TypeError,
        )
