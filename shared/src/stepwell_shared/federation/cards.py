"""The card that two organisations hand each other when they pair: where we are, our keys, and who you are here."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import msgspec
import orjson

from stepwell_shared.auth.clients import tenant_of
from stepwell_shared.auth.keys import KeyFileError, read_public_keys
from stepwell_shared.events.endpoints import EndpointPolicy
from stepwell_shared.federation.partners import (
    SHARED,
    Feed,
    Partner,
    client_of,
    feed_id,
    figures_client_of,
    organization_of,
)
from stepwell_shared.federation.terms import ANY_REFERRAL, FIGURES, KINDS, Terms

CARD_BYTES_MAX = 65_536
# The one that ships with the catalogue; a site may name another.
OWN_ORGANIZATION = "Organization/default-organization"


class CardError(Exception):
    """A card that cannot be used; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What one side tells the other. It holds no secret: keys are public, client ids are names.

    `client_id`, `organization` and `subscription` are who the reader of the card is at the writer's;
    `own_organization` is what the writer's data call the writer; `takes` says what the writer takes from the reader.
    Figures go between the measurement services of both: where the writer's is, its keys, and its name for the reader's.
    """

    title: str
    base_url: str
    notifications_url: str
    issuer_url: str
    jwks: dict[str, Any]
    client_id: str
    organization: str
    subscription: str
    own_organization: str = OWN_ORGANIZATION
    takes: dict[str, list[str]] = field(default_factory=dict)
    figures_url: str = ""
    figures_jwks: dict[str, Any] = field(default_factory=dict)
    figures_client_id: str = ""


def card_for(
    tenant: str,
    name: str,
    *,
    title: str,
    base_url: str,
    issuer_url: str,
    jwks: Mapping[str, Any],
    own_organization: str = OWN_ORGANIZATION,
    taken: Terms | None = None,
    figures: tuple[str, Mapping[str, Any]] | None = None,
) -> Card:
    """The card that we hand to the partner that we call `name`; `base_url` and `issuer_url` are ours.

    `taken` is what we take from it, where that is agreed already; `figures` the address and the public keys of our
    measurement service.
    """
    figures_url, figures_jwks = figures or ("", {})
    base_url = base_url.rstrip("/")
    return Card(
        title=title,
        base_url=base_url,
        notifications_url=notifications_url_of(base_url),
        issuer_url=issuer_url.rstrip("/"),
        jwks=dict(jwks),
        client_id=client_of(tenant, name),
        organization=organization_of(name),
        subscription=f"{base_url}/Subscription/{feed_id(base_url, tenant, name, Feed.STATUS)}",
        own_organization=own_organization,
        takes=orjson.loads(taken.text()) if taken is not None else {},
        figures_url=figures_url.rstrip("/"),
        figures_jwks=dict(figures_jwks),
        figures_client_id=figures_client_of(tenant, name) if figures else "",
    )


def notifications_url_of(base_url: str) -> str:
    """Where a service of ours takes what partners tell it."""
    return f"{base_url.removesuffix('/fhir')}/partners/notifications"


def write_card(card: Card) -> bytes:
    """The card as a JSON document."""
    return orjson.dumps(card, option=orjson.OPT_INDENT_2)


def read_card(text: bytes) -> Card:
    """The card in this document. Raises CardError."""
    if len(text) > CARD_BYTES_MAX:
        raise CardError(f"a card has at most {CARD_BYTES_MAX} bytes")
    try:
        card = msgspec.json.decode(text, type=Card, strict=True)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CardError(f"this is no card that `stepwell partner card` has written: {error}") from error
    try:
        usable = read_public_keys(card.jwks)
        if card.figures_url and not read_public_keys(card.figures_jwks):
            usable = []
    except KeyFileError as error:
        raise CardError(str(error)) from error
    if not usable:
        raise CardError("the card holds no key that can be used: EC P-384, or RSA of 2048 bits or more")
    organizations = (card.organization, card.own_organization)
    clients = (card.client_id, *([card.figures_client_id] if card.figures_url else []))
    if not all(map(tenant_of, clients)) or not all(each.startswith("Organization/") for each in organizations):
        raise CardError("the card does not say who we are there")
    if unknown := set(card.takes) - {each.name for each in fields(Terms)}:
        raise CardError(f"{min(unknown)} is nothing that a card says is taken")
    return card


def partner_of(
    card: Card,
    tenant: str,
    name: str,
    *,
    refers_here: bool,
    referred_to: bool,
    shared: frozenset[str],
    endpoints: EndpointPolicy,
    taken: Terms = ANY_REFERRAL,
) -> Partner:
    """The partner that a card describes. Raises CardError for an address that this deployment may not call.

    Every address is looked up again whenever it is called, and must then still be on the public internet unless this
    deployment allows its host.
    """
    figures_urls = [card.figures_url] if card.figures_url else []
    urls = (card.base_url, card.notifications_url, card.issuer_url, card.subscription, *figures_urls)
    for url in urls:
        if not endpoints.may_post(url):
            raise CardError(
                f"{url} is not an https URL of a public host: if it is meant, add its host to "
                "STEPWELL_SUBSCRIPTION_HOSTS_ALLOWED"
            )
    if not card.subscription.startswith(f"{card.base_url}/Subscription/"):
        raise CardError("the subscription on the card is not one of that service")
    if not (refers_here or referred_to or FIGURES in shared | taken.kinds):
        raise CardError("say who refers: they to us, we to them, or both")
    refuse_unknown(shared, taken)
    if FIGURES in shared | taken.kinds and not card.figures_url:
        raise CardError("the card names no measurement service: figures cannot be exchanged by it")
    return Partner(
        tenant=tenant,
        name=name,
        title=card.title,
        base_url=card.base_url,
        notifications_url=card.notifications_url,
        issuer_url=card.issuer_url,
        client_id=card.client_id,
        organization_there=card.organization,
        subscription_there=card.subscription if referred_to else "",
        place_there=card.own_organization,
        refers_here=refers_here,
        referred_to=referred_to,
        shared=shared,
        keys=tuple(thumbprints(card.jwks)),
        taken_here=taken,
        taken_there=Terms(**{name: frozenset(values) for name, values in card.takes.items()}),
    )


def for_figures(card: Card, partner: Partner) -> Partner:
    """The same partner as our measurement service knows it: nothing but figures goes between these two."""
    return replace(
        partner,
        base_url=card.figures_url,
        client_id=card.figures_client_id,
        subscription_there="",
        refers_here=False,
        referred_to=False,
        keys=tuple(thumbprints(card.figures_jwks)),
    )


def refuse_unknown(shared: Collection[str], taken: Terms) -> None:
    """Raises CardError for what is nothing that can be agreed."""
    for what, said, known in (("shared", shared, SHARED), ("taken", taken.kinds, KINDS)):
        if unknown := sorted(set(said) - set(known)):
            raise CardError(f"{unknown[0]} is nothing that can be {what}: {', '.join(known)}")


def thumbprints(jwks: Mapping[str, Any]) -> list[str]:
    """The fingerprint of each usable public key (RFC 7638, SHA-256), so that two people can compare them aloud."""
    return sorted(key.thumbprint() for key in read_public_keys(jwks))
