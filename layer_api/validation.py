"""Checks of what a user passes in: each returns the value as the package uses it, or refuses it."""

import inspect
import math
import numbers
import operator

import keras
import ml_dtypes
import numpy as np

from layer_api import backend, messages

# A size above it is a mistake, or an attack by a file. Backends count the elements of an array by
# 32 bits, JAX wherever it is not told otherwise; and a weight of so many takes 17 gigabytes for its
# mean and standard deviation alone.
LARGEST = 2**31 - 1
# Arrays of NumPy, in which weights are saved, have no more.
_MOST_AXES = 32


def as_scalar(value):
    """Return a number for a tensor, a variable or an array that is one number, else `value`."""
    is_array = hasattr(value, "dtype") and hasattr(value, "__array__")
    if is_array and not isinstance(value, keras.KerasTensor) and len(value.shape) == 0:
        return np.asarray(keras.ops.convert_to_numpy(value)).item()
    return value


def as_index(value):
    """Return a whole number as an int, None for anything else, bools included."""
    value = as_scalar(value)
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def check_whole_number(argument, value, minimum, remedy):
    """Return `value` as an int of at least `minimum`; refuse bools, fractions and the absurd."""
    expected = f"a whole number of at least {minimum}"
    number = as_index(value)
    if number is None or number < minimum:
        raise messages.invalid(argument, expected, messages.describe(value), remedy)
    _check_largest(argument, (number,), value, remedy)
    return number


def _check_largest(argument, numbers_in_it, value, remedy):
    if max(numbers_in_it, default=0) > LARGEST:
        expected = f"a whole number of at most {LARGEST}"
        raise messages.invalid(argument, expected, messages.describe(value), remedy)


def check_whole_numbers(argument, value, count, minimum=1):
    """Return `value` as a tuple of `count` ints; one number stands for `count` equal ones."""
    values = list(value) if _is_sequence(value) else [value] * count
    indices = [as_index(n) for n in values]
    remedy = f"Pass, for example, {argument} = 3."
    if len(values) == count and all(n is not None and n >= minimum for n in indices):
        _check_largest(argument, indices, value, remedy)
        return tuple(indices)
    several = f" or {count} of them" if count > 1 else ""
    expected = f"a whole number of at least {minimum}{several}"
    raise messages.invalid(argument, expected, messages.describe(value), remedy)


def check_shape(argument, value):
    """Return `value` as a tuple of ints; one number stands for a vector of that length."""
    values = list(value) if _is_sequence(value) else [value]
    indices = [as_index(n) for n in values]
    remedy = f"Pass, for example, {argument} = 3."
    if all(n is not None and n >= 1 for n in indices):
        _check_largest(argument, indices, value, remedy)
        return tuple(indices)
    expected = "a whole number of at least 1 or a list of them"
    raise messages.invalid(argument, expected, messages.describe(value), remedy)


def check_size(weight, shape):
    """Refuse a weight that no backend can hold, before anything of its shape is made.

    Args:
        weight: what the user knows it by: its name, or the argument that says its shape.
        shape: tuple of whole numbers.
    """
    remedy = "Make the layer smaller, or split it into several."
    if len(shape) > _MOST_AXES:
        expected, received = f"of at most {_MOST_AXES} dimensions", f"{len(shape)} dimensions"
        raise messages.invalid(weight, expected, received, remedy)
    if math.prod(shape) > LARGEST:
        expected = f"of at most {LARGEST} numbers"
        raise messages.invalid(weight, expected, messages.describe_shape(shape), remedy)


def _is_sequence(value):
    """Tell whether `value` lists several values, as a list, a vector or a TensorShape does."""
    is_scalar = hasattr(value, "shape") and len(value.shape) == 0
    return hasattr(value, "__iter__") and not is_scalar and not isinstance(value, (str, dict))


def check_one_of(argument, value, known):
    """Return the string among `known` that `value` is, in whatever case it is written."""
    if isinstance(value, str) and value.lower() in known:
        return value.lower()
    names = ", ".join(f"'{name}'" for name in known)
    raise messages.invalid(
        argument,
        f"one of {names}",
        messages.describe(value),
        f"Pass, for example, {argument} = '{known[0]}'.",
    )


def check_seed(value):
    """Return a seed that R's integers and every backend can hold, or None."""
    if value is None:
        return None
    remedy = "Pass, for example, seed = 1; leave it out for different numbers in every run."
    return check_whole_number("seed", value, 0, remedy)


def check_weight(argument, value):
    """Return `value` as a float that is finite and not negative."""
    value = as_scalar(value)
    if not _is_real(value) or not 0 <= value < float("inf"):
        raise messages.invalid(
            argument,
            "a finite number of at least 0",
            messages.describe(value),
            f"For training in batches pass {argument} = 1/n, with n the number of training rows.",
        )
    return float(value)


def check_number(argument, value):
    """Return `value` as a float that is finite."""
    value = as_scalar(value)
    if not _is_real(value) or not abs(value) < float("inf"):
        remedy = f"Pass, for example, {argument} = 0.0."
        raise messages.invalid(argument, "a finite number", messages.describe(value), remedy)
    return float(value)


def check_scale(argument, value, optional=False, names=()):
    """Return `value` as a float that is positive, and that float32 can hold.

    Args:
        argument: name of the argument, for messages.
        value: what the user gave.
        optional: whether None is allowed.
        names: names that may stand for a number, and are returned as they are.
    """
    if (value is None and optional) or (isinstance(value, str) and value in names):
        return value
    value = as_scalar(value)
    limits = ml_dtypes.finfo("float32")
    if not _is_real(value) or not float(limits.tiny) <= value <= float(limits.max):
        none = "None/NULL or " if optional else ""
        named = f", or one of {', '.join(map(repr, names))}" if names else ""
        hint = messages.suggest(value, names) if isinstance(value, str) else ""
        raise messages.invalid(
            argument,
            f"{none}a finite number above 0{named}",
            messages.describe(value),
            hint or f"Pass, for example, {argument} = 1.0.",
        )
    return float(value)


def check_probability(argument, value):
    """Return `value` as a float from 0 to 1."""
    value = as_scalar(value)
    if not _is_real(value) or not 0 <= value <= 1:
        remedy = f"Pass, for example, {argument} = 0.5."
        raise messages.invalid(argument, "a number from 0 to 1", messages.describe(value), remedy)
    return float(value)


def _is_real(value):
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        return False
    try:
        float(value)
    except OverflowError:  # whole numbers of Python may be larger than every float
        return False
    return True


def check_flag(argument, value):
    """Return `value` if it is a bool."""
    if not isinstance(value, bool):
        raise messages.invalid(
            argument,
            "true or false",
            messages.describe(value),
            f"Pass {argument} = True (in R: TRUE).",
        )
    return value


def parameters_of(layer_class):
    """Return the parameters of a class's constructor, a dictionary by name.

    Not `inspect.signature(layer_class)`: to some versions of Python 3.11 that is the signature of
    `__new__`, which Keras defines as `(*args, **kwargs)`.
    """
    parameters = dict(inspect.signature(layer_class.__init__).parameters)
    del parameters["self"]
    return parameters


def _of_dense_layers(name, own):
    """Say what stands for an argument of Keras's own layers, "" where nothing does."""
    weight, _, kind = name.partition("_")
    posterior = f"{weight}_posterior_fn"
    if name == "use_bias" and "bias_posterior_fn" in own:
        return "For a layer without a bias write bias_posterior_fn = None (in R: NULL)."
    if kind in ("initializer", "regularizer", "constraint") and posterior in own:
        block = "'deterministic'" if weight == "bias" else "'mean_field_normal'"
        return (
            f"The {weight} has a distribution: give `{posterior}` the block {block} with the "
            f"argument loc_{kind}, or untransformed_scale_{kind}."
        )
    return ""


def check_known(owner, extra):
    """Refuse keyword arguments in `extra` that neither `owner` nor Keras takes."""
    keras_own = ["name", "dtype", "autocast", "input_shape", "input_dim", "trainable",
                 "activity_regularizer"]  # fmt: skip
    own = [name for name in parameters_of(owner) if name != "kwargs"]
    for name in extra:
        if name not in keras_own:
            hint = _of_dense_layers(name, own)
            raise unknown_argument(name, owner.__name__, own, keras_own, hint)


def unknown_argument(name, owner, own, inherited=(), hint=""):
    """Return the exception for an argument `name` that `owner` does not take.

    Args:
        name: what the user wrote.
        owner: name of the class or function.
        own: names of its arguments.
        inherited: names of arguments that it takes and that are not listed.
        hint: what to do, where it is known.
    """
    known = [*own, *inherited]
    # R takes the beginning of a name for the name.
    likely = next((other for other in known if other.startswith(name)), name)
    hint = hint or messages.suggest(likely, known) or f"{owner} takes: {', '.join(own)}."
    return TypeError(f"`{name}` is not an argument of {owner}. {hint}")


def check_keras_arguments(given):
    """Return the arguments of Keras's own layer in `given`, checked; shapes as tuples."""
    checked = dict(given)
    name = given.get("name")
    if name is not None and (not isinstance(name, str) or "/" in name):
        raise messages.invalid(
            "name",
            "text without '/'",
            messages.describe(name),
            "Pass, for example, name = 'hidden'.",
        )
    if given.get("dtype") is not None and not _is_float_policy(given["dtype"]):
        raise messages.invalid(
            "dtype",
            "None/NULL, the name of a floating-point dtype or a dtype policy of Keras",
            messages.describe(given["dtype"]),
            "Pass, for example, dtype = 'float32' or dtype = 'mixed_bfloat16'.",
        )
    policy = keras.dtype_policies.get(given.get("dtype"))
    if not backend.arrays.supports_dtype(policy.variable_dtype):
        raise messages.invalid(
            "dtype",
            "a dtype in which the backend computes",
            f"'{policy.variable_dtype}', of which JAX makes 32 bits",
            "Set the environment variable JAX_ENABLE_X64=1 before JAX is imported, or use "
            "'float32'.",
        )
    for name in ("autocast", "trainable"):
        if name in given:
            check_flag(name, given[name])
    if given.get("input_dim") is not None:
        # For Keras `input_dim=3` is `input_shape=(3,)`.
        dim = check_whole_number(
            "input_dim", given["input_dim"], 1, "Pass, for example, input_dim = 13."
        )
        checked["input_dim"] = dim
        if checked.pop("input_shape", None) is not None:
            raise messages.invalid(
                "input_shape",
                "left out where there is an input_dim",
                messages.describe(given["input_shape"]),
                "Pass one of the two.",
            )
    elif given.get("input_shape") is not None:
        checked["input_shape"] = _input_shape(given["input_shape"])
    return checked


def _input_shape(value):
    values = list(value) if _is_sequence(value) else [value]
    sizes = [n if n is None else as_index(n) for n in values]
    # A size may be None, undefined; but what is not None has to be a whole number.
    if sizes.count(None) > sum(n is None for n in values) or any(
        n is not None and n < 0 for n in sizes
    ):
        raise messages.invalid(
            "input_shape",
            "a whole number of at least 0 or a list of them, without the axis of the batch",
            messages.describe(value),
            "Pass, for example, input_shape = 13.",
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


def refuse_keras_2(argument, model):
    """Refuse a model or layer of Keras 2."""
    if messages.is_keras_2(model, "Layer") or messages.is_keras_2(model, "Model"):
        raise messages.invalid(
            argument,
            "a model of Keras 3",
            f"{messages.describe(model)} of Keras 2",
            "Build the model with the keras package, and load the weights into it.",
            TypeError,
        )


def check_built(argument, model):
    """Refuse a model or layer that has no weights yet."""
    if not model.built:
        raise messages.invalid(
            argument,
            "a model that is built",
            messages.describe(model),
            "Begin it with an Input, fit it, or call it on rows first.",
        )


def check_one_tensor(input_shape):
    """Refuse the shapes of several tensors, which a layer of one input cannot be called on."""
    if isinstance(input_shape, dict):
        raise messages.invalid(
            "inputs",
            "one tensor",
            f"a dictionary with the keys {sorted(map(str, input_shape))}",
            "Call the layer on one of them, or join them first by a Concatenate layer.",
        )
    if any(isinstance(size, (list, tuple)) for size in input_shape):
        raise messages.invalid(
            "inputs",
            "one tensor",
            f"{len(input_shape)} tensors",
            "Join them first, for example by a Concatenate layer.",
        )


def check_features(input_shape):
    """Return the size of the last axis of `input_shape`, which a dense layer has to know."""
    check_one_tensor(input_shape)
    if len(input_shape) < 2:
        raise messages.invalid(
            "inputs",
            "a tensor of at least 2 dimensions, (batch, ..., features)",
            messages.describe_shape(input_shape),
            "Add the dimension that is missing: one row is a batch of shape (1, features).",
        )
    if input_shape[-1] is None:
        raise messages.invalid(
            "inputs",
            "a tensor whose last dimension is defined",
            messages.describe_shape(input_shape),
            "The kernel has one row for every feature: give their number in the "
            "shape of the Input.",
        )
    return input_shape[-1]


def check_numeric(inputs):
    """Return `inputs`, unless they are text or complex numbers."""
    dtype = keras.backend.standardize_dtype(inputs.dtype)
    if dtype == "string" or dtype.startswith("complex"):
        raise messages.invalid(
            "inputs",
            "a tensor of real numbers",
            f"a tensor of dtype {dtype}",
            "Turn them into numbers first, for example by a StringLookup layer.",
        )
    return inputs


def check_returned(argument, value, remedy, shape=None):
    """Return what a user's function returned as a tensor of numbers, of `shape` if one is given."""
    try:
        tensor = check_numeric(keras.ops.convert_to_tensor(value))
    except (ValueError, TypeError, OverflowError, AttributeError) as error:
        # Of these, JAX raises the third for whole numbers that are too large, and every backend
        # the last for a list of symbolic tensors.
        raise messages.invalid(
            argument,
            "a function that returns a tensor of numbers",
            messages.describe(value),
            remedy,
            TypeError,
        ) from error
    if shape is not None and not _fits(tensor.shape, shape):
        raise messages.invalid(
            argument,
            f"a function that returns a tensor of {messages.describe_shape(shape)}",
            messages.describe_shape(tensor.shape),
            remedy,
        )
    return tensor


def can_broadcast(shape, target):
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


def check_signature(argument, function, names):
    """Refuse a `function` that cannot be called with the positional arguments `names`."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some callables of C extensions have no signature to check
        return
    try:
        signature.bind(*names)
    except TypeError:
        wanted = ", ".join(names)
        raise messages.invalid(
            argument,
            f"a function that takes ({wanted})",
            f"a function that takes {signature}",
            f"Write a function of {len(names)} argument{'s' * (len(names) > 1)}.",
            TypeError,
        ) from None
