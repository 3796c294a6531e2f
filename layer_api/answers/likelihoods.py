"""Likelihoods: what is believed of an observation, given the outputs of a network.

A likelihood reads the raw outputs of the last layer. Their last axis has a block of columns for
each parameter, of as many columns as an observation has numbers: all locations first, then all
untransformed scales. A scale is `FLOOR + softplus(untransformed)`.

As a loss a likelihood is the negative logarithm of its density. That is computed in float32 at
least, from logarithms of the parameters, and by Stirling's series where differences of log-gamma
functions would be rounding alone.
"""

import math
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from layer_api import backend, keras_private, messages, serialization, validation
from layer_api.messages import REQUIRED

# Scales, concentrations and counts are at least this. It is far below what standardized data need,
# far above what float32 could not square, and TensorFlow Probability's layers have the same.
FLOOR = 1e-5

_HALF_LOG_2_PI = 0.5 * math.log(2 * math.pi)

_REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none")


class Likelihood(keras.losses.Loss):
    """Base of the likelihoods: a loss of Keras, with the distribution that the loss stands for."""

    is_block = True  # printed by the arguments that differ from the defaults

    # A number that can be observed. It takes the place of padding, whose density might be 0.
    _POSSIBLE = 0.0

    def __init__(self, **kwargs):
        own = [name for name in validation.parameters_of(type(self)) if name != "kwargs"]
        inherited = ("name", "reduction", "dtype")
        if unknown := [name for name in kwargs if name not in inherited]:
            raise validation.unknown_argument(unknown[0], type(self).__name__, own, inherited)
        given = validation.check_keras_arguments(kwargs)
        policy = keras.dtype_policies.get(given.get("dtype") or keras.backend.floatx())
        try:
            super().__init__(
                name=given.get("name") or _snake_case(type(self).__name__),
                reduction=given.get("reduction", "sum_over_batch_size"),
                # Keras makes y this: half precision would round counts and labels.
                dtype=_wide(policy.compute_dtype),
            )
        except (ValueError, TypeError) as error:
            names = ", ".join(f"'{name}'" for name in _REDUCTIONS)
            raise messages.invalid(
                "reduction",
                f"None/NULL or one of {names}",
                messages.describe(given.get("reduction")),
                "Leave it out for the mean over all rows.",
            ) from error
        self._given_dtype = policy.compute_dtype if given.get("dtype") is not None else None

    # --- What each likelihood says of itself -----------------------------------------------------

    def _blocks(self):
        """Return the names of the blocks of columns."""
        raise NotImplementedError

    def _parameters(self, outputs, units):
        """Return the parameters of the distribution, each of shape (..., units)."""
        raise NotImplementedError

    def _log_density(self, y, parameters):
        """Return the logarithm of the density of every number of y."""
        raise NotImplementedError

    def _mean(self, parameters):
        raise NotImplementedError

    def _variance(self, parameters):
        raise NotImplementedError

    def _of_library(self, parameters):
        """Return the kind of the library's distribution, and its parameters by name."""
        raise NotImplementedError

    def _not_observable(self, y, units):
        """Return where an array of numbers has one that cannot be observed, and what can be."""
        return np.zeros(y.shape, bool), "finite numbers"

    # --- For users -------------------------------------------------------------------------------

    def params_size(self, units):
        """Return how many columns the last layer needs.

        Args:
            units: Whole number of at least 1, how many numbers an observation has.
        """
        remedy = "Pass how many numbers y has in each row, for example units = 1."
        units = validation.check_whole_number("units", _whole(units), 1, remedy)
        return len(self._blocks()) * units

    def units_of(self, columns):
        """Return how many numbers an observation has, for a number of columns of the outputs."""
        blocks = self._blocks()
        if columns < 1 or columns % len(blocks):
            multiple = {1: "at least 1 column", 2: "an even number of columns"}.get(
                len(blocks), f"a multiple of {len(blocks)} columns"
            )
            raise _wrong_columns(f"{multiple}: {', then '.join(blocks)}", columns)
        return columns // len(blocks)

    def log_prob(self, y, outputs):
        """Return the logarithm of the density of observations, summed over their numbers.

        Args:
            y: Array or tensor of shape `(rows, units)`, or `(rows,)` for one number in each row.
            outputs: Array or tensor of shape `(..., rows, columns)`, what the last layer returns.
                Axes in front of the rows, such as draws, need not be there in y.

        Returns:
            A tensor of the shape of the outputs without the last axis.
        """
        outputs, units = self._checked(outputs)
        return self._log_prob(self._aligned(y, outputs, units), outputs, units)

    def mean(self, outputs):
        """Return the means of the observations, of shape `(..., units)`.

        Args:
            outputs: Array or tensor of shape `(..., columns)`, what the last layer returns.
        """
        outputs, units = self._checked(outputs)
        return self._mean(self._parameters(outputs, units))

    def variance(self, outputs):
        """Return the variances of the observations, of shape `(..., units)`.

        Args:
            outputs: Array or tensor of shape `(..., columns)`, what the last layer returns.
        """
        outputs, units = self._checked(outputs)
        return self._variance(self._parameters(outputs, units))

    def sample(self, outputs, seed=None):
        """Draw observations, of shape `(..., units)`.

        Args:
            outputs: Array or tensor of shape `(..., columns)`, what the last layer returns.
            seed: Whole number, a `keras.random.SeedGenerator`, or `None` for other draws in every
                call. Default `None`.
        """
        if isinstance(seed, keras.random.SeedGenerator):
            seed = seed.next()
        else:
            seed = validation.check_seed(_whole(seed))
        draws = backend.distributions.sample(self.distribution(outputs), seed=seed)
        return ops.cast(draws, self._dtype_of_draws(outputs))

    def _dtype_of_draws(self, outputs):
        return _wide(_tensor(outputs).dtype)

    def distribution(self, outputs):
        """Return the distribution of each row's observation, of the backend's library.

        Args:
            outputs: Array or tensor of shape `(..., columns)`, what the last layer returns.

        Returns:
            A distribution of TensorFlow Probability, NumPyro or `torch.distributions`, with a batch
            of the shape of the outputs without the last axis.
        """
        outputs, units = self._checked(outputs)
        kind, parameters = self._of_library(self._parameters(outputs, units))
        return backend.distributions.distribution_of_rows(kind, **parameters)

    def check_observations(self, y, outputs):
        """Return observations as an array of NumPy; refuse what cannot be one.

        Args:
            y: Array, list or tensor of shape `(rows, units)`, or `(rows,)` for one number in each
                row.
            outputs: Array or tensor of shape `(..., rows, columns)`, what the last layer returns.

        Returns:
            An array of shape `(rows, units)`, of labels `(rows,)`.

        Raises:
            ValueError: `y` has another shape, is not numeric, has missing values, or has a value
                that this likelihood cannot produce.
        """
        shape = tuple(np.shape(outputs) if not hasattr(outputs, "shape") else outputs.shape)
        self._check_rank(shape)
        units = self.units_of(shape[-1])
        y = self._reshaped(_numbers(y), shape[:-1], units)
        wrong, expected = self._not_observable(y, units)
        wrong = wrong | ~np.isfinite(y)
        if wrong.any():
            found, count = y[wrong][0].item(), int(wrong.sum()) - 1
            found = int(found) if math.isfinite(found) and found == int(found) else found
            others = f", and {count} more that cannot be" if count else ""
            raise messages.invalid(
                "y", expected, f"{messages.describe(found)}{others}", self._remedy_for_y()
            )
        return y

    def _remedy_for_y(self):
        return "Change the values, or choose another likelihood."

    def _reshaped(self, y, lead, units):
        """Return observations with an axis of units, where they have as many rows as outputs."""
        if y.ndim and units == 1 and _is_end(y.shape, lead):
            return y[..., None]
        if y.ndim > 1 and y.shape[-1] == units and _is_end(y.shape[:-1], lead):
            return y
        raise self._wrong_shape(y.shape, _rows_of(y, lead), units)

    # --- As a loss -------------------------------------------------------------------------------

    def __call__(self, y_true, y_pred, sample_weight=None):
        """Return the loss of a batch; see `keras.losses.Loss`."""
        mask = keras_private.mask_of(y_pred)
        if mask is not None:
            # Keras multiplies the losses of masked positions by 0, and infinity times 0 is NaN.
            y_true = ops.convert_to_tensor(y_true, dtype=self.dtype)
            known = ops.cast(mask, "bool")
            while len(known.shape) < len(y_true.shape):
                known = known[..., None]
            y_true = ops.where(known, y_true, ops.cast(self._POSSIBLE, y_true.dtype))
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, y_true, y_pred):
        """Return the negative logarithm of the density of each row, or position of a row."""
        outputs, units = self._checked(y_pred)
        return -self._log_prob(self._aligned(y_true, outputs, units, whole=True), outputs, units)

    def _log_prob(self, y, outputs, units):
        return ops.sum(self._log_density(y, self._parameters(outputs, units)), axis=-1)

    def _checked(self, outputs):
        """Return outputs as a tensor of 32 bits at least, and how many units they are for."""
        outputs = _tensor(outputs)
        self._check_rank(outputs.shape)
        units = self.units_of(outputs.shape[-1])
        return ops.cast(outputs, _wide(outputs.dtype)), units

    def _check_rank(self, shape):
        if not len(shape) or shape[-1] is None:
            raise messages.invalid(
                "outputs",
                "a tensor whose last axis has a defined number of columns",
                messages.describe_shape(shape),
                "Pass what the last layer of a model returns.",
            )

    def _aligned(self, y, outputs, units, whole=False):
        """Return y as a tensor with an axis of units, whose other axes end as those of the outputs.

        Args:
            y: observations.
            outputs: tensor.
            units: how many numbers an observation has.
            whole: whether y has all axes of the outputs. If so, nothing is broadcast: rows of y
                beside each other would otherwise meet rows of outputs below each other.
        """
        y = ops.cast(_tensor(y), outputs.dtype)
        shape, lead = tuple(y.shape), tuple(outputs.shape[:-1])
        without = len(shape) == len(lead) if whole else True
        within = len(shape) == len(lead) + 1 if whole else True
        if within and shape[-1:] in ((units,), (None,)) and _is_end(shape[:-1], lead):
            return y
        if without and units == 1 and _is_end(shape, lead):
            return y[..., None]
        raise self._wrong_shape(shape, lead, units)

    def _wrong_shape(self, shape, lead, units):
        short = f"{messages.describe_shape(lead)} or " if units == 1 else ""
        return messages.invalid(
            "y",
            f"an array of {short}{messages.describe_shape((*lead, units))}",
            messages.describe_shape(shape),
            "It has a row for each row of the outputs, and in it a number for each location.",
        )

    # --- As a config -----------------------------------------------------------------------------

    def get_config(self):
        """Return the arguments that make an equal likelihood."""
        return {"name": self.name, "reduction": self.reduction, "dtype": self._given_dtype}

    def _is_default(self, name, value):
        """Tell whether an argument of Keras's own has the value that it has if it is left out."""
        if name == "dtype":
            return self._given_dtype is None
        defaults = {"name": _snake_case(type(self).__name__), "reduction": "sum_over_batch_size"}
        return name in defaults and value == defaults[name]

    def __repr__(self):
        return serialization.describe_config(self)


class _LocScale(Likelihood):
    """Likelihood with a location and a scale: columns for both, or for the location alone."""

    # Name of the argument for a fixed second parameter, and what the columns of both are called.
    _SECOND = "scale"
    _NAMES = ("locations", "untransformed scales")

    def _set_second(self, value):
        setattr(self, self._SECOND, validation.check_scale(self._SECOND, value, optional=True))

    def _blocks(self):
        return self._NAMES if getattr(self, self._SECOND) is None else self._NAMES[:1]

    def _parameters(self, outputs, units):
        second = getattr(self, self._SECOND)
        if second is None:
            first, untransformed = ops.split(outputs, 2, axis=-1)
            return first, FLOOR + ops.softplus(untransformed)
        return outputs, ops.full_like(outputs, second)

    def get_config(self):
        """Return the arguments that make an equal likelihood."""
        return {**super().get_config(), self._SECOND: getattr(self, self._SECOND)}


@keras.saving.register_keras_serializable("layer_api")
class NormalLikelihood(_LocScale):
    """Likelihood of normal observations, whose mean and standard deviation a network learns.

    Use it as the loss of a regression. The network then says for each row how far an observation is
    likely to be from its mean. Mean squared error instead treats every row as equally noisy, and
    fixes the noise: it is this loss with `scale=sqrt(0.5)`, up to a constant.

        outputs = [loc, untransformed_scale]
        y ~ Normal(loc, 1e-5 + softplus(untransformed_scale))

    A likelihood acts on the outputs of the last layer as they are, so that layer has no activation
    and `params_size(k)` units, for k numbers in each row of y: first all means, then all
    untransformed scales. Its other methods take what that layer returns, with any number of axes
    before the last one, such as draws: `log_prob(y, outputs)` is the logarithm of the density of
    each row of y; `mean(outputs)` and `variance(outputs)` are those of the observations;
    `sample(outputs, seed)` draws one observation for each row; `distribution(outputs)` is the
    distribution of each row, of the backend's library.

    Args:
        scale: Float above 0, the standard deviation of all observations; the outputs are then only
            the means. Default `None`: the outputs have a column for it. For one that is learned but
            the same in all rows, end the model with `layer_shared_scale()`.
        **kwargs: Further arguments of `keras.losses.Loss`: `name`, `reduction` or `dtype`.

    Returns:
        A Keras loss.

    Raises:
        ValueError: An argument has a value that it cannot have; the message says what it can be.
        TypeError: An argument is not known.

    Example:

    ```python
    likelihood = layer_api.NormalLikelihood()
    model = keras.Sequential([keras.Input(shape=(13,))])
    layer_api.layer_dense_flipout(model, units=likelihood.params_size(1))
    model.compile(optimizer="adam", loss=likelihood)
    ```

    References:
        Nix and Weigend (1994), Estimating the mean and variance of the target probability
        distribution. <https://doi.org/10.1109/ICNN.1994.374138>
    """

    def __init__(self, scale=None, **kwargs):
        super().__init__(**kwargs)
        self._set_second(scale)

    def _log_density(self, y, parameters):
        loc, scale = parameters
        return _log_normal((y - loc) / scale, scale)

    def _mean(self, parameters):
        return parameters[0]

    def _variance(self, parameters):
        return ops.square(parameters[1])

    def _of_library(self, parameters):
        return "normal", {"loc": parameters[0], "scale": parameters[1]}


@keras.saving.register_keras_serializable("layer_api")
class LaplaceLikelihood(_LocScale):
    """Likelihood of observations with heavier tails than normal ones: the median is learned.

    Use it for a regression with outliers: an observation has the same influence on the location,
    however far away it is. Mean absolute error is this loss with `scale=1`, up to a constant.

        outputs = [loc, untransformed_scale]
        y ~ Laplace(loc, 1e-5 + softplus(untransformed_scale))

    Columns and methods are those of `NormalLikelihood`.

    Args:
        scale: Float above 0, the mean distance from the location, for all observations; the outputs
            are then only the locations. Default `None`: the outputs have a column for it.
        **kwargs: Further arguments of `keras.losses.Loss`: `name`, `reduction` or `dtype`.

    Returns:
        A Keras loss.

    Raises:
        ValueError: An argument has a value that it cannot have; the message says what it can be.
        TypeError: An argument is not known.

    Example:

    ```python
    likelihood = layer_api.LaplaceLikelihood()
    model = keras.Sequential([keras.Input(shape=(13,))])
    layer_api.layer_dense_flipout(model, units=likelihood.params_size(1))
    model.compile(optimizer="adam", loss=likelihood)
    ```
    """

    def __init__(self, scale=None, **kwargs):
        super().__init__(**kwargs)
        self._set_second(scale)

    def _log_density(self, y, parameters):
        loc, scale = parameters
        return -ops.abs((y - loc) / scale) - ops.log(scale) - math.log(2)

    def _mean(self, parameters):
        return parameters[0]

    def _variance(self, parameters):
        return 2 * ops.square(parameters[1])

    def _of_library(self, parameters):
        return "laplace", {"loc": parameters[0], "scale": parameters[1]}


@keras.saving.register_keras_serializable("layer_api")
class LogNormalLikelihood(_LocScale):
    """Likelihood of positive observations whose logarithm is normal, such as prices or sizes.

    Use it where effects multiply and the noise grows with the mean.

        outputs = [loc, untransformed_scale]
        log(y) ~ Normal(loc, 1e-5 + softplus(untransformed_scale))

    `exp(loc)` is the median of y. Columns and methods are those of `NormalLikelihood`.

    Args:
        scale: Float above 0, the standard deviation of the logarithm of all observations; the
            outputs are then only the locations. Default `None`: the outputs have a column for it.
        **kwargs: Further arguments of `keras.losses.Loss`: `name`, `reduction` or `dtype`.

    Returns:
        A Keras loss. Observations that are not above 0 have an infinite loss.

    Raises:
        ValueError: An argument has a value that it cannot have; the message says what it can be.
        TypeError: An argument is not known.

    Example:

    ```python
    likelihood = layer_api.LogNormalLikelihood()
    model = keras.Sequential([keras.Input(shape=(13,))])
    layer_api.layer_dense_flipout(model, units=likelihood.params_size(1))
    model.compile(optimizer="adam", loss=likelihood)
    ```
    """

    _POSSIBLE = 1.0

    def __init__(self, scale=None, **kwargs):
        super().__init__(**kwargs)
        self._set_second(scale)

    def _log_density(self, y, parameters):
        loc, scale = parameters
        impossible = y <= 0
        log_y = ops.log(ops.where(impossible, 1.0, y))
        density = _log_normal((log_y - loc) / scale, scale) - log_y
        return ops.where(impossible, -math.inf, density)

    def _mean(self, parameters):
        loc, scale = parameters
        return ops.exp(loc + ops.square(scale) / 2)

    def _variance(self, parameters):
        loc, scale = parameters
        return ops.expm1(ops.square(scale)) * ops.exp(2 * loc + ops.square(scale))

    def _of_library(self, parameters):
        return "log_normal", {"loc": parameters[0], "scale": parameters[1]}

    def _not_observable(self, y, units):
        return y <= 0, "numbers above 0"


class _StudentT(NamedTuple):
    loc: Any
    scale: Any
    df: Any
    df_above_2: Any


@keras.saving.register_keras_serializable("layer_api")
class StudentTLikelihood(_LocScale):
    """Likelihood of observations with a few outliers: Student's t distribution.

    Use it for a regression with outliers. An observation far from the location has little influence
    on it.

        outputs = [loc, untransformed_scale]
        y ~ StudentT(df, loc, 1e-5 + softplus(untransformed_scale))

    Columns and methods are those of `NormalLikelihood`; if `df` is learned, its columns are the
    last ones.

    Args:
        df: Float above 0, the degrees of freedom: the fewer, the heavier the tails; with 1 they are
            those of a Cauchy distribution, with 30 nearly those of a normal one. `None`: the
            outputs have a column for it, with `df = 2 + 1e-5 + softplus(column)`. Default `4.0`.
        scale: Float above 0, the scale of all observations; the outputs then have no column for
            it. Default `None`: they have one. The standard deviation is
            `scale * sqrt(df / (df - 2))`.
        **kwargs: Further arguments of `keras.losses.Loss`: `name`, `reduction` or `dtype`.

    Returns:
        A Keras loss. Its method `variance()` is infinite for a `df` of at most 2; mean and variance
        are NaN for a `df` of at most 1, where there are none.

    Raises:
        ValueError: An argument has a value that it cannot have; the message says what it can be.
        TypeError: An argument is not known.

    Example:

    ```python
    likelihood = layer_api.StudentTLikelihood(df=3)
    model = keras.Sequential([keras.Input(shape=(13,))])
    layer_api.layer_dense_flipout(model, units=likelihood.params_size(1))
    model.compile(optimizer="adam", loss=likelihood)
    ```

    References:
        Lange, Little and Taylor (1989), Robust Statistical Modeling Using the t Distribution.
        <https://doi.org/10.1080/01621459.1989.10478852>
    """

    def __init__(self, df=4.0, scale=None, **kwargs):
        super().__init__(**kwargs)
        self.df = validation.check_scale("df", df, optional=True)
        self._set_second(scale)

    def _blocks(self):
        of_df = ("untransformed degrees of freedom",) if self.df is None else ()
        return (*super()._blocks(), *of_df)

    def _parameters(self, outputs, units):
        if self.df is None:
            of_df, outputs = outputs[..., -units:], outputs[..., :-units]
            df_above_2 = FLOOR + ops.softplus(of_df)
            df = 2 + df_above_2
        loc, scale = super()._parameters(outputs, units)
        if self.df is not None:
            df, df_above_2 = ops.full_like(loc, self.df), ops.full_like(loc, self.df - 2)
        return _StudentT(loc, scale, df, df_above_2)

    def _log_density(self, y, parameters):
        loc, scale, df, _ = parameters
        # log_gamma(h + 1/2) - log_gamma(h) - log(2 h) / 2 by Stirling's series, in which the large
        # terms are gone.
        h = df / 2
        constant = h * ops.log1p(0.5 / h) - 0.5 + _rest(h + 0.5) - _rest(h) - _HALF_LOG_2_PI
        z = (y - loc) / scale
        return constant - ops.log(scale) - (h + 0.5) * ops.log1p(ops.square(z) / df)

    def _mean(self, parameters):
        return ops.where(parameters.df > 1, parameters.loc, math.nan)

    def _variance(self, parameters):
        _, scale, df, df_above_2 = parameters
        is_finite = df_above_2 > 0
        ratio = df / ops.where(is_finite, df_above_2, 1.0)
        otherwise = ops.where(df > 1, ops.full_like(df, math.inf), math.nan)
        return ops.where(is_finite, ops.square(scale) * ratio, otherwise)

    def _of_library(self, parameters):
        loc, scale, df, _ = parameters
        return "student_t", {"df": df, "loc": loc, "scale": scale}

    def get_config(self):
        """Return the arguments that make an equal likelihood."""
        return {**super().get_config(), "df": self.df}


class _LogMean(_LocScale):
    """Likelihood whose first columns are the logarithms of the means."""

    _NAMES = ("logarithms of the means", "untransformed concentrations")

    def _mean(self, parameters):
        return ops.exp(parameters[0])


@keras.saving.register_keras_serializable("layer_api")
class GammaLikelihood(_LogMean):
    """Likelihood of positive observations with a standard deviation proportional to the mean.

    Use it for times, amounts or claims. The larger the concentration, the closer observations are
    to their mean: its inverse square root is the standard deviation divided by the mean.

        outputs = [log_mean, untransformed_concentration]
        y ~ Gamma(concentration, rate=concentration / exp(log_mean))
        concentration = 1e-5 + softplus(untransformed_concentration)

    Columns are the logarithms of all means, then all untransformed concentrations. Methods are
    those of `NormalLikelihood`.

    Args:
        concentration: Float above 0, the concentration, or shape, of all observations; the outputs
            are then only the logarithms of the means. With 1 the distribution is exponential.
            Default `None`: the outputs have a column for it.
        **kwargs: Further arguments of `keras.losses.Loss`: `name`, `reduction` or `dtype`.

    Returns:
        A Keras loss. Observations below 0 have an infinite loss.

    Raises:
        ValueError: An argument has a value that it cannot have; the message says what it can be.
        TypeError: An argument is not known.

    Example:

    ```python
    likelihood = layer_api.GammaLikelihood()
    model = keras.Sequential([keras.Input(shape=(13,))])
    layer_api.layer_dense_flipout(model, units=likelihood.params_size(1))
    model.compile(optimizer="adam", loss=likelihood)
    ```
    """

    _POSSIBLE = 1.0
    _SECOND = "concentration"

    def __init__(self, concentration=None, **kwargs):
        super().__init__(**kwargs)
        self._set_second(concentration)

    def _log_density(self, y, parameters):
        """Return the logarithm of the density.

        With t = log(y / mean), and c the concentration, it is

        c (t - expm1(t)) + log(c) / 2 - log(2 pi) / 2 - rest(c) - log(y)
        """
        log_mean, c = parameters
        log_c = ops.log(c)
        inside = y > 0
        log_y = ops.log(ops.where(y <= 0, 1.0, y))
        t = log_y - log_mean
        density = c * (t - _limited(ops.expm1, t)) + 0.5 * log_c - _HALF_LOG_2_PI - _rest(c) - log_y
        edge = _at_edge(c - 1, log_c - log_mean)
        outside = ops.where(y < 0, -math.inf, ops.where(ops.equal(y, 0), edge, y))
        return ops.where(inside, density, outside)

    def _variance(self, parameters):
        return ops.square(ops.exp(parameters[0])) / parameters[1]

    def _of_library(self, parameters):
        log_mean, concentration = parameters
        rate = ops.exp(ops.log(concentration) - log_mean)
        return "gamma", {"concentration": concentration, "rate": rate}

    def _not_observable(self, y, units):
        return y <= 0, "numbers above 0"


@keras.saving.register_keras_serializable("layer_api")
class BetaLikelihood(_LocScale):
    """Likelihood of proportions: observations between 0 and 1.

    Use it for shares, rates or scores with a lower and an upper bound.

        outputs = [logit_mean, untransformed_concentration]
        y ~ Beta(mean * concentration, (1 - mean) * concentration)
        mean = sigmoid(logit_mean),    concentration = 1e-5 + softplus(untransformed_concentration)

    The variance is `mean * (1 - mean) / (1 + concentration)`. Columns are the logits of all means,
    then all untransformed concentrations. Methods are those of `NormalLikelihood`.

    Args:
        concentration: Float above 0, the concentration of all observations; the outputs are then
            only the logits of the means. Default `None`: the outputs have a column for it.
        **kwargs: Further arguments of `keras.losses.Loss`: `name`, `reduction` or `dtype`.

    Returns:
        A Keras loss. It is infinite for observations outside 0 to 1; at 0 and 1 themselves the
        density may be 0 or infinite.

    Raises:
        ValueError: An argument has a value that it cannot have; the message says what it can be.
        TypeError: An argument is not known.

    Example:

    ```python
    likelihood = layer_api.BetaLikelihood()
    model = keras.Sequential([keras.Input(shape=(13,))])
    layer_api.layer_dense_flipout(model, units=likelihood.params_size(1))
    model.compile(optimizer="adam", loss=likelihood)
    ```

    References:
        Ferrari and Cribari-Neto (2004), Beta Regression for Modelling Rates and Proportions.
        <https://doi.org/10.1080/0266476042000214501>
    """

    _POSSIBLE = 0.5
    _SECOND = "concentration"
    _NAMES = ("logits of the means", "untransformed concentrations")

    def __init__(self, concentration=None, **kwargs):
        super().__init__(**kwargs)
        self._set_second(concentration)

    def _log_density(self, y, parameters):
        """Return the logarithm of the density.

        With the mean m, a = m c and b = (1 - m) c, it is

        a log(y / m) + b log((1 - y) / (1 - m)) + log(c m (1 - m)) / 2 - log(y (1 - y))
            - log(2 pi) / 2 + rest(c) - rest(a) - rest(b)
        """
        logit, c = parameters
        log_c = ops.log(c)
        log_m, log_1_m = -ops.softplus(-logit), -ops.softplus(logit)
        a, b = ops.sigmoid(logit) * c, ops.sigmoid(-logit) * c
        inside = ops.logical_and(y > 0, y < 1)
        within = ops.where(ops.logical_or(y <= 0, y >= 1), 0.5, y)
        log_y, log_1_y = ops.log(within), ops.log1p(-within)
        density = (
            a * (log_y - log_m)
            + b * (log_1_y - log_1_m)
            + 0.5 * (log_c + log_m + log_1_m)
            - log_y
            - log_1_y
            - _HALF_LOG_2_PI
            + _rest(c)
            - _rest(a, log_m + log_c)
            - _rest(b, log_1_m + log_c)
        )
        beyond = ops.where(ops.logical_or(y < 0, y > 1), -math.inf, y)
        beyond = ops.where(ops.equal(y, 0), _at_edge(a - 1, log_1_m + log_c), beyond)
        beyond = ops.where(ops.equal(y, 1), _at_edge(b - 1, log_m + log_c), beyond)
        return ops.where(inside, density, beyond)

    def _mean(self, parameters):
        return ops.sigmoid(parameters[0])

    def _variance(self, parameters):
        logit, concentration = parameters
        return ops.sigmoid(logit) * ops.sigmoid(-logit) / (1 + concentration)

    def _of_library(self, parameters):
        logit, c = parameters
        return "beta", {"a": ops.sigmoid(logit) * c, "b": ops.sigmoid(-logit) * c}

    def _not_observable(self, y, units):
        return (y <= 0) | (y >= 1), "numbers above 0 and below 1"


class _OneBlock(Likelihood):
    """Likelihood of one parameter."""

    def _parameters(self, outputs, units):
        return (outputs,)


@keras.saving.register_keras_serializable("layer_api")
class BernoulliLikelihood(_OneBlock):
    """Likelihood of observations that are 0 or 1, whose probability a network learns.

    Use it as the loss of a classification into two classes, or of several yes-or-no questions at
    once. It is the binary cross-entropy, summed over the columns of a row.

        outputs = logit,    P(y = 1) = sigmoid(logit)

    Methods are those of `NormalLikelihood`; `mean()` returns the probabilities of 1.

    Args:
        from_logits: Bool, whether the outputs are logits; else they are probabilities, as after the
            activation `"sigmoid"`, and are kept away from 0 and 1 by `keras.config.epsilon()`.
            Default `True`.
        **kwargs: Further arguments of `keras.losses.Loss`: `name`, `reduction` or `dtype`.

    Returns:
        A Keras loss.

    Raises:
        ValueError: An argument has a value that it cannot have; the message says what it can be.
        TypeError: An argument is not known.

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(13,))])
    layer_api.layer_dense_flipout(model, units=1)
    model.compile(optimizer="adam", loss=layer_api.BernoulliLikelihood())
    ```
    """

    def __init__(self, from_logits=True, **kwargs):
        super().__init__(**kwargs)
        self.from_logits = validation.check_flag("from_logits", from_logits)

    def _blocks(self):
        return ("logits" if self.from_logits else "probabilities",)

    def _log_probabilities(self, parameters):
        """Return the logarithms of the probabilities of 0 and of 1."""
        (outputs,) = parameters
        if self.from_logits:
            return -ops.softplus(outputs), -ops.softplus(-outputs)
        p = _away_from_0_and_1(outputs)
        return ops.log1p(-p), ops.log(p)

    def _log_density(self, y, parameters):
        log_p_of_0, log_p_of_1 = self._log_probabilities(parameters)
        density = y * log_p_of_1 + (1 - y) * log_p_of_0
        return ops.where(ops.logical_or(y < 0, y > 1), -math.inf, density)

    def _mean(self, parameters):
        (outputs,) = parameters
        return ops.sigmoid(outputs) if self.from_logits else _away_from_0_and_1(outputs)

    def _variance(self, parameters):
        log_p_of_0, log_p_of_1 = self._log_probabilities(parameters)
        return ops.exp(log_p_of_0 + log_p_of_1)

    def _of_library(self, parameters):
        log_p_of_0, log_p_of_1 = self._log_probabilities(parameters)
        return "bernoulli", {"logits": log_p_of_1 - log_p_of_0}

    def _not_observable(self, y, units):
        return (y != 0) & (y != 1), "0 or 1"

    def get_config(self):
        """Return the arguments that make an equal likelihood."""
        return {**super().get_config(), "from_logits": self.from_logits}


@keras.saving.register_keras_serializable("layer_api")
class PoissonLikelihood(_OneBlock):
    """Likelihood of counts whose variance is their mean.

    Use it for numbers of events that happen independently of each other. Where counts vary more
    than that, as most do, `NegativeBinomialLikelihood` learns by how much.

        outputs = log_rate,    y ~ Poisson(exp(log_rate))

    Methods are those of `NormalLikelihood`.

    Args:
        **kwargs: Further arguments of `keras.losses.Loss`: `name`, `reduction` or `dtype`.

    Returns:
        A Keras loss. Observations below 0 have an infinite loss.

    Raises:
        ValueError: An argument has a value that it cannot have; the message says what it can be.
        TypeError: An argument is not known.

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(13,))])
    layer_api.layer_dense_flipout(model, units=1)
    model.compile(optimizer="adam", loss=layer_api.PoissonLikelihood())
    ```
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def _blocks(self):
        return ("logarithms of the rates",)

    def _log_density(self, y, parameters):
        """Return the logarithm of the probability.

        With d = log(rate / y) it is, above y = 0,

        y (d - expm1(d)) - log(2 pi y) / 2 - rest(y)
        """
        (log_rate,) = parameters
        above_0 = ops.where(y <= 0, 1.0, y)
        log_y = ops.log(above_0)
        d = log_rate - log_y
        density = above_0 * (d - _limited(ops.expm1, d)) - 0.5 * log_y - _HALF_LOG_2_PI
        density = density - _rest(above_0)
        return _of_counts(y, density, -_limited(ops.exp, log_rate))

    def _mean(self, parameters):
        return ops.exp(parameters[0])

    def _variance(self, parameters):
        return ops.exp(parameters[0])

    def _of_library(self, parameters):
        return "poisson", {"log_rate": parameters[0]}

    def _not_observable(self, y, units):
        return _no_count(y), "whole numbers of at least 0"


@keras.saving.register_keras_serializable("layer_api")
class NegativeBinomialLikelihood(_LogMean):
    """Likelihood of counts that vary more than independent events do.

    Use it for counts whose variance is above their mean, such as numbers of visits or claims: rates
    that differ in ways that the inputs do not explain.

        outputs = [log_mean, untransformed_total_count]
        variance(y) = mean + mean^2 / total_count
        mean = exp(log_mean),    total_count = 1e-5 + softplus(untransformed_total_count)

    The larger `total_count`, the closer the distribution is to that of `PoissonLikelihood`. Columns
    are the logarithms of all means, then all untransformed total counts. Methods are those of
    `NormalLikelihood`.

    Args:
        total_count: Float above 0, what others call the shape, size or inverse dispersion, for all
            observations; the outputs are then only the logarithms of the means. Default `None`: the
            outputs have a column for it.
        **kwargs: Further arguments of `keras.losses.Loss`: `name`, `reduction` or `dtype`.

    Returns:
        A Keras loss. Observations below 0 have an infinite loss.

    Raises:
        ValueError: An argument has a value that it cannot have; the message says what it can be.
        TypeError: An argument is not known.

    Example:

    ```python
    likelihood = layer_api.NegativeBinomialLikelihood()
    model = keras.Sequential([keras.Input(shape=(13,))])
    layer_api.layer_dense_flipout(model, units=likelihood.params_size(1))
    model.compile(optimizer="adam", loss=likelihood)
    ```
    """

    _SECOND = "total_count"
    _NAMES = ("logarithms of the means", "untransformed total counts")

    def __init__(self, total_count=None, **kwargs):
        super().__init__(**kwargs)
        self._set_second(total_count)

    def _log_density(self, y, parameters):
        """Return the logarithm of the probability.

        With n the total count, s = log(y / n) and t = log(mean / n), it is, above y = 0,

        y (softplus(-s) - softplus(-t)) + n (softplus(s) - softplus(t)) - softplus(s) / 2
            - log(2 pi y) / 2 + rest(y + n) - rest(n) - rest(y)
        """
        log_mean, n = parameters
        log_n = ops.log(n)
        above_0 = ops.where(y <= 0, 1.0, y)
        log_y = ops.log(above_0)
        s, t = log_y - log_n, log_mean - log_n
        density = (
            above_0 * (ops.softplus(-s) - ops.softplus(-t))
            + n * (ops.softplus(s) - ops.softplus(t))
            - 0.5 * (ops.softplus(s) + log_y)
            - _HALF_LOG_2_PI
            + _rest(above_0 + n)
            - _rest(n)
            - _rest(above_0)
        )
        return _of_counts(y, density, -n * ops.softplus(t))

    def _variance(self, parameters):
        mean = self._mean(parameters)
        return mean + ops.square(mean) / parameters[1]

    def _of_library(self, parameters):
        log_mean, n = parameters
        return "negative_binomial", {"total_count": n, "logits": log_mean - ops.log(n)}

    def _not_observable(self, y, units):
        return _no_count(y), "whole numbers of at least 0"


@keras.saving.register_keras_serializable("layer_api")
class CategoricalLikelihood(Likelihood):
    """Likelihood of labels: one class of several, whose probabilities a network learns.

    Use it as the loss of a classification. It is the categorical cross-entropy, for labels and for
    one-hot rows alike.

        outputs = [logit_0, logit_1, ...],    P(y = k) = softmax(outputs)[k]

    `y` has labels 0, 1, ..., of shape `(rows,)` or `(rows, 1)`, or one-hot rows, of shape `(rows,
    classes)`. Methods are those of `NormalLikelihood`, with `params_size(classes)`; `mean()`
    returns the probabilities of all classes, `variance()` those of the one-hot rows, and `sample()`
    labels.

    Args:
        from_logits: Bool, whether the outputs are logits; else they are probabilities, as after the
            activation `"softmax"`, and are kept away from 0 and 1 by `keras.config.epsilon()`.
            Default `True`.
        **kwargs: Further arguments of `keras.losses.Loss`: `name`, `reduction` or `dtype`.

    Returns:
        A Keras loss. Labels that are not whole numbers from 0 to the number of classes minus 1 have
        an infinite loss.

    Raises:
        ValueError: An argument has a value that it cannot have; the message says what it can be.
        TypeError: An argument is not known.

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(13,))])
    layer_api.layer_dense_flipout(model, units=10)
    model.compile(optimizer="adam", loss=layer_api.CategoricalLikelihood())
    ```
    """

    def __init__(self, from_logits=True, **kwargs):
        super().__init__(**kwargs)
        self.from_logits = validation.check_flag("from_logits", from_logits)

    def _blocks(self):
        return ("logits" if self.from_logits else "probabilities",)

    def params_size(self, units):
        """Return how many columns the last layer needs: one for each class.

        Args:
            units: Whole number of at least 2, the number of classes.
        """
        remedy = "Pass the number of classes; for one column of 0 and 1 use the likelihood "
        return validation.check_whole_number("units", _whole(units), 2, f"{remedy}'bernoulli'.")

    def units_of(self, columns):
        """Return the number of classes, for a number of columns of the outputs."""
        if columns < 2:
            (name,) = self._blocks()
            raise _wrong_columns(
                f"at least 2 columns: the {name} of the classes",
                columns,
                "Let the last layer have one unit for each class; for one column of 0 and 1 use "
                "the likelihood 'bernoulli'.",
            )
        return columns

    def _parameters(self, outputs, units):
        """Return the logarithms of the probabilities."""
        if self.from_logits:
            return ops.log_softmax(outputs, axis=-1)
        shares = outputs / ops.sum(outputs, axis=-1, keepdims=True)
        return ops.log(_away_from_0_and_1(shares))

    def _log_prob(self, y, outputs, units):
        weights, is_label = y
        density = ops.sum(weights * self._parameters(outputs, units), axis=-1)
        return ops.where(is_label, density, -math.inf)

    def _mean(self, parameters):
        return ops.exp(parameters)

    def _variance(self, parameters):
        p = ops.exp(parameters)
        return p * (1 - p)

    def _of_library(self, parameters):
        return "categorical", {"logits": parameters}

    def _dtype_of_draws(self, outputs):
        return "int32"

    def _not_observable(self, y, units):
        return (y < 0) | (y >= units) | (y != np.floor(y)), f"labels from 0 to {units - 1}"

    def _remedy_for_y(self):
        return "Subtract 1 where labels begin at 1, or let the last layer have more units."

    def _aligned(self, y, outputs, units, whole=False):
        """Return the weights of the classes of each row, and whether they are those of a class."""
        y = ops.cast(_tensor(y), outputs.dtype)
        shape, lead = tuple(y.shape), tuple(outputs.shape[:-1])
        of_lead = len(shape) == len(lead) if whole else True
        beyond = len(shape) == len(lead) + 1 if whole else True
        has_end = _is_end(shape[:-1], lead)
        if of_lead and _is_end(shape, lead):
            labels = y[..., None]
        elif beyond and shape[-1:] == (1,) and has_end:
            labels = y
        elif beyond and shape[-1:] in ((units,), (None,)) and has_end:
            return y, True
        else:
            raise self._wrong_shape(shape, lead, units)
        hits = ops.equal(labels, ops.arange(units, dtype=labels.dtype))
        return ops.cast(hits, outputs.dtype), ops.any(hits, axis=-1)

    def _reshaped(self, y, lead, units):
        if y.ndim and _is_end(y.shape, lead):
            return y
        if y.ndim > 1 and _is_end(y.shape[:-1], lead):
            if y.shape[-1] == 1:
                return y[..., 0]
            is_one_hot = ((y == 0) | (y == 1)).all() and (y.sum(axis=-1) == 1).all()
            if y.shape[-1] == units and is_one_hot:
                return y.argmax(axis=-1)
            if y.shape[-1] == units:
                raise messages.invalid(
                    "y",
                    f"labels from 0 to {units - 1}, or rows with one 1 and zeros",
                    "rows of other numbers",
                    "Pass the label of each row.",
                )
        raise self._wrong_shape(y.shape, _rows_of(y, lead), units)

    def _wrong_shape(self, shape, lead, units):
        rows = messages.describe_shape(lead)
        return messages.invalid(
            "y",
            f"labels of {rows}, or one-hot rows of {messages.describe_shape((*lead, units))}",
            messages.describe_shape(shape),
            "It has a label for each row of the outputs.",
        )

    def check_observations(self, y, outputs):
        """Return labels as an array of NumPy; refuse what cannot be one.

        Args:
            y: Array, list or tensor of labels, of shape `(rows,)` or `(rows, 1)`, or of one-hot
                rows, of shape `(rows, classes)`.
            outputs: Array or tensor of shape `(..., rows, classes)`, what the last layer returns.

        Returns:
            An array of whole numbers of shape `(rows,)`.

        Raises:
            ValueError: `y` has another shape, is not numeric, has missing values, or has a label
                that is not one of the classes.
        """
        return super().check_observations(y, outputs).astype("int64")

    def get_config(self):
        """Return the arguments that make an equal likelihood."""
        return {**super().get_config(), "from_logits": self.from_logits}


class _Mixture(NamedTuple):
    logits: Any
    loc: Any
    scale: Any


@keras.saving.register_keras_serializable("layer_api")
class NormalMixtureLikelihood(Likelihood):
    """Likelihood of observations from several groups: a mixture of normals.

    Use it where the same inputs go with observations around more than one value, which a single
    mean would put in between: a mixture density network.

        outputs = [logits, loc_1, untransformed_scale_1, loc_2, untransformed_scale_2, ...]
        component ~ Categorical(softmax(logits))
        y ~ Normal(loc[component], 1e-5 + softplus(untransformed_scale[component]))

    The outputs have a logit for each component, then for the first component all locations and all
    untransformed scales, then for the second, and so on: `components * (1 + 2 * k)` columns for k
    numbers in each row of y. All numbers of a row come from the same component. Methods are those
    of `NormalLikelihood`; mean and variance are those of the mixture.

    Args:
        components: Whole number of at least 1, how many normals are mixed.
        **kwargs: Further arguments of `keras.losses.Loss`: `name`, `reduction` or `dtype`.

    Returns:
        A Keras loss.

    Raises:
        ValueError: An argument has a value that it cannot have; the message says what it can be.
        TypeError: An argument is not known.

    Example:

    ```python
    likelihood = layer_api.NormalMixtureLikelihood(components=3)
    model = keras.Sequential([keras.Input(shape=(13,))])
    layer_api.layer_dense_flipout(model, units=likelihood.params_size(1))
    model.compile(optimizer="adam", loss=likelihood)
    ```

    References:
        Bishop (1994), Mixture Density Networks. <https://publications.aston.ac.uk/id/eprint/373/>
    """

    def __init__(self, components=REQUIRED, **kwargs):
        super().__init__(**kwargs)
        remedy = "Pass, for example, components = 3."
        self.components = validation.check_whole_number("components", components, 1, remedy)

    def params_size(self, units):
        """Return how many columns the last layer needs.

        Args:
            units: Whole number of at least 1, how many numbers an observation has.
        """
        remedy = "Pass how many numbers y has in each row, for example units = 1."
        units = validation.check_whole_number("units", _whole(units), 1, remedy)
        return self.components * (1 + 2 * units)

    def units_of(self, columns):
        """Return how many numbers an observation has, for a number of columns of the outputs."""
        k = self.components
        units, rest = divmod(columns - k, 2 * k)
        if rest or units < 1:
            raise _wrong_columns(
                f"{k}, and a multiple of {2 * k}, columns: logits, then locations and "
                "untransformed scales of each component",
                columns,
            )
        return units

    def _parameters(self, outputs, units):
        k = self.components
        of_normals = ops.reshape(outputs[..., k:], (*ops.shape(outputs)[:-1], k, 2 * units))
        loc, untransformed = ops.split(of_normals, 2, axis=-1)
        logits = ops.log_softmax(outputs[..., :k], axis=-1)
        return _Mixture(logits, loc, FLOOR + ops.softplus(untransformed))

    def _log_prob(self, y, outputs, units):
        logits, loc, scale = self._parameters(outputs, units)
        normals = ops.sum(_log_normal((y[..., None, :] - loc) / scale, scale), axis=-1)
        return ops.logsumexp(logits + normals, axis=-1)

    def _mean(self, parameters):
        logits, loc, _ = parameters
        return ops.sum(ops.exp(logits)[..., None] * loc, axis=-2)

    def _variance(self, parameters):
        logits, loc, scale = parameters
        deviation = loc - self._mean(parameters)[..., None, :]
        squares = ops.square(scale) + ops.square(deviation)
        return ops.sum(ops.exp(logits)[..., None] * squares, axis=-2)

    def _of_library(self, parameters):
        return "normal_mixture", parameters._asdict()

    def get_config(self):
        """Return the arguments that make an equal likelihood."""
        return {**super().get_config(), "components": self.components}


# --- Mathematics ---------------------------------------------------------------------------------


def _log_normal(z, scale):
    return -0.5 * ops.square(z) - ops.log(scale) - _HALF_LOG_2_PI


def _rest(x, log_x=None):
    """Return what Stirling's formula leaves of the logarithm of the gamma function.

        log_gamma(x) = (x - 1/2) log(x) - x + log(2 pi) / 2 + rest(x),    x > 0

    A sum of such terms in which x log(x) cancels keeps its digits however large x is. `log_x` is
    there for an x that is so small that it may be 0.
    """
    log_x = ops.log(x) if log_x is None else log_x
    is_small = x < 8
    # Not by ops.minimum, which on torch and JAX knows no 64 bits.
    small, large = ops.where(is_small, x, 8.0), ops.where(is_small, 8.0, x)
    of_small = (
        backend.distributions.log_gamma(1 + small) - (small + 0.5) * log_x + small - _HALF_LOG_2_PI
    )
    square = ops.square(1 / large)
    series = 1 / 12 - square * (1 / 360 - square * (1 / 1260 - square * (1 / 1680 - square / 1188)))
    return ops.where(is_small, of_small, series / large)


def _limited(function, x):
    """Return the exponential function, or expm1, of x, but a straight line where it is huge.

    So a density far out, and its derivative, are finite, and the derivative has the right sign.
    """
    is_64 = keras.backend.standardize_dtype(x.dtype) == "float64"
    bound = 600.0 if is_64 else 60.0
    is_within = x < bound
    straight = math.exp(bound) * ops.where(is_within, 0.0, x - bound)
    return function(ops.where(is_within, x, bound)) + straight


def _at_edge(exponent, otherwise):
    """Return the logarithm of c * x^exponent at x = 0; `otherwise` is log(c)."""
    infinite = ops.where(exponent > 0, -math.inf, ops.full_like(otherwise, math.inf))
    return ops.where(ops.equal(exponent, 0), otherwise, infinite)


def _of_counts(y, density, at_0):
    """Return the logarithm of the probability of counts, given that above 0 and that of 0."""
    outside = ops.where(y < 0, -math.inf, ops.where(ops.equal(y, 0), at_0, y))
    return ops.where(y > 0, density, outside)


def _away_from_0_and_1(p):
    """Return probabilities clipped as Keras does."""
    eps = keras.config.epsilon()
    return ops.clip(p, eps, 1 - eps)


def _no_count(y):
    return (y < 0) | (y != np.floor(y))


def _whole(value):
    """Return a float that is a whole number, as R's numbers are, as an int."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


# --- Shapes and dtypes ---------------------------------------------------------------------------


def _wide(dtype):
    """Return the dtype in which to compute a density: 32 bits at least."""
    # Not by `keras.backend.result_type`, which on torch and JAX knows no 64 bits.
    return "float64" if keras.backend.standardize_dtype(dtype) == "float64" else "float32"


def _tensor(value):
    """Return an array as a tensor; one of float64 stays so, of which Keras makes 32 bits on torch.

    Where a backend has no 64 bits, as JAX by default, it is what the backend makes of it.
    """
    is_64 = isinstance(value, np.ndarray) and value.dtype == np.float64
    keep = is_64 and backend.arrays.supports_dtype("float64")
    return ops.convert_to_tensor(value, dtype="float64" if keep else None)


def _is_end(shape, lead):
    """Tell whether a shape is the end of another, as far as both are known while Keras traces."""
    ends = zip(shape, lead[len(lead) - len(shape) :], strict=False)
    return len(shape) <= len(lead) and all(None in (a, b) or a == b for a, b in ends)


def _rows_of(y, lead):
    """Return those axes of the outputs that observations most likely were to have."""
    return lead[-min(max(y.ndim - 1, 1), len(lead)) :] if len(lead) > 1 else lead


def _numbers(y):
    """Return observations as an array of NumPy; refuse what is not numeric, and missing values."""
    try:
        array = np.asarray(ops.convert_to_numpy(y) if ops.is_tensor(y) else y)
    except ValueError:  # rows of several lengths
        array = np.array(None)
    if array.dtype.kind not in "bfiu":
        raise messages.invalid(
            "y",
            "an array of numbers",
            messages.describe(y),
            "Make numbers of it first: of a class its label 0, 1, ....",
        )
    array = array.astype("float64")
    if missing := int(np.isnan(array).sum()):
        raise messages.invalid(
            "y",
            "without missing values",
            f"{missing} NA/NaN among {array.size} values",
            "Leave their rows out.",
        )
    return np.atleast_1d(array)  # one number is what R makes of a vector with one element


def _wrong_columns(expected, columns, remedy=None):
    return messages.invalid(
        "outputs",
        f"a tensor whose last axis has {expected}",
        f"{columns} column{'s' * (columns != 1)}",
        remedy
        or "Let the last layer have units = likelihood.params_size(k), for k numbers in "
        "each row of y.",
    )


def _snake_case(name):
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


# --- By name -------------------------------------------------------------------------------------

NAMED = {
    "normal": NormalLikelihood,
    "student_t": StudentTLikelihood,
    "laplace": LaplaceLikelihood,
    "log_normal": LogNormalLikelihood,
    "gamma": GammaLikelihood,
    "beta": BetaLikelihood,
    "bernoulli": BernoulliLikelihood,
    "categorical": CategoricalLikelihood,
    "poisson": PoissonLikelihood,
    "negative_binomial": NegativeBinomialLikelihood,
    "normal_mixture": NormalMixtureLikelihood,
}


def get(identifier, argument="likelihood"):
    """Return the likelihood that a name, a saved config or an object stands for.

    Args:
        identifier: what the user gave.
        argument: name of the argument, for messages.
    """
    found = serialization.from_saved(argument, identifier)
    if isinstance(found, Likelihood):
        return found
    is_name = isinstance(found, str)
    if is_name and found in NAMED and found != "normal_mixture":
        return NAMED[found]()
    if is_name and found == "normal_mixture":
        remedy = (
            "It needs a number of components: pass NormalMixtureLikelihood(components = 2) (in R: "
            "likelihood_normal_mixture(components = 2))."
        )
    elif isinstance(found, type) and issubclass(found, Likelihood):
        remedy = f"Make an object of the class first: {found.__name__}(...)."
    else:
        names = ", ".join(f"'{name}'" for name in NAMED)
        hint = messages.suggest(found, NAMED) if is_name else ""
        remedy = f"{hint} Known names: {names}.".strip()
    raise messages.invalid(
        argument,
        "a known name or a likelihood",
        messages.describe(found),
        remedy,
        ValueError if is_name else TypeError,
    )


def from_loss(loss):
    """Return the likelihood that a loss of `compile()` is the negative logarithm of, else None.

    Args:
        loss: a likelihood, or a loss of Keras: an object, a function or its name.
    """
    if isinstance(loss, Likelihood):
        return loss
    if isinstance(loss, str):
        try:
            loss = keras.losses.get(loss)
        except ValueError:
            return None
    if loss is keras.losses.binary_crossentropy:
        return BernoulliLikelihood(from_logits=False)
    if loss in (
        keras.losses.categorical_crossentropy, keras.losses.sparse_categorical_crossentropy
    ):  # fmt: skip
        return CategoricalLikelihood(from_logits=False)
    # Not their subclasses, which may compute something else.
    if type(loss) is keras.losses.BinaryCrossentropy:
        return BernoulliLikelihood(from_logits=loss.from_logits)
    of_classes = (keras.losses.CategoricalCrossentropy, keras.losses.SparseCategoricalCrossentropy)
    if type(loss) in of_classes and getattr(loss, "axis", -1) == -1:
        return CategoricalLikelihood(from_logits=loss.from_logits)
    return None


@keras.saving.register_keras_serializable("layer_api")
class NegativeLogLikelihood(keras.metrics.MeanMetricWrapper):
    """Metric: the mean negative log-likelihood of the rows, whatever the loss is.

    Use it where the loss is another one, or has more in it: a network that is compiled with
    `"mse"` can be watched by the likelihood it will be judged by. In the history it is `nll` and
    `val_nll`. `KLHistory` gives the same numbers where the loss is the likelihood.

    Args:
        likelihood: Likelihood, or its name.
        name: Text, the name in the history. Default `"nll"`.
        **kwargs: `dtype`, as all metrics of Keras have it.

    Returns:
        A Keras metric.

    Raises:
        ValueError: `likelihood` is a name that is not known.
        TypeError: `likelihood` is no likelihood, or an argument is not known.

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(13,)), layer_api.DenseFlipout(1)])
    metric = layer_api.NegativeLogLikelihood(layer_api.NormalLikelihood(scale=0.5))
    model.compile(optimizer="adam", loss="mse", metrics=[metric])
    ```
    """

    def __init__(self, likelihood, name="nll", **kwargs):
        likelihood = get(likelihood)
        if unknown := sorted(set(kwargs) - {"dtype"}):
            raise validation.unknown_argument(
                unknown[0], type(self).__name__, ("likelihood", "name"), ("dtype",)
            )
        super().__init__(likelihood.call, name, **kwargs)
        self._direction = "down"
        self.likelihood = likelihood

    def get_config(self):
        """Return the arguments that make an equal metric."""
        # Not the wrapper's, which has to save the function that `likelihood` stands for.
        config = keras.metrics.Metric.get_config(self)
        return {**config, "likelihood": keras.saving.serialize_keras_object(self.likelihood)}
