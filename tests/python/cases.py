"""The cases of `tests/cases`: what they do in Python, and the values that JSON cannot hold.

`tests/r/helper-cases.R` does the same in R.
"""

import json
import pathlib
import re

import keras
import numpy as np

import layer_api
from layer_api import backend

_FOLDER = pathlib.Path(__file__).parents[1] / "cases"


def _instances():
    """Yield every case for every layer it is about, with {function} and the like filled in."""
    layers, cases = (
        json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("layers", "bad_input")
    )
    for layer in layers:
        for case in cases:
            if re.search(case.get("for", ""), layer["function"]):
                text = json.dumps(case)
                for name in ("function", "class", "size", "example", "arguments"):
                    text = text.replace(f"{{{name}}}", layer[name])
                text = text.replace("{library}", backend.distributions.LIBRARY)
                yield {**json.loads(text), "layer": layer}


BAD_INPUT = list(_instances())
# Calls of the functions that make blocks: `function` in R, `class` in Python.
BAD_BLOCKS = json.loads((_FOLDER / "bad_blocks.json").read_text(encoding="utf-8"))


def act_on_block(case):
    """Make the block of a case."""
    arguments = {name: special(value) for name, value in case["arguments"].items()}
    return getattr(layer_api, case["class"])(**arguments)


def name_of(case):
    return f"{case['layer']['function']}: {case['id']}"


def act(case):
    """Do what a case says; the second value tells what must be as it was."""
    layer = case["layer"]
    function = getattr(layer_api, layer["function"])
    required = {layer["size"]: 2, **layer["more"]}
    arguments = {name: special(value) for name, value in case["arguments"].items()}
    arguments = {**layer["more"], **arguments}
    arguments = {name: value for name, value in arguments.items() if value is not MISSING}
    model = keras.Sequential([keras.Input(layer["shape"])])
    if case["do"] == "layer":
        return lambda: function(**arguments), lambda: None
    if case["do"] == "pipe":
        return lambda: layer_api.pipe(None, function(**required)), lambda: None
    if case["do"] == "add":
        return lambda: function(model, **arguments), lambda: model.layers
    if case["do"] == "call":
        return lambda: function(np.ones((2, *layer["shape"])), **arguments), lambda: None
    if case["do"] == "input":
        model = keras.Sequential([keras.Input(case["arguments"]["shape"])])
        return lambda: function(model, **required), lambda: model.layers
    made = function(**required)
    made.build((None, *layer["shape"]))
    weights = [np.ones(shape, "float32") for shape in case["arguments"]["shapes"]]
    return lambda: made.set_weights(weights), lambda: [w.tolist() for w in made.get_weights()]


MISSING = object()


def special(value):
    """Return what a value of a case stands for: {"special": kind, ...}, or plain JSON."""
    if not isinstance(value, dict):
        return value
    kind = value["special"]
    if kind == "missing":
        return MISSING
    if kind == "na":
        return float("nan")
    if kind == "function":
        return _function(value["takes"], special(value.get("returns")))
    if kind == "data_frame":
        return _DataFrame()
    if kind == "keras2_model":
        import tf_keras

        return tf_keras.Model(a := tf_keras.Input((3,)), a, name="functional")
    return {
        "layer_class": lambda: layer_api.DenseFlipout,
        "layer": lambda: layer_api.layer_dense_flipout(units=2, name="alone"),
        "functional_model": lambda: keras.Model(a := keras.Input((3,)), a, name="functional"),
        "matrix": lambda: np.zeros((2, 2), "float32"),
        "text_matrix": lambda: np.array([["a", "b"]]),
        "deterministic": _deterministic,
    }[kind]()


def _function(takes, returns):
    namespace = {"returns": returns}
    exec(f"def function({', '.join(takes)}): return returns", namespace)
    return namespace["function"]


def _deterministic():
    return backend.distributions.deterministic_distribution(keras.ops.zeros((3, 2)))


class _DataFrame:
    """Has what tells a pandas.DataFrame, which is not among this project's dependencies."""

    iloc = None
