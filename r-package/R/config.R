# What a session of R has for the core, and how to get what is missing.

# The name of the virtual environment that is used where a user does not choose a Python.
own_environment <- "r-layerapi"
# The versions of Python that TensorFlow has packages for, and torch and JAX too.
python_versions <- ">=3.10,<3.14"

#' Install what layerapi needs of Python
#'
#' Makes a virtual environment with Keras 3, a backend of it, and everything else that the layers
#' need, in the manner of `keras3::install_keras()`. Use it once, after you installed this package.
#' Sessions that start afterwards use the environment `r-layerapi` without being told to, unless you
#' choose a Python yourself, with `reticulate::use_python()` or the environment variable
#' `RETICULATE_PYTHON`.
#'
#' With reticulate 1.41 or newer you do not need it: `library(layerapi)` then tells reticulate what
#' to provide.
#'
#' @param envname Name or path of a virtual environment, made where it does not exist. Default
#'   `"r-layerapi"`.
#' @param backend Backend of Keras: `"tensorflow"`, `"jax"` or `"torch"`, or several of them. To
#'   use another one than TensorFlow, set `Sys.setenv(KERAS_BACKEND = "jax")` before Python starts.
#'   Default `"tensorflow"`.
#' @param extra_packages Character vector of other Python packages to install. Default: none.
#' @param ... Other arguments of `reticulate::virtualenv_create()`, such as `python`, the path of
#'   the interpreter to make the environment from.
#'
#' @return The path of the environment's Python, invisibly.
#' @seealso [layerapi_config()] tells whether everything is there.
#' @examples
#' \dontrun{
#' install_layerapi() # takes some minutes
#' install_layerapi(backend = c("tensorflow", "jax"))
#' }
#' @export
install_layerapi <- function(envname = "r-layerapi", backend = "tensorflow",
                             extra_packages = character(), ...) {
  packages <- packages_to_install(backend, extra_packages)
  if (!reticulate::virtualenv_exists(envname)) {
    reticulate::virtualenv_create(envname, packages = NULL, ...)
  }
  reticulate::virtualenv_install(envname, packages)
  first <- c(
    if (!identical(envname, own_environment)) {
      sprintf("reticulate::use_virtualenv(\"%s\")", envname)
    },
    if (!"tensorflow" %in% backend) sprintf("Sys.setenv(KERAS_BACKEND = \"%s\")", backend[1])
  )
  message(
    "layerapi has what it needs of Python in ", envname, ". Restart R to use it",
    if (length(first)) {
      paste0(", and type ", paste(first, collapse = " and "), " before library(layerapi)")
    },
    "."
  )
  invisible(reticulate::virtualenv_python(envname))
}

packages_to_install <- function(backend, extra_packages) {
  known <- names(backend_packages)
  if (!is.character(backend) || !length(backend) || !all(backend %in% known)) {
    refuse_without_core(
      "backend", paste0("'", paste(known, collapse = "', '"), "', or several of them"), backend,
      "backend = 'tensorflow'"
    )
  }
  if (!is.character(extra_packages)) {
    refuse_without_core(
      "extra_packages", "names of Python packages", extra_packages, "extra_packages = 'pandas'"
    )
  }
  c(
    # Of "setuptools; python_version >= '3.12'" the shell would lose the quotes.
    sub(";.*", "", c(python_packages, unlist(backend_packages[backend], use.names = FALSE))),
    # The first reticulate that knows NumPy 2 is 1.38.
    if (utils::packageVersion("reticulate") < "1.38") "numpy<2",
    extra_packages
  )
}

# As refuse_argument() does where there is a core, whose words it takes.
refuse_without_core <- function(argument, expected, value, example) {
  received <- paste(deparse(value, nlines = 1), collapse = " ")
  refuse("ValueError", sprintf(
    "`%s` must be %s. Received: %s. Pass, for example, %s.", argument, expected, received, example
  ))
}

#' What layerapi found, and what is missing
#'
#' Tells which Python and which of its packages this session uses, whether the layers load with
#' them, and, where something is missing, what to type. Use it when something does not work, and
#' when you report a problem. It starts Python if there is one.
#'
#' @return A list of class `layerapi_config`, which prints as a table: `versions`, of R and its
#'   packages; `python`, the path of the interpreter, or `NULL`; `python_version`; `backend`, that
#'   of Keras; `packages`, a data frame of the Python packages with the columns `package`, `needed`
#'   and `found`; `missing`, those that are absent or of another version; `problem`, the message
#'   with which the layers fail to load, or `NULL`.
#' @seealso [install_layerapi()]
#' @examples
#' layerapi_config()
#' @export
layerapi_config <- function() {
  config <- list(
    versions = c(
      layerapi = core_version,
      R = as.character(getRversion()),
      reticulate = as.character(utils::packageVersion("reticulate"))
    ),
    backend = tolower(Sys.getenv("KERAS_BACKEND", "tensorflow"))
  )
  config$problem <- python_problem()
  if (is.null(config$problem)) {
    config$python <- reticulate::py_config()$python
    config$python_version <- reticulate::py_eval("__import__('platform').python_version()")
    config$packages <- found_packages(config$backend)
    config$missing <- missing_packages(config$packages)
    config$problem <- tryCatch(
      {
        core()
        NULL
      },
      error = function(error) first_line(conditionMessage(error))
    )
  }
  structure(config, class = "layerapi_config")
}

# Why Python does not start, or NULL if it does. Reticulate is asked first: it offers to install
# one of its own where it finds none.
python_problem <- function() {
  if (reticulate::py_available()) {
    return(NULL)
  }
  tryCatch(
    {
      if (is.null(reticulate::py_discover_config())) {
        "No Python was found."
      } else if (!reticulate::py_available(initialize = TRUE)) {
        "Python does not start."
      }
    },
    error = function(error) paste("Python does not start:", first_line(conditionMessage(error)))
  )
}

# A data frame of the packages that a backend needs, and of the versions that Python has of them.
found_packages <- function(backend) {
  needed <- c(python_packages, backend_packages[[backend]])
  # Some are needed by some versions of Python alone.
  needed <- needed[!grepl(";", needed, fixed = TRUE)]
  package <- sub("[!<>=].*", "", needed)
  metadata <- reticulate::import("importlib.metadata")
  found <- vapply(package, function(name) {
    tryCatch(metadata$version(name), error = function(error) NA_character_)
  }, "", USE.NAMES = FALSE)
  data.frame(package = package, needed = substring(needed, nchar(package) + 1), found = found)
}

missing_packages <- function(packages) {
  # Of "3.5.0.dev1", the numbers: the rest does not make it older than it has to be.
  found <- sub("^([0-9]+([.][0-9]+)*).*", "\\1", packages$found)
  packages$package[!mapply(satisfies, found, packages$needed)]
}

# Tell whether a version is what `needed` asks for: ">=3.9", ">=0.5,!=0.7.1", or "", for any.
satisfies <- function(found, needed) {
  if (is.na(found)) {
    return(FALSE)
  }
  conditions <- strsplit(needed, ",", fixed = TRUE)[[1]]
  order <- vapply(sub("^[>!]=", "", conditions), utils::compareVersion, 0, a = found)
  all(ifelse(startsWith(conditions, "!="), order != 0, order >= 0))
}

#' @export
print.layerapi_config <- function(x, ...) {
  cat(paste(names(x$versions), x$versions, collapse = ", "), "\n", sep = "")
  if (!is.null(x$python)) {
    cat("Python ", x$python_version, ": ", x$python, "\n", sep = "")
    cat("Keras's backend: ", x$backend, "\n\n", sep = "")
    shown <- x$packages
    shown$found[is.na(shown$found)] <- "not found"
    print(shown, right = FALSE, row.names = FALSE)
  }
  cat("", strwrap(config_advice(x)), sep = "\n")
  invisible(x)
}

# What to type, in a sentence or two.
config_advice <- function(config) {
  if (is.null(config$problem) && !length(config$missing)) {
    return("Everything that layerapi needs is here.")
  }
  paste0(
    if (length(config$missing)) {
      paste0("Missing, or of another version: ", paste(config$missing, collapse = ", "), ". ")
    } else {
      paste0(config$problem, " ")
    },
    "Type install_layerapi(",
    if (config$backend != "tensorflow") paste0("backend = \"", config$backend, "\""),
    "), and restart R",
    if (nzchar(Sys.getenv("RETICULATE_PYTHON"))) {
      " without the environment variable RETICULATE_PYTHON, which now chooses the Python"
    },
    "."
  )
}
