"""Dense layers: the kernel multiplies the last axis of the inputs."""

from keras import layers, ops

from layer_api import arguments
from layer_api.arguments import REQUIRED
from layer_api.compose import layer_function, registered
from layer_api.estimators import Flipout, LocalReparameterization, Reparameterization
from layer_api.variational import VariationalLayer


class _Dense(VariationalLayer):
    """activation(inputs @ kernel + bias), over the last axis of inputs of any rank from 2.

    Args:
        units: Whole number of at least 1, the number of outputs (the size of their last axis).
        {shared}
    """

    def __init__(
        self,
        units=REQUIRED,
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
        units = arguments.whole_number("units", units, 1, "Pass, for example, units=10.")
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
        self.units = units

    def build(self, input_shape):
        super().build(input_shape)
        self.input_spec = layers.InputSpec(min_ndim=2, axes={-1: input_shape[-1]})

    def compute_output_shape(self, input_shape):
        """Return the shape of the outputs: that of the inputs with `units` as the last axis."""
        self._kernel_shape(input_shape)
        return (*input_shape[:-1], self.units)

    def get_config(self):
        return {**super().get_config(), "units": self.units}

    def _linear(self, inputs, kernel):
        return ops.matmul(inputs, kernel)

    def _sign_shapes(self, input_shape, output_shape):
        return input_shape, output_shape

    def _kernel_shape(self, input_shape):
        return (arguments.features(input_shape), self.units)

    def _bias_shape(self):
        return (self.units,)


@registered
class DenseFlipout(Flipout, _Dense):
    """Densely-connected layer with weight uncertainty, by the Flipout estimator.

    Use it in place of `keras.layers.Dense` where a network shall say how sure it is. Kernel and
    bias are drawn from distributions that training fits, and every call draws anew:

        kernel, bias ~ posterior
        outputs = activation(inputs @ kernel + bias)

    {estimator}

    {losses}

    {arguments}

    Returns:
        A Keras layer. Called on a tensor of shape `(batch, ..., features)` it returns a tensor of
        shape `(batch, ..., units)`.

    {raises}

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(13,))])
    layer_api.layer_dense_flipout(model, units=32, activation="relu", kl_weight=1 / 506)
    layer_api.layer_dense_flipout(model, units=1, kl_weight=1 / 506)
    model.compile(optimizer="adam", loss="mse")
    ```

    {references}
    """


layer_dense_flipout = layer_function(DenseFlipout, "layer_dense_flipout")


@registered
class DenseReparameterization(Reparameterization, _Dense):
    """Densely-connected layer with weight uncertainty, by the reparameterization estimator.

    Use it in place of `keras.layers.Dense` where a network shall say how sure it is. Kernel and
    bias are drawn from distributions that training fits, and every call draws anew:

        kernel, bias ~ posterior
        outputs = activation(inputs @ kernel + bias)

    {estimator}

    {losses}

    {arguments}

    Returns:
        A Keras layer. Called on a tensor of shape `(batch, ..., features)` it returns a tensor of
        shape `(batch, ..., units)`.

    {raises}

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(13,))])
    layer_api.layer_dense_reparameterization(model, units=32, activation="relu", kl_weight=1 / 506)
    layer_api.layer_dense_reparameterization(model, units=1, kl_weight=1 / 506)
    model.compile(optimizer="adam", loss="mse")
    ```

    {references}
    """


layer_dense_reparameterization = layer_function(
    DenseReparameterization, "layer_dense_reparameterization"
)


@registered
class DenseLocalReparameterization(LocalReparameterization, _Dense):
    """Densely-connected layer with weight uncertainty, by local reparameterization.

    Use it in place of `keras.layers.Dense` where a network shall say how sure it is. Kernel and
    bias are drawn from distributions that training fits, and every call draws anew:

        kernel, bias ~ posterior
        outputs = activation(inputs @ kernel + bias)

    {estimator}

    {losses}

    {arguments}

    Returns:
        A Keras layer. Called on a tensor of shape `(batch, ..., features)` it returns a tensor of
        shape `(batch, ..., units)`.

    {raises}

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(13,))])
    layer_api.layer_dense_local_reparameterization(model, units=32, activation="relu")
    layer_api.layer_dense_local_reparameterization(model, units=1)
    model.compile(optimizer="adam", loss="mse")
    ```

    {references}
    """


layer_dense_local_reparameterization = layer_function(
    DenseLocalReparameterization, "layer_dense_local_reparameterization"
)
