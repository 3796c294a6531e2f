# A network of Keras becomes a variational one, and back, from R.

trained_model <- function() {
  keras$utils$set_random_seed(1L)
  model <- keras$Sequential(list(
    keras$Input(shape = list(3L)),
    keras$layers$Dense(4L, activation = "tanh", name = "first"),
    keras$layers$Dense(2L, name = "second"),
    keras$layers$Dense(1L, name = "third")
  ))
  model$compile(optimizer = "sgd", loss = "mse")
  model
}

x <- matrix(seq(-1, 1, length.out = 12), 4)

classes_of <- function(model) {
  vapply(model$layers, function(layer) layer$`__class__`$`__name__`, "")
}

test_that("a model is converted, draws, trains, and is as before at its means", {
  model <- trained_model()
  bayesian <- to_bayesian(model, prior = "pretrained", kl_weight = 1 / 4, seed = 1)
  expect_identical(classes_of(bayesian), rep("DenseFlipout", 3))
  expect_identical(classes_of(model), rep("Dense", 3))
  expect_gt(stats::sd(posterior_epred(bayesian, x, draws = 20, seed = 1)[, 1]), 0)
  predicted <- lapply(c(to_deterministic(bayesian), model), predict_array, x, verbose = 0L)
  expect_identical(predicted[[1]], predicted[[2]])
  expect_equal(
    array_of(tfd_mean(bayesian$layers[[1]]$kernel_prior)), model$layers[[1]]$get_weights()[[1]]
  )
  bayesian$fit(x, matrix(0, 4), verbose = 0L)
  expect_identical(bayesian$layers[[2]]$kl_weight, 0.25)
})

test_that("layers are chosen by one name, by several, or by a word", {
  chosen <- function(layers) {
    which(classes_of(to_bayesian(trained_model(), layers = layers)) == "DenseFlipout")
  }
  expect_identical(chosen("second"), 2L)
  expect_identical(chosen(c("first", "third")), c(1L, 3L))
  expect_identical(chosen(list("first")), 1L)
  expect_identical(chosen("last"), 3L)
  expect_identical(chosen("all"), 1:3)
})

test_that("it stands in a pipe, and takes a prior of R", {
  bayesian <- trained_model() %>%
    to_bayesian("local_reparameterization", prior = prior_normal(scale = 2), scale = 0.2)
  expect_identical(classes_of(bayesian), rep("DenseLocalReparameterization", 3))
  expect_identical(bayesian$layers[[1]]$kernel_prior_fn$scale, 2)
  near <- to_bayesian(trained_model(), prior = prior_pretrained_normal(scale = 0.5))
  expect_identical(near$layers[[1]]$kernel_prior_fn$scale, 0.5)
  none <- to_bayesian(trained_model(), prior = NULL)
  expect_identical(none$layers[[1]]$losses, list())
})

test_that("what is left is a warning of R", {
  model <- keras$Sequential(list(
    keras$Input(shape = list(5L, 2L)),
    keras$layers$LSTM(2L, name = "recurrent"), keras$layers$Dense(1L)
  ))
  warned <- expect_warning(bayesian <- to_bayesian(model), "'recurrent' \\(LSTM\\)")
  expect_s3_class(warned, "layerapi_warning")
  expect_identical(conditionCall(warned), quote(to_bayesian(model)))
  expect_identical(classes_of(bayesian), c("LSTM", "DenseFlipout"))
  expect_no_warning(to_bayesian(model, layers = "last"))
})

test_that("bad input is an error that says what to do", {
  model <- trained_model()
  expect_error(
    to_bayesian(model, layers = c("first", "secnd")), "Did you mean 'second'?",
    fixed = TRUE, class = "layerapi_ValueError"
  )
  expect_error(to_bayesian(model, scale = NA), "`scale` must be a finite number above 0")
  expect_error(to_bayesian(model, estimator = "flip_out"), "Did you mean 'flipout'?", fixed = TRUE)
  expect_error(to_bayesian(model, prior = "pretraind"), "Did you mean 'pretrained'?", fixed = TRUE)
  expect_error(to_bayesian(NULL), "`model` must be a Keras model. Received: None/NULL")
  expect_error(to_deterministic(model), "at least one variational layer")
})
