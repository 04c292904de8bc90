"""Section 1.5 of the FHIR checklist: what every service's CapabilityStatement says. That it is true is tested beside
the engine's own tests. https://hl7.org/fhir/R4/capabilitystatement.html
"""

from typing import Any

import pytest
from stepwell_shared.fhir import definitions, validation
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.capability import capability_statement
from stepwell_shared.fhir.registry import Interaction, Registry
from stepwell_shared.installed import service_named
from stepwell_shared.runtime import Runtime
from stepwell_shared.settings import SERVICES

from tests.support.engine import NOW

TOKEN_URL = "https://host.example/screening/auth/token"


@pytest.fixture(params=SERVICES)
def declared(request: pytest.FixtureRequest) -> tuple[Registry, dict[str, Any]]:
    """A service's registry and its statement."""
    service = service_named(request.param)
    registry = service.resources(Runtime())
    statement = capability_statement(
        registry,
        title=service.title,
        description=service.description,
        base_url=f"https://host.example/{request.param}/fhir",
        topics=[topic.canonical for topic in service.topics],
        released=NOW,
        token_url=TOKEN_URL,
    )
    return registry, statement


Declared = tuple[Registry, dict[str, Any]]


def test_1_5_the_statement_is_of_an_instance_of_r4_and_keeps_every_invariant(declared: Declared) -> None:
    _, statement = declared
    validation.check(encode(statement), "CapabilityStatement")
    assert (statement["status"], statement["kind"], statement["fhirVersion"]) == ("active", "instance", "4.0.1")
    assert statement["implementation"]["url"].startswith("https://")
    assert statement["date"] == "2026-11-21"
    assert statement["format"] == ["application/fhir+json", "json"]
    assert statement["patchFormat"] == ["application/json-patch+json", "application/fhir+json"]


def test_1_5_security_is_smart_and_names_the_token_endpoint(declared: Declared) -> None:
    (rest,) = declared[1]["rest"]
    assert rest["mode"] == "server"
    (service,) = rest["security"]["service"]
    assert service["coding"][0]["code"] == "SMART-on-FHIR"
    assert "cors" in rest["security"]
    (uris,) = rest["security"]["extension"]
    assert {each["url"]: each["valueUri"] for each in uris["extension"]} == {"token": TOKEN_URL}


def test_1_5_the_whole_service_takes_bundles_searches_and_histories(declared: Declared) -> None:
    (rest,) = declared[1]["rest"]
    found = {each["code"] for each in rest["interaction"]}
    assert found == {"transaction", "batch", "search-system", "history-system"}


def test_1_5_every_type_is_there_once_with_all_that_it_takes(declared: Declared) -> None:
    registry, statement = declared
    resources = statement["rest"][0]["resource"]
    assert [each["type"] for each in resources] == [each.name for each in registry]
    for each in resources:
        served_type = registry.types[each["type"]]
        taken = {interaction["code"] for interaction in each["interaction"]}
        assert taken == {str(one) for one in Interaction if served_type.allows(one)}
        assert (each["versioning"], each["readHistory"]) == ("versioned", "vread" in taken)
        assert each["conditionalCreate"] is ({"create", "search-type"} <= taken)
        assert ("searchParam" in each) is ("search-type" in taken)
        assert each["conditionalUpdate"] is ("update" in taken)
        assert each["conditionalRead"] == "full-support"
        assert each["conditionalDelete"] == ("single" if "delete" in taken else "not-supported")
        assert each["updateCreate"] is (served_type.update_create and {"update", "create"} <= taken)


def test_1_5_1_7_search_parameters_are_named_once_with_definition_and_type(declared: Declared) -> None:
    for each in declared[1]["rest"][0]["resource"]:
        parameters = each.get("searchParam", [])
        names = [parameter["name"] for parameter in parameters]
        assert len(names) == len(set(names))
        for parameter in parameters:
            assert parameter["definition"].startswith("http")
            official = definitions.search_parameters(each["type"]).get(parameter["name"])
            assert official is None or official.type == parameter["type"]


def test_1_5_operations_and_includes_are_named(declared: Declared) -> None:
    registry, statement = declared
    for each in statement["rest"][0]["resource"]:
        named = {operation["name"] for operation in each["operation"]}
        assert named == {"validate", *(one.name for one in registry.types[each["type"]].operations)}
        assert all(operation["definition"].startswith("http") for operation in each["operation"])
        own = {one for one in each.get("searchInclude", ()) if one != "*"}
        searched = {f"{each['type']}:{one['name']}" for one in each.get("searchParam", ())}
        assert {f"{each['type']}:{one.name}" for one in registry.types[each["type"]].references} <= own <= searched


def test_1_5_guides_and_the_way_of_references_are_named(declared: Declared) -> None:
    registry, statement = declared
    claims = {"instantiates", "implementationGuide"} & statement.keys()
    assert claims == ({"instantiates", "implementationGuide"} if "Subscription" in registry.types else set())
    for each in statement["rest"][0]["resource"]:
        assert each["referencePolicy"] == ["literal", "logical"]
        assert each.get("supportedProfile", []) == list(registry.types[each["type"]].profiles)
        if "searchRevInclude" in each:
            assert each["searchRevInclude"][0] == "*"
            assert {one.partition(":")[0] for one in each["searchRevInclude"][1:]} <= registry.types.keys()
