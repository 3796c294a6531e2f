# What a session has for the core, and how to get what is missing.

# Print the configuration of a new session whose Python finds the files of `folder` first.
config_with <- function(files = list(), env = character()) {
  folder <- tempfile()
  on.exit(unlink(folder, recursive = TRUE))
  for (name in names(files)) {
    dir.create(dirname(file.path(folder, name)), recursive = TRUE, showWarnings = FALSE)
    writeLines(files[[name]], file.path(folder, name))
  }
  in_new_session("layerapi::layerapi_config()", env = c(paste0("PYTHONPATH=", folder), env))
}

# What a session under this backend is told to type.
to_type <- if (backend == "tensorflow") {
  "Type install_layerapi(),"
} else {
  sprintf("Type install_layerapi(backend = \"%s\"),", backend)
}

test_that("a version that is known to be wrong is missing", {
  expect_true(layerapi:::satisfies("0.7.0", "!=0.7.1"))
  expect_false(layerapi:::satisfies("0.7.1", "!=0.7.1"))
  expect_true(layerapi:::satisfies("3.10", ">=3.5"))
  expect_false(layerapi:::satisfies("3.4.1", ">=3.5"))
  expect_true(layerapi:::satisfies("0.7.2", ">=0.5,!=0.7.1"))
  expect_false(layerapi:::satisfies("0.7.1", ">=0.5,!=0.7.1"))
  expect_false(layerapi:::satisfies("0.4.38", ">=0.5,!=0.7.1"))
  expect_true(layerapi:::satisfies("1", ""))
  expect_false(layerapi:::satisfies(NA, ""))
})

test_that("a session that works says so", {
  config <- layerapi_config()
  expect_s3_class(config, "layerapi_config")
  expect_null(config$problem)
  expect_length(config$missing, 0)
  expect_identical(config$backend, backend)
  expect_identical(config$versions[["R"]], as.character(getRversion()))
  expect_identical(config$python, reticulate::py_config()$python)
  found <- config$packages$found[config$packages$package == "keras"]
  expect_identical(found, reticulate::import("keras")[["__version__"]])
  expect_true(backend %in% config$packages$package)
  expect_output(print(config), "keras +>=3.9 +[0-9.]+")
  expect_output(print(config), "Everything that layerapi needs is here.", fixed = TRUE)
})

test_that("a package that is too old is named, with what to type", {
  old <- list("keras-3.4.1.dist-info/METADATA" = c("Name: keras", "Version: 3.4.1"))
  output <- config_with(old)
  expect_match(output, "keras +>=3.9 +3.4.1")
  expect_match(output, "Missing, or of another version: keras. Type", fixed = TRUE)
  expect_match(gsub("\\s+", " ", output), to_type, fixed = TRUE)
  output <- config_with(list("keras-3.10.0.dist-info/METADATA" = c("Name: keras", "Version: 3.10")))
  expect_match(output, "Everything that layerapi needs is here.", fixed = TRUE)
})

test_that("a Keras that does not load is reported in its own words", {
  output <- config_with(list("keras.py" = "raise ImportError('a broken Keras')"))
  expect_match(output, "a broken Keras", fixed = TRUE)
  expect_match(gsub("\\s+", " ", output), to_type, fixed = TRUE)
})

test_that("a Python that does not exist is reported with the variable that chose it", {
  output <- config_with(env = "RETICULATE_PYTHON=/nowhere/python")
  expect_match(output, "Python does not start:.*/nowhere/python")
  expect_match(output, "RETICULATE_PYTHON, which\\s+now\\s+chooses")
})

test_that("the environment that install_layerapi() makes is used without being asked for", {
  folder <- tempfile()
  on.exit(unlink(folder, recursive = TRUE))
  environment <- file.path(folder, "r-layerapi")
  system2(reticulate::py_config()$python, c("-m", "venv", "--without-pip", environment))
  # Old versions of reticulate pass by a Python without NumPy.
  packages <- Sys.glob(file.path(environment, "lib", "python*", "site-packages"))
  numpy <- reticulate::import("numpy")[["__file__"]]
  writeLines(dirname(dirname(numpy)), file.path(packages, "numpy.pth"))
  output <- in_new_session(
    c(
      # Else the Python of this session is chosen.
      "Sys.unsetenv(c('RETICULATE_PYTHON', 'VIRTUAL_ENV', 'PYTHON_SESSION_INITIALIZED'))",
      "setwd(tempdir())", "library(layerapi)",
      "cat(reticulate::py_discover_config()$python)"
    ),
    env = paste0("WORKON_HOME=", folder)
  )
  expect_match(output, file.path("r-layerapi", "bin", "python"), fixed = TRUE)
})

test_that("what is installed is what the core needs, with a NumPy that reticulate knows", {
  packages <- layerapi:::packages_to_install(c("tensorflow", "jax"), "pandas")
  expect_true(all(c("keras>=3.9", "tensorflow>=2.18", "numpyro>=0.17", "pandas") %in% packages))
  expect_false(any(grepl("[;\"']", packages))) # pip gets them through a shell
  is_old <- utils::packageVersion("reticulate") < "1.38"
  expect_identical("numpy<2" %in% packages, is_old)
})

test_that("install_layerapi() refuses what it cannot install, before it makes an environment", {
  name <- tempfile()
  expect_error(
    install_layerapi(name, backend = "theano"),
    paste(
      "`backend` must be 'tensorflow', 'jax', 'torch', or several of them. Received: \"theano\".",
      "Pass, for example, backend = 'tensorflow'."
    ),
    fixed = TRUE, class = "layerapi_ValueError"
  )
  expect_error(install_layerapi(name, backend = character()), "`backend` must be", fixed = TRUE)
  expect_error(install_layerapi(name, backend = NULL), "`backend` must be", fixed = TRUE)
  expect_error(
    install_layerapi(name, extra_packages = 3), "`extra_packages` must be names", fixed = TRUE
  )
  expect_false(dir.exists(name))
})
