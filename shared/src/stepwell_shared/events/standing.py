"""How delivery stands: per subscription for `$status` and operators, and in a few numbers for whoever watches."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from stepwell_shared.database.pool import Database

# Beyond this a backlog is simply large; counting on would cost the database more than the figure is worth.
BACKLOG_COUNTED_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Standing:
    """One subscription. `oldest` is when the oldest event was recorded that it is still owed, None without one."""

    tenant: str
    subscription_id: str
    topic: str
    endpoint: str
    content: str
    internal: bool
    status: str
    next_event_number: int
    attempts: int
    next_attempt_at: datetime
    last_error: str
    oldest: datetime | None
    waiting: int
    parked: int
    actor: str = ""

    @property
    def events_total(self) -> int:
        """How many events have a number so far."""
        return self.next_event_number - 1


@dataclass(frozen=True, slots=True)
class Unsent:
    """One number that was not sent, and why."""

    number: int
    focus: str
    recorded: datetime
    status: str
    attempts: int
    next_attempt_at: datetime
    reason: str


async def standing(
    database: Database, tenants: Sequence[str], subscription_ids: Sequence[str] | None = None
) -> list[Standing]:
    """The subscriptions of these tenants by id; all of them unless some are named."""
    rows = await database.fetch("SELECT * FROM subscription_standing($1, $2)", list(tenants), subscription_ids)
    return [Standing(**dict(row)) for row in rows]


async def backlogs(database: Database, tenants: Sequence[str]) -> Mapping[tuple[str, str], int]:
    """How many events lie ahead of each subscription (tenant, id) that has any, counted up to `BACKLOG_COUNTED_MAX`."""
    rows = await database.fetch(
        "SELECT tenant, subscription_id, ahead FROM subscription_backlog($1, $2)", list(tenants), BACKLOG_COUNTED_MAX
    )
    return {(row["tenant"], row["subscription_id"]): row["ahead"] for row in rows}


async def unsent(database: Database, tenant: str, subscription_id: str, status: str, limit: int) -> list[Unsent]:
    """The numbers of a subscription that are `waiting`, `parked` or `skipped`, in order."""
    rows = await database.fetch("SELECT * FROM unsent_events($1, $2, $3, $4)", tenant, subscription_id, status, limit)
    return [Unsent(row["event_number"], *list(row)[1:]) for row in rows]


async def resolve_parked(
    database: Database, tenant: str, subscription_id: str, numbers: Sequence[int] | None, *, skip_reason: str = ""
) -> int:
    """Sends parked events again (all of them when no numbers are given), or skips them for this reason.

    Returns how many there were. A subscription that waits for its next attempt is tried at once.
    """
    status = "skipped" if skip_reason else "waiting"
    rows = await database.fetch(
        "SELECT resolve_parked($1, $2, $3, $4, $5)", tenant, subscription_id, numbers, status, skip_reason
    )
    return int(rows[0][0])


@dataclass(frozen=True, slots=True)
class Figures:
    """Delivery of one service in numbers, over all tenants."""

    outbox_age_seconds: float
    events_waiting: int
    events_parked: int
    subscriptions_in_error: int

    def metrics(self) -> dict[str, float]:
        """Each number by the name under which it is published."""
        return {f"stepwell_{name}": value for name, value in asdict(self).items()}


def figures(standings: Sequence[Standing], now: datetime) -> Figures:
    """The numbers of these subscriptions; the age is that of the oldest event that somebody is still owed."""
    ages = [(now - each.oldest).total_seconds() for each in standings if each.oldest is not None]
    return Figures(
        outbox_age_seconds=max(0.0, *ages) if ages else 0.0,
        events_waiting=sum(each.waiting for each in standings),
        events_parked=sum(each.parked for each in standings),
        subscriptions_in_error=sum(each.status == "error" for each in standings),
    )


async def leave_numbers(database: Database, tenant: str, count: int) -> int:
    """Lets the next event of each of the tenant's subscribers outside have a number that is higher by so many, and says
    how many subscriptions these are. After a restore, the numbers between were given to events that are gone; our own
    services need none left out, for they know an event by its number, focus and time together."""
    async with database.transaction(tenant) as connection:
        rows = await connection.fetch(
            "UPDATE subscription_state SET next_event_number = next_event_number + $1 WHERE NOT internal"
            " RETURNING subscription_id",
            count,
        )
    return len(rows)
