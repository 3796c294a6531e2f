layer <- layer_dense_flipout(units = 10, bias_prior_fn = prior_standard_normal())
