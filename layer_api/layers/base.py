"""The Keras 3 layers that all others are made from: what Keras 3 dropped, and a seed."""

import functools
import warnings
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from layer_api import backend, keras_private, messages, noise, serialization, validation

# What may be assigned to at any time, beside the functions of a weight, which check it themselves.
_CHANGEABLE = {"trainable", "name", "dtype", "kl_weight", "kwargs"}

# Attributes of `tfp.layers`, and where their value comes from.
_OF_ONE_CALL = {
    "kernel_posterior_tensor": "kernel_posterior",
    "kernel_posterior_affine": "kernel_posterior",
    "kernel_posterior_affine_tensor": "kernel_posterior",
    "bias_posterior_tensor": "bias_posterior",
}


class Layer(keras.layers.Layer):
    """Base of all layers here: losses as functions, metrics, name scopes, checked weights."""

    built: bool
    input_spec: Any
    _fixed_arguments: ClassVar[set[str]] = set()

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if cls.__module__.startswith("layer_api."):  # what a user's class is made with is its own
            cls._fixed_arguments = set(validation.parameters_of(cls)) - _CHANGEABLE

    def __init__(self, **kwargs):
        own = self._fixed_arguments
        validation.check_known(type(self), [name for name in kwargs if name not in own])
        has_activation = "activation" in kwargs
        activation = serialization.check_activation(kwargs.pop("activation", None))
        kwargs = validation.check_keras_arguments(kwargs)
        if "activity_regularizer" in kwargs:
            kwargs["activity_regularizer"] = serialization.check_regularizer(
                "activity_regularizer", kwargs["activity_regularizer"]
            )
        super().__init__(**kwargs)
        if has_activation:
            self.activation = activation
        self._loss_functions = []
        # Untracked, as Keras accepts no new metric once the layer is built.
        keras_private.untracked(self, _added_metrics=[], _given={})

    def __setattr__(self, name, value):
        # What a layer is made with is built into its weights and into compiled functions: a change
        # would take effect in some places and not in others.
        if name in vars(self) and name in self._fixed_arguments:
            raise messages.invalid(
                name,
                f"left as it is: the layer '{self.name}' was made with it",
                "another value",
                f"Make a new layer: change '{name}' in what get_config() returns, and pass that to "
                "from_config().",
                AttributeError,
            )
        super().__setattr__(name, value)

    def get_config(self):
        """Return the arguments that make an equal layer; refuse functions that cannot be saved."""
        config = super().get_config()
        if hasattr(self, "activation"):
            activation = serialization.name_of(self.activation)
            config["activation"] = serialization.serialize("activation", activation)
        return config

    def __repr__(self):
        """Return the arguments that differ from the defaults, as Keras prints a layer."""
        return self._described(self.name, self.built)

    def _described(self, name, built):
        """Return how a layer of these arguments is printed, under a name."""
        defaults = validation.parameters_of(type(self))
        values = {key: self._argument(key) for key in defaults}
        if "activation" in values:
            values["activation"] = serialization.name_of(self.activation)
        shown = [
            f"{key}={serialization.describe_config(value)}"
            for key, value in values.items()
            if key != "kwargs" and not serialization.is_default(key, value, defaults[key].default)
        ]
        state = [f"name={name}", *shown, f"built={built}"]
        return f"<{type(self).__name__} {', '.join(state)}>"

    def _argument(self, name):
        """Return what the user gave for an argument of the constructor."""
        return self._given.get(name, getattr(self, name, None))

    def __getattr__(self, name):
        # torch comes here also if a property raises an AttributeError, and would say that there is
        # no such attribute: let the property say what is wrong.
        found = getattr(type(self), name, None)
        if isinstance(found, property):
            return found.__get__(self)
        if name in _OF_ONE_CALL and hasattr(type(self), _OF_ONE_CALL[name]):
            raise AttributeError(
                f"'{type(self).__name__}' object has no attribute '{name}', the value of one call, "
                f"which no compiled function can hand out. Use {_OF_ONE_CALL[name]}, the "
                "distribution, and its mean or a draw from it."
            )
        inherited = getattr(super(), "__getattr__", None)
        if inherited is None:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        return inherited(name)

    def _activate(self, outputs):
        """Return the activation of `outputs`; refuse what is of another shape, or no tensor."""
        remedy = "An activation works element by element."
        return validation.check_returned(
            "activation", self.activation(outputs), remedy, outputs.shape
        )

    def add_loss(self, losses, **kwargs):
        """Add a loss to the layer: a scalar tensor, a function of no arguments, or a list of them.

        A function is evaluated whenever the losses are asked for, so that its gradient reaches the
        weights it reads.

        Args:
            losses: Scalar tensor, function that returns one, or a list of those.
            **kwargs: `inputs`, accepted and not used, as in Keras 2.
        """
        if unknown := set(kwargs) - {"inputs"}:
            raise TypeError(f"`{min(unknown)}` is not an argument of add_loss.")
        for loss in losses if isinstance(losses, (list, tuple)) else [losses]:
            if callable(loss) and not hasattr(loss, "dtype"):
                self._loss_functions.append(loss)
            else:
                super().add_loss(loss)

    def _get_own_losses(self):
        losses = [loss() for loss in self._loss_functions] + super()._get_own_losses()
        # Keras adds losses up, which takes one dtype: also for a layer of another dtype.
        dtype = "float64" if keras.backend.floatx() == "float64" else "float32"
        return [ops.cast(loss, dtype) for loss in losses]

    def add_metric(self, value, name=None, **kwargs):
        """Add a tensor to the metrics of the layer, averaged over batches.

        Args:
            value: Tensor, of which the mean is kept.
            name: Name of the metric. A name that exists already gets the new value.
            **kwargs: `aggregation`, accepted and not used, as in Keras 2.

        Raises:
            NotImplementedError: In a call inside `fit()` on JAX, where Keras has no state of
                metrics.
        """
        if name is None:
            raise messages.invalid(
                "name", "the name of the metric", "None/NULL", "Pass, for example, name = 'scale'."
            )
        if unknown := set(kwargs) - {"aggregation"}:
            raise TypeError(f"`{min(unknown)}` is not an argument of add_metric.")
        metric = next((m for m in self._added_metrics if m.name == name), None)
        if metric is None:
            metric = keras.metrics.Mean(name=name)
            self._added_metrics.append(metric)
        if any(map(keras_private.is_without_value, metric.variables)):
            raise NotImplementedError(
                f"The metric '{name}' cannot be updated inside `fit()` on JAX, where Keras takes "
                "the state of metrics out of a model while it trains. Compute it in a callback, or "
                "set KERAS_BACKEND to tensorflow or torch."
            )
        metric.update_state(value)

    @property
    def metrics(self):
        """Metrics of the layer, those of `add_metric` among them."""
        return [*super().metrics, *self._added_metrics]

    @property
    def dynamic(self):
        """Whether the layer can run eagerly only: never."""
        return False

    @property
    def name_scope(self):
        """A context in which operations and variables carry the name of the layer."""
        return keras.name_scope(self.name)

    @property
    def submodules(self):
        """All layers inside this one, as a tuple."""
        return tuple(keras_private.inner_layers(self))

    @classmethod
    def with_name_scope(cls, method):
        """Decorate a method so that it runs in the name scope of its layer."""

        @functools.wraps(method)
        def in_scope(self, *args, **kwargs):
            with self.name_scope:
                return method(self, *args, **kwargs)

        return in_scope

    def compute_mask(self, inputs, mask=None):
        """Return the mask of the outputs: the mask of the inputs, where masking is supported."""
        return super().compute_mask(inputs, mask)

    def set_weights(self, weights):
        """Set all weights, in the order of `get_weights()`; nothing changes if one does not fit.

        Args:
            weights: List of arrays.
        """
        expected = [tuple(variable.shape) for variable in self.weights]
        weights = [value if hasattr(value, "shape") else np.asarray(value) for value in weights]
        received = [tuple(value.shape) for value in weights]
        if expected != received:
            raise ValueError(
                f"`weights` must be arrays of the shapes {_shapes(expected)}. "
                f"Received: {_shapes(received)}. Pass what get_weights() of a layer of the same "
                "size returns; a layer has weights once it is built."
            )
        super().set_weights([ops.convert_to_numpy(value) for value in weights])


def _shapes(shapes):
    return ", ".join(f"({', '.join(map(str, shape))})" for shape in shapes) or "none"


class SeededLayer(Layer):
    """Layer with a seed, which decides the initial weights and all draws.

    Layers of one model that have the same seed are twins: they must not draw the same numbers. Each
    gets a number when it is built, the lowest that no twin connected with it has yet: twins in the
    calls that lead to its inputs and in all that follow from them, or, inside the `call()` or
    `build()` of another layer or model, twins inside the outermost of those. So a program repeats,
    and a layer that stands alone has number 0, whose seed is the given one.
    """

    def __init__(self, *, seed, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed
        own_seed = noise.drawn_seed() if seed is None else seed
        keras_private.untracked(
            self,
            _own_seed=own_seed,
            _noise_seed=own_seed,
            _twin=None,
            _saved_twin=None,
            _first_call=(),
            _checked_in=None,
        )

    def __call__(self, *args, **kwargs):
        """Call the layer; see `call()`."""
        if self.seed is not None and not backend.random.is_compiling():
            if self._twin is None:
                keras_private.untracked(self, _first_call=(args, kwargs))
            else:
                self._warn_of_equal_noise()
        return super().__call__(*args, **kwargs)

    def get_build_config(self):
        """Return what a file holds of how the layer was built: shapes, and which twin it is."""
        config = super().get_build_config()
        return {**config, "twin": self._twin} if config else config

    def build_from_config(self, config):
        """Build the layer as the one that a file was made from."""
        config = dict(config)
        keras_private.untracked(self, _saved_twin=config.pop("twin", None))
        super().build_from_config(config)

    def _claim_seed(self, layers=None):
        """Settle, while the layer is built, which of its twins it is.

        Args:
            layers: the layers of the same model. Default: those connected with this one.
        """
        if self.seed is None:
            return
        if layers is None:
            layers = keras_private.connected_layers(keras.tree.flatten(self._first_call))
            if outer := keras_private.enclosing_layers():
                layers += keras_private.inner_layers(outer[0])
        taken = {layer._twin for layer in self._twins(layers)}
        number = next(number for number in range(len(taken) + 1) if number not in taken)
        if self._saved_twin is not None:  # a file's layers are built before they are connected
            number = self._saved_twin
        noise_seed = noise.seed_of_twin(self._own_seed, number)
        keras_private.untracked(self, _twin=number, _noise_seed=noise_seed, _first_call=())

    def _twins(self, layers):
        """Return those of `layers` that have the same seed and are built."""
        return [
            layer
            for layer in layers
            if isinstance(layer, SeededLayer)
            and layer is not self
            and layer.seed == self.seed
            and layer._twin is not None
        ]

    def _warn_of_equal_noise(self):
        """Warn where a model has a twin of the same number, once for each model."""
        outer = keras_private.enclosing_layers()
        if not outer or self._checked_in == id(outer[0]):
            return
        keras_private.untracked(self, _checked_in=id(outer[0]))
        before = []
        for layer in keras_private.inner_layers(outer[0]):
            if layer is self:
                break
            before.append(layer)
        for twin in self._twins(before):
            if twin._twin == self._twin:
                warnings.warn(
                    f"The layers '{twin.name}' and '{self.name}' of '{outer[0].name}' have the "
                    f"same seed, {self.seed}, and were built apart from each other: they draw "
                    "equal noise and started from equal weights, so that outputs of the model are "
                    "biased. Give each a seed of its own.",
                    stacklevel=2,
                )
                return
