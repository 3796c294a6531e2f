#' layerapi: variational (Bayesian) layers for Keras 3
#'
#' Neural networks that say how sure they are. The layers have distributions as weights, which
#' `fit()` fits by variational inference. They are written once, in Python, and have the names,
#' arguments and defaults of 'tfprobability', for today's Keras 3:
#' `model %>% layer_dense_flipout(units = 10)`.
#'
#' Loading the package starts no Python; the first call does.
#'
#' @section With 'keras3', or without:
#' Models come from 'keras3' or from plain 'reticulate', and everything in this package takes both.
#' The examples of the help pages are in the words of 'reticulate', which need no other package;
#' the one below says how the same is written with 'keras3'.
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
#' @examplesIf reticulate::py_module_available("keras")
#' x <- matrix(rnorm(60), 20)
#' y <- matrix(x %*% c(1, -1, 2) + rnorm(20))
#' if (nzchar(system.file(package = "keras3"))) {
#'   attachNamespace("keras3") # as library() does
#'   model <- keras_model_sequential(input_shape = 3) %>%
#'     layer_dense_flipout(units = 2, kl_weight = 1 / 20)
#'   model %>% compile(optimizer = "adam", loss = likelihood_normal())
#'   history <- model %>% fit(x, y, epochs = 2, verbose = 0)
#' } else { # the same, through 'reticulate'
#'   keras <- reticulate::import("keras")
#'   model <- keras$Sequential(list(keras$Input(shape = list(3L)))) %>%
#'     layer_dense_flipout(units = 2, kl_weight = 1 / 20)
#'   model$compile(optimizer = "adam", loss = likelihood_normal())
#'   history <- model$fit(x, y, epochs = 2L, verbose = 0L)
#' }
#' predictive_interval(model, x, draws = 100, seed = 1)
#' @keywords internal
"_PACKAGE"
