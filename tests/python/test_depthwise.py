"""Depthwise convolutions: moments, divergence, and what Keras's own layer computes."""

import keras
import numpy as np
import pytest
import scipy.stats
from framework import losses_of, many, numpy

import layer_api

RANDOM = np.random.RandomState(1)
X = RANDOM.normal(size=(2, 6, 6, 3)).astype("float32")
N = 4000


def layer_with_weights(**arguments):
    layer = layer_api.DepthwiseConv2DFlipout(3, depth_multiplier=2, seed=1, **arguments)
    layer.build(
        (None, 6, 6, 3) if arguments.get("data_format") != "channels_first" else (None, 3, 6, 6)
    )
    return layer


def of_keras(kernel, bias, x, **arguments):
    layer = keras.layers.DepthwiseConv2D(3, depth_multiplier=2, **arguments)
    layer.build((None, 6, 6, 3))
    layer.set_weights([kernel, bias])
    return numpy(layer(x))


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("strides", "dilation_rate"), [(1, 1), (2, 1), (1, 2)])
def test_the_mean_is_the_convolution(padding, strides, dilation_rate):
    window = {"padding": padding, "strides": strides, "dilation_rate": dilation_rate}
    means = {"kernel_posterior_tensor_fn": "mean", "bias_posterior_tensor_fn": "mean"}
    layer = layer_with_weights(**window, **means)
    loc, _, bias = layer.get_weights()
    expected = of_keras(loc, bias, X, **window)
    np.testing.assert_allclose(numpy(layer(X)), expected, rtol=1e-4, atol=1e-5)
    first = layer_with_weights(**window, **means, data_format="channels_first")
    first.set_weights(layer.get_weights())
    found = np.moveaxis(numpy(first(np.moveaxis(X, -1, 1))), 1, -1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_moments():
    layer = layer_with_weights()
    loc, untransformed, bias = layer.get_weights()
    scale = np.log1p(np.exp(untransformed))
    draws = numpy(many(lambda: layer(X), N, layer))
    mean = of_keras(loc, bias, X)
    variance = of_keras(scale**2, 0 * bias, X**2)
    z = (draws.mean(axis=0) - mean) / np.sqrt(variance / N)
    assert np.abs(z).max() < 5
    assert np.abs(draws.var(axis=0) / variance - 1).max() < 5 * np.sqrt(2 / N)
    standard = (draws[:, 0, 0, 0, 0] - mean[0, 0, 0, 0]) / np.sqrt(variance[0, 0, 0, 0])
    assert scipy.stats.kstest(standard, "norm").pvalue > 1e-4


def test_divergence():
    layer = layer_with_weights(kl_weight=0.5)
    loc, untransformed, _ = layer.get_weights()
    s = np.finfo("float32").eps + np.log1p(np.exp(untransformed))
    expected = 0.5 * np.sum((s**2 + loc**2 - 1) / 2 - np.log(s))
    np.testing.assert_allclose(losses_of(layer), [expected], rtol=1e-5)


def test_unequal_strides_are_refused():
    with pytest.raises(ValueError, match="`strides` must be a whole number, or two equal ones"):
        layer_api.DepthwiseConv2DFlipout(3, strides=(1, 2))
