"""Random bits under torch: its own generators, seeded again for every draw.

Whoever reads a tensor of another device waits for all that this has to do. So a state that lies
there is read once, and known from then on; what torch compiles draws from the state itself.
"""

import functools
import math
import sys
import threading
import typing
from typing import NamedTuple

import keras
import numpy as np
import torch
from torch.utils.weak import WeakTensorKeyDictionary

from layer_api import messages
from layer_api.backend.torch import philox

# Between reading a state and moving it on, no other thread may read it.
_lock = threading.Lock()


# The numbers of the states that other devices hold, and what tells that nobody wrote to them since.
_known = WeakTensorKeyDictionary()


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
        generator.state.assign(words + _step(words, -1))
        return _State(words, None)
    with _lock:
        state = current(generator)
        if state.numbers is None:
            generator.state.assign(state.words + _step(state.words, -1))
        else:
            seed, call = state.numbers
            seed, call = (seed, call + 1) if call < 0xFFFFFFFF else ((seed + 1) & 0xFFFFFFFF, 0)
            generator.state.assign(_words(seed, call, state.words))
            _note(generator.state.value, (seed, call))
    return state


def _step(words, last):
    """Return how far a state is from the next: the seed changes after the `last` call."""
    one = torch.arange(2, dtype=words.dtype, device=words.device)
    return one | (words[1:] == last)


def _words(seed, call, like):
    """Return the two numbers in the words of a state, of which torch has signed ones only.

    They are filled in: to copy them to a device would wait for it.
    """
    seed, call = ((number + 2**31) % 2**32 - 2**31 for number in (seed, call))
    words = torch.full((2,), seed, dtype=like.dtype, device=like.device)
    words[1:].fill_(call)
    return words


def current(generator):
    """Return the state that the next call will have."""
    return _state_of(generator.state.value)


def previous(generator):
    """Return the state that the last call had."""
    words = generator.state.value
    state = _state_of(words)
    if state.numbers is None:
        return _State(words - _step(words, 0), None)
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
    return _State(words, _numbers(words) if is_readable else None)


def _numbers(words):
    """Return seed and number of the call of a state."""
    if _is_at_hand(words.device) or words.is_inference():
        return _read(words)
    mark, numbers = _known.get(words, (None, None))
    if mark != _mark(words):
        numbers = _read(words)
        _note(words, numbers)
    return numbers


def _is_at_hand(device):
    """Tell whether what a device holds can be read without waiting."""
    return device.type == "cpu"


def _read(words):
    seed, call = words.tolist()
    return seed & 0xFFFFFFFF, call & 0xFFFFFFFF


def _note(words, numbers):
    if not (_is_at_hand(words.device) or words.is_inference()):
        _known[words] = _mark(words), numbers


def _mark(words):
    """Return what changes when somebody writes to a tensor, or gives it other memory.

    torch counts every write but those through `Tensor.data`, and those of its collectives.
    """
    return words._version, words.data_ptr()


def words_of(seed, call):
    """Return the state of these two numbers where Keras makes tensors at the moment."""
    words = _words(seed, call, keras.ops.empty((0,), "int32"))
    _note(words, (seed & 0xFFFFFFFF, call & 0xFFFFFFFF))
    return words


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
    """Return a key in 32 bits, with which torch seeds its generators.

    They are different for the 2^32 calls of one seed and one stream, after which the state goes on
    to the next seed. Each process of a distributed run has numbers of its own.
    """
    seed, call = key.state.numbers or _numbers(key.state.words)
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
    return _drawn("normal", shape, key, dtype)


def signs(shape, key, dtype):
    """Draw signs, one random bit each."""
    return _drawn("signs", shape, key, dtype)


def _drawn(kind, shape, key, dtype):
    # If a user's function cannot do without values, Keras traces again on tensors with values, but
    # the state of the noise has none any more: what stands for a draw then is made where Keras
    # makes tensors at that moment.
    if has_no_values(key):
        return keras.ops.zeros(shape, dtype)
    words, stream = key.state.words, key.stream
    device, dtype = words.device, getattr(torch, dtype)
    if torch.compiler.is_compiling():
        if _is_at_hand(device):
            return _WHILE_TRACED[kind](words, stream, shape, dtype)
        # Compiled, these operations are one loop. Eagerly they are 150, where a generator of torch
        # is one, and seeding it does not wait: so a compiled call draws other numbers there.
        return getattr(philox, kind)(shape, words, stream, _process(), dtype)
    generator = torch.Generator(device)
    generator.manual_seed(number_of(key))
    return _EAGER[kind](shape, generator, dtype, device)


def _normal(shape, generator, dtype, device):
    return torch.randn(shape, generator=generator, dtype=dtype, device=device)


def _signs(shape, generator, dtype, device):
    size = math.prod(shape)
    words = torch.empty(-(-size // 64), dtype=torch.int64, device=device)
    octets = words.random_(-(2**63), None, generator=generator).view(torch.uint8)
    values = _signs_of_a_byte(device, dtype).index_select(0, octets.int())
    return values.reshape(-1)[:size].reshape(shape)


@functools.cache
def _signs_of_a_byte(device, dtype):
    """Return the eight signs that each value of a byte stands for.

    To look bytes up in this table is several times faster than to take the bits out of them.
    """
    table = 1.0 - 2.0 * np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
    with torch.inference_mode(False):  # to be of use outside of that mode, too
        return torch.from_numpy(table).to(device, dtype)


_EAGER = {"normal": _normal, "signs": _signs}


def _while_traced(name, function):
    """Return `function` as an operation that torch compiles as a call: it draws when that runs."""

    # torch 2.4 knows no other type of a sequence here.
    def operation(
        words: torch.Tensor, stream: int, shape: typing.Sequence[int], dtype: torch.dtype
    ) -> torch.Tensor:
        key = make_key(_state_of(words), stream)
        return function(shape, key, str(dtype).removeprefix("torch."))

    made = torch.library.custom_op(f"layer_api::{name}", operation, mutates_args=())
    made.register_fake(lambda words, _, shape, dtype: words.new_empty(shape, dtype=dtype))
    return made


_WHILE_TRACED = {
    "normal": _while_traced("random_normal", normal),
    "signs": _while_traced("random_signs", signs),
}
