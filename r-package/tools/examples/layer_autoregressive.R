keras <- reticulate::import("keras")
model <- keras$Sequential(list(keras$Input(shape = list(3L))))
model %>%
  layer_autoregressive(params = 2, hidden_units = c(10, 10), input_order = c(2, 1, 3))
model$output_shape
