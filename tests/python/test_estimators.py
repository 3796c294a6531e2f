"""The siblings of DenseFlipout as statistics; tolerances as in `test_statistics.py`."""

import itertools
import math

import keras
import numpy as np
import pytest
import scipy.stats
from framework import gradients, numpy
from keras import ops
from test_statistics import BOUND, LOC, SCALE, UNTRANSFORMED, X, draws_of

import layer_api
from layer_api import backend

N = 10_000


def check_moments(draws, mean, variance):
    """Compare the mean and the variance of n normal draws."""
    n = len(draws)
    z_mean = (draws.mean(axis=0) - mean) / np.sqrt(variance / n)
    z_variance = (draws.var(axis=0) / variance - 1) / math.sqrt(2 / n)
    assert np.abs(z_mean).max() < BOUND
    assert np.abs(z_variance).max() < BOUND


def dense(layer_class, **arguments):
    layer = layer_class(2, bias_posterior_fn=None, seed=1, **arguments)
    layer.build((None, 3))
    layer.set_weights([LOC, UNTRANSFORMED])
    return layer


class TestReparameterization:
    def test_moments(self):
        draws = draws_of(dense(layer_api.DenseReparameterization), X, N)
        check_moments(draws, X @ LOC, X**2 @ SCALE**2)

    def test_rows_share_the_kernel(self):
        """Cov(x W, z W) = sum(x z scale^2) for every unit, and none between units."""
        draws = draws_of(dense(layer_api.DenseReparameterization), X, N)
        variances = X**2 @ SCALE**2
        for one, other in itertools.product(range(2), range(2)):
            covariance = np.cov(draws[:, 0, one], draws[:, 1, other])[0, 1]
            expected = np.sum(X[0] * X[1] * SCALE[:, one] ** 2) if one == other else 0.0
            # The variance of a covariance of normals is (v w + c^2) / n.
            error = math.sqrt((variances[0, one] * variances[1, other] + expected**2) / N)
            assert abs(covariance - expected) < BOUND * error

    def test_any_posterior(self):
        layer = layer_api.DenseReparameterization(2, kernel_posterior_fn="deterministic", seed=1)
        outputs = numpy(layer(X))
        kernel, bias = layer.get_weights()
        # By the backend's product: NumPy's may add up in another order.
        expected = numpy(ops.matmul(X, kernel)) + bias
        np.testing.assert_allclose(outputs, expected, rtol=1e-6)
        assert backend.distributions.sample(layer.kernel_posterior).shape == (3, 2)


class TestLocalReparameterization:
    def test_moments(self):
        draws = draws_of(dense(layer_api.DenseLocalReparameterization), X, N)
        check_moments(draws, X @ LOC, X**2 @ SCALE**2)

    def test_distribution(self):
        """Independent normals over the rows of one batch, so one call is a sample."""
        layer = dense(layer_api.DenseLocalReparameterization)
        draws = numpy(layer(np.broadcast_to(X[0], (N, 3))))
        z = (draws - X[0] @ LOC) / np.sqrt(X[0] ** 2 @ SCALE**2)
        for unit in range(2):
            assert scipy.stats.kstest(z[:, unit], "norm").pvalue > 1e-4
        assert abs(np.corrcoef(z, rowvar=False)[0, 1]) < BOUND / math.sqrt(N)

    def test_rows_and_positions_are_independent(self):
        layer = dense(layer_api.DenseLocalReparameterization)
        draws = draws_of(layer, np.broadcast_to(X[0], (2, 2, 3)), N).reshape(N, 8)
        correlations = np.corrcoef(draws, rowvar=False)[np.triu_indices(8, 1)]
        assert np.abs(correlations).max() < BOUND / math.sqrt(N)

    def test_inputs_of_zero_have_finite_gradients(self):
        layer = dense(layer_api.DenseLocalReparameterization)
        zeros = np.zeros((2, 3), "float32")
        assert np.abs(numpy(layer(zeros))).max() < 1e-15
        slopes = gradients(lambda: ops.sum(layer(zeros)), layer.trainable_weights)
        assert all(np.isfinite(slope).all() for slope in slopes)

    def test_a_user_s_function_gets_the_outputs_distribution(self):
        seen = []

        def tensor_fn(d):
            seen.append(d)
            return backend.distributions.mean(d)

        layer = dense(layer_api.DenseLocalReparameterization, kernel_posterior_tensor_fn=tensor_fn)
        np.testing.assert_allclose(numpy(layer(X)), X @ LOC, rtol=1e-6)
        np.testing.assert_allclose(
            numpy(backend.distributions.stddev(seen[-1])), np.sqrt(X**2 @ SCALE**2), rtol=1e-5
        )


def convolution(inputs, kernel, strides, padding, dilation):
    """Convolve in NumPy, position by position: (batch, ..., channels) with (..., in, out)."""
    rank = kernel.ndim - 2
    widths = []
    for size, window, stride in zip(inputs.shape[1:-1], kernel.shape[:-2], strides, strict=True):
        reach = dilation * (window - 1) + 1
        if padding == "same":
            total = max((math.ceil(size / stride) - 1) * stride + reach - size, 0)
            widths.append((total // 2, total - total // 2))
        else:
            widths.append((reach - 1, 0) if padding == "causal" else (0, 0))
    inputs = np.pad(inputs, [(0, 0), *widths, (0, 0)])
    counts = [
        (size - dilation * (window - 1) - 1) // stride + 1
        for size, window, stride in zip(inputs.shape[1:-1], kernel.shape[:-2], strides, strict=True)
    ]
    outputs = np.zeros((len(inputs), *counts, kernel.shape[-1]))
    for position in itertools.product(*map(range, counts)):
        for offset in itertools.product(*map(range, kernel.shape[:-2])):
            at = tuple(position[i] * strides[i] + offset[i] * dilation for i in range(rank))
            outputs[(slice(None), *position)] += inputs[(slice(None), *at)] @ kernel[offset]
    return outputs


SETTINGS = [
    (rank, padding, data_format, strides, dilation)
    for rank in (1, 2, 3)
    for padding in ("valid", "same", "causal")[: 3 if rank == 1 else 2]
    for data_format in ("channels_last", "channels_first")
    for strides, dilation in ((1, 1), (2, 1), (1, 2))
]


class TestConvolutions:
    def make(self, rank, estimator, data_format="channels_last", filters=2, **arguments):
        """Return a layer, inputs with the channels last, and a call that keeps them last."""
        layer = getattr(layer_api, f"Conv{rank}D{estimator}")(
            filters, (3, 2, 2)[:rank], data_format=data_format, seed=1, **arguments
        )
        inputs = np.random.default_rng(rank).normal(size=(2, *(6, 5, 4)[:rank], 3))
        inputs = inputs.astype("float32")
        first = data_format == "channels_first"
        given = np.moveaxis(inputs, -1, 1) if first else inputs
        outputs = layer(given)

        def call(x):
            outputs = numpy(layer(np.moveaxis(x, -1, 1) if first else x))
            return np.moveaxis(outputs, 1, -1) if first else outputs

        assert layer.compute_output_shape(given.shape) == tuple(outputs.shape)
        return layer, inputs, call

    @pytest.mark.parametrize("estimator", ["Flipout", "Reparameterization"])
    @pytest.mark.parametrize(("rank", "padding", "data_format", "strides", "dilation"), SETTINGS)
    def test_mean_is_the_convolution(
        self, estimator, rank, padding, data_format, strides, dilation
    ):
        layer, inputs, call = self.make(
            rank, estimator, data_format, strides=strides, padding=padding,
            dilation_rate=dilation, kernel_posterior_tensor_fn="mean",
        )  # fmt: skip
        loc, _, bias = layer.get_weights()
        expected = convolution(inputs, loc, [strides] * rank, padding, dilation) + bias
        np.testing.assert_allclose(call(inputs), expected, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("estimator", ["Flipout", "Reparameterization"])
    @pytest.mark.parametrize(("rank", "padding", "data_format", "strides", "dilation"), SETTINGS)
    def test_covariance_is_the_convolution_of_squares(
        self, estimator, rank, padding, data_format, strides, dilation
    ):
        """Filters with equal weights have kernels of their own: one call is a sample of n."""
        n = 5000
        layer, inputs, call = self.make(
            rank, estimator, data_format, filters=n, strides=strides, padding=padding,
            dilation_rate=dilation, bias_posterior_fn=None,
        )  # fmt: skip
        weights = [np.broadcast_to(w[..., :1], w.shape) for w in layer.get_weights()]
        layer.set_weights(weights)
        loc, untransformed = (np.float64(w[..., :1]) for w in weights)
        scale = np.log1p(np.exp(untransformed))
        setting = ([strides] * rank, padding, dilation)
        draws = np.moveaxis(call(inputs), -1, 0).astype("float64")
        # Given the signs of the inputs, those of different filters are independent normals.
        mean = convolution(inputs, loc, *setting)[..., 0]
        variance = convolution(inputs**2, scale**2, *setting)[..., 0]
        check_moments(draws, mean, variance)
        # Two examples share the kernel, which Flipout's signs hide: products of normals x and y
        # with random signs have the variance v w + 2 cov(x, y)^2, 3 v w at most.
        product = np.prod(variance, axis=0)
        if estimator == "Flipout":
            expected, spread = 0.0, 3 * product
        else:
            expected = convolution(np.prod(inputs, axis=0)[None], scale**2, *setting)[0, ..., 0]
            spread = product + expected**2
        covariance = np.mean(np.prod(draws - mean, axis=1), axis=0)
        assert np.abs((covariance - expected) / np.sqrt(spread / n)).max() < BOUND

    @pytest.mark.parametrize("estimator", ["Flipout", "Reparameterization"])
    @pytest.mark.parametrize("rank", [1, 2, 3])
    def test_moments(self, estimator, rank):
        layer, inputs, _ = self.make(
            rank, estimator, strides=2, padding="same", bias_posterior_fn=None
        )
        loc, untransformed = layer.get_weights()
        draws = draws_of(layer, inputs, 5000)
        scale = np.log1p(np.exp(np.float64(untransformed)))
        setting = ([2] * rank, "same", 1)
        # Given the signs an output is a sum of normals with fixed weights: a normal.
        check_moments(
            draws,
            convolution(inputs, loc, *setting),
            convolution(inputs**2, scale**2, *setting),
        )

    def test_flipout_gives_examples_kernels_of_their_own(self):
        layer, inputs, _ = self.make(2, "Flipout", bias_posterior_fn=None)
        draws = draws_of(layer, inputs[[0, 0]], 5000).reshape(5000, 2, -1)
        # |E| is shared, so products are at most 3 times as variable; see test_statistics.py.
        for position in range(0, draws.shape[2], 7):
            correlation = np.corrcoef(draws[:, 0, position], draws[:, 1, position])[0, 1]
            assert abs(correlation) < BOUND * math.sqrt(3 / 5000)

    def test_reparameterization_shares_the_kernel(self):
        layer, inputs, _ = self.make(2, "Reparameterization", bias_posterior_fn=None)
        # One 1 among zeros: the outputs are elements of the kernel, in whatever order they add up.
        impulse = np.zeros_like(inputs[[0, 0]])
        impulse[:, 1, 1, 0] = 1
        first, second = numpy(layer(impulse))
        assert first.any()
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("rank", "estimator"), [(1, "Flipout"), (2, "Reparameterization"), (3, "Flipout")]
)
def test_sizes_that_are_not_known(rank, estimator):
    """One model takes examples of any size, and trains on each."""
    layer = getattr(layer_api, f"Conv{rank}D{estimator}")(
        2, 2, strides=2, padding="same", kernel_posterior_tensor_fn="mean"
    )
    model = keras.Sequential([keras.Input((*[None] * rank, 3)), layer])
    assert model.output_shape == (None, *[None] * rank, 2)
    model.compile(optimizer="sgd", loss="mse")
    for size in (4, 7):
        inputs = np.random.default_rng(size).normal(size=(2, *[size] * rank, 3)).astype("float32")
        loc, _, bias = layer.get_weights()
        expected = convolution(inputs, loc, [2] * rank, "same", 1) + bias
        np.testing.assert_allclose(model.predict(inputs, verbose=0), expected, rtol=1e-4, atol=1e-5)
        loss = model.fit(inputs, np.zeros_like(expected), verbose=0).history["loss"]
        assert np.isfinite(loss).all()
        assert (layer.get_weights()[0] != loc).any()


def test_the_names_of_tensorflow_probability():
    for rank, estimator in itertools.product((1, 2, 3), ("Flipout", "Reparameterization")):
        alias = getattr(layer_api, f"Convolution{rank}D{estimator}")
        assert alias is getattr(layer_api, f"Conv{rank}D{estimator}")
