"""What is handed over to ArviZ is what the answers return, as one chain."""

import builtins

import keras
import numpy as np
import pytest

import layer_api

X = np.random.default_rng(5).normal(size=(8, 3)).astype("float32")
Y = np.cos(np.arange(8.0))
OPTIONS = {"draws": 30, "seed": 1}


def compiled(units, likelihood):
    model = keras.Sequential([keras.Input((3,)), layer_api.DenseFlipout(units, seed=1)])
    model.compile(loss=likelihood)
    return model


class TestWithArviz:
    @pytest.fixture(autouse=True)
    def arviz(self):
        return pytest.importorskip("arviz_base", reason="arviz-base is not installed")

    def test_groups_are_what_the_answers_return(self):
        model = compiled(2, layer_api.NormalLikelihood())
        tree = layer_api.to_datatree(model, X, Y, **OPTIONS)
        assert set(tree.children) == {"posterior_predictive", "log_likelihood", "observed_data"}
        for group, expected in (
            ("posterior_predictive", layer_api.posterior_predict(model, X, **OPTIONS)),
            ("log_likelihood", layer_api.log_lik(model, X, Y, **OPTIONS)),
        ):
            values = tree[group]["y"]
            assert values.dims[:2] == ("chain", "draw")
            assert values.shape == (1, 30, 8)
            np.testing.assert_allclose(values[0], np.asarray(expected))
        np.testing.assert_allclose(tree["observed_data"]["y"], Y)

    def test_labels_and_several_numbers(self):
        labels = np.arange(8) % 3
        tree = layer_api.to_datatree(
            compiled(3, layer_api.CategoricalLikelihood()), X, labels, **OPTIONS
        )
        assert tree["observed_data"]["y"].values.tolist() == labels.tolist()
        assert set(np.unique(tree["posterior_predictive"]["y"])) <= {0, 1, 2}
        pairs = np.stack([Y, -Y], axis=1)
        tree = layer_api.to_datatree(compiled(4, layer_api.NormalLikelihood()), X, pairs, **OPTIONS)
        assert tree["posterior_predictive"]["y"].shape == (1, 30, 8, 2)
        assert tree["log_likelihood"]["y"].shape == (1, 30, 8)
        np.testing.assert_allclose(tree["observed_data"]["y"], pairs)

    def test_each_output_is_a_variable_and_draws_serve_in_place_of_the_model(self):
        inputs = keras.Input((3,))
        outputs = {name: layer_api.DenseFlipout(2, name=name)(inputs) for name in ("a", "b")}
        model = keras.Model(inputs, outputs)
        model.compile(loss={name: layer_api.NormalLikelihood() for name in outputs})
        y = {"a": Y, "b": -Y}
        first = layer_api.to_datatree(model, X, y, **OPTIONS)
        linpred = layer_api.posterior_linpred(model, X, **OPTIONS)
        second = layer_api.to_datatree(linpred, y=y, seed=1)
        for group in first.children:
            assert set(first[group].data_vars) == {"a", "b"}
            assert first[group].to_dataset().equals(second[group].to_dataset())
        with pytest.raises(TypeError, match="`y` must be a dictionary"):
            layer_api.to_datatree(linpred, y=Y)

    def test_loo_reads_it(self):
        stats = pytest.importorskip("arviz_stats", reason="arviz-stats is not installed")
        model = compiled(2, layer_api.NormalLikelihood())
        model.layers[0].set_weights([np.zeros((3, 2)), np.full((3, 2), -4.0), np.zeros(2)])
        tree = layer_api.to_datatree(model, X, Y, draws=500, seed=1)
        log_score = layer_api.score(model, X, Y, draws=500, seed=1)["log_score"]
        # Hardly a doubt about the weights: leaving a row out changes nothing.
        assert stats.loo(tree, reff=1).elpd == pytest.approx(8 * log_score, rel=0.01)

    def test_y_of_another_length_is_refused(self):
        with pytest.raises(ValueError, match="`y` must be"):
            layer_api.to_datatree(compiled(2, layer_api.NormalLikelihood()), X, Y[:3], **OPTIONS)


def test_without_arviz_the_message_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("arviz"):
            raise ModuleNotFoundError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'layer-api\[arviz\]'"):
        layer_api.to_datatree(compiled(2, layer_api.NormalLikelihood()), X, Y)
