"""What the R package needs of the core: values, functions and errors that cross the language."""

import contextlib
import ctypes
import functools
import inspect
import json
import numbers
import re
import warnings

import keras
import numpy as np

from layer_api import backend, messages, validation
from layer_api.answers import draws as drawing
from layer_api.answers import intervals, likelihoods, scores, weights
from layer_api.training import evidence


def with_signature(function, names, optional, variadic):
    """Give an R function, which reticulate hands over as `(*args, **kwargs)`, its own signature.

    Args:
        function: Python function that calls the R function.
        names: list of the names of its arguments.
        optional: list of bools, whether each has a default.
        variadic: bool, whether it takes `...`.
    """
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    defaults = [... if has_default else inspect.Parameter.empty for has_default in optional]
    parameters = [
        inspect.Parameter(name, kind, default=default)
        for name, default in zip(names, defaults, strict=True)
    ]
    # R allows an argument without a default behind one with; Python's signatures do not.
    parameters.sort(key=lambda parameter: parameter.default is ...)
    if variadic:
        parameters.append(inspect.Parameter("dots", inspect.Parameter.VAR_POSITIONAL))
    function.__signature__ = inspect.Signature(parameters)
    return function


def method(distribution, name):
    """Return what `name` means for a distribution, whichever backend's library it is of."""
    if not backend.distributions.is_distribution(distribution):
        raise messages.invalid(
            "distribution",
            "a distribution of the backend's library",
            messages.describe(distribution),
            "Pass, for example, layer$kernel_posterior, or what a function of a layer receives.",
            TypeError,
        )
    return functools.partial(getattr(backend.distributions, name), distribution)


def attempt(function, args, kwargs):
    """Call `function`; return [value, name of an error, its message, texts of warnings].

    R then raises the error, whose name is None where there is none, and the warnings of this
    package as its own, with only the message.
    """
    notices: list[str] = []
    try:
        _only_known(function, kwargs)
        with _kept(notices):
            return [function(*args, **kwargs), None, None, notices]
    except Exception as error:
        return [None, type(error).__name__, str(error), notices]


@contextlib.contextmanager
def _kept(notices):
    """Append the warnings of this package to a list; show those of others as ever."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", messages.Notice)
        show = warnings.showwarning

        def keep(message, category, *args, **kwargs):
            if issubclass(category, messages.Notice):
                notices.append(str(message))
            else:
                show(message, category, *args, **kwargs)

        warnings.showwarning = keep
        yield


def _only_known(function, names):
    """Refuse `names` that `function` does not take, as R lets its users abbreviate a name."""
    if not names:
        return
    parameters = inspect.signature(function).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    known = [parameter.name for parameter in parameters]
    for name in names:
        if name not in known:
            owner = getattr(function, "func", function).__name__
            raise validation.unknown_argument(name, owner, known)


class Numbers:
    """An array on its way to R, which makes room for it as doubles, column by column.

    reticulate would make such an array of NumPy's first, and then R's own of that.

    Attributes:
        shape: list of the dimensions.
        is_whole: whether R makes room for integers.
    """

    def __init__(self, values, may_be_whole=False):
        self.values = np.asarray(values)
        self.shape = list(self.values.shape)
        self.is_whole = may_be_whole and self._are_whole()

    def _are_whole(self):
        """Tell whether all are what R's integers can be, whose smallest stands for NA."""
        if self.values.dtype.kind not in "iu":
            return False
        return not self.values.size or -(2**31) < self.values.min() <= self.values.max() < 2**31

    def first(self):
        """Return the first of the numbers."""
        return (int if self.is_whole else float)(self.values.flat[0])

    def write(self, room):
        """Write the numbers into a new array of R.

        Args:
            room: NumPy array of float64, or of int32 for whole numbers: R's own memory as
                reticulate shows it, read-only, since other arrays of R may have the same. This one
                is new, and R's code has it alone.
        """
        memory = (ctypes.c_char * room.nbytes).from_address(room.ctypes.data)
        writable = np.frombuffer(memory, room.dtype).reshape(room.shape, order="F")
        np.copyto(writable, self.values, casting="unsafe")


def predicted(model, x, **options):
    """Return what `model.predict()` does, with `Numbers` for its arrays."""
    if not hasattr(model, "predict"):
        raise messages.invalid(
            "model",
            "a Keras model",
            messages.describe(model),
            "Pass, for example, a Sequential model with layers in it.",
            TypeError,
        )
    values = keras.tree.flatten(x)
    of_no_use = (type(None), str, numbers.Number, messages.Foreign)
    if not values or any(isinstance(value, of_no_use) for value in values):
        raise messages.invalid(
            "x",
            "an array of numbers, or what else the model takes",
            messages.describe(x),
            "Make a matrix first: data.matrix(x) of a data frame, matrix(x, 1) of one row.",
            TypeError,
        )
    return keras.tree.map_structure(Numbers, model.predict(x, **options))


# --- Answers -------------------------------------------------------------------------------------

# The likelihoods of draws that went to R, which keeps of each a text that it can save and compare.
_LIKELIHOODS: dict = {}
# What R calls the arguments, as its other packages with such functions do.
IN_R = {"model": "object", "x": "newdata"}


class DrawsForR(Numbers):
    """Draws on their way to R, with what they know as text and numbers."""

    def __init__(self, draws):
        super().__init__(draws, may_be_whole=True)
        self.kind = draws.kind
        self.columns = draws.columns
        self.dtype = self.values.dtype.name
        self.likelihood = _text_of(draws.likelihood)


class IntervalForR(Numbers):
    """Intervals on their way to R, which names their rows and columns."""

    def __init__(self, interval):
        super().__init__(interval)
        self.names = list(interval.names)
        self.terms = getattr(interval, "terms", None)


class TableForR:
    """Columns of equally many rows on their way to R, which makes a data frame of them.

    Args:
        columns: dictionary of arrays, with a column for each number of a row, or of lists of text.
        **known: what else R is told, as attributes of the data frame.
    """

    def __init__(self, columns, **known):
        self.columns = {name: self._column(values) for name, values in columns.items()}
        self.known = {name: self._column(value) for name, value in known.items()}

    @staticmethod
    def _column(values):
        if not isinstance(values, np.ndarray):
            return values
        flat = values if values.ndim < 2 else values.reshape(len(values), -1)
        return Numbers(flat, may_be_whole=True)


class RecordForR:
    """Values by name on their way to R, which makes a list of a class of them.

    Args:
        of_class: name of the class in R.
        text: how the list is printed.
        values: dictionary.
    """

    def __init__(self, of_class, text, values):
        self.of_class = of_class
        self.text = text
        self.values = values


class DrawsOfR:
    """Draws on their way back from R, which reticulate would make an array of R again.

    Args:
        array: NumPy array.
        known: dictionary of what `DrawsForR` knew.
    """

    def __init__(self, array, known):
        self._array = array
        self._known = known

    def draws(self):
        """Return the draws, in the order that they have in Python, so that sums are the same."""
        array = np.array(self._array, self._known.get("dtype"), order="C")
        likelihood = self._known.get("likelihood")
        if likelihood is not None:
            likelihood = _LIKELIHOODS.get(likelihood) or json.loads(likelihood)
        if isinstance(likelihood, dict):
            likelihood = likelihoods.get(likelihood)
        return drawing.Draws(array, self._known["kind"], likelihood, self._known.get("columns"))


def _text_of(likelihood):
    if likelihood is None:
        return None
    if isinstance(likelihood, str):
        text = json.dumps(likelihood)
    else:
        text = json.dumps(keras.saving.serialize_keras_object(likelihood), default=str)
    _LIKELIHOODS[text] = likelihood
    return text


class WeightsForR(Numbers):
    """Draws of weights on their way to R, which names their columns."""

    def __init__(self, names, values):
        super().__init__(values)
        self.names = names


def posterior_interval(model, **prob):
    """Return the intervals of weights, whose names count as R does, from 1."""
    interval = intervals.posterior_interval(model, **prob)
    interval.terms = intervals.tidy_weights(model, **prob)["term"]
    return interval


vars(posterior_interval)["__signature__"] = inspect.signature(intervals.posterior_interval)


def tidy(model, prob=0.9, by="weight"):
    """Return the table that R's `tidy()` returns: a row for each weight, or each array of them."""
    by = validation.check_one_of("by", by, ("weight", "array"))
    prob = intervals.check_prob(prob)
    return TableForR(
        intervals.tidy_weights(model, prob) if by == "weight" else weights.arrays(model)
    )


def glance(model, likelihood=None):
    """Return the table of one row that R's `glance()` begins with."""
    facts = weights.overview(model, likelihood)
    facts["likelihood"] = facts["likelihood"] or "none"
    return TableForR(weights.in_columns([facts]))


def summary(layer):
    """Return what R's `summary()` shows of the weights of a layer, of Keras 3 or 2, if any."""
    rows = weights.rows_of(layer)
    if not rows:
        return None
    return TableForR(weights.in_columns(list(rows.values())), names_of_rows=list(rows))


def _as_draws(name):
    """Return the function behind one of the methods of R's package posterior."""

    def as_draws(model, draws=1000, seed=None, variable=None, regex=False):
        """Return draws of weights, whose names count as R does, from 1."""
        return WeightsForR(*weights.draw_weights(model, draws, seed, variable, regex, first=1))

    as_draws.__name__ = name
    return as_draws


_ANSWERS = {
    function.__name__: function
    for function in (
        drawing.posterior_linpred, drawing.posterior_epred, drawing.posterior_predict,
        drawing.log_lik, intervals.predictive_interval, intervals.predictive_error,
        intervals.uncertainty, scores.score, scores.calibration, evidence.elbo, posterior_interval,
        tidy, glance,
        *(_as_draws(f"as_draws{kind}") for kind in ("", "_df", "_matrix", "_array", "_rvars")),
    )
}  # fmt: skip


def answer(name):
    """Return the function of the core that gives an answer, as R calls it.

    Its arguments have R's names, in messages too; draws are given and returned as R's.
    """
    function = _ANSWERS[name]

    @functools.wraps(function)
    def in_r(**given):
        in_python = {r_name: python_name for python_name, r_name in IN_R.items()}
        arguments = {in_python.get(name, name): _from_r(value) for name, value in given.items()}
        try:
            return _for_r(function(**arguments))
        except Exception as error:
            message = re.sub(r"^`(model|x)`", lambda found: f"`{IN_R[found[1]]}`", str(error))
            if message == str(error):
                raise
            raise type(error)(message) from error

    parameters = inspect.signature(function).parameters.values()
    vars(in_r)["__signature__"] = inspect.Signature(
        [each.replace(name=IN_R.get(each.name, each.name)) for each in parameters]
    )
    return in_r


def _from_r(value):
    if isinstance(value, dict):
        return {name: _from_r(each) for name, each in value.items()}
    return value.draws() if isinstance(value, DrawsOfR) else value


def _for_r(value):
    if isinstance(value, dict):
        return {name: _for_r(each) for name, each in value.items()}
    if isinstance(value, drawing.Draws):
        return DrawsForR(value)
    if isinstance(value, intervals.Interval):
        return IntervalForR(value)
    if isinstance(value, intervals.Uncertainty):
        return TableForR(value._asdict())
    if isinstance(value, scores.Scores):
        numbers_of = {"estimate": value.values, "std.error": value.std_errors}
        columns = {name: np.array(list(each.values())) for name, each in numbers_of.items()}
        return TableForR({"metric": list(value), **columns})
    if isinstance(value, evidence.Elbo):
        return RecordForR("layerapi_elbo", repr(value), value._asdict())
    if isinstance(value, scores.Calibration):
        columns = value._asdict()
        known = {name: columns.pop(name) for name in ("kind", "pit")}
        columns = {name.replace("_", "."): each for name, each in columns.items()}
        return TableForR(columns, **known)
    return Numbers(value) if isinstance(value, np.ndarray) else value
