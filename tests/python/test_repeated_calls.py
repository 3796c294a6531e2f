"""Calls that are run again, or once for many: right, or refused by name."""

import concurrent.futures
import functools
import gc
import threading

import keras
import numpy as np
import pytest
from framework import BACKEND, gradients, numpy

import layer_api

X = np.ones((4, 3), "float32")
ONLY = {
    name: pytest.mark.skipif(name != BACKEND, reason=f"about {name}")
    for name in ("tensorflow", "jax", "torch")
}


def model_of(*layers):
    return keras.Sequential([keras.Input((3,)), *layers])


def drawing(**arguments):
    return layer_api.DenseFlipout(2, seed=1, **arguments)


@ONLY["tensorflow"]
class TestTensorFlow:
    def test_vectorized_map(self):
        import tensorflow as tf

        model = model_of(drawing())
        with pytest.raises(RuntimeError, match=r"inside tf.vectorized_map.*posterior_epred\(\)"):
            tf.vectorized_map(lambda x: model(x[None]), tf.constant(X))

    def test_map_fn_draws_anew(self):
        import tensorflow as tf

        model = model_of(drawing())
        outputs = numpy(tf.map_fn(lambda x: model(x[None])[0], tf.constant(X)))
        assert len(np.unique(outputs[:, 0])) == 4

    def test_recompute_grad(self):
        import tensorflow as tf

        model = model_of(drawing())
        model(X)
        with pytest.raises(RuntimeError, match=r"tf\.recompute_grad"):
            tf.recompute_grad(model)(tf.constant(X))


@ONLY["jax"]
class TestJAX:
    def test_jit(self):
        import jax

        model = model_of(drawing())
        before = numpy(model.layers[0].seed_generator.state)
        with pytest.raises(RuntimeError, match=r"inside jax.jit.*stateless_call\(\)"):
            jax.jit(lambda x: model(x))(X)
        np.testing.assert_array_equal(numpy(model.layers[0].seed_generator.state), before)
        model(X)

    def test_vmap(self):
        import jax

        model = model_of(drawing())
        for mapped in (
            jax.vmap(lambda x: model(x[None])),
            jax.vmap(jax.grad(lambda x: model(x[None]).sum())),
            jax.grad(lambda x: jax.vmap(lambda row: model(row[None]))(x).sum()),
        ):
            with pytest.raises(RuntimeError, match=r"inside jax.vmap.*posterior_epred\(\)"):
                mapped(X)
        model(X)

    def test_gradients_without_jit_draw_anew(self):
        import jax

        model = model_of(drawing())
        one, other = (numpy(jax.grad(lambda x: model(x).sum())(X)) for _ in range(2))
        assert not np.allclose(one, other)

    def test_stateless_call_inside_jit_draws_anew(self):
        import jax

        model = model_of(drawing())
        state = (
            [v.value for v in model.trainable_variables],
            [v.value for v in model.non_trainable_variables],
        )
        call = jax.jit(lambda trained, other, x: model.stateless_call(trained, other, x))
        first, others = call(*state, X)
        second, _ = call(state[0], others, X)
        assert not np.allclose(first, second)


@ONLY["torch"]
class TestTorch:
    def test_checkpoint(self):
        import torch

        model = model_of(drawing())
        with pytest.raises(RuntimeError, match=r"torch\.utils\.checkpoint"):
            torch.utils.checkpoint.checkpoint(model, torch.tensor(X), use_reentrant=False)

    def test_eight_threads_lose_no_call(self):
        model = model_of(drawing())
        model.predict(X, verbose=0)
        start = int(numpy(model.layers[0].seed_generator.state)[1])
        calls, threads = 25, 8

        def predict():
            for _ in range(calls):
                model(X)

        running = [threading.Thread(target=predict) for _ in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        state = numpy(model.layers[0].seed_generator.state)
        assert int(state[1]) - start == calls * threads


CLASSES = [
    layer_api.DenseFlipout,
    layer_api.DenseReparameterization,
    layer_api.DenseLocalReparameterization,
    layer_api.DenseVariational,
]


@pytest.mark.parametrize("mode", ["full", "larger_than", "activations"])
@pytest.mark.parametrize("layer_class", CLASSES)
def test_gradients_inside_a_remat_scope(layer_class, mode):
    plain = layer_class(2, activation="tanh", seed=1)
    with keras.RematScope(mode=mode, output_size_threshold=1):
        again = layer_class(2, activation="tanh", seed=1)
    found = []
    for layer in (plain, again):
        layer.build((None, 3))
        inputs = keras.ops.convert_to_tensor(X)

        def loss(layer=layer, inputs=inputs):
            return keras.ops.sum(keras.ops.square(layer(inputs)))

        found.append([numpy(each) for each in gradients(loss, layer.trainable_variables)])
    for expected, computed in zip(*found, strict=True):
        np.testing.assert_allclose(computed, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(
        numpy(plain.seed_generator.state), numpy(again.seed_generator.state)
    )


def test_training_inside_a_remat_scope():
    def trained(layer):
        model = model_of(layer)
        model.compile(keras.optimizers.SGD(0.1), "mse")
        model.fit(X, np.zeros((4, 2)), epochs=2, verbose=0)
        return model.get_weights()

    expected = trained(drawing())
    with keras.RematScope(mode="full"):
        layer = drawing()
    for mine, yours in zip(trained(layer), expected, strict=True):
        np.testing.assert_allclose(mine, yours, rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(BACKEND == "jax", reason="under JAX a call has no side effect to repeat")
def test_a_model_that_is_computed_again_is_refused():
    with keras.RematScope(mode="full"):
        model = model_of(drawing())
    model.compile(keras.optimizers.SGD(0.1), "mse")
    # On TensorFlow, Keras itself cannot do it with a model: it passes arguments by name.
    refused = "keras.RematScope" if BACKEND == "torch" else "custom_gradient"
    with pytest.raises((RuntimeError, ValueError), match=refused):
        model.fit(X, np.zeros((4, 2)), verbose=0)


def test_eight_threads_with_one_model_answer_as_one_thread():
    """From the first answer on: each thread finds a model that nothing is compiled for.

    Under JAX without `predict()`, in which Keras takes the values out of a model: any other call
    of it, and of a model of Keras's own layers just so, then finds none.
    """
    x = np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3)
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layer_api.layer_dense_flipout(units=4, activation="relu", seed=1),
            layer_api.layer_dense_variational(units=2, seed=1),
        ]
    )
    model.compile(loss=layer_api.NormalLikelihood())

    def answers(seed):
        draws = layer_api.posterior_epred(model, x, draws=5, seed=seed, verbose=0)
        calls = (
            [model] if BACKEND == "jax" else [model, functools.partial(model.predict, verbose=0)]
        )
        return [draws, *(np.shape(call(x)) for call in calls)]

    start = threading.Barrier(8)

    def work(seed):
        start.wait()
        return [answers(seed) for _ in range(2)]

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        every_found = list(threads.map(work, range(8)))
    for seed, found in enumerate(every_found):
        expected = answers(seed)
        for each in found:
            for one, other in zip(each, expected, strict=True):
                np.testing.assert_array_equal(one, other)


def test_steps_leave_nothing_behind():
    """`benchmarks/endurance.py` has the memory of 100,000 steps."""
    steps = 200
    x = np.ones((steps, 3), "float32")
    model = model_of(drawing(activation="relu"), layer_api.DenseVariational(2, seed=1))
    model.compile(loss=layer_api.NormalLikelihood())

    def objects_after_fit():
        model.fit(x, x[:, 0], batch_size=1, verbose=0, callbacks=[layer_api.KLHistory()])
        gc.collect()
        return len(gc.get_objects())

    objects_after_fit()  # compiles
    before = objects_after_fit()
    assert objects_after_fit() - before < steps / 4
