"""Draws of weights, rows for arrays of weights, and sums over a model."""

import keras
import numpy as np
import pytest
from framework import numpy

import layer_api
from layer_api.answers import functions, weights
from layer_api.answers.weights import arrays, draw_weights, overview

X = np.random.default_rng(11).normal(size=(6, 3)).astype("float32")
# Limit on the deviation of an estimate, in its standard errors: 1 in 15,000 is above it by chance.
FOUR = 4


def two_layers():
    """A model with two kinds of layers: of weights one by one, and of a joint distribution."""
    return keras.Sequential(
        [
            keras.Input((3,)),
            layer_api.DenseFlipout(2, kl_weight=0.5, seed=1, name="one"),
            layer_api.DenseVariational(1, kl_weight=0.5, seed=2, name="two"),
        ]
    )


class TestDraws:
    def test_mean_and_deviation_are_those_of_the_posterior(self):
        model, n = two_layers(), 4000
        terms, values = draw_weights(model, n, seed=1)
        interval = layer_api.posterior_interval(model)
        assert terms == interval.terms
        assert values.shape == (n, len(terms))
        mean, sd = interval.estimate, interval.std_error
        assert (np.abs(values.mean(axis=0) - mean) <= FOUR * sd / np.sqrt(n) + 1e-6).all()
        assert (np.abs(values.std(axis=0) - sd) <= FOUR * sd / np.sqrt(2 * n) + 1e-6).all()
        correlation = np.corrcoef(values[:, sd > 0].T)
        np.fill_diagonal(correlation, 0)
        assert np.abs(correlation).max() < 5 / np.sqrt(n)

    def test_they_are_those_of_the_drawn_functions(self):
        model = two_layers()
        outputs = layer_api.posterior_linpred(model, X, draws=7, seed=3)
        w = draw_weights(model, 7, seed=3)[1]
        hidden = np.einsum("ri,siu->sru", X, w[:, :6].reshape(7, 3, 2)) + w[:, None, 6:8]
        expected = np.einsum("sru,su->sr", hidden, w[:, 8:10]) + w[:, 10:]
        np.testing.assert_allclose(np.asarray(outputs).reshape(7, 6), expected, atol=1e-5)

    def test_a_seed_repeats_them_and_without_one_they_go_on(self):
        model = two_layers()
        first = draw_weights(model, 3)[1]
        assert not np.array_equal(draw_weights(model, 3)[1], first)
        assert np.array_equal(draw_weights(model, 3, seed=1)[1], draw_weights(model, 3, seed=1)[1])
        assert not np.array_equal(
            draw_weights(model, 3, seed=2)[1], draw_weights(model, 3, seed=1)[1]
        )

    def test_the_noise_goes_on_as_after_draws_of_functions(self):
        one, other = two_layers(), two_layers()
        other.set_weights(one.get_weights())
        draw_weights(one, 3)
        layer_api.posterior_linpred(other, X, draws=3)
        np.testing.assert_array_equal(draw_weights(one, 2)[1], draw_weights(other, 2)[1])

    def test_in_several_runs_they_are_the_same(self, monkeypatch):
        model = two_layers()
        expected = draw_weights(model, 7, seed=1)[1]
        monkeypatch.setattr(functions, "_BYTES", 4 * 11 * 3)
        np.testing.assert_array_equal(draw_weights(model, 7, seed=1)[1], expected)

    def test_some_of_them_in_the_order_they_are_asked_for(self):
        model = two_layers()
        terms, values = draw_weights(model, 5, seed=1)
        for variable, regex, expected in (
            ("two/bias", False, ["two/bias[0]"]),
            (["one/kernel[2,1]", "one/kernel[0,0]"], False, ["one/kernel[2,1]", "one/kernel[0,0]"]),
            (["two/kernel", "one/kernel[2,1]"], False,
             ["two/kernel[0,0]", "two/kernel[1,0]", "one/kernel[2,1]"]),
            ([r"kernel\[1,", "one/bias"], True,
             ["one/kernel[1,0]", "one/kernel[1,1]", "two/kernel[1,0]", "one/bias[0]",
              "one/bias[1]"]),
            (["one/bias[0]", "one/bias"], False, ["one/bias[0]", "one/bias[1]"]),
        ):  # fmt: skip
            chosen, of_these = draw_weights(model, 5, seed=1, variable=variable, regex=regex)
            assert chosen == expected
            places = [terms.index(term) for term in expected]
            np.testing.assert_array_equal(of_these, values[:, places])

    def test_a_layer_and_an_index_from_1(self):
        layer = two_layers().layers[0]
        terms, values = draw_weights(layer, 2, first=1)
        assert terms[0] == "one/kernel[1,1]"
        assert values.shape == (2, 8)

    def test_a_tensor_function_decides_what_a_weight_is(self):
        layer = layer_api.DenseFlipout(2, kernel_posterior_tensor_fn="mean")
        layer.build((None, 3))
        values = draw_weights(layer, 4)[1]
        assert (values == values[0]).all()

    @pytest.mark.parametrize("dtype", ["float16", "bfloat16", "mixed_bfloat16"])
    def test_16_bits(self, dtype):
        layer = layer_api.DenseFlipout(2, dtype=dtype)
        layer.build((None, 3))
        assert np.isfinite(draw_weights(layer, 4)[1]).all()

    def test_too_many_are_refused_with_the_way_out(self, monkeypatch):
        model = two_layers()
        monkeypatch.setattr(weights, "_BYTES", 8 * 11 * 100)
        draw_weights(model, 100)
        with pytest.raises(ValueError, match=r"`draws` must be so few .*variable = 'dense/kernel"):
            draw_weights(model, 101)
        draw_weights(model, 101, variable="two/bias")

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"draws": 0}, "`draws` must be a whole number of at least 1"),
            ({"seed": -1}, "`seed` must be a whole number of at least 0"),
            ({"regex": 1}, "`regex` must be"),
            ({"variable": 1}, "`variable` must be text, or a list of texts"),
            ({"variable": []}, "`variable` must be text, or a list of texts"),
            ({"variable": "one/kernal"}, "Did you mean 'one/kernel'"),
            ({"variable": "^b", "regex": True}, "`variable` must be a pattern of names"),
            ({"variable": "(", "regex": True}, "`variable` must be a regular expression"),
        ],
    )
    def test_what_is_wrong_is_refused(self, given, message):
        with pytest.raises((ValueError, TypeError), match=message):
            draw_weights(two_layers(), **given)

    def test_what_has_no_weights_is_refused(self):
        for wrong in (None, [two_layers()], "model"):
            with pytest.raises(TypeError, match="`model` must be a model or a layer"):
                draw_weights(wrong)
        with pytest.raises(ValueError, match="at least one variational layer"):
            draw_weights(keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)]))
        with pytest.raises(ValueError, match="is built"):
            draw_weights(layer_api.DenseFlipout(1))


class TestArrays:
    def test_a_row_for_each(self):
        model = two_layers()
        columns = arrays(model)
        assert columns["term"] == ["one/kernel", "one/bias", "two/weights"]
        assert columns["shape"] == ["3 x 2", "2", "3"]
        assert list(columns["size"]) == [6, 2, 3]
        interval = layer_api.posterior_interval(model)
        mean, sd = interval.estimate[:6], interval.std_error[:6]
        for name, expected in (
            ("min_mean", mean.min()), ("max_mean", mean.max()),
            ("min_sd", sd.min()), ("max_sd", sd.max()),
            ("snr_50", np.median(np.abs(mean) / sd)),
            ("snr_95", np.quantile(np.abs(mean) / sd, 0.95)),
            ("kl", (np.log(1 / sd) + (sd**2 + mean**2 - 1) / 2).sum()),
        ):  # fmt: skip
            np.testing.assert_allclose(columns[name][0], expected, rtol=1e-5)
        assert np.isnan([columns["snr_5"][1], columns["kl"][1]]).all()


class TestOverview:
    def test_sums_over_the_model(self):
        model = two_layers()
        facts = overview(model)
        assert facts["n_layers"] == 2
        assert facts["n_weights"] == 6 + 3  # the bias of the first is deterministic
        assert facts["n_parameters"] == model.count_params()
        assert facts["kl_weight"] == 0.5
        assert facts["likelihood"] is None
        losses = sum(numpy(loss).item() for loss in model.losses)
        np.testing.assert_allclose(facts["kl"], losses / 0.5, rtol=1e-6)
        layer_api.set_kl_weight(model, 0)
        np.testing.assert_allclose(overview(model)["kl"], facts["kl"], rtol=1e-6)

    def test_what_layers_differ_in_is_nan(self):
        model = two_layers()
        model.layers[0].kl_weight = 0.25
        assert np.isnan(overview(model)["kl_weight"])

    def test_the_likelihood_is_that_of_the_loss(self):
        model = two_layers()
        for loss, name in (
            (layer_api.NormalLikelihood(scale=1.0), "normal"),
            ("binary_crossentropy", "bernoulli"),
            ("mse", None),
        ):
            model.compile(loss=loss)
            assert overview(model)["likelihood"] == name
        assert overview(model, "laplace")["likelihood"] == "laplace"
