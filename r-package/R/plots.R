# Plots of what a model answers. Nothing is computed here: a plot shows what an answer returns.

#' Plot what a model answers
#'
#' Use it to look at a fitted network: where it is sure of itself, how far its predictions are from
#' observations, and what it has learned. What is returned is a plot of 'ggplot2', which has the
#' generic `autoplot()`: attach it with `library(ggplot2)`, and add to the plot what you like.
#'
#' The types of plots are:
#' * `"interval"`: predictive intervals as bands over one input, with the predictive mean, and
#'   observations as points. Bands are smooth where `newdata` is a grid along `feature` with the
#'   other inputs held still.
#' * `"predicted"`: what is predicted against what was observed, with predictive intervals. A bar
#'   that misses the diagonal misses its observation.
#' * `"calibration"`: how often something happened against how often it was predicted to. Below the
#'   diagonal the network is too sure. Of numbers these are the shares of observations in
#'   intervals, with a histogram of the observations' ranks among the predictions below: flat where
#'   predictions are calibrated, a hill where they are too wide, a valley where too narrow. Of
#'   classes they are the frequencies in bins of the probability, with the numbers of observations
#'   below. Bars are 2 standard errors.
#' * `"uncertainty"`: the aleatoric part, and on it the epistemic one, which more data would remove.
#'   Of numbers these are variances, of classes entropies in nats.
#' * `"weights"`: the posterior intervals of the weights with the largest mean in units of its
#'   standard deviation, the first on top. Weights without uncertainty are left out.
#'
#' @param object Keras model, built; or draws that `posterior_linpred()` returned for the rows of
#'   `newdata`, those of an ensemble for example. Draws do not know the weights.
#' @param newdata Matrix or data frame of numbers with a row for each example, or a vector where an
#'   example is one number. Not for `"weights"`.
#' @param y Vector of the observations, with as many rows as `newdata`, for all types but
#'   `"uncertainty"` and `"weights"`. Of `"interval"` it may be left out.
#' @param type What to plot: `"interval"`, `"predicted"`, `"calibration"`, `"uncertainty"` or
#'   `"weights"`. Default `"interval"`.
#' @param feature Whole number from 1, the column of `newdata` on the horizontal axis. Default `1`.
#' @param prob Number above 0 and below 1, the probability of the intervals; of `"interval"` also
#'   several of them. Default `NULL`: 0.5 and 0.9 of `"interval"`, 0.9 of other types.
#' @param most Whole number of at least 1, how many weights are shown. Default `30`.
#' @param seed Whole number from 0 to 2147483647 that decides the draws. Default `NULL`: the draws
#'   continue the model's noise, as that many calls would.
#' @param ... Passed on to [posterior_linpred()], for example `draws` or `likelihood`.
#' @return A plot of class `ggplot`, with the data that it shows in `$data`.
#' @section Errors:
#' The message says what is expected. The class of the error:
#' * `layerapi_ValueError`: An argument has a value that it cannot have, or the model has several
#'   outputs.
#' * `layerapi_TypeError`: An argument is of the wrong type.
#' @family answers of a model
#' @examplesIf reticulate::py_module_available("keras") && requireNamespace("ggplot2")
#' library(ggplot2)
#' keras <- reticulate::import("keras")
#' model <- keras$Sequential(list(keras$Input(shape = list(1L))))
#' model %>% layer_dense_flipout(units = 2)
#' model$compile(optimizer = "adam", loss = likelihood_normal())
#' x <- seq(-1, 1, length.out = 20)
#' autoplot(model, x, sin(x), draws = 100, seed = 1) + labs(x = "time (s)")
#' autoplot(model, x, sin(x), type = "calibration", draws = 100, seed = 1)
#' autoplot(model, type = "weights")
#'
#' # An ensemble goes by its draws.
#' draws <- posterior_linpred(list(model, model), newdata = x, draws = 100, seed = 1)
#' autoplot(draws, x, sin(x))
#' @name autoplot.layerapi
#' @aliases autoplot
#' @rdname autoplot.layerapi
#' @exportS3Method ggplot2::autoplot keras.src.models.model.Model
autoplot.keras.src.models.model.Model <- function( # nolint: object_name_linter.
  object,
  newdata = NULL,
  y = NULL,
  type = c("interval", "predicted", "calibration", "uncertainty", "weights"),
  feature = 1,
  prob = NULL,
  most = 30,
  seed = NULL,
  ...
) {
  call <- sys.call()
  call[[1]] <- as.name("autoplot")
  type <- check_choice(type, eval(formals()$type), call)
  if (is.null(prob)) {
    prob <- if (type == "interval") c(0.5, 0.9) else 0.9
  }
  if (type == "weights") {
    return(plot_weights(object, prob, most, call))
  }
  is_drawn <- inherits(object, "layerapi_draws")
  has_feature <- type %in% c("interval", "uncertainty")
  axis <- if (has_feature) column_of(newdata, feature, call)
  outputs <- posterior_linpred(
    object,
    newdata = if (!is_drawn) newdata, seed = seed, ...
  )
  check_outputs(outputs, type, axis, call)
  switch(type,
    interval = plot_interval(outputs, axis, y, prob, seed, call),
    predicted = plot_predicted(outputs, y, prob, seed, call),
    calibration = plot_calibration(outputs, y, seed),
    uncertainty = plot_uncertainty(outputs, axis, call)
  )
}

#' @rdname autoplot.layerapi
#' @exportS3Method ggplot2::autoplot layerapi_draws
autoplot.layerapi_draws <- # nolint: object_name_linter.
  autoplot.keras.src.models.model.Model

#' Plot how a training went
#'
#' Use it to see whether a network is trained to the end, and whether it fits the data or its prior
#' more: each metric that was recorded has a panel with a scale of its own, the loss first, then
#' `nll`, `kl` and `kl_weight`, where there are such. What was recorded of validation data is in the
#' same panel.
#'
#' These methods are for what `model$fit()` returns. What `fit()` of 'keras3' returns has a plot of
#' its own there.
#'
#' @param object,x History of Keras, which `model$fit()` returned.
#' @param metrics Names of the metrics to show, without `val_`. Default `NULL`: all.
#' @param ... Not used.
#' @return `autoplot()`: a plot of class `ggplot`, with the data that it shows in `$data`. `plot()`
#'   draws it and returns it invisibly.
#' @section Errors:
#' An error of class `layerapi_ValueError` says that nothing was recorded, or no metric of that
#' name.
#' @family training
#' @examplesIf reticulate::py_module_available("keras") && requireNamespace("ggplot2")
#' keras <- reticulate::import("keras")
#' model <- keras$Sequential(list(keras$Input(shape = list(3L))))
#' model %>% layer_dense_flipout(units = 2, kl_weight = 1 / 10)
#' model$compile(optimizer = "adam", loss = likelihood_normal())
#' history <- model$fit(matrix(1, 10, 3), matrix(0, 10), epochs = 5L, verbose = 0L)
#' plot(history)
#' @name autoplot.history
#' @rdname autoplot.history
#' @exportS3Method ggplot2::autoplot keras.src.callbacks.history.History
autoplot.keras.src.callbacks.history.History <- # nolint: object_name_linter, object_length_linter.
  function(object, metrics = NULL, ...) {
    call <- generic_call("autoplot")
    plot_history(object$history, metrics, call)
  }

#' @rdname autoplot.history
#' @exportS3Method plot keras.src.callbacks.history.History
plot.keras.src.callbacks.history.History <- # nolint: object_name_linter, object_length_linter.
  function(x, metrics = NULL, ...) {
    call <- generic_call("plot")
    plot <- plot_history(x$history, metrics, call)
    print(plot)
    invisible(plot)
  }

# --- The plots ------------------------------------------------------------------------------------

# Data in front of a column: what ggplot2 finds it by.
utils::globalVariables(".data")

# Bands from wide to narrow, the mean, and what is beside the point.
colours <- c(
  pale = "#c6dbef", middle = "#6baed6", dark = "#08306b", grey = "#969696", orange = "#fd8d3c"
)

plot_interval <- function(outputs, axis, y, prob, seed, call) {
  predicted <- posterior_predict(outputs, seed = seed)
  check_one_number(predicted, call)
  prob <- sort(unique(prob), decreasing = TRUE)
  bands <- lapply(prob, function(p) {
    ends <- predictive_interval(predicted, prob = p)
    data.frame(x = axis$values, lower = ends[, 1], upper = ends[, 2], interval = percent(p))
  })
  bands <- do.call(rbind, bands)
  bands$interval <- factor(bands$interval, percent(prob))
  data <- data.frame(x = axis$values, mean = colMeans(plain(posterior_epred(outputs))))
  data$y <- if (!is.null(y)) observations(outputs, y)
  shades <- grDevices::colorRampPalette(colours[c("pale", "middle")])(length(prob))
  plot <- ggplot2::ggplot(data, ggplot2::aes(x = .data$x)) +
    ggplot2::geom_ribbon(
      ggplot2::aes(ymin = .data$lower, ymax = .data$upper, fill = .data$interval), bands
    ) +
    ggplot2::geom_line(
      ggplot2::aes(y = .data$mean, linetype = "predictive mean"),
      colour = colours[["dark"]]
    ) +
    ggplot2::scale_fill_manual(values = shades)
  if (!is.null(y)) {
    plot <- plot + ggplot2::geom_point(ggplot2::aes(y = .data$y, shape = "observations"), size = 1)
  }
  dressed(plot, axis$label, "y")
}

plot_predicted <- function(outputs, y, prob, seed, call) {
  y <- observations(outputs, y)
  predicted <- posterior_predict(outputs, seed = seed)
  check_one_number(predicted, call)
  ends <- predictive_interval(predicted, prob = prob)
  data <- data.frame(
    y = y, mean = colMeans(plain(posterior_epred(outputs))), lower = ends[, 1], upper = ends[, 2]
  )
  plot <- ggplot2::ggplot(data, ggplot2::aes(x = .data$y)) +
    ggplot2::geom_abline(slope = 1, colour = colours[["grey"]], linetype = "dashed") +
    ggplot2::geom_linerange(
      ggplot2::aes(ymin = .data$lower, ymax = .data$upper, linetype = percent(prob)),
      colour = colours[["middle"]]
    ) +
    ggplot2::geom_point(
      ggplot2::aes(y = .data$mean, shape = "predictive mean"),
      colour = colours[["dark"]]
    )
  dressed(plot, "observed", "predicted")
}

plot_calibration <- function(outputs, y, seed) {
  found <- calibration(outputs, y = y, seed = seed)
  is_coverage <- attr(found, "kind") == "coverage"
  panels <- c(if (is_coverage) "share of observations" else "observed frequency", "count")
  found$lower <- found$observed - 2 * found$std.error
  found$upper <- found$observed + 2 * found$std.error
  in_panel <- function(data, i) cbind(data, panel = factor(panels[i], panels))
  line <- data.frame(slope = 1, intercept = 0)
  below <- if (is_coverage) {
    ggplot2::geom_histogram(
      ggplot2::aes(x = .data$pit, y = ggplot2::after_stat(.data$count)),
      in_panel(data.frame(pit = as.vector(attr(found, "pit"))), 2),
      breaks = seq(0, 1, 0.1), fill = colours[["pale"]], colour = "white"
    )
  } else {
    ggplot2::geom_col(
      ggplot2::aes(y = .data$count), in_panel(found, 2),
      position = "identity", width = 0.04, fill = colours[["pale"]]
    )
  }
  between <- if (nrow(found) > 1) { # of one point, ggplot2 would complain
    ggplot2::geom_line(ggplot2::aes(y = .data$observed), colour = colours[["dark"]])
  }
  plot <- ggplot2::ggplot(in_panel(found, 1), ggplot2::aes(x = .data$predicted)) +
    ggplot2::geom_abline(
      ggplot2::aes(slope = .data$slope, intercept = .data$intercept), in_panel(line, 1),
      colour = colours[["grey"]], linetype = "dashed"
    ) +
    ggplot2::geom_linerange(
      ggplot2::aes(ymin = .data$lower, ymax = .data$upper),
      colour = colours[["middle"]]
    ) +
    between +
    ggplot2::geom_point(ggplot2::aes(y = .data$observed), colour = colours[["dark"]]) +
    below +
    ggplot2::geom_blank(ggplot2::aes(x = 0, y = .data$y), in_panel(data.frame(y = 0:1), 1)) +
    ggplot2::facet_grid(rows = "panel", scales = "free_y", switch = "y") +
    ggplot2::coord_cartesian(xlim = c(0, 1))
  label <- "probability of the interval; below, rank among predictions (PIT)"
  dressed(plot, if (is_coverage) label else "predicted probability", NULL) + beside_axes()
}

plot_uncertainty <- function(outputs, axis, call) {
  parts <- uncertainty(outputs)
  if (is.matrix(parts$total)) {
    refuse_several_numbers(ncol(parts$total), call)
  }
  data <- data.frame(x = axis$values, parts[c("aleatoric", "epistemic", "total")])
  plot <- ggplot2::ggplot(data, ggplot2::aes(x = .data$x)) +
    ggplot2::geom_ribbon(ggplot2::aes(ymin = 0, ymax = .data$aleatoric, fill = "aleatoric")) +
    ggplot2::geom_ribbon(
      ggplot2::aes(ymin = .data$aleatoric, ymax = .data$total, fill = "epistemic")
    ) +
    ggplot2::geom_line(
      ggplot2::aes(y = .data$total, linetype = "total"),
      colour = colours[["dark"]]
    ) +
    ggplot2::scale_fill_manual(values = unname(colours[c("pale", "middle")]))
  dressed(plot, axis$label, if (is_of_classes(outputs)) "entropy (nats)" else "variance")
}

plot_weights <- function(object, prob, most, call) {
  if (inherits(object, "layerapi_draws")) {
    refuse_argument(
      "object", "a model where the type is 'weights'", object,
      "Draws do not know the weights: pass the model.", call
    )
  }
  if (!is_whole(most) || most < 1) {
    refuse_argument(
      "most", "a whole number of at least 1", most, "Pass, for example, most = 30.", call
    )
  }
  data <- tidy(object, prob = prob)
  data <- data[data$std.error > 0, ]
  if (!nrow(data)) {
    refuse_argument(
      "object", "a model with at least one uncertain weight", object,
      "Layers with a deterministic posterior have none.", call
    )
  }
  weights <- nrow(data)
  data <- utils::head(data[order(-abs(data$estimate) / data$std.error), ], most)
  data$term <- factor(data$term, rev(data$term))
  plot <- ggplot2::ggplot(data, ggplot2::aes(x = .data$estimate, y = .data$term)) +
    ggplot2::geom_vline(xintercept = 0, colour = colours[["grey"]], linetype = "dashed") +
    ggplot2::geom_linerange(
      ggplot2::aes(xmin = .data$conf.low, xmax = .data$conf.high),
      colour = colours[["middle"]]
    ) +
    ggplot2::geom_point(colour = colours[["dark"]])
  if (nrow(data) < weights) {
    plot <- plot + ggplot2::ggtitle(sprintf("%d of %d weights", nrow(data), weights))
  }
  dressed(plot, sprintf("posterior mean and %s", percent(prob)), NULL)
}

# Metrics whose panels come first, in this order.
first_metrics <- c("loss", "nll", "kl", "kl_weight")

plot_history <- function(recorded, metrics, call) {
  names <- names(recorded)
  is_validation <- startsWith(names, "val_")
  known <- unique(sub("^val_", "", names))
  known <- c(intersect(first_metrics, known), setdiff(known, first_metrics))
  if (!length(known)) {
    refuse_argument(
      "object", "of a training that recorded its loss", recorded,
      "Fit the model for at least one epoch.", call
    )
  }
  if (is.null(metrics)) {
    metrics <- known
  }
  if (!is.character(metrics) || !length(metrics) || !all(metrics %in% known)) {
    refuse_argument(
      "metrics", paste("among", paste0("'", known, "'", collapse = ", ")), metrics,
      "Leave it out for all of them.", call
    )
  }
  data <- do.call(rbind, lapply(seq_along(names), function(i) {
    values <- as.numeric(unlist(recorded[[i]]))
    data.frame(
      epoch = seq_along(values), value = values, metric = sub("^val_", "", names[i]),
      set = if (is_validation[i]) "validation" else "training"
    )
  }))
  data <- data[data$metric %in% metrics, ]
  data$metric <- factor(data$metric, metrics)
  data$set <- factor(data$set, c("training", "validation"))
  # A single epoch is no line.
  geom <- if (max(data$epoch) > 1) ggplot2::geom_line() else ggplot2::geom_point()
  plot <- ggplot2::ggplot(
    data, ggplot2::aes(x = .data$epoch, y = .data$value, colour = .data$set)
  ) +
    geom +
    ggplot2::facet_wrap("metric", scales = "free", strip.position = "left") +
    ggplot2::scale_colour_manual(values = unname(colours[c("dark", "orange")])) +
    ggplot2::scale_x_continuous(breaks = whole_breaks)
  plot <- dressed(plot, "epoch", NULL) + beside_axes() +
    ggplot2::theme(panel.spacing = ggplot2::unit(12, "pt"))
  if (any(is_validation)) plot else plot + ggplot2::guides(colour = "none")
}

# Ticks at whole numbers, as epochs are.
whole_breaks <- function(limits) {
  breaks <- pretty(limits)
  breaks[breaks == round(breaks) & breaks > 0]
}

# --- What is plotted ------------------------------------------------------------------------------

check_choice <- function(value, choices, call) {
  if (identical(value, choices)) {
    return(choices[1])
  }
  if (!is.character(value) || length(value) != 1 || !value %in% choices) {
    refuse_argument(
      "type", paste("one of", paste0("'", choices, "'", collapse = ", ")), value,
      "Pass, for example, type = \"interval\".", call
    )
  }
  value
}

# One column of the data, and its name.
column_of <- function(newdata, feature, call) {
  if (!is.numeric(newdata) && !is.data.frame(newdata) || length(dim(newdata)) > 2) {
    refuse_argument(
      "newdata", "a matrix, a data frame or a vector of numbers", newdata,
      "Make draws with posterior_linpred(), and pass these with one column as newdata.", call
    )
  }
  columns <- if (length(dim(newdata)) == 2) ncol(newdata) else 1
  if (!is_whole(feature) || feature < 1 || feature > columns) {
    refuse_argument(
      "feature", sprintf("a whole number from 1 to %d, a column of newdata", columns), feature,
      "Pass, for example, feature = 1.", call
    )
  }
  if (length(dim(newdata)) < 2) {
    return(list(values = as.vector(newdata), label = "newdata"))
  }
  name <- colnames(newdata)[feature]
  list(
    values = as.vector(newdata[, feature, drop = TRUE]),
    label = if (is.null(name)) sprintf("newdata[, %d]", feature) else name
  )
}

is_whole <- function(value) {
  is.numeric(value) && length(value) == 1 && !is.na(value) && value == round(value)
}

check_outputs <- function(outputs, type, axis, call) {
  if (!inherits(outputs, "layerapi_draws")) {
    refuse_argument(
      "object", "a model with one output, or draws of one", outputs,
      "Make draws with posterior_linpred(), and pass those of one output, by its name.", call
    )
  }
  if (!is.null(axis) && length(axis$values) != ncol(outputs)) {
    refuse_argument(
      "newdata", sprintf("of %d rows, as many as the draws are of", ncol(outputs)),
      length(axis$values), "Pass the rows that the draws were made for.", call
    )
  }
  if (type %in% c("interval", "predicted") && is_of_classes(outputs)) {
    refuse(
      "ValueError", paste(
        "`object` must be one of numbers, which have intervals. Received: one of classes.",
        "Plot the uncertainty of the classes, or their calibration."
      ), call
    )
  }
}

is_of_classes <- function(outputs) {
  is_of_labels(outputs) || any(grepl("BernoulliLikelihood", attr(outputs, "likelihood")))
}

is_of_labels <- function(outputs) {
  any(grepl("CategoricalLikelihood", attr(outputs, "likelihood")))
}

check_one_number <- function(predicted, call) {
  if (length(dim(predicted)) > 2) {
    refuse_several_numbers(dim(predicted)[3], call)
  }
}

refuse_several_numbers <- function(count, call) {
  refuse_argument(
    "object", "a model whose observations are one number each", count,
    "Plot a column of what the answer of that name returns.", call
  )
}

# Observations as a vector, once the core has looked at them.
observations <- function(outputs, y) {
  log_lik(outputs, y = y)
  as.vector(as.matrix(y))
}

# --- How it looks ---------------------------------------------------------------------------------

percent <- function(prob) {
  sprintf("%s%% interval", format(100 * prob, digits = 7, trim = TRUE, drop0trailing = TRUE))
}

dressed <- function(plot, x, y) {
  place <- function(order) ggplot2::guide_legend(order = order)
  plot + ggplot2::labs(x = x, y = y) + ggplot2::theme_classic() +
    ggplot2::guides(fill = place(1), linetype = place(2), shape = place(3)) +
    ggplot2::theme(legend.position = "top", legend.title = ggplot2::element_blank())
}

# Names of panels as labels of their axes.
beside_axes <- function() {
  ggplot2::theme(
    strip.placement = "outside", strip.background = ggplot2::element_blank(),
    strip.text = ggplot2::element_text(size = 11)
  )
}
