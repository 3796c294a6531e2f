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
