"""PyPI fhirpy: its synchronous client, with a bearer token.

Known of 2.3.1: its patch() sends part of a resource as application/json and its get_or_create() a query with POST, a
dialect of one server that R4 does not have; here its plain calls with R4's bodies and headers stand in. It reads on
with a bare version in If-None-Match, and tells 412 as if several resources matched.
"""

import json
from collections.abc import Mapping
from typing import Any

from fhirpy import SyncFHIRClient
from fhirpy.base.exceptions import BaseFHIRError, OperationOutcome

from tests.clients.python.journey import Json, Plan, Session, access_token, run


class Fhirpy(Session):
    """What fhirpy has, with headers where it takes them: on the client."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.authorization = f"Bearer {access_token(plan)}"
        self.client = self.with_headers({})

    def with_headers(self, headers: Mapping[str, str]) -> Any:
        """Its way to send a header: a client that always sends it."""
        return SyncFHIRClient(self.plan["baseUrl"], authorization=self.authorization, extra_headers=dict(headers))

    def metadata(self) -> Json:
        return _plain(self.client.execute("metadata", method="get"))

    def create(self, resource: Json) -> Json:
        return _plain(_made(self.client, resource).create())

    def read(self, resource_type: str, id_: str) -> Json:
        found = self.client.reference(resource_type, id_).to_resource()
        found.refresh()  # a conditional read, with the bare version for an ETag
        return _plain(found)

    def vread(self, resource_type: str, id_: str, version: str) -> Json:
        return _plain(self.client.execute(f"{resource_type}/{id_}/_history/{version}", method="get"))

    def update(self, resource: Json, version: str) -> Json:
        client = self.with_headers({"If-Match": version})
        return _plain(_made(client, resource).update())

    def create_if_none_exist(self, resource: Json, criteria: str) -> Json:
        client = self.with_headers({"If-None-Exist": criteria})
        return _plain(_made(client, resource).create())

    def patch(self, resource_type: str, id_: str, operations: list[Json]) -> Json:
        client = self.with_headers({"Content-Type": "application/json-patch+json"})
        return _plain(client.execute(f"{resource_type}/{id_}", method="patch", data=operations))

    def search(self, resource_type: str, parameters: Mapping[str, str]) -> Json:
        return _plain(self.client.resources(resource_type).search(**parameters).fetch_raw())

    def pages(self, resource_type: str, parameters: Mapping[str, str]) -> list[list[Json]]:
        """It follows the links itself and hands out resources, not pages."""
        size = int(parameters["_count"])
        found = [_plain(each) for each in self.client.resources(resource_type).search(**parameters).fetch_all()]
        return [found[start : start + size] for start in range(0, len(found), size)]

    def history(self, resource_type: str, id_: str) -> Json:
        return _plain(self.client.execute(f"{resource_type}/{id_}/_history", method="get"))

    def transaction(self, bundle: Json) -> Json:
        return _plain(_made(self.client, bundle).create())

    def remove(self, resource_type: str, id_: str) -> object:
        return self.client.delete(resource_type, id_)

    def refusal(self, error: Exception) -> tuple[int | None, Json | None]:
        """The outcome is an attribute of one exception and the text of the others; the status is not told."""
        if isinstance(error, OperationOutcome):
            return None, _plain(error.resource)
        if isinstance(error, BaseFHIRError):
            return None, json.loads(str(error))
        return None, None


def _made(client: Any, resource: Json) -> Any:
    members = dict(resource)
    return client.resource(members.pop("resourceType"), **members)


def _plain(found: Any) -> Json:
    return dict(json.loads(json.dumps(found)))


if __name__ == "__main__":
    run(Fhirpy)
