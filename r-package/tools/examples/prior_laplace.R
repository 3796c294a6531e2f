layer <- layer_dense_flipout(units = 10, kernel_prior_fn = prior_laplace(scale = 0.5))
