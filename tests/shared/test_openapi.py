"""The OpenAPI documents: valid, complete for the registry, and the committed ones are those of the code."""

from pathlib import Path
from typing import Any

import pytest
import schemathesis
import yaml
from jsonschema_rs import validator_for
from schemathesis.core.result import Ok
from stepwell_shared.fhir import definitions
from stepwell_shared.fhir.registry import Interaction, Operation
from stepwell_shared.installed import service_named
from stepwell_shared.openapi import openapi_document
from stepwell_shared.runtime import Runtime
from stepwell_shared.settings import SERVICES

FOLDER = Path(__file__).parents[2] / "openapi"
METHODS = {
    Interaction.READ: ("/{id}", "get"),
    Interaction.VREAD: ("/{id}/_history/{version_id}", "get"),
    Interaction.CREATE: ("", "post"),
    Interaction.UPDATE: ("/{id}", "put"),
    Interaction.PATCH: ("/{id}", "patch"),
    Interaction.DELETE: ("/{id}", "delete"),
    Interaction.HISTORY_INSTANCE: ("/{id}/_history", "get"),
    Interaction.HISTORY_TYPE: ("/_history", "get"),
    Interaction.SEARCH_TYPE: ("", "get"),
}

# Types of ours that R4 puts into the Patient compartment and that are searched by what puts them there.
PATIENT_COMPARTMENT = definitions.compartment("Patient")
# What criteria in the URL choose instead of an id.
CONDITIONAL = {Interaction.UPDATE: "put", Interaction.PATCH: "patch", Interaction.DELETE: "delete"}


def document_of(name: str, base_url: str = "https://host.example") -> dict[str, Any]:
    service = service_named(name)
    return openapi_document(service, service.resources(Runtime()), f"{base_url}/{name}/fhir")


def methods_of(operation: Operation) -> tuple[str, ...]:
    return ("post",) if operation.affects_state else ("get", "post")


def base_of(committed: dict[str, Any]) -> str:
    url: str = committed["servers"][0]["url"]
    return url


@pytest.mark.parametrize("service", SERVICES)
class TestEveryService:
    def test_the_committed_document_is_that_of_the_code(self, service: str) -> None:
        path = FOLDER / f"{service}.yaml"
        assert path.is_file(), f"openapi/{service}.yaml is missing: run `make openapi`"
        committed = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        same = committed == document_of(service, base_of(committed))
        assert same, f"openapi/{service}.yaml is not what the code says: run `make openapi`"

    def test_a_tester_can_load_it_and_finds_every_operation(self, service: str) -> None:
        document = document_of(service)
        loaded = schemathesis.openapi.from_dict(document)
        operations = [result.ok() for result in loaded.get_all_operations() if isinstance(result, Ok)]
        found = {(operation.path, operation.method.lower()) for operation in operations}
        declared = {
            (path, method) for path, item in document["paths"].items() for method in item if method != "parameters"
        }
        assert found == declared

    def test_it_declares_what_the_registry_serves_and_nothing_else(self, service: str) -> None:
        paths = document_of(service)["paths"]
        prefix = f"/{service}/fhir"
        registry = service_named(service).resources(Runtime())
        expected = {(f"{prefix}/metadata", "get"), (f"{prefix}/_history", "get"), (prefix, "get"), (prefix, "post")}
        expected.add((f"{prefix}/Patient/{{id}}/*", "get"))
        for each in registry.operations:
            expected.update((f"{prefix}/${each.name}", method) for method in methods_of(each))
        for served_type in registry:
            if served_type.allows(Interaction.SEARCH_TYPE):
                expected.add((f"{prefix}/{served_type.name}/_search", "post"))
            if served_type.name in PATIENT_COMPARTMENT:
                expected.add((f"{prefix}/Patient/{{id}}/{served_type.name}", "get"))
            for interaction, (path, method) in METHODS.items():
                if served_type.allows(interaction):
                    expected.add((f"{prefix}/{served_type.name}{path}", method))
                if served_type.allows(interaction) and interaction in CONDITIONAL:
                    expected.add((f"{prefix}/{served_type.name}", CONDITIONAL[interaction]))
            expected.update((f"{prefix}/{served_type.name}{middle}/$validate", "post") for middle in ("", "/{id}"))
            for operation in served_type.operations:
                middle = "/{id}" if operation.instance else ""
                address = f"{prefix}/{served_type.name}{middle}/${operation.name}"
                expected.update((address, method) for method in methods_of(operation))
        found = {(path, method) for path, item in paths.items() for method in item if method != "parameters"}
        assert {each for each in expected if each not in found} == set()
        assert {each for each in found if each not in expected and each[0].startswith(prefix)} == set()

    def test_every_reference_and_path_parameter_is_declared(self, service: str) -> None:
        document = document_of(service)
        schemas = document["components"]["schemas"]
        for schema in schemas.values():
            dialect = "https://json-schema.org/draft/2020-12/schema"
            validator_for({"$schema": dialect, **schema, "components": document["components"]})
        for path, item in document["paths"].items():
            declared = {each["name"] for each in item.get("parameters", ()) if each["in"] == "path"}
            assert declared == {part[1:-1] for part in path.split("/") if part.startswith("{")}
        for reference in _references(document):
            _, root, kind, name = reference.split("/")
            assert (root, kind) in {("components", each) for each in ("schemas", "responses", "parameters")}
            assert name in document["components"][kind]

    def test_g8_every_refusal_is_an_operation_outcome(self, service: str) -> None:
        document = document_of(service)
        for item in document["paths"].values():
            for method, operation in item.items():
                if method == "parameters":
                    continue
                for status, answer in operation["responses"].items():
                    if status >= "400":
                        assert answer == {"$ref": f"#/components/responses/{status}"}
                        ((_, content),) = document["components"]["responses"][status]["content"].items()
                        assert content["schema"]["$ref"].endswith("/OperationOutcome")


def _references(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for value in node.values() for found in _references(value)]
    if isinstance(node, list):
        return [found for value in node for found in _references(value)]
    return []
