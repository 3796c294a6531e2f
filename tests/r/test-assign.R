# Attributes of a layer, set from R.

test_that("an attribute is set as an argument is, on the layer itself", {
  layer <- layer_dense_flipout(units = 2, seed = 1)
  same <- layer
  layer$kl_weight <- 0.5
  expect_identical(reticulate::py_id(layer), reticulate::py_id(same))
  expect_identical(same$kl_weight, 0.5)
  layer[["kl_weight"]] <- 0.25
  expect_identical(same$kl_weight, 0.25)
  expect_error(
    layer$activity_regularizer <- NULL, "must be left as it is",
    class = "layerapi_AttributeError"
  )
  layer$trainable <- FALSE
  expect_length(built()$trainable_weights, 3)
  layer$build(list(NULL, 3L))
  expect_length(same$trainable_weights, 0)
})

test_that("whole numbers, vectors and NA arrive as they do as arguments", {
  layer <- layer_dense_flipout(units = 2)
  type_of <- function(value) {
    layer$mine <- value
    reticulate::import_builtins()$repr(reticulate::py_get_attr(layer, "mine"))
  }
  expect_identical(type_of(10), "10")
  expect_identical(type_of(2.5), "2.5")
  expect_identical(type_of(NA), "nan")
  expect_identical(type_of("a"), "'a'")
})

test_that("a function is called with what it would get as an argument", {
  layer <- layer_dense_flipout(units = 2, seed = 1, bias_posterior_fn = "mean_field_normal")
  received <- NULL
  layer$bias_posterior_tensor_fn <- function(d) {
    received <<- tfd_mean(d)
    received
  }
  layer$kernel_posterior_tensor_fn <- function(d) tfd_mean(d)
  layer$build(list(NULL, 3L))
  x <- matrix(c(1, -1, 2), 1)
  output <- array_of(layer(x))
  weights <- layer$get_weights()
  expect_equal(output, x %*% weights[[1]] + matrix(weights[[3]], 1), tolerance = 1e-6)
  expect_identical(array_of(received), weights[[3]])
  expect_type(received$`__class__`$`__name__`, "character")
})

test_that("what Python says is an error of R, and the layer is as it was", {
  layer <- built()
  error <- expect_error(layer$losses <- list(), class = "layerapi_AttributeError")
  expect_s3_class(error, "layerapi_error")
  expect_identical(conditionCall(error), quote(layer$losses <- value))
  expect_length(layer$losses, 1)
})

test_that("a layer of Keras 2 takes them in the same way", {
  only_tensorflow("Keras 2 runs on TensorFlow alone")
  tf_keras <- reticulate::import("tf_keras")
  model <- tf_keras$Sequential(list(tf_keras$Input(shape = list(3L))))
  model %>% layer_dense_flipout(units = 2)
  layer <- model$layers[[1]]
  layer$trainable <- FALSE
  expect_length(model$trainable_weights, 0)
  layer$mine <- 10
  expect_type(layer$mine, "integer")
  expect_error(layer$losses <- list(), class = "layerapi_AttributeError")
})

test_that("the weight of the divergence is set in all layers of a model", {
  keras <- reticulate::import("keras")
  model <- keras$Sequential(list(keras$Input(shape = list(3L))))
  model %>% layer_dense_flipout(units = 2) %>% layer_dense_variational(units = 1)
  model$compile(optimizer = "sgd", loss = "mse")
  x <- matrix(1, 4, 3)
  model$evaluate(x, matrix(0, 4, 1), verbose = 0L)
  result <- withVisible(set_kl_weight(model, 0.5))
  expect_false(result$visible)
  expect_identical(reticulate::py_id(result$value), reticulate::py_id(model))
  expect_identical(vapply(model$layers, function(layer) layer$kl_weight, 0), c(0.5, 0.5))
  set_kl_weight(model, 0)
  without <- model$evaluate(x, matrix(0, 4, 1), verbose = 0L)
  set_kl_weight(model, 10)
  expect_gt(model$evaluate(x, matrix(0, 4, 1), verbose = 0L), without + 10)
  expect_error(set_kl_weight(model, -1), "must be a finite number", class = "layerapi_ValueError")
  expect_error(model$layers[[1]]$kl_weight <- "a", "must be a finite number")
  built <- model$layers[[1]]
  expect_error(
    built$kernel_posterior_tensor_fn <- "mean", "from_config", class = "layerapi_AttributeError"
  )
})
