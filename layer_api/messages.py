"""What messages are made of: the one form of an error, and words for what was received.

The words hold in Python and in R.
"""

import difflib
import inspect
import numbers
import sys
from typing import Any

import keras

from layer_api import keras_private


class _Required:
    """The default of an argument that has none but may stand behind one that has."""

    def __repr__(self):
        return "<required>"


REQUIRED: Any = _Required()


class Notice(UserWarning):
    """A warning of this package, which R turns into one of its own."""


class Foreign:
    """Stands for an R object that Python cannot hold, such as a data frame, in messages."""

    def __init__(self, description):
        self.description = description

    def __repr__(self):
        return self.description


def describe(value):
    """Return what a user would call `value`, in words that hold in Python and in R."""
    if value is REQUIRED:
        return "nothing"
    if value is None:
        return "None/NULL"
    if isinstance(value, Foreign):
        return value.description
    if isinstance(value, float) and value != value:
        return "NA/NaN"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, numbers.Number) and hasattr(value, "item"):
        value = value.item()  # NumPy 2 would show np.float64(0.5)
    if isinstance(value, (str, bool, numbers.Number)):
        return repr(value)
    if hasattr(value, "_fields"):
        return f"a {type(value).__name__} distribution"
    if isinstance(value, (list, tuple)):
        # R's vectors arrive as lists; Python's users write either.
        shown = ", ".join(describe(item) for item in value[:8])
        return f"[{shown}{f', ... {len(value)} in all' if len(value) > 8 else ''}]"
    if is_layer(value):
        return f"the layer '{value.name}' ({type(value).__name__})"
    if inspect.isfunction(value) or inspect.isbuiltin(value):
        return "a function"
    if isinstance(value, dict):
        return f"a dictionary with the keys {sorted(map(str, value))}"
    if hasattr(value, "iloc"):
        return "a data frame"
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        kind = "text" if _is_text(value.dtype) else "numbers"
        return f"an array of {kind} of {describe_shape(value.shape)}"
    package = type(value).__module__.split(".")[0]
    return f"an object of type {package}.{type(value).__name__}"


def _is_text(dtype):
    """Tell whether a dtype, of NumPy or of a backend, is that of text."""
    return getattr(dtype, "kind", None) in ("O", "S", "U") or getattr(dtype, "name", "") == "string"


def is_layer(value):
    """Tell whether `value` is a layer or a model, of Keras 3 or of Keras 2."""
    return isinstance(value, keras.layers.Layer) or is_keras_2(value, "Layer")


def is_keras_2(value, kind):
    """Tell whether `value` is a layer, a model and so on of Keras 2, which is not imported for it.

    Args:
        value: any value.
        kind: name of a class in the package `tf_keras`.
    """
    if "tf_keras" not in sys.modules:
        return False
    bases = type(value).__mro__
    return any(c.__name__ == kind and c.__module__.startswith("tf_keras.") for c in bases)


def describe_shape(shape):
    """Return `shape` as a user would write it; an undefined dimension is None in both languages."""
    return f"shape [{', '.join(map(str, shape))}]"


def invalid(argument, expected, received, remedy, error=ValueError):
    """Return the exception for a wrong `argument`; `received` is in words, see `describe`."""
    exception = error(f"`{argument}` must be {expected}. Received: {received}. {remedy}")
    return keras_private.keep_message(exception)


def suggest(name, known):
    """Return the sentence "Did you mean …?" for the known name nearest to `name`, or ""."""
    close = difflib.get_close_matches(str(name), known, n=1)
    return f"Did you mean '{close[0]}'?" if close else ""


def drawn_once(where):
    """Return the error for a call that would be run again, or for many examples, with one draw."""
    error = RuntimeError(
        f"A layer that draws its weights was called inside {where}, where all draws would be equal "
        "or belong to another call. Call the model as it is; pass its state on with "
        "model.stateless_call(); or, for draws of the predictions, use posterior_epred()."
    )
    return keras_private.keep_message(error)


def fixed(argument, layer):
    """Return the error for a function that is assigned to once the layer is built."""
    return invalid(
        argument,
        f"left as it is, once the layer '{layer.name}' is built: compiled functions keep what it "
        "was built with",
        "another value",
        f"Make a twin of the layer: change '{argument}' in what get_config() returns, pass that to "
        "from_config(), build the twin, and give it the weights by set_weights().",
        AttributeError,
    )


def no_onnx():
    """Return the error for an export whose every answer would hold one and the same draw."""
    error = RuntimeError(
        "A layer that draws its weights cannot be exported to ONNX, which would keep repeating one "
        "draw. Export a SavedModel, which draws again in every call, or a twin of the model whose "
        "tensor functions are 'mean'."
    )
    return keras_private.keep_message(error)
