"""Draws from the posterior: of a network's outputs, of expected values, of observations.

    outputs[s] = network(x; weights[s]),        weights[s] ~ posterior
    epred[s] = E[y | outputs[s]],               predict[s] ~ likelihood(outputs[s])
    log_lik[s] = log p(y | outputs[s])

One draw is one function: one set of weights for all rows.
"""

import zlib
from typing import Any

import keras
import numpy as np

from layer_api import messages, noise, validation
from layer_api.answers import likelihoods
from layer_api.answers.functions import draw_outputs

# What a draw is of, and the function that returns such draws.
KINDS = {
    "linpred": "posterior_linpred",
    "epred": "posterior_epred",
    "predict": "posterior_predict",
    "log_lik": "log_lik",
}
# Losses whose outputs are predictions, though they say nothing of the noise.
_OF_PREDICTIONS = {
    "mean_squared_error", "mse", "mean_absolute_error", "mae", "huber", "huber_loss", "log_cosh",
    "logcosh", "mean_absolute_percentage_error", "mape", "mean_squared_logarithmic_error", "msle",
    "poisson",
}  # fmt: skip
# Numbers in one pass over draws, so that what is computed from them needs little memory.
AT_ONCE = 2**22


class Draws(np.ndarray):
    """An array of draws by rows that knows what it holds, so that answers can be computed from it.

    Attributes:
        kind: what a draw is of: "linpred", "epred", "predict" or "log_lik".
        likelihood: likelihood of the model that the draws are of, or None.
        columns: for draws of outputs, how many columns the outputs have.
    """

    kind: Any
    likelihood: Any
    columns: Any

    def __new__(cls, array, kind, likelihood=None, columns=None):
        """Make draws of an array."""
        draws = np.asarray(array).view(cls)
        draws.kind, draws.likelihood, draws.columns = kind, likelihood, columns
        return draws

    def __array_finalize__(self, other):
        """Take over what another array of draws knows."""
        for name in ("kind", "likelihood", "columns"):
            setattr(self, name, getattr(other, name, None))

    def __array_wrap__(self, array, context=None, return_scalar=False):
        """Return what NumPy computes from draws as a plain array: it is no draw of that kind."""
        plain = np.asarray(array)
        return plain[()] if return_scalar or plain.ndim == 0 else plain

    def __reduce__(self):
        """Pickle as a plain array with what it knows."""
        return Draws, (np.asarray(self), self.kind, self.likelihood, self.columns)


def posterior_linpred(
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
    """Draw the raw outputs of a network, those of one function in each draw.

    Use it for what the other answers do not give, and to share one set of draws among them: they
    take what this returns in place of the model. A draw is a function: for two rows i and j,
    `draws[:, i] - draws[:, j]` is the difference of their outputs under the posterior.

    Args:
        model: Keras model, built; a list of models that are one ensemble, over which the draws are
            spread; or draws that `posterior_linpred()` returned, which take the place of `x` too.
        x: Array with a row for each example, or a list or dictionary of arrays for a model with
            several inputs.
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
        An array of `(draws, rows)`, or `(draws, rows, outputs)` where there are several; for a
        model with several outputs a dictionary of those.

    Raises:
        ValueError: An argument has a value that it cannot have; the message says what it can be.
        TypeError: An argument is of the wrong type, such as a model that is none.

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(3,)), layer_api.DenseFlipout(2)])
    model.compile(optimizer="adam", loss=layer_api.NormalLikelihood())
    x = numpy.random.default_rng(1).normal(size=(10, 3))
    draws = layer_api.posterior_linpred(model, x, draws=100, seed=1)
    draws.shape  # (100, 10, 2)
    ```
    """
    if is_drawn(model):
        check_nothing_else(x, batch_size, joint, training)
        return for_each_output(lambda each, _: each, check_draws(model, likelihood))
    models, x = check_models(model), check_inputs(x)
    draws = validation.check_whole_number("draws", draws, 1, "Pass, for example, draws = 1000.")
    seed = validation.check_seed(seed)
    if batch_size is not None:
        batch_size = validation.check_whole_number(
            "batch_size", batch_size, 1, "Leave it out for as many rows as memory allows."
        )
    joint = validation.check_flag("joint", joint)
    training = validation.check_flag("training", training)
    if not (isinstance(verbose, str) and verbose == "auto"):
        verbose = validation.check_flag("verbose", bool(verbose) if verbose in (0, 1) else verbose)
    meanings = meanings_of(models[0], likelihood)
    outputs = draw_outputs(models, x, draws, seed, batch_size, joint, training, verbose)
    named = _by_name(models[0], outputs)
    if not isinstance(named, dict):
        return _outputs(named, meanings)
    meanings = one_for_each(meanings, list(named))
    return {name: _outputs(array, meanings[name]) for name, array in named.items()}


def posterior_epred(
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
    """Draw the expected values of observations, those of one function in each draw.

    Use it for the curve that the network expects, and for how sure it is of that curve: more data
    would narrow the spread of these draws. Of classes these are probabilities.

    Args:
        model: Keras model, built; a list of models that are one ensemble, over which the draws are
            spread; or draws that `posterior_linpred()` returned, which take the place of `x` too.
        x: Array with a row for each example, or a list or dictionary of arrays for a model with
            several inputs.
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
        An array of `(draws, rows)`, or `(draws, rows, outputs or classes)` where there are several;
        for a model with several outputs a dictionary of those.

    Raises:
        ValueError: An argument has a value that it cannot have; the message says what it can be.
        TypeError: An argument is of the wrong type, such as a model that is none.

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(3,)), layer_api.DenseFlipout(2)])
    model.compile(optimizer="adam", loss=layer_api.NormalLikelihood())
    x = numpy.random.default_rng(1).normal(size=(10, 3))
    layer_api.posterior_epred(model, x, draws=100, seed=1).shape  # (100, 10)
    ```
    """
    outputs = posterior_linpred(
        model, x, draws, seed, batch_size, joint, training, verbose, likelihood
    )
    return for_each_output(_expected, outputs)


def posterior_predict(
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
    """Draw observations from the posterior predictive distribution.

    Use it to simulate new observations: one for each row under each draw of the weights, so they
    have both the noise of the data and the doubt about the network.

    Args:
        model: Keras model, built; a list of models that are one ensemble, over which the draws are
            spread; or draws that `posterior_linpred()` returned, which take the place of `x` too.
        x: Array with a row for each example, or a list or dictionary of arrays for a model with
            several inputs.
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
        An array of `(draws, rows)`, or `(draws, rows, outputs)` where there are several; for a
        model with several outputs a dictionary of those.
        Of classes these are labels, whole numbers from 0.

    Raises:
        ValueError: An argument has a value that it cannot have; the message says what it can be.
        TypeError: An argument is of the wrong type, such as a model that is none.

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(3,)), layer_api.DenseFlipout(2)])
    model.compile(optimizer="adam", loss=layer_api.NormalLikelihood())
    x = numpy.random.default_rng(1).normal(size=(10, 3))
    layer_api.posterior_predict(model, x, draws=100, seed=1).shape  # (100, 10)
    ```
    """
    outputs = posterior_linpred(
        model, x, draws, seed, batch_size, joint, training, verbose, likelihood
    )
    seed = seed_for_draws(seed)
    return for_each_output(lambda each, name: observed(each, f"{seed}/{name}"), outputs)


def log_lik(
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
    """Return the log density of observations, under each draw of the weights.

    Use it to compare networks: its mean over draws, on the scale of densities, is the log score,
    and `loo::waic()` and `arviz.loo()` take this array.

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
        An array of `(draws, rows)`; a dictionary of those for a model with several outputs. Where
        an observation has several numbers, their log densities are added.

    Raises:
        ValueError: An argument has a value that it cannot have; the message says what it can be.
        TypeError: An argument is of the wrong type, such as a model that is none.

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(3,)), layer_api.DenseFlipout(2)])
    model.compile(optimizer="adam", loss=layer_api.NormalLikelihood())
    x = numpy.random.default_rng(1).normal(size=(10, 3))
    layer_api.log_lik(model, x, numpy.zeros(10), draws=100, seed=1).shape  # (100, 10)
    ```
    """
    if not is_drawn(model):
        check_before_drawing(check_models(model)[0], check_inputs(x), y, likelihood)
    outputs = posterior_linpred(
        model, x, draws, seed, batch_size, joint, training, verbose, likelihood
    )
    return with_observations(log_density, outputs, y)


# --- Of one output -------------------------------------------------------------------------------


def _outputs(array, meaning):
    """Return outputs as draws: one column has no axis of its own."""
    if array.ndim == 2:  # a row is a number
        return Draws(array, "linpred", meaning, 1)
    columns = array.shape[-1]
    return Draws(
        array[..., 0] if array.ndim == 3 and columns == 1 else array, "linpred", meaning, columns
    )


def with_columns(outputs):
    """Return draws of outputs as a plain array that has an axis of columns."""
    array = np.asarray(outputs)
    return array[..., None] if array.ndim == 2 else array


def in_parts(function, outputs):
    """Return what `function(part, number of the part)` makes of outputs, for few draws at a time.

    What is drawn for a part does not depend on how many rows are computed together.
    """
    n = max(1, AT_ONCE // max(1, outputs[0].size))
    parts = [
        keras.ops.convert_to_numpy(function(outputs[first : first + n], first // n))
        for first in range(0, len(outputs), n)
    ]
    return np.concatenate(parts)


def _expected(outputs, name):
    likelihood = likelihood_of(outputs, name, predictions=True)
    if likelihood == PREDICTIONS:
        return Draws(np.asarray(outputs), "epred", likelihood)
    mean = in_parts(lambda part, _: likelihood.mean(part), with_columns(outputs))
    return Draws(without_axis_of_one(mean), "epred", likelihood)


def observed(outputs, seed, name=None):
    """Return draws of observations, for draws of one output; `seed` is text."""
    likelihood = likelihood_of(outputs, name)

    def sample(part, number):
        return likelihood.sample(part, seed=zlib.crc32(f"{seed}/{number}".encode()) >> 1)

    drawn = in_parts(sample, with_columns(outputs))
    return Draws(without_axis_of_one(drawn), "predict", likelihood)


def log_density(outputs, y, name):
    """Return log densities of observations, for draws of one output."""
    likelihood = likelihood_of(outputs, name)
    outputs = with_columns(outputs)
    y = likelihood.check_observations(y, outputs)
    density = in_parts(lambda part, _: likelihood.log_prob(y, part), outputs)
    return Draws(density, "log_lik", likelihood)


def seed_for_draws(seed):
    """Return the seed for what is drawn besides the weights: the user's, or a new one each time."""
    return noise.drawn_seed() if seed is None else seed


def observations(outputs, y):
    """Return observations of an output, checked, as the likelihood has them."""
    return outputs.likelihood.check_observations(y, with_columns(outputs)[0])


def without_axis_of_one(array):
    """Return an array of (draws, rows, 1) without its last axis, any other as it is."""
    return array[..., 0] if array.ndim == 3 and array.shape[-1] == 1 else array


# --- What the outputs mean -----------------------------------------------------------------------

# Stands for a loss whose outputs are predictions, without a word on the noise.
PREDICTIONS = "predictions"


def likelihood_of(outputs, name=None, predictions=False):
    """Return the likelihood of draws of outputs; refuse where none is known.

    Args:
        outputs: draws of outputs.
        name: name of the output of the model, for messages.
        predictions: whether outputs will do that are predictions, without a word on the noise.
    """
    found = outputs.likelihood
    if isinstance(found, likelihoods.Likelihood) or (predictions and found == PREDICTIONS):
        return found
    of = f" for the output '{name}'" if name else ""
    received = (
        "a loss without a distribution of the noise, such as the mean squared error"
        if found == PREDICTIONS
        else "a model that is not compiled, or whose loss is of your own"
    )
    raise messages.invalid(
        "likelihood",
        f"a likelihood{of}, or a model compiled with one",
        received,
        "Pass, for example, likelihood = 'normal' where the outputs are its parameters, or compile "
        "the model with a likelihood as its loss.",
    )


def meanings_of(model, likelihood):
    """Return what the outputs of a model mean: a likelihood, `PREDICTIONS`, None, or several."""
    if likelihood is not None:
        return _nested(likelihoods.get, likelihood)
    loss = getattr(model, "loss", None) if getattr(model, "compiled", False) else None
    return _nested(_meaning, loss)


def _nested(function, value):
    if isinstance(value, dict) and "class_name" not in value:
        return {name: function(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [function(each) for each in value]
    return function(value)


def _meaning(loss):
    if (likelihood := likelihoods.from_loss(loss)) is not None:
        return likelihood
    name = loss if isinstance(loss, str) else getattr(loss, "__name__", getattr(loss, "name", ""))
    is_of_keras = (
        isinstance(loss, str)
        or type(loss).__module__.startswith("keras.")
        or getattr(loss, "__module__", "").startswith("keras.")
    )
    return PREDICTIONS if is_of_keras and name in _OF_PREDICTIONS else None


# --- What a user gives ---------------------------------------------------------------------------


def is_drawn(value):
    """Tell whether a user gave draws in place of a model."""
    if isinstance(value, dict):
        return bool(value) and all(map(is_drawn, value.values()))
    return isinstance(value, np.ndarray)


def check_draws(value, likelihood, kind="linpred"):
    """Return what a user gave as draws of one kind; refuse draws of another."""
    if isinstance(value, dict):
        each_likelihood = one_for_each(
            _nested(likelihoods.get, likelihood) if likelihood is not None else None, list(value)
        )
        return {
            name: check_draws(each, each_likelihood[name], kind) for name, each in value.items()
        }
    known_kind = getattr(value, "kind", None)  # not that of draws which NumPy put together
    if known_kind not in (None, kind):
        raise messages.invalid(
            "model",
            f"a model, or draws of {KINDS[kind]}()",
            f"draws of {KINDS[known_kind]}()",
            f"Keep what {KINDS[kind]}() returns: every answer follows from it.",
        )
    if value.ndim < 2 or not value.size or value.dtype.kind not in "fiu":
        raise messages.invalid(
            "model",
            "draws of numbers, with draws in rows and examples in columns",
            messages.describe(np.asarray(value)),
            f"Pass what {KINDS[kind]}() returns.",
        )
    known, columns = (getattr(value, name, None) for name in ("likelihood", "columns"))
    return Draws(value, kind, known if likelihood is None else likelihoods.get(likelihood), columns)


def check_nothing_else(x, batch_size, joint, training):
    """Refuse arguments about drawing where the draws are there already."""
    for name, value, unset in (
        ("x", x, None), ("batch_size", batch_size, None), ("joint", joint, True),
        ("training", training, False),
    ):  # fmt: skip
        if value is not unset:
            raise messages.invalid(
                name,
                "left out where draws stand in place of the model",
                messages.describe(value),
                "Pass the model to draw again.",
            )


def check_models(model):
    """Return what a user gave as a list of models that can be drawn from."""
    models = list(model) if isinstance(model, (list, tuple)) else [model]
    if not models:
        raise _no_model(model)
    for each in models:
        validation.refuse_keras_2("model", each)
        if not isinstance(each, keras.layers.Layer):
            raise _no_model(each)
        validation.check_built("model", each)
    return models


def _no_model(value):
    return messages.invalid(
        "model",
        "a Keras model, a list of models, or draws",
        messages.describe(value),
        "Pass, for example, a Sequential model with layers in it.",
        TypeError,
    )


def check_inputs(x):
    """Return inputs as arrays of NumPy, with equally many rows each."""
    arrays = keras.tree.map_structure(_input, x)
    sizes = {len(array) for array in keras.tree.flatten(arrays)}
    if len(sizes) != 1 or 0 in sizes:
        raise messages.invalid(
            "x",
            "arrays with equally many rows, at least one",
            f"rows: {', '.join(map(str, sorted(sizes))) or 'none'}",
            "Pass a row for each example in every one of them.",
        )
    return arrays


def _input(value):
    if keras.ops.is_tensor(value):
        value = keras.ops.convert_to_numpy(value)
    is_of_no_use = isinstance(value, (type(None), str, bool, int, float, messages.Foreign))
    array = None if is_of_no_use else np.asarray(value)
    if array is None or not array.ndim or array.dtype.kind == "O":
        raise messages.invalid(
            "x",
            "an array of numbers with a row for each example",
            messages.describe(value),
            "Make a matrix first: one row is a matrix of shape (1, features).",
            TypeError,
        )
    return array.astype(keras.config.floatx()) if array.dtype.kind == "f" else array


def _by_name(model, outputs):
    """Return the outputs of a model with several as a dictionary."""
    if isinstance(outputs, (list, tuple)):
        if len(outputs) == 1:
            return outputs[0]
        names = getattr(model, "output_names", None) or [f"output_{i}" for i in range(len(outputs))]
        return dict(zip(names, outputs, strict=True))
    return outputs


def one_for_each(values, names, argument="likelihood"):
    """Return a dictionary with a value for each output: one for all, or one for each of them."""
    if isinstance(values, (list, tuple)) and len(values) == len(names):
        return dict(zip(names, values, strict=True))
    if isinstance(values, dict):
        if unknown := sorted(set(names) ^ set(values)):
            raise messages.invalid(
                argument,
                f"one for each output: {', '.join(names)}",
                ", ".join(map(str, values)),
                f"'{unknown[0]}' is in one of the two alone.",
            )
        return values
    if argument == "y":
        raise messages.invalid(
            argument,
            f"a dictionary with the keys {sorted(names)}",
            messages.describe(values),
            "Pass the observations of each output under its name.",
            TypeError,
        )
    return dict.fromkeys(names, values)


def check_before_drawing(model, x, y, likelihood):
    """Refuse observations that do not fit before time goes into draws."""
    if not getattr(model, "outputs", None):  # of a subclassed model the shapes are not known
        return
    rows = len(keras.tree.flatten(x)[0])
    is_sequential = isinstance(model, keras.Sequential)
    outputs = model.outputs[0] if is_sequential else _by_name(model, model.output)
    meanings = meanings_of(model, likelihood)
    if isinstance(outputs, dict):
        meanings = one_for_each(meanings, list(outputs))

    def check(output, y, name):
        shape = output.shape[1:]
        if None not in shape:
            zeros = np.broadcast_to(np.float32(0), (1, rows, *(shape or (1,))))
            made = Draws(zeros, "linpred", meanings[name] if name else meanings)
            likelihood_of(made, name)
            observations(made, y)

    with_observations(check, outputs, y)


def for_each_output(function, outputs):
    """Return what a function of draws and the name of the output makes of each output."""
    if isinstance(outputs, dict):
        return {name: function(each, name) for name, each in outputs.items()}
    return function(outputs, None)


def with_observations(function, outputs, y):
    """Return what a function of draws, observations and a name makes of each output."""
    if isinstance(outputs, dict):
        y = one_for_each(y, list(outputs), "y")
        return {name: function(each, y[name], name) for name, each in outputs.items()}
    return function(outputs, y, None)
