"""Who the partners of a tenant are, what they may do here, and which subscriptions serve them.

A partner is an Organization in our tenant. Everything it sends names that Organization as its requester, and its token
reaches nothing else; what it sends are copies that belong to us.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from time import monotonic
from typing import Final

import asyncpg

from stepwell_shared.auth.clients import tenant_of
from stepwell_shared.auth.scopes import Scopes
from stepwell_shared.canonical import derived_id
from stepwell_shared.database.pool import Database
from stepwell_shared.federation.terms import ADVICE, ANY_REFERRAL, FIGURES, Terms, terms_from

# What may be agreed on beyond what a referral cannot do without; figures go beside referrals, and without any.
SHARED: Final = ("contact", "reasons", "notes", FIGURES)
CACHE_SECONDS: Final = 2.0

_COLUMNS = (
    "tenant, name, title, base_url, notifications_url, issuer_url, client_id, organization_there, subscription_there, "
    "place_there, refers_here, referred_to, shared, keys, taken_here, taken_there"
)
_LIST = f"SELECT {_COLUMNS} FROM partner WHERE tenant = $1 ORDER BY name"
_SAVE = f"""INSERT INTO partner ({_COLUMNS}, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
ON CONFLICT (tenant, name) DO UPDATE SET title = excluded.title, base_url = excluded.base_url,
  notifications_url = excluded.notifications_url, issuer_url = excluded.issuer_url, client_id = excluded.client_id,
  organization_there = excluded.organization_there, subscription_there = excluded.subscription_there,
  place_there = excluded.place_there, refers_here = excluded.refers_here,
  referred_to = excluded.referred_to, shared = excluded.shared, keys = excluded.keys,
  taken_here = excluded.taken_here, taken_there = excluded.taken_there"""


class Feed(StrEnum):
    """What a subscription of ours tells a partner."""

    REFERRALS = "referrals"
    STATUS = "status"
    # Advice without transfer of care goes by itself: nothing that counts referrals hears of it.
    QUESTIONS = "questions"
    ANSWERS = "answers"
    # What measurement reports of groups.
    FIGURES = "figures"

    @property
    def is_sent(self) -> bool:
        """Whether it brings transaction Bundles: what we ask of a partner. The others are notifications."""
        return self in {Feed.REFERRALS, Feed.QUESTIONS, Feed.FIGURES}


@dataclass(frozen=True, slots=True)
class Partner:
    """One partner of one tenant.

    `base_url` is the FHIR base of its service, `client_id` who we are at its issuer, `organization_there` what its data
    call us, `subscription_there` the subscription that tells us what became of our referrals (empty without one),
    `place_there` what its data call itself: who is asked when no place of it is named; `keys` the fingerprints of the
    public keys of its card (RFC 7638); `taken_here` what we take from it, `taken_there` what it takes from us.
    """

    tenant: str
    name: str
    title: str
    base_url: str
    notifications_url: str
    issuer_url: str
    client_id: str
    organization_there: str
    subscription_there: str
    place_there: str
    refers_here: bool
    referred_to: bool
    shared: frozenset[str] = frozenset()
    keys: tuple[str, ...] = ()
    taken_here: Terms = ANY_REFERRAL
    taken_there: Terms = ANY_REFERRAL

    @property
    def organization(self) -> str:
        """What our data call it."""
        return organization_of(self.name)

    @property
    def client_here(self) -> str:
        """The client as which it comes to us."""
        return client_of(self.tenant, self.name)

    @property
    def is_asked_for_advice(self) -> bool:
        """Whether our questions go to it."""
        return self.referred_to and ADVICE in self.taken_there.kinds

    @property
    def asks_for_advice(self) -> bool:
        """Whether its questions come to us."""
        return self.refers_here and ADVICE in self.taken_here.kinds

    @property
    def is_given_figures(self) -> bool:
        """Whether our figures go to it: we share them, and it takes them."""
        return FIGURES in self.shared and FIGURES in self.taken_there.kinds

    @property
    def gives_figures(self) -> bool:
        """Whether we take its figures."""
        return FIGURES in self.taken_here.kinds

    @property
    def subscriptions_there(self) -> frozenset[str]:
        """The subscriptions that tell us what became of what we asked."""
        if not self.subscription_there:
            return frozenset()
        tenant = tenant_of(self.client_id) or ""
        name = self.client_id.removeprefix(client_of(tenant, ""))
        answers = f"{self.base_url}/Subscription/{feed_id(self.base_url, tenant, name, Feed.ANSWERS)}"
        return frozenset({self.subscription_there, *([answers] if self.is_asked_for_advice else [])})

    def sent(self, url: str) -> bool:
        """Whether this absolute URL is one of its resources."""
        return url.startswith(f"{self.base_url}/")


def organization_of(name: str) -> str:
    """The Organization that stands for a partner of this name."""
    return f"Organization/partner-{name}"


def client_of(tenant: str, name: str) -> str:
    """The client id of a partner of this name."""
    return f"{tenant}.partner-{name}"


def figures_client_of(tenant: str, name: str) -> str:
    """The client id as which the measurement service of a partner of this name comes."""
    return f"{tenant}.figures-{name}"


def feed_id(base_url: str, tenant: str, name: str, feed: Feed) -> str:
    """The id of our subscription that feeds the partner; `base_url` is ours."""
    return derived_id(base_url.rstrip("/"), tenant, "Subscription", "partner", name, feed)


def partner_scopes(partner: Partner, base_url: str) -> Scopes:
    """All that a partner may do here: tell us what became of our referrals, and see and send its own.

    Its subscription is granted by id: whoever may read that one may ask for its events again. It may neither change a
    subscription nor read what names another organisation as its requester.
    """
    organization = partner.organization
    texts = ["system/Bundle.c"] if partner.referred_to else []
    if partner.refers_here:
        own = (feed_id(base_url, partner.tenant, partner.name, feed) for feed in _told(partner))
        texts += [f"system/Subscription.r?_id={subscription}" for subscription in own]
        texts += [f"system/Communication.crs?sender={organization}"] if partner.asks_for_advice else []
        texts += [
            f"system/Task.crs?requester={organization}",
            f"system/ServiceRequest.crs?requester={organization}",
            f"system/Patient.crs?organization={organization}",
            "system/HealthcareService.rs",
        ]
    return Scopes.parse(" ".join(texts))


def figures_scopes(partner: Partner) -> Scopes:
    """All that the measurement service of a partner may do here: write reports that name its own Organization."""
    return Scopes.parse(f"system/MeasureReport.u?reporter={partner.organization}" if partner.gives_figures else "")


def _told(partner: Partner) -> Iterator[Feed]:
    yield Feed.STATUS
    if partner.asks_for_advice:
        yield Feed.ANSWERS


class Partners:
    """The partners of one service, read anew after `CACHE_SECONDS`."""

    def __init__(self, database: Database, base_url: str, clock: Callable[[], float] = monotonic) -> None:
        self._database = database
        self._base_url = base_url
        self._clock = clock
        self._kept: dict[str, tuple[float, tuple[Partner, ...]]] = {}

    async def all(self, tenant: str) -> Sequence[Partner]:
        """The partners of a tenant by name."""
        until, kept = self._kept.get(tenant, (0.0, ()))
        if self._clock() < until:
            return kept
        found = tuple(await list_partners(self._database, tenant))
        self._kept[tenant] = (self._clock() + CACHE_SECONDS, found)
        return found

    async def of_client(self, tenant: str, client_id: str) -> Partner | None:
        """The partner that comes as this client."""
        return await self._find(tenant, lambda each: each.client_here == client_id)

    async def of_subscription_there(self, tenant: str, url: str) -> Partner | None:
        """The partner whose subscription tells us about our referrals."""
        return await self._find(tenant, lambda each: url in each.subscriptions_there)

    async def of_resource(self, tenant: str, url: str) -> Partner | None:
        """The partner whose resource this absolute URL names."""
        return await self._find(tenant, lambda each: each.sent(url))

    async def fed_by(self, tenant: str, subscription_id: str) -> tuple[Partner, Feed] | None:
        """The partner that this subscription of ours feeds, and with what."""

        def feeds(each: Partner) -> dict[str, Feed]:
            return {feed_id(self._base_url, tenant, each.name, feed): feed for feed in Feed}

        found = await self._find(tenant, lambda each: subscription_id in feeds(each))
        return None if found is None else (found, feeds(found)[subscription_id])

    async def _find(self, tenant: str, is_wanted: Callable[[Partner], bool]) -> Partner | None:
        """The first such partner; whoever is not among those in hand may have been added a moment ago."""
        in_hand = self._kept.get(tenant)
        found = next(filter(is_wanted, await self.all(tenant)), None)
        if found is None and in_hand is not None and self._kept[tenant] is in_hand:
            del self._kept[tenant]
            found = next(filter(is_wanted, await self.all(tenant)), None)
        return found


async def list_partners(database: Database, tenant: str) -> list[Partner]:
    """The partners of a tenant by name."""
    async with database.transaction(tenant) as connection:
        return [_partner(row) for row in await connection.fetch(_LIST, tenant)]


async def save_partner(database: Database, partner: Partner, now: datetime) -> None:
    """Adds the partner, or replaces what is known of the one of this name."""
    row = [getattr(partner, name.strip()) for name in _COLUMNS.split(",")[:-4]]
    row += [" ".join(sorted(partner.shared)), " ".join(partner.keys)]
    row += [partner.taken_here.text(), partner.taken_there.text(), now]
    async with database.transaction(partner.tenant) as connection:
        await connection.execute(_SAVE, *row)


async def remove_partner(database: Database, tenant: str, name: str) -> bool:
    """Whether there was one."""
    async with database.transaction(tenant) as connection:
        status: str = await connection.execute("DELETE FROM partner WHERE tenant = $1 AND name = $2", tenant, name)
    return status != "DELETE 0"


def _partner(row: asyncpg.Record) -> Partner:
    read = {
        "shared": frozenset(row["shared"].split()),
        "keys": tuple(row["keys"].split()),
        "taken_here": terms_from(row["taken_here"]),
        "taken_there": terms_from(row["taken_there"]),
    }
    return Partner(**{**dict(row), **read})
