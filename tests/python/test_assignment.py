"""What a user assigns to a layer takes effect everywhere, or is refused with the remedy."""

import keras
import numpy as np
import pytest
from framework import numpy

import layer_api

X = np.ones((4, 3), "float32")


class TestBeforeBuild:
    def test_a_function_is_resolved_as_in_the_constructor(self):
        layer = layer_api.DenseFlipout(2, seed=1)
        layer.kernel_posterior_tensor_fn = "mean"
        layer.bias_posterior_tensor_fn = "mean"
        layer.kernel_prior_fn = layer_api.NormalPrior(scale=0.5)
        layer.kernel_divergence_fn = None
        config = layer.get_config()
        assert config["bias_posterior_tensor_fn"] == "mean"
        assert config["kernel_prior_fn"]["config"]["scale"] == 0.5
        np.testing.assert_array_equal(numpy(layer(X)), numpy(layer(X)))
        assert layer.losses == []
        assert "kernel_posterior_tensor_fn=mean" in repr(layer)
        again = layer_api.DenseFlipout.from_config(config)
        np.testing.assert_array_equal(numpy(again(X)), numpy(layer(X)))

    def test_a_wrong_one_is_refused_and_changes_nothing(self):
        layer = layer_api.DenseFlipout(2)
        with pytest.raises(ValueError, match="`bias_posterior_tensor_fn` must be a known name"):
            layer.bias_posterior_tensor_fn = "sampel"
        assert layer.get_config()["bias_posterior_tensor_fn"] == "sample"

    def test_dense_variational(self):
        layer = layer_api.DenseVariational(2)
        layer.make_posterior_fn = "deterministic"
        assert layer.get_config()["make_posterior_fn"] == "deterministic"
        np.testing.assert_array_equal(numpy(layer(X)), numpy(layer(X)))
        with pytest.raises(TypeError, match="a posterior, which training fits"):
            layer_api.DenseVariational(2).make_posterior_fn = layer_api.NormalPrior()


FUNCTIONS = [
    (layer_api.DenseFlipout, "kernel_posterior_fn", "mean_field_normal"),
    (layer_api.DenseReparameterization, "kernel_posterior_tensor_fn", "mean"),
    (layer_api.DenseLocalReparameterization, "kernel_prior_fn", None),
    (layer_api.DenseFlipout, "bias_divergence_fn", None),
    (layer_api.DenseVariational, "make_prior_fn", "standard_normal"),
]


@pytest.mark.parametrize(("layer_class", "argument", "value"), FUNCTIONS)
def test_a_built_layer_names_the_way_to_a_twin(layer_class, argument, value):
    layer = layer_class(2, seed=1)
    layer.build((None, 3))
    with pytest.raises(AttributeError, match=f"`{argument}` must be left as it is.*from_config"):
        setattr(layer, argument, value)
    # The way that the message names.
    twin = layer_class.from_config({**layer.get_config(), argument: value})
    twin.build((None, 3))
    twin.set_weights(layer.get_weights())
    assert numpy(layer(X)).shape == numpy(twin(X)).shape


@pytest.mark.parametrize("is_built", [False, True])
@pytest.mark.parametrize(
    ("layer", "argument", "value"),
    [
        (lambda: layer_api.DenseFlipout(2), "units", 3),
        (lambda: layer_api.DenseFlipout(2), "activation", "relu"),
        (lambda: layer_api.DenseFlipout(2), "seed", 3),
        (lambda: layer_api.DenseFlipout(2), "activity_regularizer", "l2"),
        (lambda: layer_api.DenseVariational(2), "kl_use_exact", True),
        (lambda: layer_api.VariableLayer(2), "initializer", "ones"),
        (lambda: layer_api.VariableLayer(2), "shape", (3,)),
        (lambda: layer_api.AutoregressiveNetwork(2), "params", 3),
        (lambda: layer_api.AutoregressiveNetwork(2), "hidden_units", [3]),
    ],
)
def test_other_arguments_stay(layer, argument, value, is_built):
    layer = layer()
    if is_built:
        layer.build((None, 3))
    before = getattr(layer, argument)
    with pytest.raises(AttributeError, match=f"`{argument}` must be left as it is"):
        setattr(layer, argument, value)
    assert getattr(layer, argument) is before


def test_what_a_user_s_class_is_made_with_is_its_own():
    class Mine(layer_api.DenseFlipout):
        def __init__(self, width=2, **kwargs):
            super().__init__(width, **kwargs)
            self.width = width

    layer = Mine(3)
    layer.width = 4
    assert layer.width == 4
    with pytest.raises(AttributeError, match="`units` must be left as it is"):
        layer.units = 4


def test_what_keras_lets_change():
    layer = layer_api.DenseFlipout(2)
    layer.build((None, 3))
    layer.trainable = False
    assert layer.trainable_weights == []
    layer.kl_weight = 0.5
    layer.supports_masking = False
    layer.something_of_the_user_s = 3
    assert layer.something_of_the_user_s == 3


LAYERS = [
    lambda: layer_api.DenseFlipout(2, seed=1),
    lambda: layer_api.DenseVariational(2, seed=1),
    lambda: layer_api.AutoregressiveNetwork(2, seed=1),
]


@pytest.mark.parametrize("make", LAYERS)
def test_a_second_build_leaves_the_layer_as_it_was(make):
    layer = make()
    layer(X)
    before = layer.get_weights()
    with pytest.raises(ValueError, match="must be"):
        layer.build((None, 5))
    for one, other in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    losses = len(layer.losses)
    assert np.isfinite(numpy(layer(X))).all()
    layer.build((None, 3))
    assert len(layer.losses) == losses
    assert len(layer.get_weights()) == len(before)
    assert np.isfinite(numpy(layer(X))).all()


def test_a_second_build_of_a_convolution():
    layer = layer_api.Conv2DFlipout(2, 3)
    layer(np.ones((1, 5, 5, 3), "float32"))
    with pytest.raises(ValueError, match="`input_shape` must be"):
        layer.build((None, 5, 5, 4))
    layer.build((None, 7, 7, 3))  # the kernel is the same
    assert numpy(layer(np.ones((1, 7, 7, 3), "float32"))).shape == (1, 5, 5, 2)


def test_attributes_of_one_call_name_what_to_use():
    layer = layer_api.DenseFlipout(2)
    layer(X)
    for name in ("kernel_posterior_tensor", "bias_posterior_tensor", "kernel_posterior_affine"):
        with pytest.raises(AttributeError, match=r"kernel_posterior|bias_posterior"):
            getattr(layer, name)
        assert not hasattr(layer, name)


def test_keras_does_not_keep_the_old_function():
    layer = layer_api.DenseFlipout(2, seed=1)
    layer.kernel_posterior_tensor_fn = "mean"
    model = keras.Sequential([keras.Input((3,)), layer])
    np.testing.assert_array_equal(model.predict(X, verbose=0), numpy(layer(X)))
