"""Likelihoods: their densities are SciPy's, as losses of Keras and beside them."""

import itertools
import json
import math

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
from framework import float64, jacobian, numpy
from keras import ops

import layer_api
from layer_api.answers import likelihoods

BOUND = 5.0  # standard errors
FLOOR = 1e-5
RNG = np.random.default_rng(20180312)


def softplus(x):
    return FLOOR + np.logaddexp(x, 0)


class Known:
    """What SciPy says of a likelihood: its distribution for float64 outputs, and possible y."""

    def __init__(self, make, blocks, distribution, y, extreme=(-1e4, 0.0, 1e4)):
        self.make = make
        self.blocks = blocks
        self.distribution = distribution
        self.y = y
        self.extreme = extreme

    def outputs(self, rows=6, units=1):
        """Outputs that float32 holds, too."""
        drawn = np.random.default_rng(1).normal(size=(rows, self.blocks * units))
        return drawn.astype("float32").astype("float64")

    def observed(self, rows=6, units=1):
        size = (rows, units)
        return np.asarray(self.y(np.random.default_rng(2), size), "float32").astype("float64")

    def log_prob(self, y, outputs):
        """Return the density of every number; y has an axis of units."""
        found = self.distribution(*np.split(outputs, self.blocks, axis=-1))
        return (found.logpdf if hasattr(found.dist, "pdf") else found.logpmf)(y)


def real(rng, size):
    return rng.normal(size=size)


def positive(rng, size):
    return rng.gamma(2.0, size=size)


def counts(rng, size):
    return rng.poisson(3.0, size)


def gamma(log_mean, concentration):
    return scipy.stats.gamma(concentration, scale=np.exp(log_mean) / concentration)


def beta(logit, c):
    return scipy.stats.beta(scipy.special.expit(logit) * c, scipy.special.expit(-logit) * c)


def negative_binomial(log_mean, n):
    return scipy.stats.nbinom(n, n / (n + np.exp(log_mean)))


def log_normal(loc, scale):
    return scipy.stats.lognorm(scale, scale=np.exp(loc))


ABOVE_0 = (1e-4, 1.0, 1e4)
COUNTS = (0.0, 1.0, 1e4)
KNOWN = {
    "normal": Known(
        layer_api.NormalLikelihood,
        2,
        lambda loc, u: scipy.stats.norm(loc, softplus(u)),
        real,
    ),
    "normal, scale given": Known(
        lambda **kw: layer_api.NormalLikelihood(scale=0.5, **kw),
        1,
        lambda loc: scipy.stats.norm(loc, 0.5),
        real,
    ),
    "student_t": Known(
        layer_api.StudentTLikelihood,
        2,
        lambda loc, u: scipy.stats.t(4.0, loc, softplus(u)),
        real,
    ),
    "student_t, df learned": Known(
        lambda **kw: layer_api.StudentTLikelihood(df=None, **kw),
        3,
        lambda loc, u, v: scipy.stats.t(2 + softplus(v), loc, softplus(u)),
        real,
    ),
    "student_t, df alone learned": Known(
        lambda **kw: layer_api.StudentTLikelihood(df=None, scale=2, **kw),
        2,
        lambda loc, v: scipy.stats.t(2 + softplus(v), loc, 2.0),
        real,
    ),
    "laplace": Known(
        layer_api.LaplaceLikelihood,
        2,
        lambda loc, u: scipy.stats.laplace(loc, softplus(u)),
        real,
    ),
    "log_normal": Known(
        layer_api.LogNormalLikelihood,
        2,
        lambda loc, u: log_normal(loc, softplus(u)),
        positive,
        ABOVE_0,
    ),
    "log_normal, scale given": Known(
        lambda **kw: layer_api.LogNormalLikelihood(scale=0.5, **kw),
        1,
        lambda loc: log_normal(loc, 0.5),
        positive,
        ABOVE_0,
    ),
    "gamma": Known(
        layer_api.GammaLikelihood, 2, lambda m, u: gamma(m, softplus(u)), positive, ABOVE_0
    ),
    "gamma, concentration given": Known(
        lambda **kw: layer_api.GammaLikelihood(concentration=20.0, **kw),
        1,
        lambda m: gamma(m, 20.0),
        positive,
        ABOVE_0,
    ),
    "beta": Known(
        layer_api.BetaLikelihood,
        2,
        lambda m, u: beta(m, softplus(u)),
        lambda rng, size: rng.uniform(0.05, 0.95, size),
        (1e-4, 0.5, 0.999),
    ),
    "beta, concentration given": Known(
        lambda **kw: layer_api.BetaLikelihood(concentration=30.0, **kw),
        1,
        lambda m: beta(m, 30.0),
        lambda rng, size: rng.uniform(0.05, 0.95, size),
        (1e-4, 0.5, 0.999),
    ),
    "bernoulli": Known(
        layer_api.BernoulliLikelihood,
        1,
        lambda logit: scipy.stats.bernoulli(scipy.special.expit(logit)),
        lambda rng, size: rng.integers(0, 2, size),
        (0.0, 1.0),
    ),
    "poisson": Known(
        layer_api.PoissonLikelihood,
        1,
        lambda log_rate: scipy.stats.poisson(np.exp(log_rate)),
        counts,
        COUNTS,
    ),
    "negative_binomial": Known(
        layer_api.NegativeBinomialLikelihood,
        2,
        lambda m, u: negative_binomial(m, softplus(u)),
        counts,
        COUNTS,
    ),
    "negative_binomial, total_count given": Known(
        lambda **kw: layer_api.NegativeBinomialLikelihood(total_count=30.0, **kw),
        1,
        lambda m: negative_binomial(m, 30.0),
        counts,
        COUNTS,
    ),
}
every_known = pytest.mark.parametrize("known", KNOWN.values(), ids=KNOWN)

MAKERS = {
    **{name: known.make for name, known in KNOWN.items()},
    "bernoulli of probabilities": lambda **kw: layer_api.BernoulliLikelihood(False, **kw),
    "categorical": layer_api.CategoricalLikelihood,
    "categorical of probabilities": lambda **kw: layer_api.CategoricalLikelihood(False, **kw),
    "normal_mixture": lambda **kw: layer_api.NormalMixtureLikelihood(components=3, **kw),
}
every_likelihood = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
# One of each class, for what takes long.
every_class = pytest.mark.parametrize(
    "make", [MAKERS[name] for name in likelihoods.NAMED], ids=likelihoods.NAMED
)


def some_of(likelihood, *lead, units=2, dtype="float32", seed=3):
    """Return outputs for a likelihood, and observations that it can produce."""
    rng = np.random.default_rng(seed)
    size = 3 if isinstance(likelihood, layer_api.CategoricalLikelihood) else units
    outputs = rng.normal(size=(*lead, likelihood.params_size(size))).astype(dtype)
    if not getattr(likelihood, "from_logits", True):
        outputs = scipy.special.expit(outputs).astype(dtype)
    y = numpy(likelihood.sample(outputs, seed=1))
    return outputs, np.clip(y, 1e-3, 0.999) if isinstance(
        likelihood, likelihoods.BetaLikelihood
    ) else y


def mixture_terms(outputs, components, units):
    """Return log weights, locations and scales of a mixture, in NumPy."""
    weights = scipy.special.log_softmax(outputs[..., :components], axis=-1)
    rest = outputs[..., components:].reshape(*outputs.shape[:-1], components, 2 * units)
    return weights, rest[..., :units], softplus(rest[..., units:])


class TestDensity:
    @every_known
    @pytest.mark.parametrize("units", [1, 3])
    def test_is_that_of_scipy(self, known, units):
        outputs, y = known.outputs(6, units), known.observed(6, units)
        found = known.make().log_prob(y.astype("float32"), outputs.astype("float32"))
        expected = known.log_prob(y, outputs).sum(axis=-1)
        np.testing.assert_allclose(numpy(found), expected, rtol=1e-5, atol=2e-6)

    @every_known
    @float64()
    def test_in_64_bits(self, known):
        outputs, y = known.outputs(6, 2), known.observed(6, 2)
        found = numpy(known.make().log_prob(y, outputs))
        assert found.dtype == np.float64
        expected = known.log_prob(y, outputs).sum(axis=-1)
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)

    @every_known
    @float64()
    def test_gradient_is_that_of_scipy(self, known):
        outputs, y = known.outputs(6), known.observed(6)
        likelihood = known.make()
        slope = jacobian(lambda each: ops.sum(likelihood.log_prob(y, each)), outputs)
        h = 1e-5
        for column in range(known.blocks):
            step = h * np.eye(known.blocks)[column]
            above, below = (known.log_prob(y, outputs + sign * step) for sign in (1, -1))
            expected = (above - below)[:, 0] / (2 * h)
            np.testing.assert_allclose(slope[:, column], expected, rtol=1e-5, atol=1e-6)

    @every_known
    @pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
    def test_far_out(self, known):
        """Finite, with a finite gradient; SciPy's value wherever that is finite itself."""
        sizes = itertools.product((-1e4, 0.0, 1e4), repeat=known.blocks)
        rows = [(*size, y) for size in sizes for y in known.extreme]
        outputs, y = np.split(np.array(rows, "float32"), [known.blocks], axis=1)
        likelihood = known.make()
        found = numpy(likelihood.log_prob(y, outputs))
        assert np.isfinite(found).all()
        expected = known.log_prob(y.astype("float64"), outputs.astype("float64"))[:, 0]
        agreed = np.isfinite(expected)
        assert agreed.mean() > 0.2
        np.testing.assert_allclose(found[agreed], expected[agreed], rtol=1e-4, atol=1e-5)
        slope = jacobian(lambda each: ops.sum(likelihood.log_prob(y, each)), outputs)
        assert np.isfinite(slope).all()

    @pytest.mark.parametrize("mean", [1e2, 1e4, 1e6])
    def test_of_large_counts_keeps_its_digits(self, mean):
        y = np.round(mean + np.sqrt(mean) * np.linspace(-3, 3, 7))[:, None]
        outputs = np.full((7, 1), np.log(mean), "float32")
        rate = np.exp(outputs.astype("float64"))
        error = {"rtol": 1e-4, "atol": 1e-3}
        found = numpy(layer_api.PoissonLikelihood().log_prob(y, outputs))
        np.testing.assert_allclose(found, scipy.stats.poisson(rate).logpmf(y)[:, 0], **error)
        for n in (5.0, 1e3, 1e6):
            likelihood = layer_api.NegativeBinomialLikelihood(total_count=n)
            found = numpy(likelihood.log_prob(y, outputs))
            expected = scipy.stats.nbinom(n, n / (n + rate)).logpmf(y)[:, 0]
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=max(1e-3, mean * 1e-6))

    def test_of_many_degrees_of_freedom_is_nearly_normal(self):
        y, outputs = np.linspace(-3, 3, 7), np.zeros((7, 2), "float32")
        heavy = layer_api.StudentTLikelihood(df=1e7).log_prob(y, outputs)
        normal = layer_api.NormalLikelihood().log_prob(y, outputs)
        np.testing.assert_allclose(numpy(heavy), numpy(normal), rtol=1e-5)

    def test_at_the_edges(self):
        """As SciPy: the density may be 0, infinite or in between."""
        for concentration in (0.5, 1.0, 2.0):
            likelihood = layer_api.GammaLikelihood(concentration=concentration)
            found = numpy(likelihood.log_prob(np.array([0.0, -1.0]), np.zeros((2, 1), "float32")))
            expected = scipy.stats.gamma(concentration, scale=1 / concentration).logpdf([0, -1])
            np.testing.assert_allclose(found, expected, rtol=1e-6)
        for concentration in (1.0, 2.0, 3.0):
            likelihood = layer_api.BetaLikelihood(concentration=concentration)
            y = np.array([0.0, 1.0, -0.1, 1.1])
            found = numpy(likelihood.log_prob(y, np.zeros((4, 1), "float32")))
            expected = scipy.stats.beta(concentration / 2, concentration / 2).logpdf(y)
            np.testing.assert_allclose(found, expected, atol=1e-6)

    @pytest.mark.parametrize(
        ("name", "y"),
        [
            ("log_normal", 0.0), ("log_normal", -1.0), ("gamma", -1.0), ("poisson", -1.0),
            ("negative_binomial", -1.0), ("bernoulli", 2.0), ("beta", 2.0),
        ],
    )  # fmt: skip
    def test_of_the_impossible_is_0(self, name, y):
        likelihood = likelihoods.get(name)
        outputs = np.zeros((1, likelihood.params_size(1)), "float32")
        assert numpy(likelihood.log_prob([y], outputs)) == [-math.inf]
        slope = jacobian(lambda each: ops.sum(likelihood.log_prob([y], each)), outputs)
        assert np.isfinite(slope).all()
        assert np.isnan(numpy(likelihood.log_prob([math.nan], outputs))).all()

    def test_of_labels(self):
        logits = RNG.normal(size=(5, 3)).astype("float32")
        labels = np.array([0, 2, 1, 1, 0])
        expected = scipy.special.log_softmax(logits, axis=-1)[np.arange(5), labels]
        likelihood = layer_api.CategoricalLikelihood()
        one_hot = np.eye(3)[labels]
        for y in (labels, labels[:, None], labels.astype("float32"), one_hot, one_hot.astype(int)):
            np.testing.assert_allclose(numpy(likelihood.log_prob(y, logits)), expected, rtol=1e-5)
        soft = np.full((5, 3), 1 / 3)
        expected = scipy.special.log_softmax(logits, axis=-1).mean(axis=-1)
        np.testing.assert_allclose(numpy(likelihood.log_prob(soft, logits)), expected, rtol=1e-5)
        impossible = numpy(likelihood.log_prob([-1, 3, 0.5, 7, math.nan], logits))
        assert (impossible == -math.inf).all()

    @pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
    def test_of_labels_far_out(self):
        logits = np.array([[1e4, 0, -1e4], [0, 0, 0], [-1e4, -1e4, 1e4]], "float32")
        likelihood = layer_api.CategoricalLikelihood()
        for label in range(3):
            found = numpy(likelihood.log_prob([label] * 3, logits))
            expected = scipy.special.log_softmax(logits, axis=-1)[:, label]
            np.testing.assert_allclose(found, expected, rtol=1e-4)

    def test_of_probabilities(self):
        p = np.array([[0.2, 0.5, 0.3], [1.0, 0.0, 0.0]], "float32")
        found = numpy(layer_api.CategoricalLikelihood(from_logits=False).log_prob([1, 1], p))
        loss = keras.losses.SparseCategoricalCrossentropy(reduction=None)
        np.testing.assert_allclose(found, -numpy(loss(np.array([1, 1]), p)), rtol=1e-5)
        q = np.array([[0.2], [1.0], [0.0]], "float32")
        likelihood = layer_api.BernoulliLikelihood(from_logits=False)
        for y in (0.0, 1.0):
            found = numpy(likelihood.log_prob([y] * 3, q))
            expected = -numpy(keras.losses.binary_crossentropy(np.full((3, 1), y), q))
            # Keras's own float32 has 1 - (1 - 1e-7) in it.
            np.testing.assert_allclose(found, expected, rtol=2e-2, atol=1e-6)

    @pytest.mark.parametrize("units", [1, 2])
    def test_of_a_mixture(self, units):
        likelihood = layer_api.NormalMixtureLikelihood(components=3)
        outputs = RNG.normal(size=(5, 3 + 6 * units)).astype("float32")
        y = RNG.normal(size=(5, units)).astype("float32")
        weights, loc, scale = mixture_terms(outputs.astype("float64"), 3, units)
        terms = scipy.stats.norm(loc, scale).logpdf(y[:, None]).sum(axis=-1)
        expected = scipy.special.logsumexp(weights + terms, axis=-1)
        np.testing.assert_allclose(numpy(likelihood.log_prob(y, outputs)), expected, rtol=1e-5)

    def test_of_a_mixture_far_out(self):
        likelihood = layer_api.NormalMixtureLikelihood(components=2)
        rows = list(itertools.product((-1e4, 0.0, 1e4), repeat=6))
        outputs = np.array(rows, "float32")
        weights, loc, scale = mixture_terms(outputs.astype("float64"), 2, 1)
        for y in (-1e4, 0.0, 1e4):
            observed = np.full(len(rows), y)
            terms = scipy.stats.norm(loc, scale).logpdf(y).sum(axis=-1)
            expected = scipy.special.logsumexp(weights + terms, axis=-1)
            found = numpy(likelihood.log_prob(observed, outputs))
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
            slope = jacobian(
                lambda each, y=observed: ops.sum(likelihood.log_prob(y, each)), outputs
            )
            assert np.isfinite(slope).all()

    @every_class
    @pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
    def test_of_outputs_in_half_precision(self, make, dtype):
        """It is computed in 32 bits: the rounding of the outputs is all that is lost."""
        likelihood = make()
        outputs, y = some_of(likelihood, 5)
        short = ops.cast(ops.convert_to_tensor(outputs), dtype)
        rounded = numpy(ops.cast(short, "float32"))
        found = likelihood.log_prob(y, short)
        assert keras.backend.standardize_dtype(found.dtype) == "float32"
        expected = numpy(likelihood.log_prob(y, rounded))
        np.testing.assert_allclose(numpy(found), expected, rtol=1e-6)
        assert keras.backend.standardize_dtype(likelihood.mean(short).dtype) == "float32"


class TestMoments:
    @every_known
    def test_are_those_of_scipy(self, known):
        outputs = known.outputs(6, 2)
        expected = known.distribution(*np.split(outputs, known.blocks, axis=-1))
        likelihood = known.make()
        short = outputs.astype("float32")
        np.testing.assert_allclose(numpy(likelihood.mean(short)), expected.mean(), rtol=1e-5)
        np.testing.assert_allclose(numpy(likelihood.variance(short)), expected.var(), rtol=1e-5)

    @pytest.mark.parametrize("df", [0.5, 1.0, 1.5, 2.0, 2.5])
    def test_of_few_degrees_of_freedom(self, df):
        likelihood = layer_api.StudentTLikelihood(df=df, scale=2.0)
        outputs = np.ones((1, 1), "float32")
        mean = 1.0 if df > 1 else math.nan
        variance = 4 * df / (df - 2) if df > 2 else math.inf if df > 1 else math.nan
        np.testing.assert_allclose(numpy(likelihood.mean(outputs)), [[mean]])
        np.testing.assert_allclose(numpy(likelihood.variance(outputs)), [[variance]])

    def test_of_labels(self):
        logits = RNG.normal(size=(5, 3)).astype("float32")
        p = scipy.special.softmax(logits, axis=-1)
        likelihood = layer_api.CategoricalLikelihood()
        np.testing.assert_allclose(numpy(likelihood.mean(logits)), p, rtol=1e-5)
        np.testing.assert_allclose(numpy(likelihood.variance(logits)), p * (1 - p), rtol=1e-5)

    def test_of_a_mixture(self):
        likelihood = layer_api.NormalMixtureLikelihood(components=3)
        outputs = RNG.normal(size=(5, 15)).astype("float32")
        weights, loc, scale = mixture_terms(outputs.astype("float64"), 3, 2)
        p = np.exp(weights)[..., None]
        mean = (p * loc).sum(axis=1)
        variance = (p * (scale**2 + loc**2)).sum(axis=1) - mean**2
        np.testing.assert_allclose(numpy(likelihood.mean(outputs)), mean, rtol=1e-5)
        np.testing.assert_allclose(numpy(likelihood.variance(outputs)), variance, rtol=1e-5)


class TestSample:
    @every_class
    def test_has_the_moments(self, make):
        likelihood = make()
        n = 20_000
        rows, _ = some_of(likelihood, 2)
        outputs = np.broadcast_to(rows[:, None], (2, n, rows.shape[-1]))
        draws = numpy(likelihood.sample(outputs, seed=1)).astype("float64")
        if isinstance(likelihood, layer_api.CategoricalLikelihood):
            draws = np.eye(3)[draws.astype(int)]
        mean, variance = numpy(likelihood.mean(rows)), numpy(likelihood.variance(rows))
        assert draws.shape == (2, n, *mean.shape[1:])
        error = np.sqrt(variance / n)
        assert (np.abs(draws.mean(axis=1) - mean) < BOUND * error + 1e-6).all()
        if not isinstance(likelihood, layer_api.StudentTLikelihood):  # without a fourth moment
            # The variance of a sample variance is (kurtosis - 1) / n times its square.
            kurtosis = scipy.stats.kurtosis(draws, axis=1, fisher=False)
            error = np.sqrt((kurtosis - 1) / n) * draws.var(axis=1)
            assert (np.abs(draws.var(axis=1) - variance) < BOUND * error + 1e-6).all()

    @every_class
    def test_repeats_by_its_seed(self, make):
        likelihood = make()
        outputs, _ = some_of(likelihood, 5, 4, 3)
        one, same, other = (numpy(likelihood.sample(outputs, seed=s)) for s in (1, 1, 2))
        np.testing.assert_array_equal(one, same)
        assert (one != other).any()
        keras.utils.set_random_seed(1)
        first, second = (numpy(likelihood.sample(outputs)) for _ in range(2))
        assert (first != second).any()

    def test_takes_a_generator(self):
        likelihood = layer_api.NormalLikelihood()
        outputs = np.zeros((50, 2), "float32")
        generator, same = keras.random.SeedGenerator(3), keras.random.SeedGenerator(3)
        first, second = (numpy(likelihood.sample(outputs, seed=generator)) for _ in range(2))
        assert (first != second).all()
        np.testing.assert_array_equal(first, numpy(likelihood.sample(outputs, seed=same)))

    @pytest.mark.parametrize("seed", [-1, 1.5, "one", 2**31])
    def test_refuses_a_seed(self, seed):
        with pytest.raises(ValueError, match="`seed` must be"):
            layer_api.NormalLikelihood().sample(np.zeros((2, 2)), seed=seed)


class TestShapes:
    @every_class
    def test_any_leading_axes(self, make):
        """Draws, rows and positions: each is what it is alone; y need not have the draws."""
        likelihood = make()
        outputs, _ = some_of(likelihood, 5, 4, 3)
        _, y = some_of(likelihood, 4, 3)
        for method in (likelihood.mean, likelihood.variance):
            whole = numpy(method(outputs))
            alone = np.stack([numpy(method(each)) for each in outputs])
            np.testing.assert_allclose(whole, alone, rtol=1e-5)
        whole = numpy(likelihood.log_prob(y, outputs))
        assert whole.shape == (5, 4, 3)
        alone = np.stack([numpy(likelihood.log_prob(y, each)) for each in outputs])
        np.testing.assert_allclose(whole, alone, rtol=1e-5, atol=1e-6)
        single = numpy(likelihood.log_prob(y[0, 0], outputs[0, 0, 0]))
        np.testing.assert_allclose(single, whole[0, 0, 0], rtol=1e-5, atol=1e-6)

    def test_an_axis_of_units_is_not_needed_for_one(self):
        likelihood = layer_api.NormalLikelihood()
        outputs, y = some_of(likelihood, 7, 4, units=1)
        expected = numpy(likelihood.log_prob(y, outputs))
        np.testing.assert_array_equal(numpy(likelihood.log_prob(y[..., 0], outputs)), expected)
        for rows in (y[0], y[0, :, 0]):
            whole = numpy(likelihood.log_prob(rows, outputs))
            alone = np.stack([numpy(likelihood.log_prob(rows, each)) for each in outputs])
            np.testing.assert_allclose(whole, alone, rtol=1e-6)

    def test_rows_never_meet_all_rows(self):
        likelihood = layer_api.NormalLikelihood()
        outputs, y = some_of(likelihood, 4, units=1)
        expected = numpy(likelihood.log_prob(y, outputs))
        for observed in (y, y[:, 0]):
            assert likelihood.call(observed, outputs).shape == (4,)
            np.testing.assert_array_equal(-numpy(likelihood.call(observed, outputs)), expected)
            loss = float(numpy(likelihood(observed, outputs)))
            np.testing.assert_allclose(loss, -expected.mean(), rtol=1e-6)

    @pytest.mark.parametrize(
        ("shape", "columns", "units"),
        [((5,), 2, 1), ((4, 2), 2, 1), ((4,), 4, 2), ((4, 1), 4, 2), ((2,), 4, 2), ((1, 4), 2, 1)],
    )
    def test_a_loss_refuses_other_rows(self, shape, columns, units):
        likelihood = layer_api.NormalLikelihood()
        short = r"shape \[4\] or " if units == 1 else ""
        with pytest.raises(
            ValueError, match=rf"`y` must be an array of {short}shape \[4, {units}\]"
        ):
            likelihood(np.zeros(shape), np.zeros((4, columns)))

    def test_the_draws_may_be_as_many_as_the_rows(self):
        likelihood = layer_api.NormalLikelihood()
        outputs, y = some_of(likelihood, 4, 4, units=1)
        expected = np.stack([numpy(likelihood.log_prob(y[0], each)) for each in outputs])
        np.testing.assert_allclose(numpy(likelihood.log_prob(y[0], outputs)), expected, rtol=1e-6)

    @pytest.mark.parametrize(
        ("make", "columns", "message"),
        [
            (
                layer_api.NormalLikelihood, 3,
                "`outputs` must be a tensor whose last axis has an even number of columns: "
                "locations, then untransformed scales. Received: 3 columns. Let the last layer "
                "have units = likelihood.params_size(k), for k numbers in each row of y.",
            ),
            (
                lambda: layer_api.StudentTLikelihood(df=None), 4,
                "`outputs` must be a tensor whose last axis has a multiple of 3 columns: "
                "locations, then untransformed scales, then untransformed degrees of freedom. "
                "Received: 4 columns. Let the last layer have units = likelihood.params_size(k), "
                "for k numbers in each row of y.",
            ),
            (
                layer_api.PoissonLikelihood, 0,
                "`outputs` must be a tensor whose last axis has at least 1 column: logarithms of "
                "the rates. Received: 0 columns. Let the last layer have units = "
                "likelihood.params_size(k), for k numbers in each row of y.",
            ),
            (
                layer_api.CategoricalLikelihood, 1,
                "`outputs` must be a tensor whose last axis has at least 2 columns: the logits of "
                "the classes. Received: 1 column. Let the last layer have one unit for each class; "
                "for one column of 0 and 1 use the likelihood 'bernoulli'.",
            ),
            (
                lambda: layer_api.NormalMixtureLikelihood(components=2), 8,
                "`outputs` must be a tensor whose last axis has 2, and a multiple of 4, columns: "
                "logits, then locations and untransformed scales of each component. Received: 8 "
                "columns. Let the last layer have units = likelihood.params_size(k), for k "
                "numbers in each row of y.",
            ),
        ],
    )  # fmt: skip
    def test_a_wrong_number_of_columns(self, make, columns, message):
        likelihood, outputs = make(), np.zeros((4, columns), "float32")
        for act in (
            lambda: likelihood(np.zeros(4), outputs),
            lambda: likelihood.log_prob(np.zeros(4), outputs),
            lambda: likelihood.mean(outputs),
            lambda: likelihood.sample(outputs),
            lambda: likelihood.check_observations(np.zeros(4), outputs),
            lambda: likelihood.units_of(columns),
        ):
            with pytest.raises(ValueError, match="`outputs`") as caught:
                act()
            assert str(caught.value) == message

    @every_likelihood
    @pytest.mark.parametrize("units", [2, 3, 5])
    def test_params_size_and_its_inverse(self, make, units):
        likelihood = make()
        assert likelihood.units_of(likelihood.params_size(units)) == units
        assert likelihood.params_size(float(units)) == likelihood.params_size(units)  # R's numbers
        for wrong in (0, -1, 1.5, "two", None):
            with pytest.raises(ValueError, match="`units` must be a whole number"):
                likelihood.params_size(wrong)

    def test_outputs_without_columns(self):
        with pytest.raises(
            ValueError, match="`outputs` must be a tensor whose last axis has a def"
        ):
            layer_api.NormalLikelihood().mean(1.0)


class TestLibrary:
    @every_likelihood
    def test_distribution_is_the_same(self, make):
        likelihood = make()
        outputs, y = some_of(likelihood, 4, 3)
        is_label = isinstance(likelihood, layer_api.CategoricalLikelihood)
        assert y.shape == ((4, 3) if is_label else (4, 3, 2))
        assert y.dtype == ("int32" if is_label else "float32")
        distribution = likelihood.distribution(outputs)
        assert tuple(distribution.batch_shape) == (4, 3)
        found = numpy(distribution.log_prob(ops.convert_to_tensor(y)))
        expected = numpy(likelihood.log_prob(y, outputs))
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def sequences(lengths, steps=5):
    """Return inputs of several lengths, padded with 0, and where they are known."""
    known = np.arange(steps) < np.array(lengths)[:, None]
    x = RNG.normal(size=(len(lengths), steps, 3)) * known[..., None]
    return x.astype("float32"), known


class TestLoss:
    @pytest.mark.parametrize("weighted", [False, True])
    def test_masks_and_weights(self, weighted):
        """Padding is left out, also where 0 cannot be observed."""
        x, known = sequences([5, 3, 1, 4])
        y = np.where(known, RNG.gamma(2.0, size=known.shape), 0.0).astype("float32")
        likelihood = layer_api.LogNormalLikelihood()
        model = keras.Sequential(
            [keras.Input((5, 3)), keras.layers.Masking(), keras.layers.Dense(1)]
        )
        layer_api.layer_shared_scale(model)
        model.compile(optimizer="sgd", loss=likelihood, jit_compile=False)
        weights = RNG.uniform(size=known.shape).astype("float32") if weighted else None
        found = model.evaluate(x, y, sample_weight=weights, batch_size=4, verbose=0)
        density = numpy(likelihood.log_prob(np.where(known, y, 1.0), model(x)))
        if weighted:
            density = density * weights
        np.testing.assert_allclose(found, -density[known].sum() / known.sum(), rtol=1e-5)
        history = model.fit(x, y[..., None], batch_size=4, verbose=0).history
        assert np.isfinite(history["loss"]).all()

    def test_weights_of_rows(self):
        likelihood = layer_api.NormalLikelihood()
        outputs, y = some_of(likelihood, 6)
        weights = np.arange(6.0)
        density = numpy(likelihood.log_prob(y, outputs))
        found = likelihood(y, outputs, sample_weight=weights)
        np.testing.assert_allclose(float(numpy(found)), -(weights * density).mean(), rtol=1e-5)

    def test_reductions(self):
        outputs, y = some_of(layer_api.NormalLikelihood(), 6)
        density = -numpy(layer_api.NormalLikelihood().log_prob(y, outputs))
        for reduction, expected in (
            ("sum", density.sum()), ("sum_over_batch_size", density.mean()), (None, density),
            ("none", density),
        ):  # fmt: skip
            likelihood = layer_api.NormalLikelihood(reduction=reduction)
            np.testing.assert_allclose(numpy(likelihood(y, outputs)), expected, rtol=1e-5)

    def test_a_dictionary_of_outputs(self):
        x = RNG.normal(size=(8, 3)).astype("float32")
        inputs = keras.Input((3,))
        outputs = {
            "amount": keras.layers.Dense(2, name="amount")(inputs),
            "kind": keras.layers.Dense(4, name="kind")(inputs),
        }
        model = keras.Model(inputs, outputs)
        losses = {
            "amount": layer_api.GammaLikelihood(),
            "kind": layer_api.CategoricalLikelihood(),
        }
        y = {"amount": RNG.gamma(2.0, size=8), "kind": RNG.integers(0, 4, 8)}
        model.compile(optimizer="sgd", loss=losses, jit_compile=False)
        found = model.evaluate(x, y, batch_size=8, verbose=0, return_dict=True)
        raw = model(x)
        expected = sum(-numpy(losses[k].log_prob(y[k], raw[k])).mean() for k in losses)
        np.testing.assert_allclose(found["loss"], expected, rtol=1e-5)

    def test_fit_finds_the_scale(self):
        """sigma's estimate has the standard error sigma / sqrt(2 n)."""
        n, sigma, epochs = 2000, 0.3, 10
        rng = np.random.default_rng(1)
        x = rng.normal(size=(n, 1)).astype("float32")
        y = 2 * x[:, 0] - 1 + sigma * rng.normal(size=n).astype("float32")
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        layer_api.layer_shared_scale(model)
        likelihood = layer_api.NormalLikelihood()
        rate = keras.optimizers.schedules.CosineDecay(0.1, epochs * n // 50)
        model.compile(optimizer=keras.optimizers.Adam(rate), loss=likelihood)
        history = model.fit(x, y, batch_size=50, epochs=epochs, verbose=0).history["loss"]
        assert history[-1] < history[0] - 0.5
        found = float(numpy(likelihood.variance(model(x[:1])))[0, 0]) ** 0.5
        assert abs(found - sigma) < BOUND * sigma / math.sqrt(2 * n)

    def test_wrong_columns_are_found_before_training(self):
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
        model.compile(optimizer="sgd", loss=layer_api.NormalLikelihood())
        before = model.get_weights()
        with pytest.raises(ValueError, match="an even number of columns: locations, then"):
            model.fit(np.ones((4, 3)), np.ones(4), verbose=0)
        for one, same in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(one, same)

    @pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16", "bfloat16"])
    def test_half_precision_trains(self, policy):
        keras.config.set_dtype_policy(policy)
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        layer_api.layer_shared_scale(model)
        model.compile(optimizer="sgd", loss=layer_api.NegativeBinomialLikelihood())
        x, y = RNG.normal(size=(8, 3)), np.array([0, 1, 3000, 2, 65000, 4, 5, 6])
        history = model.fit(x, y, epochs=2, verbose=0).history["loss"]
        assert np.isfinite(history).all()

    def test_labels_are_not_rounded(self):
        keras.config.set_floatx("float16")
        likelihood = layer_api.CategoricalLikelihood()
        assert likelihood.dtype == "float32"
        logits = np.zeros((1, 3000), "float32")
        logits[0, 2999] = 9.0
        loss = float(numpy(likelihood(np.array([2999]), logits)))
        np.testing.assert_allclose(loss, math.log1p(2999 * math.exp(-9)), rtol=1e-4)

    @every_likelihood
    def test_config(self, make):
        likelihood = make(name="mine", reduction="sum", dtype="float32")
        saved = json.loads(json.dumps(keras.saving.serialize_keras_object(likelihood)))
        assert saved["registered_name"] == f"layer_api>{type(likelihood).__name__}"
        again = keras.saving.deserialize_keras_object(saved, safe_mode=True)
        assert type(again) is type(likelihood)
        assert again.get_config() == likelihood.get_config()
        assert (again.name, again.reduction, again.dtype) == ("mine", "sum", "float32")

    def test_save_and_load(self, tmp_path):
        x = RNG.normal(size=(4, 3)).astype("float32")
        for number, name in enumerate(likelihoods.NAMED):
            likelihood = MAKERS[name]()
            outputs, y = some_of(likelihood, 4, 3)
            columns = outputs.shape[-1]
            model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(columns)])
            model.compile(optimizer="sgd", loss=likelihood)
            model.save(tmp_path / f"{number}.keras")
            loaded = keras.saving.load_model(tmp_path / f"{number}.keras", safe_mode=True)
            assert loaded.loss.get_config() == likelihood.get_config()
            one, same = (float(numpy(loss(y, outputs))) for loss in (likelihood, loaded.loss))
            assert one == same
        history = loaded.fit(x, y[:, 0], verbose=0).history
        assert np.isfinite(history["loss"]).all()


WRONG_OBSERVATIONS = [
    ("normal", [1.0, 2.0], "an array of shape [3] or shape [3, 1]", "shape [2]"),
    ("normal", np.zeros((3, 2)), "an array of shape [3] or shape [3, 1]", "shape [3, 2]"),
    ("normal", [1.0, np.nan, 3.0], "without missing values", "1 NA/NaN among 3 values"),
    ("normal", [1.0, np.inf, 3.0], "finite numbers", "inf"),
    ("normal", ["a", "b", "c"], "an array of numbers", "['a', 'b', 'c']"),
    ("normal", None, "an array of numbers", "None/NULL"),
    ("normal", [[1.0], [1.0, 2.0]], "an array of numbers", "[[1.0], [1.0, 2.0]]"),
    ("log_normal", [1.0, 0.0, 3.0], "numbers above 0", "0"),
    ("gamma", [1.0, -0.5, -3.0], "numbers above 0", "-0.5, and 1 more that cannot be"),
    ("beta", [0.5, 1.0, 0.1], "numbers above 0 and below 1", "1"),
    ("bernoulli", [0, 1, 2], "0 or 1", "2"),
    ("poisson", [0, 1.5, 2], "whole numbers of at least 0", "1.5"),
    ("negative_binomial", [0, -1, 2], "whole numbers of at least 0", "-1"),
    ("categorical", [1, 2, 3], "labels from 0 to 2", "3"),
    ("categorical", [0, 0.5, 1], "labels from 0 to 2", "0.5"),
    ("categorical", [0, 1], "labels of shape [3], or one-hot rows of shape [3, 3]", "shape [2]"),
    (
        "categorical",
        np.full((3, 3), 1 / 3),
        "labels from 0 to 2, or rows with one 1 and zeros",
        "rows of other numbers",
    ),
]


class TestObservations:
    @pytest.mark.parametrize(("name", "y", "expected", "received"), WRONG_OBSERVATIONS)
    def test_are_checked(self, name, y, expected, received):
        likelihood = likelihoods.get(name)
        size = 3 if name == "categorical" else 1
        for lead in ((3,), (7, 3)):
            outputs = np.zeros((*lead, likelihood.params_size(size)), "float32")
            with pytest.raises(ValueError, match="`y` must be") as caught:
                likelihood.check_observations(y, outputs)
            assert str(caught.value).startswith(f"`y` must be {expected}. Received: {received}. ")

    @every_class
    def test_of_a_sample_are_as_they_are(self, make):
        likelihood = make()
        outputs, y = some_of(likelihood, 5, 4, 3)
        checked = likelihood.check_observations(y[0], outputs)
        np.testing.assert_array_equal(checked, y[0])
        np.testing.assert_array_equal(likelihood.check_observations(y, outputs), y)
        tensor = ops.convert_to_tensor(y[0])
        np.testing.assert_array_equal(likelihood.check_observations(tensor, outputs), y[0])

    def test_get_an_axis_of_units(self):
        likelihood = layer_api.BernoulliLikelihood()
        for y in ([0, 1, 1], [[0], [1], [1]], [False, True, True]):
            checked = likelihood.check_observations(y, np.zeros((5, 3, 1)))
            np.testing.assert_array_equal(checked, [[0.0], [1.0], [1.0]])

    def test_of_classes_become_labels(self):
        likelihood = layer_api.CategoricalLikelihood()
        for y in ([0, 2, 1], [[0], [2], [1]], np.eye(3)[[0, 2, 1]]):
            checked = likelihood.check_observations(y, np.zeros((5, 3, 3)))
            assert checked.dtype == np.int64
            np.testing.assert_array_equal(checked, [0, 2, 1])


class TestByName:
    @pytest.mark.parametrize("name", likelihoods.NAMED)
    def test_get(self, name):
        if name == "normal_mixture":
            with pytest.raises(ValueError, match=r"needs a number of components: pass NormalMix"):
                likelihoods.get(name)
            return
        found = likelihoods.get(name)
        assert type(found) is likelihoods.NAMED[name]
        assert likelihoods.get(found) is found
        saved = keras.saving.serialize_keras_object(found)
        assert likelihoods.get(saved).get_config() == found.get_config()

    @pytest.mark.parametrize(
        ("identifier", "message"),
        [
            (
                "gausian",
                r"`family` must be a known name or a likelihood. Received: 'gausian'. Known",
            ),
            ("poison", "Did you mean 'poisson'"),
            (3, "Received: 3. Known names: 'normal', 'student_t'"),
            (layer_api.NormalLikelihood, r"Make an object of the class first: NormalLikelihood"),
            (keras.losses.MeanSquaredError(), "Received: an object of type keras.Mean"),
        ],
    )
    def test_get_refuses(self, identifier, message):
        with pytest.raises((ValueError, TypeError), match=message):
            likelihoods.get(identifier, "family")

    @pytest.mark.parametrize(
        ("loss", "expected"),
        [
            ("binary_crossentropy", "BernoulliLikelihood(from_logits=False)"),
            ("bce", "BernoulliLikelihood(from_logits=False)"),
            ("BinaryCrossentropy", "BernoulliLikelihood(from_logits=False)"),
            (keras.losses.binary_crossentropy, "BernoulliLikelihood(from_logits=False)"),
            (keras.losses.BinaryCrossentropy(), "BernoulliLikelihood(from_logits=False)"),
            (keras.losses.BinaryCrossentropy(from_logits=True), "BernoulliLikelihood()"),
            (keras.losses.BinaryCrossentropy(True, 0.1), "BernoulliLikelihood()"),
            ("categorical_crossentropy", "CategoricalLikelihood(from_logits=False)"),
            ("sparse_categorical_crossentropy", "CategoricalLikelihood(from_logits=False)"),
            (keras.losses.CategoricalCrossentropy(from_logits=True), "CategoricalLikelihood()"),
            (
                keras.losses.SparseCategoricalCrossentropy(),
                "CategoricalLikelihood(from_logits=False)",
            ),
            (keras.losses.CategoricalCrossentropy(axis=1), "None"),
            (layer_api.GammaLikelihood(2), "GammaLikelihood(concentration=2.0)"),
            ("mse", "None"),
            ("no_loss_of_keras", "None"),
            (keras.losses.MeanSquaredError(), "None"),
            (lambda y, outputs: outputs, "None"),
            (None, "None"),
        ],
    )
    def test_from_loss(self, loss, expected):
        assert repr(likelihoods.from_loss(loss)) == expected

    def test_a_subclass_of_a_loss_is_not_the_loss(self):
        class Own(keras.losses.BinaryCrossentropy):
            pass

        assert likelihoods.from_loss(Own()) is None


class TestArguments:
    @pytest.mark.parametrize(
        ("likelihood", "shown"),
        [
            (layer_api.NormalLikelihood(), "NormalLikelihood()"),
            (layer_api.NormalLikelihood(2), "NormalLikelihood(scale=2.0)"),
            (layer_api.StudentTLikelihood(df=None), "StudentTLikelihood(df=None)"),
            (layer_api.BernoulliLikelihood(False), "BernoulliLikelihood(from_logits=False)"),
            (layer_api.NormalMixtureLikelihood(2), "NormalMixtureLikelihood(components=2)"),
            (
                layer_api.PoissonLikelihood(name="mine", reduction="sum", dtype="float32"),
                "PoissonLikelihood(name='mine', reduction='sum', dtype='float32')",
            ),
        ],
    )
    def test_are_printed(self, likelihood, shown):
        assert repr(likelihood) == shown

    def test_of_keras(self):
        message = "`reductoin` is not an argument of NormalLikelihood. Did you mean 'reduction'?"
        with pytest.raises(TypeError) as caught:
            layer_api.NormalLikelihood(reductoin="sum")
        assert str(caught.value) == message
        with pytest.raises(ValueError, match="`reduction` must be None/NULL or one of 'sum_over"):
            layer_api.NormalLikelihood(reduction="average")
        with pytest.raises(ValueError, match="`dtype` must be"):
            layer_api.NormalLikelihood(dtype="int32")
        with pytest.raises(ValueError, match="`name` must be"):
            layer_api.NormalLikelihood(name=3)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "IndependentNormal",
            r"pass its negative log-likelihood as the loss: layer_api\.NormalLikelihood\(\)\.",
        ),
        ("MixtureNormal", r"as the loss: layer_api\.NormalMixtureLikelihood\(components\)\."),
        ("IndependentLogistic", r"write its negative log-likelihood as the loss\."),
    ],
)
def test_a_layer_of_a_distribution_is_pointed_to_its_likelihood(name, words):
    with pytest.raises(AttributeError, match=words):
        getattr(layer_api, name)
