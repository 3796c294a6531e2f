"""What a user brings is taken as it is, or refused by name."""

import keras
import numpy as np
import pytest
import scipy.stats
from framework import BACKEND, laplace, losses_of, numpy
from keras import ops

import layer_api
from layer_api import backend

X = np.ones((2, 3), "float32")
NORMAL = backend.distributions.normal_distribution


def normal_class():
    """Return the class of the backend's own normal."""
    if BACKEND == "tensorflow":
        import tensorflow_probability as tfp

        return tfp.distributions.Normal
    if BACKEND == "jax":
        import numpyro.distributions

        return numpyro.distributions.Normal
    import torch

    return torch.distributions.Normal


def always_seven():
    """Return a subclass of the backend's normal that draws 7 alone, and has the mean 7."""
    base = normal_class()

    if BACKEND == "tensorflow":

        class AlwaysSeven(base):
            def _sample_n(self, n, seed=None):
                return 7.0 + 0.0 * super()._sample_n(n, seed)

            def _mean(self):
                return 7.0 + 0.0 * super()._mean()

    elif BACKEND == "jax":

        class AlwaysSeven(base):
            def sample(self, key, sample_shape=()):
                return 7.0 + 0.0 * super().sample(key, sample_shape)

            @property
            def mean(self):
                return 7.0 + 0.0 * super().mean

    else:

        class AlwaysSeven(base):
            def rsample(self, sample_shape=()):
                return 7.0 + 0.0 * super().rsample(sample_shape)

            @property
            def mean(self):
                return 7.0 + 0.0 * super().mean

    return AlwaysSeven


def posterior_of(kind):
    def posterior(dtype, shape, name, trainable, add_variable_fn):
        loc = add_variable_fn(name=f"{name}_loc", shape=shape, initializer="zeros", dtype=dtype)
        return kind(loc, ops.ones_like(loc))

    return posterior


@pytest.mark.parametrize("tensor_fn", ["sample", "mean"])
def test_a_subclass_of_the_library_s_normal_stays_itself(tensor_fn):
    layer = layer_api.DenseReparameterization(
        2,
        kernel_posterior_fn=posterior_of(always_seven()),
        kernel_posterior_tensor_fn=tensor_fn,
        bias_posterior_fn=None,
        kernel_prior_fn=None,
    )
    np.testing.assert_allclose(numpy(layer(X)), 21.0)


def test_a_subclass_is_no_independent_normal_for_flipout():
    layer = layer_api.DenseFlipout(2, kernel_posterior_fn=posterior_of(always_seven()))
    with pytest.raises(TypeError, match="a posterior of independent normals"):
        layer.build((None, 3))
    assert layer.weights == []


PRIORS = [
    layer_api.NormalPrior(),
    layer_api.StandardNormal(),
    layer_api.LaplacePrior(),
    layer_api.TrainableNormal(),
    layer_api.default_multivariate_normal_fn,
]
POSTERIORS = [
    layer_api.MeanFieldNormal(),
    layer_api.Deterministic(),
    layer_api.MultivariateNormalTriL(),
    layer_api.default_mean_field_normal_fn(),
]


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("argument", ["kernel_posterior_fn", "bias_posterior_fn"])
def test_a_prior_is_no_posterior(argument, prior):
    with pytest.raises(TypeError, match=f"`{argument}` must be a posterior, which training fits"):
        layer_api.DenseReparameterization(2, **{argument: prior})
    if prior is not layer_api.default_multivariate_normal_fn:  # which takes other arguments
        with pytest.raises(TypeError, match="`make_posterior_fn` must be a posterior"):
            layer_api.DenseVariational(2, make_posterior_fn=prior)


@pytest.mark.parametrize("posterior", POSTERIORS)
@pytest.mark.parametrize("argument", ["kernel_prior_fn", "bias_prior_fn"])
def test_a_posterior_is_no_prior(argument, posterior):
    with pytest.raises(TypeError, match=f"`{argument}` must be a prior.*'trainable_normal'"):
        layer_api.DenseReparameterization(2, **{argument: posterior})
    with pytest.raises(TypeError, match="`make_prior_fn` must be a prior"):
        layer_api.DenseVariational(2, make_prior_fn=posterior)


class TestScalars:
    @pytest.mark.parametrize(
        "three",
        [
            lambda: ops.convert_to_tensor(3, "int32"),
            lambda: keras.Variable(3, dtype="int32", trainable=False),
            lambda: np.int64(3),
            lambda: np.array(3),
        ],
    )
    def test_whole_numbers(self, three):
        layer = layer_api.DenseFlipout(three(), seed=three())
        assert (layer.units, layer.seed) == (3, 3)
        assert type(layer.units) is int
        assert layer_api.VariableLayer(three()).shape == (3,)
        conv = layer_api.Conv2DFlipout(2, kernel_size=three())
        assert conv.kernel_size == (3, 3)

    @pytest.mark.parametrize(
        "half",
        [
            lambda: ops.convert_to_tensor(0.5, "float32"),
            lambda: keras.Variable(0.5),
            lambda: np.float32(0.5),
        ],
    )
    def test_numbers(self, half):
        layer = layer_api.DenseFlipout(2, kl_weight=half())
        assert layer.kl_weight == 0.5
        layer.kl_weight = half()
        assert layer_api.NormalPrior(scale=half()).scale == 0.5
        assert layer_api.ScaleMixturePrior(pi=half()).pi == 0.5

    @pytest.mark.filterwarnings("ignore:Do not pass an `input_shape`:UserWarning")
    def test_a_shape_of_the_backend(self):
        tensor = ops.zeros((2, 3))
        layer = layer_api.DenseFlipout(2, input_shape=tensor.shape[1:])
        assert keras.Sequential([layer]).output_shape == (None, 2)
        if BACKEND == "tensorflow":
            import tensorflow as tf

            layer = layer_api.DenseFlipout(2, input_shape=tf.TensorShape([3]))
            assert keras.Sequential([layer]).output_shape == (None, 2)

    @pytest.mark.parametrize(
        ("value", "words"),
        [
            (lambda: keras.Variable([1.0, 2.0]), r"an array of numbers of shape \[2\]"),
            (lambda: ops.ones((2, 2)), r"an array of numbers of shape \[2, 2\]"),
            (lambda: np.array(["a", "b"]), r"an array of text of shape \[2\]"),
            (lambda: keras.Variable(2.5), r"2\.5|an array of numbers of shape \[\]"),
        ],
    )
    def test_numbers_are_called_numbers(self, value, words):
        with pytest.raises(ValueError, match=f"`units` must be a whole number.*Received: {words}"):
            layer_api.DenseFlipout(value())


LAYERS = [
    lambda: layer_api.DenseFlipout(2),
    lambda: layer_api.DenseVariational(2),
    lambda: layer_api.AutoregressiveNetwork(2),
    lambda: layer_api.Conv1DFlipout(2, 1),
]


@pytest.mark.parametrize("make", LAYERS)
def test_a_dictionary_of_inputs(make):
    with pytest.raises(ValueError, match=r"`inputs` must be one tensor.*keys \['a', 'b'\]"):
        make()({"a": X, "b": X})


@pytest.mark.parametrize(
    "layer_class",
    [
        layer_api.DenseFlipout,
        layer_api.DenseReparameterization,
        layer_api.DenseLocalReparameterization,
        layer_api.DenseVariational,
    ],
)
def test_no_features(layer_class):
    outputs = numpy(layer_class(2)(np.zeros((4, 0), "float32")))
    assert outputs.shape == (4, 2)
    assert np.isfinite(outputs).all()


@pytest.mark.parametrize("size", [1e30, 1e-30, 0.0])
def test_local_reparameterization_of_huge_and_tiny_inputs(size):
    layer = layer_api.DenseLocalReparameterization(
        200, seed=1, kernel_posterior_fn=layer_api.MeanFieldNormal(loc_initializer="zeros"),
        bias_posterior_fn=None,
    )  # fmt: skip
    outputs = numpy(layer(size * X))
    assert np.isfinite(outputs).all()
    scale = np.log1p(np.exp(layer.get_weights()[1]))
    expected = size * np.sqrt(np.sum(scale**2, axis=0))
    if size == 1e30:
        z = outputs / expected
        assert scipy.stats.kstest(z.ravel(), "norm").pvalue > 1e-4
    else:
        assert np.abs(outputs).max() <= max(6 * expected.max(), 1e-18)


class TestDtypes:
    @pytest.mark.skipif(BACKEND == "jax", reason="JAX computes in 32 bits unless it is told to")
    @pytest.mark.parametrize("make", LAYERS[:3])
    def test_float64_is_computed_in_64_bits(self, make):
        config = {**make().get_config(), "dtype": "float64"}
        if "kernel_posterior_tensor_fn" in config:
            config["kernel_posterior_tensor_fn"] = "mean"
        if "make_posterior_fn" in config:
            config["make_posterior_fn"] = "deterministic"
        layer = type(make()).from_config(config)
        x = np.random.RandomState(1).normal(size=(5, 3))
        outputs = numpy(layer(x))
        assert outputs.dtype == np.float64
        weights = layer.get_weights()
        if isinstance(layer, layer_api.DenseFlipout):
            np.testing.assert_allclose(outputs, x @ weights[0] + weights[-1], rtol=1e-13)
        elif isinstance(layer, layer_api.DenseVariational):
            kernel, bias = weights[0][:6].reshape(3, 2), weights[0][6:]
            np.testing.assert_allclose(outputs, x @ kernel + bias, rtol=1e-13)

    @pytest.mark.skipif(BACKEND != "jax", reason="about JAX")
    def test_jax_says_what_64_bits_take(self):
        with pytest.raises(ValueError, match=r"`dtype` must be.*JAX_ENABLE_X64=1"):
            layer_api.DenseFlipout(2, dtype="float64")

    @pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
    def test_distributions_of_a_user_s_own_layers_have_32_bits(self, policy):
        seen = []

        def make(loc_of):
            def make_distribution(kernel_size, bias_size, dtype):
                n = kernel_size + bias_size

                def distribution(t):
                    seen.append(keras.backend.standardize_dtype(t.dtype))
                    return NORMAL(t, ops.ones_like(t))

                return keras.Sequential(
                    [
                        layer_api.VariableLayer(n, initializer=loc_of),
                        layer_api.DistributionLambda(distribution),
                    ]
                )

            return make_distribution

        found = {}
        for each in ("float32", policy):
            keras.config.set_dtype_policy(each)
            layer = layer_api.DenseVariational(
                100,
                make_posterior_fn=make(keras.initializers.Constant(0.1)),
                make_prior_fn=make("zeros"),
                kl_use_exact=True,
            )
            outputs = layer(np.ones((2, 400), "float32"))
            assert keras.config.dtype_policy().name == each
            (found[each],) = losses_of(layer)
        assert keras.backend.standardize_dtype(outputs.dtype) == policy.removeprefix("mixed_")
        assert set(seen) == {"float32"}
        np.testing.assert_allclose(found[policy], 40_100 * 0.005, rtol=1e-5)
        np.testing.assert_allclose(found[policy], found["float32"], rtol=1e-6)

    def test_a_distribution_in_half_precision_is_refused(self):
        loc = ops.zeros((8,), "bfloat16")
        layer = layer_api.DenseVariational(
            2, make_prior_fn=lambda *_: lambda inputs: NORMAL(loc, ops.ones_like(loc))
        )
        with pytest.raises(TypeError, match=r"`make_prior_fn` must be .* float32.*bfloat16"):
            layer.build((None, 3))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_the_divergence_of_a_large_kernel(scale):
    random = np.random.RandomState(1)
    layer = layer_api.DenseFlipout(256, bias_posterior_fn=None)
    layer.build((None, 512))
    loc = (scale * random.normal(size=(512, 256))).astype("float32")
    untransformed = random.uniform(-8.0, 8.0, size=(512, 256)).astype("float32")
    layer.set_weights([loc, untransformed])
    s = np.finfo("float32").eps + np.logaddexp(0.0, untransformed.astype("float64"))
    expected = np.sum((s**2 + loc.astype("float64") ** 2 - 1) / 2 - np.log(s))
    np.testing.assert_allclose(losses_of(layer)[0], expected, rtol=2e-6)


class TestNamesOfOtherLibraries:
    @pytest.mark.parametrize("name", ["IndependentNormal", "OneHotCategorical", "MixtureNormal"])
    def test_layers_of_outputs(self, name):
        with pytest.raises(AttributeError, match=f"'{name}'.*negative log-likelihood"):
            getattr(layer_api, name)

    def test_divergences(self):
        with pytest.raises(AttributeError, match="kernel_prior_fn"):
            layer_api.KLDivergenceRegularizer  # noqa: B018

    def test_misspelt(self):
        with pytest.raises(AttributeError, match="Did you mean 'DenseFlipout'"):
            layer_api.DenseFlipuot  # noqa: B018

    def test_params_size(self):
        with pytest.raises(AttributeError, match="no layer of outputs"):
            layer_api.MultivariateNormalTriL.params_size(2)

    @pytest.mark.parametrize(
        ("argument", "words"),
        [
            ("use_bias", "bias_posterior_fn = None"),
            ("kernel_initializer", "`kernel_posterior_fn`.*loc_initializer"),
            ("kernel_regularizer", "`kernel_posterior_fn`.*loc_regularizer"),
            ("bias_initializer", "`bias_posterior_fn`.*'deterministic'"),
            ("bias_constraint", "`bias_posterior_fn`.*loc_constraint"),
        ],
    )
    def test_arguments_of_dense(self, argument, words):
        with pytest.raises(TypeError, match=f"`{argument}` is not an argument.*{words}"):
            layer_api.layer_dense_flipout(units=2, **{argument: "zeros"})


def test_laplace_is_still_estimated():
    layer = layer_api.DenseReparameterization(
        2, kernel_prior_fn=lambda dtype, shape, *_: laplace(np.zeros(shape, "float32"), 1.0)
    )
    layer(X)
    assert np.isfinite(losses_of(layer)).all()
