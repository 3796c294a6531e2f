"""Random bits as a function of tensors: Philox4x32-10, in operations that torch compiles.

Salmon et al. (2011), Parallel Random Numbers: As Easy as 1, 2, 3. A word of 32 bits is an int64, as
torch computes little with unsigned integers.
"""

import math

import torch

_MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
_INCREMENTS = 0x9E3779B9, 0xBB67AE85
_LOW = 0xFFFFFFFF


def philox(key, counter):
    """Return the four words of a counter, which is four words, under a key of two.

    What a key has beyond 32 bits does not matter.
    """
    (k0, k1), (c0, c1, c2, c3) = key, counter
    for _ in range(10):
        # What overflows is the sign: the bits are those of the product of unsigned numbers.
        p0, p1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1 = ((p1 >> 32) ^ c1 ^ k0) & _LOW, p1 & _LOW
        c2, c3 = ((p0 >> 32) ^ c3 ^ k1) & _LOW, p0 & _LOW
        k0, k1 = k0 + _INCREMENTS[0], k1 + _INCREMENTS[1]
    return c0, c1, c2, c3


def _words(n, state, stream, process):
    """Draw four times `n` words, a tensor of (4, n), which no other counter or key has.

    Args:
        n: number of counters.
        state: tensor of two integers, seed and number of the call: the key.
        stream: whole number of 32 bits.
        process: whole number of 32 bits.
    """
    place = torch.arange(n, dtype=torch.int64, device=state.device)
    numbers = [torch.full_like(place, number) for number in (stream, process)]
    return torch.stack(philox(state.long(), (place & _LOW, place >> 32, *numbers)))


def normal(shape, state, stream, process, dtype):
    """Draw standard normals, by Box and Muller: sqrt(-2 log u) times cos and sin of 2 pi v."""
    size = math.prod(shape)
    if dtype == torch.float64:  # 53 bits of two words
        high, low = _words(-(-size // 2), state, stream, process).unflatten(0, (2, 2)).unbind(1)
        u, v = (((high << 21) + (low >> 11)).to(dtype) + 0.5) * 2.0**-53
    else:
        words = _words(-(-size // 4), state, stream, process).unflatten(0, (2, 2))
        u, v = (words.float() + 0.5) * 2.0**-32
    radius, angle = torch.sqrt(-2 * torch.log(u)), 2 * math.pi * v
    normals = torch.stack([radius * torch.cos(angle), radius * torch.sin(angle)])
    return normals.reshape(-1)[:size].reshape(shape).to(dtype)


def signs(shape, state, stream, process, dtype):
    """Draw signs, one random bit each."""
    size = math.prod(shape)
    words = _words(-(-size // 128), state, stream, process)
    bits = (words[..., None] >> torch.arange(32, device=state.device)) & 1
    return (1 - 2 * bits).reshape(-1)[:size].reshape(shape).to(dtype)
