"""The synthetic region as FHIR R4 resources, as a record system would send them; pure, and the same bytes every time.

Everything says of itself that it is made up: in names, identifiers and the tag HTEST.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import orjson

from stepwell_shared.canonical import CANONICAL, code_system, extension_url, instant
from stepwell_shared.cli.demo.courses import Answers, Contact
from stepwell_shared.cli.demo.region import Person, Place, Practice

Resource = dict[str, Any]

IDENTIFIERS = f"{CANONICAL}/NamingSystem/demo"
SYNTHETIC = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HTEST"}
US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition"
OMB = "urn:oid:2.16.840.1.113883.6.238"
BY_THE_PERSON = {
    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason", "code": "pat"}]
}
ITEM_WEIGHT = "/itemWeight"
CONTACT = timedelta(minutes=50)
# Starts a week at a place for each tier; more at the light ones.
STARTS_A_WEEK = {"tier-1": 40, "tier-2": 20, "tier-3": 10, "tier-4": 3}


def identifier(*cause: object) -> Resource:
    """The business identifier by which something of the region comes once."""
    return {"system": IDENTIFIERS, "value": "-".join(map(str, cause))}


def practice_resource(practice: Practice, seed: int) -> Resource:
    """The practice that refers people."""
    kind = "country" if practice.rural else "town"
    return {
        "resourceType": "Organization",
        "meta": {"tag": [SYNTHETIC]},
        "identifier": [identifier(seed, "practice", practice.number)],
        "active": True,
        "name": f"Synthetic {kind} practice {practice.number + 1} (nobody works here)",
    }


def practitioner_resource(place: Place, seed: int) -> Resource:
    """The one synthetic person who cares at a place."""
    return {
        "resourceType": "Practitioner",
        "meta": {"tag": [SYNTHETIC]},
        "identifier": [identifier(seed, "practitioner", place.block, place.tier)],
        "active": True,
        "name": [{"family": f"Synthetic-Team-{place.block + 1}", "given": ["Demo"], "suffix": [place.tier]}],
    }


def place_resource(place: Place, seed: int) -> Resource:
    """The service that gives the care of a tier."""
    capacity = {
        "url": extension_url("service-capacity"),
        "extension": [{"url": "weekly-starts", "valueDecimal": STARTS_A_WEEK[place.tier]}],
    }
    return {
        "resourceType": "HealthcareService",
        "meta": {"tag": [SYNTHETIC]},
        "extension": [capacity],
        "identifier": [identifier(seed, "service", place.block, place.tier)],
        "active": True,
        "category": [{"coding": [{"system": code_system("tier"), "code": place.tier}]}],
        "name": f"Synthetic service {place.block + 1}, {place.tier}",
    }


def patient_resource(person: Person, seed: int, practice: Resource) -> Resource:
    """The person, with the strata that figures are split by; `practice` is the Reference to whom they belong."""
    found: Resource = {
        "resourceType": "Patient",
        "meta": {"tag": [SYNTHETIC]},
        "identifier": [identifier(seed, "person", person.number)],
        "active": True,
        "name": [{"family": f"Synthetic-{person.number:07d}", "given": [person.given]}],
        "gender": person.sex,
        "birthDate": person.born.isoformat(),
        "address": [{"use": "home", "extension": list(_area(person))}],
        "communication": [
            {"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": person.language}]}, "preferred": True}
        ],
        "managingOrganization": practice,
    }
    return found if person.ethnicity is None else {**found, "extension": [_race(person.ethnicity)]}


def _area(person: Person) -> Iterator[Resource]:
    rural = "rural" if person.practice.rural else "not-rural"
    for dimension, code in (("deprivation", f"{person.deprivation}"), ("rurality", rural)):
        coding = {"system": f"{IDENTIFIERS}-{dimension}", "code": code}
        yield {"url": extension_url(f"area-{dimension}"), "valueCoding": coding}


def _race(code: str) -> Resource:
    names = {"2106-3": "White", "2054-5": "Black or African American", "2028-9": "Asian", "2131-1": "Other Race"}
    coding = {"system": OMB, "code": code, "display": names[code]}
    parts = [{"url": "ombCategory", "valueCoding": coding}, {"url": "text", "valueString": names[code]}]
    return {"url": f"{US_CORE}/us-core-race", "extension": parts}


class Forms:
    """The published Questionnaires, by name; fills them in."""

    def __init__(self, questionnaires: Mapping[str, Resource]) -> None:
        self._canonical = {name: f"{each['url']}|{each['version']}" for name, each in questionnaires.items()}
        self._items = {name: tuple(_answered(each)) for name, each in questionnaires.items()}

    def response(self, answers: Answers, *, name: Resource, subject: Resource) -> Resource:
        """The response of somebody; `name` is its identifier."""
        items = self._items[answers.form]
        return {
            "resourceType": "QuestionnaireResponse",
            "identifier": name,
            "questionnaire": self._canonical[answers.form],
            "status": "completed",
            "subject": subject,
            "authored": answers.given_at.isoformat(timespec="seconds"),
            "item": [
                {"linkId": link_id, "answer": [{"valueInteger": weight} if options is None else options[weight]]}
                for (link_id, options), weight in zip(items, answers.weights, strict=True)
            ],
        }


def _answered(questionnaire: Resource) -> Iterator[tuple[str, dict[int, Resource] | None]]:
    """The items that give points: the answers by their points, or None where the answer is the number itself."""
    for item in questionnaire["item"]:
        options = {}
        for option in item.get("answerOption", ()):
            weights = [
                each["valueDecimal"] for each in option.get("extension", ()) if each["url"].endswith(ITEM_WEIGHT)
            ]
            if weights:
                options[int(weights[0])] = {"valueCoding": option["valueCoding"]}
        if options:
            yield item["linkId"], options
        elif item["type"] == "integer":
            yield item["linkId"], None


def answers_bundle(person: Person, seed: int, forms: Forms, practice: Resource) -> bytes:
    """One transaction: the person, unless they are there, and everything that they ever answered."""
    at = f"urn:uuid:{person.id}"
    name = identifier(seed, "person", person.number)
    entries = [
        {
            "fullUrl": at,
            "resource": patient_resource(person, seed, practice),
            "request": {
                "method": "POST",
                "url": "Patient",
                "ifNoneExist": f"identifier={name['system']}|{name['value']}",
            },
        }
    ]
    for place, answers in enumerate(person.course.answers):
        response = forms.response(
            answers, name=identifier(seed, "response", person.number, place), subject={"reference": at}
        )
        entries.append({"resource": response, "request": {"method": "POST", "url": "QuestionnaireResponse"}})
    return orjson.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries})


def referral_resources(
    person: Person, seed: int, tier: str, *, moment: datetime, subject: Resource, place: Resource, practice: Resource
) -> tuple[Resource, Resource]:
    """The order for a tier and the Task at a place, as the practice's record system keeps them."""
    step = identifier(seed, "order", person.number, tier)
    request: Resource = {
        "resourceType": "ServiceRequest",
        "meta": {"tag": [SYNTHETIC]},
        "identifier": [step],
        "instantiatesCanonical": [f"{CANONICAL}/PlanDefinition/{person.course.pathway}"],
        "status": "active",
        "intent": "order",
        "priority": "urgent" if tier == "tier-4" else "routine",
        "category": [{"coding": [{"system": code_system("tier"), "code": tier}]}],
        "subject": subject,
        "authoredOn": instant(moment),
        "requester": practice,
    }
    task: Resource = {
        "resourceType": "Task",
        "meta": {"tag": [SYNTHETIC]},
        "identifier": [identifier(seed, "referral", person.number, tier)],
        "status": "requested",
        "intent": "order",
        "priority": request["priority"],
        "code": {"coding": [{"system": code_system("task"), "code": "tier-referral"}]},
        "for": subject,
        "authoredOn": instant(moment),
        "lastModified": instant(moment),
        "requester": practice,
        "owner": place,
    }
    return request, task


def appointment_resource(
    name: Resource, contact: Contact, request: Resource, subject: Resource, place: Resource
) -> Resource:
    """One contact as it was booked; `name` is its identifier, `request` what it is based on."""
    return {
        "resourceType": "Appointment",
        "meta": {"tag": [SYNTHETIC]},
        "identifier": [name],
        "status": "booked",
        "start": instant(contact.at),
        "end": instant(contact.at + CONTACT),
        "basedOn": [request],
        "participant": [{"actor": subject, "status": "accepted"}, {"actor": place, "status": "accepted"}],
    }


def use_resources(person: Person, seed: int, subject: Resource) -> list[Resource]:
    """Emergency visits and admissions, as a record system posts them."""
    return [
        {
            "resourceType": "Observation",
            "meta": {"tag": [SYNTHETIC]},
            "identifier": [identifier(seed, "use", person.number, number)],
            "status": "final",
            "code": {"coding": [{"system": code_system("care-use"), "code": use.kind}]},
            "subject": subject,
            "effectiveDateTime": instant(use.at),
            "valueInteger": 1,
        }
        for number, use in enumerate(person.course.uses)
    ]
