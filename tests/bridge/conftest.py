"""R and Python in one process: R runs inside Python, and reticulate finds that Python."""

import atexit
import os
import pathlib
import sys

import pytest

os.environ["RETICULATE_PYTHON"] = sys.executable

from rpy2 import robjects

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "python"))  # the cases, and what they do in Python

# Hands an R function over to Python, by reticulate. All calls after this first one go that way, not
# through rpy2: rpy2 releases Python's lock while R runs, and reticulate before 1.29 does not take
# it again when R's garbage collection drops a Python object.
START = """
library(layerapi)
keras <- reticulate::import("keras")
evaluate <- function(code, values) {
  list2env(values, globalenv())
  tryCatch(
    list(eval(parse(text = code), globalenv()), NULL, NULL),
    error = function(error) list(NULL, class(error)[1], conditionMessage(error))
  )
}
reticulate::py_set_attr(reticulate::import_main(), "evaluate_in_r", evaluate)
"""


class RError(Exception):
    """An error of R: its class and its message."""


class R:
    """Evaluates R code; hands objects over as reticulate does, Python's own without a copy."""

    def __init__(self):
        robjects.r(START)
        self._evaluate = sys.modules["__main__"].evaluate_in_r

    def __call__(self, code, **values):
        """Evaluate `code`, in which the names of `values` stand for these Python objects."""
        value, error, message = self._evaluate(code, values)
        if error is not None:
            raise RError(error, message)
        return value


def end(status):
    """End the process without ending R or Python in it.

    A thread of reticulate, which nothing stops, asks Python twice a second to let R handle its
    events. It also asks a Python that has ended, and that crashes the process. The end of R in turn
    lets reticulate before 1.29 call into a Python that has ended.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def pytest_sessionfinish(exitstatus):
    atexit.register(end, exitstatus)


@pytest.fixture(scope="session")
def r():
    return R()
