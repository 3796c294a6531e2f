# Run documents with R and Python side by side, and write their pages into build/vignettes.
#
# Usage: Rscript vignettes/render.R vignettes/answers.Rmd ...

for (file in commandArgs(trailingOnly = TRUE)) {
  folder <- file.path(getwd(), "build", "vignettes")
  rmarkdown::render(file, output_dir = folder, intermediates_dir = folder, quiet = TRUE)
}
