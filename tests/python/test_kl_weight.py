"""The weight of the divergence may be changed at any time, and takes effect in the next step."""

import keras
import numpy as np
import pytest
from framework import BACKEND, numpy

import layer_api

X, Y = np.ones((8, 3), "float32"), np.zeros((8, 1), "float32")
NOISELESS = {"kernel_posterior_tensor_fn": "mean", "bias_posterior_tensor_fn": "mean"}


def make(**arguments):
    return layer_api.DenseFlipout(1, seed=1, **NOISELESS, **arguments)


def compiled_model(*layers, **options):
    model = keras.Sequential([keras.Input((3,)), *layers])
    model.compile(keras.optimizers.SGD(0.0), "mse", **options)
    return model


def divergence(layer):
    """Return the sum of the layer's losses at the weight 1."""
    before = layer.kl_weight
    layer.kl_weight = 1.0
    total = sum(float(numpy(loss)) for loss in layer.losses)
    layer.kl_weight = 0.0 if before is None else before
    return total


def loss_parts(model, step):
    """Return the loss of a step less that of a step with weight 0."""
    layer = model.layers[0]
    weight = layer.kl_weight
    with_divergence = float(np.ravel(step(X, Y))[0])
    layer.kl_weight = 0.0
    without = float(np.ravel(step(X, Y))[0])
    layer.kl_weight = weight
    return with_divergence - without


@pytest.mark.parametrize("start", [0.0, 1.0])
@pytest.mark.parametrize("step", ["train_on_batch", "test_on_batch", "evaluate", "fit"])
def test_every_step_uses_the_weight_of_now(start, step):
    model = compiled_model(layer_api.DenseFlipout(1, seed=1, kl_weight=start, **NOISELESS))
    layer = model.layers[0]
    expected = divergence(layer)
    assert expected > 1.0

    def run(x, y):
        if step == "fit":
            return model.fit(x, y, verbose=0).history["loss"]
        options = {"verbose": 0} if step == "evaluate" else {}
        return getattr(model, step)(x, y, **options)

    run(X, Y)  # which compiles
    for weight in (0.5, 0.0, 2.0):
        layer.kl_weight = weight
        assert layer.kl_weight == weight
        found = loss_parts(model, run)
        np.testing.assert_allclose(found, weight * expected, rtol=1e-5, atol=1e-5)
        total = sum(float(numpy(loss)) for loss in layer.losses)
        np.testing.assert_allclose(total, weight * expected, rtol=1e-6)


def test_a_change_compiles_nothing():
    calls = []

    def activation(x):
        calls.append(1)
        return x

    model = compiled_model(make(activation=activation))
    model.train_on_batch(X, Y)
    traced = len(calls)
    layer_api.set_kl_weight(model, 0.25)
    model.train_on_batch(X, Y)
    # Under torch there is nothing compiled: the function is called once in every step.
    assert len(calls) == traced + (BACKEND == "torch")


def test_weights_keep_their_entries():
    layer = make()
    layer.build((None, 3))
    names = [variable.name for variable in layer.weights]
    assert names == [
        "kernel_posterior_loc", "kernel_posterior_untransformed_scale", "bias_posterior_loc"
    ]  # fmt: skip
    before = layer.get_weights()
    layer.kl_weight = 0.5
    for one, other in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_config_and_file_carry_it(tmp_path):
    model = compiled_model(make())
    model.layers[0].kl_weight = 0.125
    assert model.layers[0].get_config()["kl_weight"] == 0.125
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[0].kl_weight == 0.125
    np.testing.assert_array_equal(
        [numpy(loss) for loss in loaded.losses], [numpy(loss) for loss in model.losses]
    )
    clone = keras.models.clone_model(model)
    assert clone.layers[0].kl_weight == 0.125


@pytest.mark.parametrize("is_exact", [False, True])
def test_dense_variational(is_exact):
    layer = layer_api.DenseVariational(1, kl_use_exact=is_exact, seed=1)
    model = compiled_model(layer)
    model.evaluate(X, Y, verbose=0)
    assert layer.kl_weight is None
    layer.kl_weight = 0.5
    (half,) = (float(numpy(loss)) for loss in layer.losses)
    layer.kl_weight = 1.0
    (whole,) = (float(numpy(loss)) for loss in layer.losses)
    np.testing.assert_allclose(half, whole / 2, rtol=1e-6)
    assert layer.get_config()["kl_weight"] == 1.0


def test_an_epoch_s_callback_changes_it():
    weights = [1.0, 0.5, 0.0]

    class Change(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            layer_api.set_kl_weight(self.model, weights[epoch])

    model = compiled_model(make())
    expected = divergence(model.layers[0])
    losses = model.fit(X, Y, epochs=3, verbose=0, callbacks=[Change()]).history["loss"]
    np.testing.assert_allclose(
        np.array(losses) - losses[2], np.array(weights) * expected, rtol=1e-5
    )


def test_a_batch_s_callback_changes_it():
    weights = [1.0, 0.5, 0.0]

    class Change(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.losses = []

        def on_train_batch_begin(self, batch, logs=None):
            layer_api.set_kl_weight(self.model, weights[batch])

    model = compiled_model(make())
    model.layers[0].kl_weight = 7.0
    expected = divergence(model.layers[0])
    (loss,) = model.fit(X[:6], Y[:6], batch_size=2, verbose=0, callbacks=[Change()]).history["loss"]
    layer_api.set_kl_weight(model, 0.0)
    (without,) = model.fit(X[:6], Y[:6], batch_size=2, verbose=0).history["loss"]
    np.testing.assert_allclose(loss - without, np.mean(weights) * expected, rtol=1e-5)


def test_set_kl_weight_reaches_every_layer():
    inner = keras.Sequential([keras.Input((3,)), make(), keras.layers.Dense(3)])
    shared = layer_api.DenseReparameterization(3)
    x = keras.Input((3,))
    model = keras.Model(x, inner(shared(shared(x))))
    assert layer_api.set_kl_weight(model, 0.5) is model
    assert [shared.kl_weight, inner.layers[0].kl_weight] == [0.5, 0.5]
    assert layer_api.set_kl_weight(shared, 0.25) is shared
    assert [shared.kl_weight, inner.layers[0].kl_weight] == [0.25, 0.5]


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), "a", None, True])
def test_bad_values_change_nothing(value):
    model = compiled_model(make(kl_weight=0.5))
    for assign in (
        lambda: layer_api.set_kl_weight(model, value),
        lambda: setattr(model.layers[0], "kl_weight", value),
    ):
        with pytest.raises(ValueError, match="must be a finite number of at least 0"):
            assign()
        assert model.layers[0].kl_weight == 0.5


def test_a_model_without_divergence_is_refused():
    with pytest.raises(ValueError, match="at least one variational layer"):
        layer_api.set_kl_weight(keras.Sequential([keras.layers.Dense(1)]), 0.5)
    with pytest.raises(TypeError, match="a model or a layer"):
        layer_api.set_kl_weight(3, 0.5)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="Keras 2 runs on TensorFlow")
@pytest.mark.parametrize("start", [0.0, 1.0])
def test_keras_2(start):
    import tf_keras

    model = tf_keras.Sequential([tf_keras.Input((3,))])
    layer_api.layer_dense_flipout(model, 1, seed=1, kl_weight=start, **NOISELESS)
    model.compile(tf_keras.optimizers.SGD(0.0), "mse")
    layer = model.layers[0]
    model.train_on_batch(X, Y)
    found = []
    for weight in (0.0, 0.5, 1.0):
        layer_api.set_kl_weight(model, weight)
        found.append(model.train_on_batch(X, Y))
        assert layer.kl_weight == layer.get_config()["kl_weight"] == weight
    assert found[1] - found[0] > 1.0
    np.testing.assert_allclose(found[1] - found[0], (found[2] - found[0]) / 2, rtol=1e-5)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="Keras 2 runs on TensorFlow")
def test_keras_2_dense_variational():
    import tf_keras

    model = tf_keras.Sequential([tf_keras.Input((3,))])
    layer_api.layer_dense_variational(model, 1, seed=1, kl_use_exact=True, use_bias=False)
    model.compile(tf_keras.optimizers.SGD(0.0), lambda y, f: 0.0 * f)
    found = []
    for weight in (1.0, 0.5):
        model.layers[0].kl_weight = weight
        found.append(model.train_on_batch(X, Y))
    np.testing.assert_allclose(found[1], found[0] / 2, rtol=1e-5)


def test_it_weighs_the_divergence_of_every_weight():
    arguments = {"bias_posterior_fn": "mean_field_normal", "bias_prior_fn": "standard_normal"}
    layer = layer_api.DenseFlipout(4, seed=1, kl_weight=0.5, **arguments)
    layer.build((None, 3))
    kernel, bias = (float(numpy(loss)) for loss in layer.losses)
    for found, (loc, untransformed) in zip(
        (kernel, bias), (layer.get_weights()[:2], layer.get_weights()[2:]), strict=True
    ):
        s = np.finfo("float32").eps + np.log1p(np.exp(untransformed))
        expected = 0.5 * np.sum((s**2 + loc**2 - 1) / 2 - np.log(s))
        np.testing.assert_allclose(found, expected, rtol=1e-5)
