"""A dense layer whose weights, kernel and bias together, have one distribution."""

from keras import layers, ops

from layer_api import backend, keras_private, messages, noise, serialization, validation
from layer_api.compose import layer_function, registered
from layer_api.layers.variational_layer import DrawingLayer
from layer_api.messages import REQUIRED
from layer_api.weights import distributions, posteriors, priors
from layer_api.weights.variational_weight import FunctionsOfAWeight, throw_away_variable

# What a function that makes a posterior or prior receives; what it returns gets the inputs.
TAKES = ("kernel_size", "bias_size", "dtype")

_NAMED = {"make_posterior_fn": posteriors.NAMED, "make_prior_fn": priors.NAMED}


class JointWeight(FunctionsOfAWeight):
    """Kernel and bias as one vector, whose posterior and prior may depend on the inputs.

    Each of the two is a named block, or a user's function, which makes a function of the inputs.
    """

    def __init__(self, make_posterior_fn, make_prior_fn):
        self.size = None
        # What a user's functions have made: functions, layers or models.
        self.made = {}
        noise.know(["kernel"])
        super().__init__({"make_posterior_fn": make_posterior_fn, "make_prior_fn": make_prior_fn})

    def _resolve(self, argument, identifier):
        meant = serialization.from_saved(argument, identifier)
        # A block takes what the functions of the other layers take: it is not called.
        if is_block(meant) and not isinstance(meant, type):
            return meant
        return serialization.resolve(argument, meant, _NAMED[argument], TAKES)

    @property
    def depends_on_inputs(self):
        """Whether a distribution is a user's function, which may depend on the inputs."""
        return not all(map(is_block, self._meant.values()))

    def prepare(self, kernel_size, bias_size, variables, example):
        """Call a user's functions for the functions of the inputs; try all on throw-away values.

        Args:
            kernel_size: whole number, of the elements of the kernel.
            bias_size: whole number, of those of the bias.
            variables: the `VariableStore` of the layer.
            example: tensor, inputs of the layer.
        """
        self.size, self._variables = kernel_size + bias_size, variables
        layer = variables.layer
        dtype = backend.distributions.dtype_for_callables(layer.variable_dtype)
        for role in ("posterior", "prior"):
            argument = f"make_{role}_fn"
            make = self._meant[argument]
            if not is_block(make):
                # Distributions have the dtype of the variables: the layers that a user's function
                # makes must not compute in the lower precision of a mixed policy.
                with keras_private.global_dtype_policy(layer.variable_dtype):
                    made = make(kernel_size, bias_size, dtype)
                if not callable(made):
                    raise messages.invalid(
                        argument,
                        "a function that returns a function of the inputs",
                        messages.describe(made),
                        "Return, for example, a Sequential model that ends in a layer that makes a "
                        "distribution.",
                        TypeError,
                    )
                self.made[role] = made
            self._make(role, example, throw_away_variable)

    def build(self, example):
        """Create the variables of the posterior and of the prior."""
        for role in ("posterior", "prior"):
            self._make(role, example, self._variables.creator(f"make_{role}"))

    def distribution(self, role, inputs=None):
        """Return the posterior or prior as of now: one of ours, or a batch of the library's."""
        if self._variables is None:
            raise AttributeError(
                f"There is no {role} before the layer is built. "
                "Call the layer, or build(input_shape), first."
            )
        return self._make(role, inputs, self._variables.finder(f"make_{role}"))

    def _make(self, role, inputs, add_variable_fn):
        block, shape = self._meant[f"make_{role}_fn"], (self.size,)
        layer = self._variables.layer
        if is_block(block):
            dtype = backend.distributions.dtype_for_callables(layer.variable_dtype)
            return block.parametrize(dtype, shape, role, layer.trainable, add_variable_fn)
        distribution = self.made[role](inputs)
        if not backend.distributions.is_distribution(distribution):
            raise _no_distribution(role, shape, messages.describe(distribution))
        event, batch = tuple(distribution.event_shape), tuple(distribution.batch_shape)
        if event != shape or len(batch) > 1:
            described = f"draws of {messages.describe_shape(event)}"
            if batch:
                described += f" in a batch of {messages.describe_shape(batch)}"
            raise _no_distribution(role, shape, described)
        if backend.distributions.dtype_of(distribution) in ("float16", "bfloat16"):
            raise messages.invalid(
                f"make_{role}_fn",
                f"a function that makes distributions of {layer.variable_dtype}",
                f"a distribution of {backend.distributions.dtype_of(distribution)}",
                "In half precision the divergence would be wrong. Make the layers inside with "
                f"dtype = '{layer.variable_dtype}'.",
                TypeError,
            )
        return distribution if batch else distributions.from_library(distribution)

    def to_library(self, distribution):
        """Return a distribution of this weight as one of the backend's library."""
        dtype = self._variables.layer.variable_dtype
        return distributions.to_library(distribution, (self.size,), dtype)


@registered
class DenseVariational(DrawingLayer):
    """Densely-connected layer whose kernel and bias have one joint distribution.

    Use it where weights should depend on each other, where the bias is as uncertain as the kernel,
    or where the prior is learned. One draw serves the whole batch:

        kernel, bias ~ posterior
        outputs = activation(inputs @ kernel + bias)

    The distributions are over one vector: the kernel row by row, then the bias.

    A posterior or prior that is a function may depend on the inputs. Its divergence is added by
    each call of the layer, and counts again in each. If it has a batch of distributions, one for
    every row of the inputs, every row gets a draw of its own and the divergences are summed.

    Once built, the layer adds the divergence of the posterior from the prior to its `losses`, so
    that `fit()` minimizes the negative evidence lower bound. The divergence counts once for the
    whole data, the likelihood once for every example: with Keras's mean over a batch as the loss,
    pass `kl_weight=1/n`, where `n` is the number of training examples.

    Args:
        units: Whole number of at least 1, the number of outputs (the size of their last axis).
        make_posterior_fn: Distribution of the weights that training fits: `MeanFieldNormal()`,
            `MultivariateNormalTriL()` or `Deterministic()`, or its name, such as
            `"multivariate_normal_tril"`, or a function `(kernel_size, bias_size, dtype)` that
            returns a function, layer or model, which gets the inputs and returns a distribution of
            the backend's library over a vector of `kernel_size + bias_size` numbers. The variables
            of a Keras layer or model become weights of this layer. Default `"mean_field_normal"`.
        make_prior_fn: Distribution of the weights before the data: `StandardNormal()`,
            `NormalPrior()`, `LaplacePrior()`, `ScaleMixturePrior()`, `TrainableNormal()` or
            `PretrainedNormal()`, or its name, such as `"laplace"`, or a function as for
            `make_posterior_fn`. Default `"standard_normal"`.
        kl_weight: Number of at least 0, the factor on the divergence. Default `None`, which is 1.
        kl_use_exact: Bool, whether the divergence is the closed form, which must be known for the
            two distributions, or `log q(w) - log p(w)` at the weights `w` that the last call drew,
            whose expectation is the divergence. Of a named posterior, the gradient of the estimate
            goes through `w` alone: with one call of the layer in each step, its noise cancels that
            of the likelihood where the posterior is exact, so that training ends closer to the
            optimum than with the closed form. Default `False`.
        activation: Activation function: the name of one of Keras's, a function, or `None` for none.
            Default `None`.
        use_bias: Bool, whether there is a bias. Default `True`.
        activity_regularizer: Keras regularizer of the outputs, or `None`. Default `None`.
        seed: Whole number from 0 to 2147483647 that governs every draw of the layer, the initial
            weights of named distributions among them. Default `None`: Keras's global random state
            decides, see `keras.utils.set_random_seed()`.
        **kwargs: Further arguments of `keras.layers.Layer`, such as `name`, `dtype`, `trainable` or
            `input_shape`.

    Returns:
        A Keras layer. Called on a tensor of shape `(batch, ..., features)` it returns a tensor of
        shape `(batch, ..., units)`.

    Raises:
        ValueError: An argument has a value that it cannot have; the message says what it can be.
        TypeError: An argument has the wrong type, or is not known.

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

        Roeder, Wu and Duvenaud (2017), Sticking the Landing: Simple, Lower-Variance Gradient
        Estimators for Variational Inference, equation 8. <https://arxiv.org/abs/1703.09194>
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
        units = validation.check_whole_number("units", units, 1, "Pass, for example, units = 10.")
        if kl_weight is not None:
            kl_weight = validation.check_weight("kl_weight", kl_weight)
        kl_use_exact = validation.check_flag("kl_use_exact", kl_use_exact)
        use_bias = validation.check_flag("use_bias", use_bias)
        weights = JointWeight(make_posterior_fn, make_prior_fn)

        super().__init__(
            activation=activation,
            activity_regularizer=activity_regularizer,
            seed=seed,
            kl_weight=kl_weight,
            **kwargs,
        )
        keras_private.untracked(self, joint=weights)
        self.units = units
        self.kl_use_exact = kl_use_exact
        self.use_bias = use_bias

    def _argument(self, name):
        return self.joint.given(name) if name in _NAMED else super()._argument(name)

    @property
    def make_posterior_fn(self):
        """Block or function of the posterior; it may be assigned to until the layer is built."""
        return self.joint.function("make_posterior_fn")

    @make_posterior_fn.setter
    def make_posterior_fn(self, identifier):
        self.joint.assign("make_posterior_fn", identifier)

    @property
    def make_prior_fn(self):
        """Block or function of the prior; it may be assigned to until the layer is built."""
        return self.joint.function("make_prior_fn")

    @make_prior_fn.setter
    def make_prior_fn(self, identifier):
        self.joint.assign("make_prior_fn", identifier)

    def build(self, input_shape):
        """Create the variables of the posterior and of the prior, and add the divergence."""
        features = validation.check_features(input_shape)
        if self.built:
            self._refuse_other_shape(self.input_spec.axes[-1] == features, input_shape)
            return
        sizes = features * self.units, self.units * self.use_bias
        validation.check_size("weights", (sum(sizes),))
        # Any inputs will do to create the variables of a user's layers, and to see a mistake.
        example = ops.zeros((1, *[1] * (len(input_shape) - 2), features), self.compute_dtype)
        self.joint.prepare(*sizes, self._variables_of_weights, example)
        self._claim_seed()
        for role, made in self.joint.made.items():
            setattr(self, f"_{role}", made)  # so that Keras tracks the layers inside
        self.joint.build(example)
        if not self.joint.depends_on_inputs:
            self.add_loss(self._divergence_of_last_call)
        self._variables_of_weights.is_built = True
        self.input_spec = layers.InputSpec(min_ndim=2, axes={-1: features})
        self.built = True

    def call(self, inputs):
        """Return the outputs for one draw of the weights."""
        inputs = ops.cast(validation.check_numeric(inputs), self.compute_dtype)
        key = noise.key(self._next_state(inputs), "kernel")
        q = self.joint.distribution("posterior", inputs)
        weights = distributions.draw(q, (self.joint.size,), key)
        if noise.is_one_function() and len(weights.shape) > 1:
            raise messages.invalid(
                "joint",
                f"False (in R: FALSE) where the posterior of '{self.name}' depends on the inputs",
                "True",
                "Every row has weights of its own there.",
            )
        if self.joint.depends_on_inputs:
            p = self.joint.distribution("prior", inputs)
            self.add_loss(self._weighted(self._divergence(q, p, key)))
        return self._activate(self._apply(inputs, self._cast(weights)))

    def compute_output_shape(self, input_shape):
        """Return the shape of the outputs: that of the inputs with `units` as the last axis."""
        validation.check_features(input_shape)
        return (*input_shape[:-1], self.units)

    def get_config(self):
        return {
            **super().get_config(),
            **self.joint.get_config(),
            "units": self.units,
            "kl_use_exact": self.kl_use_exact,
            "use_bias": self.use_bias,
        }

    def posterior(self, inputs=None):
        """Return the distribution of all weights given the data, of the backend's library.

        Args:
            inputs: Tensor, needed where `make_posterior_fn` is a function. Default `None`.
        """
        return self.joint.to_library(self.joint.distribution("posterior", inputs))

    def prior(self, inputs=None):
        """Return the distribution of all weights before the data, of the backend's library.

        Args:
            inputs: Tensor, needed where `make_prior_fn` is a function. Default `None`.
        """
        return self.joint.to_library(self.joint.distribution("prior", inputs))

    def _posteriors(self):
        """Return the posterior of all weights, unless it depends on the inputs."""
        return {} if self.joint.depends_on_inputs else {"weights": self.posterior()}

    def _draw_weights(self, state):
        """Return the vector of weights that a call draws whose noise has this state."""
        posterior = self.joint.distribution("posterior")
        return distributions.draw(posterior, (self.joint.size,), noise.key(state, "kernel"))

    def _divergences(self, state=None):
        """Return the divergence of all weights, not weighted, unless it depends on the inputs.

        Args:
            state: state of the noise, for an estimate. Default: that of the last call.
        """
        if self.joint.depends_on_inputs:
            return {}
        state = noise.previous(self.seed_generator) if state is None else state
        q, p = self.joint.distribution("posterior"), self.joint.distribution("prior")
        return {"weights": self._divergence(q, p, noise.key(state, "kernel"))}

    def _divergence_of_last_call(self):
        return self._weighted(self._divergences()["weights"], "weights")

    def _divergence(self, q, p, key):
        """Return the divergence of q from p; an estimate draws under `key`."""
        q_is_ours = not backend.distributions.is_distribution(q)
        p_is_one = not (backend.distributions.is_distribution(p) and tuple(p.batch_shape))
        if self.kl_use_exact:
            if not distributions.has_closed_form(q, p):
                q, p = self.joint.to_library(q), self.joint.to_library(p)
            divergence = self._exact(q, p)
        elif q_is_ours and p_is_one:
            divergence = distributions.estimated_kl_divergence(
                q, p, (self.joint.size,), key, is_shared=True
            )
        else:
            value = distributions.draw(q, (self.joint.size,), key)
            log_ratio = backend.distributions.log_prob(self.joint.to_library(q), value)
            # Each of a batch of one of the two meets the other.
            divergence = ops.sum(
                log_ratio - backend.distributions.log_prob(self.joint.to_library(p), value)
            )
        return divergence

    def _exact(self, q, p):
        if distributions.has_closed_form(q, p):
            return distributions.kl_divergence(q, p)
        try:
            return ops.sum(backend.distributions.kl_divergence(q, p))
        except NotImplementedError:
            raise messages.invalid(
                "kl_use_exact",
                "False (in R: FALSE) where no closed form of the divergence is known",
                f"True, for {messages.describe(q)} and {messages.describe(p)}",
                "Leave it out: the estimate has the same expectation.",
            ) from None

    def _apply(self, inputs, weights):
        """Return inputs @ kernel + bias; a batch of weights has one for every row of inputs."""
        features = self.input_spec.axes[-1]
        kernel, bias = weights[..., : features * self.units], weights[..., features * self.units :]
        if len(weights.shape) == 1:
            outputs = backend.arrays.matmul(inputs, ops.reshape(kernel, (features, self.units)))
            return outputs + bias if self.use_bias else outputs
        positions = ops.reshape(inputs, (ops.shape(inputs)[0], -1, features))
        outputs = backend.arrays.matmul(positions, ops.reshape(kernel, (-1, features, self.units)))
        if self.use_bias:
            outputs = outputs + bias[:, None]
        return ops.reshape(outputs, (*ops.shape(inputs)[:-1], self.units))


def is_block(value):
    """Tell whether `value` is a named posterior or prior, or one like them."""
    return hasattr(value, "parametrize")


def _no_distribution(role, shape, received):
    return messages.invalid(
        f"make_{role}_fn",
        "a function that makes a function of the inputs, which returns a distribution of "
        f"{backend.distributions.LIBRARY} with draws of {messages.describe_shape(shape)}",
        received,
        "Return, for example, Independent(Normal(loc, scale), 1).",
        TypeError,
    )


layer_dense_variational = layer_function(DenseVariational, "layer_dense_variational")
