"""The evidence lower bound of a network, what it is made of, and what it says of the training.

elbo = -(nll + kl),        nll = E[-log p(y | x, weights)],    weights ~ posterior
"""

import math
import textwrap
from typing import Any, NamedTuple

import keras
import numpy as np

from layer_api import keras_private, messages, noise
from layer_api.answers import draws as drawing
from layer_api.answers import likelihoods
from layer_api.answers.intervals import is_of_classes, table, variational_layers
from layer_api.answers.weights import count_of_uncertain
from layer_api.layers.dense_variational import DenseVariational

# The divergence is far above what can be learned from this many times as much on, and there is
# next to none below this many nats for each weight.
_FAR_ABOVE, _NEXT_TO_NONE = 5, 0.01
# Numbers that tell what guessing loses, and what stands for an infinite loss in the search.
_ENOUGH, _IMPOSSIBLE = 10_000, 1e30


class Elbo(NamedTuple):
    """The evidence lower bound, in nats, and its parts.

    Attributes:
        nll: negative log-likelihood of all rows, its mean over the posterior.
        kl: divergence of the posterior from the prior, without `kl_weight`.
        kl_per_row: the divergence over the number of rows.
        elbo: `-(nll + kl)`, a lower bound of the log evidence.
        rows: number of rows.
        guessing: negative log-likelihood of a row for the best constant prediction.
        layers: dictionary with the divergence of each variational layer.
        advice: list of sentences on what to change; empty where there is nothing to say.
    """

    nll: Any
    kl: Any
    kl_per_row: Any
    elbo: Any
    rows: Any
    guessing: Any
    layers: Any
    advice: Any

    def __repr__(self):
        totals = {
            "nll": self.nll, "kl": self.kl,
            **{f"  {name}": kl for name, kl in self.layers.items()},
            "elbo": self.elbo, "guessing": self.guessing * self.rows,
        }  # fmt: skip
        columns = {
            f"{self.rows} row{'s' * (self.rows != 1)}": list(totals),
            "total": [f"{value:,.1f}" for value in totals.values()],
            "per row": [f"{value / self.rows:.3f}" for value in totals.values()],
        }
        advice = [textwrap.fill(each, 80, break_on_hyphens=False) for each in self.advice]
        return "\n".join([table(columns, len(totals)), *advice])


def elbo(
    model,
    x,
    y,
    draws=1000,
    seed=None,
    batch_size=None,
    verbose="auto",
    likelihood=None,
):
    """Return the evidence lower bound of a network, what it is made of, and advice.

    Use it before training, to see whether the divergence leaves the network room to learn, and
    after it, to compare networks by their bound on the log evidence. Three mistakes that no loss
    shows get a sentence of advice: `kl_weight` left at 1 where the loss is a mean over rows; a
    divergence far above what there is to learn, so that the network will underfit; and a divergence
    near 0, where the weights have collapsed to the prior.

    All numbers are in nats, and of all rows together where their names do not say otherwise. What
    there is to learn from a row is at most the log loss of guessing: the mean negative
    log-likelihood of the best prediction that is the same for all rows.

    Args:
        model: Keras model, built, with at least one variational layer.
        x: Array with a row for each example that the network is trained with, or a list or
            dictionary of arrays for a model with several inputs.
        y: Array of the observations, with as many rows as `x`, or a dictionary of those for a model
            with several outputs. Labels of classes are whole numbers from 0, or one-hot rows.
        draws: Whole number of at least 1, how many draws the mean over the posterior is taken from.
            Default `1000`.
        seed: Whole number from 0 to 2147483647 that decides the draws. The same seed repeats them,
            in both languages. Default `None`: the draws continue the model's noise, as that many
            calls would.
        batch_size: Whole number of at least 1, how many rows are computed together. The draws do
            not depend on it. Default `None`: as many as a quarter of a gigabyte allows.
        verbose: Whether a bar shows the progress of the draws: `True`, `False` or `"auto"`, once
            they take some seconds. Default `"auto"`.
        likelihood: Likelihood, its name, or a dictionary of those for several outputs. Default
            `None`: the one that the model is compiled with; cross-entropies of Keras are known.

    Returns:
        An object that prints as a table, with the attributes `nll`, `kl`, `kl_per_row`, `elbo`,
        `rows`, `guessing` (the log loss of guessing, of one row), `layers`, a dictionary of the
        divergences by the name of the layer, and `advice`, a list of sentences.

    Raises:
        ValueError: The model has no variational layer, or an argument has a value that it cannot
            have; the message says what it can be.
        TypeError: An argument is of the wrong type, such as a model that is none.

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(3,)), layer_api.DenseFlipout(2)])
    model.compile(optimizer="adam", loss=layer_api.NormalLikelihood())
    x = numpy.random.default_rng(1).normal(size=(10, 3))
    found = layer_api.elbo(model, x, numpy.zeros(10), draws=100, seed=1)
    found.elbo, found.layers, found.advice
    ```

    References:
        Blei, Kucukelbir and McAuliffe (2017), Variational Inference: A Review for Statisticians.
        <https://arxiv.org/abs/1601.00670>
    """
    _check_one_model(model)
    layers = variational_layers(model)
    drawing.check_before_drawing(model, drawing.check_inputs(x), y, likelihood)
    outputs = drawing.posterior_linpred(
        model, x, draws, seed, batch_size, verbose=verbose, likelihood=likelihood
    )
    parts = drawing.with_observations(_nll_and_guessing, outputs, y)
    parts = list(parts.values()) if isinstance(outputs, dict) else [parts]
    nll, guessing = (sum(each) for each in zip(*parts, strict=True))
    rows = len(keras.tree.flatten(x)[0])
    kl_of = _divergences(list(layers.values()), draws, drawing.seed_for_draws(seed))
    kl = sum(kl_of.values())
    return Elbo(
        nll,
        kl,
        kl / rows,
        -(nll + kl),
        rows,
        guessing / rows,
        {name: kl_of[layer] for name, layer in layers.items()},
        _advice(model, kl_of, rows, guessing / rows),
    )


def _check_one_model(model):
    if len(drawing.check_models(model)) > 1 or drawing.is_drawn(model):
        raise messages.invalid(
            "model",
            "one Keras model",
            messages.describe(model),
            "An ensemble has no bound of its own: ask each of its models.",
            TypeError,
        )


def _nll_and_guessing(outputs, y, name):
    """Return the negative log-likelihood of all rows, and that of the best constant prediction."""
    density = np.asarray(drawing.log_density(outputs, y, name))
    nll = -density.reshape(len(density), -1).mean(axis=0, dtype="float64").sum()
    return float(nll), _guessing(outputs.likelihood, drawing.observations(outputs, y))


def _guessing(likelihood, y):
    """Return the least negative log-likelihood of observations by outputs that are all the same."""
    if isinstance(likelihood, likelihoods.CategoricalLikelihood):
        return _entropy(y.astype(int).ravel())
    numbers = y.reshape(-1, y.shape[-1]).T
    if is_of_classes(likelihood):
        return sum(_entropy(each.astype(int)) for each in numbers)
    return sum(_least_loss(likelihood, each) for each in numbers)


def _entropy(labels):
    count = np.bincount(labels)
    count = count[count > 0]
    return -float((count * np.log(count / count.sum())).sum())


def _least_loss(likelihood, y):
    """Return the least negative log-likelihood of numbers by one and the same distribution."""
    from scipy import optimize

    shown = y[:: -(-len(y) // _ENOUGH)]  # evenly spaced

    def loss(columns):
        outputs = np.broadcast_to(columns, (len(shown), len(columns)))
        density = keras.ops.convert_to_numpy(likelihood.log_prob(shown[:, None], outputs))
        value = -float(np.mean(density, dtype="float64"))
        return value if math.isfinite(value) else _IMPOSSIBLE

    best = min(_starts(likelihood, shown), key=loss)
    steps = np.vstack([best, best + np.eye(len(best)) / 2])
    found = optimize.minimize(
        loss, best, method="Nelder-Mead",
        options={"initial_simplex": steps, "xatol": 1e-3, "fatol": 1e-5, "maxfev": 1000},
    )  # fmt: skip
    return len(y) * float(found.fun)


def _starts(likelihood, y):
    """Return outputs to begin a search with: a location in each of the units that it may have."""
    columns = likelihood.params_size(1)
    mean, deviation = float(y.mean()), max(float(y.std()), 1e-3)
    if isinstance(likelihood, likelihoods.NormalMixtureLikelihood):
        n = columns // 3  # logits, then a location and a scale of each component
        places = np.quantile(y, (np.arange(n) + 0.5) / n)
        pairs = np.stack([places, np.full(n, _inverse_softplus(deviation / n))], axis=1)
        return [np.concatenate([np.zeros(n), pairs.ravel()])]
    locations = [0.0, mean]
    if mean > 0:
        locations.append(math.log(mean))
    if 0 < mean < 1:
        locations.append(math.log(mean / (1 - mean)))
    scales = [0.0, _inverse_softplus(deviation), 3.0]
    return [
        np.array([location, *[scale] * (columns - 1)]) for location in locations for scale in scales
    ]


def _inverse_softplus(x):
    return x + math.log(-math.expm1(-x))


def _divergences(layers, draws, seed):
    """Return the divergence of each layer without its weight, estimates as means over draws."""
    generator = keras.random.SeedGenerator(seed)
    found = {}
    for layer in layers:
        keras_private.put_values_back(layer)
        first, second = (_total(layer, generator) for _ in range(2))
        if first != second:  # an estimate, which draws
            others = [_total(layer, generator) for _ in range(draws - 2)]
            first = float(np.mean([first, second, *others]))
        found[layer] = first
    return found


def _total(layer, generator):
    divergences = layer._divergences(noise.advance(generator))
    if isinstance(layer, DenseVariational) and not divergences:
        raise messages.invalid(
            "model",
            "a model whose divergence is that of its weights alone",
            f"the layer '{layer.name}', whose posterior or prior is a function of its inputs",
            "There the divergence is another one in each call: see `losses` after a call.",
        )
    return sum(float(keras.ops.convert_to_numpy(each)) for each in divergences.values())


def _advice(model, kl_of, rows, guessing):
    """Return sentences on what to change about the divergence."""
    advice = []
    kl = sum(kl_of.values())
    price = sum(layer.acting_kl_weight * of_layer for layer, of_layer in kl_of.items())
    if rows > 1 and all(layer.acting_kl_weight == 1 for layer in kl_of) and _has_mean_loss(model):
        price = kl / rows
        advice.append(
            "kl_weight is 1 and the loss a mean over rows, so that the divergence counts once for "
            f"every row: use set_kl_weight(model, 1 / {rows})."
        )
    # A density has no unit: where guessing loses next to nothing, a nat stands in for it.
    if price > _FAR_ABOVE * max(guessing, 1.0):
        advice.append(
            f"The divergence costs {price:.3g} nats a row, far more than the {guessing:.3g} that "
            "guessing loses, so that the network will underfit: lower kl_weight, begin from a "
            "trained network by to_bayesian() as well, or make its last layer alone variational. "
            "A prior whose scale follows the fan-in helps only with a lower kl_weight."
        )
    weights = sum(map(count_of_uncertain, kl_of))
    if kl < _NEXT_TO_NONE * weights:
        advice.append(
            f"The divergence is {kl:.3g} nats for {weights} weights, next to nothing: they have "
            "collapsed to the prior, so that the network predicts nearly the same whatever the "
            "data are. Lower kl_weight, or widen the prior."
        )
    return advice


def _has_mean_loss(model):
    """Tell whether the compiled loss is a mean over the rows of a batch."""
    losses = keras.tree.flatten(getattr(model, "loss", None)) if model.compiled else []
    reductions = {getattr(each, "reduction", "sum_over_batch_size") for each in losses}
    return bool(reductions) and reductions <= {"sum_over_batch_size", "mean"}
