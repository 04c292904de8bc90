"""S2 and S18: every search parameter that is required of a type is declared by each service that serves it, with the
type that R4 gives it; what is optional and not served is absent, and refused when it is asked for strictly.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from stepwell_shared.fhir import definitions
from stepwell_shared.fhir.capability import capability_statement
from stepwell_shared.fhir.outcome import FhirError
from stepwell_shared.fhir.registry import Registry
from stepwell_shared.installed import service_named
from stepwell_shared.runtime import Runtime
from stepwell_shared.settings import SERVICES

from tests.conftest import DatabaseOf
from tests.shared.fhir.search.refusing import refusal
from tests.support.engine import bench as open_bench

LETTERS = {
    "t": "token", "r": "reference", "d": "date", "s": "string", "u": "uri", "q": "quantity", "c": "composite",
    "n": "number",
}  # fmt: skip
# By type: each parameter with the letter of its type; a name that ends in * stands for all of R4 that begin so.
REQUIRED = {
    "Appointment": "actor r, appointment-type t, based-on r, date d, identifier t, location r, part-status t,"
    " patient r, practitioner r, reason-*, service-category t, service-type t, slot r, specialty t, status t,"
    " supporting-info r",
    "AuditEvent": "action t, agent r, date d, entity r, outcome t, patient r, policy u, source r, subtype t, type t",
    "CommunicationRequest": "authored d, based-on r, category t, recipient r, requester r, sender r, status t,"
    " patient r, priority t",
    "Flag": "author r, date d, encounter r, patient r, subject r",
    "HealthcareService": "active t, characteristic t, coverage-area r, location r, name s, organization r, program t,"
    " service-category t, service-type t, specialty t",
    "MeasureReport": "date d, evaluated-resource r, measure r, patient r, period d, reporter r, status t, subject r",
    "Observation": "category t, code t, date d, derived-from r, has-member r, based-on r, encounter r, patient r,"
    " performer r, status t, subject r, value-quantity q, value-concept t, value-string s, value-date d, code-value-*,"
    " component-*, combo-*",
    "Provenance": "agent r, entity r, patient r, recorded d, target r, when d",
    "Questionnaire": "code t, context*, date d, definition u, effective d, identifier t, jurisdiction t, name s,"
    " publisher s, status t, subject-type t, title s, url u, version t",
    "QuestionnaireResponse": "author r, authored d, based-on r, encounter r, identifier t, item-subject r, part-of r,"
    " patient r, questionnaire r, source r, status t, subject r",
    "RiskAssessment": "condition r, date d, method t, patient r, performer r, probability n, risk t",
    "Schedule": "active t, actor r, date d, service-*, specialty t",
    "ServiceRequest": "authored d, based-on r, category t, code t, encounter r, identifier t, instantiates-canonical r,"
    " instantiates-uri u, intent t, occurrence d, patient r, performer r, performer-type t, priority t, replaces r,"
    " requester r, requisition t, status t, subject r",
    "Slot": "appointment-type t, identifier t, schedule r, service-category t, service-type t, specialty t, start d,"
    " status t",
    "Subscription": "criteria s, status t, type t, url u",
    "Task": "authored-on d, based-on r, business-status t, code t, encounter r, focus r, group-identifier t,"
    " identifier t, intent t, modified d, owner r, part-of r, patient r, performer t, period d, priority t,"
    " requester r, status t, subject r",
}
OF_ALL_TYPES = "_id t, _lastUpdated d, _tag t, _security t, _profile u, _source u"
OPTIONAL = ("_text", "_content", "_list", "_contained", "_filter", "_query")


def registry(service: str) -> Registry:
    return service_named(service).resources(Runtime())


def declared(service: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Each type that a service serves, with its search parameters in /metadata by name."""
    statement: dict[str, Any] = capability_statement(
        registry(service),
        title=service,
        description=service,
        base_url="https://host.example/fhir",
        topics=[],
        released=datetime(2026, 11, 21, tzinfo=UTC),
    )
    for each in statement["rest"][0]["resource"]:
        if {"code": "search-type"} in each["interaction"]:  # content that is no FHIR is read and not searched
            yield each["type"], {parameter["name"]: parameter["type"] for parameter in each["searchParam"]}


def required(resource_type: str, text: str) -> dict[str, str]:
    """The parameters of a line of the table, with their types; those behind a * as R4 has them."""
    found: dict[str, str] = {}
    for entry in text.split(", "):
        name, _, letter = entry.partition(" ")
        if letter:
            found[name] = LETTERS[letter]
            continue
        official = definitions.search_parameters(resource_type).items()
        found |= {each: known.type for each, known in official if each.startswith(name.removesuffix("*"))}
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_1_7_s2_every_required_parameter_of_a_served_type_is_declared(service: str) -> None:
    checked = 0
    for resource_type, parameters in declared(service):
        wanted = required(resource_type, REQUIRED.get(resource_type, OF_ALL_TYPES))
        assert wanted.items() <= parameters.items(), (service, resource_type, wanted.keys() - parameters.keys())
        checked += resource_type in REQUIRED
    assert checked >= 2


@pytest.mark.parametrize("service", SERVICES)
def test_s18_every_type_declares_what_all_have_and_nothing_that_it_does_not_serve(service: str) -> None:
    for resource_type, parameters in declared(service):
        assert required(resource_type, OF_ALL_TYPES).items() <= parameters.items(), resource_type
        assert not set(OPTIONAL) & parameters.keys(), resource_type


async def test_s18_what_is_optional_and_not_served_is_refused(database_of: DatabaseOf) -> None:
    strict = {"prefer": "handling=strict"}
    async with open_bench(await database_of("routing"), "routing") as bench:
        for served_type in bench.engine.registry:
            for name in OPTIONAL:
                with pytest.raises(FhirError) as caught:
                    await bench.found(served_type.name, f"{name}=x", headers=strict)
                assert caught.value.status == 400, (served_type.name, name)
        await refusal(bench, "Patient", "_query=everything")  # a query that is not known is never ignored


async def test_s8_a_response_is_found_by_the_people_its_answers_are_about(database_of: DatabaseOf) -> None:
    is_subject = "http://hl7.org/fhir/StructureDefinition/questionnaireresponse-isSubject"
    async with open_bench(await database_of("screening")) as bench:
        for id_, marks in (("about", [{"url": is_subject, "valueBoolean": True}]), ("plain", [])):
            item: dict[str, Any] = {"linkId": "1", "answer": [{"valueReference": {"reference": "Patient/child"}}]}
            known = {"status": "completed", "questionnaire": "urn:q"}
            item |= {"extension": marks} if marks else {}
            await bench.update({"resourceType": "QuestionnaireResponse", "id": id_, "item": [item], **known})
        for query in ("item-subject=Patient/child", "item-subject:Patient=child", "item-subject:missing=false"):
            assert await bench.found("QuestionnaireResponse", query) == ["about"]
