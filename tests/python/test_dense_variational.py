"""The dense layer with one joint distribution of its weights, beside what every layer does."""

import json
import math

import keras
import numpy as np
import pytest
import scipy.stats
from framework import (
    BACKEND,
    compile_arguments,
    gradients,
    laplace,
    library_kl_divergence,
    loss_of_a_call,
    losses_of,
    many,
    many_gradients,
    normal,
    numpy,
    only_torch,
)
from keras import ops
from test_contract import in_a_fresh_process

import layer_api
from layer_api import DistributionLambda, VariableLayer, backend, noise
from layer_api.weights import distributions

BOUND = 5.0  # standard errors

X = np.array([[0.5, -1.0, 2.0], [1.5, 0.3, -0.7]], "float32")


def posterior(kernel_size, bias_size=0, dtype=None):
    n = kernel_size + bias_size
    return keras.Sequential([
        VariableLayer(2 * n, dtype=dtype),
        DistributionLambda(
            lambda t: normal(t[..., :n], 1e-5 + ops.softplus(0.5 + t[..., n:]))
        ),
    ])  # fmt: skip


def trainable_prior(kernel_size, bias_size=0, dtype=None):
    n = kernel_size + bias_size
    return keras.Sequential([
        VariableLayer(n, dtype=dtype),
        DistributionLambda(lambda t: normal(t, 1.0)),
    ])  # fmt: skip


@pytest.mark.parametrize("how", ["run_eagerly", "graph", "jit_compile"])
@pytest.mark.parametrize("deferred", [True, False])
def test_trainable_prior(how, deferred):
    """The variables of a user's models are weights; the divergence reaches the loss once."""
    layer = layer_api.DenseVariational(
        2, posterior, trainable_prior, kl_weight=0.25, kl_use_exact=True, seed=1
    )
    model = keras.Sequential([layer] if deferred else [keras.Input((3,)), layer])
    # Without a likelihood the loss is the divergence alone, and it trains both distributions.
    model.compile(
        optimizer=keras.optimizers.SGD(0.1),
        loss=lambda _, outputs: 0.0 * outputs,
        **compile_arguments(how),
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
    (truth,) = losses_of(exact)
    if name == "multivariate_normal_tril":
        standard = backend.distributions.multivariate_normal_distribution(ops.zeros(8), ops.eye(8))
        of_library = numpy(library_kl_divergence(q, standard))
        assert truth == pytest.approx(float(of_library), rel=1e-5)
    draws = many(lambda: loss_of_a_call(estimate, X), 1000, estimate)
    z = (np.mean(draws) - truth) / (np.std(draws) / math.sqrt(len(draws)))
    assert abs(z) < BOUND


def test_rows_share_the_kernel_and_a_seed_repeats():
    one, other = (layer_api.DenseVariational(2, seed=1) for _ in range(2))
    rows = np.repeat(X[:1], 3, axis=0)
    outputs = numpy(one(rows))
    assert (outputs == outputs[:1]).all()
    assert (outputs == numpy(other(rows))).all()
    assert (numpy(one(X[:1])) != outputs[:1]).all()


class Regression:
    """A linear regression with known noise, whose posterior is known."""

    def __init__(self, correlation=1.0):
        rng = np.random.default_rng(1)
        n, noise = 40, 0.5
        x = rng.normal(size=(n, 2)).astype("float32")
        x[:, 1] += correlation * x[:, 0]  # correlated inputs make correlated weights
        if not correlation:  # nor are they with the constant
            x = np.linalg.qr(np.column_stack([np.ones(n), x]))[0][:, 1:].astype("float32")
        y = (x @ [[1.0], [-0.5]] + 0.3 + noise * rng.normal(size=(n, 1))).astype("float32")
        design = np.column_stack([x, np.ones(n)])
        self.n, self.noise, self.x, self.y = n, noise, x, y
        self.covariance = np.linalg.inv(design.T @ design / noise**2 + np.eye(3))
        self.mean = self.covariance @ design.T @ y[:, 0] / noise**2
        self.factor = np.linalg.cholesky(self.covariance)

    def loss(self, y, outputs):
        return ops.mean((y - outputs) ** 2, axis=-1) / (2 * self.noise**2)

    def fitted(self, layer, calls, steps):
        """Return the posterior after steps on all data, with so many draws in each."""
        inputs = keras.Input((2,))
        outputs = [layer(inputs) for _ in range(calls)]
        model = keras.Model(inputs, ops.concatenate(outputs, axis=-1) if calls > 1 else outputs[0])
        schedule = keras.optimizers.schedules.CosineDecay(0.03, steps)
        model.compile(
            optimizer=keras.optimizers.Adam(schedule),
            loss=self.loss,
            jit_compile=BACKEND != "torch",
        )
        all_in_every_step = (np.tile(each, (steps, 1)) for each in (self.x, self.y))
        model.fit(*all_in_every_step, batch_size=self.n, shuffle=False, verbose=0)
        return layer.posterior()

    def errors(self, q):
        """Return the largest error of the means, in standard deviations, and the divergence."""
        exact = backend.distributions.multivariate_normal_distribution(
            *(ops.convert_to_tensor(value, "float32") for value in (self.mean, self.factor))
        )
        z = np.linalg.solve(self.factor, numpy(backend.distributions.mean(q)) - self.mean)
        return np.abs(z).max(), numpy(library_kl_divergence(q, exact))


def test_exact_conjugate_posterior():
    """The optimum of the bound is the posterior itself: the divergence from it is 0 there."""
    regression = Regression()
    layer = layer_api.DenseVariational(
        1, "multivariate_normal_tril", kl_weight=1 / regression.n, kl_use_exact=True, seed=1
    )
    # The mean over several draws in every step, for which fewer steps are enough.
    of_means, divergence = regression.errors(regression.fitted(layer, calls=8, steps=1500))
    assert of_means < 0.1
    assert divergence < 0.01


def test_the_estimate_finds_the_posterior_without_noise():
    """By one draw in every step, as its noise vanishes on the way (by the score, 0.02 is left)."""
    regression = Regression()
    layer = layer_api.DenseVariational(
        1, "multivariate_normal_tril", kl_weight=1 / regression.n, seed=1
    )
    of_means, divergence = regression.errors(regression.fitted(layer, calls=1, steps=1500))
    assert of_means < 1e-3
    assert divergence < 1e-5


@pytest.mark.parametrize("name", ["mean_field_normal", "multivariate_normal_tril"])
def test_no_gradient_at_the_posterior_for_any_draw(name):
    """log q(w) - log p(w) - log p(data | w) is the same for all w there: nothing is left to gain.

    The derivative of the same estimate by the parameters, for which w is not all, is noise.
    """
    regression = Regression(correlation=1.0 if name == "multivariate_normal_tril" else 0.0)
    layer = layer_api.DenseVariational(1, name, seed=1)
    layer.build((None, 2))
    factor = regression.factor
    scale = np.diag(factor)
    parameters = [regression.mean, scale + np.log(-np.expm1(-scale))]
    if name == "multivariate_normal_tril":
        parameters.append(factor[np.tril_indices(3, -1)])
    else:  # whose posterior is one of independent normals
        np.testing.assert_allclose(factor, np.diag(scale), atol=1e-6)
    layer.set_weights(parameters)
    x, y = (ops.convert_to_tensor(each) for each in (regression.x, regression.y))

    def likelihood():
        return ops.sum(regression.loss(y, layer(x)))

    def bound():
        return likelihood() + layer.losses[0]

    for variable in layer.weights:
        noise = many_gradients(likelihood, 50, layer, variable).std(axis=0)
        assert noise.min() > 0.1
        assert np.abs(many_gradients(bound, 50, layer, variable)).max() < 1e-3 * noise.max()


@pytest.mark.parametrize("name", ["mean_field_normal", "multivariate_normal_tril"])
@pytest.mark.parametrize("prior", ["standard_normal", "laplace", "scale_mixture"])
def test_the_path_of_the_gradient_leaves_the_estimate(name, prior):
    layer = layer_api.DenseVariational(2, name, prior, seed=1)
    layer(X)
    q, p = (layer.joint.distribution(role) for role in ("posterior", "prior"))
    key = noise.key(noise.previous(layer.seed_generator), "kernel")
    one, other = (
        numpy(distributions.estimated_kl_divergence(q, p, (8,), key, is_shared=is_shared))
        for is_shared in (True, False)
    )
    assert one == other
    assert losses_of(layer) == [one]


def test_a_distribution_for_every_row():
    def by_row(kernel_size, bias_size, dtype):
        n = kernel_size + bias_size
        return lambda x: normal(x[:, :1] * ops.ones(n), 1e-4 * ops.ones(n), batch_rank=1)

    layer = layer_api.DenseVariational(2, by_row, kl_use_exact=True, seed=1)
    # Every weight and bias of a row is its first input.
    expected = X[:, :1] * (X.sum(axis=1, keepdims=True) + 1) * np.ones((1, 2))
    np.testing.assert_allclose(numpy(layer(X)), expected, atol=5e-3)
    per_weight = X[:, 0] ** 2 / 2 + (1e-8 - 1) / 2 - math.log(1e-4)
    np.testing.assert_allclose(losses_of(layer), [8 * per_weight.sum()], rtol=1e-5)


def test_functions_are_refused_when_saving(tmp_path):
    model = keras.Sequential([keras.Input((3,)), layer_api.DenseVariational(2, posterior)])
    with pytest.raises(ValueError, match=r"`make_posterior_fn` cannot be saved: .* Register it"):
        model.save(tmp_path / "model.keras")


def test_mistakes_in_functions():
    layer = layer_api.DenseVariational(2, lambda k, b, dtype: lambda x: normal(x, 1.0))
    with pytest.raises(TypeError, match=r"with draws of shape \[8\]"):
        layer.build((None, 3))
    with pytest.raises(TypeError, match=r"returns a function of the inputs\. Received: 3"):
        layer_api.DenseVariational(2, lambda k, b, dtype: 3).build((None, 3))


def test_distribution_lambda_is_no_output_layer():
    layer = DistributionLambda(lambda t: normal(t, 1.0))
    with pytest.raises(NotImplementedError, match="write the negative log-likelihood as the loss"):
        layer(keras.Input((2,)))


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("deferred", [False, True])
def test_distribution_lambda_ends_no_model_of_fit(deferred, nested):
    last = DistributionLambda(lambda t: normal(t, 1.0))
    last = keras.Sequential([keras.layers.Dense(2), last]) if nested else last
    first = [] if deferred else [keras.Input((3,))]
    model = keras.Sequential([*first, keras.layers.Dense(2), last])
    model.compile(loss=lambda y, d: -d.log_prob(y))
    # Keras makes it a RuntimeError where it traces the model before it trains.
    error = TypeError if BACKEND == "tensorflow" else RuntimeError
    with pytest.raises(error, match="write the negative log-likelihood as the loss"):
        model.fit(X, np.zeros((2, 2)), verbose=0)


@keras.saving.register_keras_serializable("test_dense_variational")
def unit_normal(inputs):
    return normal(inputs, 1.0)


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
    np.testing.assert_array_equal(numpy(backend.distributions.mean(loaded(X))), np.ones(3))
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
from framework import numpy
from test_dense_variational import X
mean, draws = (
    keras.saving.load_model(folder / f"{name}.keras", safe_mode=True)(X)
    for name in ("distribution", "weights")
)
mean = numpy(layer_api.backend.distributions.mean(mean))
print(json.dumps([refusal, mean.tolist(), numpy(draws).tolist()]))
"""


def test_distribution_lambda_in_a_fresh_process(tmp_path):
    """As a model, and inside the posterior of a layer: found by the name of its function alone."""
    distribution = unit_normals(3)
    mean = numpy(backend.distributions.mean(distribution(X)))
    distribution.save(tmp_path / "distribution.keras")
    layer = layer_api.DenseVariational(2, unit_normals, unit_normals, seed=1)
    weights = keras.Sequential([keras.Input((3,)), layer])
    weights.save(tmp_path / "weights.keras")
    refusal, *found = in_a_fresh_process(LOAD, tmp_path)
    assert "`make_distribution_fn` cannot be loaded: the file names " in refusal
    assert "'test_dense_variational>unit_normal', which is not registered. Import the" in refusal
    np.testing.assert_array_equal(found[0], mean)
    np.testing.assert_array_equal(found[1], numpy(weights(X)))


def test_moments_of_the_outputs():
    """Mean field: the outputs of one row are normal, with the sums of means and of variances."""
    layer = layer_api.DenseVariational(2, seed=1)
    layer.build((None, 3))
    loc = np.array([0.3, -0.2, 0.1, 0.4, 0.0, -0.5, 0.7, -0.3])
    untransformed = np.array([-1.0, 0.0, 1.0, -2.0, 0.5, -0.5, 0.2, -1.5])
    layer.set_weights([loc, untransformed])
    scale = np.log1p(np.exp(untransformed))
    n = 1500
    draws = many(lambda: layer(X[:1])[0], n, layer)
    mean = X[0] @ loc[:6].reshape(3, 2) + loc[6:]
    variance = X[0] ** 2 @ scale[:6].reshape(3, 2) ** 2 + scale[6:] ** 2
    assert np.abs((draws.mean(axis=0) - mean) / np.sqrt(variance / n)).max() < BOUND
    assert np.abs((draws.var(axis=0) / variance - 1) / math.sqrt(2 / n)).max() < BOUND


@only_torch
def test_torch_compiles_a_full_covariance():
    """Into one graph, which a loop over its elements does not become; 8,256 of them here."""
    import torch

    inputs = torch.ones((2, 127))
    eager, other = (layer_api.DenseVariational(1, "multivariate_normal_tril", seed=1) for _ in "ab")
    other.build(inputs.shape)

    def call(layer):
        return torch.sum(layer(inputs)) + sum(layer.losses)

    compiled = torch.compile(call, fullgraph=True, backend="aot_eager")
    np.testing.assert_allclose(numpy(compiled(other)), numpy(call(eager)), rtol=1e-5)
    for one, same in zip(
        gradients(lambda: call(eager), eager.weights),
        gradients(lambda: compiled(other), other.weights),
        strict=True,
    ):
        np.testing.assert_allclose(same, one, rtol=1e-4, atol=1e-5)


def test_full_covariance_of_a_kernel():
    """The posterior also serves a layer with the reparameterization estimator."""
    layer = layer_api.DenseReparameterization(
        2, kernel_posterior_fn="multivariate_normal_tril", seed=1
    )
    layer(X)
    assert [tuple(w.shape) for w in layer.weights][:3] == [(3, 2), (3, 2), (15,)]
    mean_field = layer_api.DenseReparameterization(2, seed=1)
    mean_field(X)
    np.testing.assert_allclose(losses_of(layer), losses_of(mean_field), rtol=1e-5)
    with pytest.raises(TypeError, match="must be a posterior of independent normals"):
        layer_api.DenseFlipout(2, kernel_posterior_fn="multivariate_normal_tril")(X)


@pytest.mark.parametrize(("units", "features"), [(2, 3), (256, 300)])
def test_the_estimate_is_taken_at_the_weights_of_the_last_call(units, features):
    """Also where the backend draws all of a large weight at once."""
    layer = layer_api.DenseVariational(units, use_bias=False, seed=1)
    for _ in range(2):
        weights = numpy(layer(np.eye(features, dtype="float32"))).ravel().astype("float64")
        loc, untransformed = (each.astype("float64") for each in layer.get_weights())
        scale = np.finfo("float32").eps + np.logaddexp(0.0, untransformed)
        log_ratio = scipy.stats.norm.logpdf(weights, loc, scale) - scipy.stats.norm.logpdf(weights)
        np.testing.assert_allclose(losses_of(layer), [log_ratio.sum()], rtol=1e-5)


def test_the_prior_of_a_user_s_function_leaves_the_path():
    """The posterior is a named one: its density is ours, whatever the prior is."""

    def wide(kernel_size, bias_size, dtype):
        return lambda _: laplace(np.zeros(kernel_size + bias_size, "float32"), 2.0)

    found = []
    for prior in (wide, layer_api.LaplacePrior(scale=2.0)):
        layer = layer_api.DenseVariational(2, make_prior_fn=prior, seed=1)
        layer.build((None, 3))

        def divergence(layer=layer):
            q, p = (layer.joint.distribution(role, X) for role in ("posterior", "prior"))
            return layer._divergence(q, p, noise.key(noise.current(layer.seed_generator), "kernel"))

        found.append(gradients(divergence, layer.weights))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
