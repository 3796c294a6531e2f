"""The pipe rule: what "object %>% layer" means, and the `layer_*` functions made from classes."""

import importlib
import inspect
import numbers
import os
import sys
from collections.abc import Callable
from typing import Any, ParamSpec, Protocol, TypeVar, cast, overload

import keras

from layer_api import keras_private, messages, validation
from layer_api.messages import REQUIRED

P = ParamSpec("P")
L = TypeVar("L")

# How the function of each class is called with a model, for messages.
_CALLS: dict[str, str] = {}


class LayerFunction(Protocol[P, L]):
    """Type of a `layer_*` function: `object`, then the arguments of the class."""

    @overload
    def __call__(self, object: None, *args: P.args, **kwargs: P.kwargs) -> L: ...
    @overload
    def __call__(self, object: Any, *args: P.args, **kwargs: P.kwargs) -> Any: ...
    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> L: ...


def registered(layer_class):
    """Register a layer class, so that a saved model finds it in any session."""
    return keras.saving.register_keras_serializable("layer_api")(layer_class)


class Wing(Protocol):
    """What makes layers for objects of another Keras than Keras 3."""

    def make(self, layer_class: Any, args: Any, kwargs: Any) -> Any:
        """Return the layer that the same arguments of `layer_class` mean for Keras 3."""

    def add(self, model: Any, layer: Any) -> Any:
        """Add a layer to a Sequential model; where that fails, leave it as it was."""


# The name of the module that is a wing. Nothing below the package's first floor imports it: it
# is imported once somebody brings an object that it is for.
_wings: list[str] = []


def register_wing(module: str) -> None:
    """Have layers for Keras 2 made by a module."""
    _wings.append(module)


def _wing() -> Wing:
    return cast(Wing, importlib.import_module(_wings[0]))


def is_of_keras_2(object: Any) -> bool:
    """Tell whether `object`, or a tensor in a list, is of Keras 2 and no eager tensor."""
    values = object if isinstance(object, (list, tuple)) else [object]
    kinds = ("Layer", "KerasTensor")
    return any(messages.is_keras_2(value, kind) for value in values for kind in kinds)


# Whether R's keras3 is loaded, which has Keras 3 alone. The R package says so.
r_has_keras3 = False


def wants_keras_2() -> bool:
    """Tell whether a layer without an object is one for Keras 2.

    TF_USE_LEGACY_KERAS asks for it, by the values that TensorFlow takes. But the variable may have
    been set by a package, as by R's tfprobability, for a session that has nothing of Keras 2: then
    TensorFlow has not imported `tf_keras`, since it runs already or is not the backend, or R has
    loaded keras3.
    """
    is_asked_for = os.environ.get("TF_USE_LEGACY_KERAS") in ("true", "True", "1")
    return is_asked_for and "tf_keras" in sys.modules and not r_has_keras3


def remedy_for_keras_2(instead: str) -> str:
    """Say what to do where a layer for Keras 2 meets an object of Keras 3: `instead`, to begin."""
    unset = (
        ", or unset the environment variable TF_USE_LEGACY_KERAS, which packages such as R's "
        "tfprobability set: it asks for layers of Keras 2 where there is no object"
    )
    return f"{instead}{unset if wants_keras_2() else ''}."


def layer_function(layer_class: Callable[P, L], name: str) -> LayerFunction[P, L]:
    """Return the function `name(object, ...)` that makes a layer and composes it with `object`."""
    parameters = validation.parameters_of(layer_class)
    by_name = f"{name}({next(iter(parameters))} = 512)"
    _CALLS[layer_class.__name__] = f"{name}(model, ...)"

    def make_and_compose(object=REQUIRED, *args, **kwargs):
        kind = _kind(object, by_name)
        # Before the class misses the argument that was meant.
        validation.check_known(layer_class, [key for key in kwargs if key not in parameters])
        is_for_keras_2 = wants_keras_2() if kind == "nothing" else is_of_keras_2(object)
        make = _wing().make if is_for_keras_2 else _make
        layer = make(layer_class, args, kwargs)
        return _compose(object, kind, layer)

    function: Any = make_and_compose
    first = inspect.Parameter("object", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=REQUIRED)
    function.__signature__ = inspect.Signature([first, *parameters.values()])
    function.__name__ = function.__qualname__ = name
    function.__module__ = layer_class.__module__
    function.__doc__ = _document(layer_class)
    function.layer_class = layer_class
    return function


def _make(layer_class, args, kwargs):
    return layer_class(*args, **kwargs)


def pipe(object: Any, *steps: Callable) -> Any:
    """Send `object` through `steps`, from the first to the last: R's `object %>% a() %>% b()`.

    With it, as in R, a model reads in the order in which it computes.

    Args:
        object: Sequential model, tensor, Keras tensor or list of them.
        *steps: Layers, or functions of one argument. A layer is added to a Sequential model, and
            called on anything else.

    Returns:
        What the last step returns: the same model for a Sequential model, a tensor for a tensor.

    Raises:
        TypeError: `object` or a step is none of these.

    Example:

    ```python
    model = layer_api.pipe(
        keras.Sequential([keras.Input(shape=(13,))]),
        layer_api.layer_dense_flipout(units=32, activation="relu"),
        layer_api.layer_dense_flipout(units=1),
    )
    ```
    """
    if object is None:
        raise _unsuitable(object)
    for step in steps:
        if isinstance(step, type) or not callable(step):
            raise messages.invalid(
                "steps",
                "layers or functions of one argument",
                messages.describe(step),
                _remedy(step),
                TypeError,
            )
        if isinstance(step, keras.layers.Layer) or is_of_keras_2(step):
            kind = _kind(object)
            _refuse_other_keras(object, step)
            object = _compose(object, kind, step)
        else:
            object = step(object)
    return object


def _refuse_other_keras(object, layer):
    """Refuse a layer of Keras 3 for a model or symbolic tensor of Keras 2, and the reverse."""
    name = type(layer).__name__
    if is_of_keras_2(layer):
        is_other, belongs = isinstance(object, keras.Model) or _is_symbolic(object), 3
        remedy = "Use a layer of Keras 3, or begin with a model of tf_keras."
        if type(layer).__module__ in _wings:
            remedy = remedy_for_keras_2(f"Pass the model, as in {_CALLS[name]}")
    else:
        is_other, belongs = is_of_keras_2(object), 2
        remedy = f"Use tf_keras.layers.{name}, or begin with a model of Keras 3."
        if name in _CALLS:
            remedy = (
                f"Pass the model, as in {_CALLS[name]}, or set the environment variable "
                "TF_USE_LEGACY_KERAS=1 before TensorFlow is loaded."
            )
    if is_other:
        raise messages.invalid(
            "steps",
            f"layers of Keras {belongs} here, as the object is",
            f"{messages.describe(layer)} of Keras {5 - belongs}",
            remedy,
            TypeError,
        )


def _compose(object, kind, layer):
    if kind == "nothing":
        return layer
    if kind == "tensor":
        return layer(object)
    if is_of_keras_2(object):
        return _wing().add(object, layer)
    layers_before = list(object.layers)
    try:
        object.add(layer)
    except Exception:
        # Keras appends the layer before it builds it: leave the model as it was.
        keras_private.remove_last_layer(object, layers_before)
        raise
    return object


def _kind(object, by_name=None):
    """Tell what `object` is to a layer: "nothing", "model" or "tensor"; refuse anything else.

    `by_name` shows a call of the `layer_*` function in which the first argument has its name.
    """
    if object is None or object is REQUIRED:
        return "nothing"
    if isinstance(object, keras.Sequential) or messages.is_keras_2(object, "Sequential"):
        return "model"
    values = object if isinstance(object, (list, tuple)) and len(object) else [object]
    if all(_is_tensor(value) for value in values):
        return "tensor"
    raise _unsuitable(object, by_name)


def _is_tensor(value):
    if keras.ops.is_tensor(value) or _is_symbolic(value):
        return True
    if messages.is_keras_2(value, "KerasTensor"):
        return True
    # An array of numbers, NumPy's or an R matrix, is what a layer may be called on too.
    dtype = getattr(value, "dtype", None)
    is_array = hasattr(value, "__array__") and hasattr(value, "ndim") and not hasattr(value, "iloc")
    return is_array and value.ndim > 0 and getattr(dtype, "kind", "") in "fiub"


def _is_symbolic(value):
    values = value if isinstance(value, (list, tuple)) else [value]
    return any(isinstance(v, keras.KerasTensor) for v in values)


def _unsuitable(object, by_name=None):
    expected = "a Sequential model, a tensor, a list of tensors or None/NULL"
    received = messages.describe(object)
    return messages.invalid("object", expected, received, _remedy(object, by_name), TypeError)


def _remedy(object, by_name=None):
    """Say what to do about an `object` or a step that is of no use."""
    if isinstance(object, type):
        return f"Make a layer of the class first: {object.__name__}(...)."
    if isinstance(object, numbers.Real) and by_name:
        return f"To set the first argument of the layer, name it: {by_name}."
    is_model = isinstance(object, keras.Model) or messages.is_keras_2(object, "Model")
    if not is_model and messages.is_layer(object):
        return (
            "A layer alone is not a model: was the model in front of the pipe None/NULL? "
            "Begin with a Sequential model."
        )
    if is_model:
        return (
            "Only Sequential models can be added to: apply the layer to a tensor, such as the "
            "output of the model."
        )
    if messages.describe(object) == "a data frame":
        return "Make a matrix of numbers of a data frame first."
    return "Begin with a Sequential model, or with an Input for a functional one."


_OBJECT = """
    object: What to compose the layer with. A Sequential model: the layer is added to it and the
        model returned. A tensor, Keras tensor or list of them: the layer is called on it and its
        output returned. Missing or `None`: the layer is returned.
"""


def _document(layer_class):
    """Return the docstring of the class with `object` as the first argument."""
    return inspect.cleandoc(layer_class.__doc__).replace("\nArgs:\n", "\nArgs:" + _OBJECT, 1)
