# Named blocks, and blocks of the user's own.

saved_and_loaded <- function(layer) {
  model <- new_model()
  model$add(layer)
  file <- tempfile(fileext = ".keras")
  model$save(file)
  keras$saving$load_model(file, safe_mode = TRUE)$layers[[1]]
}

test_that("a normal prior of any scale has the closed form", {
  layer <- built(kernel_prior_fn = prior_normal(loc = 1, scale = 2))
  loc <- layer$get_weights()[[1]]
  scale <- 2^-23 + log1p(exp(layer$get_weights()[[2]]))
  truth <- sum(log(2 / scale) + (scale^2 + (loc - 1)^2) / 8 - 1 / 2)
  expect_equal(loss_of(layer), truth, tolerance = 1e-5)
})

test_that("the scale of a prior follows the number of inputs", {
  named <- built(kernel_prior_fn = prior_normal(scale = "he_normal"))
  number <- built(kernel_prior_fn = prior_normal(scale = sqrt(2 / 3)))
  expect_identical(loss_of(named), loss_of(number))
  expect_identical(named$kernel_prior_fn$scale, "he_normal")
})

test_that("every standard deviation starts at the scale of a posterior", {
  layer <- built(kernel_posterior_fn = posterior_mean_field_normal(scale = 0.01))
  scale <- 2^-23 + log1p(exp(layer$get_weights()[[2]]))
  expect_equal(scale, matrix(0.01, 3, 2), tolerance = 1e-5)
})

test_that("many draws estimate the divergence from a Laplace prior", {
  n <- 20000
  layer <- built(
    kernel_prior_fn = prior_laplace(loc = 0, scale = 0.5),
    kernel_divergence_fn = divergence_monte_carlo(n_samples = n)
  )
  loc <- layer$get_weights()[[1]]
  scale <- 2^-23 + log1p(exp(layer$get_weights()[[2]]))
  # the mean of a folded normal
  folded <- scale * sqrt(2 / pi) * exp(-(loc / scale)^2 / 2) + loc * (1 - 2 * pnorm(-loc / scale))
  truth <- sum(folded / 0.5 - 0.5 * log(2 * pi * exp(1) * scale^2))
  # log q has the variance 1/2 of an element, |w| / 0.5 less than (2 scale)^2
  error <- sqrt(sum((sqrt(1 / 2) + 2 * scale)^2) / n)
  expect_lt(abs(loss_of(layer) - truth), 5 * error)
})

test_that("every named prior and divergence of R can be saved", {
  priors <- list(
    prior_standard_normal(), prior_normal(scale = 2), prior_normal(scale = "he_normal"),
    prior_laplace(scale = 2), prior_scale_mixture(pi = 0.25, sigma1 = 2, sigma2 = 0.1),
    prior_trainable_normal(loc_initializer = "ones")
  )
  for (prior in priors) {
    layer <- built(kernel_prior_fn = prior, kernel_divergence_fn = divergence_monte_carlo(2))
    again <- saved_and_loaded(layer)
    expect_identical(reticulate::py_repr(again), reticulate::py_repr(layer))
    expect_identical(loss_of(again), loss_of(layer))
  }
})

test_that("an R function trains as a prior; saving is refused by the argument's name", {
  narrow <- function(dtype, shape, name, trainable, add_variable_fn) {
    library_normal(keras$ops$zeros(shape), 0.5)
  }
  layer <- built(kernel_prior_fn = narrow)
  # In float32, by the library's formula and by ours.
  expected <- loss_of(built(kernel_prior_fn = prior_normal(scale = 0.5)))
  expect_equal(loss_of(layer), expected, tolerance = 1e-6)
  model <- new_model()
  model$add(layer)
  model$compile(optimizer = "sgd", loss = "mse")
  loss <- model$fit(matrix(1, 4, 3), matrix(1, 4, 2), verbose = 0L)$history$loss
  expect_true(is.finite(unlist(loss)))
  expect_error(
    model$save(tempfile(fileext = ".keras")),
    "`kernel_prior_fn` cannot be saved: it is a function", fixed = TRUE
  )
})

test_that("a class of Python, written and registered in R, can be saved", {
  python <- reticulate::py_run_string('
import keras

class Narrow:
    def __init__(self, scale):
        self.scale = scale

    def __call__(self, dtype, shape, name, trainable, add_variable_fn):
        import layer_api
        normal = layer_api.NormalPrior(scale=self.scale)
        return normal(dtype, shape, name, trainable, add_variable_fn)

    def get_config(self):
        return {"scale": self.scale}

keras.saving.register_keras_serializable("my_package")(Narrow)
')
  layer <- built(kernel_prior_fn = python$Narrow(0.5))
  # In float32, by the library's formula and by ours.
  expected <- loss_of(built(kernel_prior_fn = prior_normal(scale = 0.5)))
  expect_equal(loss_of(layer), expected, tolerance = 1e-6)
  again <- saved_and_loaded(layer)
  expect_identical(again$kernel_prior_fn$scale, 0.5)
  expect_identical(loss_of(again), loss_of(layer))
})
