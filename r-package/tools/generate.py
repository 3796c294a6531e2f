"""Write the generated files of the R package, such as R/layers.R, from the Python core.

Names, order and defaults of arguments, the documentation and the version exist once, in Python.
What Python cannot give is an example in R: that is in `examples/`, one file for each function.
"""

import inspect
import os
import pathlib
import re
import sys
import textwrap

import docstrings
import tomllib

import layer_api
from layer_api.answers import draws, intervals, scores
from layer_api.messages import REQUIRED
from layer_api.r_bridge import IN_R
from layer_api.training import evidence

PACKAGE = pathlib.Path(__file__).resolve().parents[1]

# Name in R: what it is in Python. The layers, and what their arguments take.
LAYERS = {name: getattr(layer_api, name) for name in layer_api.__all__ if name[:6] == "layer_"}
BLOCKS = {
    "posterior_mean_field_normal": layer_api.MeanFieldNormal,
    "posterior_deterministic": layer_api.Deterministic,
    "posterior_multivariate_normal_tril": layer_api.MultivariateNormalTriL,
    "prior_standard_normal": layer_api.StandardNormal,
    "prior_normal": layer_api.NormalPrior,
    "prior_pretrained_normal": layer_api.PretrainedNormal,
    "prior_laplace": layer_api.LaplacePrior,
    "prior_scale_mixture": layer_api.ScaleMixturePrior,
    "prior_trainable_normal": layer_api.TrainableNormal,
    "divergence_kl_divergence": layer_api.KLDivergence,
    "divergence_monte_carlo": layer_api.MonteCarloKL,
    "default_mean_field_normal_fn": layer_api.default_mean_field_normal_fn,
    "default_multivariate_normal_fn": layer_api.default_multivariate_normal_fn,
}
LIKELIHOODS = {
    "likelihood_normal": layer_api.NormalLikelihood,
    "likelihood_student_t": layer_api.StudentTLikelihood,
    "likelihood_laplace": layer_api.LaplaceLikelihood,
    "likelihood_log_normal": layer_api.LogNormalLikelihood,
    "likelihood_gamma": layer_api.GammaLikelihood,
    "likelihood_beta": layer_api.BetaLikelihood,
    "likelihood_bernoulli": layer_api.BernoulliLikelihood,
    "likelihood_categorical": layer_api.CategoricalLikelihood,
    "likelihood_poisson": layer_api.PoissonLikelihood,
    "likelihood_negative_binomial": layer_api.NegativeBinomialLikelihood,
    "likelihood_normal_mixture": layer_api.NormalMixtureLikelihood,
}
# What concerns a model as a whole.
TRAINING = {
    "set_kl_weight": layer_api.set_kl_weight,
    "callback_kl_history": layer_api.KLHistory,
    "callback_kl_annealing": layer_api.KLAnnealing,
    "metric_negative_log_likelihood": layer_api.NegativeLogLikelihood,
    "to_bayesian": layer_api.to_bayesian,
    "to_deterministic": layer_api.to_deterministic,
}
# What a model answers. Those in GENERICS are methods for generics of the package rstantools.
ANSWERS = {
    function.__name__: function
    for function in (
        draws.posterior_linpred, draws.posterior_epred, draws.posterior_predict, draws.log_lik,
        intervals.predictive_interval, intervals.predictive_error, intervals.posterior_interval,
        intervals.uncertainty, scores.score, scores.calibration, evidence.elbo,
    )
}  # fmt: skip
# What stands for a network in R: models, of Keras 2 for the message, ensembles, and draws.
_MODELS = ("keras.src.models.model.Model", "tf_keras.src.engine.training.Model", "list")
_LAYERS = ("keras.src.layers.layer.Layer", "tf_keras.src.engine.base_layer.Layer")
GENERICS = {
    "posterior_linpred": (*_MODELS, "layerapi_draws"),
    "posterior_epred": (*_MODELS, "layerapi_draws"),
    "posterior_predict": (*_MODELS, "layerapi_draws"),
    "log_lik": (*_MODELS, "layerapi_draws"),
    "predictive_interval": (*_MODELS, "layerapi_draws"),
    "predictive_error": (*_MODELS, "layerapi_draws"),
    "posterior_interval": (*_LAYERS, "list"),
}
# What the generic itself has between `object` and `...`, and what it means.
OF_THE_GENERIC = {
    "posterior_linpred": {
        "transform = FALSE": "`TRUE` for what `posterior_epred()` returns. Unlike in other answers "
        "it stands in front of `newdata`, as the generic has it; the data may still come second."
    }
}
R_NAMES = {
    function.__name__: name for name, function in (LAYERS | BLOCKS | LIKELIHOODS | TRAINING).items()
}
R_NAMES |= {"None": "NULL", "True": "TRUE", "False": "FALSE"}

# What has a help page of its own.
TOPICS = {*LAYERS, *BLOCKS, *LIKELIHOODS, *TRAINING, *ANSWERS}

# What an argument of an answer takes in R.
OF_ANSWERS = {
    "newdata": "Matrix, array or data frame of numbers with a row for each example, or a vector "
    "where an example is one number; a list of those for a model with several inputs, with their "
    "names or in their order. Columns of a data frame that are factors or text are refused: make "
    "numbers of them first, for example with `model.matrix()`. Not with draws in place of the "
    "model.",
    "y": "Vector or matrix of the observations, with as many rows as `newdata`, or a named list of "
    "those for a model with several outputs. Classes are whole numbers from 0, one-hot rows, or a "
    "factor, whose levels in their order are the classes 0, 1, and so on.",
    "...": "Nothing more: an argument that is not known is refused.",
    "ndraws": "Another name of `draws`, for users of 'brms'.",
}
_OF_DRAWS = (
    "What is returned has the class `layerapi_draws`: it prints in short and stands in place of "
    "the model in every answer. To all other functions it is the matrix or array that it is, and "
    "what is computed from it is a plain one."
)
_OF_OUTPUTS = " For a model with several outputs a named list of those."
# What is returned, where that is not what Python returns.
RETURNED = {
    "predictive_interval": "A matrix with a row for each row of the data and two columns, the ends "
    "of the interval, with names such as 5% and 95%; an array of `(rows, outputs, 2)` where an "
    "observation has several numbers." + _OF_OUTPUTS,
    "posterior_interval": "`posterior_interval()`: a matrix with a row for each weight, with names "
    "such as `dense_flipout/kernel[1,2]`, and two columns, the ends of the interval, with names "
    "such as 5% and 95%. `tidy()`: a data frame with a row for each weight and the columns "
    "`term`, `estimate` and `std.error`, mean and standard deviation of its posterior, and "
    '`conf.low` and `conf.high`; with `by = "array"` a row for each array of weights, such as a '
    "kernel, with the columns `term`, `size` and those of [summary()][print.layer_api].",
    "uncertainty": "A data frame with a row for each row of the data and the columns `mean`, the "
    "predictive mean or the probabilities of classes, `total`, `aleatoric` and `epistemic`. A "
    "column is a matrix where a row has several numbers. The epistemic part of a network without "
    "uncertain weights is 0." + _OF_OUTPUTS,
    "score": "A data frame with a row for each score and the columns `metric`, its name, "
    "`estimate` and `std.error`." + _OF_OUTPUTS,
    "calibration": "A data frame with a row for each level or bin and the columns `predicted`, "
    "`observed`, `std.error`, the standard error of `observed`, and `count`. It has the attributes "
    '`kind`, `"coverage"` or `"probability"`, and, for numbers, `pit`, with a number for each '
    "observation." + _OF_OUTPUTS,
    "elbo": "A list that prints as a table, with `nll`, `kl`, `kl_per_row`, `elbo`, `rows`, "
    "`guessing` (the log loss of guessing, of one row), `layers`, a named vector of the layers' "
    "divergences, and `advice`, a vector of sentences.",
}
TIDY = """
#' @rdname posterior_interval
#' @aliases tidy
#' @importFrom generics tidy
#' @export tidy
#' @exportS3Method tidy {0}
tidy.{0} <- function(
  x,
  {1},
  by = "weight",
  ...,
  conf.level # nolint: object_name_linter.
) {{
  answer("tidy")
}}

#' @exportS3Method tidy {2}
tidy.{2} <-
  tidy.{0}
"""

HEADER = (
    "# Generated by tools/generate.py from the Python core: edit that, then `make r-package`.\n"
)


def r_literal(value):
    """Return a default as R writes it."""
    if value is None or isinstance(value, bool):
        return {None: "NULL", True: "TRUE", False: "FALSE"}[value]
    if isinstance(value, str):
        return f'"{value}"'
    return f"{value:g}"


def r_code(text):
    """Return code, or a formula, in the spelling of R."""
    text = re.sub(r"\b(\w+)=(?=[\w\"])", r"\1 = ", text)
    return text.replace("[:, ", "[, ").replace(" @ ", " %*% ")


def r_words(text, names=(), page=None):
    """Return a piece of documentation with the names and the spelling of R in its code.

    Functions of the package become links, except on a function's own `page`.
    """
    names = R_NAMES | dict(names)

    def code(match):
        inside = re.sub(r"\b\w+\b", lambda word: names.get(word[0], word[0]), match[1])
        inside = r_code(inside)
        if re.match(r"keras\.[\w.]+(\(\))?$", inside):  # modules and functions of Python's Keras
            inside = inside.replace(".", "$")
        called = re.match(r"(\w+)\(.*\)$", inside)
        topic = called[1] if called else inside
        if topic in TOPICS and topic != page and (called or inside != match[1]):
            return f"[`{inside}`][{topic}]"
        return f"`{inside}`"

    return re.sub(r"`([^`]+)`", code, text)


def roxygen(lines):
    """Return documentation as comments of roxygen2."""
    text = "\n".join(lines)
    return "".join(f"#' {line}".rstrip() + "\n" for line in text.splitlines())


def wrap(tag, text, names=(), page=None):
    """Return a tag, if there is one, and its text in lines of less than 100 characters."""
    text = r_words(" ".join(text.split()), names, page)
    # No line begins with what Markdown takes for the sign of a list.
    text = re.sub(r" (?=(\d+[.)]|[-+*])( |$))", "\0", text)
    return textwrap.fill(
        f"{tag} {text}".strip(), 96,
        subsequent_indent="  " if tag else "", break_long_words=False, break_on_hyphens=False,
    ).replace("\0", " ")  # fmt: skip


def _paragraph(text, names, page):
    """Return a paragraph, a list with a line for each item, or a formula, which is indented."""
    if text.startswith("    "):
        return f"```\n{r_code(textwrap.dedent(text))}\n```"
    return "\n".join(
        wrap("*", item[2:], names, page) if item.startswith("- ") else wrap("", item, names, page)
        for item in re.split(r"\n(?=- )", text)
    )


def documentation(name, function, family, names=(), described=(), tags=("@export",)):
    """Return the roxygen comments of one function.

    Args:
        name: name in R.
        function: Python function.
        family: family of help pages.
        names: dictionary of names that are others in R, beside those of functions.
        described: dictionary of the arguments that R has, or describes, on its own.
        tags: roxygen's tags after all others.
    """
    front, parts = docstrings.sections(function.__doc__)
    title, *paragraphs = front.split("\n\n")
    lines = [r_words(" ".join(title.split()), names, name).rstrip("."), ""]
    # The formula that a description speaks of is part of it.
    described_in = 2 if paragraphs[1:] and paragraphs[1].startswith("    ") else 1
    for i, paragraph in enumerate(paragraphs):
        if i == 0:
            lines.append("@description")
        elif i == described_in:
            lines.append("@details")
        lines += [_paragraph(paragraph, names, name), ""]
    arguments = {
        dict(names).get(argument, argument.replace("**kwargs", "...")): text
        for argument, text in docstrings.entries(parts.get("Args", "")).items()
    }
    for argument, text in (arguments | dict(described)).items():
        known = () if argument in dict(described) else names
        lines.append(wrap(f"@param {argument}", text, known, name))
    if name in RETURNED:
        lines.append(wrap("@return", RETURNED[name]))
    else:
        lines.append(wrap("@return", parts["Returns"], names, name))
    if "Raises" in parts:
        lines += ["@section Errors:", "The message says what is expected. The class of the error:"]
        for error, text in docstrings.entries(parts["Raises"]).items():
            lines.append(wrap(f"* `layerapi_{error}`:", text, names, name))
    if "References" in parts:
        # CRAN asks for its own macro.
        references = re.sub(r"<https://doi\.org/([^>]+)>", r"\\doi{\1}", parts["References"])
        lines.append(wrap("@references", references))
    example = (PACKAGE / "tools" / "examples" / f"{name}.R").read_text(encoding="utf-8")
    lines += [f"@family {family}", '@examplesIf reticulate::py_module_available("keras")']
    return roxygen([*lines, example.rstrip(), *tags])


def formals(function, names=()):
    """Return the arguments of a Python function as R writes them, by their names in R."""
    found = {}
    for parameter in inspect.signature(function).parameters.values():
        name = dict(names).get(parameter.name, parameter.name)
        if parameter.kind is parameter.VAR_KEYWORD:
            found["..."] = "..."
        elif parameter.default in (REQUIRED, parameter.empty):
            found[name] = name
        else:
            found[name] = f"{name} = {r_literal(parameter.default)}"
    return found


def head(arguments):
    """Return the head of an R function with these arguments."""
    lines = ",\n".join(f"  {argument}" for argument in arguments)
    return f"function(\n{lines}\n)" if arguments else "function()"


def wrapper(name, function, family):
    """Return the R function that passes on what it is given, with its documentation."""
    arguments = list(formals(function).values())
    code = f'{name} <- {head(arguments)} {{\n  call_core("{function.__name__}")\n}}\n'
    if name in BLOCKS | LIKELIHOODS:  # so that the function itself is known in Python, too
        code += f'attr({name}, "py_function_name") <- "{function.__name__}"\n'
    return documentation(name, function, family) + code


def answer(name, function):
    """Return the R function, or the methods of a generic, that asks a model for an answer."""
    first, *others = formals(function, IN_R).values()
    of_generic = OF_THE_GENERIC.get(name, {})
    has_draws = "draws" in inspect.signature(function).parameters
    arguments = [first, *of_generic, *others, "...", *(["ndraws"] if has_draws else [])]
    described = {text.split()[0]: meaning for text, meaning in of_generic.items()}
    known = [argument.split()[0] for argument in arguments]
    described |= {key: text for key, text in OF_ANSWERS.items() if key in known}
    first_class, *classes = GENERICS.get(name, (None,))
    tags = ["@export"]
    if first_class:
        tags = [
            f"@name {name}", f"@rdname {name}", f"@importFrom rstantools {name}",
            f"@export {name}", f"@exportS3Method {name} {first_class}",
        ]  # fmt: skip
    if name == "posterior_interval":
        described |= {
            "x": "As `object`.",
            "by": 'What has a row in the table: `"weight"` or `"array"`. Default `"weight"`.',
            "conf.level": "Another name of `prob`, for users of 'broom'.",
        }
    text = documentation(name, function, "answers of a model", IN_R, described, tags)
    text = re.sub(r"\bdictionary\b", "named list", text)
    if function.__module__ == draws.__name__:
        added = roxygen([wrap("", _OF_DRAWS)])
        text = text.replace("#' @section Errors:", f"#'\n{added}#' @section Errors:")
    method = f"{name}.{first_class}" if first_class else name
    text += f'{method} <- {head(arguments)} {{\n  answer("{name}")\n}}\n'
    for other in classes:
        text += f"\n#' @exportS3Method {name} {other}\n{name}.{other} <-\n  {method}\n"
    if name == "posterior_interval":
        text += TIDY.format(first_class, formals(function)["prob"], classes[0])
    return text


def requirements():
    """Return the Python packages that the core needs, and its version, as R code."""
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    dependencies = project["project"]["dependencies"]
    extras = project["project"]["optional-dependencies"]
    of_tensorflow = [name for name in dependencies if name.startswith(("tensorflow", "tf-"))]
    of_backends = {"tensorflow": of_tensorflow, "jax": extras["jax"], "torch": extras["torch"]}
    of_all = [name for name in dependencies if name not in of_tensorflow]
    lists = [f"{name} = {_vector(names)}" for name, names in of_backends.items()]
    inner = textwrap.indent(",\n".join(lists), "  ")
    return (
        f"python_packages <- {_vector(of_all)}\n\n"
        f"# What each backend of Keras needs beside them.\n"
        f"backend_packages <- list(\n{inner}\n)\n\n"
        f'core_version <- "{layer_api.__version__}"\n'
    )


def description():
    """Return the file DESCRIPTION with the version of the core."""
    text = (PACKAGE / "DESCRIPTION").read_text(encoding="utf-8")
    return re.sub(r"(?m)^Version: .*", f"Version: {layer_api.__version__}", text)


def _vector(names):
    quoted = ",\n".join(f'  "{name}"' for name in names)
    return f"c(\n{quoted}\n)"


def files():
    """Return what is generated of the package, as {path: text}."""
    parts = {
        "layers.R": [wrapper(*item, "variational layers") for item in LAYERS.items()],
        "blocks.R": [wrapper(*item, "distributions of weights") for item in BLOCKS.items()],
        "likelihoods.R": [wrapper(*item, "likelihoods") for item in LIKELIHOODS.items()],
        "training.R": [wrapper(*item, "training") for item in TRAINING.items()],
        "answers.R": [answer(*item) for item in ANSWERS.items()],
        "requirements.R": [requirements()],
    }
    code = {f"R/{name}": HEADER + "\n" + "\n".join(texts) for name, texts in parts.items()}
    return {"DESCRIPTION": description(), **code}


def sources():
    """Return the files of the core whose docstrings have parts in common, as {path: text}."""
    public = [getattr(layer_api, name) for name in layer_api.__all__]
    functions = [each for each in public if inspect.isfunction(each)]
    return docstrings.sources(
        [function.layer_class for function in LAYERS.values()],
        [each for each in functions if "draws" in inspect.signature(each).parameters],
    )


if __name__ == "__main__":
    stale = {path: text for path, text in sources().items() if path.read_text("utf-8") != text}
    for path, text in stale.items():
        path.write_text(text, encoding="utf-8")
    if stale:  # what follows reads the docstrings that are written now
        os.execv(sys.executable, [sys.executable, *sys.argv])
    for name, text in files().items():
        (PACKAGE / name).write_text(text, encoding="utf-8")
