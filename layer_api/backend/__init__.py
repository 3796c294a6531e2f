"""What the package needs of Keras's backend by name: random bits, dtypes and distributions.

No other file names a backend. One module for each backend has the same functions, and only that of
the backend in use is imported. Its library of distributions is imported only once a user's own
function, or a look at a layer's distributions, needs it.
"""

import importlib

import keras

NAMED = ("tensorflow", "jax", "torch")

if keras.backend.backend() not in NAMED:
    raise ImportError(
        f"layer_api runs on Keras's backends {', '.join(NAMED)}. Received: the backend "
        f"'{keras.backend.backend()}'. Set the environment variable KERAS_BACKEND, for example to "
        "tensorflow, before Keras is imported."
    )

_chosen = importlib.import_module(f"{__name__}.{keras.backend.backend()}")

# For independent normals with scale = eps + softplus(untransformed_scale): `deviation` and
# `kl_divergence`, wherever `is_worth_it`.
fused = importlib.import_module(f"{__name__}.{keras.backend.backend()}_fused")

LIBRARY = _chosen.LIBRARY
CONVOLVES_CHANNELS_FIRST = _chosen.CONVOLVES_CHANNELS_FIRST
advance = _chosen.advance
constant = _chosen.constant
deterministic_distribution = _chosen.deterministic_distribution
deterministic_parameter = _chosen.deterministic_parameter
dtype_for_callables = _chosen.dtype_for_callables
is_distribution = _chosen.is_distribution
kl_divergence = _chosen.kl_divergence
laplace_distribution = _chosen.laplace_distribution
log_prob = _chosen.log_prob
make_key = _chosen.make_key
mean = _chosen.mean
multivariate_normal_distribution = _chosen.multivariate_normal_distribution
normal_distribution = _chosen.normal_distribution
normal_mixture_distribution = _chosen.normal_mixture_distribution
normal_parameters = _chosen.normal_parameters
owns = _chosen.owns
random_normal = _chosen.random_normal
random_signs = _chosen.random_signs
sample = _chosen.sample
seeded = _chosen.seeded
state_of = _chosen.state_of
stddev = _chosen.stddev
