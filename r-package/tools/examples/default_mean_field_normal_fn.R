layer <- layer_dense_flipout(units = 10, bias_posterior_fn = default_mean_field_normal_fn())
