"""What clinicians do with cards is kept once, and counted by service and rule."""

from typing import Any

from stepwell_routing.cds.feedback import feedback_rates
from stepwell_routing.cds.services import CARE_STEP, REFERRAL_STEP
from stepwell_shared.canonical import code_system

from tests.services.routing.cds.ehr import Ehr, concept, draft, ehr_of, orders, patient_view
from tests.services.routing.hearing import hear, scored
from tests.support.runtime import NORTH, SOUTH, START

PSYCHOTHERAPY = concept("http://snomed.info/sct", "394913002")
REASON = {"system": code_system("cds-override-reason"), "code": "person-prefers"}


def said(card: str, outcome: str = "accepted", minute: int = 0, **more: Any) -> dict[str, Any]:
    """Feedback on one card; shaped like the specification's example."""
    accepted = {"acceptedSuggestions": [{"id": "e56e1945-20b3-4393-8503-a1a20fd73152"}]}
    given = {"card": card, "outcome": outcome, "outcomeTimestamp": f"2026-11-21T10:{minute:02}:00Z"}
    return {**given, **(accepted if outcome == "accepted" else {}), **more}


async def shown(ehr: Ehr) -> str:
    """The uuid of a card on a draft referral."""
    (card,) = await ehr.cards(REFERRAL_STEP, orders(draft(performerType=PSYCHOTHERAPY)))
    return str(card["uuid"])


async def send(ehr: Ehr, *feedback: dict[str, Any], service: str = REFERRAL_STEP) -> int:
    return (await ehr.post(f"{service}/feedback", {"feedback": list(feedback)})).status_code


UNKNOWN = "01900000-0000-7000-8000-000000000000"
MALFORMED: list[object] = [
    [],
    "all well",
    [1],
    [{**said(UNKNOWN), "card": "x"}],
    [said(UNKNOWN, "ignored")],
    [{**said(UNKNOWN), "outcomeTimestamp": "yesterday"}],
    [{**said(UNKNOWN), "acceptedSuggestions": None}],
    [said(UNKNOWN, "overridden", overrideReason={"reason": {"code": "because"}})],
    [said(UNKNOWN, "overridden", overrideReason={"reason": {"system": "urn:x", "code": "not-now"}})],
]


async def test_malformed_feedback_is_refused(ehr: Ehr) -> None:
    for feedback in MALFORMED:
        answer = await ehr.post(f"{REFERRAL_STEP}/feedback", {"feedback": feedback})
        assert answer.status_code == 400
        assert answer.json()["resourceType"] == "OperationOutcome"


async def test_feedback_counts_for_cards_alone_that_this_service_showed_this_tenant(ehr: Ehr) -> None:
    await hear(ehr.runtime, scored(12))
    card = await shown(ehr)
    assert await send(ehr, said(UNKNOWN)) == 422
    assert await send(ehr, said(card), service=CARE_STEP) == 422
    async with ehr_of(ehr.runtime, issuer="https://south.example", serves=SOUTH) as south:
        assert await send(south, said(card)) == 422
    rates = await feedback_rates(ehr.runtime.database, NORTH, START)
    assert rates[REFERRAL_STEP, ""].accepted == 0


async def test_rates_are_known_by_service_and_by_rule(ehr: Ehr) -> None:
    await hear(ehr.runtime, scored(12))
    first, second, _ = [await shown(ehr) for _ in range(3)]
    await ehr.cards(CARE_STEP, patient_view())
    override = said(second, "overridden", overrideReason={"reason": REASON, "userComment": "Mrs. Example said no"})
    assert await send(ehr, said(first), override) == 200
    rates = await feedback_rates(ehr.runtime.database, NORTH, START)
    rate = rates[REFERRAL_STEP, "referral-without-step"]
    assert (rate.shown, rate.accepted, rate.overridden, rate.reasons) == (3, 1, 1, {"person-prefers": 1})
    assert rates[REFERRAL_STEP, ""] == rate
    assert rates[CARE_STEP, ""].shown == 1
    assert await feedback_rates(ehr.runtime.database, SOUTH, START) == {}


async def test_feedback_said_again_counts_once_and_the_latest_word_counts(ehr: Ehr) -> None:
    await hear(ehr.runtime, scored(12))
    card = await shown(ehr)
    override = said(card, "overridden", 5)
    for feedback in ([said(card, minute=1), override], [override], [said(card, minute=1)]):
        assert await send(ehr, *feedback) == 200
    rate = (await feedback_rates(ehr.runtime.database, NORTH, START))[REFERRAL_STEP, ""]
    assert (rate.shown, rate.accepted, rate.overridden, rate.reasons) == (1, 0, 1, {})


async def test_nothing_about_the_person_is_kept(ehr: Ehr) -> None:
    await hear(ehr.runtime, scored(12))
    card = await shown(ehr)
    await send(ehr, said(card, "overridden", overrideReason={"userComment": "Mrs. Example said no"}))
    async with ehr.runtime.database.transaction(NORTH) as connection:
        tables = [await connection.fetch(f"SELECT * FROM {name}") for name in ("cds_card", "cds_feedback")]
    kept = repr([tuple(row) for rows in tables for row in rows])
    assert card in kept
    assert "p1" not in kept
    assert "Example" not in kept
