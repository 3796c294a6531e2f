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
from layers import CASES, IS_FULL

import layer_api
from layer_api import backend

SIZE = int(os.environ.get("FUZZ", 0))
PROFILE = settings(
    max_examples=(SIZE or (900 if IS_FULL else 450)) // len(CASES),
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


# What long runs found, and what is no bad input or needs more than one call to show.


def test_a_prior_of_a_bias_that_is_not_there_costs_nothing():
    layer = layer_api.layer_dense_flipout(
        units=2, bias_posterior_fn=None, bias_prior_fn="standard_normal"
    )
    layer.build((None, 3))
    assert len(layer.losses) == 1


@pytest.mark.parametrize("padding", ["valid", "same", "causal"])
def test_a_batch_of_no_examples(padding):
    layer = layer_api.layer_conv_1d_flipout(filters=2, kernel_size=2, padding=padding)
    shape = (0, 4, 3)
    assert layer(np.zeros(shape, "float32")).shape == layer.compute_output_shape(shape)


@pytest.mark.parametrize("estimator", ["flipout", "reparameterization", "local_reparameterization"])
def test_one_parameter_may_stand_for_all_weights(estimator):
    make = getattr(layer_api, f"layer_dense_{estimator}")
    one = backend.distributions.normal_distribution(keras.ops.zeros(()), keras.ops.ones(()))
    layer = make(units=2, kernel_posterior_fn=lambda *_: one)
    assert layer(np.ones((4, 3), "float32")).shape == (4, 2)
    np.testing.assert_array_equal(layer.losses, [0.0])


def test_a_window_that_turns_out_too_large():
    layer = layer_api.layer_conv_1d_flipout(filters=2, kernel_size=3)
    layer.build((None, None, 3))
    with pytest.raises(ValueError, match=r"^`inputs` must be a tensor with at least \[3\]"):
        layer(np.ones((1, 2, 3), "float32"))
