"""`stepwell client`, `sign-out`, `token` and `key`: who may come in, at the terminal.

Addresses and databases come from the environment or from `stepwell.env` in the folder STEPWELL_HOME.
"""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from pydantic import Field, SecretStr
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from stepwell_shared.auth import tenants
from stepwell_shared.auth.clients import (
    Client,
    ClientError,
    find_client,
    list_clients,
    register_client,
    remove_client,
    tenant_of,
)
from stepwell_shared.auth.ended_rights import end_rights
from stepwell_shared.auth.key_ring import rotate as rotate_keys
from stepwell_shared.auth.keys import (
    KeyFileError,
    load_private_key,
    load_private_keys,
    make_private_key,
    new_private_key,
    public_key_set,
)
from stepwell_shared.auth.roles import ROLES
from stepwell_shared.auth.scopes import ScopeError, Scopes
from stepwell_shared.auth.service_tokens import TokenRequestError, request_token, service_client_id
from stepwell_shared.cli.errors import SetupError, database_told_plainly, fail
from stepwell_shared.database.pool import TENANT_PATTERN, UNAVAILABLE_ERRORS, Database
from stepwell_shared.http_client import http_client
from stepwell_shared.settings import SERVICES


class AccessSettings(BaseSettings):
    """Where this terminal finds the suite. Each command names what it needs and does not have."""

    model_config = SettingsConfigDict(env_prefix="STEPWELL_", extra="ignore", frozen=True)

    home: Path = Field(default=Path(".stepwell"), description="folder with stepwell.env and keys/")
    issuer_url: str | None = Field(default=None, description="base URL of the token issuer")
    issuer_database_url: SecretStr | None = Field(default=None, description="the issuer's; else screening's")
    screening_database_url: SecretStr | None = Field(default=None, description="with the runtime login, as all of them")
    routing_database_url: SecretStr | None = None
    referral_database_url: SecretStr | None = None
    measurement_database_url: SecretStr | None = None
    screening_url: str | None = Field(default=None, description="public base URL of screening")
    routing_url: str | None = None
    referral_url: str | None = None
    measurement_url: str | None = None
    subscription_hosts_allowed: tuple[str, ...] = Field(default=(), description="as the services have it")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment, and behind it the file `stepwell.env` of the folder that the environment names."""
        home = Path(os.environ.get("STEPWELL_HOME", ".stepwell"))
        return init_settings, env_settings, DotEnvSettingsSource(settings_cls, env_file=home / "stepwell.env")

    def text(self, name: str) -> str:
        """A setting that a command cannot do without. Raises SetupError."""
        value = getattr(self, name)
        if not value:
            where = self.home / "stepwell.env"
            raise SetupError(f"STEPWELL_{name.upper()} is not set: start the suite once, or set it here or in {where}.")
        return str(value.get_secret_value() if isinstance(value, SecretStr) else value)

    def key_file(self, name: str) -> Path:
        """Where the private key of a client is kept on this machine."""
        return self.home / "keys" / f"{name}.jwk"

    @property
    def issuer_database(self) -> str:
        return self.text("issuer_database_url" if self.issuer_database_url else "screening_database_url")


@dataclass(frozen=True)
class Deployment:
    """What a hook of `stepwell tenant add` gets: the open databases and the public base URLs by service name."""

    databases: Mapping[str, Database]
    urls: Mapping[str, str]


Answer = TypeVar("Answer")
TenantHook = Callable[[Deployment, str], Awaitable[None]]


async def add_tenant(settings: AccessSettings, tenant: str, hooks: Sequence[TenantHook] = ()) -> None:
    """Makes the tenant in every service, its four service clients at the issuer, and what the hooks add.

    Doing it again repairs what is missing and takes new service keys. Raises SetupError and KeyFileError.
    """
    if not TENANT_PATTERN.fullmatch(tenant):
        raise SetupError(f"'{tenant}' is no name for a tenant: use lower-case letters, digits and hyphens, at most 63.")
    keys = {service: _service_keys(settings, service) for service in SERVICES}
    urls = {service: settings.text(f"{service}_url").rstrip("/") for service in SERVICES}
    now = datetime.now(UTC)
    async with AsyncExitStack() as stack:
        databases = {
            service: await stack.enter_async_context(_database(settings.text(f"{service}_database_url")))
            for service in SERVICES
        }
        for database in databases.values():
            await tenants.add_tenant(database, tenant, now)
        issuer_database = await stack.enter_async_context(_database(settings.issuer_database))
        for service in SERVICES:
            name = service_client_id(tenant, service)
            client = Client(name, ROLES["service"], jwks=keys[service], roles=("service",))
            await register_client(issuer_database, client, now)
        for hook in hooks:
            await hook(Deployment(databases, urls), tenant)


async def add_client(settings: AccessSettings, client: Client, *, replace: bool = False) -> None:
    """Registers the client at the issuer. Raises SetupError and ClientError."""
    async with _database(settings.issuer_database) as database:
        known = await tenants.list_tenants(database)
        if client.tenant not in known:
            raise SetupError(f"There is no tenant {client.tenant}: run `stepwell tenant add {client.tenant}` first.")
        if not replace and await find_client(database, client.client_id):
            raise SetupError(f"The client {client.client_id} is already there: add --replace to change it.")
        await register_client(database, client, datetime.now(UTC))
    if replace:
        await sign_out(settings, client.tenant, client_id=client.client_id)


async def sign_out(settings: AccessSettings, tenant: str, *, client_id: str = "", person: str = "") -> None:
    """Ends the browser sessions of a client or a person in every service. Raises SetupError where it cannot."""
    for service in SERVICES:
        url = getattr(settings, f"{service}_database_url")
        if url is None:
            continue
        try:
            async with _database(url.get_secret_value()) as database:
                await end_rights(database, tenant, datetime.now(UTC), client_id=client_id, person=person)
        except UNAVAILABLE_ERRORS as error:
            text = f"The database of {service} does not answer: sessions there live on. Run it again."
            raise SetupError(text) from error


async def fetch_token(
    settings: AccessSettings, client_id: str, *, scope: str = "", key_file: Path | None = None
) -> str:
    """A bearer token for the client. Raises KeyFileError, SetupError and TokenRequestError."""
    key = load_private_key(key_file or settings.key_file(client_id))
    async with http_client() as http:
        issuer_url = settings.text("issuer_url")
        return (await request_token(http, issuer_url, client_id, key, scope=scope, now=time.time())).text


def add_access_commands(app: typer.Typer) -> None:
    """Adds the commands `client`, `sign-out`, `token` and `key`."""
    app.add_typer(_client_commands(), name="client", help="Clients: who may ask for tokens.")
    app.command("sign-out")(_sign_out)
    app.command("token")(_token)
    app.command("key")(_key)


def _client_commands() -> typer.Typer:
    commands = typer.Typer(no_args_is_help=True)

    @commands.command("add")
    def add(
        client_id: Annotated[str, typer.Argument(metavar="TENANT.NAME")],
        role: Annotated[list[str] | None, typer.Option(help=f"one of {', '.join(ROLES)}; repeatable")] = None,
        scope: Annotated[list[str] | None, typer.Option(help="SMART scopes; repeatable")] = None,
        jwks_file: Annotated[Path | None, typer.Option(help="the client's public JWK set")] = None,
        jwks_url: Annotated[str | None, typer.Option(help="https URL where the client publishes its JWK set")] = None,
        fhir_user: Annotated[str | None, typer.Option(help="who acts, such as Practitioner/x")] = None,
        replace: Annotated[bool, typer.Option("--replace", help="change a client that is already there")] = False,
    ) -> None:
        """Register a client and print what its integrator needs. Without keys, a key file is made here."""
        settings = AccessSettings()
        roles = tuple(role or ())
        run_plainly(_register(settings, client_id, roles, scope or [], jwks_file, jwks_url, fhir_user, replace=replace))

    @commands.command("list")
    def show(tenant: str) -> None:
        """List a tenant's clients with their scopes."""
        for client in run_plainly(on_issuer(lambda database: list_clients(database, tenant))):
            typer.echo(f"{client.client_id}  {' '.join(client.roles) or client.scopes}")

    @commands.command("keys")
    def keys(
        client_id: Annotated[str, typer.Argument(metavar="TENANT.NAME")],
        jwks_file: Annotated[Path | None, typer.Option(help="the client's public JWK set")] = None,
        jwks_url: Annotated[str | None, typer.Option(help="https URL where the client publishes its JWK set")] = None,
    ) -> None:
        """Take new keys of a client, and leave what it may do. Without options: those of its key file here."""
        run_plainly(_change_keys(AccessSettings(), client_id, jwks_file, jwks_url))
        typer.echo(f"The client {client_id} signs with its new keys.")

    @commands.command("remove")
    def remove(client_id: Annotated[str, typer.Argument(metavar="TENANT.NAME")]) -> None:
        """Remove a client: its browser sessions end at once, tokens that it already has within five minutes."""
        if not run_plainly(on_issuer(lambda database: remove_client(database, client_id))):
            fail(f"There is no client {client_id}.")
        run_plainly(sign_out(AccessSettings(), tenant_of(client_id) or "", client_id=client_id))
        typer.echo(f"The client {client_id} is removed.")

    return commands


def _token(
    client_id: Annotated[str, typer.Argument(metavar="TENANT.NAME")],
    scope: Annotated[list[str] | None, typer.Option(help="less than all that is registered; repeatable")] = None,
    key_file: Annotated[Path | None, typer.Option(help="the client's private key")] = None,
) -> None:
    """Print a bearer token that is good for five minutes: curl -H "Authorization: Bearer $(stepwell token ...)"."""
    typer.echo(run_plainly(fetch_token(AccessSettings(), client_id, scope=" ".join(scope or []), key_file=key_file)))


def _sign_out(
    tenant: Annotated[str, typer.Argument()],
    client: Annotated[str, typer.Option(help="TENANT.NAME, or issuer:name for one of another issuer")] = "",
    person: Annotated[str, typer.Option(help="who acts, as tokens name them: Practitioner/x")] = "",
) -> None:
    """End the browser sessions of a client or a person at once, in every service."""
    if bool(client) == bool(person):
        fail("Say whose: --client or --person.")
    run_plainly(sign_out(AccessSettings(), tenant, client_id=client, person=person))
    typer.echo(f"Sessions of {client or person} have ended.")


def _key(
    path: Annotated[Path, typer.Argument(metavar="FILE")],
    rotate: Annotated[bool, typer.Option("--rotate", help="put a new key beside those of FILE")] = False,
    at_once: Annotated[bool, typer.Option("--at-once", help="the old key got out: nothing waits for it")] = False,
) -> None:
    """Make a private key in FILE, or rotate the keys in it, and print their public JWK set."""

    async def make() -> str:
        if not rotate:
            return json.dumps(public_key_set([make_private_key(path)]))
        waits = {"wait_seconds": 0.0, "overlap_seconds": 0.0} if at_once else {}
        begins = rotate_keys(path, new_private_key(), time.time(), **waits)
        typer.echo(f"The new key signs from {datetime.fromtimestamp(begins, UTC):%Y-%m-%d %H:%M:%S} UTC on.", err=True)
        return json.dumps(public_key_set(load_private_keys(path)))

    typer.echo(run_plainly(make()))


async def _register(
    settings: AccessSettings,
    client_id: str,
    roles: tuple[str, ...],
    scope: Sequence[str],
    jwks_file: Path | None,
    jwks_url: str | None,
    fhir_user: str | None,
    *,
    replace: bool,
) -> None:
    unknown = [name for name in roles if name not in ROLES]
    if unknown:
        raise SetupError(f"There is no role {unknown[0]}: use {', '.join(ROLES)}.")
    if tenant_of(client_id) is None:
        raise SetupError(f"'{client_id}' is not TENANT.NAME of lower-case letters, digits and hyphens.")
    scopes = Scopes.parse(" ".join([*(str(ROLES[name]) for name in roles), *scope]))
    key_file = settings.key_file(client_id) if jwks_file is None and jwks_url is None else None
    if not scopes.scopes:
        raise SetupError("Say what the client may do: --role or --scope.")
    jwks = _client_key_set(key_file, jwks_file)
    client = Client(client_id, scopes, jwks=jwks, jwks_url=jwks_url, roles=roles, fhir_user=fhir_user)
    await add_client(settings, client, replace=replace)
    typer.echo(_introduction(settings, client, key_file))


async def _change_keys(settings: AccessSettings, client_id: str, jwks_file: Path | None, jwks_url: str | None) -> None:
    """Raises SetupError, KeyFileError and ClientError."""
    key_file = settings.key_file(client_id) if jwks_file is None and jwks_url is None else None
    if key_file is not None and not key_file.exists():
        raise SetupError(f"There is no key file {key_file}: give the new keys with --jwks-file or --jwks-url.")
    async with _database(settings.issuer_database) as database:
        client = await find_client(database, client_id)
        if client is None:
            raise SetupError(f"There is no client {client_id}.")
        changed = replace(client, jwks=_client_key_set(key_file, jwks_file), jwks_url=jwks_url)
        await register_client(database, changed, datetime.now(UTC))


def _client_key_set(key_file: Path | None, jwks_file: Path | None) -> Mapping[str, Any] | None:
    """The public keys to write down; a key of our own is made once and then kept."""
    if key_file is not None:
        keys = load_private_keys(key_file) if key_file.exists() else (make_private_key(key_file),)
        return public_key_set(keys)
    return None if jwks_file is None else _read_jwks(jwks_file)


def _introduction(settings: AccessSettings, client: Client, key_file: Path | None) -> str:
    """What an integrator needs to know."""
    issuer_url = settings.text("issuer_url").rstrip("/")
    keys = str(key_file) if key_file else client.jwks_url or "the private key of the JWK set that was given"
    lines = [
        f"client_id       {client.client_id}",
        f"token endpoint  {issuer_url}/token (client_credentials, private_key_jwt, ES384 or RS384)",
        f"key             {keys}",
        f"acts for        {client.fhir_user or 'itself'}",
        f"scopes          {client.scopes}",
        *(f"{service:<15} {settings.text(f'{service}_url')}" for service in SERVICES),
    ]
    if key_file:
        lines += ["", f"Try it: stepwell token {client.client_id}"]
    return "\n".join(lines)


def _service_keys(settings: AccessSettings, service: str) -> Mapping[str, Any]:
    """The public keys of a service: from `service-NAME.jwks`, or derived from its private key on this machine."""
    private = settings.key_file(f"service-{service}")
    public = private.with_suffix(".jwks")
    return _read_jwks(public) if public.exists() else public_key_set(load_private_keys(private))


def _read_jwks(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise SetupError(f"The key set {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise SetupError(f"The key set {path} is not JSON.") from error
    if not isinstance(content, dict):
        raise SetupError(f'The key set {path} is not an object such as {{"keys": [...]}}.')
    return content


@asynccontextmanager
async def _database(url: str) -> AsyncIterator[Database]:
    async with Database.open(url, connections_max=2) as database:
        yield database


async def on_issuer(ask: Callable[[Database], Awaitable[Answer]]) -> Answer:
    """What is found in the issuer's database. Raises SetupError where nobody said where it is."""
    async with _database(AccessSettings().issuer_database) as database:
        return await ask(database)


def run_plainly(work: Coroutine[Any, Any, Answer]) -> Answer:
    """The work's answer; what went wrong is one sentence on stderr and exit code 1."""
    with database_told_plainly(KeyFileError, ClientError, ScopeError, TokenRequestError):
        return asyncio.run(work)
