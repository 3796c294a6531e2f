"""Layers of one model with the same seed are independent, and a program still repeats."""

import itertools
import math
import warnings

import keras
import numpy as np
import pytest
from framework import BACKEND, numpy

import layer_api

X = np.ones((2, 3), "float32")


def layer(units=3, **arguments):
    return layer_api.DenseFlipout(units, **{"seed": 1, **arguments})


def sequential():
    return keras.Sequential([keras.Input((3,)), layer(), layer(), layer()])


def deferred():
    model = keras.Sequential([layer(), layer(), layer()])
    model(X)
    return model


def piped():
    model = keras.Sequential([keras.Input((3,))])
    for _ in range(3):
        layer_api.layer_dense_flipout(model, 3, seed=1)
    return model


def branches():
    x = keras.Input((3,))
    return keras.Model(x, keras.layers.Add()([layer()(x), layer()(x), layer()(x)]))


def nested():
    x = keras.Input((3,))
    inner = keras.Sequential([keras.Input((3,)), layer()])
    middle = inner(x)
    return keras.Model(x, layer()(layer()(middle)))


def subclassed():
    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.parts = [layer(), layer(), layer()]

        def call(self, inputs):
            for part in self.parts:
                inputs = part(inputs)
            return inputs

    model = Model()
    model(X)
    return model


MODELS = [sequential, deferred, piped, branches, nested, subclassed]


def drawing(model):
    layers = model._flatten_layers()
    return [each for each in layers if isinstance(each, layer_api.DenseFlipout)]


@pytest.mark.parametrize("make", MODELS)
def test_layers_of_one_model_are_independent(make):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        parts = drawing(make())
    assert len(parts) == 3
    assert [part.seed for part in parts] == [1, 1, 1]
    for one, other in itertools.combinations(parts, 2):
        for mine, yours in zip(one.get_weights(), other.get_weights(), strict=True):
            assert not np.array_equal(mine, yours)
    for part in parts[1:]:
        part.set_weights(parts[0].get_weights())
    for mine, yours in itertools.combinations([numpy(part(X)) for part in parts], 2):
        assert not np.allclose(mine, yours)


@pytest.mark.parametrize("make", MODELS)
def test_a_program_repeats_in_one_session(make):
    one, other = make(), make()
    for mine, yours in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, yours)
    for _ in range(2):
        np.testing.assert_array_equal(numpy(one(X)), numpy(other(X)))


def test_the_first_layer_of_a_model_draws_as_one_that_stands_alone():
    alone = layer()
    expected = numpy(alone(X))
    np.testing.assert_array_equal(numpy(drawing(sequential())[0](X)), expected)


def test_layers_that_stand_alone_are_equal():
    np.testing.assert_array_equal(numpy(layer()(X)), numpy(layer()(X)))


def test_moments_of_two_layers():
    # y = w2 w1 x with w1, w2 ~ N(1, 1): mean 1, variance 2 * 2 - 1 = 3.
    ones = keras.initializers.Constant(1.0)
    one = keras.initializers.Constant(math.log(math.e - 1.0))  # softplus gives 1
    posterior = layer_api.MeanFieldNormal(ones, one)
    model = keras.Sequential([keras.Input((1,))])
    for _ in range(2):
        layer_api.layer_dense_reparameterization(
            model, 1, seed=1, kernel_posterior_fn=posterior, bias_posterior_fn=None
        )
    n = 4000
    x = np.ones((1, 1), "float32")
    draw = model if BACKEND != "tensorflow" else __import__("tensorflow").function(model)
    draws = np.array([numpy(draw(x))[0, 0] for _ in range(n)])
    assert abs(draws.mean() - 1.0) < 5 * math.sqrt(3 / n)
    # The fourth central moment of the product is 57.
    assert abs(draws.var() - 3.0) < 5 * math.sqrt((57 - 9) / n)


def test_other_classes_count_too():
    model = keras.Sequential([keras.Input((3,)), layer()])
    model.add(layer_api.DenseVariational(3, seed=1))
    model.add(layer_api.AutoregressiveNetwork(1, seed=1))
    assert [each._twin for each in model.layers] == [0, 1, 2]


def test_layers_of_two_models_do_not_count():
    sequential()
    assert [each._twin for each in drawing(sequential())] == [0, 1, 2]


def test_a_file_keeps_who_is_who(tmp_path):
    for make in (sequential, branches, nested):
        model = make()
        model(X)
        model.save(tmp_path / "model.keras")
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            loaded = keras.models.load_model(tmp_path / "model.keras")
            for _ in range(2):
                np.testing.assert_array_equal(numpy(loaded(X)), numpy(model(X)))
        assert [each._twin for each in drawing(loaded)] == [each._twin for each in drawing(model)]


def test_a_clone_is_a_program_that_repeats():
    model = sequential()
    clone = keras.models.clone_model(model)
    for mine, yours in zip(model.get_weights(), clone.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, yours)


def test_layers_built_apart_are_warned_of():
    parts = [layer(name="one"), layer(name="two")]
    for part in parts:
        part.build((None, 3))
    with pytest.warns(UserWarning, match="'one' and 'two' of .* have the same seed, 1"):
        model = keras.Sequential([keras.Input((3,)), *parts])
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model(X)  # once is enough


def test_two_models_joined_are_warned_of():
    one, other = (keras.Sequential([keras.Input((3,)), layer()]) for _ in range(2))
    outputs = keras.layers.Add()([one.outputs[0], other.outputs[0]])
    model = keras.Model([one.inputs[0], other.inputs[0]], outputs)
    with pytest.warns(UserWarning, match="have the same seed, 1"):
        model([X, X])


@pytest.mark.skipif(BACKEND != "tensorflow", reason="Keras 2 runs on TensorFlow")
def test_keras_2():
    import tf_keras

    models = []
    for _ in range(2):
        model = tf_keras.Sequential([tf_keras.Input((3,))])
        for _ in range(3):
            layer_api.layer_dense_flipout(model, 3, seed=1)
        models.append(model)
    one, other = models
    for mine, yours in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, yours)
    np.testing.assert_array_equal(numpy(one(X)), numpy(other(X)))
    first, second, third = one.layers
    assert not np.array_equal(first.get_weights()[0], second.get_weights()[0])
    second.set_weights(first.get_weights())
    third.set_weights(first.get_weights())
    draws = [numpy(each(X)) for each in (first, second, third)]
    for mine, yours in itertools.combinations(draws, 2):
        assert not np.allclose(mine, yours)
