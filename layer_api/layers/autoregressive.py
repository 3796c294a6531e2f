"""MADE: a dense network whose masks let every output depend on earlier inputs only."""

import itertools

import numpy as np
from keras import layers, ops

from layer_api import backend, keras_private, messages, noise, serialization, validation
from layer_api.compose import layer_function, registered
from layer_api.layers.base import SeededLayer
from layer_api.messages import REQUIRED

_ORDERS = ("left-to-right", "right-to-left", "random")


@registered
class AutoregressiveNetwork(SeededLayer):
    """Masked autoencoder for distribution estimation (MADE), a dense autoregressive network.

    Use it for the density of a vector as a product of conditional densities: the outputs for one
    input are parameters of its distribution given the inputs before it in `input_order`, and depend
    on no others. With `params=2` it is the `shift_and_log_scale_fn` of
    `tfp.bijectors.MaskedAutoregressiveFlow`.

        hidden = activation(hidden @ (mask * kernel) + bias)
        p(x) = product over i of p(x[i] | all x[j] with order[j] < order[i])

    A unit of degree d gets its inputs from units of degree d or less; an output gets them from
    units of a degree below its own.

    Args:
        params: Whole number of at least 1, the number of outputs for every input.
        event_shape: Whole number of at least 1, the number of inputs, or a list of one. Default
            `None`: that of the inputs on which the layer is first called.
        conditional: Bool, whether the layer takes a second input, on which every output may depend.
            Default `False`.
        conditional_event_shape: Whole number of at least 1, the size of the second input, or a list
            of one; `None` unless `conditional`. Default `None`.
        conditional_input_layers: Where the second input comes in: `"all_layers"` or
            `"first_layer"`. Default `"all_layers"`.
        hidden_units: List of whole numbers of at least 1, the number of units of each hidden layer,
            or one such number. Default `None`, no hidden layer.
        input_order: Order of the inputs: `"left-to-right"`, `"right-to-left"`, `"random"`, or a
            permutation of 1, 2, ..., as a list: the position of every input. Default
            `"left-to-right"`.
        hidden_degrees: How hidden units get their degrees: `"equal"`, as many for every degree, or
            `"random"`. Default `"equal"`.
        activation: Activation function of the hidden layers: the name of one of Keras's, a
            function, or `None` for none. Default `None`.
        use_bias: Bool, whether every layer adds a bias. Default `True`.
        kernel_initializer: Keras initializer of the kernels, or its name. Default
            `"glorot_uniform"`.
        bias_initializer: Keras initializer of the biases, or its name. Default `"zeros"`.
        kernel_regularizer: Keras regularizer of the kernels, its name, or `None`. Default `None`.
        bias_regularizer: Keras regularizer of the biases, its name, or `None`. Default `None`.
        kernel_constraint: Keras constraint of the kernels, its name, or `None`. Default `None`.
        bias_constraint: Keras constraint of the biases, its name, or `None`. Default `None`.
        validate_args: Bool, taken for the sake of `tfp.bijectors.AutoregressiveNetwork`: arguments
            are checked in any case. Default `False`.
        seed: Whole number from 0 to 2147483647 that governs the initial weights, a random
            `input_order` and random `hidden_degrees`. Default `None`: Keras's global random state
            decides, see `keras.utils.set_random_seed()`.
        **kwargs: Further arguments of `keras.layers.Layer`, such as `name` or `dtype`.

    Returns:
        A Keras layer. Called on a tensor of shape `(..., event)`, and on `conditional_input` if
        `conditional`, it returns a tensor of shape `(..., event, params)`.

    Raises:
        ValueError: An argument has a value that it cannot have; the message says what it can be.
        TypeError: An argument has the wrong type, or is not known.

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(3,))])
    layer_api.layer_autoregressive(model, params=2, hidden_units=[10, 10], activation="relu")
    model.output_shape  # (None, 3, 2)
    ```

    References:
        Germain et al. (2015): MADE: Masked Autoencoder for Distribution Estimation.
        https://arxiv.org/abs/1502.03509
    """

    def __init__(
        self,
        params=REQUIRED,
        event_shape=None,
        conditional=False,
        conditional_event_shape=None,
        conditional_input_layers="all_layers",
        hidden_units=None,
        input_order="left-to-right",
        hidden_degrees="equal",
        activation=None,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        validate_args=False,
        *,
        seed=None,
        **kwargs,
    ):
        params = validation.check_whole_number(
            "params", params, 1, "Pass, for example, params = 2."
        )
        event_size = _size("event_shape", event_shape)
        conditional = validation.check_flag("conditional", conditional)
        conditional_size = _size("conditional_event_shape", conditional_event_shape)
        if conditional != (conditional_size is not None):
            raise messages.invalid(
                "conditional_event_shape",
                "a whole number of at least 1 where `conditional` is true, else None/NULL",
                messages.describe(conditional_event_shape),
                "Pass both, for example conditional = True (in R: TRUE) and "
                "conditional_event_shape = 3.",
            )
        given = {
            "conditional_input_layers": validation.check_one_of(
                "conditional_input_layers", conditional_input_layers, ["all_layers", "first_layer"]
            ),
            "hidden_units": _hidden_units(hidden_units),
            "input_order": _input_order(input_order, event_size),
            "hidden_degrees": validation.check_one_of(
                "hidden_degrees", hidden_degrees, ["equal", "random"]
            ),
            "use_bias": validation.check_flag("use_bias", use_bias),
            "validate_args": validation.check_flag("validate_args", validate_args),
        }
        of_keras = {
            "kernel_initializer": serialization.check_initializer(
                "kernel_initializer", kernel_initializer
            ),
            "bias_initializer": serialization.check_initializer(
                "bias_initializer", bias_initializer
            ),
            "kernel_regularizer": serialization.check_regularizer(
                "kernel_regularizer", kernel_regularizer
            ),
            "bias_regularizer": serialization.check_regularizer(
                "bias_regularizer", bias_regularizer
            ),
            "kernel_constraint": serialization.check_constraint(
                "kernel_constraint", kernel_constraint
            ),
            "bias_constraint": serialization.check_constraint("bias_constraint", bias_constraint),
        }
        seed = validation.check_seed(seed)

        super().__init__(activation=activation, seed=seed, **kwargs)
        self.supports_masking = True
        self.params = params
        self.conditional = conditional
        self._event_size = self._given_event_size = event_size
        self._conditional_size = conditional_size
        sizes = {"event_shape": event_size, "conditional_event_shape": conditional_size}
        keras_private.untracked(self, **given, _of_keras=of_keras, _given=sizes)
        for name, value in of_keras.items():
            setattr(self, name, value)

    @property
    def event_shape(self):
        """Shape of one example, a list of one number; None before it is known."""
        return None if self._event_size is None else [self._event_size]

    @property
    def conditional_event_shape(self):
        """Shape of one example of the second input, a list of one number, or None."""
        return None if self._conditional_size is None else [self._conditional_size]

    def build(self, input_shape):
        """Draw the masks and create the weights of every layer."""
        size = self._checked_size(input_shape)
        if self.built:
            return
        _input_order(self.input_order, size)
        shapes = self._kernel_shapes(size)
        for name, shape in shapes.items():
            validation.check_size(name, shape)
        self._event_size = size
        masks = [backend.arrays.constant(mask) for mask in self._make_masks()]
        keras_private.untracked(self, _masks=masks)
        self._claim_seed()
        self._kernels, self._biases, self._conditional_kernels = [], [], []
        for k, mask in enumerate(self._masks):
            self._kernels.append(self._add("kernel", f"kernel_{k}", mask.shape, mask))
            if self.use_bias:
                self._biases.append(self._add("bias", f"bias_{k}", mask.shape[1:]))
            if (name := f"conditional_kernel_{k}") in shapes:
                self._conditional_kernels.append(self._add("kernel", name, shapes[name]))
        self.input_spec = layers.InputSpec(axes={-1: size})
        self.built = True

    def call(self, inputs, conditional_input=None):
        """Return `params` outputs for every input."""
        self._check_conditional(conditional_input)
        hidden = ops.cast(validation.check_numeric(inputs), self.compute_dtype)
        if self.conditional:
            conditional_input = validation.check_numeric(conditional_input)
            conditional_input = ops.cast(conditional_input, self.compute_dtype)
        for k, mask in enumerate(self._masks):
            # The mask is in the product, so that no weights, whoever sets them, break the order.
            kernel = ops.cast(self._kernels[k], self.compute_dtype)
            hidden = backend.arrays.matmul(hidden, kernel * ops.cast(mask, self.compute_dtype))
            if k < len(self._conditional_kernels):
                conditional_kernel = ops.cast(self._conditional_kernels[k], self.compute_dtype)
                hidden = ops.add(
                    hidden, backend.arrays.matmul(conditional_input, conditional_kernel)
                )
            if self.use_bias:
                hidden = ops.add(hidden, ops.cast(self._biases[k], self.compute_dtype))
            if k + 1 < len(self._masks):
                hidden = self._activate(hidden)
        return ops.reshape(hidden, (*ops.shape(hidden)[:-1], self._event_size, self.params))

    def compute_output_shape(self, inputs_shape, conditional_input_shape=None):
        """Return the shape of the outputs: that of the inputs, and `params` as the last axis."""
        size = self._checked_size(inputs_shape)
        batch = tuple(inputs_shape[:-1])
        if conditional_input_shape is not None:
            batch = _broadcast(batch, tuple(conditional_input_shape[:-1]))
        return (*batch, size, self.params)

    def get_config(self):
        """Return the arguments that make an equal layer; refuse functions that cannot be saved.

        A random order, or random degrees, are those of the seed that was drawn for them.
        """
        is_random = "random" in (self.input_order, self.hidden_degrees)
        return {
            **super().get_config(),
            "params": self.params,
            "event_shape": self._given_event_size,
            "conditional": self.conditional,
            "conditional_event_shape": self._conditional_size,
            "conditional_input_layers": self.conditional_input_layers,
            "hidden_units": self.hidden_units,
            "input_order": self.input_order,
            "hidden_degrees": self.hidden_degrees,
            "use_bias": self.use_bias,
            **{
                name: serialization.serialize(name, value) for name, value in self._of_keras.items()
            },
            "validate_args": self.validate_args,
            "seed": self._own_seed if is_random else self.seed,
        }

    def _add(self, part, name, shape, mask=None):
        initializer = noise.fresh_initializer(
            self._of_keras[f"{part}_initializer"], self._noise_seed, name
        )

        def masked(shape, dtype=None):
            return initializer(shape, dtype) * ops.cast(mask, dtype)

        return self.add_weight(
            name=name,
            shape=shape,
            initializer=initializer if mask is None else masked,
            regularizer=self._of_keras[f"{part}_regularizer"],
            constraint=self._of_keras[f"{part}_constraint"],
        )

    def _kernel_shapes(self, size):
        """Return the shapes of the kernels by their names, for inputs of a size."""
        pairs = itertools.pairwise([size, *self.hidden_units, size * self.params])
        shapes = {f"kernel_{k}": pair for k, pair in enumerate(pairs)}
        if self.conditional:
            last = len(shapes) if self.conditional_input_layers == "all_layers" else 1
            for k in range(last):
                pair = self._conditional_size, shapes[f"kernel_{k}"][1]
                shapes[f"conditional_kernel_{k}"] = pair
        return shapes

    def _make_masks(self):
        """Return the masks from the inputs to the outputs; Germain et al., equations 8 and 9."""
        n = self._event_size
        order = {
            "left-to-right": lambda: np.arange(1, n + 1),
            "right-to-left": lambda: np.arange(n, 0, -1),
            "random": lambda: noise.permutation(n, self._own_seed, "input_order"),
        }.get(self.input_order, lambda: np.array(self.input_order))()
        degrees = [order]
        for k, units in enumerate(self.hidden_units):
            # A unit below all of the layer before would get nothing.
            lowest = min(degrees[-1].min(), n - 1)
            if self.hidden_degrees == "random":
                name = f"hidden_degrees_{k}"
                drawn = noise.integers(lowest, n, units, self._own_seed, name)
                degrees.append(drawn)
            else:
                even = np.ceil(np.arange(1, units + 1) * (n - 1) / (units + 1)).astype(int)
                degrees.append(np.maximum(lowest, even))
        hidden = [one[:, None] <= other for one, other in itertools.pairwise(degrees)]
        return [*hidden, np.repeat(degrees[-1][:, None] < order, self.params, axis=1)]

    def _checked_size(self, input_shape):
        validation.check_one_tensor(input_shape)
        size = input_shape[-1] if len(input_shape) else None
        if size is None:
            raise messages.invalid(
                "inputs",
                "a tensor whose last dimension is defined",
                messages.describe_shape(input_shape),
                "The kernel has one row for every input: give their number in the "
                "shape of the Input.",
            )
        if size == 0:
            raise messages.invalid(
                "inputs",
                "a tensor with at least 1 number in its last dimension",
                messages.describe_shape(input_shape),
                "There is nothing to learn from no input: leave the layer out.",
            )
        if self._event_size not in (None, size):
            raise messages.invalid(
                "inputs",
                f"a tensor of shape [..., {self._event_size}], as `event_shape` says",
                messages.describe_shape(input_shape),
                f"Pass event_shape = {size}, or leave it out: the inputs tell.",
            )
        return size

    def _check_conditional(self, conditional_input):
        shape = None if conditional_input is None else ops.shape(conditional_input)
        if not self.conditional and shape is not None:
            raise messages.invalid(
                "conditional_input",
                "None/NULL where `conditional` is false",
                messages.describe_shape(shape),
                "Make the layer with conditional = True (in R: TRUE), conditional_event_shape = 3.",
            )
        if self.conditional and (not shape or shape[-1] != self._conditional_size):
            raise messages.invalid(
                "conditional_input",
                f"a tensor of shape [..., {self._conditional_size}], as "
                "`conditional_event_shape` says",
                "nothing" if shape is None else messages.describe_shape(shape),
                "Call the layer with conditional_input as well.",
            )


layer_autoregressive = layer_function(AutoregressiveNetwork, "layer_autoregressive")


def _size(argument, value):
    """Return the one number of a shape of rank 1, or None."""
    if value is None:
        return None
    shape = validation.check_shape(argument, value)
    if len(shape) != 1:
        raise messages.invalid(
            argument,
            "a whole number of at least 1 or a list of one",
            messages.describe(list(shape)),
            f"Pass, for example, {argument} = 3; other axes belong to the batch.",
        )
    return shape[0]


def _hidden_units(value):
    return () if value is None else validation.check_shape("hidden_units", value)


def _input_order(value, size):
    """Return the name or the permutation of 1, ..., `size`, which may be not known yet."""
    if isinstance(value, str):
        name = value.lower()
        if name in _ORDERS:
            return name
    elif hasattr(value, "__iter__") and not isinstance(value, dict):
        order = [validation.as_index(n) for n in value]
        is_whole = None not in order and len(order) == (size or len(order))
        if is_whole and sorted(order) == list(range(1, len(order) + 1)):
            return tuple(order)
    names = ", ".join(f"'{name}'" for name in _ORDERS)
    every = "1, 2, ..." if size is None else f"1, ..., {size}"
    hint = messages.suggest(value, _ORDERS) if isinstance(value, str) else ""
    raise messages.invalid(
        "input_order",
        f"one of {names}, or a permutation of {every}",
        messages.describe(value),
        hint or "Pass, for example, input_order = 'left-to-right'.",
    )


def _broadcast(one, other):
    """Return the shape to which two broadcast; None is a size that is not known."""
    rank = max(len(one), len(other))
    one, other = ((1,) * (rank - len(shape)) + shape for shape in (one, other))
    return tuple(
        b if a == 1 else a if b in (1, None) else b for a, b in zip(one, other, strict=True)
    )
