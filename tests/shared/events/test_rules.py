"""The pure parts: what an answer means, how long to wait, which filters match, what an event looks like when stored."""

import json
from decimal import Decimal

import pytest
from fhir.resources.R4B.bundle import Bundle
from stepwell_shared.database.table_functions import insert_columns
from stepwell_shared.events.answers import Verdict, backoff_seconds, read_answer
from stepwell_shared.events.filters import concerning, parse_filter, passes_subject
from stepwell_shared.events.notification import Addressee, NumberedEvent, notification
from stepwell_shared.events.outbox import event
from stepwell_shared.events.subscriptions import SubscriptionRow
from stepwell_shared.events.tables import Outbox, SubscriptionState
from stepwell_shared.events.topics import Topics
from stepwell_shared.fhir.outcome import FhirError, Issue, outcome_bytes

from tests.shared.events.subscriber import BASE_URL, RECORDED, SCORES, entries_of, scored

NAMED = outcome_bytes([Issue("event 2: no", "business-rule", "Bundle.entry[2]")])


@pytest.mark.parametrize("text", ["", "Task", "?a=b", "Task?", "Task?patient", "Task?patient=", "Ta sk?patient=1"])
def test_a_filter_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (the standard library words some of them)
        parse_filter(text)


def test_an_unknown_topic_is_refused() -> None:
    with pytest.raises(FhirError) as refused:
        Topics([SCORES]).get("https://stepwell.health/fhir/SubscriptionTopic/other")
    assert refused.value.status == 422
    assert Topics([SCORES]).get(SCORES.canonical) is SCORES


def test_an_event_whose_first_entry_is_not_its_focus_is_refused() -> None:
    with pytest.raises(ValueError, match="focus"):
        event("t", "Patient/p1", "Task/t1", [(f"{BASE_URL}/Patient/p1", b"{}")], RECORDED)
    with pytest.raises(ValueError, match="focus"):
        event("t", "Patient/p1", "Task/t1", [], RECORDED)


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (200, b"", Verdict.DELIVERED),
        (204, b"", Verdict.DELIVERED),
        (302, b"", Verdict.FAULTY),
        (401, NAMED, Verdict.UNAVAILABLE),
        (403, NAMED, Verdict.UNAVAILABLE),
        (408, NAMED, Verdict.UNAVAILABLE),
        (429, NAMED, Verdict.UNAVAILABLE),
        (422, NAMED, Verdict.REFUSED),
        (400, b"<html>", Verdict.FAULTY),
        (404, outcome_bytes([Issue("not here", "not-found")]), Verdict.FAULTY),
        (400, b"[1]", Verdict.FAULTY),
        (400, b'{"resourceType":"OperationOutcome","issue":[1]}', Verdict.FAULTY),
        (500, NAMED, Verdict.FAULTY),
        (503, b"", Verdict.UNAVAILABLE),
    ],
)
def test_an_answer_means(status: int, body: bytes, verdict: Verdict) -> None:
    assert read_answer(status, body, internal=True).verdict is verdict


def test_what_a_foreign_receiver_writes_is_not_kept() -> None:
    assert read_answer(422, NAMED, internal=True).reason == "HTTP 422 business-rule: event 2: no"
    assert read_answer(422, NAMED, internal=False).reason == "HTTP 422 business-rule"


def test_backoff_doubles_up_to_its_end_and_jitters_over_the_whole_range() -> None:
    assert [backoff_seconds(n, 3600, 1.0) for n in (1, 2, 3, 12, 13, 10_000)] == [1, 2, 4, 2048, 3600, 3600]
    assert backoff_seconds(5, 3600, 0.25) == 4
    assert backoff_seconds(5, 3600, 0.0) == 0


def passes(filters: list[str], subject: str, focus: str = "Task/t1") -> bool:
    return passes_subject(concerning(filters, focus), subject, lambda address: address.removeprefix("http://us.test/"))


def test_filters_are_joined_by_and_their_values_by_or() -> None:
    assert passes([], "Patient/p1")
    assert passes(["Task?patient=p1,p2"], "Patient/p2")
    assert passes(["Task?subject=Patient/p2"], "Patient/p2")
    assert passes(["Task?patient=http://us.test/Patient/p2"], "Patient/p2")
    assert passes(["Task?patient=https://ehr.test/Patient/p2"], "https://ehr.test/Patient/p2")
    assert passes(["Flag?patient=p9"], "Patient/p2")
    assert not passes(["Task?patient=p1", "Task?patient=p2"], "Patient/p2")
    assert not passes(["Task?patient=p"], "Patient/p2")
    assert not passes(["Task?patient=http://elsewhere.test/Patient/p2"], "Patient/p2")


def test_effects_stand_in_the_order_of_their_tables() -> None:
    outbox = [column.name for column in insert_columns(Outbox.metadata.tables["outbox"])]
    assert outbox == ["topic", "subject", "focus", "payload", "traceparent", "recorded"]
    state = [column.name for column in insert_columns(SubscriptionState.metadata.tables["subscription_state"])]
    assert state == list(SubscriptionRow.__slots__)


def test_built_resources_keep_their_decimals() -> None:
    resource = {"resourceType": "Task", "id": "t1", "value": Decimal("72.50")}
    effect = event("t", "Patient/p1", "Task/t1", [(f"{BASE_URL}/Task/t1", resource)], RECORDED)
    (entry,) = entries_of(effect)
    assert bytes(entry.resource) == b'{"resourceType":"Task","id":"t1","value":72.50}'


@pytest.mark.parametrize("content", ["empty", "id-only", "full-resource"])
def test_a_notification_is_a_valid_bundle(content: str) -> None:
    body = json.dumps({"resourceType": "QuestionnaireResponse", "id": "r1", "status": "completed"}).encode()
    entries = entries_of(scored("r1", "p1", body=body))
    addressee = Addressee(f"{BASE_URL}/Subscription/s1", SCORES.canonical, "active", content)
    events = [NumberedEvent(7, RECORDED, entries)]
    parsed = json.loads(notification(addressee, "event-notification", events, events_total=7, sent=RECORDED))
    Bundle.model_validate(parsed)
    assert parsed["type"] == "history"
    assert parsed["timestamp"] == "2026-11-21T20:54:00.000Z"
    assert all({"fullUrl", "request", "response"} <= entry.keys() for entry in parsed["entry"])
    names = [parameter["name"] for parameter in parsed["entry"][0]["resource"]["parameter"]]
    assert names == [
        *("subscription", *(() if content == "empty" else ("topic",)), "status", "type"),
        *("events-since-subscription-start", "notification-event"),
    ]
