"""What the package needs of Keras's backend by name: random bits, dtypes and distributions.

No other file names a backend. `protocol.py` says what each of them provides; only that of the
backend in use is imported. Its library of distributions is imported only once a user's own
function, or a look at a layer's distributions, needs it.
"""

import importlib
from typing import cast

import keras

from layer_api.backend import protocol

NAMED = ("tensorflow", "jax", "torch")

if keras.backend.backend() not in NAMED:
    raise ImportError(
        f"layer_api runs on Keras's backends {', '.join(NAMED)}. Received: the backend "
        f"'{keras.backend.backend()}'. Set the environment variable KERAS_BACKEND, for example to "
        "tensorflow, before Keras is imported."
    )

_chosen = f"{__name__}.{keras.backend.backend()}"

arrays = cast(protocol.Arrays, importlib.import_module(_chosen))
random = cast(protocol.Random, importlib.import_module(f"{_chosen}.random"))
distributions = cast(protocol.Distributions, importlib.import_module(f"{_chosen}.distributions"))
fused = cast(protocol.Fused, importlib.import_module(f"{_chosen}.fused"))
loops = cast(protocol.Loops, importlib.import_module(f"{_chosen}.loops"))
