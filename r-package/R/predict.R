#' Predictions of a model, as R's arrays
#'
#' What `model$predict(x, ...)` returns, with one copy of the numbers on their way into R instead of
#' the two that 'reticulate' makes. Use it where predictions are large: it takes half the memory.
#'
#' Each call draws new weights. For the distribution of a prediction, call it several times.
#'
#' @param model Keras model.
#' @param x What to predict from: an array of R, or whatever the model takes.
#' @param ... Further arguments of the model's `predict()`, such as `batch_size` or `verbose`.
#'
#' @return An array of doubles whose first dimension is that of `x`; a list of arrays for a model
#'   with several outputs.
#' @section Errors:
#' What Keras says about `x` or the arguments is raised as an error of R, of the class
#' `layerapi_<name of Python's error>`.
#' @examplesIf reticulate::py_module_available("keras")
#' keras <- reticulate::import("keras")
#' model <- keras$Sequential() %>% layer_dense_flipout(units = 2)
#' predict_array(model, matrix(1, 3, 4), verbose = 0)
#' @export
predict_array <- function(model, x, ...) {
  copy_once(attempt(core()$r_bridge$predicted, list(model, x, ...)))
}

# The `Numbers` of r_bridge.py, or a list of them, as arrays of R, with attributes by their names.
copy_once <- function(value, ...) {
  if (!is_python(value)) {
    return(lapply(value, copy_once))
  }
  # Missing until they are written, so that none could pass for a number.
  result <- array(if (value$is_whole) NA_integer_ else NA_real_, unlist(value$shape))
  # Now, since R copies what Python has seen to change its attributes.
  known <- list(...)
  for (name in names(known)) {
    attr(result, name) <- known[[name]]
  }
  if (length(result)) {
    value$write(result)
    # A reticulate that hands over a copy of R's array would have that written to.
    if (!identical(result[[1]], value$first())) {
      result[] <- as.vector(value$values, typeof(result))
    }
  }
  result
}
