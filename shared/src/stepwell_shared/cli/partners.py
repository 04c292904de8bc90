"""`stepwell partner`: pairs a tenant with another organisation, by a card that each side hands to the other."""

import asyncio
import sys
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from stepwell_shared.auth.clients import NAME_PATTERN, Client, ClientError, find_client, register_client, remove_client
from stepwell_shared.auth.keys import KeyFileError
from stepwell_shared.auth.roles import PARTNER_ROLE
from stepwell_shared.cli.access import AccessSettings
from stepwell_shared.cli.errors import SetupError, database_told_plainly, fail
from stepwell_shared.cli.partner_services import (
    Figures,
    add_figures,
    change_figures,
    exchanging,
    figures_of,
    our_figures,
    public_keys,
    register_or_remove,
    remove_figures,
)
from stepwell_shared.database.pool import Database
from stepwell_shared.events.endpoints import EndpointPolicy
from stepwell_shared.federation.cards import (
    OWN_ORGANIZATION,
    Card,
    CardError,
    card_for,
    partner_of,
    read_card,
    refuse_unknown,
    write_card,
)
from stepwell_shared.federation.links import LinkState, link_states
from stepwell_shared.federation.pairing import pair, unpair
from stepwell_shared.federation.partners import SHARED, Partner, list_partners, partner_scopes
from stepwell_shared.federation.terms import ANY_REFERRAL, KINDS, Terms
from stepwell_shared.settings import EXCHANGING_SERVICE

Answer = TypeVar("Answer")

TenantName = Annotated[str, typer.Argument(help="our tenant that exchanges with the partner")]
PartnerName = Annotated[str, typer.Argument(help="what we call the partner: lower-case letters, digits, hyphens")]

AcceptKinds = Annotated[list[str] | None, typer.Option("--take", help=f"we take: {', '.join(KINDS)}; repeatable")]
AcceptTiers = Annotated[list[str] | None, typer.Option("--take-tier", help="of these tiers only; repeatable")]
AcceptProgrammes = Annotated[
    list[str] | None, typer.Option("--take-programme", help="to places of these programmes only; repeatable")
]

commands = typer.Typer(no_args_is_help=True)


def add_partner_commands(app: typer.Typer) -> None:
    """Adds the command `partner`."""
    app.add_typer(
        commands, name="partner", help="Partners: organisations with which referrals and figures are exchanged."
    )


@commands.command("card")
def card(
    tenant: TenantName,
    name: PartnerName,
    title: Annotated[str, typer.Option(help="our organisation's name, as people read it")],
    organization: Annotated[str, typer.Option(help="our own Organization in our data")] = OWN_ORGANIZATION,
) -> None:
    """Print the card that the partner needs to add us. It holds no secret."""
    typer.echo(_run(_card(AccessSettings(), tenant, name, title, organization)))


@commands.command("add")
def add(
    tenant: TenantName,
    name: PartnerName,
    card: Annotated[Path, typer.Option(help="the partner's card; - reads it from standard input")],
    they_refer: Annotated[bool, typer.Option("--they-refer", help="they send referrals to us")] = False,
    we_refer: Annotated[bool, typer.Option("--we-refer", help="we send referrals to them")] = False,
    share: Annotated[list[str] | None, typer.Option(help=f"beyond the least: {', '.join(SHARED)}; repeatable")] = None,
    take: AcceptKinds = None,
    take_tier: AcceptTiers = None,
    take_programme: AcceptProgrammes = None,
) -> None:
    """Add a partner, or take its new card: registers its client and begins to exchange. Twice is once."""
    text = sys.stdin.buffer.read() if str(card) == "-" else _read(card)
    settings = AccessSettings()
    endpoints = EndpointPolicy(settings.subscription_hosts_allowed)
    partner = _run(
        add_partner(
            settings,
            tenant,
            name,
            text,
            refers_here=they_refer,
            referred_to=we_refer,
            shared=frozenset(share or ()),
            endpoints=endpoints,
            taken=_terms(take, take_tier, take_programme),
        )
    )
    typer.echo(f"{partner.title} is a partner of {tenant}: {_ways(partner)}. Its client here is {partner.client_here}.")
    typer.echo(f"It needs our card: stepwell partner card {tenant} {name} --title ...")


@commands.command("change")
def change(
    tenant: TenantName,
    name: PartnerName,
    share: Annotated[
        list[str] | None, typer.Option(help=f"from now on: {', '.join(SHARED)}, or least; repeatable")
    ] = None,
    take: AcceptKinds = None,
    take_tier: AcceptTiers = None,
    take_programme: AcceptProgrammes = None,
) -> None:
    """Change what is shared with a partner and what we take from it. What was sent is there already."""
    shared = None if share is None else frozenset(share) - {"least"}
    taken = None if (take, take_tier, take_programme) == (None,) * 3 else _terms(take, take_tier, take_programme)
    _run(change_partner(AccessSettings(), tenant, name, shared=shared, taken=taken))
    typer.echo(f"{name} knows what we take from it by our card: stepwell partner card {tenant} {name} --title ...")


@commands.command("show")
def show_one(tenant: TenantName, name: PartnerName) -> None:
    """Show one partner: where it is, its keys, what was agreed, and how the line to it stands."""
    state, figures = _run(_state(AccessSettings(), tenant, name))
    now = datetime.now(UTC)
    for line in (*describe(state, now), *describe_figures(figures, now)):
        typer.echo(line)


@commands.command("list")
def show(tenant: TenantName) -> None:
    """List a tenant's partners."""
    settings = AccessSettings()
    for each in _run(_list(settings, tenant)):
        shared = ", ".join(sorted(each.shared)) or "the least"
        typer.echo(f"{each.name}  {each.title}  {each.base_url}  {_ways(each)}, sharing {shared}")


@commands.command("remove")
def remove(tenant: TenantName, name: PartnerName) -> None:
    """End the exchange with a partner; what was exchanged stays, what was owed is parked."""
    _run(remove_partner(AccessSettings(), tenant, name))
    typer.echo(f"{name} is no partner of {tenant} any more.")


async def add_partner(
    settings: AccessSettings,
    tenant: str,
    name: str,
    card_text: bytes,
    *,
    refers_here: bool,
    referred_to: bool,
    shared: frozenset[str],
    endpoints: EndpointPolicy,
    taken: Terms = ANY_REFERRAL,
) -> Partner:
    """Registers the partner's client at our issuer and pairs. Raises CardError, ClientError and SetupError."""
    if not NAME_PATTERN.fullmatch(f"partner-{name}"):
        raise SetupError(f"'{name}' is no name for a partner: use lower-case letters, digits and hyphens.")
    theirs = read_card(card_text)
    partner = partner_of(
        *(theirs, tenant, name),
        refers_here=refers_here,
        referred_to=referred_to,
        shared=shared,
        endpoints=endpoints,
        taken=taken,
    )
    now = datetime.now(UTC)
    async with AsyncExitStack() as stack:
        database, runtime, exchange = await exchanging(settings, EXCHANGING_SERVICE, tenant, stack)
        issuer = await stack.enter_async_context(Database.open(settings.issuer_database, connections_max=1))
        await add_figures(settings, theirs, partner, issuer, now)
        scopes = partner_scopes(partner, runtime.engine.base_url)
        client = Client(partner.client_here, scopes, jwks=theirs.jwks, roles=(PARTNER_ROLE,))
        await register_or_remove(issuer, client, now)
        await pair(database, runtime.engine, partner, exchange.topic, now, exchange.advice)
    return partner


async def change_partner(
    settings: AccessSettings, tenant: str, name: str, *, shared: frozenset[str] | None, taken: Terms | None
) -> Partner:
    """Keeps other terms for a partner; None leaves them as they are. Raises CardError and SetupError."""
    refuse_unknown(shared or (), taken or ANY_REFERRAL)
    async with AsyncExitStack() as stack:
        database, runtime, exchange = await exchanging(settings, EXCHANGING_SERVICE, tenant, stack)
        found = await _one(database, tenant, name)
        changed = replace(
            found,
            shared=found.shared if shared is None else shared,
            taken_here=found.taken_here if taken is None else taken,
        )
        now = datetime.now(UTC)
        issuer = await stack.enter_async_context(Database.open(settings.issuer_database, connections_max=1))
        client = await find_client(issuer, changed.client_here)
        if client is not None:
            scopes = partner_scopes(changed, runtime.engine.base_url)
            await register_client(issuer, replace(client, scopes=scopes), now)
        await change_figures(settings, changed, issuer, now)
        await pair(database, runtime.engine, changed, exchange.topic, now, exchange.advice)
        return changed


async def remove_partner(settings: AccessSettings, tenant: str, name: str) -> None:
    """Forgets a partner and its client. Raises SetupError when there is none."""
    async with AsyncExitStack() as stack:
        database, runtime, exchange = await exchanging(settings, EXCHANGING_SERVICE, tenant, stack)
        found = await _one(database, tenant, name)
        issuer = await stack.enter_async_context(Database.open(settings.issuer_database, connections_max=1))
        now = datetime.now(UTC)
        await remove_client(issuer, found.client_here)
        await remove_figures(settings, found, issuer, now)
        await unpair(database, runtime.engine, found, exchange.topic, now, exchange.advice)


def our_card(
    settings: AccessSettings,
    tenant: str,
    name: str,
    title: str,
    organization: str = OWN_ORGANIZATION,
    taken: Terms | None = None,
) -> Card:
    """The card for the partner that we call `name`, with what we take. Raises SetupError and KeyFileError."""
    return card_for(
        tenant,
        name,
        title=title,
        base_url=settings.text(f"{EXCHANGING_SERVICE}_url"),
        issuer_url=settings.text("issuer_url"),
        jwks=public_keys(settings, EXCHANGING_SERVICE),
        own_organization=organization,
        taken=taken,
        figures=our_figures(settings),
    )


async def _card(settings: AccessSettings, tenant: str, name: str, title: str, organization: str) -> str:
    async with AsyncExitStack() as stack:
        database, _, _ = await exchanging(settings, EXCHANGING_SERVICE, tenant, stack)
        known = next((each for each in await list_partners(database, tenant) if each.name == name), None)
    taken = known.taken_here if known is not None and (known.refers_here or known.gives_figures) else None
    return write_card(our_card(settings, tenant, name, title, organization, taken)).decode()


async def _one(database: Database, tenant: str, name: str) -> Partner:
    found = next((each for each in await list_partners(database, tenant) if each.name == name), None)
    if found is None:
        raise SetupError(f"The tenant {tenant} has no partner {name}: see `stepwell partner list {tenant}`.")
    return found


async def _state(settings: AccessSettings, tenant: str, name: str) -> tuple[LinkState, Figures | None]:
    async with AsyncExitStack() as stack:
        database, runtime, _ = await exchanging(settings, EXCHANGING_SERVICE, tenant, stack)
        found = await _one(database, tenant, name)
        (state,) = await link_states(database, runtime.engine.base_url, [found])
        return state, await figures_of(settings, found)


async def _list(settings: AccessSettings, tenant: str) -> list[Partner]:
    async with AsyncExitStack() as stack:
        database, _, _ = await exchanging(settings, EXCHANGING_SERVICE, tenant, stack)
        return await list_partners(database, tenant)


def describe(state: LinkState, now: datetime) -> Iterator[str]:
    """A partner and the line to it, a fact a line."""
    partner = state.partner
    yield f"{partner.title} ({partner.organization}): {_ways(partner)}"
    yield f"address  {partner.base_url}"
    yield f"news to  {partner.notifications_url}"
    for key in partner.keys:
        yield f"key      {key}"
    if partner.refers_here:
        yield f"we take  {_taken(partner.taken_here)}"
    if partner.referred_to:
        yield f"they take  {_taken(partner.taken_there)}"
        yield f"we share  {', '.join(sorted(partner.shared)) or 'the least'}"
    yield f"heard    {'never' if state.heard_at is None else _ago(state.heard_at, now)}"
    yield from _owed(state, now)


def describe_figures(figures: Figures | None, now: datetime) -> Iterator[str]:
    """How figures stand with a partner, a fact a line; nothing where none were agreed."""
    if figures is None:
        return
    partner = figures.link.partner
    if partner.is_given_figures:
        yield f"figures to    {partner.base_url}"
        yield from _owed(figures.link, now)
    if figures.came_at is not None:
        came = f"{figures.reports} reports, for periods until {figures.until}, the last {_ago(figures.came_at, now)}"
        yield f"figures from  {came}"
    elif partner.gives_figures:
        yield "figures from  none came yet"


def _owed(state: LinkState, now: datetime) -> Iterator[str]:
    for feed, owed in state.owed:
        oldest = "" if owed.oldest is None else f", the oldest of {_ago(owed.oldest, now)}"
        tried = f"; tried {owed.attempts} times: {owed.last_error}" if owed.attempts else ""
        yield f"owed     {owed.waiting + owed.parked} {feed}{oldest}{tried}"


def _taken(terms: Terms) -> str:
    tiers = ", ".join(sorted(terms.tiers)) or "every tier"
    programmes = f", programmes {', '.join(sorted(terms.programmes))}" if terms.programmes else ""
    return f"{', '.join(sorted(terms.kinds)) or 'nothing'}: {tiers}{programmes}"


def _terms(kinds: list[str] | None, tiers: list[str] | None, programmes: list[str] | None) -> Terms:
    return Terms(
        kinds=ANY_REFERRAL.kinds if kinds is None else frozenset(kinds),
        tiers=frozenset(tiers or ()),
        programmes=frozenset(programmes or ()),
    )


def _ago(moment: datetime, now: datetime) -> str:
    minutes = max(int((now - moment).total_seconds()) // 60, 0)
    days, hours = minutes // 1440, minutes // 60 % 24
    return f"{days} d {hours} h ago" if days else f"{hours} h {minutes % 60} min ago"


def _ways(partner: Partner) -> str:
    ways = [
        *(["they refer to us"] if partner.refers_here else []),
        *(["we refer to them"] if partner.referred_to else []),
        *(["they send us figures"] if partner.gives_figures else []),
        *(["we send them figures"] if partner.is_given_figures else []),
    ]
    return " and ".join(ways)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        fail(f"The card {path} cannot be read: {error.strerror}.")


def _run(work: Coroutine[Any, Any, Answer]) -> Answer:
    """The work's answer; what went wrong is one sentence on stderr and exit code 1."""
    with database_told_plainly(KeyFileError, CardError, ClientError):
        return asyncio.run(work)
