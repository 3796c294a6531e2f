"""Every random draw of the package, and nothing else draws.

A layer owns one `keras.random.SeedGenerator`, whose state (seed, number of the call) Keras saves
with the weights. One call of the layer advances it once; the draws within a call take separate
streams, each with a name:

    key of a stream = (seed xor hash of the name, number of the call)

So no two calls share a key, whatever other streams a layer has, or will have in a later version.
The state counts 2^63 calls: beyond any training.

Layers of one model that have the same `seed` must not draw the same numbers. The first of them has
the seed itself, the k-th after it one that is computed from the seed and k: see `seed_of_twin`.

Outside of training a draw can stand for one function: then all calls of a layer in it have one
state, whose weights serve all rows. See `one_function`.
"""

import contextlib
import random
import sys
import threading
import types
import zlib

import keras
import numpy as np
from keras import ops

from layer_api import backend, messages

# What calls a function again, or once for many examples: name of the function and end of its file.
_REPEATED_BY = {
    "_pfor_impl": ("parallel_for/control_flow_ops.py", "tf.vectorized_map"),
    "recompute_grad": ("ops/custom_gradient.py", "tf.recompute_grad"),
    "inner": ("ops/custom_gradient.py", "keras.RematScope or tf.recompute_grad"),
    "checkpoint": ("torch/utils/checkpoint.py", "keras.RematScope or torch.utils.checkpoint"),
    "recompute_fn": ("torch/utils/checkpoint.py", "keras.RematScope or torch.utils.checkpoint"),
}


def drawn_seed():
    """Return a seed from the global random state, which `keras.utils.set_random_seed()` sets.

    A layer without a seed takes one when it is made, and nothing from the global state later. So
    layers made in one order are equal, whether each is built at once, as in a pipe in R, or later.
    """
    return random.randrange(2**31)


def seed_of_twin(seed, number):
    """Return the seed of one of several layers of a model that were given the same one."""
    return seed if number == 0 else _seed_for(seed, f"twin {number}")


class _OneFunction(threading.local):
    is_drawn = False


_one_function = _OneFunction()


@contextlib.contextmanager
def one_function():
    """Have every layer called inside draw one set of weights, for all rows and all its calls."""
    before = _one_function.is_drawn
    _one_function.is_drawn = True
    try:
        yield
    finally:
        _one_function.is_drawn = before


def is_one_function():
    """Tell whether the layers that are called draw one set of weights for all rows."""
    return not backend.random.is_compiling() and _one_function.is_drawn


def advance(generator, inputs=None):
    """Return the state for one call of a layer, and move `generator` on to the next.

    Raises:
        RuntimeError: The call would be run again, or once for many examples.
    """
    if is_one_function():
        return current(generator)
    _refuse_repeats()
    return backend.random.advance(generator, inputs)


def _refuse_repeats():
    """Refuse a call inside what TensorFlow or torch will run again, or once for many examples."""
    if backend.random.is_compiling():
        return
    frame: types.FrameType | None = sys._getframe(2)
    while frame is not None:
        code = frame.f_code
        if code.co_name in _REPEATED_BY:
            file, name = _REPEATED_BY[code.co_name]
            if code.co_filename.endswith(file):
                raise messages.drawn_once(name)
        frame = frame.f_back


def current(generator):
    """Return the state of `generator` and leave it where it is."""
    return backend.random.current(generator)


def previous(generator):
    """Return the state that the last call of the layer had."""
    return backend.random.previous(generator)


def save(generator, store):
    """Save the state of `generator` with a layer's weights: a resumed run continues from it."""
    store["noise_state"] = ops.convert_to_numpy(generator.state)


def load(generator, store):
    """Load what `save` saved; return the weights."""
    generator.state.assign(store["noise_state"])
    return {name: store[name] for name in store.keys() if name != "noise_state"}  # noqa: SIM118


def key(state, stream):
    """Return the key of a stream of draws; replicas of a distributed run get different ones."""
    return backend.random.make_key(state, _hash(stream))


_hashes: dict[str, int] = {}


def know(streams):
    """Have the hashes of streams at hand, as a compiler that reads this cannot compute them."""
    _hashes.update({stream: zlib.crc32(stream.encode()) for stream in streams})


def _hash(stream):
    return _hashes[stream] if stream in _hashes else zlib.crc32(stream.encode())


def normal(shape, key, dtype):
    """Draw standard normals."""
    return backend.random.normal(shape, key, dtype)


def signs(shape, key, dtype):
    """Draw from {-1, +1} with equal probability, at the cost of one random bit each."""
    return backend.random.signs(shape, key, dtype)


def fresh_initializer(initializer, seed, name):
    """Return `initializer` such that no two variables start with the same values by accident.

    An unseeded Keras initializer gives the same values at every call. So each variable gets one of
    its own, which depends on the layer's `seed` and on the variable's `name`. An initializer to
    which the user gave a seed stays as it is.
    """
    initializer = keras.initializers.get(initializer)
    if not hasattr(initializer, "get_config"):
        return initializer
    config = initializer.get_config()
    if config.get("seed", 0) is not None:
        return initializer
    config["seed"] = _seed_for(seed, name)
    return type(initializer).from_config(config)


def permutation(n, seed, name):
    """Draw an order of 1, ..., `n`; `name` tells the draws of one layer apart."""
    return _frozen(seed, name).permutation(n) + 1


def integers(low, high, n, seed, name):
    """Draw `n` whole numbers from `low` to below `high`."""
    return _frozen(seed, name).randint(low, high, n)


def _frozen(seed, name):
    """Return a generator that, as NumPy promises, draws the same in every version."""
    return np.random.RandomState(_seed_for(seed, name))


def _seed_for(seed, name):
    return zlib.crc32(f"{seed}/{name}".encode()) >> 1
