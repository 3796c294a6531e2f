"""What Keras does not promise: one test for every hook, which a new version may break."""

import contextlib

import keras
import numpy as np
import pytest
from framework import BACKEND, numpy

import layer_api
from layer_api import keras_private

X = np.ones((2, 3), "float32")


class Recording(keras.layers.Layer):
    """Layer that notes what encloses it."""

    def __init__(self):
        super().__init__()
        keras_private.untracked(self, seen=[])

    def build(self, input_shape):
        self.seen.append([layer.name for layer in keras_private.enclosing_layers()])

    def call(self, inputs):
        self.seen.append([layer.name for layer in keras_private.enclosing_layers()])
        return inputs


def test_a_loss_is_a_function_that_keras_asks():
    layer = layer_api.DenseFlipout(2)
    layer.build((None, 3))
    assert "_get_own_losses" in dir(keras.layers.Layer)
    assert len(keras.Sequential([keras.Input((3,)), layer]).losses) == 1


def test_keep_message():
    class Failing(keras.layers.Layer):
        def call(self, inputs):
            raise keras_private.keep_message(ValueError("as it is"))

    with pytest.raises(ValueError, match=r"^as it is$"):
        Failing()(X)


def test_untracked():
    layer = keras.layers.Dense(2)
    values = [1, 2]
    keras_private.untracked(layer, values=values, inner=keras.layers.Dense(1))
    assert layer.values is values
    assert keras_private.inner_layers(layer) == []


def test_held_number():
    class Scaled(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.factor = keras_private.HeldNumber(2.0, "factor")

        def call(self, inputs):
            return inputs * self.factor.value

    layer = Scaled()
    model = keras.Sequential([keras.Input((3,)), layer])
    np.testing.assert_array_equal(model.predict(X, verbose=0), 2 * X)
    layer.factor.assign(3.0, "")
    np.testing.assert_array_equal(model.predict(X, verbose=0), 3 * X)
    assert layer.weights == []
    assert [v.name for v in layer.non_trainable_variables] == ["factor"]


def test_set_value_and_is_without_value():
    variable = keras.Variable(1.0, trainable=False)
    assert not keras_private.is_without_value(variable)
    if BACKEND == "jax":
        keras_private.set_value(variable, keras.ops.convert_to_tensor(2.0))
        assert float(numpy(variable)) == 2.0
        keras_private.set_value(variable, None)
        assert keras_private.is_without_value(variable)


def test_stateless_scope():
    assert not keras_private.is_in_stateless_scope()
    with keras.StatelessScope():
        assert keras_private.is_in_stateless_scope()


def test_enclosing_layers():
    layer = Recording()
    keras.Sequential([keras.Input((3,)), layer], name="outer")(X)
    assert ["outer", layer.name] in layer.seen


def test_connected_and_inner_layers():
    x = keras.Input((3,))
    one, two, three = (keras.layers.Dense(3) for _ in range(3))
    inner = keras.Sequential([keras.Input((3,)), three])
    one(x)
    found = keras_private.connected_layers([inner(two(x)), "no tensor"])
    assert {id(layer) for layer in (one, two, three)} <= {id(layer) for layer in found}
    assert keras_private.connected_layers([X]) == []
    assert three in keras_private.inner_layers(inner)
    assert keras_private.all_layers(three) == [three]


def test_entry_layer():
    found = []

    class Inner(keras.layers.Layer):
        def call(self, inputs):
            found.append(keras_private.entry_layer(self))
            return inputs

    model = keras.Sequential([Inner()])
    model(X)
    assert model in found


def test_remove_last_layer():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    before = list(model.layers)
    model.add(keras.layers.Dense(4))
    keras_private.remove_last_layer(model, before)
    assert model.layers == before
    assert model.output_shape == (None, 2)


def test_put_values_back():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    keras_private.put_values_back(model)
    assert hasattr(model, "jax_state_sync") == (BACKEND == "jax")


def test_global_dtype_policy():
    with keras_private.global_dtype_policy("mixed_bfloat16"):
        assert keras.layers.Dense(1).compute_dtype == "bfloat16"
    assert keras.layers.Dense(1).compute_dtype == "float32"


def test_rematerialized_call_is_what_keras_calls():
    with keras.RematScope(mode="full"):
        layer = layer_api.DenseFlipout(2)
    assert layer._remat_mode.mode == "full"
    assert "rematerialized_call" in dir(keras.layers.Layer)


def test_generators_of_random_numbers():
    layer = layer_api.DenseFlipout(2)
    assert keras_private.seed_generators(layer) == [layer.seed_generator]  # not the held number
    assert len(keras_private.seed_generators(keras.layers.Dropout(0.5))) == 1
    assert keras_private.seed_generators(keras.layers.Dense(2)) == []
    generator = keras_private.global_seed_generator()
    before = numpy(generator.state.value)
    keras.random.normal((2,))
    assert not np.array_equal(before, numpy(generator.state.value))


def test_layers_that_run_no_function_of_a_user():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    assert keras_private.is_built_in(model)
    assert keras_private.is_built_in(model.layers[0])
    assert not keras_private.is_built_in(keras.layers.Lambda(lambda x: x))
    assert not keras_private.is_built_in(Recording())


def test_noise_that_rows_cannot_share():
    shared = [keras.layers.Dropout(0.5), keras.layers.LSTM(2), keras.layers.AlphaDropout(0.0)]
    alone = [keras.layers.LSTM(2, dropout=0.5), keras.layers.AlphaDropout(0.5)]
    for layer in shared + alone:
        inner = [layer, *keras_private.inner_layers(layer)]
        assert any(map(keras_private.draws_for_every_row, inner)) == (layer in alone)


@pytest.mark.parametrize("is_shared", [True, False])
@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (keras.layers.Dropout(0.5), (4, 40)),
        (keras.layers.Dropout(0.5, noise_shape=(None, 1, 40)), (4, 3, 40)),
        (keras.layers.SpatialDropout1D(0.5), (4, 3, 40)),
        (keras.layers.GaussianDropout(0.5), (4, 40)),
        (keras.layers.GaussianNoise(0.5), (4, 40)),
    ],
)
def test_noise_of_training(layer, shape, is_shared):
    x = np.ones(shape, "float32")
    with keras_private.noise_of_training([layer], is_shared):
        drawn = numpy(layer(x, training=True))
        assert np.array_equal(layer(x, training=False), x)
    assert (np.ptp(drawn, axis=0).max() == 0) == is_shared
    assert np.ptp(drawn) > 0
    if len(shape) == 3:
        assert np.ptp(drawn, axis=1).max() == 0
    assert "call" not in vars(layer)


def test_batches_are_not_normalized():
    layer = keras.layers.BatchNormalization()
    x = np.arange(6, dtype="float32").reshape(2, 3)
    with keras_private.noise_of_training([layer], is_shared=True):
        np.testing.assert_allclose(numpy(layer(x, training=True)), x, rtol=1e-2)
    assert abs(numpy(layer(x, training=True)).mean()) < 1e-3


def test_shapes_and_arguments():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    assert keras_private.output_shapes(model) == [(None, 2)]
    assert keras_private.output_shapes(model.layers[0]) == [(None, 2)]
    assert keras_private.output_shapes(keras.layers.Dense(2)) == []
    assert keras_private.has_training_argument(model)
    assert not keras_private.has_training_argument(Recording())


def test_masks():
    outputs = keras.layers.Masking()(np.array([[[1.0], [0.0]]], "float32"))
    assert np.array_equal(numpy(keras_private.mask_of(outputs)), [[True, False]])
    assert keras_private.mask_of(keras.ops.ones((2,))) is None


def test_observed_steps():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    seen, kinds = [], []

    class Counting(keras.metrics.Mean):
        def note(self, rows, value):
            seen.append(value)
            self.update_state(keras.ops.stop_gradient(value), keras.ops.cast(rows, "float32"))

    @contextlib.contextmanager
    def around(is_training):
        kinds.append(is_training)
        yield

    metric = Counting("observed")
    steps = keras_private.ObservedSteps(model, metric, around, metric.note)
    model.fit(X, X[:, :1], verbose=0)
    plain = model.train_function
    steps.start(model)
    steps.start(model)  # as after an interruption
    assert keras_private.ObservedSteps.of(model) is steps
    logs = model.fit(X, X[:, :1], validation_data=(X, X[:, :1]), verbose=0).history
    np.testing.assert_allclose(logs["loss"], logs["observed"], rtol=1e-6)
    np.testing.assert_allclose(logs["val_loss"], logs["val_observed"], rtol=1e-6)
    assert set(kinds) == {True, False}
    assert seen
    steps.stop(model)
    assert model.train_function is plain
    assert [each.name for each in model.metrics] == ["loss"]
    model.compile("sgd", "mse")
    assert keras_private.ObservedSteps.of(model) is None


def test_callbacks_of_fit():
    found = []

    class Asking(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            found.extend(keras_private.callbacks_of_fit())

    stopping = keras.callbacks.EarlyStopping("loss")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(X, X[:, :1], verbose=0, callbacks=[stopping, Asking()])
    assert stopping in found
    assert keras_private.callbacks_of_fit() == []


def test_can_be_rebuilt():
    class Own(keras.Model):
        def __init__(self, size):
            super().__init__()
            self.size = size

        def call(self, inputs):
            return inputs

    class OwnSequential(keras.Sequential):
        def __init__(self, size):
            super().__init__([keras.layers.Dense(size)])

    class Step(keras.Model):
        pass

    i = keras.Input((3,))
    assert keras_private.can_be_rebuilt(keras.Sequential())
    assert keras_private.can_be_rebuilt(keras.Model(i, i))
    assert keras_private.can_be_rebuilt(Step(i, i))
    for other in (Own(2), OwnSequential(2), keras.layers.Dense(2)):
        assert not keras_private.can_be_rebuilt(other)


def test_rebuilt():
    i = keras.Input((3,), sparse=BACKEND == "tensorflow", name="first")
    layer = keras.layers.Dense(3)
    made = {}

    def make(each):
        return made.setdefault(id(each), keras_private.copied(each))

    model = keras.Model({"first": i}, [layer(layer(i)) + 1.0], name="model")
    new = keras_private.rebuilt(model, make)
    assert (type(new), new.name) == (type(model), "model")
    assert new.get_config() == model.get_config()
    assert not {id(each) for each in new.layers} & {id(each) for each in model.layers}
    assert len(layer._inbound_nodes) == 2
    sequential = keras.Sequential([keras.Input((3,), name="in"), layer], name="row")
    assert keras_private.rebuilt(sequential, make).get_config() == sequential.get_config()


def test_copied_and_copy_state():
    def double(x):
        return 2 * x

    twice = keras_private.copied(keras.layers.Lambda(double, output_shape=(3,), name="twice"))
    assert (twice.function, twice.name) == (double, "twice")
    np.testing.assert_array_equal(numpy(twice(X)), 2 * X)
    old = keras.layers.Bidirectional(keras.layers.LSTM(2))
    old(X[None])
    old.forward_layer.trainable = False
    new = keras_private.copied(old)
    new(X[None])
    keras_private.copy_state(old, new)
    assert not new.forward_layer.trainable
    assert new.backward_layer.trainable
    np.testing.assert_array_equal(numpy(new(X[None])), numpy(old(X[None])))


@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow alone computes with text")
def test_copy_state_of_a_vocabulary():
    old = keras.layers.StringLookup()
    old.adapt(["b", "a", "b"])
    new = keras_private.copied(old)
    keras_private.copy_state(old, new)
    assert new.get_vocabulary() == ["[UNK]", "b", "a"]


def test_compile_arguments():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    metric = keras.metrics.MeanSquaredError()

    def loss(y, predicted):
        return keras.ops.abs(y - predicted)

    model.compile("sgd", loss, metrics=[metric], loss_weights=[0.5])
    arguments = keras_private.compile_arguments(model)
    assert arguments["loss"] is loss
    assert arguments["metrics"][0] is metric
    model.compile(**arguments)


def test_producers_and_output_index():
    i = keras.Input((3,))
    shared, other = keras.layers.Dense(3), keras.layers.Dense(3)
    h = shared(i)
    outputs = shared(h)
    other(h)
    producers = keras_private.producers(outputs)
    assert producers[0] is shared
    assert other not in producers
    assert any(isinstance(each, keras.layers.InputLayer) for each in producers)
    two = keras.Model(i, [h, outputs])
    assert [keras_private.output_index(each) for each in two(i)] == [0, 1]
