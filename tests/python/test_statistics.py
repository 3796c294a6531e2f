"""The mathematics of the design, tested as statistics.

Tolerances follow from the size of the sample. A standardized deviation (a z) of a mean of n draws
is normal; with a bound of 5 standard errors and some 100 numbers compared in this file, a right
program fails with a probability of about 1e-4 for a random seed; the seeds are fixed.
"""

import itertools
import math

import keras
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from framework import (
    BACKEND,
    compiled_by_xla,
    gradients,
    laplace,
    library_kl_divergence,
    many,
    many_gradients,
    normal,
    numpy,
)
from keras import ops

import layer_api
from layer_api import backend, noise
from layer_api.weights import distributions

STREAMS = ("kernel", "bias", "kernel/input_sign", "kernel/output_sign", "kernel/divergence")
BOUND = 5.0  # standard errors

X = np.array([[0.5, -1.0, 2.0], [1.5, 0.3, -0.7]], "float32")
LOC = np.array([[0.3, -0.2], [0.1, 0.4], [0.0, -0.5]], "float32")
UNTRANSFORMED = np.array([[-1.0, 0.0], [1.0, -2.0], [0.5, -0.5]], "float32")
SCALE = np.finfo("float32").eps + np.log1p(np.exp(UNTRANSFORMED.astype("float64")))


def layer_with_weights(**arguments):
    layer = layer_api.layer_dense_flipout(units=2, **{"seed": 1, **arguments})
    layer.build((None, 3))
    layer.set_weights([LOC, UNTRANSFORMED, *layer.get_weights()[2:]])
    return layer


def draws_of(layer, x, n):
    """Return n outputs of the layer, one draw of its noise each: an array (n, rows, units)."""
    return many(lambda: layer(x), n, layer)


@pytest.fixture(scope="module")
def draws():
    """Outputs less the bias, for three rows, of which the first two are equal."""
    layer = layer_with_weights()
    return draws_of(layer, X[[0, 0, 1]], TestOutputs.N) - layer.get_weights()[2]


def laplace_prior(dtype, shape, name, trainable, add_variable_fn):
    return laplace(np.zeros(shape, "float32"), 1.0)


def kl_normals(loc, scale, p_loc=0.0, p_scale=1.0):
    """KL(N(loc, scale) || N(p_loc, p_scale)), summed, in float64."""
    loc, scale = np.float64(loc), np.float64(scale)
    return np.sum(
        np.log(p_scale / scale) + (scale**2 + (loc - p_loc) ** 2) / (2 * p_scale**2) - 0.5
    )


class TestOutputs:
    N = 20_000

    def check_moments(self, draws, mean, variance):
        # The variance of a normal's variance is 2 sigma^4 / n. Over calls an output is, but for
        # its sign, x (scale * E), a sum of normals with fixed weights, so it is a normal.
        z_mean = (draws.mean(axis=0) - mean) / np.sqrt(variance / self.N)
        z_variance = (draws.var(axis=0) / variance - 1) / math.sqrt(2 / self.N)
        assert np.abs(z_mean).max() < BOUND
        assert np.abs(z_variance).max() < BOUND

    def test_mean_and_variance(self, draws):
        self.check_moments(draws[:, 1:], X @ LOC, X**2 @ SCALE**2)

    def test_mean_and_variance_with_a_drawn_bias(self):
        layer = layer_with_weights(bias_posterior_fn="mean_field_normal")
        bias, untransformed = layer.get_weights()[2:]
        variance = X**2 @ SCALE**2 + np.log1p(np.exp(untransformed)) ** 2
        self.check_moments(draws_of(layer, X, self.N), X @ LOC + bias, variance)

    def test_distribution_is_normal(self, draws):
        z = (draws[:, 1:] - X @ LOC) / np.sqrt(X**2 @ SCALE**2)
        for row, unit in itertools.product(range(2), range(2)):
            assert scipy.stats.kstest(z[:, row, unit], "norm").pvalue > 1e-4

    def test_rows_of_a_batch_are_uncorrelated(self, draws):
        # Units share no weight, and rows have signs of their own: nothing correlates. The
        # correlation of n independent pairs has the standard error 1 / sqrt(n). Given E the
        # products of two rows have random signs, so this holds for the dependent rows, too; equal
        # |E| of rows 0 and 1 makes the variance of a product E^4 = 3 times as large at most.
        correlations = np.corrcoef(draws.reshape(self.N, 6), rowvar=False)[np.triu_indices(6, 1)]
        assert np.abs(correlations).max() < BOUND * math.sqrt(3 / self.N)

    @pytest.mark.parametrize("features", [1, 3])
    def test_signs_of_inputs_and_of_outputs(self, features):
        """Given the draw E, the deviations of equal rows differ by their signs alone."""
        layer = layer_api.layer_dense_flipout(units=2, bias_posterior_fn=None, seed=1)
        layer.build((None, features))
        layer.set_weights([np.zeros((features, 2)), np.ones((features, 2))])
        n = 10_000
        deviations = numpy(layer(np.ones((n, features), "float32")))
        # Signs of the inputs: +-e_1 +-e_2 +-e_3 has 4 different sizes, +-e_1 has one.
        sizes = np.unique(np.round(np.abs(deviations[:, 0]), 4))
        assert sizes.size == 2 ** (features - 1)
        # Signs of the outputs: those of two units differ as often as not.
        agreement = np.sign(deviations[:, 0] * deviations[:, 1]).mean()
        assert abs(agreement) < BOUND / math.sqrt(n)
        assert abs(np.sign(deviations).mean(axis=0)).max() < BOUND / math.sqrt(n)

    def test_signs_of_inputs_are_not_those_of_outputs(self):
        """With one input and one unit there are as many of both; equal ones would cancel."""
        layer = layer_api.layer_dense_flipout(units=1, bias_posterior_fn=None, seed=1)
        layer.build((None, 1))
        n = 10_000
        deviations = numpy(layer(np.ones((n, 1), "float32"))) - layer.get_weights()[0]
        assert abs(np.sign(deviations).mean()) < BOUND / math.sqrt(n)

    def test_rank_three_has_signs_for_every_position(self):
        layer = layer_with_weights(bias_posterior_fn=None)
        x = np.broadcast_to(X[0], (2, 3, 3))
        draws = draws_of(layer, x, self.N).reshape(self.N, 12)
        variance = np.tile(X[0] ** 2 @ SCALE**2, 6)
        self.check_moments(draws, np.tile(X[0] @ LOC, 6), variance)
        correlations = np.corrcoef(draws, rowvar=False)[np.triu_indices(12, 1)]
        assert np.abs(correlations).max() < BOUND * math.sqrt(3 / self.N)


class TestGradient:
    """Wen et al. (2018), figure 1: the variance of the gradient against the size of the batch."""

    def variances(self, layer, batches):
        """Return the variance of the gradient of the mean over a batch, for each size of one."""
        found = []
        for batch in batches:
            x = np.broadcast_to(X[0], (batch, 3)).astype("float32")

            def loss(x=x):
                return ops.mean(ops.sum(ops.square(layer(x)), axis=1))

            draws = many_gradients(loss, 4000, layer, layer.weights[0])
            found.append(draws.var(axis=0).mean())
        return found

    def test_flipout_falls_like_one_over_the_batch(self):
        batches = (1, 16, 256)
        first, *others = self.variances(layer_with_weights(bias_posterior_fn=None), batches)
        for batch, variance in zip(batches[1:], others, strict=True):
            # The relative standard error of a variance of 4000 draws of a normal is
            # sqrt(2 / 4000) = 2%; that of its ratio to another, and of these heavier tails, 5%.
            assert variance * batch / first == pytest.approx(1.0, abs=BOUND * 0.05)

    def test_a_shared_kernel_levels_off(self):
        layer = layer_api.layer_dense_reparameterization(units=2, bias_posterior_fn=None, seed=1)
        layer.build((None, 3))
        layer.set_weights([LOC, UNTRANSFORMED])
        first, last = self.variances(layer, (1, 256))
        assert last / first == pytest.approx(1.0, abs=BOUND * 0.05)


class TestDivergence:
    def test_closed_form_and_library(self):
        layer = layer_with_weights(kl_weight=0.25)
        (loss,) = layer.losses
        library = library_kl_divergence(layer.kernel_posterior, layer.kernel_prior)
        np.testing.assert_allclose(numpy(loss), 0.25 * kl_normals(LOC, SCALE), rtol=1e-6)
        np.testing.assert_allclose(numpy(loss), 0.25 * numpy(library), rtol=1e-6)
        assert keras.backend.standardize_dtype(loss.dtype) == "float32"

    def test_another_normal_as_prior(self):
        def prior(dtype, shape, name, trainable, add_variable_fn):
            return normal(np.full(shape, 0.5, "float32"), 2.0)

        (loss,) = layer_with_weights(kernel_prior_fn=prior).losses
        np.testing.assert_allclose(numpy(loss), kl_normals(LOC, SCALE, 0.5, 2.0), rtol=1e-6)

    def test_bias(self):
        layer = layer_with_weights(
            bias_posterior_fn="mean_field_normal", bias_prior_fn="standard_normal"
        )
        bias, untransformed = layer.get_weights()[2:]
        kernel_loss, bias_loss = layer.losses
        np.testing.assert_allclose(numpy(kernel_loss), kl_normals(LOC, SCALE), rtol=1e-6)
        scale = np.log1p(np.exp(np.float64(untransformed))) + np.finfo("float32").eps
        np.testing.assert_allclose(numpy(bias_loss), kl_normals(bias, scale), rtol=1e-5)

    def test_point_estimate_with_a_prior_is_penalized_by_its_density(self):
        layer = layer_with_weights(bias_prior_fn="standard_normal")
        bias = layer.get_weights()[2]
        penalty = -scipy.stats.norm.logpdf(bias).sum()
        np.testing.assert_allclose(numpy(layer.losses[1]), penalty, rtol=1e-6)

    @pytest.mark.parametrize("untransformed", [-1e4, -200.0, -90.0, -17.0, 0.0, 20.0, 1e4, 1e15])
    def test_extreme_scales(self, untransformed):
        layer = layer_with_weights()
        layer.set_weights([LOC, np.full((3, 2), untransformed), np.zeros(2)])
        (loss,) = layer.losses
        slopes = gradients(lambda: layer.losses[0], layer.trainable_weights[:2])
        # softplus(u) = u for large u; for small u the eps alone is left.
        scale = np.finfo("float32").eps + np.logaddexp(0.0, np.float64(untransformed))
        np.testing.assert_allclose(numpy(loss), kl_normals(LOC, np.full((3, 2), scale)), rtol=1e-5)
        assert all(np.isfinite(slope).all() for slope in slopes)
        assert np.isfinite(numpy(layer(X))).all()

    def test_half_precision(self):
        """Of a sum that float16, which ends at 65504, cannot hold."""
        layer = layer_api.layer_dense_flipout(units=300, dtype="float16", seed=1)
        layer.build((None, 300))
        posterior = layer.kernel_posterior
        mean, stddev = (
            backend.distributions.mean(posterior),
            backend.distributions.stddev(posterior),
        )
        expected = kl_normals(numpy(mean), numpy(stddev))
        assert expected > 1e5
        np.testing.assert_allclose(numpy(layer.losses[0]), expected, rtol=1e-5)

    def test_gradient_is_that_of_the_closed_form(self):
        layer = layer_with_weights()
        loc, untransformed = gradients(lambda: layer.losses[0], layer.trainable_weights[:2])
        np.testing.assert_allclose(loc, LOC, rtol=1e-6)
        slope = 1 / (1 + np.exp(-UNTRANSFORMED))
        np.testing.assert_allclose(untransformed, (SCALE - 1 / SCALE) * slope, rtol=1e-4, atol=1e-6)

    def test_counts_once_however_often_the_layer_is_called(self):
        layer = layer_with_weights()
        once = kl_normals(LOC, SCALE)
        inputs = keras.Input((5, 3))
        each = keras.layers.TimeDistributed(layer)(inputs)
        model = keras.Model(inputs, [each, layer(inputs), layer(layer(inputs)[..., :1] + inputs)])
        model.predict(np.ones((4, 5, 3)), verbose=0)
        np.testing.assert_allclose(numpy(sum(model.losses)), once, rtol=1e-6)

    def test_training_adds_it_once_to_the_loss_of_the_data(self):
        layer = layer_with_weights(
            kernel_posterior_tensor_fn="mean", bias_posterior_tensor_fn="mean", kl_weight=0.01
        )
        model = keras.Sequential([keras.Input((3,)), layer])
        model.compile(optimizer=keras.optimizers.SGD(0.0), loss="mse")
        y = np.ones((2, 2), "float32")
        data = np.mean((X @ LOC + layer.get_weights()[2] - y) ** 2)
        expected = data + 0.01 * kl_normals(LOC, SCALE)
        for batch in (1, 2):
            history = model.fit(X, y, batch_size=batch, epochs=2, verbose=0).history
            np.testing.assert_allclose(history["loss"], expected, rtol=1e-5)
        np.testing.assert_allclose(model.evaluate(X, y, verbose=0), expected, rtol=1e-5)

    def test_without_a_closed_form_the_estimate_is_unbiased(self):
        layer = layer_with_weights(kernel_prior_fn=laplace_prior)

        def one():
            layer(X)  # draws again
            return layer.losses[0]

        estimates = many(one, 4000, layer)

        def integrand(w, loc, scale):
            q = scipy.stats.norm(loc, scale)
            return q.pdf(w) * (q.logpdf(w) - scipy.stats.laplace.logpdf(w))

        # Two integrals per weight: the density of the prior has a kink at 0.
        truth = sum(
            scipy.integrate.quad(integrand, low, high, args=(m, s))[0]
            for m, s in zip(LOC.ravel(), SCALE.ravel(), strict=True)
            for low, high in ((m - 12 * s, 0), (0, m + 12 * s))
        )
        z = (estimates.mean() - truth) / (estimates.std() / math.sqrt(len(estimates)))
        assert abs(z) < BOUND
        assert estimates.std() > 0

    def test_the_estimate_holds_still_between_two_calls(self):
        layer = layer_with_weights(kernel_prior_fn=laplace_prior)
        assert numpy(layer.losses[0]) == numpy(layer.losses[0])


def state():
    return noise.current(keras.random.SeedGenerator(1))


class TestGenerators:
    def test_signs(self):
        signs = noise.signs((200, 500), noise.key(state(), "kernel"), "int8")
        signs = numpy(signs).astype("float64")
        assert set(np.unique(signs)) == {-1.0, 1.0}
        assert abs(signs.mean()) < BOUND / math.sqrt(signs.size)
        correlations = np.corrcoef(signs)[np.triu_indices(200, 1)]
        # Of 19900 correlations, each with the standard error 1 / sqrt(500), the largest: 6.
        assert np.abs(correlations).max() < 6 / math.sqrt(500)
        lags = [np.mean(signs.ravel()[lag:] * signs.ravel()[:-lag]) for lag in (1, 2, 8, 32, 256)]
        assert np.abs(lags).max() < BOUND / math.sqrt(signs.size)

    @pytest.mark.parametrize("jit_compile", [False, True] if BACKEND == "tensorflow" else [False])
    def test_normals(self, jit_compile):
        n = 10**6
        first = state()

        def draw():
            return noise.normal((n,), noise.key(first, "kernel"), "float32")

        normals = numpy(compiled_by_xla(draw)() if jit_compile else draw())
        assert scipy.stats.kstest(normals, "norm").pvalue > 1e-4
        for bound in (3.0, 4.0):
            expected = n * 2 * scipy.stats.norm.sf(bound)
            assert abs(np.sum(np.abs(normals) > bound) - expected) < BOUND * math.sqrt(expected)

    def test_streams_of_a_call_are_independent(self):
        first = state()
        draws = [
            numpy(noise.normal((10_000,), noise.key(first, stream), "float32"))
            for stream in STREAMS
        ]
        correlations = np.corrcoef(draws)[np.triu_indices(len(draws), 1)]
        assert np.abs(correlations).max() < BOUND / math.sqrt(10_000)

    def test_initial_weights(self):
        layer = layer_api.layer_dense_flipout(units=300)
        layer.build((None, 200))
        loc, untransformed, bias = layer.get_weights()
        for values, mean in ((loc, 0.0), (untransformed, -3.0), (bias, 0.0)):
            assert scipy.stats.kstest(values.ravel(), "norm", (mean, 0.1)).pvalue > 1e-4
        correlation = np.corrcoef(loc.ravel(), untransformed.ravel())[0, 1]
        assert abs(correlation) < BOUND / math.sqrt(loc.size)


def test_known_recognizes_the_library_s_normals():
    distribution = normal(np.zeros((3, 2), "float32"), 2.0)
    known = distributions.from_library(distribution)
    assert isinstance(known, distributions.Normal)
    np.testing.assert_array_equal(numpy(ops.broadcast_to(known.scale, (3, 2))), 2.0)
    distribution = laplace(np.zeros(3, "float32"), 1.0)
    assert distributions.from_library(distribution) is distribution
