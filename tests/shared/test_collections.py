"""The collections of requests: made from the OpenAPI documents, and the committed ones are those of the code."""

import json
from pathlib import Path
from typing import Any

import pytest
from stepwell_shared.cli.openapi import document_of
from stepwell_shared.openapi import collection, collection_text
from stepwell_shared.settings import SERVICES

FOLDER = Path(__file__).parents[2] / "openapi" / "collections"

SMALL: dict[str, Any] = {
    "info": {"title": "Small", "description": "For a test.", "version": "1"},
    "servers": [{"url": "https://host.example"}],
    "tags": [{"name": "Task", "description": "Work."}],
    "components": {"parameters": {"Key": {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string"}}}},
    "paths": {
        "/s/fhir/Task/{id}": {
            "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
            "get": {"operationId": "read-Task", "summary": "Read", "tags": ["Task"]},
            "put": {
                "operationId": "update-Task",
                "summary": "Update",
                "tags": ["Task"],
                "parameters": [{"$ref": "#/components/parameters/Key"}],
                "requestBody": {"content": {"application/fhir+json": {"schema": {"$ref": "#/schemas/Task"}}}},
            },
        },
        "/s/fhir/Task": {
            "get": {
                "operationId": "search-Task",
                "summary": "Search",
                "tags": ["Task"],
                "parameters": [{"name": "status", "in": "query", "schema": {"type": "string"}}],
            },
            "put": {"operationId": "update-Task-matching", "summary": "By criteria", "tags": ["Task"]},
        },
        "/s/fhir/Task/_search": {"post": {"operationId": "search-Task-by-post", "summary": "S", "tags": ["Task"]}},
        "/s/open": {"get": {"operationId": "open", "summary": "Open", "tags": ["Task"], "security": []}},
        "/s/cds": {"post": {"operationId": "cds", "summary": "Cards", "tags": ["Task"], "security": [{"cds": []}]}},
    },
}


def requests_of(made: dict[str, Any]) -> dict[str, Any]:
    """Each request by its operation."""
    found = [item for folder in made["item"] for item in folder["item"]]
    return {item["name"].rpartition("(")[2].rstrip(")"): item["request"] for item in found}


@pytest.mark.parametrize("service", SERVICES)
def test_the_committed_collection_is_that_of_the_code(service: str) -> None:
    path = FOLDER / f"{service}.postman_collection.json"
    same = path.is_file() and path.read_text(encoding="utf-8") == collection_text(collection(document_of(service)))
    assert same, f"openapi/collections/{path.name} is not what the code says: run `make openapi`"


def test_what_every_type_has_in_the_same_way_is_left_out() -> None:
    assert set(requests_of(collection(SMALL))) == {"read-Task", "update-Task", "search-Task", "open", "cds"}


def test_each_request_has_its_place_for_the_token_that_opens_it() -> None:
    made = collection(SMALL)
    requests = requests_of(made)
    assert made["auth"]["bearer"][0]["value"] == "{{token}}"
    assert "auth" not in requests["read-Task"]
    assert requests["open"]["auth"] == {"type": "noauth"}
    assert requests["cds"]["auth"]["bearer"][0]["value"] == "{{cds_token}}"
    assert not [each for each in made["variable"] if each["key"] == "token" and each["value"]]


def test_what_may_be_asked_for_is_listed_and_sent_only_when_somebody_ticks_it() -> None:
    requests = requests_of(collection(SMALL))
    assert requests["search-Task"]["url"]["query"] == [{"key": "status", "value": "", "disabled": True}]
    assert requests["search-Task"]["url"]["raw"] == "{{base}}/s/fhir/Task"
    assert requests["read-Task"]["url"]["variable"] == [{"key": "id", "value": "example"}]
    headers = {each["key"]: each for each in requests["update-Task"]["header"]}
    assert headers["Idempotency-Key"]["disabled"]
    assert headers["Content-Type"]["value"] == "application/fhir+json"


def test_a_body_without_an_example_is_the_least_that_has_its_shape() -> None:
    assert json.loads(requests_of(collection(SMALL))["update-Task"]["body"]["raw"]) == {"resourceType": "Task"}
