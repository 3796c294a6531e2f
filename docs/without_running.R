# Write a document of vignettes/ as Markdown without running its code: the text and the code that
# the page shows, and an ellipsis for each number that it computes.
#
# Usage: Rscript docs/without_running.R vignettes/speed.Rmd FILE.md

arguments <- commandArgs(trailingOnly = TRUE)
lines <- xfun::read_utf8(arguments[1])
knitr::opts_knit$set(progress = FALSE)

# What the document sets for all its code, such as that a page of results shows none, holds here.
code <- knitr::purl(text = lines, output = tempfile(fileext = ".R"), quiet = TRUE)
for (call in parse(code, encoding = "UTF-8")) {
  if (is.call(call) && identical(call[[1]], quote(knitr::opts_chunk$set))) eval(call)
}

knitr::opts_chunk$set(eval = FALSE)
knitr::render_markdown()
knitr::knit_hooks$set(evaluate.inline = function(code, envir) "…")
knitr::knit_engines$set(python = function(options) knitr::engine_output(options, options$code, ""))
xfun::write_utf8(knitr::knit(text = lines, quiet = TRUE), arguments[2])
