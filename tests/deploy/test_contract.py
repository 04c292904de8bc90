"""The first half of a migration leaves the old release all that it uses: both run on one database for a while."""

import asyncpg
import pytest
from stepwell_shared.settings import SERVICES

from tests.conftest import DatabaseOf
from tests.deploy.contract import broken, contract_of, released

BREAKING = (
    ("DROP TABLE audit_seal CASCADE", "the table audit_seal is gone"),
    ("ALTER TABLE received_event DROP COLUMN recorded", "the column received_event.recorded is gone"),
    (
        "ALTER TABLE received_event ALTER COLUMN focus TYPE varchar",
        "the column received_event.focus is character varying",
    ),
    ("ALTER TABLE audit ADD COLUMN why text NOT NULL", "the new column audit.why must be given"),
    ("ALTER TABLE tenant ALTER COLUMN id SET NOT NULL, ADD CHECK (id <> 'x')", "tenant refuses more: CHECK"),
    ("DROP FUNCTION take_events", "the function take_events("),
)
HARMLESS = (
    "CREATE TABLE next_release (id text PRIMARY KEY)",
    "ALTER TABLE audit ADD COLUMN why text, ADD COLUMN how text NOT NULL DEFAULT ''",
    "CREATE INDEX ON audit (status)",
    "CREATE FUNCTION renew_lease(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1'",
)


async def execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


@pytest.mark.parametrize("service", SERVICES)
async def test_the_code_of_the_last_release_finds_all_that_it_uses(database_of: DatabaseOf, service: str) -> None:
    urls = await database_of(service)
    taken = list(broken(released(service), await contract_of(urls.owner)))
    assert not taken, "what only the last release uses goes in migrations/after, one release later:\n" + "\n".join(
        taken
    )


async def test_what_the_old_code_would_stumble_over_is_seen_and_what_is_new_is_not(database_of: DatabaseOf) -> None:
    urls = await database_of("screening")
    before = await contract_of(urls.owner)
    await execute(urls.owner, *HARMLESS)
    assert list(broken(before, await contract_of(urls.owner))) == []
    await execute(urls.owner, "ALTER TABLE audit DROP COLUMN why", *(statement for statement, _ in BREAKING))
    seen = list(broken(before, await contract_of(urls.owner)))
    for _, said in BREAKING:
        assert any(each.startswith(said) for each in seen), (said, seen)
