keras <- reticulate::import("keras")
model <- keras$Sequential(list(keras$Input(shape = list(4L))))
model %>% layer_dense_flipout(units = 3)
model$compile(optimizer = "adam", loss = likelihood_categorical())
# The levels of the factor are the classes 0, 1 and 2.
densities <- log_lik(model, iris[1:4], iris$Species, draws = 100, seed = 1)
dim(densities)
