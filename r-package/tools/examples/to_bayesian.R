keras <- reticulate::import("keras")
model <- keras$Sequential(list(
  keras$Input(shape = list(13L)),
  keras$layers$Dense(32L, activation = "relu"),
  keras$layers$Dense(1L)
))
model$compile(optimizer = "adam", loss = "mse") # and fit()
bayesian <- to_bayesian(model, prior = "pretrained", kl_weight = 1 / 506)
last_layer <- to_bayesian(model, layers = "last", kl_weight = 1 / 506)
