"""The attributes and methods that `tfp.layers` documents, by their values, under Keras 3."""

import keras
import numpy as np
import pytest
from framework import BACKEND, float64, gradients, normal, numpy, only_tensorflow
from keras import ops

import layer_api
from layer_api import backend, keras_private
from layer_api.layers.base import Layer

X = np.array([[0.5, -1.0, 2.0], [1.5, 0.3, -0.7]], "float32")
N_WEIGHTS = 3 * 2 + 3 * 2 + 2


def built(**arguments):
    layer = layer_api.layer_dense_flipout(units=2, **{"seed": 1, **arguments})
    layer.build((None, 3))
    return layer


def values(tensors):
    return [numpy(tensor) for tensor in tensors]


def without_divergence(**arguments):
    return built(kernel_prior_fn=None, **arguments)


class WithLoss(layer_api.DenseFlipout):
    """Adds a loss in its call, as a user's subclass does."""

    def call(self, inputs):
        self.add_loss(ops.sum(inputs))
        return super().call(inputs)


class WithMetric(layer_api.DenseFlipout):
    """Adds a metric in its call, as a user's subclass does."""

    def call(self, inputs):
        self.add_metric(ops.max(inputs), name="largest", aggregation="mean")
        return super().call(inputs)


class TestAttributes:
    def test_activity_regularizer(self):
        regularizer = keras.regularizers.L1(0.5)
        layer = without_divergence(activity_regularizer=regularizer)
        assert layer.activity_regularizer is regularizer
        assert built().activity_regularizer is None
        outputs = layer(X)
        # Keras divides by the size of the batch.
        np.testing.assert_allclose(
            values(layer.losses), [0.5 * np.abs(numpy(outputs)).sum() / 2], rtol=1e-6
        )

    def test_activity_regularizer_by_name(self):
        layer = built(activity_regularizer="l2")
        assert isinstance(layer.activity_regularizer, keras.regularizers.L2)

    @pytest.mark.parametrize(
        ("policy", "variable_dtype", "compute_dtype"),
        [
            ("float32", "float32", "float32"),
            ("float64", "float64", "float64"),
            ("mixed_bfloat16", "float32", "bfloat16"),
        ],
    )
    @float64()
    def test_dtypes(self, policy, variable_dtype, compute_dtype):
        for dtype in (policy, keras.dtype_policies.DTypePolicy(policy)):
            layer = built(dtype=dtype)
            assert layer.dtype == layer.variable_dtype == variable_dtype
            assert layer.compute_dtype == compute_dtype
            assert layer.dtype_policy == keras.dtype_policies.DTypePolicy(policy)
            assert keras.backend.standardize_dtype(layer(X).dtype) == compute_dtype

    def test_global_policy(self):
        keras.config.set_dtype_policy("mixed_float16")
        assert (built().dtype, built().compute_dtype) == ("float32", "float16")

    def test_dynamic(self):
        assert built().dynamic is False

    def test_input_and_output(self):
        layer = built()
        for attribute in ("input", "output"):
            with pytest.raises(AttributeError, match="has never been called"):
                getattr(layer, attribute)
        inputs = keras.Input((3,))
        outputs = layer(inputs)
        assert layer.input is inputs
        assert layer.output is outputs
        # Keras 3 keeps those of the first call.
        layer(keras.Input((3,)))
        assert layer.input is inputs
        assert layer.output is outputs

    def test_input_spec(self):
        layer = layer_api.layer_dense_flipout(units=2)
        assert layer.input_spec is None
        layer.build((None, 4, 3))
        assert layer.input_spec.min_ndim == 2
        assert layer.input_spec.axes == {-1: 3}
        with pytest.raises(ValueError, match="expected axis -1 of input shape to have value 3"):
            layer(np.ones((2, 4), "float32"))
        with pytest.raises(ValueError, match="expected min_ndim=2, found ndim=1"):
            layer(np.ones((3,), "float32"))

    def test_losses_pass_gradients_on(self):
        layer = built()
        loc, scale = gradients(lambda: layer.losses[0], layer.trainable_weights[:2])
        np.testing.assert_allclose(loc, layer.get_weights()[0], rtol=1e-6)
        assert (scale < 0).all()  # the prior is wider

    def test_losses_follow_the_weights(self):
        layer = built()
        (before,) = layer.losses
        loc, *rest = layer.get_weights()
        layer.set_weights([loc + 1, *rest])
        # KL has loc^2 / 2 in it.
        expected = numpy(before) + np.sum((loc + 1) ** 2 - loc**2) / 2
        np.testing.assert_allclose(values(layer.losses), [expected], rtol=1e-5)

    def test_name(self):
        assert built(name="mine").name == "mine"
        assert built().name.startswith("dense_flipout")
        assert built().name != built().name

    @only_tensorflow
    def test_name_scope(self):
        import tensorflow as tf

        layer = built(name="mine")
        with tf.Graph().as_default(), layer.name_scope:
            assert tf.add(1, 2).name == "mine/Add:0"

    @only_tensorflow
    def test_operations_of_a_graph_carry_the_name(self):
        import tensorflow as tf

        layer = built(name="mine")
        graph = tf.function(layer).get_concrete_function(tf.TensorSpec((None, 3))).graph
        assert any(operation.name.startswith("mine") for operation in graph.get_operations())

    @only_tensorflow
    def test_with_name_scope(self):
        import tensorflow as tf

        class Named(Layer):
            @Layer.with_name_scope
            def method(self, x, *, y):
                """Say something."""
                return tf.add(x, y)

        layer = Named(name="mine")
        with tf.Graph().as_default():
            assert layer.method(1, y=2).name == "mine/Add:0"
        assert layer.method(1, y=2) == 3
        assert (layer.method.__name__, layer.method.__doc__) == ("method", "Say something.")

    def test_submodules(self):
        layer = built()
        assert layer.submodules == ()

        class Outer(Layer):
            def __init__(self, inner):
                super().__init__()
                self.inner = inner

        middle = Outer(layer)
        assert Outer(middle).submodules == (middle, layer)

    def test_supports_masking(self):
        assert built().supports_masking is True

    def test_trainable(self):
        layer = built()
        assert layer.trainable is True
        names = [w.name for w in layer.weights]
        assert [w.name for w in layer.trainable_weights] == names
        layer.trainable = False
        assert layer.trainable_weights == []
        assert [w.name for w in layer.non_trainable_weights] == names
        assert layer.get_config()["trainable"] is False
        layer.trainable = True
        assert [w.name for w in layer.trainable_weights] == names
        assert built(trainable=False).trainable_weights == []

    def test_weights_of_a_frozen_posterior(self):
        """`trainable` reaches a user's function, which may create a variable of either kind."""

        def prior(dtype, shape, name, trainable, add_variable_fn):
            loc = add_variable_fn(
                name=f"{name}_loc", shape=shape, dtype=dtype, initializer="zeros", trainable=False
            )
            return normal(loc, 1.0)

        layer = built(kernel_prior_fn=prior)
        assert [w.name for w in layer.non_trainable_weights] == ["kernel_prior_loc"]
        assert "kernel_prior_loc" not in [w.name for w in layer.trainable_weights]
        assert len(layer.weights) == 4
        # Weights that are not trained come last, as in Keras 2.
        assert layer.weights[-1].name == "kernel_prior_loc"


class TestAddLoss:
    def test_function(self):
        layer = without_divergence()
        layer.add_loss(lambda: ops.sum(ops.square(layer.weights[0])))
        loc, *rest = layer.get_weights()
        for factor in (1, 2):
            layer.set_weights([factor * loc, *rest])
            np.testing.assert_allclose(
                values(layer.losses), [np.sum((factor * loc) ** 2)], rtol=1e-6
            )
        (gradient,) = gradients(lambda: layer.losses[0], layer.weights[:1])
        np.testing.assert_allclose(gradient, 4 * loc, rtol=1e-6)

    def test_tensor_and_list(self):
        layer = without_divergence()
        layer.add_loss(ops.convert_to_tensor(1.0))
        layer.add_loss([ops.convert_to_tensor(2.0), lambda: ops.convert_to_tensor(3.0)])
        layer.add_loss((ops.convert_to_tensor(4.0),), inputs=X)
        assert sorted(float(loss) for loss in layer.losses) == [1.0, 2.0, 3.0, 4.0]

    def test_a_loss_of_a_call_counts_once_per_step(self):
        layer = WithLoss(units=2, kernel_prior_fn=None)
        model = keras.Sequential([keras.Input((3,)), layer])
        model.compile(optimizer="sgd", loss=lambda y, y_pred: 0.0 * ops.sum(y_pred, axis=-1))
        for _ in range(2):
            history = model.fit(X, X[:, :2], verbose=0).history
            np.testing.assert_allclose(history["loss"], [X.sum()], rtol=1e-5)

    def test_function_trains(self):
        layer = without_divergence(bias_posterior_fn=None)
        model = keras.Sequential([keras.Input((3,)), layer])
        layer.add_loss(lambda: ops.sum(layer.weights[0]))
        model.compile(optimizer=keras.optimizers.SGD(0.5), loss=lambda y, y_pred: 0.0 * y_pred)
        before = layer.get_weights()[0]
        model.fit(X, X[:, :2], verbose=0)
        np.testing.assert_allclose(layer.get_weights()[0], before - 0.5, rtol=1e-5, atol=1e-6)

    def test_not_a_tensor(self):
        with pytest.raises(ValueError, match=r"Received invalid value: 2\.5"):
            built().add_loss(2.5)

    def test_unknown_argument(self):
        with pytest.raises(TypeError, match="`input` is not an argument of add_loss"):
            built().add_loss(ops.convert_to_tensor(1.0), input=X)


class TestAddMetric:
    def test_mean_over_calls(self):
        layer = built()
        layer.add_metric(ops.convert_to_tensor([1.0, 3.0]), name="first")
        layer.add_metric(ops.convert_to_tensor(5.0), name="second")
        layer.add_metric(ops.convert_to_tensor([11.0]), name="first")
        assert [metric.name for metric in layer.metrics] == ["first", "second"]
        assert [float(metric.result()) for metric in layer.metrics] == [5.0, 5.0]

    def test_shows_up_in_the_logs_of_fit(self):
        model = keras.Sequential([keras.Input((3,)), WithMetric(units=2)])
        model.compile(optimizer="sgd", loss="mse")
        if BACKEND == "jax":
            with pytest.raises(NotImplementedError, match="cannot be updated inside `fit"):
                model.fit(X, X[:, :2], verbose=0)
            return
        history = model.fit(X, X[:, :2], batch_size=1, epochs=2, verbose=0).history
        # Its rows have the maxima 2.0 and 1.5; metrics start over with every epoch.
        np.testing.assert_allclose(history["largest"], [1.75, 1.75])

    def test_none_before(self):
        assert built().metrics == []

    def test_name_is_required(self):
        with pytest.raises(ValueError, match="`name` must be the name of the metric"):
            built().add_metric(ops.convert_to_tensor(1.0))

    def test_unknown_argument(self):
        with pytest.raises(TypeError, match="`aggregate` is not an argument of add_metric"):
            built().add_metric(ops.convert_to_tensor(1.0), name="first", aggregate="mean")


class TestMethods:
    def test_build_is_done_by_the_first_call(self):
        layer = layer_api.layer_dense_flipout(units=2)
        assert not layer.built
        layer(X)
        assert layer.built
        assert [tuple(w.shape) for w in layer.weights] == [(3, 2), (3, 2), (2,)]

    def test_build_takes_any_sequence(self):
        for shape in [(None, 3), [None, 3], (None, np.int64(3))]:
            layer = layer_api.layer_dense_flipout(units=2)
            layer.build(shape)
            assert layer.count_params() == N_WEIGHTS

    def test_compute_mask(self):
        mask = np.array([[True, False]])
        assert built().compute_mask(np.ones((1, 2, 3)), mask) is mask
        assert built().compute_mask(np.ones((1, 2, 3))) is None

    def test_mask_passes_through_a_model(self):
        tokens = np.array([[1, 2, 0], [3, 0, 0]])
        embedded = keras.layers.Embedding(5, 3, mask_zero=True)(tokens)
        outputs = built()(embedded)
        np.testing.assert_array_equal(numpy(keras_private.mask_of(outputs)), tokens != 0)

    def test_compute_output_shape(self):
        layer = layer_api.layer_dense_flipout(units=2)
        assert layer.compute_output_shape((None, 3)) == (None, 2)
        assert layer.compute_output_shape([5, None, 3]) == (5, None, 2)
        for shape in [(5, None), (None, 3, None)]:
            with pytest.raises(ValueError, match="last dimension is defined"):
                layer.compute_output_shape(shape)

    def test_count_params(self):
        assert built().count_params() == N_WEIGHTS
        assert built(bias_posterior_fn=None).count_params() == N_WEIGHTS - 2
        assert built(bias_posterior_fn="mean_field_normal").count_params() == N_WEIGHTS + 2
        with pytest.raises(ValueError, match="isn't built"):
            layer_api.layer_dense_flipout(units=2).count_params()

    def test_weights_go_out_and_in(self):
        one, other = built(), built(seed=2)
        weights = one.get_weights()
        assert all(isinstance(w, np.ndarray) for w in weights)
        other.set_weights(weights)
        for ours, theirs in zip(other.get_weights(), weights, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        # It is a copy.
        weights[0][:] = 0
        assert (one.get_weights()[0] != 0).all()

    def test_set_weights_takes_what_is_like_an_array(self):
        layer = built()
        layer.set_weights([np.zeros((3, 2)).tolist(), ops.ones((3, 2)), np.array([1, 2])])
        loc, scale, bias = layer.get_weights()
        assert (loc == 0).all()
        assert (scale == 1).all()
        assert bias.tolist() == [1, 2]

    def test_weights_of_a_layer_that_is_not_built(self):
        layer = layer_api.layer_dense_flipout(units=2)
        assert layer.get_weights() == []
        with pytest.raises(ValueError, match="a layer has weights once it is built"):
            layer.set_weights(built().get_weights())

    def test_call(self):
        layer = built(kernel_posterior_tensor_fn="mean", activation="tanh")
        loc, _, bias = layer.get_weights()
        for inputs in (X, X.tolist(), ops.convert_to_tensor(X), X.astype("float64")):
            given = np.asarray(inputs, "float32") if isinstance(inputs, list) else inputs
            np.testing.assert_allclose(numpy(layer(given)), np.tanh(X @ loc + bias), rtol=1e-5)

    def test_call_without_inputs(self):
        with pytest.raises(TypeError, match="inputs"):
            built()()

    def test_units_is_an_attribute(self):
        assert built().units == 2


class TestDistributions:
    """`kernel_posterior` and its kin, which `tfp.layers` has, too."""

    def test_they_are_those_of_now(self):
        layer = built()
        loc, untransformed, bias = layer.get_weights()
        scale = np.finfo("float32").eps + np.log1p(np.exp(untransformed))
        np.testing.assert_array_equal(
            numpy(backend.distributions.mean(layer.kernel_posterior)), loc
        )
        np.testing.assert_allclose(
            numpy(backend.distributions.stddev(layer.kernel_posterior)), scale, rtol=1e-5
        )
        np.testing.assert_array_equal(
            numpy(backend.distributions.stddev(layer.kernel_prior)), np.ones((3, 2))
        )
        np.testing.assert_array_equal(numpy(backend.distributions.mean(layer.bias_posterior)), bias)
        assert layer.bias_prior is None
        layer.set_weights([loc + 1, untransformed, bias])
        np.testing.assert_array_equal(
            numpy(backend.distributions.mean(layer.kernel_posterior)), loc + 1
        )

    def test_one_event(self):
        layer = built(bias_prior_fn="standard_normal")
        for part, shape in (("kernel", (3, 2)), ("bias", (2,))):
            for role in ("posterior", "prior"):
                distribution = getattr(layer, f"{part}_{role}")
                assert tuple(distribution.event_shape) == shape
                assert tuple(distribution.batch_shape) == ()
                value = backend.distributions.sample(distribution, seed=1)
                assert tuple(backend.distributions.log_prob(distribution, value).shape) == ()

    def test_before_the_build(self):
        layer = layer_api.layer_dense_flipout(units=2)
        with pytest.raises(AttributeError, match="no kernel_posterior before the layer is built"):
            layer.kernel_posterior  # noqa: B018
        assert layer_api.layer_dense_flipout(units=2, bias_posterior_fn=None).bias_posterior is None
