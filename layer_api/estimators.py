"""Estimators: how the noise of a kernel reaches the outputs.

Each is the base of layers with `_linear(inputs, kernel)`, which is linear in both arguments, and
with `_sign_shapes(input_shape, output_shape)`.
"""

from keras import ops

from layer_api import arguments, distributions, noise
from layer_api.variational import VariationalLayer


class Flipout(VariationalLayer):
    """One perturbation of the kernel for a batch, with random signs for every example.

        outputs = linear(x, loc) + linear(x * s, scale * e) * r,    e ~ N(0, 1),  s, r in {-1, +1}

    For every example the kernel has the right distribution, and examples are uncorrelated
    (Wen et al. 2018, equation 4).
    """

    def _apply_kernel(self, inputs, state):
        loc, scale = self._posterior("kernel")
        affine = distributions.Normal(ops.zeros_like(loc), scale)
        perturbation = self._cast(self._draw("kernel", affine, state))
        mean = self._linear(inputs, self._cast(loc))
        in_signs, out_signs = self._sign_shapes(ops.shape(inputs), ops.shape(mean))
        s = noise.signs(in_signs, noise.key(state, "input_sign"), self.compute_dtype)
        r = noise.signs(out_signs, noise.key(state, "output_sign"), self.compute_dtype)
        return mean + self._linear(inputs * s, perturbation) * r

    def _check(self, part, posterior):
        if part == "kernel" and not isinstance(posterior, distributions.Normal):
            raise arguments.invalid(
                "kernel_posterior_fn",
                "a posterior of independent normals",
                arguments.describe(posterior),
                f"{type(self).__name__} needs the mean and the standard deviation of every weight. "
                "Use 'mean_field_normal', or return Independent(Normal(loc, scale)).",
                TypeError,
            )
