"""Priors: what is believed of a kernel or of a bias before there are data."""

import keras

from layer_api import distributions, identifiers


@keras.saving.register_keras_serializable("layer_api")
class StandardNormal(identifiers.Block):
    """Prior of independent normals with mean 0 and standard deviation 1.

    The default prior of every kernel: with it the divergence has a closed form that is cheap.

    Returns:
        A config object for the arguments `kernel_prior_fn` and `bias_prior_fn`.

    Example:

    ```python
    layer = layer_api.layer_dense_flipout(units=10, bias_prior_fn=layer_api.StandardNormal())
    ```
    """

    def __call__(self, dtype, shape, name, trainable, add_variable_fn):
        """Return the library's distribution."""
        ours = self.parametrize(dtype, shape, name, trainable, add_variable_fn)
        return distributions.library(ours, shape)

    def parametrize(self, *_):
        """Return the distribution as one of ours."""
        return distributions.Normal(0.0, 1.0)

    def get_config(self):
        """Return the arguments that make an equal block: none."""
        return {}


def default_multivariate_normal_fn(dtype, shape, name, trainable, add_variable_fn):
    """Return independent standard normals: the prior that TensorFlow Probability calls so.

    It is here so that programs written for `tfp.layers` run with only the import changed; new
    programs say `"standard_normal"`.

    Args:
        dtype: Data type of the distribution.
        shape: Shape of the distribution, whole numbers.
        name: Name of the variables; not used, as the prior has none.
        trainable: Whether the variables are trained; not used.
        add_variable_fn: Function that creates a variable; not used.

    Returns:
        A distribution of the backend's library, over all elements.

    Example:

    ```python
    layer = layer_api.layer_dense_flipout(
        units=10, kernel_prior_fn=layer_api.default_multivariate_normal_fn
    )
    ```
    """
    return StandardNormal()(dtype, shape, name, trainable, add_variable_fn)


keras.saving.register_keras_serializable("layer_api")(default_multivariate_normal_fn)

NAMED = {"standard_normal": StandardNormal}
