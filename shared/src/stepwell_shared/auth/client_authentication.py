"""A client proves who it is at one of the issuer's endpoints: private_key_jwt and nothing else.

SMART App Launch 2.2, "Client Authentication: Asymmetric"; RFC 7523.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from stepwell_shared.auth.assertions import ASSERTION_TYPE, check_assertion_claims, remember_assertion
from stepwell_shared.auth.client_keys import ClientKeys
from stepwell_shared.auth.clients import Client, find_client, tenant_of
from stepwell_shared.auth.fetching import FetchError
from stepwell_shared.auth.keys import SigningKey
from stepwell_shared.auth.limits import Attempt, ClientLimits, TooManyError
from stepwell_shared.auth.signatures import SignatureRefusedError, Unverified, read_unverified, verify
from stepwell_shared.database.pool import UNAVAILABLE_ERRORS, Database

STATUS: Final[Mapping[str, int]] = {
    "invalid_request": 400,
    "invalid_client": 401,
    "invalid_scope": 400,
    "unsupported_grant_type": 400,
    "unauthorized_client": 400,
    "slow_down": 429,
}


class OAuthError(Exception):
    """A refused request: an error code of RFC 6749 section 5.2 or its kin, and a sentence for the integrator.

    `client` is the registered one that the request named, proved or not, once it was looked up.
    """

    def __init__(
        self, code: str, description: str, retry_after_seconds: int | None = None, client: Client | None = None
    ) -> None:
        self.client = client
        self.code = code
        self.description = description
        self.retry_after_seconds = retry_after_seconds
        super().__init__(f"{code}: {description}")

    @property
    def status(self) -> int:
        return STATUS[self.code]


async def authenticate_client(
    form: Mapping[str, str],
    *,
    audiences: Sequence[str],
    database: Database,
    client_keys: ClientKeys,
    limits: ClientLimits,
    address: str,
    now: float,
) -> Client:
    """The client that signed the form's assertion, which from then on is used up.

    `audiences` are the URLs that the assertion may be meant for, the one to recommend first; `address` is where the
    request came from. Raises OAuthError.
    """
    if required(form, "client_assertion_type") != ASSERTION_TYPE:
        raise OAuthError("invalid_request", f"client_assertion_type must be {ASSERTION_TYPE}")
    assertion = required(form, "client_assertion")
    try:
        unverified = _read(assertion)
    except SignatureRefusedError as error:
        _let_in(limits, address, "", now)
        raise OAuthError("invalid_client", str(error)) from error
    client_id = unverified.claims.get("iss")
    claimed = client_id if isinstance(client_id, str) and tenant_of(client_id) else ""
    attempt = _let_in(limits, address, claimed, now)
    client = None
    try:
        client = await _registered(database, claimed, form.get("client_id"))
        claims = verify(assertion, unverified, await _key(client_keys, client, unverified))
        checked = check_assertion_claims(claims, client.client_id, audiences, now)
        await remember_assertion(database, client.tenant, client.client_id, checked, now)
    except (SignatureRefusedError, FetchError) as error:
        raise OAuthError("invalid_client", str(error), client=client) from error
    except UNAVAILABLE_ERRORS:
        limits.give_back(attempt)
        raise
    limits.succeeded(attempt)
    return client


def _read(assertion: str) -> Unverified:
    unverified = read_unverified(assertion)
    if unverified.header.get("typ", "JWT") != "JWT":
        raise SignatureRefusedError("typ in the header must be JWT")
    return unverified


def _let_in(limits: ClientLimits, address: str, client_id: str, now: float) -> Attempt:
    try:
        return limits.begin(address, client_id, now)
    except TooManyError as error:
        raise OAuthError("slow_down", f"too many requests: {error}", error.seconds) from error


async def _registered(database: Database, client_id: str, named: str | None) -> Client:
    client = await find_client(database, client_id)
    if client is None or named not in (None, client.client_id):
        raise SignatureRefusedError("iss is not a client that is registered here")
    return client


async def _key(client_keys: ClientKeys, client: Client, unverified: Unverified) -> SigningKey:
    key_url = unverified.header.get("jku")
    if key_url is not None and key_url != client.jwks_url:
        raise SignatureRefusedError("jku is not the URL that is registered for this client")
    key = await client_keys.find(client, unverified.key_id, unverified.algorithm)
    if key is None:
        raise SignatureRefusedError("the client has no key, or more than one, of this kid and algorithm")
    return key


def required(form: Mapping[str, str], name: str) -> str:
    """A field that must be there. Raises OAuthError."""
    value = form.get(name, "")
    if not value:
        raise OAuthError("invalid_request", f"{name} is missing")
    return value
