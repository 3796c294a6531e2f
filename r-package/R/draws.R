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
