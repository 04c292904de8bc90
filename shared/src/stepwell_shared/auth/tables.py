"""What the locks keep in each service's database: tenants, clients, used assertions, the issuer's keys, the audit."""

from datetime import datetime
from typing import ClassVar

from sqlalchemy import BigInteger, CheckConstraint, Column, Identity, Index, Integer, SmallInteger, text
from sqlalchemy.dialects.postgresql import BYTEA
from sqlmodel import Field, SQLModel

from stepwell_shared.auth.audit import AUDIT_TABLE
from stepwell_shared.database.columns import moment_column, text_column
from stepwell_shared.database.functions import APPEND_ONLY


class Tenant(SQLModel, table=True):
    """The tenants that exist; a list of names, the same in each service's database."""

    __tablename__: ClassVar[str] = "tenant"

    id: str = Field(sa_column=text_column(key=True))
    created_at: datetime = Field(sa_column=moment_column())


class Client(SQLModel, table=True):
    """Who may ask the issuer for tokens. `client_id` is `{tenant}.{name}`; scopes and roles are blank-separated."""

    __tablename__: ClassVar[str] = "client"
    __table_args__ = (CheckConstraint("num_nonnulls(jwks, jwks_url) = 1", name="client_has_one_source_of_keys"),)

    tenant: str = Field(sa_column=text_column(key=True))
    client_id: str = Field(sa_column=text_column(key=True))
    name: str = Field(sa_column=text_column())
    jwks: str | None = Field(sa_column=text_column(optional=True))
    jwks_url: str | None = Field(sa_column=text_column(optional=True))
    scopes: str = Field(sa_column=text_column())
    roles: str = Field(sa_column=text_column())
    fhir_user: str | None = Field(sa_column=text_column(optional=True))
    created_at: datetime = Field(sa_column=moment_column())


class AssertionSeen(SQLModel, table=True):
    """Assertions that were used, until they expire anyway: the key makes a second use fail on every replica."""

    __tablename__: ClassVar[str] = "assertion_seen"
    __table_args__ = (Index("assertion_seen_expiry", "tenant", "expires_at"),)

    tenant: str = Field(sa_column=text_column(key=True))
    client_id: str = Field(sa_column=text_column(key=True))
    jti_digest: bytes = Field(sa_column=Column(BYTEA, primary_key=True))
    expires_at: datetime = Field(sa_column=moment_column())


class IssuerKeySet(SQLModel, table=True):
    """The issuer's public keys as last fetched, so that tokens are verified while the issuer is away."""

    __tablename__: ClassVar[str] = "issuer_key_set"

    issuer: str = Field(sa_column=text_column(key=True))
    jwks: str = Field(sa_column=text_column())
    fetched_at: datetime = Field(sa_column=moment_column())


class Audit(SQLModel, table=True):
    """One row per access. It names types and ids and never a query, a name or an answer.

    Effects fill the columns in this order without tenant and id: recorded, action, interaction,
    resource_type, resource_id, client_id, token_id, request_id, status, fhir_user.
    """

    __tablename__: ClassVar[str] = AUDIT_TABLE
    __table_args__ = (
        # The newest first, as they are looked at.
        Index("audit_recorded", "tenant", text("recorded DESC NULLS LAST")),
        {"info": {APPEND_ONLY: True}},
    )

    tenant: str = Field(sa_column=text_column(key=True))
    id: int = Field(sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    recorded: datetime = Field(sa_column=moment_column())
    action: str = Field(sa_column=text_column())
    interaction: str = Field(sa_column=text_column())
    resource_type: str | None = Field(sa_column=text_column(optional=True))
    resource_id: str | None = Field(sa_column=text_column(optional=True))
    client_id: str = Field(sa_column=text_column())
    token_id: str = Field(sa_column=text_column())
    request_id: str = Field(sa_column=text_column())
    status: int = Field(sa_column=Column(SmallInteger, nullable=False))
    fhir_user: str | None = Field(sa_column=text_column(optional=True))


class AuditSeal(SQLModel, table=True):
    """One link of a tenant's chain over its audit: a digest over the entries up to `last_id` and the link before.

    An entry that was changed, removed or put in afterwards no longer fits the digest (`audit_chain.py`).
    """

    __tablename__: ClassVar[str] = "audit_seal"
    __table_args__ = ({"info": {APPEND_ONLY: True}},)

    tenant: str = Field(sa_column=text_column(key=True))
    number: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    last_id: int = Field(sa_column=Column(BigInteger, nullable=False))
    entries: int = Field(sa_column=Column(Integer, nullable=False))
    digest: bytes = Field(sa_column=Column(BYTEA, nullable=False))
    sealed_at: datetime = Field(sa_column=moment_column())
