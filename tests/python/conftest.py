"""Every test starts from Keras as it is when a process starts."""

import keras
import numpy as np
import pytest

SEED = 20180312  # the day Flipout's paper was published; any would do


@pytest.fixture(autouse=True)
def fresh_keras(request):
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(SEED)
    if hasattr(
        request.module, "RNG"
    ):  # the same numbers, whichever tests ran before in the process
        request.module.RNG = np.random.default_rng(SEED)
    yield
    keras.config.set_dtype_policy("float32")
    keras.config.set_floatx("float32")
