"""The divergence while a network trains: its weight, and what it is.

loss = nll + kl_weight * kl + other losses
"""

import contextlib
import math
import warnings

import keras
from keras import ops

from layer_api import keras_private, messages, validation
from layer_api.layers.variational_layer import DrawingLayer, noted_divergences


def set_kl_weight(model, value):
    """Set the weight of the divergence in all variational layers of a model.

    Use it to weaken or strengthen the divergence without building or compiling again: the next step
    of `fit()`, `evaluate()`, a loop of your own and `losses` use the new weight. The configuration
    and a saved model keep it.

    Args:
        model: Model or layer of Keras, built or not. The layers of models inside it count too.
        value: Number of at least 0, the factor on the divergences of every layer.

    Returns:
        The same model.

    Raises:
        ValueError: `value` is negative, infinite or not a number, or `model` has no variational
            layer.
        TypeError: `model` is neither a model nor a layer.

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(13,)), layer_api.DenseFlipout(1)])
    layer_api.set_kl_weight(model, 1 / 506)
    model.layers[0].kl_weight  # 1 / 506
    ```
    """
    value = validation.check_weight("value", value)
    if not messages.is_layer(model):
        raise messages.invalid(
            "model",
            "a model or a layer",
            messages.describe(model),
            "Pass the model that holds the layers.",
            TypeError,
        )
    layers = layers_with_weight(model)
    keras_private.put_values_back(model)
    for layer in layers:
        layer.kl_weight = value
    return model


class KLHistory(keras.callbacks.Callback):
    """Callback that shows what the loss is made of: the fit to the data, and the divergence.

    Use it in every `fit()` of a network with variational layers. The loss alone does not tell
    whether a network learns from the data or only moves towards its prior: a falling loss with a
    rising `nll` is a network that underfits. In each epoch

        loss = nll + kl_weight * kl + other losses

    holds for what the progress bar, the history and other callbacks such as `CSVLogger` get:

    - `nll`: value of the compiled loss, the mean negative log-likelihood where that is a
      likelihood. Of validation data it is `val_nll`.
    - `kl`: the divergences of all layers, without their weights.
    - `kl_weight`: the layers' own weight of it; where they differ, the weighted divergence over
      the divergence.

    They are means over the batches of the epoch, as the loss is. The callback adds only these means
    to a step: the loss computes the divergences anyway. A callback that watches `val_nll`, such as
    `EarlyStopping`, takes `mode="min"`.

    Returns:
        A Keras callback.

    Raises:
        ValueError: The model of `fit()` has no variational layer.

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(13,)), layer_api.DenseFlipout(2, kl_weight=0.01)])
    model.compile(optimizer="adam", loss=layer_api.NormalLikelihood())
    x, y = numpy.ones((100, 13)), numpy.zeros(100)
    history = model.fit(x, y, callbacks=[layer_api.KLHistory()], verbose=0)
    history.history["nll"], history.history["kl"]
    ```
    """

    def on_train_begin(self, logs=None):
        """Observe the steps of the model."""
        layers_with_weight(self.model, DrawingLayer)
        steps = keras_private.ObservedSteps.of(self.model)
        if steps is None:
            parts = _PartsOfLoss()
            steps = keras_private.ObservedSteps(
                self.model, parts, parts.in_step, parts.update_state
            )
        steps.start(self.model)

    def on_train_end(self, logs=None):
        """Leave the model as it was."""
        if steps := keras_private.ObservedSteps.of(self.model):  # none if it was compiled again
            steps.stop(self.model)


class _PartsOfLoss(keras.metrics.Metric):
    """What the loss is made of, as means over the rows of an epoch."""

    def __init__(self):
        super().__init__(name="parts_of_loss", dtype="float32")
        # Sums over rows: of 1, and of what `update_state` has.
        self.sums = self.add_variable(shape=(5,), initializer="zeros", name="sums")
        self._is_training, self._has_loss = True, True
        keras_private.untracked(self, _divergences={})

    @contextlib.contextmanager
    def in_step(self, is_training):
        """Take note of the divergences of one step."""
        self._is_training = is_training
        try:
            with noted_divergences() as found:
                keras_private.untracked(self, _divergences=found)
                yield
        finally:
            self._is_training = True
            keras_private.untracked(self, _divergences={})  # of a compiled step they are no values

    def update_state(self, rows, nll):
        """Add the parts of the loss of a batch."""
        self._has_loss = nll is not None
        pairs = list(self._divergences.values()) or [(0.0, 0.0)]
        weights, divergences = (
            ops.stack([ops.cast(pair[i], "float32") for pair in pairs]) for i in range(2)
        )
        means = ops.stack(
            [
                ops.ones(()),
                ops.cast(nll, "float32") if self._has_loss else ops.zeros(()),
                ops.sum(divergences),
                ops.sum(weights * divergences),
                ops.mean(weights),
            ]
        )
        self.sums.assign(self.sums + ops.cast(rows, "float32") * ops.stop_gradient(means))

    def result(self):
        """Return the parts by their names in the history."""
        rows, nll, kl, weighted, weight = ops.unstack(self.sums.value, 5)
        parts = {"nll": nll / rows} if self._has_loss else {}
        if self._is_training:
            is_zero = ops.equal(kl, 0)
            parts["kl"] = kl / rows
            parts["kl_weight"] = ops.where(
                is_zero, weight / rows, weighted / ops.where(is_zero, ops.ones_like(kl), kl)
            )
        return parts


class KLAnnealing(keras.callbacks.Callback):
    """Callback that raises the weight of the divergence from a start to its end while training.

    Use it where the prior pulls the weights in before the network has learned from the data: with
    little weight at first, the means move like those of an ordinary network. Where a network ends
    depends on the last weight, not on the way there. If the divergence is far above what there is
    to learn, it underfits with annealing, too; `elbo()` tells.

    After `t` of `epochs` epochs the weight is, with `u = t / epochs`,

    - `"linear"`: `start + (end - start) * u`,
    - `"cosine"`: `start + (end - start) * (1 - cos(pi * u)) / 2`,
    - `"cyclical"`: in each of `cycles` parts of equal length, linear over its first half, and
      `end` over its second,

    and `end` after all of them. It depends on the number of the epoch alone, so that training which
    `BackupAndRestore` resumes goes on as if it had not stopped. When `fit()` ends, layers have
    their own weight again; files, too, hold that. A warning says where another callback decides by
    `loss` or `val_loss`, which change with the weight.

    Args:
        epochs: Whole number of at least 1, how many epochs it takes.
        start: Number of at least 0, the weight at the start. Default `0.0`.
        end: Number of at least 0, which becomes the weight of all layers as by `set_kl_weight()`.
            Default `None`: each layer's own.
        shape: Name of the way there: `"linear"`, `"cosine"` or `"cyclical"`. Default `"linear"`.
        per: Whether the weight changes with each `"epoch"`, or with each `"batch"`, which takes
            data of a known number of batches. Default `"epoch"`.
        cycles: Whole number of at least 1, how many parts `"cyclical"` has. Default `4`.

    Returns:
        A Keras callback.

    Raises:
        ValueError: An argument has a value that it cannot have; when `fit()` begins: the model has
            no variational layer, or the number of batches is not known where it is needed.

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(13,)), layer_api.DenseFlipout(2, kl_weight=0.01)])
    model.compile(optimizer="adam", loss=layer_api.NormalLikelihood())
    x, y = numpy.ones((100, 13)), numpy.zeros(100)
    annealing = layer_api.KLAnnealing(epochs=3)
    callbacks = [annealing, layer_api.KLHistory()]
    history = model.fit(x, y, epochs=5, callbacks=callbacks, verbose=0)
    history.history["kl_weight"]  # 0, a third, two thirds of 0.01, and then 0.01
    ```

    References:
        Bowman et al. (2016), Generating Sentences from a Continuous Space, section 3.1.
        <https://arxiv.org/abs/1511.06349>

        Fu et al. (2019), Cyclical Annealing Schedule. <https://arxiv.org/abs/1903.10145>
    """

    def __init__(self, epochs, start=0.0, end=None, shape="linear", per="epoch", cycles=4):
        remedy = "Pass how many epochs it takes, for example epochs = 20."
        epochs = validation.check_whole_number("epochs", epochs, 1, remedy)
        start = validation.check_weight("start", start)
        end = None if end is None else validation.check_weight("end", end)
        shape = validation.check_one_of("shape", shape, tuple(_SHAPES))
        per = validation.check_one_of("per", per, ("epoch", "batch"))
        cycles = validation.check_whole_number(
            "cycles", cycles, 1, "Pass, for example, cycles = 4."
        )
        super().__init__()
        self.epochs, self.start, self.end = epochs, start, end
        self.shape, self.per, self.cycles = shape, per, cycles
        self._epoch = 0

    def on_train_begin(self, logs=None):
        """Check that the weight can be annealed, and set its end."""
        layers_with_weight(self.model, DrawingLayer)
        if self.per == "batch" and not self.params.get("steps"):
            raise messages.invalid(
                "per",
                "'epoch' where the number of batches in an epoch is not known",
                "'batch'",
                "Pass steps_per_epoch to fit() as well, or leave `per` out.",
            )
        for callback in keras_private.callbacks_of_fit():
            monitor = getattr(callback, "monitor", None)
            decides = getattr(callback, "save_best_only", True)
            if monitor in ("loss", "val_loss") and decides:
                warnings.warn(
                    f"{type(callback).__name__} watches '{monitor}', which changes with the weight "
                    "of the divergence while that is annealed. Let it watch 'val_nll', which "
                    "KLHistory adds, with mode = 'min', or start after the annealing where it can.",
                    stacklevel=2,
                )
        if self.end is not None:
            set_kl_weight(self.model, self.end)

    def on_epoch_begin(self, epoch, logs=None):
        """Set the weight of an epoch."""
        self._epoch = epoch
        self._set(epoch)

    def on_train_batch_begin(self, batch, logs=None):
        """Set the weight of a batch."""
        if self.per == "batch" and self._epoch < self.epochs:
            self._set(self._epoch + batch / self.params["steps"])

    def on_train_end(self, logs=None):
        """Give the layers their own weight again."""
        for layer in layers_with_weight(self.model, DrawingLayer):
            layer.anneal_kl_weight(None)

    def _set(self, passed):
        keras_private.put_values_back(self.model)
        share = _SHAPES[self.shape](passed / self.epochs, self.cycles)
        is_over = passed >= self.epochs
        for layer in layers_with_weight(self.model, DrawingLayer):
            end = layer.own_kl_weight
            layer.anneal_kl_weight(None if is_over else self.start + (end - self.start) * share)


def _cyclical(u, cycles):
    return min(1.0, 2 * (u * cycles % 1))


# The share of the way from start to end, after a share of the epochs.
_SHAPES = {
    "linear": lambda u, _: u,
    "cosine": lambda u, _: (1 - math.cos(math.pi * u)) / 2,
    "cyclical": _cyclical,
}


def layers_with_weight(model, kind=object):
    """Return the layers that weight a divergence; refuse a model without one.

    Args:
        model: model or layer of Keras 3 or 2.
        kind: class that the layers have. Default: any, those of a user with a `kl_weight` too.
    """
    layers = [
        layer
        for layer in keras_private.all_layers(model)
        if isinstance(layer, kind) and hasattr(layer, "kl_weight")
    ]
    if not layers:
        raise messages.invalid(
            "model",
            "a model with at least one variational layer",
            messages.describe(model),
            "Only layers whose weights have distributions have a divergence.",
        )
    return layers
