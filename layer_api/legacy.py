"""Layers of `tfp.layers` for Keras 2: what `layer_*` makes for a model or tensor of `tf_keras`.

The layer of TensorFlow Probability computes; one of ours, which no model ever holds, checks the
arguments and provides posteriors, priors, divergences, initial values and draws. Neither `tf_keras`
nor TensorFlow Probability is imported before a user brings an object of Keras 2.
"""

import functools
import itertools
import os
import sys

import keras
from keras import ops

from layer_api import (
    arguments,
    backend,
    distributions,
    identifiers,
    noise,
    posteriors,
    stochastic,
)

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


# Whether R's keras3 is loaded, which has Keras 3 alone. The R package says so.
r_has_keras3 = False


def is_wanted():
    """Tell whether a layer without an object is one for Keras 2.

    TF_USE_LEGACY_KERAS asks for it, by the values that TensorFlow takes. But the variable may have
    been set by a package, as by R's tfprobability, for a session that has nothing of Keras 2: then
    TensorFlow has not imported `tf_keras`, since it runs already or is not the backend, or R has
    loaded keras3.
    """
    is_asked_for = os.environ.get("TF_USE_LEGACY_KERAS") in ("true", "True", "1")
    return is_asked_for and "tf_keras" in sys.modules and not r_has_keras3


def is_among(object):
    """Tell whether `object`, or a tensor in a list, is of Keras 2 and no eager tensor."""
    values = object if isinstance(object, (list, tuple)) else [object]
    kinds = ("Layer", "KerasTensor")
    return any(arguments.is_keras_2(value, kind) for value in values for kind in kinds)


def is_ours(layer):
    """Tell whether `layer` is one that `make` returned."""
    return isinstance(layer, _Configured)


def remedy(instead):
    """Say what to do where a layer for Keras 2 meets an object of Keras 3: `instead`, to begin."""
    unset = (
        ", or unset the environment variable TF_USE_LEGACY_KERAS, which packages such as R's "
        "tfprobability set: it asks for layers of Keras 2 where there is no object"
    )
    return f"{instead}{unset if is_wanted() else ''}."


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
        raise arguments.invalid(
            "object",
            f"of Keras 3, as its backend is '{keras.backend.backend()}'",
            "an object of Keras 2, which runs on TensorFlow",
            "Set the environment variable KERAS_BACKEND=tensorflow before Keras is imported.",
            TypeError,
        )
    import tf_keras

    # Keras 3 has a name for each layer and warns of `input_shape`; both are Keras 2's here.
    own = {name: kwargs[name] for name in ("name", "input_shape", "input_dim") if name in kwargs}
    ours_only = {name: value for name, value in kwargs.items() if name not in own}
    own = arguments.of_keras(own)
    positional = list(arguments.parameters_of(layer_class))[: len(args)]
    if "dtype" not in positional and ours_only.get("dtype") is None:
        ours_only["dtype"] = tf_keras.mixed_precision.global_policy().name
    ours = layer_class(*args, **ours_only)
    if getattr(ours, "padding", None) == "causal":
        raise arguments.invalid(
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
    vars(layer)["_ours"] = ours
    return layer


def names():
    """Return the names of our classes that have one for Keras 2."""
    return [*_COMPUTED_BY, *_OTHERS]


@functools.cache
def class_for(layer_class):
    """Return the class of TensorFlow Probability with our parts in front, registered."""
    import tensorflow_probability as tfp
    import tf_keras

    name = layer_class.__name__
    package = tfp.bijectors if name == "AutoregressiveNetwork" else tfp.layers
    computing = getattr(package, _COMPUTED_BY.get(name, name))
    members = {
        "__module__": "layer_api.keras_2",
        "_ours_class": layer_class,
        "_has_signs": "seed" in arguments.parameters_of(computing),
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
        return _untranslated(self._ours._library)(
            part, _untranslated(self._ours._distribution)(part, role, None)
        )

    def made_at_build(self, distribution):
        pass

    return property(get, made_at_build, doc=f"Distribution, the {role} of the {part}, or None.")


class _Configured:
    """The configuration is that of `_ours`, the same layer for Keras 3; the noise is saved."""

    def __call__(self, inputs, *args, **kwargs):
        values = inputs if isinstance(inputs, (list, tuple)) else [inputs]
        if any(isinstance(value, keras.KerasTensor) for value in values):
            raise arguments.invalid(
                "inputs",
                "of Keras 2, as the layer is",
                "a symbolic tensor of Keras 3",
                remedy("Pass the tensor as the first argument of the layer's function"),
                TypeError,
            )
        return super().__call__(inputs, *args, **kwargs)

    def __repr__(self):
        """Return the arguments that differ from the defaults, and why it is a layer of Keras 2."""
        reason = " as TF_USE_LEGACY_KERAS asks" if is_wanted() else ""
        return self._ours._described(f"{self.name}, of Keras 2{reason}", self.built)

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
        # Past Keras's tracker, to which `ours` would be a layer inside this one.
        vars(self).update(_ours=ours, _noise_state=None)
        vars(ours).update(
            _create_variable=functools.partial(_add_weight, self),
            _value_of=lambda variable: variable,
        )
        own = {
            name: getattr(ours, name)
            for name in arguments.parameters_of(type(ours))
            if name not in ("seed", "kl_weight", "kwargs")
        }
        own.update({name: self._function(name, own[name]) for name in ours._given})
        own["activation"] = _activation(ours)
        if self._has_signs:
            own["seed"] = ours._noise_seed
        super().__init__(**own, dtype=ours.dtype_policy.name, **kwargs)
        ours.name = self.name
        self.input_spec = None  # so that `build` gets to say what is wrong with an input
        _track_noise(self, ours)

    def _function(self, argument, function):
        """Return what `argument` of `tfp.layers` is, where ours means `function`."""
        part, role = argument.removesuffix("_fn").split("_", 1)
        if function is None or (role == "divergence" and self._ours.kl_weight == 0):
            return None
        if role == "divergence":
            return _untranslated(lambda q, p, sample: self._ours._divergence(part))
        if role == "posterior_tensor":
            return _untranslated(functools.partial(self._draw, part))
        return _untranslated(functools.partial(self._create, argument, function))

    def build(self, input_shape):
        shape = tuple(input_shape)
        self._ours.compute_output_shape(shape)
        self._ours._prepare(shape)
        super().build(input_shape)
        if hasattr(self, "_convolution_op"):
            # That of TensorFlow Probability fails for channels_first on some processors.
            self._convolution_op = _untranslated(self._ours._linear)

    def call(self, inputs):
        vars(self)["_noise_state"] = _untranslated(noise.advance)(self._ours.seed_generator)
        return super().call(_untranslated(ops.cast)(inputs, self.dtype))

    def _losses_now(self):
        """Return the losses of the weights of now; `losses` are those of the last call."""
        divergences = [
            self._ours._divergence(part)
            for part in ("kernel", "bias")
            if getattr(self, f"{part}_divergence_fn") is not None
            and getattr(self, f"{part}_posterior") is not None
            and getattr(self, f"{part}_prior") is not None
        ]
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

    def _create(self, argument, function, dtype, shape, name, trainable, add_variable_fn):
        """Return the posterior or prior of `function`, whose variables are created now."""
        create = self._ours._variables_of(name, creating=True)
        made = function(dtype, tuple(shape), name, trainable, create)
        created = {id(variable) for variable in self._ours._created.values()}
        if {id(variable) for variable in getattr(made, "variables", ())} - created:
            # The function has made variables of its own: they are kept, and it is not called again.
            setattr(self, f"_{name}_made", made)
            setattr(self._ours, argument, lambda *_: made)
        return made

    def _draw(self, part, distribution):
        """Return the value that stands for `distribution` in this call."""
        distribution = distributions.known(distribution)
        shape = None if backend.is_distribution(distribution) else ops.shape(distribution.loc)
        return self._ours._draw(part, distribution, self._noise_state, shape=shape)


def _untranslated(function):
    """Return `function` such that AutoGraph does not translate it, and all of Keras 3 with it."""
    import tensorflow as tf

    return tf.autograph.experimental.do_not_convert(function)


def _activation(ours):
    is_none = identifiers.by_name(ours.activation) is None
    return None if is_none else _untranslated(ours.activation)


def _track_noise(layer, ours):
    """Have the state of the noise saved with the weights of `layer`, though it is none of them."""
    layer._track_trackable(ours.seed_generator.state.value, "noise")


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
        kl_weight=ours.kl_weight,
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
        shape, created = (kernel_size + bias_size,), {}

        def parametrize(add_variable_fn):
            return block.parametrize(dtype, shape, role, ours.trainable, add_variable_fn)

        def create(name, **kwargs):
            given = stochastic.variable_arguments(ours._noise_seed, name, name, **kwargs)
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
            return distributions.library(distribution, shape, dtype.name)

        def draw(distribution):
            key = noise.key(noise.advance(ours.seed_generator), "kernel")
            return backend.sample(backend.seeded(distribution, key))

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
            raise arguments.invalid(
                argument,
                "a function that returns a function of the inputs, or a layer or model of Keras 2",
                arguments.describe(made),
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
        initializer=noise.fresh_initializer(ours.initializer, ours._noise_seed, "constant"),
        regularizer=ours.regularizer,
        constraint=ours.constraint,
        trainable=ours.trainable,
        **own,
    )


def _distribution_lambda(ours, **own):
    return class_for(type(ours))(ours.make_distribution_fn, **own)


def _autoregressive_network(ours, **own):
    left_out = ("seed", "kwargs", "hidden_units", "activation")
    names = [name for name in arguments.parameters_of(type(ours)) if name not in left_out]
    given = {name: getattr(ours, name) for name in names}
    for part in ("kernel", "bias"):
        given[f"{part}_initializer"] = _one_after_the_other(
            given[f"{part}_initializer"], ours._noise_seed, part
        )
    return class_for(type(ours))(
        **given, hidden_units=list(ours.hidden_units), activation=_activation(ours), **own
    )


def _one_after_the_other(initializer, seed, part):
    """Return an initializer that has other values for every variable, as in Keras 3."""
    count = itertools.count()

    def initialize(shape, dtype=None, **_):
        fresh = noise.fresh_initializer(initializer, seed, f"{part}_{next(count)}")
        return fresh(shape, dtype)

    return initialize


_OTHERS = {
    "DenseVariational": _dense_variational,
    "DistributionLambda": _distribution_lambda,
    "VariableLayer": _variable,
    "AutoregressiveNetwork": _autoregressive_network,
}
