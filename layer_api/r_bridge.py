"""What the R package needs of the core: values, functions and errors that cross the language."""

import ctypes
import functools
import inspect
import numbers

import keras
import numpy as np

from layer_api import backend, messages, validation


def with_signature(function, names, optional, variadic):
    """Give an R function, which reticulate hands over as `(*args, **kwargs)`, its own signature.

    Args:
        function: Python function that calls the R function.
        names: list of the names of its arguments.
        optional: list of bools, whether each has a default.
        variadic: bool, whether it takes `...`.
    """
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    defaults = [... if has_default else inspect.Parameter.empty for has_default in optional]
    parameters = [
        inspect.Parameter(name, kind, default=default)
        for name, default in zip(names, defaults, strict=True)
    ]
    # R allows an argument without a default behind one with; Python's signatures do not.
    parameters.sort(key=lambda parameter: parameter.default is ...)
    if variadic:
        parameters.append(inspect.Parameter("dots", inspect.Parameter.VAR_POSITIONAL))
    function.__signature__ = inspect.Signature(parameters)
    return function


def method(distribution, name):
    """Return what `name` means for a distribution, whichever backend's library it is of."""
    if not backend.distributions.is_distribution(distribution):
        raise messages.invalid(
            "distribution",
            "a distribution of the backend's library",
            messages.describe(distribution),
            "Pass, for example, layer$kernel_posterior, or what a function of a layer receives.",
            TypeError,
        )
    return functools.partial(getattr(backend.distributions, name), distribution)


def attempt(function, args, kwargs):
    """Call `function`; return [value, None, None], or [None, name of the error, its message].

    R then raises the error as its own, with the message alone.
    """
    try:
        _only_known(function, kwargs)
        return [function(*args, **kwargs), None, None]
    except Exception as error:
        return [None, type(error).__name__, str(error)]


def _only_known(function, names):
    """Refuse `names` that `function` does not take, as R lets its users abbreviate a name."""
    if not names:
        return
    parameters = inspect.signature(function).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    known = [parameter.name for parameter in parameters]
    for name in names:
        if name not in known:
            owner = getattr(function, "func", function).__name__
            raise validation.unknown_argument(name, owner, known)


class Numbers:
    """An array on its way to R, which makes room for it as doubles, column by column.

    reticulate would make such an array of NumPy's first, and then R's own of that.
    """

    def __init__(self, values):
        self.values = np.asarray(values)
        self.shape = list(self.values.shape)

    def first(self):
        """Return the first of the numbers."""
        return float(self.values.flat[0])

    def write(self, room):
        """Write the numbers into a new array of R.

        Args:
            room: NumPy array of float64, R's own memory as reticulate shows it: read-only, since
                other arrays of R may have the same. This one is new, and R's code has it alone.
        """
        memory = (ctypes.c_double * room.size).from_address(room.ctypes.data)
        writable = np.frombuffer(memory).reshape(room.shape, order="F")
        np.copyto(writable, self.values, casting="unsafe")


def predicted(model, x, **options):
    """Return what `model.predict()` does, with `Numbers` for its arrays."""
    if not hasattr(model, "predict"):
        raise messages.invalid(
            "model",
            "a Keras model",
            messages.describe(model),
            "Pass, for example, a Sequential model with layers in it.",
            TypeError,
        )
    values = keras.tree.flatten(x)
    of_no_use = (type(None), str, numbers.Number, messages.Foreign)
    if not values or any(isinstance(value, of_no_use) for value in values):
        raise messages.invalid(
            "x",
            "an array of numbers, or what else the model takes",
            messages.describe(x),
            "Make a matrix first: data.matrix(x) of a data frame, matrix(x, 1) of one row.",
            TypeError,
        )
    return keras.tree.map_structure(Numbers, model.predict(x, **options))
