"""Promises of our code systems: valid, in one place, and with every code that the product ships, emits or names."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.codesystem import CodeSystem
from stepwell_shared.canonical import code_system

from tests.support.corpus import keep
from tests.support.terminology import CODE_SYSTEMS, FOLDER, unknown_codings

ROOT = Path(__file__).parents[2]
SERVICES = ROOT / "services"
RULE = re.compile(r'"((?:SAF|RC|WAIT|MATCH|INTERIM|TASK)-[A-Z0-9][A-Z0-9-]*)"')


@pytest.mark.parametrize(
    "coding",
    [
        {"system": code_system("tier"), "code": "tier-9"},
        {"system": code_system("tier"), "code": "tier-1", "display": "Something else"},
        {"system": code_system("nothing"), "code": "tier-1"},
    ],
)
def test_a_resource_with_a_code_that_nobody_can_look_up_is_not_emitted(coding: dict[str, str]) -> None:
    resource = {"resourceType": "Flag", "code": {"coding": [coding]}}
    assert len(unknown_codings(resource)) == 1
    with pytest.raises(AssertionError, match=coding["code"]):
        keep(None, resource)


@pytest.mark.parametrize("url", sorted(CODE_SYSTEMS), ids=lambda url: url.rpartition("/")[2])
def test_every_code_system_is_valid_named_after_its_file_and_has_no_code_twice(url: str) -> None:
    name = url.rpartition("/")[2]
    text = (FOLDER / f"{name}.json").read_text(encoding="utf-8")
    system = CodeSystem.model_validate_json(text)
    codes = [concept.code for concept in system.concept or ()]
    assert (system.id, system.url) == (name, code_system(name))
    assert 0 < len(codes) == len(set(codes))
    assert all(concept.display for concept in system.concept or ())


def test_code_systems_are_defined_in_one_place_only() -> None:
    elsewhere = [
        str(path.relative_to(ROOT))
        for path in SERVICES.glob("*/src/**/*.json")
        if json.loads(path.read_text(encoding="utf-8")).get("resourceType") == "CodeSystem"
    ]
    assert elsewhere == []
    assert len(CODE_SYSTEMS) == len([path for path in FOLDER.iterdir() if path.name.endswith(".json")])


@pytest.mark.parametrize(
    "path", sorted(SERVICES.glob("*/src/*/data/**/*.json")), ids=lambda path: f"{path.parts[-3]}-{path.stem}"
)
def test_every_code_that_ships_as_data_is_defined(path: Path) -> None:
    content: Any = json.loads(path.read_text(encoding="utf-8"))
    assert unknown_codings(content) == []


def test_every_rule_that_the_code_names_is_defined() -> None:
    named = {rule for path in SERVICES.glob("*/src/**/*.py") for rule in RULE.findall(path.read_text(encoding="utf-8"))}
    defined = {concept["code"] for concept in CODE_SYSTEMS[code_system("rule")]["concept"]}
    assert len(named) > 20
    assert named <= defined
