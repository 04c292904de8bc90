"""The definition tables answer what the engine asks of them, and say no where R4 has nothing."""

import pytest
from stepwell_shared.fhir import definitions


@pytest.mark.parametrize(("resource_type", "name"), [("Flag", "status"), ("Observation", "value-integer")])
def test_a_search_parameter_that_r4_lacks_is_refused(resource_type: str, name: str) -> None:
    with pytest.raises(KeyError):
        definitions.search_parameter(resource_type, name)


@pytest.mark.parametrize("path", ["colour", "code.coding.colour", "valueColour"])
def test_an_element_that_r4_lacks_is_refused(path: str) -> None:
    with pytest.raises(KeyError):
        definitions.element("Observation", path)


def test_an_unserved_type_is_refused() -> None:
    with pytest.raises(KeyError):
        definitions.type_definition("MolecularSequence")
    assert "MolecularSequence" in definitions.resource_types()


def test_the_expression_of_a_shared_parameter_is_cut_to_its_type() -> None:
    assert definitions.search_parameter("Observation", "code").expression == "Observation.code"
    assert definitions.search_parameter("Patient", "email").expression == "Patient.telecom.where(system='email')"


def test_common_parameters_belong_to_every_type() -> None:
    for resource_type in definitions.served_types():
        for name in ("_id", "_lastUpdated", "_tag", "_security", "_profile", "_source"):
            assert definitions.search_parameter(resource_type, name).url.startswith("http://hl7.org/fhir/")
    assert "_text" in definitions.search_parameters("Patient")
    assert "_text" not in definitions.search_parameters("Bundle")


def test_every_search_parameter_of_every_type_has_an_expression_or_is_special() -> None:
    special = {"_query", "_filter", "_content", "_text", "near"}
    bare = {
        name
        for resource_type in definitions.served_types()
        for name, parameter in definitions.search_parameters(resource_type).items()
        if not parameter.expression
    }
    assert bare <= special


def test_a_composite_names_its_parts() -> None:
    parts = definitions.search_parameter("Observation", "code-value-quantity").components
    assert parts[0] == ("http://hl7.org/fhir/SearchParameter/clinical-code", "code")


@pytest.mark.parametrize(
    ("path", "single"),
    [("code", True), ("code.coding", False), ("code.text", True), ("valueQuantity.value", True), ("category", False)],
)
def test_single_valued_means_that_no_step_repeats(path: str, single: bool) -> None:
    assert definitions.is_single_valued("Observation", path) is single


def test_shared_content_is_followed() -> None:
    assert definitions.element("QuestionnaireResponse", "item.item.answer.item.linkId").path.endswith("item.linkId")
    assert definitions.element("Observation", "component.referenceRange.text").types == ("string",)


def test_an_element_knows_cardinality_targets_codes_and_invariants() -> None:
    status = definitions.element("Observation", "status")
    assert (status.minimum, status.maximum, status.is_modifier, status.is_summary) == (1, 1, True, True)
    assert status.codes is not None
    assert "final" in definitions.required_codes(status.codes)["http://hl7.org/fhir/observation-status"]
    assert definitions.element("Observation", "subject").targets == {"Patient", "Group", "Device", "Location"}
    assert definitions.element("Observation", "focus").targets == frozenset()
    assert definitions.element("Observation", "referenceRange").invariants == ("obs-3",)
    assert "obs-6" in definitions.type_definition("Observation").invariants
    assert definitions.element("Range", "low").is_simple_quantity


def test_the_two_invariants_that_share_a_key_are_told_apart() -> None:
    keys = [key for key in definitions.invariant_keys() if key.startswith("inv-1")]
    assert len({definitions.invariant(key).expression for key in keys}) == len(keys) == 2
