"""Checks of what a user passes in, and the one form that every message about it has."""

import difflib
import inspect
import numbers
import operator
import sys
from typing import Any

import keras
import ml_dtypes


class _Required:
    """The default of an argument that has none but may stand behind one that has."""

    def __repr__(self):
        return "<required>"


REQUIRED: Any = _Required()


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
        kind = "text" if getattr(value.dtype, "kind", "") in "OSU" else "numbers"
        return f"an array of {kind} of {describe_shape(value.shape)}"
    package = type(value).__module__.split(".")[0]
    return f"an object of type {package}.{type(value).__name__}"


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
    # Else Keras would wrap the message in what the layer was called with.
    exception._keras_call_info_injected = True
    return exception


def index(value):
    """Return a whole number as an int, None for anything else, bools among it."""
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def whole_number(argument, value, minimum, remedy):
    """Return `value` as an int of at least `minimum`; refuse bools and fractions."""
    expected = f"a whole number of at least {minimum}"
    number = index(value)
    if number is None or number < minimum:
        raise invalid(argument, expected, describe(value), remedy)
    return number


def whole_numbers(argument, value, count, minimum=1):
    """Return `value` as a tuple of `count` ints; one number stands for `count` equal ones."""
    values = value if isinstance(value, (list, tuple)) else [value] * count
    indices = [index(n) for n in values]
    if len(values) == count and all(n is not None and n >= minimum for n in indices):
        return tuple(indices)
    several = f" or {count} of them" if count > 1 else ""
    raise invalid(
        argument,
        f"a whole number of at least {minimum}{several}",
        describe(value),
        f"Pass, for example, {argument}=3.",
    )


def shape(argument, value):
    """Return `value` as a tuple of ints; one number stands for a vector of that length."""
    is_sequence = hasattr(value, "__iter__") and not isinstance(value, (str, dict))
    values = list(value) if is_sequence else [value]
    indices = [index(n) for n in values]
    if all(n is not None and n >= 1 for n in indices):
        return tuple(indices)
    raise invalid(
        argument,
        "a whole number of at least 1 or a list of them",
        describe(value),
        f"Pass, for example, {argument}=3.",
    )


def one_of(argument, value, known):
    """Return the string among `known` that `value` is, in whatever case it is written."""
    if isinstance(value, str) and value.lower() in known:
        return value.lower()
    names = ", ".join(f"'{name}'" for name in known)
    raise invalid(
        argument, f"one of {names}", describe(value), f"Pass, for example, {argument}='{known[0]}'."
    )


def seed(value):
    """Return a seed that R's integers and every backend can hold, or None."""
    if value is None:
        return None
    remedy = "Pass, for example, seed=1; leave it out for different numbers in every run."
    number = whole_number("seed", value, 0, remedy)
    if number >= 2**31:
        raise invalid("seed", "below 2147483648", describe(number), remedy)
    return number


def weight(argument, value):
    """Return `value` as a float that is finite and not negative."""
    if not _is_real(value) or not 0 <= value < float("inf"):
        raise invalid(
            argument,
            "a finite number of at least 0",
            describe(value),
            f"For training in batches pass {argument}=1/n, with n the number of training rows.",
        )
    return float(value)


def number(argument, value):
    """Return `value` as a float that is finite."""
    if not _is_real(value) or not abs(value) < float("inf"):
        remedy = f"Pass, for example, {argument}=0.0."
        raise invalid(argument, "a finite number", describe(value), remedy)
    return float(value)


def scale(argument, value):
    """Return `value` as a float that is positive, and that float32 can hold."""
    limits = ml_dtypes.finfo("float32")
    if not _is_real(value) or not float(limits.tiny) <= value <= float(limits.max):
        remedy = f"Pass, for example, {argument}=1.0."
        raise invalid(argument, "a finite number above 0", describe(value), remedy)
    return float(value)


def probability(argument, value):
    """Return `value` as a float from 0 to 1."""
    if not _is_real(value) or not 0 <= value <= 1:
        remedy = f"Pass, for example, {argument}=0.5."
        raise invalid(argument, "a number from 0 to 1", describe(value), remedy)
    return float(value)


def _is_real(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def flag(argument, value):
    """Return `value` if it is a bool."""
    if not isinstance(value, bool):
        raise invalid(
            argument, "true or false", describe(value), f"Pass {argument}=True (in R: TRUE)."
        )
    return value


def nearest(name, known):
    """Return the sentence "Did you mean …?" for the known name nearest to `name`, or ""."""
    close = difflib.get_close_matches(str(name), known, n=1)
    return f"Did you mean '{close[0]}'?" if close else ""


def parameters_of(layer_class):
    """Return the parameters of a class's constructor, a dictionary by name.

    Not `inspect.signature(layer_class)`: to some versions of Python 3.11 that is the signature of
    `__new__`, which Keras defines as `(*args, **kwargs)`.
    """
    parameters = dict(inspect.signature(layer_class.__init__).parameters)
    del parameters["self"]
    return parameters


def only_known(owner, extra):
    """Refuse keyword arguments in `extra` that neither `owner` nor Keras takes."""
    keras_own = ["name", "dtype", "autocast", "input_shape", "input_dim", "trainable",
                 "activity_regularizer"]  # fmt: skip
    own = [name for name in parameters_of(owner) if name != "kwargs"]
    for name in extra:
        if name not in keras_own:
            raise unknown(name, owner.__name__, own, keras_own)


def unknown(name, owner, own, inherited=()):
    """Return the exception for an argument `name` that `owner` does not take.

    Args:
        name: what the user wrote.
        owner: name of the class or function.
        own: names of its arguments.
        inherited: names of arguments that it takes and that are not listed.
    """
    known = [*own, *inherited]
    # R takes the beginning of a name for the name.
    likely = next((other for other in known if other.startswith(name)), name)
    hint = nearest(likely, known) or f"{owner} takes: {', '.join(own)}."
    return TypeError(f"`{name}` is not an argument of {owner}. {hint}")


def of_keras(given):
    """Return the arguments of Keras's own layer in `given`, checked; shapes as tuples."""
    checked = dict(given)
    name = given.get("name")
    if name is not None and (not isinstance(name, str) or "/" in name):
        raise invalid(
            "name", "text without '/'", describe(name), "Pass, for example, name='hidden'."
        )
    if given.get("dtype") is not None and not _is_float_policy(given["dtype"]):
        raise invalid(
            "dtype",
            "None/NULL, the name of a floating-point dtype or a dtype policy of Keras",
            describe(given["dtype"]),
            "Pass, for example, dtype='float32' or dtype='mixed_bfloat16'.",
        )
    if "autocast" in given:
        flag("autocast", given["autocast"])
    if given.get("input_dim") is not None:
        # For Keras `input_dim=3` is `input_shape=(3,)`.
        dim = whole_number("input_dim", given["input_dim"], 1, "Pass, for example, input_dim=13.")
        checked["input_dim"] = dim
        if checked.pop("input_shape", None) is not None:
            raise invalid(
                "input_shape",
                "left out where there is an input_dim",
                describe(given["input_shape"]),
                "Pass one of the two.",
            )
    elif given.get("input_shape") is not None:
        checked["input_shape"] = _input_shape(given["input_shape"])
    return checked


def _input_shape(value):
    values = value if isinstance(value, (list, tuple)) else [value]
    sizes = [n if n is None else index(n) for n in values]
    # A size may be None, undefined; but what is not None has to be a whole number.
    if sizes.count(None) > sum(n is None for n in values) or any(
        n is not None and n < 0 for n in sizes
    ):
        raise invalid(
            "input_shape",
            "a whole number of at least 0 or a list of them, without the axis of the batch",
            describe(value),
            "Pass, for example, input_shape=(13,).",
        )
    return tuple(sizes)


def _is_float_policy(value):
    try:
        policy = keras.dtype_policies.get(value)
    except (ValueError, TypeError):
        return False
    # Keras returns text for a config of a class that it does not have.
    is_policy = isinstance(policy, keras.dtype_policies.DTypePolicy)
    return is_policy and keras.backend.is_float_dtype(policy.variable_dtype)


def one_tensor(input_shape):
    """Refuse the shapes of several tensors, which a layer of one input cannot be called on."""
    if any(isinstance(size, (list, tuple)) for size in input_shape):
        raise invalid(
            "inputs",
            "one tensor",
            f"{len(input_shape)} tensors",
            "Join them first, for example by keras.layers.Concatenate().",
        )


def features(input_shape):
    """Return the size of the last axis of `input_shape`, which a dense layer has to know."""
    one_tensor(input_shape)
    if len(input_shape) < 2:
        raise invalid(
            "inputs",
            "a tensor of at least 2 dimensions, (batch, ..., features)",
            describe_shape(input_shape),
            "Add the dimension that is missing: one row is a batch of shape (1, features).",
        )
    if input_shape[-1] is None:
        raise invalid(
            "inputs",
            "a tensor whose last dimension is defined",
            describe_shape(input_shape),
            "The kernel has one row for every feature: give their number, as in "
            "Input(shape=(13,)).",
        )
    return input_shape[-1]


def numeric(inputs):
    """Return `inputs`, unless they are text or complex numbers."""
    dtype = keras.backend.standardize_dtype(inputs.dtype)
    if dtype == "string" or dtype.startswith("complex"):
        raise invalid(
            "inputs",
            "a tensor of real numbers",
            f"a tensor of dtype {dtype}",
            "Turn them into numbers first, for example by keras.layers.StringLookup().",
        )
    return inputs


def returned(argument, value, remedy, shape=None):
    """Return what a user's function returned as a tensor of numbers, of `shape` if one is given."""
    try:
        tensor = numeric(keras.ops.convert_to_tensor(value))
    except (ValueError, TypeError, OverflowError, AttributeError) as error:
        # Of these, JAX raises the third for whole numbers that are too large, and every backend
        # the last for a list of symbolic tensors.
        raise invalid(
            argument,
            "a function that returns a tensor of numbers",
            describe(value),
            remedy,
            TypeError,
        ) from error
    if shape is not None and not _fits(tensor.shape, shape):
        raise invalid(
            argument,
            f"a function that returns a tensor of {describe_shape(shape)}",
            describe_shape(tensor.shape),
            remedy,
        )
    return tensor


def stretches(shape, target):
    """Tell whether an array of a shape can be broadcast to the shape `target`, as far as known."""
    last = target[len(target) - len(shape) :]
    return len(shape) <= len(target) and all(
        n in (1, None, wanted) for n, wanted in zip(shape, last, strict=True)
    )


def _fits(shape, expected):
    """Tell whether a shape is the expected one, as far as both are known while Keras traces."""
    known = zip(shape, expected, strict=False)
    return len(shape) == len(expected) and not any(
        isinstance(a, int) and isinstance(b, int) and a != b for a, b in known
    )


def takes(argument, function, names):
    """Refuse a `function` that cannot be called with the positional arguments `names`."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some callables of C extensions have no signature to check
        return
    try:
        signature.bind(*names)
    except TypeError:
        wanted = ", ".join(names)
        raise invalid(
            argument,
            f"a function that takes ({wanted})",
            f"a function that takes {signature}",
            f"Write a function of {len(names)} argument{'s' * (len(names) > 1)}.",
            TypeError,
        ) from None
