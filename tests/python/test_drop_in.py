"""Programs in the manner of TensorFlow Probability's tutorials: only the import changes."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

import layer_api

tfd = tfp.distributions

# The import: the package of the layers, and the Keras that goes with it.
imports = pytest.mark.parametrize(
    ("layers", "api"), [(tfp.layers, tf_keras), (layer_api, keras)], ids=["tfp", "layer_api"]
)


@imports
def test_regression_with_a_trainable_prior(layers, api):
    api.utils.set_random_seed(1)
    n_rows = 64
    x = np.linspace(-1, 1, n_rows, dtype="float32")[:, None]
    y = 2 * x + 1 + 0.1 * np.random.default_rng(1).normal(size=x.shape).astype("float32")

    def posterior(kernel_size, bias_size=0, dtype=None):
        n = kernel_size + bias_size
        return api.Sequential([
            layers.VariableLayer(2 * n, dtype=dtype),
            layers.DistributionLambda(
                lambda t: tfd.Independent(
                    tfd.Normal(t[:n], 1e-5 + tf.nn.softplus(t[n:] - 3)), 1
                )
            ),
        ])  # fmt: skip

    def prior(kernel_size, bias_size=0, dtype=None):
        n = kernel_size + bias_size
        return api.Sequential([
            layers.VariableLayer(n, dtype=dtype),
            layers.DistributionLambda(lambda t: tfd.Independent(tfd.Normal(t, 1.0), 1)),
        ])  # fmt: skip

    model = api.Sequential([
        api.Input((1,)),
        layers.DenseVariational(1, posterior, prior, kl_weight=1 / n_rows),
    ])  # fmt: skip
    model.compile(api.optimizers.Adam(0.05), lambda y, mean: -tfd.Normal(mean, 0.5).log_prob(y))
    losses = model.fit(x, y, epochs=60, verbose=0).history["loss"]
    assert losses[-1] < losses[0] / 3
    # The posterior and the prior are both trained.
    assert len(model.trainable_weights) == 2
    predictions = np.mean([model(x) for _ in range(50)], axis=0)
    assert np.abs(predictions - (2 * x + 1)).max() < 0.3


@imports
def test_classifier_of_images(layers, api):
    api.utils.set_random_seed(1)
    rng = np.random.default_rng(1)
    n = 200
    labels = rng.integers(0, 2, n)
    images = rng.normal(0, 0.3, (n, 8, 8, 1)).astype("float32")
    images[labels == 0, :, 3] += 1  # a vertical bar
    images[labels == 1, 3, :] += 1  # a horizontal one

    def divergence(q, p, _):
        return tfd.kl_divergence(q, p) / n

    model = api.Sequential([
        api.Input((8, 8, 1)),
        layers.Convolution2DFlipout(
            4, kernel_size=3, padding="SAME", kernel_divergence_fn=divergence, activation=tf.nn.relu
        ),
        api.layers.MaxPooling2D(2),
        api.layers.Flatten(),
        layers.DenseFlipout(2, kernel_divergence_fn=divergence),
    ])  # fmt: skip
    model.compile(
        api.optimizers.Adam(0.02),
        api.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    history = model.fit(images, labels, epochs=15, verbose=0).history
    # The divergence, of some 200 weights, is in the loss: what falls is what is above it.
    assert history["loss"][-1] < history["loss"][0] - 0.3
    assert history["accuracy"][-1] > 0.9
