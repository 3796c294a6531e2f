"""Depthwise convolutions: each channel has kernels of its own."""

import math

from keras import ops

from layer_api import messages, validation
from layer_api.compose import layer_function, registered
from layer_api.layers.conv import Convolution
from layer_api.layers.estimators import Flipout
from layer_api.messages import REQUIRED


@registered
class DepthwiseConv2DFlipout(Flipout, Convolution):
    """2D depthwise convolution with weight uncertainty, by the Flipout estimator.

    Use it in place of `keras.layers.DepthwiseConv2D`, as in small networks for images, where you
    want the network to report its uncertainty. Each channel is convolved with kernels of its own,
    which are drawn from distributions that training fits, and every call draws again:

        kernel, bias ~ posterior
        outputs[c, m] = activation(convolution(inputs[c], kernel[c, m]) + bias[c, m])

    Flipout (Wen et al. 2018) gives every example of a batch its own, nearly independent
    perturbation of the kernel, for the price of two products with a kernel instead of one. The
    variance of the gradient then falls with the size of the batch, which one kernel shared by the
    batch does not achieve.

    Once built, the layer adds the divergence of the posterior from the prior to its `losses`, so
    that `fit()` minimizes the negative evidence lower bound. The divergence counts once for the
    whole data, the likelihood once for every example: with Keras's mean over a batch as the loss,
    pass `kl_weight=1/n`, where `n` is the number of training examples.

    A posterior, prior or divergence of your own is a function, or an object of a class with
    `__call__` and `get_config`, with the arguments given below. It trains as it is. To save the
    model, register it with `keras.saving.register_keras_serializable()`, and have the same lines
    run wherever the model is loaded.

    Args:
        kernel_size: Whole number of at least 1, or one for each dimension: the size of the window
            that the kernels cover.
        strides: Whole number of at least 1, or two equal ones: the step of the window. Default `1`.
        padding: `"valid"`, no padding, or `"same"`, with zeros such that with strides of 1 outputs
            have the positions of the inputs. Default `"valid"`.
        depth_multiplier: Whole number of at least 1, the number of kernels, and of outputs, for
            each channel. Default `1`.
        data_format: `"channels_last"` for inputs of shape `(batch, height, width, channels)`,
            `"channels_first"` for `(batch, channels, height, width)`, or `None` for what Keras is
            configured to use. Default `"channels_last"`.
        dilation_rate: Whole number of at least 1, or one for each dimension: the distance between
            the inputs that neighbouring elements of a kernel see. With a `dilation_rate` above 1,
            `strides` must be 1. Default `1`.
        activation: Activation function: the name of one of Keras's, a function, or `None` for none.
            Default `None`.
        activity_regularizer: Keras regularizer of the outputs, or `None`. Default `None`.
        trainable: Bool, whether training updates the weights. Default `True`.
        kernel_posterior_fn: Distribution of the kernel that training fits: `MeanFieldNormal()`, or
            its name, `"mean_field_normal"`, or a function `(dtype, shape, name, trainable,
            add_variable_fn)` that returns a distribution of the backend's library. It has to be one
            of independent normals. Default `"mean_field_normal"`.
        kernel_posterior_tensor_fn: Value that stands for the distribution of the kernel in one
            call: `"sample"`, `"mean"`, or a function of a distribution. It gets the perturbation,
            whose mean is zero. Default `"sample"`.
        kernel_prior_fn: Distribution of the kernel before the data: `StandardNormal()`,
            `NormalPrior()`, `LaplacePrior()`, `ScaleMixturePrior()`, `TrainableNormal()` or
            `PretrainedNormal()`, or its name, such as `"laplace"`; a function as for
            `kernel_posterior_fn`; or `None` for no prior and no divergence. Default
            `"standard_normal"`.
        kernel_divergence_fn: Divergence of posterior from prior: `KLDivergence()` or
            `MonteCarloKL()`, or its name, `"kl_divergence"` or `"monte_carlo"`; a function `(q, p,
            sample)` of posterior, prior and a value drawn from the posterior; or `None` for none.
            Default `"kl_divergence"`.
        bias_posterior_fn: Distribution of the bias: `MeanFieldNormal()`, `MultivariateNormalTriL()`
            or `Deterministic()`, or its name, such as `"multivariate_normal_tril"`; a function as
            for `kernel_posterior_fn`, of any distribution; or `None` for no bias. Default
            `"deterministic"`, a point estimate.
        bias_posterior_tensor_fn: As `kernel_posterior_tensor_fn`, for the bias. Default `"sample"`.
        bias_prior_fn: As `kernel_prior_fn`, for the bias. Default `None`, no prior.
        bias_divergence_fn: As `kernel_divergence_fn`, for the bias. Default `"kl_divergence"`.
        seed: Whole number from 0 to 2147483647 that governs every draw of the layer, the initial
            weights included. Layers of one model may have the same seed: each draws its own
            numbers. Default `None`: Keras's global random state decides, see
            `keras.utils.set_random_seed()`.
        kl_weight: Number of at least 0, the factor on the divergences. It may be changed at any
            time, see `set_kl_weight()`. Default `1.0`.
        **kwargs: Further arguments of `keras.layers.Layer`, such as `name`, `dtype` or
            `input_shape`.

    Returns:
        A Keras layer. Called on a tensor of shape `(batch, height, width, channels)` it returns a
        tensor of shape `(batch, new_height, new_width, channels * depth_multiplier)`; with
        `"channels_first"` the channels stand behind the batch.

    Raises:
        ValueError: An argument has a value that it cannot have; the message says what it can be.
        TypeError: An argument has the wrong type, or is not known.

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(28, 28, 3))])
    layer_api.layer_depthwise_conv_2d_flipout(model, kernel_size=3, activation="relu")
    model.compile(optimizer="adam", loss="mse")
    ```

    References:
        Wen, Vicol, Ba, Tran and Grosse (2018), Flipout: Efficient Pseudo-Independent Weight
        Perturbations on Mini-Batches. <https://arxiv.org/abs/1803.04386>
    """

    rank = 2

    def __init__(
        self,
        kernel_size=REQUIRED,
        strides=1,
        padding="valid",
        depth_multiplier=1,
        data_format="channels_last",
        dilation_rate=1,
        activation=None,
        activity_regularizer=None,
        trainable=True,
        kernel_posterior_fn="mean_field_normal",
        kernel_posterior_tensor_fn="sample",
        kernel_prior_fn="standard_normal",
        kernel_divergence_fn="kl_divergence",
        bias_posterior_fn="deterministic",
        bias_posterior_tensor_fn="sample",
        bias_prior_fn=None,
        bias_divergence_fn="kl_divergence",
        seed=None,
        *,
        kl_weight=1.0,
        **kwargs,
    ):
        depth_multiplier = validation.check_whole_number(
            "depth_multiplier", depth_multiplier, 1, "Pass, for example, depth_multiplier = 2."
        )
        window = self._check_window(kernel_size, strides, padding, data_format, dilation_rate)
        if len(set(window["strides"])) > 1:  # TensorFlow has no others
            raise messages.invalid(
                "strides",
                "a whole number, or two equal ones",
                messages.describe(strides),
                "Pass, for example, strides = 2.",
            )
        super().__init__(
            kernel_posterior_fn=kernel_posterior_fn,
            kernel_posterior_tensor_fn=kernel_posterior_tensor_fn,
            kernel_prior_fn=kernel_prior_fn,
            kernel_divergence_fn=kernel_divergence_fn,
            bias_posterior_fn=bias_posterior_fn,
            bias_posterior_tensor_fn=bias_posterior_tensor_fn,
            bias_prior_fn=bias_prior_fn,
            bias_divergence_fn=bias_divergence_fn,
            activation=activation,
            activity_regularizer=activity_regularizer,
            trainable=trainable,
            seed=seed,
            kl_weight=kl_weight,
            **kwargs,
        )
        self.depth_multiplier = depth_multiplier
        self._set_window(window)

    def get_config(self):
        return {**super().get_config(), "depth_multiplier": self.depth_multiplier}

    def _convolve(self, inputs, kernel, padding, data_format):
        return ops.depthwise_conv(
            inputs, kernel, self.strides, padding, data_format, self.dilation_rate
        )

    def _outputs_of_a_channel(self):
        return self.depth_multiplier

    def _fans(self, name, shape):
        window = math.prod(self.kernel_size)
        return (window, window * self.depth_multiplier) if name == "kernel" else None

    def _bias_shape(self, kernel_shape):
        return (kernel_shape[-2] * kernel_shape[-1],)


layer_depthwise_conv_2d_flipout = layer_function(
    DepthwiseConv2DFlipout, "layer_depthwise_conv_2d_flipout"
)
