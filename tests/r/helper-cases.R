# The tables of `tests/cases`: the cases of bad input for every layer that they are about, and the
# values that JSON cannot hold. `tests/python/table.py` and `cases.py` do the same in Python.

cases <- normalizePath(file.path("..", "cases")) # of now: later the working directory is another

read_cases <- function(name) {
  jsonlite::fromJSON(file.path(cases, paste0(name, ".json")), simplifyVector = FALSE)
}

# One list with the elements of another, which may be NULL.
joined <- function(one, other) {
  one[names(other)] <- other
  one
}

# A row with what it has of its family; its own arguments join those of the family.
whole <- function(row, families) {
  of_family <- if (!is.null(row[["like"]])) whole(families[[row[["like"]]]], families)
  for (field in names(row)) {
    value <- row[[field]]
    is_named <- !is.null(names(value))
    row[field] <- list(if (is_named) joined(of_family[[field]], value) else value)
  }
  joined(of_family, row)
}

layer_function <- function(layer) get(layer[["function"]], asNamespace("layerapi"))

own_names_of <- function(layer) setdiff(names(formals(layer_function(layer))), c("object", "..."))

# What the tables say of one argument of a layer; the last that says it is right.
argument <- function(name, layer, kinds) {
  found <- list(argument = name, is = list(name), optional = FALSE)
  for (entry in kinds) {
    ending <- entry[["ends"]]
    if (identical(entry[["argument"]], name) ||
      (!is.null(ending) && endsWith(paste0("_", name), paste0("_", ending)))) {
      found <- joined(found, entry)
    }
  }
  required <- list(required = name %in% names(layer$required))
  joined(required, joined(found, layer[["arguments"]][[name]]))
}

# What is known of every argument of a layer, those that go on to Keras last.
arguments_of <- function(layer, tables) {
  names <- c("object", own_names_of(layer), unlist(layer$of_keras), unlist(tables$of_keras))
  lapply(unique(names), argument, layer, tables$kinds)
}

# Whether every fact is the one that is wanted, or among them.
holds <- function(where, facts) {
  all(vapply(
    names(where), function(name) isTRUE(facts[[name]] %in% unlist(where[[name]])), logical(1)
  ))
}

# A case with the facts in place of {function} and the like.
fill_in <- function(case, facts) {
  for (name in names(Filter(is.character, facts))) {
    fill <- function(text) gsub(paste0("{", name, "}"), facts[[name]], text, fixed = TRUE)
    case[c("id", "message")] <- lapply(case[c("id", "message")], fill)
    names(case$arguments) <- fill(names(case$arguments))
  }
  case
}

# Every case for every argument of a layer that it is about.
cases_of <- function(layer, rows, tables) {
  own <- own_names_of(layer)
  known <- joined(layer, list(
    first = own[1], all = toString(own), library = layerapi:::core()$backend$distributions$LIBRARY
  ))
  arguments <- arguments_of(layer, tables)
  found <- lapply(rows, function(row) {
    is_about <- function(argument) row$about %in% c(argument$argument, unlist(argument$is))
    subjects <- if (is.null(row$about)) list(list()) else Filter(is_about, arguments)
    lapply(subjects, function(subject) {
      none <- if (isTRUE(subject$optional)) "None/NULL, " else ""
      facts <- joined(joined(known, subject), list(none = none))
      if (holds(row$where, facts)) c(fill_in(row, facts), list(layer = layer))
    })
  })
  Filter(Negate(is.null), unlist(found, recursive = FALSE))
}

layers <- local({
  tables <- read_cases("layers")
  lapply(tables$layers, whole, tables$families)
})
bad_input <- unlist(
  lapply(layers, cases_of, read_cases("bad_input"), read_cases("arguments")),
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
    block = {
      do.call(get(value[["function"]], asNamespace("layerapi")), lapply(value$arguments, special))
    },
    keras = {
      path <- strsplit(value$name, ".", fixed = TRUE)[[1]]
      do.call(Reduce(function(module, name) module[[name]], path, keras), value$arguments)
    },
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
      layerapi:::core()$backend$distributions$deterministic_distribution(keras$ops$zeros(c(3L, 2L)))
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
  fun <- layer_function(layer)
  shape <- if (is.null(case$inputs)) layer$shapes[[1]][[1]] else case$inputs
  is_given <- function(value) !identical(value, list(special = "missing"))
  arguments <- lapply(Filter(is_given, joined(layer$required, case$arguments)), special)
  switch(case$do,
    layer = list(act = function() do.call(fun, arguments), state = function() NULL),
    pipe = list(
      act = function() {
        call <- as.call(c(as.name("%>%"), list(NULL), as.call(c(fun, arguments))))
        eval(call)
      },
      state = function() NULL
    ),
    add = {
      model <- keras$Sequential(list(keras$Input(shape = shape)))
      list(
        act = function() do.call(fun, c(list(model), arguments)),
        state = function() length(model$layers)
      )
    },
    call = list(
      act = function() do.call(fun, c(list(array(1, c(2, unlist(shape)))), arguments)),
      state = function() NULL
    ),
    set_weights = {
      made <- do.call(fun, arguments)
      made$build(c(list(NULL), shape))
      weights <- lapply(case$weights, function(shape) array(1, unlist(shape)))
      list(act = function() made$set_weights(weights), state = function() made$get_weights())
    }
  )
}
