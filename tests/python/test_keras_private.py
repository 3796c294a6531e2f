"""What Keras does not promise: one test for every hook, which a new version may break."""

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
