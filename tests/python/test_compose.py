"""The pipe rule: what a layer function and `pipe()` make of every kind of object."""

import copy
import inspect
import typing

import keras
import numpy as np
import pytest
from framework import numpy

import layer_api
from layer_api import layer_dense_flipout, pipe

X = np.ones((4, 3), "float32")


def sequential(*layers):
    return keras.Sequential([keras.Input((3,)), *layers])


def state_of(model):
    return [layer.name for layer in model.layers], model.get_config(), model.output_shape


class TestLayerFunction:
    @pytest.mark.parametrize("name", ["unit", "u", "unitss"])
    def test_a_wrong_name_for_the_argument_that_must_be_given(self, name):
        message = f"^`{name}` is not an argument of DenseFlipout. Did you mean 'units'\\?$"
        with pytest.raises(TypeError, match=message):
            layer_dense_flipout(**{name: 5})

    def test_nothing_gives_the_layer(self):
        for layer in (layer_dense_flipout(units=2), layer_dense_flipout(None, 2)):
            assert type(layer) is layer_api.DenseFlipout
            assert layer.units == 2
            assert not layer.built

    def test_model_gets_the_layer_and_is_returned(self):
        model = sequential()
        assert layer_dense_flipout(model, units=4, name="first") is model
        assert layer_dense_flipout(model, 2, "relu", name="second") is model
        assert [layer.name for layer in model.layers] == ["first", "second"]
        assert model.output_shape == (None, 2)
        assert model.layers[1].activation is keras.activations.relu

    def test_model_without_an_input(self):
        model = keras.Sequential()
        assert layer_dense_flipout(model, units=2) is model
        assert not model.built
        assert model(X).shape == (4, 2)

    def test_tensors_give_a_tensor(self):
        inputs = keras.Input((3,))
        outputs = layer_dense_flipout(inputs, units=2)
        assert isinstance(outputs, keras.KerasTensor)
        assert keras.Model(inputs, outputs)(X).shape == (4, 2)
        layer = layer_dense_flipout(units=2, seed=1)
        expected = numpy(layer(X))
        for tensor in (X, keras.ops.convert_to_tensor(X), X.astype("float64"), X.astype("int32")):
            outputs = layer_dense_flipout(tensor, units=2, seed=1)
            assert keras.ops.is_tensor(outputs)
            np.testing.assert_array_equal(numpy(outputs), expected)

    def test_lists_of_tensors_reach_the_layer(self):
        class Sum(keras.layers.Layer):
            def __init__(self, scale=1.0):
                super().__init__()
                self.scale = scale

            def call(self, inputs):
                return self.scale * sum(inputs)

        from layer_api.compose import layer_function

        layer_sum = layer_function(documented(Sum), "layer_sum")
        one, other = keras.Input((3,)), keras.Input((3,))
        for tensors in ([one, other], (one, other)):
            assert layer_sum(tensors, scale=2.0).shape == (None, 3)
        np.testing.assert_array_equal(layer_sum([X, X], scale=2.0), 4 * X)

    def test_signature_and_documentation(self):
        parameters = inspect.signature(layer_dense_flipout).parameters
        expected = ["object", *inspect.signature(layer_api.DenseFlipout.__init__).parameters]
        expected.remove("self")
        assert list(parameters) == expected
        assert layer_dense_flipout.__name__ == "layer_dense_flipout"
        assert layer_dense_flipout.layer_class is layer_api.DenseFlipout
        document = inspect.getdoc(layer_dense_flipout)
        # `object`, then what the class says of its own arguments.
        assert document.index("\nArgs:\n    object: ") < document.index("\n    units: ")
        for name in parameters:
            assert f"\n    {'**' if name == 'kwargs' else ''}{name}: " in document

    def test_a_layer_may_be_a_step_of_another_model(self):
        layer = layer_dense_flipout(units=2)
        one, other = sequential(layer), sequential(layer)
        assert one.layers[0] is other.layers[0]
        assert layer_dense_flipout(one, units=1) is one
        assert len(other.layers) == 1


def documented(layer_class):
    layer_class.__doc__ = "A layer.\n\nArgs:\n    scale: A number.\n"
    return layer_class


class TestPipe:
    def test_model(self):
        model = sequential()
        piped = pipe(
            model,
            layer_dense_flipout(units=4, name="first"),
            keras.layers.ReLU(name="second"),
            layer_dense_flipout(units=2, name="third"),
        )
        assert piped is model
        assert [layer.name for layer in model.layers] == ["first", "second", "third"]

    def test_tensor(self):
        first, second = layer_dense_flipout(units=4, seed=1), layer_dense_flipout(units=2, seed=2)
        outputs = pipe(X, first, second)
        again = layer_dense_flipout(units=4, seed=1), layer_dense_flipout(units=2, seed=2)
        np.testing.assert_array_equal(numpy(outputs), numpy(again[1](again[0](X))))
        symbolic = pipe(keras.Input((3,)), first, second)
        assert symbolic.shape == (None, 2)

    def test_functions(self):
        """A step may be any function of what the step before returned."""
        model = pipe(sequential(), lambda m: layer_dense_flipout(m, units=2), copy.copy)
        assert model.output_shape == (None, 2)
        assert pipe(X, np.sum, lambda total: total + 1) == 13.0
        assert pipe(X) is X

    @pytest.mark.parametrize("step", [2, "dense", None, layer_api.DenseFlipout])
    def test_no_step(self, step):
        with pytest.raises(TypeError, match="`steps` must be layers or functions of one argument"):
            pipe(sequential(), step)

    def test_nothing_to_send(self):
        with pytest.raises(TypeError, match="`object` must be"):
            pipe(None, layer_dense_flipout(units=2))
        # A function may turn the object into something that a layer cannot join.
        with pytest.raises(TypeError, match="`object` must be"):
            pipe(X, lambda x: x.tolist(), layer_dense_flipout(units=2))


class TestAfterAnError:
    """Whatever went wrong, the model is as it was, and can be added to."""

    @staticmethod
    def fails_in_build(model):
        layer_dense_flipout(model, units=2, kernel_posterior_fn=lambda *args: "no distribution")

    @staticmethod
    def fails_in_init(model):
        layer_dense_flipout(model, units=0)

    @staticmethod
    def fails_as_the_name_is_taken(model):
        layer_dense_flipout(model, units=2, name="taken")

    ERRORS: typing.ClassVar = {
        "fails_in_build": TypeError,
        "fails_in_init": ValueError,
        "fails_as_the_name_is_taken": ValueError,
    }

    @pytest.mark.parametrize("action", ERRORS)
    def test_model_is_as_it_was(self, action):
        model = sequential(layer_dense_flipout(units=4, name="taken", seed=1))
        before, weights = state_of(model), model.get_weights()
        with pytest.raises(self.ERRORS[action]):
            getattr(self, action)(model)
        assert state_of(model) == before
        for old, new in zip(weights, model.get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)
        assert model(X).shape == (4, 4)
        layer_dense_flipout(model, units=2)
        assert model(X).shape == (4, 2)

    @pytest.mark.parametrize("action", ["fails_in_build", "fails_in_init"])
    def test_empty_model_is_as_it_was(self, action):
        model = sequential()
        with pytest.raises(self.ERRORS[action]):
            getattr(self, action)(model)
        assert model.layers == []
        assert layer_dense_flipout(model, units=2)(X).shape == (4, 2)

    def test_pipe_that_fails_keeps_what_went_well(self):
        model = sequential()
        with pytest.raises(TypeError, match="returns a distribution"):
            pipe(
                model,
                layer_dense_flipout(units=4),
                layer_dense_flipout(units=2, kernel_posterior_fn=lambda *args: 1),
            )
        assert model.output_shape == (None, 4)
        assert len(model.layers) == 1
