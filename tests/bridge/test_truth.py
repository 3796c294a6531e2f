"""A network of `make truth`, fitted and scored by a process of R: the same scores."""

import subprocess
import sys

import pytest
from conftest import ROOT
from layers import IS_FULL

sys.path.insert(0, str(ROOT / "benchmarks"))

import regression


@pytest.mark.skipif(not IS_FULL, reason="fits networks in both languages: FULL=1 does")
def test_r_gives_the_same_scores(tmp_path):
    x, y = regression.load("Boston")
    data = regression.standardized(x, y, *regression.splits(len(y))[1])
    regression.for_r(tmp_path / "split.npz", data, 0.01, seed=5, epochs=10)
    here = regression.scores(regression.fit(data.x, data.y, 0.01, seed=5, epochs=10), data)
    command = ["Rscript", ROOT / "benchmarks" / "regression.R", tmp_path / "split.npz"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    from_r = dict(line.split() for line in done.stdout.splitlines())
    assert {name: float(value) for name, value in from_r.items()} == here
