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
#' @section Backends of Keras:
#' The layers run on TensorFlow, JAX and torch. TensorFlow is meant unless the environment variable
#' `KERAS_BACKEND` says otherwise before Python starts:
#'
#' ```r
#' Sys.setenv(KERAS_BACKEND = "jax") # or "torch"
#' library(layerapi)
#' ```
#'
#' `keras3::use_backend("jax")`, called before anything else, does the same. The functions that are
#' arguments of a layer get and return distributions of the backend's library: TensorFlow
#' Probability on TensorFlow, NumPyro on JAX, `torch.distributions` on torch. A saved model loads
#' under every backend with equal weights. A seed repeats its draws under one backend, and not from
#' one backend to another. Models of Keras 2 need TensorFlow.
#'
#' In R, `as.array(reticulate::import("keras")$ops$convert_to_numpy(x))` is the array of a tensor of
#' any backend.
#'
#' @keywords internal
"_PACKAGE"
