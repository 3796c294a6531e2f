"""What the tests need of a backend by name: arrays, gradients, compiled functions, many draws."""

import contextlib

import keras
import numpy as np
import pytest

BACKEND = keras.backend.backend()

only_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="is about TensorFlow alone")
only_torch = pytest.mark.skipif(BACKEND != "torch", reason="is about torch alone")


compiled_by_xla = None  # means something to TensorFlow alone


def numpy(tensor):
    """Return a tensor as an array."""
    return keras.ops.convert_to_numpy(tensor)


def losses_of(layer):
    """Return the losses of a layer or a model as a list of numbers."""
    return [float(numpy(loss)) for loss in layer.losses]


def loss_of_a_call(layer, inputs):
    """Return the first loss as it is after a call, which draws new noise."""
    layer(inputs)
    return layer.losses[0]


def compile_arguments(mode):
    """Return the arguments of `compile()` for "run_eagerly", "graph" or "jit_compile"."""
    if (BACKEND, mode) == ("torch", "jit_compile"):
        pytest.skip("torch takes a minute for each layer: test_torch_compiles_a_step is of one")
    return {"jit_compile": False, **({} if mode == "graph" else {mode: True})}


if BACKEND == "tensorflow":
    import tensorflow as tf
    import tensorflow_probability as tfp

    def gradients(function, variables):
        """Return the gradients of a scalar function of no arguments, as arrays."""
        with tf.GradientTape() as tape:
            loss = function()
        values = [v.value for v in variables]
        return [g.numpy() for g in tape.gradient(loss, values, unconnected_gradients="zero")]

    def jacobian(function, array):
        """Return the derivatives of all outputs of a function by all elements of an array."""
        x = tf.constant(array)
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = function(x)
        return tape.jacobian(outputs, x).numpy()

    # Compiles a function of tensors, as far as the backend does.
    compiled = tf.function

    def many(function, n, layer):
        """Return an array of what n calls return; each draws new noise of `layer`."""

        @tf.function
        def calls():
            return tf.map_fn(lambda _: function(), tf.range(n), fn_output_signature="float32")

        return calls().numpy().astype("float64")

    def many_gradients(function, n, layer, variable):
        """Return an array of n gradients of a scalar function; each draws new noise."""

        def gradient():
            with tf.GradientTape() as tape:
                loss = function()
            return tape.gradient(loss, variable.value)

        return many(gradient, n, layer)

    def compiled_by_xla(function):
        """Return a function compiled by XLA."""
        return tf.function(function, jit_compile=True)

    def _independent(distribution, batch_rank=0):
        rank = distribution.batch_shape.rank - batch_rank
        return tfp.distributions.Independent(distribution, rank)

    def normal(loc, scale, batch_rank=0):
        """Return a library's independent normals, over all axes after the first `batch_rank`."""
        return _independent(tfp.distributions.Normal(loc, scale), batch_rank)

    def logistic(loc, scale):
        """Return a library's independent logistic distributions, over all elements."""
        return _independent(tfp.distributions.Logistic(loc, scale))

    def laplace(loc, scale):
        """Return a library's independent Laplace distributions, over all elements."""
        return _independent(tfp.distributions.Laplace(loc, scale))

    @contextlib.contextmanager
    def float64():
        """Let the backend have float64, also if it makes float32 of it by default."""
        yield

    # A function of the backend's own that Keras has, too.
    BACKEND_RELU = tf.nn.relu
    library_kl_divergence = tfp.distributions.kl_divergence

elif BACKEND == "jax":
    import jax
    import jax.numpy as jnp
    import numpyro.distributions as dist

    def gradients(function, variables):
        def loss(values):
            with keras.StatelessScope(state_mapping=zip(variables, values, strict=True)):
                return function()

        return [np.asarray(g) for g in jax.grad(loss)([v.value for v in variables])]

    def jacobian(function, array):
        return np.asarray(jax.jacrev(function)(jnp.asarray(array)))

    compiled = jax.jit

    def many(function, n, layer):
        state = layer.seed_generator.state

        def call(value, _):
            with keras.StatelessScope(state_mapping=[(state, value)]) as scope:
                output = function()
            return scope.get_current_value(state), output

        last, outputs = jax.jit(lambda first: jax.lax.scan(call, first, length=n))(state.value)
        state.assign(last)
        return np.asarray(outputs, "float64")

    def many_gradients(function, n, layer, variable):
        state = layer.seed_generator.state

        def call(noise, _):
            def loss(value):
                mapping = [(variable, value), (state, noise)]
                with keras.StatelessScope(state_mapping=mapping) as scope:
                    return function(), scope.get_current_value(state)

            gradient, noise = jax.grad(loss, has_aux=True)(variable.value)
            return noise, gradient

        _, found = jax.jit(lambda first: jax.lax.scan(call, first, length=n))(state.value)
        return np.asarray(found, "float64")

    def normal(loc, scale, batch_rank=0):
        loc = jnp.asarray(loc)
        return dist.Normal(loc, scale).to_event(loc.ndim - batch_rank)

    def logistic(loc, scale):
        loc = jnp.asarray(loc)
        return dist.Logistic(loc, scale).to_event(loc.ndim)

    def laplace(loc, scale):
        loc = jnp.asarray(loc)
        return dist.Laplace(loc, scale).to_event(loc.ndim)

    BACKEND_RELU = jax.nn.relu
    library_kl_divergence = dist.kl_divergence

    @contextlib.contextmanager
    def float64():
        before = jax.config.jax_enable_x64
        jax.config.update("jax_enable_x64", True)
        yield
        jax.config.update("jax_enable_x64", before)

else:
    import torch
    from torch import distributions as dist

    def gradients(function, variables):
        values = [v.value for v in variables]
        found = torch.autograd.grad(function(), values, allow_unused=True, materialize_grads=True)
        return [numpy(g) for g in found]

    def jacobian(function, array):
        return numpy(torch.autograd.functional.jacobian(function, torch.as_tensor(array)))

    def compiled(function):
        return function

    def many(function, n, layer):
        with torch.no_grad():
            return np.stack([function().numpy() for _ in range(n)]).astype("float64")

    def many_gradients(function, n, layer, variable):
        return np.stack([gradients(function, [variable])[0] for _ in range(n)]).astype("float64")

    def normal(loc, scale, batch_rank=0):
        loc = torch.as_tensor(loc)
        return dist.Independent(dist.Normal(loc, scale), loc.ndim - batch_rank)

    def logistic(loc, scale):
        loc = torch.as_tensor(loc)
        uniform = dist.Uniform(torch.zeros_like(loc), torch.ones_like(loc))
        steps = [dist.SigmoidTransform().inv, dist.AffineTransform(loc, scale)]
        return dist.Independent(dist.TransformedDistribution(uniform, steps), loc.ndim)

    def laplace(loc, scale):
        loc = torch.as_tensor(loc)
        # torch knows the divergence of a normal from `Laplace` itself: here it must not.
        laplace = dist.TransformedDistribution(dist.Laplace(loc, scale), [])
        return dist.Independent(laplace, loc.ndim)

    BACKEND_RELU = torch.relu
    library_kl_divergence = dist.kl_divergence

    @contextlib.contextmanager
    def float64():
        yield
