# The example is code of Python in code of R.
# nolint start: commented_code_linter.
#' A posterior, prior or divergence of your own
#'
#' @description
#' A function of R with the arguments that a layer's help page names works in every layer, and
#' trains. But a saved model cannot hold a function of R, so saving is refused. Two kinds of blocks
#' can be saved:
#'
#' * a block of this package with other values, such as `prior_scale_mixture(pi = 0.25)`, in which
#'   initializers, regularizers and constraints may be Keras's;
#' * a class of Python, written in the R script as below and registered with Keras. The same lines
#'   have to run before the model is loaded, in R or in Python.
#'
#' @family distributions of weights
#' @examplesIf reticulate::py_module_available("keras")
#' # A function of R: for training. On TensorFlow; see ?layerapi for other backends.
#' narrow <- function(dtype, shape, name, trainable, add_variable_fn) {
#'   tfd <- reticulate::import("tensorflow_probability")$distributions
#'   tfd$Independent(tfd$Normal(reticulate::import("keras")$ops$zeros(shape), 0.5), length(shape))
#' }
#' layer <- layer_dense_flipout(units = 2, kernel_prior_fn = narrow)
#'
#' # A registered class: for saving, too.
#' python <- reticulate::py_run_string('
#' import keras
#'
#' class Narrow:
#'     def __init__(self, scale):
#'         self.scale = scale
#'
#'     def __call__(self, dtype, shape, name, trainable, add_variable_fn):
#'         import layer_api
#'         normal = layer_api.NormalPrior(scale=self.scale)
#'         return normal(dtype, shape, name, trainable, add_variable_fn)
#'
#'     def get_config(self):
#'         return {"scale": self.scale}
#'
#' keras.saving.register_keras_serializable("my_package")(Narrow)
#' ')
#' layer <- layer_dense_flipout(units = 2, kernel_prior_fn = python$Narrow(0.5))
#' @name own_blocks
NULL
# nolint end
