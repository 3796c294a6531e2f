# Likelihoods and the scale that all rows share, as R's users write them.

# What a likelihood of raw outputs is in R's own words.
softplus <- function(u) 1e-5 + log1p(exp(u))

raw <- local({
  set.seed(1)
  matrix(rnorm(12), 6)
})

expect_log_prob <- function(likelihood, y, expected, outputs = raw) {
  expect_equal(numbers(likelihood$log_prob(as.array(y), outputs)), expected, tolerance = 1e-5)
}

test_that("the densities are those of R", {
  loc <- raw[, 1]
  scale <- softplus(raw[, 2])
  y <- c(0.3, 1, 2.5, 0.1, 4, 0.7)
  expect_log_prob(likelihood_normal(), y, dnorm(y, loc, scale, log = TRUE))
  expect_log_prob(likelihood_log_normal(), y, dlnorm(y, loc, scale, log = TRUE))
  expect_log_prob(
    likelihood_student_t(df = 3), y, dt((y - loc) / scale, 3, log = TRUE) - log(scale)
  )
  expect_log_prob(likelihood_laplace(), y, -abs(y - loc) / scale - log(2 * scale))
  expect_log_prob(likelihood_gamma(), y, dgamma(y, scale, scale / exp(loc), log = TRUE))
  p <- plogis(loc)
  share <- y / 5
  expect_log_prob(
    likelihood_beta(), share, dbeta(share, p * scale, (1 - p) * scale, log = TRUE)
  )
  counts <- c(0, 1, 2, 5, 0, 9)
  expect_log_prob(
    likelihood_negative_binomial(), counts, dnbinom(counts, scale, mu = exp(loc), log = TRUE)
  )
  one <- raw[, 1, drop = FALSE]
  expect_log_prob(likelihood_poisson(), counts, dpois(counts, exp(loc), log = TRUE), one)
  labels <- c(0, 1, 1, 0, 0, 1)
  expect_log_prob(likelihood_bernoulli(), labels, dbinom(labels, 1, p, log = TRUE), one)
  expected <- log(exp(raw) / rowSums(exp(raw)))[cbind(1:6, labels + 1)]
  expect_log_prob(likelihood_categorical(), labels, expected)
  columns <- matrix(rnorm(36), 6)
  weights <- exp(columns[, 1:2]) / rowSums(exp(columns[, 1:2]))
  expected <- log(
    weights[, 1] * dnorm(y, columns[, 3], softplus(columns[, 4])) +
      weights[, 2] * dnorm(y, columns[, 5], softplus(columns[, 6]))
  )
  expect_log_prob(likelihood_normal_mixture(components = 2), y, expected, columns)
})

test_that("R's numbers are whole numbers to the methods", {
  likelihood <- likelihood_normal_mixture(components = 3)
  expect_identical(likelihood$params_size(2), 15L)
  expect_identical(likelihood$units_of(15L), 2L)
  draws <- lapply(c(1, 1, 2), function(seed) array_of(likelihood_normal()$sample(raw, seed = seed)))
  expect_identical(draws[[1]], draws[[2]])
  expect_false(any(draws[[1]] == draws[[3]]))
  expect_identical(dim(draws[[1]]), c(6L, 1L))
})

test_that("a model learns the mean and the scale that all rows share", {
  keras$utils$set_random_seed(1L)
  set.seed(1)
  n <- 1000
  x <- matrix(rnorm(n))
  y <- 2 * x - 1 + rnorm(n, sd = 0.3)
  likelihood <- likelihood_normal()
  model <- keras$Sequential(list(keras$Input(shape = list(1L)), keras$layers$Dense(1L)))
  model %>% layer_shared_scale()
  steps <- as.integer(20 * n / 50)
  rate <- keras$optimizers$schedules$CosineDecay(0.1, steps)
  model$compile(optimizer = keras$optimizers$Adam(rate), loss = likelihood)
  model$fit(x, y, batch_size = 50L, epochs = 20L, verbose = 0L)
  outputs <- model(matrix(0))
  sd <- sqrt(numbers(likelihood$variance(outputs)))
  expect_lt(abs(sd - 0.3), 5 * 0.3 / sqrt(2 * n))
  expect_lt(abs(numbers(likelihood$mean(outputs)) + 1), 5 * 0.3 / sqrt(n))
})

test_that("a wrong number of columns is refused before anything is trained", {
  model <- keras$Sequential(list(keras$Input(shape = list(3L)), keras$layers$Dense(3L)))
  model$compile(optimizer = "sgd", loss = likelihood_normal())
  expect_error(
    model$fit(matrix(1, 4, 3), array(1, 4), verbose = 0L),
    "an even number of columns: locations, then untransformed scales. Received: 3 columns",
    fixed = TRUE
  )
})

test_that("a likelihood prints the code that makes it", {
  codes <- c(
    "likelihood_normal()",
    "likelihood_normal(scale = 0.5)",
    "likelihood_student_t(df = NULL)",
    "likelihood_laplace()",
    "likelihood_log_normal(scale = 2)",
    "likelihood_gamma(concentration = 2)",
    "likelihood_beta()",
    "likelihood_bernoulli(from_logits = FALSE)",
    "likelihood_categorical()",
    "likelihood_poisson(reduction = \"sum\")",
    "likelihood_negative_binomial(total_count = 2)",
    "likelihood_normal_mixture(components = 3L)"
  )
  for (code in codes) {
    expect_identical(capture.output(print(eval(parse(text = code)))), code)
  }
  expect_invisible(print(likelihood_normal()))
})

test_that("a model with a likelihood is saved and loaded", {
  model <- new_model()
  model %>% layer_dense_flipout(units = 2, seed = 1) %>% layer_shared_scale()
  model$compile(optimizer = "sgd", loss = likelihood_student_t(df = 5, reduction = "sum"))
  file <- tempfile(fileext = ".keras")
  model$save(file)
  loaded <- keras$saving$load_model(file, safe_mode = TRUE)
  expect_identical(loaded$loss$get_config(), model$loss$get_config())
  expect_identical(loaded$output_shape, list(NULL, 4L))
})
