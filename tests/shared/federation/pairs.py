"""A partner, its key and its card, as tests of the exchange need them."""

from typing import Any

from joserfc.jwk import ECKey
from stepwell_shared.auth.keys import SigningKey, public_key_set
from stepwell_shared.federation.cards import Card, card_for
from stepwell_shared.federation.partners import Partner

HUB_URL = "https://hub.example.org/referral/fhir"
OUR_URL = "https://practice.example.org/referral/fhir"


def signing_key() -> SigningKey:
    """A new private key."""
    return ECKey.generate_key("P-384", {"use": "sig", "alg": "ES384"}, auto_kid=True)


def hub_card(**changed: Any) -> Card:
    """What a hub hands to a practice that it calls `practice`."""
    given: dict[str, Any] = {
        "title": "The hub",
        "base_url": HUB_URL,
        "issuer_url": "https://hub.example.org/screening/auth",
        "jwks": public_key_set([signing_key()]),
    }
    return card_for("hub", "practice", **{**given, **changed})


def hub(**changed: Any) -> Partner:
    """The hub as the tenant `north` of a practice knows it."""
    given: dict[str, Any] = {
        "tenant": "north",
        "name": "hub",
        "title": "The hub",
        "base_url": HUB_URL,
        "notifications_url": "https://hub.example.org/referral/partners/notifications",
        "issuer_url": "https://hub.example.org/screening/auth",
        "client_id": "hub.partner-practice",
        "organization_there": "Organization/partner-practice",
        "subscription_there": f"{HUB_URL}/Subscription/s1",
        "place_there": "Organization/default-organization",
        "refers_here": False,
        "referred_to": True,
        "shared": frozenset({"contact", "reasons"}),
    }
    return Partner(**{**given, **changed})
