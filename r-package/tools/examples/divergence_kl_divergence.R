layer <- layer_dense_flipout(
  units = 10, kernel_divergence_fn = divergence_kl_divergence(weight = 1 / 60000)
)
