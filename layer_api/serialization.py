"""What stands for a function, as Keras does it: resolved, saved as a config, and loaded."""

import numbers

import keras
import numpy as np

from layer_api import backend, messages, validation


def resolve(argument, identifier, named, takes, optional=False):
    """Return the function or block that `identifier` stands for.

    Args:
        argument: name of the argument, for messages.
        identifier: what the user gave: a name, a block, a function, a saved config or None.
        named: dictionary of the known names.
        takes: names of the positional arguments that a function must take.
        optional: whether None is allowed.
    """
    if identifier is None and optional:
        return None
    if isinstance(identifier, str):
        if identifier in named:
            found = named[identifier]
            return found() if isinstance(found, type) else found
        raise _unknown(argument, identifier, named, takes, optional)
    identifier = from_saved(argument, identifier)
    if isinstance(identifier, type) or not callable(identifier):
        raise _unknown(argument, identifier, named, takes, optional)
    validation.check_signature(argument, identifier, takes)
    return identifier


def _unknown(argument, identifier, named, takes, optional):
    names = ", ".join(f"'{name}'" for name in named)
    expected = f"{'None/NULL, ' if optional else ''}a known name, a config object or a function"
    hint = messages.suggest(identifier, named) if isinstance(identifier, str) else ""
    remedy = f"Known names: {names}. A function takes ({', '.join(takes)})."
    error = ValueError if isinstance(identifier, str) else TypeError
    received = messages.describe(identifier)
    return messages.invalid(argument, expected, received, f"{hint} {remedy}".strip(), error)


def check_activation(value):
    """Return the activation function that `value` names."""
    value = from_saved("activation", value)
    try:
        function = keras.activations.get(value)
    except (ValueError, TypeError):
        function = value
    if not callable(function) or isinstance(function, type):
        known = [name for name in dir(keras.activations) if not name.startswith("_")]
        known = sorted(set(known) - {"get", "serialize", "deserialize"})
        raise messages.invalid(
            "activation",
            "None/NULL, the name of a Keras activation or a function",
            messages.describe(value),
            messages.suggest(value, known) or f"Known names: {', '.join(known)}.",
        )
    validation.check_signature("activation", function, ("x",))
    return function


def check_initializer(argument, value):
    """Return the Keras initializer that `value` names."""
    return _of_keras("initializer", argument, value, "'glorot_uniform'", optional=False)


def check_regularizer(argument, value):
    """Return the Keras regularizer that `value` names."""
    return _of_keras("regularizer", argument, value, "'l2', or an L2 regularizer of Keras")


def check_constraint(argument, value):
    """Return the Keras constraint that `value` names."""
    return _of_keras("constraint", argument, value, "'non_neg', or a MaxNorm constraint of Keras")


def _of_keras(kind, argument, value, example, optional=True):
    """Return the object of one kind, such as "regularizer", that `value` names to Keras."""
    value = from_saved(argument, value)
    try:
        found = getattr(keras, f"{kind}s").get(value)
    except (ValueError, TypeError):
        found = value
    # A block of this package can be called, too, but with other arguments.
    is_one = callable(found) and not isinstance(found, (str, type)) and not is_block(found)
    if not (is_one or (found is None and optional)):
        raise messages.invalid(
            argument,
            f"{'None/NULL, ' if optional else ''}a Keras {kind} or its name",
            messages.describe(value),
            f"Pass, for example, {example}.",
        )
    if found is not None:
        validation.check_signature(
            argument, found, ("shape", "dtype") if kind == "initializer" else ("x",)
        )
    return found


def from_saved(argument, value):
    """Return what `value` stands for if it is a saved config, else `value`."""
    if not isinstance(value, dict) or "class_name" not in value:
        return value
    package = _OF_KERAS.get(argument.rsplit("_", 1)[-1])
    if package and "module" not in value and "registered_name" not in value:
        value = {"module": f"keras.{package}", **value}  # as Keras 2 wrote it
    return deserialize(argument, value)


def deserialize(argument, config):
    """Return what a saved config stands for: what is registered or, where it fits, Keras's own.

    A file may name anything. Nothing else is looked up, whatever a version of Keras does with other
    names, so loading a file neither imports a module nor finds `os.system`.
    """
    is_function = config["class_name"] == "function"
    name = config.get("config" if is_function else "registered_name")
    found = keras.saving.get_registered_object(name) if isinstance(name, str) else None
    if is_function and found is not None:
        return found
    if found is None and (is_function or not _is_of_keras(argument, config.get("module"))):
        unknown = name or config["class_name"]
        raise ValueError(
            f"`{argument}` cannot be loaded: the file names {unknown!r}, which is not registered. "
            "Import the module, or run the code, that registers it with "
            "keras.saving.register_keras_serializable(), and load again."
        )
    if isinstance(found, type) and not hasattr(found, "from_config"):  # which Keras insists on
        return found(**config["config"])
    try:
        return keras.saving.deserialize_keras_object(config)
    except Exception as error:  # Keras and the classes fail in many ways
        raise messages.invalid(
            argument,
            "a config that its class can be made from",
            messages.describe(config),
            "Pass what keras.saving.serialize_keras_object() returns.",
        ) from error


def serialize(argument, identifier):
    """Return what a saved model holds for `identifier`; refuse what could not be loaded again."""
    if identifier is None or isinstance(identifier, (str, dict)):
        return identifier
    owner = identifier if hasattr(identifier, "__name__") else type(identifier)
    registered = keras.saving.get_registered_object(keras.saving.get_registered_name(owner))
    is_of_keras = isinstance(owner, type) and _is_of_keras(argument, owner.__module__)
    if registered is not owner and not is_of_keras:
        example = "'mean_field_normal'" if argument.endswith("_fn") else "Keras gives its own"
        raise ValueError(
            f"`{argument}` cannot be saved: it is {messages.describe(identifier)} that Keras does "
            "not know by name, so no other session could load it. Register it with "
            f"keras.saving.register_keras_serializable(), or use a name such as {example}."
        )
    return keras.saving.serialize_keras_object(identifier)


def name_of(activation):
    """Return the name by which Keras knows an activation function, else the function itself."""
    name = getattr(activation, "__name__", None)
    known = getattr(keras.activations, name or "", None)
    if activation is keras.activations.linear:
        return None
    # `tf.nn.relu` and `keras.ops.relu` are not `keras.activations.relu`, but Keras saves them so.
    is_the_same = activation is known or activation.__module__.startswith("keras.")
    return name if known and (is_the_same or backend.arrays.owns(activation)) else activation


def describe_config(value):
    """Return how `value` is printed: a function by its name, an object of a config by that."""
    if hasattr(value, "__name__"):
        return value.__name__
    if not hasattr(value, "get_config") or isinstance(value, keras.layers.Layer):
        return str(value)
    return describe_call(type(value).__name__, given(value))


def describe_call(class_name, config):
    """Return how an object is printed that was made with the arguments in `config`."""
    plain = (str, numbers.Number, list, tuple, dict)
    texts = [
        f"{name}={repr(item) if isinstance(item, plain) else describe_config(item)}"
        for name, item in config.items()
    ]
    return f"{class_name}({', '.join(texts)})"


def given(value):
    """Return the arguments of an object with a config that are worth showing.

    Of a block these differ from the defaults; of any other, whose defaults its readers may not
    know, they are not None.
    """
    config = value.get_config()
    if not is_block(value):
        return {name: getattr(value, name, v) for name, v in config.items() if v is not None}
    defaults = validation.parameters_of(type(value))
    differing = {
        name: getattr(value, name, v)
        for name, v in config.items()
        if name not in defaults or not _is_same(v, defaults[name].default)
    }
    return {name: v for name, v in differing.items() if not value._is_default(name, v)}


def _is_same(one, other):
    # Of arrays there is no one answer.
    return type(one) is type(other) and np.array_equal(one, other)


def is_default(argument, value, default):
    """Tell whether `value` is what `default`, which may be the name of it, stands for."""
    if argument.rsplit("_", 1)[-1] == "initializer":
        return describe_config(value) == describe_config(keras.initializers.get(default))
    return value == default


def is_block(value):
    """Tell whether `value` is a posterior, prior or divergence of the package, or made from one."""
    return getattr(type(value), "is_block", False)


# Where Keras has the classes that an argument may be of, by the last word of the argument.
_OF_KERAS = {
    "activation": "layers",
    "initializer": "initializers",
    "regularizer": "regularizers",
    "constraint": "constraints",
}


def _is_of_keras(argument, module):
    """Tell whether Keras has in `module` what `argument` may be, such as its initializers."""
    package = _OF_KERAS.get(argument.rsplit("_", 1)[-1])
    return f"{module}.".startswith((f"keras.{package}.", f"keras.src.{package}."))
