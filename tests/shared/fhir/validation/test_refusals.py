"""Every structural mistake that lenient FHIR parsers let through is refused here, with its code and its place."""

from typing import Any

import orjson
import pytest
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.validation import check, validate

from tests.shared.fhir.validation.samples import (
    OBSERVATION,
    PATIENT,
    PATIENT_RESOURCE,
    QUESTIONNAIRE,
    RESPONSE,
    SAMPLES,
    changed,
)

BUNDLE = next(each for each in SAMPLES if each["resourceType"] == "Bundle")
PARAMETERS = next(each for each in SAMPLES if each["resourceType"] == "Parameters")
PROVENANCE = next(each for each in SAMPLES if each["resourceType"] == "Provenance")
BINARY = next(each for each in SAMPLES if each["resourceType"] == "Binary")
SUBSCRIPTION = next(each for each in SAMPLES if each["resourceType"] == "Subscription")
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">{}</div>'


def found(resource: dict[str, Any]) -> set[tuple[str, str | None]]:
    return {(issue.code, issue.expression) for issue in validate(resource, resource["resourceType"])}


MISTAKES = [
    # required codes
    (OBSERVATION, "status", "banana", "code-invalid", "Observation.status"),
    (QUESTIONNAIRE, "item/0/type", "zzz", "code-invalid", "Questionnaire.item[0].type"),
    (BUNDLE, "type", "zoo", "code-invalid", "Bundle.type"),
    (PATIENT_RESOURCE, "gender", "Female", "code-invalid", "Patient.gender"),
    # reference targets
    (OBSERVATION, "subject/reference", "Practitioner/x", "value", "Observation.subject.reference"),
    (
        OBSERVATION,
        "subject/reference",
        "https://a.example/fhir/Practitioner/x",
        "value",
        "Observation.subject.reference",
    ),
    (OBSERVATION, "subject/reference", "Medication/m1", "value", "Observation.subject.reference"),
    (OBSERVATION, "subject/reference", "nonsense", "value", "Observation.subject.reference"),
    (OBSERVATION, "subject/reference", "Patient/", "value", "Observation.subject.reference"),
    (OBSERVATION, "subject/reference", "Patient/p 1", "value", "Observation.subject.reference"),
    (OBSERVATION, "subject/reference", "Patient?identifier=x", "value", "Observation.subject.reference"),
    (OBSERVATION, "subject/reference", "Patient/p1/_history/", "value", "Observation.subject.reference"),
    (OBSERVATION, "subject/type", "Practitioner", "value", "Observation.subject.type"),
    (OBSERVATION, "subject/reference", "#nobody", "invariant", "Observation.subject.reference"),
    # structure
    (OBSERVATION, "colour", "red", "structure", "Observation"),
    (OBSERVATION, "code/colour", "red", "structure", "Observation.code"),
    (OBSERVATION, "_code", {"id": "a"}, "structure", "Observation"),
    (OBSERVATION, "status", ..., "required", "Observation.status"),
    (OBSERVATION, "code", ..., "required", "Observation.code"),
    (RESPONSE, "item/2/linkId", ..., "required", "QuestionnaireResponse.item[2].linkId"),
    (OBSERVATION, "valueString", "x", "structure", "Observation.value"),
    (
        OBSERVATION,
        "_valueString",
        {"extension": [{"url": "urn:x", "valueInteger": 1}]},
        "structure",
        "Observation.value",
    ),
    (OBSERVATION, "category", {"text": "x"}, "structure", "Observation.category"),
    (OBSERVATION, "code", [{"text": "x"}], "structure", "Observation.code"),
    (OBSERVATION, "code", "44261-6", "structure", "Observation.code"),
    (OBSERVATION, "category", [], "structure", "Observation.category"),
    (OBSERVATION, "method", {}, "structure", "Observation.method"),
    (OBSERVATION, "method", None, "structure", "Observation.method"),
    (OBSERVATION, "performer/0", None, "structure", "Observation.performer[0]"),
    (PATIENT_RESOURCE, "name/0/given", "Peter", "structure", "Patient.name[0].given"),
    (PATIENT_RESOURCE, "name/0/given", [None, "James"], "structure", "Patient.name[0].given[0]"),
    (PATIENT_RESOURCE, "name/0/_given", [{"id": "x"}], "structure", "Patient.name[0].given"),
    (PATIENT_RESOURCE, "_gender", "x", "structure", "Patient.gender"),
    (PATIENT_RESOURCE, "_multipleBirthInteger", {"id": "x"}, "invariant", "Patient.multipleBirth"),
    # primitives
    (PATIENT_RESOURCE, "active", "true", "value", "Patient.active"),
    (PATIENT_RESOURCE, "active", 1, "value", "Patient.active"),
    (PATIENT_RESOURCE, "telecom/0/rank", "3", "value", "Patient.telecom[0].rank"),
    (PATIENT_RESOURCE, "telecom/0/rank", 3.0, "value", "Patient.telecom[0].rank"),
    (PATIENT_RESOURCE, "telecom/0/rank", 0, "value", "Patient.telecom[0].rank"),
    (PATIENT_RESOURCE, "telecom/0/rank", True, "value", "Patient.telecom[0].rank"),
    (PATIENT_RESOURCE, "telecom/0/rank", 2**31, "value", "Patient.telecom[0].rank"),
    (OBSERVATION, "valueQuantity/value", "12", "value", "Observation.value.value"),
    (OBSERVATION, "valueQuantity/value", True, "value", "Observation.value.value"),
    (PATIENT_RESOURCE, "gender", 1, "value", "Patient.gender"),
    (PATIENT_RESOURCE, "birthDate", "2026-02-30", "value", "Patient.birthDate"),
    (PATIENT_RESOURCE, "birthDate", "2025-02-29", "value", "Patient.birthDate"),
    (PATIENT_RESOURCE, "birthDate", "1900-02-29", "value", "Patient.birthDate"),
    (PATIENT_RESOURCE, "birthDate", "0000-02-29", "value", "Patient.birthDate"),
    (PATIENT_RESOURCE, "birthDate", "2026-04-31", "value", "Patient.birthDate"),
    (PATIENT_RESOURCE, "birthDate", "2026-13", "value", "Patient.birthDate"),
    (PATIENT_RESOURCE, "birthDate", "26", "value", "Patient.birthDate"),
    (PATIENT_RESOURCE, "birthDate", "2026-01-01\n", "value", "Patient.birthDate"),
    (PATIENT_RESOURCE, "birthDate", "2026-01-01T10:00:00Z", "value", "Patient.birthDate"),
    (OBSERVATION, "effectiveDateTime", "2026-11-21T20:54:00", "value", "Observation.effective"),
    (OBSERVATION, "effectiveDateTime", "2026-11-21T20:54Z", "value", "Observation.effective"),
    (OBSERVATION, "effectiveDateTime", "2026-11-21T24:00:00Z", "value", "Observation.effective"),
    (OBSERVATION, "effectiveDateTime", "2026-11-21T20:54:00+15:00", "value", "Observation.effective"),
    (OBSERVATION, "issued", "2026-11-21", "value", "Observation.issued"),
    (OBSERVATION, "id", "x" * 65, "value", "Observation.id"),
    (OBSERVATION, "id", "a_b", "value", "Observation.id"),
    (OBSERVATION, "implicitRules", "has space", "value", "Observation.implicitRules"),
    (OBSERVATION, "code/coding/0/code", " x", "value", "Observation.code.coding[0].code"),
    (OBSERVATION, "code/coding/0/code", "x  y", "value", "Observation.code.coding[0].code"),
    (BINARY, "data", "!!!", "value", "Binary.data"),
    (BINARY, "data", "aGVsbG8", "value", "Binary.data"),
    (BINARY, "data", "a=b=", "value", "Binary.data"),
    # extensions
    (OBSERVATION, "extension", [{"url": "urn:x"}], "invariant", "Observation.extension[0]"),
    (OBSERVATION, "extension", [{"valueString": "x"}], "required", "Observation.extension[0].url"),
    (
        OBSERVATION,
        "extension",
        [{"url": "urn:x", "valueString": "x", "extension": [{"url": "urn:y", "valueString": "y"}]}],
        "invariant",
        "Observation.extension[0]",
    ),
    (
        OBSERVATION,
        "extension",
        [{"url": "urn:x", "valueString": "x", "valueInteger": 1}],
        "structure",
        "Observation.extension[0].value",
    ),
    (
        OBSERVATION,
        "modifierExtension",
        [{"url": "urn:x", "valueBoolean": True}],
        "extension",
        "Observation.modifierExtension",
    ),
    (
        RESPONSE,
        "item/0/modifierExtension",
        [{"url": "urn:x", "valueBoolean": True}],
        "extension",
        "QuestionnaireResponse.item[0].modifierExtension",
    ),
    (OBSERVATION, "valueQuantity/extension", [{"url": "urn:x"}], "invariant", "Observation.value.extension[0]"),
    (SUBSCRIPTION, "_criteria/extension/0/url", "has space", "value", "Subscription.criteria.extension[0].url"),
    # narrative
    (PATIENT_RESOURCE, "text/div", DIV.format("<script>x</script>"), "invariant", "Patient.text.div"),
    (PATIENT_RESOURCE, "text/div", DIV.format('<p onclick="x()">x</p>'), "invariant", "Patient.text.div"),
    (PATIENT_RESOURCE, "text/div", DIV.format('<a href="javascript:x">x</a>'), "invariant", "Patient.text.div"),
    (PATIENT_RESOURCE, "text/div", DIV.format('<a href="data:text/html,x">x</a>'), "invariant", "Patient.text.div"),
    (PATIENT_RESOURCE, "text/div", DIV.format('<p style="background:url(x)">x</p>'), "invariant", "Patient.text.div"),
    (PATIENT_RESOURCE, "text/div", DIV.format("<p>not closed"), "invariant", "Patient.text.div"),
    (PATIENT_RESOURCE, "text/div", "<div>no namespace</div>", "invariant", "Patient.text.div"),
    (PATIENT_RESOURCE, "text/div", DIV.format("<?php x ?>y"), "invariant", "Patient.text.div"),
    (PATIENT_RESOURCE, "text/div", "plain", "invariant", "Patient.text.div"),
    (
        PATIENT_RESOURCE,
        "text/div",
        '<!DOCTYPE x [<!ENTITY a "b">]>' + DIV.format("&a;"),
        "invariant",
        "Patient.text.div",
    ),
    # resources in resources
    (BUNDLE, "entry/0/resource/resourceType", "Zoo", "structure", "Bundle.entry[0].resource.resourceType"),
    (BUNDLE, "entry/0/resource/resourceType", ..., "structure", "Bundle.entry[0].resource"),
    (BUNDLE, "entry/0/resource/resourceType", "Substance", "not-supported", "Bundle.entry[0].resource.resourceType"),
    (BUNDLE, "entry/0/resource", "x", "structure", "Bundle.entry[0].resource"),
    (BUNDLE, "entry/0/resource/status", "banana", "code-invalid", "Bundle.entry[0].resource.status"),
    (
        PARAMETERS,
        "parameter/1/part/0/resource/status",
        "banana",
        "code-invalid",
        "Parameters.parameter[1].part[0].resource.status",
    ),
    (PROVENANCE, "contained/0/contained", [PATIENT_RESOURCE], "invariant", "Provenance.contained[0]"),
    (PROVENANCE, "contained/0/meta", {"versionId": "1"}, "invariant", "Provenance.contained[0]"),
    (
        PROVENANCE,
        "contained/0/meta",
        {"security": [{"code": "R"}]},
        "invariant",
        "Provenance.contained[0]",
    ),
    (
        {"resourceType": "Bundle", "type": "batch-response", "entry": [{"response": {"status": "400"}}]},
        "entry/0/response/outcome",
        {"resourceType": "OperationOutcome", "issue": [{"severity": "bad", "code": "invalid"}]},
        "code-invalid",
        "Bundle.entry[0].response.outcome.issue[0].severity",
    ),
    (PROVENANCE, "contained/0/id", "other", "invariant", "Provenance.contained[0]"),
    (PROVENANCE, "contained/0/status", "banana", "code-invalid", "Provenance.contained[0].status"),
    (
        {"resourceType": "Observation", "status": "final", "code": {"text": "x"}},
        "valueRange",
        {"low": {"value": 1, "comparator": "<"}},
        "invariant",
        "Observation.value.low.comparator",
    ),
    (
        {"resourceType": "Condition", "subject": PATIENT},
        "clinicalStatus",
        {"coding": [{"system": "urn:x", "code": "active"}]},
        "code-invalid",
        "Condition.clinicalStatus",
    ),
]


@pytest.mark.parametrize(
    ("resource", "path", "value", "code", "expression"),
    MISTAKES,
    ids=[f"{number}-{each[0]['resourceType']}-{each[1]}" for number, each in enumerate(MISTAKES)],
)
def test_1_6_a_mistake_is_refused_with_its_code_and_place(
    resource: dict[str, Any], path: str, value: object, code: str, expression: str
) -> None:
    assert not found(resource)
    assert (code, expression) in found(changed(resource, path, value))


def test_a_contained_resource_may_be_of_any_type_but_must_be_safe_to_read() -> None:
    unknown = {"resourceType": "Substance", "id": "device", "code": {"text": "x"}}
    assert validate({**PROVENANCE, "contained": [unknown]}, "Provenance") == []
    script = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml"><script>x</script></div>'}
    for text, place in ((script, "Provenance.contained[0].text.div"), ("words", "Provenance.contained[0].text")):
        issues = validate({**PROVENANCE, "contained": [{**unknown, "text": text}]}, "Provenance")
        assert [issue.expression for issue in issues] == [place]
    assert validate({**PROVENANCE, "contained": [{**unknown, "resourceType": "Spaceship"}]}, "Provenance")
    assert validate({**PROVENANCE, "contained": [{**unknown, "id": "nobody-refers-to-it"}]}, "Provenance")


def test_a_bundled_resource_refers_to_its_own_contained_resources_only() -> None:
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": PROVENANCE}]}
    assert not found(bundle)
    stranger = {**PROVENANCE, "contained": [{"resourceType": "Device", "id": "other"}]}
    bundle["entry"] = [{"resource": PROVENANCE}, {"resource": stranger}]
    assert found(bundle) == {
        ("invariant", "Bundle.entry[1].resource.agent[0].who.reference"),
        ("invariant", "Bundle.entry[1].resource.contained[0]"),
    }


def test_all_mistakes_are_reported_at_once() -> None:
    resource = changed(changed(changed(OBSERVATION, "status", "banana"), "subject/reference", "x"), "issued", "now")
    assert {place for _, place in found(resource)} == {
        "Observation.status",
        "Observation.subject.reference",
        "Observation.issued",
    }


def test_1_6_no_message_quotes_a_value() -> None:
    secret = "Schmidt-Rottluff"
    for path in ("gender", "birthDate", "id", "text/div", "name/0/use", "managingOrganization/reference", "active"):
        for issue in validate(changed(PATIENT_RESOURCE, path, secret), "Patient"):
            assert secret not in issue.diagnostics
            assert secret not in (issue.expression or "")


def test_a_message_names_the_allowed_codes_when_they_are_few() -> None:
    (issue,) = validate(changed(PATIENT_RESOURCE, "gender", "f"), "Patient")
    assert "male, female, other, unknown" in issue.diagnostics


def test_check_raises_everything_as_one_error() -> None:
    with pytest.raises(FhirError) as caught:
        check(orjson.dumps(changed(changed(OBSERVATION, "status", "banana"), "issued", "now")), "Observation")
    assert caught.value.category is Category.INVALID
    assert len(caught.value.issues) == 2


@pytest.mark.parametrize("body", [b"{}", b'{"resourceType":"Patient"}', b'{"resourceType":1}', b'{"id":"x"}'])
def test_a_body_of_another_type_is_refused(body: bytes) -> None:
    with pytest.raises(FhirError) as caught:
        check(body, "Observation")
    assert caught.value.category is Category.INVALID


def test_conditional_references_pass_only_where_they_are_asked_for() -> None:
    resource = changed(OBSERVATION, "subject/reference", "Patient?identifier=urn:x|1")
    assert validate(resource, "Observation")
    assert not validate(resource, "Observation", conditional_references=True)
    wrong = changed(OBSERVATION, "subject/reference", "Practitioner?identifier=1")
    assert validate(wrong, "Observation", conditional_references=True)
