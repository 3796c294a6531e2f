"""Write the documents of vignettes/ as Markdown.

`make vignettes` runs them and leaves their pages in build/vignettes. Such a page is taken where it
is newer than its document. Otherwise the document runs now, unless its head says by `minutes` that
this takes more than two, and is then shown without its results.
"""

import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
MOST_MINUTES = 2

NOT_RUN = """\
!!! warning "The code of this page was not run"

    It {reason}. What it computes is missing here, and numbers in the text are
    shown as “…”. `make vignettes`, then `make site`, puts them in.

"""


def write(folder, build, quick):
    """Write all documents into a folder, and return their part of the navigation.

    Args:
        folder: Path of the folder of Zensical's sources.
        build: Path of a folder for what is made on the way.
        quick: whether to run nothing.
    """
    navigation = []
    for document in sorted((ROOT / "vignettes").glob("*.Rmd")):
        head = document.read_text(encoding="utf-8").split("\n---\n")[0]
        settings = yaml.safe_load(head)
        title = settings["title"]
        minutes = settings.get("minutes", 0)
        page = ROOT / "build" / "vignettes" / f"{document.stem}.html"
        is_old = not page.exists() or page.stat().st_mtime < document.stat().st_mtime
        note = ""
        if is_old and (quick or minutes > MOST_MINUTES):
            is_long = minutes > MOST_MINUTES
            reason = f"takes about {minutes} minutes" if is_long else "would have taken a while"
            note = NOT_RUN.format(reason=reason)
            page = build / f"{document.stem}.md"
            _run("Rscript", "docs/without_running.R", document, page)
        elif is_old:
            print(f"Running {document.relative_to(ROOT)}")
            _run("Rscript", "vignettes/render.R", document.relative_to(ROOT))
        text = _run(
            "pandoc", page, "--to=commonmark+pipe_tables+definition_lists", "--wrap=none",
            f"--extract-media={folder / document.stem}", "--lua-filter=docs/article.lua",
        )  # fmt: skip
        text = text.replace(f"{folder}/", "")
        if subtitle := settings.get("subtitle"):
            note = f"**{subtitle}**{{ .summary }}\n\n{note}"
        (folder / f"{document.stem}.md").write_text(f"# {title}\n\n{note}{text}", encoding="utf-8")
        navigation.append({title: f"{folder.name}/{document.stem}.md"})
    return navigation


def _run(*command):
    return subprocess.run(
        command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ).stdout
