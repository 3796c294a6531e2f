# Methods of distributions, for the functions that users write for a layer.

#' Draw from a distribution
#'
#' For functions that are arguments of a layer, such as
#' `kernel_posterior_tensor_fn = function(d) d %>% tfd_sample()`. Inside a layer the draw is
#' governed by the layer's `seed`.
#'
#' @param distribution Distribution of the backend's library: TensorFlow Probability on TensorFlow,
#'   NumPyro on JAX, `torch.distributions` on torch.
#' @param sample_shape Whole numbers, the shape of the array of draws. Default `list()`: one draw.
#' @param ... `seed`, a whole number or two of them. Default: inside a layer the layer's own state,
#'   elsewhere the backend's global random state.
#'
#' @return A tensor of shape `c(sample_shape, shape of the distribution)`.
#' @section Errors:
#' An error of class `layerapi_error` that says what Python said.
#' @family methods of distributions
#' @examplesIf reticulate::py_module_available("keras")
#' layer <- layer_dense_flipout(
#'   units = 2, kernel_posterior_tensor_fn = function(d) d %>% tfd_sample()
#' )
#' layer$build(list(NULL, 3L))
#' tfd_sample(layer$kernel_posterior, 5)
#' @export
tfd_sample <- function(distribution, sample_shape = list(), ...) {
  if (!is_python(sample_shape)) {
    sample_shape <- as.list(sample_shape)
  }
  call_method(distribution, "sample", list(sample_shape, ...))
}

#' Divergence of one distribution from another
#'
#' The Kullback-Leibler divergence, where it has a closed form. For functions that are arguments
#' of a layer, such as `kernel_divergence_fn = function(q, p, ignore) tfd_kl_divergence(q, p) / n`.
#'
#' @inheritParams tfd_sample
#' @param other Distribution of the same library.
#'
#' @return A tensor, the divergence of `distribution` from `other`.
#' @inheritSection tfd_sample Errors
#' @family methods of distributions
#' @examplesIf reticulate::py_module_available("keras")
#' layer <- layer_dense_flipout(units = 2)
#' layer$build(list(NULL, 3L))
#' tfd_kl_divergence(layer$kernel_posterior, layer$kernel_prior)
#' @export
tfd_kl_divergence <- function(distribution, other) {
  call_method(distribution, "kl_divergence", list(other))
}

#' Logarithm of a density
#'
#' @inheritParams tfd_sample
#' @param value Tensor, array or number at which to evaluate the density.
#'
#' @return A tensor, the logarithm of the density, or of the probability, of `value`.
#' @inheritSection tfd_sample Errors
#' @family methods of distributions
#' @examplesIf reticulate::py_module_available("keras")
#' layer <- layer_dense_flipout(units = 2)
#' layer$build(list(NULL, 3L))
#' tfd_log_prob(layer$kernel_prior, matrix(0, 3, 2))
#' @export
tfd_log_prob <- function(distribution, value) {
  call_method(distribution, "log_prob", list(value))
}

#' Mean of a distribution
#'
#' @inheritParams tfd_sample
#'
#' @return A tensor of the shape of the distribution.
#' @inheritSection tfd_sample Errors
#' @family methods of distributions
#' @examplesIf reticulate::py_module_available("keras")
#' layer <- layer_dense_flipout(units = 2)
#' layer$build(list(NULL, 3L))
#' tfd_mean(layer$kernel_posterior)
#' @export
tfd_mean <- function(distribution) {
  call_method(distribution, "mean", list())
}

#' Standard deviation of a distribution
#'
#' @inheritParams tfd_sample
#'
#' @return A tensor of the shape of the distribution.
#' @inheritSection tfd_sample Errors
#' @family methods of distributions
#' @examplesIf reticulate::py_module_available("keras")
#' layer <- layer_dense_flipout(units = 2)
#' layer$build(list(NULL, 3L))
#' tfd_stddev(layer$kernel_posterior)
#' @export
tfd_stddev <- function(distribution) {
  call_method(distribution, "stddev", list())
}

call_method <- function(distribution, method, arguments) {
  call <- sys.call(-1)
  attempt(core()$r_bridge$method, list(distribution, method), call) |>
    attempt(arguments, call)
}

# reticulate before 1.30 has no arithmetic for Python's objects, so that R's functions could not
# compute with tensors, as in `tfd_kl_divergence(q, p) / n`.
register_arithmetic <- function() {
  operators <- c("+" = "add", "-" = "sub", "*" = "mul", "/" = "truediv", "^" = "pow")
  for (symbol in names(operators)) {
    known <- utils::getS3method(symbol, "python.builtin.object", TRUE, asNamespace("reticulate"))
    if (is.null(known)) {
      for (class in tensor_classes) {
        registerS3method(symbol, class, arithmetic(operators[[symbol]]))
      }
    }
  }
}

# The classes of tensors that reticulate shows for TensorFlow, JAX and torch.
tensor_classes <- c(
  "tensorflow.python.types.core.Tensor", "jax.Array", "jaxlib._jax.ArrayImpl", "torch.Tensor"
)

arithmetic <- function(operator) {
  force(operator)
  function(e1, e2) {
    python <- reticulate::import("operator")
    if (missing(e2)) {
      return(if (operator == "sub") python$neg(e1) else e1)
    }
    python[[operator]](e1, e2)
  }
}
