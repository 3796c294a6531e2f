"""One model in two languages: equal to the last bit under one seed, changing hands anywhere."""

import subprocess

import keras
import numpy as np
from framework import BACKEND, losses_of, numpy
from layers import CASES
from test_parity import in_r
from test_saving import variants

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


def assert_equal_outputs(one, other):
    """Compare what two processes computed."""
    if BACKEND == "torch":
        # How torch adds up depends on where in memory an array begins: a last bit may differ.
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    else:
        np.testing.assert_array_equal(one, other)


def test_equal_to_the_last_bit(r):
    theirs, ours = r(IN_R), in_python()
    assert_equal_weights(theirs, ours)
    assert losses_of(theirs) == losses_of(ours)
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
    np.testing.assert_allclose(losses_of(layer), losses_of(plain), rtol=1e-6)
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((3,)), layer, keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.Adam(0.05), loss="mse")
    first, *_, last = model.fit(X, Y, epochs=30, verbose=0).history["loss"]
    assert last < first / 2


TRAINABLE = 'prior_trainable_normal(loc_initializer = "ones", loc_regularizer = "l2")'

# What the variants of `test_saving.py` are in R.
VARIANTS_IN_R = {
    "normal": {
        "kernel_posterior_fn": 'posterior_mean_field_normal(loc_initializer = "zeros")',
        "kernel_prior_fn": "prior_normal(0.5, 2)",
        "bias_posterior_fn": 'posterior_deterministic(loc_initializer = "ones")',
        "bias_prior_fn": "prior_standard_normal()",
        "bias_divergence_fn": "divergence_kl_divergence(0.5)",
        "make_posterior_fn": 'posterior_mean_field_normal(loc_initializer = "zeros")',
        "make_prior_fn": "prior_normal(0.5, 2)",
        "kl_use_exact": "TRUE",
    },
    "laplace": {
        "kernel_prior_fn": "prior_laplace(0.5, 2)",
        "kernel_divergence_fn": "divergence_monte_carlo(3, 0.5)",
        "bias_posterior_fn": '"mean_field_normal"',
        "bias_prior_fn": '"laplace"',
        "bias_divergence_fn": '"monte_carlo"',
        "activation": '"relu"',
        "make_posterior_fn": '"multivariate_normal_tril"',
        "make_prior_fn": "prior_laplace(0.5, 2)",
    },
    "scale_mixture": {
        "kernel_prior_fn": "prior_scale_mixture(0.25, 2, 0.1)",
        "bias_posterior_fn": '"mean_field_normal"',
        "bias_prior_fn": '"scale_mixture"',
        "activation": "keras$layers$LeakyReLU(negative_slope = 0.5)",
        "make_posterior_fn": 'posterior_deterministic(loc_initializer = "ones")',
        "make_prior_fn": "prior_scale_mixture(0.25, 2, 0.1)",
    },
    "trainable_normal": {
        "kernel_prior_fn": TRAINABLE,
        "bias_posterior_fn": '"mean_field_normal"',
        "bias_prior_fn": '"trainable_normal"',
        "make_posterior_fn": 'posterior_multivariate_normal_tril(loc_initializer = "zeros")',
        "make_prior_fn": TRAINABLE,
        "kl_use_exact": "TRUE",
    },
}

IN_A_FRESH_R = """
    library(layerapi)
    keras <- reticulate::import("keras")
    numpy <- reticulate::import("numpy", convert = FALSE)
    layer_dense_flipout(units = 1) # loads the core, and with it the registered classes
    folder <- commandArgs(TRUE)[1]
    file <- function(name, end) file.path(folder, paste0(name, end))
    use <- function(name, model) {{
      model$run_eagerly <- TRUE # compiling takes longer than all the rest
      x <- numpy$load(file(name, "-x.npy"))
      numpy$save(file(name, "-r.npy"), model$predict(x, verbose = 0L))
      model$compile(optimizer = "sgd", loss = "mse", run_eagerly = TRUE)
      loss <- model$fit(x, numpy$load(file(name, "-y.npy")), verbose = 0L)$history$loss
      stopifnot(is.finite(unlist(loss)))
      model$save(file(name, "-r.keras"))
      numpy$save(file(name, "-trained.npy"), model$predict(x, verbose = 0L))
    }}
    for (path in list.files(folder, "-python.keras$", full.names = TRUE)) {{
      name <- sub("-python.keras", "", basename(path), fixed = TRUE)
      use(name, keras$saving$load_model(path, safe_mode = TRUE))
    }}
    {made_in_r}
"""


def test_files_of_one_language_are_read_by_the_other(tmp_path):
    """Every layer and every block, to the last bit; what is loaded trains on."""
    models, made_in_r = {}, []
    for number, case in enumerate(CASES):
        shape, output_shape = case.shapes[0]
        given = {name: in_r(value) for name, value in {**case.required, "seed": 1}.items()}
        named = list(zip(VARIANTS_IN_R, variants(case), strict=True))
        # The first layer with every block, the others with one variant each, in turn.
        for variant, layer in named if number == 0 else [named[number % len(named)]]:
            name = f"{case.layer.__name__}-{variant}"
            model = keras.Sequential([keras.Input(shape), layer])
            model.save(tmp_path / f"{name}-python.keras")
            for which in (name, f"{name}-new"):
                x = case.inputs(np.random.default_rng(number), 4)
                np.save(tmp_path / f"{which}-x.npy", x)
                np.save(tmp_path / f"{which}-y.npy", np.ones(case.output(4, output_shape)))
            models[name] = models[f"{name}-new"] = model
            own = {a: text for a, text in VARIANTS_IN_R[variant].items() if a in case.changed}
            written = ", ".join(f"{a} = {text}" for a, text in {**given, **own}.items())
            dimensions = ", ".join(f"{n}L" for n in shape)
            made_in_r.append(
                f"layer <- {case.function.__name__}({written})\n"
                f"use('{name}-new', keras$Sequential(list("
                f"keras$Input(shape = list({dimensions})), layer)))"
            )
    script = tmp_path / "program.R"
    script.write_text(IN_A_FRESH_R.format(made_in_r="\n".join(made_in_r)))
    run = subprocess.run(["Rscript", script, tmp_path], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    states = {name: [numpy(v) for v in model.variables] for name, model in models.items()}
    for name, model in models.items():
        model.run_eagerly = True
        x = np.load(tmp_path / f"{name}-x.npy")
        for variable, value in zip(model.variables, states[name], strict=True):
            variable.assign(value)
        assert_equal_outputs(model.predict(x, verbose=0), np.load(tmp_path / f"{name}-r.npy"))
        loaded = keras.saving.load_model(tmp_path / f"{name}-r.keras", safe_mode=True)
        trained = np.load(tmp_path / f"{name}-trained.npy")
        assert_equal_outputs(loaded.predict(x, verbose=0), trained)
        history = loaded.fit(x, np.load(tmp_path / f"{name}-y.npy"), verbose=0).history
        assert np.isfinite(history["loss"]).all()
