"""The FHIR R4 resources that referral emits, as plain dicts, and the one it reads into its rules.

Pure: ids, times, references and decisions are passed in. Task: https://hl7.org/fhir/R4/task.html
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from stepwell_shared.canonical import code_system, extension_url, instant

from stepwell_referral.rules.interim import InterimOffer
from stepwell_referral.rules.matching import Place
from stepwell_referral.rules.waits import WaitPromise

Json = dict[str, Any]

TASK_CODE_FULFILL = {"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}
# Harmonised BSeR / IHE 360X states, so that a referral source that knows them can follow the Task.
BSER_BUSINESS_STATUS = "http://hl7.org/fhir/us/bser/CodeSystem/TaskBusinessStatusCS"
TRANSLATION = "http://hl7.org/fhir/StructureDefinition/translation"
UCUM = "http://unitsofmeasure.org"
# Every text that ships has it, so a site language without a translation falls back to something readable.
FALLBACK_LANGUAGE = "en"


@dataclass(frozen=True, slots=True)
class Referral:
    """What a referral is about: ids and references are strings as they go on the wire.

    `service_request` is the absolute URL of routing's ServiceRequest or the local copy's reference; `subject` and
    `requester` (Device, Organization, Practitioner, ...) are References; `priority` is a FHIR request priority;
    `language` the one that texts are written in, the others are translations beside it.
    """

    task_id: str
    identifier: Mapping[str, str]
    service_request: str
    subject: Mapping[str, Any]
    requester: Mapping[str, Any]
    tier: str
    priority: str
    language: str = FALLBACK_LANGUAGE


def referral_task(
    referral: Referral,
    *,
    place: Place | None,
    wait: WaitPromise,
    interim: InterimOffer | None,
    words: Mapping[str, str],
    at: datetime,
) -> Json:
    """The prepared referral: a draft Task with place, wait promise and interim support.

    `words` is what the person is told, by language. Without a place the Task has no owner, and somebody must find
    one; `restriction.period` ends with the promised date, or with the class's limit when no date can be promised.
    """
    task: Json = {
        "resourceType": "Task",
        "id": referral.task_id,
        "language": referral.language,
        "extension": [wait_extension(wait)],
        "identifier": [{"use": "official", "type": _placer_identifier_type(), **referral.identifier}],
        "basedOn": [{"reference": referral.service_request}],
        "status": "draft",
        "businessStatus": _business_status("Prepared, not sent yet", code_system("task"), "prepared"),
        "intent": "order",
        "priority": referral.priority,
        "code": {"coding": [{"system": code_system("task"), "code": "tier-referral"}, dict(TASK_CODE_FULFILL)]},
        "description": _description(referral.tier, place),
        "focus": {"reference": referral.service_request},
        "for": dict(referral.subject),
        "authoredOn": instant(at),
        "lastModified": instant(at),
        "requester": dict(referral.requester),
    }
    if place:
        task["owner"] = _owner(place)
    task["note"] = [_note(words, referral.language, at)]
    task["restriction"] = _restriction(wait, at)
    if interim:
        task["input"] = [_interim_input(interim, referral.language)]
    return task


def requested_task(
    task: Mapping[str, Any],
    *,
    at: datetime,
    wait: WaitPromise | None = None,
    words: Mapping[str, str] | None = None,
) -> Json:
    """The next version of a draft: asked of its owner, with the wait as it is now when `wait` is given.

    The note of the draft stays; what the person is told now is added to it.
    """
    requested = renewed_task(task, at=at, wait=wait, words=words)
    requested["status"] = "requested"
    requested["businessStatus"] = _business_status("Referred", BSER_BUSINESS_STATUS, "2.0")
    return requested


def renewed_task(
    task: Mapping[str, Any],
    *,
    at: datetime,
    wait: WaitPromise | None = None,
    words: Mapping[str, str] | None = None,
) -> Json:
    """The next version of a Task in the same state, with the wait as it is now and what the person is told now."""
    renewed: Json = deepcopy(dict(task))
    renewed.pop("meta", None)
    renewed["lastModified"] = instant(at)
    if wait:
        others = [item for item in renewed.get("extension", []) if item["url"] != extension_url("wait-promise")]
        renewed["extension"] = [*others, wait_extension(wait)]
        renewed["restriction"] = _restriction(wait, at)
    if words:
        renewed["note"] = [*renewed.get("note", []), _note(words, task.get("language", FALLBACK_LANGUAGE), at)]
    return renewed


def placed_task(task: Mapping[str, Any], *, tier: str, place: Place) -> Json:
    """The Task with a place, where none had been found before."""
    return {**task, "owner": _owner(place), "description": _description(tier, place)}


def cancelled_task(task: Mapping[str, Any], *, reason: str, at: datetime) -> Json:
    """The next version of a Task that its requester takes back before anybody has taken it up."""
    cancelled = renewed_task(task, at=at)
    cancelled["status"] = "cancelled"
    cancelled["statusReason"] = {"text": reason}
    cancelled["businessStatus"] = _business_status("Taken back", BSER_BUSINESS_STATUS, "6.0")
    return cancelled


def wait_extension(wait: WaitPromise) -> Json:
    """The wait promise on the Task, where R4 has no element for it."""
    parts: list[Json] = []
    if wait.median_days is not None and wait.upper_days is not None:
        parts.append({"url": "median", "valueDuration": _days(wait.median_days)})
        parts.append({"url": "upper", "valueDuration": _days(wait.upper_days)})
    parts += [
        {"url": "due-by", "valueDateTime": instant(wait.due_by)},
        {"url": "keepable", "valueBoolean": wait.keepable},
        {"url": "computed-at", "valueDateTime": instant(wait.computed_at)},
        {"url": "rule", "valueCoding": {"system": code_system("rule"), "code": wait.rule}},
    ]
    return {"url": extension_url("wait-promise"), "extension": parts}


def _restriction(wait: WaitPromise, at: datetime) -> Json:
    return {"period": {"start": instant(at), "end": instant(wait.promised_by or wait.due_by)}}


def _interim_input(interim: InterimOffer, language: str) -> Json:
    coding = {
        "system": code_system("interim-support"),
        "code": interim.code,
        "display": interim.title.get(language, interim.title[FALLBACK_LANGUAGE]),
    }
    return {
        "type": {"coding": [{"system": code_system("task"), "code": "interim-support"}]},
        "valueCodeableConcept": {"coding": [coding], **translated("text", interim.text, language)},
    }


def _note(words: Mapping[str, str], language: str, at: datetime) -> Json:
    return {"time": instant(at), **translated("text", words, language)}


def translated(element: str, words: Mapping[str, str], language: str) -> Json:
    """A string element in this language, or in the fallback where it is missing; the others as translations."""
    written = language if language in words else FALLBACK_LANGUAGE
    translations = [_translation(other, text) for other, text in words.items() if other != written]
    body: Json = {element: words[written]}
    return {**body, f"_{element}": {"extension": translations}} if translations else body


def _translation(language: str, text: str) -> Json:
    parts = [{"url": "lang", "valueCode": language}, {"url": "content", "valueString": text}]
    return {"url": TRANSLATION, "extension": parts}


def _owner(place: Place) -> Json:
    return {"reference": f"HealthcareService/{place.place_id}", "display": place.name}


def _description(tier: str, place: Place | None) -> str:
    return f"Referral to {tier} care: {place.name if place else 'no place found yet'}"


def _business_status(text: str, system: str, code: str) -> Json:
    return {"coding": [{"system": system, "code": code}], "text": text}


def _placer_identifier_type() -> Json:
    return {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "PLAC"}]}


def _days(count: int) -> Json:
    return {"value": count, "unit": "days", "system": UCUM, "code": "d"}
