"""TensorFlow, with the distributions of TensorFlow Probability."""

from keras import ops

# It does so on some processors only. On a GPU it makes one of the two layouts of the other itself.
CONVOLVES_CHANNELS_FIRST = False

matmul = ops.matmul


def supports_dtype(dtype):
    """Tell whether TensorFlow computes in `dtype`: in all of them."""
    return True


def constant(array):
    """Return an array of NumPy as what a layer computes with: the array."""
    return array


def owns(function):
    """Tell whether `function` is the backend's own, such as `tf.nn.relu`."""
    return function.__module__.startswith("tensorflow.")
