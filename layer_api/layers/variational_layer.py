"""The base of the layers that draw their weights: any number of them, a seed, and the divergence.

    weights ~ posterior,    loss += kl_weight * sum of divergences(posterior, prior)

An estimator (`estimators.py`) says how the noise of a weight reaches the outputs; an operation
(`dense.py`) says what the weight does to the inputs. A layer is one of each.
"""

import contextlib
import functools
import threading

import keras
from keras import ops

from layer_api import backend, keras_private, messages, noise, validation
from layer_api.layers.base import SeededLayer
from layer_api.weights.variational_weight import ROLES, VariableStore, VariationalWeight


class _Noted(threading.local):
    def __init__(self):
        self.divergences = None


_noted = _Noted()


@contextlib.contextmanager
def noted_divergences():
    """Take note of the divergences that layers compute inside.

    Yields:
        A dictionary with two tensors for each divergence: its weight, and itself without it. What
        is computed twice is there once.
    """
    before, _noted.divergences = _noted.divergences, {}
    try:
        yield _noted.divergences
    finally:
        _noted.divergences = before


class DrawingLayer(SeededLayer):
    """Layer with the state of a noise, and a weight of its divergence."""

    def __init__(self, *, seed, kl_weight, **kwargs):
        seed = validation.check_seed(seed)

        super().__init__(seed=seed, **kwargs)
        self.supports_masking = True
        self.seed_generator = keras.random.SeedGenerator(self._own_seed)
        # Read by compiled functions, so that a change takes effect in the next step.
        self._kl_weight_state = keras_private.HeldNumber(
            1.0 if kl_weight is None else kl_weight, "kl_weight"
        )
        keras_private.untracked(
            self,
            _kl_weight=kl_weight,
            _annealed_kl_weight=None,
            _variables_of_weights=VariableStore(self),
            _fixed_state=None,
        )

    @property
    def kl_weight(self):
        """Factor on the divergence, which may be changed at any time; see `set_kl_weight()`.

        While `KLAnnealing` changes it, this is its value as of now; the configuration keeps the
        layer's own.
        """
        return self._kl_weight if self._annealed_kl_weight is None else self._annealed_kl_weight

    @kl_weight.setter
    def kl_weight(self, value):
        value = validation.check_weight("kl_weight", value)
        self._kl_weight_state.assign(value, "Use set_kl_weight(model, value) there.")
        keras_private.untracked(self, _kl_weight=value, _annealed_kl_weight=None)

    @property
    def own_kl_weight(self):
        """The number that the layer was given for `kl_weight`, whatever anneals it."""
        return 1.0 if self._kl_weight is None else self._kl_weight

    @property
    def acting_kl_weight(self):
        """The number that the divergence is multiplied by now."""
        annealed = self._annealed_kl_weight
        return self.own_kl_weight if annealed is None else annealed

    def anneal_kl_weight(self, value):
        """Weight the divergence otherwise for some time; None is for the layer's own weight."""
        self._kl_weight_state.assign(
            self.own_kl_weight if value is None else value, "Call jax_state_sync() first."
        )
        keras_private.untracked(self, _annealed_kl_weight=value)

    def _weighted(self, divergence, what=None):
        """Return `kl_weight` times a divergence.

        Args:
            divergence: scalar tensor.
            what: what the divergence is of. Default: one call, which counts beside all others.
        """
        weight = ops.cast(self._kl_weight_state.value, divergence.dtype)
        if isinstance(_noted.divergences, dict):  # torch 2.4 compiles `is not None` as true
            key = object() if what is None else (id(self), what)
            _noted.divergences[key] = weight, divergence
        return weight * divergence

    def get_config(self):
        """Return the arguments that make an equal layer; refuse functions that cannot be saved."""
        return {**super().get_config(), "seed": self.seed, "kl_weight": self._kl_weight}

    def save_own_variables(self, store):
        """Save the weights and the state of the noise."""
        super().save_own_variables(store)
        noise.save(self.seed_generator, store)

    def load_own_variables(self, store):
        """Load what `save_own_variables` saved."""
        super().load_own_variables(noise.load(self.seed_generator, store))

    def _claim_seed(self, layers=None):
        super()._claim_seed(layers)
        if self._noise_seed != self._own_seed:
            backend.random.reset(self.seed_generator, self._noise_seed)

    def _next_state(self, inputs):
        """Return the state of the noise for this call."""
        if self._fixed_state is not None:
            return self._fixed_state
        return noise.advance(self.seed_generator, inputs)

    def rematerialized_call(self, layer_call, *args, **kwargs):
        """Return `call` as Keras runs it inside `keras.RematScope`: again for the gradient.

        Both runs draw the same weights, as the state is that of the call.
        """
        mode = self._remat_mode.mode if self._remat_mode else None
        if mode in (None, "activations"):
            # Keras would assign to `activation`, which is fixed; and one activation saves little.
            return layer_call
        state = noise.advance(self.seed_generator, args[0] if args else None)

        @functools.wraps(layer_call)
        def call_in_this_state(*args, **kwargs):
            keras_private.untracked(self, _fixed_state=state)
            try:
                return layer_call(*args, **kwargs)
            finally:
                keras_private.untracked(self, _fixed_state=None)

        return super().rematerialized_call(call_in_this_state, *args, **kwargs)

    def _refuse_other_shape(self, is_equal, input_shape):
        """Refuse to build a layer once more for inputs that it has no weights for."""
        if not is_equal:
            raise messages.invalid(
                "input_shape",
                f"one that fits the weights of the layer '{self.name}', which is built",
                messages.describe_shape(input_shape),
                "Make another layer for inputs of another shape.",
            )

    def _cast(self, x):
        return ops.cast(x, self.compute_dtype)


class VariationalLayer(DrawingLayer):
    """Layer whose weights have a posterior, a prior and a divergence each.

    A subclass provides `_weight_shapes(input_shape)`, a dictionary of tuples, and
    `_outputs(inputs, state)`. An estimator may refuse posteriors by `_check_posterior`.
    """

    def __init__(self, *weights, kl_weight, **kwargs):
        kl_weight = validation.check_weight("kl_weight", kl_weight)

        super().__init__(kl_weight=kl_weight, **kwargs)
        by_name = {weight.name: weight for weight in weights}
        keras_private.untracked(self, _weights_by_name=by_name, **by_name)

    def _argument(self, name):
        for weight in self._weights_by_name.values():
            if name in weight.arguments:
                return weight.given(name)
        return super()._argument(name)

    def get_config(self):
        config = super().get_config()
        for weight in self._weights_by_name.values():
            config.update(weight.get_config())
        return config

    def build(self, input_shape):
        """Create the variables of posteriors and priors, and add the divergences as losses."""
        shapes = self._weight_shapes(input_shape)
        if self.built:
            is_equal = all(self._weights_by_name[name].shape == shapes[name] for name in shapes)
            self._refuse_other_shape(is_equal, input_shape)
            return
        self._prepare(shapes)
        self._claim_seed()
        for weight in self._weights_by_name.values():
            weight.build()
            if weight.has_divergence:
                self.add_loss(functools.partial(self._divergence, weight))
        self._variables_of_weights.is_built = True
        self.built = True

    def _prepare(self, shapes):
        """Give every weight its shape, and try its functions."""
        for name, weight in self._weights_by_name.items():
            shape = shapes[name]
            fans = self._fans(name, shape)
            self._check_posterior(weight, weight.prepare(shape, self._variables_of_weights, fans))

    def _fans(self, name, shape):
        """Return how many inputs an output of a weight has, and the reverse; None: as its shape."""

    def call(self, inputs):
        """Return the outputs for one draw of the weights."""
        inputs = ops.cast(validation.check_numeric(inputs), self.compute_dtype)
        return self._activate(self._outputs(inputs, self._next_state(inputs)))

    def _posteriors(self):
        """Return the posteriors of the weights that the layer has, of the backend's library."""
        present = {name: each for name, each in self._weights_by_name.items() if each.is_present}
        return {name: weight.to_library(weight.posterior) for name, weight in present.items()}

    def _divergences(self, state=None):
        """Return the divergences of the weights, not weighted, by names of weights.

        Args:
            state: state of the noise, for estimates. Default: that of now.
        """
        state = noise.current(self.seed_generator) if state is None else state
        with_one = {name: w for name, w in self._weights_by_name.items() if w.has_divergence}
        return {name: weight.divergence(state) for name, weight in with_one.items()}

    def _divergence(self, weight):
        # Losses may be read any number of times between two calls: read the state, leave it.
        divergence = weight.divergence(noise.current(self.seed_generator))
        return self._weighted(divergence, weight.name)

    def _check_posterior(self, weight, posterior):
        """Refuse a posterior that the estimator cannot work with; any will do unless it says so."""


def holds(*names):
    """Decorate a class of layers whose weights have these names: give it their attributes.

    For a weight `kernel` these are `kernel_posterior_fn`, `kernel_posterior_tensor_fn`,
    `kernel_prior_fn`, `kernel_divergence_fn`, as the constructor takes them, and `kernel_posterior`
    and `kernel_prior`, distributions of the backend's library.
    """

    def add_attributes(layer_class):
        for name in names:
            for role in ROLES:
                setattr(layer_class, f"{name}_{role}", _function_of(name, role))
            setattr(layer_class, f"{name}_posterior", _distribution_of(name, "posterior"))
            setattr(layer_class, f"{name}_prior", _distribution_of(name, "prior"))
        return layer_class

    return add_attributes


def _function_of(name, role):
    def get(self):
        return self._weights_by_name[name].function(f"{name}_{role}")

    def set_(self, identifier):
        self._weights_by_name[name].assign(f"{name}_{role}", identifier)

    return property(get, set_, doc=f"Function, the {role} of the {name}, until the layer is built.")


def _distribution_of(name, role):
    def get(self):
        weight = self._weights_by_name[name]
        return weight.to_library(getattr(weight, role))

    return property(get, doc=f"Distribution of the backend's library, the {role} of the {name}.")


@holds("kernel", "bias")
class KernelLayer(VariationalLayer):
    """Layer with a kernel, which is linear, and a bias.

    A subclass provides `_linear(inputs, kernel)`, linear in both arguments, and
    `_kernel_shape(input_shape)`; an estimator `_apply_kernel(inputs, state, bias)`.
    """

    def __init__(
        self,
        *,
        kernel_posterior_fn,
        kernel_posterior_tensor_fn,
        kernel_prior_fn,
        kernel_divergence_fn,
        bias_posterior_fn,
        bias_posterior_tensor_fn,
        bias_prior_fn,
        bias_divergence_fn,
        **kwargs,
    ):
        kernel = VariationalWeight(
            "kernel",
            kernel_posterior_fn,
            kernel_posterior_tensor_fn,
            kernel_prior_fn,
            kernel_divergence_fn,
        )
        bias = VariationalWeight(
            "bias",
            bias_posterior_fn,
            bias_posterior_tensor_fn,
            bias_prior_fn,
            bias_divergence_fn,
            is_optional=True,
        )
        super().__init__(kernel, bias, **kwargs)

    def _weight_shapes(self, input_shape):
        kernel = self._kernel_shape(input_shape)
        return {"kernel": kernel, "bias": self._bias_shape(kernel)}

    def _bias_shape(self, kernel_shape):
        return (kernel_shape[-1],)

    def _outputs(self, inputs, state):
        bias = self._cast(self.bias.draw(state)) if self.bias.is_present else None
        if noise.is_one_function():  # whatever the estimator: it is for gradients
            return self._affine(inputs, self.kernel.draw(state), bias)
        return self._apply_kernel(inputs, state, bias)

    def _affine(self, inputs, kernel, bias):
        """Return what kernel and bias make of the inputs. The bias may be None."""
        outputs = self._linear(inputs, self._cast(kernel))
        return outputs if bias is None else self._add_bias(outputs, bias)

    def _add_bias(self, outputs, bias):
        return ops.add(outputs, bias)
