"""What the doctor sees in one service's database, with the login of the running service."""

import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import asyncpg

from stepwell_shared.auth.audit_chain import verify
from stepwell_shared.auth.tenants import list_tenants
from stepwell_shared.cli.doctor import findings
from stepwell_shared.cli.doctor.findings import Finding, Login, State
from stepwell_shared.database.functions import TENANT
from stepwell_shared.database.pool import UNAVAILABLE_ERRORS, Database
from stepwell_shared.events.standing import Standing, standing
from stepwell_shared.installed import service_named
from stepwell_shared.runtime import Runtime, Service
from stepwell_shared.schema import functions_of, metadata_of
from stepwell_shared.settings import SERVICES

_COLUMNS = """SELECT c.relname::text AS "table", a.attname::text AS "column",
    c.relrowsecurity AND c.relforcerowsecurity AS guarded
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')"""
_FUNCTIONS = "SELECT DISTINCT proname::text AS name FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
_LOGIN = """SELECT rolname::text, rolsuper, rolbypassrls, (SELECT count(*) FROM pg_class c
    WHERE c.relowner = r.oid AND c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace) AS owned
  FROM pg_roles r WHERE rolname = current_user"""
_SERVER = (
    "SELECT current_setting('server_version_num')::integer AS version, extract(epoch FROM clock_timestamp()) AS now"
)
_FUNCTION_NAME = re.compile(r"FUNCTION (\w+)")
REFUSED = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError)


async def examine(
    service: str, url: str, urls: Mapping[str, str], *, age_seconds_max: float, audits: bool
) -> tuple[list[Finding], Sequence[str] | None]:
    """What is found, and the tenants that are known if it can be asked. `urls` are the public base URLs by service."""
    place = f"{service} database"
    try:
        async with Database.open(url, connections_max=2) as database:
            return await _look(service, place, database, urls, age_seconds_max, audits=audits)
    except REFUSED as error:
        to_do = f"Mend STEPWELL_{service.upper()}_DATABASE_URL: login, password and name of the database."
        return [Finding(place, "reachable", State.WRONG, f"it lets nobody in: {type(error).__name__}", to_do)], None
    except UNAVAILABLE_ERRORS as error:
        to_do = f"See that it runs, and that STEPWELL_{service.upper()}_DATABASE_URL leads there."
        return [Finding(place, "reachable", State.WRONG, f"no answer: {type(error).__name__}", to_do)], None


async def _look(
    service: str, place: str, database: Database, urls: Mapping[str, str], age_seconds_max: float, *, audits: bool
) -> tuple[list[Finding], Sequence[str] | None]:
    asked = time.time()
    (server,) = await database.fetch(_SERVER)
    ahead = float(server["now"]) - (asked + time.time()) / 2
    found = [
        findings.of_server(place, server["version"]),
        findings.of_clock(place, ahead),
        *await _schema(service, place, database),
    ]
    if any(each.state is State.WRONG and each.subject == "schema" for each in found):
        return found, None
    tenants = await list_tenants(database)
    standings = await standing(database, tenants)
    found += findings.of_deliveries(service, standings, datetime.now(UTC), age_seconds_max)
    found += [_listeners(service, tenant, urls, standings) for tenant in tenants]
    if audits:
        found += [findings.of_audit(service, tenant, await verify(database, tenant)) for tenant in tenants]
    return found, tenants


async def _schema(service: str, place: str, database: Database) -> list[Finding]:
    rows = await database.fetch(_COLUMNS)
    there = {(row["table"], row["column"]) for row in rows}
    functions = {row["name"] for row in await database.fetch(_FUNCTIONS)}
    unguarded = sorted({row["table"] for row in rows if row["column"] == TENANT and not row["guarded"]})
    (role,) = await database.fetch(_LOGIN)
    return [
        findings.of_schema(place, service, _missing(service_named(service), there, functions)),
        findings.of_login(place, Login(*role.values()), unguarded),
    ]


def _missing(service: Service, columns: set[tuple[str, str]], functions: set[str]) -> list[str]:
    tables = {table for table, _ in columns}
    missing = []
    for table in metadata_of(service).sorted_tables:
        if table.name not in tables:
            missing.append(f"table {table.name}")
            continue
        missing += [f"{table.name}.{each.name}" for each in table.columns if (table.name, each.name) not in columns]
    wanted = {name for statement in functions_of(service) for name in _FUNCTION_NAME.findall(statement)[:1]}
    return missing + [f"function {name}" for name in sorted(wanted - functions)]


def _listeners(service: str, tenant: str, urls: Mapping[str, str], standings: Sequence[Standing]) -> Finding:
    topics = {topic.name: topic.canonical for topic in service_named(service).topics}
    wanted = [
        (topics[name], f"{urls[listener].removesuffix('/fhir')}/notifications")
        for listener in SERVICES
        for publisher, name in service_named(listener).listens(Runtime())
        if publisher == service and listener in urls
    ]
    return findings.of_listeners(service, tenant, wanted, standings)
