"""A dense layer whose weights, kernel and bias together, have one distribution."""

from keras import layers, ops

from layer_api import (
    arguments,
    backend,
    distributions,
    identifiers,
    noise,
    posteriors,
    priors,
)
from layer_api.arguments import REQUIRED
from layer_api.compose import layer_function, registered
from layer_api.stochastic import StochasticLayer, throw_away_variable

# What a function that makes a posterior or prior receives; what it returns gets the inputs.
TAKES = ("kernel_size", "bias_size", "dtype")

_NAMED = {"make_posterior_fn": posteriors.NAMED, "make_prior_fn": priors.NAMED}


@registered
class DenseVariational(StochasticLayer):
    """Densely-connected layer whose kernel and bias have one joint distribution.

    Use it where weights shall depend on each other, where the bias is as uncertain as the kernel,
    or where a prior shall be learned. One draw serves the whole batch:

        kernel, bias ~ posterior
        outputs = activation(inputs @ kernel + bias)

    The distributions are over one vector: the kernel row by row, then the bias.

    {losses}

    A posterior or prior that is a function may depend on the inputs. Its divergence is added by
    each call of the layer, and counts again in each. If it has a batch of distributions, one for
    every row of the inputs, every row gets a draw of its own and the divergences are summed.

    Args:
        units: Whole number of at least 1, the number of outputs (the size of their last axis).
        make_posterior_fn: Distribution of the weights that training fits: a name, a config object
            such as `MultivariateNormalTriL()`, or a function `(kernel_size, bias_size, dtype)`
            that returns a function, layer or model, which gets the inputs and returns a
            distribution of the backend's library over a vector of `kernel_size + bias_size`
            numbers. The variables of a Keras layer or model become weights of this layer. Default
            `"mean_field_normal"`.
        make_prior_fn: Distribution of the weights before the data, as for `make_posterior_fn`.
            Default `"standard_normal"`.
        kl_weight: Number of at least 0, the factor on the divergence. Default `None`, which is 1.
        kl_use_exact: Bool, whether the divergence is the closed form, which must be known for the
            two distributions, or `log q(w) - log p(w)` at the weights `w` that the last call drew,
            whose expectation is the divergence. Default `False`.
        activation: Activation function: the name of one of Keras's, a function, or `None` for
            none. Default `None`.
        use_bias: Bool, whether there is a bias. Default `True`.
        activity_regularizer: Keras regularizer of the outputs, or `None`. Default `None`.
        seed: Whole number from 0 to 2147483647 that governs every draw of the layer, the initial
            weights of named distributions among them. Default `None`: Keras's global random state
            decides, see `keras.utils.set_random_seed()`.
        **kwargs: Further arguments of `keras.layers.Layer`, such as `name`, `dtype`, `trainable`
            or `input_shape`.

    Returns:
        A Keras layer. Called on a tensor of shape `(batch, ..., features)` it returns a tensor of
        shape `(batch, ..., units)`.

    {raises}

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(13,))])
    layer_api.layer_dense_variational(
        model,
        units=1,
        make_posterior_fn="multivariate_normal_tril",
        make_prior_fn=layer_api.NormalPrior(scale=2.0),
        kl_weight=1 / 506,
        kl_use_exact=True,
    )
    model.compile(optimizer="adam", loss="mse")
    ```

    References:
        Blundell et al. (2015), Weight Uncertainty in Neural Networks.
        <https://arxiv.org/abs/1505.05424>
    """

    def __init__(
        self,
        units=REQUIRED,
        make_posterior_fn="mean_field_normal",
        make_prior_fn="standard_normal",
        kl_weight=None,
        kl_use_exact=False,
        activation=None,
        use_bias=True,
        activity_regularizer=None,
        *,
        seed=None,
        **kwargs,
    ):
        units = arguments.whole_number("units", units, 1, "Pass, for example, units=10.")
        if kl_weight is not None:
            kl_weight = arguments.weight("kl_weight", kl_weight)
        kl_use_exact = arguments.flag("kl_use_exact", kl_use_exact)
        use_bias = arguments.flag("use_bias", use_bias)
        if "trainable" in kwargs:
            arguments.flag("trainable", kwargs["trainable"])

        super().__init__(
            given={"make_posterior_fn": make_posterior_fn, "make_prior_fn": make_prior_fn},
            meaning=_meaning,
            activation=activation,
            activity_regularizer=activity_regularizer,
            seed=seed,
            kl_weight=kl_weight,
            **kwargs,
        )
        self.units = units
        self.kl_use_exact = kl_use_exact
        self.use_bias = use_bias

    def build(self, input_shape):
        """Create the variables of the posterior and of the prior, and add the divergence."""
        features = arguments.features(input_shape)
        kernel_size, bias_size = features * self.units, self.units * self.use_bias
        vars(self)["_size"] = kernel_size + bias_size
        dtype = backend.dtype_for_callables(self.variable_dtype)
        # Any inputs will do to create the variables of a user's layers, and to see a mistake.
        example = ops.zeros((1, *[1] * (len(input_shape) - 2), features), self.compute_dtype)
        for role in ("posterior", "prior"):
            make = getattr(self, f"make_{role}_fn")
            if not _is_block(make):
                made = make(kernel_size, bias_size, dtype)
                if not callable(made):
                    raise arguments.invalid(
                        f"make_{role}_fn",
                        "a function that returns a function of the inputs",
                        arguments.describe(made),
                        "Return, for example, a Sequential model that ends in DistributionLambda.",
                        TypeError,
                    )
                setattr(self, f"_{role}", made)
            self._distribution(role, example, throw_away_variable)
        for role in ("posterior", "prior"):
            self._distribution(role, example, self._variables_of(f"make_{role}", True))
        if not self._depends_on_inputs() and self.kl_weight != 0:
            self.add_loss(self._divergence_of_last_call)
        self.input_spec = layers.InputSpec(min_ndim=2, axes={-1: features})
        self.built = True

    def call(self, inputs):
        """Return the outputs for one draw of the weights."""
        inputs = ops.cast(arguments.numeric(inputs), self.compute_dtype)
        key = noise.key(noise.advance(self.seed_generator), "kernel")
        q = self._distribution("posterior", inputs)
        weights = distributions.draw(q, (self._size,), key)
        if self._depends_on_inputs() and self.kl_weight != 0:
            p = self._distribution("prior", inputs)
            self.add_loss(self._divergence(q, p, key))
        return self._activate(self._apply(inputs, self._cast(weights)))

    def compute_output_shape(self, input_shape):
        """Return the shape of the outputs: that of the inputs with `units` as the last axis."""
        arguments.features(input_shape)
        return (*input_shape[:-1], self.units)

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "kl_use_exact": self.kl_use_exact,
            "use_bias": self.use_bias,
        }

    def posterior(self, inputs=None):
        """Return the distribution of all weights given the data, of the backend's library.

        Args:
            inputs: Tensor, needed where `make_posterior_fn` is a function. Default `None`.
        """
        return self._library(self._distribution("posterior", inputs))

    def prior(self, inputs=None):
        """Return the distribution of all weights before the data, of the backend's library.

        Args:
            inputs: Tensor, needed where `make_prior_fn` is a function. Default `None`.
        """
        return self._library(self._distribution("prior", inputs))

    def _depends_on_inputs(self):
        """Tell whether a distribution is a user's function, which may depend on the inputs."""
        return not (_is_block(self.make_posterior_fn) and _is_block(self.make_prior_fn))

    def _distribution(self, role, inputs=None, add_variable_fn=None):
        """Return the posterior or prior as of now: one of ours, or a batch of the library's."""
        if "_size" not in vars(self):
            raise AttributeError(
                f"The layer '{self.name}' has no {role} before it is built. "
                "Call the layer, or build(input_shape), first."
            )
        block, shape = getattr(self, f"make_{role}_fn"), (self._size,)
        if _is_block(block):
            dtype = backend.dtype_for_callables(self.variable_dtype)
            add_variable_fn = add_variable_fn or self._variables_of(f"make_{role}")
            return block.parametrize(dtype, shape, role, self.trainable, add_variable_fn)
        distribution = getattr(self, f"_{role}")(inputs)
        if not backend.is_distribution(distribution):
            raise _no_distribution(role, shape, arguments.describe(distribution))
        event, batch = tuple(distribution.event_shape), tuple(distribution.batch_shape)
        if event != shape or len(batch) > 1:
            described = f"draws of {arguments.describe_shape(event)}"
            if batch:
                described += f" in a batch of {arguments.describe_shape(batch)}"
            raise _no_distribution(role, shape, described)
        return distribution if batch else distributions.known(distribution)

    def _divergence_of_last_call(self):
        q, p = self._distribution("posterior"), self._distribution("prior")
        return self._divergence(q, p, noise.key(noise.previous(self.seed_generator), "kernel"))

    def _divergence(self, q, p, key):
        """Return `kl_weight` times the divergence of q from p; an estimate draws under `key`."""
        q_is_ours, p_is_ours = (not backend.is_distribution(d) for d in (q, p))
        if self.kl_use_exact:
            if not distributions.has_closed_form(q, p):
                q, p = self._library(q), self._library(p)
            divergence = self._exact(q, p)
        elif q_is_ours and p_is_ours:
            divergence = distributions.estimated_kl_divergence(q, p, (self._size,), key, 1)
        else:
            value = distributions.draw(q, (self._size,), key)
            log_ratio = backend.log_prob(self._library(q), value)
            # Each of a batch of one of the two meets the other.
            divergence = ops.sum(log_ratio - backend.log_prob(self._library(p), value))
        return divergence if self.kl_weight is None else self.kl_weight * divergence

    def _exact(self, q, p):
        if distributions.has_closed_form(q, p):
            return distributions.kl_divergence(q, p)
        try:
            return ops.sum(backend.kl_divergence(q, p))
        except NotImplementedError:
            raise arguments.invalid(
                "kl_use_exact",
                "False (in R: FALSE) where no closed form of the divergence is known",
                f"True, for {arguments.describe(q)} and {arguments.describe(p)}",
                "Leave it out: the estimate has the same expectation.",
            ) from None

    def _apply(self, inputs, weights):
        """Return inputs @ kernel + bias; a batch of weights has one for every row of inputs."""
        features = self.input_spec.axes[-1]
        kernel, bias = weights[..., : features * self.units], weights[..., features * self.units :]
        if len(weights.shape) == 1:
            outputs = ops.matmul(inputs, ops.reshape(kernel, (features, self.units)))
            return outputs + bias if self.use_bias else outputs
        positions = ops.reshape(inputs, (ops.shape(inputs)[0], -1, features))
        outputs = ops.matmul(positions, ops.reshape(kernel, (-1, features, self.units)))
        if self.use_bias:
            outputs = outputs + bias[:, None]
        return ops.reshape(outputs, (*ops.shape(inputs)[:-1], self.units))

    def _library(self, distribution):
        return distributions.library(distribution, (self._size,), self.variable_dtype)


def _is_block(value):
    return hasattr(value, "parametrize")


def _meaning(argument, identifier):
    """Return the block or function that `identifier` means for `argument`."""
    identifier = identifiers.saved(argument, identifier)
    # A block takes what the functions of the other layers take: it is not called.
    if _is_block(identifier) and not isinstance(identifier, type):
        return identifier
    return identifiers.get(argument, identifier, _NAMED[argument], TAKES)


def _no_distribution(role, shape, received):
    return arguments.invalid(
        f"make_{role}_fn",
        "a function that makes a function of the inputs, which returns a distribution of "
        f"{backend.LIBRARY} with draws of {arguments.describe_shape(shape)}",
        received,
        "Return, for example, Independent(Normal(loc, scale), 1).",
        TypeError,
    )


layer_dense_variational = layer_function(DenseVariational, "layer_dense_variational")
