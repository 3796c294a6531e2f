"""Bad input: the message, and that nothing has changed. R reads the same cases."""

import json
import pathlib

import keras
import numpy as np
import pytest
from special_values import special

import layer_api

CASES = json.loads(
    (pathlib.Path(__file__).parents[1] / "cases" / "bad_input.json").read_text(encoding="utf-8")
)


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


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_message_and_state(case):
    action, state = act(case)
    before = state()
    with pytest.raises(Exception) as caught:  # noqa: PT011 (the case says which)
        action()
    assert type(caught.value).__name__ == case["error"]
    assert str(caught.value) == case["message"]
    assert state() == before
