# The way tfprobability's layer_dense_flipout is used: only the library changes.

test_that("a classifier with a divergence of its own trains, on Keras 3 and on Keras 2", {
  x <- matrix(sin(1:512), 128, 4)
  y <- array(as.integer(x[, 1] + x[, 2] > 0))
  kl <- function(q, p, ignore) tfd_kl_divergence(q, p) / nrow(x)
  # Keras 2 runs on TensorFlow alone.
  apis <- c(keras, if (backend == "tensorflow") reticulate::import("tf_keras"))
  for (api in apis) {
    api$utils$set_random_seed(1L)
    model <- api$Sequential(list(api$Input(shape = list(4L))))
    model %>%
      layer_dense_flipout(units = 16, activation = "relu", kernel_divergence_fn = kl) %>%
      layer_dense_flipout(units = 2, activation = "softmax", kernel_divergence_fn = kl)
    model$compile(
      optimizer = api$optimizers$Adam(0.02), loss = "sparse_categorical_crossentropy",
      metrics = list("accuracy")
    )
    history <- model$fit(x, y, epochs = 25L, verbose = 0L)$history
    expect_lt(history$loss[[25]], history$loss[[1]] - 0.3)
    expect_gt(history$accuracy[[25]], 0.85)
  }
})
