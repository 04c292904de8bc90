"""Promises of the quarterly report: who may have it, that it says what is published and no more, on paper as well."""

import re
import zlib
from datetime import date
from functools import cache

import msgspec
import orjson
import pytest
from stepwell_measurement.board_tables import KeptSheet, keep
from stepwell_measurement.data.dashboard_words import Words, languages
from stepwell_measurement.data.measures import measures
from stepwell_measurement.pages.board import board_page, practice_page
from stepwell_measurement.pages.document import Document, Entry, Figures
from stepwell_measurement.pages.pdf import pdf_of
from stepwell_measurement.pages.quarter import Asked, quarterly, quarters_of, report_page
from stepwell_measurement.pages.tiles import Voice
from stepwell_measurement.rules.board import Board
from stepwell_measurement.rules.measures.figures import Figure
from stepwell_measurement.rules.minutes import Decision
from stepwell_measurement.rules.quarters import (
    difference,
    first_day,
    last_day,
    quarter_after,
    quarter_before,
    whole_quarters,
)
from stepwell_shared.proportions import Group, share_of
from stepwell_shared.runtime import Runtime

from tests.services.measurement.boards import END, MADE, START, board
from tests.services.measurement.scoring import NORTH
from tests.services.measurement.test_dashboards import LEADER, OF_LINDENHOF, PATIENT, Elements, asked

DECISION = Decision(
    "d1", 1, "Termine am Abend fehlen", "Zwei Praxen öffnen länger", date(2026, 8, 3), "under-way", "de", "waits"
)


@cache
def region(people: int = 1500) -> Board:
    return board(people)


async def filled(runtime: Runtime) -> None:
    for name, sheet in region().sheets.items():
        body = msgspec.json.encode(sheet).decode()
        await keep(runtime.database, NORTH, KeptSheet(name, MADE, START, END, body))


def voice(language: str = "en") -> Voice:
    return Voice(Words(language), "/measurement/dashboard", has_definitions=True)


def report(language: str = "en", practice: str = "", people: int = 1500) -> Document:
    return quarterly(region(people), Asked("2026-Q3", practice), [DECISION], voice(language))


def read_from(file: bytes) -> str:
    """The text of a PDF as a reader that searches it would find it, each line by itself."""
    streams = re.findall(rb"stream\n(.*?)\nendstream", file, re.DOTALL)
    pages = [zlib.decompress(each) for each in streams if each[:1] == b"\x78"]
    lines = [line for page in pages for line in re.findall(rb"\(((?:\\.|[^\\)])*)\) Tj", page, re.DOTALL)]
    return " ".join(re.sub(rb"\\(.)", rb"\1", line).decode("windows-1252") for line in lines)


async def test_who_may_not_have_the_report_has_none_and_what_is_not_there_is_not_made_up(runtime: Runtime) -> None:
    await filled(runtime)
    refused = [
        (None, "", 401), (PATIENT, "", 403), (OF_LINDENHOF, "", 403), (OF_LINDENHOF, "practice=riverside", 403),
        (LEADER, "practice=absent", 404), (LEADER, "practice=a/b", 404), (LEADER, "quarter=2026-Q4", 404),
        (LEADER, "quarter=2025-Q4", 404), (LEADER, "quarter=2026-5", 400), (LEADER, "_format=doc", 406),
    ]  # fmt: skip
    for access, query, status in refused:
        found, _, body = await asked(runtime, access, "/report", query)
        assert (found, orjson.loads(body)["resourceType"]) == (status, "OperationOutcome"), query
    assert (await asked(runtime, LEADER, "/report/more"))[0] == 404
    assert (await asked(runtime, LEADER, "/report", method="POST"))[0] == 405


def test_the_dashboards_lead_to_what_figures_are_for() -> None:
    links = Elements(board_page(region(), voice("de"))).links
    for page in ("report", "thresholds", "suggestions", "minutes"):
        assert f"/measurement/dashboard/{page}?language=de" in links
    own = practice_page(region(), "lindenhof", voice("de"))
    assert own is not None
    assert "/measurement/dashboard/report?practice=lindenhof&language=de" in Elements(own).links


async def test_leaders_have_the_region_and_a_practice_its_own_and_it_is_on_record(runtime: Runtime) -> None:
    assert "no whole quarter" in (await asked(runtime, LEADER, "/report"))[2]
    assert (await asked(runtime, LEADER, "/report", "_format=pdf"))[0] == 404
    await filled(runtime)
    status, headers, body = await asked(runtime, LEADER, "/report", "language=de")
    assert (status, headers["content-language"], "3. Quartal 2026" in body) == (200, "de", True)
    status, _, body = await asked(runtime, OF_LINDENHOF, "/report", "practice=lindenhof&quarter=2026-Q2")
    assert (status, "Quarterly report of lindenhof: Quarter 2 of 2026" in body) == (200, True)
    async with runtime.database.transaction(NORTH) as connection:
        rows = await connection.fetch("SELECT interaction, client_id FROM audit ORDER BY client_id, recorded")
    assert [tuple(row) for row in rows][::2] == [("$report", "north.board"), ("$report", "north.lindenhof")]


@pytest.mark.parametrize("language", languages())
def test_each_figure_leads_to_what_it_counts_and_the_file_says_what_the_page_says(language: str) -> None:
    document = report(language)
    page = report_page(document, voice(language), quarters_of(region()), Asked("2026-Q3"))
    found = Elements(page)
    assert len(found.ids) == len(set(found.ids))
    inner = [link for link in found.links if link.startswith("#")]
    assert {f"#figure-{name}" for name in measures()} <= set(inner)
    assert all(link[1:] in found.ids for link in inner)
    assert b"None" not in page
    file = pdf_of(document, MADE, "letters are missing")
    assert file == pdf_of(document, MADE, "letters are missing")
    said = set(read_from(file).split())
    told = [document.title, *document.lead]
    for part in document.parts:
        told.append(part.title)
        for block in part.content:
            if isinstance(block, Figures):
                told += [block.caption, *block.heads, *(cell for row in block.rows for cell in row.cells)]
            else:
                told += [block] if isinstance(block, str) else [text for pair in block.said for text in pair]
    words = " ".join(told).replace("\u202f", "\u00a0").replace("\u2212", "\u2013").replace(":", "").split()
    missing = [word for word in words if word not in said and f"{word}:" not in said]
    assert len(missing) < len(words) / 100, missing  # a long word is broken at the end of a line
    assert f"/Lang ({language})".encode() in file
    assert b"/Outlines" in file


def test_what_the_font_cannot_write_is_said_and_nobody_s_name_stands_in_the_file() -> None:
    decision = DECISION._replace(said="Łódź \u041f\u0440\u0438\u0432\u0435\u0442")
    document = quarterly(region(), Asked("2026-Q3"), [decision], voice())
    said = read_from(pdf_of(document, MADE, "Letters are missing."))
    assert "Letters are missing." in said
    assert "Letters are missing." not in read_from(pdf_of(report(), MADE, "Letters are missing."))
    page = report_page(document, voice(), quarters_of(region()), Asked("2026-Q3")).decode()
    assert '<dd lang="de">Łódź' in page
    assert not [name for name in ("lindenhof", "riverside", "inselpraxis") if name in page + said]


def test_a_figure_that_is_kept_back_is_said_to_be_and_is_not_compared() -> None:
    """Of so few people most figures are kept back, and no count of a report is one that the board does not publish."""
    document, few = report(people=40), region(40)
    rows = [row for part in document.parts for block in part.content if isinstance(block, Figures)
            for row in block.rows]  # fmt: skip
    withheld = [name for name, sheet in few.sheets.items() for group in sheet.quarters
                if group.value == "2026-Q3" and group.figure.is_withheld and group.figure.score is None
                and group.figure.waits is None]  # fmt: skip
    assert len(withheld) > 5
    for name in withheld:
        (row,) = [each for each in rows if each.about == f"figure-{name}"]
        assert row.cells[1].startswith("not shown"), row
        assert row.cells[3] == "not compared"


def test_decisions_stand_in_the_report_in_their_own_language() -> None:
    entries = [block for part in report().parts if part.id == "done" for block in part.content
               if isinstance(block, Entry)]  # fmt: skip
    assert [(each.language, each.title) for each in entries] == [("de", "Decided on 3 Aug 2026: under way")]
    assert dict(entries[0].said)["We did"] == "Zwei Praxen öffnen länger"


@pytest.mark.parametrize(
    ("start", "end", "quarters"),
    [
        (date(2025, 11, 1), date(2026, 10, 31), ("2026-Q1", "2026-Q2", "2026-Q3")),
        (date(2025, 1, 1), date(2025, 12, 31), ("2025-Q1", "2025-Q2", "2025-Q3", "2025-Q4")),
        (date(2025, 12, 1), date(2026, 11, 30), ("2026-Q1", "2026-Q2", "2026-Q3")),
        (date(2026, 2, 1), date(2026, 6, 29), ()),
    ],
)
def test_quarters_are_whole_or_not_told(start: date, end: date, quarters: tuple[str, ...]) -> None:
    assert whole_quarters(start, end) == quarters
    for each in quarters:
        assert quarter_before(quarter_after(each)) == quarter_after(quarter_before(each)) == each
        assert start <= first_day(each) <= last_day(each) <= end


def test_a_difference_has_the_interval_that_newcombe_published() -> None:
    """Newcombe 1998, Stat Med 17:873, table II, contrast a: 56 of 70 against 48 of 80 is 0.2 (0.0524 to 0.3339)."""
    measure = measures()["access"]
    found = difference(measure, share(56, 70), share(48, 80))
    assert found is not None
    assert [round(each, 4) for each in found] == [0.2, 0.0524, 0.3339]
    assert difference(measure, share(56, 70), share(48, 80)._replace(having=None)) is None
    assert difference(measures()["waits"], share(56, 70), share(48, 80)) is None


def share(having: int, of: int) -> Figure:
    return Figure(of, of, having, share_of(Group(having, of)))
