"""The tables of `tests/cases`: layers, their arguments, and the values that JSON cannot hold.

`tests/r/helper-cases.R` reads the same in R.
"""

import inspect
import json
import operator
import pathlib

import keras
import numpy as np

import layer_api
from layer_api import backend

POINT_MASS = backend.distributions.deterministic_distribution

_FOLDER = pathlib.Path(__file__).parents[1] / "cases"


def read(name):
    """Return what a file of `tests/cases` holds."""
    return json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def _whole(row, families):
    """Return a row with what it has of its family; its own arguments join those of the family."""
    whole = _whole(families[row["like"]], families) if "like" in row else {}
    for field, value in row.items():
        whole[field] = {**whole.get(field, {}), **value} if isinstance(value, dict) else value
    return whole


_TABLE = read("layers")
LAYERS = [_whole(row, _TABLE["families"]) for row in _TABLE["layers"]]
_ARGUMENTS = read("arguments")


def own_names_of(layer):
    """Return the names of the arguments that stand in the signature of a layer."""
    names = inspect.signature(getattr(layer_api, layer["function"])).parameters
    return [name for name in names if name not in ("object", "kwargs")]


def names_of(layer):
    """Return the names of all arguments of a layer's function, those that go on to Keras last."""
    own = own_names_of(layer)
    of_keras = [*layer.get("of_keras", []), *_ARGUMENTS["of_keras"]]
    return ["object", *own, *(name for name in of_keras if name not in own)]


def argument(layer, name):
    """Return what the tables say of one argument of a layer; the last that says it is right."""
    found = {"argument": name, "is": [name], "optional": False}
    for entry in _ARGUMENTS["kinds"]:
        ending = entry.get("ends")
        if name == entry.get("argument") or (ending and f"_{name}".endswith(f"_{ending}")):
            found |= entry
    found |= layer.get("arguments", {}).get(name, {})
    return {"required": name in layer["required"], **found}


MISSING = object()


def special(value):
    """Return what a value of a table stands for: {"special": kind, ...}, or plain JSON."""
    if not isinstance(value, dict):
        return value
    return _SPECIAL[value["special"]](value)


def specials(values):
    """Return what the values of arguments stand for, by their names."""
    return {name: special(value) for name, value in values.items()}


def _function(value):
    namespace = {"returns": special(value.get("returns"))}
    exec(f"def function({', '.join(value['takes'])}): return returns", namespace)
    return namespace["function"]


def _functional_model(library):
    return library.Model(a := library.Input((3,)), a, name="functional")


def _keras2_model(_):
    import tf_keras

    return _functional_model(tf_keras)


class _DataFrame:
    """Has what tells a pandas.DataFrame, which is not among this project's dependencies."""

    iloc = None


_SPECIAL = {
    "missing": lambda _: MISSING,
    "na": lambda _: float("nan"),
    "function": _function,
    "block": lambda value: getattr(layer_api, value["class"])(**specials(value["arguments"])),
    "keras": lambda value: operator.attrgetter(value["name"])(keras)(**value["arguments"]),
    "data_frame": lambda _: _DataFrame(),
    "keras2_model": _keras2_model,
    "functional_model": lambda _: _functional_model(keras),
    "layer_class": lambda _: layer_api.DenseFlipout,
    "layer": lambda _: layer_api.layer_dense_flipout(units=2, name="alone"),
    "matrix": lambda _: np.zeros((2, 2), "float32"),
    "text_matrix": lambda _: np.array([["a", "b"]]),
    "deterministic": lambda _: backend.distributions.deterministic_distribution(
        keras.ops.zeros((3, 2))
    ),
}
