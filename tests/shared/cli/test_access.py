"""The terminal's commands for tenants, clients and tokens: one clear sentence when something is missing."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import typer
import uvicorn
from fastapi import FastAPI
from joserfc import jwt
from stepwell_shared.auth.client_keys import ClientKeys
from stepwell_shared.auth.clients import find_client, list_clients
from stepwell_shared.auth.ended_rights import rights_ended_at
from stepwell_shared.auth.endpoints import issuer_router
from stepwell_shared.auth.issuer import Issuer
from stepwell_shared.auth.key_ring import FixedKeys
from stepwell_shared.auth.keys import load_private_key, make_private_key, public_key_set
from stepwell_shared.auth.tenants import list_tenants
from stepwell_shared.cli.access import Deployment, add_access_commands
from stepwell_shared.cli.bootstrap import DatabaseUrls
from stepwell_shared.cli.tenants import add_tenant_commands
from stepwell_shared.database.pool import Database
from stepwell_shared.settings import SERVICES
from typer.testing import CliRunner, Result

from tests.shared.auth.databases import make_lock_tables
from tests.shared.auth.parties import ec_key
from tests.support.postgres import EMPTY

DatabaseOf = Callable[[str], Awaitable[DatabaseUrls]]
Command = Callable[..., Awaitable[Result]]


class Hook:
    """Stands for what events and services add to a new tenant."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, list[str], list[str]]] = []

    async def __call__(self, deployment: Deployment, tenant: str) -> None:
        for database in deployment.databases.values():
            assert tenant in await list_tenants(database)
        self.heard.append((tenant, list(deployment.databases), list(deployment.urls.values())))


@pytest.fixture
def hook() -> Hook:
    return Hook()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STEPWELL_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def stepwell(home: Path, hook: Hook) -> Command:
    """The command line, run in a thread because it has an event loop of its own."""
    app = typer.Typer()
    add_access_commands(app)
    add_tenant_commands(app, [hook])

    async def run(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, list(arguments))

    return run


@pytest.fixture
async def suite(home: Path, database_of: DatabaseOf) -> dict[str, DatabaseUrls]:
    """Four databases, four service keys, and the file that says where they are."""
    urls = {service: await database_of(EMPTY) for service in SERVICES}
    lines = ["STEPWELL_ISSUER_URL=http://127.0.0.1:9/screening/auth"]
    for service in SERVICES:
        await make_lock_tables(urls[service])
        make_private_key(home / "keys" / f"service-{service}.jwk")
        lines.append(f"STEPWELL_{service.upper()}_DATABASE_URL={urls[service].runtime}")
        lines.append(f"STEPWELL_{service.upper()}_URL=http://127.0.0.1:9/{service}/fhir")
    (home / "stepwell.env").write_text("\n".join(lines))
    return urls


@pytest.fixture
async def issuer_database(suite: dict[str, DatabaseUrls]) -> AsyncIterator[Database]:
    async with Database.open(suite["screening"].runtime, connections_max=2) as database:
        yield database


def says(result: Result, code: int, *words: str) -> bool:
    return (
        result.exit_code == code and all(word in result.output for word in words) and "Traceback" not in result.output
    )


async def test_a_missing_setting_is_named_with_where_to_set_it(stepwell: Command, home: Path) -> None:
    result = await stepwell("tenant", "list")
    assert says(result, 1, "STEPWELL_SCREENING_DATABASE_URL is not set", str(home / "stepwell.env"))


@pytest.mark.parametrize("name", ["North", "north.a", "", "n" * 64, "../north"])
async def test_a_tenant_of_an_unfit_name_is_refused(stepwell: Command, name: str) -> None:
    assert says(await stepwell("tenant", "add", name), 1, "lower-case letters")


async def test_a_missing_service_key_is_named(stepwell: Command, home: Path) -> None:
    assert says(await stepwell("tenant", "add", "north"), 1, str(home / "keys" / "service-screening.jwk"))


async def test_a_database_that_does_not_answer_is_said_to_be(
    stepwell: Command, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEPWELL_SCREENING_DATABASE_URL", "postgresql://nobody:x@127.0.0.1:9/nothing")
    assert says(await stepwell("tenant", "list"), 1, "does not answer")


async def test_a_database_without_tables_says_what_to_do(
    stepwell: Command, empty_database: DatabaseUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEPWELL_SCREENING_DATABASE_URL", empty_database.runtime)
    assert says(await stepwell("tenant", "list"), 1, "stepwell migrate")


async def test_a_tenant_exists_in_every_service_with_its_four_clients(
    stepwell: Command, suite: dict[str, DatabaseUrls], issuer_database: Database, hook: Hook, home: Path
) -> None:
    for tenant in ("north", "south", "north"):
        assert says(await stepwell("tenant", "add", tenant), 0, f"{tenant} is ready")
    assert says(await stepwell("tenant", "list"), 0, "north\nsouth\n")
    for urls in suite.values():
        async with Database.open(urls.runtime, connections_max=1) as database:
            assert await list_tenants(database) == ["north", "south"]
    for tenant in ("north", "south"):
        clients = {client.client_id: client for client in await list_clients(issuer_database, tenant)}
        assert set(clients) == {f"{tenant}.service-{service}" for service in SERVICES}
        for service in SERVICES:
            key = load_private_key(home / "keys" / f"service-{service}.jwk")
            assert clients[f"{tenant}.service-{service}"].jwks == public_key_set([key])
    addresses = [f"http://127.0.0.1:9/{service}/fhir" for service in SERVICES]
    assert hook.heard == [(tenant, list(SERVICES), addresses) for tenant in ("north", "south", "north")]


async def test_a_client_that_cannot_be_added_gets_one_sentence(
    stepwell: Command, suite: dict[str, DatabaseUrls], home: Path
) -> None:
    assert says(await stepwell("client", "add", "west.ehr", "--role", "analyst"), 1, "stepwell tenant add west")
    for tenant in ("north", "south"):
        await stepwell("tenant", "add", tenant)
    (home / "broken.json").write_text("{")
    for arguments, word in {
        ("north", "--role", "analyst"): "TENANT.NAME",
        ("north.ehr", "--role", "king"): "There is no role king",
        ("north.ehr",): "--role or --scope",
        ("north.ehr", "--scope", "system/Patient.sr"): "in this order",
        ("north.ehr", "--role", "clinician"): "Practitioner/x",
        ("north.ehr", "--role", "analyst", "--jwks-file", str(home / "broken.json")): "is not JSON",
        ("north.ehr", "--role", "analyst", "--jwks-file", str(home / "none.json")): "cannot be read",
    }.items():
        assert says(await stepwell("client", "add", *arguments), 1, word), arguments
    assert says(await stepwell("client", "remove", "north.ehr"), 1, "There is no client north.ehr")


async def test_a_client_is_added_once_and_changed_only_on_demand(
    stepwell: Command, suite: dict[str, DatabaseUrls], issuer_database: Database, home: Path
) -> None:
    await stepwell("tenant", "add", "south")
    await stepwell("tenant", "add", "north")
    added = await stepwell("client", "add", "north.ehr", "--role", "clinician", "--fhir-user", "Practitioner/a")
    key_file = home / "keys" / "north.ehr.jwk"
    assert says(added, 0, "north.ehr", "http://127.0.0.1:9/screening/auth/token", str(key_file), "Practitioner/a")
    assert key_file.stat().st_mode & 0o077 == 0
    assert says(await stepwell("client", "add", "north.ehr", "--role", "analyst"), 1, "--replace")
    jwks = home / "rotated.jwks"
    jwks.write_text(json.dumps(public_key_set([ec_key()])))
    options = ("--scope", "system/Patient.rs system/Task.r", "--jwks-file", str(jwks), "--replace")
    assert says(await stepwell("client", "add", "north.ehr", *options), 0, "system/Patient.rs system/Task.r")
    [client] = [each for each in await list_clients(issuer_database, "north") if each.client_id == "north.ehr"]
    assert (client.jwks, str(client.scopes)) == (json.loads(jwks.read_text()), "system/Patient.rs system/Task.r")
    assert "north.ehr" in (await stepwell("client", "list", "north")).output
    assert "north.ehr" not in (await stepwell("client", "list", "south")).output
    assert says(await stepwell("client", "remove", "north.ehr"), 0)
    assert says(await stepwell("sign-out", "north"), 1, "--client or --person")
    assert says(await stepwell("sign-out", "north", "--person", "Practitioner/p"), 0, "Practitioner/p")
    for urls in suite.values():
        async with Database.open(urls.runtime, connections_max=1) as database:
            for who in (("north.ehr", None), ("other:client", "Practitioner/p")):
                assert await rights_ended_at(database, "north", *who) > 0
            assert await rights_ended_at(database, "north", "north.other", "Practitioner/q") == 0
            assert await rights_ended_at(database, "south", "north.ehr", "Practitioner/p") == 0
    assert "north.ehr" not in (await stepwell("client", "list", "north")).output


async def test_a_token_that_cannot_be_had_gets_one_sentence(
    stepwell: Command, suite: dict[str, DatabaseUrls], home: Path
) -> None:
    assert says(await stepwell("token", "north.ehr"), 1, str(home / "keys" / "north.ehr.jwk"))
    make_private_key(home / "keys" / "north.ehr.jwk")
    assert says(await stepwell("token", "north.ehr"), 1, "does not answer")


async def test_a_key_is_made_once_and_shows_its_public_half(stepwell: Command, home: Path) -> None:
    made = await stepwell("key", str(home / "a.jwk"))
    [key] = json.loads(made.output)["keys"]
    assert key["kid"] == load_private_key(home / "a.jwk").kid
    assert "d" not in key
    assert says(await stepwell("key", str(home / "a.jwk")), 1, "already there")


async def test_a_key_is_rotated_in_its_file_and_the_client_keeps_its_rights(
    stepwell: Command, suite: dict[str, DatabaseUrls], home: Path
) -> None:
    await stepwell("tenant", "add", "north")
    await stepwell("client", "add", "north.ehr", "--scope", "system/Task.rs")
    path = home / "keys" / "north.ehr.jwk"
    assert says(await stepwell("key", str(home / "none.jwk"), "--rotate"), 1, "cannot be read")
    assert says(await stepwell("key", str(path), "--rotate"), 0, "signs from")
    assert says(await stepwell("key", str(path), "--rotate"), 1, "not begun")
    assert says(await stepwell("client", "keys", "north.unknown", "--jwks-url", "https://a.example"), 1, "no client")
    assert says(await stepwell("client", "keys", "north.ehr"), 0)
    async with Database.open(suite["screening"].runtime, connections_max=1) as database:
        client = await find_client(database, "north.ehr")
    assert client is not None
    assert str(client.scopes) == "system/Task.rs"
    assert len((client.jwks or {})["keys"]) == 2


@contextmanager
def serving(url: str) -> Iterator[tuple[str, Issuer]]:
    """A token issuer on a free port of this machine."""
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listener.getsockname()[1]}/screening/auth"
    issuer_key = ec_key()
    ready = threading.Event()
    holder: list[Issuer] = []
    server: list[uvicorn.Server] = []

    async def serve() -> None:
        async with Database.open(url, connections_max=2) as database, httpx.AsyncClient() as outside:
            issuer = Issuer(
                address, FixedKeys([issuer_key]), ["http://127.0.0.1:9/screening/fhir"], database, ClientKeys(outside)
            )
            app = FastAPI()
            app.include_router(issuer_router(issuer), prefix="/screening/auth")
            holder.append(issuer)
            server.append(uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off")))
            ready.set()
            await server[0].serve(sockets=[listener])

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(10)
        yield address, holder[0]
    finally:
        server[0].should_exit = True
        thread.join(10)
        listener.close()


async def test_a_token_is_printed_bare_for_the_tenant_that_asked(
    stepwell: Command, suite: dict[str, DatabaseUrls], monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(suite["screening"].runtime) as (address, issuer):
        monkeypatch.setenv("STEPWELL_ISSUER_URL", address)
        for tenant in ("north", "south"):
            await stepwell("tenant", "add", tenant)
            await stepwell("client", "add", f"{tenant}.ehr", "--scope", "system/*.cruds")
            printed = await stepwell("token", f"{tenant}.ehr", "--scope", "system/Task.r")
            assert printed.exit_code == 0, printed.output
            claims = jwt.decode(printed.output.rstrip("\n"), issuer.keys.signing(), algorithms=["ES384"]).claims
            assert (claims["tenant"], claims["scope"]) == (tenant, "system/Task.r")
            assert abs(claims["exp"] - time.time() - 300) < 30
        refused = await stepwell("token", "north.ehr", "--scope", "user/Task.r")
        assert says(refused, 1, "invalid_scope")
