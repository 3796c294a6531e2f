keras <- reticulate::import("keras")
model <- keras$Sequential(list(keras$Input(shape = list(13L)), keras$layers$Dense(1L)))
near <- to_bayesian(model, prior = prior_pretrained_normal(scale = 0.5))
