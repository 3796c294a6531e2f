# Loading the package starts no Python: the core is imported at the first call that needs it.

the <- new.env(parent = emptyenv())

#' Pipe
#'
#' `model %>% layer_dense_flipout(units = 10)` adds a layer to `model`.
#'
#' @param lhs What to send on: a Sequential model, a tensor, or what another step returned.
#' @param rhs A call of a function, which gets `lhs` as its first argument.
#'
#' @return What the call returns.
#' @examples
#' c(1, 4) %>% sqrt()
#' @importFrom magrittr %>%
#' @name %>%
#' @rdname pipe
#' @export
NULL

.onLoad <- function(libname, pkgname) {
  if (reticulate::virtualenv_exists(own_environment)) {
    reticulate::use_virtualenv(own_environment, required = FALSE)
  }
  require_packages(python_version = python_versions)
  register_arithmetic()
  if (reticulate::py_available()) {
    prepare_python()
  } else {
    setHook("reticulate.onPyInit", function(...) prepare_python())
  }
}

prepare_python <- function() {
  provide_distutils()
  # `import layer_api` in Python code beside R's finds the core, unless Python has one of its own.
  reticulate::import("sys", convert = FALSE)$path$append(core_path())
}

# From reticulate 1.41 on, a package names what it needs and Python is set up for it. What is named
# already is left out: before 1.45 that was a conflict once Python has started.
require_packages <- function(...) {
  if ("py_require" %in% getNamespaceExports("reticulate")) {
    py_require <- getExportedValue("reticulate", "py_require")
    new <- setdiff(needed_packages(), py_require()$packages)
    if (length(new)) {
      py_require(new, ...)
    }
  }
}

# The Python packages that the core needs under the backend that Keras will have.
needed_packages <- function() {
  chosen <- tolower(Sys.getenv("KERAS_BACKEND", "tensorflow"))
  c(python_packages, backend_packages[[chosen]])
}

# TensorFlow Probability needs distutils, which Python 3.12 dropped and setuptools brings back. The
# Python inside R does not know of that until setuptools is imported.
provide_distutils <- function() {
  is_dropped <- reticulate::py_eval("__import__('sys').version_info >= (3, 12)")
  if (is_dropped && reticulate::py_module_available("setuptools")) {
    reticulate::import("setuptools")
  }
}

# The folder of the Python package layer_api, which travels inside this one.
core_path <- function() {
  system.file("python", package = "layerapi", mustWork = TRUE)
}

core <- function() {
  if (is.null(the$core)) {
    the$core <- import_core()
  }
  the$core
}

import_core <- function() {
  require_packages() # of a backend that was chosen after this package was loaded
  core <- tryCatch(
    reticulate::import_from_path("layer_api", core_path()),
    error = function(error) {
      refuse(
        "ImportError",
        paste0(
          "Python's part of layerapi cannot be loaded: ", first_line(conditionMessage(error)),
          " It needs the Python packages ", paste(needed_packages(), collapse = ", "),
          ". Install them with install_layerapi() or reticulate::py_install(), or choose a Python ",
          "that has them with reticulate::use_python(). layerapi_config() tells what was found."
        )
      )
    }
  )
  loaded <- core[["__version__"]]
  if (!identical(loaded, core_version)) {
    refuse(
      "ImportError",
      paste0(
        "Python has layer_api ", loaded, " loaded from elsewhere; this version of layerapi works ",
        "with ", core_version, ". Install the same version of both, or restart R and load ",
        "layerapi first."
      )
    )
  }
  core
}

first_line <- function(text) {
  strsplit(trimws(text), "\n", fixed = TRUE)[[1]][1]
}
