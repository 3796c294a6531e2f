# predict_array(): the numbers of model$predict(), in R with one copy.

keras <- reticulate::import("keras")
numpy <- reticulate::import("numpy", convert = FALSE)

test_that("the numbers are those of the model's predict()", {
  model <- keras$Sequential(list(keras$layers$Dense(5L)))
  x <- matrix(rnorm(21), 7, 3)
  expect_identical(
    predict_array(model, x, batch_size = 2, verbose = 0),
    model$predict(x, batch_size = 2L, verbose = 0L)
  )
})

test_that("arrays of more dimensions, and several outputs, arrive in their shapes", {
  inputs <- keras$Input(list(4L, 3L))
  outputs <- list(inputs, keras$layers$Flatten()(inputs))
  x <- array(as.numeric(1:24), c(2, 4, 3))
  arrived <- predict_array(keras$Model(inputs, outputs), x, verbose = 0)
  expect_identical(arrived[[1]], x)
  expect_identical(arrived[[2]], t(apply(x, 1, t)))
})

test_that("each call of a stochastic model draws again", {
  model <- keras$Sequential() %>% layer_dense_flipout(units = 2)
  x <- matrix(1, 3, 4)
  expect_false(identical(
    predict_array(model, x, verbose = 0), predict_array(model, x, verbose = 0)
  ))
})

test_that("what Keras refuses is an error of R", {
  model <- keras$Sequential(list(keras$layers$Dense(5L)))
  expect_error(predict_array(model, matrix(1, 2, 2), batch = 2), class = "layerapi_TypeError")
})

test_that("a row with NA has no prediction, the others have theirs", {
  model <- keras$Sequential(list(keras$Input(list(3L)), keras$layers$Dense(2L)))
  x <- matrix(c(1L, NA, 3L, 1L, 2L, 3L), 2, byrow = TRUE)
  output <- array_of(layer_dense_flipout(x, units = 2))
  expect_silent(predicted <- predict_array(model, x, verbose = 0))
  expect_identical(predicted[1, ], c(NaN, NaN))
  x[is.na(x)] <- 0L
  expect_identical(predicted[2, ], predict_array(model, x, verbose = 0)[2, ])
  expect_identical(is.na(output), matrix(c(TRUE, FALSE), 2, 2))
})

test_that("what is no array, or no model, is refused in the words of R", {
  model <- keras$Sequential(list(keras$layers$Dense(5L)))
  received <- list(
    "a data frame" = iris[1:4], "a factor" = iris$Species, "[1, 2, 3]" = 1:3, "5" = 5,
    "None/NULL" = NULL, "[a data frame]" = list(iris)
  )
  for (name in names(received)) {
    error <- expect_error(predict_array(model, received[[name]]), class = "layerapi_TypeError")
    expect_identical(conditionMessage(error), paste0(
      "`x` must be an array of numbers, or what else the model takes. Received: ", name,
      ". Make a matrix first: data.matrix(x) of a data frame, matrix(x, 1) of one row."
    ))
  }
  expect_error(
    predict_array(NULL, matrix(1, 1, 3)), "`model` must be a Keras model. Received: None/NULL.",
    class = "layerapi_TypeError", fixed = TRUE
  )
})

test_that("numbers of any type arrive", {
  for (dtype in c("float16", "float32", "float64", "int32", "bool")) {
    values <- numpy$ones(reticulate::tuple(2L, 3L), dtype = dtype)
    expect_identical(copy_once(core()$r_bridge$Numbers(values)), matrix(1, 2, 3))
  }
  empty <- numpy$ones(reticulate::tuple(0L, 3L))
  expect_identical(copy_once(core()$r_bridge$Numbers(empty)), matrix(0, 0, 3))
})

test_that("the numbers arrive where reticulate hands over a copy of R's array", {
  elsewhere <- reticulate::py_run_string("
def elsewhere(base):
    class Elsewhere(base):
        def write(self, room):
            super().write(room.copy(order='F'))
    return Elsewhere
  ", local = TRUE)$elsewhere(core()$r_bridge$Numbers)
  values <- numpy$array(list(list(1, NaN), list(3, 4)), dtype = "float32")
  expect_identical(copy_once(elsewhere(values)), matrix(c(1, 3, NaN, 4), 2))
})

test_that("there is one copy on the way", {
  skip_if_not(file.exists("/proc/self/clear_refs"), "The peak of memory is read as Linux has it")
  resident <- function(field) {
    line <- grep(field, readLines("/proc/self/status"), value = TRUE)
    1024 * as.numeric(gsub("[^0-9]", "", line))
  }
  values <- numpy$ones(reticulate::tuple(2000L, 4000L), dtype = "float32")
  numbers <- core()$r_bridge$Numbers(values)
  for (known in list(list(), list(kind = "epred", class = "layerapi_draws"))) { # as of draws
    gc()
    cat("5", file = "/proc/self/clear_refs") # the peak starts over
    before <- resident("VmRSS")
    result <- do.call(copy_once, c(numbers, known))
    copies <- (resident("VmHWM") - before) / as.numeric(object.size(result))
    rm(result)
    expect_gt(copies, 0.9)
    expect_lt(copies, 1.1)
  }
})
