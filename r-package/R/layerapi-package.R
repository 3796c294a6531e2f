#' layerapi: variational (Bayesian) layers for Keras 3
#'
#' Neural networks that say how sure they are. The layers have distributions as weights, which
#' `fit()` fits by variational inference. They are written once, in Python, and have the names,
#' arguments and defaults of 'tfprobability', for today's Keras 3:
#' `model %>% layer_dense_flipout(units = 10)`.
#'
#' Models come from plain 'reticulate', `reticulate::import("keras")$Sequential()`, or from
#' 'keras3', `keras_model_sequential()`. Loading the package starts no Python; the first call does.
#'
#' @keywords internal
"_PACKAGE"
