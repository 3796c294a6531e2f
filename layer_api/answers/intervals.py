"""Intervals and errors of predictions, intervals of weights, and what uncertainty is made of.

    interval = quantiles of predict[s],       error[s] = y - predict[s]
    total = aleatoric + epistemic

All of these except the intervals of weights are computed from draws of the posterior.
"""

import collections
import functools
import math
import numbers
import statistics
from typing import Any, NamedTuple

import keras
import numpy as np

from layer_api import backend, keras_private, messages, validation
from layer_api.answers import draws as drawing
from layer_api.answers import likelihoods
from layer_api.layers.dense_variational import DenseVariational, is_block
from layer_api.layers.variational_layer import VariationalLayer
from layer_api.messages import REQUIRED
from layer_api.weights import distributions

# Numbers of draws that are computed with at once, so that many rows need little memory.
_AT_ONCE = drawing.AT_ONCE
# Draws for the interval of a weight whose quantiles have no closed form, and their seed.
_DRAWS_OF_WEIGHTS, _SEED_OF_WEIGHTS = 10_000, 1
# Lines of a table that is printed.
_LINES = 10


class Interval:
    """Intervals with a lower and an upper end: to NumPy an array whose last axis has the two.

    Attributes:
        lower: array of the lower ends.
        upper: array of the upper ends.
        names: names of the two columns, such as ("5%", "95%").
    """

    def __init__(self, lower, upper, prob):
        self.lower = np.asarray(lower)
        self.upper = np.asarray(upper)
        self.names = tuple(f"{100 * p:.7g}%" for p in _ends(prob))

    def __array__(self, dtype=None, copy=None):
        """Return the array of both ends, with an axis of two numbers behind the others."""
        array = np.stack([self.lower, self.upper], axis=-1)
        return array if dtype is None else array.astype(dtype)

    @property
    def shape(self):
        """The shape of the array."""
        return (*self.lower.shape, 2)

    def __len__(self):
        """Return the number of rows."""
        return len(self.lower)

    def __getitem__(self, key):
        """Return a part of the array."""
        return np.asarray(self)[key]

    def __repr__(self):
        return f"{type(self).__name__} from {' to '.join(self.names)}\n{np.asarray(self)}"


class WeightInterval(Interval):
    """Intervals of weights, a row for each.

    Attributes:
        lower: array of the lower ends.
        upper: array of the upper ends.
        names: names of these two, such as ("5%", "95%").
        terms: list of the names of the weights, such as "dense_flipout/kernel[0,0]".
        estimate: array of the posterior means.
        std_error: array of the posterior standard deviations.
    """

    def __init__(self, terms, estimate, std_error, lower, upper, prob):
        super().__init__(lower, upper, prob)
        self.terms = terms
        self.estimate = estimate
        self.std_error = std_error

    def __repr__(self):
        values_of = (self.estimate, self.std_error, self.lower, self.upper)
        columns = {"": self.terms[:_LINES]}
        for name, values in zip(("estimate", "std_error", *self.names), values_of, strict=True):
            columns[name] = [f"{value:.4g}" for value in values[:_LINES]]
        return table(columns, len(self))


class Uncertainty(NamedTuple):
    """How uncertain predictions are, and why.

    Attributes:
        mean: array of the predictive means, or of the probabilities of classes.
        total: array of the variances, or of the entropies: aleatoric + epistemic.
        aleatoric: array of what is due to the noise of the data.
        epistemic: array of what is due to the doubt about the network.
    """

    mean: Any
    total: Any
    aleatoric: Any
    epistemic: Any

    def __repr__(self):
        # A row of classes has many means.
        names = self._fields if self.mean.shape == self.total.shape else self._fields[1:]
        if self.total.ndim > 1:
            shape = messages.describe_shape(self.total.shape)
            return f"Uncertainty: {', '.join(names)}, arrays of {shape}"
        columns = {"": [str(row) for row in range(min(_LINES, len(self.total)))]}
        for name in names:
            columns[name] = [f"{value:.4g}" for value in getattr(self, name)[:_LINES]]
        return table(columns, len(self.total))


def predictive_interval(
    model,
    x=None,
    prob=0.9,
    draws=1000,
    seed=None,
    batch_size=None,
    joint=True,
    training=False,
    verbose="auto",
    likelihood=None,
):
    """Return the interval that an observation of each row lies in with a given probability.

    Use it to say in what range the next observation will be: the noise of the data is in it as well
    as the doubt about the network. It is the central interval, with as many observations below it
    as above: quantiles `(1 - prob) / 2` and `(1 + prob) / 2` of the draws of `posterior_predict()`.

    Args:
        model: Keras model, built; a list of models that are one ensemble, over which the draws are
            spread; or draws that `posterior_linpred()` or `posterior_predict()` returned, in place
            of `x` too. A plain array of draws is one of `posterior_predict()`, unless there is a
            `likelihood`.
        x: Array with a row for each example, or a list or dictionary of arrays for a model with
            several inputs.
        prob: Number above 0 and below 1, the probability of the interval. Default `0.9`.
        draws: Whole number of at least 1, how many draws. Default `1000`.
        seed: Whole number from 0 to 2147483647 that decides the draws. The same seed repeats them,
            in both languages. Default `None`: the draws continue the model's noise, as that many
            calls would.
        batch_size: Whole number of at least 1, how many rows are computed together. The draws do
            not depend on it. Default `None`: as many as a quarter of a gigabyte allows.
        joint: Whether a draw is one function: one set of weights for all rows. `False`: each layer
            draws as in a call, separately by rows if its estimator does, which is cheaper for few
            rows; draws of two rows then say nothing about their difference. Default `True`.
        training: Whether layers of Keras behave as in training, so that a network with Dropout can
            be drawn from. Batch normalization stays as it is. Default `False`.
        verbose: Whether a bar shows the progress of the draws: `True`, `False` or `"auto"`, once
            they take some seconds. Default `"auto"`.
        likelihood: Likelihood, its name, or a dictionary of those for several outputs. Default
            `None`: the one that the model is compiled with; cross-entropies of Keras are known.

    Returns:
        Intervals with the attributes `lower`, `upper` and `names`, such as `("5%", "95%")`. To
        NumPy they are an array of `(rows, 2)`, or `(rows, outputs, 2)` where an observation has
        several numbers. For a model with several outputs a dictionary of those.

    Raises:
        ValueError: An argument has a value that it cannot have; the message says what it can be.
        TypeError: An argument is of the wrong type, such as a model that is none.

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(3,)), layer_api.DenseFlipout(2)])
    model.compile(optimizer="adam", loss=layer_api.NormalLikelihood())
    x = numpy.random.default_rng(1).normal(size=(10, 3))
    interval = layer_api.predictive_interval(model, x, prob=0.8, draws=100, seed=1)
    interval.names  # ("10%", "90%")
    interval.upper - interval.lower  # how wide they are
    ```
    """
    prob = check_prob(prob)
    predicted = _predicted(
        (model, x, draws, seed, batch_size, joint, training, verbose, likelihood)
    )
    return drawing.for_each_output(lambda each, _: _interval(each, prob), predicted)


def predictive_error(
    model,
    x=None,
    y=None,
    draws=1000,
    seed=None,
    batch_size=None,
    joint=True,
    training=False,
    verbose="auto",
    likelihood=None,
):
    """Return how far observations are from drawn ones: `y` minus each draw.

    Use it to see by how much predictions miss, and whether they do so more in some rows than in
    others: the errors of a row have the spread of its prediction.

    Args:
        model: Keras model, built; a list of models that are one ensemble, over which the draws are
            spread; or draws that `posterior_linpred()` or `posterior_predict()` returned, in place
            of `x` too. A plain array of draws is one of `posterior_predict()`, unless there is a
            `likelihood`.
        x: Array with a row for each example, or a list or dictionary of arrays for a model with
            several inputs.
        y: Array of the observations, with as many rows as `x`, or a dictionary of those for a model
            with several outputs.
        draws: Whole number of at least 1, how many draws. Default `1000`.
        seed: Whole number from 0 to 2147483647 that decides the draws. The same seed repeats them,
            in both languages. Default `None`: the draws continue the model's noise, as that many
            calls would.
        batch_size: Whole number of at least 1, how many rows are computed together. The draws do
            not depend on it. Default `None`: as many as a quarter of a gigabyte allows.
        joint: Whether a draw is one function: one set of weights for all rows. `False`: each layer
            draws as in a call, separately by rows if its estimator does, which is cheaper for few
            rows; draws of two rows then say nothing about their difference. Default `True`.
        training: Whether layers of Keras behave as in training, so that a network with Dropout can
            be drawn from. Batch normalization stays as it is. Default `False`.
        verbose: Whether a bar shows the progress of the draws: `True`, `False` or `"auto"`, once
            they take some seconds. Default `"auto"`.
        likelihood: Likelihood, its name, or a dictionary of those for several outputs. Default
            `None`: the one that the model is compiled with; cross-entropies of Keras are known.

    Returns:
        An array of `(draws, rows)`, or `(draws, rows, outputs)` where an observation has several
        numbers; for a model with several outputs a dictionary of those.

    Raises:
        ValueError: An argument has a value that it cannot have; the message says what it can be.
        TypeError: An argument is of the wrong type, such as a model that is none.

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(3,)), layer_api.DenseFlipout(2)])
    model.compile(optimizer="adam", loss=layer_api.NormalLikelihood())
    x = numpy.random.default_rng(1).normal(size=(10, 3))
    error = layer_api.predictive_error(model, x, numpy.zeros(10), draws=100, seed=1)
    error.mean(axis=0)  # y minus the mean of the predictions
    ```
    """
    predicted = _predicted(
        (model, x, draws, seed, batch_size, joint, training, verbose, likelihood), y
    )
    return drawing.with_observations(_error, predicted, y)


def posterior_interval(model, prob=0.9):
    """Return the interval that each weight lies in with a given probability.

    Use it to see which weights the data have something to say about: the interval of such a weight
    is narrower than its prior's, and may exclude 0. It is the central interval of the weight's own
    posterior. For normals, also those of a multivariate one, it is exact; a weight without
    uncertainty has two equal ends; of any other distribution it is taken from 10,000 draws, always
    the same.

    Args:
        model: Model or layer of Keras, built. The layers of models inside it count too.
        prob: Number above 0 and below 1, the probability of the interval. Default `0.9`.

    Returns:
        Intervals with the attributes `terms`, a list of names such as
        `"dense_flipout/kernel[0,1]"`, and `estimate`, `std_error`, `lower` and `upper`, arrays with
        a number for each of them: mean, standard deviation and ends of the interval. To NumPy they
        are an array of `(weights, 2)`.

    Raises:
        ValueError: `prob` is not between 0 and 1, or `model` is not built, has no variational
            layer, or has one whose posterior depends on the inputs.
        TypeError: `model` is neither a model nor a layer.

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(3,)), layer_api.DenseFlipout(1, name="dense")])
    interval = layer_api.posterior_interval(model, prob=0.95)
    interval.terms  # ["dense/kernel[0,0]", ..., "dense/bias[0]"]
    interval.lower  # array of 4 numbers
    ```
    """
    return _interval_of_weights(model, check_prob(prob), 0)


def tidy_weights(model, prob=0.9, first=1):
    """Return intervals of weights as columns by the names that R's `tidy()` gives them.

    Args:
        model: as for `posterior_interval()`.
        prob: as for `posterior_interval()`.
        first: whole number, the index of the first element in terms.
    """
    interval = _interval_of_weights(model, check_prob(prob), first)
    return {
        "term": interval.terms,
        "estimate": interval.estimate,
        "std.error": interval.std_error,
        "conf.low": interval.lower,
        "conf.high": interval.upper,
    }


def uncertainty(
    model,
    x=None,
    draws=1000,
    seed=None,
    batch_size=None,
    joint=True,
    training=False,
    verbose="auto",
    likelihood=None,
):
    """Split the uncertainty of predictions into that of the data and that of the network.

    Use it to tell rows where more data would help from rows where observations stay noisy. The
    epistemic part is what more data would remove: functions drawn from the posterior disagree. The
    aleatoric part stays: each of these functions says that observations vary.

    Of numbers these are variances, by the law of total variance:

        total = Var(y),    aleatoric = E[Var(y | weights)],    epistemic = Var(E[y | weights])

    The variance over draws divides by the number of draws, not by one less, so the parts add up
    exactly. Of classes, and of 0 and 1, these are entropies in nats:

        total = H(E[p]),    aleatoric = E[H(p)],    epistemic = total - aleatoric >= 0

    where the epistemic part is the mutual information of label and weights.

    Args:
        model: Keras model, built; a list of models that are one ensemble, over which the draws are
            spread; or draws that `posterior_linpred()` returned, which take the place of `x` too.
        x: Array with a row for each example, or a list or dictionary of arrays for a model with
            several inputs.
        draws: Whole number of at least 2, how many draws. Default `1000`.
        seed: Whole number from 0 to 2147483647 that decides the draws. The same seed repeats them,
            in both languages. Default `None`: the draws continue the model's noise, as that many
            calls would.
        batch_size: Whole number of at least 1, how many rows are computed together. The draws do
            not depend on it. Default `None`: as many as a quarter of a gigabyte allows.
        joint: Whether a draw is one function: one set of weights for all rows. `False`: each layer
            draws as in a call, separately by rows if its estimator does, which is cheaper for few
            rows; draws of two rows then say nothing about their difference. Default `True`.
        training: Whether layers of Keras behave as in training, so that a network with Dropout can
            be drawn from. Batch normalization stays as it is. Default `False`.
        verbose: Whether a bar shows the progress of the draws: `True`, `False` or `"auto"`, once
            they take some seconds. Default `"auto"`.
        likelihood: Likelihood, its name, or a dictionary of those for several outputs. Default
            `None`: the one that the model is compiled with; cross-entropies of Keras are known.

    Returns:
        An object with the attributes `mean`, the predictive mean or the probabilities of classes,
        `total`, `aleatoric` and `epistemic`: arrays with a row for each of `x`. The epistemic part
        of a network without uncertain weights is 0. For a model with several outputs a dictionary
        of those.

    Raises:
        ValueError: An argument has a value that it cannot have; the message says what it can be.
        TypeError: An argument is of the wrong type, such as a model that is none.

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(3,)), layer_api.DenseFlipout(2)])
    model.compile(optimizer="adam", loss=layer_api.NormalLikelihood())
    x = numpy.random.default_rng(1).normal(size=(10, 3))
    parts = layer_api.uncertainty(model, x, draws=100, seed=1)
    parts.epistemic / parts.total  # the share that more data would remove
    ```

    References:
        Depeweg et al. (2018), Decomposition of Uncertainty in Bayesian Deep Learning for Efficient
        and Risk-sensitive Learning. <https://arxiv.org/abs/1710.07283>
    """
    outputs = drawn(
        (model, x, draws, seed, batch_size, joint, training, verbose, likelihood), least=2
    )
    return drawing.for_each_output(_uncertainty, outputs)


# --- Predictions ---------------------------------------------------------------------------------


def _predicted(arguments, y=REQUIRED):
    """Return draws of observations, made now or given by the user; refuse labels of classes.

    Args:
        arguments: those of `posterior_predict()`, in their order.
        y: as for `drawn()`.
    """
    model, x, _, seed, batch_size, joint, training, _, likelihood = arguments
    if drawing.is_drawn(model) and _are_of_observations(model, likelihood):
        drawing.check_nothing_else(x, batch_size, joint, training)
        predicted = drawing.check_draws(model, likelihood, "predict")
        drawing.for_each_output(_refuse_labels, predicted)
    else:
        outputs = drawn(arguments, y, check=_refuse_labels_and_no_likelihood)
        predicted = drawing.posterior_predict(outputs, seed=seed)
    drawing.for_each_output(_refuse_missing, predicted)
    return predicted


def _are_of_observations(value, likelihood):
    """Tell whether draws that a user gave are of observations, not of outputs."""
    kinds = {getattr(each, "kind", None) for each in keras.tree.flatten(value)}
    return "predict" in kinds or (kinds == {None} and likelihood is None)


def _refuse_labels_and_no_likelihood(outputs, name):
    drawing.likelihood_of(outputs, name)
    _refuse_labels(outputs, name)


def _refuse_labels(given, _):
    if isinstance(given.likelihood, likelihoods.CategoricalLikelihood):
        raise messages.invalid(
            "model",
            "one of numbers, which can be subtracted and put in order",
            "one of classes, whose labels cannot",
            "Use posterior_epred() for the probabilities of the classes, uncertainty() for how "
            "sure they are, or score() for how right.",
        )


def _interval(predicted, prob):
    (ends,) = by_rows(
        lambda part: (np.moveaxis(np.quantile(part, _ends(prob), axis=0), 0, -1),),
        np.asarray(predicted),
    )
    return Interval(ends[..., 0], ends[..., 1], prob)


def _error(predicted, y, _):
    array = drawing.with_columns(predicted)
    # Where nothing is known of the observations, any number can be one.
    likelihood = predicted.likelihood or likelihoods.NormalLikelihood(scale=1.0)
    columns = likelihood.params_size(array.shape[-1])
    outputs = np.broadcast_to(np.float32(0), (*array.shape[1:-1], columns))
    return drawing.without_axis_of_one(likelihood.check_observations(y, outputs) - array)


# --- Weights -------------------------------------------------------------------------------------


class PosteriorOf(NamedTuple):
    """One posterior of a model, and the weights that it is of.

    Attributes:
        parts: list of pairs of name and shape, such as ("dense/kernel", (3, 2)).
        distribution: the posterior.
        generator: generator of the noise of its layer.
        draw: function of the state of that noise, which returns what the layer's call draws in it.
    """

    parts: Any
    distribution: Any
    generator: Any
    draw: Any


def _interval_of_weights(model, prob, first):
    found = posteriors_of(model)
    terms = [
        term
        for each in found
        for name, shape in each.parts
        for term in terms_of(name, shape, first)
    ]
    summaries = []
    for parts, distribution, *_ in found:
        shape = parts[0][1] if len(parts) == 1 else (sum(math.prod(s) for _, s in parts),)
        summaries.append(np.stack([each.ravel() for each in _summary(distribution, shape, prob)]))
    estimate, std_error, lower, upper = np.concatenate(summaries, axis=1)
    return WeightInterval(terms, estimate, std_error, lower, upper, prob)


def check_one_model(model):
    """Refuse what is no model or layer, or is not built; put the values of its variables back."""
    if not messages.is_layer(model):
        raise messages.invalid(
            "model",
            "a model or a layer",
            messages.describe(model),
            "Pass one model that holds the layers; of an ensemble one after the other.",
            TypeError,
        )
    drawing.check_models(model)
    keras_private.put_values_back(model)


def variational_layers(model):
    """Return the layers of a model whose weights have distributions, by the names in terms."""
    check_one_model(model)
    found: dict[str, Any] = {}
    names: collections.Counter = collections.Counter()
    for layer in keras_private.all_layers(model):
        if isinstance(layer, (DenseVariational, VariationalLayer)):
            # Layers of two models inside this one may have the same name.
            names[layer.name] += 1
            count = names[layer.name]
            found[layer.name if count == 1 else f"{layer.name}({count})"] = layer
    if not found:
        raise messages.invalid(
            "model",
            "a model with at least one variational layer",
            messages.describe(model),
            "Only layers whose weights have distributions will do.",
        )
    return found


def posteriors_of(model):
    """Return every posterior of a model as a list of `PosteriorOf`."""
    found: list[PosteriorOf] = []
    for name, layer in variational_layers(model).items():
        generator = layer.seed_generator
        if isinstance(layer, DenseVariational):
            parts = _parts_of_joint(layer, name)
            posterior = layer.joint.distribution("posterior")
            found.append(PosteriorOf(parts, posterior, generator, layer._draw_weights))
            continue
        for weight in layer._weights_by_name.values():
            if weight.is_present:
                part = (f"{name}/{weight.name}", weight.shape)
                found.append(PosteriorOf([part], weight.posterior, generator, weight.draw))
    return found


def _parts_of_joint(layer, name):
    """Return name and shape of kernel and bias of a layer whose posterior is of both at once."""
    if not is_block(layer.joint.function("make_posterior_fn")):
        raise messages.invalid(
            "model",
            "one whose posteriors do not depend on the inputs",
            f"{messages.describe(layer)}, whose posterior is made by a function",
            "Look at layer.posterior(inputs), and pass the other layers one by one.",
        )
    bias = layer.units * layer.use_bias
    parts = [(f"{name}/kernel", ((layer.joint.size - bias) // layer.units, layer.units))]
    return [*parts, (f"{name}/bias", (bias,))] if bias else parts


def terms_of(prefix, shape, first):
    """Return the names of the elements of a weight, whose indices count from `first`."""
    if not shape:
        return [prefix]
    indices = (",".join(str(i + first) for i in index) for index in np.ndindex(*shape))
    return [f"{prefix}[{each}]" for each in indices]


def _summary(distribution, shape, prob):
    """Return mean, standard deviation, and lower and upper end of the interval, of each weight."""
    if isinstance(distribution, distributions.Deterministic):
        loc = numpy_64(distribution.loc)
        return loc, np.zeros_like(loc), loc, loc
    if isinstance(distribution, (distributions.Normal, distributions.MultivariateNormal)):
        loc = numpy_64(distribution.loc)
        if isinstance(distribution, distributions.Normal):
            scale = numpy_64(distribution.scale)
        else:
            variances = np.square(numpy_64(distribution.scale_tril)).sum(axis=1)
            scale = np.sqrt(variances).reshape(loc.shape)
        z = statistics.NormalDist().inv_cdf(_ends(prob)[1])
        return loc, scale, loc - z * scale, loc + z * scale
    made = backend.distributions.sample(distribution, _DRAWS_OF_WEIGHTS, seed=_SEED_OF_WEIGHTS)
    values = np.broadcast_to(numpy_64(made), (_DRAWS_OF_WEIGHTS, *shape))
    return values.mean(axis=0), values.std(axis=0, ddof=1), *np.quantile(values, _ends(prob), 0)


# --- Uncertainty ---------------------------------------------------------------------------------


def _uncertainty(outputs, name):
    likelihood = drawing.likelihood_of(outputs, name)
    split = _entropies if is_of_classes(likelihood) else _variances
    parts = by_rows(functools.partial(split, likelihood), drawing.with_columns(outputs))
    if not isinstance(likelihood, likelihoods.CategoricalLikelihood):
        parts = [a[:, 0] if a.ndim == 2 and a.shape[-1] == 1 else a for a in parts]
    mean, aleatoric, epistemic = parts
    return Uncertainty(mean, aleatoric + epistemic, aleatoric, epistemic)


def _variances(likelihood, outputs):
    means = numpy_64(likelihood.mean(outputs))
    aleatoric = numpy_64(likelihood.variance(outputs)).mean(axis=0)
    with np.errstate(invalid="ignore"):  # some distributions have no finite mean
        # Equal means have a deviation of 0 from the first, but from their mean one by rounding.
        deviation = means - means[:1]
    return means[0] + deviation.mean(axis=0), aleatoric, deviation.var(axis=0)


def _entropies(likelihood, outputs):
    p = probabilities(likelihood, outputs)
    mean = np.maximum(_mean_of_draws(p), 0)
    aleatoric = _mean_of_draws(_entropy(p))
    # By rounding alone the difference may be below 0.
    epistemic = np.maximum(_entropy(mean) - aleatoric, 0)
    return mean[..., 1] if _is_bernoulli(likelihood) else mean, aleatoric, epistemic


def _mean_of_draws(values):
    """Return the mean over draws, without rounding where all are equal."""
    return values[0] + (values - values[:1]).mean(axis=0)


def _entropy(p):
    """Return the entropies of distributions on the last axis, in nats; 0 log 0 is 0."""
    is_0 = p <= 0
    return -np.where(is_0, 0, p * np.log(np.where(is_0, 1, p))).sum(axis=-1)


# --- What answers have in common -----------------------------------------------------------------


def drawn(arguments, y=REQUIRED, least=1, check=drawing.likelihood_of):
    """Return draws of outputs; refuse wrong arguments, before time goes into draws if it can be.

    Args:
        arguments: those of `posterior_linpred()`, in their order.
        y: what the user gave for observations. Default: the answer needs none.
        least: least number of draws that the answer needs.
        check: function of draws and the name of their output that refuses those without an answer.
    """
    model, x, draws, seed, batch_size, joint, training, verbose, likelihood = arguments
    validation.check_seed(seed)
    if not drawing.is_drawn(model):
        models, x = drawing.check_models(model), drawing.check_inputs(x)
        remedy = "Pass, for example, draws = 1000."
        draws = validation.check_whole_number("draws", draws, least, remedy)
        for name, meaning in _by_output(drawing.meanings_of(models[0], likelihood)):
            check(drawing.Draws(np.empty((1, 1)), "linpred", meaning), name)
        if y is not REQUIRED:
            drawing.check_before_drawing(models[0], x, y, likelihood)
    outputs = drawing.posterior_linpred(
        model, x, draws, seed, batch_size, joint, training, verbose, likelihood
    )
    for name, each in _by_output(outputs):
        check(each, name)
        _refuse_missing(each, name)
        if len(each) < least:
            raise messages.invalid(
                "model",
                f"a model, or at least {least} draws",
                f"{len(each)} draw",
                "Pass the model, or more draws of posterior_linpred().",
            )
    return outputs


def _by_output(values):
    """Return pairs of the name of an output, None where it is not known, and what is said of it."""
    if isinstance(values, dict):
        return list(values.items())
    return [(None, each) for each in (values if isinstance(values, list) else [values])]


def _refuse_missing(given, _):
    """Refuse draws with NaN: counts and comparisons would turn them into plausible numbers."""
    if missing := int(np.isnan(np.asarray(given)).sum()):
        raise messages.invalid(
            "model",
            "one whose outputs are numbers",
            f"{missing} NA/NaN among {given.size} drawn numbers",
            "Look for missing values in x, or for a training that has diverged.",
        )


def check_prob(prob):
    """Return the probability of an interval; refuse 0, 1 and what is outside."""
    value = validation.as_scalar(prob)
    is_real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_real or not 0 < value < 1:
        raise messages.invalid(
            "prob",
            "a number above 0 and below 1",
            messages.describe(prob),
            "Pass, for example, prob = 0.9 for an interval of 90%.",
        )
    return float(value)


def _ends(prob):
    return (1 - prob) / 2, (1 + prob) / 2


def by_rows(function, draws, *others):
    """Return the arrays that a function makes of draws, for few rows at a time.

    Args:
        function: function of draws and the others, which returns a tuple of arrays of rows.
        draws: array of draws by rows.
        *others: arrays of rows.
    """
    n = max(1, _AT_ONCE // max(1, draws[:, :1].size))
    parts = [
        function(
            draws[:, first : first + n].astype("float64"),
            *(each[first : first + n] for each in others),
        )
        for first in range(0, draws.shape[1], n)
    ]
    return [np.concatenate(each) for each in zip(*parts, strict=True)]


def is_of_classes(likelihood):
    """Tell whether observations are labels, or 0 and 1."""
    return _is_bernoulli(likelihood) or isinstance(likelihood, likelihoods.CategoricalLikelihood)


def _is_bernoulli(likelihood):
    return isinstance(likelihood, likelihoods.BernoulliLikelihood)


def probabilities(likelihood, outputs):
    """Return the probabilities of classes, of shape (..., classes); 0 and 1 are two of them."""
    p = numpy_64(likelihood.mean(outputs))
    if _is_bernoulli(likelihood):
        return np.stack([1 - p, p], axis=-1)
    return p / p.sum(axis=-1, keepdims=True)


def numpy_64(tensor):
    """Return a tensor as an array of NumPy of 64 bits."""
    return np.asarray(keras.ops.convert_to_numpy(tensor)).astype("float64")


def table(columns, rows):
    """Return columns of text as a table, with a line for the rows that are not shown.

    Args:
        columns: dictionary of lists of text, by the name of the column.
        rows: number of rows of what is printed.
    """
    shown = len(next(iter(columns.values())))
    lines = [""] * (shown + 1)
    for i, (name, values) in enumerate(columns.items()):
        texts = [name, *values]
        width = max(map(len, texts))
        texts = [text.rjust(width) if i else text.ljust(width) for text in texts]
        lines = [f"{a}  {b}" if i else b for a, b in zip(lines, texts, strict=True)]
    if rows > shown:
        lines.append(f"... {rows} rows in all")
    return "\n".join(lines)
