# Write the help pages of the R package as JSON, their text as HTML, for reference.py.
#
# Usage: Rscript docs/help.R r-package/man FILE.json

arguments <- commandArgs(trailingOnly = TRUE)

html <- function(rd) {
  text <- utils::capture.output(tools::Rd2HTML(structure(rd, class = "Rd"), fragment = TRUE))
  paste(text, collapse = "\n")
}

# Code as it is typed; what "examplesIf" puts around an example is not shown.
code <- function(rd) {
  shown <- Filter(function(part) attr(part, "Rd_tag") != "\\dontshow", rd)
  trimws(paste(unlist(shown), collapse = ""))
}

page <- function(file) {
  rd <- tools::parse_Rd(file)
  tags <- sub("\\", "", vapply(rd, attr, "", "Rd_tag"), fixed = TRUE)
  found <- function(tag) rd[tags == tag]
  one <- function(tag, convert) {
    part <- found(tag)
    if (length(part)) convert(part[[1]])
  }
  items <- one("arguments", function(part) {
    Filter(function(each) attr(each, "Rd_tag") == "\\item", part)
  })
  list(
    title = one("title", html),
    aliases = I(vapply(found("alias"), function(each) trimws(unlist(each)), "")),
    usage = one("usage", function(part) html(list(part))),
    body = paste(c(one("description", html), one("details", html)), collapse = "\n"),
    arguments = lapply(items, function(item) list(html(item[[1]]), html(item[[2]]))),
    value = one("value", html),
    sections = lapply(found("section"), function(part) list(html(part[[1]]), html(part[[2]]))),
    references = one("references", html),
    examples = one("examples", code)
  )
}

files <- list.files(arguments[1], "[.]Rd$", full.names = TRUE)
pages <- lapply(files, page)
names(pages) <- sub("[.]Rd$", "", basename(files))
jsonlite::write_json(pages, arguments[2], auto_unbox = TRUE, null = "null")
