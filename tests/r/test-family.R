# The other layers in R: their mathematics, and R's functions as their arguments.

scale_of <- function(untransformed) {
  2^-23 + log1p(exp(untransformed))
}

# Standard errors by which the mean and the variance of n normal draws are off, for every column.
deviations <- function(draws, mean, variance) {
  n <- nrow(draws)
  c(
    (colMeans(draws) - mean) / sqrt(variance / n),
    (apply(draws, 2, stats::var) / variance - 1) / sqrt(2 / n)
  )
}

draws_of <- function(layer, x, n = 500) {
  t(replicate(n, numbers(layer(x))))
}

test_that("outputs of the joint dense layer have the moments of its posterior", {
  layer <- layer_dense_variational(units = 2, seed = 1)
  x <- matrix(c(0.5, -1, 2), 1)
  layer(x)
  kernel <- matrix(c(0.3, -0.2, 0.1, 0.4, 0, -0.5), 3, byrow = TRUE)
  loc <- c(t(kernel), 0.7, -0.3)
  untransformed <- c(-1, 0, 1, -2, 0.5, -0.5, 0.2, -1.5)
  layer$set_weights(list(array(loc), array(untransformed)))
  scale <- scale_of(untransformed)
  mean <- as.vector(x %*% kernel) + loc[7:8]
  variance <- as.vector(x^2 %*% matrix(scale[1:6]^2, 3, byrow = TRUE)) + scale[7:8]^2
  expect_lt(max(abs(deviations(draws_of(layer, x), mean, variance))), 5)
  rows <- array_of(layer(x[c(1, 1, 1), ])) # one draw of the weights serves all rows
  expect_identical(rows, rows[c(1, 1, 1), ])
})

test_that("a linear regression with known noise ends in its exact posterior", {
  set.seed(1)
  n <- 40L
  noise <- 0.5
  x <- matrix(stats::rnorm(2 * n), n)
  y <- x %*% c(1, -0.5) + 0.3 + noise * stats::rnorm(n)
  design <- cbind(x, 1)
  covariance <- solve(crossprod(design) / noise^2 + diag(3))
  mean <- covariance %*% crossprod(design, y) / noise^2

  layer <- layer_dense_variational(
    units = 1, make_posterior_fn = "multivariate_normal_tril", kl_weight = 1 / n,
    kl_use_exact = TRUE, seed = 1
  )
  # The mean over several draws in every step, for which fewer steps are enough.
  inputs <- keras$Input(shape = list(2L))
  outputs <- lapply(1:8, function(i) layer(inputs))
  model <- keras$Model(inputs, keras$ops$concatenate(outputs, axis = -1L))
  steps <- 1500L
  schedule <- keras$optimizers$schedules$CosineDecay(0.03, steps)
  model$compile(
    optimizer = keras$optimizers$Adam(schedule), loss = "mse", loss_weights = 1 / (2 * noise^2),
    jit_compile = backend != "torch"
  )
  rows <- rep(seq_len(n), steps) # all rows in every step
  model$fit(
    x[rows, ], matrix(y[rows], length(rows), 8), batch_size = n, shuffle = FALSE, verbose = 0L
  )
  q <- layer$posterior()
  # In standard deviations of the posterior; the divergence from it is 0 at the optimum.
  factor <- t(chol(covariance))
  expect_lt(max(abs(solve(factor, numbers(tfd_mean(q)) - mean))), 0.1)
  exact <- layerapi:::core()$backend$distributions$multivariate_normal_distribution(
    as_tensor(as.vector(mean)), as_tensor(factor)
  )
  expect_lt(numbers(tfd_kl_divergence(q, exact)), 0.01)
})

test_that("R's functions make a posterior and a prior, as in TensorFlow Probability's tutorial", {
  posterior <- function(kernel_size, bias_size, dtype) {
    n <- kernel_size + bias_size
    keras$Sequential(list(
      layer_variable(shape = 2 * n, dtype = dtype),
      layer_distribution_lambda(make_distribution_fn = function(t) {
        parts <- keras$ops$split(t, 2L)
        scale <- keras$ops$add(1e-5, keras$ops$softplus(keras$ops$add(0.5, parts[[2]])))
        library_normal(parts[[1]], scale)
      })
    ))
  }
  prior <- function(kernel_size, bias_size, dtype) {
    keras$Sequential(list(
      layer_variable(shape = kernel_size + bias_size, dtype = dtype),
      layer_distribution_lambda(make_distribution_fn = function(t) library_normal(t, 1))
    ))
  }
  model <- new_model() %>% layer_dense_variational(
    units = 2, make_posterior_fn = posterior, make_prior_fn = prior, kl_weight = 0.25,
    kl_use_exact = TRUE, seed = 1
  )
  q <- seq(-1, 1, length.out = 16)
  p <- rep(0.5, 8)
  model$set_weights(list(array(q), array(p)))
  scale <- 1e-5 + log1p(exp(0.5 + q[9:16]))
  divergence <- sum((scale^2 + (q[1:8] - p)^2 - 1) / 2 - log(scale))
  x <- matrix(sin(1:6), 2)
  model(x)
  expect_equal(numbers(model$losses[[1]]), divergence / 4, tolerance = 1e-5)
  model$compile(optimizer = keras$optimizers$SGD(0.1), loss = "mse")
  model$fit(x, matrix(0, 2, 2), verbose = 0L)
  # The prior gets no gradient but that of the divergence.
  expect_equal(as.vector(model$get_weights()[[2]]), p + 0.1 / 4 * (q[1:8] - p), tolerance = 1e-5)
})

test_that("outputs under local reparameterization have the moments of the design", {
  layer <- layer_dense_local_reparameterization(units = 2, seed = 1)
  x <- matrix(c(0.5, -1, 2), 1)
  layer(x)
  loc <- matrix(c(0.3, -0.2, 0.1, 0.4, 0, -0.5), 3)
  untransformed <- matrix(c(-1, 0, 1, -2, 0.5, -0.5), 3)
  bias <- array(c(0.7, -0.3))
  layer$set_weights(list(loc, untransformed, bias))
  mean <- as.vector(x %*% loc) + bias
  variance <- as.vector(x^2 %*% scale_of(untransformed)^2)
  expect_lt(max(abs(deviations(draws_of(layer, x), mean, variance))), 5)
})

for (estimator in c("flipout", "reparameterization")) {
  local({
    make <- get(paste0("layer_conv_1d_", estimator))
    test_that(paste("a convolution in R has the moments of the layer,", estimator), {
      if (estimator == "reparameterization") only_in_full("draws 500 times, one by one")
      layer <- make(filters = 2, kernel_size = 2, seed = 1)
      x <- matrix(c(0.5, -1, 2, 0.3, 1.5, -0.7, 0.2, -0.4), 4) # positions and channels
      input <- array(x, c(1, 4, 2))
      layer(input)
      loc <- array(seq(-0.7, 0.8, length.out = 8), c(2, 2, 2))
      untransformed <- array(seq(-2, 1, length.out = 8), c(2, 2, 2))
      bias <- c(0.4, -0.2)
      layer$set_weights(list(loc, untransformed, array(bias)))
      convolve <- function(x, kernel) {
        outer(1:3, 1:2, Vectorize(function(i, k) sum(x[i + 0:1, ] * kernel[, , k])))
      }
      mean <- as.vector(convolve(x, loc) + rep(bias, each = 3))
      variance <- as.vector(convolve(x^2, scale_of(untransformed)^2))
      expect_lt(max(abs(deviations(draws_of(layer, input), mean, variance))), 5)
    })
  })
}

test_that("outputs of the autoregressive network depend on earlier inputs only", {
  # Which outputs (rows) change with which inputs (columns).
  dependence <- function(layer) {
    x <- matrix(c(0.5, -1, 2, 0.3), 1)
    outputs <- function(x) array_of(layer(x))[1, , ]
    sapply(1:4, function(j) rowSums(outputs(x + (seq_along(x) == j)) != outputs(x)) > 0)
  }
  for (order in list(1:4, 4:1, c(2, 4, 1, 3))) {
    layer <- layer_autoregressive(
      params = 2, hidden_units = c(32, 32), activation = "tanh", input_order = order, seed = 1
    )
    expect_identical(dependence(layer), outer(order, order, ">"))
  }
})

test_that("the shape of a variable may be a vector, a number or nothing at all", {
  value <- function(shape) {
    layer <- layer_variable(shape = shape, initializer = "ones")
    shape <- keras$ops$shape(layer(matrix(0, 1, 1)))
    list(dim = as.integer(unlist(shape)), sum = sum(layer$get_weights()[[1]]))
  }
  expect_equal(value(c(2, 3)), list(dim = c(2, 3), sum = 6))
  expect_equal(value(3), list(dim = 3, sum = 3))
  expect_equal(value(list()), list(dim = integer(0), sum = 1))
})

test_that("these layers print the arguments that differ from the defaults", {
  shown <- function(layer) capture.output(print(layer))
  expect_identical(
    shown(layer_variable(shape = c(2, 3), regularizer = "l2", name = "v")),
    "<VariableLayer name=v, shape=(2, 3), regularizer=L2(l2=0.01), built=False>"
  )
  expect_identical(
    shown(layer_autoregressive(params = 2, hidden_units = 10, event_shape = 3, name = "a")),
    paste(
      "<AutoregressiveNetwork name=a, params=2, event_shape=3,",
      "hidden_units=(10,), built=False>"
    )
  )
  expect_match(
    shown(layer_distribution_lambda(make_distribution_fn = function(x) x, name = "d")),
    "^<DistributionLambda name=d, make_distribution_fn=.+, built=False>$"
  )
})
