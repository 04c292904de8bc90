"""What is wrong with a database is seen with the login of the service, whatever it may not do itself."""

import asyncpg
from stepwell_shared.auth.tenants import add_tenant
from stepwell_shared.cli.bootstrap import DatabaseUrls
from stepwell_shared.cli.doctor import databases
from stepwell_shared.cli.doctor.findings import Finding, State
from stepwell_shared.database.pool import Database

from tests.conftest import DatabaseOf
from tests.shared.auth.test_clients import NOW
from tests.support import postgres

URLS = {name: f"https://host.example/{name}/fhir" for name in ("screening", "routing", "referral", "measurement")}


async def seen(url: str) -> tuple[dict[str, Finding], object]:
    """Findings by subject, and the tenants."""
    found, tenants = await databases.examine("routing", url, URLS, age_seconds_max=300, audits=True)
    return {each.subject: each for each in found}, tenants


async def change(urls: DatabaseUrls, statement: str) -> None:
    owner = await asyncpg.connect(urls.owner)
    await owner.execute(statement)
    await owner.close()


async def test_a_database_that_is_away_or_lets_nobody_in_is_said_to_be(database_of: DatabaseOf) -> None:
    found, tenants = await seen("postgresql://nobody:x@127.0.0.1:9/nothing")
    assert (found["reachable"].told, tenants) == ("no answer: ConnectionRefusedError", None)
    urls = await database_of("routing")
    name = urls.runtime.partition("?")[0].rpartition("/")[2]
    found, tenants = await seen(urls.runtime.replace(name, f"{name}_that_is_not_there"))
    assert found["reachable"].told == "it lets nobody in: InvalidCatalogNameError"
    assert "STEPWELL_ROUTING_DATABASE_URL" in found["reachable"].to_do


async def test_a_database_as_it_should_be_is_good_but_for_tenants_whom_nobody_listens_for(
    database_of: DatabaseOf,
) -> None:
    urls = await database_of("routing")
    async with Database.open(urls.runtime, connections_max=1) as database:
        await add_tenant(database, "north", NOW)
    found, tenants = await seen(urls.runtime)
    assert {each.subject for each in found.values() if each.state is not State.GOOD} == {"listeners"}
    assert "stepwell tenant add north" in found["listeners"].to_do
    assert tenants == ["north"]


async def test_a_schema_behind_this_release_is_told_with_what_is_missing(database_of: DatabaseOf) -> None:
    urls = await database_of("routing")
    await change(urls, "ALTER TABLE tenant RENAME TO tenant_of_another_release")
    found, tenants = await seen(urls.runtime)
    assert found["schema"].state is State.WRONG
    assert "table tenant" in found["schema"].told
    assert tenants is None


async def test_a_login_that_could_see_all_tenants_is_wrong(database_of: DatabaseOf) -> None:
    urls = await database_of("routing")
    name = urls.runtime.partition("?")[0].rpartition("/")[2]
    found, _ = await seen(postgres.server().url(name))
    assert "passes by row-level security" in found["login"].told
    found, _ = await seen(urls.owner)
    assert "could switch row-level security off" in found["login"].told
    await change(urls, "ALTER TABLE outbox NO FORCE ROW LEVEL SECURITY")
    found, _ = await seen(urls.runtime)
    assert found["login"].told == "row-level security is off for outbox"
