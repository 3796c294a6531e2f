"""Convolutions in one, two and three dimensions."""

import keras
from keras import layers, ops

from layer_api import backend, keras_private, messages, validation
from layer_api.compose import layer_function, registered
from layer_api.layers.estimators import Flipout, Reparameterization
from layer_api.layers.variational_layer import KernelLayer
from layer_api.messages import REQUIRED


class Convolution(KernelLayer):
    """activation(convolution(inputs, kernel) + bias), in `rank` dimensions, of any kind.

    A subclass provides `_convolve(inputs, kernel, padding, data_format)` and the shapes.
    """

    rank: int

    def _check_window(self, kernel_size, strides, padding, data_format, dilation_rate):
        """Return the arguments about the window, checked, as a dictionary."""
        kernel_size = validation.check_whole_numbers("kernel_size", kernel_size, self.rank)
        strides = validation.check_whole_numbers("strides", strides, self.rank)
        dilation_rate = validation.check_whole_numbers("dilation_rate", dilation_rate, self.rank)
        paddings = ("valid", "same", "causal") if self.rank == 1 else ("valid", "same")
        padding = validation.check_one_of("padding", padding, paddings)
        data_format = keras.config.image_data_format() if data_format is None else data_format
        formats = ("channels_last", "channels_first")
        data_format = validation.check_one_of("data_format", data_format, formats)
        if max(strides) > 1 and max(dilation_rate) > 1:
            raise messages.invalid(
                "dilation_rate",
                "1 where strides are above 1",
                messages.describe(dilation_rate),
                f"Or leave strides at 1: they are {messages.describe(strides)}.",
            )
        return {
            "kernel_size": kernel_size,
            "strides": strides,
            "padding": padding,
            "data_format": data_format,
            "dilation_rate": dilation_rate,
        }

    def _set_window(self, window):
        """Keep what `_check_window` returned as attributes."""
        keras_private.untracked(self, _window=tuple(window), **window)

    def build(self, input_shape):
        self.compute_output_shape(input_shape)
        super().build(input_shape)
        axis = self._channel_axis
        self.input_spec = layers.InputSpec(ndim=self.rank + 2, axes={axis: input_shape[axis]})

    def call(self, inputs):
        # Sizes that were undefined at build are known now.
        self._kernel_shape(tuple(inputs.shape))
        return super().call(inputs)

    def compute_output_shape(self, input_shape):
        """Return the shape of the outputs, with those of each position on the channel axis."""
        kernel = keras.KerasTensor(self._kernel_shape(input_shape))
        return tuple(self._linear(keras.KerasTensor(input_shape), kernel).shape)

    def get_config(self):
        return {**super().get_config(), **{name: getattr(self, name) for name in self._window}}

    @property
    def _channel_axis(self):
        return 1 if self.data_format == "channels_first" else -1

    def _linear(self, inputs, kernel):
        if inputs.shape[0] == 0 and not isinstance(inputs, keras.KerasTensor):
            # TensorFlow's result for a batch of no examples has the shape of the inputs.
            symbolic = (keras.KerasTensor(each.shape) for each in (inputs, kernel))
            return ops.zeros(self._linear(*symbolic).shape, inputs.dtype)
        padding = self.padding
        if padding == "causal":
            in_front = self.dilation_rate[0] * (self.kernel_size[0] - 1)
            widths = [(0, 0)] * 3
            widths[1 if self._channel_axis == -1 else 2] = (in_front, 0)
            inputs, padding = ops.pad(inputs, widths), "valid"
        if self._channel_axis == 1 and not backend.arrays.CONVOLVES_CHANNELS_FIRST:
            inputs = ops.moveaxis(inputs, 1, -1)
            outputs = self._convolve(inputs, kernel, padding, "channels_last")
            return ops.moveaxis(outputs, -1, 1)
        return self._convolve(inputs, kernel, padding, self.data_format)

    def _add_bias(self, outputs, bias):
        if self._channel_axis == -1:
            return super()._add_bias(outputs, bias)
        # Not by ops.add, which on TensorFlow takes such a bias for one of the last axis if that has
        # as many elements.
        return outputs + ops.reshape(bias, (-1, *[1] * self.rank))

    def _sign_shapes(self, input_shape, output_shape):
        # Every example has one kernel (Wen et al. 2018, section 3.2): its positions share signs.
        return self._without_positions(input_shape), self._without_positions(output_shape)

    def _without_positions(self, shape):
        ones = [1] * self.rank
        if self._channel_axis == 1:
            return (*shape[:2], *ones)
        return (shape[0], *ones, shape[-1])

    def _kernel_shape(self, input_shape):
        validation.check_one_tensor(input_shape)
        positions = ", ".join(f"size_{i + 1}" for i in range(self.rank))
        order = f"{positions}, channels" if self._channel_axis == -1 else f"channels, {positions}"
        if len(input_shape) != self.rank + 2:
            raise messages.invalid(
                "inputs",
                f"a tensor of {self.rank + 2} dimensions, (batch, {order})",
                messages.describe_shape(input_shape),
                "Add the dimension that is missing, or choose the layer for another number of "
                "dimensions.",
            )
        channels = input_shape[self._channel_axis]
        if channels is None:
            raise messages.invalid(
                "inputs",
                f"a tensor whose number of channels is defined, (batch, {order})",
                messages.describe_shape(input_shape),
                "The kernel has weights for every channel: give their number in the shape of the "
                "Input.",
            )
        if channels == 0:
            raise messages.invalid(
                "inputs",
                f"a tensor with at least 1 channel, (batch, {order})",
                messages.describe_shape(input_shape),
                "There is nothing to learn from no channel: leave the layer out.",
            )
        sizes = input_shape[2:] if self._channel_axis == 1 else input_shape[1:-1]
        windows = [
            d * (k - 1) + 1 if self.padding == "valid" else 1
            for k, d in zip(self.kernel_size, self.dilation_rate, strict=True)
        ]
        if any(n is not None and n < w for n, w in zip(sizes, windows, strict=True)):
            raise messages.invalid(
                "inputs",
                f"a tensor with at least {messages.describe(windows)} positions, (batch, {order})",
                messages.describe_shape(input_shape),
                "The window of the kernel has to fit in: choose a smaller kernel_size or "
                "dilation_rate, or padding = 'same'.",
            )
        return (*self.kernel_size, channels, self._outputs_of_a_channel())


class _Conv(Convolution):
    """activation(convolution(inputs, kernel) + bias), in `rank` dimensions.

    Args:
        filters: Whole number of at least 1, the number of outputs at each position (the size of
            the channel axis of the outputs).
        kernel_size: Whole number of at least 1, or one for each dimension: the size of the window
            that the kernel covers.
        strides: Whole number of at least 1, or one for each dimension: the step of the window.
            Default `1`.
        padding: `"valid"`, no padding; `"same"`, with zeros such that with strides of 1 outputs
            have the positions of the inputs; in one dimension also `"causal"`, with zeros in front
            only, so that no output depends on later inputs. Default `"valid"`.
        data_format: `"channels_last"` for inputs of shape `(batch, ..., channels)`,
            `"channels_first"` for `(batch, channels, ...)`, or `None` for what Keras is configured
            to use. Default `"channels_last"`.
        dilation_rate: Whole number of at least 1, or one for each dimension: the distance between
            the inputs that neighbouring elements of the kernel see. With a `dilation_rate` above
            1, `strides` must be 1. Default `1`.
    """

    def __init__(
        self,
        filters=REQUIRED,
        kernel_size=REQUIRED,
        strides=1,
        padding="valid",
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
        filters = validation.check_whole_number(
            "filters", filters, 1, "Pass, for example, filters = 32."
        )
        window = self._check_window(kernel_size, strides, padding, data_format, dilation_rate)
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
        self.filters = filters
        self._set_window(window)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}

    def _convolve(self, inputs, kernel, padding, data_format):
        return ops.conv(inputs, kernel, self.strides, padding, data_format, self.dilation_rate)

    def _outputs_of_a_channel(self):
        return self.filters


@registered
class Conv1DFlipout(Flipout, _Conv):
    """1D convolution with weight uncertainty, by the Flipout estimator.

    Use it in place of `keras.layers.Conv1D` where you want a network for sequences to report its
    uncertainty. Kernel and bias are drawn from distributions that training fits, and every call
    draws again:

        kernel, bias ~ posterior
        outputs = activation(convolution(inputs, kernel) + bias)

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
        filters: Whole number of at least 1, the number of outputs at each position (the size of the
            channel axis of the outputs).
        kernel_size: Whole number of at least 1, or one for each dimension: the size of the window
            that the kernel covers.
        strides: Whole number of at least 1, or one for each dimension: the step of the window.
            Default `1`.
        padding: `"valid"`, no padding; `"same"`, with zeros such that with strides of 1 outputs
            have the positions of the inputs; in one dimension also `"causal"`, with zeros in front
            only, so that no output depends on later inputs. Default `"valid"`.
        data_format: `"channels_last"` for inputs of shape `(batch, ..., channels)`,
            `"channels_first"` for `(batch, channels, ...)`, or `None` for what Keras is configured
            to use. Default `"channels_last"`.
        dilation_rate: Whole number of at least 1, or one for each dimension: the distance between
            the inputs that neighbouring elements of the kernel see. With a `dilation_rate` above 1,
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
        A Keras layer. Called on a tensor of shape
        `(batch, steps, channels)` it returns a tensor of shape
        `(batch, new_steps, filters)`; with `"channels_first"` the
        channels and the filters stand behind the batch.

    Raises:
        ValueError: An argument has a value that it cannot have; the message says what it can be.
        TypeError: An argument has the wrong type, or is not known.

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(100, 8))])
    layer_api.layer_conv_1d_flipout(model, filters=8, kernel_size=3, activation="relu")
    model.compile(optimizer="adam", loss="mse")
    ```

    References:
        Wen, Vicol, Ba, Tran and Grosse (2018), Flipout: Efficient Pseudo-Independent Weight
        Perturbations on Mini-Batches. <https://arxiv.org/abs/1803.04386>
    """

    rank = 1


layer_conv_1d_flipout = layer_function(Conv1DFlipout, "layer_conv_1d_flipout")


@registered
class Conv1DReparameterization(Reparameterization, _Conv):
    """1D convolution with weight uncertainty, by reparameterization.

    Use it in place of `keras.layers.Conv1D` where you want a network for sequences to report its
    uncertainty. Kernel and bias are drawn from distributions that training fits, and every call
    draws again:

        kernel, bias ~ posterior
        outputs = activation(convolution(inputs, kernel) + bias)

    The plainest estimator, for a kernel of any distribution: one draw of the kernel serves the
    whole batch. A call costs half of what Flipout's costs. But the examples share their noise, so
    that the variance of the gradient does not fall below a bound, however large the batch. Use it
    where `kernel_posterior_fn` is not normal.

    Once built, the layer adds the divergence of the posterior from the prior to its `losses`, so
    that `fit()` minimizes the negative evidence lower bound. The divergence counts once for the
    whole data, the likelihood once for every example: with Keras's mean over a batch as the loss,
    pass `kl_weight=1/n`, where `n` is the number of training examples.

    A posterior, prior or divergence of your own is a function, or an object of a class with
    `__call__` and `get_config`, with the arguments given below. It trains as it is. To save the
    model, register it with `keras.saving.register_keras_serializable()`, and have the same lines
    run wherever the model is loaded.

    Args:
        filters: Whole number of at least 1, the number of outputs at each position (the size of the
            channel axis of the outputs).
        kernel_size: Whole number of at least 1, or one for each dimension: the size of the window
            that the kernel covers.
        strides: Whole number of at least 1, or one for each dimension: the step of the window.
            Default `1`.
        padding: `"valid"`, no padding; `"same"`, with zeros such that with strides of 1 outputs
            have the positions of the inputs; in one dimension also `"causal"`, with zeros in front
            only, so that no output depends on later inputs. Default `"valid"`.
        data_format: `"channels_last"` for inputs of shape `(batch, ..., channels)`,
            `"channels_first"` for `(batch, channels, ...)`, or `None` for what Keras is configured
            to use. Default `"channels_last"`.
        dilation_rate: Whole number of at least 1, or one for each dimension: the distance between
            the inputs that neighbouring elements of the kernel see. With a `dilation_rate` above 1,
            `strides` must be 1. Default `1`.
        activation: Activation function: the name of one of Keras's, a function, or `None` for none.
            Default `None`.
        activity_regularizer: Keras regularizer of the outputs, or `None`. Default `None`.
        trainable: Bool, whether training updates the weights. Default `True`.
        kernel_posterior_fn: Distribution of the kernel that training fits: `MeanFieldNormal()`,
            `MultivariateNormalTriL()` or `Deterministic()`, or its name, such as
            `"multivariate_normal_tril"`, or a function `(dtype, shape, name, trainable,
            add_variable_fn)` that returns a distribution of the backend's library. Default
            `"mean_field_normal"`.
        kernel_posterior_tensor_fn: Value that stands for the distribution of the kernel in one
            call: `"sample"`, `"mean"`, or a function of a distribution. It gets the posterior.
            Default `"sample"`.
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
        A Keras layer. Called on a tensor of shape
        `(batch, steps, channels)` it returns a tensor of shape
        `(batch, new_steps, filters)`; with `"channels_first"` the
        channels and the filters stand behind the batch.

    Raises:
        ValueError: An argument has a value that it cannot have; the message says what it can be.
        TypeError: An argument has the wrong type, or is not known.

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(100, 8))])
    layer_api.layer_conv_1d_reparameterization(model, filters=8, kernel_size=3, activation="relu")
    model.compile(optimizer="adam", loss="mse")
    ```

    References:
        Kingma and Welling (2014), Auto-Encoding Variational Bayes, section 2.4.
        <https://arxiv.org/abs/1312.6114>
    """

    rank = 1


layer_conv_1d_reparameterization = layer_function(
    Conv1DReparameterization, "layer_conv_1d_reparameterization"
)


@registered
class Conv2DFlipout(Flipout, _Conv):
    """2D convolution with weight uncertainty, by the Flipout estimator.

    Use it in place of `keras.layers.Conv2D` where you want a network for images to report its
    uncertainty. Kernel and bias are drawn from distributions that training fits, and every call
    draws again:

        kernel, bias ~ posterior
        outputs = activation(convolution(inputs, kernel) + bias)

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
        filters: Whole number of at least 1, the number of outputs at each position (the size of the
            channel axis of the outputs).
        kernel_size: Whole number of at least 1, or one for each dimension: the size of the window
            that the kernel covers.
        strides: Whole number of at least 1, or one for each dimension: the step of the window.
            Default `1`.
        padding: `"valid"`, no padding; `"same"`, with zeros such that with strides of 1 outputs
            have the positions of the inputs; in one dimension also `"causal"`, with zeros in front
            only, so that no output depends on later inputs. Default `"valid"`.
        data_format: `"channels_last"` for inputs of shape `(batch, ..., channels)`,
            `"channels_first"` for `(batch, channels, ...)`, or `None` for what Keras is configured
            to use. Default `"channels_last"`.
        dilation_rate: Whole number of at least 1, or one for each dimension: the distance between
            the inputs that neighbouring elements of the kernel see. With a `dilation_rate` above 1,
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
        A Keras layer. Called on a tensor of shape
        `(batch, height, width, channels)` it returns a tensor of shape
        `(batch, new_height, new_width, filters)`; with `"channels_first"` the
        channels and the filters stand behind the batch.

    Raises:
        ValueError: An argument has a value that it cannot have; the message says what it can be.
        TypeError: An argument has the wrong type, or is not known.

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(28, 28, 1))])
    layer_api.layer_conv_2d_flipout(model, filters=8, kernel_size=3, activation="relu")
    model.compile(optimizer="adam", loss="mse")
    ```

    References:
        Wen, Vicol, Ba, Tran and Grosse (2018), Flipout: Efficient Pseudo-Independent Weight
        Perturbations on Mini-Batches. <https://arxiv.org/abs/1803.04386>
    """

    rank = 2


layer_conv_2d_flipout = layer_function(Conv2DFlipout, "layer_conv_2d_flipout")


@registered
class Conv2DReparameterization(Reparameterization, _Conv):
    """2D convolution with weight uncertainty, by reparameterization.

    Use it in place of `keras.layers.Conv2D` where you want a network for images to report its
    uncertainty. Kernel and bias are drawn from distributions that training fits, and every call
    draws again:

        kernel, bias ~ posterior
        outputs = activation(convolution(inputs, kernel) + bias)

    The plainest estimator, for a kernel of any distribution: one draw of the kernel serves the
    whole batch. A call costs half of what Flipout's costs. But the examples share their noise, so
    that the variance of the gradient does not fall below a bound, however large the batch. Use it
    where `kernel_posterior_fn` is not normal.

    Once built, the layer adds the divergence of the posterior from the prior to its `losses`, so
    that `fit()` minimizes the negative evidence lower bound. The divergence counts once for the
    whole data, the likelihood once for every example: with Keras's mean over a batch as the loss,
    pass `kl_weight=1/n`, where `n` is the number of training examples.

    A posterior, prior or divergence of your own is a function, or an object of a class with
    `__call__` and `get_config`, with the arguments given below. It trains as it is. To save the
    model, register it with `keras.saving.register_keras_serializable()`, and have the same lines
    run wherever the model is loaded.

    Args:
        filters: Whole number of at least 1, the number of outputs at each position (the size of the
            channel axis of the outputs).
        kernel_size: Whole number of at least 1, or one for each dimension: the size of the window
            that the kernel covers.
        strides: Whole number of at least 1, or one for each dimension: the step of the window.
            Default `1`.
        padding: `"valid"`, no padding; `"same"`, with zeros such that with strides of 1 outputs
            have the positions of the inputs; in one dimension also `"causal"`, with zeros in front
            only, so that no output depends on later inputs. Default `"valid"`.
        data_format: `"channels_last"` for inputs of shape `(batch, ..., channels)`,
            `"channels_first"` for `(batch, channels, ...)`, or `None` for what Keras is configured
            to use. Default `"channels_last"`.
        dilation_rate: Whole number of at least 1, or one for each dimension: the distance between
            the inputs that neighbouring elements of the kernel see. With a `dilation_rate` above 1,
            `strides` must be 1. Default `1`.
        activation: Activation function: the name of one of Keras's, a function, or `None` for none.
            Default `None`.
        activity_regularizer: Keras regularizer of the outputs, or `None`. Default `None`.
        trainable: Bool, whether training updates the weights. Default `True`.
        kernel_posterior_fn: Distribution of the kernel that training fits: `MeanFieldNormal()`,
            `MultivariateNormalTriL()` or `Deterministic()`, or its name, such as
            `"multivariate_normal_tril"`, or a function `(dtype, shape, name, trainable,
            add_variable_fn)` that returns a distribution of the backend's library. Default
            `"mean_field_normal"`.
        kernel_posterior_tensor_fn: Value that stands for the distribution of the kernel in one
            call: `"sample"`, `"mean"`, or a function of a distribution. It gets the posterior.
            Default `"sample"`.
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
        A Keras layer. Called on a tensor of shape
        `(batch, height, width, channels)` it returns a tensor of shape
        `(batch, new_height, new_width, filters)`; with `"channels_first"` the
        channels and the filters stand behind the batch.

    Raises:
        ValueError: An argument has a value that it cannot have; the message says what it can be.
        TypeError: An argument has the wrong type, or is not known.

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(28, 28, 1))])
    layer_api.layer_conv_2d_reparameterization(model, filters=8, kernel_size=3, activation="relu")
    model.compile(optimizer="adam", loss="mse")
    ```

    References:
        Kingma and Welling (2014), Auto-Encoding Variational Bayes, section 2.4.
        <https://arxiv.org/abs/1312.6114>
    """

    rank = 2


layer_conv_2d_reparameterization = layer_function(
    Conv2DReparameterization, "layer_conv_2d_reparameterization"
)


@registered
class Conv3DFlipout(Flipout, _Conv):
    """3D convolution with weight uncertainty, by the Flipout estimator.

    Use it in place of `keras.layers.Conv3D` where you want a network for volumes to report its
    uncertainty. Kernel and bias are drawn from distributions that training fits, and every call
    draws again:

        kernel, bias ~ posterior
        outputs = activation(convolution(inputs, kernel) + bias)

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
        filters: Whole number of at least 1, the number of outputs at each position (the size of the
            channel axis of the outputs).
        kernel_size: Whole number of at least 1, or one for each dimension: the size of the window
            that the kernel covers.
        strides: Whole number of at least 1, or one for each dimension: the step of the window.
            Default `1`.
        padding: `"valid"`, no padding; `"same"`, with zeros such that with strides of 1 outputs
            have the positions of the inputs; in one dimension also `"causal"`, with zeros in front
            only, so that no output depends on later inputs. Default `"valid"`.
        data_format: `"channels_last"` for inputs of shape `(batch, ..., channels)`,
            `"channels_first"` for `(batch, channels, ...)`, or `None` for what Keras is configured
            to use. Default `"channels_last"`.
        dilation_rate: Whole number of at least 1, or one for each dimension: the distance between
            the inputs that neighbouring elements of the kernel see. With a `dilation_rate` above 1,
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
        A Keras layer. Called on a tensor of shape
        `(batch, depth, height, width, channels)` it returns a tensor of shape
        `(batch, new_depth, new_height, new_width, filters)`; with `"channels_first"` the
        channels and the filters stand behind the batch.

    Raises:
        ValueError: An argument has a value that it cannot have; the message says what it can be.
        TypeError: An argument has the wrong type, or is not known.

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(16, 16, 16, 1))])
    layer_api.layer_conv_3d_flipout(model, filters=8, kernel_size=3, activation="relu")
    model.compile(optimizer="adam", loss="mse")
    ```

    References:
        Wen, Vicol, Ba, Tran and Grosse (2018), Flipout: Efficient Pseudo-Independent Weight
        Perturbations on Mini-Batches. <https://arxiv.org/abs/1803.04386>
    """

    rank = 3


layer_conv_3d_flipout = layer_function(Conv3DFlipout, "layer_conv_3d_flipout")


@registered
class Conv3DReparameterization(Reparameterization, _Conv):
    """3D convolution with weight uncertainty, by reparameterization.

    Use it in place of `keras.layers.Conv3D` where you want a network for volumes to report its
    uncertainty. Kernel and bias are drawn from distributions that training fits, and every call
    draws again:

        kernel, bias ~ posterior
        outputs = activation(convolution(inputs, kernel) + bias)

    The plainest estimator, for a kernel of any distribution: one draw of the kernel serves the
    whole batch. A call costs half of what Flipout's costs. But the examples share their noise, so
    that the variance of the gradient does not fall below a bound, however large the batch. Use it
    where `kernel_posterior_fn` is not normal.

    Once built, the layer adds the divergence of the posterior from the prior to its `losses`, so
    that `fit()` minimizes the negative evidence lower bound. The divergence counts once for the
    whole data, the likelihood once for every example: with Keras's mean over a batch as the loss,
    pass `kl_weight=1/n`, where `n` is the number of training examples.

    A posterior, prior or divergence of your own is a function, or an object of a class with
    `__call__` and `get_config`, with the arguments given below. It trains as it is. To save the
    model, register it with `keras.saving.register_keras_serializable()`, and have the same lines
    run wherever the model is loaded.

    Args:
        filters: Whole number of at least 1, the number of outputs at each position (the size of the
            channel axis of the outputs).
        kernel_size: Whole number of at least 1, or one for each dimension: the size of the window
            that the kernel covers.
        strides: Whole number of at least 1, or one for each dimension: the step of the window.
            Default `1`.
        padding: `"valid"`, no padding; `"same"`, with zeros such that with strides of 1 outputs
            have the positions of the inputs; in one dimension also `"causal"`, with zeros in front
            only, so that no output depends on later inputs. Default `"valid"`.
        data_format: `"channels_last"` for inputs of shape `(batch, ..., channels)`,
            `"channels_first"` for `(batch, channels, ...)`, or `None` for what Keras is configured
            to use. Default `"channels_last"`.
        dilation_rate: Whole number of at least 1, or one for each dimension: the distance between
            the inputs that neighbouring elements of the kernel see. With a `dilation_rate` above 1,
            `strides` must be 1. Default `1`.
        activation: Activation function: the name of one of Keras's, a function, or `None` for none.
            Default `None`.
        activity_regularizer: Keras regularizer of the outputs, or `None`. Default `None`.
        trainable: Bool, whether training updates the weights. Default `True`.
        kernel_posterior_fn: Distribution of the kernel that training fits: `MeanFieldNormal()`,
            `MultivariateNormalTriL()` or `Deterministic()`, or its name, such as
            `"multivariate_normal_tril"`, or a function `(dtype, shape, name, trainable,
            add_variable_fn)` that returns a distribution of the backend's library. Default
            `"mean_field_normal"`.
        kernel_posterior_tensor_fn: Value that stands for the distribution of the kernel in one
            call: `"sample"`, `"mean"`, or a function of a distribution. It gets the posterior.
            Default `"sample"`.
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
        A Keras layer. Called on a tensor of shape
        `(batch, depth, height, width, channels)` it returns a tensor of shape
        `(batch, new_depth, new_height, new_width, filters)`; with `"channels_first"` the
        channels and the filters stand behind the batch.

    Raises:
        ValueError: An argument has a value that it cannot have; the message says what it can be.
        TypeError: An argument has the wrong type, or is not known.

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(16, 16, 16, 1))])
    layer_api.layer_conv_3d_reparameterization(model, filters=8, kernel_size=3, activation="relu")
    model.compile(optimizer="adam", loss="mse")
    ```

    References:
        Kingma and Welling (2014), Auto-Encoding Variational Bayes, section 2.4.
        <https://arxiv.org/abs/1312.6114>
    """

    rank = 3


layer_conv_3d_reparameterization = layer_function(
    Conv3DReparameterization, "layer_conv_3d_reparameterization"
)

# The names of TensorFlow Probability.
Convolution1DFlipout = Conv1DFlipout
Convolution1DReparameterization = Conv1DReparameterization
Convolution2DFlipout = Conv2DFlipout
Convolution2DReparameterization = Conv2DReparameterization
Convolution3DFlipout = Conv3DFlipout
Convolution3DReparameterization = Conv3DReparameterization
