# What training shows, and what steers it, as R's users have it.

rows <- local({
  set.seed(1)
  list(x = matrix(rnorm(120), 40), y = rnorm(40))
})

network <- function(kl_weight = 1 / 40, loss = likelihood_normal()) {
  standing <- reticulate::import("keras")$optimizers$SGD(0)
  of_one_layer(loss, kl_weight = kl_weight, name = "only", optimizer = standing)
}

fitted <- function(model, ..., epochs = 3L) {
  y <- as.array(rows$y)
  history <- model$fit(
    rows$x, y, epochs = epochs, verbose = 0L, callbacks = list(...),
    validation_data = reticulate::tuple(rows$x, y)
  )
  lapply(history$history, unlist)
}

test_that("the history has the parts of the loss", {
  model <- network()
  history <- fitted(model, callback_kl_history())
  expect_setequal(names(history), c("loss", "nll", "kl", "kl_weight", "val_loss", "val_nll"))
  expect_equal(history$loss, history$nll + history$kl_weight * history$kl, tolerance = 1e-5)
  expect_equal(history$kl_weight, rep(1 / 40, 3), tolerance = 1e-5)
  loss <- numbers(model$layers[[1]]$losses[[1]])
  expect_equal(history$kl[3], loss * 40, tolerance = 1e-4)
  expect_setequal(names(fitted(model)), c("loss", "val_loss"))
})

test_that("the weight of the divergence is annealed", {
  model <- network()
  history <- fitted(
    model, callback_kl_annealing(epochs = 2, start = 0), callback_kl_history(),
    epochs = 4L
  )
  expect_equal(history$kl_weight, c(0, 1 / 80, 1 / 40, 1 / 40), tolerance = 1e-5)
  expect_equal(model$layers[[1]]$kl_weight, 1 / 40)
  fitted(model, callback_kl_annealing(epochs = 2, end = 0.5, shape = "cosine", per = "batch"))
  expect_equal(model$layers[[1]]$kl_weight, 0.5)
})

test_that("the bound is the sum of its parts", {
  model <- network()
  found <- elbo(model, rows$x, rows$y, draws = 200, seed = 1)
  densities <- log_lik(model, rows$x, rows$y, draws = 200, seed = 1)
  expect_s3_class(found, "layerapi_elbo")
  expect_equal(found$nll, -mean(rowSums(densities)), tolerance = 1e-5)
  expect_equal(found$kl, numbers(model$layers[[1]]$losses[[1]]) * 40, tolerance = 1e-4)
  expect_equal(found$elbo, -(found$nll + found$kl))
  expect_equal(found$kl_per_row, found$kl / 40)
  expect_identical(as.numeric(found$rows), 40)
  expect_equal(found$layers, c(only = found$kl))
  sd <- sqrt(mean((rows$y - mean(rows$y))^2))
  expect_equal(found$guessing, -mean(dnorm(rows$y, mean(rows$y), sd, TRUE)), tolerance = 1e-4)
  expect_length(found$advice, 0)
  printed <- capture.output(returned <- withVisible(print(found)))
  expect_false(returned$visible)
  expect_match(printed[1], "40 rows +total +per row")
  expect_match(printed[4], "only")
})

test_that("the bound comes with advice", {
  advice <- elbo(network(kl_weight = 1), rows$x, rows$y, draws = 2, seed = 1)$advice
  expect_match(advice, "use set_kl_weight(model, 1 / 40).", fixed = TRUE)
})

test_that("elbo() takes a data frame and a likelihood by name", {
  model <- network(loss = "mse")
  data <- as.data.frame(rows$x)
  found <- elbo(model, data, rows$y, draws = 5, seed = 1, likelihood = "normal")
  expect_equal(found, elbo(network(), rows$x, rows$y, draws = 5, seed = 1), tolerance = 1e-5)
})

test_that("the likelihood is a metric", {
  model <- network(kl_weight = 0)
  metric <- metric_negative_log_likelihood(likelihood_normal())
  keras <- reticulate::import("keras")
  loss <- likelihood_laplace()
  model$compile(optimizer = keras$optimizers$SGD(0), loss = loss, metrics = list(metric))
  expect_true(all(c("nll", "val_nll") %in% names(fitted(model))))
})

test_that("bad input is refused in Python's words", {
  expect_error(
    callback_kl_annealing(epochs = 0),
    "`epochs` must be a whole number of at least 1. Received: 0.",
    fixed = TRUE, class = "layerapi_ValueError"
  )
  expect_error(callback_kl_annealing(2, shape = "cosin"), "`shape` must be", fixed = TRUE)
  expect_error(callback_kl_annealing(2, per = "step"), "`per` must be", fixed = TRUE)
  expect_error(callback_kl_annealing(2, start = -1), "`start` must be", fixed = TRUE)
  expect_error(callback_kl_history(epochs = 1), "epochs")
  expect_error(
    elbo(network(), rows$x, rows$y[-1]), "`y` must be an array of shape [40]",
    fixed = TRUE
  )
  plain <- reticulate::import("keras")$Sequential()
  expect_error(elbo(plain, rows$x, rows$y), "`object` must be a model", fixed = TRUE)
  keras <- reticulate::import("keras")
  plain <- keras$Sequential(list(keras$Input(shape = list(3L)), keras$layers$Dense(2L)))
  expect_error(
    elbo(plain, rows$x, rows$y, likelihood = "normal"),
    "`object` must be a model with at least one variational layer",
    fixed = TRUE
  )
  plain$compile(optimizer = "sgd", loss = likelihood_normal())
  expect_error(
    plain$fit(rows$x, as.array(rows$y), verbose = 0L, callbacks = list(callback_kl_history())),
    "at least one variational layer"
  )
  expect_error(metric_negative_log_likelihood("norml"), "'normal'", fixed = TRUE)
})
