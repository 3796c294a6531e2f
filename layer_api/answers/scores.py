"""How good predictions are: proper scores and calibration, computed from draws.

log_score = mean of log(mean over draws of p(y | outputs[s]))
crps = E|predict - y| - E|predict - predict'| / 2
"""

import functools
import math
import zlib
from typing import Any, NamedTuple

import numpy as np

from layer_api.answers import draws as drawing
from layer_api.answers import likelihoods
from layer_api.answers.intervals import (
    by_rows,
    drawn,
    is_of_classes,
    numpy_64,
    probabilities,
    table,
)

# Probabilities, in percent, of the central intervals whose coverage is a score.
_PERCENT = (50, 80, 90, 95)
# Nominal coverage in a plot of calibration: 5%, 10%, ..., 95%.
_LEVELS = np.arange(1, 20) / 20
# Bins of a probability, all of the same width, and resamples of rows for a standard error.
_BINS, _RESAMPLES, _SEED_OF_RESAMPLES = 15, 200, 1


class Scores:
    """Scores by name, each with its standard error.

    Attributes:
        values: dictionary of the scores.
        std_errors: dictionary of their standard errors, NaN for a single row.
        rows: number of rows that they are means over.
    """

    def __init__(self, values, std_errors, rows):
        self.values = values
        self.std_errors = std_errors
        self.rows = rows

    def __getitem__(self, name):
        """Return a score by its name."""
        return self.values[name]

    def __iter__(self):
        """Give the names of the scores."""
        return iter(self.values)

    def __len__(self):
        """Return the number of scores."""
        return len(self.values)

    def __repr__(self):
        columns = {
            f"{self.rows} row{'s' * (self.rows != 1)}": list(self.values),
            "value": [f"{value:.4g}" for value in self.values.values()],
            "std_error": [f"{error:.2g}" for error in self.std_errors.values()],
        }
        return table(columns, len(self))


class Calibration(NamedTuple):
    """What a plot of calibration shows: how often something happened, by how often it was to.

    Attributes:
        kind: "coverage" of intervals, where observations are numbers, or "probability" of classes.
        predicted: array of nominal levels of intervals, or of the bins' mean probabilities.
        observed: array of the shares of observations inside, or of the bins' frequencies.
        std_error: array of the standard errors of `observed`.
        count: array of how many observations each of them is a share of.
        pit: array of the probability integral transform of each observation; None for classes.
    """

    kind: Any
    predicted: Any
    observed: Any
    std_error: Any
    count: Any
    pit: Any = None

    def __repr__(self):
        names = ("predicted", "observed", "std_error")
        columns = {name: [f"{value:.3g}" for value in getattr(self, name)] for name in names}
        columns["count"] = [str(n) for n in self.count]
        return f"{self.kind.capitalize()}\n{table(columns, len(self.predicted))}"


def score(
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
    """Score predictions of observations that the network has not seen.

    Use it to compare networks by the whole of what they predict: a network that is too sure of
    itself scores worse than its mean would suggest. Log score and CRPS are proper: no other
    prediction scores better, on average, than the distribution that observations are from.

    Of numbers the scores are:

    - `log_score`: mean log density of the observations, averaged over draws on the scale of
      densities. The higher, the better.
    - `rmse`: root of the mean squared distance from the predictive mean.
    - `crps`: continuous ranked probability score, in the unit of y; the mean absolute error of a
      prediction without uncertainty. The lower, the better.
    - `coverage_50`, `coverage_80`, `coverage_90`, `coverage_95`: share of the observations within
      the central interval of that many percent, ends included. Of counts it may be larger.
    - `width_50`, `width_80`, `width_90`, `width_95`: mean width of these intervals.

    Of classes, and of 0 and 1, which are two classes, they are:

    - `log_score`: mean log probability of the labels. The higher, the better.
    - `accuracy`: share of the rows in which the most probable class is the label.
    - `brier`: squared distance of the probabilities from 1 for the label and 0 for the others,
      summed over the classes. For two classes it is twice `(p - y)^2`. The lower, the better.
    - `ece`: expected calibration error, the mean distance of the largest probability from the
      accuracy, over 15 bins of that probability of equal width, weighted by their rows. Chance
      makes it positive even for a calibrated network, and more so the fewer rows there are.

    Where an observation has several numbers, `log_score` is that of all of them together; the
    others are means over them.

    Standard errors are those of a mean over rows: their standard deviation divided by the root of
    their number. That of `rmse` is taken from the mean squared error by the delta method, that of
    `ece` from 200 resamples of the rows, always the same.

    Args:
        model: Keras model, built; a list of models that are one ensemble, over which the draws are
            spread; or draws that `posterior_linpred()` returned, which take the place of `x` too.
        x: Array with a row for each example, or a list or dictionary of arrays for a model with
            several inputs.
        y: Array of the observations, with as many rows as `x`, or a dictionary of those for a model
            with several outputs. Labels of classes are whole numbers from 0, or one-hot rows.
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
        Scores, which print as a table, with the attributes `values` and `std_errors`, dictionaries
        by the name of the score. For a model with several outputs a dictionary of those.

    Raises:
        ValueError: An argument has a value that it cannot have; the message says what it can be.
        TypeError: An argument is of the wrong type, such as a model that is none.

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(3,)), layer_api.DenseFlipout(2)])
    model.compile(optimizer="adam", loss=layer_api.NormalLikelihood())
    x = numpy.random.default_rng(1).normal(size=(10, 3))
    scores = layer_api.score(model, x, numpy.zeros(10), draws=100, seed=1)
    scores["crps"], scores.std_errors["crps"]
    ```

    References:
        Gneiting and Raftery (2007), Strictly Proper Scoring Rules, Prediction, and Estimation.
        <https://doi.org/10.1198/016214506000001437>

        Guo et al. (2017), On Calibration of Modern Neural Networks.
        <https://arxiv.org/abs/1706.04599>
    """
    return _of_outputs(
        _score, (model, x, draws, seed, batch_size, joint, training, verbose, likelihood), y
    )


def calibration(
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
    """Return what a plot of calibration shows: how often something happens that was predicted.

    Use it to see whether 90% intervals hold 90% of the observations, or whether a class of
    probability 0.8 is right in 80% of the rows. Below the diagonal a network is too sure of itself.

    Of numbers these are the coverages of central intervals of 5%, 10%, ..., 95%, and for each
    observation its probability integral transform (PIT): the predicted probability of a smaller
    one. It is the rank of the observation among the draws, randomized within ties and ranks, so
    that it is uniform between 0 and 1 for counts as well, if the predictions are calibrated. A
    histogram of it is then flat; too wide predictions make it a hill, too narrow ones a valley. An
    interval holds those with `|2 pit - 1|` of at most its level.

    Of 0 and 1 these are the frequencies of 1, in 15 bins of its probability of equal width. Of
    classes they are the frequencies at which the most probable class is the label, in such bins of
    its probability. Bins without a row are left out.

    Args:
        model: Keras model, built; a list of models that are one ensemble, over which the draws are
            spread; or draws that `posterior_linpred()` returned, which take the place of `x` too.
        x: Array with a row for each example, or a list or dictionary of arrays for a model with
            several inputs.
        y: Array of the observations, with as many rows as `x`, or a dictionary of those for a model
            with several outputs. Labels of classes are whole numbers from 0, or one-hot rows.
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
        An object with the attributes `predicted`, `observed`, `std_error` and `count`, arrays with
        a number for each level or bin; `pit`, an array with a number for each observation, `None`
        for classes; and `kind`, `"coverage"` or `"probability"`. For a model with several outputs a
        dictionary of those.

    Raises:
        ValueError: An argument has a value that it cannot have; the message says what it can be.
        TypeError: An argument is of the wrong type, such as a model that is none.

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(3,)), layer_api.DenseFlipout(2)])
    model.compile(optimizer="adam", loss=layer_api.NormalLikelihood())
    x = numpy.random.default_rng(1).normal(size=(10, 3))
    found = layer_api.calibration(model, x, numpy.zeros(10), draws=100, seed=1)
    found.observed - found.predicted  # below 0 where intervals are too narrow
    ```

    References:
        Gneiting, Balabdaoui and Raftery (2007), Probabilistic forecasts, calibration and
        sharpness. <https://doi.org/10.1111/j.1467-9868.2007.00587.x>

        Czado, Gneiting and Held (2009), Predictive Model Assessment for Count Data.
        <https://doi.org/10.1111/j.1541-0420.2009.01191.x>
    """
    return _of_outputs(
        _calibration,
        (model, x, draws, seed, batch_size, joint, training, verbose, likelihood),
        y,
        1,
    )


def _of_outputs(function, arguments, y, least=2):
    """Return what a function of draws, observations, seed and name makes of each output."""
    outputs = drawn(arguments, y, least)
    seed = drawing.seed_for_draws(arguments[3])
    return drawing.with_observations(
        lambda each, y, name: function(each, y, seed, name), outputs, y
    )


# --- Scores --------------------------------------------------------------------------------------


def _score(outputs, y, seed, name):
    likelihood, observed = _checked(outputs, y, name)
    density = drawing.log_density(outputs, y, name)
    (log_score,) = by_rows(lambda part: (_log_mean(part),), np.asarray(density))
    of_rows = {"log_score": _of_row(log_score)}
    rows = len(log_score)
    if is_of_classes(likelihood):
        p, bins = _predicted_probabilities(likelihood, outputs)
        hits = p.argmax(axis=-1) == observed
        labels = observed[..., None] == np.arange(p.shape[-1])
        of_rows["accuracy"] = _of_row(hits)
        of_rows["brier"] = _of_row(np.square(p - labels).sum(axis=-1))
        last = {"ece": _ece(p.max(axis=-1) - hits, bins)}
    else:
        (mean,) = by_rows(
            lambda part: (numpy_64(likelihood.mean(part)).mean(axis=0),),
            drawing.with_columns(outputs),
        )
        predicted = drawing.with_columns(drawing.observed(outputs, f"{seed}/{name}", name))
        crps, inside, width = by_rows(_scores_of_numbers, predicted, observed)
        of_rows["rmse"] = _of_row(np.square(observed - mean))
        of_rows["crps"] = _of_row(crps)
        for i, percent in enumerate(_PERCENT):
            of_rows[f"coverage_{percent}"] = _of_row(inside[..., i])
        for i, percent in enumerate(_PERCENT):
            of_rows[f"width_{percent}"] = _of_row(width[..., i])
        last = {}
    found = {key: (values.mean(), _std_error(values)) for key, values in of_rows.items()} | last
    if "rmse" in found:
        mse, error = found["rmse"]
        rmse = np.sqrt(mse)
        found["rmse"] = (rmse, error / (2 * rmse) if rmse > 0 else error)
    return Scores(
        {key: float(value) for key, (value, _) in found.items()},
        {key: float(error) for key, (_, error) in found.items()},
        rows,
    )


def _checked(outputs, y, name):
    """Return the likelihood, and the observations in the shape that draws of them have."""
    likelihood = drawing.likelihood_of(outputs, name)
    of_one_draw = drawing.with_columns(outputs)[0]
    y = drawing.observations(outputs, y)
    if isinstance(likelihood, likelihoods.CategoricalLikelihood):
        return likelihood, np.broadcast_to(y, of_one_draw.shape[:-1])
    units = likelihood.units_of(of_one_draw.shape[-1])
    return likelihood, np.broadcast_to(y, (*of_one_draw.shape[:-1], units))


def _log_mean(log_densities):
    """Return the logarithm of the mean over draws of densities."""
    return np.logaddexp.reduce(log_densities, axis=0) - math.log(len(log_densities))


def _scores_of_numbers(predicted, y):
    """Return CRPS, and for each interval whether it holds y, and its width."""
    import scoringrules

    # Of independent draws "pwm" has no bias, however few they are.
    crps = scoringrules.crps_ensemble(
        y, np.moveaxis(predicted, 0, -1), estimator="pwm", backend="numpy"
    )
    prob = np.array(_PERCENT) / 100
    ends = np.quantile(predicted, [(1 - prob) / 2, (1 + prob) / 2], axis=0)
    lower, upper = np.moveaxis(ends, 1, -1)
    inside = (lower <= y[..., None]) & (y[..., None] <= upper)
    return crps, inside, upper - lower


def _predicted_probabilities(likelihood, outputs):
    """Return the predictive probabilities of classes, and the bins of the largest of them."""
    (p,) = by_rows(
        lambda part: (probabilities(likelihood, part).mean(axis=0),), drawing.with_columns(outputs)
    )
    return p, _bins(p.max(axis=-1))


def _bins(p):
    return np.minimum((p * _BINS).astype(int), _BINS - 1)


def _ece(gaps, bins):
    """Return expected calibration error and its standard error.

    Args:
        gaps: array of rows, the probability minus 1 where it is of the label, minus 0 elsewhere.
        bins: array of the bins that the gaps belong to.
    """
    rows = len(gaps)
    row = np.arange(rows).repeat(gaps.size // rows)
    # The sum of the gaps of each row in each bin: rows are resampled with all they have.
    sums = np.bincount(row * _BINS + bins.ravel(), gaps.ravel(), rows * _BINS)
    sums = sums.reshape(rows, _BINS)
    ece = np.abs(sums.sum(axis=0)).sum() / gaps.size
    if rows == 1:
        return ece, math.nan
    generator = np.random.default_rng(_SEED_OF_RESAMPLES)
    resampled = []
    for _ in range(_RESAMPLES):
        times = np.bincount(generator.integers(rows, size=rows), minlength=rows)
        resampled.append(np.abs(times @ sums).sum() / gaps.size)
    return ece, np.std(resampled, ddof=1)


def _of_row(values):
    """Return the mean over all that a row has."""
    return values.reshape(len(values), -1).mean(axis=1)


def _std_error(values):
    """Return the standard error of a mean over rows."""
    n = len(values)
    with np.errstate(invalid="ignore"):  # an infinite score has none
        return values.std(ddof=1) / math.sqrt(n) if n > 1 else math.nan


# --- Calibration ---------------------------------------------------------------------------------


def _calibration(outputs, y, seed, name):
    likelihood, observed = _checked(outputs, y, name)
    if is_of_classes(likelihood):
        p, bins = _predicted_probabilities(likelihood, outputs)
        if isinstance(likelihood, likelihoods.BernoulliLikelihood):
            p, happened = p[..., 1], observed
            bins = _bins(p)
        else:
            p, happened = p.max(axis=-1), p.argmax(axis=-1) == observed
        return _reliability(p.ravel(), happened.ravel(), bins.ravel())
    predicted = drawing.with_columns(drawing.observed(outputs, f"{seed}/{name}", name))
    generator = np.random.default_rng(zlib.crc32(f"{seed}/{name}/pit".encode()))
    (pit,) = by_rows(functools.partial(_pit, generator), predicted, observed)
    inside = np.abs(2 * pit - 1)[..., None] <= _LEVELS
    of_rows = inside.reshape(len(pit), -1, len(_LEVELS)).mean(axis=1)
    return Calibration(
        "coverage",
        _LEVELS,
        of_rows.mean(axis=0),
        np.array([_std_error(values) for values in of_rows.T]),
        np.full(len(_LEVELS), pit.size),
        drawing.without_axis_of_one(pit[None])[0],
    )


def _pit(generator, predicted, y):
    """Return the rank of observations among draws, between 0 and 1.

    One that is from the same distribution has any rank among draws + 1 with the same probability,
    ties broken at random, and the place within the rank is random, too.
    """
    below, equal = (predicted < y).sum(axis=0), (predicted == y).sum(axis=0)
    return ((below + generator.uniform(size=y.shape) * (equal + 1)) / (len(predicted) + 1),)


def _reliability(p, happened, bins):
    count = np.bincount(bins, minlength=_BINS)
    filled = count > 0
    sums = [np.bincount(bins, values, _BINS)[filled] for values in (p, happened)]
    count = count[filled]
    predicted, observed = (each / count for each in sums)
    std_error = np.sqrt(observed * (1 - observed) / count)
    return Calibration("probability", predicted, observed, std_error, count)
