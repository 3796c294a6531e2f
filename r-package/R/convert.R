# What R's values are in Python.

is_python <- function(value) {
  inherits(value, "python.builtin.object")
}

# Return `value` as Python's users would write it: 10 is a whole number, NA is NaN, c(2, 3) and 1:2
# are lists, NULL is None. What Python cannot hold becomes a description, for messages.
to_python <- function(value) {
  if (is.null(value) || is_python(value)) {
    return(reticulate::r_to_py(value))
  }
  if (is.function(value)) {
    return(function_to_python(value))
  }
  if (is.object(value)) {
    return(object_to_python(value))
  }
  if (is.array(value)) {
    return(array_to_python(value))
  }
  if (is.list(value)) {
    return(list_to_python(value))
  }
  if (is.atomic(value)) {
    return(vector_to_python(value))
  }
  core()$messages$Foreign(paste("an R", typeof(value)))
}

# Python's whole numbers and bools have no NA: they would be -2147483648 and True.
array_to_python <- function(value) {
  if ((is.numeric(value) || is.logical(value)) && anyNA(value)) {
    value[is.na(value)] <- NaN
  }
  reticulate::r_to_py(value)
}

list_to_python <- function(value) {
  values <- lapply(unname(value), to_python)
  if (is.null(names(value))) {
    return(reticulate::r_to_py(values))
  }
  reticulate::py_dict(names(value), values)
}

vector_to_python <- function(value) {
  scalars <- lapply(unname(value), scalar_to_python)
  if (length(value) == 1) scalars[[1]] else reticulate::r_to_py(scalars)
}

scalar_to_python <- function(value) {
  if (is.na(value)) {
    return(reticulate::r_to_py(NaN))
  }
  if (is.double(value) && is.finite(value) && value == round(value)) {
    return(reticulate::import_builtins(convert = FALSE)$int(value))
  }
  reticulate::r_to_py(value)
}

# Objects of other packages say themselves what they are in Python, or are of no use there.
object_to_python <- function(value) {
  if (is.data.frame(value)) {
    return(core()$messages$Foreign("a data frame"))
  }
  if (is.factor(value)) {
    return(core()$messages$Foreign("a factor"))
  }
  for (class in class(value)) {
    if (!is.null(utils::getS3method("r_to_py", class, TRUE, asNamespace("reticulate")))) {
      return(reticulate::r_to_py(value))
    }
  }
  core()$messages$Foreign(paste0("an R object of class '", class(value)[1], "'"))
}

# Whether a formal argument has no default.
is_empty <- function(default) {
  is.name(default) && identical(as.character(default), "")
}

function_to_python <- function(fun) {
  name <- attr(fun, "py_function_name", exact = TRUE)
  if (!is.null(name) && reticulate::py_has_attr(core(), name)) {
    return(core()[[name]])
  }
  of_keras <- keras_function(fun)
  if (!is.null(of_keras)) {
    return(of_keras)
  }
  formals <- formals(args(fun))
  names <- setdiff(names(formals), "...")
  optional <- !vapply(formals[names], is_empty, logical(1))
  call <- function(...) to_python(do.call(fun, lapply(list(...), callable), quote = TRUE))
  # With `convert`, R gets what reticulate's users know: numbers, text and lists are R's own, and so
  # is what they take out of a tensor, as in `x$shape$as_list()`.
  core()$r_bridge$with_signature(
    reticulate::r_to_py(call, convert = TRUE),
    as.list(names), as.list(unname(optional)), "..." %in% names(formals)
  )
}

# What the functions of R's keras3 and keras are in Python, by the first word of their names.
keras_modules <- c(
  activation = "activations", op = "ops", initializer = "initializers",
  regularizer = "regularizers", constraint = "constraints"
)

# Keras's own function or class, which can be saved, for a function such as keras3's
# `activation_relu`; NULL for any other. keras3 marks them by nothing but their names.
keras_function <- function(fun) {
  namespace <- environment(fun)
  if (is.null(namespace) || !environmentName(namespace) %in% c("keras3", "keras")) {
    return(NULL)
  }
  pattern <- paste0("^(", paste(names(keras_modules), collapse = "|"), ")_(.*)$")
  name <- Find(
    function(name) identical(get0(name, namespace), fun),
    grep(pattern, getNamespaceExports(namespace), value = TRUE)
  )
  if (is.null(name)) {
    return(NULL)
  }
  module <- reticulate::import("keras")[[keras_modules[[sub(pattern, "\\1", name)]]]]
  # `constraint_nonneg` is NonNeg in Python.
  plain <- function(name) tolower(gsub("_", "", name, fixed = TRUE))
  found <- match(plain(sub(pattern, "\\2", name)), plain(names(module)))
  if (!is.na(found)) module[[names(module)[found]]]
}

# reticulate before 1.29 hands Python's functions over to R's as objects that cannot be called.
callable <- function(value) {
  is_function <- inherits(value, c("python.builtin.function", "python.builtin.method"))
  if (is_function && !is.function(value)) {
    return(function(...) reticulate::py_to_r(reticulate::py_call(value, ...)))
  }
  value
}

# What the data of an answer are in Python: arrays, and lists or dictionaries of those.
newdata_to_python <- function(value, argument, call) {
  if (is.data.frame(value)) {
    return(array_to_python(matrix_of_columns(value, argument, call)))
  }
  if (argument == "y" && is.factor(value)) {
    value <- as.integer(value) - 1L # the first level is the class 0
  }
  if (is.object(value)) {
    return(to_python(value))
  }
  if (is.list(value)) {
    return(list_to_python(lapply(value, newdata_to_python, argument, call)))
  }
  if (is.numeric(value) || is.logical(value)) {
    return(array_to_python(as.array(value))) # a vector, too: it is one number for each row
  }
  to_python(value)
}

# The matrix of a data frame, all of whose columns are numbers.
matrix_of_columns <- function(data, argument, call) {
  is_number <- function(column) (is.numeric(column) && !is.object(column)) || is.logical(column)
  wrong <- Find(function(name) !is_number(data[[name]]), names(data))
  if (!is.null(wrong)) {
    column <- data[[wrong]]
    kind <- if (is.object(column)) paste("of class", class(column)[1]) else typeof(column)
    refuse(
      "TypeError",
      sprintf(
        "`%s` must be a data frame of numbers. Received: the column '%s', %s. %s", argument, wrong,
        if (is.factor(column)) "a factor" else if (is.character(column)) "text" else kind,
        "Make numbers of it first, for example by model.matrix(~ . - 1, data)."
      ),
      call
    )
  }
  unname(as.matrix(data))
}
