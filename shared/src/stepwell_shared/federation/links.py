"""How the line to each partner stands: when it was last heard, and what it is still owed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from stepwell_shared.database.pool import Database
from stepwell_shared.events.standing import Standing, standing
from stepwell_shared.federation.partners import Feed, Partner, feed_id

# Whoever is heard all the time is written down this often.
NOTED_EVERY = timedelta(minutes=1)
_HEARD = """INSERT INTO partner_link AS l (tenant, name, heard_at) VALUES ($1, $2, $3)
ON CONFLICT (tenant, name) DO UPDATE SET heard_at = greatest(l.heard_at, excluded.heard_at)"""
_LAST = "SELECT name, heard_at FROM partner_link WHERE tenant = $1"


@dataclass(frozen=True, slots=True)
class LinkState:
    """One partner's line; `owed` are the feeds that go to it, by what they bring."""

    partner: Partner
    heard_at: datetime | None
    owed: Sequence[tuple[Feed, Standing]]


class Heard:
    """Notes that partners were heard, once in a while for each."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._noted: dict[tuple[str, str], datetime] = {}

    async def note(self, partner: Partner, now: datetime) -> None:
        """The partner has called us or answered us just now."""
        key = (partner.tenant, partner.name)
        before = self._noted.get(key)
        if before is not None and before <= now < before + NOTED_EVERY:
            return
        self._noted[key] = now
        async with self._database.transaction(partner.tenant) as connection:
            await connection.execute(_HEARD, partner.tenant, partner.name, now)


async def link_states(database: Database, base_url: str, partners: Sequence[Partner]) -> list[LinkState]:
    """How the lines to these partners of one tenant stand; `base_url` is ours."""
    if not partners:
        return []
    tenant = partners[0].tenant
    async with database.transaction(tenant) as connection:
        heard = {row["name"]: row["heard_at"] for row in await connection.fetch(_LAST, tenant)}
    feeds = {feed_id(base_url, tenant, each.name, feed): (each.name, feed) for each in partners for feed in Feed}
    owed: dict[str, list[tuple[Feed, Standing]]] = {}
    for found in await standing(database, [tenant], list(feeds)):
        if found.status != "off":
            name, feed = feeds[found.subscription_id]
            owed.setdefault(name, []).append((feed, found))
    return [LinkState(each, heard.get(each.name), sorted(owed.get(each.name, []), key=_feed)) for each in partners]


def _feed(owed: tuple[Feed, Standing]) -> str:
    return owed[0]
