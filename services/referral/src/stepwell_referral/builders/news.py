"""What goes back to who referred, and what they keep of it: states, times and reports, without references. Pure.

Business states: http://hl7.org/fhir/us/bser/CodeSystem/TaskBusinessStatusCS (BSeR, harmonised with IHE 360X).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from stepwell_shared.canonical import extension_url

from stepwell_referral.builders.referral import BSER_BUSINESS_STATUS
from stepwell_referral.rules.exchange import business_state

Json = dict[str, Any]

DOCUMENT, APPOINTMENT = "DocumentReference", "Appointment"
_TASK_TOLD = (
    *("id", "meta", "language", "identifier", "status", "statusReason", "businessStatus", "intent", "code"),
    *("priority", "executionPeriod", "authoredOn", "lastModified", "note", "output"),
)
_APPOINTMENT_TOLD = (
    *("id", "language", "status", "cancelationReason", "serviceCategory", "serviceType", "specialty"),
    *("appointmentType", "description", "start", "end", "minutesDuration", "created", "patientInstruction"),
)
_DOCUMENT_TOLD = (
    *("id", "language", "status", "docStatus", "type", "category", "date", "description", "securityLabel", "content"),
)
_WORDS = {
    "2.0": "Referred",
    "3.0": "Accepted",
    "4.0": "Declined",
    "6.0": "Taken back, or ended before it was done",
    "7.0": "Complete",
}


def told_task(task: Mapping[str, Any]) -> Json:
    """Our Task as who referred is told of it: how it stands, in BSeR's words too, and what came of it."""
    return with_business_state({"resourceType": "Task", **_members(task, _TASK_TOLD)})


def told_appointment(appointment: Mapping[str, Any], names: Mapping[str, str]) -> Json:
    """A time that was made for the person: when, with whom by name, and how; who refers knows who the person is.

    `names` are those of who takes part, by reference, where the Appointment does not say them.
    """
    told: Json = {
        "resourceType": APPOINTMENT,
        "meta": _version(appointment),
        **_members(appointment, _APPOINTMENT_TOLD),
    }
    telehealth = [each for each in appointment.get("extension", ()) if each.get("url") == extension_url("telehealth")]
    if telehealth:
        told["extension"] = telehealth
    # app-1: a participant has an actor or a type; one who is not named by words performs.
    actors = [each.get("actor", {}) for each in appointment.get("participant", ())]
    shown = [each.get("display") or names.get(each.get("reference", "")) for each in actors if not _is_person(each)]
    told["participant"] = [{"actor": {"display": name}, "status": "accepted"} for name in shown if name] or [
        {"type": [{"coding": [{"system": PARTICIPATION, "code": "PPRF"}]}], "status": "accepted"}
    ]
    return told


def told_document(document: Mapping[str, Any]) -> Json:
    """A report as it goes back: its content and what kind it is; who wrote it by name."""
    told: Json = {"resourceType": DOCUMENT, "meta": _version(document), **_members(document, _DOCUMENT_TOLD)}
    authors = [{"display": each["display"]} for each in document.get("author", ()) if each.get("display")]
    return told | ({"author": authors} if authors else {})


def kept_appointment(told: Mapping[str, Any], task: Mapping[str, Any], *, id_: str) -> Json:
    """Our copy of a time at the partner's: the person is ours, and so is the request."""
    others = [each for each in told.get("participant", ()) if "reference" not in each.get("actor", {})]
    kept = {"resourceType": APPOINTMENT, "id": id_, **_members(told, (*_APPOINTMENT_TOLD[1:], "extension"))}
    return {
        **kept,
        "basedOn": [dict(task["focus"])],
        "participant": [{"actor": dict(task["for"]), "status": "accepted"}, *others],
    }


def kept_document(told: Mapping[str, Any], task: Mapping[str, Any], *, id_: str) -> Json:
    """Our copy of a partner's report, about the person as we name them."""
    kept = {"resourceType": DOCUMENT, "id": id_, **_members(told, (*_DOCUMENT_TOLD[1:], "author"))}
    return {**kept, "subject": dict(task["for"]), "context": {"related": [dict(task["focus"])]}}


def with_copies(task: Mapping[str, Any], copies: Mapping[str, str]) -> Json:
    """The Task whose results name our copies (references by the partner's address) where we have them."""
    if "output" not in task:
        return dict(task)
    return {**task, "output": [_with_copy(each, copies) for each in task["output"]]}


def documents_of(task: Mapping[str, Any]) -> Sequence[str]:
    """The ids of the documents of ours that a Task gives back."""
    references = (str(each.get("valueReference", {}).get("reference", "")) for each in task.get("output", ()))
    split = (each.split("/") for each in references)
    return list(dict.fromkeys(parts[1] for parts in split if len(parts) > 1 and parts[0] == DOCUMENT))


def with_business_state(task: Mapping[str, Any]) -> Json:
    """The Task with the BSeR code of its state among the codes of its business status; its words stay."""
    said: Json = dict(task.get("businessStatus", {}))
    codings = list(said.get("coding", ()))
    codes = [each.get("code", "") for each in codings if each.get("system") == BSER_BUSINESS_STATUS]
    code = business_state(str(task["status"]), codes)
    if code is None or codes == [code]:
        return dict(task)
    others = [each for each in codings if each.get("system") != BSER_BUSINESS_STATUS]
    # Words that stood for another state do not stand for this one.
    text = said.get("text") if others or not codes else None
    coding = {"system": BSER_BUSINESS_STATUS, "code": code}
    return {**task, "businessStatus": {"coding": [*others, coding], "text": text or _WORDS[code]}}


PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"


def _with_copy(output: Mapping[str, Any], copies: Mapping[str, str]) -> Json:
    reference = output.get("valueReference", {}).get("reference", "")
    if reference not in copies:
        return dict(output)
    return {**output, "valueReference": {**output["valueReference"], "reference": copies[reference]}}


def _is_person(actor: Mapping[str, Any]) -> bool:
    kind = actor.get("type") or str(actor.get("reference", "")).rpartition("/")[0].rpartition("/")[2]
    return kind in {"Patient", "RelatedPerson"}


def _version(resource: Mapping[str, Any]) -> Json:
    return {"versionId": str(resource.get("meta", {}).get("versionId", "1"))}


def _members(resource: Mapping[str, Any], names: Sequence[str]) -> Json:
    return {name: value for name, value in resource.items() if name.removeprefix("_") in names}
