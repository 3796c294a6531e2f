"""Dense layers: the kernel multiplies the last axis of the inputs."""

from keras import layers

from layer_api import backend, validation
from layer_api.compose import layer_function, registered
from layer_api.layers.estimators import Flipout, LocalReparameterization, Reparameterization
from layer_api.layers.variational_layer import KernelLayer
from layer_api.messages import REQUIRED


class _Dense(KernelLayer):
    """activation(inputs @ kernel + bias), over the last axis of inputs of any rank from 2.

    Args:
        units: Whole number of at least 1, the number of outputs (the size of their last axis).
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
        units = validation.check_whole_number("units", units, 1, "Pass, for example, units = 10.")
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
        return backend.arrays.matmul(inputs, kernel)

    def _sign_shapes(self, input_shape, output_shape):
        return input_shape, output_shape

    def _kernel_shape(self, input_shape):
        return (validation.check_features(input_shape), self.units)


@registered
class DenseFlipout(Flipout, _Dense):
    """Densely-connected layer with weight uncertainty, by the Flipout estimator.

    Use it in place of `keras.layers.Dense` where you want the network to report its uncertainty.
    Kernel and bias are drawn from distributions that training fits, and every call draws again:

        kernel, bias ~ posterior
        outputs = activation(inputs @ kernel + bias)

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
        units: Whole number of at least 1, the number of outputs (the size of their last axis).
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
        A Keras layer. Called on a tensor of shape `(batch, ..., features)` it returns a tensor of
        shape `(batch, ..., units)`.

    Raises:
        ValueError: An argument has a value that it cannot have; the message says what it can be.
        TypeError: An argument has the wrong type, or is not known.

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(13,))])
    layer_api.layer_dense_flipout(model, units=32, activation="relu", kl_weight=1 / 506)
    layer_api.layer_dense_flipout(model, units=1, kl_weight=1 / 506)
    model.compile(optimizer="adam", loss="mse")
    ```

    References:
        Wen, Vicol, Ba, Tran and Grosse (2018), Flipout: Efficient Pseudo-Independent Weight
        Perturbations on Mini-Batches. <https://arxiv.org/abs/1803.04386>
    """


layer_dense_flipout = layer_function(DenseFlipout, "layer_dense_flipout")


@registered
class DenseReparameterization(Reparameterization, _Dense):
    """Densely-connected layer with weight uncertainty, by the reparameterization estimator.

    Use it in place of `keras.layers.Dense` where you want the network to report its uncertainty.
    Kernel and bias are drawn from distributions that training fits, and every call draws again:

        kernel, bias ~ posterior
        outputs = activation(inputs @ kernel + bias)

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
        units: Whole number of at least 1, the number of outputs (the size of their last axis).
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
        A Keras layer. Called on a tensor of shape `(batch, ..., features)` it returns a tensor of
        shape `(batch, ..., units)`.

    Raises:
        ValueError: An argument has a value that it cannot have; the message says what it can be.
        TypeError: An argument has the wrong type, or is not known.

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(13,))])
    layer_api.layer_dense_reparameterization(model, units=32, activation="relu", kl_weight=1 / 506)
    layer_api.layer_dense_reparameterization(model, units=1, kl_weight=1 / 506)
    model.compile(optimizer="adam", loss="mse")
    ```

    References:
        Kingma and Welling (2014), Auto-Encoding Variational Bayes, section 2.4.
        <https://arxiv.org/abs/1312.6114>
    """


layer_dense_reparameterization = layer_function(
    DenseReparameterization, "layer_dense_reparameterization"
)


@registered
class DenseLocalReparameterization(LocalReparameterization, _Dense):
    """Densely-connected layer with weight uncertainty, by local reparameterization.

    Use it in place of `keras.layers.Dense` where you want the network to report its uncertainty.
    Kernel and bias are drawn from distributions that training fits, and every call draws again:

        kernel, bias ~ posterior
        outputs = activation(inputs @ kernel + bias)

    The local reparameterization draws the outputs instead of the kernel, from the distribution that
    the kernel gives them: normal with the mean `inputs @ loc` and the variance `inputs^2 @
    scale^2`. Every row and every unit has noise of its own, so the gradient has the smallest
    variance of the three estimators, for the price of two products with a kernel. Where a layer is
    applied at several positions of an example, as in inputs of rank 3, the positions do not share
    the draw.

    Once built, the layer adds the divergence of the posterior from the prior to its `losses`, so
    that `fit()` minimizes the negative evidence lower bound. The divergence counts once for the
    whole data, the likelihood once for every example: with Keras's mean over a batch as the loss,
    pass `kl_weight=1/n`, where `n` is the number of training examples.

    A posterior, prior or divergence of your own is a function, or an object of a class with
    `__call__` and `get_config`, with the arguments given below. It trains as it is. To save the
    model, register it with `keras.saving.register_keras_serializable()`, and have the same lines
    run wherever the model is loaded.

    Args:
        units: Whole number of at least 1, the number of outputs (the size of their last axis).
        activation: Activation function: the name of one of Keras's, a function, or `None` for none.
            Default `None`.
        activity_regularizer: Keras regularizer of the outputs, or `None`. Default `None`.
        trainable: Bool, whether training updates the weights. Default `True`.
        kernel_posterior_fn: Distribution of the kernel that training fits: `MeanFieldNormal()`, or
            its name, `"mean_field_normal"`, or a function `(dtype, shape, name, trainable,
            add_variable_fn)` that returns a distribution of the backend's library. It has to be one
            of independent normals. Default `"mean_field_normal"`.
        kernel_posterior_tensor_fn: Value that stands for the distribution of the kernel in one
            call: `"sample"`, `"mean"`, or a function of a distribution. It gets the distribution of
            the outputs before the bias. Default `"sample"`.
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
        A Keras layer. Called on a tensor of shape `(batch, ..., features)` it returns a tensor of
        shape `(batch, ..., units)`.

    Raises:
        ValueError: An argument has a value that it cannot have; the message says what it can be.
        TypeError: An argument has the wrong type, or is not known.

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(13,))])
    layer_api.layer_dense_local_reparameterization(model, units=32, activation="relu")
    layer_api.layer_dense_local_reparameterization(model, units=1)
    model.compile(optimizer="adam", loss="mse")
    ```

    References:
        Kingma, Salimans and Welling (2015), Variational Dropout and the Local Reparameterization
        Trick, equation 6. <https://arxiv.org/abs/1506.02557>
    """


layer_dense_local_reparameterization = layer_function(
    DenseLocalReparameterization, "layer_dense_local_reparameterization"
)
