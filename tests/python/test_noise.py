"""`seed` governs every draw; without one, Keras's global random state does."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from framework import gradients, laplace, many, numpy

import layer_api
from layer_api import backend

X = np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3)


def layer_with(**arguments):
    arguments = {"bias_posterior_fn": "mean_field_normal", **arguments}
    layer = layer_api.layer_dense_flipout(units=2, **arguments)
    layer.build((None, 3))
    return layer


def same(one, other):
    return all((a == b).all() for a, b in zip(one, other, strict=True))


def different(one, other):
    return all((a != b).all() for a, b in zip(one, other, strict=True))


def draws_of(layer, calls=3):
    return [numpy(layer(X)) for _ in range(calls)]


def variance_of(layer, calls):
    return many(lambda: layer(X), calls, layer).var(axis=0)


def test_one_seed_gives_equal_weights_and_draws():
    one, other = layer_with(seed=7), layer_with(seed=7)
    assert same(one.get_weights(), other.get_weights())
    assert same(draws_of(one), draws_of(other))


def test_two_seeds_differ_in_weights_and_draws():
    one, other = layer_with(seed=7), layer_with(seed=8)
    assert different(one.get_weights(), other.get_weights())
    other.set_weights(one.get_weights())
    assert different(draws_of(one), draws_of(other))


def test_without_a_seed_layers_of_one_shape_differ():
    one, other = layer_with(), layer_with()
    assert different(one.get_weights(), other.get_weights())
    other.set_weights(one.get_weights())
    assert different(draws_of(one), draws_of(other))


def test_calls_differ():
    first, second, third = draws_of(layer_with(seed=1))
    assert different([first, first, second], [second, third, third])


@pytest.mark.parametrize("draw", ["kernel", "signs", "bias"])
def test_each_draw(draw):
    """Where nothing else is random, the seed still governs this draw."""
    arguments = {
        "kernel": {"bias_posterior_fn": None},
        "signs": {"bias_posterior_fn": None, "kernel_posterior_tensor_fn": backend.distributions.stddev},
        "bias": {"bias_posterior_fn": "mean_field_normal", "kernel_posterior_tensor_fn": "mean"},
    }[draw]

    def outputs(seed):
        layer = layer_api.layer_dense_flipout(units=2, seed=seed, **arguments)
        layer.build((None, 1))
        layer.set_weights([np.zeros(w.shape) for w in layer.weights])
        found = [numpy(layer(np.ones((64, 1), "float32"))) for _ in range(2)]
        # An output of one input is the draw of the kernel but for its signs.
        return np.abs(found) if draw == "kernel" else np.stack(found)

    first, again, other = outputs(7), outputs(7), outputs(8)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert (first[0] != first[1]).any()


def test_a_seed_governs_a_user_s_own_draws():
    def twice(d):
        return (backend.distributions.sample(d) + backend.distributions.sample(d)) / 2

    one, again, other = (
        layer_with(seed=s, kernel_posterior_tensor_fn=twice, bias_posterior_fn=None)
        for s in (7, 7, 8)
    )
    other.set_weights(one.get_weights())
    assert same(draws_of(one), draws_of(again))
    assert different(draws_of(one), draws_of(other))
    # Two draws in one call differ: the mean of two has half the variance of one.
    assert backend.distributions.is_distribution(one.kernel_posterior)
    # The relative standard error of the variance of n normals is sqrt(2 / n); of a ratio of two,
    # sqrt(4 / n) = 2%.
    ratio = variance_of(one, 10_000) / variance_of(layer_like(one), 10_000)
    np.testing.assert_allclose(ratio, 0.5, rtol=5 * 0.02)


def layer_like(layer):
    plain = layer_with(seed=7, bias_posterior_fn=None)
    plain.set_weights(layer.get_weights())
    return plain


def test_a_seed_governs_the_estimated_divergence():
    def prior(dtype, shape, name, trainable, add_variable_fn):
        return laplace(np.zeros(shape, "float32"), 1.0)

    one, again, other = (layer_with(seed=s, kernel_prior_fn=prior) for s in (7, 7, 8))
    other.set_weights(one.get_weights())
    first, second, third = (numpy(layer.losses[0]) for layer in (one, again, other))
    assert first == second != third


def test_the_global_state_of_the_backend_stays():
    """A user's own draw under a layer's seed leaves alone what others draw."""

    def drawn_by_others():
        keras.utils.set_random_seed(3)
        return numpy(keras.random.normal((4,)))

    expected = drawn_by_others()
    layer = layer_with(seed=7, kernel_posterior_tensor_fn=lambda d: backend.distributions.sample(d))

    def after_a_call():
        keras.utils.set_random_seed(3)
        layer(X)
        return numpy(keras.random.normal((4,)))

    np.testing.assert_array_equal(after_a_call(), expected)


def test_gradients_flow_through_a_user_s_own_draw():
    """d output / d scale = x * e, which is how the sample was made."""
    layer = layer_api.layer_dense_reparameterization(
        units=2, kernel_posterior_tensor_fn=backend.distributions.sample, bias_posterior_fn=None, seed=1
    )
    layer.build((None, 3))
    loc, untransformed = layer.get_weights()
    state = numpy(layer.seed_generator.state)
    kernel = numpy(layer(np.eye(3, dtype="float32")))
    layer.seed_generator.state.assign(state)
    slopes = gradients(lambda: keras.ops.sum(layer(np.eye(3, dtype="float32"))), layer.weights)
    scale = np.log1p(np.exp(np.float64(untransformed)))
    e = (kernel - loc) / scale
    np.testing.assert_allclose(slopes[0], 1.0)
    slope = 1 / (1 + np.exp(-np.float64(untransformed)))
    np.testing.assert_allclose(slopes[1], e * slope, rtol=1e-3, atol=1e-5)


def test_set_random_seed_repeats_a_run():
    def run():
        keras.utils.set_random_seed(3)
        model = keras.Sequential([keras.Input((3,)), layer_with(), layer_with_units(1)])
        model.compile(optimizer="adam", loss="mse")
        model.fit(X, X[:, :1], epochs=2, batch_size=2, verbose=0)
        return [*model.get_weights(), model.predict(X, verbose=0)]

    assert same(run(), run())


def layer_with_units(units):
    return layer_api.layer_dense_flipout(units=units)


def test_when_a_layer_is_built_does_not_matter():
    """In R every layer is built as it is piped in, in Python perhaps all of them at the end."""
    keras.utils.set_random_seed(3)
    one = layer_with_units(2)
    one.build((None, 3))
    other = layer_with_units(2)
    other.build((None, 3))
    weights = one.get_weights() + other.get_weights()
    keras.utils.set_random_seed(3)
    one, other = layer_with_units(2), layer_with_units(2)
    other.build((None, 3))
    one.build((None, 3))
    assert same(weights, one.get_weights() + other.get_weights())


def test_an_initializer_with_a_seed_of_its_own_keeps_it():
    posterior = layer_api.MeanFieldNormal(
        loc_initializer=keras.initializers.RandomNormal(stddev=0.1, seed=5)
    )
    one, other = (layer_with(seed=s, kernel_posterior_fn=posterior) for s in (7, 8))
    assert (one.get_weights()[0] == other.get_weights()[0]).all()
    assert (one.get_weights()[1] != other.get_weights()[1]).all()


def test_saved_noise_continues(tmp_path):
    model = keras.Sequential([keras.Input((3,)), layer_with()])
    draws_of(model)
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    continued = draws_of(model)
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert same(draws_of(loaded), continued)
    fresh = keras.Sequential([keras.Input((3,)), layer_with()])
    fresh.load_weights(tmp_path / "model.weights.h5")
    assert same(draws_of(fresh), continued)


PROGRAM = """
import hashlib, keras, numpy as np
from layer_api import layer_dense_flipout, pipe
keras.utils.set_random_seed(3)
model = pipe(
    keras.Sequential([keras.Input((3,))]),
    layer_dense_flipout(units=4, activation="tanh", seed=1),
    layer_dense_flipout(units=1, bias_posterior_fn="mean_field_normal"),
)
model.compile(optimizer="adam", loss="mse")
x = np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3)
model.fit(x, x[:, :1], epochs=2, verbose=0)
print(hashlib.sha256(model.predict(x, verbose=0).tobytes()).hexdigest())
"""


def test_another_process_repeats_this_one(capsys):
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True
    )
    exec(PROGRAM, {})
    assert run.stdout == capsys.readouterr().out != ""
