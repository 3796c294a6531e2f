"""The cases of bad input of `tests/cases`, for every layer that they are about.

`tests/r/helper-cases.R` does the same in R.
"""

import keras
import numpy as np
from table import LAYERS, MISSING, argument, names_of, own_names_of, read, specials

import layer_api
from layer_api import backend


def _subjects(layer, about):
    """Return what is known of every argument of a layer that has a name, or is of a kind."""
    if about is None:
        return [{}]
    arguments = [argument(layer, name) for name in names_of(layer)]
    return [found for found in arguments if about == found["argument"] or about in found["is"]]


def _holds(where, facts):
    """Tell whether every fact is the one that is wanted, or among them."""
    return all(
        facts.get(name) in (wanted if isinstance(wanted, list) else [wanted])
        for name, wanted in where.items()
    )


def _filled_in(case, facts):
    """Return a case with the facts in place of {function} and the like."""

    def fill(text):
        for name, fact in facts.items():
            if isinstance(fact, str):
                text = text.replace(f"{{{name}}}", fact)
        return text

    arguments = {fill(name): value for name, value in case["arguments"].items()}
    texts = {name: fill(case[name]) for name in ("id", "message")}
    return {**case, **texts, "arguments": arguments}


def _instances():
    """Yield every case for every argument of every layer that it is about."""
    cases = read("bad_input")
    for layer in LAYERS:
        own = own_names_of(layer)
        more = {"first": own[0], "all": ", ".join(own), "library": backend.distributions.LIBRARY}
        for case in cases:
            for subject in _subjects(layer, case.get("about")):
                none = "None/NULL, " if subject.get("optional") else ""
                facts = {**layer, **more, **subject, "none": none}
                if _holds(case.get("where", {}), facts):
                    yield {**_filled_in(case, facts), "layer": layer}


BAD_INPUT = list(_instances())
# Calls of the functions that make blocks: `function` in R, `class` in Python.
BAD_BLOCKS = read("bad_blocks")


def act_on_block(case):
    """Make the block of a case."""
    return getattr(layer_api, case["class"])(**specials(case["arguments"]))


def name_of(case):
    return f"{case['layer']['function']}: {case['id']}"


def act(case):
    """Do what a case says; the second value tells what must be as it was."""
    layer = case["layer"]
    function = getattr(layer_api, layer["function"])
    shape = case.get("inputs", layer["shapes"][0][0])
    arguments = specials({**layer["required"], **case["arguments"]})
    arguments = {name: value for name, value in arguments.items() if value is not MISSING}
    if case["do"] == "layer":
        return lambda: function(**arguments), lambda: None
    if case["do"] == "pipe":
        return lambda: layer_api.pipe(None, function(**arguments)), lambda: None
    if case["do"] == "add":
        model = keras.Sequential([keras.Input(shape)])
        return lambda: function(model, **arguments), lambda: model.layers
    if case["do"] == "call":
        return lambda: function(np.ones((2, *shape)), **arguments), lambda: None
    made = function(**arguments)
    made.build((None, *shape))
    weights = [np.ones(shape, "float32") for shape in case["weights"]]
    return lambda: made.set_weights(weights), lambda: [w.tolist() for w in made.get_weights()]
