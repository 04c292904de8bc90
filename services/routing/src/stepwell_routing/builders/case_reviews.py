"""Builds what a case review leaves behind: Tasks on a List, and what was decided as Appointment and Provenance.

https://hl7.org/fhir/R4/list.html, task.html, appointment.html and provenance.html
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from stepwell_shared.canonical import code_system, instant

from stepwell_routing.builders import PARTICIPANT
from stepwell_routing.builders.content import CARE_TASK, concept
from stepwell_routing.builders.econsults import CASE_REVIEW

Resource = dict[str, Any]

REVIEW = "case-review"
DECISIONS = ("agree", "other-tier", "more-information", "keep")
DECIDED = "decided"


def is_review_list(found: Mapping[str, Any]) -> bool:
    """Whether a List is one of people to be reviewed."""
    codings = found.get("code", {}).get("coding", ())
    return any(each.get("system") == CASE_REVIEW and each.get("code") == REVIEW for each in codings)


def review_task(
    *,
    resource_id: str,
    subject: Mapping[str, Any],
    about: str | None,
    reason: str,
    requester: str,
    asked: datetime,
    due: datetime,
) -> Resource:
    """Somebody is put up: whom, why, since when, and by when. `about` is the request that stands for them."""
    return {
        "resourceType": "Task",
        "id": resource_id,
        "status": "requested",
        "intent": "order",
        "code": {"coding": [concept(CARE_TASK, REVIEW)]},
        **({"focus": {"reference": about}} if about else {}),
        "for": dict(subject),
        "authoredOn": instant(asked),
        "lastModified": instant(asked),
        "requester": {"reference": requester},
        "reasonCode": {"text": reason},
        "restriction": {"period": {"start": instant(asked), "end": instant(due)}},
    }


def with_entry(found: Mapping[str, Any], task: Mapping[str, Any]) -> Resource:
    """The List with somebody more."""
    entry = {
        "flag": dict(task["reasonCode"]),
        "date": task["authoredOn"],
        "item": {"reference": f"Task/{task['id']}"},
    }
    return {**_kept(found), "entry": [*found.get("entry", ()), entry]}


def without_entry(found: Mapping[str, Any], task: str) -> Resource:
    """The List once somebody was reviewed; an empty one says so (List.entry may not be there empty)."""
    left = [each for each in found.get("entry", ()) if each["item"].get("reference") != task]
    kept = {name: value for name, value in _kept(found).items() if name != "entry"}
    return {**kept, **({"entry": left} if left else {})}


def review_appointment(
    task: Mapping[str, Any],
    *,
    resource_id: str,
    participants: Sequence[str],
    decision: str,
    words: str | None,
    period: tuple[datetime, datetime],
    recorded: datetime,
) -> Resource:
    """The meeting that was held: who took part, about whom, why, and what came of it."""
    about = [task["focus"]] if "focus" in task else []
    there = [{"actor": {"reference": each}, "status": "accepted"} for each in participants]
    person = {"actor": dict(task["for"]), "required": "information-only", "status": "accepted"}
    return {
        "resourceType": "Appointment",
        "id": resource_id,
        "status": "fulfilled",
        "serviceType": [{"coding": [concept(CASE_REVIEW, REVIEW)]}, {"coding": [concept(CASE_REVIEW, decision)]}],
        "reasonCode": [dict(task["reasonCode"])],
        "supportingInformation": [{"reference": f"Task/{task['id']}"}, *about],
        "start": instant(period[0]),
        "end": instant(period[1]),
        "created": instant(recorded),
        **({"comment": words} if words else {}),
        "participant": [*there, person],
    }


def reviewed_task(task: Mapping[str, Any], *, appointment: str, decision: str, moment: datetime) -> Resource:
    """The Task once the team has decided."""
    kind = {"coding": [concept(CARE_TASK, DECIDED)]}
    output = [
        {"type": kind, "valueCodeableConcept": {"coding": [concept(CASE_REVIEW, decision)]}},
        {"type": kind, "valueReference": {"reference": appointment}},
    ]
    return {**_kept(task), "status": "completed", "lastModified": instant(moment), "output": output}


def review_provenance(
    *,
    resource_id: str,
    targets: Sequence[str],
    sources: Sequence[str],
    participants: Sequence[str],
    recorded_by: str,
    decision: str,
    reason: Mapping[str, Any],
    moment: datetime,
) -> Resource:
    """Who took part in the decision, who wrote it down, and what it rests on."""
    codings = [concept(code_system("decision"), REVIEW), concept(CASE_REVIEW, decision)]
    return {
        "resourceType": "Provenance",
        "id": resource_id,
        "target": [{"reference": each} for each in targets],
        "occurredDateTime": instant(moment),
        "recorded": instant(moment),
        "reason": [dict(reason)],
        "activity": {"coding": codings},
        "agent": [*(_agent("author", each) for each in participants), _agent("enterer", recorded_by)],
        "entity": [{"role": "source", "what": {"reference": each}} for each in sources],
    }


def _agent(participant: str, who: str) -> Resource:
    return {"type": {"coding": [concept(PARTICIPANT, participant)]}, "who": {"reference": who}}


def _kept(resource: Mapping[str, Any]) -> Resource:
    return {name: value for name, value in resource.items() if name != "meta"}
