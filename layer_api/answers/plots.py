"""Plots of what a model answers, drawn with matplotlib.

Nothing is computed here: a plot shows what the answer of the same name returns.
"""

import math

import keras
import numpy as np

from layer_api import messages, validation
from layer_api.answers import draws as drawing
from layer_api.answers.intervals import (
    check_prob,
    drawn,
    is_of_classes,
    posterior_interval,
    predictive_interval,
    uncertainty,
)
from layer_api.answers.scores import calibration
from layer_api.messages import REQUIRED

# Bands from wide to narrow, the mean, and what stands out from them.
_PALE, _MIDDLE, _DARK, _ORANGE, _GREY = "#c6dbef", "#6baed6", "#08306b", "#fd8d3c", "#969696"
# Metrics of a training whose panels come first, in this order.
_FIRST_METRICS = ("loss", "nll", "kl", "kl_weight")


def plot_interval(
    model,
    x=None,
    y=None,
    feature=0,
    prob=(0.5, 0.9),
    draws=1000,
    seed=None,
    batch_size=None,
    joint=True,
    training=False,
    verbose="auto",
    likelihood=None,
    axes=None,
):
    """Plot predictive intervals over one input, with the predictive mean.

    Use it to see where a network is sure of itself, and whether observations lie where it expects
    them. Bands are smooth where `x` is a grid along `feature` with the other inputs held still;
    with the rows of a data set they show what the other inputs add.

    Args:
        model: Keras model, built; a list of models that are one ensemble, over which the draws are
            spread; or draws that `posterior_linpred()` returned for the rows of `x`.
        x: Array with a row for each example.
        y: Array of the observations, with as many rows as `x`, drawn as points. Default `None`:
            no points.
        feature: Whole number from 0, the column of `x` on the horizontal axis. Default `0`.
        prob: Number above 0 and below 1, the probability of an interval, or several of them.
            Default `(0.5, 0.9)`.
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
        likelihood: Likelihood, or its name. Default `None`: the one that the model is compiled
            with; cross-entropies of Keras are known.
        axes: Axes of matplotlib to draw into. Default `None`: those of a new figure.

    Returns:
        The Axes, for you to change or save.

    Raises:
        ValueError: An argument has a value that it cannot have, or the model has several outputs;
            the message says what to do.
        TypeError: An argument is of the wrong type, such as a model that is none.
        ImportError: matplotlib is not installed.

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(3,)), layer_api.DenseFlipout(2)])
    model.compile(optimizer="adam", loss=layer_api.NormalLikelihood())
    x = numpy.random.default_rng(1).normal(size=(10, 3))
    axes = layer_api.plot_interval(model, x, numpy.zeros(10), draws=100, seed=1)
    axes.set_xlabel("time (s)")
    ```
    """
    probs = _check_probs(prob)
    column, label = _column(x, feature)
    outputs, y = _drawn(
        (model, x, draws, seed, batch_size, joint, training, verbose, likelihood),
        REQUIRED if y is None else y,
        _refuse_classes,
    )
    predicted = drawing.posterior_predict(outputs, seed=seed)
    mean = _one_number(drawing.posterior_epred(outputs)).mean(axis=0)
    axes = _axes(axes)
    order = np.argsort(column, kind="stable")
    for i, p in enumerate(probs):
        ends = predictive_interval(predicted, prob=p)
        axes.fill_between(
            column[order],
            ends.lower[order],
            ends.upper[order],
            color=_shade(i, len(probs)),
            linewidth=0,
            label=f"{_percent(p)} interval",
        )
    axes.plot(column[order], mean[order], color=_DARK, label="predictive mean")
    if y is not None:
        axes.plot(column, y, "k.", label="observations")
    axes.set(xlabel=label, ylabel="y")
    _add_legend(axes)
    return axes


def plot_predicted(
    model,
    x=None,
    y=None,
    prob=0.9,
    draws=1000,
    seed=None,
    batch_size=None,
    joint=True,
    training=False,
    verbose="auto",
    likelihood=None,
    axes=None,
):
    """Plot what is predicted against what was observed, with predictive intervals.

    Use it for networks with many inputs, to see how far predictions are from observations, and
    whether they are where the network said: a bar that misses the diagonal misses its observation.

    Args:
        model: Keras model, built; a list of models that are one ensemble, over which the draws are
            spread; or draws that `posterior_linpred()` returned for the rows of `x`.
        x: Array with a row for each example, or a list or dictionary of arrays for a model with
            several inputs.
        y: Array of the observations, with as many rows as `x`.
        prob: Number above 0 and below 1, the probability of the intervals. Default `0.9`.
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
        likelihood: Likelihood, or its name. Default `None`: the one that the model is compiled
            with; cross-entropies of Keras are known.
        axes: Axes of matplotlib to draw into. Default `None`: those of a new figure.

    Returns:
        The Axes, for you to change or save.

    Raises:
        ValueError: An argument has a value that it cannot have, or the model has several outputs;
            the message says what to do.
        TypeError: An argument is of the wrong type, such as a model that is none.
        ImportError: matplotlib is not installed.

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(3,)), layer_api.DenseFlipout(2)])
    model.compile(optimizer="adam", loss=layer_api.NormalLikelihood())
    x = numpy.random.default_rng(1).normal(size=(10, 3))
    layer_api.plot_predicted(model, x, x[:, 0], prob=0.8, draws=100, seed=1)
    ```
    """
    prob = check_prob(prob)
    outputs, y = _drawn(
        (model, x, draws, seed, batch_size, joint, training, verbose, likelihood),
        y,
        _refuse_classes,
    )
    ends = predictive_interval(drawing.posterior_predict(outputs, seed=seed), prob=prob)
    mean = _one_number(drawing.posterior_epred(outputs)).mean(axis=0)
    axes = _axes(axes)
    axes.vlines(y, ends.lower, ends.upper, color=_MIDDLE, label=f"{_percent(prob)} interval")
    axes.plot(y, mean, "o", color=_DARK, markersize=4, label="predictive mean")
    axes.axline((y[0], y[0]), slope=1, color=_GREY, linestyle="--", zorder=0)
    axes.set(xlabel="observed", ylabel="predicted")
    _add_legend(axes)
    return axes


def plot_calibration(
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
    axes=None,
):
    """Plot how often something happened against how often it was predicted to.

    Use it to see whether the confidence of a network is justified. Below the diagonal it is too
    sure. Of numbers these are the shares of observations in intervals, with a histogram of the
    observations' ranks among the predictions below: flat where predictions are calibrated, a hill
    where they are too wide, a valley where too narrow. Of classes they are the frequencies in bins
    of the probability, each with its number of observations. Bars are 2 standard errors.

    Args:
        model: Keras model, built; a list of models that are one ensemble, over which the draws are
            spread; or draws that `posterior_linpred()` returned for the rows of `x`.
        x: Array with a row for each example, or a list or dictionary of arrays for a model with
            several inputs.
        y: Array of the observations, with as many rows as `x`. Labels of classes are whole numbers
            from 0, or one-hot rows.
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
        likelihood: Likelihood, or its name. Default `None`: the one that the model is compiled
            with; cross-entropies of Keras are known.
        axes: Axes of matplotlib to draw into. Default `None`: those of a new figure.

    Returns:
        The Axes, for you to change or save. Those of the histogram are in `axes.figure.axes`.

    Raises:
        ValueError: An argument has a value that it cannot have, or the model has several outputs;
            the message says what to do.
        TypeError: An argument is of the wrong type, such as a model that is none.
        ImportError: matplotlib is not installed.

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(3,)), layer_api.DenseFlipout(2)])
    model.compile(optimizer="adam", loss=layer_api.NormalLikelihood())
    x = numpy.random.default_rng(1).normal(size=(10, 3))
    layer_api.plot_calibration(model, x, numpy.zeros(10), draws=100, seed=1)
    ```

    References:
        Gneiting, Balabdaoui and Raftery (2007), Probabilistic forecasts, calibration and
        sharpness. <https://doi.org/10.1111/j.1467-9868.2007.00587.x>
    """
    outputs, _ = _drawn(
        (model, x, draws, seed, batch_size, joint, training, verbose, likelihood),
        y,
        _refuse_several,
    )
    found = calibration(outputs, y=y, seed=seed)
    axes = _axes(axes, (5, 6))
    axes.axline((0, 0), slope=1, color=_GREY, linestyle="--", zorder=0)
    axes.errorbar(
        found.predicted, found.observed, 2 * found.std_error, color=_DARK, ecolor=_MIDDLE, fmt="o-",
        markersize=4,
    )  # fmt: skip
    axes.set(xlim=(0, 1), ylim=(0, 1))
    below = _axes_below(axes)
    if found.kind == "coverage":
        axes.set(xlabel="probability of the interval", ylabel="share of observations")
        below.hist(found.pit, bins=10, range=(0, 1), color=_PALE, edgecolor="white")
        below.axhline(len(found.pit) / 10, color=_GREY, linestyle="--")
        below.set(xlabel="rank among predictions (PIT)", ylabel="count", xlim=(0, 1))
    else:
        axes.set(xlabel="predicted probability", ylabel="observed frequency")
        below.bar(found.predicted, found.count, width=0.04, color=_PALE)
        below.set(xlabel="predicted probability", ylabel="count", xlim=(0, 1))
    return axes


def plot_uncertainty(
    model,
    x=None,
    feature=0,
    draws=1000,
    seed=None,
    batch_size=None,
    joint=True,
    training=False,
    verbose="auto",
    likelihood=None,
    axes=None,
):
    """Plot the uncertainty of the data and that of the network over one input.

    Use it to see where more data would help: the epistemic part, which stands on the aleatoric one,
    is what they would remove. Of numbers these are variances, of classes entropies in nats.

    Args:
        model: Keras model, built; a list of models that are one ensemble, over which the draws are
            spread; or draws that `posterior_linpred()` returned for the rows of `x`.
        x: Array with a row for each example.
        feature: Whole number from 0, the column of `x` on the horizontal axis. Default `0`.
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
        likelihood: Likelihood, or its name. Default `None`: the one that the model is compiled
            with; cross-entropies of Keras are known.
        axes: Axes of matplotlib to draw into. Default `None`: those of a new figure.

    Returns:
        The Axes, for you to change or save.

    Raises:
        ValueError: An argument has a value that it cannot have, or the model has several outputs;
            the message says what to do.
        TypeError: An argument is of the wrong type, such as a model that is none.
        ImportError: matplotlib is not installed.

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(3,)), layer_api.DenseFlipout(2)])
    model.compile(optimizer="adam", loss=layer_api.NormalLikelihood())
    x = numpy.random.default_rng(1).normal(size=(10, 3))
    layer_api.plot_uncertainty(model, x, feature=2, draws=100, seed=1)
    ```
    """
    column, label = _column(x, feature)
    outputs, _ = _drawn(
        (model, x, draws, seed, batch_size, joint, training, verbose, likelihood),
        REQUIRED,
        _refuse_several,
        least=2,
    )
    parts = uncertainty(outputs)
    total = _one_number(parts.total, 1)
    axes = _axes(axes)
    order = np.argsort(column, kind="stable")
    bounds = (np.zeros(len(total)), parts.aleatoric[order], total[order])
    for name, colour, lower, upper in zip(
        ("aleatoric", "epistemic"), (_PALE, _MIDDLE), bounds[:-1], bounds[1:], strict=True
    ):
        axes.fill_between(column[order], lower, upper, color=colour, linewidth=0, label=name)
    axes.plot(column[order], bounds[-1], color=_DARK, label="total")
    unit = "entropy (nats)" if is_of_classes(outputs.likelihood) else "variance"
    axes.set(xlabel=label, ylabel=unit)
    axes.set_ylim(bottom=0)
    _add_legend(axes)
    return axes


def plot_weights(model, prob=0.9, most=30, axes=None):
    """Plot the posterior intervals of the weights that the data say most about.

    Use it to see which weights a network is sure of: those with the largest mean in units of its
    standard deviation, the first on top. Weights without uncertainty are left out.

    Args:
        model: Model or layer of Keras, built. The layers of models inside it count too.
        prob: Number above 0 and below 1, the probability of the intervals. Default `0.9`.
        most: Whole number of at least 1, how many weights are shown. Default `30`.
        axes: Axes of matplotlib to draw into. Default `None`: those of a new figure.

    Returns:
        The Axes, for you to change or save.

    Raises:
        ValueError: `prob` or `most` has a value that it cannot have, or `model` is not built or has
            no uncertain weight.
        TypeError: `model` is neither a model nor a layer, or `axes` are none.
        ImportError: matplotlib is not installed.

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(3,)), layer_api.DenseFlipout(2, name="dense")])
    layer_api.plot_weights(model, most=4)
    ```
    """
    most = validation.check_whole_number("most", most, 1, "Pass, for example, most = 30.")
    found = posterior_interval(model, prob)
    uncertain = np.flatnonzero(found.std_error > 0)
    if not uncertain.size:
        raise messages.invalid(
            "model",
            "a model with at least one uncertain weight",
            messages.describe(model),
            "Layers with a deterministic posterior have none.",
        )
    ratio = np.abs(found.estimate[uncertain]) / found.std_error[uncertain]
    shown = uncertain[np.argsort(-ratio, kind="stable")[:most]]
    axes = _axes(axes, (6.4, 1.2 + 0.22 * len(shown)))
    places = np.arange(len(shown))
    axes.axvline(0, color=_GREY, linestyle="--", zorder=0)
    axes.hlines(places, found.lower[shown], found.upper[shown], color=_MIDDLE, linewidth=2)
    axes.plot(found.estimate[shown], places, "o", color=_DARK, markersize=4)
    axes.set_yticks(places, [found.terms[i] for i in shown])
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_xlabel(f"posterior mean and {_percent(prob)} interval")
    if len(shown) < len(uncertain):
        axes.set_title(f"{len(shown)} of {len(uncertain)} weights", fontsize="medium")
    return axes


def plot_history(history, axes=None, metrics=None):
    """Plot how a training went, in a panel for each metric that was recorded.

    Use it to see whether training has finished, and whether the network fits the data or its prior:
    the loss comes first, then `nll`, `kl` and `kl_weight`, where `KLHistory()` recorded them, then
    all others. What was recorded of validation data is in the same panel.

    Args:
        history: What `fit()` of a Keras model returned, or its dictionary `history`.
        axes: List of as many Axes of matplotlib as there are panels. Default `None`: those of a new
            figure.
        metrics: Name or list of names of the metrics to show, without `val_`. Default `None`: all.

    Returns:
        An array of the Axes, for you to change or save.

    Raises:
        ValueError: Nothing was recorded, or no metric of that name, or `axes` are not as many as
            panels.
        TypeError: `history` is none, or `axes` are none.
        ImportError: matplotlib is not installed.

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(3,)), layer_api.DenseFlipout(2, kl_weight=0.1)])
    model.compile(optimizer="adam", loss=layer_api.NormalLikelihood())
    x, y = numpy.ones((10, 3)), numpy.zeros(10)
    history = model.fit(x, y, epochs=2, verbose=0, callbacks=[layer_api.KLHistory()])
    layer_api.plot_history(history, metrics=["nll", "kl"])
    ```
    """
    recorded = getattr(history, "history", history)
    if not isinstance(recorded, dict):
        raise messages.invalid(
            "history",
            "what fit() returned, or its dictionary",
            messages.describe(history),
            "Pass history = model.fit(...).",
            TypeError,
        )
    names = _check_metrics(metrics, recorded)
    panels = _panels(axes, len(names))
    for name, panel in zip(names, panels, strict=True):
        for key, colour, label in (
            (name, _DARK, "training"),
            (f"val_{name}", _ORANGE, "validation"),
        ):
            if key in recorded:
                epochs = np.arange(1, len(recorded[key]) + 1)
                # A single epoch is no line.
                marker = "o" if len(epochs) == 1 else None
                panel.plot(epochs, recorded[key], color=colour, marker=marker, label=label)
        panel.set(xlabel="epoch", ylabel=name)
        panel.xaxis.get_major_locator().set_params(integer=True)
        if f"val_{name}" in recorded:
            panel.legend(frameon=False)
    return panels


def _check_metrics(metrics, recorded):
    """Return the names of the metrics to show, without those of validation data."""
    known = list(dict.fromkeys(name.removeprefix("val_") for name in recorded))
    if not known:
        raise messages.invalid(
            "history",
            "of a training that recorded its loss",
            messages.describe(recorded),
            "Fit the model for at least one epoch.",
        )
    first = [name for name in _FIRST_METRICS if name in known]
    known = first + [name for name in known if name not in first]
    if metrics is None:
        return known
    names = [metrics] if isinstance(metrics, str) else metrics
    is_list = isinstance(names, (list, tuple)) and len(names) > 0
    if not is_list or not all(name in known for name in names):
        raise messages.invalid(
            "metrics",
            f"among {', '.join(map(repr, known))}",
            messages.describe(metrics),
            "Leave it out for all of them.",
        )
    return list(names)


# --- What is plotted -----------------------------------------------------------------------------


def _drawn(arguments, y, check, least=1):
    """Return draws of outputs, and observations as one column, None where there are none.

    Args:
        arguments: those of `posterior_linpred()`, in their order.
        y: what the user gave for observations, or `REQUIRED` where there are none.
        check: function of draws and the name of their output that refuses those without a plot.
        least: least number of draws that the plot needs.
    """
    model, x, *others = arguments
    is_drawn = drawing.is_drawn(model)
    # Draws know their outputs; their `x` is for the axis alone.
    outputs = drawn((model, None if is_drawn else x, *others), y, least, check)
    if is_drawn and x is not None and len(keras.tree.flatten(x)[0]) != outputs.shape[1]:
        raise messages.invalid(
            "x",
            f"an array of {outputs.shape[1]} rows, as many as the draws are of",
            f"{len(keras.tree.flatten(x)[0])} rows",
            "Pass the rows that the draws were made for.",
        )
    if y is REQUIRED:
        return outputs, None
    return outputs, drawing.observations(outputs, y).ravel()


def _refuse_several(outputs, name):
    """Refuse a model with several outputs, or with outputs of unknown meaning."""
    if name is not None:
        raise messages.invalid(
            "model",
            "a model with one output, or draws of one",
            "several outputs",
            "Make draws with posterior_linpred(), and pass those of one output, by its name.",
        )
    drawing.likelihood_of(outputs)


def _refuse_classes(outputs, name):
    _refuse_several(outputs, name)
    if is_of_classes(outputs.likelihood):
        raise messages.invalid(
            "model",
            "one of numbers, which have intervals",
            "one of classes",
            "Plot the uncertainty of the classes, or their calibration.",
        )


def _one_number(values, axes=2):
    """Return an array of `axes` dimensions; refuse observations that are several numbers."""
    if values.ndim > axes:
        raise messages.invalid(
            "model",
            "a model whose observations are one number each",
            f"observations of {messages.describe_shape(values.shape[axes:])} numbers",
            "Plot a column of what the answer of that name returns.",
        )
    return np.asarray(values)


def _column(x, feature):
    """Return one column of the inputs, and its name."""
    if isinstance(x, (list, tuple, dict)) and np.ndim(keras.tree.flatten(x)[0]) > 0:
        raise messages.invalid(
            "x",
            "one array, with the column of the horizontal axis",
            messages.describe(x),
            "Make draws with posterior_linpred(), and pass these in place of the model.",
        )
    array = drawing.check_inputs(x)
    if array.ndim > 2:
        raise messages.invalid(
            "x",
            "an array of rows and columns",
            messages.describe(array),
            "Make draws with posterior_linpred(), and pass these with one column as x.",
        )
    array = array.reshape(len(array), -1)
    columns = array.shape[1]
    index = validation.as_index(feature)
    if index is None or not 0 <= index < columns:
        raise messages.invalid(
            "feature",
            f"a whole number from 0 to {columns - 1}, a column of x",
            messages.describe(feature),
            "Pass, for example, feature = 0.",
        )
    named = getattr(x, "columns", None)  # of a data frame
    return array[:, index], f"x[:, {index}]" if named is None else str(named[index])


def _check_probs(prob):
    """Return probabilities of intervals, the largest first, so that narrow bands are on top."""
    several = (
        list(prob) if isinstance(prob, (list, tuple, np.ndarray)) and np.ndim(prob) else [prob]
    )
    return sorted({check_prob(each) for each in several}, reverse=True)


# --- How it looks --------------------------------------------------------------------------------


def _pyplot():
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "Plots need matplotlib. Install it with: pip install 'layer-api[plots]'"
        ) from error
    return plt


def _axes(axes, size=(6.4, 4.0)):
    """Return the Axes that a user gave, or those of a new figure."""
    plt = _pyplot()
    if axes is None:
        return plt.subplots(figsize=size, layout="constrained")[1]
    if not isinstance(axes, plt.Axes):
        raise messages.invalid(
            "axes",
            "an Axes of matplotlib",
            messages.describe(axes),
            "Pass, for example, the second of what matplotlib.pyplot.subplots() returns.",
            TypeError,
        )
    return axes


def _panels(axes, count):
    """Return the Axes of several panels as an array, those that a user gave or new ones."""
    if axes is None:
        plt = _pyplot()
        # Like facet_wrap() of R's ggplot2: in a row, and from four panels on in a rectangle.
        columns = count if count < 4 else math.ceil(math.sqrt(count))
        rows = math.ceil(count / columns)
        figure = plt.figure(figsize=(0.8 + 3.6 * columns, 3.2 * rows), layout="constrained")
        return np.array([figure.add_subplot(rows, columns, i + 1) for i in range(count)])
    panels = np.ravel(np.asarray(axes, dtype=object))
    if len(panels) != count:
        raise messages.invalid(
            "axes",
            f"{count} Axes, one for each panel",
            str(len(panels)),
            "Leave them out for a new figure.",
        )
    for panel in panels:
        _axes(panel)
    return panels


def _axes_below(axes):
    """Return new Axes below others, which make room for them."""
    figure, place = axes.figure, axes.get_subplotspec()
    if place is None:  # an inset, or Axes that were placed by hand
        box = axes.get_position()
        axes.set_position((box.x0, box.y0 + 0.4 * box.height, box.width, 0.6 * box.height))
        return figure.add_axes((box.x0, box.y0, box.width, 0.2 * box.height))
    # A layout engine makes room for labels itself.
    space = 0.02 if figure.get_layout_engine() else 0.4
    above, below = place.subgridspec(2, 1, height_ratios=(3, 1), hspace=space)
    axes.set_subplotspec(above)
    return figure.add_subplot(below)


def _add_legend(axes):
    """Add a legend above the Axes, where it hides nothing."""
    axes.legend(
        frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1), columnspacing=1.2
    )


def _percent(prob):
    return f"{100 * prob:.7g}%"


def _shade(i, count):
    """Return the colour of the i-th of so many bands, from wide to narrow."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("bands", [_PALE, _MIDDLE])(i / max(1, count - 1))
