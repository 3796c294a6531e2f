"""The Keras 3 layer, with the attributes of the Keras 2 reference that Keras 3 dropped."""

import functools

import keras
import numpy as np
from keras import ops

from layer_api import arguments, identifiers

# A loss that is a function of the weights is evaluated when a model collects its losses, and this
# method is the one place where Keras 3 does so. Without it the divergence would silently be left
# out of the training, so say it aloud.
if not hasattr(keras.layers.Layer, "_get_own_losses"):
    raise ImportError(
        f"layer_api does not know how Keras {keras.__version__} collects the losses of a layer. "
        "Install a version of Keras that this release of layer_api was tested with: 3.5 to 3.15."
    )


class Layer(keras.layers.Layer):
    """Base of all layers here: losses as functions, metrics, name scopes, checked weights."""

    RAISES = """
    Raises:
        ValueError: An argument has a value that it cannot have; the message says what it can be.
        TypeError: An argument has the wrong type, or is not known.
    """

    def __init__(self, **kwargs):
        super().__init__(**arguments.of_keras(kwargs))
        self._loss_functions = []
        # Past Keras's tracker, which accepts no new metric once the layer is built.
        vars(self).update(_added_metrics=[], _given={})

    def __repr__(self):
        """Return the arguments that differ from the defaults, as Keras prints a layer."""
        return self._described(self.name, self.built)

    def _described(self, name, built):
        """Return how a layer of these arguments is printed, under a name."""
        defaults = arguments.parameters_of(type(self))
        values = {key: self._given.get(key, getattr(self, key, None)) for key in defaults}
        if "activation" in values:
            values["activation"] = identifiers.by_name(self.activation)
        shown = [
            f"{key}={identifiers.shown(value)}"
            for key, value in values.items()
            if key != "kwargs" and not identifiers.is_default(key, value, defaults[key].default)
        ]
        state = [f"name={name}", *shown, f"built={built}"]
        return f"<{type(self).__name__} {', '.join(state)}>"

    def __getattr__(self, name):
        # torch comes here also if a property raises an AttributeError, and would say that there is
        # no such attribute: let the property say what is wrong.
        found = getattr(type(self), name, None)
        if isinstance(found, property):
            return found.fget(self)
        inherited = getattr(super(), "__getattr__", None)
        if inherited is None:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        return inherited(name)

    def _activate(self, outputs):
        """Return the activation of `outputs`; refuse what is of another shape, or no tensor."""
        remedy = "An activation works element by element."
        return arguments.returned("activation", self.activation(outputs), remedy, outputs.shape)

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
            raise arguments.invalid(
                "name", "the name of the metric", "None/NULL", "Pass, for example, name='scale'."
            )
        if unknown := set(kwargs) - {"aggregation"}:
            raise TypeError(f"`{min(unknown)}` is not an argument of add_metric.")
        metric = next((m for m in self._added_metrics if m.name == name), None)
        if metric is None:
            metric = keras.metrics.Mean(name=name)
            self._added_metrics.append(metric)
        if any(v._value is None and v._initializer is None for v in metric.variables):
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
        return tuple(self._flatten_layers(include_self=False))

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
