"""The base of the layers that draw their weights: seed, state of the noise, variables, config."""

import collections

import keras
from keras import ops

from layer_api import arguments, identifiers, noise
from layer_api.layer import Layer


class StochasticLayer(Layer):
    """Layer with an activation, a seed that governs every draw, and a weight of its divergence.

    `given` holds the arguments that name, or are, functions, as the user gave them, for the config;
    what each stands for, `meaning(argument, value)`, becomes an attribute.
    """

    LOSSES = """
    Once built, the layer adds the divergence of the posterior from the prior to its `losses`, so
    that `fit()` minimizes the negative evidence lower bound. The divergence counts once for the
    whole data, the likelihood once for every example: with Keras's mean over a batch as the loss,
    pass `kl_weight=1/n`, where `n` is the number of training examples.
    """

    def __init__(
        self, *, given, meaning, activation, activity_regularizer, seed, kl_weight, **kwargs
    ):  # fmt: skip
        meant = {name: meaning(name, identifier) for name, identifier in given.items()}
        # The config of a file has served its turn: a layer that is loaded prints as any other.
        given = {name: meant[name] if isinstance(v, dict) else v for name, v in given.items()}
        arguments.only_known(type(self), kwargs)
        activation = identifiers.activation(activation)
        seed = arguments.seed(seed)
        activity_regularizer = identifiers.regularizer("activity_regularizer", activity_regularizer)

        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.activation = activation
        self.seed = seed
        self.kl_weight = kl_weight
        self.supports_masking = True
        self._noise_seed = noise.drawn_seed() if seed is None else seed
        self.seed_generator = keras.random.SeedGenerator(self._noise_seed)
        # Past Keras's tracker, which would wrap what it finds.
        vars(self).update(_given=given, _created={})
        for name, function in meant.items():
            setattr(self, name, function)

    def get_config(self):
        """Return the arguments that make an equal layer; refuse functions that cannot be saved."""
        return {
            **super().get_config(),
            "activation": identifiers.serialize("activation", identifiers.by_name(self.activation)),
            **{name: identifiers.serialize(name, given) for name, given in self._given.items()},
            "seed": self.seed,
            "kl_weight": self.kl_weight,
        }

    def save_own_variables(self, store):
        """Save the weights and the state of the noise."""
        super().save_own_variables(store)
        noise.save(self.seed_generator, store)

    def load_own_variables(self, store):
        """Load what `save_own_variables` saved."""
        super().load_own_variables(noise.load(self.seed_generator, store))

    def _variables_of(self, owner, creating=False):
        """Return the `add_variable_fn` of one function, which creates variables, or looks them up.

        Functions find their variables by name. Two of them may use one name, and one may use it
        several times: those are told apart by their order.

        Args:
            owner: what the function is, such as `kernel_posterior`.
            creating: whether to create the variables.
        """
        asked = collections.Counter()

        def add_variable(name=None, *args, **kwargs):
            key = (owner, name, asked[name])
            asked[name] += 1
            if creating:
                is_taken = any(name == other for _, other, _ in self._created)
                start = "/".join(map(str, key)) if is_taken else name
                given = variable_arguments(self._noise_seed, start, name, *args, **kwargs)
                self._created[key] = self._create_variable(given)
            if key not in self._created:
                raise arguments.invalid(
                    f"{owner}_fn",
                    "a function that asks for the same variables whenever it is called",
                    f"one that asks for a variable named {name!r} once the layer is built",
                    "Make the names of its variables of the argument `name`.",
                )
            return self._value_of(self._created[key])

        return add_variable

    def _create_variable(self, given):
        # Not cast: scale and divergence stay in float32.
        return self.add_weight(**given, autocast=False)

    def _value_of(self, variable):
        return variable.value

    def _cast(self, x):
        return ops.cast(x, self.compute_dtype)


def variable_arguments(
    seed, start, name=None, shape=None, dtype=None, initializer=None, regularizer=None,
    trainable=None, constraint=None, **_,
):  # fmt: skip
    """Return what `add_weight` gets where `add_variable_fn` got the arguments after `start`.

    Variables of one `seed` and another `start` have other initial values.
    """
    return {
        "name": name,
        "shape": tuple(int(n) for n in shape or ()),
        "dtype": dtype,
        "initializer": noise.fresh_initializer(initializer or "glorot_uniform", seed, start),
        "regularizer": regularizer,
        "trainable": trainable is not False,
        "constraint": constraint,
    }


def throw_away_variable(name=None, shape=None, dtype=None, *_, **__):
    """`add_variable_fn` of the trial: zeros of the right shape, which nothing keeps."""
    return ops.zeros(
        tuple(int(n) for n in shape or ()),
        keras.backend.standardize_dtype(dtype or keras.backend.floatx()),
    )
