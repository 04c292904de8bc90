"""The services that `stepwell partner` works on: referral, and measurement, which sends and takes figures."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from stepwell_shared.auth import tenants
from stepwell_shared.auth.clients import Client, find_client, register_client, remove_client
from stepwell_shared.auth.keys import load_private_keys, public_key_set
from stepwell_shared.auth.roles import FIGURES_ROLE
from stepwell_shared.cli.access import AccessSettings
from stepwell_shared.cli.errors import SetupError
from stepwell_shared.database.pool import Database
from stepwell_shared.federation.cards import Card, for_figures
from stepwell_shared.federation.exchange import Exchange
from stepwell_shared.federation.links import LinkState, link_states
from stepwell_shared.federation.pairing import pair_figures, unpair_figures
from stepwell_shared.federation.partners import Partner, figures_client_of, figures_scopes, list_partners
from stepwell_shared.federation.terms import FIGURES
from stepwell_shared.installed import service_named
from stepwell_shared.runtime import Runtime, attach
from stepwell_shared.settings import REPORTING_SERVICE, SERVICES

_NEWEST = """SELECT count(*) AS reports, max(convert_from(body, 'UTF8')::json -> 'period' ->> 'end') AS until,
  max(last_updated) AS came_at
FROM fhir_measurereport WHERE tenant = $1 AND body IS NOT NULL AND p_reporter = $2"""


@dataclass(frozen=True, slots=True)
class Figures:
    """How figures stand with a partner: what it is owed, and what came from it, for periods until when."""

    link: LinkState
    reports: int
    until: str
    came_at: datetime | None


async def exchanging(
    settings: AccessSettings, service_name: str, tenant: str, stack: AsyncExitStack
) -> tuple[Database, Runtime, Exchange]:
    """The database, the runtime outside its process, and the exchange of a service. Raises SetupError."""
    url = settings.text(f"{service_name}_database_url")
    database = await stack.enter_async_context(Database.open(url, connections_max=2))
    if tenant not in await tenants.list_tenants(database):
        raise SetupError(f"There is no tenant {tenant}: run `stepwell tenant add {tenant}` first.")
    runtime, service = Runtime(), service_named(service_name)
    urls = {name: settings.text(f"{name}_url").rstrip("/") for name in SERVICES}
    attach(runtime, service, service.resources(runtime), database, urls, cursor_key=b"no pages here")
    assert service.exchange is not None, f"{service_name} declares its exchange"
    return database, runtime, service.exchange(runtime)


def public_keys(settings: AccessSettings, service_name: str) -> Mapping[str, Any]:
    """The public keys of a service whose private ones are on this machine. Raises KeyFileError."""
    return public_key_set(load_private_keys(settings.key_file(f"service-{service_name}")))


def our_figures(settings: AccessSettings) -> tuple[str, Mapping[str, Any]] | None:
    """The address and the public keys of our measurement service; None where it is not set up on this machine."""
    if settings.measurement_url is None or not settings.key_file(f"service-{REPORTING_SERVICE}").exists():
        return None
    return settings.measurement_url, public_keys(settings, REPORTING_SERVICE)


async def register_or_remove(issuer: Database, client: Client, now: datetime) -> None:
    """Registers a partner's client, or removes one that may do nothing any more. Raises ClientError."""
    if client.scopes.scopes:
        await register_client(issuer, client, now)
    else:
        await remove_client(issuer, client.client_id)


async def add_figures(settings: AccessSettings, card: Card, partner: Partner, issuer: Database, now: datetime) -> None:
    """Keeps the partner for measurement and registers the client that its own comes as. Raises SetupError."""
    is_agreed = partner.gives_figures or FIGURES in partner.shared
    if not card.figures_url or not (settings.measurement_database_url or is_agreed):
        return
    known = for_figures(card, partner)
    client = Client(
        figures_client_of(partner.tenant, partner.name),
        figures_scopes(known),
        jwks=card.figures_jwks,
        roles=(FIGURES_ROLE,),
    )
    async with AsyncExitStack() as stack:
        database, runtime, exchange = await exchanging(settings, REPORTING_SERVICE, partner.tenant, stack)
        await register_or_remove(issuer, client, now)
        await pair_figures(database, runtime.engine, known, exchange.topic, now)


async def change_figures(settings: AccessSettings, partner: Partner, issuer: Database, now: datetime) -> None:
    """Keeps for measurement what is agreed with a partner now. Raises SetupError where its card is needed for that."""
    async with AsyncExitStack() as stack:
        found = await _known(settings, partner, stack)
        client = await find_client(issuer, figures_client_of(partner.tenant, partner.name))
        if (found is None and FIGURES in partner.shared) or (client is None and partner.gives_figures):
            text = (
                f"Figures need the card of {partner.name}: give it to `stepwell partner add` with all that is agreed."
            )
            raise SetupError(text)
        if found is None:
            return
        database, runtime, exchange, before = found
        known = replace(before, shared=partner.shared, taken_here=partner.taken_here)
        if client is not None:
            await register_or_remove(issuer, replace(client, scopes=figures_scopes(known)), now)
        await pair_figures(database, runtime.engine, known, exchange.topic, now)


async def remove_figures(settings: AccessSettings, partner: Partner, issuer: Database, now: datetime) -> None:
    """Measurement forgets the partner, and its client."""
    await remove_client(issuer, figures_client_of(partner.tenant, partner.name))
    async with AsyncExitStack() as stack:
        found = await _known(settings, partner, stack)
        if found is not None:
            database, runtime, exchange, known = found
            await unpair_figures(database, runtime.engine, known, exchange.topic, now)


async def figures_of(settings: AccessSettings, partner: Partner) -> Figures | None:
    """How figures stand; None where none were ever agreed on."""
    async with AsyncExitStack() as stack:
        found = await _known(settings, partner, stack)
        if found is None:
            return None
        database, runtime, _, known = found
        (link,) = await link_states(database, runtime.engine.base_url, [known])
        async with database.transaction(partner.tenant) as connection:
            row = await connection.fetchrow(_NEWEST, partner.tenant, partner.organization)
        assert row is not None, "an aggregate has a row"
        return Figures(link, row["reports"], row["until"] or "", row["came_at"])


async def _known(
    settings: AccessSettings, partner: Partner, stack: AsyncExitStack
) -> tuple[Database, Runtime, Exchange, Partner] | None:
    """Measurement, and the partner as it knows it."""
    if not settings.measurement_database_url:
        return None
    database, runtime, exchange = await exchanging(settings, REPORTING_SERVICE, partner.tenant, stack)
    known = next((each for each in await list_partners(database, partner.tenant) if each.name == partner.name), None)
    return None if known is None else (database, runtime, exchange, known)
