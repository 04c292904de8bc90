"""What of a body goes with a person who is erased: decided by the body alone."""

from typing import Any

import pytest
from stepwell_shared.cli.erasing_rules import Fate, Sought, binaries_of, fate_of, redacted
from stepwell_shared.fhir.erased import REDACTED, emptied, is_emptied
from stepwell_shared.fhir.indexing import localiser

HERE = "https://stepwell.example/screening/fhir"
SOUGHT = Sought({"Patient/p1"}, {("urn:mrn", "17")}, localiser([HERE]))
ANNA, BEN = {"reference": "Patient/p1"}, {"reference": "Patient/p2"}


def body(resource_type: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": resource_type, "id": "x", **more}


@pytest.mark.parametrize(
    "resource",
    [
        body("Patient", id="p10"),
        body("Observation", subject={"reference": "Patient/p10"}),
        body("Observation", subject={"reference": "https://ehr.example/fhir/Patient/p1"}),
        body("Observation", subject={"identifier": {"system": "urn:other", "value": "17"}}),
        body("Observation", identifier=[{"system": "urn:mrn", "value": "17"}], subject=BEN),
        body("Subscription", criteria="Observation?patient=Patient/p10"),
        body("Practitioner", identifier=[{"system": "urn:mrn", "value": "17"}]),
        body("Patient", id="p1", meta={"security": [REDACTED]}, active=False),
    ],
    ids=str,
)
def test_what_is_of_somebody_else_is_kept(resource: dict[str, Any]) -> None:
    assert fate_of(resource, SOUGHT) is Fate.KEPT


@pytest.mark.parametrize(
    "resource",
    [
        body("Patient", id="p1"),
        body("Patient", id="p1", meta={"security": [REDACTED]}, name=[{"text": "Anna"}]),
        body("Observation", subject=ANNA),
        body("Observation", subject={"reference": f"{HERE}/Patient/p1/_history/3"}),
        body("Observation", subject={"identifier": {"system": "urn:mrn", "value": "17"}}),
        body("Task", **{"for": ANNA}, input=[{"valueReference": BEN}]),
        body("Appointment", participant=[{"actor": ANNA}, {"actor": {"reference": "Practitioner/a"}}]),
        body("Subscription", criteria="Observation?patient=Patient/p1"),
        body("Communication", recipient=[ANNA]),
    ],
    ids=str,
)
def test_what_is_of_the_person_goes(resource: dict[str, Any]) -> None:
    assert fate_of(resource, SOUGHT) is Fate.ERASED


def test_of_what_many_share_only_the_persons_part_goes() -> None:
    session = body("Appointment", status="booked", participant=[{"actor": ANNA}, {"actor": BEN}])
    assert fate_of(session, SOUGHT) is Fate.REDACTED
    assert redacted(session, SOUGHT) == body("Appointment", status="booked", participant=[{"actor": BEN}])
    group = body("Group", type="person", actual=True, member=[{"entity": ANNA}])
    assert fate_of(group, SOUGHT) is Fate.REDACTED
    assert redacted(group, SOUGHT) == body("Group", type="person", actual=True)


def test_the_content_of_a_document_is_found_by_its_address() -> None:
    document = body("DocumentReference", content=[{"attachment": {"url": f"{HERE}/Binary/b1/_history/2"}}])
    assert binaries_of({**document, "related": "Binary/b2"}) == {"Binary/b1", "Binary/b2"}
    assert binaries_of(body("Observation", note=[{"text": "see Binary/b3 and more"}])) == set()


TASK = body(
    "Task",
    identifier=[
        {"system": "https://stepwell.health/fhir/NamingSystem/referral", "value": "x"},
        {"system": "urn:mrn", "value": "17"},
    ],
    status="accepted",
    intent="order",
    code={"coding": [{"code": "fulfill"}], "text": "for Anna"},
    requester={"reference": "Organization/partner-alder", "display": "Anna's practice"},
    owner={"reference": "https://hub.example/fhir/HealthcareService/there"},
    note=[{"text": "Anna"}],
    **{"for": ANNA},
)


def test_what_is_told_of_a_task_names_it_and_no_person() -> None:
    told = emptied(TASK, "4", "2026-11-22T09:00:00Z")
    assert told["identifier"] == TASK["identifier"][:1]
    assert told["meta"] == {"versionId": "4", "lastUpdated": "2026-11-22T09:00:00Z", "security": [REDACTED]}
    assert (told["status"], told["code"]) == ("cancelled", {"coding": [{"code": "fulfill"}]})
    assert (told["requester"], told["owner"]) == ({"reference": "Organization/partner-alder"}, TASK["owner"])
    assert not any(mark in str(told) for mark in ("Anna", "urn:mrn", "Patient", "17"))
    assert emptied({**TASK, "status": "completed"}, "4", "")["status"] == "completed"
    asked_by_her = emptied({**TASK, "requester": ANNA, "owner": {"reference": "RelatedPerson/r"}}, "4", "")
    assert not asked_by_her.keys() & {"requester", "owner"}


def test_what_is_told_is_not_erased_again_and_what_has_more_in_it_is() -> None:
    told = emptied(TASK, "4", "2026-11-22T09:00:00Z")
    assert is_emptied({**told, "meta": {**told["meta"], "source": "https://hub.example/fhir/Task/x"}})
    assert fate_of(told, SOUGHT) is Fate.KEPT
    added: list[dict[str, Any]] = [
        {"for": ANNA},
        {"identifier": TASK["identifier"]},
        {"meta": {}},
        {"note": [{"text": "Anna"}]},
    ]
    for more in added:
        assert not is_emptied({**told, **more})
