keras <- reticulate::import("keras")
model <- keras$Sequential(list(keras$Input(shape = list(28L, 28L, 3L))))
model %>%
  layer_depthwise_conv_2d_flipout(kernel_size = 3, depth_multiplier = 2, activation = "relu")
model$output_shape
