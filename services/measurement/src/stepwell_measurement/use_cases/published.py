"""What a Measure says to whoever may not see persons: the figures of the dashboards' pages, as a report."""

from datetime import datetime

from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.runtime import Runtime

from stepwell_measurement.rules.answers import Asked, answer, askable
from stepwell_measurement.rules.measures.reports import Report
from stepwell_measurement.use_cases.dashboards import MONTHS_BEFORE, board_of, months_before
from stepwell_measurement.use_cases.evaluating import Question, measure_of


async def published_report(runtime: Runtime, tenant: str, question: Question) -> tuple[Report, datetime]:
    """The report, and when its figures were made.

    Raises FhirError: as `evaluate` does; FORBIDDEN for what is not published; BUSINESS_RULE when nothing is yet.
    """
    measure = measure_of(question)
    board = await board_of(runtime, tenant)
    if board is None or measure.id not in board.sheets:
        text = "the figures are being counted for the first time; they are there in a minute"
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "transient")])
    period = (board.start, board.end)
    asked = Asked(question.start, question.end, question.strata, question.by, question.where)
    found = answer(measure, board.sheets[measure.id], period, asked)
    if found is None:
        known = askable(period, months_before(board.start, MONTHS_BEFORE))
        raise FhirError(Category.FORBIDDEN, f"{known}; more takes the right to read every Patient and Observation")
    return found, board.made_at
