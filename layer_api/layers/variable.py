"""A layer that returns a variable, whatever its inputs are."""

import keras
from keras import ops

from layer_api import keras_private, noise, serialization, validation
from layer_api.compose import layer_function, registered
from layer_api.layers.base import SeededLayer
from layer_api.messages import REQUIRED


@registered
class VariableLayer(SeededLayer):
    """Layer that returns a variable, the same for all inputs.

    Use it where the parameters of a model depend on no input, for example as the first layer of a
    distribution with trainable parameters: it stands for a function of the inputs that is constant.

        outputs = activation(variable)

    The outputs have the shape of the variable, without an axis for the batch.

    Args:
        shape: Whole number of at least 1, or a list of them, the shape of the variable and of the
            outputs. An empty list stands for a single number.
        dtype: Name of the dtype of the variable, or a dtype policy of Keras. Default `None`, that
            of Keras's global policy.
        activation: Activation function: the name of one of Keras's, a function, or `None` for none.
            Default `None`.
        initializer: Keras initializer of the variable, or its name. Default `"zeros"`.
        regularizer: Keras regularizer of the variable, its name, or `None`. Default `None`.
        constraint: Keras constraint of the variable, its name, or `None`. Default `None`.
        seed: Whole number from 0 to 2147483647 that governs the initial values, if the initializer
            draws them. Default `None`: Keras's global random state decides, see
            `keras.utils.set_random_seed()`.
        **kwargs: Further arguments of `keras.layers.Layer`, such as `name` or `trainable`.

    Returns:
        A Keras layer. Called on any tensor, or on nothing, it returns a tensor of the shape
        `shape`.

    Raises:
        ValueError: An argument has a value that it cannot have; the message says what it can be.
        TypeError: An argument has the wrong type, or is not known.

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(1,))])
    layer_api.layer_variable(model, shape=[3, 2], initializer="random_normal")
    model.output_shape  # (3, 2)
    ```
    """

    def __init__(
        self,
        shape=REQUIRED,
        dtype=None,
        activation=None,
        initializer="zeros",
        regularizer=None,
        constraint=None,
        *,
        seed=None,
        **kwargs,
    ):
        shape = validation.check_shape("shape", shape)
        initializer = serialization.check_initializer("initializer", initializer)
        regularizer = serialization.check_regularizer("regularizer", regularizer)
        constraint = serialization.check_constraint("constraint", constraint)
        seed = validation.check_seed(seed)

        super().__init__(dtype=dtype, activation=activation, seed=seed, **kwargs)
        is_usual = self.dtype_policy.name == keras.config.dtype_policy().name
        own_dtype = None if is_usual else self.dtype_policy.name
        keras_private.untracked(self, shape=shape, _given={"dtype": own_dtype})
        self.initializer = initializer
        self.regularizer = regularizer
        self.constraint = constraint

    def build(self, input_shape=None):
        """Create the variable; the shape of the inputs does not matter."""
        if self.built:
            return
        validation.check_size("shape", self.shape)
        self._claim_seed()
        self.constant = self.add_weight(
            name="constant",
            shape=self.shape,
            initializer=noise.fresh_initializer(self.initializer, self._noise_seed, "constant"),
            regularizer=self.regularizer,
            constraint=self.constraint,
        )
        self.built = True

    def call(self, inputs=None):
        """Return the variable after the activation."""
        return self._activate(ops.cast(self.constant, self.compute_dtype))

    def compute_output_shape(self, input_shape=None):
        """Return the shape of the variable."""
        return self.shape

    def compute_mask(self, inputs=None, mask=None):
        """Return None: what is masked in the inputs is not there in the outputs."""

    def get_config(self):
        """Return the arguments that make an equal layer; refuse functions that cannot be saved."""
        return {
            **super().get_config(),
            "shape": self.shape,
            "initializer": serialization.serialize("initializer", self.initializer),
            "regularizer": serialization.serialize("regularizer", self.regularizer),
            "constraint": serialization.serialize("constraint", self.constraint),
            "seed": self.seed,
        }


layer_variable = layer_function(VariableLayer, "layer_variable")
