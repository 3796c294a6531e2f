"""Every random draw of the package, and nothing else draws.

A layer owns one `keras.random.SeedGenerator`, whose state (seed, counter) Keras saves with the
weights. One call of the layer advances it once; the draws within a call take separate streams:

    key of a stream = (seed, counter * number of streams + index of the stream)

so no two draws of a layer ever share a key, whatever the number of calls.
"""

import random
import zlib

import keras
import numpy as np
from keras import ops

from layer_api import backend

STREAMS = ("kernel", "bias", "input_sign", "output_sign", "divergence_kernel", "divergence_bias")


def drawn_seed():
    """Return a seed from the global random state, which `keras.utils.set_random_seed()` sets.

    A layer without a seed takes one when it is made, and nothing from the global state later. So
    layers made in one order are equal, whether each is built at once, as in a pipe in R, or later.
    """
    return random.randrange(2**31)


def advance(generator):
    """Return the state for one call of a layer, and move `generator` on to the next."""
    return backend.advance(generator)


def current(generator):
    """Return the state of `generator` and leave it where it is."""
    return backend.state_of(ops.convert_to_tensor(generator.state))


def previous(generator):
    """Return the state that the last call of the layer had."""
    words = ops.convert_to_tensor(generator.state)
    return backend.state_of(words - ops.convert_to_tensor([0, 1], words.dtype))


def save(generator, store):
    """Save the state of `generator` beside a layer's weights, so that a resumed run draws on."""
    store["noise_state"] = ops.convert_to_numpy(generator.state)


def load(generator, store):
    """Load what `save` saved; return the weights."""
    generator.state.assign(store["noise_state"])
    return {name: store[name] for name in store.keys() if name != "noise_state"}  # noqa: SIM118


def key(state, stream):
    """Return the key of one stream of draws; replicas of a distributed run get different ones."""
    return backend.make_key(state, len(STREAMS), STREAMS.index(stream))


def normal(shape, key, dtype):
    """Draw standard normals."""
    return backend.random_normal(shape, key, dtype)


def signs(shape, key, dtype):
    """Draw from {-1, +1} with equal probability, at the cost of one random bit each."""
    return backend.random_signs(shape, key, dtype)


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
    """Return a generator of which NumPy promises that it draws the same in every version."""
    return np.random.RandomState(_seed_for(seed, name))


def _seed_for(seed, name):
    return zlib.crc32(f"{seed}/{name}".encode()) >> 1
