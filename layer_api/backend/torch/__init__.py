"""torch, with its own distributions."""

import torch
from keras import ops

CONVOLVES_CHANNELS_FIRST = True


def matmul(inputs, kernel):
    """Return the product over the last axis of `inputs`; Keras's own has 32 bits for 64."""
    if inputs.dtype == torch.float64:
        return torch.matmul(inputs, kernel)
    return ops.matmul(inputs, kernel)


def supports_dtype(dtype):
    """Tell whether torch computes in `dtype`: in all of them."""
    return True


def constant(array):
    """Return an array of NumPy as what a layer computes with: a tensor, which compiles."""
    return torch.from_numpy(array)


def owns(function):
    """Tell whether `function` is the backend's own, such as `torch.relu`."""
    return (function.__module__ or "").split(".")[0] == "torch"
