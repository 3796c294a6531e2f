"""A layer that appends learned columns to its inputs: scales that all rows share."""

import keras
from keras import ops

from layer_api import messages, noise, serialization, validation
from layer_api.compose import layer_function, registered
from layer_api.layers.base import SeededLayer


@registered
class SharedScale(SeededLayer):
    """Layer that appends trainable columns to its inputs, the same in all rows.

    Use it as the last layer before a likelihood such as `NormalLikelihood`, where the noise of the
    data is learned but is the same everywhere: the layers before it return the locations, and this
    one adds the untransformed scales.

        outputs = [inputs, variable]

    The variable has no distribution of its own: training finds one value.

    Args:
        units: Whole number of at least 1, how many columns to append. Default `None`: as many as
            the inputs have, one scale for each location.
        initializer: Keras initializer of the columns, or its name. Default `"zeros"`, which the
            likelihoods take for a scale of `log(2)`.
        seed: Whole number from 0 to 2147483647 that governs the initial values, if the initializer
            draws them. Default `None`: Keras's global random state decides, see
            `keras.utils.set_random_seed()`.
        **kwargs: Further arguments of `keras.layers.Layer`, such as `name` or `trainable`.

    Returns:
        A Keras layer. Called on a tensor of shape `(batch, ..., features)` it returns a tensor of
        shape `(batch, ..., features + units)`.

    Raises:
        ValueError: An argument has a value that it cannot have; the message says what it can be.
        TypeError: An argument has the wrong type, or is not known.

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(13,))])
    layer_api.layer_dense_flipout(model, units=1)
    layer_api.layer_shared_scale(model)
    model.compile(optimizer="adam", loss=layer_api.NormalLikelihood())
    ```
    """

    def __init__(self, units=None, initializer="zeros", *, seed=None, **kwargs):
        if units is not None:
            units = _check_units(units)
        initializer = serialization.check_initializer("initializer", initializer)
        seed = validation.check_seed(seed)
        super().__init__(seed=seed, **kwargs)
        self.supports_masking = True
        self.units = units
        self.initializer = initializer

    def build(self, input_shape):
        """Create the columns."""
        features = self._features(input_shape)
        if self.built:
            return
        validation.check_size("untransformed_scale", (self.units or features,))
        axes = {} if features is None else {-1: features}
        self.input_spec = keras.layers.InputSpec(min_ndim=2, axes=axes)
        self._claim_seed()
        self.untransformed_scale = self.add_weight(
            name="untransformed_scale",
            shape=(self.units or features,),
            initializer=noise.fresh_initializer(
                self.initializer, self._noise_seed, "untransformed_scale"
            ),
        )
        self.built = True

    def call(self, inputs):
        """Return the inputs with the columns behind them."""
        inputs = ops.cast(validation.check_numeric(inputs), self.compute_dtype)
        columns = ops.cast(self.untransformed_scale, self.compute_dtype)
        shape = (*ops.shape(inputs)[:-1], self.untransformed_scale.shape[0])
        return ops.concatenate([inputs, ops.broadcast_to(columns, shape)], axis=-1)

    def compute_output_shape(self, input_shape):
        """Return the shape of the inputs with more features."""
        features = self._features(input_shape)
        return (*input_shape[:-1], features and features + (self.units or features))

    def _features(self, input_shape):
        """Return the size of the last axis, which has to be known where `units` is None."""
        validation.check_one_tensor(input_shape)
        if len(input_shape) >= 2 and input_shape[-1] is None:
            if self.units is None:
                raise messages.invalid(
                    "inputs",
                    "a tensor whose last dimension is defined",
                    messages.describe_shape(input_shape),
                    "Or pass how many columns to append, for example units = 1.",
                )
            return None
        return validation.check_features(input_shape)

    def get_config(self):
        """Return the arguments that make an equal layer; refuse functions that cannot be saved."""
        return {
            **super().get_config(),
            "units": self.units,
            "initializer": serialization.serialize("initializer", self.initializer),
            "seed": self.seed,
        }


def _check_units(value):
    """Return the number of columns as an int."""
    number = validation.as_index(value)
    if number is None or number < 1:
        raise messages.invalid(
            "units",
            "None/NULL or a whole number of at least 1",
            messages.describe(value),
            "Leave it out for one column for each of the inputs.",
        )
    return number


layer_shared_scale = layer_function(SharedScale, "layer_shared_scale")
