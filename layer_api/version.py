"""The version of this package, and of what it stands on."""

import importlib.metadata
import platform
import sys

__version__ = "0.1.0"

# Names of the packages, as they are installed by.
_PACKAGES = (
    "layer-api", "keras", "tensorflow", "tensorflow-probability", "tf-keras", "jax", "jaxlib",
    "numpyro", "torch", "numpy", "scipy", "scoringrules", "ml-dtypes", "arviz-base", "matplotlib",
    "rpy2",
)  # fmt: skip


def show_versions():
    """Print the versions of Python, of this package, and of what it works with.

    Use it when you report a problem, and put what it prints into the report. In R it is
    `layerapi_config()`.

    Returns:
        None.

    Example:

    ```python
    layer_api.show_versions()
    ```
    """
    import keras  # not above: setup reads the version before there is a Keras

    rows = {
        "Python": f"{platform.python_version()} ({sys.executable})",
        "system": platform.platform(),
        "Keras's backend": keras.backend.backend(),
        **{name: _version_of(name) for name in _PACKAGES},
    }
    rows["layer-api"] = __version__  # R carries a copy that is not installed
    width = max(map(len, rows))
    for name, found in rows.items():
        print(f"{name:{width}}  {found}")


def _version_of(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
