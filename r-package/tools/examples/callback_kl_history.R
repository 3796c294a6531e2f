keras <- reticulate::import("keras")
model <- keras$Sequential(list(keras$Input(shape = list(3L))))
model %>% layer_dense_flipout(units = 2, kl_weight = 1 / 100)
model$compile(optimizer = "adam", loss = likelihood_normal())
x <- matrix(rnorm(300), 100)
y <- x[, 1, drop = FALSE]
history <- model$fit(x, y, verbose = 0L, callbacks = list(callback_kl_history()))
history$history$nll
history$history$kl
