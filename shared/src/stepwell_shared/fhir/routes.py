"""FHIR paths as plain routes: the only file of the engine that knows the web framework.

Negotiation, request ids, the access record and errors are the same for every interaction and
operation; https://hl7.org/fhir/R4/http.html
"""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Set
from dataclasses import dataclass
from functools import partial
from urllib.parse import parse_qsl

import msgspec
import structlog
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response as HttpResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from stepwell_shared.database.functions import Effect
from stepwell_shared.fhir import interactions
from stepwell_shared.fhir.access import Access
from stepwell_shared.fhir.bundle import process
from stepwell_shared.fhir.definitions import resource_types
from stepwell_shared.fhir.idempotency import keyed
from stepwell_shared.fhir.identifiers import new_id
from stepwell_shared.fhir.interactions import Engine
from stepwell_shared.fhir.messages import Request, Response, Witness
from stepwell_shared.fhir.outcome import WIRE, Category, FhirError, outcome_bytes
from stepwell_shared.fhir.patch import JSON_PATCH
from stepwell_shared.fhir.registry import Interaction, Operation, ServedType
from stepwell_shared.fhir.search.criteria import COMPARTMENT
from stepwell_shared.fhir.unit import UnitOfWork

FHIR_JSON = "application/fhir+json"
_JSON_TYPES = {FHIR_JSON, "application/json", "text/json"}
_PATCH_TYPES = {*_JSON_TYPES, JSON_PATCH}
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._\-]{1,64}")
_BODY_METHODS = {"POST", "PUT", "PATCH"}
_UNKNOWN_METHOD = "unknown"
_SYSTEM = ""  # in place of a resource type: the address of the whole service
_FHIR_VERSIONS = {"4.0", "4.0.1"}

log = structlog.get_logger("stepwell.http")

Verb = Callable[[Engine, Request], Awaitable[Response]]
# (access, interaction, resource type, resource id, status, request id) -> the row that keeps it on record
AccessRecord = Callable[[Access, str, str, str, int, str], Effect]


@dataclass(frozen=True)
class Asked:
    """What a request asks for, in words that may be kept on record."""

    interaction: str
    resource_type: str
    id: str
    request_id: str
    is_served: bool
    allowed: tuple[str, ...]


@dataclass(frozen=True)
class Door:
    """What every request passes: who asks, and what is kept on record."""

    engine: Engine
    authenticate: Callable[[str | None], Awaitable[Access]]
    access_record: AccessRecord

    async def answer(self, http: HttpRequest, asked: Asked, verb: Verb) -> HttpResponse:
        """Runs one verb for one request; whatever happens, the answer is FHIR."""
        access: Access | None = None
        media_type = FHIR_JSON
        try:
            access = await self.authenticate(http.headers.get("authorization"))
            media_type = accepted(http)
            response = await verb(self.engine, await self._request(http, access, asked))
            if not response.witnessed:
                await self._keep(access, asked, response.id or asked.id, response.status)
        except FhirError as error:
            log.log(WIRE[error.category].log_level, "refused", status=error.status, interaction=asked.interaction)
            response = await self._failure(error, access, asked)
        except Exception:
            log.exception("request failed", interaction=asked.interaction, request_id=asked.request_id)
            fault = FhirError(Category.FAULT, "the server failed; the request id finds the cause in its log")
            response = await self._failure(fault, access, asked)
        headers = {**response.headers, "X-Request-Id": asked.request_id}
        body = response.body
        if body and http.query_params.get("_pretty") == "true":
            body = msgspec.json.format(body, indent=2)
        if http.method == "HEAD":
            body, headers["Content-Length"] = b"", str(len(body))
        return HttpResponse(body, response.status, headers, media_type if response.body else None)

    async def _request(self, http: HttpRequest, access: Access, asked: Asked) -> Request:
        if not asked.is_served:
            raise FhirError(Category.NOT_FOUND, "there is nothing at this address; GET metadata tells what is served")
        if "id" in http.path_params and not asked.id:
            raise FhirError(Category.NOT_FOUND, "an id is 1 to 64 letters, digits, hyphens and full stops")
        if http.method not in asked.allowed:
            text = f"this address takes {', '.join(asked.allowed)}"
            raise FhirError(Category.METHOD_NOT_ALLOWED, text)
        body = b""
        parameters = [*_compartment(http.path_params), *http.query_params.multi_items()]
        if http.method in _BODY_METHODS:
            content_type = http.headers.get("content-type", "")
            body = await read_body(http)
            if http.url.path.endswith("/_search"):
                parameters += form_parameters(content_type.partition(";")[0].strip().lower(), body)
            elif body or content_type:
                check_content_type(content_type, _PATCH_TYPES if http.method == "PATCH" else _JSON_TYPES)
        return Request(
            access=access,
            witness=self._witness(access, asked.request_id, asked.resource_type),
            witness_of=partial(self._witness, access, asked.request_id),
            resource_type=asked.resource_type,
            id=asked.id,
            version_id=http.path_params.get("version_id", ""),
            body=body,
            headers=joined(http.headers.items()),
            parameters=parameters,
        )

    def _witness(self, access: Access, request_id: str, resource_type: str) -> Witness:
        """The record of accesses to a type within one request."""
        return lambda interaction, id_, status: self.access_record(
            access, interaction, resource_type, id_, status, request_id
        )

    async def _keep(self, access: Access, asked: Asked, id_: str, status: int) -> None:
        """Puts an access on record that was not committed with its own act."""
        row = self.access_record(access, asked.interaction, asked.resource_type, id_, status, asked.request_id)
        await self.engine.store.commit(UnitOfWork(access.tenant, effects=[row]))

    async def _failure(self, error: FhirError, access: Access | None, asked: Asked) -> Response:
        """The answer to what was refused or failed, which is on record too when we know who asked."""
        headers = {"Allow": ", ".join(asked.allowed)} if error.category is Category.METHOD_NOT_ALLOWED else {}
        if access is not None and error.category is not Category.UNAVAILABLE:
            try:
                await self._keep(access, asked, asked.id, error.status)
            except FhirError as unavailable:
                error = unavailable
            except Exception:
                log.exception("an access was not put on record", request_id=asked.request_id)
                error = FhirError(Category.FAULT, "the server failed; the request id finds the cause in its log")
        return error_response(error, headers)


def _compartment(path: Mapping[str, str]) -> list[tuple[str, str]]:
    """A compartment in the address as the search parameter that stands for it."""
    return [(COMPARTMENT, f"{path['compartment']}/{path['compartment_id']}")] if "compartment" in path else []


class _Address:
    """One address as an ASGI application: requests of any method reach it, so that every refusal is FHIR."""

    def __init__(self, door: Door, verbs: Mapping[str, tuple[Verb, str]], resource_type: str | None) -> None:
        self._door = door
        self._verbs = {**verbs, "HEAD": verbs["GET"]} if "GET" in verbs else dict(verbs)
        self._resource_type = resource_type

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        http = HttpRequest(scope, receive, send)
        verb, interaction = self._verbs.get(http.method, (_nothing, _UNKNOWN_METHOD))
        response = await self._door.answer(http, self._asked(http, interaction), verb)
        await response(scope, receive, send)

    def _asked(self, http: HttpRequest, interaction: str) -> Asked:
        """What the address names, without anything in it that is no type or id: it goes on record."""
        resource_type = self._resource_type or http.path_params.get("resource_type", "")
        id_ = http.path_params.get("id", "")
        served_type = self._door.engine.registry.types.get(resource_type)
        is_system = self._resource_type == _SYSTEM
        return Asked(
            interaction=interaction,
            resource_type=resource_type if resource_type in resource_types() else "",
            id=id_ if _ID.fullmatch(id_) else "",
            request_id=request_id_of(http),
            is_served=(is_system or served_type is not None) and bool(self._verbs),
            allowed=tuple(
                method
                for method, (_, name) in sorted(self._verbs.items())
                if is_system or (served_type is not None and _is_allowed(served_type, name))
            ),
        )


def _is_allowed(served_type: ServedType, name: str) -> bool:
    return name.startswith("$") or served_type.allows(Interaction(name))


def fhir_routes(door: Door, prefix: str) -> list[Route]:
    """Routes of every interaction below the prefix, and of the operations that the registry names."""
    engine = door.engine

    def route(path: str, verbs: dict[str, tuple[Verb, str]], resource_type: str | None = None) -> Route:
        return Route(prefix + path, _Address(door, verbs, resource_type))

    operations = [
        route(_operation_path(served_type, operation), _operation_verbs(operation), served_type.name)
        for served_type in engine.registry
        for operation in served_type.operations
    ]
    operations += [route(f"/${each.name}", _operation_verbs(each), _SYSTEM) for each in engine.registry.operations]
    history = interactions.history
    return [
        *operations,
        route(f"/{{resource_type}}/{interactions.VALIDATE}", _VALIDATE),
        route(f"/{{resource_type}}/{{id}}/{interactions.VALIDATE}", _VALIDATE),
        route("/{resource_type}/_search", {"POST": (interactions.search, "search-type")}),
        route("/_history", {"GET": (history, interactions.HISTORY_SYSTEM)}, _SYSTEM),
        route("/{resource_type}/_history", {"GET": (history, "history-type")}),
        route("/{resource_type}/{id}/_history/{version_id}", {"GET": (interactions.vread, "vread")}),
        route("/{resource_type}/{id}/_history", {"GET": (history, "history-instance")}),
        route("/{resource_type}/{id}", {"GET": (interactions.read, "read"), **_CHANGES}),
        route(
            "/{resource_type}",
            {
                "GET": (interactions.search, "search-type"),
                "POST": (keyed("create", interactions.create), "create"),
                **_CHANGES,
            },
        ),
        route("/{compartment}/{compartment_id}/*", {"GET": (interactions.search_types, "search-system")}, _SYSTEM),
        route("/{compartment}/{compartment_id}/{resource_type}", {"GET": (interactions.search, "search-type")}),
        route("", {"GET": (interactions.search_types, "search-system"), "POST": (process, "transaction")}, _SYSTEM),
        route("/", {"GET": (interactions.search_types, "search-system"), "POST": (process, "transaction")}, _SYSTEM),
        route("/{path:path}", {}),
    ]


_VALIDATE: dict[str, tuple[Verb, str]] = {"POST": (interactions.validate, interactions.VALIDATE)}
# At an id they change that resource; without one, the resource that the criteria in the URL match.
_CHANGES: dict[str, tuple[Verb, str]] = {
    "PUT": (interactions.update, "update"),
    "PATCH": (keyed("patch", interactions.patch), "patch"),
    "DELETE": (interactions.delete, "delete"),
}


def _operation_path(served_type: ServedType, operation: Operation) -> str:
    return f"/{served_type.name}{'/{id}' if operation.instance else ''}/${operation.name}"


def _operation_verbs(operation: Operation) -> dict[str, tuple[Verb, str]]:
    name = f"${operation.name}"
    verb: Verb = partial(_operate, operation)
    if operation.affects_state:
        return {"POST": (keyed(name, verb), name)}
    return {"GET": (verb, name), "POST": (verb, name)}


async def _operate(operation: Operation, engine: Engine, request: Request) -> Response:
    request.access.require(request.resource_type or "*", operation.interaction)
    response: Response = await operation.handler(request)
    return response


async def _nothing(engine: Engine, request: Request) -> Response:
    raise AssertionError("the door refuses a method that the address does not take")


def accepted(http: HttpRequest) -> str:
    """The media type of the answer; `_format` overrides Accept. Raises NOT_ACCEPTABLE."""
    wanted = http.query_params.get("_format")
    if wanted:
        if wanted.partition(";")[0].replace(" ", "+") not in {"json", *_JSON_TYPES}:
            raise FhirError(Category.NOT_ACCEPTABLE, "only JSON is served: _format=json")
        return FHIR_JSON
    header = http.headers.get("accept", "")
    if not header:
        return FHIR_JSON
    for part in header.split(","):
        name, parameters = _media_type(part)
        is_ours = name in {*_JSON_TYPES, "*/*", "application/*"} and parameters.get("q") not in {"0", "0.0", "0.00"}
        if is_ours and parameters.get("fhirversion", "4.0") in _FHIR_VERSIONS:
            return name if name in _JSON_TYPES else FHIR_JSON
    raise FhirError(Category.NOT_ACCEPTABLE, f"only {FHIR_JSON} (FHIR 4.0) is served")


def joined(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers by name; one that comes several times is one list (RFC 9110 section 5.3)."""
    found: dict[str, str] = {}
    for name, value in headers:
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def check_content_type(text: str, taken: Set[str] = frozenset(_JSON_TYPES)) -> None:
    """Raises UNSUPPORTED_MEDIA_TYPE for what is not FHIR JSON of R4 in UTF-8, or another type that is taken."""
    name, parameters = _media_type(text)
    is_utf8 = parameters.get("charset", "utf-8").lower() in {"utf-8", "utf8"}
    if name not in taken or not is_utf8 or parameters.get("fhirversion", "4.0") not in _FHIR_VERSIONS:
        kinds = " or ".join(sorted(taken & {FHIR_JSON, JSON_PATCH}))
        raise FhirError(Category.UNSUPPORTED_MEDIA_TYPE, f"send the body as {kinds} (FHIR 4.0) in UTF-8")


def _media_type(text: str) -> tuple[str, dict[str, str]]:
    """A media type and its parameters, their names in lower case."""
    name, *parts = text.split(";")
    pairs = [part.partition("=") for part in parts]
    return name.strip().lower(), {key.strip().lower(): value.strip().strip('"') for key, _, value in pairs}


async def read_body(http: HttpRequest) -> bytes:
    """The body; the guard at the door counts its bytes and its seconds."""
    try:
        return await http.body()
    except ClientDisconnect as error:
        raise FhirError(Category.INVALID, "the body was cut off") from error


def form_parameters(content_type: str, body: bytes) -> list[tuple[str, str]]:
    """Search parameters in a form body (POST _search)."""
    if body and content_type != "application/x-www-form-urlencoded":
        raise FhirError(Category.UNSUPPORTED_MEDIA_TYPE, "send the search as application/x-www-form-urlencoded")
    try:
        return parse_qsl(body.decode(), keep_blank_values=True)
    except UnicodeDecodeError as error:
        raise FhirError(Category.INVALID, "the form is not UTF-8") from error


def request_id_of(http: HttpRequest) -> str:
    """The client's request id if it can be echoed safely, else a new one."""
    given = http.headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else new_id()


def error_response(error: FhirError, headers: Mapping[str, str] | None = None) -> Response:
    return Response(error.status, outcome_bytes(error.issues), {**(headers or {}), **error.headers})
