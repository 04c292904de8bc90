"""Requests and responses of the engine: headers, preferences, bundles. Bodies stay bytes.

https://hl7.org/fhir/R4/http.html#summary
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any
from urllib.parse import quote_plus

import orjson

from stepwell_shared.canonical import instant
from stepwell_shared.database.functions import Effect
from stepwell_shared.fhir.access import Access
from stepwell_shared.fhir.outcome import Category, FhirError, Issue, outcome_bytes
from stepwell_shared.fhir.presentation import WHOLE, View
from stepwell_shared.fhir.registry import ServedType
from stepwell_shared.fhir.unit import Method, Stored

# (interaction, resource id, HTTP status) -> the row that keeps the access on record
Witness = Callable[[str, str, int], Effect]
QUOTED_REMEMBERED_MAX = 64
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_RETURNS = ("minimal", "representation", "OperationOutcome")


# Nobody changes a request, an answer or a version; to have that enforced takes thrice as long to make one.
@dataclass(slots=True)
class Request:
    """One interaction as asked for; header names are lower case."""

    access: Access
    witness: Witness
    resource_type: str
    id: str = ""
    version_id: str = ""
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    parameters: Sequence[tuple[str, str]] = ()
    # the row that keeps the answer under the request's Idempotency-Key, if it has one
    keep: "Callable[[Response], Effect] | None" = None
    # the witness of an access to another type: for the entries of a Bundle
    witness_of: Callable[[str], Witness] | None = None
    # whether it came as a request of its own; an entry of a Bundle sees what the entries before it will have written
    stands_alone: bool = False

    def records(self, interaction: str, response: "Response") -> list[Effect]:
        """The rows to commit with an act: the access, and the answer where the client may ask for it again."""
        rows = [self.witness(interaction, response.id, response.status)]
        return rows if self.keep is None else [*rows, self.keep(response)]

    @property
    def preferred_return(self) -> str:
        """`return=` of the Prefer header: minimal, representation (the default) or OperationOutcome."""
        wanted = self._preferences.get("return")
        return wanted if wanted in _RETURNS else "representation"

    @property
    def strict(self) -> bool:
        """Whether unknown search parameters are to be refused (`handling=strict` of the Prefer header)."""
        return self._preferences.get("handling") == "strict"

    @property
    def _preferences(self) -> dict[str, str]:
        if "prefer" not in self.headers:
            return {}
        parts = [part.partition("=") for part in self.headers.get("prefer", "").replace(",", ";").split(";")]
        return {name.strip().lower(): value.strip().strip('"') for name, _, value in parts}


@dataclass(slots=True)
class Response:
    """An answer. `witnessed` says that its records were committed together with the act itself, `media_type` what the
    body is where that is no FHIR JSON."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    id: str = ""
    witnessed: bool = False
    last_updated: datetime | None = None
    media_type: str = ""


def etag(stored: Stored) -> str:
    return f'W/"{stored.version}"'


def version_headers(stored: Stored) -> dict[str, str]:
    return {"ETag": etag(stored), "Last-Modified": _in_http(stored.last_updated)}


def _in_http(moment: datetime) -> str:
    """A moment of UTC as HTTP writes it (RFC 9110 section 5.6.7), whatever the locale."""
    day, month = _DAYS[moment.weekday()], _MONTHS[moment.month - 1]
    written = moment.isoformat()
    return f"{day}, {written[8:10]} {month} {written[:4]} {written[11:19]} GMT"


def is_unchanged(request: Request, stored: Stored) -> bool:
    """Whether the client already has this version: If-None-Match, or without it If-Modified-Since.

    https://hl7.org/fhir/R4/http.html#cread, RFC 9110 section 13.2.2
    """
    given = request.headers.get("if-none-match")
    if given is not None:
        tags = [tag.strip().removeprefix("W/") for tag in given.split(",")]
        return etag(stored).removeprefix("W/") in tags or tags == ["*"]
    since = _http_date(request.headers.get("if-modified-since", ""))
    return since is not None and stored.last_updated.replace(microsecond=0) <= since


def _http_date(text: str) -> datetime | None:
    """The moment of a date header; what is no such date is ignored (RFC 9110 section 13.1.3)."""
    try:
        found = parsedate_to_datetime(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def check_if_match(request: Request, previous: Stored | None) -> None:
    """Raises PRECONDITION_FAILED when If-Match names another version than the current one."""
    wanted = request.headers.get("if-match")
    if wanted is None:
        return
    tag = wanted.strip().removeprefix("W/")
    if not (len(tag) > 2 and tag[0] == tag[-1] == '"' and tag[1:-1].isdecimal()):
        raise FhirError(Category.INVALID, 'If-Match takes an ETag such as W/"3"')
    if previous is None or tag[1:-1] != str(previous.version):
        raise FhirError(Category.PRECONDITION_FAILED, "the resource is not at the version that If-Match names")


def outgoing(served_type: ServedType, stored: Stored, view: View = WHOLE) -> bytes:
    """The stored bytes or the part of them that the client wants; types with secrets are rewritten on their way out."""
    body = stored.body or b""
    return view.shown(served_type.mask(body) if served_type.mask is not None else body)


def written(
    base_url: str, request: Request, served_type: ServedType, stored: Stored, *, created: bool, witnessed: bool = True
) -> Response:
    """The answer to a write, with as much body as the client prefers."""
    headers = version_headers(stored)
    if created or not request.id:  # what a create made or found
        headers["Location"] = f"{base_url}/{stored.resource_type}/{stored.id}/_history/{stored.version}"
    body = outgoing(served_type, stored)
    if request.preferred_return == "minimal":
        body = b""
    elif request.preferred_return == "OperationOutcome":
        text = f"{stored.resource_type} is stored at version {stored.version}"
        body = outcome_bytes([Issue(text, "informational", severity="information")])
    return Response(201 if created else 200, body, headers, stored.id, witnessed, stored.last_updated)


def match_entry(
    base_url: str, served_type: ServedType, stored: Stored, view: View = WHOLE, mode: str = "match"
) -> bytes:
    """One entry of a searchset: a match, or with mode `include` what came along."""
    full_url = orjson.dumps(f"{base_url}/{stored.resource_type}/{stored.id}")
    body = outgoing(served_type, stored, view)
    return b'{"fullUrl":%b,"resource":%b,"search":{"mode":"%b"}}' % (full_url, body, mode.encode())


def history_entry(base_url: str, served_type: ServedType, stored: Stored, view: View = WHOLE) -> bytes:
    """One entry of a history Bundle: how the version came to be, and the version itself unless it is a deletion."""
    address = f"{stored.resource_type}/{stored.id}"
    url = stored.resource_type if stored.method is Method.POST else address
    created = stored.version == 1 and stored.method is not Method.DELETE
    status = "201" if created else {Method.DELETE: "204"}.get(stored.method, "200")
    entry = orjson.dumps(
        {
            "request": {"method": stored.method.value, "url": url},
            "response": {"status": status, "etag": etag(stored), "lastModified": instant(stored.last_updated)},
        }
    )
    resource = b',"resource":' + outgoing(served_type, stored, view) if stored.body is not None else b""
    return b'{"fullUrl":%b%b,%b' % (orjson.dumps(f"{base_url}/{address}"), resource, entry[1:])


def match_entries(base_url: str, served_type: ServedType, rows: Sequence[Mapping[str, Any]], view: View) -> list[bytes]:
    """The entries of the matches of one type, from the rows that the store found."""
    if served_type.mask is not None or not view.is_whole:
        stored = [Stored(served_type.name, r["id"], r["version"], r["last_updated"], r["body"]) for r in rows]
        return [match_entry(base_url, served_type, each, view) for each in stored]
    # As match_entry says it, at once for all; an id needs no escapes.
    head = b'{"fullUrl":%b/' % orjson.dumps(f"{base_url}/{served_type.name}")[:-1]
    return [b'%b%b","resource":%b,"search":{"mode":"match"}}' % (head, r["id"].encode(), r["body"]) for r in rows]


def address_of(address: str, parameters: Sequence[tuple[str, str]]) -> str:
    """An address with its query."""
    if not parameters:
        return address
    return f"{address}?{'&'.join(f'{_quoted(name)}={_quoted(value)}' for name, value in parameters)}"


def _quoted(text: str) -> str:
    """As it stands in a query. The links of one page repeat the same few short texts."""
    return _short_quoted(text) if len(text) <= QUOTED_REMEMBERED_MAX else quote_plus(text)


_short_quoted = lru_cache(maxsize=1024)(quote_plus)


def bundle(
    kind: str, total: int | None, links: Sequence[tuple[str, str]], entries: Sequence[bytes], now: datetime
) -> bytes:
    """A searchset or history Bundle around entries that are already bytes."""
    head: dict[str, Any] = {"resourceType": "Bundle", "type": kind, "timestamp": instant(now)}
    if total is not None:
        head["total"] = total
    head["link"] = [{"relation": relation, "url": url} for relation, url in links]
    body = orjson.dumps(head)
    return body[:-1] + b',"entry":[' + b",".join(entries) + b"]}" if entries else body
