"""Rules for Subscription resources: what is accepted, what delivery needs to know of it, what a reader may see.

https://hl7.org/fhir/uv/subscriptions-backport/STU1.1/StructureDefinition-backport-subscription.html
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from stepwell_shared.canonical import derived_id
from stepwell_shared.database.functions import Effect
from stepwell_shared.database.pool import Database
from stepwell_shared.events.endpoints import EndpointPolicy
from stepwell_shared.events.filters import Filtering, parse_filter
from stepwell_shared.events.notification import BACKPORT
from stepwell_shared.events.topics import Topic, Topics
from stepwell_shared.fhir.outcome import Issue

SUBSCRIPTION_PROFILE = f"{BACKPORT}/backport-subscription"
CONTENT_URL = f"{BACKPORT}/backport-payload-content"
FILTER_URL = f"{BACKPORT}/backport-filter-criteria"
TIMEOUT_URL = f"{BACKPORT}/backport-timeout"
MAX_COUNT_URL = f"{BACKPORT}/backport-max-count"
HEARTBEAT_URL = f"{BACKPORT}/backport-heartbeat-period"
CONTENT_LEVELS = ("empty", "id-only", "full-resource")
PAYLOAD_TYPES = ("application/fhir+json", "application/json")
TIMEOUT_SECONDS_MAX = 60
HEARTBEAT_SECONDS_MAX = 86_400
MAX_COUNT_MAX = 2**31 - 1
MASK = "***"

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+:[\x20-\x7e]*")
_FORBIDDEN_HEADERS = frozenset(
    {"host", "content-length", "content-type", "transfer-encoding", "connection", "upgrade", "te", "trailer"}
)
# Channel extensions with their value element, its greatest value and its unit; the least is 1.
_CHANNEL_NUMBERS = {
    HEARTBEAT_URL: ("valueUnsignedInt", HEARTBEAT_SECONDS_MAX, "seconds"),
    TIMEOUT_URL: ("valueUnsignedInt", TIMEOUT_SECONDS_MAX, "seconds"),
    MAX_COUNT_URL: ("valuePositiveInt", MAX_COUNT_MAX, "events"),
}


def check_subscription(
    subscription: dict[str, Any], topics: Topics, endpoints: EndpointPolicy, filtering: Filtering
) -> list[Issue]:
    """Everything for which this Subscription must be refused (422); what is accepted fires.

    The resource is structurally valid R4 already.
    """
    channel = subscription.get("channel", {})
    return [
        *_criteria_issues(subscription, topics, filtering),
        *_channel_issues(channel, endpoints),
        *_payload_issues(channel),
        *_header_issues(channel.get("header", [])),
        *_extension_issues(channel),
        *_status_issues(subscription),
    ]


def _criteria_issues(subscription: dict[str, Any], topics: Topics, filtering: Filtering) -> Iterable[Issue]:
    criteria = subscription.get("criteria", "")
    if criteria not in topics:
        known = ", ".join(sorted(topic.canonical for topic in topics)) or "none"
        yield Issue(f"unknown topic; this service publishes: {known}", "not-supported", "Subscription.criteria")
        return
    topic = topics.get(criteria)
    for index, extension in enumerate(subscription.get("_criteria", {}).get("extension", [])):
        where = f"Subscription.criteria.extension[{index}]"
        if extension.get("url") != FILTER_URL:
            yield Issue("unknown extension of the criteria", "not-supported", where)
        else:
            yield from _filter_issues(extension.get("valueString", ""), topic, filtering, where)


def _filter_issues(text: str, topic: Topic, filtering: Filtering, where: str) -> Iterable[Issue]:
    try:
        criteria = parse_filter(text)
    except ValueError as error:
        yield Issue(str(error), "invalid", where)
        return
    for criterion in criteria:
        if criterion.focus_type not in topic.focus_types or criterion.parameter not in topic.filters:
            declared = ", ".join(topic.declared_filters) or "none"
            yield Issue(f"unknown filter; the topic declares: {declared}", "not-supported", where)
        elif problem := filtering.problem(criterion):
            yield Issue(problem, "not-supported", where)


def _channel_issues(channel: dict[str, Any], endpoints: EndpointPolicy) -> Iterable[Issue]:
    if channel.get("type") != "rest-hook" or "_type" in channel:
        yield Issue("the channel type is rest-hook", "not-supported", "Subscription.channel.type")
    if not endpoints.may_post(channel.get("endpoint", "")):
        yield Issue(
            "the endpoint is an https URL of a public host, or one that this deployment allows",
            "business-rule",
            "Subscription.channel.endpoint",
        )


def _payload_issues(channel: dict[str, Any]) -> Iterable[Issue]:
    media_type, _, parameters = channel.get("payload", "").partition(";")
    version = parameters.strip().removeprefix("fhirVersion=")
    if media_type.strip() not in PAYLOAD_TYPES or version not in ("", "4.0"):
        yield Issue("the payload is application/fhir+json", "not-supported", "Subscription.channel.payload")
    levels = [e for e in channel.get("_payload", {}).get("extension", []) if e.get("url") == CONTENT_URL]
    if len(levels) != 1 or levels[0].get("valueCode") not in CONTENT_LEVELS:
        yield Issue(
            f"one content level: {', '.join(CONTENT_LEVELS)}", "required", "Subscription.channel.payload.extension"
        )


def _header_issues(headers: list[str | None]) -> Iterable[Issue]:
    for index, header in enumerate(headers):
        where = f"Subscription.channel.header[{index}]"
        if header is None or not _HEADER.fullmatch(header):
            yield Issue("a header has the form Name: value", "invalid", where)
        elif header.partition(":")[0].lower() in _FORBIDDEN_HEADERS:
            yield Issue("this header belongs to the connection", "business-rule", where)
        elif header.partition(":")[2].strip() == MASK:
            yield Issue("a masked value was sent back; send the real one", "business-rule", where)


def _extension_issues(channel: dict[str, Any]) -> Iterable[Issue]:
    seen: set[str] = set()
    for index, extension in enumerate(channel.get("extension", [])):
        where = f"Subscription.channel.extension[{index}]"
        url = extension.get("url", "")
        if url not in _CHANNEL_NUMBERS:
            yield Issue("unknown or unsupported channel extension", "not-supported", where)
            continue
        name, greatest, unit = _CHANNEL_NUMBERS[url]
        value = extension.get(name)
        if not isinstance(value, int) or not 1 <= value <= greatest or url in seen:
            short = url.rpartition("/")[2].removeprefix("backport-")
            yield Issue(f"{short} is one {name} from 1 to {greatest} {unit}", "business-rule", where)
        seen.add(url)


def _status_issues(subscription: dict[str, Any]) -> Iterable[Issue]:
    if subscription.get("status") not in ("requested", "active", "off"):
        yield Issue("a client sets requested or off; active asks again", "business-rule", "Subscription.status")


def _channel_number(channel: dict[str, Any], url: str) -> int | None:
    name, *_ = _CHANNEL_NUMBERS[url]
    return next((int(e[name]) for e in channel.get("extension", []) if e.get("url") == url), None)


@dataclass(frozen=True, slots=True)
class SubscriptionRow:
    """What delivery needs to know of a Subscription, in the order of the table's insertable columns."""

    subscription_id: str
    topic: str
    endpoint: str
    content: str
    headers: str
    filters: str
    timeout_seconds: int | None
    max_count: int | None
    heartbeat_seconds: int | None
    internal: bool
    status: str
    ends_at: datetime | None
    actor: str = ""

    def effect(self) -> Effect:
        """The row for the unit of work that writes the resource; it inserts, or updates what the resource says."""
        return Effect("subscription_state", self.values())

    def values(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in self.__slots__)


def state_of(subscription: dict[str, Any], actor: str = "") -> SubscriptionRow:
    """The delivery state of a checked Subscription with its id: it starts, or starts again, with a handshake.

    `actor` is who may be told what Consents permit and nothing else; empty for whoever needs none.
    """
    channel = subscription["channel"]
    levels = channel["_payload"]["extension"]
    filters = [e["valueString"] for e in subscription.get("_criteria", {}).get("extension", [])]
    end = subscription.get("end")
    return SubscriptionRow(
        subscription_id=subscription["id"],
        topic=subscription["criteria"],
        endpoint=channel["endpoint"],
        content=next(e["valueCode"] for e in levels if e["url"] == CONTENT_URL),
        headers=orjson.dumps(channel.get("header", [])).decode(),
        filters=orjson.dumps(filters).decode(),
        timeout_seconds=_channel_number(channel, TIMEOUT_URL),
        max_count=_channel_number(channel, MAX_COUNT_URL),
        heartbeat_seconds=_channel_number(channel, HEARTBEAT_URL),
        internal=False,
        status="off" if subscription["status"] == "off" else "requested",
        ends_at=datetime.fromisoformat(end) if end else None,
        actor=actor,
    )


def mask_headers(subscription: dict[str, Any]) -> dict[str, Any]:
    """The Subscription as it may be read: header values are secrets (Backport, safety and security)."""
    channel = subscription.get("channel", {})
    if "header" not in channel:
        return subscription
    masked = [f"{header.partition(':')[0]}: {MASK}" for header in channel["header"]]
    return {**subscription, "channel": {**channel, "header": masked}}


@dataclass(frozen=True, slots=True)
class Peer:
    """A service of this deployment that is told about a topic: its name, where it takes notifications, and which."""

    topic: Topic
    name: str
    notification_url: str
    filters: tuple[str, ...] = ()


def internal_subscription(tenant: str, origin_base_url: str, peer: Peer) -> tuple[dict[str, Any], SubscriptionRow]:
    """The Subscription of a peer and its delivery state; the id depends on tenant, topic and peer alone.

    It is active at once: a peer may be down when its tenant is made, and it is trusted by configuration.
    """
    filters = [{"url": FILTER_URL, "valueString": each} for each in peer.filters]
    subscription = {
        "resourceType": "Subscription",
        "id": derived_id(origin_base_url, tenant, "Subscription", peer.topic.canonical, peer.name),
        "meta": {"profile": [SUBSCRIPTION_PROFILE]},
        "status": "active",
        "reason": f"{peer.topic.name} for {peer.name}",
        "criteria": peer.topic.canonical,
        **({"_criteria": {"extension": filters}} if filters else {}),
        "channel": {
            "type": "rest-hook",
            "endpoint": peer.notification_url,
            "payload": "application/fhir+json",
            "_payload": {"extension": [{"url": CONTENT_URL, "valueCode": "full-resource"}]},
        },
    }
    row = SubscriptionRow(
        subscription_id=str(subscription["id"]),
        topic=peer.topic.canonical,
        endpoint=peer.notification_url,
        content="full-resource",
        headers="[]",
        filters=orjson.dumps(peer.filters).decode(),
        timeout_seconds=None,
        max_count=None,
        heartbeat_seconds=None,
        internal=True,
        status="active",
        ends_at=None,
    )
    return subscription, row


async def subscribe_internally(
    database: Database, tenant: str, origin_base_url: str, peers: Iterable[Peer]
) -> list[dict[str, Any]]:
    """Makes a tenant's internal subscriptions, or moves them to the peers' present addresses; progress is kept.

    Returns the Subscription resources.
    """
    subscriptions = []
    for peer in peers:
        subscription, row = internal_subscription(tenant, origin_base_url, peer)
        arrays = [[value] for value in row.values()]
        places = ", ".join(f"${n}" for n in range(2, len(arrays) + 2))
        await database.fetch(f"SELECT insert_subscription_state($1, {places})", tenant, *arrays)
        subscriptions.append(subscription)
    return subscriptions
