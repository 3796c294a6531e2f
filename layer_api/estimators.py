"""Estimators: how the noise of a kernel reaches the outputs.

Each is the base of layers with `_linear(inputs, kernel)`, which is linear in both arguments, and
with `_sign_shapes(input_shape, output_shape)`.
"""

import ml_dtypes
from keras import ops

from layer_api import arguments, distributions, noise
from layer_api.variational import VariationalLayer

_TINY = {d: float(ml_dtypes.finfo(d).tiny) for d in ("bfloat16", "float32", "float64")}


class Flipout(VariationalLayer):
    """One perturbation of the kernel for a batch, with random signs for every example.

        outputs = linear(x, loc) + linear(x * s, scale * e) * r,    e ~ N(0, 1),  s, r in {-1, +1}

    For every example the kernel has the right distribution, and examples are uncorrelated
    (Wen et al. 2018, equation 4).
    """

    ESTIMATOR = """
    Flipout (Wen et al. 2018) gives every example of a batch its own, nearly independent
    perturbation of the kernel, for the price of two products with a kernel instead of one.
    The variance of the gradient then falls with the size of the batch, which one kernel
    shared by the batch does not achieve.
    """

    REFERENCES = """
    References:
        Wen, Vicol, Ba, Tran and Grosse (2018), Flipout: Efficient Pseudo-Independent Weight
        Perturbations on Mini-Batches. <https://arxiv.org/abs/1803.04386>
    """

    def _apply_kernel(self, inputs, state, bias):
        posterior = self._posterior("kernel")
        mean = self._affine(inputs, posterior.loc, bias)
        if self.kernel_posterior_tensor_fn is distributions.mean:
            return mean
        perturbation = self._cast(self._draw("kernel", posterior.centred(), state))
        in_signs, out_signs = self._sign_shapes(ops.shape(inputs), ops.shape(mean))
        s = noise.signs(in_signs, noise.key(state, "input_sign"), self.compute_dtype)
        r = noise.signs(out_signs, noise.key(state, "output_sign"), self.compute_dtype)
        return mean + self._linear(inputs * s, perturbation) * r

    def _check(self, part, posterior):
        _check_normal(self, part, posterior)


class Reparameterization(VariationalLayer):
    """One draw of the kernel for a batch.

        outputs = linear(x, kernel),    kernel ~ posterior

    Examples x and z of a batch share it, so that their outputs covary: by sum(x * z * scale^2).
    """

    ESTIMATOR = """
    The plainest estimator, for a kernel of any distribution: one draw of the kernel serves
    the whole batch. A call costs half of what Flipout's costs. But the examples share
    their noise, so that the variance of the gradient does not fall below a bound, however
    large the batch. Use it where that does not matter: for predictions that shall be draws
    of whole functions, or where `kernel_posterior_fn` is not normal.
    """

    REFERENCES = """
    References:
        Kingma and Welling (2014), Auto-Encoding Variational Bayes, section 2.4.
        <https://arxiv.org/abs/1312.6114>
    """

    def _apply_kernel(self, inputs, state, bias):
        kernel = self._draw("kernel", self._posterior("kernel"), state)
        return self._affine(inputs, kernel, bias)


class LocalReparameterization(VariationalLayer):
    """The outputs drawn from the distribution that the kernel gives each of them.

        outputs ~ N(linear(x, loc), linear(x^2, scale^2))

    (Kingma, Salimans and Welling 2015, equation 6.)
    """

    ESTIMATOR = """
    The local reparameterization draws the outputs instead of the kernel, from the
    distribution that the kernel gives them: normal with the mean `inputs @ loc` and the
    variance `inputs^2 @ scale^2`. Every row and every unit has noise of its own, so the
    gradient has the smallest variance of the three estimators, for the price of two
    products with a kernel. Where a layer is applied at several positions of an example, as
    in inputs of rank 3, the positions do not share the draw.
    """

    REFERENCES = """
    References:
        Kingma, Salimans and Welling (2015), Variational Dropout and the Local Reparameterization
        Trick, equation 6. <https://arxiv.org/abs/1506.02557>
    """

    def _apply_kernel(self, inputs, state, bias):
        loc, scale = self._posterior("kernel")
        # In float16 squares overflow.
        dtype = "float32" if self.compute_dtype == "float16" else self.compute_dtype
        variance = self._linear(ops.square(ops.cast(inputs, dtype)), ops.cast(scale, dtype) ** 2)
        # The square root has no derivative at 0, which is where inputs are all 0.
        outputs = distributions.Normal(
            self._linear(inputs, self._cast(loc)), self._cast(ops.sqrt(variance + _TINY[dtype]))
        )
        drawn = self._cast(self._draw("kernel", outputs, state, shape=ops.shape(outputs.loc)))
        return drawn if bias is None else self._add_bias(drawn, bias)

    def _check(self, part, posterior):
        _check_normal(self, part, posterior)


def _check_normal(layer, part, posterior):
    if part == "kernel" and not isinstance(posterior, distributions.Normal):
        raise arguments.invalid(
            "kernel_posterior_fn",
            "a posterior of independent normals",
            arguments.describe(posterior),
            f"{type(layer).__name__} needs the mean and the standard deviation of every weight. "
            "Use 'mean_field_normal', or return Independent(Normal(loc, scale)).",
            TypeError,
        )
