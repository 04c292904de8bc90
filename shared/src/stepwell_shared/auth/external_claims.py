"""From the claims of another issuer's token to a Caller, by the mapping of its setting. Pure: no clock, no network."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

from stepwell_shared.auth.caller import Caller
from stepwell_shared.auth.external_issuers import ExternalIssuer, granted_by
from stepwell_shared.auth.scopes import Scopes
from stepwell_shared.auth.signatures import SignatureRefusedError, moment, names

LEEWAY_SECONDS: Final = 60
WORDS_MAX: Final = 500
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_FHIR_USER = re.compile(r"[!-~]{1,512}")
_NAME = re.compile(r"[!-~]{1,256}")

Claims = Mapping[str, Any]


def check_external_claims(issuer: ExternalIssuer, claims: Claims, audience: str, now: float) -> float | None:
    """When proved claims end, in seconds since 1970; None where an introspection does not say.

    `audience` is the base URL of the service that was called. Raises SignatureRefusedError.
    """
    wanted = issuer.audiences or (audience,)
    if not issuer.any_audience and not any(names(claims.get("aud"), each) for each in wanted):
        raise SignatureRefusedError("the token is meant for another service")
    expires_at = moment(claims, "exp")
    if expires_at is None and issuer.introspection is None:
        raise SignatureRefusedError("the token never expires")
    if expires_at is not None and now >= expires_at + LEEWAY_SECONDS:
        raise SignatureRefusedError("the token has expired")
    if any((moment(claims, name) or 0) > now + LEEWAY_SECONDS for name in ("nbf", "iat")):
        raise SignatureRefusedError("the token is not valid yet")
    for name, values in issuer.requires.items():
        if not set(words(claims, name)) & set(values):
            raise SignatureRefusedError(f"the claim {name} is not one that is taken here")
    return expires_at


def external_caller(issuer: ExternalIssuer, claims: Claims, token: str) -> Caller:
    """Who a proved token stands for. Raises SignatureRefusedError when that is nobody whom the setting knows.

    The client is named `{issuer}:{client}`, which no client of ours can be. `user/` scopes of somebody who does not
    say who it is grant nothing, as a patient's grant nothing without a patient.
    """
    fhir_user = _one(claims, (issuer.fhir_user_claim,), _FHIR_USER)
    patient = _one(claims, (issuer.patient_claim,), _ID)
    if patient is None and words(claims, issuer.patient_claim):
        raise SignatureRefusedError("the patient of the token is no id")
    client = _one(claims, issuer.client_claims, _NAME) or _one(claims, ("sub",), _NAME)
    if client is None:
        raise SignatureRefusedError("the token names no client")
    token_id = _one(claims, issuer.token_id_claims, _NAME) or hashlib.sha256(token.encode()).hexdigest()[:32]
    roles = (issuer.roles.get(word) for name in issuer.role_claims for word in words(claims, name))
    return Caller(
        tenant=_tenant(issuer, claims),
        client_id=f"{issuer.name}:{client}",
        scopes=_scopes(issuer, claims, named=fhir_user is not None),
        token_id=f"{issuer.name}:{token_id}",
        roles=tuple(dict.fromkeys(role for role in roles if role)),
        fhir_user=fhir_user,
        patient=patient,
    )


def words(claims: Claims, name: str) -> tuple[str, ...]:
    """The values of a claim, given as a list or as one text with blanks; `realm_access.roles` looks inside."""
    value: object = claims.get(name)
    if value is None and "." in name:
        value = claims
        for step in name.split("."):
            value = value.get(step) if isinstance(value, Mapping) else None
    if isinstance(value, str):
        return tuple(value.split()[:WORDS_MAX])
    if isinstance(value, list):
        return tuple(each for each in value[:WORDS_MAX] if isinstance(each, str))
    return ()


def _tenant(issuer: ExternalIssuer, claims: Claims) -> str:
    if issuer.tenant is not None:
        return issuer.tenant
    found = {issuer.tenants[word] for word in words(claims, str(issuer.tenant_claim)) if word in issuer.tenants}
    if len(found) != 1:
        raise SignatureRefusedError("the token names no tenant that is known here")
    return found.pop()


def _scopes(issuer: ExternalIssuer, claims: Claims, *, named: bool) -> Scopes:
    """What the token grants: its SMART scopes, and what the setting says of its other words."""
    told = [word for name in issuer.scope_claims for word in words(claims, name)]
    mapped = [scope for word in told if word in issuer.scopes for scope in granted_by(issuer.scopes[word])]
    plain = Scopes.understood(" ".join(word for word in told if word not in issuer.scopes))
    scopes = Scopes(tuple(dict.fromkeys((*mapped, *plain))))
    if issuer.at_most is not None:
        scopes = granted_by(issuer.at_most).intersection(scopes)
    return Scopes(tuple(scope for scope in scopes if named or scope.context != "user"))


def _one(claims: Claims, claim_names: tuple[str, ...], pattern: re.Pattern[str]) -> str | None:
    """The only value of the first of these claims that has one of this form."""
    for name in claim_names:
        values = words(claims, name)
        if len(values) == 1 and pattern.fullmatch(values[0]):
            return values[0]
    return None
