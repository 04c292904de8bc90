"""What a service supplies to exchange with partners: what they must be told, in which words, and what it does then."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from stepwell_shared.events.notification import ReceivedEvent
from stepwell_shared.events.outbox import Entry
from stepwell_shared.events.progress import PendingEvent
from stepwell_shared.events.topics import Topic
from stepwell_shared.federation.partners import Partner, Partners

Resource = dict[str, Any]


class NotReadyError(Exception):
    """What an event needs has not come to us yet; it is tried again, and others go first."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One event as the entries of a transaction Bundle, in order; the same fullUrl is the same resource.

    Without entries nothing is sent: the event is done with. `alone`: it refers to what an earlier event brought, so
    that it must not share a Bundle.
    """

    entries: list[Resource] = field(default_factory=list)
    alone: bool = False


async def not_noted(partner: Partner) -> None:
    """Nobody asks when partners were heard."""


async def not_kept(partner: Partner, told: Resource | None) -> None:
    """Nobody asks for the capacity of partners."""


async def as_recorded(partner: Partner, event: PendingEvent) -> Sequence[Entry]:
    """What an event carries, unchanged."""
    return event.entries


@dataclass(frozen=True)
class Exchange:
    """The service's part of the exchange.

    `topic` announces what may concern a partner, and is what partners announce to us; `advice` is the same for
    questions that transfer no care. `concerns` says whether a partner must be told of an event; `outgoing` how (raises
    NotReadyError); `refused` is told of a refusal with its reason; `take` handles what a partner announces, and must
    bear being called twice and in any order; `news` is what we announce to a partner of an event, focus first; `heard`
    is told whenever a partner has called or answered us; `learn` of the Bundle that a partner answers to `capacity` (a
    path under its FHIR base), and of None when it does not answer.
    """

    topic: Topic
    partners: Partners
    concerns: Callable[[Partner, PendingEvent], Awaitable[bool]]
    outgoing: Callable[[Partner, PendingEvent], Awaitable[Outgoing]]
    refused: Callable[[Partner, PendingEvent, str], Awaitable[None]]
    take: Callable[[Partner, ReceivedEvent], Awaitable[None]]
    news: Callable[[Partner, PendingEvent], Awaitable[Sequence[Entry]]] = as_recorded
    heard: Callable[[Partner], Awaitable[None]] = not_noted
    advice: Topic | None = None
    capacity: str = ""
    learn: Callable[[Partner, Resource | None], Awaitable[None]] = not_kept

    @property
    def topics(self) -> Sequence[Topic]:
        """What partners and we announce to each other."""
        return (self.topic, *([self.advice] if self.advice else []))
