"""Both languages convert a network to the same one, with the same draws, words and warnings."""

import warnings

import keras
import numpy as np
import pytest
from conftest import RError

import layer_api

X = np.sin(np.arange(30, dtype="float32")).reshape(10, 3)
# The arguments in both languages.
CALLS = {
    "all": ({}, ""),
    "last": ({"layers": "last"}, ', layers = "last"'),
    "names": ({"layers": ["first", "third"]}, ', layers = c("first", "third")'),
    "pretrained": (
        {"prior": "pretrained", "estimator": "reparameterization", "kl_weight": 0.5},
        ', prior = "pretrained", estimator = "reparameterization", kl_weight = 0.5',
    ),
    "scale": ({"scale": 0.3, "prior": None}, ", scale = 0.3, prior = NULL"),
}


def model():
    layers = [keras.layers.Dense(2, name=name) for name in ("first", "second", "third")]
    return keras.Sequential([keras.Input((3,)), *layers])


@pytest.mark.parametrize("call", CALLS)
def test_models_are_equal(r, call):
    arguments, in_r = CALLS[call]
    trained = model()
    ours = layer_api.to_bayesian(trained, seed=5, **arguments)
    of_r = r(f"to_bayesian(model, seed = 5{in_r})", model=trained)
    assert of_r.get_config() == ours.get_config()
    for one, other in zip(ours.get_weights(), of_r.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    draws = [layer_api.posterior_linpred(each, X, draws=5, seed=1) for each in (ours, of_r)]
    np.testing.assert_array_equal(*draws)
    plain = layer_api.to_deterministic(ours)
    assert r("to_deterministic(model)", model=of_r).get_config() == plain.get_config()


BAD = {
    "scale 0": ({"scale": 0}, "scale = 0"),
    "scale missing": ({"scale": float("nan")}, "scale = NA"),
    "scale text": ({"scale": "much"}, 'scale = "much"'),
    "estimator": ({"estimator": "flip_out"}, 'estimator = "flip_out"'),
    "prior": ({"prior": "pretraind"}, 'prior = "pretraind"'),
    "a posterior": (
        {"prior": layer_api.MeanFieldNormal()},
        "prior = posterior_mean_field_normal()",
    ),
    "kl_weight": ({"kl_weight": -1}, "kl_weight = -1"),
    "seed": ({"seed": 1.5}, "seed = 1.5"),
    "layers": ({"layers": ["frist", "second"]}, 'layers = c("frist", "second")'),
    "no name": ({"layers": 3}, "layers = 3"),
}


@pytest.mark.parametrize("case", BAD)
def test_messages_are_equal(r, case):
    arguments, in_r = BAD[case]
    trained = model()
    with pytest.raises((ValueError, TypeError)) as caught:
        layer_api.to_bayesian(trained, **arguments)
    with pytest.raises(RError) as r_caught:
        r(f"to_bayesian(model, {in_r})", model=trained)
    expected = (f"layerapi_{type(caught.value).__name__}", str(caught.value))
    assert r_caught.value.args == expected


@pytest.mark.parametrize("function", ["to_bayesian", "to_deterministic"])
def test_a_wrong_model_is_refused_alike(r, function):
    for wrong, in_r in ((3, "3"), (None, "NULL"), (keras.layers.Dense(1), "model")):
        with pytest.raises((ValueError, TypeError)) as caught:
            getattr(layer_api, function)(wrong)
        with pytest.raises(RError) as r_caught:
            r(f"{function}({in_r})", model=wrong)
        assert r_caught.value.args[1] == str(caught.value)


def test_warnings_are_equal(r):
    i = keras.Input((4, 3))
    recurrent = keras.Model(i, keras.layers.Dense(1)(keras.layers.GRU(2, name="gru")(i)))
    # Not `pytest.warns()`, which forgets what is to be ignored of other packages.
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", layer_api.messages.Notice)
        layer_api.to_bayesian(recurrent)
    words = r(
        "tryCatch(to_bayesian(model), layerapi_warning = function(w) conditionMessage(w))",
        model=recurrent,
    )
    assert [words] == [str(each.message) for each in caught]
