"""The clients that may ask for tokens: kept in the issuer's database, each in its tenant, with its public keys."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from stepwell_shared.auth.keys import KeyFileError, read_public_keys
from stepwell_shared.auth.roles import ROLES_UNDER_CONSENT
from stepwell_shared.auth.scopes import Scopes
from stepwell_shared.database.pool import TENANT_PATTERN, Database

NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
PATIENT_REFERENCE = re.compile(r"(?:.*/)?Patient/([A-Za-z0-9.-]{1,64})")

_COLUMNS = "tenant, client_id, name, jwks, jwks_url, scopes, roles, fhir_user"
_FIND = f"SELECT {_COLUMNS} FROM client WHERE tenant = $1 AND client_id = $2"
_LIST = f"SELECT {_COLUMNS} FROM client WHERE tenant = $1 ORDER BY client_id"
_REGISTER = f"""INSERT INTO client ({_COLUMNS}, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (tenant, client_id) DO UPDATE SET name = excluded.name, jwks = excluded.jwks,
  jwks_url = excluded.jwks_url, scopes = excluded.scopes, roles = excluded.roles, fhir_user = excluded.fhir_user"""


class ClientError(Exception):
    """A client that cannot be registered as described; the message says why."""


@dataclass(frozen=True, slots=True)
class Client:
    """One registered client; its keys are written down here (`jwks`) or published by itself (`jwks_url`)."""

    client_id: str
    scopes: Scopes
    jwks: Mapping[str, Any] | None = None
    jwks_url: str | None = None
    roles: tuple[str, ...] = ()
    fhir_user: str | None = None

    @property
    def tenant(self) -> str:
        return self.client_id.partition(".")[0]

    @property
    def name(self) -> str:
        return self.client_id.partition(".")[2]

    @property
    def patient(self) -> str | None:
        """The patient's id when the person behind the client is a patient."""
        match = PATIENT_REFERENCE.fullmatch(self.fhir_user or "")
        return match.group(1) if match else None


def tenant_of(client_id: str) -> str | None:
    """The tenant that a well-formed `{tenant}.{name}` belongs to, else None."""
    tenant, dot, name = client_id.partition(".")
    return tenant if dot and TENANT_PATTERN.fullmatch(tenant) and NAME_PATTERN.fullmatch(name) else None


async def find_client(database: Database, client_id: str) -> Client | None:
    """The client, looked up inside its own tenant."""
    tenant = tenant_of(client_id)
    if tenant is None:
        return None
    async with database.transaction(tenant) as connection:
        row = await connection.fetchrow(_FIND, tenant, client_id)
    return None if row is None else _client(row)


async def list_clients(database: Database, tenant: str) -> list[Client]:
    """All clients of a tenant in the order of their names."""
    async with database.transaction(tenant) as connection:
        return [_client(row) for row in await connection.fetch(_LIST, tenant)]


async def register_client(database: Database, client: Client, now: datetime) -> None:
    """Adds the client, or gives the one of this id new keys and scopes. Raises ClientError."""
    _check(client)
    jwks = None if client.jwks is None else json.dumps(client.jwks)
    row = (client.name, jwks, client.jwks_url, str(client.scopes), " ".join(client.roles), client.fhir_user, now)
    async with database.transaction(client.tenant) as connection:
        await connection.execute(_REGISTER, client.tenant, client.client_id, *row)


async def remove_client(database: Database, client_id: str) -> bool:
    """Whether there was one; tokens it already has live until they expire."""
    tenant = tenant_of(client_id)
    if tenant is None:
        return False
    async with database.transaction(tenant) as connection:
        status: str = await connection.execute(
            "DELETE FROM client WHERE tenant = $1 AND client_id = $2", tenant, client_id
        )
    return status != "DELETE 0"


def _check(client: Client) -> None:
    if tenant_of(client.client_id) is None:
        raise ClientError(f"'{client.client_id}' is not TENANT.NAME of lower-case letters, digits and hyphens")
    if (client.jwks is None) == (client.jwks_url is None):
        raise ClientError("a client has either a JWK set or the URL of one")
    if not client.scopes.scopes:
        raise ClientError("a client needs at least one role or scope")
    contexts = {scope.context for scope in client.scopes}
    if "user" in contexts and client.fhir_user is None:
        raise ClientError("user/ scopes act for a person: say who, such as Practitioner/x")
    if "patient" in contexts and client.patient is None:
        raise ClientError("patient/ scopes are bound to one patient: say whom, such as Patient/x")
    for role in client.roles:
        kind = ROLES_UNDER_CONSENT.get(role)
        if kind is not None and f"/{client.fhir_user}".split("/")[-2:-1] != [kind]:
            raise ClientError(f"the role {role} acts under Consents: say for whom, such as {kind}/x")
    if client.jwks is not None:
        try:
            usable = read_public_keys(client.jwks)
        except KeyFileError as error:
            raise ClientError(str(error)) from error
        if not usable:
            raise ClientError("the JWK set holds no key that can be used: EC P-384, or RSA of 2048 bits or more")


def _client(row: asyncpg.Record) -> Client:
    return Client(
        client_id=row["client_id"],
        scopes=Scopes.parse(row["scopes"]),
        jwks=None if row["jwks"] is None else json.loads(row["jwks"]),
        jwks_url=row["jwks_url"],
        roles=tuple(row["roles"].split()),
        fhir_user=row["fhir_user"],
    )
