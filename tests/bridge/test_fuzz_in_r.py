"""What the fuzz tests draw, through R's wrappers: the same result or the same message.

`FUZZ=5000 pytest tests/bridge/test_fuzz_in_r.py` draws as many new attempts, over all layers.
"""

import os
import warnings

import pytest
from conftest import RError
from draws import Value, draws
from hypothesis import given, settings
from layers import CASES
from test_fuzz import PROFILE, outcome, shape_of, state

SIZE = int(os.environ.get("FUZZ", 0))

R_CLASS = "core_class <- function(name) reticulate::py_get_attr(layerapi:::core(), name)"


def outcome_in_r(r, case, attempt):
    """Do it in R; return what `outcome` returns of Python."""
    written = ", ".join(f"`{name}` = {value.r}" for name, value in attempt.given.items())
    is_value = isinstance(attempt.object, Value)
    inputs = attempt.object.r if is_value else "inputs"
    before = state(made := None if is_value else attempt.inputs())
    try:
        code = f"{case.function.__name__}({inputs}, {written})"
        result = r(code, inputs=made)
        before = state(made)
        if attempt.object in ("model", "longer model"):
            result.losses  # noqa: B018 (reading them computes them)
            result(attempt.tensor())
    except RError as error:
        assert state(made) == before
        name, message = error.args
        return name.removeprefix("layerapi_"), message
    except (ValueError, TypeError) as error:
        return type(error).__name__, str(error)
    return shape_of(result)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.layer.__name__)
def test_r_does_the_same(r, case):
    r(f"{R_CLASS}; NULL")

    @settings(PROFILE, max_examples=(SIZE or 300) // len(CASES))
    @given(draws(case))
    def attempt(drawn):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Do not pass an `input_shape`/`input_dim`")
            assert outcome_in_r(r, case, drawn) == outcome(case, drawn)

    attempt()
