# Tests of what a new R session does.

# Run code in a new R session; return what it printed.
in_new_session <- function(code, env = character()) {
  script <- script_file(code)
  on.exit(unlink(script))
  output <- suppressWarnings(
    system2(file.path(R.home("bin"), "Rscript"), script, stdout = TRUE, stderr = FALSE, env = env)
  )
  paste(output, collapse = "\n")
}

script_file <- function(code) {
  file <- tempfile(fileext = ".R")
  writeLines(code, file)
  file
}
