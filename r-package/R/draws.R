# Draws as R has them: a matrix, or an array, that knows what a draw is of.

#' Draws as a matrix
#'
#' What `posterior_predict()` and its siblings return is a matrix with a row for each draw and a
#' column for each row of the data, or an array where a row of the data has several numbers. It
#' knows what a draw is of, so that it can stand in place of the model in every answer. Parts of it,
#' and what is computed from it, are plain matrices and arrays.
#'
#' @param x,e1,e2 Draws; one of `e1` and `e2` may be anything that goes with a matrix.
#' @param ... Passed on to the function for a plain matrix.
#'
#' @return `print()`: `x`, invisibly. `as.matrix()` and `as.array()`: the same numbers, as a plain
#'   matrix or array. `t()`, and whatever else is computed from draws: a plain matrix or array.
#' @examplesIf reticulate::py_module_available("keras")
#' keras <- reticulate::import("keras")
#' model <- keras$Sequential(list(keras$Input(shape = list(3L))))
#' model %>% layer_dense_flipout(units = 2)
#' draws <- posterior_linpred(model, matrix(1, 4, 3), draws = 100, seed = 1)
#' dim(draws)
#' draws
#' differences <- draws[, 1, ] - draws[, 2, ]
#' @name layerapi_draws
NULL

# What a draw is of, in words.
kinds_of_draws <- c(
  linpred = "raw outputs", epred = "expected values", predict = "observations",
  log_lik = "log densities"
)

#' @rdname layerapi_draws
#' @export
print.layerapi_draws <- function(x, ...) {
  size <- dim(x)
  rest <- size[-(1:2)]
  cat(
    size[1], if (size[1] == 1) " draw of " else " draws of ",
    kinds_of_draws[[attr(x, "kind")]], " for ", size[2], if (size[2] == 1) " row" else " rows",
    if (length(rest)) paste0(", each of ", paste(rest, collapse = " x "), " numbers"), "\n",
    sep = ""
  )
  shown <- pmin(size, c(6, 6, rep(1, length(rest))))
  part <- do.call(`[`, c(list(plain(x)), lapply(shown, seq_len), drop = FALSE))
  if (length(part)) {
    is_whole <- all(size == shown)
    if (!is_whole) {
      first <- if (length(rest)) ", the first number of each" else ""
      cat("The first draws of the first rows", first, ":\n", sep = "")
    }
    print(if (is_whole) part else matrix(part, shown[1]), ...)
  }
  invisible(x)
}

#' @rdname layerapi_draws
#' @export
as.matrix.layerapi_draws <- function(x, ...) {
  as.matrix(plain(x), ...)
}

#' @rdname layerapi_draws
#' @export
as.array.layerapi_draws <- function(x, ...) {
  plain(x)
}

#' @rdname layerapi_draws
#' @export
t.layerapi_draws <- function(x) {
  t(plain(x))
}

#' @rdname layerapi_draws
#' @export
Ops.layerapi_draws <- function(e1, e2) {
  fun <- get(.Generic, mode = "function") # nolint: object_usage_linter.
  if (missing(e2)) fun(plain(e1)) else fun(plain(e1), plain(e2))
}

#' @rdname layerapi_draws
#' @export
Math.layerapi_draws <- function(x, ...) {
  get(.Generic, mode = "function")(plain(x), ...) # nolint: object_usage_linter.
}

#' Cross-validation of variational draws
#'
#' `loo()` and `waic()` of the package 'loo' for what [log_lik()] returns, with one warning: they
#' estimate how well a posterior predicts a new observation from draws of that posterior, and these
#' are draws of what training fitted in its place. Where the two differ, the estimate is about
#' neither. The shares of large Pareto k of `loo()` say how much it may be off; [score()] on data
#' that were not fitted is right whatever the draws are of.
#'
#' @param x What [log_lik()] returned: a number for each draw and row.
#' @param ... Passed on to the function for a plain matrix, for example `cores`.
#' @param r_eff Relative effective sample sizes. Default: 1 for each row, as draws are independent.
#'
#' @return What `loo()` or `waic()` returns for a matrix, an object that `loo::loo_compare()` takes.
#' @section Errors:
#' An error of class `layerapi_ValueError` says that `x` are draws of something else. The warning is
#' of class `layerapi_warning`.
#' @references Vehtari, Gelman and Gabry (2017), Practical Bayesian model evaluation using
#'   leave-one-out cross-validation and WAIC. <https://arxiv.org/abs/1507.04544> Yao et al. (2018),
#'   Yes, but Did It Work?: Evaluating Variational Inference. <https://arxiv.org/abs/1802.02538>
#' @family answers of a model
#' @examplesIf reticulate::py_module_available("keras") && requireNamespace("loo")
#' keras <- reticulate::import("keras")
#' model <- keras$Sequential(list(keras$Input(shape = list(3L))))
#' model %>% layer_dense_flipout(units = 2)
#' model$compile(optimizer = "adam", loss = likelihood_normal())
#' x <- matrix(rnorm(30), 10)
#' densities <- log_lik(model, x, rep(0, 10), draws = 100, seed = 1)
#' withCallingHandlers(
#'   loo::waic(densities),
#'   layerapi_warning = function(warning) invokeRestart("muffleWarning")
#' )
#' @name loo.layerapi_draws
#' @aliases loo waic
#' @exportS3Method loo::loo layerapi_draws
loo.layerapi_draws <- function( # nolint: object_name_linter.
  x, ..., r_eff = rep(1, ncol(x))
) {
  call <- generic_call("loo")
  check_densities(x, call)
  loo::loo(plain(x), ..., r_eff = r_eff)
}

#' @rdname loo.layerapi_draws
#' @exportS3Method loo::waic layerapi_draws
waic.layerapi_draws <- function(x, ...) { # nolint: object_name_linter.
  call <- generic_call("waic")
  check_densities(x, call)
  loo::waic(plain(x), ...)
}

# Refuse what are no log densities of rows, and say what an estimate from such ones is worth.
check_densities <- function(x, call) {
  if (attr(x, "kind") != "log_lik" || length(dim(x)) != 2) {
    refuse(
      "ValueError", sprintf(
        "`x` must be log densities, one for each row. Received: %s of shape [%s]. %s",
        kinds_of_draws[[attr(x, "kind")]], toString(dim(x)), "Pass what log_lik() returns."
      ), call
    )
  }
  warning(warningCondition(paste(
    "These draws are of a variational approximation: the estimate says how well that predicts, and",
    "holds as far as it is near the posterior. Compare networks by score() on data that were not",
    "used to fit them."
  ), class = "layerapi_warning", call = call))
}

# The same numbers as a plain matrix or array.
plain <- function(x) {
  if (inherits(x, "layerapi_draws")) {
    attributes(x) <- attributes(x)[intersect(c("dim", "dimnames"), names(attributes(x)))]
  }
  x
}

# Draws, and named lists of them, on their way to Python, which makes its own of them.
draws_to_python <- function(value) {
  if (inherits(value, "layerapi_draws")) {
    known <- attributes(value)[c("kind", "likelihood", "columns", "dtype")]
    return(core()$r_bridge$DrawsOfR(array_to_python(plain(value)), Filter(Negate(is.null), known)))
  }
  if (is.list(value) && !is.object(value)) {
    return(lapply(value, draws_to_python))
  }
  value
}

# What an answer returns, or a named list of those for a model with several outputs.
answer_from_python <- function(value) {
  if (is.list(value)) {
    return(lapply(value, answer_from_python))
  }
  class <- sub("^layer_api[.]r_bridge[.]", "", class(value)[1])
  switch(class,
    DrawsForR = draws_from_python(value),
    IntervalForR = interval_from_python(value),
    TableForR = table_from_python(value),
    RecordForR = record_from_python(value),
    WeightsForR = structure(copy_once(value), dimnames = list(NULL, value$names)),
    Numbers = copy_once(value),
    value
  )
}

draws_from_python <- function(value) {
  class <- c("layerapi_draws", if (length(value$shape) == 2) "matrix", "array")
  copy_once(
    value,
    kind = value$kind, likelihood = value$likelihood, columns = value$columns, dtype = value$dtype,
    class = class
  )
}

interval_from_python <- function(value) {
  result <- copy_once(value)
  names <- vector("list", length(dim(result)))
  names[[length(names)]] <- value$names
  names[1] <- list(value$terms)
  dimnames(result) <- names
  result
}

table_from_python <- function(value) {
  to_column <- function(column) {
    column <- answer_from_python(column)
    if (length(dim(column)) == 1) as.vector(column) else column
  }
  columns <- lapply(value$columns, to_column)
  result <- structure(columns, class = "data.frame", row.names = seq_len(NROW(columns[[1]])))
  known <- value$known
  for (name in names(known)) {
    attr(result, name) <- to_column(known[[name]])
  }
  result
}

record_from_python <- function(value) {
  values <- lapply(value$values, function(each) if (is.list(each)) unlist(each) else each)
  structure(values, class = value$of_class, text = value$text)
}

#' @rdname elbo
#' @param x What `elbo()` returned.
#' @export
print.layerapi_elbo <- function(x, ...) {
  cat(attr(x, "text"), sep = "\n")
  invisible(x)
}
