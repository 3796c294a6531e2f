"""Embeddings: each whole number stands for a vector, which is uncertain."""

import math

import keras
from keras import ops

from layer_api import validation
from layer_api.compose import layer_function, registered
from layer_api.layers.variational_layer import VariationalLayer, holds
from layer_api.messages import REQUIRED
from layer_api.weights.variational_weight import VariationalWeight


@registered
@holds("embeddings")
class EmbeddingReparameterization(VariationalLayer):
    """Embedding with weight uncertainty, by reparameterization.

    Use it in place of `keras.layers.Embedding`, for words, products or other categories, where you
    want the network to know which of them it has seen only rarely. The vectors are drawn from
    distributions that training fits, and every call draws again:

        embeddings ~ posterior
        outputs = embeddings[inputs]

    One draw serves the whole batch: equal numbers have equal vectors within a call. The vector of
    an input that is none of the categories, such as a missing value, is NaN.

    Once built, the layer adds the divergence of the posterior from the prior to its `losses`, so
    that `fit()` minimizes the negative evidence lower bound. The divergence counts once for the
    whole data, the likelihood once for every example: with Keras's mean over a batch as the loss,
    pass `kl_weight=1/n`, where `n` is the number of training examples.

    A posterior, prior or divergence of your own is a function, or an object of a class with
    `__call__` and `get_config`, with the arguments given below. It trains as it is. To save the
    model, register it with `keras.saving.register_keras_serializable()`, and have the same lines
    run wherever the model is loaded.

    Args:
        input_dim: Whole number of at least 1, how many categories there are. Inputs are whole
            numbers from 0 to `input_dim - 1`.
        output_dim: Whole number of at least 1, the size of the vectors.
        activity_regularizer: Keras regularizer of the outputs, or `None`. Default `None`.
        trainable: Bool, whether training updates the weights. Default `True`.
        embeddings_posterior_fn: Distribution of the embeddings that training fits:
            `MeanFieldNormal()`, `MultivariateNormalTriL()` or `Deterministic()`, or its name, such
            as `"multivariate_normal_tril"`, or a function `(dtype, shape, name, trainable,
            add_variable_fn)` that returns a distribution of the backend's library. Default
            `"mean_field_normal"`.
        embeddings_posterior_tensor_fn: Value that stands for the distribution of the embeddings in
            one call: `"sample"`, `"mean"`, or a function of a distribution. It gets the posterior.
            Default `"sample"`.
        embeddings_prior_fn: Distribution of the embeddings before the data: `StandardNormal()`,
            `NormalPrior()`, `LaplacePrior()`, `ScaleMixturePrior()`, `TrainableNormal()` or
            `PretrainedNormal()`, or its name, such as `"laplace"`; a function as for
            `embeddings_posterior_fn`; or `None` for no prior and no divergence. Default
            `"standard_normal"`.
        embeddings_divergence_fn: Divergence of posterior from prior: `KLDivergence()` or
            `MonteCarloKL()`, or its name, `"kl_divergence"` or `"monte_carlo"`; a function `(q, p,
            sample)` of posterior, prior and a value drawn from the posterior; or `None` for none.
            Default `"kl_divergence"`.
        mask_zero: Bool, whether 0 stands for padding, which later layers leave out. Default
            `False`.
        seed: Whole number from 0 to 2147483647 that governs every draw of the layer, the initial
            weights included. Layers of one model may have the same seed: each draws its own
            numbers. Default `None`: Keras's global random state decides, see
            `keras.utils.set_random_seed()`.
        kl_weight: Number of at least 0, the factor on the divergences. It may be changed at any
            time, see `set_kl_weight()`. Default `1.0`.
        **kwargs: Further arguments of `keras.layers.Layer`, such as `name`, `dtype` or
            `input_shape`.

    Returns:
        A Keras layer. Called on a tensor of whole numbers of shape `(batch, ...)` it returns a
        tensor of shape `(batch, ..., output_dim)`.

    Raises:
        ValueError: An argument has a value that it cannot have; the message says what it can be.
        TypeError: An argument has the wrong type, or is not known.

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(10,), dtype="int32")])
    layer_api.layer_embedding_reparameterization(model, input_dim=1000, output_dim=8)
    model.output_shape  # (None, 10, 8)
    ```

    References:
        Kingma and Welling (2014), Auto-Encoding Variational Bayes, section 2.4.
        <https://arxiv.org/abs/1312.6114>
    """

    def __init__(
        self,
        input_dim=REQUIRED,
        output_dim=REQUIRED,
        activity_regularizer=None,
        trainable=True,
        embeddings_posterior_fn="mean_field_normal",
        embeddings_posterior_tensor_fn="sample",
        embeddings_prior_fn="standard_normal",
        embeddings_divergence_fn="kl_divergence",
        mask_zero=False,
        seed=None,
        *,
        kl_weight=1.0,
        **kwargs,
    ):
        input_dim = validation.check_whole_number(
            "input_dim", input_dim, 1, "Pass, for example, input_dim = 1000."
        )
        output_dim = validation.check_whole_number(
            "output_dim", output_dim, 1, "Pass, for example, output_dim = 8."
        )
        mask_zero = validation.check_flag("mask_zero", mask_zero)
        embeddings = VariationalWeight(
            "embeddings",
            embeddings_posterior_fn,
            embeddings_posterior_tensor_fn,
            embeddings_prior_fn,
            embeddings_divergence_fn,
        )
        super().__init__(
            embeddings,
            activity_regularizer=activity_regularizer,
            trainable=trainable,
            seed=seed,
            kl_weight=kl_weight,
            **kwargs,
        )
        self.autocast = False  # in half precision whole numbers from 257 on would be rounded
        self.input_dim = input_dim
        self.output_dim = output_dim
        self.mask_zero = mask_zero

    def build(self, input_shape=None):
        """Create the variables; the shape of the inputs does not matter."""
        validation.check_one_tensor(input_shape or ())
        super().build(input_shape)

    def call(self, inputs):
        """Return the vectors of the inputs for one draw."""
        inputs = validation.check_numeric(inputs)
        embeddings = self._cast(self.embeddings.draw(self._next_state(inputs)))
        # A backend would take another vector, each its own, for a number that none stands for.
        dtype = keras.backend.standardize_dtype(inputs.dtype)
        if dtype == "bool":
            inputs = ops.cast(inputs, "int32")
        is_known = ops.logical_and(inputs >= 0, inputs < self.input_dim)
        if keras.backend.is_float_dtype(dtype):
            is_known = ops.logical_and(is_known, ops.equal(inputs, ops.floor(inputs)))
        indices = ops.cast(ops.where(is_known, inputs, ops.zeros_like(inputs)), "int32")
        vectors = ops.take(embeddings, indices, axis=0)
        unknown = ops.zeros_like(vectors) + math.nan  # a sum, as torch would copy the number
        return ops.where(is_known[..., None], vectors, unknown)

    def compute_mask(self, inputs, mask=None):
        """Return where the inputs are not 0, if that stands for padding."""
        return ops.not_equal(inputs, 0) if self.mask_zero else None

    def compute_output_shape(self, input_shape):
        """Return the shape of the outputs: that of the inputs, and `output_dim`."""
        validation.check_one_tensor(input_shape)
        return (*input_shape, self.output_dim)

    def get_config(self):
        return {
            **super().get_config(),
            "input_dim": self.input_dim,
            "output_dim": self.output_dim,
            "mask_zero": self.mask_zero,
        }

    def _weight_shapes(self, input_shape):
        return {"embeddings": (self.input_dim, self.output_dim)}

    def _fans(self, name, shape):
        return 1, self.output_dim  # an output is one of the weights, and no sum


layer_embedding_reparameterization = layer_function(
    EmbeddingReparameterization, "layer_embedding_reparameterization"
)
