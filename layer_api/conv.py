"""Convolutions in one, two and three dimensions."""

import keras
from keras import layers, ops

from layer_api import arguments, backend
from layer_api.arguments import REQUIRED
from layer_api.compose import layer_function, registered
from layer_api.estimators import Flipout, Reparameterization
from layer_api.variational import VariationalLayer


class _Conv(VariationalLayer):
    """activation(convolution(inputs, kernel) + bias), in `rank` dimensions.

    Args:
        filters: Whole number of at least 1, the number of outputs at each position (the size of
            the channel axis of the outputs).
        kernel_size: Whole number of at least 1, or one for each dimension: the size of the window
            that the kernel covers.
        strides: Whole number of at least 1, or one for each dimension: the step of the window.
            Default `1`.
        padding: `"valid"`, no padding; `"same"`, with zeros such that with strides of 1 outputs
            have the positions of the inputs; in one dimension also `"causal"`, with zeros in
            front alone, such that no output depends on later inputs. Default `"valid"`.
        data_format: `"channels_last"` for inputs of shape `(batch, ..., channels)`,
            `"channels_first"` for `(batch, channels, ...)`, or `None` for what Keras is configured
            to use. Default `"channels_last"`.
        dilation_rate: Whole number of at least 1, or one for each dimension: the distance between
            the inputs that neighbouring elements of the kernel see. With a `dilation_rate` above
            1, `strides` must be 1. Default `1`.
        {shared}
    """

    rank: int

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
        filters = arguments.whole_number("filters", filters, 1, "Pass, for example, filters=32.")
        kernel_size = arguments.whole_numbers("kernel_size", kernel_size, self.rank)
        strides = arguments.whole_numbers("strides", strides, self.rank)
        dilation_rate = arguments.whole_numbers("dilation_rate", dilation_rate, self.rank)
        paddings = ("valid", "same", "causal") if self.rank == 1 else ("valid", "same")
        padding = arguments.one_of("padding", padding, paddings)
        data_format = keras.config.image_data_format() if data_format is None else data_format
        formats = ("channels_last", "channels_first")
        data_format = arguments.one_of("data_format", data_format, formats)
        if max(strides) > 1 and max(dilation_rate) > 1:
            raise arguments.invalid(
                "dilation_rate",
                "1 where strides are above 1",
                arguments.describe(dilation_rate),
                f"Or leave strides at 1: they are {arguments.describe(strides)}.",
            )
        super().__init__(
            activation=activation,
            activity_regularizer=activity_regularizer,
            trainable=trainable,
            kernel_posterior_fn=kernel_posterior_fn,
            kernel_posterior_tensor_fn=kernel_posterior_tensor_fn,
            kernel_prior_fn=kernel_prior_fn,
            kernel_divergence_fn=kernel_divergence_fn,
            bias_posterior_fn=bias_posterior_fn,
            bias_posterior_tensor_fn=bias_posterior_tensor_fn,
            bias_prior_fn=bias_prior_fn,
            bias_divergence_fn=bias_divergence_fn,
            seed=seed,
            kl_weight=kl_weight,
            **kwargs,
        )
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.padding = padding
        self.data_format = data_format
        self.dilation_rate = dilation_rate

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
        """Return the shape of the outputs, with `filters` on the channel axis."""
        kernel = keras.KerasTensor(self._kernel_shape(input_shape))
        return tuple(self._linear(keras.KerasTensor(input_shape), kernel).shape)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "data_format": self.data_format,
            "dilation_rate": self.dilation_rate,
        }

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
        if self._channel_axis == 1 and not backend.CONVOLVES_CHANNELS_FIRST:
            inputs = ops.moveaxis(inputs, 1, -1)
            outputs = ops.conv(
                inputs, kernel, self.strides, padding, "channels_last", self.dilation_rate
            )
            return ops.moveaxis(outputs, -1, 1)
        return ops.conv(inputs, kernel, self.strides, padding, self.data_format, self.dilation_rate)

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
        arguments.one_tensor(input_shape)
        positions = ", ".join(f"size_{i + 1}" for i in range(self.rank))
        order = f"{positions}, channels" if self._channel_axis == -1 else f"channels, {positions}"
        if len(input_shape) != self.rank + 2:
            raise arguments.invalid(
                "inputs",
                f"a tensor of {self.rank + 2} dimensions, (batch, {order})",
                arguments.describe_shape(input_shape),
                "Add the dimension that is missing, or choose the layer for another number of "
                "dimensions.",
            )
        channels = input_shape[self._channel_axis]
        if channels is None:
            raise arguments.invalid(
                "inputs",
                f"a tensor whose number of channels is defined, (batch, {order})",
                arguments.describe_shape(input_shape),
                "The kernel has weights for every channel: give their number in Input(shape).",
            )
        if channels == 0:
            raise arguments.invalid(
                "inputs",
                f"a tensor with at least 1 channel, (batch, {order})",
                arguments.describe_shape(input_shape),
                "There is nothing to learn from no channel: leave the layer out.",
            )
        sizes = input_shape[2:] if self._channel_axis == 1 else input_shape[1:-1]
        windows = [
            d * (k - 1) + 1 if self.padding == "valid" else 1
            for k, d in zip(self.kernel_size, self.dilation_rate, strict=True)
        ]
        if any(n is not None and n < w for n, w in zip(sizes, windows, strict=True)):
            raise arguments.invalid(
                "inputs",
                f"a tensor with at least {arguments.describe(windows)} positions, (batch, {order})",
                arguments.describe_shape(input_shape),
                "The window of the kernel has to fit in: choose a smaller kernel_size or "
                "dilation_rate, or padding='same'.",
            )
        return (*self.kernel_size, channels, self.filters)

    def _bias_shape(self):
        return (self.filters,)


@registered
class Conv1DFlipout(Flipout, _Conv):
    """1D convolution with weight uncertainty, by the Flipout estimator.

    Use it in place of `keras.layers.Conv1D` where a network for sequences shall say how sure it is.
    Kernel and bias are drawn from distributions that training fits, and every call draws anew:

        kernel, bias ~ posterior
        outputs = activation(convolution(inputs, kernel) + bias)

    {estimator}

    {losses}

    {arguments}

    Returns:
        A Keras layer. Called on a tensor of shape
        `(batch, steps, channels)` it returns a tensor of shape
        `(batch, new_steps, filters)`; with `"channels_first"` the
        channels and the filters stand behind the batch.

    {raises}

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(100, 8))])
    layer_api.layer_conv_1d_flipout(model, filters=8, kernel_size=3, activation="relu")
    model.compile(optimizer="adam", loss="mse")
    ```

    {references}
    """

    rank = 1


layer_conv_1d_flipout = layer_function(Conv1DFlipout, "layer_conv_1d_flipout")


@registered
class Conv1DReparameterization(Reparameterization, _Conv):
    """1D convolution with weight uncertainty, by reparameterization.

    Use it in place of `keras.layers.Conv1D` where a network for sequences shall say how sure it is.
    Kernel and bias are drawn from distributions that training fits, and every call draws anew:

        kernel, bias ~ posterior
        outputs = activation(convolution(inputs, kernel) + bias)

    {estimator}

    {losses}

    {arguments}

    Returns:
        A Keras layer. Called on a tensor of shape
        `(batch, steps, channels)` it returns a tensor of shape
        `(batch, new_steps, filters)`; with `"channels_first"` the
        channels and the filters stand behind the batch.

    {raises}

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(100, 8))])
    layer_api.layer_conv_1d_reparameterization(model, filters=8, kernel_size=3, activation="relu")
    model.compile(optimizer="adam", loss="mse")
    ```

    {references}
    """

    rank = 1


layer_conv_1d_reparameterization = layer_function(
    Conv1DReparameterization, "layer_conv_1d_reparameterization"
)


@registered
class Conv2DFlipout(Flipout, _Conv):
    """2D convolution with weight uncertainty, by the Flipout estimator.

    Use it in place of `keras.layers.Conv2D` where a network for images shall say how sure it is.
    Kernel and bias are drawn from distributions that training fits, and every call draws anew:

        kernel, bias ~ posterior
        outputs = activation(convolution(inputs, kernel) + bias)

    {estimator}

    {losses}

    {arguments}

    Returns:
        A Keras layer. Called on a tensor of shape
        `(batch, height, width, channels)` it returns a tensor of shape
        `(batch, new_height, new_width, filters)`; with `"channels_first"` the
        channels and the filters stand behind the batch.

    {raises}

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(28, 28, 1))])
    layer_api.layer_conv_2d_flipout(model, filters=8, kernel_size=3, activation="relu")
    model.compile(optimizer="adam", loss="mse")
    ```

    {references}
    """

    rank = 2


layer_conv_2d_flipout = layer_function(Conv2DFlipout, "layer_conv_2d_flipout")


@registered
class Conv2DReparameterization(Reparameterization, _Conv):
    """2D convolution with weight uncertainty, by reparameterization.

    Use it in place of `keras.layers.Conv2D` where a network for images shall say how sure it is.
    Kernel and bias are drawn from distributions that training fits, and every call draws anew:

        kernel, bias ~ posterior
        outputs = activation(convolution(inputs, kernel) + bias)

    {estimator}

    {losses}

    {arguments}

    Returns:
        A Keras layer. Called on a tensor of shape
        `(batch, height, width, channels)` it returns a tensor of shape
        `(batch, new_height, new_width, filters)`; with `"channels_first"` the
        channels and the filters stand behind the batch.

    {raises}

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(28, 28, 1))])
    layer_api.layer_conv_2d_reparameterization(model, filters=8, kernel_size=3, activation="relu")
    model.compile(optimizer="adam", loss="mse")
    ```

    {references}
    """

    rank = 2


layer_conv_2d_reparameterization = layer_function(
    Conv2DReparameterization, "layer_conv_2d_reparameterization"
)


@registered
class Conv3DFlipout(Flipout, _Conv):
    """3D convolution with weight uncertainty, by the Flipout estimator.

    Use it in place of `keras.layers.Conv3D` where a network for volumes shall say how sure it is.
    Kernel and bias are drawn from distributions that training fits, and every call draws anew:

        kernel, bias ~ posterior
        outputs = activation(convolution(inputs, kernel) + bias)

    {estimator}

    {losses}

    {arguments}

    Returns:
        A Keras layer. Called on a tensor of shape
        `(batch, depth, height, width, channels)` it returns a tensor of shape
        `(batch, new_depth, new_height, new_width, filters)`; with `"channels_first"` the
        channels and the filters stand behind the batch.

    {raises}

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(16, 16, 16, 1))])
    layer_api.layer_conv_3d_flipout(model, filters=8, kernel_size=3, activation="relu")
    model.compile(optimizer="adam", loss="mse")
    ```

    {references}
    """

    rank = 3


layer_conv_3d_flipout = layer_function(Conv3DFlipout, "layer_conv_3d_flipout")


@registered
class Conv3DReparameterization(Reparameterization, _Conv):
    """3D convolution with weight uncertainty, by reparameterization.

    Use it in place of `keras.layers.Conv3D` where a network for volumes shall say how sure it is.
    Kernel and bias are drawn from distributions that training fits, and every call draws anew:

        kernel, bias ~ posterior
        outputs = activation(convolution(inputs, kernel) + bias)

    {estimator}

    {losses}

    {arguments}

    Returns:
        A Keras layer. Called on a tensor of shape
        `(batch, depth, height, width, channels)` it returns a tensor of shape
        `(batch, new_depth, new_height, new_width, filters)`; with `"channels_first"` the
        channels and the filters stand behind the batch.

    {raises}

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(16, 16, 16, 1))])
    layer_api.layer_conv_3d_reparameterization(model, filters=8, kernel_size=3, activation="relu")
    model.compile(optimizer="adam", loss="mse")
    ```

    {references}
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
