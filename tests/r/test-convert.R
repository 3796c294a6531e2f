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
