"""Variational layers for Keras 3, called the same way from Python and from R."""

from layer_api.autoregressive import AutoregressiveNetwork, layer_autoregressive
from layer_api.compose import pipe
from layer_api.conv import (
    Conv1DFlipout,
    Conv1DReparameterization,
    Conv2DFlipout,
    Conv2DReparameterization,
    Conv3DFlipout,
    Conv3DReparameterization,
    Convolution1DFlipout,
    Convolution1DReparameterization,
    Convolution2DFlipout,
    Convolution2DReparameterization,
    Convolution3DFlipout,
    Convolution3DReparameterization,
    layer_conv_1d_flipout,
    layer_conv_1d_reparameterization,
    layer_conv_2d_flipout,
    layer_conv_2d_reparameterization,
    layer_conv_3d_flipout,
    layer_conv_3d_reparameterization,
)
from layer_api.dense import (
    DenseFlipout,
    DenseLocalReparameterization,
    DenseReparameterization,
    layer_dense_flipout,
    layer_dense_local_reparameterization,
    layer_dense_reparameterization,
)
from layer_api.dense_variational import DenseVariational, layer_dense_variational
from layer_api.distribution_lambda import DistributionLambda, layer_distribution_lambda
from layer_api.divergences import KLDivergence, MonteCarloKL
from layer_api.posteriors import (
    Deterministic,
    MeanFieldNormal,
    MultivariateNormalTriL,
    default_mean_field_normal_fn,
)
from layer_api.priors import (
    LaplacePrior,
    NormalPrior,
    ScaleMixturePrior,
    StandardNormal,
    TrainableNormal,
    default_multivariate_normal_fn,
)
from layer_api.variable import VariableLayer, layer_variable
from layer_api.version import __version__

__all__ = [
    "AutoregressiveNetwork",
    "Conv1DFlipout",
    "Conv1DReparameterization",
    "Conv2DFlipout",
    "Conv2DReparameterization",
    "Conv3DFlipout",
    "Conv3DReparameterization",
    "Convolution1DFlipout",
    "Convolution1DReparameterization",
    "Convolution2DFlipout",
    "Convolution2DReparameterization",
    "Convolution3DFlipout",
    "Convolution3DReparameterization",
    "DenseFlipout",
    "DenseLocalReparameterization",
    "DenseReparameterization",
    "DenseVariational",
    "Deterministic",
    "DistributionLambda",
    "KLDivergence",
    "LaplacePrior",
    "MeanFieldNormal",
    "MonteCarloKL",
    "MultivariateNormalTriL",
    "NormalPrior",
    "ScaleMixturePrior",
    "StandardNormal",
    "TrainableNormal",
    "VariableLayer",
    "__version__",
    "default_mean_field_normal_fn",
    "default_multivariate_normal_fn",
    "layer_autoregressive",
    "layer_conv_1d_flipout",
    "layer_conv_1d_reparameterization",
    "layer_conv_2d_flipout",
    "layer_conv_2d_reparameterization",
    "layer_conv_3d_flipout",
    "layer_conv_3d_reparameterization",
    "layer_dense_flipout",
    "layer_dense_local_reparameterization",
    "layer_dense_reparameterization",
    "layer_dense_variational",
    "layer_distribution_lambda",
    "layer_variable",
    "pipe",
]
