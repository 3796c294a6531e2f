keras <- reticulate::import("keras")
model <- keras$Sequential(list(keras$Input(shape = list(13L))))
model %>%
  layer_dense_flipout(units = 1) %>%
  set_kl_weight(1 / 506)
model$layers[[1]]$kl_weight
