keras <- reticulate::import("keras")
model <- keras$Sequential(list(keras$Input(shape = list(1L))))
model %>% layer_variable(shape = c(3, 2), initializer = "random_normal")
model$output_shape
