# The cases of `tests/cases`: what they do in R, and the values that JSON cannot hold.
# `tests/python/cases.py` does the same in Python.

bad_input <- jsonlite::fromJSON(
  file.path("..", "cases", "bad_input.json"),
  simplifyVector = FALSE
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
    keras2_model = reticulate::import("tf_keras")$Sequential(),
    layer_class = reticulate::py_get_attr(layer_dense_flipout(units = 2), "__class__"),
    layer = layer_dense_flipout(units = 2, name = "alone"),
    functional_model = {
      input <- keras$Input(shape = list(3L))
      keras$Model(input, input, name = "functional")
    },
    matrix = matrix(0, 2, 2),
    text_matrix = matrix(c("a", "b"), 1),
    deterministic = {
      tfd <- reticulate::import("tensorflow_probability")$distributions
      tfd$Independent(tfd$Deterministic(matrix(0, 3, 2)), 2L)
    },
    stop("no such special value: ", value$special)
  )
}

case_function <- function(takes, returns) {
  eval(parse(text = sprintf("function(%s) returns", toString(takes))))
}

# Do what a case says; `state()` tells what must be as it was.
prepare <- function(case) {
  arguments <- lapply(case$arguments, special)
  model <- new_model()
  layers <- function() length(model$layers)
  nothing <- function() NULL
  switch(case$do,
    layer = list(act = function() do.call(layer_dense_flipout, arguments), state = nothing),
    pipe = list(act = function() NULL %>% layer_dense_flipout(units = 2), state = nothing),
    add = list(
      act = function() do.call(layer_dense_flipout, c(list(model), arguments)), state = layers
    ),
    input = {
      shape <- lapply(case$arguments$shape, identity)
      model <- keras$Sequential(list(keras$Input(shape = shape)))
      list(act = function() model %>% layer_dense_flipout(units = 2), state = layers)
    },
    set_weights = {
      layer <- layer_dense_flipout(units = 2)
      layer$build(list(NULL, 3L))
      weights <- lapply(case$arguments$shapes, function(shape) array(1, unlist(shape)))
      list(act = function() layer$set_weights(weights), state = function() layer$get_weights())
    }
  )
}
