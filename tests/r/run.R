# Run every test of this folder; print the counts, and why tests were skipped; fail if one failed.

folder <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)))
options(warnPartialMatchArgs = TRUE)

library(testthat)
library(layerapi)

# The messages about bad input are the core's, which Python's tests see under every backend: once is
# enough from R.
is_tensorflow <- Sys.getenv("KERAS_BACKEND", "tensorflow") == "tensorflow"
results <- as.data.frame(test_dir(
  folder,
  filter = if (!is_tensorflow) "bad-input", invert = !is_tensorflow,
  reporter = CheckReporter$new(), package = "layerapi", load_package = "installed",
  stop_on_failure = FALSE
))
failed <- sum(results$failed) + sum(results$error)
cat(sprintf(
  "%d tests: %d expectations passed, %d failed, %d skipped, %d warnings\n",
  nrow(results), sum(results$passed), failed, sum(results$skipped), sum(results$warning)
))
quit(status = as.integer(failed + sum(results$warning) > 0))
