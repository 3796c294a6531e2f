"""The weight of the divergence, while a network trains."""

from layer_api import keras_private, messages, validation


def set_kl_weight(model, value):
    """Set the weight of the divergence in all variational layers of a model.

    Use it to weaken or strengthen the divergence without building or compiling anew: the next step
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
    layers = [layer for layer in keras_private.all_layers(model) if hasattr(layer, "kl_weight")]
    if not layers:
        raise messages.invalid(
            "model",
            "a model with at least one variational layer",
            messages.describe(model),
            "Only layers whose weights have distributions have a divergence.",
        )
    keras_private.put_values_back(model)
    for layer in layers:
        layer.kl_weight = value
    return model
