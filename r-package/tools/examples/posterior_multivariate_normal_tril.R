layer_dense_variational(units = 1, make_posterior_fn = posterior_multivariate_normal_tril())
