"""Write the documentation site of both languages into build/site, and check its links.

Nothing is written for the site alone: the pages are README.md and other files of the project, the
documents of vignettes/, Python's docstrings and R's help pages. Zensical makes HTML of them, which
needs no network and no server to be read.

Usage: python docs/build.py [--quick]. With --quick no document of vignettes/ runs.
"""

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import articles
import check_links
import reference

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "site-source"
SOURCE = BUILD / "docs"
SITE = ROOT / "build" / "site"

# Pages that have sections of README.md. The start page has what stands before the first one.
OF_README = {
    "get-started.md": ("Get started", ["Two commands", "The same example twice", "Does it learn?"]),
    "changes-for-you.md": ("What changes for you", ["What changes for you"]),
    "measurements.md": ("Speed and accuracy", ["Speed", "Accuracy"]),
    "where-things-are.md": ("Where things are", ["Where things are"]),
}
CARDS = """
<div class="grid cards" markdown>

- **[Get started](get-started.md)**

    The same example in R and in Python, and how to see whether a network learns.

- **[Articles](articles/index.md)**

    What a fitted network answers, what helps where it underfits, which estimator, what it costs.

- **[Python reference](python/index.md)**

    `import layer_api`: a page for each function.

- **[R reference](r/index.md)**

    `library(layerapi)`: a page for each function.

</div>
"""


def main(quick):
    """Build the site."""
    started = time.time()
    shutil.rmtree(BUILD, ignore_errors=True)
    for name in ("articles", "javascripts", "stylesheets"):
        (SOURCE / name).mkdir(parents=True)
    shutil.copy(ROOT / "docs" / "iframe-worker.js", SOURCE / "javascripts")
    shutil.copy(ROOT / "docs" / "site.css", SOURCE / "stylesheets")

    pages = _write_readme()
    (SOURCE / "changelog.md").write_text(_read("CHANGELOG.md"), encoding="utf-8")
    (SOURCE / "contributing.md").write_text(_read("CONTRIBUTING.md"), encoding="utf-8")
    documents = articles.write(SOURCE / "articles", BUILD, quick)
    (SOURCE / "articles" / "index.md").write_text(_index(documents), encoding="utf-8")
    of_reference = reference.write(SOURCE, BUILD)
    for page in (SOURCE / "index.md", *map(SOURCE.joinpath, pages), *SOURCE.glob("articles/*.md")):
        reference.link_from(page, SOURCE)
    of_project = {"measurements.md", "where-things-are.md"} & pages.keys()
    navigation = [
        {"Home": "index.md"},
        {"Get started": [{pages[file]: file} for file in pages if file not in of_project]},
        {"Articles": ["articles/index.md", *documents]},
        *of_reference,
        {
            "Project": [
                *({pages[file]: file} for file in sorted(of_project)),
                {"Changelog": "changelog.md"},
                {"Contributing": "contributing.md"},
            ]
        },
    ]
    # JSON is YAML. Zensical writes below its settings alone.
    settings = {
        "INHERIT": "settings.yml",
        "docs_dir": "docs",
        "site_dir": "site",
        "nav": navigation,
    }
    (BUILD / "mkdocs.yml").write_text(json.dumps(settings), encoding="utf-8")
    shutil.copy(ROOT / "docs" / "settings.yml", BUILD)
    subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict", "--clean"], cwd=BUILD, check=True
    )
    shutil.rmtree(SITE, ignore_errors=True)
    (BUILD / "site").rename(SITE)
    # Its links are right at the root of a server alone.
    (SITE / "404.html").unlink()
    check_links.check(SITE)
    print(f"Made in {time.time() - started:.0f} seconds: {(SITE / 'index.html').relative_to(ROOT)}")


def _read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def _write_readme():
    """Write the pages of README.md, and return their titles by their files."""
    front, *sections = re.split(r"^## ", _read("README.md"), flags=re.M)
    found = dict(section.split("\n", 1) for section in sections)
    taken = [heading for _, headings in OF_README.values() for heading in headings]
    if left := [heading for heading in found if heading not in taken]:
        raise SystemExit(f"docs/build.py: no page has the sections {left} of README.md.")
    pictures = re.findall(r"!\[[^]]*\]\(([^:)]+)\)", front)
    for picture in pictures:
        shutil.copy(ROOT / picture, SOURCE)
        front = front.replace(picture, Path(picture).name)
    (SOURCE / "index.md").write_text(front + CARDS, encoding="utf-8")
    titles = {}
    for file, (title, headings) in OF_README.items():
        present = [heading for heading in headings if heading in found]
        if not present:
            continue
        parts = [f"# {title}\n"]
        for heading in present:
            parts += [] if heading == title else [f"## {heading}\n"]
            parts.append(_in_tabs(found[heading]))
        (SOURCE / file).write_text("\n".join(parts), encoding="utf-8")
        titles[file] = title
    return titles


def _in_tabs(text):
    """Return a section with its program in R, and what belongs to that, beside that in Python."""
    found = re.search(r"^(```r\n.*?)(^```python\n.*?^```\n)", text, flags=re.M | re.S)
    if not found:
        return text
    tabs = [
        f'=== "{name}"\n\n' + re.sub(r"^(?=.)", "    ", part, flags=re.M)
        for name, part in zip(("R", "Python"), found.groups(), strict=True)
    ]
    return text[: found.start()] + "\n".join(tabs) + text[found.end() :]


def _index(documents):
    lines = ["# Articles", ""]
    for document in documents:
        for title, file in document.items():
            text = (SOURCE / file).read_text(encoding="utf-8")
            subtitle = re.search(r"^\*\*(.*)\*\*\{ \.summary \}$", text, flags=re.M)
            lines += [f"**[{title}]({Path(file).name})**", ""]
            lines += [f"{subtitle[1]}.", ""] if subtitle else []
    return "\n".join(lines)


if __name__ == "__main__":
    main("--quick" in sys.argv[1:])
