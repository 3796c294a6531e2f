"""The table of layers. The contract (`test_contract.py`) holds for every row.

A new layer joins by one more row.
"""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import keras

import layer_api


class Case(NamedTuple):
    """One layer: how it is made, what it takes, returns and holds."""

    layer: type[keras.layers.Layer]
    function: Callable[..., Any]
    # The arguments that it cannot be made without.
    required: dict[str, Any]
    # For every argument a value that is not the default.
    changed: dict[str, Any]
    # Shapes of one example, by rank, and those of its output. The first is what most tests use.
    shapes: list[tuple[tuple[int, ...], tuple[int, ...]]]
    # A shape of an example that does not say enough to build the layer.
    # None if any shape does.
    undefined: tuple[int | None, ...] | None
    # Name and shape of every weight, in order, for the first of the shapes.
    weights: list[tuple[str, tuple[int, ...]]]
    # Arguments of `changed` that exclude another one.
    alone: tuple[str, ...] = ()
    # What an argument of `changed` has to be given with.
    beside: Mapping[str, dict[str, Any]] = MappingProxyType({})
    # How many elements of the weights a mask holds at zero.
    held: int = 0
    # Whether a call draws anew, and adds a divergence.
    draws: bool = True
    # Whether the outputs have a row for every row of the inputs.
    by_row: bool = True
    # Arguments with which it stands for its means in every call.
    noiseless: dict[str, Any] = {  # noqa: RUF012
        "kernel_posterior_tensor_fn": "mean",
        "bias_posterior_tensor_fn": "mean",
    }

    @property
    def together(self):
        """The changed arguments that can be given together."""
        return {name: value for name, value in self.changed.items() if name not in self.alone}

    @property
    def drawn(self):
        """Those of them with which it draws."""
        given = self.together.items()
        return {name: value for name, value in given if self.noiseless.get(name) != value}

    def output(self, rows, shape):
        """Return the shape of the outputs for a number of rows."""
        return (rows, *shape) if self.by_row else shape

    def make(self, **arguments):
        """Return a layer with the required arguments, a seed, and `arguments`."""
        return self.layer(**{**self.required, "seed": 1, **arguments})


# Values for the arguments that all layers share.
CHANGED = {
    "activation": "relu",
    "activity_regularizer": keras.regularizers.L2(0.5),
    "trainable": False,
    "kernel_posterior_fn": layer_api.MeanFieldNormal(loc_initializer="zeros"),
    "kernel_posterior_tensor_fn": "mean",
    "kernel_prior_fn": None,
    "kernel_divergence_fn": layer_api.KLDivergence(weight=0.25),
    "bias_posterior_fn": "mean_field_normal",
    "bias_posterior_tensor_fn": "mean",
    "bias_prior_fn": layer_api.StandardNormal(),
    "bias_divergence_fn": None,
    "seed": 7,
    "kl_weight": 0.5,
}


def dense(name):
    """Return the row of a dense layer."""
    return Case(
        layer=getattr(layer_api, name),
        function=getattr(layer_api, f"layer_{snake(name)}"),
        required={"units": 2},
        changed={**CHANGED, "units": 4},
        shapes=[((3,), (2,)), ((5, 3), (5, 2)), ((4, 5, 3), (4, 5, 2))],
        undefined=(None,),
        weights=[
            ("kernel_posterior_loc", (3, 2)),
            ("kernel_posterior_untransformed_scale", (3, 2)),
            ("bias_posterior_loc", (2,)),
        ],
    )


def conv(name, rank):
    """Return the row of a convolution in `rank` dimensions."""
    return Case(
        layer=getattr(layer_api, name),
        function=getattr(layer_api, f"layer_{snake(name)}"),
        required={"filters": 2, "kernel_size": 2},
        changed={
            **CHANGED,
            "filters": 4,
            "kernel_size": (3,) * rank,
            "strides": (2,) * rank,
            "padding": "same",
            "data_format": "channels_first",
            "dilation_rate": (2,) * rank,
        },
        alone=("dilation_rate",),
        shapes=[((*[4] * rank, 3), (*[3] * rank, 2))],
        undefined=(*[4] * rank, None),
        weights=[
            ("kernel_posterior_loc", (*[2] * rank, 3, 2)),
            ("kernel_posterior_untransformed_scale", (*[2] * rank, 3, 2)),
            ("bias_posterior_loc", (2,)),
        ],
    )


# Those of the layers whose weights are no distributions.
POINTWISE = {"activation": "relu", "seed": 7}

VARIABLE = Case(
    layer=layer_api.VariableLayer,
    function=layer_api.layer_variable,
    required={"shape": (4, 2), "initializer": "random_normal"},
    changed={
        **POINTWISE,
        "shape": (3, 2),
        "dtype": "float16",
        "initializer": "ones",
        "regularizer": keras.regularizers.L2(0.5),
        "constraint": "non_neg",
    },
    shapes=[((3,), (4, 2)), ((5, 3), (4, 2))],
    undefined=None,
    weights=[("constant", (4, 2))],
    draws=False,
    noiseless={},
    by_row=False,
)

AUTOREGRESSIVE = Case(
    layer=layer_api.AutoregressiveNetwork,
    function=layer_api.layer_autoregressive,
    required={"params": 2, "bias_initializer": "random_normal"},
    changed={
        **POINTWISE,
        "params": 3,
        "event_shape": 3,
        "conditional": True,
        "conditional_event_shape": 2,
        "conditional_input_layers": "first_layer",
        "hidden_units": (4, 5),
        "input_order": (2, 1, 3),
        "hidden_degrees": "random",
        "use_bias": False,
        "kernel_initializer": "he_normal",
        "bias_initializer": "ones",
        "kernel_regularizer": keras.regularizers.L2(0.5),
        "bias_regularizer": keras.regularizers.L2(0.5),
        "kernel_constraint": "non_neg",
        "bias_constraint": "non_neg",
        "validate_args": True,
    },
    alone=("conditional", "conditional_event_shape"),
    beside={
        "conditional": {"conditional_event_shape": 2},
        "conditional_event_shape": {"conditional": True},
        "hidden_degrees": {"seed": 7},
    },
    shapes=[((3,), (3, 2)), ((5, 3), (5, 3, 2))],
    undefined=(None,),
    weights=[("kernel_0", (3, 6)), ("bias_0", (6,))],
    held=12,
    draws=False,
    noiseless={},
)


def snake(name):
    """Return `conv_1d_flipout` for `Conv1DFlipout`."""
    words = re.findall(r"[1-3]D|[A-Z][a-z]+", name)
    return "_".join(words).lower()


CASES = [
    dense("DenseFlipout"),
    dense("DenseReparameterization"),
    dense("DenseLocalReparameterization"),
    Case(
        layer=layer_api.DenseVariational,
        function=layer_api.layer_dense_variational,
        required={"units": 2},
        changed={
            "units": 4,
            "make_posterior_fn": "multivariate_normal_tril",
            "make_prior_fn": "trainable_normal",
            "kl_weight": 0.5,
            "kl_use_exact": True,
            "activation": "relu",
            "use_bias": False,
            "activity_regularizer": keras.regularizers.L2(0.5),
            "seed": 7,
        },
        shapes=[((3,), (2,)), ((5, 3), (5, 2)), ((4, 5, 3), (4, 5, 2))],
        undefined=(None,),
        weights=[("posterior_loc", (8,)), ("posterior_untransformed_scale", (8,))],
        noiseless={"make_posterior_fn": "deterministic"},
    ),
    conv("Conv1DFlipout", 1),
    conv("Conv1DReparameterization", 1),
    conv("Conv2DFlipout", 2),
    conv("Conv2DReparameterization", 2),
    conv("Conv3DFlipout", 3),
    conv("Conv3DReparameterization", 3),
    VARIABLE,
    AUTOREGRESSIVE,
]
