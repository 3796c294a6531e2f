"""The documents run from the beginning to the end, with few draws."""

import json
import re
import subprocess
import sys

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
import report

DOCUMENTS = sorted((ROOT / "vignettes").glob("*.Rmd"))


@pytest.fixture
def parameters(tmp_path):
    """Less work than the documents do by themselves: little of it, and results from a file."""
    lines = (ROOT / "tests" / "cases" / "benchmark.jsonl").read_text(encoding="utf-8")
    report.write(tmp_path / "results", [json.loads(line) for line in lines.splitlines()])
    return {
        "answers": "epochs = 1",
        "estimators": "draws = 10",
        "migration": "epochs = 1",
        "speed": f"results = '{tmp_path / 'results'}'",
        "underfitting": "seeds = 1, epochs = 1",
    }


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_every_block_runs(document):
    fences = re.findall(r"^```(.+)$", document.read_text(encoding="utf-8"), flags=re.M)
    for fence in fences:
        assert re.match(r"\{(r|python) |bash$", fence)
        # What is shown in a place of its own runs in another.
        assert "eval=FALSE" not in fence or "ref.label=" in fence


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_it_renders(document, parameters, tmp_path):
    code = f"""
        folder <- "{tmp_path}"
        rmarkdown::render(
          "{document}", params = list({parameters[document.stem]}), output_dir = folder,
          intermediates_dir = folder, quiet = TRUE
        )
    """
    done = subprocess.run(["Rscript", "-e", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (page,) = tmp_path.glob("*.html")
    text = page.read_text(encoding="utf-8")
    # It needs no other file and no network.
    assert not re.search(r"(src|href)=\"(?!data:|#|https://arxiv\.org/)", text)
