"""Write what the docstrings of several layers, or answers, share into each of them.

A docstring in the source is whole, for readers and for tools. What several share is here once: the
paragraphs on estimators and losses, the arguments, the errors. `generate.py` runs this; everything
else in a docstring is written by hand, in the source.
"""

import ast
import inspect
import pathlib
import re
import textwrap

# What an argument about a weight means; "{weight}" is its name, as in `kernel_posterior_fn`.
_OF_A_WEIGHT = {
    "posterior_fn": "Distribution of the {weight} that training fits: {blocks}, or a function "
    "`(dtype, shape, name, trainable, add_variable_fn)` that returns a distribution of the "
    'backend\'s library{limits}. Default `"mean_field_normal"`.',
    "posterior_tensor_fn": "Value that stands for the distribution of the {weight} in one call: "
    '`"sample"`, `"mean"`, or a function of a distribution. It gets {gets}. Default `"sample"`.',
    "prior_fn": "Distribution of the {weight} before the data: `StandardNormal()`, "
    "`NormalPrior()`, `LaplacePrior()`, `ScaleMixturePrior()`, `TrainableNormal()` or "
    '`PretrainedNormal()`, or its name, such as `"laplace"`; a function as for '
    "`{weight}_posterior_fn`; or `None` for no prior and no divergence. Default "
    '`"standard_normal"`.',
    "divergence_fn": "Divergence of posterior from prior: `KLDivergence()` or `MonteCarloKL()`, or "
    'its name, `"kl_divergence"` or `"monte_carlo"`; a function `(q, p, sample)` of posterior, '
    "prior and a value drawn from the posterior; or `None` for none. Default "
    '`"kl_divergence"`.',
}
_POSTERIORS = (
    "`MeanFieldNormal()`, `MultivariateNormalTriL()` or `Deterministic()`, or its name, such as "
    '`"multivariate_normal_tril"`'
)
_OF_NORMALS = {
    "blocks": '`MeanFieldNormal()`, or its name, `"mean_field_normal"`',
    "limits": ". It has to be one of independent normals",
}
# By the base that gives a layer its estimator; "" where there is none.
_BY_ESTIMATOR = {
    "Flipout": {**_OF_NORMALS, "gets": "the perturbation, whose mean is zero"},
    "LocalReparameterization": {
        **_OF_NORMALS,
        "gets": "the distribution of the outputs before the bias",
    },
    "": {"blocks": _POSTERIORS, "limits": "", "gets": "the posterior"},
}
_OF_THE_BIAS = {
    "bias_posterior_fn": f"Distribution of the bias: {_POSTERIORS}; a function as for "
    '`kernel_posterior_fn`, of any distribution; or `None` for no bias. Default `"deterministic"`, '
    "a point estimate.",
    "bias_posterior_tensor_fn": "As `kernel_posterior_tensor_fn`, for the bias. Default "
    '`"sample"`.',
    "bias_prior_fn": "As `kernel_prior_fn`, for the bias. Default `None`, no prior.",
    "bias_divergence_fn": 'As `kernel_divergence_fn`, for the bias. Default `"kl_divergence"`.',
}
_OF_ALL = {
    "activation": "Activation function: the name of one of Keras's, a function, or `None` for "
    "none. Default `None`.",
    "activity_regularizer": "Keras regularizer of the outputs, or `None`. Default `None`.",
    "trainable": "Bool, whether training updates the weights. Default `True`.",
    "seed": "Whole number from 0 to 2147483647 that governs every draw of the layer, the initial "
    "weights included. Layers of one model may have the same seed: each draws its own numbers. "
    "Default `None`: Keras's global random state decides, see `keras.utils.set_random_seed()`.",
    "kl_weight": "Number of at least 0, the factor on the divergences. It may be changed at any "
    "time, see `set_kl_weight()`. Default `1.0`.",
    "**kwargs": "Further arguments of `keras.layers.Layer`, such as `name`, `dtype` or "
    "`input_shape`.",
}


def _arguments(estimator):
    """Return what the arguments of a layer with this estimator mean, as {name: text}."""
    words = _BY_ESTIMATOR.get(estimator, _BY_ESTIMATOR[""])
    of_weights = {
        f"{weight}_{role}": text.format(weight=weight, **words)
        for weight in ("kernel", "embeddings")
        for role, text in _OF_A_WEIGHT.items()
    }
    return of_weights | _OF_THE_BIAS | _OF_ALL


_LOSSES = (
    "Once built, the layer adds the divergence of the posterior from the prior to its `losses`, so "
    "that `fit()` minimizes the negative evidence lower bound. The divergence counts once for the "
    "whole data, the likelihood once for every example: with Keras's mean over a batch as the "
    "loss, pass `kl_weight=1/n`, where `n` is the number of training examples."
)
_OWN_BLOCKS = (
    "A posterior, prior or divergence of your own is a function, or an object of a class with "
    "`__call__` and `get_config`, with the arguments given below. It trains as it is. To save the "
    "model, register it with `keras.saving.register_keras_serializable()`, and have the same lines "
    "run wherever the model is loaded."
)
# By the base that the layers share it from.
PARAGRAPHS = {
    "Flipout": [
        "Flipout (Wen et al. 2018) gives every example of a batch its own, nearly independent "
        "perturbation of the kernel, for the price of two products with a kernel instead of one. "
        "The variance of the gradient then falls with the size of the batch, which one kernel "
        "shared by the batch does not achieve."
    ],
    "Reparameterization": [
        "The plainest estimator, for a kernel of any distribution: one draw of the kernel serves "
        "the whole batch. A call costs half of what Flipout's costs. But the examples share their "
        "noise, so that the variance of the gradient does not fall below a bound, however large "
        "the batch. Use it where `kernel_posterior_fn` is not normal."
    ],
    "LocalReparameterization": [
        "The local reparameterization draws the outputs instead of the kernel, from the "
        "distribution that the kernel gives them: normal with the mean `inputs @ loc` and the "
        "variance `inputs^2 @ scale^2`. Every row and every unit has noise of its own, so the "
        "gradient has the smallest variance of the three estimators, for the price of two products "
        "with a kernel. Where a layer is applied at several positions of an example, as in inputs "
        "of rank 3, the positions do not share the draw."
    ],
    "VariationalLayer": [_LOSSES, _OWN_BLOCKS],
    "DenseVariational": [_LOSSES],
}
REFERENCES = {
    "Flipout": "Wen, Vicol, Ba, Tran and Grosse (2018), Flipout: Efficient Pseudo-Independent "
    "Weight Perturbations on Mini-Batches. <https://arxiv.org/abs/1803.04386>",
    "Reparameterization": "Kingma and Welling (2014), Auto-Encoding Variational Bayes, section "
    "2.4. <https://arxiv.org/abs/1312.6114>",
    "LocalReparameterization": "Kingma, Salimans and Welling (2015), Variational Dropout and the "
    "Local Reparameterization Trick, equation 6. <https://arxiv.org/abs/1506.02557>",
}
RAISES = {
    "ValueError": "An argument has a value that it cannot have; the message says what it can be.",
    "TypeError": "An argument has the wrong type, or is not known.",
}

# How draws are made, for every answer that makes them.
OF_DRAWS = {
    "seed": "Whole number from 0 to 2147483647 that decides the draws. The same seed repeats them, "
    "in both languages. Default `None`: the draws continue the model's noise, as that many calls "
    "would.",
    "batch_size": "Whole number of at least 1, how many rows are computed together. The draws do "
    "not depend on it. Default `None`: as many as a quarter of a gigabyte allows.",
    "joint": "Whether a draw is one function: one set of weights for all rows. `False`: each layer "
    "draws as in a call, separately by rows if its estimator does, which is cheaper for few rows; "
    "draws of two rows then say nothing about their difference. Default `True`.",
    "training": "Whether layers of Keras behave as in training, so that a network with Dropout can "
    "be drawn from. Batch normalization stays as it is. Default `False`.",
    "verbose": 'Whether a bar shows the progress of the draws: `True`, `False` or `"auto"`, once '
    'they take some seconds. Default `"auto"`.',
}


def sections(docstring):
    """Return the paragraphs in front and the sections (Args, Returns, …) of a docstring."""
    front, *rest = re.split(r"^(\w+):\n", inspect.cleandoc(docstring), flags=re.M)
    return front.strip(), dict(zip(rest[::2], map(textwrap.dedent, rest[1::2]), strict=True))


def entries(section):
    """Return the {name: text} of a section such as Args."""
    found = re.findall(r"^([\w*]+): (.*?)(?=^[\w*]+: |\Z)", section, flags=re.M | re.S)
    return {name: " ".join(text.split()) for name, text in found}


def of_layer(layer_class):
    """Return the docstring of a layer with all that it shares with others."""
    front, parts = sections(layer_class.__doc__)
    bases = [base for base in layer_class.__mro__ if base.__doc__]
    shared = [text for base in bases for text in PARAGRAPHS.get(base.__name__, [])]
    leads = {_lead(text) for texts in PARAGRAPHS.values() for text in texts}
    own = [text for text in front.split("\n\n") if _lead(text) not in leads]
    # What follows the paragraphs on losses in the source, as of one layer alone, stays behind them.
    position = next(
        (i for i, text in enumerate(front.split("\n\n")) if _lead(text) in leads), len(own)
    )
    own = [text if text.startswith("    ") else _wrap(text, "") for text in own]
    body = own[:position] + [_wrap(text, "") for text in shared] + own[position:]
    # What a family says of its arguments goes before what its layers say.
    families = [base for base in bases if base.__name__.startswith("_")]
    described = {}
    for described_in in (layer_class, *families):
        described |= entries(sections(described_in.__doc__)[1].get("Args", ""))
    if any(base.__name__ == "VariationalLayer" for base in bases):
        estimators = [base.__name__ for base in bases if base.__name__ in _BY_ESTIMATOR]
        described |= _arguments(*estimators[:1] or [""])
    arguments = []
    for parameter in list(inspect.signature(layer_class.__init__).parameters.values())[1:]:
        name = "**kwargs" if parameter.kind is parameter.VAR_KEYWORD else parameter.name
        arguments.append(_wrap(f"{name}: {described[name]}", "    "))
    references = next((REFERENCES[b.__name__] for b in bases if b.__name__ in REFERENCES), None)
    written = {
        "Args": "\n".join(arguments),
        "Returns": _indented(parts["Returns"]),
        "Raises": "\n".join(_wrap(f"{name}: {text}", "    ") for name, text in RAISES.items()),
        "Example": parts["Example"].strip(),
        "References": _wrap(references, "    ", hanging="")
        if references
        else _indented(parts.get("References", "")),
    }
    lines = ["\n\n".join(body)]
    for name, text in written.items():
        if text:
            gap = "\n\n" if name == "Example" else "\n"
            lines.append(f"{name}:{gap}{text}")
    return "\n\n".join(lines)


def of_answer(function):
    """Return the docstring of an answer with what it shares with others on how draws are made."""
    docstring = inspect.cleandoc(function.__doc__)
    for name, text in OF_DRAWS.items():
        entry = rf"^    {name}: .*?(?=^    [\w*]+: |^$)"
        written = _wrap(f"{name}: {text}", "    ") + "\n"
        docstring = re.sub(entry, lambda _: written, docstring, count=1, flags=re.M | re.S)  # noqa: B023
    return docstring


def _lead(text):
    return " ".join(text.split()[:4])


def _indented(section):
    return textwrap.indent(section.strip(), "    ")


def _wrap(text, indent, hanging="    "):
    return textwrap.fill(
        " ".join(text.split()), 96, initial_indent=indent, subsequent_indent=indent + hanging
        if indent else "", break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def sources(layer_classes, answers):
    """Return the files that define layers and answers as {path: text}, with whole docstrings."""
    found = {}
    written = {layer_class: of_layer(layer_class) for layer_class in layer_classes}
    written |= {function: of_answer(function) for function in answers}
    for described, docstring in written.items():
        path = pathlib.Path(inspect.getsourcefile(described))
        lines = found.setdefault(path, path.read_text(encoding="utf-8")).split("\n")
        tree = ast.parse("\n".join(lines))
        node = next(n for n in tree.body if getattr(n, "name", None) == described.__name__)
        old = node.body[0]
        new = f'    """{textwrap.indent(docstring, "    ").strip()}\n    """'
        lines[old.lineno - 1 : old.end_lineno] = new.split("\n")
        found[path] = "\n".join(lines)
    return found
