# Run every test of this folder; print the counts, and why tests were skipped; fail if one failed.

folder <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)))
options(warnPartialMatchArgs = TRUE)

library(testthat)
library(layerapi)

# What R does with messages, configs and printing knows no backend. Under JAX and torch, the files
# in which tensors come from R or go to it; with `FULL=1`, every file.
of_tensors <- "answers|distributions|predict|training"
is_all <- Sys.getenv("KERAS_BACKEND", "tensorflow") == "tensorflow" || nzchar(Sys.getenv("FULL"))
results <- as.data.frame(test_dir(
  folder,
  filter = if (!is_all) of_tensors,
  reporter = CheckReporter$new(), package = "layerapi", load_package = "installed",
  stop_on_failure = FALSE
))
failed <- sum(results$failed) + sum(results$error)
cat(sprintf(
  "%d tests: %d expectations passed, %d failed, %d skipped, %d warnings\n",
  nrow(results), sum(results$passed), failed, sum(results$skipped), sum(results$warning)
))
quit(status = as.integer(failed + sum(results$warning) > 0))
