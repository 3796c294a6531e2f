"""The cases of `tests/cases`: what they do in Python, and the values that JSON cannot hold.

`tests/r/helper-cases.R` does the same in R.
"""

import json
import pathlib

import keras
import numpy as np

import layer_api

_FOLDER = pathlib.Path(__file__).parents[1] / "cases"
BAD_INPUT = json.loads((_FOLDER / "bad_input.json").read_text(encoding="utf-8"))


def act(case):
    """Do what a case says; the second value tells what must be as it was."""
    arguments = {name: special(value) for name, value in case["arguments"].items()}
    model = keras.Sequential([keras.Input((3,))])
    if case["do"] == "layer":
        return lambda: layer_api.layer_dense_flipout(**arguments), lambda: None
    if case["do"] == "pipe":
        return lambda: layer_api.pipe(None, layer_api.layer_dense_flipout(units=2)), lambda: None
    if case["do"] == "add":
        return lambda: layer_api.layer_dense_flipout(model, **arguments), lambda: model.layers
    if case["do"] == "input":
        model = keras.Sequential([keras.Input(arguments["shape"])])
        return lambda: layer_api.layer_dense_flipout(model, units=2), lambda: model.layers
    layer = layer_api.layer_dense_flipout(units=2)
    layer.build((None, 3))
    weights = [np.ones(shape, "float32") for shape in arguments["shapes"]]
    return lambda: layer.set_weights(weights), lambda: [w.tolist() for w in layer.get_weights()]


def special(value):
    """Return what a value of a case stands for: {"special": kind, ...}, or plain JSON."""
    if not isinstance(value, dict):
        return value
    kind = value["special"]
    if kind == "na":
        return float("nan")
    if kind == "function":
        return _function(value["takes"], special(value.get("returns")))
    if kind == "data_frame":
        return _DataFrame()
    if kind == "keras2_model":
        import tf_keras

        return tf_keras.Sequential()
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
    import tensorflow_probability as tfp

    return tfp.distributions.Independent(tfp.distributions.Deterministic(np.zeros((3, 2), "f")), 2)


class _DataFrame:
    """Has what tells a pandas.DataFrame, which is not among this project's dependencies."""

    iloc = None
