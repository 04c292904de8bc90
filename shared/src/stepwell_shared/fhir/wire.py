"""HTTP as the engine sees it: one request over ASGI, what its headers ask for, and the answer as bytes.

The only file of the engine that knows what a server hands over; https://asgi.readthedocs.io/en/latest/specs/www.html
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from functools import lru_cache
from urllib.parse import parse_qsl

import msgspec
from starlette.types import Message, Receive, Scope, Send

from stepwell_shared.fhir.identifiers import new_id
from stepwell_shared.fhir.messages import Response
from stepwell_shared.fhir.outcome import Category, FhirError, outcome_bytes
from stepwell_shared.fhir.patch import JSON_PATCH
from stepwell_shared.marks import WHOLE_ANSWER

FHIR_JSON = "application/fhir+json"
JSON_TYPES = frozenset({FHIR_JSON, "application/json", "text/json"})
PATCH_TYPES = frozenset({*JSON_TYPES, JSON_PATCH})
_ALWAYS_UTF_8 = frozenset({FHIR_JSON, "application/json"})  # no need to say so
# What is about people is kept by no browser and no proxy, unless an answer says otherwise of itself (RFC 9111).
_NOT_KEPT = "no-store"
UNQUOTED_REMEMBERED_MAX = 128
_REQUEST_ID = re.compile(r"[A-Za-z0-9._\-]{1,64}")
_VISIBLE = re.compile(r"[ -~]{1,256}")
_FHIR_VERSIONS = {"4.0", "4.0.1"}


class Exchange:
    """One request and the way to answer it. Header names are lower case; several of one name are one list."""

    __slots__ = (
        "_body",
        "_receive",
        "_send",
        "_takes_whole",
        "headers",
        "is_answered",
        "method",
        "parameters",
        "path",
        "request_id",
        "status",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._takes_whole = WHOLE_ANSWER in scope
        self._body: bytes | None = None
        self.is_answered = False
        self.status = 0  # of the answer, once there is one
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        given: list[tuple[bytes, bytes]] = scope["headers"]
        self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in given}
        if len(self.headers) != len(given):
            self.headers = joined((name.decode("latin-1"), value.decode("latin-1")) for name, value in given)
        query: bytes = scope["query_string"]
        self.parameters = query_parameters(query.decode("latin-1")) if query else []
        self.request_id = safe_request_id(self.headers["x-request-id"]) if "x-request-id" in self.headers else new_id()

    def parameter(self, name: str) -> str | None:
        """The last value of a parameter in the URL."""
        return next((value for each, value in reversed(self.parameters) if each == name), None)

    async def body(self) -> bytes:
        """The body; the guard at the door counts its bytes and its seconds. Raises INVALID when it is cut off."""
        if self._body is None:
            self._body = await self._read()
        return self._body

    async def _read(self) -> bytes:
        parts: list[bytes] = []
        while True:
            message = await self._receive()
            if message["type"] != "http.request":
                raise FhirError(Category.INVALID, "the body was cut off")
            parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                return parts[0] if len(parts) == 1 else b"".join(parts)

    async def answer(self, response: Response, media_type: str = FHIR_JSON) -> None:
        """Sends the whole answer."""
        self.status = response.status
        body = response.body
        if body and not response.media_type and self.parameters and self.parameter("_pretty") == "true":
            body = msgspec.json.format(body, indent=2)
        headers = self._headers(response)
        if body:
            headers["content-type"] = response.media_type or _content_type(media_type)
        if response.status not in {204, 304}:
            headers["content-length"] = str(len(body))
        if self.method == "HEAD":
            body = b""
        if self._takes_whole:
            await self._send({"type": WHOLE_ANSWER, "status": response.status, "headers": headers, "body": body})
        else:
            for message in in_two(response.status, headers, body):
                await self._send(message)

    async def stream(self, response: Response, parts: AsyncIterator[bytes], media_type: str) -> None:
        """Sends an answer whose body comes in parts, as fast as the client takes them; who is gone gets no more."""
        start, end = in_two(response.status, {**self._headers(response), "content-type": media_type})
        self.is_answered = True
        self.status = response.status
        await self._send(start)
        gone = asyncio.ensure_future(self._gone())
        try:
            if self.method != "HEAD":
                async for part in parts:
                    if gone.done():
                        return
                    await self._send({"type": "http.response.body", "body": part, "more_body": True})
            await self._send(end)
        finally:
            gone.cancel()

    async def _gone(self) -> None:
        """Returns when the client has closed the connection."""
        while (await self._receive())["type"] != "http.disconnect":
            continue

    def _headers(self, response: Response) -> dict[str, str]:
        """By their names in lower case."""
        headers = {_header_name(name): value for name, value in response.headers.items()}
        headers["x-request-id"] = self.request_id
        if "cache-control" not in headers:
            headers["cache-control"] = _NOT_KEPT
        if "x-request-id" in self.headers:
            given = self.headers["x-request-id"]
            if given != self.request_id and _VISIBLE.fullmatch(given):
                headers["x-correlation-id"] = given  # https://hl7.org/fhir/R4/http.html#customids
        return headers


def in_two(status: int, headers: Mapping[str, str], body: bytes = b"") -> tuple[Message, Message]:
    """An answer in the two messages that ASGI knows."""
    lines = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    return (
        {"type": "http.response.start", "status": status, "headers": lines},
        {"type": "http.response.body", "body": body},
    )


@lru_cache(maxsize=256)  # of answers, whose names are ours
def _header_name(name: str) -> str:
    return name.lower()


def _content_type(media_type: str) -> str:
    return media_type if media_type in _ALWAYS_UTF_8 else f"{media_type}; charset=utf-8"


def accepted(exchange: Exchange) -> str:
    """The media type of the answer; `_format` overrides Accept. Raises NOT_ACCEPTABLE."""
    wanted = exchange.parameter("_format") if exchange.parameters else None
    if wanted:
        if wanted.partition(";")[0].replace(" ", "+") not in {"json", *JSON_TYPES}:
            raise FhirError(Category.NOT_ACCEPTABLE, "only JSON is served: _format=json")
        return FHIR_JSON
    found = _accepted(exchange.headers.get("accept", ""))
    if found is None:
        raise FhirError(Category.NOT_ACCEPTABLE, f"only {FHIR_JSON} (FHIR 4.0) is served")
    return found


@lru_cache(maxsize=256)  # clients send the same few headers for ever
def _accepted(header: str) -> str | None:
    if not header:
        return FHIR_JSON
    for part in header.split(","):
        name, parameters = _media_type(part)
        is_ours = name in {*JSON_TYPES, "*/*", "application/*"} and parameters.get("q") not in {"0", "0.0", "0.00"}
        if is_ours and parameters.get("fhirversion", "4.0") in _FHIR_VERSIONS:
            return name if name in JSON_TYPES else FHIR_JSON
    return None


def check_content_type(text: str, taken: frozenset[str] = JSON_TYPES) -> None:
    """Raises UNSUPPORTED_MEDIA_TYPE for what is not FHIR JSON of R4 in UTF-8, or another type that is taken."""
    if not _is_taken(text, taken):
        kinds = " or ".join(sorted(taken & {FHIR_JSON, JSON_PATCH}))
        raise FhirError(Category.UNSUPPORTED_MEDIA_TYPE, f"send the body as {kinds} (FHIR 4.0) in UTF-8")


@lru_cache(maxsize=256)
def _is_taken(text: str, taken: frozenset[str]) -> bool:
    name, parameters = _media_type(text)
    is_utf8 = parameters.get("charset", "utf-8").lower() in {"utf-8", "utf8"}
    return name in taken and is_utf8 and parameters.get("fhirversion", "4.0") in _FHIR_VERSIONS


def _media_type(text: str) -> tuple[str, dict[str, str]]:
    """A media type and its parameters, their names in lower case."""
    name, *parts = text.split(";")
    pairs = [part.partition("=") for part in parts]
    return name.strip().lower(), {key.strip().lower(): value.strip().strip('"') for key, _, value in pairs}


def joined(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers by name; one that comes several times is one list (RFC 9110 section 5.3)."""
    found: dict[str, str] = {}
    for name, value in headers:
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def query_parameters(query: str) -> list[tuple[str, str]]:
    """The parameters of a URL, as `parse_qsl` finds them: it looks at every character, which few queries need."""
    found = []
    for text in query.split("&"):
        name, _, value = text.partition("=")
        if "%" in text or "+" in text:
            found += _short_unquoted(text) if len(text) <= UNQUOTED_REMEMBERED_MAX else _unquoted(text)
        elif text:
            found.append((name, value))
    return found


def _unquoted(text: str) -> list[tuple[str, str]]:
    return parse_qsl(text, keep_blank_values=True)


_short_unquoted = lru_cache(maxsize=1024)(_unquoted)  # the same few codes again and again


def form_parameters(content_type: str, body: bytes) -> list[tuple[str, str]]:
    """Search parameters in a form body (POST _search)."""
    if body and content_type.partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise FhirError(Category.UNSUPPORTED_MEDIA_TYPE, "send the search as application/x-www-form-urlencoded")
    try:
        return parse_qsl(body.decode(), keep_blank_values=True)
    except UnicodeDecodeError as error:
        raise FhirError(Category.INVALID, "the form is not UTF-8") from error


def safe_request_id(given: str) -> str:
    """The client's request id if it can be echoed safely, else a new one."""
    return given if _REQUEST_ID.fullmatch(given) else new_id()


def error_response(error: FhirError, headers: Mapping[str, str] | None = None) -> Response:
    """The answer that carries an error."""
    return Response(error.status, outcome_bytes(error.issues), {**(headers or {}), **error.headers})
