# What R's users see of a layer and of its blocks.

#' Print and summarize a layer
#'
#' `print()` shows the arguments that differ from the defaults, those of a block as R's code writes
#' them; `summary()` shows the weights of the layer and its losses: how far they have moved from the
#' prior, and how clearly their means stand out from their standard deviations. `summary()` of a
#' model is Keras's own; `tidy(model, by = "array")` has these rows for all its layers.
#'
#' @param x,object Layer, or what `summary()` returned.
#' @param ... Not used.
#'
#' @return `print()`: `x`, invisibly. `summary()`: a list with `layer`, a text; `weights`, a data
#'   frame with one row for each array of weights; `loss`, a number, the sum of the layer's losses.
#'   The columns of `weights` are `shape`; `min_mean`, `max_mean`, `min_sd` and `max_sd`, the range
#'   of posterior means and standard deviations; `snr_5`, `snr_50` and `snr_95`, quantiles of the
#'   signal-to-noise ratio, which is the mean without its sign divided by the standard deviation;
#'   and `kl`, the divergence from the prior, without `kl_weight`. These are `NaN` for weights
#'   without uncertainty, or without a prior.
#' @examplesIf reticulate::py_module_available("keras")
#' layer <- layer_dense_flipout(units = 2, seed = 1)
#' layer$build(list(NULL, 3L))
#' layer
#' summary(layer)
#' @name print.layer_api
NULL

#' @rdname print.layer_api
#' @exportS3Method print layer_api.layers.base.Layer
print.layer_api.layers.base.Layer <- function(x, ...) {
  cat(reticulate::py_repr(x), "\n", sep = "")
  invisible(x)
}

#' @rdname print.layer_api
#' @exportS3Method print layer_api.weights.block.Block
print.layer_api.weights.block.Block <- function(x, ...) {
  cat(r_code(x), "\n", sep = "")
  invisible(x)
}

#' @rdname print.layer_api
#' @exportS3Method print layer_api.answers.likelihoods.Likelihood
print.layer_api.answers.likelihoods.Likelihood <- # nolint: object_length_linter.
  print.layer_api.weights.block.Block

# The call of R that makes a block, or an object of Keras that is one of its arguments.
r_code <- function(value) {
  if (!is_python(value)) {
    return(deparse1(value))
  }
  if (!reticulate::py_has_attr(value, "get_config")) {
    return(reticulate::py_repr(value))
  }
  given <- core()$serialization$given(value)
  arguments <- sprintf("%s = %s", names(given), vapply(given, r_code, ""))
  paste0(maker_of(value), "(", paste(arguments, collapse = ", "), ")")
}

# What makes such an object in R: a function of this package, or a class of Keras.
maker_of <- function(value) {
  class <- reticulate::py_get_attr(value, "__class__")
  name <- class$`__name__`
  module <- class$`__module__`
  if (startsWith(module, "layer_api.")) {
    functions <- mget(getNamespaceExports("layerapi"), asNamespace("layerapi"), inherits = TRUE)
    is_it <- function(fun) identical(attr(fun, "py_function_name", exact = TRUE), name)
    return(names(Filter(is_it, functions)))
  }
  pattern <- "^keras\\.src\\.(initializers|regularizers|constraints)\\..*$"
  paste0(if (grepl(pattern, module)) sub(pattern, "keras$\\1$", module), name)
}

#' @rdname print.layer_api
#' @exportS3Method print layer_api.keras_2.layers._Configured
print.layer_api.keras_2.layers._Configured <- print.layer_api.layers.base.Layer

#' @rdname print.layer_api
#' @exportS3Method summary layer_api.layers.variational_layer.DrawingLayer
summary.layer_api.layers.variational_layer.DrawingLayer <- # nolint: object_length_linter.
  function(object, ...) summary_of(object, object$losses)

#' @rdname print.layer_api
#' @exportS3Method summary layer_api.keras_2.layers._Variational
summary.layer_api.keras_2.layers._Variational <- function(object, ...) {
  summary_of(object, if (object$built) object$`_losses_now`())
}

summary_of <- function(object, losses) {
  table <- attempt(core()$r_bridge$summary, list(object))
  losses <- vapply(losses, function(loss) as.numeric(to_array(loss)), numeric(1))
  structure(
    list(
      layer = reticulate::py_repr(object), weights = if (!is.null(table)) weight_rows(table),
      loss = sum(losses)
    ),
    class = "summary.layer_api"
  )
}

# What Python says of the weights of a layer, in rows of their names.
weight_rows <- function(table) {
  weights <- table_from_python(table)
  rows <- attr(weights, "names_of_rows")
  attr(weights, "names_of_rows") <- NULL
  structure(weights[names(weights) != "size"], row.names = rows)
}

# What a tensor of any backend is in R, which has no numbers of 16 bits.
to_array <- function(tensor) {
  ops <- reticulate::import("keras")$ops
  is_short <- reticulate::import("keras")$backend$standardize_dtype(tensor$dtype) %in%
    c("float16", "bfloat16")
  ops$convert_to_numpy(if (is_short) ops$cast(tensor, "float32") else tensor)
}

#' @rdname print.layer_api
#' @export
print.summary.layer_api <- function(x, ...) {
  cat(x$layer, "\n", sep = "")
  if (is.null(x$weights)) {
    cat("No weights yet: call the layer, or add it to a model that knows its inputs.\n")
  } else {
    cat("\nPosterior of the weights\n")
    print(x$weights, digits = 3)
    cat("\nSum of the losses (divergences times kl_weight): ", format(x$loss, digits = 5), "\n",
        sep = "")
  }
  invisible(x)
}
