"""Promises of pairing: what is no card, what may not be called, and how much a partner may do."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from stepwell_shared.auth.clients import Client
from stepwell_shared.auth.issuer import Issuer
from stepwell_shared.auth.key_ring import FixedKeys
from stepwell_shared.auth.keys import public_key_set
from stepwell_shared.auth.roles import PARTNER_ROLE
from stepwell_shared.auth.scopes import Scopes
from stepwell_shared.events.endpoints import EndpointPolicy
from stepwell_shared.federation.cards import CardError, partner_of, read_card, write_card
from stepwell_shared.federation.partners import figures_scopes, partner_scopes
from stepwell_shared.federation.terms import FIGURES, Terms

from tests.shared.federation.pairs import HUB_URL, OUR_URL, hub, hub_card, signing_key

PUBLIC = EndpointPolicy()
AGREED: dict[str, Any] = {"refers_here": False, "referred_to": True, "shared": frozenset()}


def written(**changed: Any) -> bytes:
    """The hub's card with other members."""
    return orjson.dumps({**orjson.loads(write_card(hub_card())), **changed})


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b'{"title": "x"}',
        b"{" * 100_000,
        written(base_url=7),
        written(jwks={"keys": []}),
        written(jwks={"keys": [signing_key().as_dict(private=True)]}),
        written(client_id="no tenant"),
        written(organization="Patient/1"),
        written(own_organization="https://elsewhere.example/Organization/1"),
        written(takes={"everything": []}),
        written(figures_url=HUB_URL, figures_client_id="hub.figures-practice"),
        written(figures_url=HUB_URL, figures_jwks=public_key_set([signing_key()])),
    ],
    ids=[
        "empty",
        "list",
        "partial",
        "long",
        "type",
        "no-keys",
        "private-key",
        "client",
        "organization",
        "own",
        "takes",
        "figures-keys",
        "figures-client",
    ],
)
def test_what_is_no_card_is_refused(text: bytes) -> None:
    with pytest.raises(CardError):
        read_card(text)


@pytest.mark.parametrize("member", ["base_url", "notifications_url", "issuer_url", "subscription", "figures_url"])
@pytest.mark.parametrize("url", ["http://hub.example.org/x", "https://10.0.0.1/x", "https://localhost/x", "file:///x"])
def test_an_address_inside_somebodys_network_is_refused_unless_it_is_configured(member: str, url: str) -> None:
    changed: dict[str, Any] = {member: url}
    card = replace(hub_card(), **changed)
    with pytest.raises(CardError, match="SUBSCRIPTION_HOSTS_ALLOWED"):
        partner_of(card, "north", "hub", endpoints=PUBLIC, **AGREED)


def test_a_configured_host_may_be_private() -> None:
    card = hub_card(base_url="http://10.0.0.1:8003/referral/fhir", issuer_url="http://10.0.0.1:8001/screening/auth")
    endpoints = EndpointPolicy(["10.0.0.1"])
    assert partner_of(card, "north", "hub", endpoints=endpoints, **AGREED).base_url == card.base_url


def test_a_subscription_of_somebody_else_is_refused() -> None:
    card = replace(hub_card(), subscription="https://other.example.org/referral/fhir/Subscription/1")
    with pytest.raises(CardError):
        partner_of(card, "north", "hub", endpoints=PUBLIC, **AGREED)


@pytest.mark.parametrize("changed", [{"referred_to": False}, {"shared": frozenset({"everything"})}])
def test_an_agreement_says_who_refers_and_what_is_shared(changed: dict[str, Any]) -> None:
    with pytest.raises(CardError):
        partner_of(hub_card(), "north", "hub", endpoints=PUBLIC, **{**AGREED, **changed})


def test_a_card_is_read_as_it_was_written_and_holds_no_secret() -> None:
    key = signing_key()
    card = hub_card(jwks=public_key_set([key]))
    text = write_card(card)
    assert read_card(text) == card
    assert str(key.as_dict(private=True)["d"]).encode() not in text


def granted(scopes: Scopes) -> dict[str, list[str]]:
    """Types with the filters of what may be done with them; no filter is everything."""
    return {each.resource_type: [each.letters, each.query] for each in scopes}


def test_who_refers_to_us_reaches_its_own_and_nothing_else() -> None:
    scopes = partner_scopes(hub(refers_here=True, referred_to=False), OUR_URL)
    found = granted(scopes)
    assert {name for name, (_, query) in found.items() if not query} == {"HealthcareService"}
    assert found["Task"] == found["ServiceRequest"] == ["crs", "requester=Organization/partner-hub"]
    assert found["Patient"] == ["crs", "organization=Organization/partner-hub"]
    assert found["Subscription"][0] == "r"
    assert not scopes.permits("Bundle", "create")


def test_who_we_refer_to_may_tell_us_and_read_nothing() -> None:
    assert granted(partner_scopes(hub(), OUR_URL)) == {"Bundle": ["c", ""]}


def test_who_gives_us_figures_writes_its_own_reports_and_reads_nothing() -> None:
    taken = hub(taken_here=Terms(frozenset({FIGURES})))
    assert granted(figures_scopes(taken)) == {"MeasureReport": ["u", "reporter=Organization/partner-hub"]}
    assert granted(figures_scopes(hub(refers_here=True))) == {}
    assert "MeasureReport" not in granted(partner_scopes(taken, OUR_URL))


def test_a_partners_token_opens_the_service_that_exchanges_alone() -> None:
    partner = hub()
    client = Client(partner.client_here, partner_scopes(partner, OUR_URL), jwks={"keys": []}, roles=(PARTNER_ROLE,))
    issuer = Issuer(
        url="https://practice.example.org/screening/auth",
        keys=FixedKeys([]),
        audiences=[OUR_URL, "https://practice.example.org/screening/fhir"],
        database=None,  # type: ignore[arg-type]  # nothing is looked up
        client_keys=None,  # type: ignore[arg-type]  # nothing is verified
        audiences_by_role={PARTNER_ROLE: [OUR_URL]},
    )
    assert issuer.audiences_of(client) == [OUR_URL]
    assert issuer.audiences_of(replace(client, roles=("service",))) == issuer.audiences
