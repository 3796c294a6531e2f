"""A loop over draws in torch, which runs what it is told, one operation after the other."""

import keras
import numpy as np
import torch
from keras import ops

from layer_api.backend.torch import random

READS_VARIABLES = True


def compiled(trace, variables, states, x):
    """Return a function of (states, x) that runs `trace` without derivatives."""

    def run(states, x):
        with torch.no_grad():
            return trace(_map, states, keras.tree.map_structure(_tensor, x))

    return run


def _tensor(array):
    return ops.convert_to_tensor(np.ascontiguousarray(array))


def _map(draw, states):
    n = len(states[0]) if states else 1
    outputs = None
    for s in range(n):
        made = draw([random.words_of(*each[s].tolist()) for each in states])
        if outputs is None:
            outputs = keras.tree.map_structure(lambda a: a.new_empty((n, *a.shape)), made)
        keras.tree.map_structure(lambda to, a: to[s].copy_(a), outputs, made)  # noqa: B023
    return outputs
