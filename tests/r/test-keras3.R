# Models of R's keras3, where it is installed.

test_that("a model of keras3 is composed, trained and saved by keras3's own verbs", {
  skip_if_not_installed("keras3")
  model <- keras3::keras_model_sequential(input_shape = 3L) %>%
    layer_dense_flipout(units = 4, activation = "relu", seed = 1, kl_weight = 1 / 64) %>%
    layer_dense_flipout(units = 1, seed = 2, kl_weight = 1 / 64)
  model %>% keras3::compile(optimizer = "adam", loss = "mse")
  x <- matrix(sin(seq_len(64 * 3)), 64)
  history <- model %>% keras3::fit(x, x %*% c(1, -1, 2), epochs = 3, verbose = 0)
  expect_lt(utils::tail(history$metrics$loss, 1), history$metrics$loss[1])
  file <- tempfile(fileext = ".keras")
  keras3::save_model(model, file)
  loaded <- keras3::load_model(file)
  expect_identical(loaded$predict(x, verbose = 0L), model$predict(x, verbose = 0L))
})

# The functions of a package `keras3` that has them as keras3 does, where that is not installed.
keras3_functions <- function(environment = parent.frame()) {
  name <- "keras3"
  if (requireNamespace(name, quietly = TRUE)) {
    return(asNamespace(name))
  }
  folder <- tempfile()
  package <- file.path(folder, name)
  dir.create(file.path(package, "R"), recursive = TRUE)
  writeLines(
    c("Package: keras3", "Version: 0.0.1", "Title: Functions as in keras3", "License: none",
      "Description: None.", "Author: None", "Maintainer: None <none@example.org>"),
    file.path(package, "DESCRIPTION")
  )
  writeLines("exportPattern('.')", file.path(package, "NAMESPACE"))
  writeLines(
    c(
      "keras <- NULL",
      ".onLoad <- function(libname, pkgname) keras <<- reticulate::import('keras')",
      "activation_relu <- function(x, negative_slope = 0, max_value = NULL, threshold = 0) {",
      "  do.call(keras$activations$relu, list(x, negative_slope, max_value, threshold))",
      "}",
      "activation_hard_silu <- structure(function(x) {",
      "  do.call(keras$activations$hard_silu, list(x))",
      "}, py_function_name = 'hard_silu')",
      "op_relu <- function(x) keras$ops$relu(x)",
      "op_sin <- function(x) keras$ops$sin(x)",
      "initializer_ones <- function() do.call(keras$initializers$Ones, list())",
      "regularizer_l2 <- function(l2 = 0.01) do.call(keras$regularizers$L2, list(l2))",
      "constraint_nonneg <- function() do.call(keras$constraints$NonNeg, list())",
      "activation_mine <- function(x) x"
    ),
    file.path(package, "R", "functions.R")
  )
  library <- file.path(folder, "library")
  dir.create(library)
  utils::install.packages(package, library, repos = NULL, type = "source", quiet = TRUE)
  withr::defer({
    unloadNamespace(name)
    unlink(folder, recursive = TRUE)
  }, environment)
  loadNamespace(name, lib.loc = library)
}

test_that("keras3's functions are Keras's own, and can be saved", {
  keras3 <- keras3_functions()
  is_same <- function(fun, python) {
    expect_identical(
      reticulate::py_id(layerapi:::to_python(fun)), reticulate::py_id(python)
    )
  }
  is_same(keras3$activation_relu, keras$activations$relu)
  is_same(keras3$activation_hard_silu, keras$activations$hard_silu)
  is_same(keras3$op_sin, keras$ops$sin)
  is_same(keras3$initializer_ones, keras$initializers$Ones)
  is_same(keras3$regularizer_l2, keras$regularizers$L2)
  is_same(keras3$constraint_nonneg, keras$constraints$NonNeg)

  for (activation in c(keras3$activation_relu, keras3$op_relu)) {
    model <- new_model() %>% layer_dense_flipout(
      units = 2, activation = activation,
      kernel_posterior_fn = posterior_mean_field_normal(
        loc_initializer = keras3$initializer_ones, loc_regularizer = keras3$regularizer_l2,
        loc_constraint = keras3$constraint_nonneg
      )
    )
    expect_identical(model$layers[[1]]$get_config()$activation, "relu")
    expect_identical(model$get_weights()[[1]], matrix(1, 3, 2))
    file <- tempfile(fileext = ".keras")
    model$save(file)
    loaded <- keras$saving$load_model(file)
    x <- matrix(c(1, -1, 2), 1)
    expect_identical(loaded$predict(x, verbose = 0L), model$predict(x, verbose = 0L))
  }
})

test_that("a function that only resembles keras3's is the user's own", {
  keras3 <- keras3_functions()
  activation_relu <- structure(function(x) 2 * x, py_function_name = "relu")
  in_keras3 <- activation_relu
  environment(in_keras3) <- keras3
  funs <- list(activation_relu, in_keras3)
  for (fun in funs) {
    layer <- layer_dense_flipout(units = 2, activation = fun, seed = 1)
    x <- matrix(c(1, -1, 2), 1)
    expected <- 2 * array_of(layer_dense_flipout(units = 2, seed = 1)(x))
    expect_identical(array_of(layer(x)), expected)
  }
})

test_that("with keras3, layers are of Keras 3 though tfprobability asks for Keras 2", {
  only_tensorflow("TF_USE_LEGACY_KERAS is TensorFlow's")
  kind <- function(...) {
    in_new_session(
      c(
        "library(layerapi)",
        ...,
        "cat(inherits(layer_dense_flipout(units = 2), 'keras.src.layers.layer.Layer'))"
      ),
      "TF_USE_LEGACY_KERAS=1"
    )
  }
  expect_match(kind(), "FALSE$")
  keras3 <- keras3_functions()
  folder <- dirname(getNamespaceInfo(keras3, "path"))
  expect_match(kind(sprintf("invisible(loadNamespace('keras3', %s))", deparse(folder))), "TRUE$")
  # As library(tfprobability) does it, once Python runs.
  expect_match(
    kind(
      "Sys.setenv(TF_USE_LEGACY_KERAS = 0)",
      "invisible(layer_dense_flipout(units = 2))",
      "Sys.setenv(TF_USE_LEGACY_KERAS = 1)"
    ),
    "TRUE$"
  )
})
