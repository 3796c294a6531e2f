"""Random bits under torch: its own generators, seeded again for every draw."""

import math
import sys
import threading
from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np
import torch

from layer_api import messages

# The eight signs that each value of a byte stands for: to look bytes up in this table is several
# times faster than to take the bits out of them.
_SIGNS_OF_A_BYTE = torch.from_numpy(
    1.0 - 2.0 * np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
)

# Between reading a state and moving it on, no other thread may read it.
_lock = threading.Lock()


class _State(NamedTuple):
    """The state of a generator, read once for all draws of a call.

    It cannot be read while Keras traces shapes, on tensors without values, nor while torch traces
    what it compiles.
    """

    words: torch.Tensor
    numbers: tuple[int, int] | None  # seed and number of the call, None where they are not read


class _Key(NamedTuple):
    state: _State
    stream: int


def is_compiling():
    """Tell whether a compiler reads the Python code of a layer, and knows no stack."""
    return torch.compiler.is_compiling()


def advance(generator, inputs=None):
    """Return the state of a generator for one call, and move it on to the next."""
    # Its exporter is imported when it is first used, and takes long to import.
    if "torch.onnx._internal.exporter" in sys.modules and torch.onnx.is_in_onnx_export():
        raise messages.no_onnx()
    if torch.compiler.is_compiling():
        words = generator.state.value.clone()  # what is not read yet has to outlive the assignment
        generator.state.assign(words + _one(words))
        return _State(words, None)
    with _lock:
        state = current(generator)
        if state.numbers is None:
            generator.state.assign(state.words + _one(state.words))
        else:
            seed, call = state.numbers
            seed, call = (seed, call + 1) if call < 0xFFFFFFFF else (seed + 1, 0)
            generator.state.assign(_words(seed, call, state.words))
    return state


def _one(words):
    return torch.tensor([0, 1], dtype=words.dtype, device=words.device)


def _words(seed, call, like):
    """Return the two numbers in the words of a state, of which torch has signed ones only."""
    numbers = [(number + 2**31) % 2**32 - 2**31 for number in (seed, call)]
    return torch.tensor(numbers, dtype=like.dtype, device=like.device)


def current(generator):
    """Return the state that the next call will have."""
    return _state_of(generator.state.value)


def previous(generator):
    """Return the state that the last call had."""
    words = generator.state.value
    state = _state_of(words)
    if state.numbers is None:
        return _State(words - _one(words), None)
    seed, call = state.numbers
    seed, call = (seed, call - 1) if call else (seed - 1, 0xFFFFFFFF)
    return _State(_words(seed, call, words), (seed & 0xFFFFFFFF, call))


def reset(generator, seed):
    """Start a generator from `seed`, also while Keras traces a function."""
    words = generator.state.value
    with torch.no_grad():
        words.copy_(_words(seed, 0, torch.empty(0, dtype=words.dtype)))


def _state_of(words):
    is_readable = words.device.type != "meta" and not torch.compiler.is_compiling()
    if not is_readable:
        return _State(words, None)
    seed, call = words.tolist()
    return _State(words, (seed & 0xFFFFFFFF, call & 0xFFFFFFFF))


def make_key(state, stream=0):
    """Return the key of a stream of a state."""
    return _Key(state, stream)


def key_of_words(words):
    """Return the key that two numbers, a tensor, stand for."""
    return _Key(_state_of(words), 0)


def scrambled(word):
    """Return a word of 32 bits, each of which depends on every bit of `word`, one to one."""
    word = ((word ^ (word >> 16)) * 0x85EBCA6B) & 0xFFFFFFFF
    word = ((word ^ (word >> 13)) * 0xC2B2AE35) & 0xFFFFFFFF
    return word ^ (word >> 16)


def number_of(key):
    """Return a key in 32 bits, with which torch seeds its generator on the CPU.

    They are different for the 2^32 calls of one seed and one stream, after which the state goes on
    to the next seed. Each process of a distributed run has numbers of its own.
    """
    seed, call = key.state.numbers or _state_of(key.state.words).numbers
    first = scrambled(seed ^ key.stream ^ 0x9E3779B9)
    second = scrambled(first ^ 0x7F4A7C15 ^ (_process() * 0x9E3779B1 & 0xFFFFFFFF))
    return scrambled(scrambled(call ^ first) ^ second)


def _process():
    """Return the number of this process among those that train one model together."""
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank()
    return 0


def has_no_values(key):
    """Tell whether a key is that of a call that only traces shapes."""
    return key.state.words.device.type == "meta"


def normal(shape, key, dtype):
    """Draw standard normals."""
    return _drawn(_normal, _normal_while_traced, shape, key, dtype)


def signs(shape, key, dtype):
    """Draw signs, one random bit each."""
    return _drawn(_signs, _signs_while_traced, shape, key, dtype)


def _drawn(draw, draw_while_traced, shape, key, dtype):
    # If a user's function cannot do without values, Keras traces again on tensors with values, but
    # the state of the noise has none any more: what stands for a draw then is made where Keras
    # makes tensors at that moment.
    if has_no_values(key):
        return keras.ops.zeros(shape, dtype)
    if torch.compiler.is_compiling():
        return draw_while_traced(key.state.words, key.stream, shape, getattr(torch, dtype))
    device = key.state.words.device
    generator = torch.Generator(device)
    generator.manual_seed(number_of(key))
    return draw(shape, generator, getattr(torch, dtype), device)


def _normal(shape, generator, dtype, device):
    return torch.randn(shape, generator=generator, dtype=dtype, device=device)


def _signs(shape, generator, dtype, device):
    size = math.prod(shape)
    words = torch.empty(-(-size // 64), dtype=torch.int64, device=device)
    octets = words.random_(-(2**63), None, generator=generator).view(torch.uint8)
    values = _SIGNS_OF_A_BYTE.to(device, dtype).index_select(0, octets.int())
    return values.reshape(-1)[:size].reshape(shape)


def _while_traced(name, function):
    """Return `function` as an operation that torch compiles as a call: it draws when that runs."""

    def operation(
        words: torch.Tensor, stream: int, shape: Sequence[int], dtype: torch.dtype
    ) -> torch.Tensor:
        key = make_key(_state_of(words), stream)
        return function(shape, key, str(dtype).removeprefix("torch."))

    made = torch.library.custom_op(f"layer_api::{name}", operation, mutates_args=())
    made.register_fake(lambda words, _, shape, dtype: words.new_empty(shape, dtype=dtype))
    return made


_normal_while_traced = _while_traced("random_normal", normal)
_signs_while_traced = _while_traced("random_signs", signs)
