"""What a backend computes at once for large kernels: equal to the formulas, and as random."""

import math

import keras
import numpy as np
import pytest
import scipy.stats
from framework import BACKEND, compiled, gradients, numpy
from keras import ops

import layer_api
from layer_api import backend, noise
from layer_api.backend import xla
from layer_api.weights import distributions

BOUND = 5.0  # standard errors
SHAPE = (512, 160)
EPS = float(np.finfo("float32").eps)
RANDOM = np.random.RandomState(1)
LOC = RANDOM.normal(0.0, 0.1, SHAPE).astype("float32")
# From where the softplus is all but 0 to where it is all but the identity.
UNTRANSFORMED = RANDOM.uniform(-12.0, 12.0, SHAPE).astype("float32")


def posterior():
    return distributions.SoftplusNormal(*map(ops.convert_to_tensor, (LOC, UNTRANSFORMED)))


def key(counter=0):
    state = noise.current(keras.random.SeedGenerator(1))
    return noise.key(state, f"stream {counter}")


def test_these_are_what_a_large_kernel_uses():
    assert backend.fused.is_supported(posterior().untransformed_scale)


@pytest.mark.parametrize("p", [(0.0, 1.0), (0.5, 2.0)])
def test_divergence_and_its_gradients(p):
    loc, untransformed = (keras.Variable(values) for values in (LOC, UNTRANSFORMED))

    def divergence():
        q = distributions.SoftplusNormal(loc.value, untransformed.value)
        return distributions.kl_divergence(q, distributions.Normal(*p))

    x, (p_loc, p_scale) = UNTRANSFORMED.astype("float64"), p
    scale = EPS + np.logaddexp(0.0, x)
    r, d = scale / p_scale, (LOC.astype("float64") - p_loc) / p_scale
    expected = np.sum(0.5 * (r**2 + d**2 - 1) - np.log(r))
    np.testing.assert_allclose(numpy(divergence()), expected, rtol=1e-5)
    by_loc, by_untransformed = gradients(divergence, [loc, untransformed])
    np.testing.assert_allclose(by_loc, d / p_scale, rtol=1e-4, atol=1e-6)
    sigmoid = 1 / (1 + np.exp(-x))
    # Where r is close to 1 the derivative is a small difference of numbers of that size.
    np.testing.assert_allclose(
        by_untransformed, (r / p_scale - 1 / scale) * sigmoid, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("shape", [(257, 257), (263, 250), (256, 257), (3, 3, 64, 128)])
@pytest.mark.parametrize("untransformed", [(-200.0, 2.0), (1e4, 1e6)])
def test_divergence_of_any_number_of_weights(shape, untransformed):
    """However small or large scales are, and whatever number groups of weights leave over."""
    x = np.random.RandomState(2).uniform(*untransformed, shape).astype("float32")
    q = distributions.SoftplusNormal(*map(ops.convert_to_tensor, (np.zeros_like(x), x)))
    r = (EPS + np.logaddexp(0.0, x.astype("float64"))) / 0.1
    expected = np.sum(0.5 * (r**2 - 1) - np.log(r))
    found = numpy(distributions.kl_divergence(q, distributions.Normal(0.0, 0.1)))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_deviation_and_its_gradient():
    untransformed = keras.Variable(UNTRANSFORMED)

    def deviation():
        return backend.fused.draw_noise(untransformed.value, EPS, key())

    x = UNTRANSFORMED.astype("float64")
    e = numpy(deviation()) / (EPS + np.logaddexp(0.0, x))
    assert scipy.stats.kstest(e.ravel(), "norm").pvalue > 1e-4
    (slope,) = gradients(lambda: ops.sum(deviation()), [untransformed])
    np.testing.assert_allclose(slope, e / (1 + np.exp(-x)), rtol=1e-4, atol=1e-6)


def test_second_derivatives():
    """Each function stands for its formula as often as it is differentiated."""
    start = UNTRANSFORMED / 4

    def of_fused(x):
        q = distributions.SoftplusNormal(ops.convert_to_tensor(LOC), x)
        deviation = backend.fused.draw_noise(x, EPS, key())
        return distributions.kl_divergence(q, distributions.Normal(0.0, 2.0)) + ops.sum(deviation)

    e = numpy(backend.fused.draw_noise(ops.convert_to_tensor(start), EPS, key()))
    e = e / (EPS + np.logaddexp(0.0, start.astype("float64")))

    def of_formula(x):
        scale = EPS + ops.softplus(x)
        deviation = ops.sum(scale * ops.convert_to_tensor(e, "float32"))
        return ops.sum(0.5 * ops.square(scale / 2.0) - ops.log(scale)) + deviation

    found, expected = (second_derivative(function, start) for function in (of_fused, of_formula))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


def second_derivative(function, start):
    """Return the derivative of the squared length of the gradient: of what a penalty on it adds."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        x = tf.constant(start)
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                value = function(x)
            length = tf.reduce_sum(inner.gradient(value, x) ** 2)
        return outer.gradient(length, x).numpy()
    if BACKEND == "jax":
        import jax

        return np.asarray(jax.grad(lambda x: (jax.grad(function)(x) ** 2).sum())(start))
    import torch

    x = torch.tensor(start, requires_grad=True)
    (gradient,) = torch.autograd.grad(function(x), x, create_graph=True)
    (second,) = torch.autograd.grad((gradient**2).sum(), x)
    return second.numpy()


def test_normals_at_ten_million_draws():
    shape = (2500, 4000)
    untransformed = ops.full(shape, math.log(math.e - 1))  # the scale is 1
    e = numpy(backend.fused.draw_noise(untransformed, 0.0, key())).ravel()
    assert scipy.stats.kstest(e, "norm").pvalue > 1e-4
    for bound in (2.0, 3.0, 4.0, 5.0):
        expected = e.size * scipy.stats.norm.sf(bound)
        for tail in (np.sum(e > bound), np.sum(e < -bound)):
            assert abs(tail - expected) < BOUND * math.sqrt(expected)
    # Neighbours, the two of a pair of Box and Muller, and their squares are uncorrelated.
    for lag in (1, 2, 4000, e.size // 2):
        for power in (1, 2):
            x = e[lag:] ** power, e[:-lag] ** power
            assert abs(np.corrcoef(*x)[0, 1]) < BOUND / math.sqrt(e.size - lag)


@pytest.mark.parametrize(
    ("key", "counts", "expected"),
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((2**32 - 1, 2**32 - 1), (2**32 - 1, 2**32 - 1), (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_words_are_those_of_threefry(key, counts, expected):
    """The known answers that the authors of the generator publish with it."""

    def rotate_left(x, places):
        return x << np.uint32(places) | x >> np.uint32(32 - places)

    key, counts = ([np.array([word], "uint32") for word in words] for words in (key, counts))
    words = xla.threefry(key, counts, rotate_left)
    assert tuple(int(word[0]) for word in words) == expected


def test_streams_and_counters_are_independent():
    draws = [
        numpy(backend.fused.draw_noise(posterior().untransformed_scale, EPS, key(counter))).ravel()
        for counter in range(4)
    ]
    correlations = np.corrcoef([np.sign(each) for each in draws])[np.triu_indices(4, 1)]
    assert np.abs(correlations).max() < BOUND / math.sqrt(draws[0].size)


def test_a_user_s_own_draw_of_a_large_kernel_is_the_layer_s():
    def layer(**arguments):
        made = layer_api.layer_dense_reparameterization(units=SHAPE[1], seed=1, **arguments)
        made.build((None, SHAPE[0]))
        return made

    x = RANDOM.normal(size=(4, SHAPE[0])).astype("float32")
    one, other = layer(), layer(kernel_posterior_tensor_fn=backend.distributions.sample)
    np.testing.assert_allclose(numpy(one(x)), numpy(other(x)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("estimator", ["flipout", "reparameterization"])
def test_a_large_layer_draws_alike_in_a_graph_and_without_one(estimator):
    def layer():
        made = getattr(layer_api, f"layer_dense_{estimator}")(units=SHAPE[1], seed=1)
        made.build((None, SHAPE[0]))
        return made

    x = RANDOM.normal(size=(4, SHAPE[0])).astype("float32")
    one, other = layer(), layer()
    call = compiled(other) if BACKEND == "tensorflow" else other
    for _ in range(2):
        np.testing.assert_allclose(numpy(one(x)), numpy(call(x)), rtol=1e-4, atol=1e-4)
