# The cases of `tests/cases`: what they do in R, and the values that JSON cannot hold.
# `tests/python/cases.py` does the same in Python.

cases <- normalizePath(file.path("..", "cases")) # of now: later the working directory is another

read_cases <- function(name) {
  jsonlite::fromJSON(file.path(cases, paste0(name, ".json")), simplifyVector = FALSE)
}

# A case for a layer, with {function} and the like filled in.
fill_in <- function(case, layer) {
  for (name in c("function", "class", "size", "example", "arguments")) {
    mark <- paste0("{", name, "}")
    case$message <- gsub(mark, layer[[name]], case$message, fixed = TRUE)
    if (length(case$arguments)) {
      names(case$arguments) <- gsub(mark, layer[[name]], names(case$arguments), fixed = TRUE)
    }
  }
  case$message <- gsub("{library}", layerapi:::core()$backend$LIBRARY, case$message, fixed = TRUE)
  case$layer <- layer
  case
}

layers <- read_cases("layers")

# Every case for every layer it is about.
bad_input <- unlist(
  lapply(layers, function(layer) {
    cases <- read_cases("bad_input")
    is_about <- function(case) grepl(c(case[["for"]], "")[1], layer[["function"]])
    lapply(Filter(is_about, cases), fill_in, layer)
  }),
  recursive = FALSE
)

keras <- reticulate::import("keras")

# A model that takes rows of `features` numbers.
new_model <- function(features = 3L) {
  keras$Sequential(list(keras$Input(shape = list(features))))
}

# A layer of two units that has its weights.
built <- function(...) {
  layer <- layer_dense_flipout(units = 2, seed = 1, ...)
  layer$build(list(NULL, 3L))
  layer
}

# What a value of a case stands for: list(special = kind, ...), or plain JSON.
special <- function(value) {
  if (is.integer(value)) {
    return(as.double(value)) # as R's users write whole numbers
  }
  if (is.null(names(value))) {
    return(if (is.list(value)) unlist(lapply(value, special)) else value)
  }
  switch(value$special,
    na = NA,
    "function" = case_function(value$takes, special(value$returns)),
    data_frame = data.frame(a = 1),
    keras2_model = {
      tf_keras <- reticulate::import("tf_keras")
      input <- tf_keras$Input(shape = list(3L))
      tf_keras$Model(input, input, name = "functional")
    },
    layer_class = reticulate::py_get_attr(layer_dense_flipout(units = 2), "__class__"),
    layer = layer_dense_flipout(units = 2, name = "alone"),
    functional_model = {
      input <- keras$Input(shape = list(3L))
      keras$Model(input, input, name = "functional")
    },
    matrix = matrix(0, 2, 2),
    text_matrix = matrix(c("a", "b"), 1),
    deterministic = {
      layerapi:::core()$backend$deterministic_distribution(keras$ops$zeros(c(3L, 2L)))
    },
    stop("no such special value: ", value$special)
  )
}

case_function <- function(takes, returns) {
  eval(parse(text = sprintf("function(%s) returns", toString(takes))))
}

# Do what a case says; `state()` tells what must be as it was.
prepare <- function(case) {
  layer <- case$layer
  fun <- get(layer[["function"]], asNamespace("layerapi"))
  is_given <- function(value) !identical(value, list(special = "missing"))
  more <- layer$more[setdiff(names(layer$more), names(case$arguments))]
  arguments <- c(more, lapply(Filter(is_given, case$arguments), special))
  required <- c(stats::setNames(list(2), layer$size), layer$more)
  new_model <- function(shape) keras$Sequential(list(keras$Input(shape = shape)))
  switch(case$do,
    layer = list(act = function() do.call(fun, arguments), state = function() NULL),
    pipe = list(
      act = function() {
        call <- as.call(c(as.name("%>%"), list(NULL), as.call(c(fun, required))))
        eval(call)
      },
      state = function() NULL
    ),
    add = {
      model <- new_model(layer$shape)
      list(
        act = function() do.call(fun, c(list(model), arguments)),
        state = function() length(model$layers)
      )
    },
    call = list(
      act = function() do.call(fun, c(list(array(1, c(2, unlist(layer$shape)))), arguments)),
      state = function() NULL
    ),
    input = {
      model <- new_model(case$arguments$shape)
      list(
        act = function() do.call(fun, c(list(model), required)),
        state = function() length(model$layers)
      )
    },
    set_weights = {
      made <- do.call(fun, required)
      made$build(c(list(NULL), layer$shape))
      weights <- lapply(case$arguments$shapes, function(shape) array(1, unlist(shape)))
      list(act = function() made$set_weights(weights), state = function() made$get_weights())
    }
  )
}
