"""The chain over the audit: whatever is changed behind the service's back shows, and everything is sealed once."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import asyncpg
import pytest
from stepwell_shared.auth import audit_chain
from stepwell_shared.auth.audit import audit_effect
from stepwell_shared.auth.audit_chain import SETTLED_AFTER, Fault, seal, verify
from stepwell_shared.auth.caller import Caller
from stepwell_shared.auth.scopes import Scopes
from stepwell_shared.cli.bootstrap import DatabaseUrls
from stepwell_shared.database.pool import Database

from tests.shared.auth.test_clients import NOW

NORTH, SOUTH = "north", "south"
LATER = NOW + SETTLED_AFTER + timedelta(seconds=1)


async def write(database: Database, *ids: str, tenant: str = NORTH, recorded: datetime = NOW) -> None:
    """Puts accesses to these ids on record; one id has what JSON must escape."""
    caller = Caller(tenant, f"{tenant}.ehr", Scopes(), 'token "1"\n')
    for id_ in ids:
        effect = audit_effect(
            caller,
            recorded=recorded,
            interaction="read",
            resource_type=None if id_ == "p0" else "Patient",
            resource_id=id_,
            request_id="ümlaut\x7f/\\",
            status=200,
        )
        marks = ", ".join(f"${number}" for number in range(1, len(effect.values) + 2))
        await database.fetch(f"SELECT insert_audit({marks})", tenant, *([value] for value in effect.values))


async def tamper(urls: DatabaseUrls, *statements: str) -> None:
    """What somebody with the owner's login could do."""
    owner = await asyncpg.connect(urls.owner)
    try:
        for statement in ("SELECT set_config('stepwell.tenant', 'north', false)", *statements):
            await owner.execute(statement)
    finally:
        await owner.close()


async def three_seals(database: Database) -> Sequence[str]:
    """Six entries in three seals; the digests of these."""
    for number in range(3):
        await write(database, f"p{number}", f"q{number}")
        await seal(database, [NORTH], LATER)
    async with database.transaction(NORTH) as connection:
        rows = await connection.fetch("SELECT digest FROM audit_seal ORDER BY number")
    return [row["digest"].hex() for row in rows]


@pytest.mark.parametrize(
    ("statement", "numbers"),
    [
        ("UPDATE audit SET resource_id = 'p9' WHERE resource_id = 'p1'", [2]),
        ("UPDATE audit SET recorded = recorded + interval '1 microsecond' WHERE resource_id = 'p0'", [1]),
        ("UPDATE audit SET client_id = 'north.other' WHERE resource_id = 'q2'", [3]),
        ("DELETE FROM audit WHERE resource_id = 'q1'", [2]),
        ("DELETE FROM audit_seal WHERE number = 2", [2, 3]),
        ("UPDATE audit_seal SET digest = sha256('') WHERE number = 1", [1, 2]),
        ("UPDATE audit_seal SET entries = 3 WHERE number = 1", [1]),
    ],
    ids=["changed id", "changed time", "changed client", "removed", "removed seal", "other seal", "other count"],
)
async def test_what_is_changed_behind_the_service_shows_with_its_place(
    database: Database, lock_urls: DatabaseUrls, statement: str, numbers: list[int]
) -> None:
    await three_seals(database)
    assert (await verify(database, NORTH)).faults == []
    await tamper(lock_urls, statement)
    assert sorted({fault.number for fault in (await verify(database, NORTH)).faults}) == numbers


async def test_an_entry_that_is_put_in_afterwards_shows(database: Database, lock_urls: DatabaseUrls) -> None:
    await write(database, "p0", "p1", "p2")
    await tamper(lock_urls, "DELETE FROM audit WHERE resource_id = 'p1'")
    await seal(database, [NORTH], LATER)
    copied = "2, recorded, action, interaction, resource_type, 'p1', client_id, token_id, request_id, status"
    await tamper(
        lock_urls, f"INSERT INTO audit OVERRIDING SYSTEM VALUE SELECT tenant, {copied} FROM audit WHERE id = 1"
    )
    assert (await verify(database, NORTH)).faults == [Fault(1, "3 entries where 2 were sealed")]


async def test_a_chain_that_was_made_anew_does_not_hold_against_a_seal_that_was_noted(
    database: Database, lock_urls: DatabaseUrls
) -> None:
    digests = await three_seals(database)
    await tamper(lock_urls, "DELETE FROM audit_seal", "DELETE FROM audit WHERE resource_id = 'p0'")
    await seal(database, [NORTH], LATER)
    assert (await verify(database, NORTH)).faults == []
    noted = [(1, digests[0]), (3, digests[2])]
    assert [fault.number for fault in (await verify(database, NORTH, noted)).faults] == [1, 3]


async def test_the_service_itself_can_neither_change_nor_remove_what_is_sealed(database: Database) -> None:
    await three_seals(database)
    for statement in ("UPDATE audit SET status = 0", "DELETE FROM audit_seal", "TRUNCATE audit"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with database.transaction(NORTH) as connection:
                await connection.execute(statement)


async def test_what_may_still_be_in_a_transaction_is_not_sealed_yet(database: Database) -> None:
    await write(database, "p0")
    await write(database, "p1", recorded=LATER)
    assert await seal(database, [NORTH], NOW + SETTLED_AFTER) == 0
    assert await seal(database, [NORTH], LATER) == 1
    found = await verify(database, NORTH)
    assert (found.seals, found.entries, found.unsealed, found.faults) == (1, 1, 1, [])


async def test_replicas_at_once_seal_every_entry_once_and_tenants_apart(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_chain, "ENTRIES_PER_SEAL_MAX", 3)
    await write(database, *(f"p{number}" for number in range(10)))
    await write(database, "p0", tenant=SOUTH)
    assert sum(await asyncio.gather(*(seal(database, [NORTH, SOUTH], LATER) for _ in range(4)))) == 11
    north, south = await verify(database, NORTH), await verify(database, SOUTH)
    assert (north.seals, north.entries, north.unsealed, north.faults) == (4, 10, 0, [])
    assert (south.seals, south.entries, south.faults) == (1, 1, [])
    assert north.head != south.head
