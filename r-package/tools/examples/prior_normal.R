layer <- layer_dense_flipout(
  units = 10, kernel_prior_fn = prior_normal(scale = "he_normal"), activation = "relu"
)
