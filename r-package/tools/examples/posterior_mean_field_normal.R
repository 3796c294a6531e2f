narrow <- posterior_mean_field_normal(loc_initializer = "he_normal", scale = 0.01)
layer <- layer_dense_flipout(units = 10, kernel_posterior_fn = narrow)
