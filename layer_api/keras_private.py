"""Every hook of Keras that its documentation does not promise, each with a test of its own.

`tests/python/test_keras_private.py` fails where a version of Keras changes one of them.
"""

import contextlib

import keras
from keras.src.backend.common import global_state, stateless_scope

# A loss that is a function of the weights is evaluated when a model collects its losses, and this
# method is the one place where Keras 3 does so. Without it the divergence would silently be left
# out of the training, so say it aloud.
if not hasattr(keras.layers.Layer, "_get_own_losses"):
    raise ImportError(
        f"layer_api does not know how Keras {keras.__version__} collects the losses of a layer. "
        "Install a version of Keras that this release of layer_api was tested with: 3.5 to 3.15."
    )


def keep_message(exception):
    """Return the exception such that Keras does not add what the layer was called with."""
    exception._keras_call_info_injected = True
    return exception


def untracked(layer, **attributes):
    """Set attributes such that Keras neither tracks nor wraps what it finds in them."""
    vars(layer).update(attributes)


class HeldNumber(keras.random.SeedGenerator):
    """A number that compiled functions read, and that is none of a layer's weights.

    Keras tracks it as it does the state of a generator of random numbers, whose class it is for
    that reason: what is assigned to it takes effect in the next step, with no function compiled
    anew, and `get_weights()` knows nothing of it.
    """

    def __init__(self, number, name):
        self.name = name

        def start(*_, dtype=None, **__):
            return keras.ops.convert_to_tensor(number, dtype)

        with keras.name_scope(name, caller=self):
            self.state = keras.Variable(
                start, shape=(), dtype="float32", trainable=False, aggregation="none", name=name
            )

    @property
    def value(self):
        """The number, as a tensor."""
        return self.state.value

    def assign(self, number, remedy):
        """Set the number; `remedy` says what to do where Keras holds all values itself."""
        if is_without_value(self.state):
            raise RuntimeError(
                f"{self.name} cannot be assigned to in the middle of an epoch on JAX, while Keras "
                f"holds the values of all variables. {remedy}"
            )
        self.state.assign(number)


def is_in_stateless_scope():
    """Tell whether Keras runs a function without side effects, and keeps the new state itself."""
    return stateless_scope.in_stateless_scope()


def set_value(variable, value):
    """Set the value of a variable, whatever is traced at the moment."""
    variable._value = value


def is_without_value(variable):
    """Tell whether Keras has taken the value out of a variable, as `fit()` does on JAX."""
    return variable._value is None and variable._initializer is None


def enclosing_layers():
    """Return the layers in whose `build()` or `call()` this is run, the outermost first."""
    scopes = global_state.get_global_attribute("name_scope_stack") or []
    return [scope.caller for scope in scopes if isinstance(scope.caller, keras.layers.Layer)]


def inner_layers(layer):
    """Return all layers inside a layer or model, those of inner models included."""
    return layer._flatten_layers(include_self=False)


def all_layers(model):
    """Return a model or layer of Keras 3 or of Keras 2, and all layers inside."""
    return list(model._flatten_layers())


def put_values_back(model):
    """Give all variables their values, where `fit()` holds them itself, as on JAX."""
    if hasattr(model, "jax_state_sync"):
        model.jax_state_sync()


def connected_layers(tensors):
    """Return the layers that symbolic tensors are connected with by calls, upwards and downwards.

    A model that was called counts with the layers inside it.
    """
    reached, found = [], {}
    for tensor in tensors:
        if isinstance(tensor, keras.KerasTensor) and hasattr(tensor, "_keras_history"):
            reached.append(tensor._keras_history.operation)
    while reached:
        operation = reached.pop()
        if id(operation) in found:
            continue
        found[id(operation)] = operation
        for node in operation._inbound_nodes:
            reached += [parent.operation for parent in node.parent_nodes]
        reached += [node.operation for node in operation._outbound_nodes]
    layers = [each for each in found.values() if isinstance(each, keras.layers.Layer)]
    return [inner for layer in layers for inner in layer._flatten_layers()]


def entry_layer(layer):
    """Return the outermost layer or model whose call is running."""
    return layer._get_call_context().entry_layer


def remove_last_layer(model, layers_before):
    """Take the layer that failed to build out of a Sequential model again."""
    if len(model.layers) > len(layers_before):
        model.pop(rebuild=False)
        if layers_before:
            model._maybe_rebuild()


@contextlib.contextmanager
def global_dtype_policy(name):
    """Make layers that are created inside have a dtype policy, unless they are given another."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
