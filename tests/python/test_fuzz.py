"""Whatever a layer is given, it works or says in the user's words why it cannot.

The runs of `make test` are the same every time. `FUZZ=100000 pytest tests/python/test_fuzz.py`
draws as many new attempts, over all layers.
"""

import os
import re
import warnings

import keras
import numpy as np
import pytest
from draws import Draw, draws
from hypothesis import HealthCheck, given, settings
from layers import CASES

SIZE = int(os.environ.get("FUZZ", 0))
PROFILE = settings(
    max_examples=(SIZE or 900) // len(CASES),
    derandomize=not SIZE,
    database=None,
    deadline=None,
    report_multiple_bugs=True,
    suppress_health_check=list(HealthCheck),
)
OURS = re.compile(
    r"`[^`]+` must be .+\. Received: .+\. .+\.|`.+` is not an argument of \w+\. .+"
    r"|`\w+` cannot be loaded: .+",
    re.DOTALL,
)


def state(model):
    """Return what an attempt that fails must not change."""
    if not isinstance(model, keras.Sequential):
        return None
    shape = model.output_shape if model.layers else None
    return list(map(id, model.layers)), model.built, len(model.weights), shape


def outcome(case, attempt: Draw):
    """Do it in Python; return the shape of the outputs, or name and message of the error."""
    given = {name: value.python for name, value in attempt.given.items()}
    inputs = attempt.inputs()
    before = state(inputs)
    try:
        result = case.function(inputs, **given)
        before = state(inputs)
        if isinstance(result, keras.Sequential):
            assert np.isfinite(result.losses).all()
            result(attempt.tensor())
    except (ValueError, TypeError) as error:
        message = str(error)
        assert OURS.fullmatch(message), message
        assert state(inputs) == before
        return type(error).__name__, message
    check(case, attempt, result)
    return shape_of(result)


def shape_of(result):
    if isinstance(result, keras.Sequential):
        return result.output_shape
    return type(result).__name__ if isinstance(result, keras.layers.Layer) else tuple(result.shape)


def check(case, attempt, result):
    """What works has the shape that it said it would have, and is finite."""
    inputs = attempt.inputs()
    if inputs is None:
        assert type(result) is case.layer
        return
    layer = case.layer(**{name: value.python for name, value in attempt.given.items()})
    symbolic = isinstance(inputs, (keras.Sequential, keras.KerasTensor))
    shape = (attempt.rows, *attempt.shape) if symbolic else np.shape(inputs)
    assert shape_of(result) == layer.compute_output_shape(shape)
    if not symbolic and not attempt.has_nan:
        assert np.isfinite(np.asarray(result, "float64")).all()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.layer.__name__)
def test_it_works_or_says_why(case):
    @PROFILE
    @given(draws(case))
    def attempt(drawn):
        with warnings.catch_warnings():
            # Keras prefers Input(shape) to these arguments.
            warnings.filterwarnings("ignore", "Do not pass an `input_shape`/`input_dim`")
            outcome(case, drawn)

    attempt()
