"""Every request that the documents and the statements of the services know, made from what one tenant has."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

import asyncpg
from stepwell_shared.cli.bootstrap import DatabaseUrls

Resource = dict[str, Any]

FHIR_JSON = "application/fhir+json"
JSON_PATCH = "application/json-patch+json"
FORM = "application/x-www-form-urlencoded"
METHODS = ("get", "post", "put", "patch", "delete")
OPEN = ("/metadata", "/.well-known/smart-configuration", "/cds-services", "/$validate")
SECRET_LENGTH_MIN = 16


@dataclass(frozen=True)
class Held:
    """What a tenant has in the database of one service."""

    resources: Mapping[str, Resource]
    """One of each type, by type."""
    ids: frozenset[str]
    versions: frozenset[tuple[str, str, int]]


@dataclass(frozen=True)
class Attempt:
    """One request."""

    method: str
    path: str
    body: bytes = b""
    content_type: str = FHIR_JSON

    @property
    def writes(self) -> bool:
        """Whether it may leave something behind: then it shows what whoever sends it has sent."""
        return bool(self.body) and self.content_type != FORM

    @property
    def text(self) -> str:
        """All that it says."""
        return f"{self.path} {self.body.decode()}"

    def without(self, secret: str) -> "Attempt":
        """The same without words that only their owner knows."""
        return replace(self, body=self.body.replace(secret.encode(), b"nothing"))

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


async def held(urls: DatabaseUrls, tenant: str) -> Held:
    """What a tenant has in one database, read past the service."""
    connection = await asyncpg.connect(urls.owner)
    try:
        async with connection.transaction():
            await connection.execute("SELECT set_config('stepwell.tenant', $1, true)", tenant)
            rows = await connection.fetch(
                "SELECT resource_type, id, version, body FROM fhir_version WHERE tenant = $1 ORDER BY last_updated",
                tenant,
            )
    finally:
        await connection.close()
    resources: dict[str, Resource] = {}
    for row in rows:
        if row["body"] is not None:
            resources[row["resource_type"]] = json.loads(row["body"])
    return Held(
        resources,
        frozenset(row["id"] for row in rows),
        frozenset((row["resource_type"], row["id"], row["version"]) for row in rows),
    )


def attempts(service: str, document: Resource, statement: Resource, theirs: Held) -> Iterator[Attempt]:
    """Each method of each path with their ids and their bodies, and each search parameter with their values."""
    for template, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield from _requests(template, method, item[method], theirs)
    base = f"/{service}/fhir"
    for each in statement["rest"][0]["resource"]:
        for parameter in each.get("searchParam", ()):
            for value in _values(parameter, theirs):
                yield Attempt("GET", f"{base}/{each['type']}?{urlencode({parameter['name']: value})}")
        for include in (*each.get("searchInclude", ()), *each.get("searchRevInclude", ())):
            name = "_include" if include.startswith(f"{each['type']}:") else "_revinclude"
            yield Attempt("GET", f"{base}/{each['type']}?{urlencode({name: include})}")


def _requests(template: str, method: str, operation: Resource, theirs: Held) -> Iterator[Attempt]:
    type_ = next((part for part in template.split("/") if part in theirs.resources), "")
    resource = theirs.resources.get(type_, {"resourceType": type_ or "Parameters"})
    path = template.replace("{id}", str(resource.get("id", "none"))).replace("{version_id}", "1")
    path = path.replace("*", "Observation")
    content = operation.get("requestBody", {}).get("content", {})
    if not content:
        yield Attempt(method.upper(), path)
    for content_type, described in content.items():
        for body in _bodies(content_type, described, resource, theirs):
            yield Attempt(method.upper(), path, body, content_type)


def _bodies(content_type: str, described: Resource, resource: Resource, theirs: Held) -> Iterator[bytes]:
    person = str(theirs.resources.get("Patient", {}).get("id", "none"))
    if content_type == FORM:
        yield f"patient={person}&_id={resource.get('id', 'none')}".encode()
    elif content_type == JSON_PATCH:
        yield json.dumps([{"op": "add", "path": "/language", "value": "fr"}]).encode()
    else:
        yield json.dumps(resource).encode()
        for example in described.get("examples", {}).values():
            text = json.dumps(example["value"])
            yield text.encode()
            subject = (
                str(example["value"].get("subject", {}).get("reference", ""))
                if isinstance(example["value"], dict)
                else ""
            )
            if subject:
                yield text.replace(subject, f"Patient/{person}").encode()


def _values(parameter: Resource, theirs: Held) -> Iterator[str]:
    person = theirs.resources.get("Patient", {})
    if parameter["type"] == "reference":
        yield f"Patient/{person.get('id', 'none')}"
        for type_, resource in theirs.resources.items():
            if type_ != "Patient":
                yield f"{type_}/{resource['id']}"
                break
    elif parameter["type"] == "token":
        yield str(person.get("id", "none"))
        yield "final,active,completed,requested,draft,finished,true"
    elif parameter["type"] == "date":
        yield "ge1900-01-01"
    elif parameter["type"] == "string":
        yield str(person.get("name", [{}])[0].get("family", "x"))
    elif parameter["type"] in {"number", "quantity"}:
        yield "ge0"
    elif parameter["type"] == "uri":
        yield "https://stepwell.health/fhir"
