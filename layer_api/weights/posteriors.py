"""Posteriors: what the distribution of a kernel or of a bias is, and how it starts."""

import math
from typing import ClassVar

import keras
import numpy as np
from keras import ops

from layer_api import backend, messages, serialization, validation
from layer_api.weights import distributions
from layer_api.weights.block import OfAWeight, Posterior

# What a posterior or prior function receives, in TensorFlow Probability's order.
TAKES = ("dtype", "shape", "name", "trainable", "add_variable_fn")


class _Parametrized(OfAWeight):
    """A distribution of variables, each with initializer, regularizer and constraint."""

    # The initializers where none are given, as configs: each block makes its own.
    _START: ClassVar = {
        "loc": {"class_name": "RandomNormal", "config": {"mean": 0.0, "stddev": 0.1}},
        "untransformed_scale": {
            "class_name": "RandomNormal",
            "config": {"mean": -3.0, "stddev": 0.1},
        },
    }

    def __call__(self, dtype, shape, name, trainable, add_variable_fn):
        """Create the variables, or look them up, and return the library's distribution."""
        ours = self.parametrize(dtype, shape, name, trainable, add_variable_fn)
        return distributions.to_library(ours, shape)

    def _variable(self, parameter, dtype, shape, name, _, add_variable_fn):
        return add_variable_fn(
            name=f"{name}_{parameter}",
            shape=shape,
            dtype=dtype,
            # Also in a frozen layer, which Keras does not train: it may be set free later, and in
            # a file its variables have one order, frozen or not.
            trainable=True,
            initializer=self._initializer(parameter, dtype),
            regularizer=getattr(self, f"{parameter}_regularizer"),
            constraint=getattr(self, f"{parameter}_constraint"),
        )

    def _initializer(self, parameter, dtype):
        return getattr(self, f"{parameter}_initializer")

    def _configure(self, parameter, initializer, regularizer, constraint):
        """Keep what governs one variable."""
        start = self._START[parameter] if initializer is None else initializer
        given = {"initializer": start, "regularizer": regularizer, "constraint": constraint}
        for kind, value in given.items():
            known = getattr(keras, f"{kind}s").get(serialization.from_saved(kind, value))
            setattr(self, f"{parameter}_{kind}", known)

    def _is_default(self, name, value):
        parameter, _, kind = name.rpartition("_")
        if kind != "initializer":
            return False
        return serialization.describe_config(value) == serialization.describe_call(
            **self._START[parameter]
        )

    def _config_of(self, parameter):
        return {
            f"{parameter}_initializer": keras.initializers.serialize(
                getattr(self, f"{parameter}_initializer")
            ),
            f"{parameter}_regularizer": keras.regularizers.serialize(
                getattr(self, f"{parameter}_regularizer")
            ),
            f"{parameter}_constraint": keras.constraints.serialize(
                getattr(self, f"{parameter}_constraint")
            ),
        }


class NormalOfVariables(_Parametrized):
    """Independent normals: means, and standard deviations before the softplus, as variables."""

    def __init__(
        self,
        loc_initializer=None,
        untransformed_scale_initializer=None,
        loc_regularizer=None,
        untransformed_scale_regularizer=None,
        loc_constraint=None,
        untransformed_scale_constraint=None,
        *,
        scale=None,
    ):
        self.scale = validation.check_scale("scale", scale, optional=True)
        if scale is not None and untransformed_scale_initializer is not None:
            raise messages.invalid(
                "scale",
                "None/NULL where there is an `untransformed_scale_initializer`",
                messages.describe(self.scale),
                "Give one of the two: both say how wide the distribution starts.",
            )
        self._configure("loc", loc_initializer, loc_regularizer, loc_constraint)
        self._configure(
            "untransformed_scale",
            untransformed_scale_initializer,
            untransformed_scale_regularizer,
            untransformed_scale_constraint,
        )
        if scale is not None:  # the initializer depends on the dtype of the variable
            self.untransformed_scale_initializer = None

    def parametrize(self, dtype, *args):
        """Create the variables, or look them up, and return the distribution as one of ours."""
        loc = self._variable("loc", dtype, *args)
        untransformed_scale = self._variable("untransformed_scale", dtype, *args)
        return distributions.SoftplusNormal(loc, untransformed_scale)

    def _initializer(self, parameter, dtype):
        if parameter != "untransformed_scale" or self.scale is None:
            return super()._initializer(parameter, dtype)
        least = distributions.SoftplusNormal.least_scale(dtype)
        if self.scale <= least:
            dtype = keras.backend.standardize_dtype(dtype)
            raise messages.invalid(
                "scale",
                f"above {least:.3g} for weights of {dtype}",
                messages.describe(self.scale),
                "That much is added to the softplus, so that no standard deviation is 0.",
            )
        start = float(distributions.untransformed(self.scale, dtype))
        return keras.initializers.Constant(start)

    def get_config(self):
        """Return the arguments that make an equal block."""
        config = {**self._config_of("loc"), **self._config_of("untransformed_scale")}
        return {**config, "scale": self.scale}


@keras.saving.register_keras_serializable("layer_api")
class MeanFieldNormal(NormalOfVariables, Posterior):
    """Posterior of independent normals, one for every weight.

    The usual choice: two numbers for every weight, a mean and a standard deviation, both learned.
    The standard deviation is `eps + softplus(untransformed_scale)`, so it is positive whatever the
    optimizer does.

    With a small `scale`, and means as Keras draws its kernels, training starts almost as that of
    a network without uncertainty does: see the example.

    Args:
        loc_initializer: Keras initializer of the means. Default `None`: normal with mean 0 and
            standard deviation 0.1. Those that follow the number of inputs, such as `"he_normal"`,
            count them as for Keras's own layers; where all weights are one vector, as in
            `layer_dense_variational()`, they would count all of these.
        untransformed_scale_initializer: Keras initializer of the standard deviations before the
            softplus. Default `None`: normal with mean -3 and standard deviation 0.1, which makes
            standard deviations of about 0.05.
        loc_regularizer: Keras regularizer of the means. Default `None`.
        untransformed_scale_regularizer: Keras regularizer of the standard deviations before the
            softplus. Default `None`.
        loc_constraint: Keras constraint on the means. Default `None`.
        untransformed_scale_constraint: Keras constraint on the standard deviations before the
            softplus. Default `None`.
        scale: Float above 0, the standard deviation of every weight at the start, in place of
            `untransformed_scale_initializer`. Default `None`: as that says.

    Returns:
        A config object for the arguments `kernel_posterior_fn` and `bias_posterior_fn`.

    Raises:
        ValueError: An initializer, regularizer or constraint is not known to Keras, or `scale` is
            not a finite number above 0, or given beside `untransformed_scale_initializer`; when the
            layer is built, `scale` is no larger than `eps`, the precision of the weights' dtype.

    Example:

    ```python
    narrow = layer_api.MeanFieldNormal(loc_initializer="he_normal", scale=0.01)
    layer = layer_api.layer_dense_flipout(units=10, kernel_posterior_fn=narrow)
    ```

    References:
        Blundell et al. (2015), Weight Uncertainty in Neural Networks, section 3.2.
        <https://arxiv.org/abs/1505.05424>
    """


@keras.saving.register_keras_serializable("layer_api")
class Deterministic(_Parametrized, Posterior):
    """Posterior with all its mass at one learned value: a point estimate.

    Use it where uncertainty is not wanted, as for the bias by default. With a prior, training then
    gives the maximum a posteriori estimate.

    Args:
        loc_initializer: Keras initializer of the values. Default `None`: normal with mean 0 and
            standard deviation 0.1.
        loc_regularizer: Keras regularizer of the values. Default `None`.
        loc_constraint: Keras constraint on the values. Default `None`.

    Returns:
        A config object for the arguments `kernel_posterior_fn` and `bias_posterior_fn`.

    Raises:
        ValueError: The initializer, regularizer or constraint is not known to Keras.

    Example:

    ```python
    zero = layer_api.Deterministic(loc_initializer="zeros")
    layer = layer_api.layer_dense_flipout(units=10, bias_posterior_fn=zero)
    ```
    """

    def __init__(self, loc_initializer=None, loc_regularizer=None, loc_constraint=None):
        self._configure("loc", loc_initializer, loc_regularizer, loc_constraint)

    def parametrize(self, *args):
        """Create the variable, or look it up, and return the distribution as one of ours."""
        return distributions.Deterministic(self._variable("loc", *args))

    def get_config(self):
        """Return the arguments that make an equal block."""
        return self._config_of("loc")


@keras.saving.register_keras_serializable("layer_api")
class MultivariateNormalTriL(MeanFieldNormal):
    """Posterior of one normal over all weights at once, with any covariance.

    Use it where weights depend on each other, as those of correlated inputs do: independent
    normals then take each of them for surer than it is. The covariance is `L @ L^T` with a lower
    triangular `L`, whose diagonal is `eps + softplus(untransformed_scale)` and whose elements below
    the diagonal start at 0, so that it starts equal to `MeanFieldNormal`. For n weights these are
    n * (n + 3) / 2 numbers, and a draw costs n^2 products: it is for small layers.

    Args:
        loc_initializer: Keras initializer of the means. Default `None`: normal with mean 0 and
            standard deviation 0.1.
        untransformed_scale_initializer: Keras initializer of the diagonal before the softplus.
            Default `None`: normal with mean -3 and standard deviation 0.1, which makes standard
            deviations of about 0.05.
        off_diagonal_initializer: Keras initializer of the elements below the diagonal, row by row.
            Default `None`: zeros.
        loc_regularizer: Keras regularizer of the means. Default `None`.
        untransformed_scale_regularizer: Keras regularizer of the diagonal before the softplus.
            Default `None`.
        off_diagonal_regularizer: Keras regularizer of the elements below the diagonal. Default
            `None`.
        loc_constraint: Keras constraint on the means. Default `None`.
        untransformed_scale_constraint: Keras constraint on the diagonal before the softplus.
            Default `None`.
        off_diagonal_constraint: Keras constraint on the elements below the diagonal. Default
            `None`.
        scale: Float above 0, every element of the diagonal at the start, in place of
            `untransformed_scale_initializer`: with zeros below it the standard deviation of every
            weight. Default `None`: as that says.

    Returns:
        A config object for the arguments `make_posterior_fn`, and for `kernel_posterior_fn` of the
        layers with the reparameterization estimator and `bias_posterior_fn` of any layer.

    Raises:
        ValueError: An initializer, regularizer or constraint is not known to Keras, or `scale` is
            not a finite number above 0, or given beside `untransformed_scale_initializer`; when the
            layer is built, `scale` is no larger than `eps`, the precision of the weights' dtype.

    Example:

    ```python
    layer = layer_api.layer_dense_variational(
        units=1, make_posterior_fn=layer_api.MultivariateNormalTriL(), kl_use_exact=True
    )
    ```
    """

    _START = {  # noqa: RUF012
        **MeanFieldNormal._START,
        "off_diagonal": {"class_name": "Zeros", "config": {}},
    }

    def __init__(
        self,
        loc_initializer=None,
        untransformed_scale_initializer=None,
        off_diagonal_initializer=None,
        loc_regularizer=None,
        untransformed_scale_regularizer=None,
        off_diagonal_regularizer=None,
        loc_constraint=None,
        untransformed_scale_constraint=None,
        off_diagonal_constraint=None,
        *,
        scale=None,
    ):
        super().__init__(
            loc_initializer,
            untransformed_scale_initializer,
            loc_regularizer,
            untransformed_scale_regularizer,
            loc_constraint,
            untransformed_scale_constraint,
            scale=scale,
        )
        self._configure(
            "off_diagonal",
            off_diagonal_initializer,
            off_diagonal_regularizer,
            off_diagonal_constraint,
        )

    @staticmethod
    def params_size(*_, **__):
        """Refuse what `tfp.layers.MultivariateNormalTriL`, a layer of outputs, has here."""
        raise AttributeError(
            "MultivariateNormalTriL is a posterior of weights here, and no layer of outputs, so it "
            "has no params_size(). Let the last layer return n * (n + 3) / 2 numbers for n "
            "outputs, and write the negative log-likelihood as the loss."
        )

    def parametrize(self, dtype, shape, *args):
        """Create the variables, or look them up, and return the distribution as one of ours."""
        n = math.prod(shape)
        most = math.isqrt(validation.LARGEST)
        if n > most:
            raise messages.invalid(
                "MultivariateNormalTriL",
                f"the posterior of at most {most} weights",
                f"{n} of them",
                "Their covariance has n^2 numbers. Use 'mean_field_normal', or a smaller layer.",
            )
        loc, scale = super().parametrize(dtype, shape, *args)
        scale_tril = ops.diag(ops.reshape(scale, (-1,)))
        if n > 1:
            below = backend.arrays.constant(np.stack(np.tril_indices(n, -1), axis=-1))
            off_diagonal = self._variable("off_diagonal", dtype, (len(below),), *args)
            # Not by ops.scatter, which under torch is a loop over the elements.
            scale_tril = ops.scatter_update(scale_tril, below, off_diagonal)
        return distributions.MultivariateNormal(loc, scale_tril)

    def get_config(self):
        """Return the arguments that make an equal block."""
        return {**super().get_config(), **self._config_of("off_diagonal")}


def default_mean_field_normal_fn(
    is_singular=False,
    loc_initializer=None,
    untransformed_scale_initializer=None,
    loc_regularizer=None,
    untransformed_scale_regularizer=None,
    loc_constraint=None,
    untransformed_scale_constraint=None,
):
    """Return the posterior that TensorFlow Probability calls by this name.

    It is here so that programs written for `tfp.layers` run with only the import changed. New
    programs say `MeanFieldNormal()`, or for `is_singular=True` they say `Deterministic()`.

    Args:
        is_singular: Bool, whether the posterior is a point mass. Default `False`.
        loc_initializer: Keras initializer of the means. Default `None`: normal with mean 0 and
            standard deviation 0.1.
        untransformed_scale_initializer: Keras initializer of the standard deviations before the
            softplus. Default `None`: normal with mean -3 and standard deviation 0.1.
        loc_regularizer: Keras regularizer of the means. Default `None`.
        untransformed_scale_regularizer: Keras regularizer of the standard deviations before the
            softplus. Default `None`.
        loc_constraint: Keras constraint on the means. Default `None`.
        untransformed_scale_constraint: Keras constraint on the standard deviations before the
            softplus. Default `None`.

    Returns:
        A config object, `MeanFieldNormal` or `Deterministic`.

    Raises:
        ValueError: An initializer, regularizer or constraint is not known to Keras.

    Example:

    ```python
    layer = layer_api.layer_dense_flipout(
        units=10, bias_posterior_fn=layer_api.default_mean_field_normal_fn()
    )
    ```
    """
    if is_singular:
        return Deterministic(loc_initializer, loc_regularizer, loc_constraint)
    return MeanFieldNormal(
        loc_initializer,
        untransformed_scale_initializer,
        loc_regularizer,
        untransformed_scale_regularizer,
        loc_constraint,
        untransformed_scale_constraint,
    )


NAMED = {
    "mean_field_normal": MeanFieldNormal,
    "deterministic": Deterministic,
    "multivariate_normal_tril": MultivariateNormalTriL,
}

# What `*_posterior_tensor_fn` may be called by name: the value that stands for the posterior.
TENSOR_FNS = {"sample": distributions.draw, "mean": distributions.mean}
