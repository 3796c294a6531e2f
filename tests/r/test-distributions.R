# Methods of distributions, against R's own.

normal <- library_normal(c(0, 1), c(1, 2))

test_that("mean, standard deviation, density and divergence are R's", {
  expect_equal(numbers(tfd_mean(normal)), c(0, 1))
  expect_equal(numbers(tfd_stddev(normal)), c(1, 2))
  expect_equal(
    numbers(tfd_log_prob(normal, c(0.5, -1))),
    sum(dnorm(c(0.5, -1), c(0, 1), c(1, 2), log = TRUE)),
    tolerance = 1e-6
  )
  standard <- library_normal(c(0, 0), c(1, 1))
  expect_equal(
    numbers(tfd_kl_divergence(normal, standard)), log(1 / 2) + (4 + 1 - 1) / 2,
    tolerance = 1e-6
  )
})

test_that("draws have the shape that is asked for, and follow the seed", {
  expect_identical(dim(array_of(tfd_sample(normal))), 2L)
  expect_identical(dim(array_of(tfd_sample(normal, 5))), c(5L, 2L))
  expect_identical(dim(array_of(tfd_sample(normal, c(4, 3)))), c(4L, 3L, 2L))
  expect_identical(dim(array_of(tfd_sample(normal, list(4L, 3L)))), c(4L, 3L, 2L))
  seed <- c(1L, 2L)
  expect_identical(
    array_of(tfd_sample(normal, 3, seed = seed)), array_of(tfd_sample(normal, 3, seed = seed))
  )
})

test_that("what is not a distribution is refused", {
  for (method in list(tfd_sample, tfd_mean, tfd_stddev)) {
    error <- expect_error(method(3), class = "layerapi_TypeError")
    expect_match(conditionMessage(error), "`distribution` must be", fixed = TRUE)
    expect_match(conditionMessage(error), "Received: 3.", fixed = TRUE)
  }
})

test_that("tensors compute with numbers and with each other", {
  x <- as_tensor(c(1, 4))
  expect_equal(numbers(x / 2), c(0.5, 2))
  expect_equal(numbers(2 / x), c(2, 0.5))
  expect_equal(numbers(x + x), c(2, 8))
  expect_equal(numbers(x - 1), c(0, 3))
  expect_equal(numbers(-x), c(-1, -4))
  expect_equal(numbers(3 * x), c(3, 12))
  expect_equal(numbers(x^2), c(1, 16))
})
