"""A whole fit of many data sets: intervals cover the truth as often as they say.

Linear regressions, y = x w + noise with w ~ N(0, 1), whose posterior is known:

    precision = x^T x / noise^2 + 1,        mean = x^T y / (noise^2 precision)

The columns of x are orthogonal, so the weights are independent given y, and a mean field contains
the posterior. Each unit of the layer is the regression of a data set of its own.
"""

import types

import keras
import numpy as np
import pytest

import layer_api

SETS, ROWS, NOISE = 1_000, 40, 0.5
EPOCHS, STEPS, DRAWS = 20, 150, 500
# Rows to predict: each weight by itself, which makes cases that are independent, and two more.
NEW = np.array([*np.eye(3), [1.0, -2.0, 0.5], [0.5, -1.0, -2.0]], "float32")
PROBS = [0.5, 0.9]
# Limit on the deviation of an estimate, in its standard errors: 1 in 2 million is above by chance.
FIVE = 5


@pytest.fixture(scope="module")
def fitted():
    """Train on all data sets; return what is true, what is exact, and what the model says."""
    rng = np.random.default_rng(5)
    x = np.linalg.qr(rng.normal(size=(ROWS, 3)))[0] * [4, 2, 1]
    weights = rng.normal(size=(3, SETS))
    y = x @ weights + NOISE * rng.normal(size=(ROWS, SETS))
    keras.utils.set_random_seed(1)
    layer = layer_api.DenseReparameterization(SETS, bias_posterior_fn=None, kl_weight=1 / ROWS)
    model = keras.Sequential([keras.Input((3,)), layer])
    # The noise of a step's draw is as wide as the posterior. At the rate r the weights move by r
    # times it, so they stay away from the optimum by sqrt(r / (2 scale)) of the scale: 0.03 at
    # r = 0.0002, where the training ends, and the smallest scale, 0.12.
    rate = keras.optimizers.schedules.ExponentialDecay(0.05, EPOCHS * STEPS, 0.004)
    model.compile(keras.optimizers.Adam(rate), layer_api.NormalLikelihood(scale=NOISE))
    # A batch is all data, so that an epoch sees them as many times as it has steps.
    data = np.tile(x, (STEPS, 1)), np.tile(y, (STEPS, 1))
    model.fit(*data, batch_size=ROWS, epochs=EPOCHS, shuffle=False, verbose=0)

    precision = np.square(x).sum(axis=0)[:, None] / NOISE**2 + 1
    loc, untransformed_scale = layer.get_weights()
    outputs = layer_api.posterior_linpred(model, NEW, draws=DRAWS, seed=1)
    of_weights = {prob: layer_api.posterior_interval(model, prob) for prob in PROBS}
    return types.SimpleNamespace(
        weights=weights,
        observed=(NEW @ weights + NOISE * rng.normal(size=(len(NEW), SETS)))[:3],
        mean=x.T @ y / (NOISE**2 * precision),
        variance=1 / precision,
        loc=loc,
        scale=np.log1p(np.exp(untransformed_scale)),
        outputs=outputs,
        of_weights={p: np.asarray(each).reshape(3, SETS, 2) for p, each in of_weights.items()},
    )


def test_the_posterior_is_the_exact_one(fitted):
    errors = (fitted.loc - fitted.mean) / np.sqrt(fitted.variance)
    assert (errors.std(axis=1) < 0.05).all()
    assert (np.abs(errors.mean(axis=1)) < FIVE * 0.05 / np.sqrt(SETS)).all()
    ratios = fitted.scale / np.sqrt(fitted.variance)
    assert (ratios.std(axis=1) < 0.03).all()
    assert (np.abs(ratios.mean(axis=1) - 1) < FIVE * 0.03 / np.sqrt(SETS)).all()


def is_nominal(covered, prob):
    """Tell whether a share is the probability, within the error of a binomial."""
    return abs(covered.mean() - prob) < FIVE * np.sqrt(prob * (1 - prob) / covered.size)


@pytest.mark.parametrize("prob", PROBS)
def test_intervals_of_weights_cover_the_truth(fitted, prob):
    lower, upper = np.moveaxis(fitted.of_weights[prob], -1, 0)
    assert is_nominal((lower < fitted.weights) & (fitted.weights < upper), prob)


@pytest.mark.parametrize("prob", PROBS)
def test_intervals_of_expected_values_cover_the_truth(fitted, prob):
    epred = np.asarray(layer_api.posterior_epred(fitted.outputs))[:, :3]
    lower, upper = np.quantile(epred, [(1 - prob) / 2, (1 + prob) / 2], axis=0)
    assert is_nominal((lower < fitted.weights) & (fitted.weights < upper), prob)


@pytest.mark.parametrize("prob", PROBS)
def test_predictive_intervals_cover_what_is_observed(fitted, prob):
    interval = layer_api.predictive_interval(fitted.outputs, prob=prob, seed=1)
    lower, upper = interval.lower[:3], interval.upper[:3]
    assert is_nominal((lower < fitted.observed) & (fitted.observed < upper), prob)


def test_expected_values_of_two_rows_covary_as_they_should(fitted):
    """Cov = NEW diag(variance) NEW^T in every data set, so its mean over them is exact to 0.2%."""
    epred = np.asarray(layer_api.posterior_epred(fitted.outputs), "float64")
    centred = epred - epred.mean(axis=0)
    found = np.einsum("dik,djk->ij", centred, centred) / ((DRAWS - 1) * SETS)
    expected = NEW * fitted.variance[:, 0] @ NEW.T
    deviations = np.sqrt(np.diag(expected))
    error = np.sqrt(2 / (DRAWS * SETS)) * np.outer(deviations, deviations)
    assert (np.abs(found - expected) < FIVE * error).all()


def test_predictions_deviate_as_they_should(fitted):
    predicted = np.asarray(layer_api.posterior_predict(fitted.outputs, seed=1), "float64")
    found = predicted.var(axis=0, ddof=1).mean(axis=1)
    expected = np.square(NEW) @ fitted.variance[:, 0] + NOISE**2
    np.testing.assert_allclose(found, expected, rtol=FIVE * np.sqrt(2 / (DRAWS * SETS)))
