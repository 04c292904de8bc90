"""What mkdocs does for our site beside building it: README and changelog are pages, and the menu leaves no page out.

Links into the repository, which has no place on the site, become the name of what they lead to. A link that leads
nowhere stays, and the strict build refuses it.
"""

import re
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
DOCS = "docs"
FROM_ROOT = {"README.md": "index.md", "CHANGELOG.md": "changelog.md"}
LINK = re.compile(r"(?P<text>\[[^\]]*\])\((?P<target>[^)\s#]+)(?P<anchor>#[^)]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that stand at the root of the repository, and gives every pattern of the menu its pages."""
    for name, page in FROM_ROOT.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text(encoding="utf-8")))
    pages = sorted(file.src_uri for file in files.documentation_pages())
    taken = {uri for uri in _named(config.nav or []) if "*" not in uri}
    config.nav = _filled(config.nav or [], pages, taken)
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Links as they are on the site."""
    names = {target: source for source, target in FROM_ROOT.items()}
    source = names.get(page.file.src_uri, f"{DOCS}/{page.file.src_uri}")
    return LINK.sub(lambda match: link_on_site(match, PurePosixPath(source)), markdown)


def link_on_site(match: re.Match[str], source: PurePosixPath) -> str:
    """One link of the page at `source`, a path in the repository."""
    target = match["target"]
    if "://" in target or target.startswith("mailto:"):
        return match[0]
    place = PurePosixPath(normpath(str(source.parent / target)))
    here = PurePosixPath(DOCS if str(source) in FROM_ROOT else source.parent)
    anchor = match["anchor"] or ""
    if str(place) in FROM_ROOT:
        return f"{match['text']}({_relative(PurePosixPath(DOCS, FROM_ROOT[str(place)]), here)}{anchor})"
    if place.parts[0] == DOCS:
        return f"{match['text']}({_relative(place, here)}{anchor})"
    if not (ROOT / place).exists():
        return match[0]
    text = match["text"][1:-1]
    return f"`{place}`" if text.strip("`") in str(place) else f"{text} (`{place}`)"


def _relative(place: PurePosixPath, here: PurePosixPath) -> str:
    common = 0
    while common < min(len(place.parts), len(here.parts)) and place.parts[common] == here.parts[common]:
        common += 1
    return "/".join([".."] * (len(here.parts) - common) + list(place.parts[common:]))


def _named(nav: Iterable[Any]) -> Iterable[str]:
    for entry in nav:
        for value in entry.values() if isinstance(entry, dict) else [entry]:
            yield from _named(value) if isinstance(value, list) else [value]


def _filled(nav: list[Any], pages: list[str], taken: set[str]) -> list[Any]:
    """The menu with pages in place of patterns; the first pattern that fits a page has it."""
    filled: list[Any] = []
    for entry in nav:
        if isinstance(entry, dict):
            filled += [
                {title: _filled(value, pages, taken) if isinstance(value, list) else value}
                for title, value in entry.items()
            ]
        elif "*" not in entry:
            filled.append(entry)
        else:
            found = [uri for uri in pages if uri not in taken and _fits(uri, entry)]
            taken.update(found)
            filled += found
    return filled


def _fits(uri: str, pattern: str) -> bool:
    return uri.count("/") == pattern.count("/") and fnmatch(uri, pattern)
