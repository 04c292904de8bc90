"""Subscription filters (`Type?parameter=value`): parsed at the door, evaluated on each event before it is sent.

A filter on the person is compared with the subject that every outbox row carries. Any other is a search parameter of
the topic's focus and is answered by the search engine's own matcher, so that a filter and a search never disagree.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlencode

import msgspec

from stepwell_shared.events.progress import PendingEvent, Subscription
from stepwell_shared.events.topics import SUBJECT_FILTERS, Topic
from stepwell_shared.fhir.indexing import Localise
from stepwell_shared.fhir.interactions import Engine, change_of
from stepwell_shared.fhir.outcome import FhirError
from stepwell_shared.fhir.registry import Registry
from stepwell_shared.fhir.search.contents import reached_statement
from stepwell_shared.fhir.search.query import parse_search
from stepwell_shared.fhir.unit import Stored

STATUS, NOT_STATUS = "status", "status:not"

_resource = msgspec.json.Decoder(dict[str, Any])
_CODE = re.compile("[a-z]+(-[a-z]+)*")


@dataclass(frozen=True, slots=True)
class Filter:
    """One criterion: events about this resource type must match `name=value` as a search would."""

    focus_type: str
    name: str
    value: str

    @property
    def parameter(self) -> str:
        """The name without its modifier."""
        return self.name.partition(":")[0]


def parse_filter(text: str) -> list[Filter]:
    """The criteria of one `Type?parameter=value&...`; ValueError when it is not of that form."""
    focus_type, question_mark, query = text.partition("?")
    if not focus_type.isalpha() or not question_mark:
        raise ValueError("a filter has the form Type?parameter=value")
    pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True)
    if not pairs or any(not value for _, value in pairs):
        raise ValueError("a filter parameter needs a value")
    return [Filter(focus_type, name, value) for name, value in pairs]


class Filtering(Protocol):
    """What the engine of a service does for filters."""

    def problem(self, criterion: Filter) -> str:
        """Why a search with this criterion would be refused; empty when it would not."""

    async def __call__(self, subscription: Subscription, event: PendingEvent) -> bool:
        """Whether the event passes every filter of the subscription."""


def ask_for_content(filters: Iterable[str]) -> bool:
    """Whether one of these filters can only be answered from the focus itself."""
    return any(criterion.name not in SUBJECT_FILTERS for text in filters for criterion in parse_filter(text))


def passes_subject(criteria: Iterable[Filter], subject: str, localise: Localise) -> bool:
    """Whether all criteria that ask for the person name this one."""
    return all(
        any(_is_subject(value, subject, localise) for value in criterion.value.split(","))
        for criterion in criteria
        if criterion.name in SUBJECT_FILTERS
    )


def _is_subject(value: str, subject: str, localise: Localise) -> bool:
    return localise(value) in (subject, subject.removeprefix("Patient/"))


def concerning(filters: Sequence[str], focus: str) -> list[Filter]:
    """The criteria on the type of this focus; criteria on another type do not concern the event."""
    focus_type = focus.partition("/")[0]
    return [criterion for text in filters for criterion in parse_filter(text) if criterion.focus_type == focus_type]


class EngineFilters:
    """Filters evaluated by the engine that stores what the topics are about.

    Raises ValueError at start when a topic declares a filter that nothing could evaluate.
    """

    def __init__(self, engine: Engine, topics: Iterable[Topic]) -> None:
        self._engine = engine
        for topic in topics:
            check_filters(engine.registry, topic)

    def problem(self, criterion: Filter) -> str:
        """See `Filtering`."""
        if criterion.name in SUBJECT_FILTERS:
            return ""
        try:
            parse_search(
                self._engine.registry.types[criterion.focus_type],
                [(criterion.name, criterion.value)],
                localise=self._engine.localise,
                now=self._engine.clock(),
                strict=True,
                cursor_key=b"",
            )
        except FhirError as error:
            return error.issues[0].diagnostics
        return ""

    async def __call__(self, subscription: Subscription, event: PendingEvent) -> bool:
        """See `Filtering`."""
        criteria = concerning(subscription.filters, event.focus)
        if not passes_subject(criteria, event.subject, self._engine.localise):
            return False
        rest = [criterion for criterion in criteria if criterion.name not in SUBJECT_FILTERS]
        if rest and not event.entries[0].is_complete:
            return False  # the person was erased before it was sent: nobody can say what it was
        return not rest or await self._found(subscription.tenant, rest, event)

    async def _found(self, tenant: str, criteria: Sequence[Filter], event: PendingEvent) -> bool:
        resource_type, _, id_ = event.focus.partition("/")
        body = bytes(event.entries[0].resource)
        resource = _resource.decode(body)
        if _needs_no_search(criteria, resource):
            return all((resource["status"] == each.value) is (each.name == STATUS) for each in criteria)
        change = change_of(self._engine, Stored(resource_type, id_, 1, _updated(resource, event), body), resource)
        statement = reached_statement(
            self._engine.registry.types[resource_type],
            [change],
            [urlencode([(criterion.name, criterion.value) for criterion in criteria])],
            localise=self._engine.localise,
            now=event.recorded,
        )
        return bool(await self._engine.store.search(tenant, *statement))


def _needs_no_search(criteria: Sequence[Filter], resource: dict[str, Any]) -> bool:
    """Whether all that is asked is one code of the status, or any but this one: plain in every resource that has it."""
    plain = all(each.name in {STATUS, NOT_STATUS} and _CODE.fullmatch(each.value) for each in criteria)
    return plain and isinstance(resource.get("status"), str)


def _updated(resource: dict[str, Any], event: PendingEvent) -> datetime:
    stated = resource.get("meta", {}).get("lastUpdated")
    return datetime.fromisoformat(stated) if stated else event.recorded


def check_filters(registry: Registry, topic: Topic) -> None:
    """Raises ValueError when a filter of the topic is neither about the person nor a search parameter of its focus."""
    for focus_type in topic.focus_types:
        served = registry.types.get(focus_type)
        known = {"_id", *SUBJECT_FILTERS, *(served.parameters if served else ())}
        unknown = sorted(set(topic.filters) - known)
        if unknown or served is None:
            raise ValueError(f"topic {topic.name}: nothing evaluates {focus_type}?{','.join(unknown)}")
