layer <- layer_dense_flipout(units = 10, kernel_prior_fn = prior_scale_mixture(pi = 0.25))
