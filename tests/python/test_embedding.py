"""Embeddings: moments, one draw for a batch, divergence, and inputs that stand for nothing."""

import keras
import numpy as np
import pytest
import scipy.stats
from framework import losses_of, many, numpy

import layer_api

N = 4000
INPUTS = np.array([[0, 1, 1], [4, 0, 2]])


def embedding(**arguments):
    layer = layer_api.EmbeddingReparameterization(5, 2, **{"seed": 1, **arguments})
    layer.build((None, 3))
    return layer


def test_moments():
    layer = embedding()
    loc, untransformed = layer.get_weights()
    scale = np.log1p(np.exp(untransformed))
    draws = numpy(many(lambda: layer(INPUTS), N, layer))
    z = (draws.mean(axis=0) - loc[INPUTS]) / (scale[INPUTS] / np.sqrt(N))
    assert np.abs(z).max() < 5
    assert np.abs(draws.var(axis=0) / scale[INPUTS] ** 2 - 1).max() < 5 * np.sqrt(2 / N)
    standard = (draws[:, 0, 0, 0] - loc[0, 0]) / scale[0, 0]
    assert scipy.stats.kstest(standard, "norm").pvalue > 1e-4


def test_one_draw_serves_the_batch():
    outputs = numpy(embedding()(INPUTS))
    np.testing.assert_array_equal(outputs[0, 0], outputs[1, 1])
    np.testing.assert_array_equal(outputs[0, 1], outputs[0, 2])
    assert not np.allclose(outputs[0, 0], outputs[0, 1])


def test_divergence():
    layer = embedding(kl_weight=0.25)
    loc, untransformed = layer.get_weights()
    s = np.finfo("float32").eps + np.log1p(np.exp(untransformed))
    expected = 0.25 * np.sum((s**2 + loc**2 - 1) / 2 - np.log(s))
    np.testing.assert_allclose(losses_of(layer), [expected], rtol=1e-5)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16", "float32"])
def test_indices_are_not_rounded(dtype):
    layer = layer_api.EmbeddingReparameterization(
        3000, 1, dtype=dtype, embeddings_posterior_tensor_fn="mean"
    )
    indices = np.arange(2048, 3000)
    outputs = numpy(keras.ops.cast(layer(indices), "float32"))
    expected = layer.get_weights()[0][indices]
    np.testing.assert_allclose(outputs, expected, rtol=2**-8, atol=1e-6)
    # As R has them.
    outputs = numpy(keras.ops.cast(layer(indices.astype("float64")), "float32"))
    np.testing.assert_allclose(outputs, expected, rtol=2**-8, atol=1e-6)


def test_inputs_that_are_no_category_are_missing():
    outputs = numpy(embedding()(np.array([[0, 5, -1, 4]])))
    assert np.isnan(outputs).all(axis=-1).tolist() == [[False, True, True, False]]
    outputs = numpy(embedding()(np.array([[0.0, 1.5, np.nan, 4.0]], "float32")))
    assert np.isnan(outputs).all(axis=-1).tolist() == [[False, True, True, False]]


def test_it_has_no_bias_and_no_activation():
    for name in ("bias_posterior_fn", "activation", "use_bias"):
        with pytest.raises(TypeError, match=f"`{name}` is not an argument of Embedding"):
            layer_api.EmbeddingReparameterization(5, 2, **{name: None})


def test_mask_zero():
    model = keras.Sequential([keras.Input((3,), dtype="int32")])
    layer_api.layer_embedding_reparameterization(model, 5, 2, mask_zero=True, seed=1)
    mask = numpy(model.layers[0].compute_mask(INPUTS))
    np.testing.assert_array_equal(mask, INPUTS != 0)
    assert embedding().compute_mask(INPUTS) is None


def test_training_learns_what_was_seen():
    rng = np.random.RandomState(1)
    x = rng.randint(0, 4, size=(512, 1))  # 4 of 5 categories
    y = np.array([-1.0, 0.0, 1.0, 2.0])[x[:, 0]]
    model = keras.Sequential([keras.Input((1,), dtype="int32")])
    layer_api.layer_embedding_reparameterization(model, 5, 1, seed=1, kl_weight=1 / 512)
    model.add(keras.layers.Flatten())
    model.compile(keras.optimizers.Adam(0.05), "mse")
    model.fit(x, y, epochs=40, batch_size=64, verbose=0)
    loc, untransformed = model.get_weights()
    scale = np.log1p(np.exp(untransformed))[:, 0]
    np.testing.assert_allclose(loc[:4, 0], [-1.0, 0.0, 1.0, 2.0], atol=0.2)
    assert scale[4] > 2 * scale[:4].max()
