"""What a `*_fn` argument may be: a name, a config object, a saved one, a function, or None."""

import itertools
import json
import re

import keras
import numpy as np
import pytest
from framework import (
    BACKEND,
    BACKEND_RELU,
    gradients,
    library_kl_divergence,
    normal,
    numpy,
    only_tensorflow,
)

import layer_api
from layer_api import backend, validation
from layer_api.weights import distributions

X = np.array([[0.5, -1.0, 2.0], [1.5, 0.3, -0.7]], "float32")


@keras.saving.register_keras_serializable("tests")
def registered_posterior(dtype, shape, name, trainable, add_variable_fn):
    loc = add_variable_fn(
        name=name + "_mine", shape=shape, dtype=dtype, initializer="ones", trainable=trainable
    )
    return normal(loc, 2.0)


@keras.saving.register_keras_serializable("tests")
def registered_prior(dtype, shape, name, trainable, add_variable_fn):
    return normal(np.full(shape, 0.5, "float32"), 2.0)


@keras.saving.register_keras_serializable("tests")
def registered_tensor(d):
    return backend.distributions.mean(d) + 1.0


@keras.saving.register_keras_serializable("tests")
def registered_divergence(q, p, sample):
    return keras.ops.sum(
        keras.ops.square(backend.distributions.mean(q) - backend.distributions.mean(p))
    )


@keras.saving.register_keras_serializable("tests")
class RegisteredPrior:
    """A block without the package's base class: callable, and with a config."""

    def __init__(self, scale):
        self.scale = scale

    def __call__(self, dtype, shape, name, trainable, add_variable_fn):
        return normal(np.zeros(shape, "float32"), self.scale)

    def get_config(self):
        return {"scale": self.scale}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def saved(block):
    return json.loads(json.dumps(keras.saving.serialize_keras_object(block)))


def saving(function):
    """Return what Keras saves for a registered function."""
    return saved(function)


# For each role, pairs of identifiers that mean the same.
SAME = {
    "posterior_fn": [
        ("mean_field_normal", layer_api.MeanFieldNormal()),
        ("mean_field_normal", saved(layer_api.MeanFieldNormal())),
        ("mean_field_normal", layer_api.default_mean_field_normal_fn()),
        ("mean_field_normal", lambda *args: layer_api.MeanFieldNormal()(*args)),
        (registered_posterior, saved(registered_posterior)),
    ],
    "posterior_tensor_fn": [
        ("sample", lambda d: backend.distributions.sample(d)),
        ("mean", lambda d: backend.distributions.mean(d)),
        (registered_tensor, saved(registered_tensor)),
    ],
    "prior_fn": [
        ("standard_normal", layer_api.StandardNormal()),
        ("standard_normal", saved(layer_api.StandardNormal())),
        ("standard_normal", layer_api.default_multivariate_normal_fn),
        (registered_prior, saved(registered_prior)),
        (RegisteredPrior(2.0), saved(RegisteredPrior(2.0))),
    ],
    "divergence_fn": [
        ("kl_divergence", layer_api.KLDivergence()),
        ("kl_divergence", saved(layer_api.KLDivergence())),
        ("kl_divergence", lambda q, p, ignore: library_kl_divergence(q, p)),
        (layer_api.KLDivergence(0.5), lambda q, p, _: 0.5 * library_kl_divergence(q, p)),
        (registered_divergence, saved(registered_divergence)),
    ],
}
if BACKEND == "tensorflow":
    import tensorflow_probability as tfp

    theirs = ("standard_normal", tfp.layers.default_multivariate_normal_fn)
    SAME["prior_fn"].append(theirs)
ARGUMENTS = [f"{part}_{role}" for part in ("kernel", "bias") for role in SAME]
PAIRS = [
    pytest.param(argument, *pair, id=f"{argument}-{number}")
    for argument in ARGUMENTS
    for number, pair in enumerate(SAME[argument.split("_", 1)[1]])
]


def values(tensors):
    return [numpy(tensor) for tensor in tensors]


def built(**arguments):
    layer = layer_api.layer_dense_flipout(units=2, **{"seed": 1, **arguments})
    layer.build((None, 3))
    return layer


def everything_random(**arguments):
    """A layer in which each of the eight arguments matters."""
    defaults = {"bias_posterior_fn": "mean_field_normal", "bias_prior_fn": "standard_normal"}
    return built(**{**defaults, **arguments})


class TestMeaning:
    @pytest.mark.parametrize(("argument", "one", "other"), PAIRS)
    def test_identifiers_that_mean_the_same(self, argument, one, other):
        one, other = (everything_random(**{argument: identifier}) for identifier in (one, other))
        for ours, theirs in zip(one.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_allclose(numpy(one(X)), numpy(other(X)), rtol=1e-5, atol=1e-6)
        assert len(one.losses) == len(other.losses) == 2
        np.testing.assert_allclose(values(one.losses), values(other.losses), rtol=1e-5)

    @pytest.mark.parametrize("argument", ARGUMENTS)
    def test_another_one_matters(self, argument):
        other = {
            "posterior_fn": registered_posterior,
            "posterior_tensor_fn": registered_tensor,
            "prior_fn": registered_prior,
            "divergence_fn": registered_divergence,
        }[argument.split("_", 1)[1]]
        one, other = everything_random(), everything_random(**{argument: other})
        if "prior" in argument or "divergence" in argument:
            part = ("kernel", "bias").index(argument.split("_")[0])
            differs = [
                a != b for a, b in zip(values(one.losses), values(other.losses), strict=True)
            ]
            assert differs == [part == 0, part == 1]
            np.testing.assert_array_equal(numpy(one(X)), numpy(other(X)))
        else:
            assert (numpy(one(X)) != numpy(other(X))).all()

    def test_user_s_divergence_gets_posterior_prior_and_a_draw(self):
        received = []

        def divergence(q, p, sample):
            found = (backend.distributions.mean(q), backend.distributions.stddev(p), sample)
            received.append([numpy(value) for value in found])
            return 3.0

        layer = built(kernel_divergence_fn=divergence, kl_weight=0.5)
        assert [float(loss) for loss in values(layer.losses)] == [1.5]
        ((q_mean, p_stddev, sample),) = received
        np.testing.assert_array_equal(q_mean, layer.get_weights()[0])
        np.testing.assert_array_equal(p_stddev, np.ones((3, 2)))
        # A draw from the posterior: not its mean, but within 6 standard deviations of it.
        z = (sample - q_mean) / numpy(backend.distributions.stddev(layer.kernel_posterior))
        assert ((z != 0) & (np.abs(z) < 6)).all()

    def test_divergence_of_every_element_is_summed(self):
        layer = built(kernel_divergence_fn=lambda q, p, sample: keras.ops.ones((3, 2)))
        assert [float(loss) for loss in values(layer.losses)] == [6.0]

    @only_tensorflow
    @pytest.mark.parametrize("is_singular", [False, True])
    def test_posterior_of_the_library(self, is_singular):
        theirs = tfp.layers.default_mean_field_normal_fn(is_singular=is_singular)
        ours = layer_api.default_mean_field_normal_fn(is_singular=is_singular)
        one, other = (built(bias_posterior_fn=fn) for fn in (theirs, ours))
        assert [w.name for w in one.weights] == [w.name for w in other.weights]
        one.set_weights(other.get_weights())
        # The library draws its normals itself, so compare the distributions.
        for statistic in ("mean", "stddev"):
            values = [getattr(layer.bias_posterior, statistic)() for layer in (one, other)]
            np.testing.assert_allclose(*values, rtol=1e-6)

    @only_tensorflow
    def test_library_s_posterior_of_the_kernel_trains(self):
        layer = built(kernel_posterior_fn=tfp.layers.default_mean_field_normal_fn())
        ours = built()
        ours.set_weights(layer.get_weights())
        np.testing.assert_allclose(layer.losses, ours.losses, rtol=1e-6)
        np.testing.assert_allclose(layer(X), ours(X), rtol=1e-6)
        model = keras.Sequential([keras.Input((3,)), layer])
        model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
        before = layer.get_weights()
        model.fit(X, X[:, :2], verbose=0)
        assert all((a != b).all() for a, b in zip(layer.get_weights(), before, strict=True))

    @pytest.mark.parametrize(
        ("argument", "losses"),
        [
            ("kernel_prior_fn", 0),
            ("kernel_divergence_fn", 0),
            ("bias_prior_fn", 1),
            ("bias_divergence_fn", 1),
            ("bias_posterior_fn", 1),
        ],
    )
    def test_none(self, argument, losses):
        layer = built(**{argument: None})
        assert getattr(layer, argument) is None
        assert len(layer.losses) == losses
        assert len(layer.weights) == (2 if argument == "bias_posterior_fn" else 3)
        assert layer(X).shape == (2, 2)

    def test_kl_weight_of_zero_leaves_the_divergence_out(self):
        assert [float(numpy(loss)) for loss in built(kl_weight=0).losses] == [0.0]


class TestBlocks:
    @pytest.mark.parametrize("parameter", ["loc", "untransformed_scale"])
    def test_initializer(self, parameter):
        posterior = layer_api.MeanFieldNormal(
            **{f"{parameter}_initializer": keras.initializers.Constant(0.25)}
        )
        layer = built(kernel_posterior_fn=posterior)
        values = dict(zip(("loc", "untransformed_scale"), layer.get_weights()[:2], strict=True))
        assert (values.pop(parameter) == 0.25).all()
        (other,) = values.values()
        assert np.unique(other).size == 6

    @pytest.mark.parametrize("parameter", ["loc", "untransformed_scale"])
    def test_regularizer(self, parameter):
        posterior = layer_api.MeanFieldNormal(**{f"{parameter}_regularizer": "l2"})
        layer = built(kernel_posterior_fn=posterior, kernel_prior_fn=None)
        weights = dict(zip(("loc", "untransformed_scale"), layer.get_weights()[:2], strict=True))
        np.testing.assert_allclose(
            values(layer.losses), [0.01 * np.sum(weights[parameter] ** 2)], rtol=1e-6
        )

    @pytest.mark.parametrize("parameter", ["loc", "untransformed_scale"])
    def test_constraint(self, parameter):
        constraint = keras.constraints.MaxNorm(1e-3)
        posterior = layer_api.MeanFieldNormal(**{f"{parameter}_constraint": constraint})
        model = keras.Sequential([keras.Input((3,)), built(kernel_posterior_fn=posterior)])
        model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
        model.fit(X, X[:, :2], verbose=0)
        values = dict(zip(("loc", "untransformed_scale"), model.get_weights()[:2], strict=True))
        norms = {name: np.linalg.norm(value, axis=0) for name, value in values.items()}
        np.testing.assert_allclose(norms.pop(parameter), 1e-3, rtol=1e-3)
        (other,) = norms.values()
        assert (other > 0.01).all()

    def test_of_a_point_estimate(self):
        posterior = layer_api.Deterministic(
            loc_initializer="ones", loc_regularizer="l1", loc_constraint="non_neg"
        )
        layer = built(bias_posterior_fn=posterior, kernel_prior_fn=None)
        assert layer.get_weights()[2].tolist() == [1.0, 1.0]
        np.testing.assert_allclose(values(layer.losses), [0.02], rtol=1e-6)
        assert isinstance(layer.weights[2].constraint, keras.constraints.NonNeg)

    def test_default_mean_field_normal_fn_passes_everything_on(self):
        arguments = {
            "loc_initializer": "zeros",
            "untransformed_scale_initializer": "ones",
            "loc_regularizer": "l1",
            "untransformed_scale_regularizer": "l2",
            "loc_constraint": "non_neg",
            "untransformed_scale_constraint": "unit_norm",
        }
        block = layer_api.default_mean_field_normal_fn(**arguments)
        assert block.get_config() == layer_api.MeanFieldNormal(**arguments).get_config()
        config = block.get_config()
        names = {name: value["class_name"] for name, value in config.items() if value is not None}
        assert names == {
            "loc_initializer": "Zeros",
            "untransformed_scale_initializer": "Ones",
            "loc_regularizer": "L1",
            "untransformed_scale_regularizer": "L2",
            "loc_constraint": "NonNeg",
            "untransformed_scale_constraint": "UnitNorm",
        }

    @pytest.mark.parametrize(
        "block",
        [
            layer_api.MeanFieldNormal(loc_initializer="zeros", loc_constraint="non_neg"),
            layer_api.MeanFieldNormal(scale=0.01),
            layer_api.MultivariateNormalTriL(scale=0.01),
            layer_api.TrainableNormal(scale=0.01),
            layer_api.NormalPrior(scale="he_normal"),
            layer_api.Deterministic(loc_initializer="zeros", loc_regularizer="l2"),
            layer_api.StandardNormal(),
            layer_api.KLDivergence(weight=0.25),
        ],
        ids=lambda block: type(block).__name__,
    )
    def test_config(self, block):
        again = keras.saving.deserialize_keras_object(saved(block), safe_mode=True)
        assert type(again) is type(block)
        assert again.get_config() == block.get_config()

    @pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf"), "1", None])
    def test_weight_of_a_divergence(self, weight):
        with pytest.raises(ValueError, match="`weight` must be a finite number of at least 0"):
            layer_api.KLDivergence(weight)

    def test_one_block_serves_many_layers(self):
        posterior = layer_api.MeanFieldNormal()
        one, other = (built(kernel_posterior_fn=posterior, seed=seed) for seed in (1, 2))
        assert (one.get_weights()[0] != other.get_weights()[0]).all()
        assert posterior.get_config() == layer_api.MeanFieldNormal().get_config()


REGISTERED = {
    "posterior_fn": registered_posterior,
    "posterior_tensor_fn": registered_tensor,
    "prior_fn": RegisteredPrior(3.0),
    "divergence_fn": registered_divergence,
}
UNKNOWN = {
    "posterior_fn": lambda *args: layer_api.MeanFieldNormal()(*args),
    "posterior_tensor_fn": lambda d: backend.distributions.mean(d),
    "prior_fn": lambda *args: layer_api.StandardNormal()(*args),
    "divergence_fn": lambda q, p, sample: 0.0,
}


class TestSaving:
    @pytest.mark.parametrize("argument", ARGUMENTS)
    def test_registered_ones_load(self, argument, tmp_path):
        layer = everything_random(**{argument: REGISTERED[argument.split("_", 1)[1]]})
        model = keras.Sequential([keras.Input((3,)), layer])
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
        assert loaded.layers[0].get_config() == layer.get_config()
        np.testing.assert_array_equal(values(loaded.losses), values(model.losses))
        np.testing.assert_array_equal(numpy(loaded(X)), numpy(model(X)))

    @pytest.mark.parametrize("argument", ARGUMENTS)
    def test_others_are_refused_by_name(self, argument, tmp_path):
        function = UNKNOWN[argument.split("_", 1)[1]]
        layer = everything_random(**{argument: function})
        assert layer(X).shape == (2, 2)
        model = keras.Sequential([keras.Input((3,)), layer])
        with pytest.raises(ValueError, match=f"`{argument}` cannot be saved") as caught:
            model.save(tmp_path / "model.keras")
        assert "register_keras_serializable" in str(caught.value)

    def test_activation_that_cannot_be_saved(self):
        with pytest.raises(ValueError, match="`activation` cannot be saved"):
            built(activation=lambda x: x).get_config()

    @pytest.mark.parametrize(
        ("activation", "name"),
        [
            (None, None),
            ("linear", None),
            ("relu", "relu"),
            (keras.activations.gelu, "gelu"),
            (BACKEND_RELU, "relu"),
        ],
    )
    def test_activations_are_saved_by_name(self, activation, name):
        layer = built(activation=activation)
        assert layer.get_config()["activation"] == name
        again = layer_api.DenseFlipout.from_config(layer.get_config())
        again.build((None, 3))
        np.testing.assert_allclose(numpy(again(X)), numpy(layer(X)), rtol=1e-6)

    def test_activation_layer(self):
        layer = built(activation=keras.layers.LeakyReLU(negative_slope=0.5))
        config = json.loads(json.dumps(layer.get_config()))
        again = layer_api.DenseFlipout.from_config(config)
        again.build((None, 3))
        np.testing.assert_array_equal(numpy(again(X)), numpy(layer(X)))


def test_a_function_is_tried_before_the_layer_has_variables():
    def posterior(dtype, shape, name, trainable, add_variable_fn):
        add_variable_fn(name=name, shape=shape, dtype=dtype, initializer="zeros")
        raise ArithmeticError

    layer = layer_api.layer_dense_flipout(units=2, bias_posterior_fn=posterior)
    with pytest.raises(ArithmeticError):
        layer.build((None, 3))
    assert not layer.built
    assert layer.weights == []


class TestVariablesOfFunctions:
    """A user's functions may call their variables what they like."""

    @staticmethod
    def plain(dtype, shape, name, trainable, add_variable_fn):
        loc, rho = (
            add_variable_fn(name=plain, shape=shape, dtype=dtype, initializer="random_normal")
            for plain in ("loc", "rho")
        )
        return normal(loc, keras.ops.softplus(rho))

    @staticmethod
    def nameless(dtype, shape, name, trainable, add_variable_fn):
        loc, rho = (add_variable_fn(shape=shape, initializer="random_normal") for _ in range(2))
        return normal(loc, keras.ops.softplus(rho))

    @pytest.mark.parametrize("function", ["plain", "nameless"])
    def test_of_the_same_names(self, function):
        function = getattr(self, function)
        layer = built(
            kernel_posterior_fn=function, kernel_prior_fn=function, bias_posterior_fn=function
        )
        arrays = layer.get_weights()
        assert [a.shape for a in arrays] == [(3, 2)] * 4 + [(2,)] * 2
        # No two start with the same values.
        assert len({a.ravel()[0] for a in arrays}) == 6
        kernel, prior, bias = arrays[:2], arrays[2:4], arrays[4:]
        for distribution, (loc, rho) in [
            (layer.kernel_posterior, kernel), (layer.kernel_prior, prior),
            (layer.bias_posterior, bias),
        ]:  # fmt: skip
            np.testing.assert_array_equal(numpy(backend.distributions.mean(distribution)), loc)
            scale = np.log1p(np.exp(rho))
            np.testing.assert_allclose(
                numpy(backend.distributions.stddev(distribution)), scale, rtol=1e-6
            )
        expected = library_kl_divergence(layer.kernel_posterior, layer.kernel_prior)
        assert numpy(expected) > 0
        np.testing.assert_allclose(numpy(layer.losses[0]), numpy(expected), rtol=1e-5)
        found = gradients(lambda: layer.losses[0], layer.weights[:4])
        assert all(np.any(g != 0) for g in found)

    def test_a_prior_trains_on_its_own(self):
        model = keras.Sequential([keras.Input((3,))])
        layer_api.layer_dense_flipout(
            model, units=2, seed=1, kernel_posterior_fn=self.plain, kernel_prior_fn=self.plain
        )
        before = model.get_weights()
        model.compile("sgd", "mse")
        model.fit(X, X[:, :2], verbose=0)
        assert all(np.all(a != b) for a, b in zip(model.get_weights(), before, strict=True))

    def test_names_that_change_are_refused(self):
        count = itertools.count()

        def posterior(dtype, shape, name, trainable, add_variable_fn):
            loc = add_variable_fn(name=f"loc_{next(count)}", shape=shape, initializer="zeros")
            return normal(loc, 1.0)

        layer = built(kernel_posterior_fn=posterior)
        message = (
            "`kernel_posterior_fn` must be a function that asks for the same variables whenever it "
            "is called. Received: one that asks for a variable named 'loc_2' once the layer is "
            "built. Make the names of its variables of the argument `name`."
        )
        with pytest.raises(ValueError, match=re.escape(message)):
            layer(X)


def test_known_normals_take_the_closed_form():
    layer = built(kernel_prior_fn=registered_prior)
    prior = layer.kernel_prior
    assert isinstance(distributions.from_library(prior), distributions.Normal)
    expected = library_kl_divergence(layer.kernel_posterior, prior)
    np.testing.assert_allclose(numpy(layer.losses[0]), numpy(expected), rtol=1e-6)


class TestErrorsOfOthers:
    """A message of ours stands for the errors that backends are known to raise, and shows them."""

    @pytest.mark.parametrize(
        "value",
        [None, object(), [1, "a"], [[1], [1, 2]], [2**100], 1j, len, [keras.KerasTensor((2,))]],
        ids=["None", "object", "mixed", "ragged", "huge", "complex", "function", "symbolic"],
    )
    def test_what_is_no_tensor(self, value):
        with pytest.raises(TypeError, match="that returns a tensor of numbers") as caught:
            validation.check_returned("bias_posterior_tensor_fn", value, "")
        assert caught.value.__cause__ is not None

    def test_a_user_s_own_are_not_hidden(self, monkeypatch):
        def broken(*_, **__):
            raise ZeroDivisionError("mine")

        layer = layer_api.layer_dense_flipout(units=2, bias_posterior_tensor_fn=broken)
        with pytest.raises(ZeroDivisionError, match="mine"):
            layer(np.ones((4, 3), "float32"))
        monkeypatch.setattr(keras.ops, "convert_to_tensor", broken)
        with pytest.raises(ZeroDivisionError, match="mine"):
            validation.check_returned("f", 1.0, "")
        monkeypatch.setattr(keras.dtype_policies, "get", broken)
        with pytest.raises(ZeroDivisionError, match="mine"):
            validation.check_keras_arguments({"dtype": "float32"})

    @pytest.mark.parametrize(
        "dtype",
        [
            {"class_name": "Absent", "config": {}},
            {"class_name": 1, "config": {}},
            {"module": "keras", "class_name": "DTypePolicy", "config": {"no": 1},
             "registered_name": None},
        ],
    )  # fmt: skip
    def test_a_config_of_no_policy(self, dtype):
        with pytest.raises(ValueError, match="`dtype` must be None/NULL, the name of"):
            layer_api.layer_dense_flipout(units=2, dtype=dtype)

    @pytest.mark.parametrize("shape", [(3,), (2, 2), (1, 3, 2), (3, 2, 1)])
    def test_parameters_of_another_shape(self, shape):
        class Wrong:
            def parametrize(self, dtype, wanted, name, trainable, add_variable_fn):
                return distributions.Normal(np.zeros(shape, "float32"), np.float32(1.0))

            def __call__(self, dtype, shape, name, trainable, add_variable_fn):
                raise NotImplementedError

        layer = layer_api.layer_dense_flipout(units=2, kernel_posterior_fn=Wrong())
        with pytest.raises(ValueError, match=r"that returns a distribution of shape \[3, 2\]"):
            layer.build((None, 3))

    @pytest.mark.parametrize("shape", [(), (2,), (3, 1), (1, 2), (1,)])
    def test_one_parameter_for_several_weights(self, shape):
        class One:
            def parametrize(self, dtype, wanted, name, trainable, add_variable_fn):
                return distributions.Normal(np.zeros(shape, "float32"), np.float32(1.0))

            def __call__(self, dtype, shape, name, trainable, add_variable_fn):
                raise NotImplementedError

        layer = layer_api.layer_dense_flipout(units=2, kernel_posterior_fn=One())
        assert layer(np.ones((4, 3), "float32")).shape == (4, 2)
