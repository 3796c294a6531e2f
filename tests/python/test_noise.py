"""`seed` governs every draw; without one, Keras's global random state does."""

import subprocess
import sys
import zlib

import keras
import numpy as np
import pytest
import scipy.stats
from framework import BACKEND, gradients, laplace, many, numpy

import layer_api
from layer_api import backend, noise

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
        "signs": {
            "bias_posterior_fn": None,
            "kernel_posterior_tensor_fn": backend.distributions.stddev,
        },
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
        units=2,
        kernel_posterior_tensor_fn=backend.distributions.sample,
        bias_posterior_fn=None,
        seed=1,
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


def draws_at(seed, call, n=8):
    """Return normals of the stream "kernel" for a seed and the number of a call."""
    generator = keras.random.SeedGenerator(seed)
    words = np.array([seed, call], "uint64")
    words = words.astype("uint32").view(generator.state.dtype) if BACKEND != "tensorflow" else words
    generator.state.assign(words.astype(generator.state.dtype))
    state = noise.current(generator)
    return numpy(noise.normal((n,), noise.key(state, "kernel"), "float32"))


def test_the_first_and_the_last_seed_differ():
    # Modulo 2^31 - 1 they were the same.
    seeds = [0, 1, 2**31 - 2, 2**31 - 1]
    draws = [draws_at(seed, 0) for seed in seeds]
    assert len(np.unique(draws, axis=0)) == len(seeds)


def test_no_key_comes_twice_whatever_the_number_of_the_call():
    calls = [0, 1, 2**29, 2**30, 2**31 - 2, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1]
    if BACKEND == "tensorflow":  # whose states have 64 bits
        calls += [2**32, 2**33 + 1, 2**40, 2**62]
    draws = [draws_at(1, call) for call in calls]
    assert len(np.unique(draws, axis=0)) == len(calls)


def test_the_state_goes_on_beyond_32_bits():
    generator = keras.random.SeedGenerator(1)
    dtype = generator.state.dtype
    last = np.array([1, 2**32 - 1], "uint64")
    generator.state.assign(
        (last if BACKEND == "tensorflow" else last.astype("uint32")).astype(dtype)
    )
    states = [noise.advance(generator) for _ in range(2)] + [noise.current(generator)]
    draws = [numpy(noise.normal((8,), noise.key(s, "kernel"), "float32")) for s in states]
    assert len(np.unique(draws, axis=0)) == 3
    before = numpy(noise.normal((8,), noise.key(noise.previous(generator), "kernel"), "float32"))
    np.testing.assert_array_equal(before, draws[1])


def test_a_stream_does_not_depend_on_the_others():
    # The key is the seed with the hash of the name, and the number of the call: nothing else.
    assert zlib.crc32(b"kernel") == noise._hash("kernel")
    one = layer_api.DenseReparameterization(2, seed=1, bias_posterior_fn="mean_field_normal")
    other = layer_api.DenseReparameterization(2, seed=1, bias_posterior_fn=None)
    zero = np.zeros((1, 3), "float32")
    for layer in (one, other):
        layer.build((None, 3))
    x = np.eye(3, dtype="float32")
    kernel_of_other = numpy(other(x))
    bias = numpy(one(zero))
    again = layer_api.DenseReparameterization(2, seed=1, bias_posterior_fn="mean_field_normal")
    np.testing.assert_allclose(numpy(again(x)) - bias, kernel_of_other, rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(BACKEND != "torch", reason="processes of torch.distributed")
def test_each_process_of_a_distributed_run_has_noise_of_its_own(tmp_path):
    program = """
import os, sys, numpy as np, torch
rank = int(sys.argv[1])
torch.distributed.init_process_group("gloo", init_method=sys.argv[2], rank=rank, world_size=2)
import keras, layer_api
model = keras.Sequential([keras.Input((3,)), layer_api.DenseFlipout(2, seed=1)])
parallel = torch.nn.parallel.DistributedDataParallel(model)
outputs = parallel(torch.ones(4, 3))
outputs.sum().backward()
gradient = model.layers[0].trainable_weights[0].value.grad
np.savez(sys.argv[3] + f"/{rank}.npz", outputs=outputs.detach().numpy(), gradient=gradient.numpy(),
         **{str(i): w for i, w in enumerate(model.get_weights())})
torch.distributed.destroy_process_group()
"""
    where = f"file://{tmp_path}/rendezvous"
    command = [sys.executable, "-c", program]
    running = [subprocess.Popen([*command, str(r), where, str(tmp_path)]) for r in range(2)]
    assert [process.wait(timeout=240) for process in running] == [0, 0]
    one, other = (np.load(tmp_path / f"{rank}.npz") for rank in range(2))
    for name in ("0", "1", "2", "gradient"):
        np.testing.assert_array_equal(one[name], other[name])
    assert not np.isclose(one["outputs"], other["outputs"]).any()
    alone = keras.Sequential([keras.Input((3,)), layer_api.DenseFlipout(2, seed=1)])
    np.testing.assert_array_equal(one["outputs"], numpy(alone(np.ones((4, 3), "float32"))))


def test_an_estimated_divergence_does_not_draw_what_a_call_draws():
    layer = layer_api.DenseReparameterization(
        2, seed=1, kernel_divergence_fn="monte_carlo", bias_posterior_fn=None
    )
    layer.build((None, 3))
    (estimate,) = (float(numpy(loss)) for loss in layer.losses)  # in the state of the next call
    weights = numpy(layer(np.eye(3, dtype="float32"))).ravel()
    loc, untransformed = (each.ravel() for each in layer.get_weights())
    scale = np.finfo("float32").eps + np.logaddexp(0.0, untransformed)
    normal = scipy.stats.norm
    at_the_call = np.sum(normal.logpdf(weights, loc, scale) - normal.logpdf(weights))
    assert abs(estimate - at_the_call) > 1e-3
