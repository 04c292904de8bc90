"""The receiving side: a notification is answered 200 when everything in it is committed, and not before.

What makes a second delivery harmless are the derived ids in the handlers; the record of received numbers
only spares the work, and shows which numbers never came.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from stepwell_shared.database.pool import UNAVAILABLE_ERRORS, Database
from stepwell_shared.events.notification import Notification, ReceivedEvent, parse_notification
from stepwell_shared.events.traces import Arrived
from stepwell_shared.fhir.outcome import WIRE, Category, FhirError, Issue
from stepwell_shared.telemetry.tracing import During

log = logging.getLogger(__name__)

Handler = Callable[[ReceivedEvent, str], Awaitable[None]]

RETRY_AFTER_SECONDS = 1
MISSING_MAX = 1000
# A refusal of one event must not look like trouble with the sender's credentials or pace.
_NOT_ABOUT_THE_EVENT = frozenset({401, 403, 408, 425, 429})
_PASSING = (Category.UNAVAILABLE, Category.THROTTLED, Category.TIMEOUT)


@dataclass(frozen=True, slots=True)
class Sender:
    """Who posted the notification, as the token said."""

    tenant: str
    client_id: str


def known_senders(base_urls: Mapping[str, str]) -> Callable[[Sender, Notification], bool]:
    """Lets each of these clients (client id to FHIR base URL) notify for its own subscriptions and no others."""

    def may_notify(sender: Sender, notification: Notification) -> bool:
        base_url = base_urls.get(sender.client_id)
        return base_url is not None and notification.subscription.startswith(f"{base_url.rstrip('/')}/Subscription/")

    return may_notify


class Receiver:
    """Takes notifications for the topics that have a handler (by canonical URL).

    A handler is given one event and the tenant, commits what it decides, and must bear being called twice.
    FhirError 4xx from it refuses the event for good; anything else is tried again by the sender. `gap`
    is set when a number was skipped.
    """

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        database: Database,
        may_notify: Callable[[Sender, Notification], bool],
    ) -> None:
        self._handlers = handlers
        self._database = database
        self._may_notify = may_notify
        self.gap = asyncio.Event()

    async def receive(self, tenant: str, client_id: str, body: bytes, arrived: Arrived | None = None) -> None:
        """Returns when everything is committed (answer 200); raises the FhirError to answer otherwise. `arrived` has
        the traces of the events."""
        notification = parse_notification(body)
        if not self._may_notify(Sender(tenant, client_id), notification):
            raise FhirError(Category.FORBIDDEN, "this client may not notify for this subscription")
        if notification.kind == "event-notification":
            await self.handle(tenant, notification, arrived)

    async def handle(self, tenant: str, notification: Notification, arrived: Arrived | None = None) -> None:
        """Hands over the events that are new and notes what became of each; of events pushed or asked for alike."""
        handler = self._handlers.get(notification.topic)
        if handler is None:
            where = "Bundle.entry[0].resource.parameter"
            raise FhirError(
                Category.BUSINESS_RULE, [Issue("nothing here listens to this topic", "not-supported", where)]
            )
        try:
            await self._handle(notification, tenant, _traced(handler, notification.topic, arrived))
        except UNAVAILABLE_ERRORS as error:
            raise _try_again() from error

    async def _handle(self, notification: Notification, tenant: str, handler: Handler) -> None:
        highest, known = await self._known(tenant, notification)
        fresh = [event for event in notification.events if known.get(event.number) != (event.focus, event.timestamp)]
        lines: dict[str, list[ReceivedEvent]] = {}
        for event in fresh:
            lines.setdefault(subject_of(event), []).append(event)
        outcome = Outcome(fresh)
        results = await asyncio.gather(
            *(_in_order(line, tenant, handler, outcome) for line in lines.values()), return_exceptions=True
        )
        await self._record(tenant, notification, highest, outcome)
        _raise_worst([result for result in results if result is not None])

    async def _known(
        self, tenant: str, notification: Notification
    ) -> tuple[int, dict[int, tuple[str | None, datetime]]]:
        numbers = [event.number for event in notification.events]
        rows = await self._database.fetch(
            "SELECT * FROM known_events($1, $2, $3)", tenant, notification.subscription, numbers
        )
        known = {row["event_number"]: (row["focus"], row["recorded"]) for row in rows[1:]}
        return rows[0]["event_number"], known

    async def _record(self, tenant: str, notification: Notification, highest: int, outcome: "Outcome") -> None:
        """Notes what was handled, refused or failed, and the numbers that were skipped before them.

        A skipped number is on its way or lost: `CatchUp` asks the sender for it when it does not come. One that
        was refused or failed here is known: its sender parks it or comes again.
        """
        numbers = [event.number for event in notification.events]
        known = set(numbers)
        missing = [n for n in _skipped(highest, max(numbers, default=0)) if n not in known]
        if missing:
            log.warning(
                "subscription %s: %d numbers skipped from %d", notification.subscription, len(missing), missing[0]
            )
            self.gap.set()
        rows: list[tuple[object, ...]] = [
            (event.number, event.focus, event.timestamp, outcome.of(event)) for event in outcome.events
        ]
        rows += [(number, None, None, "missing") for number in missing]
        if rows:
            columns = [list(column) for column in zip(*rows, strict=True)]
            await self._database.fetch(
                "SELECT record_events($1, $2, $3, $4, $5, $6)", tenant, notification.subscription, *columns
            )


@dataclass(slots=True)
class Outcome:
    """What became of the events of one notification."""

    events: list[ReceivedEvent]
    handled: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)

    def of(self, event: ReceivedEvent) -> str:
        """`waiting`: its sender comes again."""
        if event.number in self.handled:
            return "received"
        return "refused" if event.number in self.refused else "waiting"


def subject_of(event: ReceivedEvent) -> str:
    """The person whose events must stay in order, as the focus names them; the focus itself when it does not."""
    focus = event.resources.get(event.focus or "", {})
    for element in ("subject", "patient", "for", "beneficiary"):
        reference = focus.get(element)
        if isinstance(reference, dict) and isinstance(reference.get("reference"), str):
            return str(reference["reference"])
    return event.focus or str(event.number)


def _traced(handler: Handler, topic: str, arrived: Arrived | None) -> Handler:
    if arrived is None:
        return handler

    async def handle(event: ReceivedEvent, tenant: str) -> None:
        with During(arrived.processing(topic, event.number)):
            await handler(event, tenant)

    return handle


def _skipped(highest: int, last: int) -> range:
    return range(max(highest + 1, last - MISSING_MAX), last)


async def _in_order(line: list[ReceivedEvent], tenant: str, handler: Handler, outcome: Outcome) -> None:
    """One subject's events, one after another; a failure stops the line, later ones must not overtake it."""
    for event in line:
        try:
            await handler(event, tenant)
        except FhirError as error:
            if error.status >= 500 or error.category in _PASSING:
                raise
            outcome.refused.add(event.number)
            raise _refusal(event, error) from error
        outcome.handled.add(event.number)


def _refusal(event: ReceivedEvent, error: FhirError) -> FhirError:
    category = Category.BUSINESS_RULE if error.status in _NOT_ABOUT_THE_EVENT else error.category
    issues = [Issue(f"event {event.number}: {i.diagnostics}", i.code, event.expression) for i in error.issues]
    return FhirError(category, issues)


def _raise_worst(errors: list[BaseException]) -> None:
    """Defects and cancellation first, then what may pass, then all refusals together."""
    for error in errors:
        if not isinstance(error, (FhirError, *UNAVAILABLE_ERRORS)):
            raise error
    refusals = [error for error in errors if isinstance(error, FhirError) and _is_refusal(error)]
    if len(refusals) < len(errors):
        raise _try_again()
    if refusals:
        statuses = {error.category for error in refusals}
        category = statuses.pop() if len(statuses) == 1 else Category.BUSINESS_RULE
        raise FhirError(category, [issue for error in refusals for issue in error.issues])


def _is_refusal(error: FhirError) -> bool:
    return WIRE[error.category].status < 500 and error.category not in _PASSING


def _try_again() -> FhirError:
    return FhirError(
        Category.UNAVAILABLE,
        "the notification could not be handled now",
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
    )
