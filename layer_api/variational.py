"""The base of the layers with a variational kernel and bias.

    KL-regularized layer:   kernel, bias ~ posterior,   loss += kl_weight * KL(posterior || prior)

An estimator (`estimators.py`) says how noise of the kernel reaches the outputs; an operation
(`dense.py`) says what the kernel does to the inputs. A layer is one of each.
"""

import functools

import keras
from keras import ops

from layer_api import (
    arguments,
    backend,
    distributions,
    divergences,
    identifiers,
    noise,
    posteriors,
    priors,
)
from layer_api.stochastic import StochasticLayer, throw_away_variable


class VariationalLayer(StochasticLayer):
    """Posterior, prior and divergence of a kernel and of a bias; seed; config.

    A subclass provides `_apply_kernel(inputs, state, bias)`, `_kernel_shape(input_shape)` and
    `_bias_shape()`, both shapes as tuples.
    """

    # Of every class that has its constructor: the arguments that all of them have.
    SHARED = """
    activation: Activation function: the name of one of Keras's, a function, or `None` for
        none. Default `None`.
    activity_regularizer: Keras regularizer of the outputs, or `None`. Default `None`.
    trainable: Bool, whether training updates the weights. Default `True`.
    kernel_posterior_fn: Distribution of the kernel that training fits: a name, a config object
        such as `MeanFieldNormal()`, or a function `(dtype, shape, name, trainable,
        add_variable_fn)` that returns a distribution of the backend's library; Flipout and
        local reparameterization take independent normals only. Default
        `"mean_field_normal"`.
    kernel_posterior_tensor_fn: Value that stands for the kernel's distribution in one call:
        `"sample"`, `"mean"`, or a function of a distribution. It gets the posterior; under
        Flipout the perturbation, whose mean is zero; under local reparameterization the
        distribution of the outputs before the bias. Default `"sample"`.
    kernel_prior_fn: Distribution of the kernel before the data: a name, a config object, a
        function as for `kernel_posterior_fn`, or `None` for no prior and no divergence.
        Default `"standard_normal"`.
    kernel_divergence_fn: Divergence of posterior from prior: a name, a config object, a
        function `(q, p, sample)` of posterior, prior and a value drawn from the posterior, or
        `None` for none. Default `"kl_divergence"`.
    bias_posterior_fn: As `kernel_posterior_fn`, but of any distribution; `None` for no bias.
        Default `"deterministic"`, a point estimate.
    bias_posterior_tensor_fn: As `kernel_posterior_tensor_fn`, for the bias. Default
        `"sample"`.
    bias_prior_fn: As `kernel_prior_fn`, for the bias. Default `None`, no prior.
    bias_divergence_fn: As `kernel_divergence_fn`, for the bias. Default `"kl_divergence"`.
    seed: Whole number from 0 to 2147483647 that governs every draw of the layer: the initial
        weights, the kernel, the signs and the bias. Default `None`: Keras's global random
        state decides, see `keras.utils.set_random_seed()`.
    kl_weight: Number of at least 0, the factor on the divergences. Default `1.0`.
    **kwargs: Further arguments of `keras.layers.Layer`, such as `name`, `dtype` or
        `input_shape`.
    """

    LOSSES = (
        StochasticLayer.LOSSES
        + """
    A posterior, prior or divergence of your own is a function, or an object of a class with
    `__call__` and `get_config`, with the arguments given below. It trains as it is. For a model
    that shall be saved, register it, and have the same lines run wherever the model is loaded:

        class Narrow:
            def __init__(self, scale):
                self.scale = scale

            def __call__(self, dtype, shape, name, trainable, add_variable_fn):
                normal = layer_api.NormalPrior(scale=self.scale)
                return normal(dtype, shape, name, trainable, add_variable_fn)

            def get_config(self):
                return {"scale": self.scale}

        keras.saving.register_keras_serializable("my_package")(Narrow)
    """
    )

    def __init__(
        self,
        *,
        activation,
        activity_regularizer,
        trainable,
        kernel_posterior_fn,
        kernel_posterior_tensor_fn,
        kernel_prior_fn,
        kernel_divergence_fn,
        bias_posterior_fn,
        bias_posterior_tensor_fn,
        bias_prior_fn,
        bias_divergence_fn,
        seed,
        kl_weight,
        **kwargs,
    ):
        kl_weight = arguments.weight("kl_weight", kl_weight)
        trainable = arguments.flag("trainable", trainable)
        given = {
            "kernel_posterior_fn": kernel_posterior_fn,
            "kernel_posterior_tensor_fn": kernel_posterior_tensor_fn,
            "kernel_prior_fn": kernel_prior_fn,
            "kernel_divergence_fn": kernel_divergence_fn,
            "bias_posterior_fn": bias_posterior_fn,
            "bias_posterior_tensor_fn": bias_posterior_tensor_fn,
            "bias_prior_fn": bias_prior_fn,
            "bias_divergence_fn": bias_divergence_fn,
        }

        super().__init__(
            given=given,
            meaning=_meaning,
            activation=activation,
            activity_regularizer=activity_regularizer,
            seed=seed,
            kl_weight=kl_weight,
            trainable=trainable,
            **kwargs,
        )

    def build(self, input_shape):
        """Create the variables of the posteriors and priors, and add the divergences as losses."""
        self._prepare(input_shape)
        for part in self._shapes:
            posterior = self._posterior(part, self._variables_of(f"{part}_posterior", True))
            prior = self._prior(part, self._variables_of(f"{part}_prior", True))
            divergence_fn = getattr(self, f"{part}_divergence_fn")
            if None not in (posterior, prior, divergence_fn) and self.kl_weight > 0:
                self.add_loss(functools.partial(self._divergence, part))
        self.built = True

    def _prepare(self, input_shape):
        """Note the shapes of kernel and bias, and try the functions that make distributions."""
        vars(self)["_shapes"] = {
            "kernel": self._kernel_shape(input_shape),
            "bias": self._bias_shape(),
        }
        # A user's function is tried on throw-away values first: a mistake in it raises here, when
        # the layer has no variable yet.
        for part in self._shapes:
            self._check(part, self._posterior(part, throw_away_variable))
            self._prior(part, throw_away_variable)

    def call(self, inputs):
        """Return the outputs for one draw of the kernel and of the bias."""
        inputs = ops.cast(arguments.numeric(inputs), self.compute_dtype)
        state = noise.advance(self.seed_generator)
        bias = self._posterior("bias")
        if bias is not None:
            bias = self._cast(self._draw("bias", bias, state))
        return self._activate(self._apply_kernel(inputs, state, bias))

    def _affine(self, inputs, kernel, bias):
        """Return what kernel and bias make of the inputs. The bias may be None."""
        outputs = self._linear(inputs, self._cast(kernel))
        return outputs if bias is None else self._add_bias(outputs, bias)

    def _add_bias(self, outputs, bias):
        return ops.add(outputs, bias)

    @property
    def kernel_posterior(self):
        """Distribution of the kernel given the data, of the backend's library."""
        return self._library("kernel", self._posterior("kernel"))

    @property
    def kernel_prior(self):
        """Distribution of the kernel before the data, of the backend's library, or None."""
        return self._library("kernel", self._prior("kernel"))

    @property
    def bias_posterior(self):
        """Distribution of the bias given the data, of the backend's library, or None."""
        return self._library("bias", self._posterior("bias"))

    @property
    def bias_prior(self):
        """Distribution of the bias before the data, of the backend's library, or None."""
        return self._library("bias", self._prior("bias"))

    def _posterior(self, part, add_variable_fn=None):
        return self._distribution(part, "posterior", add_variable_fn)

    def _prior(self, part, add_variable_fn=None):
        return self._distribution(part, "prior", add_variable_fn)

    def _distribution(self, part, role, add_variable_fn):
        """Return the posterior or prior of the kernel or bias as of now; None if there is none."""
        argument = f"{part}_{role}_fn"
        function = getattr(self, argument)
        if function is None:
            return None
        if "_shapes" not in vars(self):
            raise AttributeError(
                f"The layer '{self.name}' has no {part}_{role} before it is built. "
                "Call the layer, or build(input_shape), first."
            )
        described = (
            backend.dtype_for_callables(self.variable_dtype),
            self._shapes[part],
            f"{part}_{role}",
            self.trainable,
            add_variable_fn or self._variables_of(f"{part}_{role}"),
        )
        if hasattr(function, "parametrize"):
            ours = function.parametrize(*described)
            return self._spread(part, ours) if role == "posterior" else ours
        distribution = function(*described)
        if not backend.is_distribution(distribution):
            raise arguments.invalid(
                argument,
                f"a function that returns a distribution of {backend.LIBRARY}",
                arguments.describe(distribution),
                "Return, for example, Independent(Normal(loc, scale)).",
                TypeError,
            )
        ours = distributions.known(distribution)
        return self._spread(part, ours) if role == "posterior" else ours

    def _spread(self, part, posterior):
        """Return a posterior with a parameter for every weight; one may stand for all of them."""
        shape = self._shapes[part]
        known = (distributions.Normal, distributions.Deterministic)
        kind = next((kind for kind in known if isinstance(posterior, kind)), None)
        if kind is None or getattr(posterior.loc, "shape", None) == shape:
            return posterior
        values = [ops.convert_to_tensor(value, self.variable_dtype) for value in posterior]
        if not all(arguments.stretches(tuple(value.shape), shape) for value in values):
            raise arguments.invalid(
                f"{part}_posterior_fn",
                f"a function that returns a distribution of {arguments.describe_shape(shape)}",
                arguments.describe_shape(values[0].shape),
                "The second argument of the function is the shape that the distribution needs.",
            )
        return kind(*(ops.broadcast_to(value, shape) for value in values))

    def _check(self, part, posterior):
        """Refuse a posterior that the estimator cannot work with; any will do unless it says so."""

    def _library(self, part, distribution):
        if distribution is None:
            return None
        return distributions.library(distribution, self._shapes[part], self.variable_dtype)

    def _draw(self, part, distribution, state, stream=None, shape=None):
        """Return the value that `*_posterior_tensor_fn` takes from `distribution`."""
        tensor_fn = getattr(self, f"{part}_posterior_tensor_fn")
        shape = shape or self._shapes[part]
        key = noise.key(state, stream or part)
        if tensor_fn in posteriors.TENSOR_FNS.values():
            return tensor_fn(distribution, shape, key)
        # The first draw of a user's function is the one of a layer without a function.
        first = functools.partial(distributions.draw, distribution, shape, key)
        seeded = backend.seeded(distributions.library(distribution, shape), key, first)
        remedy = "Return, for example, d.sample()."
        value = tensor_fn(seeded)
        return arguments.returned(f"{part}_posterior_tensor_fn", value, remedy, shape)

    def _divergence(self, part):
        """Return `kl_weight` times the divergence of the posterior from the prior, a scalar."""
        q, p = self._posterior(part), self._prior(part)
        divergence_fn = getattr(self, f"{part}_divergence_fn")
        # Losses may be read any number of times between two calls: read the state, leave it.
        state = noise.current(self.seed_generator)
        stream = f"divergence_{part}"
        key = noise.key(state, stream)
        if hasattr(divergence_fn, "between"):
            return self.kl_weight * divergence_fn.between(q, p, self._shapes[part], key)
        sample = self._draw(part, q, state, stream)
        q, p = self._library(part, q), self._library(part, p)
        divergence = arguments.returned(
            f"{part}_divergence_fn",
            divergence_fn(backend.seeded(q, key), p, sample),
            "Return the divergence, one number or one for every weight.",
        )
        dtype = keras.backend.result_type(divergence.dtype, "float32")
        return self.kl_weight * ops.sum(ops.cast(divergence, dtype))


_NAMED = {
    "posterior_fn": (posteriors.NAMED, posteriors.TAKES),
    "posterior_tensor_fn": (posteriors.TENSOR_FNS, ("d",)),
    "prior_fn": (priors.NAMED, posteriors.TAKES),
    "divergence_fn": (divergences.NAMED, divergences.TAKES),
}
_OPTIONAL = {
    "kernel_prior_fn",
    "kernel_divergence_fn",
    "bias_posterior_fn",
    "bias_prior_fn",
    "bias_divergence_fn",
}


def _meaning(argument, identifier):
    """Return what `identifier` means for `argument`, such as `kernel_posterior_fn`."""
    named, takes = _NAMED[argument.split("_", 1)[1]]
    return identifiers.get(argument, identifier, named, takes, argument in _OPTIONAL)
