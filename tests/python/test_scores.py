"""Scores and calibration of predictions, against closed forms."""

import keras
import numpy as np
import pytest
import scipy.stats

import layer_api
from layer_api.answers import intervals
from layer_api.answers.draws import Draws, posterior_linpred, posterior_predict
from layer_api.answers.scores import calibration, score

RNG = np.random.default_rng(13)
# Limit on the deviation of an estimate, in its standard errors: 1 in 15,000 is above it by chance.
FOUR = 4
NOISE = 0.7
NUMBERS = [
    "log_score", "rmse", "crps", *(f"coverage_{p}" for p in (50, 80, 90, 95)),
    *(f"width_{p}" for p in (50, 80, 90, 95)),
]  # fmt: skip


def normal(outputs):
    return Draws(outputs, "linpred", layer_api.NormalLikelihood(scale=NOISE))


def of_classes(p):
    """Two equal draws of logits for the probabilities of each row."""
    return Draws(np.tile(np.log(p), (2, 1, 1)), "linpred", layer_api.CategoricalLikelihood())


def crps_of_normal(y, mean, sd):
    """Gneiting and Raftery (2007), equation 21."""
    z = (y - mean) / sd
    phi, cdf = scipy.stats.norm.pdf(z), scipy.stats.norm.cdf(z)
    return sd * (z * (2 * cdf - 1) + 2 * phi - 1 / np.sqrt(np.pi))


def linear(x):
    """A linear model, whose predictive distribution is N(X loc, X^2 scale^2 + NOISE^2)."""
    model = keras.Sequential([keras.Input((3,)), layer_api.DenseFlipout(1, seed=1)])
    loc, rho = np.linspace(-1, 1, 3), np.linspace(-1, 0.5, 3)
    model.layers[0].set_weights([loc[:, None], rho[:, None], [0.3]])
    model.compile(loss=layer_api.NormalLikelihood(scale=NOISE))
    sd = np.sqrt(x**2 @ np.log1p(np.exp(rho)) ** 2 + NOISE**2)
    return model, scipy.stats.norm(x @ loc + 0.3, sd)


class TestNumbers:
    def test_a_model_with_a_known_predictive_distribution(self):
        """Log score, CRPS, widths and RMSE are those of the normal, within simulation error."""
        x, n = RNG.normal(size=(40, 3)), 10_000
        model, predictive = linear(x)
        y = predictive.rvs(random_state=1)
        found = score(model, x, y, draws=n, seed=1)
        assert list(found) == list(found.std_errors) == NUMBERS
        log_lik = np.asarray(layer_api.log_lik(model, x, y, draws=n, seed=1), "float64")
        density = np.exp(log_lik)
        error = np.sqrt(np.square(density.std(axis=0) / density.mean(axis=0)).sum() / n) / 40
        # Draws of weights are shared by rows, so that errors of rows may add up.
        assert abs(found["log_score"] - predictive.logpdf(y).mean()) < FOUR * error * np.sqrt(40)
        crps = crps_of_normal(y, predictive.mean(), predictive.std()).mean()
        assert abs(found["crps"] - crps) < FOUR * predictive.std().mean() / np.sqrt(n)
        rmse = np.sqrt(np.square(y - predictive.mean()).mean())
        assert abs(found["rmse"] - rmse) < FOUR * predictive.std().mean() / np.sqrt(n)
        for percent in (50, 80, 90, 95):
            lower, upper = predictive.interval(percent / 100)
            width = (upper - lower).mean()
            assert abs(found[f"width_{percent}"] - width) < 0.05 * width
            inside = ((lower < y) & (y < upper)).mean()
            assert abs(found[f"coverage_{percent}"] - inside) <= 2 / 40

    def test_crps_has_no_bias_with_few_draws(self):
        rows = 40_000
        y = RNG.normal(size=rows)
        outputs = normal(np.zeros((3, rows)))
        exact = crps_of_normal(y, 0, NOISE)
        found = score(outputs, y=y, seed=1)
        assert abs(found["crps"] - exact.mean()) < FOUR * NOISE / np.sqrt(rows)

    def test_coverage_of_data_as_predicted(self):
        rows, n = 3000, 500
        likelihood = layer_api.NormalLikelihood()
        loc, rho = RNG.normal(size=(2, rows))
        outputs = np.tile(np.stack([loc, rho], axis=-1), (n, 1, 1))
        y = loc + np.log1p(np.exp(rho)) * RNG.normal(size=rows)
        found = score(Draws(outputs, "linpred", likelihood), y=y, seed=1)
        for p in (0.5, 0.8, 0.9, 0.95):
            key = f"coverage_{100 * p:.0f}"
            error = np.sqrt(p * (1 - p) / rows)
            assert abs(found[key] - p) < FOUR * error + 2 / n
            assert found.std_errors[key] == pytest.approx(error, rel=0.2)
        narrow = score(Draws(outputs - [0, 2], "linpred", likelihood), y=y, seed=1)
        assert narrow["coverage_90"] < 0.6
        assert narrow["log_score"] < found["log_score"]
        assert narrow["crps"] > found["crps"]

    def test_standard_errors_are_the_spread_of_repeats(self):
        repeats, rows = 100, 60
        y = RNG.normal(size=(repeats, rows)) * 1.3
        outputs = normal(0.5 * RNG.normal(size=(100, rows)))
        found = [score(outputs, y=each, seed=1) for each in y]
        for name in NUMBERS[:7]:
            spread = np.std([each[name] for each in found], ddof=1)
            expected = np.sqrt(np.mean([each.std_errors[name] ** 2 for each in found]))
            # A standard deviation of 100 repeats has an error of 7%.
            assert expected == pytest.approx(spread, rel=FOUR * 0.08), name

    def test_several_numbers_in_a_row(self):
        outputs, y = RNG.normal(size=(50, 8, 2)), RNG.normal(size=(8, 2))
        both = score(normal(outputs), y=y, seed=1)
        each = [score(normal(outputs[..., i]), y=y[:, i], seed=1) for i in range(2)]
        np.testing.assert_allclose(both["rmse"] ** 2, np.mean([e["rmse"] ** 2 for e in each]))
        log_lik = scipy.stats.norm.logpdf(y, outputs, NOISE).sum(axis=-1)
        expected = np.log(np.exp(log_lik).mean(axis=0)).mean()
        np.testing.assert_allclose(both["log_score"], expected, rtol=1e-4)
        assert calibration(normal(outputs), y=y, seed=1).pit.shape == (8, 2)

    def test_one_row(self):
        found = score(normal(np.zeros((9, 1))), y=[0.1], seed=1)
        assert all(np.isnan(list(found.std_errors.values())))
        assert np.isfinite(list(found.values.values())).all()

    def test_densities_of_nearly_0(self):
        """The mean over draws is taken on the scale of logarithms."""
        found = score(normal(np.array([[0.0], [1.0]])), y=[60.0], seed=1)
        densities = scipy.stats.norm.logpdf(60, [0, 1], NOISE)
        expected = np.logaddexp(*densities) - np.log(2)
        assert expected < -3000
        np.testing.assert_allclose(found["log_score"], expected, rtol=1e-5)

    def test_it_prints_as_a_table(self):
        text = repr(score(normal(np.zeros((9, 4))), y=np.zeros(4), seed=1)).splitlines()
        assert text[0].split() == ["4", "rows", "value", "std_error"]
        assert len(text) == 1 + len(NUMBERS)
        assert len({len(line) for line in text}) == 1


@pytest.mark.parametrize("time", [1, 2])
def test_a_test_has_the_same_numbers_whichever_ran_before(time):
    assert RNG.normal() == np.random.default_rng(20180312).normal()


class TestClasses:
    def test_scores_of_known_probabilities(self):
        p = np.array([[0.7, 0.2, 0.1], [0.3, 0.4, 0.3], [0.1, 0.1, 0.8], [0.6, 0.3, 0.1]])
        y = np.array([0, 2, 2, 1])
        found = score(of_classes(p), y=y)
        assert list(found) == ["log_score", "accuracy", "brier", "ece"]
        log_p = np.log(p[np.arange(4), y])
        brier = np.square(p - np.eye(3)[y]).sum(axis=1)
        np.testing.assert_allclose(found["log_score"], log_p.mean(), rtol=1e-5)
        np.testing.assert_allclose(found["brier"], brier.mean(), rtol=1e-5)
        assert found["accuracy"] == 0.5
        np.testing.assert_allclose(found["ece"], (0.3 + 0.4 + 0.2 + 0.6) / 4, rtol=1e-5)
        for name, values in (("log_score", log_p), ("brier", brier)):
            expected = values.std(ddof=1) / 2
            np.testing.assert_allclose(found.std_errors[name], expected, rtol=1e-5)
        one_hot = score(of_classes(p), y=np.eye(3)[y])
        assert one_hot.values == found.values

    def test_probabilities_are_averaged_over_draws(self):
        logits = RNG.normal(size=(20, 6, 3))
        p = scipy.special.softmax(logits, axis=-1).mean(axis=0)
        found = score(
            Draws(logits, "linpred", layer_api.CategoricalLikelihood()), y=np.arange(6) % 3
        )
        expected = score(of_classes(p), y=np.arange(6) % 3)
        for name in found:
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-4)

    def test_ece_of_calibrated_and_of_overconfident_predictions(self):
        rows = 20_000
        p = RNG.dirichlet([1, 1, 1], size=rows)
        y = (RNG.uniform(size=rows)[:, None] > p.cumsum(axis=1)).sum(axis=1)
        found = score(of_classes(p), y=y)
        # In 10 bins with rows, each of a share w, the mean of |N(0, s^2 / (w rows))|.
        assert found["ece"] < np.sqrt(10 / rows) / 2
        sure = np.full((rows, 2), [0.9, 0.1])
        y = (RNG.uniform(size=rows) > 0.7).astype(int)
        found = score(of_classes(sure), y=y)
        error = np.sqrt(0.7 * 0.3 / rows)
        assert abs(found["ece"] - 0.2) < FOUR * error
        assert found.std_errors["ece"] == pytest.approx(error, rel=FOUR / np.sqrt(2 * 200))

    def test_standard_errors_are_the_spread_of_repeats(self):
        p, repeats, rows = np.array([0.55, 0.25, 0.2]), 100, 150
        outputs = of_classes(np.full((rows, 3), [0.8, 0.1, 0.1]))
        found = [score(outputs, y=RNG.choice(3, size=rows, p=p)) for _ in range(repeats)]
        for name in ("log_score", "accuracy", "brier", "ece"):
            spread = np.std([each[name] for each in found], ddof=1)
            expected = np.sqrt(np.mean([each.std_errors[name] ** 2 for each in found]))
            assert expected == pytest.approx(spread, rel=FOUR * 0.08), name

    def test_0_and_1_are_two_classes(self):
        logits, y = RNG.normal(size=(10, 30)), RNG.integers(2, size=30)
        one = score(Draws(logits, "linpred", layer_api.BernoulliLikelihood()), y=y)
        both = np.stack([0 * logits, logits], axis=-1)
        two = score(Draws(both, "linpred", layer_api.CategoricalLikelihood()), y=y)
        for name in two:
            np.testing.assert_allclose(one[name], two[name], rtol=1e-4)
            np.testing.assert_allclose(one.std_errors[name], two.std_errors[name], rtol=1e-4)
        several = Draws(np.stack([logits] * 2, axis=-1), "linpred", layer_api.BernoulliLikelihood())
        found = score(several, y=np.stack([y, y], axis=-1))
        for name in ("accuracy", "brier", "ece"):
            np.testing.assert_allclose(found[name], one[name], rtol=1e-6)
            np.testing.assert_allclose(found.std_errors[name], one.std_errors[name], rtol=1e-6)

    def test_positions_in_a_row(self):
        logits = Draws(RNG.normal(size=(5, 4, 6, 3)), "linpred", layer_api.CategoricalLikelihood())
        y = RNG.integers(3, size=(4, 6))
        found = score(logits, y=y)
        assert found.rows == 4
        assert calibration(logits, y=y).count.sum() == 24


class TestCalibration:
    def test_pit_of_data_as_predicted_is_uniform(self):
        rows = 3000
        loc = RNG.normal(size=rows)
        y = loc + NOISE * RNG.normal(size=rows)
        outputs = np.tile(loc, (200, 1))
        found = calibration(normal(outputs), y=y, seed=1)
        assert scipy.stats.kstest(found.pit, "uniform").pvalue > 1e-4
        assert found.kind == "coverage"
        error = np.sqrt(found.predicted * (1 - found.predicted) / rows)
        assert (np.abs(found.observed - found.predicted) < FOUR * error).all()
        np.testing.assert_allclose(found.std_error, error, rtol=0.2)
        assert np.array_equal(found.count, np.full(19, rows))
        np.testing.assert_array_equal(
            found.observed,
            [(np.abs(2 * found.pit - 1) <= level).mean() for level in found.predicted],
        )
        wrong = calibration(normal(outputs), y=3 * y, seed=1)
        assert (wrong.observed < wrong.predicted).all()

    def test_pit_of_counts_is_uniform(self):
        rows = 3000
        log_rate = RNG.normal(size=rows) - 1
        y = RNG.poisson(np.exp(log_rate))
        assert (y == 0).mean() > 0.4
        outputs = Draws(np.tile(log_rate, (100, 1)), "linpred", layer_api.PoissonLikelihood())
        found = calibration(outputs, y=y, seed=1)
        assert scipy.stats.kstest(found.pit, "uniform").pvalue > 1e-4
        again = calibration(outputs, y=y, seed=1)
        assert np.array_equal(found.pit, again.pit)
        assert not np.array_equal(found.pit, calibration(outputs, y=y, seed=2).pit)

    def test_few_draws_are_enough_for_a_uniform_pit(self):
        y = NOISE * RNG.normal(size=3000)
        found = calibration(normal(np.zeros((3, 3000))), y=y, seed=1)
        assert scipy.stats.kstest(found.pit, "uniform").pvalue > 1e-4

    def test_bins_of_classes(self):
        rows = 30_000
        p = RNG.uniform(size=rows)
        y = RNG.uniform(size=rows) < p
        logits = np.tile(np.log(p / (1 - p)), (2, 1))
        found = calibration(Draws(logits, "linpred", layer_api.BernoulliLikelihood()), y=y)
        assert found.kind == "probability"
        assert found.pit is None
        assert len(found.predicted) == 15
        assert found.count.sum() == rows
        assert (np.abs(found.observed - found.predicted) < FOUR * found.std_error).all()
        np.testing.assert_allclose(found.predicted, (np.arange(15) + 0.5) / 15, atol=0.01)
        repr(found)

    def test_the_largest_probability_of_several(self):
        p = np.repeat([[0.7, 0.2, 0.1], [0.1, 0.0001, 0.8999]], [30, 20], axis=0)
        y = np.repeat([0, 1, 2, 0], [20, 10, 10, 10])
        found = calibration(of_classes(p), y=y)
        np.testing.assert_allclose(found.predicted, [0.7, 0.8999], rtol=1e-5)
        np.testing.assert_allclose(found.observed, [2 / 3, 1 / 2])
        assert np.array_equal(found.count, [30, 20])
        np.testing.assert_allclose(found.std_error, np.sqrt([2 / 9 / 30, 1 / 4 / 20]))
        ece = score(of_classes(p), y=y)["ece"]
        gaps = np.abs(found.predicted - found.observed)
        np.testing.assert_allclose(ece, (found.count * gaps).sum() / 50, rtol=1e-5)


class TestModels:
    def test_draws_serve_in_place_of_the_model(self, monkeypatch):
        x = RNG.normal(size=(9, 3))
        model, _ = linear(x)
        y = x[:, 0]
        outputs = posterior_linpred(model, x, draws=20, seed=1)
        expected = score(model, x, y, draws=20, seed=1)
        assert score(outputs, y=y, seed=1).values == expected.values
        found = calibration(model, x, y, draws=20, seed=1)
        assert np.array_equal(found.pit, calibration(outputs, y=y, seed=1).pit)
        predicted = np.asarray(posterior_predict(model, x, draws=20, seed=1))
        rank = (predicted < y).sum(axis=0)
        assert np.array_equal(np.floor(found.pit * 21), rank)
        monkeypatch.setattr(intervals, "_AT_ONCE", 50)
        again = score(outputs, y=y, seed=1)
        for name in expected:
            np.testing.assert_allclose(again[name], expected[name], rtol=1e-6)

    def test_several_outputs(self):
        i = keras.Input((3,))
        outputs = {
            "a": layer_api.DenseFlipout(2, seed=1, name="a")(i),
            "b": layer_api.DenseFlipout(3, seed=1, name="b")(i),
        }
        model = keras.Model(i, outputs)
        model.compile(
            loss={"a": layer_api.NormalLikelihood(), "b": layer_api.CategoricalLikelihood()}
        )
        x, y = RNG.normal(size=(9, 3)), {"a": np.zeros(9), "b": np.arange(9) % 3}
        found = score(model, x, y, draws=9, seed=1)
        assert {name: len(each) for name, each in found.items()} == {"a": 11, "b": 4}
        found = calibration(model, x, y, draws=9, seed=1)
        assert {each.kind for each in found.values()} == {"coverage", "probability"}
        with pytest.raises(TypeError, match="`y` must be a dictionary"):
            score(model, x, np.zeros(9), draws=9)

    def test_a_classifier_of_keras_end_to_end(self):
        x = RNG.normal(size=(300, 3))
        y = (x[:, 0] + 0.5 * RNG.normal(size=300) > 0).astype(int)
        model = keras.Sequential(
            [
                keras.Input((3,)),
                layer_api.DenseFlipout(2, activation="softmax", kl_weight=1 / 300, seed=1),
            ]
        )
        model.compile(
            keras.optimizers.Adam(0.1), "sparse_categorical_crossentropy", jit_compile=False
        )
        before = score(model, x, y, draws=100, seed=1)
        model.fit(x, y, epochs=10, verbose=0)
        after = score(model, x, y, draws=100, seed=1)
        assert after["accuracy"] > 0.8
        assert after["log_score"] > before["log_score"]
        assert after["brier"] < before["brier"]


class TestRefused:
    @pytest.mark.parametrize("function", [score, calibration])
    def test_wrong_arguments_before_drawing(self, function, monkeypatch):
        monkeypatch.setattr(intervals.drawing, "draw_outputs", None)
        x = RNG.normal(size=(6, 3))
        model, _ = linear(x)
        for y, message in (
            (None, "`y` must be an array of numbers"),
            (np.zeros(5), r"`y` must be an array of shape \[6\]"),
            (np.full(6, np.nan), "`y` must be without missing values"),
        ):
            with pytest.raises(ValueError, match=message):
                function(model, x, y)
        with pytest.raises(ValueError, match="`seed` must be"):
            function(model, x, np.zeros(6), seed="a")
        with pytest.raises(ValueError, match="`draws` must be"):
            function(model, x, np.zeros(6), draws=0)
        with pytest.raises(TypeError, match="`model` must be"):
            function("model", x, np.zeros(6))
        model.compile(loss="mse")
        with pytest.raises(ValueError, match="mean squared error"):
            function(model, x, np.zeros(6))

    @pytest.mark.parametrize("function", [score, calibration])
    def test_wrong_draws(self, function):
        p = np.full((4, 3), 1 / 3)
        with pytest.raises(ValueError, match="labels from 0 to 2"):
            function(of_classes(p), y=[0, 1, 2, 3])
        predicted = posterior_predict(of_classes(p), seed=1)
        with pytest.raises(ValueError, match=r"draws of posterior_linpred\(\)"):
            function(predicted, y=[0, 1, 2, 0])
        with pytest.raises(ValueError, match="NA/NaN among 12 drawn numbers"):
            function(normal(np.full((3, 4), np.nan)), y=np.zeros(4))
        with pytest.raises(ValueError, match="`likelihood` must be"):
            function(np.zeros((3, 4)), y=np.zeros(4))

    def test_a_single_draw(self):
        with pytest.raises(ValueError, match="at least 2 draws"):
            score(normal(np.zeros((1, 4))), y=np.zeros(4))
        assert calibration(normal(np.zeros((1, 4))), y=np.zeros(4)).pit.shape == (4,)
