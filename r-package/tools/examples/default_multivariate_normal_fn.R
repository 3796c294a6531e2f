layer <- layer_dense_flipout(units = 10, kernel_prior_fn = default_multivariate_normal_fn)
