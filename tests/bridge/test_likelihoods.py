"""A file compiled with a likelihood in one language is loaded, and trains on, in the other."""

import keras
import numpy as np
import pytest

import layer_api

X = np.sin(np.arange(60, dtype="float32")).reshape(20, 3)
COUNTS = np.arange(20) % 5

PAIRS = [
    ("likelihood_normal(scale = 0.5)", layer_api.NormalLikelihood(scale=0.5)),
    ("likelihood_student_t(df = NULL)", layer_api.StudentTLikelihood(df=None)),
    ("likelihood_negative_binomial()", layer_api.NegativeBinomialLikelihood()),
    ("likelihood_categorical()", layer_api.CategoricalLikelihood()),
    (
        "likelihood_normal_mixture(components = 2, reduction = 'sum', name = 'mine')",
        layer_api.NormalMixtureLikelihood(components=2, reduction="sum", name="mine"),
    ),
]


@pytest.mark.parametrize(("in_r", "in_python"), PAIRS, ids=[in_r for in_r, _ in PAIRS])
def test_a_file_goes_both_ways(r, tmp_path, in_r, in_python):
    columns = in_python.params_size(5 if "categorical" in in_r else 1)
    paths = {name: str(tmp_path / f"{name}.keras") for name in ("python", "r")}
    model = keras.Sequential([keras.Input((3,))])
    layer_api.layer_dense_flipout(model, units=columns, seed=1)
    model.compile(optimizer="sgd", loss=in_python, run_eagerly=True)
    model.save(paths["python"])
    r(f"""
        model <- keras$Sequential(list(keras$Input(shape = list(3L))))
        model %>% layer_dense_flipout(units = {columns}, seed = 1)
        model$compile(optimizer = "sgd", loss = {in_r}, run_eagerly = TRUE)
        model$save("{paths["r"]}")
        NULL
    """)
    of_r = keras.saving.load_model(paths["r"], safe_mode=True)
    of_python = r(f'keras$saving$load_model("{paths["python"]}", safe_mode = TRUE)')
    losses = []
    for loaded in (of_r, of_python):
        assert type(loaded.loss) is type(in_python)
        assert loaded.loss.get_config() == in_python.get_config()
        loaded.run_eagerly = True
        losses.append(loaded.fit(X, COUNTS, shuffle=False, verbose=0).history["loss"])
    expected = model.fit(X, COUNTS, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(losses, [expected, expected], rtol=1e-5)
