"""Builds what a person's choice leaves behind: a message from the person about the proposal, and its Provenance.

https://hl7.org/fhir/R4/communication.html and provenance.html
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from stepwell_shared.canonical import code_system, instant

from stepwell_routing.builders import acceptance_provenance
from stepwell_routing.builders.content import concept
from stepwell_routing.builders.econsults import CASE_REVIEW

Resource = dict[str, Any]

CHOICE, CHOSE_OPTION, CHOSE_LESS = "choose", "chose-option", "chose-less"


def choice(
    *,
    resource_id: str,
    request: str,
    subject: Mapping[str, Any],
    chosen: Sequence[Resource],
    is_less: bool,
    words: str | None,
    moment: datetime,
) -> Resource:
    """What the person chose, as codings of step and option, in their own name, about this version of the request."""
    kind = CHOSE_LESS if is_less else CHOSE_OPTION
    return {
        "resourceType": "Communication",
        "id": resource_id,
        "status": "completed",
        "category": [{"coding": [concept(CASE_REVIEW, CHOICE)]}, {"coding": [concept(CASE_REVIEW, kind)]}],
        "subject": dict(subject),
        "topic": {"coding": [*chosen]},
        "about": [{"reference": request}],
        "sent": instant(moment),
        "received": instant(moment),
        "sender": dict(subject),
        **({"payload": [{"contentString": words}]} if words else {}),
    }


def choice_provenance(
    *,
    resource_id: str,
    target: str,
    request: str,
    subject: Mapping[str, Any],
    recorded_by: str | None,
    policy: str,
    moment: datetime,
) -> Resource:
    """The person is the author; `recorded_by` is who wrote it down with them, None where they said it themselves."""
    body = acceptance_provenance(
        resource_id=resource_id,
        target=target,
        proposal=request,
        practitioner="",
        policy=policy,
        accepted_at=moment,
        activity=CHOICE,
    )
    enterer = [] if recorded_by is None else [_agent("enterer", {"reference": recorded_by})]
    source = {**body["entity"][0], "role": "source"}
    return {**body, "agent": [_agent("author", dict(subject)), *enterer], "entity": [source, *body["entity"][1:]]}


def step_coding(system: str, code: str, display: str) -> Resource:
    """A step of a ladder, as requests name it."""
    return {"system": code_system(system), "code": code, "display": display}


def _agent(participant: str, who: Resource) -> Resource:
    system = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
    return {"type": {"coding": [{"system": system, "code": participant}]}, "who": who}
