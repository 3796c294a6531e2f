tfd <- reticulate::import("tensorflow_probability")$distributions
layer <- layer_distribution_lambda(
  make_distribution_fn = function(inputs) tfd$Independent(tfd$Normal(inputs, 1), 1L)
)
