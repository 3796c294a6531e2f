# Names, config objects and functions as `*_fn` arguments.

outputs_of <- function(layer) {
  array_of(layer(matrix(c(1, -1, 2), 1)))
}

# The functions of tfprobability's page, as its users write them.
test_that("functions with the signatures of the R reference page work", {
  n <- 50
  given <- built(
    kernel_posterior_tensor_fn = function(d) d %>% tfd_sample(),
    kernel_divergence_fn = function(q, p, ignore) tfd_kl_divergence(q, p) / n,
    bias_posterior_tensor_fn = function(d) d %>% tfd_sample(),
    bias_divergence_fn = function(q, p, ignore) tfd_kl_divergence(q, p)
  )
  default <- built()
  expect_equal(loss_of(given), loss_of(default) / n, tolerance = 1e-6)
  expect_identical(given$get_weights(), default$get_weights())
  expect_identical(dim(outputs_of(given)), c(1L, 2L))
})

test_that("TensorFlow Probability's own functions work, called from R", {
  only_tensorflow("TensorFlow Probability's layers run on TensorFlow alone")
  util <- reticulate::import("tensorflow_probability")$layers
  given <- built(
    kernel_posterior_fn = util$default_mean_field_normal_fn(),
    kernel_prior_fn = util$default_multivariate_normal_fn,
    bias_posterior_fn = util$default_mean_field_normal_fn(is_singular = TRUE)
  )
  given$set_weights(built()$get_weights())
  expect_equal(loss_of(given), loss_of(built()), tolerance = 1e-6)
})

test_that("an R function is a posterior, with variables that train", {
  posterior <- function(dtype, shape, name, trainable, add_variable_fn) {
    loc <- add_variable_fn(
      name = paste0(name, "_mine"), shape = shape, dtype = dtype, trainable = trainable,
      initializer = keras$initializers$Ones()
    )
    library_normal(loc, 0.5)
  }
  layer <- built(kernel_posterior_fn = posterior, bias_posterior_fn = NULL)
  expect_length(layer$trainable_weights, 1)
  expect_identical(layer$get_weights(), list(matrix(1, 3, 2)))
  expect_equal(array_of(tfd_stddev(layer$kernel_posterior)), matrix(0.5, 3, 2))
  # KL(N(1, 1/2) || N(0, 1)) of each of the 6 weights
  expect_equal(loss_of(layer), 6 * (log(2) + (0.25 + 1 - 1) / 2), tolerance = 1e-6)
})

test_that("R functions may call their variables by the same names", {
  same_names <- function(dtype, shape, name, trainable, add_variable_fn) {
    of_name <- function(name) {
      add_variable_fn(name = name, shape = shape, initializer = "random_normal")
    }
    library_normal(of_name("loc"), keras$ops$softplus(of_name("rho")))
  }
  layer <- built(
    kernel_posterior_fn = same_names, kernel_prior_fn = same_names, bias_posterior_fn = same_names
  )
  weights <- layer$get_weights()
  expect_length(unique(vapply(weights, function(array) array[1], 0)), 6)
  scale <- function(rho) log1p(exp(rho))
  q <- list(loc = weights[[1]], scale = scale(weights[[2]]))
  p <- list(loc = weights[[3]], scale = scale(weights[[4]]))
  truth <- sum(
    log(p$scale / q$scale) + (q$scale^2 + (q$loc - p$loc)^2) / (2 * p$scale^2) - 1 / 2
  )
  expect_gt(truth, 0)
  expect_equal(loss_of(layer), truth, tolerance = 1e-5)
  expect_equal(array_of(tfd_mean(layer$bias_posterior)), weights[[5]])

  count <- 0
  changing <- function(dtype, shape, name, trainable, add_variable_fn) {
    count <<- count + 1
    library_normal(add_variable_fn(name = paste0("loc_", count), shape = shape), 1)
  }
  layer <- built(kernel_posterior_fn = changing)
  expect_error(
    outputs_of(layer),
    paste(
      "`kernel_posterior_fn` must be a function that asks for the same variables whenever it is",
      "called. Received: one that asks for a variable named 'loc_3' once the layer is built."
    ),
    fixed = TRUE
  )
})

test_that("an R function is a prior without a closed form, and the estimate is unbiased", {
  layer <- built(kernel_prior_fn = function(dtype, shape, name, trainable, add_variable_fn) {
    library_laplace(keras$ops$zeros(shape), 1)
  })
  layer(matrix(1, 1, 3))
  weights <- layer$get_weights()
  scale <- 2^-23 + log1p(exp(weights[[2]]))
  # KL(q || Laplace(0, 1)) = E|w| + log 2 - entropy(q), with the mean of a folded normal
  loc <- weights[[1]]
  folded <- scale * sqrt(2 / pi) * exp(-(loc / scale)^2 / 2) + loc * (1 - 2 * pnorm(-loc / scale))
  truth <- sum(folded + log(2) - 0.5 * log(2 * pi * exp(1) * scale^2))
  n <- 400
  estimates <- replicate(n, {
    layer(matrix(1, 1, 3)) # draws again
    loss_of(layer)
  })
  expect_gt(stats::sd(estimates), 0)
  expect_lt(abs(mean(estimates) - truth), 5 * stats::sd(estimates) / sqrt(n))
})

test_that("'mean' makes predictions without noise", {
  layer <- built(kernel_posterior_tensor_fn = "mean", bias_posterior_tensor_fn = "mean")
  expect_identical(outputs_of(layer), outputs_of(layer))
  weights <- layer$get_weights()
  expect_equal(
    outputs_of(layer), matrix(c(1, -1, 2), 1) %*% weights[[1]] + matrix(weights[[3]], 1),
    tolerance = 1e-6
  )
})

test_that("config objects are the names with their arguments", {
  layer <- built(
    kernel_posterior_fn = posterior_mean_field_normal(
      loc_initializer = "zeros",
      untransformed_scale_initializer = keras$initializers$Constant(1),
      loc_regularizer = keras$regularizers$L2(0.5)
    ),
    kernel_prior_fn = prior_standard_normal(),
    kernel_divergence_fn = divergence_kl_divergence(weight = 0.1),
    bias_posterior_fn = posterior_deterministic(loc_initializer = "ones")
  )
  weights <- layer$get_weights()
  expect_identical(weights, list(matrix(0, 3, 2), matrix(1, 3, 2), array(c(1, 1))))
  scale <- 2^-23 + log1p(exp(1))
  expect_equal(loss_of(layer), 0.1 * 6 * (log(1 / scale) + (scale^2 - 1) / 2), tolerance = 1e-6)
  expect_identical(
    reticulate::py_id(layer$kernel_posterior_fn$loc_regularizer$`__class__`),
    reticulate::py_id(keras$regularizers$L2)
  )
})

test_that("tfprobability's default functions exist under their names", {
  layer <- built(
    kernel_posterior_fn = default_mean_field_normal_fn(),
    kernel_prior_fn = default_multivariate_normal_fn,
    bias_posterior_fn = default_mean_field_normal_fn(is_singular = TRUE)
  )
  expect_equal(loss_of(layer), loss_of(built()), tolerance = 1e-6)
  expect_identical(layer$get_weights(), built()$get_weights())
})

test_that("a function that cannot be saved is refused by its argument's name", {
  model <- new_model() %>%
    layer_dense_flipout(units = 1, kernel_posterior_tensor_fn = function(d) d %>% tfd_sample())
  file <- tempfile(fileext = ".keras")
  error <- expect_error(model$save(file))
  expect_match(
    conditionMessage(error), "`kernel_posterior_tensor_fn` cannot be saved: it is a function",
    fixed = TRUE
  )
})
