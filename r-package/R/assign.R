# Attributes of a layer, set from R.

#' Set an attribute of a layer
#'
#' `layer$kl_weight <- 0.5` means what the argument `kl_weight = 0.5` does: numbers, functions and
#' `NULL` reach Python in the same way, and a value that cannot be is refused with the same message.
#'
#' @param x Layer.
#' @param name Name of the attribute.
#' @param value What to set it to.
#'
#' @return `x`, the same layer.
#' @section Errors:
#' What Python says about the value is raised as an error of R, of the class
#' `layerapi_<name of Python's error>`.
#' @examplesIf reticulate::py_module_available("keras")
#' layer <- layer_dense_flipout(units = 2)
#' layer$kl_weight <- 0.5
#' layer$kl_weight
#' @name assign.layer_api
#' @aliases $<-.layer_api.layers.base.Layer
NULL

#' @rdname assign.layer_api
#' @exportS3Method "$<-" layer_api.layers.base.Layer
`$<-.layer_api.layers.base.Layer` <- function(x, name, value) { # nolint: object_name_linter.
  set_attribute(x, name, value)
}

#' @rdname assign.layer_api
#' @exportS3Method "[[<-" layer_api.layers.base.Layer
`[[<-.layer_api.layers.base.Layer` <- `$<-.layer_api.layers.base.Layer`

#' @rdname assign.layer_api
#' @exportS3Method "$<-" layer_api.keras_2.layers._Configured
`$<-.layer_api.keras_2.layers._Configured` <- # nolint: object_name_linter.
  `$<-.layer_api.layers.base.Layer`

#' @rdname assign.layer_api
#' @exportS3Method "[[<-" layer_api.keras_2.layers._Configured
`[[<-.layer_api.keras_2.layers._Configured` <- # nolint: object_length_linter.
  `$<-.layer_api.layers.base.Layer`

set_attribute <- function(layer, name, value) {
  call <- call("<-", call("$", quote(layer), as.name(name)), quote(value))
  attempt(reticulate::import_builtins()$setattr, list(layer, name, value), call)
  layer
}
