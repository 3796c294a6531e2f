# Objects of Keras 2, made by reticulate: the same functions make layers of tfp.layers.

keras_2 <- function() {
  only_tensorflow("Keras 2 runs on TensorFlow alone")
  reticulate::import("tf_keras")
}

legacy_model <- function() {
  tf_keras <- keras_2()
  tf_keras$Sequential(list(tf_keras$Input(shape = list(3L))))
}

test_that("a model of Keras 2 gets the layers, is returned invisibly, and trains", {
  model <- legacy_model()
  result <- withVisible(
    model %>%
      layer_dense_flipout(units = 4, activation = "tanh", kl_weight = 1e-4, seed = 1) %>%
      layer_dense_variational(units = 1, kl_weight = 1e-4, seed = 2)
  )
  expect_false(result$visible)
  expect_identical(reticulate::py_id(result$value), reticulate::py_id(model))
  expect_length(model$layers, 2)
  expect_s3_class(model$layers[[1]], "tf_keras.src.engine.base_layer.Layer")
  x <- matrix(sin(1:96), 32, 3)
  y <- matrix(x[, 1] - x[, 2], 32, 1)
  model$compile(optimizer = keras_2()$optimizers$legacy$Adam(0.05), loss = "mse")
  losses <- model$fit(x, y, epochs = 30L, verbose = 0L)$history$loss
  expect_lt(losses[[30]], losses[[1]] / 2)
})

test_that("a symbolic tensor of Keras 2 is passed on", {
  output <- keras_2()$Input(shape = list(3L)) %>% layer_dense_reparameterization(units = 2)
  expect_s3_class(output, "tf_keras.src.engine.keras_tensor.KerasTensor")
})

test_that("functions of R are the layer's, as with Keras 3", {
  model <- legacy_model()
  model %>% layer_dense_flipout(
    units = 2,
    kernel_posterior_tensor_fn = function(d) tfd_mean(d),
    kernel_divergence_fn = function(q, p, ignore) tfd_kl_divergence(q, p) / 10
  )
  layer <- model$layers[[1]]
  x <- matrix(1, 2, 3)
  output <- model(x)
  expect_identical(output$numpy(), model(x)$numpy())
  divergence <- tfd_kl_divergence(layer$kernel_posterior, layer$kernel_prior)
  expect_equal(
    as.numeric(model$losses[[1]]$numpy()), as.numeric(divergence$numpy()) / 10,
    tolerance = 1e-6
  )
})

test_that("the messages are those of Keras 3", {
  model <- legacy_model()
  expect_error(
    model %>% layer_dense_flipout(units = 0),
    "`units` must be a whole number of at least 1. Received: 0.",
    class = "layerapi_ValueError", fixed = TRUE
  )
  expect_error(
    model %>% layer_conv_1d_flipout(filters = 2, kernel_size = 2, padding = "causal"),
    "`padding` must be 'valid' or 'same' for an object of Keras 2.",
    class = "layerapi_ValueError", fixed = TRUE
  )
})

test_that("a whole model is saved, and a new session loads it", {
  model <- legacy_model()
  model %>% layer_dense_flipout(units = 2, seed = 1)
  file <- tempfile(fileext = ".keras")
  on.exit(unlink(file))
  model$save(file)
  output <- in_new_session(c(
    "library(layerapi)", # which brings distutils back, where Python has dropped it
    "core <- system.file('python', package = 'layerapi')",
    "reticulate::import_from_path('layer_api.keras_2', core)",
    sprintf("model <- reticulate::import('tf_keras')$models$load_model(%s)", deparse(file)),
    "cat(format(model(matrix(1, 2, 3))$numpy(), digits = 9))"
  ), "PYTHONPATH=")
  expect_match(output, paste(format(model(matrix(1, 2, 3))$numpy(), digits = 9), collapse = " "))
})

test_that("a function that cannot be saved is refused when saving", {
  model <- legacy_model()
  model %>% layer_dense_flipout(units = 2, activation = function(x) x)
  expect_error(model$save(tempfile(fileext = ".keras")), "`activation` cannot be saved: it is")
})

test_that("a layer is printed and summarized as one of Keras 3", {
  model <- legacy_model()
  model %>%
    layer_dense_flipout(units = 2, kl_weight = 0.5, seed = 1, name = "mine") %>%
    layer_dense_variational(units = 1, name = "other")
  layer <- model$layers[[1]]
  ours <- layer_dense_flipout(units = 2, kl_weight = 0.5, seed = 1, name = "mine")
  ours$build(list(NULL, 3L))
  ours$set_weights(layer$get_weights())
  line <- "<DenseFlipout name=mine, of Keras 2, units=2, seed=1, kl_weight=0.5, built=True>"
  expect_identical(capture.output(print(layer)), line)
  expect_identical(
    capture.output(print(model$layers[[2]])),
    "<DenseVariational name=other, of Keras 2, units=1, built=True>"
  )
  expect_identical(summary(layer)$layer, line)
  expect_equal(summary(layer)[-1], summary(ours)[-1], tolerance = 1e-6)
})

test_that("the summary of a layer of Keras 2 is of the weights that it has now", {
  posterior <- posterior_mean_field_normal(loc_regularizer = keras$regularizers$L2(0.5))
  arguments <- list(units = 2, kernel_posterior_fn = posterior, bias_prior_fn = "standard_normal")
  model <- do.call(layer_dense_flipout, c(legacy_model(), arguments))
  layer <- model$layers[[1]]
  model(matrix(1, 2, 3))
  ours <- do.call(layer_dense_flipout, arguments)
  ours$build(list(NULL, 3L))
  weights <- list(matrix(1:6 / 10, 3), matrix(-3, 3, 2), array(c(0.5, 1)))
  for (one in c(layer, ours)) {
    one$set_weights(weights)
  }
  expect_equal(summary(layer)$loss, summary(ours)$loss, tolerance = 1e-6)
  expect_gt(summary(ours)$loss, 0)
  without <- do.call(layer_dense_flipout, c(legacy_model(), list(units = 2, kl_weight = 0)))
  expect_identical(summary(without$layers[[1]])$loss, 0)
  unbuilt <- reticulate::import("tf_keras")$Sequential() %>% layer_dense_flipout(units = 2)
  expect_identical(
    capture.output(print(summary(unbuilt$layers[[1]])))[2],
    "No weights yet: call the layer, or add it to a model that knows its inputs."
  )
})
