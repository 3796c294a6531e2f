"""`KLAnnealing` moves the weight of the divergence as it says, and gives it back."""

import math
import warnings

import keras
import numpy as np
import pytest
from framework import numpy

import layer_api

X, Y = np.ones((40, 3), "float32"), np.zeros((40, 1), "float32")


class Noting(keras.callbacks.Callback):
    """Callback that notes the weights of all layers in each batch."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_begin(self, batch, logs=None):
        layers = [layer for layer in self.model.layers if hasattr(layer, "kl_weight")]
        self.seen.append([layer.kl_weight for layer in layers])


def model_of(*weights):
    layers = [layer_api.DenseFlipout(1, kl_weight=weight, seed=1) for weight in weights]
    model = keras.Sequential([keras.Input((3,)), *layers])
    model.compile("sgd", "mse")
    return model


def weights_in(model, annealing, epochs=6, **options):
    """Return the weights that layers say they have, one batch or epoch each, and those that act."""
    noting = Noting()
    callbacks = [annealing, noting, layer_api.KLHistory()]
    options = {"batch_size": 20, "verbose": 0, **options}
    history = model.fit(X, Y, epochs=epochs, callbacks=callbacks, **options).history
    return np.array(noting.seen), np.array(history["kl_weight"])


SHAPES = {
    "linear": [0, 0.25, 0.5, 0.75, 1, 1],
    "cosine": [0, (1 - math.sqrt(0.5)) / 2, 0.5, (1 + math.sqrt(0.5)) / 2, 1, 1],
    "cyclical": [0, 1, 0, 1, 1, 1],  # two cycles of two epochs each
}


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes(shape):
    model = model_of(0.5)
    annealing = layer_api.KLAnnealing(4, start=0.1, shape=shape, cycles=2)
    said, acting = weights_in(model, annealing)
    expected = 0.1 + 0.4 * np.array(SHAPES[shape])
    np.testing.assert_allclose(said[::2, 0], expected, rtol=1e-6)
    np.testing.assert_allclose(acting, expected, rtol=1e-5)


def test_each_batch():
    said, acting = weights_in(model_of(0.5), layer_api.KLAnnealing(2, per="batch"), 3)
    np.testing.assert_allclose(said[:, 0], [0, 0.125, 0.25, 0.375, 0.5, 0.5], rtol=1e-6)
    np.testing.assert_allclose(acting, [0.0625, 0.3125, 0.5], rtol=1e-3)


def test_cycles_by_default():
    """Four cycles, each linear over its first half and at the end over its second."""
    annealing = layer_api.KLAnnealing(16, shape="cyclical")
    said, _ = weights_in(model_of(1.0), annealing, 17, batch_size=40)
    np.testing.assert_allclose(said[:, 0], [*[0, 0.5, 1, 1] * 4, 1], rtol=1e-6)


def test_each_layer_has_an_end_of_its_own():
    model = model_of(0.5, 0.25)
    said, _ = weights_in(model, layer_api.KLAnnealing(2), 3)
    np.testing.assert_allclose(said[2], [0.25, 0.125])
    assert [layer.kl_weight for layer in model.layers] == [0.5, 0.25]


def test_an_end_is_the_weight_of_all_layers_from_then_on():
    model = model_of(0.5, 0.25)
    said, _ = weights_in(model, layer_api.KLAnnealing(2, start=1.0, end=0.125), 3)
    np.testing.assert_allclose(said[::2], [[1, 1], [0.5625, 0.5625], [0.125, 0.125]])
    assert [layer.get_config()["kl_weight"] for layer in model.layers] == [0.125, 0.125]


def test_training_that_ends_before_the_annealing_leaves_the_own_weight():
    model = model_of(0.5)
    weights_in(model, layer_api.KLAnnealing(10), 2)
    assert model.layers[0].kl_weight == 0.5
    loss = float(numpy(model.layers[0].losses[0]))
    model.layers[0].kl_weight = 1.0
    np.testing.assert_allclose(loss, 0.5 * float(numpy(model.layers[0].losses[0])), rtol=1e-6)


def test_layers_without_a_weight_of_their_own():
    layer = layer_api.DenseVariational(1)
    model = keras.Sequential([keras.Input((3,)), layer])
    model.compile("sgd", "mse")
    said, _ = weights_in(model, layer_api.KLAnnealing(2), 3)
    np.testing.assert_allclose(said[::2, 0][:2].astype(float), [0, 0.5])
    assert layer.kl_weight is None


def test_a_layer_of_the_users_with_a_kl_weight_is_let_alone():
    class Own(keras.layers.Layer):
        kl_weight = 3.0

        def call(self, inputs):
            return inputs

    model = keras.Sequential([keras.Input((3,)), Own(), layer_api.DenseFlipout(1, kl_weight=0.5)])
    model.compile("sgd", "mse")
    said, _ = weights_in(model, layer_api.KLAnnealing(2), 3)
    np.testing.assert_allclose(said[::2], [[3, 0], [3, 0.25], [3, 0.5]])


def test_a_file_holds_the_own_weight(tmp_path):
    file = tmp_path / "model.keras"
    model = model_of(0.5)
    weights_in(model, layer_api.KLAnnealing(10), 1)
    callbacks = [layer_api.KLAnnealing(10), keras.callbacks.ModelCheckpoint(str(file))]
    model.fit(X, Y, epochs=2, verbose=0, callbacks=callbacks)
    assert keras.saving.load_model(file).layers[0].kl_weight == 0.5


def test_training_is_resumed_where_it_stopped(tmp_path):
    class Interrupting(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 3:
                raise KeyboardInterrupt

    def callbacks():
        return [layer_api.KLAnnealing(4), keras.callbacks.BackupAndRestore(str(tmp_path))]

    model = model_of(0.5)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, epochs=6, verbose=0, callbacks=[*callbacks(), Interrupting()])
    for resumed in (model, model_of(0.5)):  # in the same process, and as in another one
        noting = Noting()
        if resumed is not model:
            with pytest.raises(KeyboardInterrupt):
                model_of(0.5).fit(
                    X, Y, epochs=6, verbose=0, callbacks=[*callbacks(), Interrupting()]
                )
        resumed.fit(X, Y, epochs=6, verbose=0, batch_size=40, callbacks=[*callbacks(), noting])
        np.testing.assert_allclose(np.array(noting.seen)[:, 0], [0.375, 0.5, 0.5])


@pytest.mark.parametrize("monitor", ["loss", "val_loss"])
def test_a_callback_that_decides_by_the_loss_is_warned_of(monitor):
    model = model_of(0.5)
    deciding = [
        keras.callbacks.EarlyStopping(monitor, patience=9),
        keras.callbacks.ModelCheckpoint("unused.keras", monitor, save_best_only=True),
    ]
    for callback in deciding:
        with pytest.warns(UserWarning, match=f"{type(callback).__name__} watches '{monitor}'"):
            model.fit(X, Y, verbose=0, callbacks=[layer_api.KLAnnealing(2), callback], epochs=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(
            X, Y, verbose=0, epochs=0,
            callbacks=[
                layer_api.KLAnnealing(2),
                keras.callbacks.EarlyStopping("val_nll", mode="min"),
                keras.callbacks.ModelCheckpoint("unused.keras", monitor),
            ],
        )  # fmt: skip


BAD = {
    "epochs=0": ({"epochs": 0}, "`epochs` must be a whole number of at least 1. Received: 0."),
    "epochs=1.5": ({"epochs": 1.5}, "`epochs` must be a whole number of at least 1."),
    "start": ({"epochs": 2, "start": -1}, "`start` must be "),
    "end": ({"epochs": 2, "end": float("nan")}, "`end` must be "),
    "shape": ({"epochs": 2, "shape": "cosin"}, "`shape` must be "),
    "per": ({"epochs": 2, "per": "step"}, "`per` must be "),
    "cycles": ({"epochs": 2, "cycles": 0}, "`cycles` must be a whole number of at least 1."),
}


@pytest.mark.parametrize("given", BAD)
def test_bad_arguments(given):
    arguments, message = BAD[given]
    with pytest.raises((ValueError, TypeError)) as caught:
        layer_api.KLAnnealing(**arguments)
    assert str(caught.value).startswith(message)


def test_batches_of_unknown_number():
    def generate():
        while True:
            yield X, Y

    model = model_of(0.5)
    annealing = layer_api.KLAnnealing(2, per="batch")
    with pytest.raises(ValueError, match="`per` must be 'epoch' where the number of batches"):
        model.fit(generate(), shuffle=False, verbose=0, callbacks=[annealing])
    assert model.layers[0].kl_weight == 0.5
    model.fit(generate(), shuffle=False, steps_per_epoch=2, verbose=0, callbacks=[annealing])
