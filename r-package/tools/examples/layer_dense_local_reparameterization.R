keras <- reticulate::import("keras")
model <- keras$Sequential(list(keras$Input(shape = list(13L))))
model %>%
  layer_dense_local_reparameterization(units = 32, activation = "relu", kl_weight = 1 / 506) %>%
  layer_dense_local_reparameterization(units = 1, kl_weight = 1 / 506)
model$compile(optimizer = "adam", loss = "mse")
