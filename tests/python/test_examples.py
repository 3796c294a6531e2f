"""The examples of the docstrings and of the README run as they stand."""

import inspect
import pathlib
import re

import keras
import numpy
import pytest

import layer_api

README = pathlib.Path(__file__).parents[2] / "README.md"


def code(text):
    return "\n".join(re.findall(r"```python\n(.*?)```", text, flags=re.S))


# What the example of a function needs that not every user has.
NEEDED = {
    **{name: "matplotlib" for name in layer_api.__all__ if name.startswith("plot_")},
    "to_datatree": "arviz_base",
}
DOCUMENTED = [name for name in layer_api.__all__ if name != "__version__"]


@pytest.mark.parametrize("name", DOCUMENTED)
def test_docstring_example(name):
    document = inspect.getdoc(getattr(layer_api, name))
    assert "\nReturns:\n" in document
    example = code(document)
    assert "layer_api." in example
    if name in NEEDED:
        pytest.importorskip(NEEDED[name], reason=f"{NEEDED[name]} is not installed")
    exec(example, {"layer_api": layer_api, "keras": keras, "numpy": numpy})


def test_readme_example(monkeypatch):
    # The example trains for longer than it takes to see that it runs.
    fit = keras.Sequential.fit
    monkeypatch.setattr(
        keras.Sequential, "fit", lambda self, *a, **kw: fit(self, *a, **{**kw, "epochs": 2})
    )
    found = {}
    exec(code(README.read_text(encoding="utf-8")), found)
    assert found["draws"].shape == (1000, 100)
    assert (found["draws"][0] != found["draws"][1]).any()
