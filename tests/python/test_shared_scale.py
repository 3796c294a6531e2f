"""SharedScale: columns that are the same in all rows, and are learned."""

import keras
import numpy as np
import pytest
from framework import numpy

import layer_api

X = np.random.default_rng(1).normal(size=(5, 3)).astype("float32")


@pytest.mark.parametrize(("units", "columns"), [(None, 3), (1, 1), (4, 4)])
@pytest.mark.parametrize("lead", [(5,), (2, 5), (2, 4, 5)])
def test_appends_the_variable(units, columns, lead):
    layer = layer_api.layer_shared_scale(units=units, initializer="random_normal", seed=1)
    inputs = np.random.default_rng(2).normal(size=(*lead, 3)).astype("float32")
    outputs = numpy(layer(inputs))
    assert outputs.shape == (*lead, 3 + columns)
    np.testing.assert_array_equal(outputs[..., :3], inputs)
    (variable,) = layer.get_weights()
    np.testing.assert_array_equal(outputs[..., 3:], np.broadcast_to(variable, (*lead, columns)))


def test_starts_at_zeros():
    layer = layer_api.SharedScale()
    layer.build((None, 2))
    np.testing.assert_array_equal(layer.get_weights(), [[0.0, 0.0]])


def test_features_need_not_be_known_where_units_are():
    layer = layer_api.SharedScale(units=2)
    assert layer.compute_output_shape((None, None)) == (None, None)
    assert layer(keras.Input((None,))).shape == (None, None)
    for features in (1, 3):
        assert layer(np.ones((4, features), "float32")).shape == (4, features + 2)


def test_masks_pass_through():
    inputs = keras.Input((5, 3))
    masked = keras.layers.Masking()(inputs)
    layer = layer_api.SharedScale()
    known = layer.compute_mask(masked, mask=np.array([[True, False]]))
    np.testing.assert_array_equal(known, [[True, False]])
    assert layer.supports_masking


def test_the_locations_and_scales_of_a_likelihood():
    """Of one number and of two: all locations come first."""
    for units in (1, 2):
        likelihood = layer_api.NormalLikelihood()
        layer = layer_api.SharedScale()
        locations = X[:, :units]
        outputs = layer(locations)
        assert likelihood.units_of(outputs.shape[-1]) == units
        np.testing.assert_array_equal(numpy(likelihood.mean(outputs)), locations)
        layer.set_weights([np.arange(1.0, 1 + units)])
        scale = 1e-5 + np.log1p(np.exp(np.arange(1.0, 1 + units)))
        variance = numpy(likelihood.variance(layer(locations)))
        np.testing.assert_allclose(variance, np.tile(scale**2, (5, 1)), rtol=1e-5)


def test_is_printed():
    layer = layer_api.SharedScale(units=2, name="mine")
    assert repr(layer) == "<SharedScale name=mine, units=2, built=False>"
