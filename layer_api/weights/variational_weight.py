"""A weight with a distribution: posterior, prior, and the divergence between them.

    weight ~ posterior,    loss += kl_weight * divergence(posterior, prior)

A layer holds any number of them. Each has a name, which begins the names of the layer's arguments
about it (`kernel_posterior_fn`), of its variables, and of its streams of random numbers.
"""

import collections
import contextlib
import functools
import threading
from typing import Any

import keras
from keras import ops

from layer_api import backend, messages, noise, serialization, validation
from layer_api.weights import distributions, divergences, posteriors, priors
from layer_api.weights.block import Divergence, Posterior, Prior

# What stands for each function: its names, and the arguments that it takes.
_IDENTIFIERS = {
    "posterior_fn": (posteriors.NAMED, posteriors.TAKES),
    "posterior_tensor_fn": (posteriors.TENSOR_FNS, ("d",)),
    "prior_fn": (priors.NAMED, posteriors.TAKES),
    "divergence_fn": (divergences.NAMED, divergences.TAKES),
}
ROLES = tuple(_IDENTIFIERS)
# What is drawn beside the weight itself.
_STREAMS = ("divergence", "input_sign", "output_sign")


class FunctionsOfAWeight:
    """The functions that say what a weight is, by the arguments of the layer that are about it.

    A subclass says by `_resolve` what an argument may be.
    """

    def __init__(self, identifiers):
        self._variables: Any = None
        self._given: dict[str, Any] = {}
        self._meant: dict[str, Any] = {}
        for argument, identifier in identifiers.items():
            self.assign(argument, identifier)

    def assign(self, argument, identifier):
        """Take `identifier` for one of the functions, as the constructor of a layer does."""
        if self.is_built:
            raise messages.fixed(argument, self._variables.layer)
        meant = self._resolve(argument, identifier)
        check_role(argument, meant)
        self._meant[argument] = meant
        # The config of a file has served its turn: a layer that is loaded prints as any other.
        self._given[argument] = meant if isinstance(identifier, dict) else identifier

    def _resolve(self, argument, identifier):
        """Return the function or block that `identifier` stands for."""
        raise NotImplementedError

    @property
    def arguments(self):
        """Names of the arguments."""
        return tuple(self._meant)

    def function(self, argument):
        """Return the function that serves for an argument, or None."""
        return self._meant[argument]

    def given(self, argument):
        """Return what the user gave for an argument."""
        return self._given[argument]

    def get_config(self):
        """Return the arguments of the layer about this weight; refuse what cannot be saved."""
        given = self._given.items()
        return {name: serialization.serialize(name, identifier) for name, identifier in given}

    @property
    def is_built(self):
        """Whether the variables exist, so that a compiled function may use them."""
        return self._variables is not None and self._variables.is_built


class VariationalWeight(FunctionsOfAWeight):
    """One weight of a layer: its functions, and once built, its distributions and draws.

    Args:
        name: text, such as `kernel`.
        posterior_fn: name, config object or function; None for a layer without this weight.
        posterior_tensor_fn: name or function.
        prior_fn: name, config object, function or None.
        divergence_fn: name, config object, function or None.
        is_optional: whether the layer can do without this weight.
    """

    def __init__(
        self, name, posterior_fn, posterior_tensor_fn, prior_fn, divergence_fn, is_optional=False
    ):
        self.name = name
        self.shape = None
        self._fans = None
        self._is_optional = is_optional
        noise.know([name, *(f"{name}/{what}" for what in _STREAMS)])
        super().__init__(
            {
                f"{name}_posterior_fn": posterior_fn,
                f"{name}_posterior_tensor_fn": posterior_tensor_fn,
                f"{name}_prior_fn": prior_fn,
                f"{name}_divergence_fn": divergence_fn,
            }
        )

    def _resolve(self, argument, identifier):
        role = argument.removeprefix(f"{self.name}_")
        named, takes = _IDENTIFIERS[role]
        is_optional = role in ("prior_fn", "divergence_fn") or (
            role == "posterior_fn" and self._is_optional
        )
        return serialization.resolve(argument, identifier, named, takes, is_optional)

    def _role(self, role):
        return self._meant[f"{self.name}_{role}"]

    def keep(self, role, made):
        """Have a distribution that was made stand for its function, which is not called again."""
        self._meant[f"{self.name}_{role}_fn"] = lambda *_: made

    @property
    def is_present(self):
        """Whether the layer has this weight at all."""
        return self._role("posterior_fn") is not None

    # --- Building --------------------------------------------------------------------------------

    def prepare(self, shape, variables, fans=None):
        """Note the shape, and try the functions on throw-away values.

        So a mistake in a user's function raises while the layer has no variable yet.

        Args:
            shape: tuple of whole numbers.
            variables: the `VariableStore` of the layer.
            fans: how many inputs an output has, and how many outputs an input, where this is not
                what the shape of a kernel says.
        """
        validation.check_size(self.name, shape)
        self.shape = tuple(shape)
        self._fans = fans
        self._variables = variables
        self._make("prior", throw_away_variable)
        return self._make("posterior", throw_away_variable)

    def build(self):
        """Create the variables of the posterior and of the prior."""
        self._make("posterior", self._variables.creator(f"{self.name}_posterior"))
        self._make("prior", self._variables.creator(f"{self.name}_prior"))

    # --- Distributions ---------------------------------------------------------------------------

    @property
    def posterior(self):
        """The posterior as of now, one of ours or of the library's; None without the weight."""
        if not backend.random.is_compiling() and id(self) in _computed.posteriors:
            return _computed.posteriors[id(self)]
        return self._current("posterior")

    @property
    def prior(self):
        """The prior as of now, one of ours or of the library's, or None."""
        return self._current("prior")

    def to_library(self, distribution):
        """Return a distribution of this weight as one of the backend's library."""
        if distribution is None:
            return None
        dtype = self._variables.layer.variable_dtype
        return distributions.to_library(distribution, self.shape, dtype)

    def _current(self, role):
        if self._role(f"{role}_fn") is None:
            return None
        if self._variables is None:
            raise AttributeError(
                f"There is no {self.name}_{role} before the layer is built. "
                "Call the layer, or build(input_shape), first."
            )
        return self._make(role, self._variables.finder(f"{self.name}_{role}"))

    def _make(self, role, add_variable_fn):
        """Return the posterior or prior, with the variables that `add_variable_fn` gives."""
        argument = f"{self.name}_{role}_fn"
        function = self._role(f"{role}_fn")
        if function is None:
            return None
        if self._fans and isinstance(function, Prior):
            function = function.of_fans(self._fans)
        layer = self._variables.layer
        described = (
            backend.distributions.dtype_for_callables(layer.variable_dtype),
            self.shape,
            f"{self.name}_{role}",
            layer.trainable,
            add_variable_fn,
        )
        made = getattr(function, "parametrize", function)(*described)
        if made is None or not is_one_of_ours(made):
            if not backend.distributions.is_distribution(made):
                raise messages.invalid(
                    argument,
                    f"a function that returns a distribution of {backend.distributions.LIBRARY}",
                    messages.describe(made),
                    "Return, for example, Independent(Normal(loc, scale)).",
                    TypeError,
                )
            made = distributions.from_library(made)
        return self._spread(made) if role == "posterior" else made

    def _spread(self, posterior):
        """Return a posterior with a parameter for every element; one may stand for all of them."""
        known = (distributions.Normal, distributions.Deterministic)
        kind = next((kind for kind in known if isinstance(posterior, kind)), None)
        if kind is None or getattr(posterior.loc, "shape", None) == self.shape:
            return posterior
        dtype = self._variables.layer.variable_dtype
        values = [ops.convert_to_tensor(value, dtype) for value in posterior]
        if not all(validation.can_broadcast(tuple(value.shape), self.shape) for value in values):
            shape = messages.describe_shape(self.shape)
            raise messages.invalid(
                f"{self.name}_posterior_fn",
                f"a function that returns a distribution of {shape}",
                messages.describe_shape(values[0].shape),
                "The second argument of the function is the shape that the distribution needs.",
            )
        return kind(*(ops.broadcast_to(value, self.shape) for value in values))

    def start_at(self, mean, stddev=None):
        """Give the posterior its mean, and a mean-field one its standard deviation.

        A prior whose means are those of a trained network gets the mean, too.

        Args:
            mean: array of the shape of the weight.
            stddev: array of the same shape. Default: the posterior is a point mass.
        """
        role = f"{self.name}_posterior"
        loc = self._variables.variable(role, "loc")
        loc.assign(mean)
        if stddev is not None:
            parameter = distributions.untransformed(stddev, loc.dtype)
            self._variables.variable(role, "untransformed_scale").assign(parameter)
        if isinstance(self._role("prior_fn"), priors.PretrainedNormal):
            self._variables.variable(f"{self.name}_prior", "loc").assign(mean)

    # --- Draws -----------------------------------------------------------------------------------

    def draw(self, state, distribution=None, shape=None):
        """Return the value that `*_posterior_tensor_fn` takes, in one call of the layer.

        Args:
            state: state of the noise, for one call.
            distribution: what stands for the posterior. Default: the posterior.
            shape: shape of the value. Default: that of the weight.
        """
        distribution = self.posterior if distribution is None else distribution
        return self._drawn(distribution, shape or self.shape, noise.key(state, self.name))

    @property
    def is_mean(self):
        """Whether the mean stands for the posterior, so that there is nothing to draw."""
        return self._role("posterior_tensor_fn") is distributions.mean

    def _drawn(self, distribution, shape, key):
        tensor_fn = self._role("posterior_tensor_fn")
        if tensor_fn in posteriors.TENSOR_FNS.values():
            return tensor_fn(distribution, shape, key)
        # The first draw of a user's function is the one of a layer without a function.
        first = functools.partial(distributions.draw, distribution, shape, key)
        of_library = distributions.to_library(distribution, shape)
        value = tensor_fn(backend.distributions.seeded(of_library, key, first))
        argument = f"{self.name}_posterior_tensor_fn"
        return validation.check_returned(
            argument, value, "Return, for example, a draw from the distribution.", shape
        )

    def signs(self, state, place, shape, dtype):
        """Return random signs, the same for a state and a place such as "input"."""
        return noise.signs(shape, noise.key(state, f"{self.name}/{place}_sign"), dtype)

    # --- Divergence ------------------------------------------------------------------------------

    @property
    def has_divergence(self):
        """Whether there are posterior, prior and divergence."""
        needed = ("posterior_fn", "prior_fn", "divergence_fn")
        return all(self._role(role) is not None for role in needed)

    def divergence(self, state):
        """Return the divergence of the posterior from the prior, a scalar of 32 bits or more.

        Args:
            state: state of the noise, for the draws of an estimate.
        """
        q, p = self.posterior, self.prior
        divergence_fn = self._role("divergence_fn")
        key = noise.key(state, f"{self.name}/divergence")
        if isinstance(divergence_fn, Divergence):
            return divergence_fn.divergence(q, p, self.shape, key)
        sample = self._drawn(q, self.shape, key)
        dtype = self._variables.layer.variable_dtype
        if is_one_of_ours(q) and is_one_of_ours(p):
            dtype = keras.backend.result_type(dtype, "float32")
            q, p = distributions.widened(q), distributions.widened(p)
            sample = ops.cast(sample, dtype)
        q, p = (distributions.to_library(each, self.shape, dtype) for each in (q, p))
        divergence = validation.check_returned(
            f"{self.name}_divergence_fn",
            divergence_fn(backend.distributions.seeded(q, key), p, sample),
            "Return the divergence, one number or one for every weight.",
        )
        dtype = keras.backend.result_type(divergence.dtype, "float32")
        return ops.sum(ops.cast(divergence, dtype))


class _Computed(threading.local):
    def __init__(self):
        self.posteriors = {}


_computed = _Computed()


@contextlib.contextmanager
def computed_posteriors(layers):
    """Compute the posteriors of the layers' weights once, for all the draws made inside."""
    before = _computed.posteriors
    weights = [
        weight
        for layer in layers
        for weight in getattr(layer, "_weights_by_name", {}).values()
        if weight.is_present
    ]
    _computed.posteriors = {
        id(weight): distributions.computed(weight.posterior) for weight in weights
    }
    try:
        yield
    finally:
        _computed.posteriors = before


class VariableStore:
    """The variables that the functions of a layer's weights ask for, by function and name."""

    def __init__(self, layer):
        self.layer = layer
        self.is_built = False
        self._created = {}

    @property
    def created(self):
        """All variables, in the order in which they were asked for."""
        return list(self._created.values())

    def variable(self, function, parameter):
        """Return the variable that a named block has for one of its parameters."""
        return self._created[function, f"{function}_{parameter}", 0]

    def create(self, given):
        """Create a variable of the layer; not cast, as scale and divergence stay in 32 bits."""
        return self.layer.add_weight(**given, autocast=False)

    def value_of(self, variable):
        """Return what a function gets for a variable."""
        return variable.value

    def creator(self, function):
        """Return an `add_variable_fn` that creates variables.

        Args:
            function: what asks for them, such as `kernel_posterior`.
        """

        def create(key, name, args, kwargs):
            is_taken = any(name == other for _, other, _ in self._created)
            start = "/".join(map(str, key)) if is_taken else name
            given = variable_arguments(self.layer._noise_seed, start, name, *args, **kwargs)
            self._created[key] = self.create(given)

        return self._add_variable_fn(function, create)

    def finder(self, function):
        """Return an `add_variable_fn` that looks up what was created before."""

        def refuse(key, name, args, kwargs):
            raise messages.invalid(
                f"{function}_fn",
                "a function that asks for the same variables whenever it is called",
                f"one that asks for a variable named {name!r} once the layer is built",
                "Make the names of its variables of the argument `name`.",
            )

        return self._add_variable_fn(function, refuse)

    def _add_variable_fn(self, function, on_new):
        # Functions find their variables by name. Two of them may use one name, and one may use it
        # several times: those are told apart by their order.
        asked: collections.Counter = collections.Counter()

        def add_variable(name=None, *args, **kwargs):
            key = (function, name, asked[name])
            asked[name] += 1
            if key not in self._created:
                on_new(key, name, args, kwargs)
            return self.value_of(self._created[key])

        return add_variable


def check_role(argument, meant):
    """Refuse a prior for a posterior, and the reverse: neither would do what it is meant for."""
    is_prior = isinstance(meant, Prior) or meant is priors.default_multivariate_normal_fn
    if argument.endswith("posterior_fn") and is_prior:
        raise messages.invalid(
            argument,
            "a posterior, which training fits",
            f"the prior {getattr(meant, '__name__', type(meant).__name__)}",
            "A prior has nothing to fit, so that the weight would stay pure noise. Use "
            f"'mean_field_normal'; the prior is for `{argument.replace('posterior', 'prior')}`.",
            TypeError,
        )
    if argument.endswith(("prior_fn", "prior")) and isinstance(meant, Posterior):
        raise messages.invalid(
            argument,
            "a prior",
            f"the posterior {type(meant).__name__}",
            "A posterior here would be fitted along with the other one, and hold nothing back. For "
            "a prior that is learned, use 'trainable_normal'.",
            TypeError,
        )


def is_one_of_ours(value):
    """Tell whether `value` is a distribution that the package computes with itself."""
    return isinstance(value, distributions.OURS)


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
