"""Every test starts from Keras as it is when a process starts."""

import gc

import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    # What is about TensorFlow, or about no backend.
    about = ("arviz", "benchmarks", "drop_in", "examples", "floors", "fuzz", "legacy", "migration")
    collect_ignore = [f"test_{name}.py" for name in (*about, "plots", "truth")]

# What libraries create on import stays: garbage collection need not look at it again and again,
# which takes a twentieth of the time.
gc.collect()
gc.freeze()

SEED = 20180312  # the day Flipout's paper was published; any would do


@pytest.fixture(autouse=True)
def fresh_keras(request):
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(SEED)
    if hasattr(request.module, "RNG"):  # or its numbers would depend on the tests before this one
        request.module.RNG = np.random.default_rng(SEED)
    yield
    keras.config.set_dtype_policy("float32")
    keras.config.set_floatx("float32")
