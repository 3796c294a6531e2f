"""The layers for Keras 2 (`tf_keras`), registered for `tf_keras.models.load_model`.

Import this package before you load a whole model of Keras 2 in a new session. Importing `layer_api`
does not, as it imports `tf_keras` and TensorFlow Probability.
"""

import layer_api
from layer_api.keras_2 import layers
from layer_api.keras_2.layers import add, make

__all__ = ["add", "make", *layers.names()]

for _name in layers.names():
    globals()[_name] = layers.class_for(getattr(layer_api, _name))
