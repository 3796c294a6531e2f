# What the tests need of a backend by name: its distributions, and arrays of its tensors.

backend <- reticulate::import("keras")$backend$backend()

only_tensorflow <- function(why) {
  skip_if_not(backend == "tensorflow", why)
}

# `make test FULL=1` leaves nothing out.
is_full <- nzchar(Sys.getenv("FULL"))

only_in_full <- function(why) {
  skip_if_not(is_full, paste0(why, ": FULL=1 does"))
}

# What a tensor is in R.
array_of <- layerapi:::to_array

numbers <- function(tensor) as.vector(array_of(tensor))

# The sum of the losses of a layer or a model.
loss_of <- function(layer) {
  sum(vapply(layer$losses, numbers, numeric(1)))
}

# Independent normals and Laplace distributions of the backend's library, over all axes, as users
# write them. `loc` and `scale` are tensors, or R's numbers.
library_normal <- function(loc, scale) {
  independent("Normal", loc, scale)
}

library_laplace <- function(loc, scale) {
  independent("Laplace", loc, scale)
}

independent <- function(name, loc, scale) {
  loc <- as_tensor(loc)
  scale <- as_tensor(scale)
  rank <- keras$ops$ndim(loc)
  switch(backend,
    tensorflow = {
      tfd <- reticulate::import("tensorflow_probability")$distributions
      tfd$Independent(tfd[[name]](loc, scale), rank)
    },
    jax = reticulate::import("numpyro")$distributions[[name]](loc, scale)$to_event(rank),
    torch = {
      dist <- reticulate::import("torch")$distributions
      dist$Independent(dist[[name]](loc, scale), rank)
    }
  )
}

as_tensor <- function(value) {
  if (is.numeric(value)) keras$ops$convert_to_tensor(value, "float32") else value
}
