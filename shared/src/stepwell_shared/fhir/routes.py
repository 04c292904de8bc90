"""FHIR paths: which verb an address and a method mean. Negotiation, request ids, the access record and errors
are the same for every interaction and operation; https://hl7.org/fhir/R4/http.html

Addresses are looked up by their shape, not matched one by one: half of a framework's cost of a read was matching.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import structlog
from starlette.types import Receive, Scope, Send

from stepwell_shared.database.functions import Effect
from stepwell_shared.database.pool import UNAVAILABLE_ERRORS
from stepwell_shared.fhir import interactions
from stepwell_shared.fhir.access import Access, Share, Shares
from stepwell_shared.fhir.bundle import process
from stepwell_shared.fhir.definitions import resource_types
from stepwell_shared.fhir.idempotency import keyed
from stepwell_shared.fhir.interactions import Engine
from stepwell_shared.fhir.messages import Request, Response, Witness
from stepwell_shared.fhir.outcome import WIRE, Category, FhirError
from stepwell_shared.fhir.registry import Interaction, Operation, ServedType
from stepwell_shared.fhir.search.criteria import COMPARTMENT
from stepwell_shared.fhir.store import database_away
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.fhir.wire import (
    FHIR_JSON,
    JSON_TYPES,
    PATCH_TYPES,
    Exchange,
    accepted,
    check_content_type,
    error_response,
    form_parameters,
)
from stepwell_shared.telemetry.requests import Watch

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
_UNKNOWN_METHOD = "unknown"
_SYSTEM = ""  # in place of a resource type: the address of the whole service
FAULT = "the server failed; the request id finds the cause in its log"

log = structlog.get_logger("stepwell.http")

Verb = Callable[[Engine, Request], Awaitable[Response]]
Verbs = Mapping[str, tuple[Verb, str]]
# (access, interaction, resource type, resource id, status, request id) -> the row that keeps it on record
AccessRecord = Callable[[Access, str, str, str, int, str], Effect]


@dataclass(frozen=True, slots=True)
class Address:
    """What one address takes: its verbs by method with the names of their interactions."""

    verbs: Verbs
    # what it is about; nothing where that is no type of FHIR
    resource_type: str
    is_served: bool
    allowed: tuple[str, ...]
    # the media types that are read here beside FHIR, and all of what may be sent, as a body or as a patch
    others: frozenset[str]
    bodies: frozenset[str]
    patches: frozenset[str]


# Made for each request, and changed by nobody; see messages.Request.
@dataclass(slots=True)
class Asked:
    """What a request asks for, in words that may be kept on record."""

    address: Address
    interaction: str
    resource_type: str
    id: str
    request_id: str
    parts: Mapping[str, str]


@dataclass(frozen=True)
class Door:
    """What every request passes: who asks, whether there is room for one more of theirs, and what is kept on record.

    What `urgent` has a test for, by method and path, and whose body that says cannot wait, is let in without room.
    """

    engine: Engine
    authenticate: Callable[[str | None], Awaitable[Access]]
    access_record: AccessRecord
    watch: Watch = field(default_factory=Watch)
    shares: Shares | None = None
    urgent: Callable[[str, str], Callable[[bytes], bool] | None] = lambda method, path: None

    async def answer(self, exchange: Exchange, asked: Asked) -> None:
        """Runs one verb for one request; whatever happens, the answer is FHIR."""
        served_type = asked.resource_type if asked.address.is_served else ""
        seen = self.watch.request(asked.interaction, served_type, exchange.headers.get("traceparent"))
        held: list[Share] = []
        try:
            response, media_type = await self._answer(exchange, asked, held)
            await exchange.answer(response, media_type)
            seen.status = response.status
        finally:
            for share in held:
                share.give_back()
            seen.done()

    async def _answer(self, exchange: Exchange, asked: Asked, held: list[Share]) -> tuple[Response, str]:
        """The answer and its media type; what `held` gets is the client's until the answer is sent."""
        access: Access | None = None
        media_type = FHIR_JSON
        try:
            caller = await self.authenticate(exchange.headers.get("authorization"))
            if self.shares is not None:
                share = self.shares.take(caller)
                held.append(share or await self._share_of_the_urgent(self.shares, caller, exchange))
            access = caller
            if not asked.address.others:
                media_type = accepted(exchange)
            verb, _ = asked.address.verbs.get(exchange.method, (_nothing, ""))
            response = await verb(self.engine, await self._request(exchange, access, asked))
            if not response.witnessed:
                await self._keep(access, asked, response.id or asked.id, response.status)
        except FhirError as error:
            if error.category is not Category.THROTTLED or access is not None:  # else it is said by who refused it
                log.log(WIRE[error.category].log_level, "refused", status=error.status, interaction=asked.interaction)
            response = await self._failure(error, access, asked)
        except Exception as error:
            log.exception("request failed", interaction=asked.interaction, request_id=asked.request_id)
            # Use cases that ask the database themselves leave it to us to say that it is away.
            is_away = isinstance(error, UNAVAILABLE_ERRORS)
            failure = database_away() if is_away else FhirError(Category.FAULT, FAULT)
            response = await self._failure(failure, access, asked)
        return response, media_type

    async def _share_of_the_urgent(self, shares: Shares, caller: Access, exchange: Exchange) -> Share:
        """Room for a request of a client that has none left, if it cannot wait. Raises THROTTLED.

        What is refused for its number is not put on record: a row for each would be what the limit is to prevent.
        """
        test, header = self.urgent(exchange.method, exchange.path), exchange.headers.get("authorization")
        if test is not None and test(await exchange.body()):
            share = await shares.take_first(caller, header)
            if share is not None:
                return share
        raise shares.refusal(caller, header)

    async def _request(self, exchange: Exchange, access: Access, asked: Asked) -> Request:
        address, parts, method = asked.address, asked.parts, exchange.method
        if not address.is_served:
            raise FhirError(Category.NOT_FOUND, "there is nothing at this address; GET metadata tells what is served")
        compartment = f"{parts['compartment']}/{parts['compartment_id']}" if "compartment" in parts else None
        if ("id" in parts and not asked.id) or (compartment and not _ID.fullmatch(parts["compartment_id"])):
            raise FhirError(Category.NOT_FOUND, "an id is 1 to 64 letters, digits, hyphens and full stops")
        if method not in address.allowed:
            text = f"this address takes {', '.join(address.allowed)}"
            raise FhirError(Category.METHOD_NOT_ALLOWED, text)
        body = b""
        parameters = exchange.parameters
        if compartment is not None:
            # A compartment in the address is the search parameter that stands for it.
            parameters = [(COMPARTMENT, compartment), *parameters]
        if method in _BODY_METHODS:
            content_type = exchange.headers.get("content-type", "")
            body = await exchange.body()
            if exchange.path.endswith("/_search"):
                parameters = [*parameters, *form_parameters(content_type, body)]
            elif body or content_type:
                check_content_type(content_type, address.patches if method == "PATCH" else address.bodies)
        return Request(
            access=access,
            witness=self._witness(access, asked.request_id, asked.resource_type),
            witness_of=partial(self._witness, access, asked.request_id),
            resource_type=asked.resource_type,
            id=asked.id,
            version_id=parts.get("version_id", ""),
            body=body,
            headers=exchange.headers,
            parameters=parameters,
            stands_alone=True,
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
        headers = {}
        if error.category is Category.METHOD_NOT_ALLOWED:
            headers["Allow"] = ", ".join(asked.address.allowed)
        if access is not None and error.category is not Category.UNAVAILABLE:
            try:
                await self._keep(access, asked, asked.id, error.status)
            except FhirError as unavailable:
                error = unavailable
            except Exception:
                log.exception("an access was not put on record", request_id=asked.request_id)
                error = FhirError(Category.FAULT, FAULT)
        return error_response(error, headers)


class FhirApplication:
    """Every address below the prefix as one ASGI application: requests of any method reach it, so that every
    refusal is FHIR.
    """

    def __init__(self, door: Door, prefix: str) -> None:
        self._door = door
        self._below = len(f"{prefix}/")
        self._types = door.engine.registry.types
        self._addresses: dict[tuple[str, str], Address] = {}
        self._type_operations = {
            (each.name, operation.name, operation.instance): _operation_verbs(operation)
            for each in door.engine.registry
            for operation in each.operations
        }
        self._system_operations = {each.name: _operation_verbs(each) for each in door.engine.registry.operations}

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        exchange = Exchange(scope, receive, send)
        return self._door.answer(exchange, self._asked(exchange))

    def _asked(self, exchange: Exchange) -> Asked:
        """What the address names, without anything in it that is no type or id: it goes on record."""
        shape, verbs, parts = self._verbs(exchange.path[self._below :].split("/"))
        resource_type = parts.get("resource_type", _SYSTEM)
        address = self._addresses.get((shape, resource_type))
        if address is None:
            address = self._address(verbs, parts)
            if address.is_served:  # what a client makes up is not kept
                self._addresses[shape, resource_type] = address
        id_ = parts.get("id", "")
        if id_ and not _ID.fullmatch(id_):
            id_ = ""
        interaction = address.verbs[exchange.method][1] if exchange.method in address.verbs else _UNKNOWN_METHOD
        return Asked(address, interaction, address.resource_type, id_, exchange.request_id, parts)

    def _address(self, verbs: Verbs, parts: Mapping[str, str]) -> Address:
        taken = {**verbs, "HEAD": verbs["GET"]} if "GET" in verbs else dict(verbs)
        name = parts.get("resource_type", _SYSTEM)
        served_type = self._types.get(name)
        is_system = "resource_type" not in parts
        content = served_type.content if served_type is not None and verbs in (_TYPE, _INSTANCE) else None
        others = frozenset(content.endings) if content is not None else frozenset()
        return Address(
            verbs=taken,
            resource_type=name if name in resource_types() else "",
            is_served=(is_system or served_type is not None) and bool(taken),
            allowed=tuple(
                method
                for method, (_, interaction) in sorted(taken.items())
                if is_system or (served_type is not None and _is_allowed(served_type, interaction))
            ),
            others=others,
            bodies=JSON_TYPES | others,
            patches=PATCH_TYPES | others,
        )

    def _verbs(self, parts: list[str]) -> tuple[str, Verbs, dict[str, str]]:
        """The shape of an address, what it takes, and what its parts are."""
        count = len(parts)
        if count == 2:
            return self._below_a_type(*parts)
        if count == 3:
            return self._below_an_instance(*parts)
        if count == 1:
            return self._below_the_base(*parts)
        if count == 4 and parts[2] == "_history":
            return "T/id/_history/v", _VERSION, {"resource_type": parts[0], "id": parts[1], "version_id": parts[3]}
        return _NOWHERE if parts else _BASE

    def _below_the_base(self, name: str) -> tuple[str, Verbs, dict[str, str]]:
        if not name:
            return _BASE
        if name == "_history":
            return name, _HISTORY_SYSTEM, {}
        if name.startswith("$"):
            return name, self._system_operations.get(name[1:], {}), {}
        return "T", _TYPE, {"resource_type": name}

    def _below_a_type(self, type_: str, name: str) -> tuple[str, Verbs, dict[str, str]]:
        if name.startswith("$"):
            return f"T/{name}", self._operation(type_, name, instance=False), {"resource_type": type_}
        if name in _OF_A_TYPE:
            return f"T/{name}", _OF_A_TYPE[name], {"resource_type": type_}
        return ("T/id", _INSTANCE, {"resource_type": type_, "id": name}) if name else _NOWHERE

    def _below_an_instance(self, type_: str, id_: str, name: str) -> tuple[str, Verbs, dict[str, str]]:
        if name.startswith("$"):
            return f"T/id/{name}", self._operation(type_, name, instance=True), {"resource_type": type_, "id": id_}
        if name == "_history":
            return "T/id/_history", _HISTORY_INSTANCE, {"resource_type": type_, "id": id_}
        compartment = {"compartment": type_, "compartment_id": id_}
        if name == "*":
            return "C/id/*", _COMPARTMENT, compartment
        return ("C/id/T", _COMPARTMENT_TYPE, {**compartment, "resource_type": name}) if name else _NOWHERE

    def _operation(self, type_: str, name: str, *, instance: bool) -> Verbs:
        if name == interactions.VALIDATE:
            return _VALIDATE
        return self._type_operations.get((type_, name[1:], instance), {})


def _is_allowed(served_type: ServedType, name: str) -> bool:
    return name.startswith("$") or served_type.allows(Interaction(name))


# At an id they change that resource; without one, the resource that the criteria in the URL match.
_CHANGES: Verbs = {
    "PUT": (interactions.update, "update"),
    "PATCH": (keyed("patch", interactions.patch), "patch"),
    "DELETE": (interactions.delete, "delete"),
}
_SERVICE: Verbs = {"GET": (interactions.search_types, "search-system"), "POST": (process, "transaction")}
_BASE: tuple[str, Verbs, dict[str, str]] = ("", _SERVICE, {})
_NOWHERE: tuple[str, Verbs, dict[str, str]] = ("nothing", {}, {})
_HISTORY_SYSTEM: Verbs = {"GET": (interactions.history, interactions.HISTORY_SYSTEM)}
_HISTORY_TYPE: Verbs = {"GET": (interactions.history, "history-type")}
_HISTORY_INSTANCE: Verbs = {"GET": (interactions.history, "history-instance")}
_VERSION: Verbs = {"GET": (interactions.translated(interactions.vread), "vread")}
_SEARCH: Verbs = {"POST": (interactions.translated(interactions.search), "search-type")}
_OF_A_TYPE = {"_search": _SEARCH, "_history": _HISTORY_TYPE}
_TYPE: Verbs = {
    "GET": (interactions.translated(interactions.search), "search-type"),
    "POST": (keyed("create", interactions.create), "create"),
    **_CHANGES,
}
_INSTANCE: Verbs = {"GET": (interactions.translated(interactions.read), "read"), **_CHANGES}
_COMPARTMENT: Verbs = {"GET": (interactions.search_types, "search-system")}
_COMPARTMENT_TYPE: Verbs = {"GET": (interactions.search, "search-type")}
_VALIDATE: Verbs = {"POST": (interactions.validate, interactions.VALIDATE)}


def _operation_verbs(operation: Operation) -> Verbs:
    name = f"${operation.name}"
    verb: Verb = partial(interactions.operate, operation)
    if operation.affects_state:
        return {"POST": (keyed(name, verb), name)}
    return {"GET": (verb, name), "POST": (verb, name)}


async def _nothing(engine: Engine, request: Request) -> Response:
    raise AssertionError("the door refuses a method that the address does not take")
