"""What coordinates the care of a person: Tasks of support that somebody arranges, and the team. Pure.

https://hl7.org/fhir/R4/task.html and careteam.html
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from stepwell_shared.canonical import code_system, instant

from stepwell_referral.builders.referral import TASK_CODE_FULFILL
from stepwell_referral.builders.support import TASK_CODES

Json = dict[str, Any]

ARRANGE_SUPPORT, SUPPORT_OPTION, ARRANGED = "arrange-support", "support-option", "arranged"
BARRIERS, SUPPORTS, TEAM_ROLES = code_system("barrier"), code_system("support"), code_system("care-team-role")


def support_task(
    task: Mapping[str, Any],
    *,
    task_id: str,
    barrier: Mapping[str, str],
    options: Sequence[Mapping[str, str]],
    declared_in: str | None,
    within: timedelta,
    at: datetime,
) -> Json:
    """Somebody arranges support for a barrier of the person of a referral; `declared_in` is the form that names it."""
    kind = {"coding": [{"system": TASK_CODES, "code": SUPPORT_OPTION}]}
    return {
        "resourceType": "Task",
        "id": task_id,
        "partOf": [{"reference": f"Task/{task['id']}"}],
        "status": "requested",
        "intent": "order",
        "priority": task.get("priority", "routine"),
        "code": {"coding": [{"system": TASK_CODES, "code": ARRANGE_SUPPORT}, dict(TASK_CODE_FULFILL)]},
        "description": f"Arrange support for: {barrier['display']}",
        **({"focus": {"reference": declared_in}} if declared_in else {}),
        "for": dict(task["for"]),
        "authoredOn": instant(at),
        "lastModified": instant(at),
        "requester": {"type": "Device", "display": "Stepwell referral"},
        "reasonCode": {"coding": [dict(barrier)]},
        "restriction": {"period": {"start": instant(at), "end": instant(at + within)}},
        "input": [{"type": kind, "valueCodeableConcept": {"coding": [dict(each)]}} for each in options],
    }


def barrier_of(task: Mapping[str, Any]) -> str | None:
    """The barrier that a Task of support answers."""
    return _code_in(task.get("reasonCode", {}), BARRIERS)


def options_of(task: Mapping[str, Any]) -> list[str]:
    """The supports that would answer the barrier."""
    codes = (_code_in(each.get("valueCodeableConcept", {}), SUPPORTS) for each in task.get("input", ()))
    return [code for code in codes if code is not None]


def arranged_in(task: Mapping[str, Any]) -> tuple[list[str], list[Json]]:
    """What was arranged, as codes of support, and who gives it, as references."""
    codes, references = [], []
    for output in task.get("output", ()):
        if _code_in(output.get("type", {}), TASK_CODES) != ARRANGED:
            continue
        code = _code_in(output.get("valueCodeableConcept", {}), SUPPORTS)
        if code is not None:
            codes.append(code)
        if "reference" in output.get("valueReference", {}):
            references.append(output["valueReference"])
    return codes, references


def care_team(team_id: str, subject: Mapping[str, Any], at: datetime) -> Json:
    """The team of a person, with nobody in it yet."""
    return {
        "resourceType": "CareTeam",
        "id": team_id,
        "status": "active",
        "name": "Care team",
        "subject": dict(subject),
        "period": {"start": instant(at)},
    }


def with_member(team: Mapping[str, Any], member: Mapping[str, Any], role: Mapping[str, str], at: datetime) -> Json:
    """The team with somebody who takes part from now on; as it is when they do already in this role."""
    if any(_is_same(each, member, role["code"]) and is_taking_part(each) for each in team.get("participant", ())):
        return dict(team)
    joined = {"role": [{"coding": [dict(role)]}], "member": dict(member), "period": {"start": instant(at)}}
    period = {name: value for name, value in team.get("period", {}).items() if name != "end"}
    return {
        **_kept(team),
        "status": "active",
        "period": period or {"start": instant(at)},
        "participant": [*team.get("participant", ()), joined],
    }


def without_members(team: Mapping[str, Any], gone: Iterable[str], at: datetime) -> Json:
    """The team once those who are named by these references take part no more; as it is when none of them does."""
    names = set(gone)
    found = [dict(each) for each in team.get("participant", ())]
    ended = [each for each in found if str(each.get("member", {}).get("reference")) in names and is_taking_part(each)]
    if not ended:
        return dict(team)
    for each in ended:
        each["period"] = {**each.get("period", {}), "end": instant(at)}
    return {**_kept(team), "participant": found}


def rested_team(team: Mapping[str, Any], at: datetime) -> Json:
    """The team once nothing is open for the person: who took part stays on record, with until when."""
    everybody = [
        str(each["member"]["reference"])
        for each in team.get("participant", ())
        if "reference" in each.get("member", {})
    ]
    ended = without_members(team, everybody, at)
    return {**_kept(ended), "status": "inactive", "period": {**ended.get("period", {}), "end": instant(at)}}


def is_taking_part(participant: Mapping[str, Any]) -> bool:
    """Whether a participant's time in the team has no end yet."""
    return "end" not in participant.get("period", {})


def role_of(participant: Mapping[str, Any]) -> str | None:
    """The role of a participant, if it is one of ours."""
    codes = (_code_in(each, TEAM_ROLES) for each in participant.get("role", ()))
    return next((code for code in codes if code is not None), None)


def _is_same(participant: Mapping[str, Any], member: Mapping[str, Any], role: str) -> bool:
    return participant.get("member", {}).get("reference") == member["reference"] and role_of(participant) == role


def _code_in(concept: Mapping[str, Any], system: str) -> str | None:
    codings = concept.get("coding", ())
    return next((each["code"] for each in codings if each.get("system") == system and "code" in each), None)


def _kept(resource: Mapping[str, Any]) -> Json:
    return {name: value for name, value in resource.items() if name != "meta"}
