"""Weights with a distribution: draws of them, a row for each array of them, and sums over a model.

    weights[s] = those of the function in draw s of posterior_linpred(), under the same seed

So draws of weights and draws of predictions belong together.
"""

import itertools
import math
import re

import keras
import numpy as np
from keras import ops

from layer_api import backend, messages, noise, validation
from layer_api.answers import draws as drawing
from layer_api.answers import functions, likelihoods
from layer_api.answers.intervals import numpy_64, posteriors_of, terms_of, variational_layers
from layer_api.layers.dense_variational import DenseVariational
from layer_api.weights import distributions

# Bytes that the draws may take, as doubles, which is what R makes of them.
_BYTES = 10**9
# Ends and middle of what is said of the signal-to-noise ratio.
_QUANTILES = (0.05, 0.5, 0.95)


def draw_weights(model, draws=1000, seed=None, variable=None, regex=False, first=0):
    """Draw the weights of a network, those of one function in each draw.

    Use it to see how weights depend on each other, or what a function of them is under the
    posterior. Under the same seed the draws match those of the other answers: draw s has the
    weights of the function in draw s of `posterior_linpred()`. The weights are those that layers
    compute with: where `*_posterior_tensor_fn` is `"mean"`, all draws are equal.

    Args:
        model: Model or layer of Keras, built. The layers of models inside it count too.
        draws: Whole number of at least 1, how many draws. Default `1000`.
        seed: Whole number from 0 to 2147483647 that decides the draws. Default `None`: the draws
            continue the model's noise, as that many calls would.
        variable: Text or list of texts, which weights: names such as `"dense/kernel[0,1]"`, or
            `"dense/kernel"` for all of them. Default `None`: all weights.
        regex: Whether `variable` has regular expressions, which are searched for in the names.
            Default `False`.
        first: Whole number, the index of the first element in names. Default `0`.

    Returns:
        A pair: the list of the names, and an array of `(draws, weights)`.

    Raises:
        ValueError: An argument has a value that it cannot have; `model` is not built, has no
            variational layer, or has one whose posterior depends on the inputs; no weight is
            called `variable`; or the draws would take more than a gigabyte.
        TypeError: `model` is neither a model nor a layer.

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(3,)), layer_api.DenseFlipout(1, name="dense")])
    terms, values = draw_weights(model, draws=100, seed=1, variable="dense/kernel")
    values.std(axis=0)  # array of 3 numbers
    ```
    """
    draws = validation.check_whole_number("draws", draws, 1, "Pass, for example, draws = 1000.")
    seed = validation.check_seed(seed)
    regex = validation.check_flag("regex", regex)
    found = posteriors_of(model)
    parts = [part for each in found for part in each.parts]
    terms = [term for name, shape in parts for term in terms_of(name, shape, first)]
    chosen = np.arange(len(terms))
    if variable is not None:
        chosen = _chosen(variable, regex, parts, terms)
    _refuse_too_many(draws, chosen)
    sizes = [sum(math.prod(shape) for _, shape in each.parts) for each in found]
    starts = np.cumsum([0, *sizes])
    # Of each posterior, the places of its weights that are wanted.
    ordered = np.sort(chosen)
    inside = [ordered[(a <= ordered) & (ordered < b)] - a for a, b in itertools.pairwise(starts)]
    wanted = [(each, at) for each, at in zip(found, inside, strict=True) if len(at)]

    def take():
        return ops.concatenate([_taken(posterior, at) for posterior, at in wanted])

    values = functions.draw_weights(model, take, len(chosen), draws, seed)
    order = np.argsort(np.argsort(chosen))  # `take` has them in the order of the model
    return [terms[i] for i in chosen], values[:, order]


def _taken(posterior, at):
    """Return some of the weights of a posterior, in the state that the noise has."""
    made = posterior.draw(noise.current(posterior.generator))
    made = ops.cast(ops.reshape(made, (-1,)), keras.backend.result_type(made.dtype, "float32"))
    return ops.take(made, at)


def _chosen(variable, regex, parts, terms):
    """Return the places of the weights that a user named, each once, in the user's order."""
    texts = variable if isinstance(variable, (list, tuple)) else [variable]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise messages.invalid(
            "variable",
            "text, or a list of texts",
            messages.describe(variable),
            f"Pass, for example, variable = '{parts[0][0]}'.",
        )
    places: dict[str, list[int]] = {term: [i] for i, term in enumerate(terms)}
    start = 0
    for name, shape in parts:
        size = math.prod(shape)
        places[name] = list(range(start, start + size))
        start += size
    found: dict[int, None] = {}
    for text in texts:
        matches = _matching(text, terms) if regex else places.get(text)
        if not matches:
            names = [name for name, _ in parts]
            raise messages.invalid(
                "variable",
                "a pattern of names of weights" if regex else "the name of a weight",
                repr(text),
                f"{messages.suggest(text, names)} The weights are: {', '.join(names)}.".strip(),
            )
        found.update(dict.fromkeys(matches))
    return np.array(list(found))


def _matching(pattern, terms):
    try:
        search = re.compile(pattern).search
    except re.error as error:
        raise messages.invalid(
            "variable",
            "a regular expression",
            f"{pattern!r}: {error}",
            "Leave out `regex` for names as they are.",
        ) from None
    return [i for i, term in enumerate(terms) if search(term)]


def _refuse_too_many(draws, chosen):
    needed = 8 * draws * len(chosen)
    if needed > _BYTES:
        raise messages.invalid(
            "draws",
            f"so few that the draws take at most {_BYTES / 1e9:.0f} GB",
            f"{draws} draws of {len(chosen)} weights, {needed / 1e9:.1f} GB",
            "Name some of the weights, for example variable = 'dense/kernel[1,1]', or a pattern of "
            "their names with regex = True (in R: TRUE).",
        )


def arrays(model):
    """Return a row for each array of weights with a distribution, as columns by name.

    Args:
        model: model or layer of Keras, built.

    Returns:
        Dictionary of `term`, the name such as "dense/kernel", `shape` as text, `size`, lowest and
        highest mean and standard deviation, three quantiles of the signal-to-noise ratio
        |mean| / standard deviation, NaN where all weights are certain, and `kl`, the divergence
        from the prior, not weighted, NaN where there is no prior.
    """
    layers = variational_layers(model)
    return in_columns(
        [
            {"term": f"{name}/{part}", **row}
            for name, layer in layers.items()
            for part, row in rows_of(layer).items()
        ]
    )


def rows_of(layer):
    """Return what `arrays()` says of the weights of one layer, by their names in it."""
    divergences = layer._divergences() if layer.built else {}
    posteriors = layer._posteriors() if layer.built else {}
    return {
        name: {**_described(posterior), "kl": _number(divergences.get(name, np.nan))}
        for name, posterior in posteriors.items()
    }


def in_columns(rows):
    """Return rows, dictionaries with equal keys, as a dictionary of columns."""
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    is_text = {key: isinstance(values[0], str) for key, values in columns.items()}
    return {key: each if is_text[key] else np.array(each) for key, each in columns.items()}


def _described(posterior):
    mean = _array(backend.distributions.mean(posterior))
    sd = np.broadcast_to(_array(backend.distributions.stddev(posterior)), mean.shape)
    ratio = np.abs(mean[sd > 0]) / sd[sd > 0]
    quantiles = np.quantile(ratio, _QUANTILES) if ratio.size else [np.nan] * len(_QUANTILES)
    return {
        "shape": " x ".join(map(str, mean.shape)),
        "size": mean.size,
        "min_mean": mean.min(),
        "max_mean": mean.max(),
        "min_sd": sd.min(),
        "max_sd": sd.max(),
        **{f"snr_{100 * q:.0f}": value for q, value in zip(_QUANTILES, quantiles, strict=True)},
    }


def _array(tensor):
    # NumPy has no bfloat16.
    is_short = keras.backend.standardize_dtype(tensor.dtype) in ("float16", "bfloat16")
    return numpy_64(ops.cast(tensor, "float32") if is_short else tensor)


def _number(tensor):
    return numpy_64(tensor).item()


def overview(model, likelihood=None):
    """Return a few numbers that describe a model, by name.

    Args:
        model: Keras model, built.
        likelihood: as for the other answers.

    Returns:
        Dictionary of `n_layers`, how many variational layers; `n_weights`, how many weights have a
        distribution that is not deterministic; `n_parameters`, how many numbers there are, those
        that are not trained included; `kl`, the sum of the divergences as of now, not weighted, NaN
        where one depends on the inputs; `kl_weight`, NaN where layers differ in it; `likelihood`,
        the name, None where there is none.
    """
    layers = list(variational_layers(model).values())
    depends = [isinstance(x, DenseVariational) and x.joint.depends_on_inputs for x in layers]
    divergences = [each for layer in layers for each in layer._divergences().values()]
    weights = {layer.acting_kl_weight for layer in layers}
    meanings = drawing.meanings_of(model, likelihood)
    names = [_name_of(each) for each in keras.tree.flatten(meanings)]
    return {
        "n_layers": len(layers),
        "n_weights": sum(map(count_of_uncertain, layers)),
        "n_parameters": model.count_params(),
        "kl": np.nan if any(depends) else float(sum(map(_number, divergences))),
        "kl_weight": weights.pop() if len(weights) == 1 else np.nan,
        "likelihood": ", ".join(filter(None, names)) or None,
    }


def count_of_uncertain(layer):
    """Return how many weights of a layer have a distribution that is not deterministic."""
    if isinstance(layer, DenseVariational):
        return layer.joint.size
    return sum(
        math.prod(weight.shape)
        for weight in layer._weights_by_name.values()
        if weight.is_present and not isinstance(weight.posterior, distributions.Deterministic)
    )


def _name_of(meaning):
    if not isinstance(meaning, likelihoods.Likelihood):
        return None
    names = {kind: name for name, kind in likelihoods.NAMED.items()}
    return names.get(type(meaning), type(meaning).__name__)
