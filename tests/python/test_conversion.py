"""A trained network of Keras becomes a variational one, and a variational one a plain one."""

import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest
from framework import BACKEND, numpy, only_tensorflow

import layer_api
from layer_api import messages
from layer_api.backend import distributions as library

of_keras = keras.layers
X = np.sin(np.arange(60, dtype="float32")).reshape(12, 5)
Y = X[:, :1]


def small_model(**options):
    """Return a model with weights as training leaves them, compiled with objects."""
    model = keras.Sequential(
        [
            keras.Input((5,)),
            of_keras.Dense(4, "tanh", kernel_regularizer="l2", kernel_constraint="max_norm"),
            of_keras.BatchNormalization(),
            of_keras.Dropout(0.2, seed=3),
            of_keras.Dense(1, use_bias=False, name="last_one"),
        ],
        name="small",
    )
    rng = np.random.default_rng(1)
    model.set_weights([rng.uniform(0.1, 1.0, size=w.shape) for w in model.weights])
    metrics = ["mae", keras.metrics.MeanSquaredError()]
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=metrics, **options)
    return model


def shared_model():
    """Return a model with a shared layer, a shared model inside, operations and two outputs."""
    inner = keras.Sequential(
        [keras.Input((4,)), of_keras.Dense(4, name="first"), of_keras.Dense(3, name="second")],
        name="inner",
    )
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    shared = of_keras.Dense(4, "tanh", name="shared")
    h = inner(shared(a)) + inner(shared(b)) * 2.0
    h = of_keras.Lambda(lambda t: t * 2.0, output_shape=(3,))(h)
    one = of_keras.Dense(2, name="one")(h)
    two = of_keras.Dense(1, name="two")(keras.ops.relu(h))
    return keras.Model({"a": a, "b": b}, {"one": one, "two": two}, name="outer")


OF_SHARED = {"a": X[:, :4], "b": X[:, 1:]}


def transformer():
    tokens = keras.Input((6,), dtype="int32")
    h = of_keras.Embedding(20, 8, mask_zero=True, name="words")(tokens)
    h = of_keras.LayerNormalization()(h + of_keras.MultiHeadAttention(2, 4, name="heads")(h, h))
    h = of_keras.LayerNormalization()(h + of_keras.Dense(8)(of_keras.Dense(16, "gelu")(h)))
    return keras.Model(tokens, of_keras.Dense(3, "softmax")(of_keras.GlobalMaxPooling1D()(h)))


TOKENS = np.arange(42).reshape(7, 6) % 20


def layer_in_model(layer, *shape, **options):
    return keras.Sequential([keras.Input(shape, **options), layer])


def quiet(function, *args, **arguments):
    """Return what a function does, without its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", messages.Notice)
        return function(*args, **arguments)


def told(function, *args, **arguments):
    """Return the words of the one warning of a function."""
    # Not `pytest.warns()`, which forgets what is to be ignored of other packages.
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", messages.Notice)
        function(*args, **arguments)
    (warning,) = caught
    assert warning.category is messages.Notice
    assert warning.filename == __file__
    return str(warning.message)


def variational_names(model):
    """Return the names of the layers of a model, and of those inside, that are variational."""
    return {each.name for each in model._flatten_layers() if hasattr(each, "kl_weight")}


def leaves(model):
    """Return the layers of a model by name, those of models inside included."""
    return {each.name: each for each in model._flatten_layers()}


CASES = {
    "Dense": lambda: layer_in_model(of_keras.Dense(3, "tanh", bias_initializer="ones"), 5),
    "Dense without bias": lambda: layer_in_model(of_keras.Dense(3, use_bias=False), 2, 5),
    "Conv1D": lambda: layer_in_model(of_keras.Conv1D(3, 2, padding="causal"), 6, 2),
    "Conv2D": lambda: layer_in_model(
        of_keras.Conv2D(3, (2, 3), strides=2, padding="same", activation="relu"), 6, 6, 2
    ),
    "Conv2D, channels first": lambda: layer_in_model(
        of_keras.Conv2D(3, 2, data_format="channels_first", dilation_rate=2), 2, 6, 6
    ),
    "Conv3D": lambda: layer_in_model(of_keras.Conv3D(2, 2, use_bias=False), 4, 4, 4, 2),
    "DepthwiseConv2D": lambda: layer_in_model(
        of_keras.DepthwiseConv2D(2, depth_multiplier=2, depthwise_regularizer="l1"), 5, 5, 2
    ),
    "Embedding": lambda: layer_in_model(
        of_keras.Embedding(7, 3, mask_zero=True), 4, dtype="int32"
    ),
}  # fmt: skip
COUNTERPARTS = {
    "flipout": ("DenseFlipout", "Conv1DFlipout", "Conv2DFlipout", "Conv3DFlipout"),
    "reparameterization": (
        "DenseReparameterization", "Conv1DReparameterization", "Conv2DReparameterization",
        "Conv3DReparameterization",
    ),
    "local_reparameterization": (
        "DenseLocalReparameterization", "Conv1DFlipout", "Conv2DFlipout", "Conv3DFlipout",
    ),
}  # fmt: skip


def inputs_of(model):
    shape = (3, *model.input_shape[1:])
    if model.inputs[0].dtype == "int32":
        return np.arange(np.prod(shape)).reshape(shape) % 7
    return np.sin(np.arange(np.prod(shape), dtype="float32")).reshape(shape)


@pytest.mark.parametrize("estimator", COUNTERPARTS)
@pytest.mark.parametrize("case", CASES)
def test_every_kind_there_and_back(case, estimator):
    model = CASES[case]()
    if case == "Conv2D, channels first" and BACKEND == "tensorflow":
        predict = None  # TensorFlow has no such convolution on a CPU
    else:
        predict = model.predict(inputs_of(model), verbose=0)
    weights, config = model.get_weights(), model.get_config()
    bayesian = quiet(layer_api.to_bayesian, model, estimator=estimator)
    layer = bayesian.layers[0]
    expected = {"DepthwiseConv2D": "DepthwiseConv2DFlipout"}
    expected["Embedding"] = "EmbeddingReparameterization"
    kinds = dict(zip(("Dense", "Conv1D", "Conv2D", "Conv3D"), COUNTERPARTS[estimator], strict=True))
    assert type(layer).__name__ == {**kinds, **expected}[type(model.layers[0]).__name__]
    assert layer.compute_output_shape(model.input_shape) == model.output_shape
    plain = layer_api.to_deterministic(bayesian)
    assert plain.get_config() == config
    for each, other, old in zip(plain.get_weights(), model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(each, old)
        np.testing.assert_array_equal(other, old)
    if predict is not None:
        np.testing.assert_array_equal(plain.predict(inputs_of(model), verbose=0), predict)
    assert model.get_config() == config


def test_posteriors_start_at_the_weights():
    model = small_model()
    kernel = model.layers[0].get_weights()[0].copy()
    kernel[0, :2] = 0.0, 1e-9
    model.layers[0].set_weights([kernel, *model.layers[0].get_weights()[1:]])
    layer = layer_api.to_bayesian(model, scale=0.2).layers[0]
    np.testing.assert_array_equal(numpy(library.mean(layer.kernel_posterior)), kernel)
    floor = 0.2 * 0.01 * np.sqrt(np.mean(kernel**2))
    stddev = numpy(library.stddev(layer.kernel_posterior))
    np.testing.assert_allclose(stddev, np.maximum(0.2 * np.abs(kernel), floor), rtol=1e-5)
    bias = model.layers[0].get_weights()[1]
    np.testing.assert_array_equal(numpy(library.mean(layer.bias_posterior)), bias)
    assert layer_api.to_bayesian(model).layers[-1].bias_posterior is None


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "mixed_float16"])
def test_a_kernel_of_zeros_can_move(dtype):
    model = layer_in_model(of_keras.Dense(2, kernel_initializer="zeros", dtype=dtype), 5)
    layer = layer_api.to_bayesian(model, kl_weight=0.5).layers[0]
    assert layer.dtype_policy.name == dtype
    assert np.isfinite(numpy(layer.losses[0]))
    stddev = numpy(library.stddev(layer.kernel_posterior)).astype("float64")
    assert (stddev > 0).all()
    assert (stddev < 0.02).all()
    kernel = numpy(layer_api.to_deterministic(layer_in_model(layer, 5)).layers[0].kernel)
    assert (kernel == 0).all()


def test_the_mean_predicts_what_the_old_model_did():
    model = small_model()
    config = layer_api.to_bayesian(model).get_config()
    for layer in config["layers"]:
        if "kernel_posterior_tensor_fn" in layer["config"]:
            layer["config"]["kernel_posterior_tensor_fn"] = "mean"
    twin = keras.Sequential.from_config(config)
    twin.set_weights(layer_api.to_bayesian(model).get_weights())
    expected = model.predict(X, verbose=0)
    np.testing.assert_allclose(twin.predict(X, verbose=0), expected, rtol=1e-5, atol=1e-6)


def test_a_model_stays_what_it_is():
    model = small_model(loss_weights=[0.5])
    model.fit(X, Y, epochs=1, verbose=0)
    model.layers[0].trainable = False
    expected, weights, config = (
        model.predict(X, verbose=0), model.get_weights(), model.get_config(),
    )  # fmt: skip
    metrics = model.evaluate(X, Y, verbose=0)
    bayesian = layer_api.to_bayesian(model, kl_weight=1 / 12)
    assert type(bayesian) is type(model)
    assert bayesian.name == "small"
    assert [layer.name for layer in bayesian.layers] == [layer.name for layer in model.layers]
    assert [layer.trainable for layer in bayesian.layers] == [False, True, True, True]
    assert type(bayesian.optimizer) is type(model.optimizer)
    assert bayesian.optimizer is not model.optimizer
    assert bayesian.optimizer.get_config() == model.optimizer.get_config()
    assert int(numpy(bayesian.optimizer.iterations)) == 0
    old, new = (each.layers[1].get_weights() for each in (model, bayesian))
    for one, other in zip(old, new, strict=True):
        np.testing.assert_array_equal(one, other)
    assert bayesian.layers[2].get_config() == model.layers[2].get_config()
    bayesian.fit(X, Y, epochs=2, verbose=0)
    assert bayesian.metrics_names == model.metrics_names
    assert len(bayesian.evaluate(X, Y, verbose=0)) == len(metrics)
    plain = layer_api.to_deterministic(bayesian)
    plain.fit(X, Y, epochs=1, verbose=0)
    np.testing.assert_array_equal(model.predict(X, verbose=0), expected)
    assert model.evaluate(X, Y, verbose=0) == metrics
    for each, old in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(each, old)
    assert model.get_config() == config


def test_a_frozen_layer_may_be_set_free():
    model = small_model()
    model.layers[0].trainable = False
    bayesian = layer_api.to_bayesian(model, prior="pretrained")
    assert bayesian.layers[0].trainable_weights == []
    before = bayesian.layers[0].get_weights()
    bayesian.layers[0].trainable = True
    bayesian.compile("sgd", "mse")
    bayesian.fit(X, Y, epochs=1, verbose=0)
    names = [weight.name for weight in bayesian.layers[0].trainable_weights]
    assert names == ["kernel_posterior_loc", "kernel_posterior_untransformed_scale",
                     "bias_posterior_loc"]  # fmt: skip
    after = bayesian.layers[0].get_weights()
    assert [np.array_equal(*pair) for pair in zip(before, after, strict=True)] == [
        False, False, False, True,
    ]  # fmt: skip


def test_what_is_shared_stays_shared():
    model = shared_model()
    model.get_layer("shared").trainable = False
    expected = model.predict(OF_SHARED, verbose=0)
    bayesian = layer_api.to_bayesian(model, seed=1)
    assert variational_names(bayesian) == {"shared", "first", "second", "one", "two"}
    assert len(bayesian.get_layer("shared")._inbound_nodes) == 2
    assert bayesian.get_layer("inner").name == "inner"
    # The new layers have seeds of their own, whatever Keras sees of what they are connected with.
    seeds = {layer.seed for layer in leaves(bayesian).values() if hasattr(layer, "kl_weight")}
    assert len(seeds) == 5
    trainable = {name: layer.trainable for name, layer in leaves(bayesian).items()}
    assert not trainable.pop("shared")
    assert all(trainable.values())
    plain = layer_api.to_deterministic(bayesian)
    predicted = plain.predict(OF_SHARED, verbose=0)
    for name, each in expected.items():
        np.testing.assert_array_equal(predicted[name], each)
    assert plain.output_names == model.output_names
    inner = keras.tree.flatten(model.input)
    assert [each.name for each in keras.tree.flatten(bayesian.input)] == [x.name for x in inner]


def test_chosen_layers():
    def chosen(layers):
        return variational_names(layer_api.to_bayesian(shared_model(), layers=layers))

    assert chosen("last") == {"one", "two"}
    assert chosen("second") == {"second"}
    assert chosen(["inner", "two"]) == {"first", "second", "two"}
    assert chosen(("shared",)) == {"shared"}
    model = small_model()
    outer = keras.Sequential([keras.Input((5,)), model, of_keras.ReLU()])
    assert variational_names(layer_api.to_bayesian(outer, layers="last")) == {"last_one"}


def test_the_last_layer_of_each_output():
    """Of a model inside with two outputs, each output of the outer model has its own."""
    i = keras.Input((5,))
    h = of_keras.Dense(3, name="body")(i)
    heads = [of_keras.Dense(1, name=name)(h) for name in ("left", "right")]
    inner = keras.Model(i, heads, name="two_heads")
    left, right = inner(i)
    both = keras.Model(i, [left, of_keras.ReLU()(right)])
    assert variational_names(layer_api.to_bayesian(both, layers="last")) == {"left", "right"}
    one = keras.Model(i, inner(i)[1])
    assert variational_names(layer_api.to_bayesian(one, layers="last")) == {"right"}
    # On the longer way to an output.
    h = of_keras.Dense(5, name="first")(i)
    longer = of_keras.Dense(5, name="second")(of_keras.ReLU()(h))
    model = keras.Model(i, of_keras.Add()([h, longer]))
    assert variational_names(layer_api.to_bayesian(model, layers="last")) == {"second"}


@pytest.mark.parametrize("prior", ["pretrained", layer_api.PretrainedNormal(0.5)])
def test_a_pretrained_prior(prior, tmp_path):
    model = small_model()
    bayesian = layer_api.to_bayesian(model, prior=prior, kl_weight=1.0, seed=1)
    layer = bayesian.layers[0]
    kernel = model.layers[0].get_weights()[0]
    np.testing.assert_array_equal(numpy(library.mean(layer.kernel_prior)), kernel)
    wide = 1.0 if prior == "pretrained" else 0.5
    r = numpy(library.stddev(layer.kernel_posterior)).astype("float64") / wide
    expected = np.sum((r**2 - 1) / 2 - np.log(r))
    np.testing.assert_allclose(numpy(layer._loss_functions[0]()), expected, rtol=1e-5)
    assert len(str(layer.get_config())) < 3000
    layer.trainable = False  # whose variables are in the file as before
    bayesian.compile("sgd", "mse")
    bayesian.optimizer.build(bayesian.trainable_variables)
    bayesian.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for each, other in zip(loaded.get_weights(), bayesian.get_weights(), strict=True):
        np.testing.assert_array_equal(each, other)
    ours = layer_api.posterior_epred(bayesian, X, draws=3, seed=1)
    np.testing.assert_array_equal(layer_api.posterior_epred(loaded, X, draws=3, seed=1), ours)
    bayesian.fit(X, Y, epochs=1, verbose=0)
    np.testing.assert_array_equal(numpy(library.mean(layer.kernel_prior)), kernel)


LOAD = """
import sys, keras, layer_api, numpy as np
model = keras.models.load_model(sys.argv[1], safe_mode=True)
print(float(np.sum(layer_api.posterior_epred(model, np.ones((2, 5)), draws=3, seed=1))))
"""


def test_a_fresh_process_loads_it(tmp_path):
    bayesian = layer_api.to_bayesian(small_model(), prior="pretrained")
    bayesian.save(tmp_path / "model.keras")
    command = [sys.executable, "-c", LOAD, str(tmp_path / "model.keras")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    ours = layer_api.posterior_epred(bayesian, np.ones((2, 5)), draws=3, seed=1)
    assert float(printed.split()[-1]) == pytest.approx(float(np.sum(ours)), rel=1e-6)


@pytest.mark.parametrize("estimator", COUNTERPARTS)
def test_seeds_decide_the_draws(estimator):
    model = small_model()

    def draws(seed):
        bayesian = layer_api.to_bayesian(model, estimator=estimator, seed=seed)
        return layer_api.posterior_epred(bayesian, X, draws=4, seed=1), bayesian.predict(
            X, verbose=0
        )

    for one, other in zip(draws(7), draws(7), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(draws(7)[1], draws(8)[1])
    assert np.asarray(draws(7)[0]).std(axis=0).min() > 0


def test_other_priors():
    def prior_of(given):
        bayesian = layer_api.to_bayesian(small_model(), prior=given)
        return bayesian.layers[0].kernel_prior_fn

    assert isinstance(prior_of("laplace"), layer_api.LaplacePrior)
    assert prior_of(layer_api.NormalPrior(scale=2.0)).scale == 2.0
    assert prior_of(None) is None
    function = layer_api.default_multivariate_normal_fn
    assert prior_of(function) is function


def test_what_cannot_be_converted_is_named():
    words = told(layer_api.to_bayesian, transformer())
    assert "without uncertainty" in words
    assert "'heads' (MultiHeadAttention)" in words
    assert "'flipout' does not exist" in words
    assert "'words' (Embedding) 'reparameterization'" in words
    assert "normalization" not in words
    i = keras.Input((6, 4))
    h = of_keras.LSTM(3, return_sequences=True, name="recurrent")(i)
    h = of_keras.TimeDistributed(of_keras.Dense(4), name="wrapped")(h)
    h = of_keras.Conv1D(4, 2, groups=2, name="grouped")(h)
    model = keras.Model(i, of_keras.Dense(1, name="plain")(h))
    words = told(layer_api.to_bayesian, model)
    for name in ("'recurrent' (LSTM)", "'wrapped' (TimeDistributed)", "'grouped' (Conv1D)"):
        assert name in words
    assert "plain" not in words
    assert "'recurrent'" not in told(layer_api.to_bayesian, model, layers=["plain", "wrapped"])
    last = keras.Model(i, of_keras.LSTM(2, name="end")(of_keras.Dense(3, name="before")(i)))
    assert "'end' (LSTM)" in told(layer_api.to_bayesian, last, layers="last")


def test_no_warning_without_a_reason():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        bayesian = layer_api.to_bayesian(small_model())
        layer_api.to_deterministic(bayesian)
        layer_api.to_bayesian(shared_model(), seed=1).predict(OF_SHARED, verbose=0)


def test_a_transformer():
    model = transformer()
    bayesian = quiet(layer_api.to_bayesian, model, kl_weight=0.01)
    plain = layer_api.to_deterministic(bayesian)
    expected = model.predict(TOKENS, verbose=0)
    np.testing.assert_array_equal(plain.predict(TOKENS, verbose=0), expected)
    bayesian.compile("adam", layer_api.CategoricalLikelihood())
    bayesian.fit(TOKENS, np.arange(7) % 3, epochs=1, verbose=0)
    assert layer_api.posterior_epred(bayesian, TOKENS, draws=3, seed=1).shape == (3, 7, 3)


@only_tensorflow  # the others compile its many layers for minutes
def test_an_architecture_of_keras():
    """Small as it is, it has all that MobileNetV2 has, whose depthwise layers are named so."""
    model = keras.applications.MobileNetV2((32, 32, 3), alpha=0.35, weights=None, classes=2)
    x = np.random.default_rng(1).uniform(size=(2, 32, 32, 3))
    bayesian = layer_api.to_bayesian(model, layers=["Conv1", "block_1_depthwise", "predictions"])
    names = {"Conv1", "block_1_depthwise", "predictions"}
    assert variational_names(bayesian) == names
    plain = layer_api.to_deterministic(bayesian)
    np.testing.assert_array_equal(plain.predict(x, verbose=0), model.predict(x, verbose=0))
    assert plain.get_config() == model.get_config()


def test_states_that_are_no_config():
    """The statistics of a layer that was adapted are copied too."""
    normalization = of_keras.Normalization()
    normalization.adapt(3 * X + 1)
    model = keras.Sequential([keras.Input((5,)), normalization, of_keras.Dense(1)])
    plain = layer_api.to_deterministic(layer_api.to_bayesian(model))
    expected = model.predict(X, verbose=0)
    np.testing.assert_array_equal(plain.predict(X, verbose=0), expected)


def test_own_functions_in_a_model():
    def shifted_tanh(x):
        return keras.ops.tanh(x) + 1.0

    def loss(y, predicted):
        return keras.ops.mean(keras.ops.abs(y - predicted), axis=-1)

    model = layer_in_model(of_keras.Dense(1, activation=shifted_tanh), 5)
    model.compile("sgd", loss, metrics=[loss])
    bayesian = layer_api.to_bayesian(model)
    assert bayesian.layers[0].activation is shifted_tanh
    assert bayesian.loss is loss
    bayesian.fit(X, Y, epochs=1, verbose=0)
    plain = layer_api.to_deterministic(layer_api.to_bayesian(model))
    np.testing.assert_array_equal(plain.predict(X, verbose=0), model.predict(X, verbose=0))


class Trained(keras.Model):
    """Model of a functional graph with a training step of its own."""

    def train_step(self, *args, **kwargs):
        return super().train_step(*args, **kwargs)


def test_a_class_with_a_step_of_its_own():
    i = keras.Input((5,))
    model = Trained(i, of_keras.Dense(1)(i))
    bayesian = layer_api.to_bayesian(model)
    assert isinstance(bayesian, Trained)
    bayesian.compile("sgd", "mse")
    bayesian.fit(X, Y, epochs=1, verbose=0)


class OfClass(keras.Model):
    def __init__(self):
        super().__init__()
        self.inner = of_keras.Dense(1)

    def call(self, inputs):
        return self.inner(inputs)


class WithoutConfig(keras.layers.Layer):
    def __init__(self, size):
        super().__init__(name="without_config")
        self.size = size

    def call(self, inputs):
        return inputs


def built(model):
    model(X)
    return model


BAD_MODELS = {
    "a number": (
        lambda: 3, TypeError,
        "`model` must be a Keras model. Received: 3. Pass a Sequential or a functional model.",
    ),
    "a layer": (
        lambda: of_keras.Dense(1, name="alone"), TypeError,
        "`model` must be a Keras model. Received: the layer 'alone' (Dense). Pass a Sequential or "
        "a functional model.",
    ),
    "not built": (
        lambda: keras.Sequential([of_keras.Dense(1)], name="raw"), ValueError,
        "`model` must be a model that is built. Received: the layer 'raw' (Sequential). Begin it "
        "with an Input, fit it, or call it on rows first.",
    ),
    "subclassed": (
        lambda: built(OfClass()), ValueError,
        "`model` must be a Sequential or a functional model. Received: the layer 'of_class' "
        "(OfClass), a class with a call() or a constructor of its own. What such a class computes "
        "cannot be told from its layers: put the variational layers into its code.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("function", [layer_api.to_bayesian, layer_api.to_deterministic])
@pytest.mark.parametrize("case", BAD_MODELS)
def test_bad_models(case, function):
    make, error, message = BAD_MODELS[case]
    model = make()
    with pytest.raises(error) as caught:
        function(model)
    assert str(caught.value) == message


def test_a_model_of_keras_2():
    tf_keras = pytest.importorskip("tf_keras")
    model = tf_keras.Sequential([tf_keras.layers.Dense(1, input_shape=(3,))], name="old")
    for function in (layer_api.to_bayesian, layer_api.to_deterministic):
        with pytest.raises(TypeError, match=r"of Keras 3\. Received: the layer 'old' .* Keras 2"):
            function(model)


def test_models_with_nothing_to_convert():
    i = keras.Input((5, 2))
    recurrent = keras.Model(i, of_keras.GRU(2, name="recurrent")(i))
    with pytest.raises(ValueError, match=r"can become variational\. Received: 'recurrent' \(GRU\)"):
        layer_api.to_bayesian(recurrent)
    relu = layer_in_model(of_keras.ReLU(), 5)
    for layers in ("all", "last"):
        with pytest.raises(ValueError, match="`model` must be a model with layers that can"):
            layer_api.to_bayesian(relu, layers=layers)
    with pytest.raises(ValueError, match="`layers` must be names of layers that can become"):
        layer_api.to_bayesian(small_model(), layers="dropout")
    with pytest.raises(ValueError, match="at least one variational layer"):
        layer_api.to_deterministic(small_model())


def test_a_layer_that_cannot_be_copied():
    model = keras.Sequential([keras.Input((5,)), WithoutConfig(3), of_keras.Dense(1)])
    with pytest.raises(ValueError, match=r"Received: 'without_config' \(WithoutConfig\)"):
        layer_api.to_bayesian(model)


BAD_ARGUMENTS = [
    ({"layers": ["lost_one"]}, "'lost_one'. Did you mean 'last_one'?"),
    ({"layers": []}, "`layers` must be 'all', 'last', or names of layers. Received: []."),
    ({"layers": 3}, "`layers` must be 'all', 'last', or names of layers. Received: 3."),
    ({"scale": 0}, "`scale` must be a finite number above 0. Received: 0."),
    ({"scale": float("nan")}, "`scale` must be a finite number above 0. Received: NA/NaN."),
    ({"scale": "much"}, "`scale` must be a finite number above 0. Received: 'much'."),
    ({"estimator": "flip_out"}, "Received: 'flip_out'. Did you mean 'flipout'?"),
    ({"estimator": 1}, "`estimator` must be one of 'flipout', 'reparameterization', "),
    ({"prior": "pretraind"}, "Received: 'pretraind'. Did you mean 'pretrained'?"),
    ({"kl_weight": -1}, "`kl_weight` must be a finite number of at least 0. Received: -1."),
    ({"seed": -1}, "`seed` must be a whole number of at least 0. Received: -1."),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_ARGUMENTS, ids=lambda case: str(case)[:30])
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the message is compared below)
        layer_api.to_bayesian(small_model(), **arguments)
    assert message in str(caught.value)


def test_a_posterior_is_no_prior():
    with pytest.raises(TypeError, match="`prior` must be a prior"):
        layer_api.to_bayesian(small_model(), prior=layer_api.MeanFieldNormal())


def test_other_variational_layers_to_plain_ones():
    model = keras.Sequential([keras.Input((5,))])
    layer_api.layer_dense_variational(
        model, units=3, make_posterior_fn="multivariate_normal_tril", activation="tanh"
    )
    layer_api.layer_dense_variational(model, units=2, use_bias=False)
    layer_api.layer_dense_reparameterization(
        model, units=2, kernel_posterior_fn="multivariate_normal_tril",
        bias_posterior_fn="mean_field_normal",
    )  # fmt: skip
    layer_api.layer_shared_scale(model)
    joint, no_bias, full = model.layers[:3]
    plain = layer_api.to_deterministic(model)
    assert [type(layer).__name__ for layer in plain.layers] == ["Dense"] * 3 + ["SharedScale"]
    mean = joint.get_weights()[0]
    h = np.tanh(X @ mean[:15].reshape(5, 3) + mean[15:])
    h = h @ no_bias.get_weights()[0].reshape(3, 2)
    loc, _, _, bias, _ = full.get_weights()
    found = keras.Model(plain.inputs, plain.layers[2].output).predict(X, verbose=0)
    np.testing.assert_allclose(found, h @ loc + bias, rtol=1e-5, atol=1e-6)


def test_a_layer_that_goes_on_drawing_is_named():
    class Own(layer_api.DenseFlipout):
        pass

    model = keras.Sequential(
        [keras.Input((5,)), Own(3, name="own"), layer_api.DenseFlipout(1, name="ours")]
    )
    words = told(layer_api.to_deterministic, model)
    assert "'own' (Own)" in words
    assert "ours" not in words


def test_a_plain_model_is_exported(tmp_path):
    plain = layer_api.to_deterministic(layer_api.to_bayesian(small_model()))
    if BACKEND != "tensorflow":
        pytest.skip("a SavedModel needs TensorFlow")
    plain.export(tmp_path / "saved", format="tf_saved_model", verbose=False)
    import tensorflow as tf

    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    expected = plain.predict(X, verbose=0)
    np.testing.assert_allclose(loaded.serve(X), expected, rtol=1e-5, atol=1e-6)

    plain.export(tmp_path / "small.tflite", format="litert", verbose=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it will move to a package of its own
        interpreter = tf.lite.Interpreter(str(tmp_path / "small.tflite"))
    place = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(place, X.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(place, X)
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_plain_model_is_exported_to_onnx(tmp_path):
    plain = layer_api.to_deterministic(layer_api.to_bayesian(small_model()))
    assert plain._called  # Keras exports no other
    exporter = {"tensorflow": "tf2onnx", "torch": "onnxscript", "jax": "jax2onnx"}[BACKEND]
    for name in (exporter, "onnxruntime"):
        pytest.importorskip(name, reason=f"{name} is not installed")
    import onnxruntime

    path = str(tmp_path / "plain.onnx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what torch says while it traces Keras
        plain.export(path, format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(path)
    rows = session.get_inputs()[0].shape[0]  # torch's exporter fixes it
    x = X[: rows if isinstance(rows, int) else None]
    (found,) = session.run(None, {session.get_inputs()[0].name: x})
    np.testing.assert_allclose(found, plain.predict(x, verbose=0), rtol=1e-5, atol=1e-6)
