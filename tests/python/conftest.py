"""Every test starts from Keras as it is when a process starts."""

import keras
import pytest


@pytest.fixture(autouse=True)
def fresh_keras():
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(20180312)  # the day Flipout's paper was published; any would do
    yield
    keras.config.set_dtype_policy("float32")
    keras.config.set_floatx("float32")
