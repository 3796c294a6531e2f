"""Variational layers for Keras 3, called the same way from Python and from R."""

from layer_api.compose import pipe
from layer_api.dense import DenseFlipout, layer_dense_flipout
from layer_api.divergences import KLDivergence
from layer_api.posteriors import Deterministic, MeanFieldNormal, default_mean_field_normal_fn
from layer_api.priors import StandardNormal, default_multivariate_normal_fn
from layer_api.version import __version__

__all__ = [
    "DenseFlipout",
    "Deterministic",
    "KLDivergence",
    "MeanFieldNormal",
    "StandardNormal",
    "__version__",
    "default_mean_field_normal_fn",
    "default_multivariate_normal_fn",
    "layer_dense_flipout",
    "pipe",
]
