keras <- reticulate::import("keras")
model <- keras$Sequential(list(keras$Input(shape = list(28L, 28L, 1L))))
model %>%
  layer_conv_2d_reparameterization(filters = 8, kernel_size = 3, activation = "relu")
model$compile(optimizer = "adam", loss = "mse")
