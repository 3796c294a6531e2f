# Loading, the two packages' versions, and the code of the help pages and of the README.

pages <- tools::Rd_db("layerapi")

# Every element of a help page that has the tag, each as one text.
tagged <- function(rd, tag) {
  own <- if (identical(attr(rd, "Rd_tag"), tag)) paste(unlist(rd), collapse = "")
  within <- if (is.list(rd)) unlist(lapply(rd, tagged, tag = tag))
  c(own, within)
}

test_that("loading the package starts no Python and sets no environment variable", {
  output <- in_new_session(c(
    "before <- Sys.getenv()",
    "loadNamespace('reticulate')",
    "with_reticulate <- Sys.getenv()",
    "library(layerapi)",
    "cat(reticulate::py_available(), identical(Sys.getenv(), with_reticulate))"
  ))
  expect_match(output, "FALSE TRUE$")
})

test_that("Python code beside R's finds the core that R's package has", {
  output <- in_new_session(c(
    "library(layerapi)",
    "reticulate::py_run_string(\"",
    "import importlib.util, sys",
    "# Not the one that developers have.",
    "sys.meta_path[:] = [each for each in sys.meta_path if 'editable' not in str(each)]",
    "found = importlib.util.find_spec('layer_api').origin",
    "\")",
    "cat(reticulate::py$found)"
  ))
  expect_match(output, system.file("python", package = "layerapi"), fixed = TRUE)
})

test_that("another version of the core is refused, with both versions", {
  folder <- tempfile()
  dir.create(file.path(folder, "layer_api"), recursive = TRUE)
  on.exit(unlink(folder, recursive = TRUE))
  writeLines("__version__ = '9.9.9'", file.path(folder, "layer_api", "__init__.py"))
  output <- in_new_session(c(
    sprintf("reticulate::import_from_path('layer_api', %s)", deparse(folder)),
    "tryCatch(layerapi::layer_dense_flipout(units = 2), error = function(e) {",
    "  cat(class(e)[1], conditionMessage(e))",
    "})"
  ))
  version <- as.character(utils::packageVersion("layerapi"))
  expect_match(output, "layerapi_ImportError Python has layer_api 9.9.9 loaded", fixed = TRUE)
  expect_match(output, paste("works with", version), fixed = TRUE)
})

test_that("a Python without Keras is reported with the remedy", {
  folder <- tempfile()
  dir.create(folder)
  on.exit(unlink(folder, recursive = TRUE))
  writeLines(
    "raise ModuleNotFoundError(\"No module named 'keras'\")", file.path(folder, "keras.py")
  )
  output <- in_new_session(
    c(
      "tryCatch(layerapi::layer_dense_flipout(units = 2), error = function(e) {",
      "  cat(class(e)[1], conditionMessage(e))",
      "})"
    ),
    env = paste0("PYTHONPATH=", folder)
  )
  expect_match(output, "layerapi_ImportError", fixed = TRUE)
  expect_match(output, "No module named 'keras'", fixed = TRUE)
  expect_match(output, "install_layerapi()", fixed = TRUE)
  expect_match(output, "reticulate::py_install()", fixed = TRUE)
})

test_that("the versions of the package and of the core are one", {
  core_version <- layerapi:::core()[["__version__"]]
  expect_identical(core_version, as.character(utils::packageVersion("layerapi")))
  expect_identical(core_version, layerapi:::core_version)
})

test_that("Keras's backend is what KERAS_BACKEND says before Python starts", {
  modules <- c(tensorflow = "tensorflow", jax = "jax", torch = "torch")
  code <- tagged(pages[["layerapi-package.Rd"]], "\\preformatted")
  for (other in setdiff(if (is_full) names(modules) else "jax", c("tensorflow", backend))) {
    skip_if_not(reticulate::py_module_available(modules[[other]]), paste(other, "is installed"))
    output <- in_new_session(c(
      sub("\"jax\"", dQuote(other, FALSE), code),
      "print(layer_dense_flipout(matrix(1, 1, 3), units = 2))",
      "cat(reticulate::import('keras')$backend$backend())",
      "cat('', 'tensorflow' %in% names(reticulate::import('sys')$modules))"
    ))
    expect_match(output, paste(other, "FALSE$"))
  }
})

for (page in names(pages)) {
  local({
    topic <- tagged(pages[[page]], "\\alias")[1]
    test_that(paste("the example on the help page runs:", topic), {
      # Help pages load the package, print, and draw; what they leave behind stays in this function.
      grDevices::pdf(NULL)
      on.exit(grDevices::dev.off())
      expect_length(tagged(pages[[page]], "\\examples"), 1)
      expect_error(
        capture.output(utils::example(
          topic,
          package = "layerapi", character.only = TRUE, local = TRUE, ask = FALSE, echo = FALSE
        )),
        NA
      )
    })
  })
}

# The code of R in the README, one text for each block.
readme_blocks <- local({
  readme <- readLines(file.path("..", "..", "README.md"))
  begins <- which(readme == "```r")
  lapply(begins, function(begin) {
    end <- which(readme == "```" & seq_along(readme) > begin)[1]
    # They train for longer than it takes to see that they run.
    sub("epochs = 200", "epochs = 2", readme[(begin + 1):(end - 1)], fixed = TRUE)
  })
})

test_that("the example of the README runs", {
  expect_length(readme_blocks, 2)
  found <- new.env()
  probability <- eval(parse(text = readme_blocks[[1]]), found)
  expect_identical(dim(found$draws), c(1000L, nrow(mtcars)))
  expect_true(probability > 0 && probability < 1)
})

test_that("the example of the README runs in keras3's words", {
  found <- list2env(list(
    x = scale(as.matrix(mtcars[, c("wt", "hp", "qsec")])), y = scale(mtcars$mpg), n = nrow(mtcars)
  ))
  if (!nzchar(system.file(package = "keras3"))) { # the verbs do what those of keras3 do
    verbs <- list(
      library = function(package) NULL,
      keras_model_sequential = function(input_shape) {
        keras$Sequential(list(keras$Input(list(as.integer(input_shape)))))
      },
      compile = function(object, ...) object$compile(...),
      fit = function(object, x, y, epochs, verbose) {
        object$fit(x, y, epochs = as.integer(epochs), verbose = as.integer(verbose))
      }
    )
    list2env(verbs, found)
  }
  eval(parse(text = readme_blocks[[2]]), found)
  expect_identical(dim(predictive_interval(found$model, found$x)), c(nrow(mtcars), 2L))
})

test_that("?layerapi leads to every other help page", {
  map <- pages[["layerapi-package.Rd"]]
  # A link is to what it shows, or, as \link[=topic]{text}, to the topic.
  links <- function(rd) {
    option <- attr(rd, "Rd_option")
    own <- if (identical(attr(rd, "Rd_tag"), "\\link")) {
      if (is.null(option)) paste(unlist(rd), collapse = "") else sub("^=", "", option)
    }
    c(own, if (is.list(rd)) unlist(lapply(rd, links)))
  }
  found <- links(map)
  for (page in setdiff(names(pages), "layerapi-package.Rd")) {
    expect_true(any(tagged(pages[[page]], "\\alias") %in% found), label = paste("link to", page))
  }
})

test_that("a help page's code is whole, and R's", {
  for (page in names(pages)) {
    text <- paste(as.character(pages[[page]]), collapse = "")
    code <- tagged(pages[[page]], "\\preformatted")
    # One block that a blank line has torn is several, with nothing between them.
    end <- "\\\\if{html}{\\\\out{</div>}}"
    expect_no_match(gsub("\\s", "", text), paste0(end, "\\\\if{html}"), fixed = TRUE, label = page)
    expect_false(any(grepl("(^|\n) *(import|from|class|def|return|self)\\b", code)), label = page)
    expect_false(any(grepl("\\w=\\w", c(code, tagged(pages[[page]], "\\code")))), label = page)
    # A number that ends a sentence begins no list: no page has lists with numbers.
    expect_length(tagged(pages[[page]], "\\enumerate"), 0)
  }
})
