"""The documents run from the beginning to the end, with few draws."""

import re
import subprocess

import pytest
from conftest import ROOT

DOCUMENTS = sorted((ROOT / "vignettes").glob("*.Rmd"))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_it_renders(document, tmp_path):
    code = f"""
        folder <- "{tmp_path}"
        rmarkdown::render(
          "{document}", params = list(draws = 10), output_dir = folder,
          intermediates_dir = folder, quiet = TRUE
        )
    """
    done = subprocess.run(["Rscript", "-e", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (page,) = tmp_path.glob("*.html")
    text = page.read_text(encoding="utf-8")
    # It needs no other file and no network.
    assert not re.search(r"(src|href)=\"(?!data:|#|https://arxiv\.org/)", text)
