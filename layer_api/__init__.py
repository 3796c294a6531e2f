"""Variational layers for Keras 3, called the same way from Python and from R."""

from typing import Any

from layer_api import compose, messages
from layer_api.answers.arviz import to_datatree
from layer_api.answers.draws import (
    log_lik,
    posterior_epred,
    posterior_linpred,
    posterior_predict,
)
from layer_api.answers.intervals import (
    posterior_interval,
    predictive_error,
    predictive_interval,
    uncertainty,
)
from layer_api.answers.likelihoods import (
    BernoulliLikelihood,
    BetaLikelihood,
    CategoricalLikelihood,
    GammaLikelihood,
    LaplaceLikelihood,
    LogNormalLikelihood,
    NegativeBinomialLikelihood,
    NegativeLogLikelihood,
    NormalLikelihood,
    NormalMixtureLikelihood,
    PoissonLikelihood,
    StudentTLikelihood,
)
from layer_api.answers.plots import (
    plot_calibration,
    plot_history,
    plot_interval,
    plot_predicted,
    plot_uncertainty,
    plot_weights,
)
from layer_api.answers.scores import calibration, score
from layer_api.compose import pipe
from layer_api.layers.autoregressive import AutoregressiveNetwork, layer_autoregressive
from layer_api.layers.conv import (
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
from layer_api.layers.dense import (
    DenseFlipout,
    DenseLocalReparameterization,
    DenseReparameterization,
    layer_dense_flipout,
    layer_dense_local_reparameterization,
    layer_dense_reparameterization,
)
from layer_api.layers.dense_variational import DenseVariational, layer_dense_variational
from layer_api.layers.depthwise import DepthwiseConv2DFlipout, layer_depthwise_conv_2d_flipout
from layer_api.layers.distribution_lambda import DistributionLambda, layer_distribution_lambda
from layer_api.layers.embedding import (
    EmbeddingReparameterization,
    layer_embedding_reparameterization,
)
from layer_api.layers.shared_scale import SharedScale, layer_shared_scale
from layer_api.layers.variable import VariableLayer, layer_variable
from layer_api.training.conversion import to_bayesian, to_deterministic
from layer_api.training.evidence import elbo
from layer_api.training.kl import KLAnnealing, KLHistory, set_kl_weight
from layer_api.version import __version__, show_versions
from layer_api.weights.divergences import KLDivergence, MonteCarloKL
from layer_api.weights.posteriors import (
    Deterministic,
    MeanFieldNormal,
    MultivariateNormalTriL,
    default_mean_field_normal_fn,
)
from layer_api.weights.priors import (
    LaplacePrior,
    NormalPrior,
    PretrainedNormal,
    ScaleMixturePrior,
    StandardNormal,
    TrainableNormal,
    default_multivariate_normal_fn,
)

compose.register_wing("layer_api.keras_2")

__all__ = [
    "AutoregressiveNetwork",
    "BernoulliLikelihood",
    "BetaLikelihood",
    "CategoricalLikelihood",
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
    "DepthwiseConv2DFlipout",
    "Deterministic",
    "DistributionLambda",
    "EmbeddingReparameterization",
    "GammaLikelihood",
    "KLAnnealing",
    "KLDivergence",
    "KLHistory",
    "LaplaceLikelihood",
    "LaplacePrior",
    "LogNormalLikelihood",
    "MeanFieldNormal",
    "MonteCarloKL",
    "MultivariateNormalTriL",
    "NegativeBinomialLikelihood",
    "NegativeLogLikelihood",
    "NormalLikelihood",
    "NormalMixtureLikelihood",
    "NormalPrior",
    "PoissonLikelihood",
    "PretrainedNormal",
    "ScaleMixturePrior",
    "SharedScale",
    "StandardNormal",
    "StudentTLikelihood",
    "TrainableNormal",
    "VariableLayer",
    "__version__",
    "calibration",
    "default_mean_field_normal_fn",
    "default_multivariate_normal_fn",
    "elbo",
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
    "layer_depthwise_conv_2d_flipout",
    "layer_distribution_lambda",
    "layer_embedding_reparameterization",
    "layer_shared_scale",
    "layer_variable",
    "log_lik",
    "pipe",
    "plot_calibration",
    "plot_history",
    "plot_interval",
    "plot_predicted",
    "plot_uncertainty",
    "plot_weights",
    "posterior_epred",
    "posterior_interval",
    "posterior_linpred",
    "posterior_predict",
    "predictive_error",
    "predictive_interval",
    "score",
    "set_kl_weight",
    "show_versions",
    "to_bayesian",
    "to_datatree",
    "to_deterministic",
    "uncertainty",
]


def __getattr__(name: str) -> Any:
    """Say what to write for a name of `tfp.layers` that is not here."""
    # What serves as the loss in place of a layer that returned the distribution.
    likelihoods = {
        "IndependentNormal": "NormalLikelihood()",
        "IndependentBernoulli": "BernoulliLikelihood()",
        "IndependentLogistic": "",
        "IndependentPoisson": "PoissonLikelihood()",
        "CategoricalMixtureOfOneHotCategorical": "",
        "MixtureLogistic": "",
        "MixtureNormal": "NormalMixtureLikelihood(components)",
        "MixtureSameFamily": "",
        "OneHotCategorical": "CategoricalLikelihood()",
    }
    divergences = ("KLDivergenceAddLoss", "KLDivergenceRegularizer")
    if name in likelihoods:
        verb, ready = (
            ("pass", f": layer_api.{likelihoods[name]}") if likelihoods[name] else ("write", "")
        )
        raise AttributeError(
            f"module 'layer_api' has no attribute '{name}': Keras 3 hands tensors alone to a loss, "
            "not distributions. Let the last layer return the parameters of the distribution, and "
            f"{verb} its negative log-likelihood as the loss{ready}."
        )
    if name in divergences:
        raise AttributeError(
            f"module 'layer_api' has no attribute '{name}': a variational layer adds its "
            "divergence itself. Set its prior by kernel_prior_fn and its weight by kl_weight."
        )
    hint = messages.suggest(name, __all__)
    raise AttributeError(f"module 'layer_api' has no attribute '{name}'. {hint}".strip())
