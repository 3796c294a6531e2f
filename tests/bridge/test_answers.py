"""What R's functions return of a model is, number for number, what Python's do."""

import keras
import numpy as np
import pytest
from conftest import RError

import layer_api
from layer_api.answers import draws, intervals, scores

X = np.sin(np.arange(30, dtype="float64")).reshape(10, 3)
Y = np.cos(np.arange(10))
FUNCTIONS = [draws.posterior_linpred, draws.posterior_epred, draws.posterior_predict]


def model_of(loss, units):
    """Return a model of three inputs, compiled with a loss."""
    model = keras.Sequential([keras.Input((3,))])
    layer_api.layer_dense_flipout(model, units=4, activation="tanh", seed=1)
    layer_api.layer_dense_flipout(model, units=units, seed=2)
    model.compile(optimizer="sgd", loss=loss)
    return model


LOSSES = {
    "normal": (layer_api.NormalLikelihood(), 2, Y),
    "categorical": (layer_api.CategoricalLikelihood(), 3, np.arange(10) % 3),
    "poisson": (layer_api.PoissonLikelihood(), 1, np.arange(10) % 4),
    "two numbers": (layer_api.StudentTLikelihood(), 4, np.stack([Y, -Y], axis=1)),
}


def equal(ours, of_r):
    """Tell whether an array is the same in both languages, with the same missing axes of one."""
    return np.shape(ours) == np.shape(of_r) and np.array_equal(np.asarray(ours), of_r)


@pytest.mark.parametrize("name", LOSSES)
def test_draws_are_the_same(r, name):
    loss, units, y = LOSSES[name]
    model = model_of(loss, units)
    outputs = draws.posterior_linpred(model, X, draws=7, seed=1)
    for function in FUNCTIONS:
        call = function.__name__
        expected = function(model, X, draws=7, seed=1)
        assert equal(
            expected, r(f"{call}(model, newdata = x, draws = 7, seed = 1)", **given(model))
        )
        assert equal(
            function(outputs, seed=1),
            r(
                f"{call}(posterior_linpred(model, newdata = x, draws = 7, seed = 1), seed = 1)",
                **given(model),
            ),
        )
    expected = draws.log_lik(model, X, y, draws=7, seed=1)
    assert equal(expected, r("log_lik(model, x, y, draws = 7, seed = 1)", **given(model, y)))


@pytest.mark.parametrize("name", LOSSES)
def test_noise_goes_on_alike(r, name):
    loss, units, _ = LOSSES[name]
    keras.utils.set_random_seed(1)
    ours, other = model_of(loss, units), model_of(loss, units)
    for _ in range(2):
        expected = draws.posterior_linpred(ours, X, draws=3)
        assert equal(expected, r("posterior_linpred(model, x, draws = 3)", **given(other)))


def test_other_answers_are_the_same(r):
    loss, units, y = LOSSES["normal"]
    model = model_of(loss, units)
    options = {"draws": 7, "seed": 1}
    interval = intervals.predictive_interval(model, X, **options)
    assert equal(interval, r("predictive_interval(model, x, draws = 7, seed = 1)", **given(model)))
    error = intervals.predictive_error(model, X, y, **options)
    assert equal(error, r("predictive_error(model, x, y, draws = 7, seed = 1)", **given(model, y)))
    weights = intervals.posterior_interval(model)
    assert equal(weights, r("posterior_interval(model)", **given(model)))
    assert len(r("rownames(posterior_interval(model))", **given(model))) == len(weights.terms)
    assert equal(weights.std_error, r("tidy(model)$std.error", **given(model)))
    parts = intervals.uncertainty(model, X, **options)
    for name, values in parts._asdict().items():
        code = f"uncertainty(model, x, draws = 7, seed = 1)${name}"
        assert equal(values, r(code, **given(model)))
    scored = scores.score(model, X, y, **options)
    code = "score(model, x, y, draws = 7, seed = 1)"
    assert r(f"{code}$metric", **given(model, y)) == list(scored)
    assert equal(list(scored.values.values()), r(f"{code}$estimate", **given(model, y)))
    found = scores.calibration(model, X, y, **options)
    code = "calibration(model, x, y, draws = 7, seed = 1)"
    assert equal(found.observed, r(f"{code}$observed", **given(model, y)))
    assert equal(found.pit, r(f"attr({code}, 'pit')", **given(model, y)))


def test_plots_of_a_training_have_the_same_panels(r):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed").use("Agg")
    loss, units, labels = LOSSES["categorical"]
    model = model_of(loss, units)
    model.compile(optimizer="sgd", loss=loss, metrics=["accuracy"])
    history = model.fit(
        X, labels, validation_data=(X, labels), verbose=0, callbacks=[layer_api.KLHistory()]
    )
    ours = [panel.get_ylabel() for panel in layer_api.plot_history(history)]
    assert ours == ["loss", "nll", "kl", "kl_weight", "accuracy"]
    assert r("levels(ggplot2::autoplot(history)$data$metric)", history=history) == ours


def test_draws_keep_a_likelihood_that_no_file_could_hold(r):
    class Mine(layer_api.NormalLikelihood):
        def mean(self, outputs):
            return 1 + super().mean(outputs)

        def get_config(self):
            return {**super().get_config(), "what": print}

    model = model_of(Mine(), 2)
    of_r = r("posterior_epred(posterior_linpred(model, x, draws = 3, seed = 1))", **given(model))
    assert equal(draws.posterior_epred(model, X, draws=3, seed=1), of_r)


def test_a_model_of_float16_has_draws_of_32_bits(r):
    model = keras.Sequential([keras.Input((3,))])
    layer_api.layer_dense_flipout(model, units=2, seed=1, dtype="mixed_bfloat16")
    model.compile(optimizer="sgd", loss=layer_api.NormalLikelihood())
    expected = draws.posterior_epred(model, X, draws=3, seed=1)
    assert equal(expected, r("posterior_epred(model, x, draws = 3, seed = 1)", **given(model)))


def test_messages_are_the_same_but_for_names(r):
    model = model_of(*LOSSES["normal"][:2])
    with pytest.raises(ValueError, match="equally many rows") as ours:
        draws.posterior_epred(model, X[:0])
    with pytest.raises(RError) as of_r:
        r("posterior_epred(model, x[0, ])", **given(model))
    assert of_r.value.args == (
        "layerapi_ValueError", str(ours.value).replace("`x`", "`newdata`"),
    )  # fmt: skip


def given(model, y=None):
    """Return what R's code calls `model`, `x` and `y`."""
    return {"model": model, "x": X} | ({} if y is None else {"y": y})
