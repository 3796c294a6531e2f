"""The table of layers, `tests/cases/layers.json`: the contract holds for every row.

A new layer joins by one more row, which may have of a family what it does not say itself.
"""

import os
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import keras
import numpy as np
from framework import BACKEND
from table import LAYERS, special

import layer_api


class Case(NamedTuple):
    """One layer: how it is made, what it takes, returns and holds."""

    layer: type[keras.layers.Layer]
    function: Callable[..., Any]
    # What the table has of it, where other values than plain ones are as JSON holds them.
    row: dict[str, Any]
    # The arguments that it cannot be made without.
    required: dict[str, Any]
    # For every argument a value that is not the default.
    changed: dict[str, Any]
    # Shapes of one example, by rank, and those of its output. The first is what most tests use.
    shapes: list[tuple[tuple[int, ...], tuple[int, ...]]]
    # A shape of an example that does not say enough to build the layer.
    # None if any shape does.
    undefined: tuple[int | None, ...] | None
    # Name and shape of every weight, in order, for the first of the shapes.
    weights: list[tuple[str, tuple[int, ...]]]
    # Arguments of `changed` that exclude another one.
    alone: tuple[str, ...] = ()
    # What an argument of `changed` has to be given with.
    beside: Mapping[str, dict[str, Any]] = MappingProxyType({})
    # How many elements of the weights a mask holds at zero.
    held: int = 0
    # Whether a call draws again, and adds a divergence.
    draws: bool = True
    # Whether the outputs have a row for every row of the inputs.
    by_row: bool = True
    # What the inputs are below, if they are whole numbers of at least 0.
    below: int | None = None
    # Arguments with which it stands for its means in every call.
    noiseless: Mapping[str, Any] = MappingProxyType({})

    @property
    def together(self):
        """The changed arguments that can be given together."""
        return {name: value for name, value in self.changed.items() if name not in self.alone}

    @property
    def drawn(self):
        """Those of them with which it draws."""
        given = self.together.items()
        return {name: value for name, value in given if self.noiseless.get(name) != value}

    def inputs(self, rng, rows):
        """Return inputs of the first of the shapes, for a number of rows."""
        size = (rows, *self.shapes[0][0])
        drawn = rng.normal(size=size) if self.below is None else rng.integers(0, self.below, size)
        return np.asarray(drawn, "float32")

    def output(self, rows, shape):
        """Return the shape of the outputs for a number of rows."""
        return (rows, *shape) if self.by_row else shape

    def make(self, **arguments):
        """Return a layer with the required arguments, a seed, and `arguments`."""
        return self.layer(**{**self.required, "seed": 1, **arguments})


def _python(value):
    """Return a value of the table as Python's users write it."""
    if isinstance(value, list):
        return tuple(map(_python, value))
    if isinstance(value, dict) and "special" not in value:
        return {name: _python(item) for name, item in value.items()}
    return special(value)


def _case(row):
    fields = {name: _python(row[name]) for name in Case._fields if name in row}
    fields |= {name: list(fields[name]) for name in ("shapes", "weights")}
    layer, function = (getattr(layer_api, row[name]) for name in ("class", "function"))
    return Case(**{**fields, "layer": layer, "function": function, "row": row})


# A row may stand aside: `"contract": false`.
ALL = [_case(row) for row in LAYERS if row.get("contract", True)]
_BY_NAME = {case.layer.__name__: case for case in ALL}

# Between them, these call what layers call of `layer_api/backend`. They stand for every layer where
# a test has to compile a step or to start a process, which takes a hundred times as long as a call;
# `FULL=1` takes every layer instead.
_FEW = [
    "DenseFlipout",
    "DenseLocalReparameterization",
    "DenseVariational",
    "Conv2DFlipout",
    "EmbeddingReparameterization",
]
IS_FULL = bool(os.environ.get("FULL"))
REPRESENTATIVES = ALL if IS_FULL else [_BY_NAME[name] for name in _FEW]
# A layer is written once for all backends: TensorFlow sees every layer in all other tests.
CASES = ALL if BACKEND == "tensorflow" else REPRESENTATIVES

VARIABLE, AUTOREGRESSIVE = _BY_NAME["VariableLayer"], _BY_NAME["AutoregressiveNetwork"]
