"""Check that every link of the site leads somewhere, and that the site needs no network.

Usage: python docs/check_links.py build/site
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# What a browser gets by itself; all other links are followed by readers.
LOADED = {"script", "img", "iframe", "source", "link"}


class _Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.anchors = {"", "__top"}
        self.links = []  # (tag, address)
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "id" or (tag == "a" and name == "name"):
                self.anchors.add(value)
            elif name in ("href", "src") and value is not None:
                self.links.append((tag, value))


def check(site):
    """Stop if a link is dead, or if a page loads something from the network.

    Args:
        site: Path of the folder of the site.
    """
    pages = {
        path.resolve(): _Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")
    }
    wrong = []
    count = 0
    for path, page in pages.items():
        for tag, link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if tag in LOADED and parts.scheme != "data":
                    wrong.append(f"{path.relative_to(site.resolve())} loads {link}")
                continue
            count += 1
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            if not target.exists() or (
                target in pages and unquote(parts.fragment) not in pages[target].anchors
            ):
                wrong.append(
                    f"{path.relative_to(site.resolve())} links to {link}, which is not there"
                )
    if wrong:
        raise SystemExit("\n".join(wrong))
    print(f"{len(pages)} pages, {count} links within the site, none dead.")


if __name__ == "__main__":
    check(Path(sys.argv[1]))
