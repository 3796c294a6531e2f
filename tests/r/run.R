# Run every test of this folder; print the counts, and why tests were skipped; fail if one failed.

folder <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)))
options(warnPartialMatchArgs = TRUE)

library(testthat)
library(layerapi)

results <- as.data.frame(test_dir(
  folder,
  reporter = CheckReporter$new(), package = "layerapi", load_package = "installed",
  stop_on_failure = FALSE
))
failed <- sum(results$failed) + sum(results$error)
cat(sprintf(
  "%d tests: %d expectations passed, %d failed, %d skipped, %d warnings\n",
  nrow(results), sum(results$passed), failed, sum(results$skipped), sum(results$warning)
))
quit(status = as.integer(failed + sum(results$warning) > 0))
