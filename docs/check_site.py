"""Check a built site: no dead link, and nothing that a page would fetch from elsewhere.

``python docs/check_site.py FOLDER`` reads every HTML page and style sheet in the folder, without a
network, and exits with 1 after listing what is wrong.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Elements and attributes that a browser fetches by itself; <a href> waits for a click.
_FETCHED = {
    ("script", "src"), ("img", "src"), ("link", "href"), ("iframe", "src"), ("source", "src"),
    ("video", "src"), ("audio", "src"), ("object", "data"), ("embed", "src"), ("input", "src"),
    ("img", "srcset"), ("source", "srcset"), ("video", "poster"),
}  # fmt: skip
_NOT_FETCHED_LINKS = {"canonical", "author", "license", "search", "next", "prev", "index"}


class Page(HTMLParser):
    """The anchors of a page, what it links to and what it fetches."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = {"", "top"}
        self.links: set[str] = set()
        self.fetched: set[str] = set()
        self._style = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {key: value or "" for key, value in attrs}
        self._style = tag == "style"
        self.anchors |= {given[key] for key in ("id", "name") if key in given}
        if tag in ("a", "area") and "href" in given:
            self.links.add(given["href"])
        self.fetched.update(_urls_in_css(given.get("style", "")))
        if tag == "link" and set(given.get("rel", "").split()) & _NOT_FETCHED_LINKS:
            self.links.add(given.get("href", ""))
            return
        for key in given:
            if (tag, key) in _FETCHED:
                several = given[key].split(",") if key == "srcset" else [given[key]]
                self.fetched.update(one.split()[0] for one in several if one.strip())

    handle_startendtag = handle_starttag

    def handle_data(self, data: str) -> None:
        if self._style:
            self.fetched.update(_urls_in_css(data))


def _urls_in_css(text: str) -> list[str]:
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    urls = re.findall(r"url\(\s*['\"]?([^'\")]+)['\"]?\s*\)", text)
    return urls + re.findall(r"@import\s+['\"]([^'\"]+)['\"]", text)


@cache
def _page(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def problems(site: Path) -> list[str]:
    """Return what is wrong, one line each."""
    found = []
    pages = sorted(site.rglob("*.html"))
    if not pages:
        return [f"{site}: no page"]
    for path in pages:
        page = _page(path)
        for url in sorted(page.links | page.fetched):
            problem = _problem(url, path, site, is_fetched=url in page.fetched)
            if problem:
                found.append(f"{path.relative_to(site)}: {problem}")
    for path in sorted(site.rglob("*.css")):
        for url in _urls_in_css(path.read_text(encoding="utf-8")):
            problem = _problem(url, path, site, is_fetched=True)
            if problem:
                found.append(f"{path.relative_to(site)}: {problem}")
    return found


def _problem(url: str, path: Path, site: Path, *, is_fetched: bool) -> str | None:
    parts = urlsplit(url)
    if parts.scheme in ("data", "mailto"):
        return None
    if parts.scheme or parts.netloc:
        return f"fetches {url}" if is_fetched else None
    named = unquote(parts.path)
    start = site if named.startswith("/") else path.parent
    target = (start / named.lstrip("/")).resolve() if named else path
    if target.is_dir():
        target /= "index.html"
    if not target.is_relative_to(site.resolve()) and named:
        return f"{url} leaves the site"
    if not target.is_file():
        return f"{url} does not exist"
    is_page = target.suffix == ".html"
    if is_page and parts.fragment and unquote(parts.fragment) not in _page(target).anchors:
        return f"{url} has no such anchor"
    return None


if __name__ == "__main__":
    wrong = problems(Path(sys.argv[1]))
    print("\n".join(wrong[:100]))
    sys.exit(bool(wrong))
