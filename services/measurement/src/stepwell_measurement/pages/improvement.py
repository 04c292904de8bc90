"""Addresses below /measurement/dashboard/report: the quarterly report as a page and as a file."""

import asyncio
import re
from dataclasses import dataclass

from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.fhir.wire import Exchange
from stepwell_shared.pages.door import Shown, Visit
from stepwell_shared.pages.layout import page_headers

from stepwell_measurement.data.dashboard_words import Words
from stepwell_measurement.pages.board import waiting_page
from stepwell_measurement.pages.pdf import pdf_of
from stepwell_measurement.pages.quarter import Asked, is_told, quarterly, quarters_of, report_page
from stepwell_measurement.pages.tiles import STYLE, Voice
from stepwell_measurement.rules.board import Board
from stepwell_measurement.rules.minutes import told_in
from stepwell_measurement.rules.quarters import first_day, last_day
from stepwell_measurement.use_cases.dashboards import board_of
from stepwell_measurement.use_cases.minutes import decisions_of

MEASURE_REPORT = "MeasureReport"
HTML, PDF = "text/html", "application/pdf"
FORMATS = {"html": HTML, HTML: HTML, "pdf": PDF, PDF: PDF}
_QUARTER = re.compile(r"2[0-9]{3}-Q[1-4]")
_PRACTICE = re.compile(r"[A-Za-z0-9\-.]{1,64}")


@dataclass(frozen=True)
class _Reports:
    """What is asked for: the report of a quarter, or of the last one, for everybody or for one practice."""

    quarter: str
    practice: str
    media_type: str

    @classmethod
    def of(cls, exchange: Exchange) -> "_Reports":
        """Raises FhirError for what cannot be asked."""
        quarter, practice = exchange.parameter("quarter") or "", exchange.parameter("practice") or ""
        if quarter and not _QUARTER.fullmatch(quarter):
            raise FhirError(Category.INVALID, "quarter is such as 2026-Q3")
        if practice and not _PRACTICE.fullmatch(practice):
            raise _absent()
        return cls(quarter, practice, format_of(exchange))


async def report(visit: Visit, base: str) -> Shown:
    """The report as a page or as a file. Raises FhirError."""
    if visit.exchange.path.rstrip("/") != f"{base}/report":
        raise _absent()
    wanted = _Reports.of(visit.exchange)
    _require(visit, wanted.practice)
    asked = visit.exchange.parameter("language")
    voice = Voice(Words(visit.language), base, f"?language={asked}" if asked else "", has_definitions=True)
    board = await board_of(visit.runtime, visit.access.tenant)
    quarters = quarters_of(board) if board is not None else ()
    if wanted.quarter and wanted.quarter not in quarters:
        raise _absent()
    if board is None or not quarters:
        if wanted.media_type == PDF:
            raise FhirError(Category.NOT_FOUND, "there is no whole quarter with figures yet")
        body = waiting_page(voice, "no-quarter")
        return Shown(body, "$report", MEASURE_REPORT, headers=_headers(voice))
    return await _made(visit, board, wanted, voice)


async def _made(visit: Visit, board: Board, wanted: _Reports, voice: Voice) -> Shown:
    quarters = quarters_of(board)
    chosen = Asked(wanted.quarter or quarters[-1], wanted.practice)
    if not is_told(board, chosen):
        raise _absent()
    decisions = told_in(
        await decisions_of(visit.runtime, visit.access.tenant),
        first_day(chosen.quarter),
        last_day(chosen.quarter),
        public_only=bool(chosen.practice),
    )
    document = quarterly(board, chosen, decisions, voice)
    if wanted.media_type == HTML:
        body = report_page(document, voice, quarters, chosen)
        return Shown(body, "$report", MEASURE_REPORT, headers=_headers(voice))
    note = voice.words.phrase("letters-missing")
    file = await asyncio.to_thread(pdf_of, document, board.made_at, note)
    name = "-".join(each for each in ("stepwell", chosen.quarter, chosen.practice) if each)
    headers = {**_headers(voice), "Content-Disposition": f'attachment; filename="{name}.pdf"'}
    return Shown(file, "$report", MEASURE_REPORT, media_type=PDF, headers=headers)


def _require(visit: Visit, practice: str) -> None:
    """Leaders see all; somebody whose scopes reach the reports of one practice alone sees that one."""
    if not practice:
        visit.access.require_unrestricted(MEASURE_REPORT, Interaction.SEARCH_TYPE)
        return
    allowed = visit.access.filters(MEASURE_REPORT, Interaction.SEARCH_TYPE)
    if allowed and f"reporter=Organization/{practice}" not in allowed:
        raise FhirError(Category.FORBIDDEN, "this token does not reach the reports of this practice")


def format_of(exchange: Exchange) -> str:
    """A page unless a file is asked for, by `_format` or else by Accept. Raises FhirError NOT_ACCEPTABLE."""
    wanted = exchange.parameter("_format")
    if wanted is None:
        return PDF if PDF in exchange.headers.get("accept", "") else HTML
    if wanted not in FORMATS:
        raise FhirError(Category.NOT_ACCEPTABLE, "_format is html or pdf")
    return FORMATS[wanted]


def _headers(voice: Voice) -> dict[str, str]:
    return {**page_headers(STYLE), "Content-Language": voice.words.language}


def _absent() -> FhirError:
    return FhirError(Category.NOT_FOUND, "there is no such page")
