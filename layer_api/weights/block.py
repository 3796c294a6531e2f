"""The base of the named posteriors, priors and divergences."""

from layer_api import serialization


class Block:
    """A function with the signature of TensorFlow Probability, made from, and saved as, a config.

    It can be called, and handed on, wherever such a function can. A user's own needs no base class:
    any callable class with `get_config`, registered by `keras.saving.register_keras_serializable`,
    is as good.
    """

    def get_config(self):
        """Return the arguments that make an equal block."""
        raise NotImplementedError

    @classmethod
    def from_config(cls, config):
        """Make a block from what `get_config` returned."""
        return cls(**config)

    def __repr__(self):
        return serialization.describe_config(self)


class Posterior(Block):
    """What a weight's distribution given the data is; training fits it."""


class Divergence(Block):
    """What it costs a posterior to differ from the prior."""


class Prior(Block):
    """What is believed of a weight before there are data."""
