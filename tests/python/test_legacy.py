"""Objects of Keras 2: the same functions make layers of `tfp.layers`, with our defaults."""

import itertools
import json
import math
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from layers import ALL, IS_FULL, REPRESENTATIVES
from test_contract import in_a_fresh_process

import layer_api
from layer_api import keras_2, layer_dense_flipout, pipe

tfd = tfp.distributions

# The layers that there are for Keras 2, too.
CASES = [case for case in ALL if case.layer.__name__ in keras_2.layers.names()]

BOUND = 5.0  # standard errors
X = np.array([[0.5, -1.0, 2.0], [1.5, 0.3, -0.7]], "float32")


def sequential(shape=(3,)):
    return tf_keras.Sequential([tf_keras.Input(shape)])


def rows(shape, n=4):
    return np.random.default_rng(1).normal(size=(n, *shape)).astype("float32")


FEW = [case for case in CASES if case in REPRESENTATIVES]


def each(cases):
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.layer.__name__)


each_case, each_representative = each(CASES), each(FEW)
each_kernel = each([case for case in FEW if "kernel_prior_fn" in case.changed])


def make(case, model, **arguments):
    return case.function(model, **{**case.required, "seed": 1, **arguments})


class TestCompose:
    @pytest.mark.parametrize("case", [case for case in ALL if case not in CASES])
    def test_a_layer_that_keras_2_has_not_is_refused(self, case):
        with pytest.raises(TypeError, match=f"no {case.layer.__name__} for Keras 2"):
            make(case, sequential(case.shapes[0][0]))

    @each_case
    def test_model_gets_the_layer_and_is_returned(self, case):
        (shape, output), *_ = case.shapes
        model = sequential(shape)
        assert make(case, model, name="mine") is model
        assert isinstance(model.layers[0], tf_keras.layers.Layer)
        assert model.layers[0].name == "mine"
        assert model(rows(shape)).shape == case.output(4, output)
        assert [tuple(w.shape) for w in model.weights] == [shape for _, shape in case.weights]

    @each_representative
    def test_symbolic_tensor_is_passed_on(self, case):
        (shape, output), *_ = case.shapes
        inputs = tf_keras.Input(shape)
        model = tf_keras.Model(inputs, make(case, inputs))
        assert model(rows(shape)).shape == case.output(4, output)

    @each_representative
    def test_graph_of_two_inputs(self, case):
        (shape, output), *_ = case.shapes
        inputs = [tf_keras.Input(shape), tf_keras.Input(shape)]
        joined = tf_keras.layers.Add()(
            [make(case, x, name=n) for x, n in zip(inputs, "ab", strict=True)]
        )
        model = tf_keras.Model(inputs, joined)
        assert model([rows(shape), rows(shape)]).shape == case.output(4, output)
        assert len(model.weights) == 2 * len(case.weights)

    def test_conditional_input(self):
        """The layer of a model may be called on its own, on more than one tensor."""
        model = layer_api.layer_autoregressive(
            tf_keras.Sequential(), 2, event_shape=3, conditional=True,
            conditional_event_shape=2, hidden_units=[4], kernel_initializer="ones",
        )  # fmt: skip
        inputs = [tf_keras.Input((3,)), tf_keras.Input((2,))]
        outputs = model.layers[0](inputs[0], conditional_input=inputs[1])
        graph = tf_keras.Model(inputs, outputs)
        first, other = (graph([X, np.full((2, 2), c)]).numpy() for c in (0.0, 1.0))
        assert first.shape == (2, 3, 2)
        assert (first != other).all()

    def test_model_without_an_input(self):
        model = tf_keras.Sequential()
        assert layer_dense_flipout(model, units=2) is model
        assert model(X).shape == (2, 2)
        model = layer_dense_flipout(tf_keras.Sequential(), units=2, input_shape=(3,))
        assert model.output_shape == (None, 2)

    def test_integers_are_inputs(self):
        assert layer_dense_flipout(sequential(), units=2)(np.ones((4, 3), "int32")).shape == (4, 2)

    def test_policy_of_keras_2(self):
        tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
        try:
            model = layer_dense_flipout(sequential(), units=2)
            assert np.isfinite(tf.cast(model(X), "float32")).all()
            assert {w.dtype for w in model.weights} == {tf.float32}
        finally:
            tf_keras.mixed_precision.set_global_policy("float32")

    @pytest.mark.parametrize("has_input", [True, False])
    @pytest.mark.parametrize("wrong", ["name", "units", "posterior"])
    def test_model_is_as_it_was_after_an_error(self, wrong, has_input):
        model = sequential() if has_input else tf_keras.Sequential()
        if wrong == "name":
            layer_dense_flipout(model, units=2, name="taken")
        before = model.get_config()
        arguments = {
            "name": {"units": 2, "name": "taken"},
            "units": {"units": 0},
            "posterior": {"units": 2, "kernel_posterior_fn": lambda *args: 1},
        }[wrong]
        if wrong == "posterior":
            arguments["input_shape"] = (3,)
        with pytest.raises((TypeError, ValueError)):
            layer_dense_flipout(model, **arguments)
        assert model.get_config() == before
        layer_dense_flipout(model, units=5)
        assert model(X).shape == (2, 5)

    def test_pipe(self):
        model = sequential()
        assert pipe(model, tf_keras.layers.ReLU(), lambda m: layer_dense_flipout(m, 2)) is model
        assert len(model.layers) == 2

    def test_pipe_refuses_what_is_of_the_other_keras(self):
        alone = layer_dense_flipout(units=2)
        message = r"as in layer_dense_flipout\(model, \.\.\.\), or set .* before TensorFlow is"
        with pytest.raises(TypeError, match=message):
            pipe(sequential(), alone)
        with pytest.raises(TypeError, match=r"Use tf_keras\.layers\.ReLU"):
            pipe(tf_keras.Input((3,)), keras.layers.ReLU())
        for other in (keras.Sequential(), keras.Input((3,))):
            with pytest.raises(TypeError, match="must be layers of Keras 3 here"):
                pipe(other, tf_keras.layers.ReLU())
            with pytest.raises(TypeError, match=r"as in layer_dense_flipout\(model, \.\.\.\)\.$"):
                pipe(other, layer_dense_flipout(sequential(), 2).layers[0])

    @each_case
    def test_layer_refuses_a_symbolic_tensor_of_keras_3(self, case):
        (shape, _), *_ = case.shapes
        layer = make(case, tf_keras.Sequential()).layers[0]
        with pytest.raises(
            TypeError, match="`inputs` must be of Keras 2, as the layer is"
        ) as error:
            layer(keras.Input(shape))
        assert "TF_USE_LEGACY_KERAS" not in str(error.value)

    @each_case
    def test_layer_is_printed_as_that_of_keras_3_is(self, case):
        layer = make(case, tf_keras.Sequential(), name="mine").layers[0]
        expected = repr(case.layer(**case.required, seed=1, name="mine"))
        assert repr(layer) == expected.replace("name=mine", "name=mine, of Keras 2")


class TestArguments:
    @each_representative
    def test_every_argument(self, case):
        (shape, _), *_ = case.shapes
        for name, value in case.changed.items():
            more = case.beside.get(name, {})
            if case.layer is layer_api.AutoregressiveNetwork:
                if "conditional" in name:
                    continue  # a second input
                more = {**more, "event_shape": 3}
            layer = make(case, None, **{**more, name: value})
            model = make(case, sequential(shape), **{**more, name: value})
            assert model.output_shape == layer.compute_output_shape((None, *shape))
            if name == "trainable":
                assert model.trainable_weights == []

    @each([case for case in FEW if "data_format" in case.changed])
    def test_channels_first(self, case):
        shape, inputs = case.shapes[0][0], rows(case.shapes[0][0])
        last, first = (
            make(case, sequential(shape), **given, bias_posterior_fn="mean_field_normal")
            for given, shape in (
                ({}, shape),
                ({"data_format": "channels_first"}, (shape[-1], *shape[:-1])),
            )
        )
        found = first.predict(np.moveaxis(inputs, -1, 1), verbose=0)
        expected = last.predict(inputs, verbose=0)
        np.testing.assert_allclose(np.moveaxis(found, 1, -1), expected, rtol=1e-4, atol=1e-5)

    @each_case
    def test_messages_are_those_of_keras_3(self, case):
        for name, value in {
            "seed": -1,
            "activation": "rellu",
            "nmae": "a",
            "dtype": "int32",
        }.items():
            messages = []
            for model in (None, sequential(case.shapes[0][0])):
                with pytest.raises((TypeError, ValueError)) as caught:
                    make(case, model, **{name: value})
                messages.append(str(caught.value))
            assert messages[0] == messages[1]

    @each_kernel
    def test_messages_about_inputs_are_those_of_keras_3(self, case):
        messages = []
        for api in (keras, tf_keras):
            with pytest.raises(ValueError, match="`inputs` must be") as caught:
                make(case, api.Input(case.undefined))
            messages.append(str(caught.value))
        assert messages[0] == messages[1]

    def test_what_tensorflow_probability_has_not(self):
        with pytest.raises(ValueError, match="'valid' or 'same' for an object of Keras 2"):
            layer_api.layer_conv_1d_flipout(sequential((4, 3)), 2, 2, padding="causal")
        with pytest.raises(TypeError, match="a layer or model of Keras 2"):
            layer_api.layer_dense_variational(
                sequential(), 2, make_prior_fn=lambda k, b, dtype: layer_api.VariableLayer(k + b)
            )

    def test_other_backends_are_refused(self, monkeypatch):
        monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
        with pytest.raises(
            TypeError, match="Set the environment variable KERAS_BACKEND=tensorflow"
        ):
            layer_dense_flipout(sequential(), units=2)


POSTERIORS = [
    "mean_field_normal",
    layer_api.MeanFieldNormal(loc_initializer="zeros"),
    tfp.layers.default_mean_field_normal_fn(),
    "deterministic",
    "multivariate_normal_tril",
]
PRIORS = [
    "standard_normal",
    "normal",
    "laplace",
    "scale_mixture",
    "trainable_normal",
    tfp.layers.default_multivariate_normal_fn,
]
DIVERGENCES = [
    "kl_divergence",
    "monte_carlo",
    layer_api.MonteCarloKL(n_samples=3),
    lambda q, p, sample: q.log_prob(sample) - p.log_prob(sample),
]


def scale_by_hand(dtype, shape, name, trainable, add_variable_fn):
    """A posterior whose scale is computed from a variable when the function is called."""
    start = tf_keras.initializers.RandomNormal(stddev=0.1)
    loc = add_variable_fn(f"{name}_loc", shape, dtype, start)
    log_scale = add_variable_fn(f"{name}_log_scale", shape, dtype, start)
    return tfd.Independent(tfd.Normal(loc, tf.exp(log_scale)), len(shape))


def same_names(dtype, shape, name, trainable, add_variable_fn):
    """A posterior or a prior which does not make its variables' names of `name`."""
    start = tf_keras.initializers.RandomNormal(stddev=0.1)
    loc, rho = (add_variable_fn(n, shape, dtype, start) for n in ("loc", "rho"))
    return tfd.Independent(tfd.Normal(loc, tf.nn.softplus(rho)), len(shape))


def own_variables(dtype, shape, name, trainable, add_variable_fn):
    """A posterior whose variables the function makes itself."""
    loc, scale = (tf.Variable(tf.random.normal(shape, seed=1) + start) for start in (0.0, 5.0))
    return tfd.Independent(tfd.Normal(loc, scale), len(shape))


def pairs(ones, others):
    """Return the pairs in which one is the first of its kind; with FULL=1, all pairs."""
    every = itertools.product(ones, others)
    return [each for each in every if IS_FULL or each[0] is ones[0] or each[1] is others[0]]


class TestTraining:
    def check_all_weights_move(self, model, n_outputs, run_eagerly=False):
        # Where the divergence is none of the losses, nothing trains a prior.
        before = model.get_weights()
        optimizer = tf_keras.optimizers.legacy.SGD(0.01)
        model.compile(optimizer, "mse", run_eagerly=run_eagerly)
        model.fit(rows((3,), 8), rows((n_outputs,), 8), verbose=0)
        for variable, old in zip(model.weights, before, strict=True):
            assert np.isfinite(variable.numpy()).all()
            assert (variable.numpy() != old).any(), variable.name

    @pytest.mark.parametrize("posterior", [*POSTERIORS, scale_by_hand])
    def test_posteriors(self, posterior):
        model = layer_api.layer_dense_reparameterization(
            sequential(), 2, kernel_posterior_fn=posterior, bias_posterior_fn=posterior
        )
        self.check_all_weights_move(model, 2)

    @pytest.mark.parametrize("posterior", [*POSTERIORS[:3], scale_by_hand, own_variables])
    def test_posteriors_of_flipout(self, posterior):
        model = layer_dense_flipout(sequential(), 2, kernel_posterior_fn=posterior)
        self.check_all_weights_move(model, 2)

    @pytest.mark.parametrize(("prior", "divergence"), pairs(PRIORS, DIVERGENCES))
    def test_priors_and_divergences(self, prior, divergence):
        model = layer_dense_flipout(
            sequential(), 2, kernel_prior_fn=prior, kernel_divergence_fn=divergence
        )
        self.check_all_weights_move(model, 2, run_eagerly=True)

    def test_functions_whose_variables_have_the_same_names(self):
        model = layer_dense_flipout(
            sequential(),
            2,
            kernel_posterior_fn=same_names,
            kernel_prior_fn=same_names,
            bias_posterior_fn=same_names,
        )
        layer = model.layers[-1]
        arrays = [w.numpy() for w in layer.weights]
        assert len({a.ravel()[0] for a in arrays}) == len(arrays) == 6
        expected = tfd.kl_divergence(layer.kernel_posterior, layer.kernel_prior)
        assert float(expected) > 0
        model(rows((3,), 8))
        np.testing.assert_allclose(float(layer.losses[0]), float(expected), rtol=1e-5)
        self.check_all_weights_move(model, 2)

    @pytest.mark.parametrize(
        ("prior", "posterior"),
        pairs(*([fn for fn in fns if isinstance(fn, str)] for fns in (PRIORS, POSTERIORS))),
    )
    def test_dense_variational(self, prior, posterior):
        has_closed_form = prior in ("standard_normal", "normal", "trainable_normal")
        model = layer_api.layer_dense_variational(
            sequential(), 2, posterior, prior, kl_use_exact=has_closed_form
        )
        self.check_all_weights_move(model, 2, run_eagerly=True)

    def test_dense_variational_of_functions(self):
        def posterior(kernel_size, bias_size, dtype):
            n = kernel_size + bias_size
            return pipe(
                tf_keras.Sequential(),
                lambda m: layer_api.layer_variable(m, 2 * n, dtype),
                lambda m: layer_api.layer_distribution_lambda(
                    m, lambda t: tfd.Independent(tfd.Normal(t[:n], tf.nn.softplus(t[n:])), 1)
                ),
            )

        model = layer_api.layer_dense_variational(sequential(), 2, posterior)
        self.check_all_weights_move(model, 2)

    @each_representative
    def test_fit_lowers_the_loss(self, case):
        (shape, output), *_ = case.shapes
        if not case.by_row:
            pytest.skip("its outputs have no row for every row of the inputs, as fit() needs")
        weight = {"kl_weight": 1e-4} if "kl_weight" in case.changed else {}
        model = make(case, sequential(shape), **weight)
        targets = np.ones((32, *output), "float32")
        model.compile(tf_keras.optimizers.legacy.Adam(0.05), "mse")
        history = model.fit(rows(shape, 32), targets, epochs=20, verbose=0).history["loss"]
        assert history[-1] < 0.7 * history[0]


class TestMathematics:
    N = 10_000

    @pytest.mark.parametrize(
        "estimator", ["flipout", "reparameterization", "local_reparameterization"]
    )
    def test_mean_and_variance(self, estimator):
        function = getattr(layer_api, f"layer_dense_{estimator}")
        model = function(sequential(), 2, bias_posterior_fn="mean_field_normal", seed=1)
        loc, untransformed, bias, bias_untransformed = model.get_weights()
        untransformed = untransformed + 2
        # After the layer was built: what TensorFlow Probability computes has to follow.
        model.set_weights([loc, untransformed, bias, bias_untransformed])

        @tf.function
        def many():
            return tf.map_fn(lambda _: model(X), tf.range(self.N), fn_output_signature="float32")

        draws = many().numpy().astype("float64")
        scale, bias_scale = (np.log1p(np.exp(u)) for u in (untransformed, bias_untransformed))
        variance = X**2 @ scale**2 + bias_scale**2
        # The variance of the variance of a normal is 2 sigma^4 / n.
        z_mean = (draws.mean(axis=0) - X @ loc - bias) / np.sqrt(variance / self.N)
        z_variance = (draws.var(axis=0) / variance - 1) / math.sqrt(2 / self.N)
        assert np.abs(z_mean).max() < BOUND
        assert np.abs(z_variance).max() < BOUND

    @each_kernel
    def test_divergence_is_that_of_keras_3(self, case):
        shape = case.shapes[0][0]
        for arguments in ({}, {"kl_weight": 0.25}, {"bias_prior_fn": "normal"}, {"kl_weight": 0}):
            new, old = keras.Sequential([keras.Input(shape)]), sequential(shape)
            make(case, new, **arguments)
            make(case, old, **arguments)
            old(rows(shape))
            assert len(old.losses) == len(new.losses)
            np.testing.assert_allclose(old.losses, new.losses, rtol=1e-5)

    @pytest.mark.parametrize("posterior", ["mean_field_normal", "multivariate_normal_tril"])
    def test_divergence_of_dense_variational(self, posterior):
        arguments = {"make_posterior_fn": posterior, "kl_use_exact": True, "kl_weight": 0.25}
        new, old = keras.Sequential([keras.Input((3,))]), sequential()
        for model in (new, old):
            layer_api.layer_dense_variational(model, 2, **arguments, seed=1)
        old(X)
        np.testing.assert_allclose(old.losses, new.losses, rtol=1e-5)

    def test_distributions_are_those_of_now(self):
        model = layer_dense_flipout(sequential(), 2)
        layer = model.layers[0]
        model.set_weights([np.full_like(w, 2.0) for w in model.get_weights()])
        np.testing.assert_allclose(layer.kernel_posterior.mean(), 2.0)
        expected = np.log1p(np.exp(2.0))
        np.testing.assert_allclose(layer.kernel_posterior.stddev(), expected, rtol=1e-6)
        np.testing.assert_allclose(layer.kernel_prior.stddev(), 1.0)
        assert layer.bias_prior is None


class TestSeed:
    @each_representative
    def test_initial_weights(self, case):
        shape = case.shapes[0][0]
        new = keras.Sequential([keras.Input(shape)])
        make(case, new)
        one, same, other = (make(case, sequential(shape), seed=seed) for seed in (1, 1, 2))
        for a, b in zip(one.get_weights(), same.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
        if case.layer is not layer_api.AutoregressiveNetwork:  # whose masks are another's
            for a, b in zip(one.get_weights(), new.get_weights(), strict=True):
                np.testing.assert_array_equal(a, b)
        assert any(
            (a != b).any() for a, b in zip(one.get_weights(), other.get_weights(), strict=True)
        )

    def test_two_layers_of_one_shape_differ(self):
        model = sequential()
        for _ in range(2):
            layer_dense_flipout(model, units=3)
        one, other = (layer.get_weights() for layer in model.layers)
        assert all((a != b).any() for a, b in zip(one, other, strict=True))

    @pytest.mark.parametrize(
        "function",
        [
            layer_api.layer_dense_flipout,
            layer_api.layer_dense_reparameterization,
            layer_api.layer_dense_local_reparameterization,
            layer_api.layer_dense_variational,
        ],
    )
    def test_draws(self, function):
        one, same = (function(sequential(), units=2, seed=1) for _ in range(2))
        first = one(X)
        np.testing.assert_array_equal(first, same(X))
        assert (first != one(X)).numpy().any()

    @each_kernel
    def test_draws_are_those_of_keras_3(self, case):
        shape = case.shapes[0][0]
        inputs = rows(shape)
        new, old = keras.Sequential([keras.Input(shape)]), sequential(shape)
        for model in (new, old):
            make(case, model, bias_posterior_fn="mean_field_normal")
        for _ in range(2):
            np.testing.assert_allclose(old(inputs), new(inputs), rtol=1e-4, atol=1e-5)


def in_a_process(program, **environment):
    return subprocess.run(
        [sys.executable, "-c", program],
        check=True, capture_output=True, text=True, env={**os.environ, **environment},
    ).stdout  # fmt: skip


class TestProcesses:
    def test_keras_2_is_loaded_for_its_objects_only(self):
        in_a_process(
            """
import sys, keras, layer_api
model = keras.Sequential([keras.Input((3,))])
layer_api.pipe(model, layer_api.layer_dense_flipout(units=2), keras.layers.ReLU())
assert not {"tf_keras", "tensorflow_probability"} & set(sys.modules)
""",
            TF_USE_LEGACY_KERAS="0",
        )

    def test_the_environment_may_ask_for_keras_2_and_signs_repeat(self):
        program = """
import numpy as np, layer_api
layer = layer_api.layer_dense_flipout(units=2, seed=1)
import tf_keras
assert isinstance(layer, tf_keras.layers.Layer)
print(layer(np.ones((4, 3))).numpy().tolist())
"""
        one, other = (in_a_process(program, TF_USE_LEGACY_KERAS=value) for value in ("1", "true"))
        assert one == other

    def test_a_layer_that_the_environment_made_says_so_where_it_does_not_fit(self):
        in_a_process(
            """
import keras, layer_api, pytest
layer = layer_api.layer_dense_flipout(units=2, name="mine")
assert repr(layer) == (
    "<DenseFlipout name=mine, of Keras 2 as TF_USE_LEGACY_KERAS asks, units=2, built=False>"
)
inputs = keras.Input((3,))
for use in (
    lambda: keras.Sequential([layer]),
    lambda: layer(inputs),
    lambda: layer_api.pipe(keras.Sequential(), layer),
    lambda: layer_api.pipe(inputs, layer),
):
    with pytest.raises((TypeError, ValueError), match="TF_USE_LEGACY_KERAS"):
        use()
""",
            TF_USE_LEGACY_KERAS="1",
        )

    @pytest.mark.parametrize(
        "backend", ["tensorflow", "jax", "torch"] if IS_FULL else ["tensorflow"]
    )
    def test_the_environment_is_of_no_account_where_keras_2_is_not_in_use(self, backend):
        """As where R's tfprobability sets the variable, whatever the session does."""
        if backend != "tensorflow":
            pytest.importorskip(backend)
        in_a_process(
            """
import keras, os
if keras.backend.backend() == "tensorflow":
    import tensorflow
os.environ["TF_USE_LEGACY_KERAS"] = "1"
import layer_api
assert isinstance(layer_api.layer_dense_flipout(units=2), keras.layers.Layer)
""",
            KERAS_BACKEND=backend,
            TF_USE_LEGACY_KERAS="0",
        )

    def test_keras_3_of_r_makes_layers_of_keras_3(self):
        in_a_process(
            """
import keras, layer_api, tf_keras
layer_api.compose.r_has_keras3 = True
assert isinstance(layer_api.layer_dense_flipout(units=2), keras.layers.Layer)
layer = layer_api.layer_dense_flipout(tf_keras.Sequential(), units=2).layers[0]
assert isinstance(layer, tf_keras.layers.Layer)
""",
            TF_USE_LEGACY_KERAS="1",
        )


def test_a_clone_is_an_equal_layer():
    model = sequential()
    layer_dense_flipout(model, 4, "relu", kl_weight=0.5, seed=1, name="mine")
    layer_api.layer_conv_1d_flipout(
        pipe(model, tf_keras.layers.Reshape((2, 2))), 2, 1, kernel_prior_fn="laplace"
    )
    clone = tf_keras.models.clone_model(model)
    assert clone.get_config() == model.get_config()
    assert clone(X).shape == model(X).shape
    clone.set_weights(model.get_weights())
    np.testing.assert_allclose(clone.losses[0], model.losses[0], rtol=1e-6)


LOAD = """
import json, pathlib, numpy as np, tf_keras, layer_api.keras_2
folder = pathlib.Path(sys.argv[1])
found = {}
for path in [*folder.glob("*.keras"), *folder.glob("*.h5")]:
    model = tf_keras.models.load_model(path)
    config = model.layers[0].get_config()
    outputs = model(np.load(path.with_suffix(".npy")))
    found[path.name] = [outputs.numpy().tolist(), json.loads(json.dumps(config))]
    model.compile("sgd", "mse")
print(json.dumps(found))
"""


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_whole_models_in_a_fresh_process(tmp_path):
    expected = {}
    for case, ending in itertools.product(FEW, ["keras", "h5"]):
        shape = case.shapes[0][0]
        variants = {"required": {}, "drawn": {**case.drawn, "dtype": "float32"}}
        variants["drawn"].pop("data_format", None)
        for which, given in variants.items():
            if case.layer is layer_api.AutoregressiveNetwork and which == "drawn":
                given["conditional_input_layers"] = "all_layers"
            model = make(case, sequential(shape), **given)
            name = f"{case.layer.__name__}-{which}.{ending}"
            if ending == "keras":
                model(rows(shape))  # the noise is on its way, which HDF5 does not hold
            model.save(tmp_path / name)
            np.save((tmp_path / name).with_suffix(".npy"), rows(shape))
            if ending == "h5":
                model = tf_keras.models.clone_model(model)
                model.load_weights(tmp_path / name)
            config = json.loads(json.dumps(model.layers[0].get_config()))
            expected[name] = [model(rows(shape)).numpy().tolist(), config]
    assert in_a_fresh_process(LOAD, tmp_path) == expected


@each_case
def test_what_cannot_be_saved_is_refused(case, tmp_path):
    model = make(case, sequential(case.shapes[0][0]), activation=lambda x: x)
    with pytest.raises(ValueError, match=r"^`activation` cannot be saved: it is a function that"):
        model.save(tmp_path / "model.keras")


def test_weights_and_noise_are_saved(tmp_path):
    one, other = (
        layer_api.layer_dense_reparameterization(sequential(), 2, seed=seed) for seed in (1, 2)
    )
    one(X)
    tf.train.Checkpoint(one).write(str(tmp_path / "state"))
    tf.train.Checkpoint(other).read(str(tmp_path / "state")).assert_consumed()
    np.testing.assert_array_equal(one(X), other(X))
