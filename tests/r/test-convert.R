# What R's values are in Python.

as_python <- function(value) {
  reticulate::py_repr(reticulate::r_to_py(layerapi:::to_python(value)))
}

test_that("whole numbers, vectors, NA and NULL are what Python's users would write", {
  expect_identical(as_python(10), "10")
  expect_identical(as_python(10L), "10")
  expect_identical(as_python(2.5), "2.5")
  expect_identical(as_python(-3), "-3")
  expect_identical(as_python(2^40), "1099511627776")
  expect_identical(as_python(Inf), "inf")
  expect_identical(as_python(NULL), "None")
  expect_identical(as_python(1:3), "[1, 2, 3]")
  expect_identical(as_python(c(2, 3)), "[2, 3]")
  expect_identical(as_python(c(a = 2, b = 3)), "[2, 3]")
  expect_identical(as_python(numeric(0)), "[]")
  expect_identical(as_python("relu"), "'relu'")
  expect_identical(as_python(c("a", "b")), "['a', 'b']")
  expect_identical(as_python(TRUE), "True")
  expect_identical(as_python(list()), "[]")
  expect_identical(as_python(list(1, "a", NULL)), "[1, 'a', None]")
  expect_identical(as_python(list(a = 1, b = list(NULL, 3))), "{'a': 1, 'b': [None, 3]}")
  for (missing in list(NA, NA_integer_, NA_real_, NA_character_, NaN)) {
    expect_identical(as_python(missing), "nan")
  }
})

test_that("matrices and arrays are arrays of numbers", {
  numpy <- reticulate::import("numpy", convert = FALSE)
  array <- layerapi:::to_python(matrix(1:6, 2))
  expect_identical(reticulate::py_to_r(array$shape), list(2L, 3L))
  expect_identical(reticulate::py_to_r(numpy$asarray(array)), matrix(1:6, 2))
})

test_that("NA in an array is NaN, of whatever type it is", {
  numpy <- reticulate::import("numpy")
  numbers <- matrix(c(1, NaN, 3, 0), 2)
  for (values in list(c(1, NA, 3, 0), c(1L, NA, 3L, 0L))) {
    expect_identical(numpy$asarray(layerapi:::to_python(matrix(values, 2))), numbers)
  }
  flags <- layerapi:::to_python(matrix(c(TRUE, NA), 1))
  expect_identical(numpy$asarray(flags), matrix(c(1, NaN), 1))
  whole <- layerapi:::to_python(list(matrix(1:4, 2)))
  expect_identical(as_python(whole), "[array([[1, 3],\n       [2, 4]], dtype=int32)]")
})

test_that("Python's own objects pass as they are", {
  layer <- layer_dense_flipout(units = 2)
  expect_identical(reticulate::py_id(layerapi:::to_python(layer)), reticulate::py_id(layer))
})

test_that("an R function has its own arguments in Python", {
  signature <- reticulate::import("inspect")$signature
  shown <- function(fun) reticulate::py_str(signature(layerapi:::to_python(fun)))
  expect_identical(shown(function(q, p, ignore) q), "(q, p, ignore)")
  expect_identical(shown(function(d, n = 2) d), "(d, n=Ellipsis)")
  expect_identical(shown(function(d, ...) d), "(d, *dots)")
  expect_identical(shown(sqrt), "(x)")
})

test_that("a function of this package that Python has, too, is Python's own", {
  python <- layerapi:::to_python(default_multivariate_normal_fn)
  expect_identical(
    reticulate::py_id(python), reticulate::py_id(layerapi:::core()$default_multivariate_normal_fn)
  )
})

test_that("an R function gets numbers, text, bools, lists and NULL as R's own", {
  received <- NULL
  fun <- layerapi:::to_python(function(...) received <<- list(...))
  reticulate::py_run_string("
def call(fun):
    fun(1, 2.5, 'a', True, None, (3, 2), {'b': 1}, y=[1, 2])
  ", local = TRUE)$call(fun)
  expect_identical(
    received, list(1L, 2.5, "a", TRUE, NULL, list(3L, 2L), list(b = 1L), y = 1:2)
  )
})

test_that("what an R function takes out of an object of Python is R's own, in every argument", {
  received <- list()
  seen <- function(value, what) {
    received[[what]] <<- value
    value
  }
  posterior <- function(dtype, shape, name, trainable, add_variable_fn) {
    seen(shape, "shape")
    loc <- seen(add_variable_fn(name = paste0(name, "_loc"), shape = shape), "variable")
    library_normal(loc, 1)
  }
  layer <- layer_dense_flipout(
    units = 2, kernel_posterior_fn = posterior, kernel_prior_fn = posterior,
    kernel_posterior_tensor_fn = function(d) seen(tfd_mean(d), "draw"),
    kernel_divergence_fn = function(q, p, ignore) tfd_kl_divergence(q, seen(p, "prior")),
    activation = function(x) seen(x, "activation")
  )
  layer(matrix(1, 4, 3))
  expect_length(layer$losses, 1)
  layer_distribution_lambda(
    matrix(1, 4, 2),
    make_distribution_fn = function(t) library_normal(seen(t, "parameters"), 1)
  )
  expect_identical(received$shape, list(3L, 2L))
  for (what in setdiff(names(received), "shape")) {
    expect_type(received[[what]]$`__class__`$`__name__`, "character")
  }
  expect_setequal(
    names(received), c("shape", "variable", "draw", "prior", "activation", "parameters")
  )
  only_tensorflow("as_list() is TensorFlow's")
  expect_identical(received$parameters$shape$as_list(), c(4L, 2L))
  expect_identical(received$activation$shape$as_list(), c(4L, 2L))
})
