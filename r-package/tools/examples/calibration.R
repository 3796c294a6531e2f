keras <- reticulate::import("keras")
model <- keras$Sequential(list(keras$Input(shape = list(3L))))
model %>% layer_dense_flipout(units = 2)
model$compile(optimizer = "adam", loss = likelihood_normal())
x <- matrix(rnorm(30), 10)
found <- calibration(model, x, rep(0, 10), draws = 100, seed = 1)
found$observed - found$predicted # below 0 where intervals are too narrow
attr(found, "pit")
