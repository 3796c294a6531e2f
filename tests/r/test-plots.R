# Plots show what the answers return, and nothing else.

skip_if_not_installed("ggplot2")
autoplot <- ggplot2::autoplot
keras <- reticulate::import("keras")

compiled <- function(units, loss) {
  model <- keras$Sequential(list(keras$Input(shape = list(3L))))
  layer_dense_flipout(model, units = units, seed = 1, name = "dense")
  model$compile(optimizer = "adam", loss = loss)
  model
}

x <- matrix(sin(1:36), 12)
y <- cos(1:12)
labels <- rep(0:2, 4)
model <- compiled(2, likelihood_normal())
of_classes <- compiled(3, likelihood_categorical())
outputs <- posterior_linpred(model, newdata = x, draws = 40, seed = 1)

# The data of each layer of a plot, as it is drawn.
drawn_data <- function(plot) {
  expect_s3_class(plot, "ggplot")
  expect_silent(built <- ggplot2::ggplot_build(plot))
  built$data
}

expect_refused <- function(code, message, class = "layerapi_ValueError") {
  error <- expect_error(code, class = class)
  expect_match(conditionMessage(error), message, fixed = TRUE)
}

test_that("bands, mean and points are those of the answers", {
  plot <- autoplot(model, x, y, feature = 2, prob = c(0.5, 0.8), draws = 40, seed = 1)
  parts <- drawn_data(plot)
  order <- order(x[, 2])
  for (i in 1:2) {
    expected <- predictive_interval(outputs, prob = c(0.8, 0.5)[i], seed = 1)
    band <- parts[[1]][parts[[1]]$group == i, ]
    expect_equal(band$x, x[order, 2])
    expect_equal(band$ymin, expected[order, 1])
    expect_equal(band$ymax, expected[order, 2])
  }
  expect_equal(parts[[2]]$y, colMeans(posterior_epred(outputs))[order])
  expect_equal(parts[[3]]$x, x[, 2])
  expect_equal(parts[[3]]$y, y)
  expect_identical(levels(plot$layers[[1]]$data$interval), c("80% interval", "50% interval"))
  expect_identical(plot$labels$x, "newdata[, 2]")
})

test_that("draws stand in place of the model, and y may be left out", {
  of_draws <- drawn_data(autoplot(outputs, x, seed = 1))
  expect_identical(of_draws, drawn_data(autoplot(model, x, draws = 40, seed = 1)))
  expect_length(of_draws, 2)
  expect_identical(unique(of_draws[[1]]$group), 1:2)
})

test_that("a column has its name, and a vector is one column", {
  named <- as.data.frame(x)
  expect_identical(autoplot(outputs, named, feature = 3)$labels$x, "V3")
  expect_identical(autoplot(outputs, x[, 1])$labels$x, "newdata")
})

test_that("what is predicted stands against what was observed", {
  parts <- drawn_data(
    autoplot(model, x, y, type = "predicted", prob = 0.8, draws = 40, seed = 1)
  )
  expected <- predictive_interval(outputs, prob = 0.8, seed = 1)
  expect_equal(parts[[2]]$x, y)
  expect_equal(parts[[2]]$ymin, expected[, 1], ignore_attr = TRUE)
  expect_equal(parts[[2]]$ymax, expected[, 2], ignore_attr = TRUE)
  expect_equal(parts[[3]]$y, colMeans(posterior_epred(outputs)))
})

test_that("calibration is that of numbers or of classes", {
  found <- calibration(outputs, y = y, seed = 1)
  parts <- drawn_data(autoplot(outputs, y = y, type = "calibration", seed = 1))
  expect_equal(parts[[3]]$x, found$predicted)
  expect_equal(parts[[3]]$y, found$observed)
  expect_equal(parts[[2]]$ymin, found$observed - 2 * found$std.error)
  breaks <- seq(0, 1, 0.1)
  expected <- table(cut(attr(found, "pit"), breaks))
  expect_equal(parts[[5]]$y, as.vector(expected))

  found <- calibration(of_classes, x, labels, draws = 40, seed = 1)
  plot <- autoplot(of_classes, x, labels, type = "calibration", draws = 40, seed = 1)
  parts <- rev(drawn_data(plot)) # a line between the points is there for two bins or more
  expect_equal(parts[[3]]$x, found$predicted)
  expect_equal(parts[[3]]$y, found$observed)
  expect_equal(parts[[2]]$y, found$count)
  expect_identical(plot$labels$x, "predicted probability")
})

test_that("uncertainty has two parts, in the unit of what is predicted", {
  for (each in list(model, of_classes)) {
    found <- uncertainty(each, x, draws = 40, seed = 1)
    plot <- autoplot(each, x, type = "uncertainty", feature = 3, draws = 40, seed = 1)
    parts <- drawn_data(plot)
    order <- order(x[, 3])
    expect_equal(parts[[1]]$ymax, found$aleatoric[order])
    expect_equal(parts[[2]]$ymin, found$aleatoric[order])
    expect_equal(parts[[2]]$ymax, found$total[order])
    unit <- if (identical(each, model)) "variance" else "entropy (nats)"
    expect_identical(plot$labels$y, unit)
  }
})

test_that("the surest weights are on top", {
  one <- compiled(1, likelihood_normal(scale = 1))
  means <- matrix(c(0.1, -3, 1))
  one$layers[[1]]$set_weights(list(means, matrix(0, 3), array(0.3)))
  plot <- autoplot(one, type = "weights", prob = 0.8, most = 2)
  parts <- drawn_data(plot)
  expected <- tidy(one, prob = 0.8)[2:3, ]
  expect_identical(as.character(plot$data$term), expected$term)
  expect_identical(levels(plot$data$term), rev(expected$term))
  expect_equal(parts[[2]]$xmin, expected$conf.low)
  expect_equal(parts[[2]]$xmax, expected$conf.high)
  expect_equal(parts[[3]]$x, expected$estimate)
  expect_identical(plot$labels$title, "2 of 3 weights")
  expect_null(autoplot(one, type = "weights")$labels$title)
})

test_that("what does not fit is refused", {
  expect_refused(autoplot(outputs, x, type = "curve"), "`type` must be one of 'interval', ")
  expect_refused(autoplot(outputs, x, type = c("interval", "weights")), "`type` must be one of")
  for (feature in list(0, 4, 1.5, "a", NA)) {
    expect_refused(
      autoplot(outputs, x, feature = feature), "`feature` must be a whole number from 1 to 3"
    )
  }
  expect_refused(autoplot(outputs), "`newdata` must be a matrix")
  expect_refused(autoplot(outputs, x[1:5, ]), "`newdata` must be of 12 rows")
  expect_refused(autoplot(outputs, x, prob = 1), "`prob` must be a number above 0")
  expect_refused(autoplot(outputs, x, y[1:5]), "`y` must be")
  expect_refused(autoplot(outputs, y = y[1:5], type = "predicted"), "`y` must be")
  expect_refused(autoplot(outputs, y = y[1:5], type = "calibration"), "`y` must be")
  expect_refused(autoplot(of_classes, x, draws = 9), "one of numbers, which have intervals")
  expect_refused(autoplot(outputs, type = "weights"), "`object` must be a model where")
  expect_refused(autoplot(model, type = "weights", most = 0), "`most` must be a whole number")
  certain <- keras$Sequential(list(keras$Input(shape = list(3L))))
  layer_dense_reparameterization(
    certain,
    units = 2, kernel_posterior_fn = posterior_deterministic()
  )
  expect_refused(autoplot(certain, type = "weights"), "at least one uncertain weight")
  pairs <- compiled(4, likelihood_normal())
  for (type in c("interval", "uncertainty")) {
    expect_refused(autoplot(pairs, x, type = type, draws = 9), "observations are one number each")
  }
})

test_that("draws of one output of several are plotted, several together are refused", {
  input <- keras$Input(shape = list(3L))
  both <- lapply(
    list(a = "a", b = "b"), function(name) layer_dense_flipout(input, units = 2, name = name)
  )
  several <- keras$Model(input, both)
  several$compile(loss = list(a = likelihood_normal(), b = likelihood_normal()))
  draws <- posterior_linpred(several, newdata = x, draws = 9, seed = 1)
  expect_length(drawn_data(autoplot(draws$b, x)), 2)
  expect_refused(autoplot(several, x, draws = 9), "`object` must be a model with one output")
})
