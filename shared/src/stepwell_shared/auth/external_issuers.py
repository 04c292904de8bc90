"""The issuers of others whose tokens are taken, as data: a JSON file that a setting names (docs/sign-in.md).

Nothing here is guessed: an issuer that is not in the file is refused, and so is what its entry does not spell out.
"""

import json
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from stepwell_shared.auth.keys import ALGORITHMS, FOREIGN_ALGORITHMS
from stepwell_shared.auth.roles import FIGURES_ROLE, PARTNER_ROLE, ROLES
from stepwell_shared.auth.scopes import ScopeError, Scopes
from stepwell_shared.database.pool import TENANT_PATTERN

# Roles that a token of somebody else never has: one of our own services, and a partner whose keys we registered.
OWN_ROLES: Final = frozenset({"service", PARTNER_ROLE, FIGURES_ROLE})
FOREIGN_ROLES: Final = tuple(each for each in ROLES if each not in OWN_ROLES)
ROLE_PREFIX: Final = "role:"


class IssuersFileError(Exception):
    """A file of issuers that cannot be used; the message says where and why."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class IntrospectionSetting(_Entry):
    """Where an issuer says whether a token is good (RFC 7662), and as whom we ask."""

    url: str
    client_id: str
    secret_file: Path | None = None  # a shared secret, sent as HTTP Basic
    key_file: Path | None = None  # a private JWK, with which an assertion is signed
    assertion_audience: str | None = None  # `aud` of that assertion; else the URL itself
    seconds_kept_max: float = Field(default=30.0, gt=0, le=300)
    seconds_max: float = Field(default=3.0, gt=0, le=10)

    @model_validator(mode="after")
    def _has_one_secret(self) -> Self:
        if (self.secret_file is None) == (self.key_file is None):
            raise ValueError("give either secret_file or key_file")
        return self


class ExternalIssuer(_Entry):
    """One issuer: how its tokens are proved, and which of their claims mean what to us."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
    issuer: str
    jwks_url: str | None = None
    introspection: IntrospectionSetting | None = None
    network: Literal["public", "private"] = "public"
    algorithms: tuple[str, ...] = tuple(ALGORITHMS)
    audiences: tuple[str, ...] = ()  # none: the base URL of the service that is called
    any_audience: bool = False  # for an introspection endpoint that names none, and answers for our tokens alone
    opaque: bool = False  # tokens that do not say who issued them are asked about here
    requires: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    tenant: str | None = None
    tenant_claim: str | None = None
    tenants: dict[str, str] = Field(default_factory=dict)
    client_claims: tuple[str, ...] = ("client_id", "azp", "appid")
    token_id_claims: tuple[str, ...] = ("jti", "uti")
    scope_claims: tuple[str, ...] = ("scope",)
    scopes: dict[str, str] = Field(default_factory=dict)
    at_most: str | None = None
    role_claims: tuple[str, ...] = ()
    roles: dict[str, str] = Field(default_factory=dict)
    fhir_user_claim: str = "fhirUser"
    patient_claim: str = "patient"

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if (self.jwks_url is None) == (self.introspection is None):
            raise ValueError("give either jwks_url or introspection")
        if self.introspection is None and (self.opaque or self.any_audience):
            raise ValueError("opaque and any_audience are for introspection")
        if unknown := set(self.algorithms) - FOREIGN_ALGORITHMS.keys():
            raise ValueError(f"algorithms: {sorted(unknown)} is none of {', '.join(FOREIGN_ALGORITHMS)}")
        if (self.tenant is None) == (self.tenant_claim is None) or bool(self.tenants) != (self.tenant is None):
            raise ValueError("give either tenant, or tenant_claim with the tenants that its values stand for")
        if wrong := [each for each in self.tenants_possible if not TENANT_PATTERN.fullmatch(each)]:
            raise ValueError(f"'{wrong[0]}' is no name of a tenant")
        if wrong := [each for each in self.roles.values() if each not in FOREIGN_ROLES]:
            raise ValueError(f"roles: '{wrong[0]}' is none of {', '.join(FOREIGN_ROLES)}")
        for text in (*self.scopes.values(), self.at_most or ""):
            granted_by(text)
        return self

    @property
    def tenants_possible(self) -> tuple[str, ...]:
        return (self.tenant,) if self.tenant is not None else tuple(self.tenants.values())


def granted_by(text: str) -> Scopes:
    """The scopes of a text in which `role:clinician` stands for those of a role. Raises ValueError."""
    found = []
    for word in text.split():
        role = word.removeprefix(ROLE_PREFIX)
        if role == word:
            found.append(word)
        elif role in FOREIGN_ROLES:
            found.append(str(ROLES[role]))
        else:
            raise ValueError(f"there is no role {role}")
    try:
        return Scopes.parse(" ".join(found))
    except ScopeError as error:
        raise ValueError(str(error)) from error


class _File(_Entry):
    issuers: tuple[ExternalIssuer, ...]

    @model_validator(mode="after")
    def _are_distinct(self) -> Self:
        for told, values in (
            ("name", [each.name for each in self.issuers]),
            ("issuer", [each.issuer.rstrip("/") for each in self.issuers]),
        ):
            if len(set(values)) != len(values):
                raise ValueError(f"two issuers have the same {told}")
        if sum(each.opaque for each in self.issuers) > 1:
            raise ValueError("one issuer at most is asked about tokens that do not say who issued them")
        return self


def read_external_issuers(path: Path | None) -> tuple[ExternalIssuer, ...]:
    """The issuers of the file; none without a file. Raises IssuersFileError."""
    if path is None:
        return ()
    try:
        return _File.model_validate(json.loads(path.read_bytes())).issuers
    except OSError as error:
        raise IssuersFileError(f"The file of issuers {path} cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise IssuersFileError(f"The file of issuers {path} cannot be used: {told}.") from error
    except ValueError as error:
        raise IssuersFileError(f"The file of issuers {path} is not JSON.") from error
