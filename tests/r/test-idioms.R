# What R's users expect of a model: the generics of broom, posterior, loo and ggplot2.

keras <- reticulate::import("keras")

compiled <- function(loss, units = 2, seed = 1, kl_weight = 1 / 8) {
  of_one_layer(loss, units, seed = seed, name = "dense", kl_weight = kl_weight)
}

x <- matrix(sin(1:30), 10)
y <- cos(1:10)
model <- compiled(likelihood_normal())
outputs <- posterior_linpred(model, newdata = x, draws = 20, seed = 1)

expect_refused <- function(code, message, class = "layerapi_ValueError") {
  error <- expect_error(code, class = class)
  expect_match(conditionMessage(error), message, fixed = TRUE)
  invisible(error)
}

# --- glance() -------------------------------------------------------------------------------------

test_that("glance() is a row about a model", {
  row <- glance(model)
  expect_s3_class(row, "data.frame", exact = TRUE)
  expect_named(
    row, c("n_layers", "n_weights", "n_parameters", "kl", "kl_weight", "likelihood")
  )
  expect_identical(nrow(row), 1L)
  expect_identical(row$n_layers, 1L)
  expect_identical(row$n_weights, 6L)
  expect_identical(row$n_parameters, as.integer(model$count_params()))
  expect_equal(row$kl, loss_of(model) * 8, tolerance = 1e-6)
  table <- tidy(model)[1:6, ]
  expect_equal(
    row$kl, with(table, sum(-log(std.error) + (std.error^2 + estimate^2 - 1) / 2)),
    tolerance = 1e-5
  )
  expect_identical(row$kl_weight, 1 / 8)
  expect_identical(row$likelihood, "normal")
  expect_identical(glance(compiled("mse"))$likelihood, "none")
})

test_that("with data glance() has the scores", {
  row <- glance(model, x, y, draws = 20, seed = 1)
  scores <- score(outputs, y = y, seed = 1)
  names <- c("log_score", "rmse", "crps", "coverage_90")
  expect_named(row, c(names(glance(model)), "nobs", names))
  expect_identical(row$nobs, 10L)
  expect_equal(unlist(row[names], use.names = FALSE), scores$estimate[match(names, scores$metric)])
  labels <- rep(c("u", "v"), 5)
  of_classes <- glance(
    model, as.data.frame(x), factor(labels), likelihood = "categorical", draws = 5
  )
  expect_identical(of_classes$likelihood, "categorical")
  expect_named(of_classes[8:11], c("log_score", "accuracy", "brier", "ece"))
})

test_that("glance() refuses what does not fit", {
  expect_refused(glance(model, x), "`y` must be given where `newdata` is.")
  expect_refused(glance(model, y = y), "`newdata` must be given where `y` is.")
  expect_refused(glance(model, draws = 5), "`draws` must be left out where there are no data.")
  expect_refused(glance(model, x, y, unit = 5), "`unit` is not an argument", "layerapi_TypeError")
  expect_refused(glance(keras$Sequential(name = "none")), "`object` must be a model that is built.")
  certain <- keras$Sequential(list(keras$Input(list(3L)), keras$layers$Dense(1L)))
  error <- expect_refused(glance(certain), "at least one variational layer")
  expect_identical(conditionCall(error)[[1]], quote(glance))
})

# --- augment() ------------------------------------------------------------------------------------

test_that("augment() has the answers of one set of draws beside the data", {
  data <- data.frame(a = x[, 1], b = x[, 2], c = x[, 3], row.names = letters[1:10])
  table <- augment(model, data, y, prob = 0.8, draws = 20, seed = 1)
  expect_s3_class(table, "data.frame", exact = TRUE)
  expect_named(table, c(
    "a", "b", "c", ".fitted", ".lower", ".upper", ".total", ".aleatoric", ".epistemic", ".resid"
  ))
  expect_identical(table[1:3], data)
  parts <- uncertainty(outputs)
  ends <- predictive_interval(outputs, prob = 0.8, seed = 1)
  expect_equal(table$.fitted, colMeans(posterior_epred(outputs)), tolerance = 1e-6)
  expect_identical(table$.lower, unname(ends[, 1]))
  expect_identical(table$.upper, unname(ends[, 2]))
  for (part in c("total", "aleatoric", "epistemic")) {
    expect_identical(table[[paste0(".", part)]], parts[[part]])
  }
  expect_equal(table$.resid, y - table$.fitted)
  expect_identical(augment(model, data, y, conf.level = 0.8, draws = 20, seed = 1), table)
  expect_identical(augment(outputs, data, y, prob = 0.8, seed = 1), table)
  expect_named(augment(model, x, draws = 5)[1:4], c("V1", "V2", "V3", ".fitted"))
  expect_named(augment(outputs)[1], ".fitted")
})

test_that("of classes augment() has the class and the probabilities", {
  labels <- factor(rep(c("u", "v"), 5), levels = c("u", "v", "w"))
  of_classes <- compiled(likelihood_categorical(), units = 3)
  table <- augment(of_classes, x, labels, draws = 20, seed = 1)
  expect_named(table[-(1:3)], c(
    ".fitted", ".prob_u", ".prob_v", ".prob_w", ".total", ".aleatoric", ".epistemic"
  ))
  p <- apply(plain(posterior_epred(of_classes, x, draws = 20, seed = 1)), 2:3, mean)
  expect_equal(unname(as.matrix(table[5:7])), p, tolerance = 1e-6)
  expect_identical(as.character(table$.fitted), levels(labels)[apply(p, 1, which.max)])
  expect_identical(levels(table$.fitted), levels(labels))
  without <- augment(of_classes, x, draws = 20, seed = 1)
  expect_identical(without$.fitted, as.integer(table$.fitted) - 1L)
  expect_identical(without$.prob_2, table$.prob_w)
  of_two <- augment(compiled("binary_crossentropy", 1), x, rep(0:1, 5), draws = 5, likelihood =
    likelihood_bernoulli())
  expect_named(of_two[-(1:3)], c(".fitted", ".total", ".aleatoric", ".epistemic", ".resid"))
  expect_equal(of_two$.resid, rep(0:1, 5) - of_two$.fitted)
})

test_that("several numbers, inputs and outputs have columns of their own", {
  pairs <- augment(compiled(likelihood_normal(), 4), x, cbind(y, -y), draws = 20, seed = 1)
  expect_named(pairs[c(4:9, 16:17)], c(
    ".fitted_1", ".fitted_2", ".lower_1", ".lower_2", ".upper_1", ".upper_2", ".resid_1", ".resid_2"
  ))
  expect_equal(pairs$.resid_2, -y - pairs$.fitted_2)
  a <- keras$Input(shape = list(2L), name = "a")
  b <- keras$Input(shape = list(1L), name = "b")
  both <- keras$layers$concatenate(list(a, b))
  several <- keras$Model(list(a = a, b = b), list(
    one = layer_dense_flipout(both, units = 2, name = "one"),
    two = layer_dense_flipout(both, units = 3, name = "two")
  ))
  several$compile(loss = list(one = likelihood_normal(), two = likelihood_categorical()))
  data <- list(a = x[, 1:2], b = x[, 3])
  labels <- factor(rep(c("u", "v"), 5), levels = c("u", "v", "w"))
  table <- augment(several, data, list(one = y, two = labels), draws = 9, seed = 1)
  drawn <- posterior_linpred(several, newdata = data, draws = 9, seed = 1)
  expect_identical(table$.epistemic_one, uncertainty(drawn$one)$epistemic)
  expect_identical(levels(table$.fitted_two), levels(labels))
  expect_equal(table$b, x[, 3])
  expect_identical(nrow(augment(several, data, draws = 3)), 10L)
  expect_error(augment(several, data, list(one = y), draws = 3), class = "layerapi_ValueError")
  scores <- glance(several, data, list(one = y, two = labels), draws = 9)
  expect_identical(scores$nobs, 10L)
  expect_true(all(c("one.rmse", "two.accuracy") %in% names(scores)))
  expect_identical(scores$likelihood, "normal, categorical")
})

test_that("augment() refuses what does not fit", {
  expect_refused(augment(model, x, y[1:3], draws = 5), "`y` must be")
  expect_refused(augment(outputs, x[1:3, ]), "`newdata` must be of 10 rows")
  expect_refused(augment(model, x, prob = 2, draws = 5), "`prob` must be a number above 0")
  expect_refused(augment(model, x, prob = 0.5, conf.level = 0.5), "`conf.level` must be left out")
  expect_refused(augment(model, x, unit = 5), "`unit` is not an argument", "layerapi_TypeError")
  expect_refused(
    augment(model, data.frame(a = "a", b = 1, c = 2)), "`newdata` must be a data frame of numbers",
    "layerapi_TypeError"
  )
})

# --- Draws of weights -----------------------------------------------------------------------------

test_that("as_draws_df() has the weights, under tidy()'s names", {
  skip_if_not_installed("posterior")
  drawn <- posterior::as_draws_df(model, draws = 2000, seed = 1)
  expect_s3_class(drawn, "draws_df")
  table <- tidy(model)
  expect_named(drawn, c(table$term, ".chain", ".iteration", ".draw"))
  expect_identical(drawn$.draw, 1:2000)
  expect_identical(unique(drawn$.chain), 1L)
  values <- as.matrix(as.data.frame(drawn)[table$term])
  # Four standard errors of a mean and of a standard deviation.
  expect_true(all(
    abs(colMeans(values) - table$estimate) <= 4 * table$std.error / sqrt(2000) + 1e-6
  ))
  expect_true(all(
    abs(apply(values, 2, sd) - table$std.error) <= 4 * table$std.error / sqrt(4000) + 1e-6
  ))
})

test_that("draws of weights are those of the functions", {
  skip_if_not_installed("posterior")
  drawn <- unclass(posterior::as_draws_matrix(model, draws = 20, seed = 1))
  for (s in c(1, 20)) {
    kernel <- matrix(drawn[s, 1:6], 3, 2, byrow = TRUE)
    expected <- x %*% kernel + rep(drawn[s, 7:8], each = 10)
    expect_equal(outputs[s, , ], expected, tolerance = 1e-5)
  }
})

test_that("all formats of posterior have the same draws", {
  skip_if_not_installed("posterior")
  expected <- posterior::as_draws_matrix(model, draws = 5, seed = 1)
  expect_identical(posterior::as_draws(model, draws = 5, seed = 1), expected)
  expect_identical(posterior::as_draws(model, ndraws = 5, seed = 1), expected)
  made <- list(
    posterior::as_draws_df(model, draws = 5, seed = 1),
    posterior::as_draws_array(model, draws = 5, seed = 1),
    posterior::as_draws_rvars(model, draws = 5, seed = 1)
  )
  for (each in made) {
    each <- posterior::as_draws_matrix(each)[, colnames(expected)] # rvars go by columns
    expect_equal(unclass(each), unclass(expected), ignore_attr = TRUE)
  }
  expect_identical(dim(made[[3]][["dense/kernel"]]), c(3L, 2L))
  summary <- posterior::summarise_draws(made[[1]], "mean")
  expect_identical(summary$variable, tidy(model)$term)
})

test_that("some weights are drawn, and too many are refused", {
  skip_if_not_installed("posterior")
  all <- unclass(posterior::as_draws_matrix(model, draws = 5, seed = 1))
  some <- function(...) {
    colnames(posterior::as_draws_matrix(model, ..., draws = 5, seed = 1))
  }
  expect_identical(some(variable = "dense/bias"), c("dense/bias[1]", "dense/bias[2]"))
  in_order <- c("dense/kernel[3,2]", "dense/bias[1]")
  expect_identical(some(variable = in_order), in_order)
  expect_identical(
    some(variable = "kernel\\[.,2", regex = TRUE), sprintf("dense/kernel[%d,2]", 1:3)
  )
  one <- posterior::as_draws_matrix(model, variable = "dense/kernel[3,2]", draws = 5, seed = 1)
  expect_identical(as.vector(one), as.vector(all[, "dense/kernel[3,2]"]))
  expect_refused(posterior::as_draws_df(model, variable = "dense/kernal"), "Did you mean")
  expect_refused(posterior::as_draws_df(model, draws = 0), "`draws` must be a whole number")
  expect_refused(
    posterior::as_draws_df(model, unit = 1), "`unit` is not an argument of as_draws_df.",
    "layerapi_TypeError"
  )
  large <- keras$Sequential(list(keras$Input(shape = list(784L))))
  layer_dense_flipout(large, units = 512, name = "dense")
  expect_refused(posterior::as_draws_df(large), paste(
    "`draws` must be so few that the draws take at most 1 GB. Received: 1000 draws of 401920",
    "weights, 3.2 GB. Name some of the weights"
  ))
  expect_identical(
    dim(posterior::as_draws_matrix(large, variable = "dense/kernel[1,1]", draws = 3)), c(3L, 1L)
  )
})

# --- Rows for arrays of weights -------------------------------------------------------------------

test_that("tidy() and summary() have a row for each array of weights", {
  table <- tidy(model, by = "array")
  expect_identical(table$term, c("dense/kernel", "dense/bias"))
  expect_identical(table$size, c(6L, 2L))
  by_weight <- tidy(model)[1:6, ]
  expect_equal(table$min_mean[1], min(by_weight$estimate), tolerance = 1e-6)
  expect_equal(table$max_sd[1], max(by_weight$std.error), tolerance = 1e-6)
  ratio <- with(by_weight, abs(estimate) / std.error)
  expect_equal(table$snr_95[1], quantile(ratio, 0.95, names = FALSE), tolerance = 1e-5)
  expect_equal(sum(table$kl, na.rm = TRUE), glance(model)$kl)
  weights <- summary(model$layers[[1]])$weights
  expect_identical(rownames(weights), c("kernel", "bias"))
  expect_identical(as.list(weights), as.list(table[setdiff(names(table), c("term", "size"))]))
  expect_refused(tidy(model, by = "row"), "`by` must be one of 'weight', 'array'.")
})

# --- loo ------------------------------------------------------------------------------------------

test_that("loo and waic say what the draws are of, once", {
  skip_if_not_installed("loo")
  density <- log_lik(outputs, y = y)
  for (fun in list(loo::loo, loo::waic)) {
    warnings <- list()
    found <- withCallingHandlers(fun(density), warning = function(warning) {
      warnings <<- c(warnings, list(warning))
      invokeRestart("muffleWarning")
    })
    is_ours <- vapply(warnings, inherits, NA, "layerapi_warning")
    expect_identical(sum(is_ours), 1L)
    message <- conditionMessage(warnings[is_ours][[1]])
    expect_match(message, "of a variational approximation", fixed = TRUE)
    expected <- suppressWarnings(
      if (identical(fun, loo::loo)) loo::loo(plain(density), r_eff = rep(1, 10))
      else loo::waic(plain(density))
    )
    expect_identical(found$estimates, expected$estimates)
  }
  expect_refused(
    loo::loo(posterior_epred(outputs)), "Received: expected values of shape [20, 10]."
  )
  expect_refused(loo::waic(outputs), "Received: raw outputs of shape [20, 10, 2].")
})

# --- Plots ----------------------------------------------------------------------------------------

# What fit() returns, with these metrics recorded.
recorded <- function(...) {
  history <- keras$callbacks$History()
  history$history <- list(...)
  history
}

test_that("a training is plotted in a panel for each metric, the loss first", {
  skip_if_not_installed("ggplot2")
  history <- recorded(
    kl_weight = c(0, 0.5, 1), mse = 3:1, val_mse = 4:2, kl = 7:5, loss = c(3, 2, 1), nll = 2:0,
    val_loss = c(3, 2.5, 2)
  )
  plot <- ggplot2::autoplot(history)
  expect_s3_class(plot, "ggplot")
  expect_silent(built <- ggplot2::ggplot_build(plot))
  expect_identical(levels(plot$data$metric), c("loss", "nll", "kl", "kl_weight", "mse"))
  loss <- built$data[[1]][built$data[[1]]$PANEL == 1, ]
  expect_identical(loss$y[loss$group == 1], c(3, 2, 1))
  expect_identical(loss$y[loss$group == 2], c(3, 2.5, 2))
  expect_identical(loss$x[loss$group == 1], c(1, 2, 3))
  expect_identical(plot$labels$x, "epoch")
  one <- ggplot2::autoplot(history, metrics = c("mse", "kl"))
  expect_identical(levels(one$data$metric), c("mse", "kl"))
  expect_silent(ggplot2::ggplot_build(ggplot2::autoplot(recorded(loss = 1))))
})

test_that("plot() of a training draws it", {
  skip_if_not_installed("ggplot2")
  fitted <- compiled(likelihood_normal())
  history <- fitted$fit(x, matrix(y), epochs = 2L, verbose = 0L)
  file <- tempfile(fileext = ".pdf")
  grDevices::pdf(file)
  shown <- withVisible(plot(history))
  grDevices::dev.off()
  expect_false(shown$visible)
  expect_gt(file.size(file), 1000)
  expect_identical(shown$value$data$value, as.numeric(history$history$loss))
  expect_refused(plot(history, metrics = "mse"), "`metrics` must be among 'loss'.")
  expect_refused(
    ggplot2::autoplot(keras$callbacks$History()), "`object` must be of a training that recorded"
  )
})

# --- Ensembles ------------------------------------------------------------------------------------

test_that("answers and plots of an ensemble are those of its draws", {
  ensemble <- list(model, compiled(likelihood_normal(), seed = 2))
  drawn <- posterior_linpred(ensemble, newdata = x, draws = 20, seed = 1)
  expect_identical(
    predictive_interval(ensemble, x, draws = 20, seed = 1), predictive_interval(drawn, seed = 1)
  )
  expect_identical(uncertainty(ensemble, x, draws = 20, seed = 1), uncertainty(drawn))
  expect_identical(score(ensemble, x, y, draws = 20, seed = 1), score(drawn, y = y, seed = 1))
  table <- augment(drawn, x, y, seed = 1)
  expect_equal(table$.fitted, uncertainty(drawn)$mean)
  skip_if_not_installed("ggplot2")
  plot <- ggplot2::autoplot(drawn, x, y, seed = 1)
  expect_equal(plot$data$mean, colMeans(posterior_epred(drawn)))
  for (type in c("predicted", "calibration", "uncertainty")) {
    expect_s3_class(ggplot2::autoplot(drawn, x, y, type = type, seed = 1), "ggplot")
  }
})
