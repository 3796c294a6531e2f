"""The hand-over of draws to ArviZ."""

from layer_api.answers import draws as drawing
from layer_api.answers.intervals import drawn


def to_datatree(
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
    """Return predictions, their log densities and the observations as ArviZ has them.

    Use it to check and compare networks with ArviZ: `arviz.loo(tree, reff=1)` reads the log
    densities, its plots of posterior predictive checks read draws and observations. Draws are one
    chain, and independent, which `reff=1` says. What `loo()` estimates for rows that were left out
    depends on the posterior, which a variational one only approximates: see its diagnostics.

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
        A `DataTree` of xarray with the groups `posterior_predictive`, `log_likelihood` and
        `observed_data`. Each has the variable `y`, or, for a model with several outputs, one for
        each output, by its name; draws have the dimensions `chain` and `draw` before the rows.

    Raises:
        ValueError: An argument has a value that it cannot have; the message says what it can be.
        TypeError: An argument is of the wrong type, such as a model that is none.
        ImportError: arviz-base, the part of ArviZ that this needs, is not installed.

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(3,)), layer_api.DenseFlipout(2)])
    model.compile(optimizer="adam", loss=layer_api.NormalLikelihood())
    x = numpy.random.default_rng(1).normal(size=(10, 3))
    tree = layer_api.to_datatree(model, x, numpy.zeros(10), draws=100, seed=1)
    tree["log_likelihood"]["y"].shape  # (1, 100, 10)
    ```

    References:
        Vehtari, Gelman and Gabry (2017), Practical Bayesian model evaluation using leave-one-out
        cross-validation and WAIC. <https://doi.org/10.1007/s11222-016-9696-4>
    """
    from_dict = _from_dict()
    outputs = drawn((model, x, draws, seed, batch_size, joint, training, verbose, likelihood), y)
    groups = {
        "posterior_predictive": drawing.posterior_predict(
            outputs, seed=drawing.seed_for_draws(seed)
        ),
        "log_likelihood": drawing.log_lik(outputs, y=y),
        "observed_data": drawing.with_observations(_observed, outputs, y),
    }
    of_draws = ("posterior_predictive", "log_likelihood")
    return from_dict({name: _variables(each, name in of_draws) for name, each in groups.items()})


def _from_dict():
    try:
        from arviz_base import from_dict
    except ImportError as error:
        raise ImportError(
            "The hand-over to ArviZ needs arviz-base. Install it with: "
            "pip install 'layer-api[arviz]'"
        ) from error
    return from_dict


def _observed(outputs, y, _):
    """Return observations in the shape that draws of them have."""
    return drawing.without_axis_of_one(drawing.observations(outputs, y)[None])[0]


def _variables(values, are_draws):
    """Return arrays by the names of variables; draws become those of one chain."""
    values = values if isinstance(values, dict) else {"y": values}
    return {name: each.view()[None] if are_draws else each for name, each in values.items()}
