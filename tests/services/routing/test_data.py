"""What routing ships as data is valid FHIR and hangs together."""

import json
from typing import Any

import pytest
from fhir.resources.R4B.codesystem import CodeSystem
from fhir.resources.R4B.plandefinition import PlanDefinition
from fhir.resources.R4B.structuredefinition import StructureDefinition
from stepwell_routing.rules.reading import PARTS
from stepwell_shared.canonical import CANONICAL

from tests.services.routing.rules.shipped import CATALOGUE, DATA, DOCUMENT, POLICY

CODE_SYSTEMS = sorted((DATA / "definitions").glob("code-system-*.json"))
DEFINITIONS = sorted(set((DATA / "definitions").glob("*.json")) - set(CODE_SYSTEMS))


def _urls(value: Any) -> set[str]:
    """Every extension URL of ours in a document."""
    if isinstance(value, list):
        return set().union(*map(_urls, value))
    if not isinstance(value, dict):
        return set()
    own = {str(entry["url"]) for entry in value.get("extension", ()) if str(entry.get("url")).startswith(CANONICAL)}
    return own.union(*map(_urls, value.values()))


def _codings(value: Any) -> set[tuple[str, str, str | None]]:
    """Every coding in a document from one of our code systems."""
    if isinstance(value, list):
        return set().union(*map(_codings, value))
    if not isinstance(value, dict):
        return set()
    found = set().union(*map(_codings, value.values()))
    if str(value.get("system")).startswith(f"{CANONICAL}/CodeSystem/") and "code" in value:
        found.add((value["system"], value["code"], value.get("display")))
    return found


def _defined_codings() -> set[tuple[str, str, str | None]]:
    systems = [json.loads(path.read_text()) for path in CODE_SYSTEMS]
    pairs = [(system["url"], concept) for system in systems for concept in system["concept"]]
    return {(url, concept["code"], concept["display"]) for url, concept in pairs}


@pytest.mark.parametrize("path", CODE_SYSTEMS, ids=lambda path: path.stem)
def test_every_code_system_is_valid_and_has_no_code_twice(path: Any) -> None:
    system = CodeSystem.model_validate(json.loads(path.read_text()))
    codes = [concept.code for concept in system.concept or ()]
    assert system.url == f"{CANONICAL}/CodeSystem/{path.stem.removeprefix('code-system-')}"
    assert 0 < len(codes) == len(set(codes))


def test_every_code_of_the_policy_is_defined_with_its_display() -> None:
    defined = _defined_codings()
    known = defined | {(system, code, None) for system, code, _ in defined}
    foreign = {f"{CANONICAL}/CodeSystem/instrument"}
    assert {coding for coding in _codings(DOCUMENT) if coding[0] not in foreign} <= known


def test_every_option_and_service_of_a_tier_is_defined() -> None:
    defined = _defined_codings()
    for tier in CATALOGUE.tiers:
        assert (f"{CANONICAL}/CodeSystem/tier-service", tier.service_code, tier.service["en"]) in defined
        for option in tier.options:
            assert (f"{CANONICAL}/CodeSystem/care-option", option.code, option.display["en"]) in defined


def test_the_policy_is_a_plan_definition() -> None:
    assert PlanDefinition.model_validate(DOCUMENT).url == POLICY.url


@pytest.mark.parametrize("path", DEFINITIONS, ids=lambda path: path.stem)
def test_every_definition_is_valid_and_named_after_its_file(path: Any) -> None:
    definition = StructureDefinition.model_validate(json.loads(path.read_text()))
    assert (definition.id, definition.url) == (path.stem, f"{CANONICAL}/StructureDefinition/{path.stem}")


def test_every_extension_of_the_policy_is_defined() -> None:
    defined = {f"{CANONICAL}/StructureDefinition/{path.stem}" for path in DEFINITIONS}
    assert _urls(DOCUMENT) <= defined


@pytest.mark.parametrize("name", ["policy-parameter", "policy-profile", "evidence", "rule-outcome"])
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


def test_every_tier_offers_a_choice_in_both_languages() -> None:
    assert all(len(tier.options) >= 2 for tier in CATALOGUE.tiers)
    assert CATALOGUE.languages == {"de", "en"}


def test_the_displays_of_tiers_in_the_policy_are_those_of_the_tiers() -> None:
    text = json.dumps(DOCUMENT)
    shown = {tier.code: tier.display["en"] for tier in CATALOGUE.tiers}
    for code, display in shown.items():
        coding = {"system": f"{CANONICAL}/CodeSystem/tier", "code": code, "display": display}
        assert json.dumps(coding) in text
