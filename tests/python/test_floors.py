"""What the package says of its oldest dependencies is what hosted CI installs."""

import re
from pathlib import Path

import pytest

tomllib = pytest.importorskip("tomllib", reason="tomllib is new in Python 3.11")

ROOT = Path(__file__).parents[2]
REQUIREMENT = re.compile(r"(?P<name>[\w-]+)(\[.*\])?>=(?P<floor>[\d.]+)")


def numbers(version):
    """Return a version such that 3.8 and 3.8.0 are equal."""
    return re.sub(r"(\.0)+$", "", version)


def test_floors_are_tested():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    required = [*project["dependencies"], *extras["jax"], *extras["torch"]]
    without_floor = [each for each in required if not REQUIREMENT.match(each)]
    assert without_floor == ["setuptools; python_version >= '3.12'"]
    floors = {
        match["name"].lower().replace("-", "_"): numbers(match["floor"])
        for match in map(REQUIREMENT.match, required)
        if match
    }
    lines = (ROOT / ".ci/constraints/oldest.txt").read_text("utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if "==" in line)
    pinned = {name.replace("-", "_"): numbers(version) for name, version in pinned.items()}
    assert pinned.pop("jaxlib") == pinned["jax"]
    assert pinned == floors
