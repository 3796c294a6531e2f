keras <- reticulate::import("keras")
model <- keras$Sequential(list(keras$Input(shape = list(13L))))
model %>% layer_dense_variational(
  units = 1, make_posterior_fn = "multivariate_normal_tril", kl_weight = 1 / 506
)
