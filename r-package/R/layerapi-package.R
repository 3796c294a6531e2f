#' layerapi: variational (Bayesian) layers for Keras 3
#'
#' Neural networks that say how sure they are. The layers have distributions as weights, which
#' `fit()` fits by variational inference. They are written once, in Python, and have the names,
#' arguments and defaults of 'tfprobability', for today's Keras 3:
#' `model %>% layer_dense_flipout(units = 10)`.
#'
#' Loading the package starts no Python; the first call does.
#'
#' @section Layers:
#' * Dense: [layer_dense_flipout()], [layer_dense_reparameterization()],
#'   [layer_dense_local_reparameterization()], and [layer_dense_variational()], whose weights have
#'   one joint distribution.
#' * Convolutions: [layer_conv_1d_flipout()], [layer_conv_2d_flipout()], [layer_conv_3d_flipout()],
#'   [layer_conv_1d_reparameterization()], [layer_conv_2d_reparameterization()],
#'   [layer_conv_3d_reparameterization()], [layer_depthwise_conv_2d_flipout()].
#' * Categories and words: [layer_embedding_reparameterization()].
#' * Without uncertain weights: [layer_shared_scale()], one noise for all rows; [layer_variable()],
#'   [layer_autoregressive()], [layer_distribution_lambda()].
#'
#' Layers are put together by [`%>%`], print their arguments ([`print()`][print.layer_api]) and
#' take new values for some of them ([`layer$kl_weight <- 0.5`][assign.layer_api]).
#'
#' @section Blocks, the distributions of weights:
#' * Posteriors: [posterior_mean_field_normal()], [posterior_multivariate_normal_tril()],
#'   [posterior_deterministic()].
#' * Priors: [prior_standard_normal()], [prior_normal()], [prior_laplace()],
#'   [prior_scale_mixture()], [prior_trainable_normal()], [prior_pretrained_normal()].
#' * Divergences: [divergence_kl_divergence()], [divergence_monte_carlo()].
#' * Your own: [`own_blocks`][own_blocks], with the methods [tfd_sample()], [tfd_log_prob()],
#'   [tfd_mean()], [tfd_stddev()] and [tfd_kl_divergence()].
#' * By TensorFlow Probability's names: [default_mean_field_normal_fn()],
#'   [default_multivariate_normal_fn()].
#'
#' @section Likelihoods, the losses of a model:
#' * Numbers: [likelihood_normal()], [likelihood_student_t()], [likelihood_laplace()],
#'   [likelihood_normal_mixture()].
#' * Numbers above 0, and shares: [likelihood_log_normal()], [likelihood_gamma()],
#'   [likelihood_beta()].
#' * Classes: [likelihood_bernoulli()], [likelihood_categorical()].
#' * Counts: [likelihood_poisson()], [likelihood_negative_binomial()].
#'
#' @section Training:
#' * Does it learn? [elbo()] before and after; [callback_kl_history()] and
#'   [metric_negative_log_likelihood()] during `fit()`.
#' * How much the divergence counts: [set_kl_weight()], [callback_kl_annealing()].
#' * From a trained network and back: [to_bayesian()], [to_deterministic()].
#'
#' @section Answers of a fitted model:
#' * Draws: [posterior_epred()], [posterior_predict()], [posterior_linpred()], [log_lik()]; what
#'   they return is a matrix of class [`layerapi_draws`][layerapi_draws].
#' * Predictions: [predictive_interval()], [predictive_error()], [uncertainty()]; in a data frame,
#'   [`augment()`][augment.layerapi].
#' * Is it right? [score()], [calibration()], [`loo()`][loo.layerapi_draws], and
#'   [`glance()`][glance.layerapi], one row for a model.
#' * Weights: [posterior_interval()] and `tidy()` on its page; [`as_draws()`][as_draws.layerapi].
#' * Without draws: [predict_array()], what `predict()` returns, as an array of R.
#'
#' @section Plots:
#' [`autoplot()`][autoplot.layerapi] of a model or of draws; [`autoplot()`][autoplot.history] of
#' what `fit()` returned.
#'
#' @section Set-up:
#' [install_layerapi()] gets Keras and what else is needed; [layerapi_config()] says what was found
#' and what is missing.
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
