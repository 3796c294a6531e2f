keras <- reticulate::import("keras")
model <- keras$Sequential(list(keras$Input(shape = list(10L), dtype = "int32")))
model %>%
  layer_embedding_reparameterization(input_dim = 1000, output_dim = 8)
model$output_shape
