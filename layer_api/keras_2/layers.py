"""Layers of `tfp.layers` for Keras 2: what `layer_*` makes for a model or tensor of `tf_keras`.

The layer of TensorFlow Probability computes; one of ours, which no model ever holds, checks the
arguments and provides posteriors, priors, divergences, initial values and draws. Neither `tf_keras`
nor TensorFlow Probability is imported before a user brings an object of Keras 2.
"""

import functools
import itertools
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from layer_api import backend, compose, keras_private, messages, noise, serialization, validation
from layer_api.weights import distributions, posteriors
from layer_api.weights.variational_weight import ROLES, variable_arguments

if TYPE_CHECKING:  # it is imported when a user brings an object of Keras 2
    from tf_keras.layers import Layer as _Layer
else:
    _Layer = object

# Our classes and those of `tfp.layers` that compute the same from a kernel's distribution.
_COMPUTED_BY = {
    "DenseFlipout": "DenseFlipout",
    "DenseReparameterization": "DenseReparameterization",
    "DenseLocalReparameterization": "DenseLocalReparameterization",
    "Conv1DFlipout": "Convolution1DFlipout",
    "Conv1DReparameterization": "Convolution1DReparameterization",
    "Conv2DFlipout": "Convolution2DFlipout",
    "Conv2DReparameterization": "Convolution2DReparameterization",
    "Conv3DFlipout": "Convolution3DFlipout",
    "Conv3DReparameterization": "Convolution3DReparameterization",
}


def add(model, layer):
    """Add `layer` to a Sequential model of Keras 2; where that fails, leave it as it was."""
    was_built = model.built
    try:
        model.add(layer)
    except Exception:
        model.built = was_built
        raise
    return model


def make(layer_class, args, kwargs):
    """Return the layer for Keras 2 that the same arguments of `layer_class` mean for Keras 3.

    Args:
        layer_class: class of one of our layers.
        args: positional arguments of its constructor.
        kwargs: named arguments of its constructor.
    """
    if keras.backend.backend() != "tensorflow":
        raise messages.invalid(
            "object",
            f"of Keras 3, as its backend is '{keras.backend.backend()}'",
            "an object of Keras 2, which runs on TensorFlow",
            "Set the environment variable KERAS_BACKEND=tensorflow before Keras is imported.",
            TypeError,
        )
    if layer_class.__name__ not in names():
        raise messages.invalid(
            "object",
            f"of Keras 3, as there is no {layer_class.__name__} for Keras 2",
            "an object of Keras 2, or none",
            "Begin with a model of Keras 3. If you mean no Keras 2, unset the environment variable "
            "TF_USE_LEGACY_KERAS.",
            TypeError,
        )
    import tf_keras

    # Keras 3 has a name for each layer and warns of `input_shape`; both are Keras 2's here.
    own = {name: kwargs[name] for name in ("name", "input_shape", "input_dim") if name in kwargs}
    ours_only = {name: value for name, value in kwargs.items() if name not in own}
    own = validation.check_keras_arguments(own)
    positional = list(validation.parameters_of(layer_class))[: len(args)]
    if "dtype" not in positional and ours_only.get("dtype") is None:
        ours_only["dtype"] = tf_keras.mixed_precision.global_policy().name
    ours = layer_class(*args, **ours_only)
    if getattr(ours, "padding", None) == "causal":
        raise messages.invalid(
            "padding",
            "'valid' or 'same' for an object of Keras 2",
            "'causal'",
            "Or pad the inputs first, by tf_keras.layers.ZeroPadding1D((n, 0)).",
        )
    return _layer_of(ours, **own)


def _layer_of(ours, **own):
    """Return the layer for Keras 2 that a layer of ours stands for."""
    name = type(ours).__name__
    if name in _COMPUTED_BY:
        return class_for(type(ours))(ours, **own)
    layer = _OTHERS[name](ours, dtype=ours.dtype_policy.name, **own)
    keras_private.untracked(layer, _ours=ours)
    return layer


def names():
    """Return the names of our classes that have one for Keras 2."""
    return [*_COMPUTED_BY, *_OTHERS]


_classes: dict[str, Any] = {}


def class_for(layer_class):
    """Return the class of TensorFlow Probability with our parts in front, registered."""
    name = layer_class.__name__
    if name not in _classes:
        _classes[name] = _make_class(layer_class)
    return _classes[name]


def _make_class(layer_class):
    import tensorflow_probability as tfp
    import tf_keras

    name = layer_class.__name__
    package = tfp.bijectors if name == "AutoregressiveNetwork" else tfp.layers
    computing = getattr(package, _COMPUTED_BY.get(name, name))
    members = {
        "__module__": "layer_api.keras_2",
        "_ours_class": layer_class,
        "_has_signs": "seed" in validation.parameters_of(computing),
    }
    ours = _Variational if name in _COMPUTED_BY else _Configured
    made = type(name, (ours, computing), members)
    return tf_keras.saving.register_keras_serializable("layer_api")(made)


def _current(part, role):
    """Return a property: the distribution with the values that its variables have now.

    TensorFlow Probability keeps what a function returned at build, so that scales computed from
    variables would never change.
    """

    def get(self):
        weight = self._ours._weights_by_name[part]
        return _untranslated(lambda: weight.to_library(getattr(weight, role)))()

    def made_at_build(self, distribution):
        pass

    return property(get, made_at_build, doc=f"Distribution, the {role} of the {part}, or None.")


class _Configured(_Layer):
    """The configuration is that of `_ours`, the same layer for Keras 3; the noise is saved."""

    _ours: Any

    def __call__(self, inputs, *args, **kwargs):
        """Call the layer; see `call()`."""
        values = inputs if isinstance(inputs, (list, tuple)) else [inputs]
        if any(isinstance(value, keras.KerasTensor) for value in values):
            raise messages.invalid(
                "inputs",
                "of Keras 2, as the layer is",
                "a symbolic tensor of Keras 3",
                compose.remedy_for_keras_2("Pass the tensor as the first argument of the function"),
                TypeError,
            )
        if not self.built and getattr(self._ours, "seed", None) is not None:
            self._ours._claim_seed([layer._ours for layer in _connected_layers(inputs)])
        return super().__call__(inputs, *args, **kwargs)

    def __repr__(self):
        """Return the arguments that differ from the defaults, and why it is a layer of Keras 2."""
        reason = " as TF_USE_LEGACY_KERAS asks" if compose.wants_keras_2() else ""
        return self._ours._described(f"{self.name}, of Keras 2{reason}", self.built)

    @property
    def kl_weight(self):
        """Factor on the divergence, which may be changed at any time."""
        return self._ours.kl_weight

    @kl_weight.setter
    def kl_weight(self, value):
        self._ours.kl_weight = value

    def get_config(self):
        """Return the configuration of the same layer for Keras 3, which makes an equal layer."""
        return {**self._ours.get_config(), "name": self.name, "trainable": self.trainable}

    @classmethod
    def from_config(cls, config):
        """Make a layer from what `get_config` returned."""
        return _layer_of(cls._ours_class.from_config(config), name=config["name"])

    def save_own_variables(self, store):
        """Save the weights and the state of the noise."""
        super().save_own_variables(store)
        if hasattr(self._ours, "seed_generator"):
            noise.save(self._ours.seed_generator, store)

    def load_own_variables(self, store):
        """Load what `save_own_variables` saved."""
        if hasattr(self._ours, "seed_generator"):
            store = noise.load(self._ours.seed_generator, store)
        super().load_own_variables(store)


class _Variational(_Configured):
    """What a layer of `tfp.layers` asks its functions for comes from `_ours`, a layer of ours."""

    kernel_posterior = _current("kernel", "posterior")
    kernel_prior = _current("kernel", "prior")
    bias_posterior = _current("bias", "posterior")
    bias_prior = _current("bias", "prior")

    def __init__(self, ours, **kwargs):
        # Untracked: to Keras `ours` would be a layer inside this one.
        keras_private.untracked(self, _ours=ours, _noise_state=None)
        store = ours._variables_of_weights
        store.create = functools.partial(_add_weight, self)
        store.value_of = lambda variable: variable
        own = {
            name: getattr(ours, name)
            for name in validation.parameters_of(type(ours))
            if name not in ("seed", "kl_weight", "kwargs")
        }
        for weight in ours._weights_by_name.values():
            own.update({f"{weight.name}_{role}": self._function(weight, role) for role in ROLES})
        own["activation"] = _activation(ours)
        if self._has_signs:
            own["seed"] = ours._noise_seed
        super().__init__(**own, dtype=ours.dtype_policy.name, **kwargs)
        ours.name = self.name
        self.input_spec = None  # so that `build` gets to say what is wrong with an input
        _track_noise(self, ours)

    def _function(self, weight, role):
        """Return the function of `tfp.layers` for one role of a weight of ours."""
        if weight.function(f"{weight.name}_{role}") is None:
            return None
        if role == "divergence_fn":
            return _untranslated(lambda q, p, sample: self._ours._divergence(weight))
        if role == "posterior_tensor_fn":
            return _untranslated(functools.partial(self._draw, weight))
        return _untranslated(functools.partial(self._create, weight, role.removesuffix("_fn")))

    def build(self, input_shape):
        shape = tuple(input_shape)
        self._ours.compute_output_shape(shape)
        self._ours._prepare(self._ours._weight_shapes(shape))
        super().build(input_shape)
        if hasattr(self, "_convolution_op"):
            # That of TensorFlow Probability fails for channels_first on some processors.
            self._convolution_op = _untranslated(self._ours._linear)

    def call(self, inputs):
        state = _untranslated(noise.advance)(self._ours.seed_generator)
        keras_private.untracked(self, _noise_state=state)
        return super().call(_untranslated(ops.cast)(inputs, self.dtype))

    def _posteriors(self):
        """Return the posteriors of the weights that the layer has, of the library."""
        return _untranslated(self._ours._posteriors)()

    def _divergences(self):
        """Return the divergences of the weights as of now, not weighted, by names of weights."""
        return self._ours._divergences()

    def _losses_now(self):
        """Return the losses of the weights of now; `losses` are those of the last call."""
        weights = self._ours._weights_by_name.values()
        divergences = [self._ours._divergence(each) for each in weights if each.has_divergence]
        return divergences + [regularization() for regularization in self._callable_losses]

    def _apply_variational_kernel(self, inputs):
        if not self._has_signs:
            return super()._apply_variational_kernel(inputs)
        # The signs of TensorFlow Probability come from an operation with a state, which draws
        # others for a second layer of the same seed.
        self.kernel_posterior_tensor = None
        cast = _untranslated(ops.cast)
        outputs = _untranslated(self._ours._apply_kernel)(
            cast(inputs, self._ours.compute_dtype), self._noise_state, None
        )
        return cast(outputs, inputs.dtype)

    def _create(self, weight, role, dtype, shape, name, trainable, add_variable_fn):
        """Return the posterior or prior of a weight, whose variables are created now."""
        store = self._ours._variables_of_weights
        function = weight.function(f"{weight.name}_{role}_fn")
        made = function(dtype, tuple(shape), name, trainable, store.creator(name))
        created = {id(variable) for variable in store.created}
        if {id(variable) for variable in getattr(made, "variables", ())} - created:
            # The function has made variables of its own: they are kept, and it is not called again.
            setattr(self, f"_{name}_made", made)
            weight.keep(role, made)
        return made

    def _draw(self, weight, distribution):
        """Return the value that stands for `distribution` in this call."""
        distribution = distributions.from_library(distribution)
        is_of_library = backend.distributions.is_distribution(distribution)
        shape = None if is_of_library else ops.shape(distribution.loc)
        return weight.draw(self._noise_state, distribution, shape)


def _connected_layers(inputs):
    """Return our layers that symbolic tensors of Keras 2 are connected with by calls."""
    reached: list[Any] = []
    found: dict[int, Any] = {}
    for tensor in inputs if isinstance(inputs, (list, tuple)) else [inputs]:
        if messages.is_keras_2(tensor, "KerasTensor"):
            reached.append(tensor._keras_history.layer)
    while reached:
        layer = reached.pop()
        if id(layer) in found:
            continue
        found[id(layer)] = layer
        for node in layer._inbound_nodes:
            reached += [parent.layer for parent in node.parent_nodes]
        reached += [node.layer for node in layer._outbound_nodes]
    return [layer for layer in found.values() if isinstance(layer, _Configured)]


def _untranslated(function):
    """Return `function` such that AutoGraph does not translate it, and all of Keras 3 with it."""
    import tensorflow as tf

    return tf.autograph.experimental.do_not_convert(function)


def _activation(ours):
    is_none = serialization.name_of(ours.activation) is None
    return None if is_none else _untranslated(ours.activation)


def _track_noise(layer, ours):
    """Have the state of the noise saved with the weights of `layer`, though it is none of them."""
    layer._track_trackable(ours.seed_generator.state.value, "noise")
    layer._track_trackable(ours._kl_weight_state.state.value, "kl_weight")


def _add_weight(layer, given):
    return layer.add_weight(**given, experimental_autocast=False)


def _dense_variational(ours, **own):
    made = {
        name: (_on_inputs if hasattr(function, "parametrize") else _checked)(ours, name)
        for name, function in (
            ("make_posterior_fn", ours.make_posterior_fn),
            ("make_prior_fn", ours.make_prior_fn),
        )
    }
    layer = class_for(type(ours))(
        ours.units,
        **made,
        kl_weight=ours._kl_weight_state.state.value,
        kl_use_exact=ours.kl_use_exact,
        activation=_activation(ours),
        use_bias=ours.use_bias,
        activity_regularizer=ours.activity_regularizer,
        trainable=ours.trainable,
        **own,
    )
    _track_noise(layer, ours)
    return layer


def _on_inputs(ours, argument):
    """Return the function `(kernel_size, bias_size, dtype)` that a named block stands for."""
    import tensorflow_probability as tfp

    block = getattr(ours, argument)
    role = argument.removeprefix("make_").removesuffix("_fn")
    # The closed form of the divergence from a joint normal is known for another joint normal.
    is_joint = ours.kl_use_exact and isinstance(
        ours.make_posterior_fn, posteriors.MultivariateNormalTriL
    )

    def make(kernel_size, bias_size, dtype):
        shape = (kernel_size + bias_size,)
        created: dict[str, Any] = {}

        def parametrize(add_variable_fn):
            return block.parametrize(dtype, shape, role, ours.trainable, add_variable_fn)

        def create(name, **kwargs):
            given = variable_arguments(ours._noise_seed, name, name, **kwargs)
            created[name] = _add_weight(layer, given)
            return created[name]

        def current(_):
            distribution = parametrize(lambda name, **_: created[name])
            if is_joint and isinstance(distribution, distributions.Normal):
                loc, scale = (
                    ops.broadcast_to(ops.convert_to_tensor(x, dtype.name), shape)
                    for x in distribution
                )
                return tfp.distributions.MultivariateNormalDiag(loc, scale)
            return distributions.to_library(distribution, shape, dtype.name)

        def draw(distribution):
            key = noise.key(noise.advance(ours.seed_generator), "kernel")
            return backend.distributions.sample(backend.distributions.seeded(distribution, key))

        layer = tfp.layers.DistributionLambda(
            _untranslated(current), convert_to_tensor_fn=_untranslated(draw), dtype=dtype.name
        )
        parametrize(create)
        return layer

    return make


def _checked(ours, argument):
    """Return a user's function such that what it makes is of use to a layer of Keras 2."""
    function = getattr(ours, argument)

    def make(kernel_size, bias_size, dtype):
        made = function(kernel_size, bias_size, dtype)
        if isinstance(made, keras.layers.Layer) or not callable(made):
            raise messages.invalid(
                argument,
                "a function that returns a function of the inputs, or a layer or model of Keras 2",
                messages.describe(made),
                "Return, for example, a tf_keras.Sequential model that ends in "
                "tfp.layers.DistributionLambda.",
                TypeError,
            )
        return made

    return make


def _variable(ours, **own):
    return class_for(type(ours))(
        ours.shape,
        activation=_activation(ours),
        initializer=_when_built(ours),
        regularizer=ours.regularizer,
        constraint=ours.constraint,
        trainable=ours.trainable,
        **own,
    )


def _when_built(ours):
    """Return the initializer of a variable, which depends on what other layers a model has."""

    def initialize(shape, dtype=None, **_):
        initializer = noise.fresh_initializer(ours.initializer, ours._noise_seed, "constant")
        return initializer(shape, dtype)

    return initialize


def _distribution_lambda(ours, **own):
    return class_for(type(ours))(ours.make_distribution_fn, **own)


def _autoregressive_network(ours, **own):
    left_out = ("seed", "kwargs", "hidden_units", "activation")
    names = [name for name in validation.parameters_of(type(ours)) if name not in left_out]
    given = {name: getattr(ours, name) for name in names}
    for part in ("kernel", "bias"):
        given[f"{part}_initializer"] = _one_after_the_other(
            given[f"{part}_initializer"], ours, part
        )
    return class_for(type(ours))(
        **given, hidden_units=list(ours.hidden_units), activation=_activation(ours), **own
    )


def _one_after_the_other(initializer, ours, part):
    """Return an initializer that has other values for every variable, as in Keras 3."""
    count = itertools.count()

    def initialize(shape, dtype=None, **_):
        fresh = noise.fresh_initializer(initializer, ours._noise_seed, f"{part}_{next(count)}")
        return fresh(shape, dtype)

    return initialize


_OTHERS = {
    "DenseVariational": _dense_variational,
    "DistributionLambda": _distribution_lambda,
    "VariableLayer": _variable,
    "AutoregressiveNetwork": _autoregressive_network,
}
