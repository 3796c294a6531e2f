# Draws of the weights, for the functions of 'posterior'.

#' Draws of the weights of a model
#'
#' Use it for what intervals do not say: how weights depend on each other, and what a function of
#' them is under the posterior. Under the same seed these are the draws of the other answers: draw s
#' has the weights of the function that draw s of [posterior_linpred()] is. The methods are for the
#' generics of the package 'posterior'; attach it with `library(posterior)`.
#'
#' The posterior is the one that training has fitted. Its draws are independent, so that there is
#' one chain, and what 'posterior' says of convergence is about nothing here. The weights are those
#' that layers compute with: where `*_posterior_tensor_fn` is `"mean"`, all draws are equal.
#'
#' @param x Model or layer of Keras, built. The layers of models inside it count too.
#' @param draws Whole number of at least 1, how many draws. Default `1000`.
#' @param seed Whole number from 0 to 2147483647 that decides the draws. Default `NULL`: the draws
#'   continue the model's noise, as that many calls would.
#' @param variable Which weights: names such as `"dense/kernel[1,2]"`, those of [tidy()], or
#'   `"dense/kernel"` for all of that name. Default `NULL`: all weights.
#' @param regex Whether `variable` has regular expressions, as Python has them, which are searched
#'   for in the names. Default `FALSE`.
#' @param ... Nothing more: an argument that is not known is refused.
#' @param ndraws Another name of `draws`, for users of 'brms'.
#' @return Draws of the format of that name, with a variable for each weight. `as_draws()` returns
#'   what `as_draws_matrix()` does.
#' @section Errors:
#' The message says what is expected. The class of the error:
#' * `layerapi_ValueError`: An argument has a value that it cannot have; `x` is not built, has no
#'   variational layer, or has one whose posterior depends on the inputs; no weight is called
#'   `variable`; or the draws would take more than a gigabyte.
#' * `layerapi_TypeError`: `x` is neither a model nor a layer.
#' @family answers of a model
#' @examplesIf reticulate::py_module_available("keras") && requireNamespace("posterior")
#' keras <- reticulate::import("keras")
#' model <- keras$Sequential(list(keras$Input(shape = list(3L))))
#' model %>% layer_dense_flipout(units = 1, name = "dense")
#' posterior::as_draws_df(model, draws = 100, seed = 1)
#' kernel <- posterior::as_draws_matrix(model, variable = "dense/kernel")
#' cor(kernel)
#' @name as_draws.layerapi
#' @aliases as_draws as_draws_df as_draws_matrix as_draws_array as_draws_rvars
#' @rdname as_draws.layerapi
#' @exportS3Method posterior::as_draws_df keras.src.layers.layer.Layer
as_draws_df.keras.src.layers.layer.Layer <- function( # nolint: object_name_linter.
  x,
  draws = 1000,
  seed = NULL,
  variable = NULL,
  regex = FALSE,
  ...,
  ndraws
) {
  drawn <- answer("as_draws_df") # first, as it looks at the call that it is in
  posterior::as_draws_df(drawn)
}

#' @rdname as_draws.layerapi
#' @exportS3Method posterior::as_draws_matrix keras.src.layers.layer.Layer
as_draws_matrix.keras.src.layers.layer.Layer <- # nolint: object_name_linter, object_length_linter.
  function(x, draws = 1000, seed = NULL, variable = NULL, regex = FALSE, ..., ndraws) {
    drawn <- answer("as_draws_matrix")
    posterior::as_draws_matrix(drawn)
  }

#' @rdname as_draws.layerapi
#' @exportS3Method posterior::as_draws_array keras.src.layers.layer.Layer
as_draws_array.keras.src.layers.layer.Layer <- # nolint: object_name_linter, object_length_linter.
  function(x, draws = 1000, seed = NULL, variable = NULL, regex = FALSE, ..., ndraws) {
    drawn <- answer("as_draws_array")
    posterior::as_draws_array(posterior::as_draws_matrix(drawn))
  }

#' @rdname as_draws.layerapi
#' @exportS3Method posterior::as_draws_rvars keras.src.layers.layer.Layer
as_draws_rvars.keras.src.layers.layer.Layer <- # nolint: object_name_linter, object_length_linter.
  function(x, draws = 1000, seed = NULL, variable = NULL, regex = FALSE, ..., ndraws) {
    drawn <- answer("as_draws_rvars")
    posterior::as_draws_rvars(drawn)
  }

#' @rdname as_draws.layerapi
#' @exportS3Method posterior::as_draws keras.src.layers.layer.Layer
as_draws.keras.src.layers.layer.Layer <- function( # nolint: object_name_linter.
  x, draws = 1000, seed = NULL, variable = NULL, regex = FALSE, ..., ndraws
) {
  drawn <- answer("as_draws")
  posterior::as_draws_matrix(drawn)
}
