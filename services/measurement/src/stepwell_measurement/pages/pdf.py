"""A report as a PDF file: text that can be searched and read aloud, with its language, title, outline and page numbers.

Letters are those of Windows-1252, which the fonts that every reader of PDF brings can show (ISO 32000-1, annex D);
what it does not have stands without its accent or as a question mark, and the file says so.
"""

import unicodedata
from datetime import datetime
from importlib import import_module
from typing import Any

from stepwell_measurement.pages.document import Document, Entry, Figures

ENCODING, FONT = "windows-1252", "Helvetica"
_PLAIN = {"\u202f": "\u00a0", "\u2212": "\u2013"}
_MARGIN_MILLIMETRES, _LINE_MILLIMETRES = 18, 5
_SMALL, _NORMAL, _HEADING, _TITLE = 8, 10, 13, 18
_FIRST_COLUMN = 2.0
"""How much wider the column with the names is than the others."""


def pdf_of(document: Document, made: datetime, note: str) -> bytes:
    """The file. `made` is when its figures were counted; `note` is said where a letter could not be written."""
    # It brings 50 MiB with it: loaded when the first report is written.
    pdf: Any = import_module("fpdf").FPDF(format="A4")
    writing = _Writing(pdf)
    pdf.core_fonts_encoding = ENCODING
    pdf.set_margin(_MARGIN_MILLIMETRES)
    pdf.set_auto_page_break(auto=True, margin=_MARGIN_MILLIMETRES)
    pdf.set_lang(document.language)
    pdf.set_title(document.title)
    pdf.set_producer("Stepwell")
    pdf.set_creation_date(made)
    pdf.set_display_mode("fullwidth")
    pdf.footer = lambda: _foot(pdf, document, writing)
    pdf.add_page()
    writing.line(document.title, _TITLE, is_bold=True)
    for paragraph in document.lead:
        writing.line(paragraph)
    for part in document.parts:
        writing.heading(part.title)
        for block in part.content:
            writing.block(block)
    if writing.has_lost_letters:
        writing.line(note)
    return bytes(pdf.output())


def _foot(pdf: Any, document: Document, writing: "_Writing") -> None:
    pdf.set_y(-_MARGIN_MILLIMETRES + 4)
    pdf.set_font(FONT, size=_SMALL)
    text = f"{document.title}  \u2013  {document.foot(pdf.page_no(), '{nb}')}"
    pdf.cell(0, _LINE_MILLIMETRES, writing.letters(text), align="C")


class _Writing:
    """One file while it is written."""

    def __init__(self, pdf: Any) -> None:
        self._pdf = pdf
        self.has_lost_letters = False

    def letters(self, text: str) -> str:
        """The text in letters that the font has."""
        return "".join(map(self._letter, unicodedata.normalize("NFC", text)))

    def _letter(self, letter: str) -> str:
        letter = _PLAIN.get(letter, letter)
        try:
            letter.encode(ENCODING)
        except UnicodeEncodeError:
            self.has_lost_letters = True
            plain = unicodedata.normalize("NFKD", letter)[0]
            return plain if plain.isascii() else "?"
        return letter

    def heading(self, text: str) -> None:
        """The title of a part, which readers list in their outline; never the last line of a page."""
        if self._pdf.will_page_break(8 * _LINE_MILLIMETRES):
            self._pdf.add_page()
        self._pdf.ln(_LINE_MILLIMETRES)
        self._pdf.set_font(FONT, "B", _HEADING)
        self._pdf.start_section(self.letters(text))
        self.line(text, _HEADING, is_bold=True)

    def line(self, text: str, size: int = _NORMAL, *, is_bold: bool = False) -> None:
        """A paragraph."""
        self._pdf.set_font(FONT, "B" if is_bold else "", size)
        height = size * 0.5
        self._pdf.multi_cell(0, height, self.letters(text), align="L", new_x="LMARGIN", new_y="NEXT")
        self._pdf.ln(1.5)

    def block(self, block: str | Figures | Entry) -> None:
        """A paragraph, a table or an entry."""
        if isinstance(block, str):
            self.line(block)
        elif isinstance(block, Figures):
            self._table(block)
        else:
            self._entry(block)

    def _entry(self, entry: Entry) -> None:
        if self._pdf.will_page_break(4 * _LINE_MILLIMETRES):
            self._pdf.add_page()
        self.line(entry.title, is_bold=True)
        for name, text in entry.said:
            self.line(f"{name}: {text}")
        self._pdf.ln(1)

    def _table(self, figures: Figures) -> None:
        self.line(figures.caption, is_bold=True)
        self._pdf.set_font(FONT, size=_SMALL)
        widths = (_FIRST_COLUMN, *(1.6 for _ in figures.heads[1:]))
        with self._pdf.table(col_widths=widths, text_align="LEFT", line_height=4, padding=1) as table:
            for cells in (figures.heads, *(row.cells for row in figures.rows)):
                row = table.row()
                for cell in cells:
                    row.cell(self.letters(cell))
        self._pdf.ln(2)
