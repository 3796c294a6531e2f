"""A layer that returns a variable, whatever its inputs are."""

import keras
from keras import ops

from layer_api import arguments, identifiers, noise
from layer_api.arguments import REQUIRED
from layer_api.compose import layer_function, registered
from layer_api.layer import Layer


@registered
class VariableLayer(Layer):
    """Layer that returns a variable, the same for all inputs.

    Use it where the parameters of a model depend on no input, for example as the first layer of a
    distribution with trainable parameters: it stands for a function of the inputs that is constant.

        outputs = activation(variable)

    The outputs have the shape of the variable alone, without an axis for the batch.

    Args:
        shape: Whole number of at least 1, or a list of them, the shape of the variable and of the
            outputs. An empty list stands for a single number.
        dtype: Name of the dtype of the variable, or a dtype policy of Keras. Default `None`, that
            of Keras's global policy.
        activation: Activation function: the name of one of Keras's, a function, or `None` for
            none. Default `None`.
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

    {raises}

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
        arguments.only_known(type(self), kwargs)
        shape = arguments.shape("shape", shape)
        activation = identifiers.activation(activation)
        initializer = identifiers.initializer("initializer", initializer)
        regularizer = identifiers.regularizer("regularizer", regularizer)
        constraint = identifiers.constraint("constraint", constraint)
        seed = arguments.seed(seed)

        super().__init__(dtype=dtype, **kwargs)
        is_usual = self.dtype_policy.name == keras.config.dtype_policy().name
        own_dtype = None if is_usual else self.dtype_policy.name
        # Past Keras's tracker, which would wrap what it finds.
        vars(self).update(shape=shape, _given={"dtype": own_dtype})
        self.activation = activation
        self.initializer = initializer
        self.regularizer = regularizer
        self.constraint = constraint
        self.seed = seed
        self._noise_seed = noise.drawn_seed() if seed is None else seed

    def build(self, input_shape=None):
        """Create the variable; the shape of the inputs does not matter."""
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
            "activation": identifiers.serialize("activation", identifiers.by_name(self.activation)),
            "initializer": identifiers.serialize("initializer", self.initializer),
            "regularizer": identifiers.serialize("regularizer", self.regularizer),
            "constraint": identifiers.serialize("constraint", self.constraint),
            "seed": self.seed,
        }


layer_variable = layer_function(VariableLayer, "layer_variable")
