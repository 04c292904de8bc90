"""`$status` and `$events` of Subscription: how delivery stands, and past events by number.

https://hl7.org/fhir/uv/subscriptions-backport/STU1.1/OperationDefinition-backport-subscription-status.html
https://hl7.org/fhir/uv/subscriptions-backport/STU1.1/OperationDefinition-backport-subscription-events.html
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
import orjson

from stepwell_shared.database.pool import UNAVAILABLE_ERRORS, Database
from stepwell_shared.events.bodies import completed
from stepwell_shared.events.notification import (
    EVENT_NUMBER_MAX,
    Addressee,
    NumberedEvent,
    notification,
    subscription_status,
)
from stepwell_shared.events.outbox import Entry, decode_payload
from stepwell_shared.events.standing import Standing, standing, unsent
from stepwell_shared.events.subscriptions import CONTENT_LEVELS
from stepwell_shared.events.topics import Topic, Topics
from stepwell_shared.events.withholding import Told, Withhold, withhold_all
from stepwell_shared.fhir.access import Access
from stepwell_shared.fhir.identifiers import new_id
from stepwell_shared.fhir.messages import Request, Response, bundle
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Interaction

SUBSCRIPTION_STATUSES = ("requested", "active", "error", "off")
STATUS_SUBSCRIPTIONS_MAX = 500
PARKED_SHOWN_MAX = 20
EVENTS_MAX = 200
EVENTS_BYTES_MAX = 4 * 1024 * 1024

Given = dict[str, list[str]]


class _Parameter(msgspec.Struct, rename="camel"):
    name: str
    value_string: str | None = None
    value_id: str | None = None
    value_code: str | None = None
    value_integer: int | None = None
    value_unsigned_int: int | None = None
    value_positive_int: int | None = None


class _Parameters(msgspec.Struct, tag_field="resourceType", tag="Parameters"):
    parameter: list[_Parameter] = []


_parameters = msgspec.json.Decoder(_Parameters)


async def status(database: Database, base_url: str, now: datetime, request: Request) -> Response:
    """`$status` of one Subscription, or of all (those with these `id` and `status`): a searchset of Parameters."""
    given = parameters_of(request, {"id", "status"})
    unknown = sorted(set(given.get("status", [])) - set(SUBSCRIPTION_STATUSES))
    if unknown:
        raise _refused("status", f"is one of {', '.join(SUBSCRIPTION_STATUSES)}")
    if not _is_granted_by_id(request):
        _require_all(request.access, "Subscription")
    tenant = request.access.tenant
    wanted = [request.id] if request.id else given.get("id")
    found = await _standing(database, tenant, wanted)
    if request.id and not found:
        raise FhirError(Category.NOT_FOUND, "there is no Subscription with this id")
    chosen = [each for each in found if each.status in given.get("status", SUBSCRIPTION_STATUSES)]
    entries = [await _status_entry(database, base_url, each) for each in chosen[:STATUS_SUBSCRIPTIONS_MAX]]
    address = f"{base_url}/Subscription/{f'{request.id}/' if request.id else ''}$status"
    return Response(200, bundle("searchset", len(chosen), [("self", address)], entries, now), {}, request.id)


async def _standing(database: Database, tenant: str, ids: Sequence[str] | None) -> list[Standing]:
    try:
        return await standing(database, [tenant], ids)
    except UNAVAILABLE_ERRORS as error:
        raise _unavailable() from error


async def _status_entry(database: Database, base_url: str, each: Standing) -> bytes:
    addressee = Addressee(f"{base_url}/Subscription/{each.subscription_id}", each.topic, each.status, "id-only")
    errors = [each.last_error] if each.last_error else []
    if each.parked:
        shown = await unsent(database, each.tenant, each.subscription_id, "parked", PARKED_SHOWN_MAX)
        errors += [f"event {event.number} is parked: {event.reason}" for event in shown]
        if each.parked > len(shown):
            errors.append(f"{each.parked - len(shown)} more events are parked")
    parameters = subscription_status(addressee, "query-status", [], each.events_total, errors)
    entry = {"fullUrl": f"urn:uuid:{new_id()}", "resource": parameters, "search": {"mode": "match"}}
    return orjson.dumps(entry)


async def events(
    database: Database,
    base_url: str,
    topics: Topics,
    now: datetime,
    request: Request,
    withhold: Withhold = withhold_all,
) -> Response:
    """`$events` of one Subscription: its events between two numbers, both included, as they were announced.

    One answer holds a limited number; the caller goes on from the last number that it got. A subscription that is told
    under Consents alone shows what these permit now, whoever asks.
    """
    given = parameters_of(request, {"eventsSinceNumber", "eventsUntilNumber", "content"})
    since = _number(given, "eventsSinceNumber", 1)
    until = _number(given, "eventsUntilNumber", EVENT_NUMBER_MAX)
    level = given.get("content", [""])[0]
    if level and level not in CONTENT_LEVELS:
        raise _refused("content", f"is one of {', '.join(CONTENT_LEVELS)}")
    is_granted = _is_granted_by_id(request)
    if not is_granted:
        _require_all(request.access, "Subscription")
    tenant = request.access.tenant
    found = await _standing(database, tenant, [request.id])
    if not found:
        raise FhirError(Category.NOT_FOUND, "there is no Subscription with this id")
    if not is_granted:
        require_topic(request.access, topics.get(found[0].topic))
    url = f"{base_url}/Subscription/{request.id}"
    addressee = Addressee(url, found[0].topic, found[0].status, level or found[0].content)
    full = addressee.content == "full-resource"
    rows, carried = await _carried(database, tenant, request.id, since, until, full=full)
    if actor := found[0].actor:
        told = [Told(row["subject"], entries) for row, entries in zip(rows, carried, strict=True)]
        carried = await withhold(tenant, actor, told)
    numbered = _numbered(rows, carried)
    body = notification(addressee, "query-event", numbered, events_total=found[0].events_total, sent=now)
    return Response(200, body, {}, request.id)


async def _carried(
    database: Database, tenant: str, id_: str, since: int, until: int, *, full: bool
) -> tuple[list[Any], list[Sequence[Entry]]]:
    """The rows of the events with the entries of each."""
    statement = "SELECT * FROM numbered_events($1, $2, $3, $4, $5)"
    try:
        rows = await database.fetch(statement, tenant, id_, since, until, EVENTS_MAX)
        carried: list[list[Entry]] = [decode_payload(row["payload"]) for row in rows]
        if full:
            carried = await completed(database, tenant, carried)
    except UNAVAILABLE_ERRORS as error:
        raise _unavailable() from error
    return rows, list(carried)


def _numbered(rows: Sequence[Any], carried: Sequence[Sequence[Entry]]) -> list[NumberedEvent]:
    """As many events as one answer holds."""
    size_bytes = 0
    numbered: list[NumberedEvent] = []
    for row, entries in zip(rows, carried, strict=True):
        size_bytes += sum(len(memoryview(entry.resource)) for entry in entries)
        if numbered and size_bytes > EVENTS_BYTES_MAX:
            break
        numbered.append(NumberedEvent(row["event_number"], row["recorded"], entries))
    return numbered


def require_topic(access: Access, topic: Topic) -> None:
    """Raises FORBIDDEN unless the caller may read, unrestricted, all that events of this topic carry."""
    for resource_type in (*topic.focus_types, *topic.context_types):
        if access.filters(resource_type, Interaction.READ):
            text = f"the topic {topic.name} needs unrestricted read on {resource_type}"
            raise FhirError(Category.FORBIDDEN, text)


def _is_granted_by_id(request: Request) -> bool:
    """Whether a scope names this very Subscription.

    Whoever grants it has agreed to all that it tells: a partner may ask again for what its own subscription was to
    tell it, though it may read nothing else of these types.
    """
    return bool(request.id) and f"_id={request.id}" in request.access.filters("Subscription", Interaction.READ)


def _require_all(access: Access, resource_type: str) -> None:
    if access.filters(resource_type, Interaction.READ):
        raise FhirError(Category.FORBIDDEN, f"this operation needs unrestricted read on {resource_type}")


def parameters_of(request: Request, known: Iterable[str]) -> Given:
    """What a GET's query or a POST's Parameters say, as text by name. Raises INVALID for anything else."""
    given: Given = {}
    for name, value in (*_of_body(request.body), *request.parameters):
        if name in ("_format", "_pretty"):
            continue
        if name not in known or not value:
            raise _refused(name[:64], f"is no parameter of this operation: {', '.join(sorted(known))}")
        given.setdefault(name, []).append(value)
    return given


def _of_body(body: bytes) -> list[tuple[str, str]]:
    if not body:
        return []
    try:
        return [(parameter.name, _value(parameter)) for parameter in _parameters.decode(body).parameter]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        text = "the body is a Parameters resource with one simple value for each parameter"
        raise FhirError(Category.INVALID, [Issue(text, "structure", "Parameters")]) from error


def _value(parameter: "_Parameter") -> str:
    (value,) = (value for value in msgspec.structs.astuple(parameter)[1:] if value is not None)
    return str(value)


def _number(given: Given, name: str, default: int) -> int:
    text = given.get(name, [str(default)])[0]
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and int(text) <= EVENT_NUMBER_MAX):
        raise _refused(name, "is a whole number from 0")
    return int(text)


def _refused(name: str, why: str) -> FhirError:
    return FhirError(Category.INVALID, [Issue(f"{name} {why}", "invalid", "Parameters.parameter")])


def _unavailable() -> FhirError:
    text = "the database is not reachable; try again shortly"
    return FhirError(Category.UNAVAILABLE, text, headers={"Retry-After": "1"})
