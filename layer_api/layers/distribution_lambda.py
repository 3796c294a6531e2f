"""A layer that returns a distribution, for the functions that `DenseVariational` takes."""

from layer_api import keras_private, messages, serialization, validation
from layer_api.compose import layer_function, registered
from layer_api.layers.base import Layer
from layer_api.messages import REQUIRED


@registered
class DistributionLambda(Layer):
    """Layer that returns a distribution, made by a function of its inputs.

    Use it as the last layer of a Sequential model that makes a posterior or a prior for
    `DenseVariational`: the layers before it return the parameters of the distribution.

        outputs = make_distribution_fn(inputs)

    It cannot be the output layer of a model that `fit()` trains, as Keras 3 passes only tensors to
    a loss. There, let the last layer return the parameters, and pass the negative log-likelihood as
    the loss: one that is ready, such as `NormalLikelihood`, or a function of the targets and these
    parameters.

    Args:
        make_distribution_fn: Function of one argument, the inputs, that returns a distribution of
            the backend's library.
        **kwargs: Further arguments of `keras.layers.Layer`, such as `name` or `dtype`.

    Returns:
        A Keras layer. Called on a tensor it returns a distribution.

    Raises:
        ValueError: An argument has a value that it cannot have; the message says what it can be.
        TypeError: An argument has the wrong type, or is not known.

    Example:

    ```python
    import tensorflow_probability as tfp

    posterior = keras.Sequential([
        layer_api.VariableLayer(4),
        layer_api.DistributionLambda(
            lambda t: tfp.distributions.Independent(tfp.distributions.Normal(t, 1.0), 1)
        ),
    ])
    ```
    """

    def __init__(self, make_distribution_fn=REQUIRED, **kwargs):
        meant = _function(make_distribution_fn)
        super().__init__(**kwargs)
        keras_private.untracked(
            self, make_distribution_fn=meant, _given={"make_distribution_fn": meant}
        )

    def call(self, inputs):
        """Return the distribution for these inputs."""
        if _is_output_layer(self, keras_private.entry_layer(self)):
            raise TypeError(self._no_tensor())
        return self.make_distribution_fn(inputs)

    def compute_output_spec(self, inputs, **_):
        """Say that there is none: a Sequential model then applies its layers one by one."""
        raise NotImplementedError(self._no_tensor())

    def _no_tensor(self):
        return (
            f"The layer '{self.name}' returns a distribution, and Keras 3 passes only tensors from "
            "layer to layer of a model and to a loss. Let the last layer of the model return the "
            "parameters of the distribution, and write the negative log-likelihood as the loss: "
            "a function of the targets and these parameters. In a Sequential model that makes a "
            "posterior or a prior of DenseVariational this layer is in its place."
        )

    def get_config(self):
        """Return the arguments that make an equal layer; refuse functions that cannot be saved."""
        function = serialization.serialize("make_distribution_fn", self.make_distribution_fn)
        return {**super().get_config(), "make_distribution_fn": function}


def _is_output_layer(layer, model):
    """Tell whether `model`, in whose call `layer` is called, is one for `fit()` that it ends."""
    if not getattr(model, "compiled", False):
        return False
    while getattr(model, "layers", None):
        model = model.layers[-1]
    return model is layer


def _function(value):
    """Return the function that `value` is, or stands for in a saved config."""
    value = serialization.from_saved("make_distribution_fn", value)
    if isinstance(value, type) or not callable(value):
        raise messages.invalid(
            "make_distribution_fn",
            "a function that takes (inputs)",
            messages.describe(value),
            "Let it return a distribution, for example Independent(Normal(inputs, 1.0), 1).",
            TypeError,
        )
    validation.check_signature("make_distribution_fn", value, ("inputs",))
    return value


layer_distribution_lambda = layer_function(DistributionLambda, "layer_distribution_lambda")
