keras <- reticulate::import("keras")
model <- keras$Sequential(list(keras$Input(shape = list(13L))))
model %>%
  layer_dense_flipout(units = 1)
plain <- to_deterministic(model)
