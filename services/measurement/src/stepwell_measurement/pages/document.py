"""A report as what it says, before it is a page or a file: parts with paragraphs, tables and entries."""

from collections.abc import Callable
from typing import NamedTuple

from stepwell_shared.markup import Markup, element
from stepwell_shared.pages.layout import table


class Row(NamedTuple):
    """One row of a table; the first cell names it. `about` is the id of the definition that it leads to."""

    cells: tuple[str, ...]
    about: str = ""


class Figures(NamedTuple):
    """A table."""

    caption: str
    heads: tuple[str, ...]
    rows: tuple[Row, ...]


class Entry(NamedTuple):
    """Something with a name and what is said of it: pairs of a word and a text; `language` is that of the texts."""

    title: str
    said: tuple[tuple[str, str], ...]
    language: str
    id: str = ""


class Part(NamedTuple):
    """A part of a report."""

    id: str
    title: str
    content: tuple[str | Figures | Entry, ...]


class Document(NamedTuple):
    """A report in one language. `foot` gives the line at the foot of a page of how many."""

    language: str
    title: str
    lead: tuple[str, ...]
    parts: tuple[Part, ...]
    foot: Callable[[int, str], str]


def marked_up(document: Document) -> list[Markup]:
    """The report for a page, below its title."""
    return [
        *(element("p", each) for each in document.lead),
        *(marked_part(each, document.language) for each in document.parts),
    ]


def marked_part(part: Part, language: str) -> Markup:
    """One part for a page in a language."""
    content = [_block(each, language) for each in part.content]
    return element("section", element("h2", part.title, id=part.id), content, aria_labelledby=part.id)


def _block(block: str | Figures | Entry, language: str) -> Markup:
    if isinstance(block, str):
        return element("p", block)
    if isinstance(block, Figures):
        rows = [(_name(row), *row.cells[1:]) for row in block.rows]
        shown = table(block.caption, block.heads, rows)
        return element("div", shown, class_="scroll", tabindex=0, role="region", aria_label=block.caption)
    return entry(block, language)


def entry(block: Entry, language: str) -> Markup:
    """One entry of a page in a language."""
    told = block.language if block.language != language else None
    said = [(element("dt", name), element("dd", text, lang=told)) for name, text in block.said]
    title = element("h3", block.title, id=block.id or None)
    return element("section", title, element("dl", said), class_="entry")


def _name(row: Row) -> object:
    name = row.cells[0]
    return element("a", name, href=f"#{row.about}") if row.about else name
