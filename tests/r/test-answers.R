# Draws from the posterior and what is had of them: rstantools' generics for models of Keras.

keras <- reticulate::import("keras")

# A model with two inputs, `a` and `b`, and two outputs, `one` and `two`.
of_many <- function() {
  a <- keras$Input(shape = list(2L), name = "a")
  b <- keras$Input(shape = list(1L), name = "b")
  both <- keras$layers$concatenate(list(a, b))
  model <- keras$Model(
    list(a = a, b = b),
    list(
      one = layer_dense_flipout(both, units = 2, seed = 1, name = "one"),
      two = layer_dense_flipout(both, units = 3, seed = 2, name = "two")
    )
  )
  model$compile(
    optimizer = "adam", loss = list(one = likelihood_normal(), two = likelihood_categorical())
  )
  model
}

x <- matrix(sin(1:30), 10)
y <- cos(1:10)
model <- of_one_layer(likelihood_normal())
outputs <- posterior_linpred(model, newdata = x, draws = 20, seed = 1)

expect_refused <- function(code, message, class = "layerapi_ValueError") {
  error <- expect_error(code, class = class)
  expect_identical(conditionMessage(error), message)
}

test_that("each answer has a row for each draw and a column for each row of the data", {
  expect_identical(dim(outputs), c(20L, 10L, 2L))
  answers <- list(
    epred = posterior_epred(model, x, draws = 20, seed = 1),
    predict = posterior_predict(model, x, draws = 20, seed = 1),
    log_lik = log_lik(model, x, y, draws = 20, seed = 1)
  )
  for (kind in names(answers)) {
    answer <- answers[[kind]]
    expect_identical(dim(answer), c(20L, 10L))
    expect_s3_class(answer, c("layerapi_draws", "matrix", "array"), exact = TRUE)
    expect_identical(attr(answer, "kind"), kind)
    expect_type(answer, "double")
    expect_false(anyNA(answer))
  }
  expect_s3_class(outputs, c("layerapi_draws", "array"), exact = TRUE)
  expect_identical(attr(outputs, "columns"), 2L)
  scale <- 1e-5 + log1p(exp(outputs[, , 2]))
  expect_identical(plain(answers$epred), outputs[, , 1])
  expect_equal(
    as.vector(answers$log_lik), dnorm(rep(y, each = 20), outputs[, , 1], scale, log = TRUE),
    tolerance = 1e-5
  )
})

test_that("a seed repeats the draws, and without one they go on", {
  expect_identical(posterior_linpred(model, newdata = x, draws = 20, seed = 1), outputs)
  expect_false(identical(posterior_linpred(model, newdata = x, draws = 20, seed = 2), outputs))
  one <- posterior_epred(model, x, draws = 2)
  expect_false(identical(posterior_epred(model, x, draws = 2), one))
  expect_false(identical(one[1, ], one[2, ]))
})

test_that("there are as many draws as in Python by default, and ndraws is another name", {
  expect_identical(nrow(posterior_epred(model, x[1:2, ])), 1000L)
  expect_identical(
    posterior_epred(model, x, ndraws = 20, seed = 1),
    posterior_epred(model, x, draws = 20, seed = 1)
  )
  expect_refused(
    posterior_epred(model, x, draws = 20, ndraws = 10),
    "`ndraws` must be left out where `draws` is given. Received: 10. Both mean the same."
  )
})

test_that("draws stand in place of the model", {
  expect_identical(plain(posterior_linpred(outputs)), plain(outputs))
  expect_identical(posterior_epred(outputs), posterior_epred(model, x, draws = 20, seed = 1))
  expect_identical(
    posterior_predict(outputs, seed = 1), posterior_predict(model, x, draws = 20, seed = 1)
  )
  expect_identical(log_lik(outputs, y = y), log_lik(model, x, y, draws = 20, seed = 1))
  expect_equal(
    log_lik(outputs, y = y, likelihood = "laplace"),
    log_lik(model, x, y, draws = 20, seed = 1, likelihood = likelihood_laplace())
  )
  expect_refused(
    posterior_epred(posterior_epred(outputs)), paste(
      "`object` must be a model, or draws of posterior_linpred(). Received: draws of",
      "posterior_epred(). Keep what posterior_linpred() returns: every answer follows from it."
    )
  )
  expect_refused(
    posterior_epred(outputs, x), paste(
      "`newdata` must be left out where draws stand in place of the model. Received: an array of",
      "numbers of shape [10, 3]. Pass the model to draw again."
    )
  )
})

test_that("draws that were saved stand in place of the model in another session", {
  file <- tempfile(fileext = ".rds")
  saveRDS(outputs, file)
  output <- in_new_session(sprintf("
    library(layerapi)
    outputs <- readRDS('%s')
    cat(sprintf('%%a', sum(log_lik(outputs, y = cos(1:10)))))", file))
  expect_identical(output, sprintf("%a", sum(log_lik(outputs, y = y))))
})

test_that("a list of models is an ensemble", {
  ensemble <- list(model, of_one_layer(likelihood_normal()))
  drawn <- posterior_linpred(ensemble, newdata = x, draws = 6, seed = 1)
  expect_identical(dim(drawn), c(6L, 10L, 2L))
  expect_identical(drawn[1:3, , ], posterior_linpred(model, newdata = x, draws = 3, seed = 1)[, , ])
  expect_refused(posterior_epred(list(), x), paste(
    "`object` must be a Keras model, a list of models, or draws. Received: []. Pass, for example,",
    "a Sequential model with layers in it."
  ), "layerapi_TypeError")
})

test_that("posterior_linpred() takes the data in second place, where its generic has `transform`", {
  expect_identical(posterior_linpred(model, x, draws = 20, seed = 1), outputs)
  expect_identical(posterior_linpred(model, FALSE, x, 20, 1), outputs)
  expect_identical(posterior_linpred(model, TRUE, x, 20, 1), posterior_epred(outputs))
  expect_refused(posterior_linpred(model, 5, x), paste(
    "`transform` must be TRUE or FALSE. Received: 5. Write the names of arguments behind the data."
  ))
})

test_that("data may be a data frame, a vector, an array or what Python has", {
  expected <- posterior_epred(model, x, draws = 3, seed = 1)
  data <- as.data.frame(x)
  expect_identical(posterior_epred(model, data, draws = 3, seed = 1), expected)
  in_python <- reticulate::r_to_py(x)
  expect_identical(posterior_epred(model, in_python, draws = 3, seed = 1), expected)
  whole <- data.frame(a = 1:3, b = c(TRUE, FALSE, TRUE), c = 0.5)
  expect_identical(
    posterior_epred(model, whole, draws = 3, seed = 1),
    posterior_epred(model, cbind(1:3, c(1, 0, 1), 0.5), draws = 3, seed = 1)
  )
  narrow <- of_one_layer(likelihood_normal(), features = 1L)
  expect_identical(
    posterior_epred(narrow, x[, 1], draws = 3, seed = 1),
    posterior_epred(narrow, x[, 1, drop = FALSE], draws = 3, seed = 1)
  )
})

test_that("data that are no numbers are refused", {
  remedy <- "Make numbers of it first, for example by model.matrix(~ . - 1, data)."
  received <- list("a factor" = factor("a"), "text" = "a", "of class Date" = as.Date("2024-01-01"))
  for (name in names(received)) {
    expect_refused(
      posterior_epred(model, data.frame(a = 1, wrong = received[[name]], c = 2)),
      sprintf(
        "`newdata` must be a data frame of numbers. Received: the column 'wrong', %s. %s", name,
        remedy
      ),
      "layerapi_TypeError"
    )
  }
  received <- list("None/NULL" = NULL, "a factor" = factor("a"), "'a'" = "a")
  for (name in names(received)) {
    expect_refused(
      posterior_epred(model, received[[name]]), sprintf(paste(
        "`newdata` must be an array of numbers with a row for each example. Received: %s.",
        "Make a matrix first: one row is a matrix of shape (1, features)."
      ), name), "layerapi_TypeError"
    )
  }
})

test_that("several inputs and outputs go by their names", {
  model <- of_many()
  data <- list(a = x[, 1:2], b = x[, 3])
  drawn <- posterior_linpred(model, newdata = data, draws = 5, seed = 1)
  expect_identical(lapply(drawn, dim), list(one = c(5L, 10L, 2L), two = c(5L, 10L, 3L)))
  data$a <- as.data.frame(data$a)
  expect_identical(posterior_linpred(model, newdata = data, draws = 5, seed = 1), drawn)
  means <- posterior_epred(drawn)
  expect_identical(posterior_epred(model, data, draws = 5, seed = 1), means)
  expect_equal(rowSums(means$two, dims = 2), matrix(1, 5, 10), tolerance = 1e-6)
  labels <- factor(rep(c("u", "v"), 5), levels = c("w", "u", "v"))
  density <- log_lik(drawn, y = list(one = y, two = labels))
  index <- cbind(rep(1:5, 10), rep(1:10, each = 5), rep(as.integer(labels), each = 5))
  expect_equal(as.vector(density$two), log(plain(means$two)[index]), tolerance = 1e-5)
})

test_that("classes are whole numbers, in y also the levels of a factor", {
  model <- of_one_layer(likelihood_categorical(), units = 3)
  drawn <- posterior_predict(model, x, draws = 50, seed = 1)
  expect_type(drawn, "integer")
  expect_identical(sort(unique(as.vector(drawn))), 0:2)
  labels <- rep(0:2, length.out = 10)
  expected <- log_lik(model, x, labels, draws = 5, seed = 1)
  for (same in list(
    as.numeric(labels), factor(letters[labels + 1]), factor(labels, levels = 0:2),
    diag(3)[labels + 1, ]
  )) {
    expect_identical(log_lik(model, x, same, draws = 5, seed = 1), expected)
  }
  expect_error(log_lik(model, x, letters[1:10], draws = 5), class = "layerapi_ValueError")
  expect_error(log_lik(model, x, c(NA, labels[-1]), draws = 5), class = "layerapi_ValueError")
})

test_that("intervals and errors of predictions are those of the draws", {
  drawn <- posterior_predict(outputs, seed = 1)
  interval <- predictive_interval(model, x, prob = 0.8, draws = 20, seed = 1)
  expect_identical(dimnames(interval), list(NULL, c("10%", "90%")))
  expect_equal(
    unname(interval), t(unname(apply(drawn, 2, quantile, c(0.1, 0.9)))), tolerance = 1e-6
  )
  expect_identical(predictive_interval(outputs, prob = 0.8, seed = 1), interval)
  expect_identical(predictive_interval(drawn, prob = 0.8), interval)
  expect_equal(rstantools::predictive_interval(as.matrix(drawn), prob = 0.8), interval)
  error <- predictive_error(model, x, y, draws = 20, seed = 1)
  expect_equal(error, rep(y, each = 20) - drawn, tolerance = 1e-6)
  expect_identical(predictive_error(drawn, y = y), error)
  wide <- of_one_layer(likelihood_normal(), units = 4)
  expect_identical(
    dimnames(predictive_interval(wide, x, draws = 5)), list(NULL, NULL, c("5%", "95%"))
  )
  expect_refused(predictive_interval(model, x, prob = 2), paste(
    "`prob` must be a number above 0 and below 1. Received: 2. Pass, for example, prob = 0.9 for",
    "an interval of 90%."
  ))
})

test_that("weights have intervals, and tidy() has them as a table", {
  layer <- model$layers[[1]]
  mean <- array_of(tfd_mean(layer$kernel_posterior))
  sd <- array_of(tfd_stddev(layer$kernel_posterior))
  interval <- posterior_interval(model, prob = 0.5)
  kernel <- sprintf("%s/kernel[%d,%d]", layer$name, rep(1:3, each = 2), 1:2)
  expect_identical(
    dimnames(interval), list(c(kernel, sprintf("%s/bias[%d]", layer$name, 1:2)), c("25%", "75%"))
  )
  expect_equal(
    unname(interval[1:6, ]), matrix(t(mean), 6, 2) + t(sd)[1:6] %o% qnorm(c(0.25, 0.75)),
    tolerance = 1e-5
  )
  table <- tidy(model, conf.level = 0.5)
  expect_named(table, c("term", "estimate", "std.error", "conf.low", "conf.high"))
  expect_s3_class(table, "data.frame", exact = TRUE)
  expect_identical(table$term, rownames(interval))
  expect_equal(table$estimate[1:6], as.vector(t(mean)))
  expect_equal(table$std.error, c(t(sd), 0, 0), tolerance = 1e-6)
  expect_identical(unname(as.matrix(table[4:5])), unname(interval))
  expect_identical(tidy(layer, prob = 0.5), table)
  expect_refused(
    tidy(model, prob = 0.5, conf.level = 0.5),
    "`conf.level` must be left out where `prob` is given. Received: 0.5. Both mean the same."
  )
  expect_refused(
    tidy(model, unit = 5), "`unit` is not an argument of tidy. tidy takes: object, prob, by.",
    "layerapi_TypeError"
  )
  expect_error(posterior_interval(list(model)), "of an ensemble one after the other")
})

test_that("uncertainty, scores and calibration are data frames", {
  parts <- uncertainty(model, x, draws = 20, seed = 1)
  expect_s3_class(parts, "data.frame", exact = TRUE)
  expect_named(parts, c("mean", "total", "aleatoric", "epistemic"))
  expect_identical(nrow(parts), 10L)
  expect_equal(parts$total, parts$aleatoric + parts$epistemic)
  expect_equal(parts$mean, colMeans(posterior_epred(outputs)), tolerance = 1e-6)
  expect_identical(uncertainty(outputs), parts)
  of_classes <- uncertainty(outputs, likelihood = "categorical")
  expect_identical(dim(of_classes$mean), c(10L, 2L))
  expect_equal(rowSums(of_classes$mean), rep(1, 10))

  scores <- score(model, x, y, draws = 20, seed = 1)
  expect_s3_class(scores, "data.frame", exact = TRUE)
  expect_named(scores, c("metric", "estimate", "std.error"))
  log_score <- mean(log(colMeans(exp(log_lik(outputs, y = y)))))
  expect_equal(scores$estimate[scores$metric == "log_score"], log_score, tolerance = 1e-6)
  expect_identical(score(outputs, y = y, seed = 1), scores)

  found <- calibration(model, x, y, draws = 20, seed = 1)
  expect_s3_class(found, "data.frame", exact = TRUE)
  expect_named(found, c("predicted", "observed", "std.error", "count"))
  expect_identical(attr(found, "kind"), "coverage")
  expect_length(attr(found, "pit"), 10)
  labels <- factor(rep(c("u", "v"), 5))
  of_classes <- calibration(outputs, y = labels, likelihood = "categorical")
  expect_identical(attr(of_classes, "kind"), "probability")
  expect_null(attr(of_classes, "pit"))
  expect_type(of_classes$count, "integer")

  by_output <- uncertainty(of_many(), list(a = x[, 1:2], b = x[, 3]), draws = 5)
  expect_identical(lapply(by_output, nrow), list(one = 10L, two = 10L))
  remedy <- "Pass, for example, a Sequential model with layers in it."
  received <- list("None/NULL" = NULL, "a data frame" = iris, "a factor" = iris$Species)
  for (name in names(received)) {
    expect_refused(score(received[[name]], x, y), sprintf(
      "`object` must be a Keras model, a list of models, or draws. Received: %s. %s", name, remedy
    ), "layerapi_TypeError")
  }
})

test_that("what is wrong is refused in R's words", {
  options <- options(warnPartialMatchArgs = FALSE)
  on.exit(options(options))
  expect_refused(posterior_epred(model, x, unit = 5), paste(
    "`unit` is not an argument of posterior_epred. posterior_epred takes: object, newdata, draws,",
    "seed, batch_size, joint, training, verbose, likelihood."
  ), "layerapi_TypeError")
  expect_refused(
    posterior_epred(model, x, see = 1),
    "`see` is not an argument of posterior_epred. Did you mean 'seed'?", "layerapi_TypeError"
  )
  expect_refused(
    posterior_epred(model, x, draws = 0),
    "`draws` must be a whole number of at least 1. Received: 0. Pass, for example, draws = 1000."
  )
  expect_refused(
    posterior_epred(keras$Sequential(name = "none"), x), paste(
      "`object` must be a model that is built. Received: the layer 'none' (Sequential). Begin it",
      "with an Input, fit it, or call it on rows first."
    )
  )
  error <- expect_error(posterior_epred(model, x, draws = 0))
  expect_identical(conditionCall(error), quote(posterior_epred(model, x, draws = 0)))
  expect_error(do.call(posterior_epred, list(model, x, draws = 0)), class = "layerapi_ValueError")
})

test_that("a model of Keras 2 is refused", {
  only_tensorflow("Keras 2 has TensorFlow alone")
  expect_error(
    posterior_epred(special(list(special = "keras2_model")), x),
    "`object` must be a model of Keras 3.", class = "layerapi_TypeError", fixed = TRUE
  )
})

test_that("a function that calls an answer passes on its own arguments", {
  options <- options(warnPartialMatchArgs = FALSE)
  on.exit(options(options))
  mine <- function(fit, ...) posterior_epred(fit, ...)
  expect_identical(mine(model, x, draws = 20, seed = 1), posterior_epred(outputs))
  expect_error(mine(model, x, see = 1), "Did you mean 'seed'?", fixed = TRUE)
})

test_that("what is computed from draws is plain", {
  plain_ones <- list(
    outputs[, , 1], outputs[1:2, , , drop = FALSE], outputs + 1, -outputs, outputs > 0,
    outputs * outputs, exp(outputs), round(outputs, 2), t(posterior_epred(outputs)),
    as.array(outputs), as.matrix(posterior_epred(outputs)), aperm(outputs), rbind(outputs[, , 1])
  )
  for (each in plain_ones) {
    expect_named(attributes(each), "dim")
  }
  expect_identical(apply(outputs, 2, mean), apply(as.array(outputs), 2, mean))
  expect_identical(as.vector(summary(outputs)), as.vector(summary(as.vector(outputs))))
})

test_that("draws print in short", {
  expect_output(
    print(posterior_epred(outputs)),
    "^20 draws of expected values for 10 rows\nThe first draws of the first rows:\n"
  )
  expect_output(print(outputs), "^20 draws of raw outputs for 10 rows, each of 2 numbers\n")
  one <- posterior_epred(model, x[1, , drop = FALSE], draws = 1, seed = 1)
  expect_output(print(one, digits = 1), "^1 draw of expected values for 1 row\n +\\[,1\\]\n[^\n]+$")
  printed <- capture.output(returned <- withVisible(print(outputs)))
  expect_identical(returned, list(value = outputs, visible = FALSE))
  expect_lt(length(printed), 12)
})

test_that("posterior and bayesplot take draws as they are", {
  drawn <- posterior_predict(outputs, seed = 1)
  skip_if_not_installed("posterior")
  expect_equal(posterior::E(posterior::rvar(drawn)), colMeans(drawn))
  expect_identical(dim(posterior::rvar(outputs)), c(10L, 2L))
  as_posterior <- posterior::as_draws_matrix(drawn)
  expect_identical(dim(as_posterior), c(20L, 10L))
  expect_equal(as.vector(as_posterior), as.vector(drawn))
  means <- posterior::summarise_draws(as_posterior, "mean")$mean
  expect_equal(as.numeric(means), colMeans(drawn))
  skip_if_not_installed("bayesplot")
  expect_s3_class(bayesplot::ppc_dens_overlay(y, drawn), "ggplot")
  expect_s3_class(bayesplot::ppc_dens_overlay(y, drawn[1:5, ]), "ggplot")
})

test_that("whole numbers of any type are integers, if R has them", {
  numbers <- core()$r_bridge$DrawsForR
  numpy <- reticulate::import("numpy", convert = FALSE)
  made <- reticulate::py_run_string("
def made(values, for_r, draws):
    return for_r(draws(values, 'predict'))
  ", local = TRUE)$made
  draws <- reticulate::import("layer_api.answers.draws")$Draws
  for (dtype in c("int32", "int64", "uint8")) {
    values <- numpy$array(list(list(0L, 5L), list(2L, 3L)), dtype = dtype)
    drawn <- draws_from_python(made(values, numbers, draws))
    expect_identical(plain(drawn), matrix(c(0L, 2L, 5L, 3L), 2))
  }
  values <- numpy$array(list(list(-2^31, 5)), dtype = "int64")
  expect_identical(plain(draws_from_python(made(values, numbers, draws))), cbind(-2^31, 5))
})
