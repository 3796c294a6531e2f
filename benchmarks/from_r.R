# R's half of from_r.py: does the tasks that it reads from standard input, one on a line, and
# answers each with a line of JSON: the seconds and the seconds of processors that it took, and the
# memory, as a multiple of what the result takes.

library(layerapi)
keras <- reticulate::import("keras")
numpy <- reticulate::import("numpy")

sizes <- lapply(jsonlite::fromJSON(commandArgs(trailingOnly = TRUE)), as.integer)

random <- numpy$random$default_rng(0L)
x <- random$standard_normal(reticulate::tuple(sizes$rows, sizes$inputs))
y <- random$integers(0L, 10L, sizes$rows)

network <- function(model, layers) {
  for (i in seq_len(layers - 1L)) {
    model <- model %>%
      layer_dense_flipout(units = sizes$units, activation = "relu", kl_weight = 1 / sizes$rows)
  }
  model %>% layer_dense_flipout(units = 10, kl_weight = 1 / sizes$rows)
}

compiled <- function(model) {
  loss <- keras$losses$SparseCategoricalCrossentropy(from_logits = TRUE)
  model$compile(optimizer = "adam", loss = loss)
  model
}

# Predictions as they lie in Python, on their way into R.
predictions <- reticulate::import("numpy", convert = FALSE)$ones(
  reticulate::tuple(sizes$predictions, 1000L),
  dtype = "float32"
)
copy_once <- utils::getFromNamespace("copy_once", "layerapi")
numbers <- utils::getFromNamespace("core", "layerapi")()$r_bridge$Numbers(predictions)

empty <- function() keras$Sequential(list(keras$Input(list(sizes$inputs))))
model <- compiled(network(empty(), 3L))
has_keras3 <- nzchar(system.file(package = "keras3"))
if (has_keras3) {
  begin <- getExportedValue("keras3", "keras_model_sequential")
  model_of_keras3 <- compiled(network(begin(input_shape = sizes$inputs), 3L))
  fit <- getExportedValue("keras3", "fit")
}

tasks <- list(
  "build" = function() {
    network(empty(), sizes$layers)
  },
  "predict" = function() {
    model$predict(x, batch_size = sizes$batch, verbose = 0L)
  },
  "copy, reticulate" = function() {
    reticulate::py_to_r(predictions)
  },
  "copy, predict_array()" = function() {
    copy_once(numbers)
  },
  "train" = function() {
    model$fit(x, y, batch_size = sizes$batch, epochs = sizes$epochs, verbose = 0L)
  },
  "train, keras3" = function() {
    fit(model_of_keras3, x, y, batch_size = sizes$batch, epochs = sizes$epochs, verbose = 0L)
  }
)

answer <- function(...) {
  cat(jsonlite::toJSON(list(...), auto_unbox = TRUE, digits = NA), "\n", sep = "")
}

# Bytes of the process in memory: `VmRSS` now, `VmHWM` at most. NA where this is not Linux.
resident <- function(field) {
  status <- "/proc/self/status"
  line <- if (file.exists(status)) grep(field, readLines(status), value = TRUE) else NA
  1024 * as.numeric(gsub("[^0-9]", "", line))
}

forget_peak <- function() {
  if (file.exists("/proc/self/clear_refs")) {
    cat("5", file = "/proc/self/clear_refs")
  }
}

answer(tasks = I(setdiff(names(tasks), if (!has_keras3) "train, keras3")))
input <- file("stdin", "r")
while (length(task <- readLines(input, 1L))) {
  invisible(gc())
  forget_peak()
  before <- resident("VmRSS")
  started <- proc.time()
  result <- tasks[[task]]()
  took <- proc.time() - started
  answer(
    seconds = took[["elapsed"]], cpu = took[["user.self"]] + took[["sys.self"]],
    # How often the result was there at once.
    copies = (resident("VmHWM") - before) / as.numeric(utils::object.size(result))
  )
  rm(result)
}
