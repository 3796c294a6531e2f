"""Intervals, errors, and what uncertainty is made of, against closed forms."""

import keras
import numpy as np
import pytest
import scipy.stats
from framework import numpy

import layer_api
from layer_api.answers import intervals, likelihoods
from layer_api.answers.draws import Draws, posterior_epred, posterior_linpred, posterior_predict
from layer_api.answers.intervals import (
    posterior_interval,
    predictive_error,
    predictive_interval,
    tidy_weights,
    uncertainty,
)

RNG = np.random.default_rng(11)
X = RNG.normal(size=(6, 3)).astype("float32")
# Limit on the deviation of an estimate, in its standard errors: 1 in 15,000 is above it by chance.
FOUR = 4
NOISE = 0.7


def linear():
    """A linear model, whose predictive distribution is N(X loc, X^2 scale^2 + NOISE^2)."""
    model = keras.Sequential([keras.Input((3,)), layer_api.DenseFlipout(1, seed=1, name="dense")])
    loc, rho = np.linspace(-1, 1, 3), np.linspace(-1, 0.5, 3)
    model.layers[0].set_weights([loc[:, None], rho[:, None], [0.3]])
    model.compile(loss=layer_api.NormalLikelihood(scale=NOISE))
    return model, X @ loc + 0.3, X**2 @ np.log1p(np.exp(rho)) ** 2


def of_classes(logits):
    return Draws(logits, "linpred", layer_api.CategoricalLikelihood())


class TestPredictiveInterval:
    def test_quantiles_of_a_conjugate_regression(self):
        model, mean, variance = linear()
        n, prob = 20_000, 0.8
        interval = predictive_interval(model, X, prob, draws=n, seed=1)
        predictive = scipy.stats.norm(mean, np.sqrt(variance + NOISE**2))
        for ends, p in ((interval.lower, 0.1), (interval.upper, 0.9)):
            error = np.sqrt(p * (1 - p) / n) / predictive.pdf(predictive.ppf(p))
            assert (np.abs(ends - predictive.ppf(p)) < FOUR * error).all()

    def test_it_is_an_array_with_names(self):
        interval = predictive_interval(Draws(RNG.normal(size=(50, 4)), "predict"), prob=0.95)
        assert interval.names == ("2.5%", "97.5%")
        assert interval.shape == np.asarray(interval).shape == (4, 2)
        assert np.array_equal(interval[:, 1], interval.upper)
        assert np.asarray(interval, "float32").dtype == "float32"
        assert len(interval) == 4
        assert "2.5% to 97.5%" in repr(interval)

    def test_draws_serve_in_place_of_the_model(self, monkeypatch):
        model, _, _ = linear()
        expected = predictive_interval(model, X, draws=50, seed=1)
        outputs = posterior_linpred(model, X, draws=50, seed=1)
        predicted = posterior_predict(model, X, draws=50, seed=1)
        noise = layer_api.NormalLikelihood(scale=NOISE)
        np.testing.assert_array_equal(predictive_interval(outputs, seed=1), expected)
        np.testing.assert_array_equal(predictive_interval(predicted), expected)
        plain = np.asarray(predicted)
        np.testing.assert_array_equal(predictive_interval(plain), expected)
        plain = np.asarray(outputs)
        np.testing.assert_array_equal(
            predictive_interval(plain, seed=1, likelihood=noise), expected
        )
        monkeypatch.setattr(intervals, "_AT_ONCE", 100)
        np.testing.assert_array_equal(predictive_interval(predicted), expected)

    def test_observations_of_several_numbers(self):
        likelihood = layer_api.NormalLikelihood(scale=1.0)
        outputs = Draws(np.zeros((100, 5, 3)), "linpred", likelihood)
        assert predictive_interval(outputs, seed=1).shape == (5, 3, 2)
        assert predictive_error(outputs, y=np.zeros((5, 3)), seed=1).shape == (100, 5, 3)

    def test_several_outputs(self):
        i = keras.Input((3,))
        outputs = {k: layer_api.DenseFlipout(2, seed=1, name=k)(i) for k in ("a", "b")}
        model = keras.Model(i, outputs)
        model.compile(loss={k: layer_api.NormalLikelihood() for k in outputs})
        found = predictive_interval(model, X, draws=10, seed=1)
        assert {name: each.shape for name, each in found.items()} == {"a": (6, 2), "b": (6, 2)}
        y = {"a": X[:, 0], "b": X[:, 1]}
        error = predictive_error(model, X, y, draws=10, seed=1)
        predicted = posterior_predict(model, X, draws=10, seed=1)
        np.testing.assert_allclose(error["b"], X[:, 1] - predicted["b"], rtol=1e-6)
        assert set(uncertainty(model, X, draws=10)) == {"a", "b"}
        with pytest.raises(ValueError, match="`y` must be one for each output"):
            predictive_error(model, X, {"a": X[:, 0]}, draws=10)


class TestPredictiveError:
    def test_it_is_y_minus_draws(self):
        model, _, _ = linear()
        y = X[:, 0].astype("float64")
        predicted = posterior_predict(model, X, draws=20, seed=1)
        for error in (
            predictive_error(model, X, y, draws=20, seed=1),
            predictive_error(predicted, y=y),
            predictive_error(np.asarray(predicted), y=y[:, None]),
        ):
            np.testing.assert_allclose(error, y - predicted, rtol=1e-6)

    @pytest.mark.parametrize(
        ("y", "message"),
        [
            (None, "`y` must be an array of numbers"),
            (np.zeros(5), r"`y` must be an array of shape \[6\]"),
            (np.zeros((6, 2)), r"`y` must be an array of shape \[6\]"),
            (np.full(6, np.nan), "`y` must be without missing values"),
            (np.full(6, np.inf), "`y` must be finite numbers"),
        ],
    )
    def test_wrong_observations(self, y, message, monkeypatch):
        model, _, _ = linear()
        predicted = np.zeros((4, 6))
        with pytest.raises(ValueError, match=message):
            predictive_error(predicted, y=y)
        monkeypatch.setattr(intervals.drawing, "draw_outputs", None)  # it fails before that
        with pytest.raises(ValueError, match=message):
            predictive_error(model, X, y)

    def test_values_that_the_likelihood_cannot_produce(self):
        counts = Draws(np.zeros((4, 6)), "predict", likelihoods.PoissonLikelihood())
        with pytest.raises(ValueError, match="whole numbers of at least 0"):
            predictive_error(counts, y=np.full(6, 0.5))


class TestPosteriorInterval:
    def test_mean_field_and_point_mass(self):
        model, _, _ = linear()
        found = posterior_interval(model, prob=0.95)
        assert found.terms == [*(f"dense/kernel[{i},0]" for i in range(3)), "dense/bias[0]"]
        normal = scipy.stats.norm(np.linspace(-1, 1, 3), np.log1p(np.exp(np.linspace(-1, 0.5, 3))))
        np.testing.assert_allclose(found.lower[:3], normal.ppf(0.025), rtol=1e-5)
        np.testing.assert_allclose(found.upper[:3], normal.ppf(0.975), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found.std_error[:3], normal.std(), rtol=1e-5)
        assert found.lower[3] == found.upper[3] == found.estimate[3] == np.float32(0.3)
        assert found.std_error[3] == 0
        assert found.shape == (4, 2)
        assert repr(found).splitlines()[0].split() == ["estimate", "std_error", "2.5%", "97.5%"]

    def test_multivariate_normals_have_the_intervals_of_their_marginals(self):
        model = keras.Sequential(
            [
                keras.Input((2,)),
                layer_api.DenseReparameterization(
                    2, kernel_posterior_fn="multivariate_normal_tril", name="a"
                ),
                layer_api.DenseVariational(2, "multivariate_normal_tril", name="b"),
            ]
        )
        for weight in model.trainable_variables:
            weight.assign(RNG.normal(size=weight.shape))
        found = posterior_interval(model)
        assert found.terms == [
            "a/kernel[0,0]", "a/kernel[0,1]", "a/kernel[1,0]", "a/kernel[1,1]", "a/bias[0]",
            "a/bias[1]", "b/kernel[0,0]", "b/kernel[0,1]", "b/kernel[1,0]", "b/kernel[1,1]",
            "b/bias[0]", "b/bias[1]",
        ]  # fmt: skip
        factors = [
            model.layers[0]._weights_by_name["kernel"].posterior.scale_tril,
            model.layers[1].joint.distribution("posterior").scale_tril,
        ]
        a, b = (np.sqrt(np.diag(numpy(each) @ numpy(each).T)) for each in factors)
        np.testing.assert_allclose(found.std_error, [*a, 0, 0, *b], rtol=1e-5)
        width = 2 * scipy.stats.norm.ppf(0.95) * found.std_error
        np.testing.assert_allclose(found.upper - found.lower, width, rtol=1e-5)

    def test_a_posterior_of_the_library(self):
        def posterior_fn(dtype, shape, name, trainable, add_variable_fn):
            loc = add_variable_fn(name="loc", shape=shape, dtype=dtype, initializer="ones")
            from layer_api import backend

            return backend.distributions.laplace_distribution(loc, 0.5)

        layer = layer_api.DenseReparameterization(2, kernel_posterior_fn=posterior_fn)
        layer.build((None, 3))
        found = posterior_interval(layer)
        p, n = 0.95, 10_000
        laplace = scipy.stats.laplace(1, 0.5)
        error = np.sqrt(p * (1 - p) / n) / laplace.pdf(laplace.ppf(p))
        assert np.abs(found.upper[:6] - laplace.ppf(p)).max() < FOUR * error
        assert np.abs(found.lower[:6] - laplace.ppf(1 - p)).max() < FOUR * error
        assert np.abs(found.estimate[:6] - 1).max() < FOUR * laplace.std() / np.sqrt(n)
        np.testing.assert_array_equal(found, posterior_interval(layer))

    def test_layers_of_the_same_name_can_be_told_apart(self):
        inner = [
            keras.Sequential([keras.Input((2,)), layer_api.DenseFlipout(2, name="dense")])
            for _ in range(2)
        ]
        terms = posterior_interval(keras.Sequential([keras.Input((2,)), *inner])).terms
        assert len(set(terms)) == 12
        assert "dense(2)/kernel[0,0]" in terms

    def test_columns_of_tidy(self):
        model, _, _ = linear()
        columns = tidy_weights(model, 0.5)
        assert list(columns) == ["term", "estimate", "std.error", "conf.low", "conf.high"]
        assert columns["term"][0] == "dense/kernel[1,1]"
        assert {len(each) for each in columns.values()} == {4}

    def test_what_is_refused(self):
        with pytest.raises(ValueError, match="at least one variational layer"):
            posterior_interval(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]))
        with pytest.raises(ValueError, match="a model that is built"):
            posterior_interval(layer_api.DenseFlipout(2))
        model, _, _ = linear()
        for value in ([model], np.zeros((3, 4)), None):
            with pytest.raises(TypeError, match="a model or a layer"):
                posterior_interval(value)

    def test_a_posterior_that_depends_on_the_inputs(self):
        def make(kernel_size, bias_size, dtype):
            from layer_api import backend

            size = kernel_size + bias_size
            loc = keras.ops.zeros(size)
            return lambda x: backend.distributions.normal_distribution(loc, loc + 1)

        layer = layer_api.DenseVariational(1, make_posterior_fn=make)
        layer.build((None, 2))
        with pytest.raises(ValueError, match="do not depend on the inputs"):
            posterior_interval(layer)


class TestUncertainty:
    def test_law_of_total_variance_on_draws(self):
        outputs = RNG.normal(size=(7, 4, 2))
        likelihood = layer_api.NormalLikelihood()
        parts = uncertainty(Draws(outputs, "linpred", likelihood))
        scale = 1e-5 + np.log1p(np.exp(outputs[..., 1]))
        np.testing.assert_allclose(parts.mean, outputs[..., 0].mean(0), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(parts.epistemic, outputs[..., 0].var(0), rtol=1e-5)
        np.testing.assert_allclose(parts.aleatoric, (scale**2).mean(0), rtol=1e-5)
        assert np.array_equal(parts.total, parts.aleatoric + parts.epistemic)
        assert "epistemic" in repr(parts)

    @pytest.mark.parametrize("likelihood", ["gamma", "poisson", "negative_binomial", "beta"])
    def test_total_is_the_variance_of_predictions(self, likelihood):
        columns = likelihoods.get(likelihood).params_size(1)
        outputs = Draws(
            RNG.normal(size=(50, 3, columns)) + 1, "linpred", likelihoods.get(likelihood)
        )
        parts = uncertainty(outputs)
        n = 400
        many = Draws(np.repeat(outputs, n, axis=0), "linpred", outputs.likelihood)
        predicted = np.asarray(posterior_predict(many, seed=1), "float64").reshape(n, 50, 3)
        squares = np.square(predicted - parts.mean).mean(axis=1)  # of each set of outputs once
        error = squares.std(axis=0) / np.sqrt(n)
        assert (np.abs(squares.mean(axis=0) - parts.total) < FOUR * error).all()

    def test_conjugate_regression(self):
        model, mean, variance = linear()
        n = 20_000
        parts = uncertainty(model, X, draws=n, seed=1)
        np.testing.assert_allclose(parts.epistemic, variance, rtol=FOUR * np.sqrt(2 / n))
        np.testing.assert_allclose(parts.aleatoric, NOISE**2, rtol=1e-5)
        assert (np.abs(parts.mean - mean) < FOUR * np.sqrt(variance / n)).all()
        assert parts.total.shape == (6,)

    def test_entropies_of_classes(self):
        p = np.array([[[1.0, 0, 0], [0.5, 0.25, 0.25]], [[0, 1.0, 0], [0.5, 0.25, 0.25]]])
        with np.errstate(divide="ignore"):
            parts = uncertainty(of_classes(np.maximum(np.log(p), -1e4)))
        np.testing.assert_allclose(parts.mean, p.mean(0), rtol=1e-6)
        entropy = 1.5 * np.log(2)
        np.testing.assert_allclose(parts.aleatoric, [0, entropy], rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(parts.epistemic, [np.log(2), 0], rtol=1e-6, atol=1e-7)
        assert np.array_equal(parts.total, parts.aleatoric + parts.epistemic)
        assert "mean" not in repr(parts)

    def test_mutual_information_is_that_of_random_distributions(self):
        logits = 2 * RNG.normal(size=(30, 5, 4))
        parts = uncertainty(of_classes(logits))
        p = scipy.special.softmax(logits, axis=-1)
        total, aleatoric = scipy.stats.entropy(p.mean(0), axis=-1), scipy.stats.entropy(p, axis=-1)
        np.testing.assert_allclose(parts.total, total, rtol=1e-5)
        np.testing.assert_allclose(parts.aleatoric, aleatoric.mean(0), rtol=1e-5)
        assert parts.epistemic.min() > 0

    def test_0_and_1_are_two_classes(self):
        logits = RNG.normal(size=(30, 5))
        one = uncertainty(Draws(logits, "linpred", layer_api.BernoulliLikelihood()))
        two = uncertainty(of_classes(np.stack([0 * logits, logits], axis=-1)))
        np.testing.assert_allclose(one.mean, two.mean[:, 1], rtol=1e-5)
        for a, b in zip(one[1:], two[1:], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7)
        several = np.stack([logits, -logits], axis=-1)
        parts = uncertainty(Draws(several, "linpred", layer_api.BernoulliLikelihood()))
        assert parts.total.shape == parts.mean.shape == (5, 2)
        assert "shape [5, 2]" in repr(parts)

    @pytest.mark.parametrize(
        ("columns", "likelihood"), [(2, "normal"), (1, "bernoulli"), (3, "categorical")]
    )
    def test_a_network_without_uncertain_weights(self, columns, likelihood):
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(columns)])
        parts = uncertainty(model, X, draws=100, likelihood=likelihood)
        assert (parts.epistemic == 0).all()
        assert np.array_equal(parts.total, parts.aleatoric)
        assert (parts.total > 0).all()

    def test_a_distribution_without_moments(self):
        outputs = np.zeros((5, 2))
        parts = uncertainty(Draws(outputs, "linpred", layer_api.StudentTLikelihood(2.0, scale=1.0)))
        assert np.isinf(parts.total).all()
        assert (parts.epistemic == 0).all()

    def test_rows_are_computed_in_parts(self, monkeypatch):
        outputs = of_classes(RNG.normal(size=(10, 9, 3)))
        whole = uncertainty(outputs)
        monkeypatch.setattr(intervals, "_AT_ONCE", 60)
        for a, b in zip(whole, uncertainty(outputs), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)

    def test_an_axis_of_time(self):
        outputs = RNG.normal(size=(6, 4, 5, 2))
        parts = uncertainty(Draws(outputs, "linpred", layer_api.NormalLikelihood()))
        assert parts.total.shape == (4, 5, 1)


class TestRefused:
    @pytest.mark.parametrize("prob", [0, 1, -0.5, 90, True, "a", None, np.nan, [0.5, 0.9]])
    def test_probabilities(self, prob, monkeypatch):
        model, _, _ = linear()
        monkeypatch.setattr(intervals.drawing, "draw_outputs", None)
        for function in (predictive_interval, posterior_interval, tidy_weights):
            with pytest.raises(ValueError, match="`prob` must be a number above 0 and below 1"):
                function(model, prob=prob)
        assert len(posterior_interval(model, np.float32(0.5))) == 4

    def test_labels(self, monkeypatch):
        model = keras.Sequential([keras.Input((3,)), layer_api.DenseFlipout(3)])
        model.compile(loss=layer_api.CategoricalLikelihood())
        outputs = posterior_linpred(model, X, draws=3, seed=1)
        predicted = posterior_predict(outputs, seed=1)
        monkeypatch.setattr(intervals.drawing, "draw_outputs", None)
        for given in (outputs, predicted):
            with pytest.raises(ValueError, match=r"one of classes.*posterior_epred"):
                predictive_interval(given)
        with pytest.raises(ValueError, match="one of classes"):
            predictive_error(model, X, np.zeros(6))

    def test_models_without_a_likelihood(self, monkeypatch):
        model = keras.Sequential([keras.Input((3,)), layer_api.DenseFlipout(1)])
        monkeypatch.setattr(intervals.drawing, "draw_outputs", None)
        for function in (predictive_interval, predictive_error, uncertainty):
            with pytest.raises(ValueError, match=r"`likelihood` must be .*not compiled"):
                function(model, X)
        model.compile(loss="mse")
        with pytest.raises(ValueError, match="mean squared error"):
            uncertainty(model, X)

    def test_draws_of_another_kind(self):
        model, _, _ = linear()
        epred = posterior_epred(model, X, draws=3)
        for function in (predictive_interval, uncertainty):
            with pytest.raises(ValueError, match=r"draws of posterior_linpred\(\).*epred"):
                function(epred)
        with pytest.raises(ValueError, match=r"draws of posterior_linpred\(\).*predict"):
            uncertainty(posterior_predict(model, X, draws=3))
        with pytest.raises(ValueError, match="`x` must be left out"):
            predictive_interval(posterior_predict(model, X, draws=3), X)

    def test_too_few_draws(self):
        model, _, _ = linear()
        with pytest.raises(ValueError, match="`draws` must be a whole number of at least 2"):
            uncertainty(model, X, draws=1)
        with pytest.raises(ValueError, match="at least 2 draws"):
            uncertainty(posterior_linpred(model, X, draws=1))

    def test_missing_values_among_the_outputs(self):
        model, _, _ = linear()
        model.layers[0].set_weights([np.full((3, 1), np.nan), np.zeros((3, 1)), [0.0]])
        for function in (predictive_interval, uncertainty):
            with pytest.raises(ValueError, match="NA/NaN among"):
                function(model, X, draws=3)
        with pytest.raises(ValueError, match="NA/NaN among"):
            predictive_interval(np.full((3, 4), np.nan))

    def test_seeds(self):
        model, _, _ = linear()
        outputs = posterior_linpred(model, X, draws=3)
        with pytest.raises(ValueError, match="`seed` must be"):
            predictive_interval(outputs, seed=-1)


def test_a_trained_network_knows_what_it_has_not_seen():
    """Far from the data it is less sure, and its intervals hold what they should."""
    rows, noise = 200, 0.2
    x = RNG.uniform(-1, 1, size=(rows, 1)).astype("float32")
    y = 1.5 * x[:, 0] + noise * RNG.normal(size=rows).astype("float32")
    model = keras.Sequential(
        [keras.Input((1,)), layer_api.DenseReparameterization(1, kl_weight=1 / rows, seed=1)]
    )
    model.compile(keras.optimizers.Adam(0.1), layer_api.NormalLikelihood(scale=noise))
    model.fit(x, y, epochs=25, batch_size=50, verbose=0)
    parts = uncertainty(model, np.array([[0.5], [4.0]]), draws=500, seed=1)
    assert parts.epistemic[1] > 10 * parts.epistemic[0]
    interval = predictive_interval(model, x, draws=500, seed=1)
    assert 0.8 < ((interval.lower < y) & (y < interval.upper)).mean() < 0.98
