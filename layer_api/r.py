"""What the R package needs of the core: values, functions and errors that cross the language."""

import functools
import inspect

from layer_api import arguments, backend


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
    if not backend.is_distribution(distribution):
        raise arguments.invalid(
            "distribution",
            "a distribution of the backend's library",
            arguments.describe(distribution),
            "Pass, for example, layer$kernel_posterior, or what a function of a layer receives.",
            TypeError,
        )
    return functools.partial(getattr(backend, name), distribution)


def attempt(function, args, kwargs):
    """Call `function`; return [value, None, None], or [None, name of the error, its message].

    R then raises the error as its own, with the message alone.
    """
    try:
        return [function(*args, **kwargs), None, None]
    except Exception as error:
        return [None, type(error).__name__, str(error)]
