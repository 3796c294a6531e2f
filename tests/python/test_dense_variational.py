"""The dense layer with one joint distribution of its weights, beside what every layer does."""

import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from test_contract import in_a_fresh_process

import layer_api
from layer_api import DistributionLambda, VariableLayer

BOUND = 5.0  # standard errors

tfd = tfp.distributions
X = np.array([[0.5, -1.0, 2.0], [1.5, 0.3, -0.7]], "float32")


def posterior(kernel_size, bias_size=0, dtype=None):
    n = kernel_size + bias_size
    return keras.Sequential([
        VariableLayer(2 * n, dtype=dtype),
        DistributionLambda(
            lambda t: tfd.Independent(
                tfd.Normal(loc=t[..., :n], scale=1e-5 + tf.nn.softplus(0.5 + t[..., n:])), 1
            )
        ),
    ])  # fmt: skip


def trainable_prior(kernel_size, bias_size=0, dtype=None):
    n = kernel_size + bias_size
    return keras.Sequential([
        VariableLayer(n, dtype=dtype),
        DistributionLambda(lambda t: tfd.Independent(tfd.Normal(loc=t, scale=1), 1)),
    ])  # fmt: skip


@pytest.mark.parametrize("how", ["run_eagerly", "graph", "jit_compile"])
@pytest.mark.parametrize("deferred", [True, False])
def test_trainable_prior(how, deferred):
    """The variables of a user's models are weights; the divergence reaches the loss once."""
    layer = layer_api.DenseVariational(
        2, posterior, trainable_prior, kl_weight=0.25, kl_use_exact=True, seed=1
    )
    model = keras.Sequential([layer] if deferred else [keras.Input((3,)), layer])
    flags = {} if how == "graph" else {how: True}
    # Without a likelihood the loss is the divergence alone, and it trains both distributions.
    model.compile(
        optimizer=keras.optimizers.SGD(0.1),
        loss=lambda _, outputs: 0.0 * outputs,
        **{"jit_compile": False, **flags},
    )
    model.build((None, 3))
    q, p = [np.linspace(-1, 1, 16).astype("float32"), np.full(8, 0.5, "float32")]
    layer.set_weights([q, p])
    scale = 1e-5 + np.log1p(np.exp(0.5 + q[8:]))
    kl = np.sum((scale**2 + (q[:8] - p) ** 2 - 1) / 2 - np.log(scale))
    loss = model.fit(X, np.zeros((2, 2)), verbose=0).history["loss"][0]
    assert loss == pytest.approx(kl / 4, rel=1e-5)
    assert layer.count_params() == 24
    np.testing.assert_allclose(layer.get_weights()[1], p + 0.1 / 4 * (q[:8] - p), rtol=1e-5)


@pytest.mark.parametrize("name", ["mean_field_normal", "multivariate_normal_tril"])
def test_estimate_and_closed_form_agree(name):
    exact, estimate = (
        layer_api.DenseVariational(2, name, kl_use_exact=each, seed=1) for each in (True, False)
    )
    exact(X)
    estimate(X)
    weights = [np.linspace(-1, 1, w.size).reshape(w.shape) for w in exact.get_weights()]
    exact.set_weights(weights)
    estimate.set_weights(weights)
    q = exact.posterior()
    standard = tfd.MultivariateNormalTriL(tf.zeros(8), tf.eye(8))
    if name == "multivariate_normal_tril":
        assert float(exact.losses[0]) == pytest.approx(
            float(tfd.kl_divergence(q, standard)), rel=1e-5
        )
    draws = []
    for _ in range(1000):
        estimate(X)
        draws.append(float(estimate.losses[0]))
    z = (np.mean(draws) - float(exact.losses[0])) / (np.std(draws) / math.sqrt(len(draws)))
    assert abs(z) < BOUND


def test_rows_share_the_kernel_and_a_seed_repeats():
    one, other = (layer_api.DenseVariational(2, seed=1) for _ in range(2))
    outputs = one(np.repeat(X[:1], 3, axis=0))
    assert (outputs == outputs[:1]).numpy().all()
    assert (outputs == other(np.repeat(X[:1], 3, axis=0))).numpy().all()
    assert (one(X[:1]) != outputs[:1]).numpy().all()


def test_exact_conjugate_posterior():
    """A linear regression with known noise: the optimum of the bound is the posterior itself."""
    rng = np.random.default_rng(1)
    n, noise = 40, 0.5
    x = rng.normal(size=(n, 2)).astype("float32")
    x[:, 1] += x[:, 0]  # correlated inputs make correlated weights
    y = (x @ [[1.0], [-0.5]] + 0.3 + noise * rng.normal(size=(n, 1))).astype("float32")
    design = np.column_stack([x, np.ones(n)])
    covariance = np.linalg.inv(design.T @ design / noise**2 + np.eye(3))
    mean = covariance @ design.T @ y[:, 0] / noise**2

    layer = layer_api.DenseVariational(
        1, "multivariate_normal_tril", kl_weight=1 / n, kl_use_exact=True, seed=1
    )
    model = keras.Sequential([keras.Input((2,)), layer])
    schedule = keras.optimizers.schedules.CosineDecay(0.02, 8000)
    model.compile(
        optimizer=keras.optimizers.Adam(schedule),
        loss=lambda y, f: (y - f) ** 2 / (2 * noise**2),
        steps_per_execution=500,
        jit_compile=True,
    )
    data = tf.data.Dataset.from_tensors((x, y)).repeat(8000)
    model.fit(data, epochs=1, shuffle=False, verbose=0)
    q = layer.posterior()
    found = tfd.MultivariateNormalTriL(
        mean.astype("float32"), np.linalg.cholesky(covariance).astype("float32")
    )
    # In standard deviations of the posterior; the divergence from it is 0 at the optimum.
    z = np.linalg.solve(np.linalg.cholesky(covariance), q.mean() - mean)
    assert np.abs(z).max() < 0.1
    assert float(tfd.kl_divergence(q, found)) < 0.01


def test_a_distribution_for_every_row():
    def by_row(kernel_size, bias_size, dtype):
        n = kernel_size + bias_size
        return lambda x: tfd.MultivariateNormalDiag(x[:, :1] * tf.ones(n), 1e-4 * tf.ones(n))

    layer = layer_api.DenseVariational(2, by_row, kl_use_exact=True, seed=1)
    # Every weight and bias of a row is its first input.
    expected = X[:, :1] * (X.sum(axis=1, keepdims=True) + 1) * np.ones((1, 2))
    np.testing.assert_allclose(layer(X), expected, atol=5e-3)
    per_weight = X[:, 0] ** 2 / 2 + (1e-8 - 1) / 2 - math.log(1e-4)
    np.testing.assert_allclose(layer.losses, [8 * per_weight.sum()], rtol=1e-5)


def test_functions_are_refused_when_saving(tmp_path):
    model = keras.Sequential([keras.Input((3,)), layer_api.DenseVariational(2, posterior)])
    with pytest.raises(ValueError, match=r"`make_posterior_fn` cannot be saved: .* Register it"):
        model.save(tmp_path / "model.keras")


def test_mistakes_in_functions():
    layer = layer_api.DenseVariational(2, lambda k, b, dtype: lambda x: tfd.Normal(x, 1.0))
    with pytest.raises(TypeError, match=r"with draws of shape \[8\]"):
        layer.build((None, 3))
    with pytest.raises(TypeError, match=r"returns a function of the inputs\. Received: 3"):
        layer_api.DenseVariational(2, lambda k, b, dtype: 3).build((None, 3))


def test_distribution_lambda_is_no_output_layer():
    layer = DistributionLambda(lambda t: tfd.Normal(t, 1.0))
    with pytest.raises(NotImplementedError, match="write the negative log-likelihood as the loss"):
        layer(keras.Input((2,)))


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("deferred", [False, True])
def test_distribution_lambda_ends_no_model_of_fit(deferred, nested):
    last = DistributionLambda(lambda t: tfd.Normal(t, 1.0))
    last = keras.Sequential([keras.layers.Dense(2), last]) if nested else last
    first = [] if deferred else [keras.Input((3,))]
    model = keras.Sequential([*first, keras.layers.Dense(2), last])
    model.compile(loss=lambda y, d: -d.log_prob(y))
    with pytest.raises(TypeError, match="write the negative log-likelihood as the loss"):
        model.fit(X, np.zeros((2, 2)), verbose=0)


@keras.saving.register_keras_serializable("test_dense_variational")
def unit_normal(inputs):
    return tfd.Independent(tfd.Normal(inputs, 1.0), 1)


def test_distribution_lambda_config():
    layer = DistributionLambda(unit_normal, name="mine")
    config = json.loads(json.dumps(layer.get_config()))
    again = DistributionLambda.from_config(config)
    assert again.make_distribution_fn is unit_normal
    assert again.get_config() == layer.get_config()
    shown = "<DistributionLambda name=mine, make_distribution_fn=unit_normal, built=False>"
    assert repr(again) == repr(layer) == shown
    model = keras.Sequential([VariableLayer(3, initializer="ones"), layer])
    saved = json.loads(json.dumps(keras.saving.serialize_keras_object(model)))
    loaded = keras.saving.deserialize_keras_object(saved, safe_mode=True)
    np.testing.assert_array_equal(loaded(X).mean(), np.ones(3))
    with pytest.raises(ValueError, match="`make_distribution_fn` cannot be saved"):
        DistributionLambda(lambda t: unit_normal(t)).get_config()


@keras.saving.register_keras_serializable("test_dense_variational")
def unit_normals(kernel_size, bias_size=0, dtype=None):
    return keras.Sequential([
        VariableLayer(kernel_size + bias_size, dtype=dtype, initializer="random_normal"),
        DistributionLambda(unit_normal),
    ])  # fmt: skip


LOAD = """
import json, pathlib, keras, layer_api
folder = pathlib.Path(sys.argv[1])
try:
    keras.saving.load_model(folder / "distribution.keras", safe_mode=True)
except TypeError as error:
    refusal = str(error)
assert "test_dense_variational" not in sys.modules
from test_dense_variational import X
mean, draws = (
    keras.saving.load_model(folder / f"{name}.keras", safe_mode=True)(X)
    for name in ("distribution", "weights")
)
print(json.dumps([refusal, mean.mean().numpy().tolist(), draws.numpy().tolist()]))
"""


def test_distribution_lambda_in_a_fresh_process(tmp_path):
    """As a model, and inside the posterior of a layer: found by the name of its function alone."""
    distribution = unit_normals(3)
    mean = distribution(X).mean()
    distribution.save(tmp_path / "distribution.keras")
    layer = layer_api.DenseVariational(2, unit_normals, unit_normals, seed=1)
    weights = keras.Sequential([keras.Input((3,)), layer])
    weights.save(tmp_path / "weights.keras")
    refusal, *found = in_a_fresh_process(LOAD, tmp_path)
    assert "`make_distribution_fn` cannot be loaded: the file names " in refusal
    assert "'test_dense_variational>unit_normal', which is not registered. Import the" in refusal
    np.testing.assert_array_equal(found[0], mean)
    np.testing.assert_array_equal(found[1], weights(X))


def test_moments_of_the_outputs():
    """Mean field: the outputs of one row are normal, with the sums of means and of variances."""
    layer = layer_api.DenseVariational(2, seed=1)
    layer.build((None, 3))
    loc = np.array([0.3, -0.2, 0.1, 0.4, 0.0, -0.5, 0.7, -0.3])
    untransformed = np.array([-1.0, 0.0, 1.0, -2.0, 0.5, -0.5, 0.2, -1.5])
    layer.set_weights([loc, untransformed])
    scale = np.log1p(np.exp(untransformed))
    n = 1500
    draws = np.array([layer(X[:1])[0] for _ in range(n)])
    mean = X[0] @ loc[:6].reshape(3, 2) + loc[6:]
    variance = X[0] ** 2 @ scale[:6].reshape(3, 2) ** 2 + scale[6:] ** 2
    assert np.abs((draws.mean(axis=0) - mean) / np.sqrt(variance / n)).max() < BOUND
    assert np.abs((draws.var(axis=0) / variance - 1) / math.sqrt(2 / n)).max() < BOUND


def test_full_covariance_of_a_kernel():
    """The posterior also serves a layer with the reparameterization estimator."""
    layer = layer_api.DenseReparameterization(
        2, kernel_posterior_fn="multivariate_normal_tril", seed=1
    )
    layer(X)
    assert [tuple(w.shape) for w in layer.weights][:3] == [(3, 2), (3, 2), (15,)]
    mean_field = layer_api.DenseReparameterization(2, seed=1)
    mean_field(X)
    np.testing.assert_allclose(layer.losses, mean_field.losses, rtol=1e-5)
    with pytest.raises(TypeError, match="must be a posterior of independent normals"):
        layer_api.DenseFlipout(2, kernel_posterior_fn="multivariate_normal_tril")(X)
