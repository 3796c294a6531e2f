# The models that several test files have in common.

# A model of `features` numbers with one layer, which also gets `...`, compiled with a loss.
of_one_layer <- function(loss, units = 2, ..., features = 3L, optimizer = "adam", seed = 1) {
  keras <- reticulate::import("keras")
  model <- keras$Sequential(list(keras$Input(shape = list(features))))
  layer_dense_flipout(model, units = units, seed = seed, ...)
  model$compile(optimizer = optimizer, loss = loss)
  model
}
