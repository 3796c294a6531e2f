keras <- reticulate::import("keras")
model <- keras$Sequential(list(keras$Input(shape = list(16L, 16L, 16L, 1L))))
model %>%
  layer_conv_3d_flipout(filters = 8, kernel_size = 3, activation = "relu")
model$compile(optimizer = "adam", loss = "mse")
