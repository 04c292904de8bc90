"""The CapabilityStatement: what it declares answers, what it does not declare is refused, for every service."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.access import Access
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.capability import capability_statement
from stepwell_shared.fhir.definitions import compartment, resource_types
from stepwell_shared.fhir.messages import Request, Response
from stepwell_shared.fhir.registry import Interaction, Registry
from stepwell_shared.fhir.routes import Door, FhirApplication
from stepwell_shared.installed import service_named
from stepwell_shared.runtime import Runtime
from stepwell_shared.settings import SERVICES

from tests.conftest import DatabaseOf
from tests.support.corpus import Emitted
from tests.support.engine import FakeAccess, access_record
from tests.support.engine import bench as open_bench

JSON = {"content-type": "application/fhir+json", "prefer": "handling=strict"}
PREFIX = "/fhir"
Served = tuple[str, httpx.AsyncClient]
# A value of each type of search parameter that is well-formed.
VALUES = {
    "token": "true",
    "date": "2026",
    "string": "a",
    "reference": "Patient/1",
    "uri": "urn:a",
    "number": "1",
    "quantity": "1",
    "composite": "a$1900",
}

R4_PARAMETERS, OUR_PARAMETERS = (
    f"{base}/SearchParameter/" for base in ("http://hl7.org/fhir", "https://stepwell.health/fhir")
)
TOKEN_URL = "https://host.example/screening/auth/token"

# The least that R4 requires of types that clients write.
LEAST: dict[str, dict[str, Any]] = {
    "Patient": {"active": True},
    "QuestionnaireResponse": {"status": "in-progress"},
    "Task": {"status": "requested", "intent": "order"},
}


def _named(name: str) -> dict[str, str]:
    return {"resourceType": name, "id": "new"}


async def answer(request: Request) -> Response:
    return Response(200)


def registry(service: str) -> Registry:
    """The service's own registry, but for what its hooks and operations do."""
    found = Registry(service)
    for served_type in service_named(service).resources(Runtime()):
        operations = tuple(replace(each, handler=answer) for each in served_type.operations)
        found.add(replace(served_type, on_write=None, operations=operations))
    return found


def statement(service: str) -> dict[str, Any]:
    declared = service_named(service)
    return capability_statement(
        registry(service),
        title=declared.title,
        description=declared.description,
        base_url=f"https://host.example/{service}/fhir",
        topics=[topic.canonical for topic in declared.topics],
        released=datetime(2026, 11, 21, tzinfo=UTC),
        token_url=TOKEN_URL,
    )


def types_of(service: str) -> Mapping[str, dict[str, Any]]:
    return {each["type"]: each for each in statement(service)["rest"][0]["resource"]}


async def authenticate(header: str | None) -> Access:
    return FakeAccess()


@pytest.fixture(params=SERVICES)
async def served(request: pytest.FixtureRequest, database_of: DatabaseOf) -> AsyncIterator[Served]:
    """Each service's name and a client of its routes."""
    service = request.param
    async with open_bench(await database_of(service), service, registry=registry(service)) as bench:
        door = Door(bench.engine, authenticate, access_record)
        transport = httpx.ASGITransport(FhirApplication(door, PREFIX))
        async with httpx.AsyncClient(transport=transport, base_url=f"http://test{PREFIX}", headers=JSON) as client:
            yield service, client


async def supports(http: httpx.AsyncClient, interaction: Interaction, name: str) -> bool:
    """Whether a request of this kind is understood: any other answer than that there is no such thing to ask for."""
    method, path = {
        Interaction.READ: ("GET", f"/{name}/nobody"),
        Interaction.VREAD: ("GET", f"/{name}/nobody/_history/1"),
        Interaction.HISTORY_INSTANCE: ("GET", f"/{name}/nobody/_history"),
        Interaction.HISTORY_TYPE: ("GET", f"/{name}/_history"),
        Interaction.SEARCH_TYPE: ("GET", f"/{name}"),
        Interaction.CREATE: ("POST", f"/{name}"),
        Interaction.UPDATE: ("PUT", f"/{name}/nobody"),
        Interaction.PATCH: ("PATCH", f"/{name}/nobody"),
        Interaction.DELETE: ("DELETE", f"/{name}/nobody"),
    }[interaction]
    answered = await http.request(method, path, content=b"{}" if method in {"POST", "PUT", "PATCH"} else None)
    assert answered.status_code < 500
    return answered.status_code != 405


class TestDeclared:
    async def test_1_5_interactions_answer_when_declared_and_are_refused_when_not(self, served: Served) -> None:
        service, http = served
        for name, declared in types_of(service).items():
            codes = {each["code"] for each in declared["interaction"]}
            for interaction in Interaction:
                assert await supports(http, interaction, name) is (interaction.value in codes), (name, interaction)

    async def test_1_5_search_parameters_answer_when_declared_and_are_refused_when_not(self, served: Served) -> None:
        service, http = served
        for name, declared in types_of(service).items():
            for parameter in declared.get("searchParam", ()):
                value = VALUES[parameter["type"]]
                answered = await http.get(f"/{name}", params={parameter["name"]: value})
                assert answered.status_code == 200, (name, parameter["name"], answered.text)
                assert parameter["name"] in answered.json()["link"][0]["url"]
            expected = 400 if "searchParam" in declared else 405
            assert (await http.get(f"/{name}", params={"nonsense": "a"})).status_code == expected

    async def test_1_5_includes_answer_when_declared_and_are_refused_when_not(self, served: Served) -> None:
        service, http = served
        for name, declared in types_of(service).items():
            for kind in ("Include", "RevInclude"):
                for value in declared.get(f"search{kind}", ()):
                    answered = await http.get(f"/{name}", params={f"_{kind.lower()}": value})
                    assert answered.status_code == 200, (name, value, answered.text)
            expected = 400 if "searchParam" in declared else 405
            assert (await http.get(f"/{name}", params={"_include": f"{name}:nonsense"})).status_code == expected

    async def test_1_5_s19_a_compartment_holds_the_types_that_belong_to_it(self, served: Served) -> None:
        _, http = served
        for name, declared in types_of(served[0]).items():
            expected = 200 if name in compartment("Patient") else 400 if "searchParam" in declared else 405
            assert (await http.get(f"/Patient/x/{name}")).status_code == expected, name

    async def test_1_5_operations_answer_when_declared_and_are_not_found_otherwise(self, served: Served) -> None:
        service, http = served
        for served_type in registry(service):
            declared = {each["name"] for each in types_of(service)[served_type.name].get("operation", ())}
            assert declared == {"validate", *(operation.name for operation in served_type.operations)}
            for path in (f"/{served_type.name}/$validate", f"/{served_type.name}/x/$validate"):
                assert (await http.post(path, content=encode(_named(served_type.name)))).status_code == 200
            for operation in served_type.operations:
                path = f"/{served_type.name}{'/x' if operation.instance else ''}/${operation.name}"
                absent = f"there is no {served_type.name} with this id"
                for answer in (await http.post(path), *(() if operation.affects_state else (await http.get(path),))):
                    # the operation is there; what it is about is not
                    assert (answer.status_code, absent in answer.text) == (
                        (404, True) if operation.instance else (200, False)
                    )
                if operation.affects_state:
                    assert (await http.get(path)).status_code == 405
            assert (await http.post(f"/{served_type.name}/x/$nonsense")).status_code == 404

    async def test_1_5_conditional_changes_answer_when_declared_and_are_refused_when_not(self, served: Served) -> None:
        service, http = served
        for name, declared in types_of(service).items():
            updates, deletes = declared["conditionalUpdate"], declared["conditionalDelete"]
            assert deletes in {"single", "not-supported"}
            for method, is_declared in (("PUT", updates), ("PATCH", updates), ("DELETE", deletes == "single")):
                body = b"{}" if method != "DELETE" else None
                status = (await http.request(method, f"/{name}?_id=nobody", content=body)).status_code
                assert (status != 405) is is_declared, (name, method)

    async def test_1_5_conditional_reads_answer_as_declared(self, served: Served) -> None:
        service, http = served
        for name, declared in types_of(service).items():
            assert declared["conditionalRead"] == "full-support"
            if declared["updateCreate"] and name in LEAST:
                await http.put(f"/{name}/here", content=encode({**LEAST[name], "resourceType": name, "id": "here"}))
                for header, value in (
                    ("If-None-Match", 'W/"1"'),
                    ("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT"),
                ):
                    assert (await http.get(f"/{name}/here", headers={header: value})).status_code == 304

    async def test_1_5_interactions_of_the_whole_service_answer(self, served: Served) -> None:
        service, http = served
        declared = {each["code"] for each in statement(service)["rest"][0]["interaction"]}
        assert declared == {"transaction", "batch", "history-system", "search-system"}
        assert (await http.get("/_history")).json()["type"] == "history"
        for path in ("", "?_type=Patient&_tag=a", "/Patient/x/*"):
            assert (await http.get(path)).json()["type"] == "searchset"
        for kind in ("transaction", "batch"):
            bundle = {"resourceType": "Bundle", "type": kind}
            assert (await http.post("", content=encode(bundle))).json()["type"] == f"{kind}-response"

    async def test_1_5_patches_are_taken_in_the_declared_formats_only(self, served: Served) -> None:
        service, http = served
        formats = set(statement(service)["patchFormat"])
        assert formats == {"application/json-patch+json", "application/fhir+json"}
        for name, declared in types_of(service).items():
            if {"code": "patch"} in declared["interaction"]:
                for kind in (*formats, "application/xml-patch+xml", "text/plain"):
                    answered = await http.patch(f"/{name}/nobody", content=b"[]", headers={"content-type": kind})
                    assert (answered.status_code != 415) is (kind in formats)

    async def test_1_5_types_that_are_not_declared_are_not_found(self, served: Served) -> None:
        service, http = served
        for name in sorted(resource_types() - set(types_of(service)))[::10]:
            for method, path in (
                ("GET", f"/{name}"),
                ("GET", f"/{name}/x"),
                ("POST", f"/{name}"),
                ("PUT", f"/{name}/x"),
            ):
                assert (await http.request(method, path)).status_code == 404

    async def test_1_5_new_ids_are_taken_where_declared(self, served: Served) -> None:
        service, http = served
        for name, declared in types_of(service).items():
            updates = {"code": "update"} in declared["interaction"]
            answered = await http.put(f"/{name}/new", content=encode({**LEAST.get(name, {}), **_named(name)}))
            expected = 201 if declared["updateCreate"] else 405
            assert answered.status_code == expected or (updates and name not in LEAST), (name, answered.text)


@pytest.mark.parametrize("service", SERVICES)
class TestStatement:
    def test_1_5_it_is_a_valid_resource(self, service: str, emitted: Emitted) -> None:
        body = encode(statement(service))
        emitted(body)
        validation.check(body, "CapabilityStatement")
        CapabilityStatement.model_validate_json(body)

    def test_1_5_clients_of_the_time_before_smart_discovery_find_the_token_endpoint_here(self, service: str) -> None:
        (found,) = statement(service)["rest"][0]["security"]["extension"]
        assert found["url"].endswith("/oauth-uris")
        assert found["extension"] == [{"url": "token", "valueUri": TOKEN_URL}]

    def test_1_5_names_are_unique_and_definitions_official_or_our_own(self, service: str) -> None:
        for name, declared in types_of(service).items():
            for kind in ("searchParam", "operation", "interaction"):
                names = [each.get("name", each.get("code")) for each in declared.get(kind, ())]
                assert len(names) == len(set(names)), (name, kind)
            for parameter in declared.get("searchParam", ()):
                assert parameter["definition"].startswith((R4_PARAMETERS, OUR_PARAMETERS))
