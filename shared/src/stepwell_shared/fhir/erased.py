"""What is left of a resource of a person who was erased: told to those who have it too, and kept by nobody. Pure.

It says which one it is, by names that whoever got it knows, and nothing about the person.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from stepwell_shared.canonical import CANONICAL

Resource = Mapping[str, Any]

# https://terminology.hl7.org/CodeSystem-v3-ObservationValue.html
REDACTED: Final = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "REDACTED"}
# Identifiers that we make, of which a partner has been told: ids of Tasks, never a person's own.
_OURS: Final = f"{CANONICAL}/NamingSystem/"
_ORGANIZATION: Final = re.compile(r"(?:.*/)?(?:Organization|HealthcareService)/[A-Za-z0-9.-]{1,64}")
_TERMINAL: Final = frozenset({"rejected", "cancelled", "failed", "completed", "entered-in-error"})
ERASED_WORDS: Final = "What was kept here of this person was erased."


def is_redacted(resource: Resource) -> bool:
    """Whether it is labelled as what is left of something that was erased."""
    return REDACTED in resource.get("meta", {}).get("security", ())


def emptied(resource: Resource, version: str, updated: str) -> dict[str, Any]:
    """What is told of a Patient or a Task that is erased, as its version of that number and time."""
    meta = {"versionId": version, "lastUpdated": updated, "security": [REDACTED]}
    head = {"resourceType": resource["resourceType"], "id": resource["id"], "meta": meta}
    return {**head, **(_task(resource, updated) if resource["resourceType"] == "Task" else {"active": False})}


def is_emptied(resource: Resource) -> bool:
    """Whether this is what `emptied` makes, and nothing beside it; whoever keeps a copy notes where it came from."""
    if resource.get("resourceType") not in {"Patient", "Task"} or not is_redacted(resource):
        return False
    made = emptied(resource, "", str(resource.get("lastModified", "")))
    return {**resource, "meta": None} == {**made, "meta": None}


def _task(task: Resource, updated: str) -> dict[str, Any]:
    """A referral or a question to another organisation: closed, between the organisations that it was between."""
    status = task.get("status")
    return {
        "identifier": [
            {"system": each["system"], "value": each.get("value", "")}
            for each in task.get("identifier", ())
            if str(each.get("system", "")).startswith(_OURS)
        ],
        "status": status if status in _TERMINAL else "cancelled",
        "statusReason": {"text": ERASED_WORDS},
        "intent": task.get("intent", "order"),
        "code": {"coding": task.get("code", {}).get("coding", [])},
        "lastModified": updated,
        **{name: found for name in ("requester", "owner") if (found := _organization(task.get(name)))},
    }


def _organization(reference: Resource | None) -> dict[str, str]:
    """The address of an organisation or a place; of a person nothing is said."""
    text = str((reference or {}).get("reference", ""))
    return {"reference": text} if _ORGANIZATION.fullmatch(text) else {}
