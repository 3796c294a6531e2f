# How a wrapper of layers.R or blocks.R reaches its Python function.

# Call the function `name` of the core with what the user gave to the wrapper that calls this one.
# Only what was given is sent: the defaults that R shows are those that Python has.
call_core <- function(name) {
  frame <- parent.frame()
  call <- sys.call(-1)
  wrapper <- sys.function(-1)
  if (is.function(call[[1]])) { # do.call() puts the function itself where its name should be
    call[[1]] <- as.name(name)
  }
  arguments <- given(wrapper, call, frame)
  object <- if (length(arguments)) arguments[[1]]
  refuse_null_in_pipe(call, arguments, name)
  reticulate::py_set_attr(core()$compose, "r_has_keras3", isNamespaceLoaded("keras3"))
  result <- attempt(core()[[name]], arguments, call)
  # A model is changed in place: hand back what came in, and do not print it.
  if (is_same(object, result)) {
    return(invisible(object))
  }
  result
}

# Call the function `name` of the core, an answer, with what the user gave to the method that calls
# this one: arguments have R's names, and draws are R's matrices.
answer <- function(name) {
  frame <- parent.frame()
  call <- sys.call(-1)
  wrapper <- sys.function(-1)
  call[[1]] <- as.name(name) # not that of the method
  arguments <- with_transform(given(wrapper, call, frame), call)
  if (isTRUE(arguments[["transform"]])) {
    name <- "posterior_epred"
  }
  arguments <- with_names(arguments[names(arguments) != "transform"], call)
  for (data in intersect(c("newdata", "y"), names(arguments))) {
    arguments[[data]] <- newdata_to_python(arguments[[data]], data, call)
  }
  arguments["object"] <- list(draws_to_python(arguments[["object"]]))
  core_answer(name, arguments, call)
}

# Ask the core for an answer, with arguments that are Python's, or that to_python() knows.
core_answer <- function(name, arguments, call) {
  answer_from_python(attempt(core()$r_bridge$answer(name), arguments, call))
}

# The call of the method that calls this one, as its user wrote it: with the name of the generic.
generic_call <- function(name) {
  call <- sys.call(-1)
  call[[1]] <- as.name(name)
  call
}

# The generic posterior_linpred() has `transform` in second place, where the data may stand too.
with_transform <- function(arguments, call) {
  transform <- arguments[["transform"]]
  if (is.null(transform) || isTRUE(transform) || isFALSE(transform)) {
    return(arguments)
  }
  if ("newdata" %in% names(arguments)) {
    refuse_argument(
      "transform", "TRUE or FALSE", transform, "Write the names of arguments behind the data.", call
    )
  }
  names(arguments)[names(arguments) == "transform"] <- "newdata"
  arguments
}

# What users of other packages call an argument.
other_names <- c(ndraws = "draws", conf.level = "prob")

# The arguments by the names that they have here.
with_names <- function(arguments, call) {
  names(arguments)[names(arguments) == "x"] <- "object" # as the generic tidy() has it
  for (other in intersect(names(other_names), names(arguments))) {
    name <- other_names[[other]]
    if (name %in% names(arguments)) {
      refuse_argument(
        other, sprintf("left out where `%s` is given", name), arguments[[other]],
        "Both mean the same.", call
      )
    }
    names(arguments)[names(arguments) == other] <- name
  }
  arguments
}

is_same <- function(one, other) {
  is_python(one) && is_python(other) && identical(reticulate::py_id(one), reticulate::py_id(other))
}

# The arguments that the user gave to `wrapper`, by the names that the user wrote.
given <- function(wrapper, call, frame) {
  names <- setdiff(names(formals(wrapper)), "...")
  is_given <- !vapply(names, function(name) eval(call("missing", as.name(name)), frame), logical(1))
  names <- names[is_given]
  # R evaluates an argument when it is first used. `object` comes first, so that in
  # `model %>% a() %>% b()` the layer of a() is added before that of b().
  values <- stats::setNames(lapply(names, get, envir = frame), names)
  # R takes `see = 1` for `seed = 1`. Python does not, and neither do we: send it as it was written.
  formals <- names(formals(wrapper))
  all_written <- written_names(call, frame)
  for (written in setdiff(all_written, formals)) {
    meant <- formals[pmatch(written, formals)]
    if (!is.na(meant) && !meant %in% all_written) {
      names(values)[names(values) == meant] <- written
    }
  }
  c(values, if ("..." %in% names(formals(wrapper))) eval(quote(list(...)), frame))
}

# Names of arguments as they stand in a call, those that came by `...` included.
written_names <- function(call, frame) {
  names <- names(call)[-1]
  is_dots <- vapply(as.list(call)[-1], identical, logical(1), quote(...))
  if (any(is_dots)) {
    caller <- sys.frame(sys.parents()[which(vapply(sys.frames(), identical, logical(1), frame))])
    names <- c(names, names(eval(quote(list(...)), caller)))
  }
  names[nzchar(names)]
}

# magrittr calls what stands in front of a pipe `.`, so a NULL there is a model gone missing.
refuse_null_in_pipe <- function(call, arguments, name) {
  in_pipe <- length(call) > 1 && identical(call[[2]], quote(.))
  if (in_pipe && "object" %in% names(arguments) && is.null(arguments$object)) {
    attempt(core()$pipe, list(NULL), call)
  }
}

# Call a Python function; an error of Python becomes one of R that says the same, and so does a
# warning of the core.
attempt <- function(fun, arguments, call = sys.call(-1)) {
  values <- lapply(unname(arguments), to_python)
  names <- names(arguments)
  if (is.null(names)) {
    names <- rep("", length(values))
  }
  is_named <- nzchar(names)
  result <- core()$r_bridge$attempt(
    fun, values[!is_named], reticulate::py_dict(names[is_named], values[is_named])
  )
  for (notice in result[[4]]) {
    warn(notice, call)
  }
  if (!is.null(result[[2]])) {
    refuse(result[[2]], result[[3]], call)
  }
  result[[1]]
}

# Raise an error of class `layerapi_<type>`, for example `layerapi_ValueError`.
refuse <- function(type, message, call = NULL) {
  classes <- c(paste0("layerapi_", type), "layerapi_error", "error", "condition")
  stop(structure(list(message = message, call = call), class = classes))
}

# Warn by a condition of class `layerapi_warning`.
warn <- function(message, call = NULL) {
  classes <- c("layerapi_warning", "warning", "condition")
  warning(structure(list(message = message, call = call), class = classes))
}

# Refuse an argument in the words that Python has for it.
refuse_argument <- function(argument, expected, value, remedy, call, type = "ValueError") {
  received <- core()$messages$describe(to_python(value))
  message <- sprintf("`%s` must be %s. Received: %s. %s", argument, expected, received, remedy)
  refuse(type, message, call)
}
