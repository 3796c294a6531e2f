"""What every step needs for every weight, in torch: few loops, and derivatives in closed form."""

import torch
from torch.nn.functional import softplus

from layer_api.backend import torch as this_backend


def is_worth_it(x):
    """Tell whether sums over a kernel of this dtype are exact enough."""
    return x.dtype in (torch.float32, torch.float64)


def deviation(untransformed_scale, eps, key):
    """Draw scale * e with scale = eps + softplus(untransformed_scale), e ~ N(0, 1)."""
    dtype = str(untransformed_scale.dtype).removeprefix("torch.")
    e = this_backend.random_normal(untransformed_scale.shape, key, dtype)
    return _Deviation.apply(untransformed_scale, e, eps)


class _Deviation(torch.autograd.Function):
    @staticmethod
    def forward(ctx, untransformed_scale, e, eps):
        ctx.save_for_backward(untransformed_scale, e)
        return softplus(untransformed_scale).add_(eps).mul_(e)

    @staticmethod
    def backward(ctx, upstream):
        untransformed_scale, e = ctx.saved_tensors
        return upstream * e * torch.sigmoid(untransformed_scale), None, None


def kl_divergence(loc, untransformed_scale, eps, p_loc, p_scale):
    """Return KL(q || p) of normals, see `distributions.kl_divergence`; p's parameters are numbers."""
    return _Divergence.apply(loc, untransformed_scale, eps, p_loc, p_scale)


class _Divergence(torch.autograd.Function):
    @staticmethod
    def forward(ctx, loc, untransformed_scale, eps, p_loc, p_scale):
        scale = softplus(untransformed_scale).add_(eps)
        ctx.save_for_backward(loc, untransformed_scale, scale)
        ctx.numbers = eps, p_loc, p_scale
        r, d = scale / p_scale, (loc - p_loc).div_(p_scale)
        return d.mul_(d).addcmul_(r, r).sub_(1.0).mul_(0.5).sub_(r.log_()).sum()

    @staticmethod
    def backward(ctx, upstream):
        loc, untransformed_scale, scale = ctx.saved_tensors
        eps, p_loc, p_scale = ctx.numbers
        if torch.is_grad_enabled():  # for a second derivative: as a function of the variable
            scale = softplus(untransformed_scale) + eps
        by_loc = (loc - p_loc) * (upstream / p_scale**2)
        by_scale = scale / p_scale**2 - 1 / scale
        by_untransformed_scale = by_scale * torch.sigmoid(untransformed_scale) * upstream
        return by_loc, by_untransformed_scale, None, None, None
