keras <- reticulate::import("keras")
wide <- posterior_mean_field_normal(
  untransformed_scale_initializer = keras$initializers$Constant(0)
)
layer <- layer_dense_flipout(units = 10, kernel_posterior_fn = wide)
