"""The parties of these tests: one issuer, two tenants, their clients, and a clock that moves when told to."""

from dataclasses import dataclass
from typing import Any

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey
from stepwell_shared.auth.assertions import ASSERTION_TYPE
from stepwell_shared.auth.keys import SigningKey
from stepwell_shared.auth.scopes import Scopes

ISSUER = "https://stepwell.example/screening/auth"
TOKEN_URL = f"{ISSUER}/token"
SERVICES = [f"https://stepwell.example/{name}/fhir" for name in ("screening", "routing", "referral", "measurement")]
ROUTING = SERVICES[1]
NORTH = "north.ehr"
SOUTH = "south.ehr"
REGISTERED = Scopes.parse("system/Patient.rs system/Observation.cruds")
NOW = 1_800_000_000.0


def ec_key() -> ECKey:
    return ECKey.generate_key("P-384", {"use": "sig", "alg": "ES384"}, auto_kid=True)


@dataclass
class Clock:
    """Seconds since 1970 that pass only when a test says so."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now


def assertion_claims(client_id: str, jti: str = "first", **changed: Any) -> dict[str, Any]:
    claims = {"iss": client_id, "sub": client_id, "aud": TOKEN_URL, "exp": int(NOW) + 300, "jti": jti, **changed}
    return {name: value for name, value in claims.items() if value is not None}


def access_claims(tenant: str = "north", **changed: Any) -> dict[str, Any]:
    claims = {
        "iss": ISSUER,
        "sub": f"{tenant}.ehr",
        "client_id": f"{tenant}.ehr",
        "aud": SERVICES,
        "iat": int(NOW),
        "nbf": int(NOW),
        "exp": int(NOW) + 300,
        "jti": "token-1",
        "scope": "system/Observation.rs",
        "tenant": tenant,
        **changed,
    }
    return {name: value for name, value in claims.items() if value is not None}


def signed(claims: dict[str, Any], key: SigningKey, **header: Any) -> str:
    algorithm = "ES384" if isinstance(key, ECKey) else "RS384"
    return jwt.encode({"alg": algorithm, "kid": key.kid, **header}, claims, key, algorithms=[algorithm])


def token_form(assertion: str, scope: str = "system/Patient.rs", **changed: str) -> dict[str, str]:
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": assertion,
        "scope": scope,
    }
    return {**form, **changed}


async def ask(http: httpx.AsyncClient, assertion: str, scope: str = "system/Patient.rs") -> httpx.Response:
    return await http.post(TOKEN_URL, data=token_form(assertion, scope))
