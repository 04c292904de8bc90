"""PyPI fhirclient (SMART on FHIR): finds the token endpoint in /metadata and authorizes with the assertion itself.

It has models for every type, which refuse what they do not know, and no PATCH.
"""

from collections.abc import Mapping
from typing import Any

import requests
from fhirclient.client import FHIRClient
from fhirclient.models import bundle, capabilitystatement, fhirelementfactory
from fhirclient.models.fhirsearch import FHIRSearch
from fhirclient.server import FHIRNotFoundException

from tests.clients.python.journey import Json, Plan, Session, run

# Routing lets clients write Subscriptions alone.
LOST = "fhirclient 4.4.0 drops the extensions of primitives: _payload, without which a Subscription is refused"
AFFECTED = ("create", "read", "vread", "update", "stale update", "conditional create", "search", "transaction")


class Fhirclient(Session):
    """What fhirclient has, with headers where it takes them: on its requests session."""

    def __init__(self, plan: Plan) -> None:
        self.client = FHIRClient(
            settings={
                "app_id": plan["clientId"],
                "api_base": plan["baseUrl"],
                "jwt_token": plan["assertion"],
                "scope": plan["scope"],
            }
        )
        self.client.wants_patient = False  # else it asks for a launch with a patient
        self.client.prepare()
        self.client.authorize()
        self.server = self.client.server

    def metadata(self) -> Json:
        return _json(capabilitystatement.CapabilityStatement.read_from("metadata", self.server))

    def create(self, resource: Json) -> Json:
        return dict(_model(resource).create(self.server))

    def read(self, resource_type: str, id_: str) -> Json:
        return _json(_class(resource_type).read(id_, self.server))

    def vread(self, resource_type: str, id_: str, version: str) -> Json:
        return _json(_class(resource_type).read_from(f"{resource_type}/{id_}/_history/{version}", self.server))

    def update(self, resource: Json, version: str) -> Json:
        with _Header(self.server.session, "If-Match", version):
            return dict(_model(resource).update(self.server))

    def create_if_none_exist(self, resource: Json, criteria: str) -> Json:
        with _Header(self.server.session, "If-None-Exist", criteria):
            return dict(_model(resource).create(self.server))

    def search(self, resource_type: str, parameters: Mapping[str, str]) -> Json:
        return _json(FHIRSearch(_class(resource_type), dict(parameters)).perform(self.server))

    def pages(self, resource_type: str, parameters: Mapping[str, str]) -> list[list[Json]]:
        search = FHIRSearch(_class(resource_type), dict(parameters))
        return [[_json(entry.resource) for entry in page.entry or []] for page in search.perform_iter(self.server)]

    def history(self, resource_type: str, id_: str) -> Json:
        return _json(bundle.Bundle.read_from(f"{resource_type}/{id_}/_history", self.server))

    def transaction(self, resource: Json) -> Json:
        return dict(bundle.Bundle(resource).create(self.server))

    def remove(self, resource_type: str, id_: str) -> object:
        return self.read_model(resource_type, id_).delete()

    def read_model(self, resource_type: str, id_: str) -> Any:
        """What it deletes is a model that it has read."""
        return _class(resource_type).read(id_, self.server)

    def refusal(self, error: Exception) -> tuple[int | None, Json | None]:
        """The response is an attribute of its exceptions and of those of requests."""
        response = getattr(error, "response", None)
        if isinstance(error, (requests.HTTPError, FHIRNotFoundException)) and response is not None:
            return response.status_code, response.json()
        return None, None


class _Header:
    """One header on the session while the context lasts."""

    def __init__(self, session: requests.Session, name: str, value: str) -> None:
        self.session, self.name, self.value = session, name, value

    def __enter__(self) -> None:
        self.session.headers[self.name] = self.value

    def __exit__(self, *_: object) -> None:
        del self.session.headers[self.name]


def _class(resource_type: str) -> Any:
    return type(fhirelementfactory.FHIRElementFactory.instantiate(resource_type, None))


def _model(resource: Json) -> Any:
    return _class(resource["resourceType"])(resource)


def _json(model: Any) -> Json:
    return dict(model.as_json())


if __name__ == "__main__":
    run(Fhirclient, {f"{step}@routing": LOST for step in AFFECTED})
