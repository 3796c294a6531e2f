# The layer in models: the pipe, the mathematics, seeds, training and saving.

scale_of <- function(untransformed) {
  2^-23 + log1p(exp(untransformed))
}

test_that("%>% and |> add layers from the left to the right, and return the same model", {
  model <- new_model()
  result <- withVisible(
    model %>%
      layer_dense_flipout(units = 10, name = "a") %>%
      layer_dense_flipout(units = 5, name = "b")
  )
  expect_false(result$visible)
  expect_identical(reticulate::py_id(result$value), reticulate::py_id(model))
  model |> layer_dense_flipout(units = 1, name = "c")
  expect_identical(vapply(model$layers, function(layer) layer$name, ""), c("a", "b", "c"))
})

test_that("without an object, or with NULL, the layer itself is the result", {
  expect_s3_class(layer_dense_flipout(units = 2), "layer_api.layers.dense.DenseFlipout")
  expect_s3_class(layer_dense_flipout(NULL, 2), "layer_api.layers.dense.DenseFlipout")
  expect_s3_class(layer_dense_flipout(units = 2), "keras.src.layers.layer.Layer")
})

test_that("on tensors and matrices the layer is called", {
  input <- keras$Input(shape = list(3L))
  output <- input %>% layer_dense_flipout(units = 2)
  expect_s3_class(output, "keras.src.backend.common.keras_tensor.KerasTensor")
  expect_identical(output$shape, list(NULL, 2L))
  output <- matrix(1, 4, 3) %>% layer_dense_flipout(units = 2)
  expect_identical(dim(array_of(output)), c(4L, 2L))
  output <- keras$ops$ones(c(2L, 5L, 3L)) %>% layer_dense_flipout(units = 2)
  expect_identical(dim(array_of(output)), c(2L, 5L, 2L))
})

test_that("outputs have the mean and the variance of the design", {
  layer <- layer_dense_flipout(units = 2, seed = 1)
  x <- matrix(c(0.5, -1, 2), 1)
  layer(x)
  loc <- matrix(c(0.3, -0.2, 0.1, 0.4, 0, -0.5), 3)
  untransformed <- matrix(c(-1, 0, 1, -2, 0.5, -0.5), 3)
  bias <- array(c(0.7, -0.3))
  layer$set_weights(list(loc, untransformed, bias))
  n <- 500
  draws <- t(replicate(n, numbers(layer(x))))
  variance <- as.vector(x^2 %*% scale_of(untransformed)^2)
  # A mean of n draws has the standard error sqrt(variance / n). Given the draw of the kernel the
  # output is a sum of 3 products with random signs, whose sum has the kurtosis of a normal: the
  # standard error of its variance is variance * sqrt(2 / n).
  z_mean <- (colMeans(draws) - (as.vector(x %*% loc) + bias)) / sqrt(variance / n)
  z_variance <- (apply(draws, 2, stats::var) / variance - 1) / sqrt(2 / n)
  expect_lt(max(abs(z_mean)), 5)
  expect_lt(max(abs(z_variance)), 5)
})

test_that("rows of a batch are uncorrelated over calls", {
  only_in_full("draws 500 times, one by one")
  layer <- layer_dense_flipout(units = 1, seed = 2, bias_posterior_fn = NULL)
  x <- matrix(1, 2, 3)
  layer(x)
  n <- 500
  draws <- t(replicate(n, numbers(layer(x))))
  # The correlation of n pairs of uncorrelated draws has the standard error 1 / sqrt(n).
  expect_lt(abs(stats::cor(draws)[1, 2]), 5 / sqrt(n))
})

test_that("the divergence is the closed form, once, times kl_weight", {
  layer <- layer_dense_flipout(units = 2, seed = 3, kl_weight = 0.25)
  layer(matrix(1, 1, 3))
  weights <- layer$get_weights()
  expect_length(weights, 3)
  scale <- scale_of(weights[[2]])
  divergence <- sum(log(1 / scale) + (scale^2 + weights[[1]]^2 - 1) / 2)
  layer(matrix(1, 1, 3))
  expect_length(layer$losses, 1)
  expect_equal(numbers(layer$losses[[1]]), 0.25 * divergence, tolerance = 1e-6)
  expect_length(built(kernel_prior_fn = NULL)$losses, 0)
  expect_length(built(kernel_divergence_fn = NULL)$losses, 0)
  expect_length(built(bias_prior_fn = "standard_normal")$losses, 2)
})

test_that("a seed governs every draw; without one, layers differ", {
  x <- matrix(1, 4, 3)
  draw <- function(...) {
    layer <- layer_dense_flipout(units = 2, bias_posterior_fn = "mean_field_normal", ...)
    list(array_of(layer(x)), array_of(layer(x)), layer$get_weights())
  }
  expect_identical(draw(seed = 7), draw(seed = 7))
  one <- draw(seed = 7)
  other <- draw(seed = 8)
  expect_false(identical(one[[1]], one[[2]]))
  for (i in 1:2) {
    expect_false(any(one[[i]] == other[[i]]))
  }
  expect_false(any(draw()[[3]][[1]] == draw()[[3]][[1]]))
  keras$utils$set_random_seed(11L)
  first <- draw()
  keras$utils$set_random_seed(11L)
  expect_identical(draw(), first)
})

test_that("a model trains, and its loss is that of the data plus the divergence", {
  x <- matrix(sin(seq_len(300)), 100)
  y <- x %*% c(1, -2, 3)
  model <- new_model() %>%
    layer_dense_flipout(units = 8, activation = "relu", seed = 1, kl_weight = 1 / 100) %>%
    layer_dense_flipout(units = 1, seed = 2, kl_weight = 1 / 100)
  model$compile(optimizer = keras$optimizers$Adam(0.02), loss = "mse", metrics = list("mse"))
  history <- model$fit(x, y, epochs = 60L, batch_size = 50L, verbose = 0L)
  loss <- unlist(history$history$loss)
  expect_lt(mean(utils::tail(loss, 5)), loss[1] / 2)
  divergence <- function() loss_of(model)
  logs <- model$evaluate(x, y, batch_size = 100L, verbose = 0L, return_dict = TRUE)
  expect_equal(logs$loss, logs$mse + divergence(), tolerance = 1e-5)
})

test_that("a saved model continues where it was, to the last bit", {
  x <- matrix(sin(seq_len(30)), 10)
  model <- new_model() %>%
    layer_dense_flipout(units = 4, seed = 1, kernel_prior_fn = prior_standard_normal()) %>%
    layer_dense_flipout(units = 1, kernel_divergence_fn = divergence_kl_divergence(0.5))
  model$predict(x, verbose = 0L)
  file <- tempfile(fileext = ".keras")
  on.exit(unlink(file))
  model$save(file)
  loaded <- keras$saving$load_model(file)
  expect_identical(loaded$get_weights(), model$get_weights())
  expect_identical(loaded$predict(x, verbose = 0L), model$predict(x, verbose = 0L))
})
