"""`elbo()` against closed forms, and the advice that it gives."""

import math

import keras
import numpy as np
import pytest
from framework import numpy
from scipy import stats

import layer_api

RNG = np.random.default_rng(1)
X = RNG.normal(size=(40, 3)).astype("float32")


def linear_model(kl_weight=1 / 40, likelihood=None, units=1, **arguments):
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layer_api.DenseReparameterization(
                units, bias_posterior_fn=None, kl_weight=kl_weight, **arguments
            ),
        ]
    )
    model.compile("adam", likelihood or layer_api.NormalLikelihood(scale=0.5))
    return model


def conjugate():
    """Return a model at the exact posterior of a linear regression, y, and the log evidence."""
    noise = 0.5
    x = np.linalg.qr(X)[0].astype("float32") * 4  # uncorrelated, so that mean field is exact
    y = x @ [1.0, -0.5, 0.2] + noise * RNG.normal(size=40)
    precision = x.T @ x / noise**2 + np.eye(3)
    mean = np.linalg.solve(precision, x.T @ y / noise**2)
    scale = 1 / np.sqrt(np.diag(precision))
    model = linear_model()
    model.layers[0].set_weights([mean[:, None], np.log(np.expm1(scale))[:, None]])
    evidence = stats.multivariate_normal(np.zeros(40), x @ x.T + noise**2 * np.eye(40)).logpdf(y)
    return model, x, y, evidence, (mean, scale)


def test_the_bound_is_the_evidence_at_the_exact_posterior():
    model, x, y, evidence, (mean, scale) = conjugate()
    draws = 4000
    found = layer_api.elbo(model, x, y, draws=draws, seed=1)
    kl = np.sum(-np.log(scale) + (scale**2 + mean**2 - 1) / 2)
    residual = y - x @ mean
    squares = np.square(residual).sum() + np.square(x @ np.diag(scale)).sum()
    nll = squares / (2 * 0.25) + 40 * math.log(0.5 * math.sqrt(2 * math.pi))
    np.testing.assert_allclose(found.kl, kl, rtol=1e-4)
    # The sum over rows of a draw is a constant and half a chi squared of 3: its variance is 1.5.
    assert abs(found.nll - nll) < 5 * math.sqrt(1.5 / draws) + 1e-3
    assert abs(found.elbo - evidence) < 5 * math.sqrt(1.5 / draws) + 1e-3
    assert found.elbo == -(found.nll + found.kl)
    assert found.kl_per_row == found.kl / 40
    assert found.rows == 40
    assert found.layers == {model.layers[0].name: found.kl}
    assert found.advice == []


def test_any_other_posterior_has_a_lower_bound():
    model, x, y, evidence, _ = conjugate()
    loc, scale = model.layers[0].get_weights()
    model.layers[0].set_weights([loc + 0.3, scale])
    assert layer_api.elbo(model, x, y, draws=1000, seed=1).elbo < evidence - 1


def test_estimates_of_the_divergence_are_averaged():
    model = linear_model(kernel_divergence_fn=layer_api.MonteCarloKL())
    exact = linear_model()
    exact.set_weights(model.get_weights())
    y = np.zeros(40)
    found = layer_api.elbo(model, X, y, draws=300, seed=1)
    np.testing.assert_allclose(found.kl, layer_api.elbo(exact, X, y, draws=2).kl, rtol=0.1)


def test_a_dense_variational_layer():
    model = keras.Sequential([keras.Input((3,)), layer_api.DenseVariational(1, kl_weight=0.1)])
    model.compile("adam", layer_api.NormalLikelihood(scale=1.0))
    estimated = layer_api.elbo(model, X, np.zeros(40), draws=300, seed=1)
    exact = layer_api.DenseVariational(1, kl_use_exact=True, kl_weight=0.1)
    exact.build((None, 3))
    exact.set_weights(model.layers[0].get_weights())
    np.testing.assert_allclose(estimated.kl, float(numpy(exact.losses[0])) * 10, rtol=0.1)


# Likelihood: observations, and what guessing loses on one.
def observed_of(name):
    generator = np.random.default_rng(2)
    y = generator.gamma(3.0, 2.0, 40)
    counts = generator.poisson(4.0, 40)
    labels = np.arange(40) % 3
    shares = np.bincount(labels) / 40
    return {
        "normal": (y, -stats.norm(y.mean(), y.std()).logpdf(y).mean()),
        "laplace": (
            y,
            -stats.laplace(np.median(y), np.abs(y - np.median(y)).mean()).logpdf(y).mean(),
        ),
        "log_normal": (
            y,
            -stats.lognorm(np.log(y).std(), scale=np.exp(np.log(y).mean())).logpdf(y).mean(),
        ),
        "gamma": (y, -stats.gamma(*stats.gamma.fit(y, floc=0)).logpdf(y).mean()),
        "poisson": (counts, -stats.poisson(counts.mean()).logpmf(counts).mean()),
        "bernoulli": (labels % 2, stats.bernoulli((labels % 2).mean()).entropy()),
        "categorical": (labels, -(shares * np.log(shares)).sum()),
    }[name]


@pytest.mark.parametrize(
    "name", ["normal", "laplace", "log_normal", "gamma", "poisson", "bernoulli", "categorical"]
)
def test_what_guessing_loses(name):
    y, expected = observed_of(name)
    units = {"poisson": 1, "bernoulli": 1, "categorical": 3}.get(name, 2)
    model = linear_model(units=units)
    found = layer_api.elbo(model, X, y, draws=2, seed=1, likelihood=name)
    np.testing.assert_allclose(found.guessing, expected, atol=2e-4)


def test_what_guessing_loses_of_other_likelihoods():
    generator = np.random.default_rng(3)

    def guessing(likelihood, y, units):
        model = linear_model(units=units)
        return layer_api.elbo(model, X, y, draws=2, seed=1, likelihood=likelihood).guessing

    shares = generator.beta(2.0, 3.0, 40)
    fitted = stats.beta(*stats.beta.fit(shares, floc=0, fscale=1))
    np.testing.assert_allclose(
        guessing("beta", shares, 2), -fitted.logpdf(shares).mean(), atol=2e-3
    )
    y = 5 + generator.standard_t(4, 40)
    fitted = stats.t(*stats.t.fit(y, f0=4))
    np.testing.assert_allclose(guessing("student_t", y, 2), -fitted.logpdf(y).mean(), atol=2e-3)
    counts = generator.negative_binomial(2, 0.3, 40)
    poisson = -stats.poisson(counts.mean()).logpmf(counts).mean()
    grid = [
        -stats.nbinom(n, n / (n + counts.mean())).logpmf(counts).mean()
        for n in np.linspace(0.2, 20, 2000)
    ]
    found = guessing("negative_binomial", counts, 2)
    np.testing.assert_allclose(found, min(grid), atol=2e-3)
    assert found < poisson
    two = np.where(np.arange(40) % 2, 5.0, -5.0) + 0.1 * generator.normal(size=40)
    mixture = layer_api.NormalMixtureLikelihood(2)
    groups = [two[1::2], two[::2]]
    expected = math.log(2) - np.mean([stats.norm(g.mean(), g.std()).logpdf(g) for g in groups])
    np.testing.assert_allclose(guessing(mixture, two, mixture.params_size(1)), expected, atol=5e-3)


def test_several_numbers_of_a_row():
    y = np.stack([X[:, 0], 100 + 5 * X[:, 1]], axis=1)
    found = layer_api.elbo(linear_model(units=4), X, y, draws=2, seed=1, likelihood="normal")
    expected = sum(-stats.norm(v.mean(), v.std()).logpdf(v).mean() for v in y.T)
    np.testing.assert_allclose(found.guessing, expected, atol=4e-4)


def test_several_outputs():
    inputs = keras.Input((3,))
    hidden = layer_api.DenseFlipout(4, kl_weight=0.01)(inputs)
    model = keras.Model(
        inputs, {"a": layer_api.DenseFlipout(2)(hidden), "b": keras.layers.Dense(1)(hidden)}
    )
    likelihoods = {"a": "normal", "b": "poisson"}
    y = {"a": X[:, 0], "b": np.arange(40) % 4}
    found = layer_api.elbo(model, X, y, draws=50, seed=1, likelihood=likelihoods)
    log_lik = layer_api.log_lik(model, X, y, draws=50, seed=1, likelihood=likelihoods)
    nll = -sum(each.sum(axis=1).mean() for each in log_lik.values())
    np.testing.assert_allclose(found.nll, nll, rtol=1e-5)
    assert len(found.layers) == 2


def test_it_repeats_and_changes_nothing():
    model = linear_model()
    before = [numpy(v).copy() for v in model.variables]
    first, second = (layer_api.elbo(model, X, np.zeros(40), draws=5, seed=3) for _ in range(2))
    assert first == second
    for value, variable in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(value, numpy(variable))


def test_it_prints_as_a_table():
    printed = repr(layer_api.elbo(linear_model(kl_weight=1.0), X, np.zeros(40), draws=5, seed=1))
    lines = printed.splitlines()
    assert lines[0].split() == ["40", "rows", "total", "per", "row"]
    assert [line.split()[0] for line in lines[1:3]] == ["nll", "kl"]
    assert lines[6].startswith("kl_weight is 1 and the loss a mean over rows")
    assert max(map(len, lines)) <= 80


def advice_of(model, y=None, **options):
    y = X[:, 0] if y is None else y
    return layer_api.elbo(model, X, y, draws=2, seed=1, **options).advice


def test_advice_on_a_weight_of_1():
    (sentence,) = advice_of(linear_model(kl_weight=1.0))
    assert sentence.endswith("use set_kl_weight(model, 1 / 40).")
    assert advice_of(linear_model(1.0, layer_api.NormalLikelihood(0.5, reduction="sum"))) == []
    assert advice_of(layer_api.set_kl_weight(linear_model(kl_weight=1.0), 1 / 40)) == []


def test_advice_on_a_network_that_will_underfit():
    layers = [
        layer_api.DenseFlipout(60, kl_weight=1 / 40),
        layer_api.DenseFlipout(2, kl_weight=1 / 40),
    ]
    model = keras.Sequential([keras.Input((3,)), *layers])
    model.compile("adam", layer_api.NormalLikelihood())
    (sentence,) = advice_of(model)
    assert "will underfit" in sentence
    assert advice_of(layer_api.set_kl_weight(model, 1e-3)) == []


def test_advice_on_a_network_that_has_collapsed():
    model = linear_model()
    model.layers[0].set_weights([np.zeros((3, 1)), np.full((3, 1), math.log(math.e - 1))])
    (sentence,) = advice_of(model)
    assert "collapsed to the prior" in sentence


Y = np.zeros(40)
BAD = {
    "no variational layer": (
        lambda: layer_api.elbo(keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)]), X, Y),
        "`model` must be a model with at least one variational layer.",
    ),
    "an ensemble": (
        lambda: layer_api.elbo([linear_model(), linear_model()], X, Y),
        "`model` must be one Keras model.",
    ),
    "draws": (
        lambda: layer_api.elbo(layer_api.posterior_linpred(linear_model(), X, draws=2), X, Y),
        "`model` must be ",
    ),
    "y of another length": (
        lambda: layer_api.elbo(linear_model(), X, Y[:-1]),
        "`y` must be an array of shape [40] or shape [40, 1]. Received: shape [39].",
    ),
    "missing values": (lambda: layer_api.elbo(linear_model(), X, Y * math.nan), "`y` must be "),
    "no likelihood": (
        lambda: layer_api.elbo(linear_model(likelihood="mse"), X, Y),
        "`likelihood` must be ",
    ),
    "no draws": (lambda: layer_api.elbo(linear_model(), X, Y, draws=0), "`draws` must be "),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    call, message = BAD[case]
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    assert str(caught.value).startswith(message)
