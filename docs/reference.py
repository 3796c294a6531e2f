"""Write the reference of both languages as Markdown: a page for each function, grouped by topic.

Python's pages are its docstrings, R's its help pages, which roxygen2 wrote. Each page leads to its
twin in the other language.
"""

import html
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import layer_api
from layer_api.messages import REQUIRED

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "r-package" / "tools"))
import docstrings  # noqa: E402
import generate  # noqa: E402

# Names as a reader of the help pages knows them, where the file is called otherwise.
R_LABELS = {
    "as_draws.layerapi": "as_draws_df",
    "assign.layer_api": "$<-",
    "augment.layerapi": "augment",
    "autoplot.history": "autoplot (a training)",
    "autoplot.layerapi": "autoplot (answers)",
    "glance.layerapi": "glance",
    "layerapi-package": "layerapi",
    "loo.layerapi_draws": "loo",
    "pipe": "%>%",
    "print.layer_api": "print, summary",
}


def _pairs(table):
    return [(function.__name__, name) for name, function in table.items()]


def _blocks(*prefixes):
    return [pair for pair in _pairs(generate.BLOCKS) if pair[1].startswith(prefixes)]


# Topic: names in Python and of R's help pages, None where a language has no such thing.
TOPICS = {
    "Layers": [*_pairs(generate.LAYERS), ("pipe", "pipe")],
    "Posteriors": _blocks("posterior_", "default_mean_field_normal"),
    "Priors": _blocks("prior_", "default_multivariate_normal"),
    "Divergences": _blocks("divergence_"),
    "Likelihoods": _pairs(generate.LIKELIHOODS),
    "Answers": _pairs(generate.ANSWERS),
    "Training": _pairs(generate.TRAINING),
    "Plots and hand-over": [
        ("plot_interval", "autoplot.layerapi"),
        ("plot_predicted", "autoplot.layerapi"),
        ("plot_calibration", "autoplot.layerapi"),
        ("plot_uncertainty", "autoplot.layerapi"),
        ("plot_weights", "autoplot.layerapi"),
        ("plot_history", "autoplot.history"),
        ("to_datatree", "loo.layerapi_draws"),
        ("show_versions", "layerapi_config"),
    ],
    "Only in R": [
        (None, "layerapi-package"),
        (None, "install_layerapi"),
        (None, "own_blocks"),
        (None, "layerapi_draws"),
        (None, "predict_array"),
        (None, "as_draws.layerapi"),
        (None, "augment.layerapi"),
        (None, "glance.layerapi"),
        (None, "print.layer_api"),
        (None, "assign.layer_api"),
        (None, "tfd_sample"),
        (None, "tfd_log_prob"),
        (None, "tfd_mean"),
        (None, "tfd_stddev"),
        (None, "tfd_kl_divergence"),
    ],
}
PAIRS = [pair for pairs in TOPICS.values() for pair in pairs]


_SPOKEN = {"python": "Python", "r": "R"}


def write(folder, build):
    """Write all pages below a folder, and return their part of the navigation.

    Args:
        folder: Path of the folder of Zensical's sources.
        build: Path of a folder for what is made on the way.
    """
    pages = {"python": _python_pages(), "r": _r_pages(build)}
    navigation = []
    for number, (language, title) in enumerate(_SPOKEN.items()):
        target = folder / language
        target.mkdir()
        summaries = {name: summary for name, (summary, _) in pages[language].items()}
        for name, (_, text) in pages[language].items():
            (target / f"{name}.md").write_text(text, encoding="utf-8")
        topics = {
            topic: list(dict.fromkeys(pair[number] for pair in pairs if pair[number]))
            for topic, pairs in TOPICS.items()
        }
        topics = {topic: names for topic, names in topics.items() if names}
        index = _index(language, topics, summaries)
        (target / "index.md").write_text(index, encoding="utf-8")
        sections = [
            {topic: [{_label(language, name): f"{language}/{name}.md"} for name in names]}
            for topic, names in topics.items()
        ]
        navigation.append({title: [f"{language}/index.md", *sections]})
    return navigation


def link_from(page, folder):
    """Let code on another page lead into the reference: to Python's page where there is one.

    Args:
        page: Path of the page.
        folder: Path of the folder of Zensical's sources.
    """
    up = "../" * (len(page.relative_to(folder).parts) - 1)
    places = {
        file.stem: f"{up}{language}/{file.stem}"
        for language in ("r", "python")
        for file in (folder / language).glob("*.md")
        if file.stem != "index"
    }
    text = page.read_text(encoding="utf-8")
    page.write_text(_linked(text, places, None), encoding="utf-8")


def _label(language, name):
    return R_LABELS.get(name, name) if language == "r" else name


def _index(language, topics, summaries):
    lines = [f"# {_SPOKEN[language]} reference", ""]
    for topic, names in topics.items():
        lines += [f"## {topic}", ""]
        for name in names:
            lines += [f"[`{_label(language, name)}`]({name}.md)\n:   {summaries[name]}", ""]
    return "\n".join(lines)


def _page(language, name, summary, usage, body, arguments, sections):
    """Return a page, of parts that are Markdown already."""
    other = {"python": "r", "r": "python"}[language]
    twins = [pair[other == "r"] for pair in PAIRS if pair[other == "python"] == name]
    links = ", ".join(f"[`{_label(other, twin)}`](../{other}/{twin}.md)" for twin in twins if twin)
    lines = [f"# {_label(language, name)}", "", f"**{summary}**{{ .summary }}", ""]
    twin = f"In {_SPOKEN[other]}: {links}" if links else f"Only in {_SPOKEN[language]}"
    lines += [f'<p class="twin" markdown="1">{twin}</p>', ""]
    if usage:
        lines += [f"```{language}", usage, "```", ""]
    lines += [body, ""]
    if arguments:
        lines += ["## Arguments", "", _definitions(arguments), ""]
    for heading, text in sections.items():
        lines += [f"## {heading}", "", text.strip(), ""]
    return "\n".join(lines)


def _definitions(entries):
    items = []
    for name, text in entries.items():
        inner = text.strip().replace("\n", "\n    ")
        items.append(f"`{name}`\n:   {inner}")
    return "\n\n".join(items)


def _linked(text, pages, own):
    """Return Markdown in which code that is the name of a page leads there.

    Args:
        text: Markdown.
        pages: dictionary of pages by the names that lead to them.
        own: name of the page that the text is on, None if it is not of the reference.
    """

    def link(match):
        page = pages.get(match[1])
        return f"[{match[0]}]({page}.md)" if page and page != own else match[0]

    blocks = re.split(r"(^ *```.*?^ *```$|^#+ [^\n]*$)", text, flags=re.M | re.S)
    blocks[::2] = [re.sub(r"(?<!\[)`(\w+)(?:\(\))?`", link, block) for block in blocks[::2]]
    return "".join(blocks)


# --- Python --------------------------------------------------------------------------------------


def _python_pages():
    """Return {name: (summary, page)}."""
    pages = {name: name for name, _ in PAIRS if name}
    # The class of a layer, under all its names, is on the page of the function.
    by_class = {
        getattr(layer_api, name).layer_class: name for name in pages if name.startswith("layer_")
    }
    for name in layer_api.__all__:
        if page := by_class.get(getattr(layer_api, name)):
            pages[name] = page
    _check_all("layer_api.__all__", pages, set(layer_api.__all__) - {"__version__"})
    return {name: _python_page(name, pages) for name in dict.fromkeys(pages.values())}


def _python_page(name, pages):
    function = getattr(layer_api, name)
    front, parts = docstrings.sections(function.__doc__)
    title, *paragraphs = front.split("\n\n")
    classes = [other for other, page in pages.items() if page == name and other != name]
    if classes:
        named = " or ".join(f"`layer_api.{other}`" for other in classes)
        paragraphs.append(
            f"The class of the layer is {named}. It takes the same arguments, without `object`."
        )
    arguments = docstrings.entries(parts.pop("Args", ""))
    if "Raises" in parts:
        parts["Raises"] = _definitions(docstrings.entries(parts["Raises"]))
    summary = " ".join(title.split()).rstrip(".")
    text = _page(
        "python",
        name,
        summary,
        _signature(name, function),
        "\n\n".join(paragraphs),
        arguments,
        parts,
    )
    return summary, _linked(text, pages, name)


def _signature(name, function):
    arguments = []
    is_keyword_only = False
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not is_keyword_only:
            arguments.append("*")
            is_keyword_only = True
        stars = {parameter.VAR_KEYWORD: "**", parameter.VAR_POSITIONAL: "*"}
        text = stars.get(parameter.kind, "") + parameter.name
        if parameter.default not in (REQUIRED, parameter.empty):
            value = parameter.default
            text += f'="{value}"' if isinstance(value, str) else f"={value!r}"
        arguments.append(text)
    line = f"layer_api.{name}({', '.join(arguments)})"
    if len(line) <= 80:
        return line
    inner = "".join(f"    {argument},\n" for argument in arguments)
    return f"layer_api.{name}(\n{inner})"


# --- R -------------------------------------------------------------------------------------------


def _r_pages(build):
    """Return {name: (summary, page)}."""
    file = build / "help.json"
    subprocess.run(["Rscript", "docs/help.R", "r-package/man", str(file)], cwd=ROOT, check=True)
    found = _to_markdown(json.loads(file.read_text(encoding="utf-8")))
    _check_all("r-package/man", {name for _, name in PAIRS}, set(found))
    pages = {alias: name for name, page in found.items() for alias in page["aliases"]}
    return {name: _r_page(name, page, pages) for name, page in found.items()}


def _r_page(name, page, pages):
    sections = {}
    if page["value"]:
        sections["Value"] = page["value"]
    sections |= dict(page["sections"])
    if page["examples"]:
        sections["Examples"] = f"```r\n{page['examples']}\n```"
    if page["references"]:
        sections["References"] = page["references"]
    usage = html.unescape(re.sub(r"<h3>.*?</h3>|<[^>]+>", "", page["usage"] or "")).strip()
    arguments = {key.replace("\\", ""): text for key, text in page["arguments"]}
    text = _page("r", name, page["title"], usage, page["body"], arguments, sections)
    return page["title"], _linked(text, pages, name)


_CUT = "CUT-HERE-BETWEEN-TEXTS"


def _to_markdown(found):
    """Return what help.R wrote with its HTML as Markdown, by one call of pandoc."""
    texts = []

    def collect(text):
        texts.append(text)
        return len(texts) - 1

    numbered = {name: _texts(page, collect) for name, page in found.items()}
    source = f"\n<p>{_CUT}</p>\n".join(texts)
    # What R puts around code that must not break.
    source = re.sub(r'<code style="[^"]*">&#8288;(.*?)&#8288;</code>', r"<code>\1</code>", source)
    # Markdown does not look into the frames that roxygen puts around code.
    framed = re.compile(r'<div class="sourceCode ?(.*?)"><pre>(.*?)</div>', flags=re.S)
    source = framed.sub(r'<pre class="\1">\2', source)
    written = subprocess.run(
        ["pandoc", "--from=html", "--to=commonmark+pipe_tables", "--wrap=none"],
        input=source, capture_output=True, text=True, check=True, encoding="utf-8",
    ).stdout.split(f"{_CUT}")  # fmt: skip
    return {
        name: _texts(page, lambda number: written[number].strip())
        for name, page in numbered.items()
    }


def _texts(page, convert):
    """Return a help page with those of its parts converted that are HTML."""
    changed = {
        key: convert(page[key])
        for key in ("title", "body", "value", "references")
        if page[key] is not None
    }
    for key in ("arguments", "sections"):
        changed[key] = [[convert(head), convert(text)] for head, text in page[key]]
    return page | changed


def _check_all(where, described, existing):
    """Stop where something public has no page: its topic is to be named above."""
    if missing := sorted(existing - set(described)):
        raise SystemExit(f"docs/reference.py: no topic has {', '.join(missing)} of {where}.")
