zero <- posterior_deterministic(loc_initializer = "zeros")
layer <- layer_dense_flipout(units = 10, bias_posterior_fn = zero)
