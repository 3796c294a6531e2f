"""Priors: what is believed of a kernel or of a bias before there are data."""

import copy
import math
from typing import ClassVar

import keras

from layer_api import messages, validation
from layer_api.weights import distributions, posteriors
from layer_api.weights.block import Prior

# Variances by the numbers of inputs and of outputs, under Keras's names of initializers.
_VARIANCES = {
    "he_normal": lambda fan_in, _: 2 / fan_in,
    "lecun_normal": lambda fan_in, _: 1 / fan_in,
    "glorot_normal": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
}


class _Fixed(Prior):
    """A prior without variables."""

    def __call__(self, dtype, shape, name, trainable, add_variable_fn):
        """Return the library's distribution."""
        ours = self.parametrize(dtype, shape, name, trainable, add_variable_fn)
        return distributions.to_library(ours, shape, keras.backend.standardize_dtype(dtype))


@keras.saving.register_keras_serializable("layer_api")
class StandardNormal(_Fixed):
    """Prior of independent normals with mean 0 and standard deviation 1.

    The default prior of every kernel: with it the divergence has a closed form that is cheap.

    Returns:
        A config object for the arguments `kernel_prior_fn` and `bias_prior_fn`.

    Example:

    ```python
    layer = layer_api.layer_dense_flipout(units=10, bias_prior_fn=layer_api.StandardNormal())
    ```
    """

    def parametrize(self, *_):
        """Return the distribution as one of ours."""
        return distributions.Normal(0.0, 1.0)

    def get_config(self):
        """Return the arguments that make an equal block: none."""
        return {}


@keras.saving.register_keras_serializable("layer_api")
class NormalPrior(_Fixed):
    """Prior of independent normals with a mean and a standard deviation of your choice.

    A small `scale` holds the weights close to `loc`, a large one leaves them free. The divergence
    has a closed form.

    One number rarely suits all layers of a deep network. 0.1 holds the outputs of layers of 10 or
    100 inputs so close to 0 that the network may predict no better than a guess, and leaves those
    of 10,000 inputs loose. A name makes the scale follow the number of inputs, so that outputs are
    about as large as inputs, whatever the layer:

        "he_normal":      scale = sqrt(2 / fan_in), for layers with the activation relu
        "lecun_normal":   scale = sqrt(1 / fan_in), for layers without an activation
        "glorot_normal":  scale = sqrt(2 / (fan_in + fan_out))

    These are the standard deviations of Keras's initializers of the same names; the normals here
    are not truncated. `fan_in` is how many inputs each output sums, `fan_out` how many outputs each
    input reaches: rows and columns of a dense kernel; for a convolution, the elements of the window
    times the channels, and times the filters. Of a depthwise convolution they are the elements of
    the window, and these times `depth_multiplier`, where Keras's initializers count all channels;
    of an embedding 1 and `output_dim`. A bias has none, and needs a number.

    Args:
        loc: Float, the mean. Default `0.0`.
        scale: Float above 0, the standard deviation, or one of `"he_normal"`, `"lecun_normal"` and
            `"glorot_normal"`. Default `1.0`.

    Returns:
        A config object for the arguments `kernel_prior_fn` and `bias_prior_fn`.

    Raises:
        ValueError: `loc` is not a finite number, or `scale` not a finite number above 0 or a known
            name; when the layer is built, `scale` is a name and the weight a vector, as a bias is.

    Example:

    ```python
    layer = layer_api.layer_dense_flipout(
        units=10, kernel_prior_fn=layer_api.NormalPrior(scale="he_normal"), activation="relu"
    )
    ```

    References:
        He, Zhang, Ren and Sun (2015), Delving Deep into Rectifiers, equation 10.
        <https://arxiv.org/abs/1502.01852>

        Glorot and Bengio (2010), Understanding the difficulty of training deep feedforward neural
        networks, equation 12. <https://proceedings.mlr.press/v9/glorot10a.html>
    """

    def __init__(self, loc=0.0, scale=1.0):
        self.loc = validation.check_number("loc", loc)
        self.scale = validation.check_scale("scale", scale, names=tuple(_VARIANCES))

    def parametrize(self, dtype, shape, name, *_):
        """Return the distribution as one of ours."""
        if isinstance(self.scale, str):
            return self.of_fans(_fans(shape, name, self.scale)).parametrize(dtype, shape, name)
        return distributions.Normal(self.loc, self.scale)

    def of_fans(self, fans):
        """Return the prior of a weight with `fans`: with a number as the scale."""
        if not isinstance(self.scale, str):
            return self
        made = copy.copy(self)
        made.scale = math.sqrt(_VARIANCES[self.scale](*fans))
        return made

    def get_config(self):
        """Return the arguments that make an equal block."""
        return {"loc": self.loc, "scale": self.scale}


def _fans(shape, name, scale):
    """Return how many inputs and outputs a kernel connects, (..., inputs, outputs)."""
    if len(shape) < 2:
        raise messages.invalid(
            "scale",
            "a number for a bias, and wherever else the weights are one vector",
            f"'{scale}' for {name}, of {messages.describe_shape(shape)}",
            "A vector does not tell how many inputs an output has. Pass, for example, scale = 1.0.",
        )
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


@keras.saving.register_keras_serializable("layer_api")
class PretrainedNormal(_Fixed):
    """Prior of independent normals, each with a mean of its own: the weights of a trained network.

    What `to_bayesian(model, prior="pretrained")` uses. With it training keeps the weights close to
    where they started, instead of pulling them to 0. The means are weights of the layer that are
    not trained, so a file keeps them. They are 0 until `to_bayesian()` or `set_weights()` sets
    them.

    Args:
        scale: Float above 0, the standard deviation. Default `1.0`.

    Returns:
        A config object for the arguments `kernel_prior_fn` and `bias_prior_fn`, and for `prior` of
        `to_bayesian()`.

    Raises:
        ValueError: `scale` is not a finite number above 0.

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(13,)), keras.layers.Dense(1)])
    near = layer_api.to_bayesian(model, prior=layer_api.PretrainedNormal(scale=0.5))
    ```

    References:
        Krishnan, Subedar and Tickoo (2020), Specifying Weight Priors in Bayesian Deep Neural
        Networks with Empirical Bayes, section 3. <https://arxiv.org/abs/1906.05323>
    """

    def __init__(self, scale=1.0):
        self.scale = validation.check_scale("scale", scale)

    def parametrize(self, dtype, shape, name, _, add_variable_fn):
        """Create the means, or look them up; return the distribution as one of ours."""
        loc = add_variable_fn(
            name=f"{name}_loc", shape=shape, dtype=dtype, initializer="zeros", trainable=False
        )
        return distributions.Normal(loc, self.scale)

    def get_config(self):
        """Return the arguments that make an equal block."""
        return {"scale": self.scale}


@keras.saving.register_keras_serializable("layer_api")
class LaplacePrior(_Fixed):
    """Prior of independent Laplace distributions: most weights near `loc`, a few far from it.

    Its density `exp(-abs(w - loc) / scale) / (2 scale)` favours sparse weights, as an L1 penalty
    does. The divergence from a normal posterior is estimated from draws: see `MonteCarloKL`.

    Args:
        loc: Float, the mean. Default `0.0`.
        scale: Float above 0, the mean distance from `loc`; the standard deviation is
            `sqrt(2) * scale`. Default `1.0`.

    Returns:
        A config object for the arguments `kernel_prior_fn` and `bias_prior_fn`.

    Raises:
        ValueError: `loc` is not a finite number, or `scale` not a finite number above 0.

    Example:

    ```python
    layer = layer_api.layer_dense_flipout(
        units=10, kernel_prior_fn=layer_api.LaplacePrior(scale=0.5)
    )
    ```
    """

    def __init__(self, loc=0.0, scale=1.0):
        self.loc = validation.check_number("loc", loc)
        self.scale = validation.check_scale("scale", scale)

    def parametrize(self, *_):
        """Return the distribution as one of ours."""
        return distributions.Laplace(self.loc, self.scale)

    def get_config(self):
        """Return the arguments that make an equal block."""
        return {"loc": self.loc, "scale": self.scale}


@keras.saving.register_keras_serializable("layer_api")
class ScaleMixturePrior(_Fixed):
    """Prior of independent mixtures of two normals with mean 0, a wide one and a narrow one.

    The density of a weight `w` is `pi N(w; 0, sigma1^2) + (1 - pi) N(w; 0, sigma2^2)`. The narrow
    normal pulls most weights to 0, the wide one lets some be large: a spike and a slab, but with
    a density, so that it can be trained by gradients. The divergence from a normal posterior is
    estimated from draws: see `MonteCarloKL`.

    Args:
        pi: Float from 0 to 1, the weight of the first normal. Default `0.5`.
        sigma1: Float above 0, the standard deviation of the first normal. Default `1.0`.
        sigma2: Float above 0, the standard deviation of the second normal. Default `0.0025`, about
            `exp(-6)`: the paper tried `exp(-6)`, `exp(-7)` and `exp(-8)`.

    Returns:
        A config object for the arguments `kernel_prior_fn` and `bias_prior_fn`.

    Raises:
        ValueError: `pi` is not a number from 0 to 1, or `sigma1` or `sigma2` is not a finite number
            above 0.

    Example:

    ```python
    layer = layer_api.layer_dense_flipout(
        units=10, kernel_prior_fn=layer_api.ScaleMixturePrior(pi=0.25)
    )
    ```

    References:
        Blundell et al. (2015), Weight Uncertainty in Neural Networks, equation 7 and section 5.1.
        <https://arxiv.org/abs/1505.05424>
    """

    def __init__(self, pi=0.5, sigma1=1.0, sigma2=0.0025):
        self.pi = validation.check_probability("pi", pi)
        self.sigma1 = validation.check_scale("sigma1", sigma1)
        self.sigma2 = validation.check_scale("sigma2", sigma2)

    def parametrize(self, *_):
        """Return the distribution as one of ours."""
        terms = [(1 - self.pi, self.sigma2), (self.pi, self.sigma1)]
        terms = [(weight, scale) for weight, scale in terms if weight > 0]
        if len(terms) == 1:
            return distributions.Normal(0.0, terms[0][1])
        (_, narrow), (_, wide) = terms = sorted(terms, key=lambda term: term[1])
        weights = terms[1][0], terms[0][0]
        return distributions.NormalMixture(weights, (wide, narrow))

    def get_config(self):
        """Return the arguments that make an equal block."""
        return {"pi": self.pi, "sigma1": self.sigma1, "sigma2": self.sigma2}


@keras.saving.register_keras_serializable("layer_api")
class TrainableNormal(posteriors.NormalOfVariables, Prior):
    """Prior of normals whose common mean and standard deviation are learned: empirical Bayes.

    One mean and one standard deviation, `eps + softplus(untransformed_scale)`, serve all weights of
    a kernel, so the data decide how large weights are expected to be. For a given posterior the
    divergence is least where the mean is that of the posterior's means `m`, and the variance is the
    mean of `s^2 + (m - mean)^2`, with the posterior's standard deviations `s`. (Were they learned
    for every weight, the prior would become the posterior, and hold nothing back.)

    Args:
        loc_initializer: Keras initializer of the mean. Default `None`: 0.
        untransformed_scale_initializer: Keras initializer of the standard deviation before the
            softplus. Default `None`: a constant that makes a standard deviation of 1.
        loc_regularizer: Keras regularizer of the mean. Default `None`.
        untransformed_scale_regularizer: Keras regularizer of the standard deviation before the
            softplus. Default `None`.
        loc_constraint: Keras constraint on the mean. Default `None`.
        untransformed_scale_constraint: Keras constraint on the standard deviation before the
            softplus. Default `None`.
        scale: Float above 0, the standard deviation at the start, in place of
            `untransformed_scale_initializer`. Default `None`: as that says.

    Returns:
        A config object for the arguments `kernel_prior_fn` and `bias_prior_fn`.

    Raises:
        ValueError: An initializer, regularizer or constraint is not known to Keras, or `scale` is
            not a finite number above 0, or given beside `untransformed_scale_initializer`.

    Example:

    ```python
    layer = layer_api.layer_dense_flipout(units=10, kernel_prior_fn=layer_api.TrainableNormal())
    ```
    """

    _START: ClassVar = {
        "loc": {"class_name": "Zeros", "config": {}},
        # softplus(log(e - 1)) = 1
        "untransformed_scale": {
            "class_name": "Constant",
            "config": {"value": math.log(math.e - 1)},
        },
    }

    def parametrize(self, dtype, _, *args):
        """Create the two variables, or look them up; return the distribution as one of ours."""
        return super().parametrize(dtype, (), *args)


def default_multivariate_normal_fn(dtype, shape, name, trainable, add_variable_fn):
    """Return independent standard normals: the prior that TensorFlow Probability calls so.

    It is here so that programs written for `tfp.layers` run with only the import changed; new
    programs say `"standard_normal"`.

    Args:
        dtype: Data type of the distribution.
        shape: Shape of the distribution, whole numbers.
        name: Name of the variables; not used, as the prior has none.
        trainable: Whether the variables are trained; not used.
        add_variable_fn: Function that creates a variable; not used.

    Returns:
        A distribution of the backend's library, over all elements.

    Example:

    ```python
    layer = layer_api.layer_dense_flipout(
        units=10, kernel_prior_fn=layer_api.default_multivariate_normal_fn
    )
    ```
    """
    return StandardNormal()(dtype, shape, name, trainable, add_variable_fn)


keras.saving.register_keras_serializable("layer_api")(default_multivariate_normal_fn)

NAMED = {
    "standard_normal": StandardNormal,
    "normal": NormalPrior,
    "pretrained_normal": PretrainedNormal,
    "laplace": LaplacePrior,
    "scale_mixture": ScaleMixturePrior,
    "trainable_normal": TrainableNormal,
}
