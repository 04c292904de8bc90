"""When something is wrong, and what is said to do about it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from stepwell_shared.auth.audit_chain import Fault, Verified
from stepwell_shared.cli.doctor import findings
from stepwell_shared.cli.doctor.findings import Finding, Login, State
from stepwell_shared.events.standing import Standing

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TOPIC = "https://stepwell.health/fhir/SubscriptionTopic/score-finalized"
PEER = "https://routing.example/routing/notifications"
GOOD = Standing(
    tenant="north",
    subscription_id="s1",
    topic=TOPIC,
    endpoint=PEER,
    content="full-resource",
    internal=True,
    status="active",
    next_event_number=5,
    attempts=0,
    next_attempt_at=NOW,
    last_error="",
    oldest=None,
    waiting=0,
    parked=0,
)
RUNTIME = Login("stepwell", is_superuser=False, bypasses_row_security=False, tables_owned=0)


def bad(found: list[Finding]) -> list[Finding]:
    return [each for each in found if each.state is not State.GOOD]


def deliveries(*standings: Standing) -> list[Finding]:
    return findings.of_deliveries("screening", standings, NOW, 300)


@pytest.mark.parametrize(
    ("login", "words"),
    [
        (replace(RUNTIME, is_superuser=True), "tenants are not kept apart"),
        (replace(RUNTIME, bypasses_row_security=True), "tenants are not kept apart"),
        (replace(RUNTIME, tables_owned=3), "owns 3 tables"),
    ],
)
def test_a_login_that_row_level_security_does_not_hold_is_wrong(login: Login, words: str) -> None:
    found = findings.of_login("screening database", login, [])
    assert (found.state, words in found.told, bool(found.to_do)) == (State.WRONG, True, True)


def test_a_table_without_row_level_security_is_named() -> None:
    found = findings.of_login("screening database", RUNTIME, ["outbox"])
    assert (found.state, "outbox" in found.told) == (State.WRONG, True)
    assert findings.of_login("screening database", RUNTIME, []).state is State.GOOD


def test_an_old_postgresql_and_a_schema_that_is_behind_are_wrong() -> None:
    assert findings.of_server("x", 140_012).state is State.WRONG
    assert findings.of_server("x", 150_004).state is State.GOOD
    found = findings.of_schema("x", "routing", ["table a", "table b", "c.d", "function e"])
    assert found.state is State.WRONG
    assert "table a, table b, c.d and 1 more missing" in found.told
    assert "stepwell migrate routing" in found.to_do


@pytest.mark.parametrize(
    ("seconds", "state"), [(-31, State.WRONG), (31, State.WRONG), (16, State.LOOK), (-16, State.LOOK), (3, State.GOOD)]
)
def test_a_clock_is_judged_by_what_tokens_forgive(seconds: float, state: State) -> None:
    assert findings.of_clock("x", seconds).state is state


@pytest.mark.parametrize(("days", "state"), [(-1, State.WRONG), (13, State.LOOK), (15, State.GOOD)])
def test_a_certificate_is_told_of_before_it_ends(days: int, state: State) -> None:
    assert findings.of_certificate("x", NOW + timedelta(days=days), NOW).state is state


def test_a_tenant_that_one_service_does_not_know_is_named_with_the_service() -> None:
    found = findings.of_tenants({"screening": ["north", "south"], "routing": ["north"]})
    assert (found.state, found.told) == (State.WRONG, "south is unknown to routing")
    assert "stepwell tenant add south" in found.to_do
    assert findings.of_tenants({"screening": [], "routing": []}).state is State.LOOK
    assert findings.of_tenants({"screening": ["north"], "routing": ["north"]}).state is State.GOOD


def test_a_peer_that_does_not_answer_is_wrong_and_a_subscriber_outside_is_to_look_at() -> None:
    assert bad(deliveries(GOOD)) == []
    (peer,) = bad(deliveries(replace(GOOD, status="error", last_error="ConnectError")))
    assert (peer.subject, peer.state) == ("peers", State.WRONG)
    assert peer.told == f"{PEER} does not take score-finalized: ConnectError"
    (outside,) = bad(deliveries(GOOD, replace(GOOD, internal=False, status="off")))
    assert (outside.subject, outside.state) == ("subscribers", State.LOOK)


def test_what_is_owed_for_long_and_what_is_parked_say_where_to_look() -> None:
    (owed,) = bad(deliveries(replace(GOOD, oldest=NOW - timedelta(seconds=301))))
    assert (owed.subject, owed.state, "301 s" in owed.told) == ("outbox", State.LOOK, True)
    assert bad(deliveries(replace(GOOD, oldest=NOW - timedelta(seconds=299)))) == []
    (parked,) = bad(deliveries(replace(GOOD, parked=1)))
    assert (parked.state, parked.told[:11]) == (State.WRONG, "1 event was")
    assert "stepwell deliveries show screening north s1" in parked.to_do


def test_a_listener_of_ours_that_is_not_subscribed_or_at_an_old_address_is_missing() -> None:
    wanted = [(TOPIC, PEER)]
    assert findings.of_listeners("screening", "north", wanted, [GOOD]).state is State.GOOD
    for there in ([], [replace(GOOD, endpoint="https://old.example")], [replace(GOOD, internal=False)]):
        found = findings.of_listeners("screening", "north", wanted, there)
        assert (found.state, "is not told of score-finalized" in found.told) == (State.WRONG, True)


def test_a_changed_audit_is_wrong_and_says_which_seal() -> None:
    chain = Verified(seals=2, entries=10, unsealed=0, head="", faults=[Fault(2, "an entry was changed")])
    found = findings.of_audit("routing", "north", chain)
    assert (found.state, "seal 2: an entry was changed" in found.told) == (State.WRONG, True)
    assert findings.of_audit("routing", "north", replace(chain, faults=[])).state is State.GOOD
