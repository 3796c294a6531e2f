"""The same functions, arguments, order and defaults in R as in Python; every argument arrives."""

import importlib
import inspect
import json
import pathlib
import shutil
import subprocess
import sys

import pytest
from layers import CASES
from table import specials

import layer_api
from layer_api.messages import REQUIRED
from layer_api.r_bridge import IN_R

PACKAGE = pathlib.Path(__file__).parents[2] / "r-package"
sys.path.insert(0, str(PACKAGE / "tools"))
generate = importlib.import_module("generate")

FUNCTIONS = {
    **generate.LAYERS,
    **generate.BLOCKS,
    **generate.LIKELIHOODS,
    **generate.TRAINING,
}


def python_arguments(function):
    """Return [name, required, default] of every argument of a Python function."""
    found = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            found.append(["...", False, None])
        elif parameter.default in (REQUIRED, parameter.empty):
            found.append([parameter.name, True, None])
        else:
            found.append([parameter.name, False, parameter.default])
    return found


def r_arguments(r, function):
    """Return the same of an R function, by what its defaults evaluate to."""
    return r(f"""
        lapply(names(formals({function})), function(name) {{
          default <- formals({function})[name]
          is_empty <- identical(as.character(default), "")
          list(name, is_empty && name != "...", if (!is_empty) eval(default[[1]]))
        }})
    """)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_arguments_are_the_same(r, name):
    ours = python_arguments(FUNCTIONS[name])
    assert r_arguments(r, name) == ours
    for (_, _, default), (_, _, r_default) in zip(ours, r_arguments(r, name), strict=True):
        assert isinstance(r_default, bool) == isinstance(default, bool)  # 1 == True in Python


# What R's users call an answer: a generic of another package hands over to its method.
METHODS = {
    name: f"{name}.{generate.GENERICS[name][0]}" if name in generate.GENERICS else name
    for name in generate.ANSWERS
}


@pytest.mark.parametrize("name", METHODS)
def test_arguments_of_answers_are_the_same(r, name):
    ours = python_arguments(generate.ANSWERS[name])
    (_, *first), *others = [[IN_R.get(each, each), *rest] for each, *rest in ours]
    of_generic = [["transform", False, False]] if name == "posterior_linpred" else []
    more = [["...", False, None]]
    if "draws" in [each for each, *_ in ours]:
        more.append(["ndraws", True, None])
    expected = [["object", *first], *of_generic, *others, *more]
    assert r_arguments(r, f"getFromNamespace('{METHODS[name]}', 'layerapi')") == expected


def test_a_default_that_differs_would_be_found(r):
    r('altered <- layer_dense_flipout; formals(altered)$kernel_prior_fn <- "laplace"; NULL')
    assert r_arguments(r, "altered") != python_arguments(layer_api.layer_dense_flipout)
    r("swapped <- layer_dense_flipout; formals(swapped) <- formals(swapped)[c(2, 1, 3:16)]; NULL")
    assert r_arguments(r, "swapped") != python_arguments(layer_api.layer_dense_flipout)


def test_every_public_name_has_its_counterpart(r):
    exported = set(r("getNamespaceExports('layerapi')"))
    # A class is reached by its function; `pipe` is `%>%`; R's packages know their version.
    classes = {function.layer_class for function in generate.LAYERS.values()}
    of_python = {function.__name__ for function in FUNCTIONS.values()} | set(generate.ANSWERS)
    # A class may have a second name, that of TensorFlow Probability.
    named = {name for name in layer_api.__all__ if getattr(layer_api, name) in classes}
    assert classes == {getattr(layer_api, name) for name in named}
    plots = {f"plot_{name}" for name in r("eval(formals(layerapi:::autoplot.layerapi_draws)$type)")}
    plots.add("plot_history")  # autoplot() of what fit() returns
    # R's matrices go to posterior, loo and bayesplot as they are; layerapi_config() has versions.
    in_python_alone = {"pipe", "to_datatree", "__version__", "show_versions"}
    assert set(layer_api.__all__) == of_python | named | plots | in_python_alone
    of_r = {name for name in exported if not name.startswith("tfd_")}
    # In Python, what a model predicts is an array as it is, and intervals know what tidy() shows.
    in_r_alone = {"%>%", "predict_array", "tidy", "glance", "augment"}
    # Python's own tools install it.
    in_r_alone |= {"install_layerapi", "layerapi_config"}
    assert of_r == set(FUNCTIONS) | set(generate.ANSWERS) | in_r_alone


def in_r(value):
    """Return a value of the table of layers as R writes it."""
    if isinstance(value, dict):
        arguments = ", ".join(f"{name} = {in_r(item)}" for name, item in value["arguments"].items())
        of_keras = f"keras${value.get('name', '').replace('.', '$')}"
        return f"{value.get('function', of_keras)}({arguments})"
    if isinstance(value, (list, tuple)):
        return f"c({', '.join(map(in_r, value))})"
    return generate.r_literal(value)


ARRIVALS = [
    (case, name) for case in CASES for name in {**case.changed, "name": None, "dtype": None}
]


@pytest.mark.parametrize(
    ("case", "argument"),
    ARRIVALS,
    ids=[f"{case.function.__name__}-{name}" for case, name in ARRIVALS],
)
def test_a_value_given_in_r_arrives(r, case, argument):
    row = case.row
    changed = {**row["changed"], "name": "named", "dtype": "bfloat16"}
    beside = row.get("beside", {}).get(argument, {})
    in_table = {**row["required"], **beside, argument: changed[argument]}
    given = specials(in_table)
    written = ", ".join(f"{name} = {in_r(value)}" for name, value in in_table.items())
    layer = r(f"{case.function.__name__}({written})")
    config, expected, default = (
        each.get_config()
        for each in (layer, case.function(**given), case.function(**case.required))
    )
    for each in (config, expected, default):
        if argument != "name":
            each.pop("name")  # the automatic name counts layers
    assert config == expected
    assert config != default
    assert json.dumps(config)


def test_docstrings_are_up_to_date():
    for path, text in generate.sources().items():
        assert path.read_text(encoding="utf-8") == text, "run `make r-package`"


def test_generated_r_code_is_up_to_date():
    for name, text in generate.files().items():
        assert (PACKAGE / name).read_text(encoding="utf-8") == text, "run `make r-package`"


def test_generated_help_is_up_to_date(r, tmp_path):
    installed = r("as.character(utils::packageVersion('roxygen2'))")
    note = f"RoxygenNote: {installed}\n"
    if note not in (PACKAGE / "DESCRIPTION").read_text(encoding="utf-8"):
        pytest.skip(f"roxygen2 {installed} is not the version that wrote the help pages")
    copy = tmp_path / "r-package"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    code = f"roxygen2::roxygenise({str(copy)!r}, load_code = 'source')"
    subprocess.run(["Rscript", "-e", code], check=True, capture_output=True)
    for file in ["NAMESPACE", *(f"man/{path.name}" for path in PACKAGE.glob("man/*"))]:
        assert (copy / file).read_text() == (PACKAGE / file).read_text(), "run `make r-package`"
    assert sorted(p.name for p in copy.glob("man/*")) == sorted(
        p.name for p in PACKAGE.glob("man/*")
    )
