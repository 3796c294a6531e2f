"""torch, with its own distributions."""

import copy
import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np
import torch
from torch import distributions as dist

LIBRARY = "torch.distributions"
CONVOLVES_CHANNELS_FIRST = True

# The eight signs that each value of a byte stands for: to look bytes up in this table is several
# times faster than to take the bits out of them.
_SIGNS_OF_A_BYTE = torch.from_numpy(
    1.0 - 2.0 * np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
)


class _State(NamedTuple):
    """The state of a generator, read once for all draws of a call.

    It cannot be read while Keras traces shapes, on tensors without values, nor while torch traces
    what it compiles.
    """

    words: torch.Tensor
    numbers: list[int] | None  # seed and counter, None where they are not read


class _Key(NamedTuple):
    state: _State
    streams: int
    stream: int


def advance(generator):
    """Return the state of a generator for one call, and move it on to the next."""
    words = generator.state.value
    # What is not read yet has to outlive the assignment.
    state = state_of(words.clone() if torch.compiler.is_compiling() else words)
    generator.state.assign(words + torch.tensor([0, 1], dtype=words.dtype, device=words.device))
    return state


def state_of(words):
    """Return the state that the two words of a generator stand for."""
    is_readable = words.device.type != "meta" and not torch.compiler.is_compiling()
    return _State(words, words.tolist() if is_readable else None)


def make_key(state, streams=1, index=0):
    """Return the key (seed, counter * streams + index) of random numbers."""
    return _Key(state, streams, index)


def _scrambled(word):
    """Return a word of 32 bits of which every bit depends on every bit of `word`, one to one."""
    word = ((word ^ (word >> 16)) * 0x85EBCA6B) & 0xFFFFFFFF
    word = ((word ^ (word >> 13)) * 0xC2B2AE35) & 0xFFFFFFFF
    return word ^ (word >> 16)


def _number(key):
    """Return a key in 32 bits, with which torch seeds its generator on the CPU.

    They are different for all counters of one seed, and the sequence of one seed is not that of
    another one shifted.
    """
    seed, counter = key.state.numbers or key.state.words.tolist()
    seed, counter = seed & 0xFFFFFFFF, (counter * key.streams + key.stream) & 0xFFFFFFFF
    first = _scrambled(seed ^ 0x9E3779B9)
    return _scrambled(_scrambled(counter ^ first) ^ _scrambled(first ^ 0x7F4A7C15))


def _has_no_values(key):
    return key.state.words.device.type == "meta"


def random_normal(shape, key, dtype):
    """Draw standard normals."""
    return _drawn(_normal, _normal_while_traced, shape, key, dtype)


def random_signs(shape, key, dtype):
    """Draw signs, one random bit each."""
    return _drawn(_signs, _signs_while_traced, shape, key, dtype)


def _drawn(draw, draw_while_traced, shape, key, dtype):
    # If a user's function cannot do without values, Keras traces anew on tensors with values, but
    # the state of the noise has none any more: what stands for a draw then is made where Keras
    # makes tensors at that moment.
    if _has_no_values(key):
        return keras.ops.zeros(shape, dtype)
    if torch.compiler.is_compiling():
        words, streams, stream = key.state.words, key.streams, key.stream
        return draw_while_traced(words, streams, stream, shape, getattr(torch, dtype))
    device = key.state.words.device
    generator = torch.Generator(device)
    generator.manual_seed(_number(key))
    return draw(shape, generator, getattr(torch, dtype), device)


def _normal(shape, generator, dtype, device):
    return torch.randn(shape, generator=generator, dtype=dtype, device=device)


def _signs(shape, generator, dtype, device):
    size = math.prod(shape)
    words = torch.empty(-(-size // 64), dtype=torch.int64, device=device)
    octets = words.random_(-(2**63), None, generator=generator).view(torch.uint8)
    signs = _SIGNS_OF_A_BYTE.to(device, dtype).index_select(0, octets.int())
    return signs.reshape(-1)[:size].reshape(shape)


def _while_traced(name, function):
    """Return `function` as an operation that torch compiles as a call: it draws when that runs."""

    def operation(
        words: torch.Tensor, streams: int, stream: int, shape: Sequence[int], dtype: torch.dtype
    ) -> torch.Tensor:
        key = make_key(state_of(words), streams, stream)
        return function(shape, key, str(dtype).removeprefix("torch."))

    made = torch.library.custom_op(f"layer_api::{name}", operation, mutates_args=())
    made.register_fake(lambda words, _, __, shape, dtype: words.new_empty(shape, dtype=dtype))
    return made


_normal_while_traced = _while_traced("random_normal", random_normal)
_signs_while_traced = _while_traced("random_signs", random_signs)


def constant(array):
    """Return an array of NumPy as what a layer computes with: a tensor, which compiles."""
    return torch.from_numpy(array)


def dtype_for_callables(name):
    """Return the dtype object that the library's functions expect for the dtype called `name`."""
    return getattr(torch, name)


def owns(function):
    """Tell whether `function` is the backend's own, such as `torch.relu`."""
    return (function.__module__ or "").split(".")[0] == "torch"


def is_distribution(value):
    """Tell whether `value` is a distribution of torch."""
    return isinstance(value, dist.Distribution)


class Deterministic(dist.Distribution):
    """The point mass at `loc`, which torch has no distribution for."""

    has_rsample = True
    arg_constraints = {"loc": dist.constraints.real}  # noqa: RUF012 - as in torch's distributions
    support = dist.constraints.real

    def __init__(self, loc, validate_args=None):
        self.loc = loc
        super().__init__(loc.shape, validate_args=validate_args)

    def expand(self, batch_shape, _instance=None):
        """Return the point mass at `loc`, expanded."""
        return Deterministic(self.loc.expand(batch_shape), validate_args=False)

    @property
    def mean(self):
        """The point."""
        return self.loc

    @property
    def mode(self):
        """The point."""
        return self.loc

    @property
    def variance(self):
        """Zero."""
        return torch.zeros_like(self.loc)

    def rsample(self, sample_shape=()):
        """Return the point, as often as is asked for."""
        return self.loc.expand(self._extended_shape(sample_shape))

    def log_prob(self, value):
        """Return the logarithm of the probability of `value`: 0 at the point, else -infinity."""
        nothing = torch.zeros_like(self.loc)
        return torch.where(value == self.loc, nothing, nothing - math.inf)


def _over_all_elements(distribution):
    rank = len(distribution.batch_shape)
    return dist.Independent(distribution, rank, validate_args=False)


def normal_distribution(loc, scale):
    """Return independent normals as one distribution over all elements."""
    return _over_all_elements(dist.Normal(loc, scale, validate_args=False))


def deterministic_distribution(loc):
    """Return the point mass at `loc` as one distribution over all elements."""
    return _over_all_elements(Deterministic(loc, validate_args=False))


def laplace_distribution(loc, scale):
    """Return independent Laplace distributions as one distribution over all elements."""
    return _over_all_elements(dist.Laplace(loc, scale, validate_args=False))


def normal_mixture_distribution(weights, loc, scales):
    """Return independent mixtures of two normals as one distribution over all elements.

    Args:
        weights: tuple of two floats, the probabilities of the normals.
        loc: tensor, the means: both normals have the same.
        scales: tuple of two floats, the standard deviations.
    """
    ones = torch.ones_like(loc)[..., None]
    mixture = dist.MixtureSameFamily(
        dist.Categorical(probs=ones * torch.as_tensor(weights).to(ones), validate_args=False),
        dist.Normal(loc[..., None], ones * torch.as_tensor(scales).to(ones), validate_args=False),
        validate_args=False,
    )
    return _over_all_elements(mixture)


def multivariate_normal_distribution(loc, scale_tril):
    """Return the normal over all elements of `loc`, which may have any shape, as one event."""
    normal = dist.MultivariateNormal(loc.reshape(-1), scale_tril=scale_tril, validate_args=False)
    if loc.ndim == 1:
        return normal
    reshape = dist.transforms.ReshapeTransform(normal.event_shape, loc.shape)
    return dist.TransformedDistribution(normal, reshape, validate_args=False)


def log_prob(distribution, value):
    """Return the logarithm of the density of one of the library's distributions at `value`."""
    if not torch.is_tensor(value):
        # A copy: torch warns of arrays that cannot be written to, as those of R.
        value = torch.tensor(value, dtype=torch.get_default_dtype())
    return distribution.log_prob(value)


def mean(distribution):
    """Return the mean of one of the library's distributions."""
    return distribution.mean


def stddev(distribution):
    """Return the standard deviation of one of the library's distributions."""
    return distribution.stddev


def sample(distribution, sample_shape=(), seed=None):
    """Draw from one of the library's distributions, so that gradients flow where it can.

    Args:
        distribution: distribution; one that `seeded` returned draws under its key.
        sample_shape: shape of the array of draws.
        seed: whole number or two of them, or None.
    """
    shape = torch.Size([sample_shape] if isinstance(sample_shape, int) else sample_shape)
    if seed is not None:
        words = torch.as_tensor(seed).expand(2)
        distribution = seeded(distribution, make_key(state_of(words)))
    return distribution.rsample(shape) if distribution.has_rsample else distribution.sample(shape)


def _base(distribution):
    while isinstance(distribution, dist.Independent):
        distribution = distribution.base_dist
    return distribution


def normal_parameters(distribution):
    """Return (loc, scale) of an independent normal, None for anything else."""
    base = _base(distribution)
    return (base.loc, base.scale) if isinstance(base, dist.Normal) else None


def deterministic_parameter(distribution):
    """Return loc of a point mass, None for anything else."""
    base = _base(distribution)
    return base.loc if isinstance(base, Deterministic) else None


def kl_divergence(q, p):
    """Return KL(q || p) of two of the library's distributions where the library knows it."""
    return dist.kl_divergence(q, p)


# Not compiled, as torch does not let the state of its global generator be a part of that.
@torch.compiler.disable
def _draw_in_place_of_the_global_generator(key, index, method, shape):
    """Let torch's global generator draw under `key`, and put it back as it was."""
    device, number = key.state.words.device, _number(key)
    if device.type == "cpu":
        generator = torch.default_generator
    else:
        generator = getattr(torch, device.type).default_generators[device.index or 0]
    before = generator.get_state()
    generator.manual_seed(_scrambled(number ^ index) if index else number)
    try:
        return method(shape)
    finally:
        generator.set_state(before)


def seeded(distribution, key, first=None):
    """Return a copy of `distribution` whose `sample()` and `rsample()` draw under `key`.

    It is what a user's own function receives, so that a layer's seed governs `d.rsample()` too.
    torch's distributions draw from the global generator alone.

    Args:
        distribution: one of the library's distributions.
        key: key of the draws.
        first: function without arguments that makes the first draw of a single value; None for the
            library's own.
    """
    if _has_no_values(key):
        return distribution
    seeded_copy = copy.copy(distribution)
    draws = itertools.count()

    def governed(method, keep):
        def draw(sample_shape=()):
            index, shape = next(draws), torch.Size(sample_shape)
            if index == 0 and first is not None and not shape:
                return keep(first())
            return _draw_in_place_of_the_global_generator(key, index, method, shape)

        return draw

    vars(seeded_copy)["sample"] = governed(distribution.sample, torch.Tensor.detach)
    vars(seeded_copy)["rsample"] = governed(distribution.rsample, lambda drawn: drawn)
    return seeded_copy
