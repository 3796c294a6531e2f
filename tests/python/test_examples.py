"""The examples of the docstrings and of the README run as they stand; none is left out."""

import inspect
import pathlib
import re

import keras
import numpy
import pytest

import layer_api
from layer_api.answers.weights import draw_weights

ROOT = pathlib.Path(__file__).parents[2]
README = ROOT / "README.md"


def code(text):
    return "\n".join(re.findall(r"```python\n(.*?)```", text, flags=re.S))


# What the example of a function needs that not every user has.
NEEDED = {
    **{name: "matplotlib" for name in layer_api.__all__ if name.startswith("plot_")},
    "to_datatree": "arviz_base",
}
DOCUMENTED = {name: getattr(layer_api, name) for name in layer_api.__all__ if name[0] != "_"}
# What R's `as_draws()` calls.
DOCUMENTED["draw_weights"] = draw_weights


@pytest.mark.parametrize("name", DOCUMENTED)
def test_docstring_example(name):
    document = inspect.getdoc(DOCUMENTED[name])
    assert "\nReturns:\n" in document
    example = code(document)
    assert "layer_api." in example
    if name in NEEDED:
        pytest.importorskip(NEEDED[name], reason=f"{NEEDED[name]} is not installed")
    exec(example, {"layer_api": layer_api, "keras": keras, "numpy": numpy, name: DOCUMENTED[name]})


def test_no_docstring_example_is_left_out():
    fence = "`" * 3
    files = pathlib.Path(layer_api.__file__).parent.rglob("*.py")
    written = "".join(path.read_text(encoding="utf-8") for path in files)
    # A layer and the function that makes it have one example.
    run = {code(inspect.getdoc(each)) for each in DOCUMENTED.values()}
    assert written.count(f"{fence}python") == len(run)
    assert written.count(fence) == 2 * len(run)


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


def test_every_block_says_its_language():
    for name, languages in {"README.md": {"sh", "r", "python"}, "CONTRIBUTING.md": {"sh"}}.items():
        fences = re.findall(r"^```(.*)$", (ROOT / name).read_text(encoding="utf-8"), flags=re.M)
        assert set(fences[::2]) == languages
        assert set(fences[1::2]) == {""}


def test_the_targets_that_documents_name_exist():
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    documents = [*ROOT.glob("*.md"), *(ROOT / "vignettes").glob("*.Rmd")]
    text = "".join(path.read_text(encoding="utf-8") for path in documents)
    named = re.findall(r"(?:`|^)make ([a-z-]+)", text, flags=re.M)
    assert len(named) > 10
    assert set(named) <= set(targets)
