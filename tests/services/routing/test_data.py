"""What routing ships as data is valid FHIR and hangs together."""

import json
from typing import Any

import pytest
from fhir.resources.R4B.plandefinition import PlanDefinition
from fhir.resources.R4B.structuredefinition import StructureDefinition
from stepwell_routing.rules.reading import PARTS
from stepwell_shared.canonical import CANONICAL, code_system

from tests.services.routing.rules.shipped import CATALOGUE, DATA, DOCUMENT, POLICY
from tests.support.terminology import unknown_codings

DEFINITIONS = sorted((DATA / "definitions").glob("*.json"))


def _urls(value: Any) -> set[str]:
    """Every extension URL of ours in a document."""
    if isinstance(value, list):
        return set().union(*map(_urls, value))
    if not isinstance(value, dict):
        return set()
    own = {str(entry["url"]) for entry in value.get("extension", ()) if str(entry.get("url")).startswith(CANONICAL)}
    return own.union(*map(_urls, value.values()))


def _without_translated_parts(value: Any) -> Any:
    """Without `_valueString`, which R4 has (it is a primitive) and the validating library does not know."""
    if isinstance(value, list):
        return [_without_translated_parts(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {name: _without_translated_parts(each) for name, each in value.items() if name != "_valueString"}


def test_every_code_of_the_policy_is_defined_with_its_display() -> None:
    assert unknown_codings(DOCUMENT) == []


def test_every_option_and_service_of_a_tier_is_defined() -> None:
    for tier in CATALOGUE.tiers:
        concepts = [("tier", tier.code, tier.display), ("tier-service", tier.service_code, tier.service)]
        concepts += [("care-option", option.code, option.display) for option in tier.options]
        for system, code, words in concepts:
            codings = [{"system": code_system(system), "code": code, "display": text} for text in words.values()]
            assert unknown_codings(codings) == []


def test_the_policy_is_a_plan_definition() -> None:
    assert PlanDefinition.model_validate(_without_translated_parts(DOCUMENT)).url == POLICY.url


@pytest.mark.parametrize("path", DEFINITIONS, ids=lambda path: path.stem)
def test_every_definition_is_valid_and_named_after_its_file(path: Any) -> None:
    definition = StructureDefinition.model_validate(json.loads(path.read_text()))
    assert (definition.id, definition.url) == (path.stem, f"{CANONICAL}/StructureDefinition/{path.stem}")


def test_every_extension_of_the_policy_is_defined() -> None:
    defined = {f"{CANONICAL}/StructureDefinition/{path.stem}" for path in DEFINITIONS}
    assert _urls(DOCUMENT) <= defined


@pytest.mark.parametrize("name", sorted(set(PARTS) - {"set"}))
def test_the_parts_that_are_read_are_the_parts_that_are_defined(name: str) -> None:
    elements = json.loads((DATA / "definitions" / f"{name}.json").read_text())["differential"]["element"]
    slices = {element["sliceName"] for element in elements if element["path"] == "Extension.extension"}
    assert slices == set(PARTS[name])


def test_the_tiers_are_four_and_only_the_last_is_entered_by_people_alone() -> None:
    assert CATALOGUE.canonical == CANONICAL
    assert [(tier.code, tier.human) for tier in CATALOGUE.tiers] == [
        ("tier-1", False),
        ("tier-2", False),
        ("tier-3", False),
        ("tier-4", True),
    ]


def test_every_tier_offers_a_choice_in_every_language() -> None:
    assert all(len(tier.options) >= 2 for tier in CATALOGUE.tiers)
    assert CATALOGUE.languages == {"de", "en", "es", "fr"}


def test_the_displays_of_tiers_in_the_policy_are_those_of_the_tiers() -> None:
    text = json.dumps(DOCUMENT)
    shown = {tier.code: tier.display["en"] for tier in CATALOGUE.tiers}
    for code, display in shown.items():
        coding = {"system": f"{CANONICAL}/CodeSystem/tier", "code": code, "display": display}
        assert json.dumps(coding) in text
