"""Promises of what referral ships as data: complete in every language, sourced, valid R4."""

import json
import re
from importlib.resources import files
from typing import Any

import pytest
from fhir.resources.R4B.codesystem import CodeSystem
from fhir.resources.R4B.healthcareservice import HealthcareService
from fhir.resources.R4B.organization import Organization
from fhir.resources.R4B.structuredefinition import StructureDefinition
from stepwell_referral import data
from stepwell_shared.canonical import CANONICAL, code_system, extension_url

from tests.support.terminology import CODE_SYSTEMS

LANGUAGES = {"en", "de", "es", "fr"}
TIERS = {"tier-1", "tier-2", "tier-3", "tier-4"}
# Words that are never said to people (pathways: words).
NOT_SAID = re.compile(r"fail|refractor|non-complian|crippl|all in your head|nothing is wrong|harmed", re.IGNORECASE)


def services() -> list[dict[str, Any]]:
    return [resource for resource in data.default_catalogue() if resource["resourceType"] == "HealthcareService"]


def raw(name: str) -> Any:
    return json.loads((files("stepwell_referral.data") / name).read_text(encoding="utf-8"))


def test_the_catalogue_is_one_organization_and_one_service_for_each_tier() -> None:
    catalogue = data.default_catalogue()
    assert catalogue[0]["resourceType"] == "Organization"
    tiers = [service["category"][0]["coding"][0] for service in services()]
    assert {tier["code"] for tier in tiers} == TIERS
    assert {tier["system"] for tier in tiers} == {code_system("tier")}
    assert all(service["providedBy"]["reference"] == f"Organization/{catalogue[0]['id']}" for service in services())


def test_the_catalogue_parses_as_fhir() -> None:
    Organization.model_validate_json(json.dumps(raw("services.json")["entry"][0]["resource"]))
    for entry in raw("services.json")["entry"][1:]:
        HealthcareService.model_validate_json(json.dumps(entry["resource"]))
        assert entry["request"]["url"] == f"HealthcareService/{entry['resource']['id']}"


def test_every_service_says_how_many_people_begin_in_a_week_and_when_it_is_open() -> None:
    for service in services():
        (capacity,) = service["extension"]
        assert capacity["url"] == extension_url("service-capacity")
        assert capacity["extension"][0]["valueDecimal"] > 0
        assert service["availableTime"]
        assert service["characteristic"]
        assert service["comment"]
        assert "default catalogue" in service["extraDetails"]


def test_the_catalogue_is_a_fresh_copy_each_time() -> None:
    data.default_catalogue()[0]["name"] = "changed"
    assert data.default_catalogue()[0]["name"] != "changed"


BOOKING_EXTENSIONS = ("slot-places", "slot-subgroup", "appointment-hold", "telehealth", "overtaking")


def test_our_extensions_are_defined_and_parse_as_fhir() -> None:
    definitions = data.structure_definitions()
    names = ("service-capacity", "wait-promise", "partner-task", "message-channel", *BOOKING_EXTENSIONS)
    assert {item["url"] for item in definitions} == {extension_url(name) for name in names}
    for definition in definitions:
        StructureDefinition.model_validate_json(json.dumps(definition))


def test_urgency_classes_are_ordered_from_the_shortest_wait() -> None:
    waits = [urgency.maximum_wait for urgency in data.urgency_classes()]
    assert waits == sorted(waits)
    assert [urgency.rank for urgency in data.urgency_classes()] == [1, 2, 3]
    priorities = [priority for urgency in data.urgency_classes() for priority in urgency.request_priorities]
    assert sorted(priorities) == ["asap", "routine", "stat", "urgent"]


@pytest.mark.parametrize("name", ["waits.json", "interim.json", "matching.json"])
def test_every_number_and_rule_names_its_source(name: str) -> None:
    assert len(raw(name)["source"]) > 40


def test_people_read_the_same_offers_in_every_language() -> None:
    for offer in data.interim_offers():
        assert set(offer.title) == set(offer.text) == LANGUAGES
        assert all(not NOT_SAID.search(text) for text in offer.text.values())
        assert offer.tiers <= TIERS


def test_wait_sentences_have_the_same_rules_in_every_language() -> None:
    templates = data.wait_templates()
    assert set(templates) == LANGUAGES
    assert len({frozenset(words["rules"]) for words in templates.values()}) == 1
    sentences = [text for words in templates.values() for text in words["rules"].values()]
    assert all(not NOT_SAID.search(text) for text in sentences)


def test_the_data_uses_one_canonical_base() -> None:
    urls = re.findall(r'"(https://stepwell[^"]*)"', (files("stepwell_referral.data") / "services.json").read_text())
    assert urls
    assert all(url.startswith(CANONICAL + "/") for url in urls)


@pytest.mark.parametrize("name", ["interim-support", "modality"])
def test_the_code_systems_define_the_codes_that_are_used(name: str) -> None:
    system = CodeSystem.model_validate(CODE_SYSTEMS[code_system(name)])
    defined = {concept.code: concept.display for concept in system.concept or ()}
    used = {
        "interim-support": {offer.code: offer.title["en"] for offer in data.interim_offers()},
        "modality": {
            coding["code"]: coding["display"]
            for service in services()
            for concept in service["characteristic"]
            for coding in concept["coding"]
        },
    }
    assert defined == used[name]
    assert system.url == code_system(name)
