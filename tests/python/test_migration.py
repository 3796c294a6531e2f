"""A model moves from `tfp.layers` on Keras 2 by `new.set_weights(old.get_weights())`."""

import math

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

import layer_api

BOUND = 5.0  # standard errors
N = 10_000
X = np.array([[0.5, -1.0, 2.0], [1.5, 0.3, -0.7], [0.0, 0.2, 0.1]], "float32")


def draws_of(model):
    @tf.function
    def many():
        return tf.map_fn(lambda _: model(X), tf.range(N), fn_output_signature="float32")

    return many().numpy().astype("float64")


def test_predictions_and_divergence_are_the_same():
    # Linear, so that the outputs of two layers have moments that N draws estimate well.
    tf_keras.utils.set_random_seed(1)
    old = tf_keras.Sequential([
        tf_keras.Input((3,)),
        tfp.layers.DenseFlipout(4, seed=1),
        tfp.layers.DenseFlipout(
            2, bias_posterior_fn=tfp.layers.default_mean_field_normal_fn(), seed=2
        ),
    ])  # fmt: skip
    new = keras.Sequential([
        keras.Input((3,)),
        layer_api.DenseFlipout(4, seed=1),
        layer_api.DenseFlipout(
            2, bias_posterior_fn=layer_api.default_mean_field_normal_fn(), seed=2
        ),
    ])  # fmt: skip
    rng = np.random.default_rng(1)
    old.set_weights([w + rng.normal(0, 0.5, w.shape) for w in old.get_weights()])
    new.set_weights(old.get_weights())

    # `old.losses` belong to the graph in which TFP called each layer first; ask the layers.
    divergences = [
        tfp.distributions.kl_divergence(layer.kernel_posterior, layer.kernel_prior)
        for layer in old.layers
    ]
    np.testing.assert_allclose(new.losses, divergences, rtol=1e-5)
    ours, theirs = draws_of(new), draws_of(old)
    n_variance = (ours.var(axis=0) + theirs.var(axis=0)) / N
    z_mean = (ours.mean(axis=0) - theirs.mean(axis=0)) / np.sqrt(n_variance)
    assert np.abs(z_mean).max() < BOUND
    # The standard error of a variance is sqrt((m4 - m2^2) / n), estimated from the draws.
    moments = [(d.var(axis=0), ((d - d.mean(axis=0)) ** 4).mean(axis=0)) for d in (ours, theirs)]
    error = np.sqrt(sum((m4 - m2**2) / N for m2, m4 in moments))
    z_variance = (moments[0][0] - moments[1][0]) / error
    assert np.abs(z_variance).max() < BOUND
    assert math.isfinite(z_variance.max())
