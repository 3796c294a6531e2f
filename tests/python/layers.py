"""The table of layers. The contract (`test_contract.py`) holds for every row.

A new layer joins by one more row.
"""

from collections.abc import Callable
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
    undefined: tuple[int | None, ...]
    # Name and shape of every weight, in order, for the first of the shapes.
    weights: list[tuple[str, tuple[int, ...]]]

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

CASES = [
    Case(
        layer=layer_api.DenseFlipout,
        function=layer_api.layer_dense_flipout,
        required={"units": 2},
        changed={**CHANGED, "units": 4},
        shapes=[((3,), (2,)), ((5, 3), (5, 2)), ((4, 5, 3), (4, 5, 2))],
        undefined=(None,),
        weights=[
            ("kernel_posterior_loc", (3, 2)),
            ("kernel_posterior_untransformed_scale", (3, 2)),
            ("bias_posterior_loc", (2,)),
        ],
    ),
]
