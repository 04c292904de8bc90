"""Entries and Bundles of type batch-response and transaction-response, put together from bytes.

https://hl7.org/fhir/R4/bundle-definitions.html#Bundle.entry.response
"""

from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import orjson

from stepwell_shared.canonical import instant
from stepwell_shared.fhir.messages import Response
from stepwell_shared.fhir.outcome import FhirError, Issue, outcome_bytes

_OUTCOME = b'{"resourceType":"OperationOutcome"'


def response_entry(base_url: str, resource_type: str, response: Response) -> bytes:
    """One entry: status, location, etag and lastModified as the headers say, and an outcome or the resource."""
    said: dict[str, Any] = {"status": f"{response.status} {HTTPStatus(response.status).phrase}"}
    headers = response.headers
    if "Location" in headers:
        said["location"] = headers["Location"]
    if "ETag" in headers:
        said["etag"] = headers["ETag"]
    if response.last_updated is not None:
        said["lastModified"] = instant(response.last_updated)
    elif "Last-Modified" in headers:
        said["lastModified"] = instant(parsedate_to_datetime(headers["Last-Modified"]))
    text, body = orjson.dumps(said), response.body
    if body.startswith(_OUTCOME):
        return b'{"response":%b,"outcome":%b}}' % (text[:-1], body)
    resource = b'"resource":%b,' % body if body else b""
    if response.id and body.startswith(b'{"resourceType":"%b"' % resource_type.encode()):
        resource = b'"fullUrl":%b,%b' % (orjson.dumps(f"{base_url}/{resource_type}/{response.id}"), resource)
    return b'{%b"response":%b}' % (resource, text)


def refusal_entry(base_url: str, error: FhirError) -> bytes:
    """The entry of what was refused in a batch."""
    headers = {name: value for name, value in error.headers.items() if name == "ETag"}
    return response_entry(base_url, "", Response(error.status, outcome_bytes(error.issues), headers))


def response_bundle(kind: str, entries: Sequence[bytes]) -> bytes:
    """The Bundle around them, in the order of the request."""
    inner = b',"entry":[%b]' % b",".join(entries) if entries else b""
    return b'{"resourceType":"Bundle","type":"%b"%b}' % (kind.encode(), inner)


def located(error: FhirError, at: str) -> FhirError:
    """The same refusal with the entry's place in every expression."""
    issues = [Issue(each.diagnostics, each.code, _place(each.expression, at), each.severity) for each in error.issues]
    return FhirError(error.category, issues, headers={k: v for k, v in error.headers.items() if k == "Retry-After"})


def _place(expression: str | None, at: str) -> str:
    """`Patient.name` becomes `Bundle.entry[0].resource.name`; what is no element is the entry as a whole."""
    if expression is None or expression.startswith("http."):
        return at
    if expression.startswith("Bundle.entry["):
        return expression
    _, dot, rest = expression.partition(".")
    return f"{at}.resource{dot}{rest}"
