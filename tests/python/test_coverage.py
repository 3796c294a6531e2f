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
STEPS, EPOCHS, DRAWS = 150, 20, 1_000
# Rows to predict: each weight by itself, so that there are as many independent cases, and two more.
NEW = np.array([*np.eye(3), [1.0, -2.0, 0.5], [0.5, -1.0, -2.0]], "float32")
# Limit on the deviation of an estimate, in its standard errors: 1 in 2 million is above by chance.
FIVE = 5


@pytest.fixture(scope="module")
def fitted():
    """Train on all data sets; return what was true, what is exact, and what the model says."""
    rng = np.random.default_rng(5)
    x = np.linalg.qr(rng.normal(size=(ROWS, 3)))[0] * [4, 2, 1]
    truth = rng.normal(size=(3, SETS))
    y = x @ truth + NOISE * rng.normal(size=(ROWS, SETS))
    keras.utils.set_random_seed(1)
    layer = layer_api.DenseReparameterization(SETS, bias_posterior_fn=None, kl_weight=1 / ROWS)
    model = keras.Sequential([keras.Input((3,)), layer])
    # In a step the noise of a draw is as large as the posterior is wide: it has to be averaged out.
    rate = keras.optimizers.schedules.ExponentialDecay(0.05, STEPS * EPOCHS, 0.004)
    model.compile(keras.optimizers.Adam(rate), layer_api.NormalLikelihood(scale=NOISE))
    # One batch is all data, so an epoch of many steps sees them as many times.
    data = np.tile(x, (STEPS, 1)), np.tile(y, (STEPS, 1))
    model.fit(*data, batch_size=ROWS, epochs=EPOCHS, shuffle=False, verbose=0)

    precision = np.square(x).sum(axis=0)[:, None] / NOISE**2 + 1
    loc, untransformed_scale = layer.get_weights()
    expected = NEW @ truth
    return types.SimpleNamespace(
        mean=x.T @ y / (NOISE**2 * precision),
        variance=1 / precision,
        loc=loc,
        scale=np.log1p(np.exp(untransformed_scale)),
        expected=expected,
        observed=expected + NOISE * rng.normal(size=expected.shape),
        outputs=layer_api.posterior_linpred(model, NEW, draws=DRAWS, seed=1),
    )


def test_the_posterior_is_the_exact_one(fitted):
    errors = (fitted.loc - fitted.mean) / np.sqrt(fitted.variance)
    ratios = fitted.scale / np.sqrt(fitted.variance)
    print(errors.std(axis=1), errors.mean(axis=1), abs(errors).max(), ratios.mean(axis=1), ratios.std(axis=1), ratios.min(), ratios.max())


@pytest.mark.parametrize("prob", [0.5, 0.9])
@pytest.mark.parametrize(
    ("interval", "true"),
    [
        (layer_api.posterior_interval, "expected"),
        (layer_api.predictive_interval, "observed"),
    ],
)
def test_intervals_cover_the_truth(fitted, interval, true, prob):
    found = interval(fitted.outputs, prob=prob)
    print(found.lower.shape)
    truth = getattr(fitted, true)
    covered = ((found.lower < truth) & (truth < found.upper))[:3]
    print(interval.__name__, prob, covered.mean())
    assert abs(covered.mean() - prob) < FIVE * np.sqrt(prob * (1 - prob) / covered.size)


def test_two_rows_covary_as_they_do_exactly(fitted):
    epred = np.asarray(layer_api.posterior_epred(fitted.outputs), "float64")
    centred = epred - epred.mean(axis=0)
    covariance = np.einsum("dik,djk->ij", centred, centred) / (DRAWS * SETS)
    exact = NEW * fitted.variance[:, 0] @ NEW.T
    print(covariance, exact)


def test_the_predictive_deviation_is_the_exact_one(fitted):
    predicted = np.asarray(layer_api.posterior_predict(fitted.outputs), "float64")
    print(predicted.std(axis=0).mean(axis=1), np.sqrt(NEW**2 @ fitted.variance[:,0] + NOISE**2))
