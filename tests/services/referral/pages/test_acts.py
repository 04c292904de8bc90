"""Promises of what can be done with a line: by the tables that hold at a write, with what each act asks for."""

from typing import Any

import pytest
from stepwell_referral.builders.referral import BSER_BUSINESS_STATUS
from stepwell_referral.data.worklist import LANGUAGES, knows, said
from stepwell_referral.rules import support
from stepwell_referral.rules.transitions import STATUSES, TABLE, TERMINAL, actors_of, allowed_targets
from stepwell_referral.use_cases.worklist import LISTS, OVERDUE_STATES
from stepwell_referral.use_cases.worklist_acts import _TARGETS, ASKS, Given, moved, possible
from stepwell_referral.use_cases.worklist_lines import KINDS
from stepwell_shared.canonical import code_system
from stepwell_shared.fhir.outcome import FhirError

from tests.services.referral.booking import waiting_task
from tests.services.referral.pages.visiting import at_work
from tests.support.runtime import START

ROLES = ("coordinator", "clinician", "community-health-worker")
MOVES = {"book", "message", "transfer"}


def task(status: str, kind: str = "tier-referral") -> dict[str, Any]:
    code = {"coding": [{"system": code_system("task"), "code": kind}]}
    return {**waiting_task("t1", "p1", 1), "status": status, "code": code}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("status", STATUSES)
def test_offered_is_what_the_state_machine_allows_and_all_of_it(role: str, status: str) -> None:
    offered = {_TARGETS[act] for act in possible(task(status), at_work(role)) if act not in MOVES}
    allowed = {each for actor in actors_of([role]) for each in allowed_targets(status, actor)}
    assert offered == allowed
    assert not TERMINAL & {status} or not offered


@pytest.mark.parametrize("kind", [each for each in KINDS if each not in {"tier-referral", "partial-referral"}])
@pytest.mark.parametrize("status", [*support.TABLE, "completed"])
def test_what_stands_beside_a_referral_moves_by_its_own_table(kind: str, status: str) -> None:
    offered = {_TARGETS[act] for act in possible(task(status, kind), at_work()) if act not in MOVES}
    assert offered == support.TABLE.get(status, frozenset())


def test_who_may_not_change_tasks_is_offered_nothing() -> None:
    assert possible(task("requested"), at_work(scopes="user/Task.rs")) == ()


def test_who_is_nobody_writes_to_nobody() -> None:
    assert "message" not in possible(task("requested"), at_work(fhir_user=None))
    assert "message" in possible(task("requested"), at_work())


@pytest.mark.parametrize(
    ("given", "place"),
    [
        (Given("decline", "1"), "Task.statusReason"),
        (Given("decline", "1", reason="because"), "Task.statusReason"),
        (Given("withdraw", "1", words="  "), "Task.statusReason.text"),
        (Given("transfer", "1", place="Patient/p1"), "Task.output"),
    ],
)
def test_an_act_without_what_it_asks_for_is_refused(given: Given, place: str) -> None:
    with pytest.raises(FhirError) as refused:
        moved(task("requested"), given, None, START)
    assert (refused.value.status, refused.value.issues[0].expression) == (422, place)


def test_a_refusal_says_its_coded_reason_and_a_business_status() -> None:
    declined = moved(task("received"), Given("decline", "1", reason="no-capacity", words=" Full. "), None, START)
    assert declined["status"] == "rejected"
    assert declined["statusReason"] == {
        "coding": [{"system": code_system("decline-reason"), "code": "no-capacity"}], "text": "Full.",
    }  # fmt: skip
    assert declined["businessStatus"]["coding"] == [{"system": BSER_BUSINESS_STATUS, "code": "4.0"}]


def test_a_transfer_names_the_place_and_that_it_is_one() -> None:
    for status, after in (("requested", "rejected"), ("accepted", "cancelled")):
        gone = moved(task(status), Given("transfer", "1", place="HealthcareService/b"), None, START)
        assert gone["status"] == after
        assert gone["statusReason"]["coding"][0]["code"] == "transferred"
        assert gone["output"][0]["valueReference"] == {"reference": "HealthcareService/b"}


def test_a_note_says_who_wrote_it_and_keeps_those_before() -> None:
    before = {**task("requested"), "note": [{"text": "first"}]}
    noted = moved(before, Given("accept", "1", words="Welcome"), "Practitioner/nurse-1", START)["note"]
    assert [each["text"] for each in noted] == ["first", "Welcome"]
    assert noted[1]["authorReference"] == {"reference": "Practitioner/nurse-1"}


def test_every_word_that_pages_need_is_there_in_each_language() -> None:
    statuses = {*STATUSES, *(after for _, after in TABLE), *OVERDUE_STATES}
    names = [
        *(f"act.{each}" for each in {*_TARGETS, *MOVES}),
        *(f"act.{each}.about" for each in _TARGETS if each not in ASKS),
        *(f"kind.{each}" for each in KINDS),
        *(f"status.{each}" for each in statuses),
        *(f"why.{each}" for each in OVERDUE_STATES),
        *(f"{each}.{part}" for each in (*LISTS, "unanswered", "queues") for part in ("title", "about", "caption")),
    ]
    assert [name for name in names if not knows(name)] == []
    assert all(said("day.in", language, days=3) != said("day.ago", language, days=3) for language in LANGUAGES)
    assert {said("worklist", language) for language in LANGUAGES} == {
        "Worklist", "Arbeitsliste", "Lista de trabajo", "Liste de travail",
    }  # fmt: skip
