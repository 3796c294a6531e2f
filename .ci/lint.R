# Lint the R package and the project's other R files by the rules in r-package/.lintr.

settings <- "r-package/.lintr"
options(lintr.linter_file = normalizePath(settings))

# Outside the package, lintr does not see what a file's helpers and attached packages define, nor
# may every suggested package be there; and tests look inside the package.
package_only <- c("namespace_linter", "object_usage_linter", "undesirable_operator_linter")

linters <- eval(str2lang(read.dcf(settings, "linters")), asNamespace("lintr"))
outside <- linters[setdiff(names(linters), package_only)]

files <- list.files(
  c("tests/r", "vignettes", "benchmarks", "docs", ".ci"),
  pattern = "[.](R|Rmd)$", recursive = TRUE, full.names = TRUE
)
found <- c(list(lintr::lint_package("r-package")), lapply(files, lintr::lint, outside))
for (lints in found[lengths(found) > 0]) print(lints)
count <- sum(lengths(found))
cat(sprintf("%d lints in the R package and %d other files\n", count, length(files)))
quit(status = as.integer(count > 0))
