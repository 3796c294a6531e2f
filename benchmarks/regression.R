# As `regression.py`, for one network: fits it and scores it, from R.
#
#     Rscript benchmarks/regression.R split.npz
#
# The file has the standardized rows of a split and what was chosen for it. Each score goes to
# standard output, a line for each, with all its digits.

library(layerapi)
keras <- reticulate::import("keras")
numpy <- reticulate::import("numpy")

# The names are those of `regression.for_r()`.
given <- numpy$load(commandArgs(trailingOnly = TRUE)[1])
get <- function(name) {
  value <- given$f[[name]]
  if (length(value) == 1) value[[1]] else value # NumPy's scalars are arrays of no axis
}
x <- get("x")
rows <- as.integer(get("rows")) + 1L
steps <- length(rows) / get("batch")
n <- nrow(x)

keras$utils$set_random_seed(as.integer(get("seed")))
model <- keras$Sequential(list(keras$Input(list(ncol(x)))))
model %>%
  layer_dense_local_reparameterization(
    units = get("units"), activation = "relu", kl_weight = get("factor") / n
  ) %>%
  layer_dense_local_reparameterization(units = 1, kl_weight = 1 / n) %>%
  layer_shared_scale()
decay <- keras$optimizers$schedules$CosineDecay(get("learning_rate"), as.integer(steps))
model$compile(
  optimizer = keras$optimizers$Adam(decay),
  loss = likelihood_student_t(),
  steps_per_execution = 100L
)
fitted <- model$fit(
  x[rows, ], array(get("y")[rows]),
  batch_size = as.integer(get("batch")), shuffle = FALSE, verbose = 0L
)

found <- score(model, get("other_x"), get("other_y"), seed = get("score_seed"), verbose = FALSE)
found <- setNames(found$estimate, found$metric)
scores <- c(
  rmse = found[["rmse"]] * get("unit"),
  crps = found[["crps"]] * get("unit"),
  log_likelihood = found[["log_score"]] - log(get("unit")),
  coverage_50 = found[["coverage_50"]],
  coverage_90 = found[["coverage_90"]]
)
cat(sprintf("%s %.17g\n", names(scores), scores), sep = "")
