# Bad input: the message, and that nothing has changed. Python reads the same cases.

for (case in bad_input) {
  local({
    case <- case
    test_that(paste0(case$layer[["function"]], ": ", case$id), {
      prepared <- prepare(case)
      before <- prepared$state()
      error <- expect_error(prepared$act())
      if (case$do == "set_weights") { # a method of the Python object, which reticulate calls
        expect_match(conditionMessage(error), case$message, fixed = TRUE)
      } else {
        expect_s3_class(error, c(paste0("layerapi_", case$error), "layerapi_error"), exact = FALSE)
        expect_identical(conditionMessage(error), case$message)
      }
      expect_identical(prepared$state(), before)
    })
  })
}

for (case in read_cases("bad_blocks")) {
  local({
    case <- case
    test_that(paste0(case[["function"]], ": ", case$id), {
      error <- expect_error(
        do.call(get(case[["function"]], asNamespace("layerapi")), lapply(case$arguments, special))
      )
      expect_s3_class(error, c(paste0("layerapi_", case$error), "layerapi_error"), exact = FALSE)
      expect_identical(conditionMessage(error), case$message)
    })
  })
}

test_that("an abbreviated argument is refused, however it is passed", {
  options <- options(warnPartialMatchArgs = FALSE)
  on.exit(options(options))
  message <- "`see` is not an argument of DenseFlipout. Did you mean 'seed'?"
  through_dots <- function(...) layer_dense_flipout(...)
  calls <- list(
    function() layer_dense_flipout(units = 2, see = 1),
    function() new_model() %>% layer_dense_flipout(units = 2, see = 1),
    function() new_model() |> layer_dense_flipout(units = 2, see = 1),
    function() do.call(layer_dense_flipout, list(units = 2, see = 1)),
    function() through_dots(units = 2, see = 1),
    function() lapply(2, layer_dense_flipout, object = NULL, see = 1)
  )
  for (call in calls) {
    error <- expect_error(call(), class = "layerapi_TypeError")
    expect_identical(conditionMessage(error), message)
  }
})

test_that("an abbreviation is refused also where the argument that it means must be given", {
  options <- options(warnPartialMatchArgs = FALSE)
  on.exit(options(options))
  refused <- function(call, written, owner, meant) {
    error <- expect_error(call, class = "layerapi_TypeError")
    expect_identical(conditionMessage(error), sprintf(
      "`%s` is not an argument of %s. Did you mean '%s'?", written, owner, meant
    ))
  }
  refused(layer_dense_flipout(unit = 5), "unit", "DenseFlipout", "units")
  refused(layer_dense_variational(un = 5), "un", "DenseVariational", "units")
  refused(layer_conv_1d_flipout(f = 5), "f", "Conv1DFlipout", "filters")
  refused(new_model() %>% layer_autoregressive(p = 2), "p", "AutoregressiveNetwork", "params")
  refused(prior_normal(scal = 2), "scal", "NormalPrior", "scale")
  refused(
    default_mean_field_normal_fn(is_s = TRUE), "is_s", "default_mean_field_normal_fn",
    "is_singular"
  )
  refused(tfd_sample(built()$kernel_posterior, see = 1), "see", "sample", "seed")
})

test_that("the error names the call that the user wrote", {
  error <- expect_error(layer_dense_flipout(units = 0))
  expect_identical(conditionCall(error), quote(layer_dense_flipout(units = 0)))
  error <- expect_error(do.call(layer_dense_flipout, list(units = 0)))
  expect_identical(conditionCall(error), quote(layer_dense_flipout(units = 0)))
})

test_that("a value that Python cannot hold is named in the words of R", {
  expect_error(layer_dense_flipout(iris$Species, units = 2), "Received: a factor.", fixed = TRUE)
  expect_error(
    layer_dense_flipout(y ~ x, units = 2), "Received: an R object of class 'formula'.",
    fixed = TRUE
  )
  expect_error(
    layer_dense_flipout(globalenv(), units = 2), "Received: an R environment.",
    fixed = TRUE
  )
})

test_that("a mistake inside a user's function says what R said", {
  model <- new_model()
  expect_error(
    model %>% layer_dense_flipout(
      units = 2, kernel_prior_fn = function(dtype, shape, name, trainable, add_variable_fn) {
        stop("no prior today")
      }
    ),
    "no prior today",
    class = "layerapi_error"
  )
  expect_length(model$layers, 0)
})
