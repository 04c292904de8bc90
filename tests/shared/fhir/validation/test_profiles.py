"""I14: profiles hold resources to what their guides say, at their places, and every claimed profile is known."""

import re
from typing import Any

import fhirpathpy
import pytest
from fhirpathpy.models import models
from stepwell_shared.canonical import CANONICAL
from stepwell_shared.fhir.capability import capability_statement
from stepwell_shared.fhir.definitions import served_types
from stepwell_shared.fhir.validation import profiles, validate
from stepwell_shared.fhir.validation.profiles.rules import RULES
from stepwell_shared.installed import service_named
from stepwell_shared.openapi.examples import example_of
from stepwell_shared.runtime import Runtime
from stepwell_shared.settings import SERVICES

from tests.support.engine import NOW

Resource = dict[str, Any]
BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition"
US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition"
UCUM = "http://unitsofmeasure.org"
SURVEY = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "survey"}]}
CONTENT = {"url": f"{BACKPORT}/backport-payload-content", "valueCode": "id-only"}
ABSENT = {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "masked"}


def observation(**members: Any) -> Resource:
    return {
        "resourceType": "Observation",
        "status": "final",
        "category": [SURVEY],
        "code": {"text": "PHQ-9 total"},
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": "2026-11-21",
        "valueQuantity": {"value": 12, "unit": "{score}", "system": UCUM, "code": "{score}"},
    } | members


def subscription(*extensions: Resource, **channel: Any) -> Resource:
    payload = {"payload": "application/fhir+json", "_payload": {"extension": [CONTENT]}}
    return {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "to know",
        "criteria": f"{CANONICAL}/SubscriptionTopic/score-finalized",
        "channel": {
            "type": "rest-hook",
            **payload,
            **({"extension": list(extensions)} if extensions else {}),
            **channel,
        },
    }


def answered(**members: Any) -> Resource:
    return {
        "resourceType": "QuestionnaireResponse",
        "status": "completed",
        "questionnaire": f"{CANONICAL}/Questionnaire/phq-9|1.0.0",
        "authored": "2026-11-21T10:00:00Z",
        "subject": {"reference": "Patient/p1"},
    } | members


def person(**members: Any) -> Resource:
    identifier = {"system": "urn:x", "value": "1"}
    return {"resourceType": "Patient", "identifier": [identifier], "name": [{"family": "Example"}]} | members


def form(*items: Resource, **members: Any) -> Resource:
    return {"resourceType": "Questionnaire", "status": "draft", "url": "urn:x", "item": list(items)} | members


def heartbeat(**value: Any) -> Resource:
    return {"url": f"{BACKPORT}/backport-heartbeat-period", **value}


def without(resource: Resource, *names: str) -> Resource:
    return {name: value for name, value in resource.items() if name not in names}


def found(resource: Resource, canonical: str, *, is_valid: bool = True) -> list[tuple[str, str | None]]:
    profile = profiles.find(canonical, resource["resourceType"])
    assert profile is not None
    return [(issue.code, issue.expression) for issue in profiles.findings(resource, profile, is_valid=is_valid)]


SCREENING = f"{US_CORE}/us-core-observation-screening-assessment"
KEEPING = {
    SCREENING: observation(),
    f"{BACKPORT}/backport-subscription": subscription(heartbeat(valueUnsignedInt=60)),
    f"{SDC}/sdc-questionnaireresponse": answered(),
    f"{SDC}/sdc-questionnaire": form({"linkId": "a", "type": "string"}),
    f"{US_CORE}/us-core-questionnaireresponse": answered(),
    f"{US_CORE}/us-core-patient": person(),
    f"{US_CORE}/us-core-organization": {"resourceType": "Organization", "active": True, "name": "North"},
    f"{US_CORE}/us-core-servicerequest": {
        "resourceType": "ServiceRequest", "status": "active", "intent": "order", "code": {"text": "tier 2"},
        "subject": {"reference": "Patient/p1"},
    },
}  # fmt: skip


@pytest.mark.parametrize("url", sorted(profiles.known()))
def test_i14_what_keeps_to_a_profile_has_no_finding(url: str) -> None:
    resource = KEEPING[url]
    assert validate(resource, resource["resourceType"]) == []
    assert found(resource, url) == []


@pytest.mark.parametrize(
    ("url", "resource", "issue"),
    [
        (SCREENING, observation(category=[{"text": "x"}]), ("required", "Observation.category")),
        (SCREENING, observation(category=[SURVEY, SURVEY]), ("structure", "Observation.category")),
        (SCREENING, without(observation(), "subject"), ("required", "Observation.subject")),
        (SCREENING, observation(subject={"reference": "Procedure/1"}), ("value", "Observation.subject.reference")),
        (SCREENING, observation(effectiveDateTime="2026-11"), ("invariant", "Observation")),
        (SCREENING, without(observation(), "valueQuantity"), ("invariant", "Observation")),
        (SCREENING, observation(valueQuantity={"value": 1, "system": "urn:x"}), ("invariant", "Observation")),
        ("backport-subscription", subscription(payload=None, _payload=None),
         ("required", "Subscription.channel.payload")),
        ("backport-subscription", subscription(_payload={"id": "x"}),
         ("required", "Subscription.channel.payload.extension")),
        ("backport-subscription", subscription(_payload={"extension": [CONTENT, CONTENT]}),
         ("structure", "Subscription.channel.payload.extension")),
        ("backport-subscription", subscription(_payload={"extension": [{**CONTENT, "valueCode": "some"}]}),
         ("code-invalid", "Subscription.channel.payload.extension")),
        ("backport-subscription", subscription(heartbeat(valueString="60")),
         ("value", "Subscription.channel.extension")),
        ("backport-subscription", subscription(*[heartbeat(valueUnsignedInt=60)] * 2),
         ("structure", "Subscription.channel.extension")),
        ("sdc-questionnaireresponse", without(answered(), "authored"), ("required", "QuestionnaireResponse.authored")),
        ("sdc-questionnaireresponse", answered(questionnaire="urn:x"), ("invariant", "QuestionnaireResponse")),
        ("sdc-questionnaireresponse", without(answered(), "subject"), ("invariant", "QuestionnaireResponse")),
        ("us-core-questionnaireresponse", without(answered(), "authored"),
         ("required", "QuestionnaireResponse.authored")),
        ("us-core-patient", person(identifier=[{"value": "1"}]), ("required", "Patient.identifier[0].system")),
        ("us-core-patient", person(name=[{"text": "x"}]), ("invariant", "Patient.name[0]")),
        ("us-core-organization", {"resourceType": "Organization", "name": "x"}, ("required", "Organization.active")),
        ("us-core-organization", {**KEEPING[f"{US_CORE}/us-core-organization"], "address": [{"line": ["x"] * 5}]},
         ("structure", "Organization.address[0].line")),
        ("us-core-servicerequest", without(KEEPING[f"{US_CORE}/us-core-servicerequest"], "code"),
         ("required", "ServiceRequest.code")),
        ("sdc-questionnaire", without(form(), "url"), ("required", "Questionnaire.url")),
        ("sdc-questionnaire", form({"linkId": "a", "type": "group", "item": [{"linkId": "b" * 256}]}),
         ("invariant", "Questionnaire.item[0].item[0]")),
    ],
)  # fmt: skip
def test_i14_what_breaks_a_profile_is_found_at_its_place(url: str, resource: Resource, issue: tuple[str, str]) -> None:
    (canonical,) = [each for each in profiles.known() if each.endswith(f"/{url.rpartition('/')[2]}")]
    assert found({**resource}, canonical) == [issue]


@pytest.mark.parametrize("resource_type", served_types())
def test_i14_the_base_definition_asks_for_nothing_more_and_only_of_its_own_version(resource_type: str) -> None:
    url = f"{profiles.BASE}{resource_type}"
    for canonical in (url, f"{url}|4.0.1"):
        profile = profiles.find(canonical, resource_type)
        assert profile is not None
        assert profiles.findings({"resourceType": resource_type}, profile, is_valid=True) == []
    assert profiles.find(f"{url}|5.0.0", resource_type) is None


def test_i14_a_profile_is_known_for_its_type_and_versions_only() -> None:
    assert profiles.find(f"{SCREENING}|7.0.0", "Observation") is not None
    assert profiles.find(f"{SCREENING}|1.0.0", "Observation") is None
    assert profiles.find(SCREENING, "Patient") is None
    assert profiles.find("http://example.org/none", "Observation") is None


@pytest.mark.parametrize("url", sorted(profiles.known()))
def test_i14_values_of_the_wrong_json_type_break_nothing(url: str) -> None:
    wrongs: tuple[Any, ...] = (7, "x", [], {}, [7], [[]], {"extension": 7}, None)
    for wrong in wrongs:
        resource = {name: value if name == "resourceType" else wrong for name, value in KEEPING[url].items()}
        found(resource, url, is_valid=False)


# A node that keeps each rule and one that breaks it.
ITEM = {"linkId": "a", "type": "string"}
ANSWER = {"answer": [{"valueString": "x"}]}
EXPRESSION = [{"url": f"{SDC}/sdc-questionnaire-answerExpression", "valueExpression": {"language": "text/fhirpath"}}]
R5_SOURCE = [{"url": "http://hl7.org/fhir/5.0/StructureDefinition/extension-QuestionnaireResponse.source"}]
TWICE = [{"linkId": "a", **ANSWER}, {"linkId": "a", **ANSWER}]
SAMPLES: dict[str, tuple[list[Resource], list[Resource]]] = {
    "cnl-1": ([form(), without(form(), "url")], [form(url="urn:x|1"), form(url="urn:x#1")]),
    "que-15": ([ITEM, {"linkId": "a" * 255}], [{"linkId": "a" * 256}]),
    "sdc-1": ([{**ITEM, "extension": EXPRESSION}], [{**ITEM, "extension": EXPRESSION, "answerOption": [{}]}]),
    "sdc-base-1": ([{"valueCoding": {"display": "x"}}, {"valueString": "x"}], [{"valueCoding": {"system": "urn:x"}}]),
    "sdc-base-2": ([{"valueCoding": {"code": "x", "system": "urn:x"}}], [{"valueCoding": {"code": "x"}}]),
    "sdc-base-4": ([{"valueReference": {"display": "x"}}, {"valueString": "x"}], [{"valueReference": {"type": "x"}}]),
    "sdc-questionnaire-version": ([answered()], [answered(questionnaire="urn:x")]),
    "sdcqr-1": ([answered()], [without(answered(), "subject")]),
    "sdcqr-2": (
        [answered(), answered(item=[{"linkId": "a"}, {"linkId": "a", **ANSWER}])],
        [
            answered(item=TWICE),
            answered(item=[{"linkId": "g", "item": TWICE}]),
            answered(item=[{"linkId": "q", "answer": [{"valueString": "x", "item": TWICE}]}]),
        ],
    ),
    "sdcqr-3": ([answered(source={}), answered(extension=R5_SOURCE)], [answered(source={}, extension=R5_SOURCE)]),
    "us-core-1": ([observation(), observation(effectiveDateTime="2026-11-21T10:00:00Z")],
                  [observation(effectiveDateTime="2026")]),
    "us-core-2": (
        [observation(), without(observation(dataAbsentReason={}), "valueQuantity"),
         without(observation(component=[{}]), "valueQuantity")],
        [without(observation(), "valueQuantity")],
    ),
    "us-core-3": ([observation(), observation(valueQuantity={"value": 1})],
                  [observation(valueQuantity={"value": 1, "system": "urn:x"})]),
    "us-core-6": ([{"family": "x"}, {"given": ["x"]}, {"extension": [ABSENT]}],
                  [{"text": "x"}, {"family": "x", "extension": [ABSENT]}]),
}  # fmt: skip
# What the FHIRPath engine cannot do, in words that it has: `is` on a choice, and nodes behind a union in repeat().
DISTINCT = "item.where(answer.value.exists()).linkId.isDistinct()"
SPELLINGS = {
    "us-core-1": "effective.empty() or effective.toString().length() >= 10",
    "sdcqr-2": f"{DISTINCT} and descendants().select({DISTINCT}).allTrue()",
}
# It knows types only of resources: where a rule asks for a type the node is put into one.
AROUND = {
    "sdc-base-1": "Questionnaire.item.answerOption",
    "sdc-base-2": "Questionnaire.item.answerOption",
    "sdc-base-4": "Questionnaire.item.answerOption",
}


def official(key: str, node: Resource) -> bool:
    """What the guide's own expression says of the node."""
    (expression,) = {rule.expression for each in profiles.known().values() for rule in each.rules if rule.key == key}
    resource = form({**ITEM, "answerOption": [node]}) if key in AROUND else node
    if key in AROUND:
        expression = f"{AROUND[key]}.all({expression})"
    expression = SPELLINGS.get(key, expression)
    result = fhirpathpy.evaluate(resource, re.sub(r"\s+", " ", expression), {"resource": resource}, models["r4"])
    return result == [True]


@pytest.mark.parametrize("key", sorted(RULES))
def test_i14_function_and_expression_of_a_profile_rule_agree(key: str) -> None:
    keeping, breaking = SAMPLES[key]
    for nodes, holds in ((keeping, True), (breaking, False)):
        for node in nodes:
            assert (RULES[key](node), official(key, node)) == (holds, holds), node


def test_i14_every_rule_of_every_profile_is_implemented_and_none_beside_them() -> None:
    named = {rule.key for each in profiles.known().values() for rule in each.rules}
    assert named == set(RULES)
    for each in profiles.known().values():
        assert each.type in served_types()
        assert each.base is None or each.base in profiles.known()


@pytest.mark.parametrize("service", SERVICES)
def test_i14_9_5_8_every_profile_that_a_service_claims_can_be_validated_against(service: str) -> None:
    registry = service_named(service).resources(Runtime())
    statement = capability_statement(
        registry, title="", description="", base_url="https://x.example", topics=(), released=NOW
    )
    for each in statement["rest"][0]["resource"]:
        for canonical in each.get("supportedProfile", []):
            assert profiles.find(canonical, each["type"]) is not None, canonical


def test_i14_the_documented_subscription_keeps_to_the_profile_that_it_claims() -> None:
    example = example_of("Subscription", (f"{CANONICAL}/SubscriptionTopic/score-finalized",))
    assert example is not None
    (claimed,) = example["meta"]["profile"]
    assert found(example, claimed) == []
