"""The values of `tests/cases` that JSON cannot hold, as Python makes them.

`tests/r/special_values.R` makes the same values in R.
"""

import keras
import numpy as np

import layer_api


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
        "functional_model": lambda: keras.Model(a := keras.Input((3,)), a),
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
