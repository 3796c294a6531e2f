"""One model in two languages: equal to the last bit under one seed, changing hands anywhere."""

import subprocess

import keras
import numpy as np
import pytest

import layer_api

X = np.sin(np.arange(60, dtype="float32")).reshape(20, 3)
Y = X @ np.array([[1.0], [-2.0], [0.5]], "float32")

IN_R = """
    keras$utils$set_random_seed(5L)
    model <- keras$Sequential(list(keras$Input(shape = list(3L))))
    model %>%
      layer_dense_flipout(units = 4, activation = "relu", kl_weight = 1 / 20) %>%
      layer_dense_flipout(
        units = 1, bias_posterior_fn = "mean_field_normal", bias_prior_fn = "standard_normal",
        kl_weight = 1 / 20
      )
    model$compile(optimizer = "adam", loss = "mse")
    model
"""


def in_python():
    keras.utils.set_random_seed(5)
    model = layer_api.pipe(
        keras.Sequential([keras.Input((3,))]),
        layer_api.layer_dense_flipout(units=4, activation="relu", kl_weight=1 / 20),
        layer_api.layer_dense_flipout(
            units=1,
            bias_posterior_fn="mean_field_normal",
            bias_prior_fn="standard_normal",
            kl_weight=1 / 20,
        ),
    )
    model.compile(optimizer="adam", loss="mse")
    return model


def fit_in_python(model):
    return model.fit(X, Y, epochs=2, batch_size=8, shuffle=False, verbose=0).history["loss"]


def fit_in_r(r, model):
    return r(
        "model$fit(x, y, epochs = 2L, batch_size = 8L, shuffle = FALSE, verbose = 0L)$history$loss",
        model=model, x=X, y=Y,
    )  # fmt: skip


def predict_in_r(r, model):
    return r("model$predict(x, verbose = 0L)", model=model, x=X)


def assert_equal_weights(one, other):
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_equal_to_the_last_bit(r):
    theirs, ours = r(IN_R), in_python()
    assert_equal_weights(theirs, ours)
    np.testing.assert_array_equal(theirs.losses, ours.losses)
    assert fit_in_r(r, theirs) == fit_in_python(ours)
    assert_equal_weights(theirs, ours)
    np.testing.assert_array_equal(predict_in_r(r, theirs), ours.predict(X, verbose=0))


def test_other_seeds_differ(r):
    theirs = r(IN_R.replace("set_random_seed(5L)", "set_random_seed(6L)"))
    ours = in_python()
    assert (theirs.get_weights()[0] != ours.get_weights()[0]).all()


def test_a_model_changes_hands_in_the_middle(r):
    begun_in_r, begun_in_python = r(IN_R), in_python()
    history = fit_in_r(r, begun_in_r), fit_in_python(begun_in_python)
    later = fit_in_python(begun_in_r), fit_in_r(r, begun_in_python)
    assert history[0] == history[1]
    assert later[0] == later[1]
    np.testing.assert_array_equal(
        begun_in_r.predict(X, verbose=0), predict_in_r(r, begun_in_python)
    )


def test_layers_of_both_languages_in_one_model(r):
    model = keras.Sequential([keras.Input((3,))])
    layer_api.layer_dense_flipout(model, units=4, name="of_python")
    same = r("model %>% layer_dense_flipout(units = 1, name = 'of_r')", model=model)
    assert same is model
    assert [layer.name for layer in model.layers] == ["of_python", "of_r"]
    assert type(model.layers[0]) is type(model.layers[1])


def test_r_functions_work_in_python(r):
    layer = r("""
        layer_dense_flipout(
          units = 2, seed = 1,
          kernel_posterior_tensor_fn = function(d) d %>% tfd_sample(),
          kernel_divergence_fn = function(q, p, ignore) tfd_kl_divergence(q, p) / 20
        )
    """)
    plain = layer_api.layer_dense_flipout(units=2, seed=1, kl_weight=1 / 20)
    assert layer(X).shape == plain(X).shape == (20, 2)
    np.testing.assert_allclose(layer.losses, plain.losses, rtol=1e-6)
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((3,)), layer, keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.Adam(0.05), loss="mse")
    first, *_, last = model.fit(X, Y, epochs=30, verbose=0).history["loss"]
    assert last < first / 2


@pytest.mark.parametrize("writer", ["r", "python"])
def test_a_file_of_one_language_is_read_by_the_other(tmp_path, writer):
    """In fresh processes: what the one saves, the other predicts with and trains on."""
    file, before, after = (tmp_path / name for name in ("m.keras", "before.csv", "after.csv"))
    inputs = tmp_path / "x.csv"
    np.savetxt(inputs, X, delimiter=",")
    r_save = f"""
        library(layerapi); keras <- reticulate::import("keras")
        {IN_R}
        x <- as.matrix(read.csv("{inputs}", header = FALSE))
        model$fit(x, matrix(1, 20, 1), epochs = 1L, verbose = 0L)
        model$save("{file}")
        predicted <- format(model$predict(x, verbose = 0L), digits = 17)
        write.table(predicted, "{before}", row.names = FALSE, col.names = FALSE, quote = FALSE)
    """
    r_load = f"""
        library(layerapi); keras <- reticulate::import("keras")
        layer_dense_flipout(units = 1) # loads the core, and with it the registered classes
        model <- keras$saving$load_model("{file}")
        x <- as.matrix(read.csv("{inputs}", header = FALSE))
        predicted <- format(model$predict(x, verbose = 0L), digits = 17)
        write.table(predicted, "{after}", row.names = FALSE, col.names = FALSE, quote = FALSE)
        loss <- model$fit(x, matrix(1, 20, 1), epochs = 1L, verbose = 0L)$history$loss
        stopifnot(is.finite(unlist(loss)))
    """
    x = np.loadtxt(inputs, delimiter=",")
    if writer == "r":
        subprocess.run(["Rscript", "-e", r_save], check=True, capture_output=True)
        model = keras.saving.load_model(file, safe_mode=True)
        np.testing.assert_array_equal(
            model.predict(x, verbose=0)[:, 0], np.loadtxt(before, dtype="float32")
        )
        assert np.isfinite(fit_in_python(model)).all()
    else:
        model = in_python()
        fit_in_python(model)
        model.save(file)
        subprocess.run(["Rscript", "-e", r_load], check=True, capture_output=True)
        np.testing.assert_array_equal(
            model.predict(x, verbose=0)[:, 0], np.loadtxt(after, dtype="float32")
        )
