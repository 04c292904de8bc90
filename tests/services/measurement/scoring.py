"""Scored responses as screening announces them, for the handlers of measurement."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from stepwell_measurement.app import listens, service
from stepwell_measurement.subscriptions import SCORE_FINALIZED
from stepwell_screening import builders
from stepwell_shared.canonical import derived_id, topic
from stepwell_shared.events.notification import ReceivedEvent
from stepwell_shared.runtime import Runtime

from tests.services.screening.rules.answering import DEFINITIONS, answered, spread, total_of
from tests.support.runtime import NORTH, SOUTH, URLS, received

__all__ = ["NORTH", "PATIENT", "SOUTH", "finalized", "hear", "score_id", "service"]

Resource = dict[str, Any]

PATIENT: Resource = {"reference": f"{URLS['screening']}/Patient/p1"}
FIRST_DAY = datetime(2026, 9, 1, 8, 0, tzinfo=UTC)
ITEMS = {"phq-9": (9, 3), "gad-7": (7, 3), "phq-15": (15, 2)}


def score_id(response: str, instrument: str = "phq-9") -> str:
    return derived_id(URLS["screening"], NORTH, "score", response, instrument)


def finalized(
    response: str,
    total: int,
    *,
    week: int = 0,
    version: int = 1,
    instrument: str = "phq-9",
    subject: Resource | None = None,
    status: str = "final",
    blank_items: int = 0,
) -> ReceivedEvent:
    """The event of a response with this total, given `week` weeks after the first day."""
    items, most = ITEMS[instrument]
    weights: list[int | None] = [*spread(total, items - blank_items, most), *([None] * blank_items)]
    result = total_of(instrument, answered(instrument, weights))
    assert blank_items or result.value == Decimal(total), "the answers do not add up"
    url = f"{URLS['screening']}/QuestionnaireResponse/{response}"
    authored = FIRST_DAY + timedelta(weeks=week)
    observation = builders.score_observation(
        observation_id=score_id(response, instrument),
        definition=DEFINITIONS[instrument],
        result=result,
        response_url=url,
        subject=subject or PATIENT,
        effective=authored.isoformat(),
        issued=authored,
        status=status,
    )
    observation["meta"] = {"source": f"{url}/_history/{version}"}
    focus = {
        "resourceType": "QuestionnaireResponse",
        "id": response,
        "meta": {"versionId": str(version)},
        "subject": subject or PATIENT,
    }
    entries = [(url, focus), (f"{URLS['measurement']}/Observation/{observation['id']}", observation)]
    return received(topic("score-finalized"), entries)


async def hear(runtime: Runtime, *events: ReceivedEvent, tenant: str = NORTH) -> None:
    """Handles the events one after another, as a notification brings them."""
    handler = listens(runtime)[SCORE_FINALIZED]
    for each in events:
        await handler(each, tenant)
