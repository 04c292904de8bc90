"""What goes to a partner organisation, and our Task as the partner's news leave it. Pure.

Only what was agreed leaves: Task and ServiceRequest say what is asked for, the Patient who it is for. References of
ours mean nothing there and stay here; identifiers make the same thing sent twice one thing.
R4 workflow, option G: https://hl7.org/fhir/R4/workflow-management.html#optiong
"""

from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from stepwell_shared.canonical import code_system, derived_id, extension_url, instant

Json = dict[str, Any]

PARTNER_TASK = extension_url("partner-task")
TASK_CODE_ABORT = {"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "abort"}
TASK_CODE_ERASED = {"system": code_system("care-task"), "code": "person-erased"}
URI_IDENTIFIERS = "urn:ietf:rfc:3986"
WITHHELD = "not-consented"
ABORT_IDENTIFIERS = "https://stepwell.health/fhir/NamingSystem/referral-cancellation"

_TASK_SENT = ("language", "priority", "authoredOn", "restriction")
_REQUEST_SENT = (
    *("language", "instantiatesCanonical", "status", "intent", "category", "priority", "doNotPerform", "code"),
    *("orderDetail", "occurrenceDateTime", "occurrencePeriod", "authoredOn", "performerType"),
)
_PATIENT_SENT = ("active", "name", "gender", "birthDate", "deceasedBoolean", "deceasedDateTime", "communication")
# What may be agreed on beyond that.
_REASONS = ("reasonCode",)
_NOTES = ("note", "patientInstruction")
_CONTACT = ("telecom", "address")
_FOLLOWED = ("statusReason", "businessStatus", "output", "executionPeriod")


@dataclass(frozen=True, slots=True)
class Placer:
    """Who refers: our base URL, what the partner's data call us, and what was agreed to be shared beside the least."""

    base_url: str
    organization_there: str
    shared: Collection[str]

    def full_url(self, *cause: str) -> str:
        """The same urn:uuid for the same thing, so that it stands in a Bundle once."""
        return f"urn:uuid:{derived_id(self.base_url, '', *cause)}"


def outgoing_referral(
    task: Mapping[str, Any],
    request: Mapping[str, Any],
    person: Mapping[str, Any],
    placer: Placer,
    *,
    owner: str,
    consent: str = "",
    known: Sequence[Json] = (),
) -> list[Json]:
    """The Bundle entries of a referral: Patient, ServiceRequest and Task, each created once by its identifier.

    `person` is the Patient, with the identifier that is the same whenever we send this person as its first; `owner` is
    what the partner calls the place or organisation that is asked; `consent` the address of the Consent that permits
    it, which goes along by name (SDOH Clinical Care: ServiceRequest.supportingInfo), as does what the partner knows
    already (`known`, references by identifier).
    """
    request_url = str(task["focus"]["reference"])
    patient = patient_sent(person, placer)
    sent_request = _request(request, request_url, placer)
    sent_task = _task(task, owner, placer)
    urls = {
        each["resourceType"]: placer.full_url(each["resourceType"], each["identifier"][0]["value"])
        for each in (patient, sent_request, sent_task)
    }
    if consent:
        named = {"type": "Consent", "identifier": {"system": URI_IDENTIFIERS, "value": consent}}
        sent_request["supportingInfo"] = [named]
    if known:
        sent_request["supportingInfo"] = [*sent_request.get("supportingInfo", ()), *known]
    sent_request["subject"] = sent_task["for"] = {"reference": urls["Patient"]}
    sent_task["focus"] = {"reference": urls["ServiceRequest"]}
    sent_task["basedOn"] = [dict(sent_task["focus"])]
    return [created_once(each, urls[each["resourceType"]]) for each in (patient, sent_request, sent_task)]


def outgoing_cancellation(task: Mapping[str, Any], placer: Placer, *, owner: str) -> list[Json]:
    """The Bundle entry that takes a referral back: a Task that asks to abort ours, named by its identifier."""
    identifier = _own_identifier(task)
    abort: Json = {
        "resourceType": "Task",
        "identifier": [{"system": ABORT_IDENTIFIERS, "value": identifier["value"]}],
        "status": "requested",
        "intent": "order",
        "code": {"coding": [dict(TASK_CODE_ABORT)]},
        "focus": {"type": "Task", "identifier": identifier},
        "authoredOn": task["lastModified"],
        "lastModified": task["lastModified"],
        "requester": {"reference": placer.organization_there},
        "owner": {"reference": owner},
    }
    if reason := task.get("statusReason"):
        abort["reasonCode"] = reason
    return [created_once(abort, placer.full_url("abort", identifier["value"]))]


def outgoing_erasure(task: Mapping[str, Any], placer: Placer, *, owner: str) -> list[Json]:
    """The Bundle entry that says that the person of a referral was erased here: it is taken back too, if it is open."""
    identifier = _own_identifier(task)
    (entry,) = outgoing_cancellation(task, placer, owner=owner)
    told: Json = entry["resource"]
    told["identifier"] = [{"system": ABORT_IDENTIFIERS, "value": f"{identifier['value']}.erased"}]
    told["code"]["coding"].append(dict(TASK_CODE_ERASED))
    return [created_once(told, placer.full_url("erased", identifier["value"]))]


def followed_task(task: Mapping[str, Any], partner_task: Mapping[str, Any], version_url: str, *, at: datetime) -> Json:
    """The next version of our Task when the partner has moved its own: state, reasons, results and what was said."""
    followed = _noted(task, partner_task, version_url, at)
    followed["status"] = partner_task["status"]
    base_url = version_url.rpartition("/Task/")[0]
    for name in _FOLLOWED:
        followed.pop(name, None)
        if name in partner_task:
            followed[name] = _absolute(partner_task[name], base_url)
    said = [_absolute(each, base_url) for each in partner_task.get("note", [])]
    news = [each for each in said if each not in followed.get("note", [])]
    if news:
        followed["note"] = [*followed.get("note", []), *news]
    return followed


def noted_task(task: Mapping[str, Any], partner_task: Mapping[str, Any], version_url: str, *, at: datetime) -> Json:
    """The next version of our Task when the partner's news change nothing but what is known: it is there."""
    noted = _noted(task, partner_task, version_url, at)
    if noted["status"] == "requested":
        noted.pop("statusReason", None)
        noted["businessStatus"] = _own_status("arrived", "Arrived, waiting for an answer")
    return noted


def erased_there_task(
    task: Mapping[str, Any], partner_task: Mapping[str, Any], version_url: str, *, is_open: bool, at: datetime
) -> Json:
    """The next version of our Task when the partner has erased the person: what is ours stays, and is closed."""
    noted = _noted(task, partner_task, version_url, at)
    if is_open:
        noted["status"], noted["statusReason"] = partner_task["status"], partner_task["statusReason"]
    said = {"time": instant(at), "text": "The partner says: what it kept of this person was erased."}
    noted["note"] = [*noted.get("note", []), said]
    return noted


def undelivered_task(task: Mapping[str, Any], *, reason: str, at: datetime) -> Json:
    """The next version of our Task when the partner's service has refused it: people must look at it."""
    undelivered: Json = deepcopy({name: value for name, value in task.items() if name != "meta"})
    undelivered["lastModified"] = instant(at)
    undelivered["businessStatus"] = _own_status("not-delivered", "Not delivered")
    undelivered["statusReason"] = {"text": reason}
    return undelivered


def withheld_task(task: Mapping[str, Any], *, reason: str, at: datetime) -> Json:
    """The next version of our Task when no Consent permits to send it: people must look at it."""
    return {
        **undelivered_task(task, reason=reason, at=at),
        "businessStatus": _own_status(WITHHELD, "Not sent: there is no Consent"),
    }


def is_withheld(task: Mapping[str, Any]) -> bool:
    """Whether it waits for a Consent."""
    codings = task.get("businessStatus", {}).get("coding", ())
    return task["status"] == "requested" and any(each.get("code") == WITHHELD for each in codings)


def partner_state(task: Mapping[str, Any]) -> tuple[str, str | None]:
    """The address of the partner's Task in the version that ours follows, and its status; empty before any news."""
    for extension in task.get("extension", ()):
        if extension.get("url") == PARTNER_TASK:
            parts = {part["url"]: part for part in extension["extension"]}
            return str(parts["version"]["valueUri"]), str(parts["status"]["valueCode"])
    return "", None


def _noted(task: Mapping[str, Any], partner_task: Mapping[str, Any], version_url: str, at: datetime) -> Json:
    noted: Json = deepcopy({name: value for name, value in task.items() if name != "meta"})
    others = [each for each in noted.get("extension", []) if each["url"] != PARTNER_TASK]
    parts = [
        {"url": "version", "valueUri": version_url},
        {"url": "status", "valueCode": partner_task["status"]},
    ]
    noted["extension"] = [*others, {"url": PARTNER_TASK, "extension": parts}]
    noted["lastModified"] = instant(at)
    return noted


def _absolute(element: Any, base_url: str) -> Any:
    """The element with the partner's relative references as absolute ones, so that they still lead there."""
    if isinstance(element, list):
        return [_absolute(each, base_url) for each in element]
    if not isinstance(element, dict):
        return element
    found = {name: _absolute(value, base_url) for name, value in element.items()}
    reference = found.get("reference")
    if isinstance(reference, str) and ":" not in reference and not reference.startswith("#"):
        found["reference"] = f"{base_url}/{reference}"
    return found


def _task(task: Mapping[str, Any], owner: str, placer: Placer) -> Json:
    notes = _NOTES if "notes" in placer.shared else ()
    return {
        "resourceType": "Task",
        "identifier": [_own_identifier(task)],
        "status": "requested",
        "intent": "order",
        "code": task["code"],
        "lastModified": task["lastModified"],
        "requester": {"reference": placer.organization_there},
        "owner": {"reference": owner},
        **_members(task, (*_TASK_SENT, *notes)),
    }


def _request(request: Mapping[str, Any], url: str, placer: Placer) -> Json:
    agreed = (*(_REASONS if "reasons" in placer.shared else ()), *(_NOTES if "notes" in placer.shared else ()))
    return {
        "resourceType": "ServiceRequest",
        "identifier": [{"system": URI_IDENTIFIERS, "value": url}],
        "requester": {"reference": placer.organization_there},
        **_members(request, (*_REQUEST_SENT, *agreed)),
    }


def patient_sent(person: Mapping[str, Any], placer: Placer) -> Json:
    """The person by what was agreed, under the identifier that is the same whenever we send them."""
    return {
        "resourceType": "Patient",
        "identifier": person["identifier"],
        "managingOrganization": {"reference": placer.organization_there},
        **_members(person, (*_PATIENT_SENT, *(_CONTACT if "contact" in placer.shared else ()))),
    }


def _members(resource: Mapping[str, Any], names: Collection[str]) -> Json:
    return {name: value for name, value in resource.items() if name.removeprefix("_") in names}


def created_once(resource: Json, full_url: str) -> Json:
    """The entry that creates a resource unless one with its first identifier is there."""
    identifier = resource["identifier"][0]
    criteria = "|".join(quote(_escaped(identifier.get(name, "")), safe="") for name in ("system", "value"))
    request = {"method": "POST", "url": resource["resourceType"], "ifNoneExist": f"identifier={criteria}"}
    return {"fullUrl": full_url, "resource": resource, "request": request}


def _escaped(text: str) -> str:
    """A token value with the characters that separate values made literal."""
    for character in "\\,|$":
        text = text.replace(character, f"\\{character}")
    return text


def _own_identifier(task: Mapping[str, Any]) -> Json:
    identifier = task["identifier"][0]
    return {"system": identifier["system"], "value": identifier["value"]}


def _own_status(code: str, text: str) -> Json:
    return {"coding": [{"system": code_system("task"), "code": code}], "text": text}
