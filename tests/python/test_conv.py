"""Convolutions: how the noise of flipout reaches the positions of an example."""

import numpy as np
import pytest
from framework import numpy

import layer_api

ZERO_MEAN = {
    "kernel_posterior_fn": layer_api.MeanFieldNormal(loc_initializer="zeros"),
    "bias_posterior_fn": None,
    "seed": 1,
}


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_positions_of_an_example_share_their_signs(data_format):
    """One kernel serves all positions of an example (Wen et al. 2018, section 3.2).

    Equal windows then have equal outputs within an example, in size and in sign; two examples
    differ in their signs.
    """
    layer = layer_api.Conv2DFlipout(3, 2, data_format=data_format, **ZERO_MEAN)
    x = np.ones((64, 6, 6, 2), "float32")
    is_first = data_format == "channels_first"
    outputs = numpy(layer(np.moveaxis(x, -1, 1) if is_first else x))
    if is_first:
        outputs = np.moveaxis(outputs, 1, -1)
    for channel in range(3):
        by_position = outputs[..., channel].reshape(64, -1)
        assert np.abs(by_position).min() > 0
        np.testing.assert_allclose(by_position, by_position[:, :1] * np.ones((1, 25)), rtol=1e-5)
        assert {1.0, -1.0} == set(np.sign(by_position[:, 0]))
    # Two channels of inputs have four pairs of signs, so two sizes of outputs.
    assert len(np.unique(np.round(np.abs(outputs[:, 0, 0, 0]), 5))) == 2


def test_each_channel_has_signs_of_its_own():
    layer = layer_api.Conv1DFlipout(2, 1, **ZERO_MEAN)
    outputs = numpy(layer(np.ones((256, 3, 1), "float32")))[:, 0]
    agreement = np.mean(np.sign(outputs[:, 0]) == np.sign(outputs[:, 1]))
    assert abs(agreement - 0.5) < 5 * 0.5 / 16
