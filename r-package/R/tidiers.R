# A model in one row, and data with what a model says of them: the generics of 'broom'.

#' A model in one row
#'
#' Use it to put networks side by side, one row each: how large they are, how far their weights have
#' moved from the prior, and, with data, how well they predict.
#'
#' @param x Keras model, built.
#' @param newdata Matrix, array or data frame of numbers with a row for each example, or what else
#'   [score()] takes. Default `NULL`: no scores.
#' @param y Observations, as [score()] takes them; given together with `newdata`.
#' @param likelihood Likelihood, its name, or a named list of those for several outputs. Default
#'   `NULL`: the one that the model is compiled with.
#' @param ... Passed on to [score()], for example `draws` or `seed`.
#' @return A data frame of one row with the columns
#' * `n_layers`: how many layers are variational;
#' * `n_weights`: how many weights have a distribution that is not deterministic;
#' * `n_parameters`: how many numbers the model holds, those that are not trained included;
#' * `kl`: the sum of the divergences from the prior as of now, without their weight; `NaN` where
#'   one depends on the inputs;
#' * `kl_weight`: their weight, `NaN` where layers differ in it;
#' * `likelihood`: the name of the likelihood, `"none"` without one.
#'
#' With data there are also `nobs`, the number of observations, and the scores that [score()]
#' explains: of numbers `log_score`, `rmse`, `crps` and `coverage_90`, of classes `log_score`,
#' `accuracy`, `brier` and `ece`. For a model with several outputs these have the name of the output
#' in front.
#' @section Errors:
#' The message says what is expected. The class of the error:
#' * `layerapi_ValueError`: An argument has a value that it cannot have, or `x` is not built or has
#'   no variational layer.
#' * `layerapi_TypeError`: An argument is of the wrong type.
#' @family answers of a model
#' @examplesIf reticulate::py_module_available("keras")
#' keras <- reticulate::import("keras")
#' model <- keras$Sequential(list(keras$Input(shape = list(3L))))
#' model %>% layer_dense_flipout(units = 2, kl_weight = 1 / 10)
#' model$compile(optimizer = "adam", loss = likelihood_normal())
#' glance(model)
#' glance(model, matrix(rnorm(30), 10), rep(0, 10), draws = 100, seed = 1)
#' @name glance.layerapi
#' @aliases glance
#' @rdname glance.layerapi
#' @importFrom generics glance
#' @export glance
#' @exportS3Method glance keras.src.models.model.Model
glance.keras.src.models.model.Model <- function( # nolint: object_name_linter.
  x,
  newdata = NULL,
  y = NULL,
  likelihood = NULL,
  ...
) {
  call <- generic_call("glance")
  facts <- core_answer("glance", list(object = x, likelihood = likelihood), call)
  if (is.null(newdata) && is.null(y)) {
    if (...length()) {
      given <- list(...)
      refuse_argument(
        c(setdiff(names(given), ""), "...")[1], "left out where there are no data", given[[1]],
        "It is about the scores: pass newdata and y.", call
      )
    }
    return(facts)
  }
  if (is.null(newdata) || is.null(y)) {
    names <- if (is.null(y)) c("y", "newdata") else c("newdata", "y")
    refuse_argument(
      names[1], sprintf("given where `%s` is", names[2]), NULL, "Scores need both.", call
    )
  }
  scores <- score(x, newdata, y, likelihood = likelihood, ...)
  scores <- if (is.data.frame(scores)) main_scores(scores) else lapply(scores, main_scores)
  rows <- if (is.list(y) && !is.data.frame(y)) NROW(y[[1]]) else NROW(y)
  cbind(facts, nobs = rows, as.data.frame(scores))
}

#' @exportS3Method glance tf_keras.src.engine.training.Model
glance.tf_keras.src.engine.training.Model <-
  glance.keras.src.models.model.Model

# The scores that a row begins with, by name.
main_scores <- function(scores) {
  names <- c("log_score", "rmse", "crps", "coverage_90", "accuracy", "brier", "ece")
  scores <- scores[scores$metric %in% names, ]
  as.list(stats::setNames(scores$estimate, scores$metric))
}

#' Data with what a model says of them
#'
#' Use it to have predictions beside the data, in the columns that users of 'broom' know. One set of
#' draws serves all columns.
#'
#' @param x Keras model, built; or draws that [posterior_linpred()] returned for the rows of
#'   `newdata`, those of an ensemble for example.
#' @param newdata Matrix or data frame of numbers with a row for each example, a vector where an
#'   example is one number, or a named list of those for a model with several inputs. An array with
#'   more dimensions is left out of what is returned.
#' @param y Observations: a vector, a factor or a matrix, or a named list of those for a model with
#'   several outputs. Default `NULL`: none.
#' @param prob Number above 0 and below 1, the probability of the predictive interval. Default
#'   `0.9`.
#' @param seed Whole number from 0 to 2147483647 that decides the draws. Default `NULL`: the draws
#'   continue the model's noise, as that many calls would.
#' @param ... Passed on to [posterior_linpred()], for example `draws` or `likelihood`.
#' @param conf.level Another name of `prob`, for users of 'broom'.
#' @return A data frame of the columns of `newdata` and, of numbers,
#' * `.fitted`: the predictive mean;
#' * `.lower` and `.upper`: the ends of the predictive interval;
#' * `.total`, `.aleatoric` and `.epistemic`: the variance of the prediction and its parts, as
#'   [uncertainty()] has them;
#' * `.resid`, with `y`: the observation minus `.fitted`.
#'
#' Of classes `.fitted` is the most probable class, and `.prob_<class>` are the probabilities of all
#' of them; classes are the levels of `y`, if that is a factor, otherwise whole numbers from 0. Of 0
#' and 1 `.fitted` is the probability of 1. Neither has an interval, and the three parts are
#' entropies in nats; classes have no `.resid`.
#'
#' Where an observation has several numbers, the columns end in `_1`, `_2` and so on; for a model
#' with several outputs they end in the name of the output.
#' @section Errors:
#' The message says what is expected. The class of the error:
#' * `layerapi_ValueError`: An argument has a value that it cannot have.
#' * `layerapi_TypeError`: An argument is of the wrong type.
#' @family answers of a model
#' @examplesIf reticulate::py_module_available("keras")
#' keras <- reticulate::import("keras")
#' model <- keras$Sequential(list(keras$Input(shape = list(2L))))
#' model %>% layer_dense_flipout(units = 2)
#' model$compile(optimizer = "adam", loss = likelihood_normal())
#' augment(model, mtcars[1:5, c("wt", "qsec")], mtcars$mpg[1:5], draws = 100, seed = 1)
#'
#' # An ensemble goes by its draws.
#' x <- mtcars[, c("wt", "qsec")]
#' draws <- posterior_linpred(list(model, model), newdata = x, draws = 100, seed = 1)
#' head(augment(draws, x))
#' @name augment.layerapi
#' @aliases augment
#' @rdname augment.layerapi
#' @importFrom generics augment
#' @export augment
#' @exportS3Method augment keras.src.models.model.Model
augment.keras.src.models.model.Model <- function( # nolint: object_name_linter.
  x,
  newdata = NULL,
  y = NULL,
  prob = 0.9,
  seed = NULL,
  ...,
  conf.level # nolint: object_name_linter.
) {
  call <- generic_call("augment")
  if (!missing(conf.level)) {
    prob <- with_names(
      c(if (!missing(prob)) list(prob = prob), list(conf.level = conf.level)), call
    )$prob
  }
  outputs <- if (inherits(x, "layerapi_draws")) {
    posterior_linpred(x, ...)
  } else {
    posterior_linpred(x, newdata = newdata, seed = seed, ...)
  }
  columns <- if (inherits(outputs, "layerapi_draws")) {
    fitted_columns(outputs, y, prob, seed)
  } else {
    if (!is.null(y)) {
      log_lik(outputs, y = y)
    }
    of_each <- lapply(names(outputs), function(name) {
      columns <- fitted_columns(outputs[[name]], y[[name]], prob, seed)
      stats::setNames(columns, paste0(names(columns), "_", name))
    })
    do.call(c, of_each)
  }
  columns <- data.frame(columns, check.names = FALSE)
  data <- data_columns(newdata)
  if (is.null(data)) {
    return(columns)
  }
  if (nrow(data) != nrow(columns)) {
    refuse_argument(
      "newdata", sprintf("of %d rows, as many as the draws are of", nrow(columns)), nrow(data),
      "Pass the rows that the draws were made for.", call
    )
  }
  cbind(data, columns)
}

#' @exportS3Method augment tf_keras.src.engine.training.Model
augment.tf_keras.src.engine.training.Model <-
  augment.keras.src.models.model.Model

#' @rdname augment.layerapi
#' @exportS3Method augment layerapi_draws
augment.layerapi_draws <-
  augment.keras.src.models.model.Model

# What one output says of the rows, as a list of columns.
fitted_columns <- function(outputs, y, prob, seed) {
  y_checked <- if (!is.null(y)) observations(outputs, y)
  parts <- uncertainty(outputs)
  columns <- list()
  if (is_of_labels(outputs)) {
    labels <- if (is.factor(y)) levels(y)
    columns <- class_columns(parts$mean, labels)
  } else {
    columns <- numbered(".fitted", parts$mean)
    if (!is_of_classes(outputs)) {
      ends <- predictive_interval(outputs, prob = prob, seed = seed)
      ends <- lapply(1:2, function(i) {
        unname(if (is.matrix(ends)) ends[, i] else ends[, , i])
      })
      columns <- c(columns, numbered(".lower", ends[[1]]), numbered(".upper", ends[[2]]))
    }
  }
  for (part in c("total", "aleatoric", "epistemic")) {
    columns <- c(columns, numbered(paste0(".", part), parts[[part]]))
  }
  if (!is.null(y) && !is_of_labels(outputs)) {
    y <- if (is.matrix(parts$mean)) matrix(y_checked, nrow(parts$mean)) else y_checked
    columns <- c(columns, numbered(".resid", y - parts$mean))
  }
  columns
}

class_columns <- function(probabilities, labels) {
  best <- max.col(probabilities, ties.method = "first")
  fitted <- if (is.null(labels)) best - 1L else factor(labels[best], labels)
  names <- if (is.null(labels)) seq_len(ncol(probabilities)) - 1L else labels
  all <- lapply(seq_len(ncol(probabilities)), function(class) probabilities[, class])
  c(list(.fitted = fitted), stats::setNames(all, paste0(".prob_", names)))
}

# One column, or one for each column of a matrix.
numbered <- function(name, values) {
  if (!is.matrix(values)) {
    return(stats::setNames(list(values), name))
  }
  columns <- lapply(seq_len(ncol(values)), function(i) values[, i])
  stats::setNames(columns, paste0(name, "_", seq_along(columns)))
}

# Data as columns; NULL for those that cannot be.
data_columns <- function(newdata) {
  if (is.data.frame(newdata)) {
    return(newdata)
  }
  if (is.list(newdata)) {
    columns <- Filter(Negate(is.null), lapply(newdata, data_columns))
    # One column has the name of its input.
    columns <- lapply(columns, function(data) if (length(data) == 1) data[[1]] else data)
    return(if (length(columns)) do.call(data.frame, c(columns, check.names = FALSE)))
  }
  if (is.atomic(newdata) && length(dim(newdata)) %in% 1:2 && length(newdata)) {
    return(as.data.frame(as.matrix(newdata)))
  }
  if (is.atomic(newdata) && is.null(dim(newdata)) && length(newdata)) {
    return(data.frame(newdata = newdata))
  }
  NULL
}
