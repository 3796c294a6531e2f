"""What the fuzz tests draw: arguments and inputs of every layer of the table, right and wrong.

A value is drawn together with the way R's users write it, so that both languages get the same.
"""

import inspect
import json
import math
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from hypothesis import strategies as st
from table import argument, own_names_of

import layer_api
from layer_api import serialization


class Value(NamedTuple):
    """One value, in Python and in R's words."""

    python: Any
    r: str

    def __repr__(self):
        return self.r


class Draw(NamedTuple):
    """One attempt: a layer's arguments, and what the layer is composed with."""

    given: dict[str, Value]
    # "nothing", "model", "longer model", "symbolic", "tensor" or "list"; or a value of any kind.
    object: str | Value
    shape: tuple[int | None, ...]
    rows: int | None
    dtype: str
    has_nan: bool

    def inputs(self):
        """Return a new object of the kind drawn, as Python's users have it."""
        if isinstance(self.object, Value):
            return self.object.python
        if self.object == "nothing":
            return None
        if self.object in ("model", "longer model"):
            model = keras.Sequential([keras.Input(self.shape, self.rows, self.dtype)])
            if self.object == "longer model":
                model.add(keras.layers.Identity(dtype=self.dtype))
            return model
        if self.object == "symbolic":
            return keras.Input(self.shape, self.rows, self.dtype)
        tensor = self.tensor()
        return [tensor, tensor] if self.object == "list" else tensor

    def tensor(self):
        """Return values of the shape drawn, with one for every size that is undefined."""
        shape = [self.rows or 0, *(1 if n is None else n for n in self.shape)]
        values = np.full(shape, np.nan) if self.has_nan else np.cos(np.arange(math.prod(shape)))
        if self.dtype == "string":
            return tf.fill(shape, "a")
        return tf.cast(tf.reshape(tf.constant(values), shape), self.dtype)


def _text(value):
    return Value(value, json.dumps(value, ensure_ascii=False))


def _number(value):
    return Value(value, {math.inf: "Inf", -math.inf: "-Inf"}.get(value, repr(value)))


def _list(values):
    return Value([v.python for v in values], f"list({', '.join(v.r for v in values)})")


def _dict(pairs):
    written = ", ".join(f"`{name}` = {value.r}" for name, value in pairs.items())
    r = f"list({written})" if pairs else "stats::setNames(list(), character())"
    return Value({name: value.python for name, value in pairs.items()}, r)


def _named(name):
    return Value(getattr(layer_api, name), f"core_class('{name}')")


def _function(takes, body, r_body):
    namespace = {}
    exec(f"def function({takes}): return {body}", namespace)
    return Value(namespace["function"], f"function({takes}) {r_body}")


# Sizes decide how much memory a layer takes: drawn ones are small.
SMALL = 5
_NO_SIZES = {"seed", "weight", "strides", "dilation_rate"}

_WHOLE = st.sampled_from([-(2**63), -1, 0, 1, 2, 3, 5, 7, 100, 2**31 - 1, 2**31, 2**40, 2**70])
_SCALARS = st.one_of(
    st.just(Value(None, "NULL")),
    st.sampled_from([Value(True, "TRUE"), Value(False, "FALSE")]),
    st.just(Value(math.nan, "NaN")),
    _WHOLE.map(_number),
    st.sampled_from([math.inf, -math.inf, 0.5, 1.5, -0.25, 1e-300]).map(_number),
    st.just(Value(1 + 2j, "complex(real = 1, imaginary = 2)")),
    st.text(st.characters(codec="utf-8", exclude_categories=("C",)), max_size=5).map(_text),
    st.sampled_from(
        [
            "relu",
            "same",
            "sample",
            "l2",
            "channels_first",
            "float16",
            "int32",
            "a/b",
            "{units}",
            "%s",
        ]
    ).map(_text),
)
_TAKES = {
    "activation": "x",
    "tensor": "d",
    "divergence": "q, p, sample",
    "posterior": "dtype, shape, name, trainable, add_variable_fn",
    "prior": "dtype, shape, name, trainable, add_variable_fn",
}
_RETURNS = {"None": "NULL", "3": "3", "'a'": "'a'", "[1, 2]": "list(1, 2)"}


def _functions(takes):
    """Return functions of these arguments, of which hardly any is of use."""
    first = {takes.split(",")[0]: takes.split(",")[0]} if takes else {}
    returns = {**_RETURNS, **first}
    return st.sampled_from([_function(takes, body, r) for body, r in returns.items()])


_FUNCTIONS = st.sampled_from(["", "q, p", *_TAKES.values()]).flatmap(_functions)
_OBJECTS = st.sampled_from(
    [
        Value(np.float64(0.5), "0.5"),
        Value(np.int64(3), "3L"),
        Value(np.zeros((2, 2)), "array(0, c(2, 2))"),
        Value(np.zeros(3), "array(0, 3)"),
        _named("DenseFlipout"),
        _named("KLDivergence"),
        Value(layer_api.MeanFieldNormal(), "posterior_mean_field_normal()"),
        Value(layer_api.StandardNormal(), "prior_standard_normal()"),
        Value(layer_api.KLDivergence(), "divergence_kl_divergence()"),
        Value(keras.regularizers.L2(0.5), "keras$regularizers$L2(0.5)"),
    ]
)
_DICTS = st.one_of(
    st.dictionaries(st.sampled_from(["a", "class_name", "config", "module"]), _SCALARS, min_size=1),
    st.fixed_dictionaries(
        {
            "class_name": st.sampled_from(["L2", "KLDivergence", "layer_api>KLDivergence", "relu"]),
            "config": st.sampled_from([{}, {"weight": 0.5}, {"weight": -1}, {"l2": 0.5}, {"a": 1}]),
        }
    ).map(
        lambda config: {
            "class_name": _text(config["class_name"]),
            "config": _dict({name: _number(value) for name, value in config["config"].items()}),
        }
    ),
).map(_dict)
_LISTS = st.lists(st.one_of(_SCALARS, st.lists(_SCALARS, max_size=2).map(_list)), max_size=3).map(
    _list
)
ANYTHING = st.one_of(_SCALARS, _LISTS, _DICTS, _FUNCTIONS, _OBJECTS)

_SIZES = st.integers(1, SMALL).map(_number)
_SEVERAL = st.one_of(_SIZES, st.lists(_SIZES, min_size=1, max_size=3).map(_list))
# What may be right for an argument or a kind of them, beside the values that the table has.
_RIGHT = {
    "window": _SEVERAL,
    "padding": st.sampled_from(["valid", "same", "causal", "SAME"]).map(_text),
    "data_format": st.sampled_from(["channels_last", "channels_first"]).map(_text),
    "activation": st.sampled_from(["relu", "softmax", "linear"]).map(_text),
    "seed": st.integers(0, 2**31 - 1).map(_number),
    "weight": st.sampled_from([0, 1, 0.5, 1e-300]).map(_number),
    "name": st.sampled_from(["mine", "my layer"]).map(_text),
    "dtype": st.sampled_from(["float16", "bfloat16", "float32", "float64", "mixed_float16"]).map(
        _text
    ),
    "flag": st.sampled_from([Value(True, "TRUE"), Value(False, "FALSE")]),
    "input_shape": st.lists(_SIZES, min_size=1, max_size=3).map(_list),
    "features of the inputs": _SIZES,
}
for _kind, _names in {
    "tensor": ["sample", "mean"],
    "divergence": ["kl_divergence"],
    "posterior": ["mean_field_normal", "deterministic"],
    "prior": ["standard_normal"],
}.items():
    _RIGHT[_kind] = st.one_of(st.sampled_from(_names).map(_text), _functions(_TAKES[_kind]))
_RIGHT["activation"] = st.one_of(_RIGHT["activation"], _functions(_TAKES["activation"]))
_OF_KERAS = ("name", "dtype", "autocast", "input_shape", "input_dim")


def written_in_r(value):
    """Return a value of the table of layers as R's users write it."""
    if isinstance(value, bool) or value is None:
        return Value(value, {None: "NULL", True: "TRUE", False: "FALSE"}[value])
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, (list, tuple)):
        return _list([written_in_r(item) for item in value])
    return _number(value)


def _is_plain(value):
    return value is None or isinstance(value, (bool, int, float, str, list, tuple))


def _small(value):
    """Tell whether every whole number inside is so small that a layer of that size is, too."""
    if isinstance(value, (list, tuple)):
        return all(map(_small, value))
    return isinstance(value, bool) or not isinstance(value, int) or value <= SMALL


def _values(case, name, anything):
    """Return the strategy for the values of one argument, of which some or many are right."""
    kinds = {name, *argument(case.row, name)["is"]}
    right = [_RIGHT[kind] for kind in _RIGHT if kind in kinds]
    if name in case.changed and _is_plain(case.changed[name]):
        right.append(st.just(written_in_r(case.changed[name])))
    values = st.one_of(*right, *([ANYTHING] if anything or not right else []))
    if not kinds & _NO_SIZES:
        values = values.filter(lambda value: _small(value.python))
    if kinds & {"initializer", "regularizer", "constraint"}:
        # Keras calls it, and it is for Keras to say what is wrong.
        return values.filter(
            lambda value: (
                not inspect.isfunction(value.python)
                and not serialization.is_block(value.python)
                and not hasattr(value.python, "shape")
            )
        )
    if "block" in kinds:  # what fails inside a function that somebody else wrote is left alone
        regularizer = keras.regularizers.Regularizer
        return values.filter(lambda value: not isinstance(value.python, regularizer))
    return values


def _misspelt(names):
    """Return a strategy for names that nearly are those of arguments.

    Not the common beginning of several: R refuses that before the function is called.
    """

    def ambiguous(name):
        return sum(known.startswith(name) for known in names) > 1

    def change(name, position, letter):
        position %= len(name)
        return name[:position] + letter + name[position + 1 :]

    return st.builds(
        change, st.sampled_from(names), st.integers(0, 30), st.sampled_from(["", "x", "_", "É"])
    ).filter(lambda name: name and name not in names and not ambiguous(name))


@st.composite
def draws(draw, case):
    """Return a strategy for attempts at one row of the table of layers."""
    own = own_names_of(case.row)
    # Anything, or what has a good chance to be right, so that all ways to go wrong are reached.
    anything = draw(st.booleans())
    given = {}
    for name, value in case.required.items():
        how = draw(st.sampled_from(["right"] * 8 + ["drawn", "missing"]))
        if how != "missing":
            given[name] = (
                written_in_r(value) if how == "right" else draw(_values(case, name, anything))
            )
    for name in draw(st.lists(st.sampled_from([*own, *_OF_KERAS]), max_size=3, unique=True)):
        given[name] = draw(_values(case, name, anything))
    if anything and draw(st.integers(0, 9)) == 0:
        given[draw(_misspelt([*own, *_OF_KERAS, "object"]))] = draw(ANYTHING)
    if "data_format" in given:
        # On a CPU TensorFlow has no convolution in float64 with the channels in front.
        given.pop("dtype", None)
    usual = draw(st.sampled_from([shape for shape, _ in case.shapes]))
    # Up to five dimensions with the batch: TensorFlow's softmax takes no more.
    sizes = st.sampled_from([None, 0, 1, 2, 3, 4])
    shape = draw(st.one_of(st.just(usual), st.just(usual), st.lists(sizes, max_size=4).map(tuple)))
    if shape == usual and draw(st.booleans()):
        shape = list(usual)
        shape[draw(st.integers(0, len(shape) - 1))] = draw(sizes)
        shape = tuple(shape)
    kinds = ["nothing", "model", "longer model", "symbolic", "tensor", "tensor", "list"]
    return Draw(
        given=given,
        object=draw(
            st.one_of(st.sampled_from(kinds), ANYTHING)
            if draw(st.integers(0, 9)) == 0
            else st.sampled_from(kinds)
        ),
        shape=shape,
        rows=draw(st.sampled_from([None, 0, 1, 3])),
        dtype=draw(
            st.sampled_from(
                [
                    "float32",
                    "float32",
                    "float16",
                    "float64",
                    "bfloat16",
                    "int32",
                    "int64",
                    "uint8",
                    "bool",
                    "string",
                    "complex64",
                ]
            )
        ),
        has_nan=draw(st.sampled_from([False] * 9 + [True])),
    )
