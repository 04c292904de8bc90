"""Registered clients and the tenants' rows: what is refused, and that one tenant never sees another's."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from stepwell_shared.auth.audit import audit_effect
from stepwell_shared.auth.caller import Caller
from stepwell_shared.auth.clients import (
    Client,
    ClientError,
    find_client,
    list_clients,
    register_client,
    remove_client,
    tenant_of,
)
from stepwell_shared.auth.keys import public_key_set
from stepwell_shared.auth.scopes import INTERACTION_LETTERS, Scopes
from stepwell_shared.auth.tables import Audit
from stepwell_shared.auth.tenants import add_tenant, list_tenants
from stepwell_shared.database.pool import Database
from stepwell_shared.database.table_functions import insert_columns

from tests.shared.auth.databases import table_of
from tests.shared.auth.parties import ec_key

NOW = datetime(2027, 1, 15, 8, tzinfo=UTC)
NORTH = Client("north.ehr", Scopes.parse("system/Patient.rs"), jwks=public_key_set([ec_key()]))
SOUTH = replace(NORTH, client_id="south.ehr")


@pytest.mark.parametrize(
    "client_id", ["", "north", ".ehr", "north.", "north.a.b", "North.ehr", "north.ehr\n", "no_th.ehr", "n" * 64 + ".a"]
)
async def test_an_id_that_is_not_tenant_and_name_is_nobodys(database: Database, client_id: str) -> None:
    assert tenant_of(client_id) is None
    assert await find_client(database, client_id) is None
    with pytest.raises(ClientError):
        await register_client(database, replace(NORTH, client_id=client_id), NOW)


@pytest.mark.parametrize(
    "changed",
    [
        {"jwks": None},
        {"jwks_url": "https://ehr.example/jwks.json"},
        {"jwks": {"keys": []}},
        {"jwks": {"keys": [ec_key().as_dict(private=True)]}},
        {"scopes": Scopes()},
        {"scopes": Scopes.parse("user/Patient.rs")},
        {"scopes": Scopes.parse("patient/Patient.rs")},
        {"scopes": Scopes.parse("patient/Patient.rs"), "fhir_user": "Practitioner/a"},
        {"roles": ("related-person",), "fhir_user": "Patient/a"},
        {"roles": ("outside-organisation",)},
    ],
    ids=range(10),
)
async def test_a_client_that_cannot_be_trusted_is_not_registered(database: Database, changed: dict[str, Any]) -> None:
    with pytest.raises(ClientError):
        await register_client(database, replace(NORTH, **changed), NOW)
    assert await list_clients(database, "north") == []


async def test_a_tenant_sees_its_own_clients_alone(database: Database) -> None:
    for client in (NORTH, SOUTH):
        await register_client(database, client, NOW)
    assert await list_clients(database, "north") == [NORTH]
    async with database.transaction("south") as connection:
        assert await connection.fetch("SELECT 1 FROM client WHERE tenant = 'north'") == []
        assert await connection.execute("DELETE FROM client WHERE client_id = 'north.ehr'") == "DELETE 0"
    assert await database.fetch("SELECT 1 FROM client") == []


async def test_a_row_for_another_tenant_cannot_be_written(database: Database) -> None:
    statement = "INSERT INTO assertion_seen VALUES ('north', 'north.ehr', '\\x00', now())"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with database.transaction("south") as connection:
            await connection.execute(statement)


async def test_registering_again_changes_keys_and_scopes(database: Database) -> None:
    await register_client(database, NORTH, NOW)
    rotated = replace(
        NORTH, jwks=None, jwks_url="https://ehr.example/jwks.json", roles=("patient",), fhir_user="Patient/p1"
    )
    await register_client(database, rotated, NOW)
    assert await find_client(database, "north.ehr") == rotated
    assert rotated.patient == "p1"


async def test_a_removed_client_is_gone_and_the_others_stay(database: Database) -> None:
    for client in (NORTH, SOUTH):
        await register_client(database, client, NOW)
    assert await remove_client(database, "north.ehr")
    assert not await remove_client(database, "north.ehr")
    assert await find_client(database, "north.ehr") is None
    assert await find_client(database, "south.ehr") == SOUTH


async def test_a_tenant_is_added_once(database: Database) -> None:
    assert await add_tenant(database, "south", NOW)
    assert await add_tenant(database, "north", NOW)
    assert not await add_tenant(database, "north", NOW)
    assert await list_tenants(database) == ["north", "south"]


@pytest.mark.parametrize("tenant", ["north", "south"])
async def test_an_audit_row_says_who_did_what_to_which_resource(database: Database, tenant: str) -> None:
    caller = Caller(tenant, f"{tenant}.ehr", Scopes(), "token-1")
    effect = audit_effect(
        caller,
        recorded=NOW,
        interaction="update",
        resource_type="Task",
        resource_id="t1",
        request_id="request-1",
        status=200,
    )
    names = [column.name for column in insert_columns(table_of(Audit))]
    assert len(names) == len(effect.values)
    arrays = [[value] for value in effect.values]
    marks = ", ".join(f"${number}" for number in range(1, len(arrays) + 2))
    await database.fetch(f"SELECT insert_{effect.table}({marks})", tenant, *arrays)
    async with database.transaction(tenant) as connection:
        [row] = await connection.fetch("SELECT * FROM audit")
    other = {"north": "south", "south": "north"}[tenant]
    async with database.transaction(other) as connection:
        assert await connection.fetch("SELECT * FROM audit") == []
    assert [row[name] for name in names] == list(effect.values)
    assert (row["action"], row["client_id"], row["resource_id"]) == ("U", f"{tenant}.ehr", "t1")


def test_every_interaction_has_its_audit_action() -> None:
    caller = Caller("north", "north.ehr", Scopes(), "token-1")
    known: dict[str, Any] = {
        "recorded": NOW,
        "resource_type": "Task",
        "resource_id": None,
        "request_id": "r",
        "status": 200,
    }
    actions = {
        name: audit_effect(caller, interaction=name, **known).values[1] for name in [*INTERACTION_LETTERS, "$apply"]
    }
    assert actions == {
        "create": "C",
        "read": "R",
        "vread": "R",
        "history-instance": "R",
        "update": "U",
        "patch": "U",
        "delete": "D",
        "search-type": "E",
        "search-system": "E",
        "history-type": "E",
        "history-system": "E",
        "$apply": "E",
    }
