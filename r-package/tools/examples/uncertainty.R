keras <- reticulate::import("keras")
model <- keras$Sequential(list(keras$Input(shape = list(3L))))
model %>% layer_dense_flipout(units = 2)
model$compile(optimizer = "adam", loss = likelihood_normal())
x <- matrix(rnorm(30), 10)
parts <- uncertainty(model, x, draws = 100, seed = 1)
parts$epistemic / parts$total # the share that more data would remove
