"""The entries of a batch or transaction as requests: what each asks for, by `request.method` and `request.url`.

https://hl7.org/fhir/R4/bundle-definitions.html#Bundle.entry.request
"""

import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from stepwell_shared.fhir.definitions import resource_types
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.patch import JSON_PATCH

WRITES = ("DELETE", "POST", "PUT", "PATCH")
READS = ("GET", "HEAD")
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_OPERATION = re.compile(r"\$[a-z][a-z0-9-]*")
_SEARCH = "_search"
_HISTORY = "_history"
_EVERYTHING = "*"
FHIR_JSON = "application/fhir+json"


@dataclass(frozen=True, slots=True)
class Address:
    """What `request.url` names. `rest` is "" or what follows the type and id: _search, _history or $operation.

    Without a type it is the whole service, or with `compartment` (`Patient/1`) everything in that.
    """

    resource_type: str
    id: str = ""
    rest: str = ""
    version_id: str = ""
    query: str = ""
    compartment: str = ""

    @property
    def parameters(self) -> list[tuple[str, str]]:
        return parse_qsl(self.query, keep_blank_values=True)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: its place in the Bundle, what it asks for, and its resource as text and as parsed JSON.

    `body` is what a request of its own would carry, of the type `content_type`: for a JSON Patch, which comes in a
    Binary, that is the patch.
    """

    position: int
    method: str
    address: Address
    full_url: str
    headers: Mapping[str, str]
    body: bytes
    resource: dict[str, Any] | None
    content_type: str = FHIR_JSON

    @property
    def at(self) -> str:
        return f"Bundle.entry[{self.position}]"

    @property
    def is_read(self) -> bool:
        return self.method in READS

    @property
    def is_operation(self) -> bool:
        return self.address.rest.startswith("$")

    @property
    def is_writing(self) -> bool:
        """Whether it names a resource that it changes."""
        return not self.is_read and not self.is_operation

    @property
    def is_late(self) -> bool:
        """Whether a transaction can answer it only after its commit: a search, a history, an operation."""
        is_several = not self.address.id or (bool(self.address.rest) and not self.address.version_id)
        return self.is_operation or (self.is_read and is_several)


class _Entry(msgspec.Struct):
    resource: msgspec.Raw = msgspec.Raw()


class _Bundle(msgspec.Struct):
    entry: list[_Entry] = []


_texts = msgspec.json.Decoder(_Bundle)


def texts_of(body: bytes) -> list[bytes]:
    """Each entry's resource as it was received, empty where there is none."""
    return [bytes(entry.resource) for entry in _texts.decode(body).entry]


def entry_of(position: int, parsed: Mapping[str, Any], body: bytes, base_url: str) -> Entry:
    """The entry as a request. Raises FhirError INVALID with the place for an address that is none of this server."""
    request = parsed["request"]
    method = request["method"]
    at = f"Bundle.entry[{position}]"
    resource = parsed.get("resource")
    if method in ("PUT", "PATCH") and resource is None:
        raise _refused(f"{method} needs a resource in its entry", "required", f"{at}.resource")
    address = address_of(request["url"], base_url, f"{at}.request.url")
    if method == "POST" and resource is None and not address.rest:
        raise _refused("POST needs a resource in its entry", "required", f"{at}.resource")
    _check_address(method, address, f"{at}.request.url")
    content_type = FHIR_JSON
    if method == "PATCH" and resource is not None and resource.get("resourceType") == "Binary":
        body, content_type = _json_patch(resource, f"{at}.resource"), JSON_PATCH
    full_url = parsed.get("fullUrl", "")
    return Entry(position, method, address, full_url, _headers(request), body, resource, content_type)


def _json_patch(binary: Mapping[str, Any], at: str) -> bytes:
    """The JSON Patch in a Binary. https://hl7.org/fhir/R4/http.html#patch"""
    if binary.get("contentType", "").partition(";")[0].strip() != JSON_PATCH or "data" not in binary:
        raise _refused(f"a Binary with a patch has the contentType {JSON_PATCH} and data", "value", at)
    return b64decode(binary["data"])


def address_of(url: str, base_url: str, at: str) -> Address:
    """Reads `request.url`, which is relative to the base; our own base in front of it is tolerated."""
    parts = urlsplit(url.removeprefix(f"{base_url}/").removeprefix(f"{base_url}?"))
    steps = [unquote(step) for step in parts.path.split("/")]
    found = None if parts.scheme or parts.netloc or parts.fragment else _of_system(steps, parts.query)
    if found is None and steps[0] in resource_types() and not (parts.scheme or parts.netloc or parts.fragment):
        found = _in_compartment(steps, parts.query) or _of_type(steps, parts.query)
    if found is None:
        text = "the url is Type, Type/id, Type?parameters or $operation, relative to this server's base"
        raise _refused(text, "value", at)
    return found


def _of_system(steps: list[str], query: str) -> Address | None:
    """`?_type=..`, `_history` and `$operation` of the whole service."""
    if len(steps) != 1 or not (steps[0] == _HISTORY or _OPERATION.fullmatch(steps[0]) or (not steps[0] and query)):
        return None
    return Address("", rest=steps[0], query=query)


def _in_compartment(steps: list[str], query: str) -> Address | None:
    """`Patient/1/Task?..` and `Patient/1/*`."""
    if len(steps) != 3 or not _is_id(steps[1]) or not (steps[2] == _EVERYTHING or steps[2] in resource_types()):
        return None
    name = "" if steps[2] == _EVERYTHING else steps[2]
    return Address(name, query=query, compartment=f"{steps[0]}/{steps[1]}")


def _of_type(steps: list[str], query: str) -> Address | None:
    resource_type, *steps = steps
    id_ = steps.pop(0) if steps and _is_id(steps[0]) else ""
    rest = steps.pop(0) if steps and (steps[0] in (_SEARCH, _HISTORY) or _OPERATION.fullmatch(steps[0])) else ""
    version_id = steps.pop(0) if rest == _HISTORY and id_ and steps and _is_id(steps[0]) else ""
    return None if steps else Address(resource_type, id_, rest, version_id, query)


def _is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None and not text.startswith("_")


def _check_address(method: str, address: Address, at: str) -> None:
    """Raises when the method does not go with the form of the address."""
    is_plain = bool(address.resource_type) and not address.rest and not address.compartment
    is_one = is_plain and bool(address.id) != bool(address.query)
    fits = {
        "GET": address.rest != _SEARCH,
        "HEAD": address.rest != _SEARCH,
        "POST": address.rest.startswith("$") or (is_plain and not address.id and not address.query),
        "PUT": is_one,
        "PATCH": is_one,
        "DELETE": is_one,
    }[method]
    if not fits:
        raise _refused(f"{method} is not taken at this url", "value", at)


def _headers(request: Mapping[str, Any]) -> dict[str, str]:
    """The conditions of an entry under the names of the headers that they stand for."""
    found = {
        "if-match": request.get("ifMatch"),
        "if-none-match": request.get("ifNoneMatch"),
        "if-none-exist": request.get("ifNoneExist"),
    }
    since = request.get("ifModifiedSince")
    if since is not None:
        found["if-modified-since"] = format_datetime(datetime.fromisoformat(since).astimezone(UTC), usegmt=True)
    return {name: value for name, value in found.items() if value is not None}


def _refused(text: str, code: str, at: str) -> FhirError:
    return FhirError(Category.INVALID, [Issue(text, code, at)])
