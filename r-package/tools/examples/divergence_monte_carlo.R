layer <- layer_dense_flipout(
  units = 10,
  kernel_prior_fn = prior_laplace(),
  kernel_divergence_fn = divergence_monte_carlo(n_samples = 5)
)
