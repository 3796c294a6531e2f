"""The pipe rule: what "object %>% layer" means, and the `layer_*` functions made from classes."""

import inspect
import numbers
import textwrap
from collections.abc import Callable
from typing import Any, ParamSpec, Protocol, TypeVar, overload

import keras

from layer_api import arguments, legacy
from layer_api.arguments import REQUIRED

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
    """Register a layer class, so that a saved model finds it in any session.

    Where its docstring says {arguments}, it gets those of the class that has the constructor, and
    for {shared} in them those that all classes of a base have; for
    {estimator} and the like the text that one of its bases has under that name.
    """
    owner = next(c for c in layer_class.__mro__ if "__init__" in vars(c))
    described = inspect.cleandoc(owner.__doc__).partition("\nArgs:\n")[2]
    shared = textwrap.indent(inspect.cleandoc(getattr(owner, "SHARED", "")), "    ")
    described = described.replace("    {shared}", shared)
    document = inspect.cleandoc(layer_class.__doc__).replace("{arguments}", "Args:\n" + described)
    for name in ("ESTIMATOR", "LOSSES", "RAISES", "REFERENCES"):
        text = inspect.cleandoc(getattr(layer_class, name, ""))
        document = document.replace(f"{{{name.lower()}}}", text)
    layer_class.__doc__ = document
    return keras.saving.register_keras_serializable("layer_api")(layer_class)


def layer_function(layer_class: Callable[P, L], name: str) -> LayerFunction[P, L]:
    """Return the function `name(object, ...)` that makes a layer and composes it with `object`."""
    parameters = arguments.parameters_of(layer_class)
    by_name = f"{name}({next(iter(parameters))}=512)"
    _CALLS[layer_class.__name__] = f"{name}(model, ...)"

    def make_and_compose(object=REQUIRED, *args, **kwargs):
        kind = _kind(object, by_name)
        # Before the class misses the argument that was meant.
        arguments.only_known(layer_class, [key for key in kwargs if key not in parameters])
        is_legacy = legacy.is_wanted() if kind == "nothing" else legacy.is_among(object)
        layer = (legacy.make if is_legacy else _make)(layer_class, args, kwargs)
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

    With it a model reads in Python in the order in which it computes, as in R.

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
            raise arguments.invalid(
                "steps",
                "layers or functions of one argument",
                arguments.describe(step),
                _remedy(step),
                TypeError,
            )
        if isinstance(step, keras.layers.Layer) or legacy.is_among(step):
            kind = _kind(object)
            _refuse_other_keras(object, step)
            object = _compose(object, kind, step)
        else:
            object = step(object)
    return object


def _refuse_other_keras(object, layer):
    """Refuse a layer of Keras 3 for a model or symbolic tensor of Keras 2, and the reverse."""
    name = type(layer).__name__
    if legacy.is_among(layer):
        is_other, belongs = isinstance(object, keras.Model) or _is_symbolic(object), 3
        remedy = "Use a layer of Keras 3, or begin with a model of tf_keras."
        if legacy.is_ours(layer):
            remedy = legacy.remedy(f"Pass the model, as in {_CALLS[name]}")
    else:
        is_other, belongs = legacy.is_among(object), 2
        remedy = f"Use tf_keras.layers.{name}, or begin with a model of Keras 3."
        if name in _CALLS:
            remedy = (
                f"Pass the model, as in {_CALLS[name]}, or set the environment variable "
                "TF_USE_LEGACY_KERAS=1 before TensorFlow is loaded."
            )
    if is_other:
        raise arguments.invalid(
            "steps",
            f"layers of Keras {belongs} here, as the object is",
            f"{arguments.describe(layer)} of Keras {5 - belongs}",
            remedy,
            TypeError,
        )


def _compose(object, kind, layer):
    if kind == "nothing":
        return layer
    if kind == "tensor":
        return layer(object)
    if legacy.is_among(object):
        return legacy.add(object, layer)
    layers_before = list(object.layers)
    try:
        object.add(layer)
    except Exception:
        # Keras appends the layer before it builds it: leave the model as it was.
        if len(object.layers) > len(layers_before):
            object.pop(rebuild=False)
            if layers_before:
                object._maybe_rebuild()
        raise
    return object


def _kind(object, by_name=None):
    """Tell what `object` is to a layer: "nothing", "model" or "tensor"; refuse anything else.

    `by_name` shows a call of the `layer_*` function in which the first argument has its name.
    """
    if object is None or object is REQUIRED:
        return "nothing"
    if isinstance(object, keras.Sequential) or arguments.is_keras_2(object, "Sequential"):
        return "model"
    values = object if isinstance(object, (list, tuple)) and len(object) else [object]
    if all(_is_tensor(value) for value in values):
        return "tensor"
    raise _unsuitable(object, by_name)


def _is_tensor(value):
    if keras.ops.is_tensor(value) or _is_symbolic(value):
        return True
    if arguments.is_keras_2(value, "KerasTensor"):
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
    received = arguments.describe(object)
    return arguments.invalid("object", expected, received, _remedy(object, by_name), TypeError)


def _remedy(object, by_name=None):
    """Say what to do about an `object` or a step that is of no use."""
    if isinstance(object, type):
        return f"Make a layer of the class first: {object.__name__}(...)."
    if isinstance(object, numbers.Real) and by_name:
        return f"To set the first argument of the layer, name it: {by_name}."
    is_model = isinstance(object, keras.Model) or arguments.is_keras_2(object, "Model")
    if not is_model and arguments.is_layer(object):
        return (
            "A layer alone is not a model: was the model in front of the pipe None/NULL? "
            "Begin with keras.Sequential()."
        )
    if is_model:
        return "Only Sequential models can be added to: apply the layer to a tensor, model.output."
    if arguments.describe(object) == "a data frame":
        return "Make a matrix of numbers of a data frame first."
    return "Begin with keras.Sequential(), or keras.Input(shape) for a functional model."


_OBJECT = """
    object: What to compose the layer with. A Sequential model: the layer is added to it and the
        model returned. A tensor, Keras tensor or list of them: the layer is called on it and its
        output returned. Missing or `None`: the layer is returned.
"""


def _document(layer_class):
    """Return the docstring of the class with `object` as the first argument."""
    return inspect.cleandoc(layer_class.__doc__).replace("\nArgs:\n", "\nArgs:" + _OBJECT, 1)
