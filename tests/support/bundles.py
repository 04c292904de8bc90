"""Bundles of type batch and transaction as clients send them, and looks at their answers."""

from typing import Any

import orjson
import pytest
from stepwell_shared.fhir import bundle
from stepwell_shared.fhir.messages import Response
from stepwell_shared.fhir.outcome import FhirError

from tests.support.engine import Bench, Resource, access_record


def entry(method: str, url: str, resource: Resource | None = None, **given: Any) -> Resource:
    """An entry; `fullUrl` stands beside the resource, every other keyword in the request."""
    full_url = given.pop("fullUrl", None)
    found: Resource = {} if full_url is None else {"fullUrl": full_url}
    if resource is not None:
        found["resource"] = resource
    return {**found, "request": {"method": method, "url": url, **given}}


def bundle_of(kind: str, *entries: Resource) -> Resource:
    return {"resourceType": "Bundle", "type": kind, **({"entry": list(entries)} if entries else {})}


async def send(bench: Bench, body: Resource | bytes, **given: Any) -> Response:
    """POST [base]; the witness of an entry knows its type."""
    access = given.get("access", bench.access)
    request = bench.request(
        "",
        resource=body,
        witness_of=lambda type_: (
            lambda interaction, id_, status: access_record(access, interaction, type_, id_, status, "")
        ),
        **given,
    )
    return await bundle.process(bench.engine, request)


async def transact(bench: Bench, *entries: Resource, **given: Any) -> list[Resource]:
    """The entries of the answer to a transaction."""
    return entries_of(await send(bench, bundle_of("transaction", *entries), **given))


async def do_batch(bench: Bench, *entries: Resource, **given: Any) -> list[Resource]:
    """The entries of the answer to a batch."""
    return entries_of(await send(bench, bundle_of("batch", *entries), **given))


async def refused(bench: Bench, *entries: Resource, **given: Any) -> FhirError:
    """Why a transaction is refused."""
    with pytest.raises(FhirError) as raised:
        await transact(bench, *entries, **given)
    return raised.value


def entries_of(response: Response) -> list[Resource]:
    assert response.status == 200
    body: Resource = orjson.loads(response.body)
    return list(body.get("entry", []))


def statuses(entries: list[Resource]) -> list[str]:
    return [each["response"]["status"][:3] for each in entries]


def id_in(answered: Resource) -> str:
    """The id in the location of an entry of an answer."""
    return str(answered["response"]["location"].split("/")[-3])


def places(error: FhirError) -> list[str | None]:
    return [issue.expression for issue in error.issues]
