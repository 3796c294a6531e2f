"""What every step needs for every weight, in torch: few loops, and derivatives in closed form.

Fresh memory costs more than most of the arithmetic, so results are written into what is at hand.
"""

import math

import torch
from torch.nn.functional import softplus

from layer_api.backend.torch import random


def is_supported(x):
    """Tell whether a weight has a dtype that the loops are written for, and torch runs eagerly.

    What torch compiles, it turns into few loops by itself.
    """
    return x.dtype in (torch.float32, torch.float64) and not torch.compiler.is_compiling()


def draw_noise(untransformed_scale, eps, key):
    """Draw scale * e with scale = eps + softplus(untransformed_scale), e ~ N(0, 1)."""
    dtype = str(untransformed_scale.dtype).removeprefix("torch.")
    e = random.normal(untransformed_scale.shape, key, dtype)
    return _Noise.apply(untransformed_scale, e, eps)


class _Noise(torch.autograd.Function):
    @staticmethod
    def forward(ctx, untransformed_scale, e, eps):
        ctx.save_for_backward(untransformed_scale, e)
        return softplus(untransformed_scale).add_(eps).mul_(e)

    @staticmethod
    def backward(ctx, upstream):
        untransformed_scale, e = ctx.saved_tensors
        if torch.is_grad_enabled():  # for a second derivative: as a function of the variable
            return upstream * e * torch.sigmoid(untransformed_scale), None, None
        return torch.sigmoid(untransformed_scale).mul_(e).mul_(upstream), None, None


def draw(loc, scale, key):
    """Draw loc + scale * e with e ~ N(0, 1), without a derivative."""
    e = random.normal(loc.shape, key, str(loc.dtype).removeprefix("torch."))
    return torch.addcmul(loc, scale, e, out=e)


def kl_divergence(loc, untransformed_scale, eps, p_loc, p_scale):
    """Return KL(q || p) of normals (`distributions.kl_divergence`); those of p are numbers."""
    return _Divergence.apply(loc, untransformed_scale, eps, p_loc, p_scale)


class _Divergence(torch.autograd.Function):
    @staticmethod
    def forward(ctx, loc, untransformed_scale, eps, p_loc, p_scale):
        scale = softplus(untransformed_scale).add_(eps)
        d = loc - p_loc if p_loc else loc
        room = scale.square()
        squares = _sum(room)
        squares += _sum(torch.mul(d, d, out=room))
        logarithms = _sum(torch.log(scale, out=room)) - loc.numel() * math.log(p_scale)
        # The derivative by untransformed_scale, (scale / p_scale^2 - 1 / scale) * sigmoid.
        slope = torch.reciprocal(scale, out=room).neg_().add_(scale, alpha=1 / p_scale**2)
        slope.mul_(torch.sigmoid(untransformed_scale, out=scale))
        ctx.save_for_backward(loc, untransformed_scale, slope)
        ctx.numbers = eps, p_loc, p_scale
        divergence = 0.5 * (squares / p_scale**2 - loc.numel()) - logarithms
        return divergence.to(loc.dtype)

    @staticmethod
    def backward(ctx, upstream):
        loc, untransformed_scale, slope = ctx.saved_tensors
        eps, p_loc, p_scale = ctx.numbers
        if torch.is_grad_enabled():  # for a second derivative: as a function of the variable
            scale = softplus(untransformed_scale) + eps
            slope = (scale / p_scale**2 - 1 / scale) * torch.sigmoid(untransformed_scale)
        d = loc - p_loc if p_loc else loc
        return d * (upstream / p_scale**2), slope * upstream, *3 * [None]


def _sum(x):
    """Return the sum in 64 bits: in 32, that over a large weight would lose its last digits.

    Rows are short enough for 32 bits, in which torch adds three times as fast.
    """
    return x.sum(-1).sum(dtype=torch.float64)
