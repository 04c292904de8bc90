"""FHIR paths as plain routes: the only file of the engine that knows the web framework.

Negotiation, body limits, request ids, the access record and errors are the same for every interaction and
operation; https://hl7.org/fhir/R4/http.html
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from urllib.parse import parse_qsl

import structlog
from starlette.requests import Request as HttpRequest
from starlette.responses import Response as HttpResponse
from starlette.routing import Route

from stepwell_shared.database.functions import Effect
from stepwell_shared.fhir import interactions
from stepwell_shared.fhir.access import Access
from stepwell_shared.fhir.identifiers import new_id
from stepwell_shared.fhir.interactions import Engine
from stepwell_shared.fhir.messages import Request, Response
from stepwell_shared.fhir.outcome import WIRE, Category, FhirError, outcome_bytes
from stepwell_shared.fhir.registry import Operation, ServedType
from stepwell_shared.fhir.unit import UnitOfWork

FHIR_JSON = "application/fhir+json"
_JSON_TYPES = {FHIR_JSON, "application/json", "text/json"}
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._\-]{1,64}")
_BODY_METHODS = {"POST", "PUT", "PATCH"}

log = structlog.get_logger("stepwell.http")

Handler = Callable[[HttpRequest], Awaitable[HttpResponse]]
Verb = Callable[[Engine, Request], Awaitable[Response]]
# (access, interaction, resource type, resource id, status, request id) -> the row that keeps it on record
AccessRecord = Callable[[Access, str, str, str, int, str], Effect]


@dataclass(frozen=True)
class Door:
    """What every request passes: who asks, how much may be sent, and what is kept on record."""

    engine: Engine
    authenticate: Callable[[str | None], Awaitable[Access]]
    access_record: AccessRecord
    body_bytes_max: int
    body_seconds_max: float

    async def answer(self, http: HttpRequest, verb: Verb, interaction: str) -> HttpResponse:
        """Runs one verb for one request; whatever happens, the answer is FHIR."""
        request_id = request_id_of(http)
        media_type = FHIR_JSON
        access: Access | None = None
        resource_type = http.path_params.get("resource_type", "")
        id_ = http.path_params.get("id", "")
        try:
            access = await self.authenticate(http.headers.get("authorization"))
            media_type = accepted(http)
            request = await self._request(http, access, request_id)
            response = await verb(self.engine, request)
            if not response.witnessed:
                witness = self.access_record(
                    access, interaction, resource_type, response.id or id_, response.status, request_id
                )
                await self.engine.store.commit(UnitOfWork(access.tenant, effects=[witness]))
        except FhirError as error:
            response = await self._refusal(error, access, interaction, resource_type, id_, request_id)
        except Exception:
            log.exception("request failed", interaction=interaction, request_id=request_id)
            fault = FhirError(Category.FAULT, "the server failed; the request id finds the cause in its log")
            response = error_response(fault)
        headers = {**response.headers, "X-Request-Id": request_id}
        return HttpResponse(response.body, response.status, headers, media_type if response.body else None)

    async def _request(self, http: HttpRequest, access: Access, request_id: str) -> Request:
        resource_type, id_ = http.path_params.get("resource_type", ""), http.path_params.get("id", "")
        if "id" in http.path_params and not _ID.fullmatch(id_):
            raise FhirError(Category.NOT_FOUND, "an id is 1 to 64 letters, digits, hyphens and full stops")
        body = b""
        parameters = list(http.query_params.multi_items())
        if http.method in _BODY_METHODS:
            body = await read_body(http, self.body_bytes_max, self.body_seconds_max)
            content_type = http.headers.get("content-type", "").partition(";")[0].strip().lower()
            if http.url.path.endswith("/_search"):
                parameters += form_parameters(content_type, body)
            elif (body or content_type) and content_type not in _JSON_TYPES:
                raise FhirError(Category.UNSUPPORTED_MEDIA_TYPE, f"send the body as {FHIR_JSON}")
        return Request(
            access=access,
            witness=lambda interaction, id_, status: self.access_record(
                access, interaction, resource_type, id_, status, request_id
            ),
            resource_type=resource_type,
            id=id_,
            version_id=http.path_params.get("version_id", ""),
            body=body,
            headers=dict(http.headers),
            parameters=parameters,
        )

    async def _refusal(
        self, error: FhirError, access: Access | None, interaction: str, resource_type: str, id_: str, request_id: str
    ) -> Response:
        """The answer to a refused request, with the refusal on record when we know who asked."""
        log.log(WIRE[error.category].log_level, "refused", status=error.status, interaction=interaction)
        if access is not None and error.category is not Category.UNAVAILABLE:
            record = self.access_record(access, interaction, resource_type, id_, error.status, request_id)
            try:
                await self.engine.store.commit(UnitOfWork(access.tenant, effects=[record]))
            except FhirError as unavailable:
                return error_response(unavailable)
        return error_response(error)


def fhir_routes(door: Door, prefix: str) -> list[Route]:
    """Routes of every interaction below the prefix, and of the operations that the registry names."""
    engine = door.engine

    def route(path: str, verbs: dict[str, tuple[Verb, str]], resource_type: str | None = None) -> Route:
        async def handle(http: HttpRequest) -> HttpResponse:
            if resource_type is not None:
                http.path_params["resource_type"] = resource_type
            found = verbs.get("GET" if http.method == "HEAD" else http.method)
            verb, interaction = found if found else (_not_allowed(sorted(verbs)), http.method.lower())
            return await door.answer(http, verb, interaction)

        return Route(prefix + path, handle, methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])

    instance: dict[str, tuple[Verb, str]] = {
        "GET": (interactions.read, "read"),
        "PUT": (interactions.update, "update"),
        "DELETE": (interactions.delete, "delete"),
    }
    routes = [
        route(_operation_path(served_type, operation), _operation_verbs(served_type, operation), served_type.name)
        for served_type in engine.registry
        for operation in served_type.operations
    ]
    routes += [
        route("/{resource_type}/_search", {"POST": (interactions.search, "search-type")}),
        route("/{resource_type}/{id}/_history/{version_id}", {"GET": (interactions.vread, "vread")}),
        route("/{resource_type}/{id}/_history", {"GET": (interactions.history, "history-instance")}),
        route("/{resource_type}/{id}", instance),
        route(
            "/{resource_type}",
            {"GET": (interactions.search, "search-type"), "POST": (interactions.create, "create")},
        ),
        route("/{path:path}", {}),
    ]
    return routes


def _operation_path(served_type: ServedType, operation: Operation) -> str:
    return f"/{served_type.name}{'/{id}' if operation.instance else ''}/${operation.name}"


def _operation_verbs(served_type: ServedType, operation: Operation) -> dict[str, tuple[Verb, str]]:
    return {"POST": (partial(_operate, operation), f"${operation.name}")}


async def _operate(operation: Operation, engine: Engine, request: Request) -> Response:
    request.access.require(request.resource_type, operation.interaction)
    response: Response = await operation.handler(request)
    return response


def _not_allowed(allowed: list[str]) -> Verb:
    async def refuse(engine: Engine, request: Request) -> Response:
        if not allowed:
            raise FhirError(Category.NOT_FOUND, "there is nothing at this address; GET metadata tells what is served")
        text = f"this address takes {', '.join(allowed)}"
        raise FhirError(Category.METHOD_NOT_ALLOWED, text, headers={"Allow": ", ".join(allowed)})

    return refuse


def accepted(http: HttpRequest) -> str:
    """The media type of the answer; `_format` overrides Accept. Raises NOT_ACCEPTABLE."""
    wanted = http.query_params.get("_format")
    if wanted is not None:
        if wanted.partition(";")[0].replace(" ", "+") not in {"json", *_JSON_TYPES}:
            raise FhirError(Category.NOT_ACCEPTABLE, "only JSON is served: _format=json")
        return FHIR_JSON
    header = http.headers.get("accept", "")
    if not header:
        return FHIR_JSON
    offered = [part.split(";") for part in header.split(",")]
    for kind, *parameters in offered:
        version = next((p.partition("=")[2] for p in map(str.strip, parameters) if p.startswith("fhirVersion")), "4.0")
        name = kind.strip().lower()
        if version in {"4.0", "4.0.1"} and name in {*_JSON_TYPES, "*/*", "application/*"}:
            return name if name in _JSON_TYPES else FHIR_JSON
    raise FhirError(Category.NOT_ACCEPTABLE, f"only {FHIR_JSON} (FHIR 4.0) is served")


async def read_body(http: HttpRequest, bytes_max: int, seconds_max: float) -> bytes:
    """The body, counted as it arrives: too much is 413, too slow is refused, whatever the headers promise."""
    declared = http.headers.get("content-length", "")
    too_large = FhirError(Category.TOO_LARGE, f"the body is larger than {bytes_max} bytes")
    if declared.isdecimal() and int(declared) > bytes_max:
        raise too_large
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds_max):
            async for chunk in http.stream():
                size += len(chunk)
                if size > bytes_max:
                    raise too_large
                chunks.append(chunk)
    except TimeoutError as error:
        raise FhirError(Category.INVALID, f"the body did not arrive within {seconds_max:g} seconds") from error
    return b"".join(chunks)


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


def error_response(error: FhirError) -> Response:
    return Response(error.status, outcome_bytes(error.issues), dict(error.headers))
