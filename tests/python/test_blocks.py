"""The named priors and divergences: their mathematics, and what of them cannot be.

Tolerances of estimates are 5 standard errors, see `test_statistics.py`.
"""

import json
import math
import subprocess
import sys

import keras
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from framework import (
    BACKEND,
    float64,
    gradients,
    library_kl_divergence,
    logistic,
    loss_of_a_call,
    losses_of,
    many,
    numpy,
)
from keras import ops
from layers import IS_FULL

import layer_api
from layer_api import backend, noise
from layer_api.weights import distributions, divergences, priors

BOUND = 5.0  # standard errors
N = 2000  # estimates

LOC = np.array([[0.3, -0.2], [0.1, 1.4], [0.0, -0.5]], "float32")
UNTRANSFORMED = np.array([[-1.0, 0.0], [1.0, -2.0], [0.5, -0.5]], "float32")
SCALE = np.finfo("float32").eps + np.log1p(np.exp(UNTRANSFORMED.astype("float64")))


def built(**arguments):
    layer = layer_api.layer_dense_flipout(units=2, **{"seed": 1, **arguments})
    layer.build((None, 3))
    layer.set_weights([LOC, UNTRANSFORMED, *layer.get_weights()[2:]])
    return layer


def log_mixture(w, pi, sigma1, sigma2):
    terms = [scipy.stats.norm.logpdf(w, scale=s) for s in (sigma1, sigma2)]
    return np.logaddexp(np.log(pi) + terms[0], np.log1p(-pi) + terms[1])


# Priors without a closed form, and the logarithm of their density.
NO_CLOSED_FORM = {
    "laplace": (layer_api.LaplacePrior(), scipy.stats.laplace.logpdf),
    "laplace moved": (
        layer_api.LaplacePrior(0.5, 2.0),
        lambda w: scipy.stats.laplace.logpdf(w, 0.5, 2.0),
    ),
    "mixture": (layer_api.ScaleMixturePrior(), lambda w: log_mixture(w, 0.5, 1.0, 0.0025)),
    "mixture, narrow one first": (
        layer_api.ScaleMixturePrior(0.25, 0.3, 2.0),
        lambda w: log_mixture(w, 0.25, 0.3, 2.0),
    ),
    "mixture of equals": (
        layer_api.ScaleMixturePrior(0.25, 2.0, 2.0),
        lambda w: scipy.stats.norm.logpdf(w, scale=2.0),
    ),
}
no_closed_form = pytest.mark.parametrize(
    ("prior", "logpdf"), NO_CLOSED_FORM.values(), ids=NO_CLOSED_FORM
)
NORMALS = {
    "standard": (layer_api.StandardNormal(), 0.0, 1.0),
    "normal": (layer_api.NormalPrior(), 0.0, 1.0),
    "moved": (layer_api.NormalPrior(0.5, 0.1), 0.5, 0.1),
    "first of a mixture": (layer_api.ScaleMixturePrior(1, 2.0, 0.1), 0.0, 2.0),
    "second of a mixture": (layer_api.ScaleMixturePrior(0, 2.0, 0.1), 0.0, 0.1),
    "trainable": (layer_api.TrainableNormal(), 0.0, 1.0),
    "trainable, moved": (
        layer_api.TrainableNormal(keras.initializers.Constant(2.0), "zeros"),
        2.0,
        math.log(2.0),
    ),
}
normals = pytest.mark.parametrize(("prior", "loc", "scale"), NORMALS.values(), ids=NORMALS)


def quadrature(logpdf):
    """KL(N(LOC, SCALE) || prior), summed: entropy, and E log p by Simpson's rule."""
    z = np.linspace(-12, 12, 400_001)[:, None]
    loc, scale = LOC.astype("float64").ravel(), SCALE.ravel()
    expected = scipy.integrate.simpson(
        scipy.stats.norm.pdf(z) * logpdf(loc + scale * z), x=z, axis=0
    )
    return np.sum(-0.5 * np.log(2 * np.pi * np.e * scale**2) - expected)


def estimates(prior, logpdf, n_samples, n):
    """Return n estimates of the divergence, and the truth."""
    layer = built(
        kernel_prior_fn=prior, kernel_divergence_fn=layer_api.MonteCarloKL(n_samples=n_samples)
    )
    x = np.zeros((1, 3), "float32")
    return many(lambda: loss_of_a_call(layer, x), n, layer), quadrature(logpdf)


class TestDivergence:
    @normals
    def test_closed_form(self, prior, loc, scale):
        layer = built(kernel_prior_fn=prior)
        expected = np.sum(
            np.log(scale / SCALE) + (SCALE**2 + (LOC - loc) ** 2) / (2 * scale**2) - 0.5
        )
        np.testing.assert_allclose(losses_of(layer), [expected], rtol=1e-5)
        of_library = numpy(library_kl_divergence(layer.kernel_posterior, layer.kernel_prior))
        np.testing.assert_allclose(losses_of(layer), [of_library], rtol=1e-5)

    @no_closed_form
    def test_density_is_that_of_the_library(self, prior, logpdf):
        layer = built(kernel_prior_fn=prior)
        w = np.linspace(-3, 3, 6, dtype="float32").reshape(3, 2)
        expected = logpdf(w)
        w = ops.convert_to_tensor(w)
        of_library = layer.kernel_prior.log_prob(w)
        np.testing.assert_allclose(numpy(of_library), expected.sum(), rtol=1e-5)
        ours = distributions.log_prob(prior.parametrize(), w)
        np.testing.assert_allclose(numpy(ours), expected, rtol=1e-5, atol=1e-6)

    @no_closed_form
    def test_one_draw_is_unbiased(self, prior, logpdf):
        draws, truth = estimates(prior, logpdf, 1, N)
        assert abs(draws.mean() - truth) < BOUND * draws.std() / math.sqrt(N)

    def test_variance_falls_like_one_over_n(self):
        one, truth = estimates(*NO_CLOSED_FORM["laplace"], 1, N)
        twenty, _ = estimates(*NO_CLOSED_FORM["laplace"], 20, N)
        assert abs(twenty.mean() - truth) < BOUND * twenty.std() / math.sqrt(N)
        # The variance of a sample variance is (kurtosis - 1) / N times its square.
        error = math.sqrt(
            sum((scipy.stats.kurtosis(x, fisher=False) - 1) / N for x in (one, twenty))
        )
        assert abs(20 * twenty.var() / one.var() - 1) < BOUND * error

    @normals
    def test_estimate_of_what_has_a_closed_form(self, prior, loc, scale):
        n = 100_000
        layer = built(kernel_prior_fn=prior, kernel_divergence_fn=layer_api.MonteCarloKL(n))
        (expected,) = losses_of(built(kernel_prior_fn=prior))
        # An element's term is a e^2 + b e + c, of variance 2 a^2 + b^2.
        a = (SCALE / scale) ** 2 / 2 - 0.5
        b = SCALE * (LOC - loc) / scale**2
        error = math.sqrt(np.sum(2 * a**2 + b**2) / n)
        assert abs(losses_of(layer)[0] - expected) < BOUND * error + 1e-5 * abs(expected)

    def test_gradient_is_unbiased(self):
        """Under a Laplace prior: d/dloc E|w| = 1 - 2 Phi(-loc / scale)."""
        n = 200_000
        layer = built(
            kernel_prior_fn="laplace", kernel_divergence_fn=layer_api.MonteCarloKL(n_samples=n)
        )
        (gradient,) = gradients(lambda: layer.losses[0], layer.weights[:1])
        expected = 1 - 2 * scipy.stats.norm.cdf(-LOC / SCALE)
        assert np.abs(gradient - expected).max() < BOUND / math.sqrt(n)

    def test_tensor_fn_mean_leaves_it_unbiased(self):
        layer = built(kernel_prior_fn="laplace")
        with_mean = built(kernel_prior_fn="laplace", kernel_posterior_tensor_fn="mean")
        assert losses_of(with_mean) == losses_of(layer)

    @no_closed_form
    def test_point_estimate_pays_the_density(self, prior, logpdf):
        layer = built(kernel_prior_fn=None, bias_prior_fn=prior)
        expected = -logpdf(layer.get_weights()[2].astype("float64")).sum()
        np.testing.assert_allclose(losses_of(layer), [expected], rtol=1e-5)

    @pytest.mark.parametrize("name", ["kl_divergence", "monte_carlo"])
    def test_weight(self, name):
        block = divergences.NAMED[name]
        one, other = (
            built(kernel_prior_fn="laplace", kernel_divergence_fn=fn)
            for fn in (name, block(weight=0.25))
        )
        assert 0.25 * losses_of(one)[0] == pytest.approx(losses_of(other)[0], rel=1e-6)

    @pytest.mark.parametrize("prior", priors.NAMED)
    @pytest.mark.parametrize("divergence", divergences.NAMED)
    def test_any_scale_gives_no_nan(self, prior, divergence):
        layer = built(kernel_prior_fn=prior, kernel_divergence_fn=divergence)
        extreme = np.array([-3.4e38, -1e3, -90.0, 90.0, 1e18, 3.4e38], "float32").reshape(3, 2)
        layer.set_weights([LOC, extreme, *layer.get_weights()[2:]])
        assert not np.isnan(losses_of(layer)).any()
        for gradient in gradients(lambda: layer.losses[0], layer.trainable_weights):
            assert not np.isnan(gradient).any()

    def test_called_with_the_library_s_distributions(self):
        # No library knows the divergence from a mixture.
        prior, logpdf = NO_CLOSED_FORM["mixture, narrow one first"]
        layer = built(kernel_prior_fn=prior)
        q, p = layer.kernel_posterior, layer.kernel_prior

        def log_ratio(sample):
            return numpy(q.log_prob(sample) - p.log_prob(sample))

        sample = backend.distributions.sample(q, seed=1)
        for block in (layer_api.KLDivergence(2.0), layer_api.MonteCarloKL(weight=2.0)):
            found = numpy(block(q, p, sample))
            np.testing.assert_allclose(found, 2 * log_ratio(sample), rtol=1e-5)
        n = 20_000
        keras.utils.set_random_seed(1)
        estimate = numpy(layer_api.MonteCarloKL(n)(q, p))
        spread = np.std(log_ratio(backend.distributions.sample(q, n, seed=2))) / math.sqrt(n)
        assert abs(estimate - quadrature(logpdf)) < BOUND * spread

    def test_of_a_user_s_posterior_without_a_closed_form(self):
        def posterior(dtype, shape, name, trainable, add_variable_fn):
            loc = add_variable_fn(
                name=name, shape=shape, dtype=dtype, initializer="zeros", trainable=trainable
            )
            return logistic(loc, 0.5)

        n = 50_000
        layer = layer_api.layer_dense_reparameterization(
            units=2,
            seed=1,
            kernel_posterior_fn=posterior,
            kernel_divergence_fn=layer_api.MonteCarloKL(n),
        )
        layer.build((None, 3))
        expected = scipy.stats.logistic(scale=0.5)

        def moment(power):
            return expected.expect(
                lambda w: (expected.logpdf(w) - scipy.stats.norm.logpdf(w)) ** power
            )

        error = math.sqrt(6 * (moment(2) - moment(1) ** 2) / n)
        assert abs(losses_of(layer)[0] - 6 * moment(1)) < BOUND * error


NAMES = {
    "he_normal": lambda fan_in, _: 2 / fan_in,
    "lecun_normal": lambda fan_in, _: 1 / fan_in,
    "glorot_normal": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
}
# A layer with a prior, the shape of its inputs, and how many inputs and outputs are connected.
FANS = {
    "dense": (lambda p: layer_api.DenseFlipout(5, kernel_prior_fn=p), (7,), (7, 5)),
    "conv 1d": (lambda p: layer_api.Conv1DFlipout(5, 3, kernel_prior_fn=p), (9, 4), (12, 15)),
    "conv 2d": (
        lambda p: layer_api.Conv2DReparameterization(5, (3, 2), kernel_prior_fn=p),
        (9, 9, 4),
        (24, 30),
    ),
    "conv 3d": (lambda p: layer_api.Conv3DFlipout(5, 2, kernel_prior_fn=p), (4, 4, 4, 3), (24, 40)),
    "channels first": (
        lambda p: layer_api.Conv1DFlipout(5, 3, data_format="channels_first", kernel_prior_fn=p),
        (4, 9),
        (12, 15),
    ),
    "depthwise": (
        lambda p: layer_api.DepthwiseConv2DFlipout(3, depth_multiplier=2, kernel_prior_fn=p),
        (9, 9, 4),
        (9, 18),
    ),
    "embedding": (
        lambda p: layer_api.EmbeddingReparameterization(100, 5, embeddings_prior_fn=p),
        (),
        (1, 5),
    ),
}


class TestScaleByName:
    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize(("make", "inputs", "fans"), FANS.values(), ids=FANS)
    def test_follows_the_fans(self, make, inputs, fans, name):
        named, number = (
            make(layer_api.NormalPrior(0.5, scale)) for scale in (name, NAMES[name](*fans) ** 0.5)
        )
        for layer in (named, number):
            layer.build((None, *inputs))
        number.set_weights(named.get_weights())
        assert losses_of(named) == losses_of(number)
        (weight, *_) = named._weights_by_name.values()
        assert weight.function(f"{weight.name}_prior_fn").scale == name

    @pytest.mark.parametrize("shape", [(70, 50), (3, 40, 50), (3, 2, 20, 30), (2, 2, 2, 20, 30)])
    @pytest.mark.parametrize("name", NAMES)
    def test_is_that_of_keras_s_initializer(self, name, shape):
        prior = layer_api.NormalPrior(scale=name).parametrize("float32", shape, "kernel_prior")
        config = {"class_name": name, "config": {"seed": 1}}
        values = numpy(keras.initializers.get(config)(shape))
        assert np.std(values) == pytest.approx(prior.scale, rel=BOUND / math.sqrt(2 * values.size))

    def test_the_divergence_is_the_fused_one(self, monkeypatch):
        scales = []

        def divergence(*arguments):
            scales.append(arguments[-1])
            return ops.zeros(())

        monkeypatch.setattr(backend.fused, "kl_divergence", divergence)
        layer = layer_api.layer_dense_flipout(
            units=256, kernel_prior_fn=layer_api.NormalPrior(scale="he_normal")
        )
        layer.build((None, 512))
        assert losses_of(layer) == [0.0]
        assert scales[-1] == 1 / 16

    def test_of_a_function_that_calls_it(self):
        def prior(*described):
            return layer_api.NormalPrior(scale="he_normal")(*described)

        one, other = (
            built(kernel_prior_fn=fn) for fn in (prior, layer_api.NormalPrior(scale="he_normal"))
        )
        np.testing.assert_allclose(losses_of(one), losses_of(other), rtol=1e-6)

    def test_a_vector_has_no_fans(self):
        prior = layer_api.NormalPrior(scale="he_normal")
        layer = layer_api.DenseFlipout(2, bias_prior_fn=prior)
        with pytest.raises(ValueError, match=r"'he_normal' for bias_prior, of shape \[2\]"):
            layer.build((None, 3))
        assert layer.weights == []
        layer = layer_api.DenseVariational(2, make_prior_fn=prior)
        with pytest.raises(ValueError, match=r"'he_normal' for prior, of shape \[8\]"):
            layer.build((None, 3))
        assert layer.weights == []

    def test_survives_saving(self, tmp_path):
        prior = layer_api.NormalPrior(scale="he_normal")
        model = keras.Sequential([keras.Input((3,)), built(kernel_prior_fn=prior)])
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
        assert repr(loaded.layers[0].kernel_prior_fn) == "NormalPrior(scale='he_normal')"
        assert losses_of(loaded) == losses_of(model)


class TestScaleAtTheStart:
    @pytest.mark.parametrize("scale", [1e-6, 1e-4, 0.01, 1.0, 100.0])
    @pytest.mark.parametrize("shape", [(3, 2), (300, 256)])
    def test_every_standard_deviation_is_it(self, shape, scale):
        layer = layer_api.layer_dense_reparameterization(
            units=shape[1], kernel_posterior_fn=layer_api.MeanFieldNormal(scale=scale), seed=1
        )
        layer.build((None, shape[0]))
        found = numpy(backend.distributions.stddev(layer.kernel_posterior))
        np.testing.assert_allclose(found, np.full(shape, scale), rtol=1e-5)
        # Of the draws as well, which the backend computes at once where a kernel is large.
        layer.set_weights([np.zeros(shape), *layer.get_weights()[1:2], np.zeros(shape[1])])
        draw = numpy(layer.kernel.draw(noise.current(layer.seed_generator)))
        assert np.std(draw) == pytest.approx(scale, rel=BOUND / math.sqrt(2 * draw.size))

    def test_of_a_full_covariance_and_of_a_prior(self):
        layer = layer_api.DenseVariational(
            1, layer_api.MultivariateNormalTriL(scale=0.25), layer_api.TrainableNormal(scale=0.5)
        )
        layer.build((None, 3))
        scale_tril = layer.joint.distribution("posterior").scale_tril
        np.testing.assert_allclose(numpy(scale_tril), 0.25 * np.eye(4), rtol=1e-6)
        np.testing.assert_allclose(numpy(layer.joint.distribution("prior").scale), 0.5, rtol=1e-6)

    @pytest.mark.parametrize(("dtype", "scale"), [("float16", 2e-3), ("bfloat16", 0.05)])
    def test_in_half_precision(self, dtype, scale):
        layer = layer_api.DenseFlipout(
            2, kernel_posterior_fn=layer_api.MeanFieldNormal(scale=scale), dtype=dtype
        )
        layer.build((None, 3))
        found = numpy(ops.cast(layer.kernel.posterior.scale, "float32"))
        np.testing.assert_allclose(found, np.full((3, 2), scale), rtol=0.03)

    @pytest.mark.parametrize(("dtype", "least"), [("float32", "1.19e-07"), ("float16", "0.000977")])
    def test_what_the_dtype_cannot_hold(self, dtype, least):
        layer = layer_api.DenseFlipout(
            2, kernel_posterior_fn=layer_api.MeanFieldNormal(scale=1e-7), dtype=dtype
        )
        with pytest.raises(ValueError, match=f"must be above {least} for weights of {dtype}"):
            layer.build((None, 3))
        assert layer.weights == []

    def test_shown(self):
        assert repr(layer_api.MeanFieldNormal(scale=0.01)) == "MeanFieldNormal(scale=0.01)"
        block = layer_api.MultivariateNormalTriL(scale=1)
        assert repr(block) == "MultivariateNormalTriL(scale=1.0)"


# A layer of ours with a posterior, one of Keras with an initializer, and the shape of their inputs.
OF_KERAS = {
    "dense": (
        lambda p: layer_api.DenseFlipout(5, kernel_posterior_fn=p),
        lambda i: keras.layers.Dense(5, kernel_initializer=i),
        (None, 7),
    ),
    "conv 1d": (
        lambda p: layer_api.Conv1DFlipout(5, 3, kernel_posterior_fn=p),
        lambda i: keras.layers.Conv1D(5, 3, kernel_initializer=i),
        (None, 9, 4),
    ),
    "conv 2d": (
        lambda p: layer_api.Conv2DFlipout(5, 3, kernel_posterior_fn=p),
        lambda i: keras.layers.Conv2D(5, 3, kernel_initializer=i),
        (None, 9, 9, 4),
    ),
    "conv 3d": (
        lambda p: layer_api.Conv3DFlipout(5, 2, kernel_posterior_fn=p),
        lambda i: keras.layers.Conv3D(5, 2, kernel_initializer=i),
        (None, 4, 4, 4, 3),
    ),
    "depthwise": (
        lambda p: layer_api.DepthwiseConv2DFlipout(3, kernel_posterior_fn=p),
        lambda i: keras.layers.DepthwiseConv2D(3, depthwise_initializer=i),
        (None, 9, 9, 4),
    ),
    "embedding": (
        lambda p: layer_api.EmbeddingReparameterization(9, 5, embeddings_posterior_fn=p),
        lambda i: keras.layers.Embedding(9, 5, embeddings_initializer=i),
        (None,),
    ),
}


@pytest.mark.parametrize(("ours", "of_keras", "inputs"), OF_KERAS.values(), ids=OF_KERAS)
def test_means_start_as_a_kernel_of_keras(ours, of_keras, inputs):
    initializer = keras.initializers.HeNormal(seed=1)
    ours = ours(layer_api.MeanFieldNormal(loc_initializer=initializer, scale=0.01))
    of_keras = of_keras(initializer)
    for layer in (ours, of_keras):
        layer.build(inputs)
    np.testing.assert_array_equal(ours.get_weights()[0], of_keras.get_weights()[0])


class TestTrainable:
    def test_weights(self):
        layer = built(kernel_prior_fn="trainable_normal")
        added = [(w.name, tuple(w.shape)) for w in layer.weights if "prior" in w.name]
        assert added == [("kernel_prior_loc", ()), ("kernel_prior_untransformed_scale", ())]
        assert len(layer.trainable_weights) == 5

    def test_frozen(self):
        layer = built(kernel_prior_fn="trainable_normal", trainable=False)
        assert layer.trainable_weights == []

    def test_training_finds_the_empirical_bayes_solution(self):
        """Minimize sum(log t + (s^2 + (m - u)^2) / (2 t^2)) over u and t.

        d/du = 0: u = mean(m).  d/dt = 0: n / t = sum(s^2 + (m - u)^2) / t^3, so
        t^2 = mean(s^2 + (m - u)^2).
        """
        layer = built(kernel_prior_fn="trainable_normal")
        for weight in layer.weights:
            weight.trainable = "prior" in weight.name
        model = keras.Sequential([keras.Input((3,)), layer])
        # At a rate that does not fall, Adam goes on jumping about the solution.
        optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.05, 1000))
        model.compile(optimizer=optimizer, loss=lambda _, outputs: 0.0 * outputs)
        model.fit(np.zeros((1000, 3)), np.zeros((1000, 2)), batch_size=1, verbose=0)
        loc = LOC.mean()
        scale = np.sqrt(np.mean(SCALE**2 + (LOC - loc) ** 2))
        prior = distributions.from_library(layer.kernel_prior)
        np.testing.assert_allclose(numpy(prior.loc), np.full((3, 2), loc), atol=1e-4)
        np.testing.assert_allclose(numpy(prior.scale), np.full((3, 2), scale), rtol=1e-4)

    def test_regularizer_and_constraint(self):
        layer = built(
            kernel_prior_fn=layer_api.TrainableNormal(
                loc_initializer="ones", loc_regularizer="l2", loc_constraint="non_neg"
            )
        )
        (loc,) = (w for w in layer.weights if w.name == "kernel_prior_loc")
        assert losses_of(layer)[-1] == pytest.approx(0.01, rel=1e-6)
        assert isinstance(loc.constraint, keras.constraints.NonNeg)


DTYPES = [("float16", True), ("float64", False), ("bfloat16", False), ("mixed_float16", False)]
if BACKEND == "jax" and not IS_FULL:  # which compiles for half a minute
    DTYPES = DTYPES[:2]


@pytest.mark.parametrize(("policy", "xla"), DTYPES)
@float64()
def test_dtypes(policy, xla):
    """All train in each dtype, under XLA, too, and a user's divergence sees one dtype."""
    received = []

    def divergence(q, p, sample):
        tensors = (backend.distributions.mean(q), backend.distributions.mean(p), sample)
        received.append([keras.backend.standardize_dtype(tensor.dtype) for tensor in tensors])
        return ops.sum(q.log_prob(sample) - p.log_prob(sample))

    inputs = keras.Input((3,))
    functions = "kl_divergence", layer_api.MonteCarloKL(3), divergence
    variants = [
        layer_api.layer_dense_flipout(
            units=2, dtype=policy, kernel_prior_fn=prior, kernel_divergence_fn=fn
        )
        for i, prior in enumerate(priors.NAMED)
        # Each prior with one of them in turn: a layer takes seconds to compile.
        for fn in (functions if IS_FULL else [functions[i % 3]])
    ]
    model = keras.Model(inputs, [layer(inputs) for layer in variants])
    is_compiled = {"tensorflow": xla, "jax": True, "torch": False}[BACKEND]
    model.compile(
        optimizer=keras.optimizers.SGD(1e-3),
        loss=["mse"] * len(variants),
        jit_compile=is_compiled,
        run_eagerly=not is_compiled,  # a graph of this many layers takes half a minute to make
    )
    before = [layer.get_weights()[0] for layer in variants]
    x = np.ones((4, 3), "float32")
    history = model.fit(x, [x[:, :2]] * len(variants), verbose=0).history
    assert np.isfinite(history["loss"]).all()
    for layer, kernel in zip(variants, before, strict=True):
        assert (layer.get_weights()[0] != kernel).any()
        for value in layer.get_weights():
            assert np.isfinite(value.astype("float64")).all()
    assert received
    assert all(len(set(dtypes)) == 1 for dtypes in received)


@pytest.mark.parametrize("prior", priors.NAMED)
def test_a_user_s_divergence_in_float16_has_finite_gradients(prior):
    """torch's own density of a narrow normal overflows in 16 bits for one draw of three."""
    layer = layer_api.layer_dense_flipout(
        units=2,
        dtype="float16",
        kernel_prior_fn=prior,
        kernel_divergence_fn=lambda q, p, sample: ops.sum(q.log_prob(sample) - p.log_prob(sample)),
        seed=1,
    )
    layer.build((None, 3))
    for _ in range(30):
        layer(np.ones((1, 3), "float16"))
        for each in gradients(lambda: layer.losses[0], layer.trainable_variables[:2]):
            assert np.isfinite(numpy(each).astype("float64")).all()


def test_a_sum_in_float16_does_not_overflow():
    layer = layer_api.layer_dense_flipout(units=300, dtype="float16", kernel_prior_fn="laplace")
    layer.build((None, 300))
    assert np.isfinite(losses_of(layer)[0])  # 90000 terms of about 3


def test_named_blocks_need_no_probability_library():
    program = """
import sys, keras, layer_api
from layer_api.weights import priors, divergences
for prior in priors.NAMED:
    for divergence in divergences.NAMED:
        layer = layer_api.layer_dense_flipout(
            units=1, kernel_prior_fn=prior, kernel_divergence_fn=divergence
        )
        layer.build((None, 1))
        layer.losses
assert not {"tensorflow_probability", "numpyro"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


BLOCKS = [
    layer_api.NormalPrior(0.5, 2.0),
    layer_api.LaplacePrior(0.5, 2.0),
    layer_api.ScaleMixturePrior(0.25, 2.0, 0.5),
    layer_api.TrainableNormal("ones", loc_regularizer="l2"),
    layer_api.MonteCarloKL(3, 0.5),
]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: type(block).__name__)
def test_config(block):
    saved = json.loads(json.dumps(keras.saving.serialize_keras_object(block)))
    assert saved["registered_name"] == f"layer_api>{type(block).__name__}"
    again = keras.saving.deserialize_keras_object(saved, safe_mode=True)
    assert type(again) is type(block)
    assert again.get_config() == block.get_config()
    assert again.get_config() != (type(block)()).get_config()


@keras.saving.register_keras_serializable("my_package")
class Narrow:
    """The block that the documentation of the layers shows: no base class, no `from_config`."""

    def __init__(self, scale):
        self.scale = scale

    def __call__(self, dtype, shape, name, trainable, add_variable_fn):
        normal = layer_api.NormalPrior(scale=self.scale)
        return normal(dtype, shape, name, trainable, add_variable_fn)

    def get_config(self):
        return {"scale": self.scale}


def test_a_block_of_the_user_s_own(tmp_path):
    layer = built(kernel_prior_fn=Narrow(0.25))
    expected = built(kernel_prior_fn=layer_api.NormalPrior(scale=0.25))
    np.testing.assert_allclose(losses_of(layer), losses_of(expected), rtol=1e-6)
    model = keras.Sequential([keras.Input((3,)), layer])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert loaded.layers[0].kernel_prior_fn.scale == 0.25
    assert losses_of(loaded) == losses_of(model)


def test_backend_s_mixture_has_the_moments_of_both():
    mixture = backend.distributions.normal_mixture_distribution(
        (0.25, 0.75), ops.zeros((2, 3)), (2.0, 0.5)
    )
    variance = numpy(backend.distributions.stddev(mixture)) ** 2
    np.testing.assert_allclose(variance, np.full((2, 3), 0.25 * 4 + 0.75 * 0.25), rtol=1e-6)
