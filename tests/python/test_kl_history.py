"""`KLHistory` splits the loss of `fit()` into its parts, exactly, and leaves no trace."""

import keras
import numpy as np
import pytest
from framework import BACKEND, numpy, only_tensorflow

import layer_api

RNG = np.random.default_rng(1)
X = RNG.normal(size=(50, 3)).astype("float32")
Y = (X[:, 0] + 0.1 * RNG.normal(size=50)).astype("float32")
PARTS = {"nll", "kl", "kl_weight"}


def compiled(*layers, **options):
    model = keras.Sequential([keras.Input((3,)), *layers])
    model.compile(keras.optimizers.SGD(0.01), layer_api.NormalLikelihood(), **options)
    return model


def flipout(units=2, kl_weight=0.02, **arguments):
    return layer_api.DenseFlipout(units, kl_weight=kl_weight, seed=1, **arguments)


def fitted(model, epochs=3, callbacks=(), **options):
    options = {"batch_size": 16, "verbose": 0, **options}
    history = model.fit(X, Y, epochs=epochs, callbacks=[*callbacks], **options)
    return {name: np.array(values) for name, values in history.history.items()}


def is_sum_of_parts(history, others=0.0):
    total = history["nll"] + history["kl_weight"] * history["kl"] + others
    np.testing.assert_allclose(history["loss"], total, rtol=1e-5)
    return True


OPTIONS: list = [{}]
if BACKEND == "tensorflow":  # JAX always compiles, and torch takes a minute to
    OPTIONS += [{"run_eagerly": True}, {"jit_compile": True}, {"steps_per_execution": 2}]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: next(iter(options), "plain"))
def test_parts_add_up_to_the_loss(options):
    model = compiled(flipout(4), flipout(), **options)
    history = fitted(model, 2, [layer_api.KLHistory()], validation_split=0.2)
    assert set(history) == {"loss", "val_loss", "val_nll"} | PARTS
    assert is_sum_of_parts(history)
    np.testing.assert_allclose(history["kl_weight"], 0.02, rtol=1e-5)
    # Validation sees the divergence as it is at the end of the epoch.
    now = sum(float(numpy(loss)) for loss in model.losses)
    np.testing.assert_allclose(history["val_loss"][-1] - history["val_nll"][-1], now, rtol=1e-4)


def test_values_where_nothing_moves():
    mean = {"kernel_posterior_tensor_fn": "mean"}
    model = compiled(flipout(8, 0.25, **mean), flipout(2, 0.5, **mean))
    model.optimizer.learning_rate = 0.0
    history = fitted(model, 1, [layer_api.KLHistory()])
    weighted = [float(numpy(layer.losses[0])) for layer in model.layers]
    kl = weighted[0] / 0.25 + weighted[1] / 0.5
    np.testing.assert_allclose(history["kl"], kl, rtol=1e-5)
    np.testing.assert_allclose(history["kl_weight"], sum(weighted) / kl, rtol=1e-5)
    nll = -numpy(layer_api.NormalLikelihood().log_prob(Y, model(X))).mean()
    np.testing.assert_allclose(history["nll"], nll, rtol=1e-4)  # the last batch has two rows


def test_weight_0_still_has_a_divergence():
    history = fitted(compiled(flipout(kl_weight=0.0)), 1, [layer_api.KLHistory()])
    assert history["kl"][0] > 1.0
    assert history["kl_weight"][0] == 0.0
    np.testing.assert_allclose(history["loss"], history["nll"], rtol=1e-6)


def test_no_divergence_has_the_weight_of_the_layers():
    point = {"kernel_prior_fn": None}
    history = fitted(
        compiled(flipout(8, 0.5, **point), layer_api.DenseFlipout(2, kl_weight=0.25)), 1,
        [layer_api.KLHistory()],
    )  # fmt: skip
    np.testing.assert_allclose(history["kl_weight"], 0.25, rtol=1e-5)
    with_nothing = fitted(compiled(flipout(2, 0.5, **point)), 1, [layer_api.KLHistory()])
    assert with_nothing["kl"][0] == 0.0
    np.testing.assert_allclose(with_nothing["loss"], with_nothing["nll"])


def test_other_losses_are_not_of_the_divergence():
    model = compiled(keras.layers.Dense(8, kernel_regularizer="l2"), flipout())
    model.optimizer.learning_rate = 0.0
    history = fitted(model, 1, [layer_api.KLHistory()])
    penalty = 0.01 * np.square(model.layers[0].get_weights()[0]).sum()
    assert is_sum_of_parts(history, penalty)


def test_weights_of_samples_and_classes_are_in_the_nll():
    model = compiled(flipout(8), flipout())
    weights = RNG.uniform(size=50).astype("float32")
    history = fitted(model, 2, [layer_api.KLHistory()], sample_weight=weights)
    assert is_sum_of_parts(history)


def test_layers_that_draw_for_their_divergence():
    model = compiled(
        layer_api.DenseVariational(4, kl_weight=0.1),
        flipout(2, 0.1, kernel_divergence_fn=layer_api.MonteCarloKL()),
    )
    assert is_sum_of_parts(fitted(model, 2, [layer_api.KLHistory()]))


@only_tensorflow
def test_a_posterior_that_depends_on_the_inputs():
    import tensorflow as tf
    import tensorflow_probability as tfp

    def make(kernel_size, bias_size, dtype):
        n = kernel_size + bias_size
        normal = tfp.distributions.Normal(tf.zeros(n, dtype), tf.ones(n, dtype))
        return lambda _: tfp.distributions.Independent(normal, 1)

    layer = layer_api.DenseVariational(2, make, make, kl_weight=0.1, kl_use_exact=True)
    model = compiled(layer, keras.layers.Dense(2))
    assert is_sum_of_parts(fitted(model, 1, [layer_api.KLHistory()]))


def test_several_outputs():
    inputs = keras.Input((3,))
    hidden = flipout(8)(inputs)
    model = keras.Model(inputs, {"a": flipout(2)(hidden), "b": flipout(2)(hidden)})
    model.compile(
        "sgd", {"a": layer_api.NormalLikelihood(), "b": layer_api.LaplaceLikelihood()},
        loss_weights={"a": 1.0, "b": 0.5},
    )  # fmt: skip
    history = model.fit(
        X, {"a": Y, "b": Y}, 25, epochs=2, verbose=0, callbacks=[layer_api.KLHistory()]
    ).history
    history = {name: np.array(values) for name, values in history.items()}
    assert is_sum_of_parts(history)
    np.testing.assert_allclose(
        history["nll"], history["a_loss"] + 0.5 * history["b_loss"], rtol=1e-5
    )


def test_a_subclassed_model_and_an_inner_model():
    class Network(keras.Model):
        def __init__(self):
            super().__init__()
            self.inner = keras.Sequential([keras.Input((3,)), flipout(8)])
            self.last = flipout()

        def call(self, inputs):
            return self.last(self.inner(inputs))

    model = Network()
    model.compile("sgd", layer_api.NormalLikelihood())
    assert is_sum_of_parts(fitted(model, 2, [layer_api.KLHistory()]))


def test_nothing_is_left_on_the_model():
    model = compiled(flipout(8), flipout())
    plain = set(vars(model)) - {"_observed_steps"}
    fitted(model, 1)
    function = model.train_function
    first = fitted(model, 1, [layer_api.KLHistory()])
    assert set(fitted(model, 1)) == {"loss"}
    assert model.train_function is function
    assert model.metrics_names == ["loss"]
    assert not {"compute_loss", "train_step", "test_step"} & set(vars(model))
    assert set(first) == {"loss"} | PARTS
    assert plain <= set(vars(model))


def test_a_second_fit_compiles_nothing():
    model = compiled(flipout())
    traced = []
    call = model.layers[0].call

    def counted(inputs):
        traced.append(1)
        return call(inputs)

    vars(model.layers[0])["call"] = counted
    fitted(model, 1, [layer_api.KLHistory()], batch_size=25)
    fitted(model, 1, batch_size=25)
    n = len(traced)
    fitted(model, 1, [layer_api.KLHistory()], batch_size=25)
    fitted(model, 1, batch_size=25)
    # torch runs every step; the others run what they have compiled, and Keras builds symbolically.
    assert len(traced) - n <= (4 if BACKEND == "torch" else 2)


def test_a_model_that_is_compiled_anew_is_observed_anew():
    model = compiled(flipout())
    fitted(model, 1, [layer_api.KLHistory()])
    model.compile("sgd", layer_api.LaplaceLikelihood())
    history = fitted(model, 1, [layer_api.KLHistory()])
    assert is_sum_of_parts(history)
    nll = -numpy(layer_api.LaplaceLikelihood().log_prob(Y, model(X))).mean()
    np.testing.assert_allclose(history["nll"], nll, rtol=0.2)


def test_after_an_interruption():
    class Interrupting(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise KeyboardInterrupt

    model = compiled(flipout())
    with pytest.raises(KeyboardInterrupt):
        fitted(model, 1, [layer_api.KLHistory(), Interrupting()])
    assert is_sum_of_parts(fitted(model, 2, [layer_api.KLHistory()]))
    assert set(fitted(model, 1)) == {"loss"}


@pytest.mark.parametrize("is_watched", [True, False])
def test_a_model_that_is_compiled_anew_after_an_interruption(is_watched):
    class Interrupting(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise KeyboardInterrupt

    model = compiled(flipout(kl_weight=0.0, kernel_posterior_tensor_fn="mean"))
    with pytest.raises(KeyboardInterrupt):
        fitted(model, 1, [layer_api.KLHistory(), Interrupting()])
    model.compile(keras.optimizers.SGD(0.0), layer_api.LaplaceLikelihood())
    history = fitted(model, 1, [layer_api.KLHistory()] if is_watched else [])
    loss = -numpy(layer_api.LaplaceLikelihood().log_prob(Y, model(X))).mean()
    np.testing.assert_allclose(history["loss"], loss, rtol=1e-5)
    if is_watched:
        np.testing.assert_allclose(history["nll"], loss, rtol=1e-5)
        assert set(fitted(model, 1)) == {"loss"}


def test_a_loss_that_the_user_put_into_the_model_is_kept():
    model = compiled(flipout())
    compute_loss = model.compute_loss

    def doubled(*args, **kwargs):
        return 2.0 * compute_loss(*args, **kwargs)

    vars(model)["compute_loss"] = doubled
    history = fitted(model, 1, [layer_api.KLHistory()])
    parts = history["nll"] + history["kl_weight"] * history["kl"]
    np.testing.assert_allclose(history["loss"], 2 * parts, rtol=1e-5)
    assert vars(model)["compute_loss"] is doubled


def test_other_callbacks_see_the_parts(tmp_path):
    log, file = tmp_path / "log.csv", tmp_path / "model.keras"
    callbacks = [
        keras.callbacks.CSVLogger(str(log)),
        keras.callbacks.EarlyStopping("val_nll", mode="min"),
        keras.callbacks.ModelCheckpoint(str(file)),
        layer_api.KLHistory(),
    ]
    model = compiled(flipout())
    fitted(model, 2, callbacks, validation_data=(X, Y))
    assert set(log.read_text().splitlines()[0].split(",")) >= PARTS | {"val_nll", "loss"}
    loaded = keras.saving.load_model(file)
    assert set(fitted(loaded, 1)) == {"loss"}


def test_tensorboard_shows_the_parts(tmp_path):
    for name in ("tensorflow", "tensorboard"):
        pytest.importorskip(name, reason=f"{name} is not installed")
    callbacks = [keras.callbacks.TensorBoard(str(tmp_path)), layer_api.KLHistory()]
    fitted(compiled(flipout()), 1, callbacks, validation_data=(X, Y))
    for folder, names in (("train", PARTS), ("validation", {"nll"})):
        (events,) = (tmp_path / folder).glob("events*")
        assert all(f"epoch_{name}".encode() in events.read_bytes() for name in names)


def test_a_model_that_is_not_compiled():
    model = keras.Sequential([keras.Input((3,)), flipout()])
    with pytest.raises(ValueError, match=r"You must call `compile\(\)`"):
        model.fit(X, Y, callbacks=[layer_api.KLHistory()], verbose=0)


def test_a_user_who_computes_the_loss():
    class Network(keras.Sequential):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return 2.0 + super().compute_loss(x, y, y_pred, sample_weight, training)

    model = Network([keras.Input((3,)), flipout()])
    model.compile("sgd", layer_api.NormalLikelihood())
    assert is_sum_of_parts(fitted(model, 1, [layer_api.KLHistory()]), 2.0)


def test_nll_needs_a_compiled_loss():
    model = keras.Sequential([keras.Input((3,)), flipout(bias_posterior_fn=None)])
    model.compile("sgd", None)
    history = fitted(model, 1, [layer_api.KLHistory()])
    assert "nll" not in history
    np.testing.assert_allclose(history["loss"], history["kl_weight"] * history["kl"], rtol=1e-5)


def test_mixed_precision():
    model = compiled(flipout(8, dtype="mixed_float16"), flipout(dtype="mixed_float16"))
    history = fitted(model, 2, [layer_api.KLHistory()])
    assert np.isfinite(history["kl"]).all()
    assert is_sum_of_parts(history)


def test_a_model_without_a_variational_layer():
    model = compiled(keras.layers.Dense(2))
    for callback in (layer_api.KLHistory(), layer_api.KLAnnealing(2)):
        with pytest.raises(ValueError, match=r"^`model` must be a model with at least one"):
            fitted(model, 1, [callback])
        assert set(fitted(model, 1)) == {"loss"}


def test_the_likelihood_as_a_metric(tmp_path):
    likelihood = layer_api.NormalLikelihood()
    metric = layer_api.NegativeLogLikelihood(likelihood)
    model = compiled(flipout(kl_weight=0.0), metrics=[metric])
    history = fitted(model, 2, validation_data=(X, Y), callbacks=[
        keras.callbacks.EarlyStopping("val_nll"),
    ])  # fmt: skip
    # The last batch is smaller than the others, and counts less.
    np.testing.assert_allclose(history["nll"], history["loss"], rtol=1e-5)
    np.testing.assert_allclose(history["val_nll"], history["val_loss"], rtol=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    values = loaded.evaluate(X, Y, verbose=0)
    np.testing.assert_allclose(values[0], values[1], rtol=1e-5)


def test_a_metric_of_another_likelihood_than_the_loss():
    metric = layer_api.NegativeLogLikelihood("laplace", name="nll_laplace")
    again = type(metric).from_config(metric.get_config())
    assert again.name == "nll_laplace"
    outputs = RNG.normal(size=(50, 2)).astype("float32")
    for each in (metric, again):
        each.update_state(Y, outputs)
        expected = -numpy(layer_api.LaplaceLikelihood().log_prob(Y, outputs)).mean()
        np.testing.assert_allclose(float(numpy(each.result())), expected, rtol=1e-5)
    with pytest.raises(ValueError, match=r"^`likelihood` must be a known name"):
        layer_api.NegativeLogLikelihood("norml")
    with pytest.raises(TypeError, match="weight"):
        layer_api.NegativeLogLikelihood("normal", weight=1)
