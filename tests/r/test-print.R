# What a user sees.

shown <- function(value) capture.output(print(value))

test_that("a layer prints the arguments that differ from the defaults", {
  expect_identical(
    shown(layer_dense_flipout(units = 10, name = "hidden")),
    "<DenseFlipout name=hidden, units=10, built=False>"
  )
  layer <- layer_dense_flipout(
    units = 2, activation = "relu", kernel_prior_fn = prior_standard_normal(),
    bias_posterior_fn = NULL, seed = 1, kl_weight = 1 / 8, name = "output"
  )
  expect_identical(shown(layer), paste0(
    "<DenseFlipout name=output, units=2, activation=relu, kernel_prior_fn=StandardNormal(), ",
    "bias_posterior_fn=None, seed=1, kl_weight=0.125, built=False>"
  ))
  expect_invisible(print(layer))
})

test_that("a block prints the code that makes it, with the arguments that differ", {
  blocks <- c(
    "posterior_mean_field_normal()",
    'posterior_mean_field_normal(loc_initializer = keras$initializers$Zeros())',
    paste0(
      "posterior_mean_field_normal(loc_regularizer = keras$regularizers$L2(l2 = 0.5), ",
      "loc_constraint = keras$constraints$NonNeg(), ",
      "untransformed_scale_initializer = keras$initializers$Constant(value = 1))"
    ),
    "posterior_mean_field_normal(scale = 0.01)",
    "posterior_deterministic()",
    "posterior_multivariate_normal_tril()",
    "posterior_multivariate_normal_tril(off_diagonal_initializer = keras$initializers$Ones())",
    "prior_standard_normal()",
    "prior_normal()",
    "prior_normal(loc = 1, scale = 0.25)",
    'prior_normal(scale = "he_normal")',
    "prior_laplace(scale = 2)",
    "prior_scale_mixture(pi = 0.25)",
    "prior_trainable_normal()",
    "divergence_kl_divergence()",
    "divergence_kl_divergence(weight = 0.5)",
    "divergence_monte_carlo(n_samples = 5L)"
  )
  for (code in blocks) {
    expect_identical(shown(eval(parse(text = code))), code)
  }
  expect_identical(
    shown(posterior_mean_field_normal("zeros")),
    "posterior_mean_field_normal(loc_initializer = keras$initializers$Zeros())"
  )
  expect_identical(shown(default_mean_field_normal_fn()), "posterior_mean_field_normal()")
  expect_invisible(print(prior_normal()))
  layer <- layer_dense_flipout(
    units = 2, kernel_posterior_fn = posterior_mean_field_normal("zeros"), name = "mine"
  )
  expect_identical(shown(layer), paste0(
    "<DenseFlipout name=mine, units=2, ",
    "kernel_posterior_fn=MeanFieldNormal(loc_initializer=Zeros()), built=False>"
  ))
})

test_that("a block of the user prints its class", {
  python <- reticulate::py_run_string("
import layer_api

class Mine(layer_api.NormalPrior):
    pass
", local = TRUE)
  expect_identical(shown(python$Mine(scale = 2)), "Mine(scale = 2)")
})

test_that("a summary shows the posterior", {
  layer <- layer_dense_flipout(units = 2, name = "output", kl_weight = 0.5)
  expect_identical(shown(summary(layer)), c(
    "<DenseFlipout name=output, units=2, kl_weight=0.5, built=False>",
    "No weights yet: call the layer, or add it to a model that knows its inputs."
  ))
  layer$build(list(NULL, 3L))
  layer$set_weights(list(matrix(1:6 / 10, 3), matrix(-3, 3, 2), array(c(0, 1))))
  expect_identical(shown(summary(layer)), c(
    "<DenseFlipout name=output, units=2, kl_weight=0.5, built=True>",
    "",
    "Posterior of the weights",
    "       shape min_mean max_mean min_sd max_sd snr_5 snr_50 snr_95   kl",
    "kernel 3 x 2      0.1      0.6 0.0486 0.0486  2.57    7.2   11.8 15.6",
    "bias       2      0.0      1.0 0.0000 0.0000   NaN    NaN    NaN  NaN",
    "",
    "Sum of the losses (divergences times kl_weight): 7.8042"
  ))
  expect_equal(summary(layer)$loss, numbers(layer$losses[[1]]))
})

test_that("a summary shows a layer of 16 bits", {
  for (dtype in c("float16", "bfloat16", "mixed_bfloat16")) {
    layer <- layer_dense_flipout(units = 2, dtype = dtype)
    layer(matrix(1, 1, 3))
    weights <- summary(layer)$weights
    expect_identical(weights$shape, c("3 x 2", "2"))
    expect_true(all(is.finite(as.matrix(weights["kernel", -1]))))
    expect_true(is.finite(summary(layer)$loss))
  }
})
