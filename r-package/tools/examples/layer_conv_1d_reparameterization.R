keras <- reticulate::import("keras")
model <- keras$Sequential(list(keras$Input(shape = list(100L, 8L))))
model %>%
  layer_conv_1d_reparameterization(filters = 8, kernel_size = 3, activation = "relu")
model$compile(optimizer = "adam", loss = "mse")
