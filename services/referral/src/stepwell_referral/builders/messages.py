"""What people are told of a referral, and whom an open one is brought to, as Communications. Pure.

https://hl7.org/fhir/R4/communication.html
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from stepwell_shared.canonical import CANONICAL, extension_url

Json = dict[str, Any]

CATEGORIES = "http://terminology.hl7.org/CodeSystem/communication-category"
CHANNEL = extension_url("message-channel")
ROLES = f"{CANONICAL}/NamingSystem/role"
SENDER: Json = {"type": "Device", "display": "Stepwell referral"}
# People who have asked for themselves or for somebody close are not told like a team.
_LAY = re.compile(r"(^|/)(Patient|RelatedPerson)/")
_TITLES = {"coordinator": "Care coordinator", "clinical-lead": "Clinical lead"}


def message_to_person(
    task: Mapping[str, Any], *, communication_id: str, language: str, open_text: str, text: str
) -> Json:
    """What the person is told: in preparation until whoever brings messages to people has it.

    The first part may travel over any channel, the second only where nobody else reads it.
    """
    return {
        **_about(task, communication_id, "notification", "Notification"),
        "language": language,
        "recipient": [dict(task["for"])],
        "payload": [_payload("open", open_text), _payload("closed", text)],
    }


def alert_to_team(task: Mapping[str, Any], roles: Sequence[str], *, communication_id: str, text: str) -> Json:
    """Whom an open Task was brought to. It names nobody: it may travel over any channel."""
    return {
        **_about(task, communication_id, "alert", "Alert"),
        "priority": task.get("priority", "routine"),
        "recipient": recipients(task, roles),
        "payload": [_payload("open", text)],
    }


def recipients(task: Mapping[str, Any], roles: Sequence[str]) -> list[Json]:
    """Who has these roles for a Task: its owner, its requester if that is no machine, or a role of the site.

    Nobody is left out: for a role that nobody has, it is the coordinator.
    """
    found = [_recipient(task, role) for role in roles]
    return [each for number, each in enumerate(found) if each not in found[:number]]


def _recipient(task: Mapping[str, Any], role: str) -> Json:
    if role == "owner" and "owner" in task:
        return dict(task["owner"])
    requester = task.get("requester", {})
    is_colleague = requester.get("type") != "Device" and not _LAY.search(str(requester.get("reference", "")))
    if role == "requester" and "reference" in requester and is_colleague:
        return dict(requester)
    code = role if role in _TITLES else "coordinator"
    return {"type": "PractitionerRole", "identifier": {"system": ROLES, "value": code}, "display": _TITLES[code]}


def _about(task: Mapping[str, Any], communication_id: str, category: str, display: str) -> Json:
    focus = task.get("focus", {}).get("reference", "")
    coding = {"system": CATEGORIES, "code": category, "display": display}
    return {
        "resourceType": "Communication",
        "id": communication_id,
        **({"basedOn": [{"reference": focus}]} if "ServiceRequest/" in focus else {}),
        "status": "preparation",
        "category": [{"coding": [coding]}],
        "subject": dict(task["for"]),
        "about": [{"reference": f"Task/{task['id']}"}],
        "sender": dict(SENDER),
    }


def _payload(channel: str, text: str) -> Json:
    return {"extension": [{"url": CHANNEL, "valueCode": channel}], "contentString": text}
