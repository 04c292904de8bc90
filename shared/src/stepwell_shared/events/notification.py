"""Notification Bundles of the R4 Subscriptions Backport: built by joining stored bytes, and read on arrival.

https://hl7.org/fhir/uv/subscriptions-backport/STU1.1/notifications.html
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

import msgspec
import orjson

from stepwell_shared.canonical import derived_id, instant
from stepwell_shared.events.outbox import Entry
from stepwell_shared.fhir.outcome import Category, FhirError, Issue

BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
BUNDLE_PROFILE = f"{BACKPORT}/backport-subscription-notification-r4"
STATUS_PROFILE = f"{BACKPORT}/backport-subscription-status-r4"
RECEIVED_KINDS = frozenset({"handshake", "heartbeat", "event-notification"})
QUERIED_KINDS = frozenset({"query-event"})
EVENT_NUMBER_MAX = 2**63 - 1

# What stands in place of a resource that is not stored any more, such as after a restore from a backup.
_GONE = orjson.dumps(
    {
        "status": "410",
        "outcome": {
            "resourceType": "OperationOutcome",
            "issue": [{"severity": "warning", "code": "deleted", "diagnostics": "this version is not stored any more"}],
        },
    }
)

Decoded = TypeVar("Decoded")


@dataclass(frozen=True, slots=True)
class Addressee:
    """The subscription that a notification speaks for: its absolute URL, topic, status and content level."""

    url: str
    topic: str
    status: str
    content: str


@dataclass(frozen=True, slots=True)
class NumberedEvent:
    """One event under the number that this subscription gave it; without entries it is withheld."""

    number: int
    recorded: datetime
    entries: Sequence[Entry]


def notification(
    addressee: Addressee, kind: str, events: Sequence[NumberedEvent], *, events_total: int, sent: datetime
) -> bytes:
    """The Bundle to POST: `kind` is handshake, heartbeat or event-notification; or query-event to answer `$events`.

    `events_total` counts all events of the subscription so far, these included. Entries follow the order of
    the events, each with its focus first.
    """
    numbers = [str(event.number) for event in events]
    bundle_id = derived_id(addressee.url, "", kind, *numbers, instant(sent))
    status = subscription_status(addressee, kind, events, events_total)
    entries = [_status_entry(bundle_id, addressee.url, status)]
    if addressee.content != "empty":
        full = addressee.content == "full-resource"
        entries += [_entry(entry, full=full) for event in events for entry in event.entries]
    head = {
        "resourceType": "Bundle",
        "id": bundle_id,
        "meta": {"profile": [BUNDLE_PROFILE]},
        "type": "history",
        "timestamp": instant(sent),
    }
    return orjson.dumps(head)[:-1] + b',"entry":[' + b",".join(entries) + b"]}"


def subscription_status(
    addressee: Addressee,
    kind: str,
    events: Sequence[NumberedEvent],
    events_total: int,
    errors: Sequence[str] = (),
) -> dict[str, Any]:
    """The status Parameters of a notification, or of `$status` (query-status); `errors` say what hinders delivery."""
    parameters: list[dict[str, Any]] = [
        {"name": "subscription", "valueReference": {"reference": addressee.url}},
        {"name": "topic", "valueCanonical": addressee.topic},
        {"name": "status", "valueCode": addressee.status},
        {"name": "type", "valueCode": kind},
        {"name": "events-since-subscription-start", "valueString": str(events_total)},
    ]
    if addressee.content == "empty":
        del parameters[1]
    named = addressee.content != "empty"
    parameters += [_event_parameter(event, named=named and bool(event.entries)) for event in events]
    parameters += [{"name": "error", "valueCodeableConcept": {"text": error}} for error in errors]
    return {"resourceType": "Parameters", "meta": {"profile": [STATUS_PROFILE]}, "parameter": parameters}


def _event_parameter(event: NumberedEvent, *, named: bool) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [
        {"name": "event-number", "valueString": str(event.number)},
        {"name": "timestamp", "valueInstant": instant(event.recorded)},
    ]
    if named:
        focus, *context = (entry.full_url for entry in event.entries)
        parts.append({"name": "focus", "valueReference": {"reference": focus}})
        parts += [{"name": "additional-context", "valueReference": {"reference": url}} for url in context]
    return {"name": "notification-event", "part": parts}


def _status_entry(bundle_id: str, subscription_url: str, status: dict[str, Any]) -> bytes:
    return orjson.dumps(
        {
            "fullUrl": f"urn:uuid:{bundle_id}",
            "resource": status,
            "request": {"method": "GET", "url": f"{subscription_url}/$status"},
            "response": {"status": "200"},
        }
    )


def _entry(entry: Entry, *, full: bool) -> bytes:
    url = orjson.dumps(entry.full_url)
    if full and not entry.is_complete:
        return b'{"fullUrl":' + url + b',"request":{"method":"GET","url":' + url + b'},"response":' + _GONE + b"}"
    if not full:
        return b'{"fullUrl":' + url + b',"request":{"method":"GET","url":' + url + b'},"response":{"status":"200"}}'
    relative = orjson.dumps("/".join(entry.full_url.rsplit("/", 2)[-2:]))
    request = b',"request":{"method":"PUT","url":' + relative + b'},"response":{"status":"200"}}'
    return b'{"fullUrl":' + url + b',"resource":' + bytes(entry.resource) + request


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """One event of a received notification with the resources that it refers to, by fullUrl.

    Decimals are `Decimal`, so that 72.50 stays 72.50; `bodies` has the same resources as received.
    `expression` is where the focus stands in the Bundle. `focus` is None when the content level is empty.
    """

    number: int
    focus: str | None
    timestamp: datetime
    resources: dict[str, dict[str, Any]]
    bodies: dict[str, bytes]
    expression: str


@dataclass(frozen=True, slots=True)
class Notification:
    """What one POST told us: which subscription (absolute URL), topic, kind, and the events in order."""

    subscription: str
    topic: str
    kind: str
    events: list[ReceivedEvent]


class _Reference(msgspec.Struct):
    reference: str


class _Parameter(msgspec.Struct, rename="camel"):
    name: str
    value_reference: _Reference | None = None
    value_canonical: str | None = None
    value_code: str | None = None
    value_string: str | None = None
    value_instant: str | None = None
    part: list["_Parameter"] = []


class _Parameters(msgspec.Struct, rename="camel"):
    resource_type: str
    parameter: list[_Parameter]


class _BundleEntry(msgspec.Struct, rename="camel"):
    full_url: str = ""
    resource: msgspec.Raw = msgspec.Raw()


class _Bundle(msgspec.Struct, rename="camel"):
    resource_type: str
    type: str
    entry: list[_BundleEntry]


_bundle = msgspec.json.Decoder(_Bundle)
_parameters = msgspec.json.Decoder(_Parameters)
_resource = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


def parse_notification(body: bytes, kinds: frozenset[str] = RECEIVED_KINDS) -> Notification:
    """The notification of one of these kinds in this body; FhirError 400 that says where when it is not one."""
    bundle = _decode(_bundle, body, "Bundle")
    if bundle.resource_type != "Bundle" or bundle.type != "history" or not bundle.entry:
        raise _malformed("a notification is a Bundle of type history whose first entry is its status", "Bundle")
    status_body = bytes(bundle.entry[0].resource)
    if not status_body:
        raise _malformed("the first entry carries the subscription status", "Bundle.entry[0].resource")
    status = _decode(_parameters, status_body, "Bundle.entry[0].resource")
    if status.resource_type != "Parameters":
        raise _malformed("the subscription status is a Parameters resource", "Bundle.entry[0].resource")
    named = {parameter.name: parameter for parameter in status.parameter}
    subscription = _required(named, "subscription").value_reference
    kind = _required(named, "type").value_code
    topic = named["topic"].value_canonical if "topic" in named else None
    if subscription is None or kind not in kinds:
        raise _malformed("subscription or type has no usable value", "Bundle.entry[0].resource.parameter")
    events = _events(status.parameter, bundle.entry)
    if kind == "event-notification" and not (topic and events):
        raise _malformed("an event notification names its topic and its events", "Bundle.entry[0].resource.parameter")
    return Notification(subscription.reference, topic or "", kind, events)


def _events(parameters: list[_Parameter], entries: list[_BundleEntry]) -> list[ReceivedEvent]:
    attribution = _Attribution(entries)
    events = [
        _event(parameter, f"Bundle.entry[0].resource.parameter[{index}]", attribution)
        for index, parameter in enumerate(parameters)
        if parameter.name == "notification-event"
    ]
    numbers = [event.number for event in events]
    if numbers != sorted(set(numbers)):
        raise _malformed("event numbers rise", "Bundle.entry[0].resource.parameter")
    return events


class _Attribution:
    """Gives the entries to the events that refer to them, in order.

    One Bundle may hold several versions of a resource, one for each event; where a sender writes an entry
    once for several events, they share it.
    """

    def __init__(self, entries: list[_BundleEntry]) -> None:
        self._indexes: dict[str, list[int]] = {}
        self._entries = entries
        for index, entry in enumerate(entries[1:], 1):
            self._indexes.setdefault(entry.full_url, []).append(index)

    def take(self, url: str) -> int | None:
        """Index of the next entry of this URL, None when the Bundle has none."""
        indexes = self._indexes.get(url)
        if not indexes:
            return None
        return indexes.pop(0) if len(indexes) > 1 else indexes[0]

    def body(self, index: int) -> bytes:
        """The resource of an entry as received; empty in an id-only notification."""
        return bytes(self._entries[index].resource)


def _event(parameter: _Parameter, expression: str, attribution: _Attribution) -> ReceivedEvent:
    parts = {part.name: part for part in parameter.part}
    number = (parts["event-number"].value_string if "event-number" in parts else None) or ""
    if not (number.isascii() and number.isdigit() and 0 < int(number) <= EVENT_NUMBER_MAX):
        raise _malformed("an event has a number from 1", f"{expression}.part")
    timestamp = parts["timestamp"].value_instant if "timestamp" in parts else None
    focus = parts["focus"].value_reference if "focus" in parts else None
    context = [part.value_reference for part in parameter.part if part.name == "additional-context"]
    urls = [reference.reference for reference in (focus, *context) if reference is not None]
    resources: dict[str, dict[str, Any]] = {}
    bodies: dict[str, bytes] = {}
    where = expression
    for url in urls:
        index = attribution.take(url)
        if index is None:
            continue
        if focus is not None and url == focus.reference:
            where = f"Bundle.entry[{index}]"
        if body := attribution.body(index):
            bodies[url] = body
            resources[url] = _decode(_resource, body, f"Bundle.entry[{index}].resource")
    moment = _instant(timestamp, f"{expression}.part")
    return ReceivedEvent(int(number), focus.reference if focus else None, moment, resources, bodies, where)


def _instant(value: str | None, expression: str) -> datetime:
    try:
        moment = datetime.fromisoformat(value or "")
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise _malformed("an event has a timestamp with its zone", expression)
    return moment


def _required(named: dict[str, _Parameter], name: str) -> _Parameter:
    if name not in named:
        raise _malformed(f"the status names its {name}", "Bundle.entry[0].resource.parameter")
    return named[name]


def _decode(decoder: "msgspec.json.Decoder[Decoded]", body: bytes, expression: str) -> Decoded:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed("this is not the JSON of a notification", expression) from error


def _malformed(diagnostics: str, expression: str) -> FhirError:
    return FhirError(Category.INVALID, [Issue(diagnostics, "structure", expression)])
