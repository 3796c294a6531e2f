"""The base of the named posteriors, priors and divergences."""

from typing import Any

from layer_api import serialization


class Block:
    """A function with the signature of TensorFlow Probability, made from, and saved as, a config.

    It can be called, and handed on, wherever such a function can. A user's own needs no base class:
    any callable class with `get_config`, registered by `keras.saving.register_keras_serializable`,
    is as good.
    """

    is_block = True  # for `serialization`, which is below

    def get_config(self):
        """Return the arguments that make an equal block."""
        raise NotImplementedError

    @classmethod
    def from_config(cls, config):
        """Make a block from what `get_config` returned."""
        return cls(**config)

    def _is_default(self, name, value):
        """Tell whether an argument has the value that stands for the default None."""
        return False

    def __repr__(self):
        return serialization.describe_config(self)


class OfAWeight(Block):
    """A distribution of a weight, which layers compute with as one of ours."""

    def parametrize(self, *described: Any) -> Any:
        """Return the distribution as one of ours; `described` is what a function would get."""
        raise NotImplementedError


class Posterior(OfAWeight):
    """What a weight's distribution given the data is; training fits it."""


class Divergence(Block):
    """What it costs a posterior to differ from the prior."""

    def divergence(self, q: Any, p: Any, shape: Any, key: Any) -> Any:
        """Return the divergence for tensors of one shape; draw under `key` where it must."""
        raise NotImplementedError


class Prior(OfAWeight):
    """What is believed of a weight before there are data."""

    def of_fans(self, fans):
        """Return the prior of a weight with `fans`, a pair of numbers, which most do without."""
        return self
