"""The classes of the layers for Keras 2, registered for `tf_keras.models.load_model`.

Import this module before you load a whole model of Keras 2 in a new session. Importing `layer_api`
does not, as it imports `tf_keras` and TensorFlow Probability.
"""

import layer_api
from layer_api import legacy

for _name in legacy.names():
    globals()[_name] = legacy.class_for(getattr(layer_api, _name))
