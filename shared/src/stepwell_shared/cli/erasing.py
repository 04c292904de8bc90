"""`stepwell erase`: removes what the suite keeps of a person who has the right to it, with the audit kept.

It uses the login that owns the tables, as `stepwell migrate` does. It can be stopped and started again, and run twice.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import orjson
import typer
from pydantic import ValidationError

from stepwell_shared.auth.audit import audit_effect
from stepwell_shared.auth.caller import Caller
from stepwell_shared.auth.scopes import Scopes
from stepwell_shared.auth.tenants import list_tenants
from stepwell_shared.canonical import CANONICAL, instant
from stepwell_shared.cli.access import AccessSettings
from stepwell_shared.cli.erasing_finding import Found, Key, find
from stepwell_shared.cli.erasing_rules import Resource, redacted
from stepwell_shared.cli.erasing_tables import purge_tables, purge_versions
from stepwell_shared.cli.errors import SetupError, database_told_plainly
from stepwell_shared.cli.run import home_folder, local_deployment
from stepwell_shared.database.functions import Effect
from stepwell_shared.database.pool import Database
from stepwell_shared.events.outbox import event
from stepwell_shared.fhir.erased import emptied
from stepwell_shared.fhir.interactions import Engine, built, change_of
from stepwell_shared.fhir.store import WriteConflictError
from stepwell_shared.fhir.unit import Change, Method, Stored, UnitOfWork
from stepwell_shared.installed import service_named
from stepwell_shared.runtime import Runtime, attach
from stepwell_shared.settings import EXCHANGING_SERVICE, SERVICES, MigrationSettings

CHANGES_AT_ONCE: Final = 100
OWNER: Final = "screening"  # of Patients; the others keep copies
CLIENT: Final = "stepwell-erase"
# The topics by which partners hear, by the system of the identifier under which they know the Task.
TOPICS_OF_PARTNERS: Final = {
    f"{CANONICAL}/NamingSystem/referral": "referral-changed",
    f"{CANONICAL}/NamingSystem/advice": "advice-changed",
}


@dataclass(frozen=True)
class Erased:
    """What one service had of the person, by type; how many old versions and other rows are gone with it."""

    service: str
    resources: Mapping[str, int]
    redacted: int
    versions: int
    rows: int


async def erase_in(
    service_name: str, database: Database, addresses: Mapping[str, str], tenant: str, patient_id: str, *, really: bool
) -> Erased:
    """Erases a person in one service, or with `really=False` only looks. `addresses` are the four base URLs.

    What leads to a resource goes before it, each step with its old versions and rows in one transaction, and what names
    the person last: whatever was stopped finds all the rest the next time.
    """
    runtime, service = Runtime(clock=lambda: datetime.now(UTC)), service_named(service_name)
    attach(runtime, service, service.resources(runtime), database, addresses, cursor_key=b"no pages here")
    engine = runtime.engine
    found = await find(database, engine, tenant, patient_id)
    counts: dict[str, int] = {}
    for resource_type, _ in found.erased:
        counts[resource_type] = counts.get(resource_type, 0) + 1
    purged: list[tuple[int, int]] = []
    if really:
        if found.steps or found.redacted:
            await _tell(engine, service_name, tenant, patient_id, found)
        for step in found.steps[:-1]:
            await _bury(engine, tenant, step)
            purged.append(await _purge(database, tenant, Found(found.person, [step])))
        await _bury(engine, tenant, found.steps[-1] if found.steps else ())
        await _redact(engine, tenant, found)
        purged.append(await _purge(database, tenant, found))
    versions, rows = sum(each for each, _ in purged), sum(each for _, each in purged)
    return Erased(service_name, counts, len(found.redacted), versions, rows)


async def _purge(database: Database, tenant: str, found: Found) -> tuple[int, int]:
    """Removes old versions, and rows in all other tables, at once. Returns how many of each."""
    async with database.transaction(tenant) as connection:
        versions = await purge_versions(connection, tenant, [*found.erased, *found.redacted])
        return versions, await purge_tables(connection, tenant, found)


async def _tell(engine: Engine, service: str, tenant: str, patient_id: str, found: Found) -> None:
    """Puts the act on record, and tells those who keep copies: the Patient, and each Task that another organisation may
    have, as it is now, with nothing about the person in it."""
    now = engine.clock()
    effects: list[Effect] = [
        audit_effect(
            Caller(tenant, CLIENT, Scopes(), CLIENT),
            recorded=now,
            interaction="$erase",
            resource_type="Patient",
            resource_id=patient_id,
            request_id=CLIENT,
            status=200,
        )
    ]
    if service == OWNER and ("Patient", patient_id) in found.erased:
        current = await engine.store.read(tenant, "Patient", patient_id)
        shell = emptied({"resourceType": "Patient", "id": patient_id}, str(_next(current)), instant(now))
        effects.append(_told(engine, "patient-changed", patient_id, shell, now))
    if service == EXCHANGING_SERVICE:
        effects += [
            _told(engine, topic, patient_id, shell, now)
            for id_ in (id_ for resource_type, id_ in found.erased if resource_type == "Task")
            for topic, shell in await _shared(engine, tenant, id_, now)
        ]
    await engine.store.commit(UnitOfWork(tenant, effects=effects))


async def _shared(engine: Engine, tenant: str, id_: str, now: datetime) -> list[tuple[str, Resource]]:
    """What is told of a Task, and by which topic: of one that was asked of somebody, or by another organisation."""
    stored = await engine.store.read(tenant, "Task", id_)
    task = orjson.loads(stored.body) if stored is not None and stored.body is not None else {"status": "draft"}
    if task["status"] == "draft":
        return []
    shell = emptied(task, str(_next(stored)), instant(now))
    systems = {each["system"] for each in shell["identifier"]}
    return [(topic, shell) for system, topic in TOPICS_OF_PARTNERS.items() if system in systems]


def _next(stored: Stored | None) -> int:
    return (stored.version if stored else 0) + 1


def _told(engine: Engine, topic: str, patient_id: str, shell: Resource, now: datetime) -> Effect:
    focus = f"{shell['resourceType']}/{shell['id']}"
    canonical = f"{CANONICAL}/SubscriptionTopic/{topic}"
    return event(canonical, f"Patient/{patient_id}", focus, [(f"{engine.base_url}/{focus}", dict(shell))], now)


async def _bury(engine: Engine, tenant: str, keys: Sequence[Key]) -> None:
    """A tombstone over each: a last version without a body, and no search values."""
    for first in range(0, len(keys), CHANGES_AT_ONCE):
        await _commit(engine, tenant, keys[first : first + CHANGES_AT_ONCE], None)


async def _redact(engine: Engine, tenant: str, found: Found) -> None:
    for key in found.redacted:
        await _commit(engine, tenant, [key], found)


async def _commit(engine: Engine, tenant: str, keys: Sequence[Key], found: Found | None) -> None:
    """New versions of what is still there: none of its body, or what `found` leaves of it. Waits for other writers."""
    while True:
        changes = [change for key in keys if (change := await _change(engine, tenant, key, found)) is not None]
        try:
            await engine.store.commit(UnitOfWork(tenant, changes))
        except WriteConflictError:
            continue
        return


async def _change(engine: Engine, tenant: str, key: Key, found: Found | None) -> Change | None:
    stored = await engine.store.read(tenant, *key)
    if stored is None or stored.body is None:
        return None
    version, now = stored.version + 1, engine.clock()
    if found is None:
        return change_of(engine, Stored(*key, version, now, None, Method.DELETE), None)
    resource: Resource = orjson.loads(stored.body)
    left: dict[str, Any] = redacted(resource, found.person)
    return None if left == resource else built(engine, left, now, version=version)


def add_erase_command(app: typer.Typer) -> None:
    """Adds the command `erase`."""

    @app.command("erase")
    def command(
        tenant: Annotated[str, typer.Argument()],
        patient: Annotated[str, typer.Argument(help="the id of the Patient in screening")],
        service: Annotated[
            str | None,
            typer.Option(help="one service, with STEPWELL_MIGRATION_DATABASE_URL; else all on this machine"),
        ] = None,
        yes: Annotated[bool, typer.Option("--yes", help="do it; else it is only told what there is")] = False,
    ) -> None:
        """Remove all that is kept of a person, for good. The record of who saw what stays."""
        with database_told_plainly(LookupError), ExitStack() as stack:
            settings = AccessSettings()
            addresses = {name: settings.text(f"{name}_url") for name in SERVICES}
            for name, url in _owners(service, stack).items():
                show(asyncio.run(_erase(name, url, addresses, tenant, patient, really=yes)))
        if not yes:
            typer.echo("Nothing was removed: run it again with --yes.")


def show(erased: Erased) -> None:
    """Prints one line for a service."""
    resources = ", ".join(f"{count} {name}" for name, count in sorted(erased.resources.items())) or "nothing"
    rest = f"; {erased.redacted} shared resources" if erased.redacted else ""
    gone = (
        f" ({erased.versions} versions and {erased.rows} other rows removed)" if erased.versions or erased.rows else ""
    )
    typer.echo(f"{erased.service}: {resources}{rest}{gone}")


def _owners(service: str | None, stack: ExitStack) -> dict[str, str]:
    """The URL with the owner's login, by service. Raises SetupError."""
    if service is None:
        databases = stack.enter_context(local_deployment(home_folder())).databases
        return {name: databases[name].owner for name in SERVICES}
    try:
        return {service: MigrationSettings().migration_database_url.get_secret_value()}  # type: ignore[call-arg]  # by environment
    except ValidationError as error:
        raise SetupError(
            "STEPWELL_MIGRATION_DATABASE_URL is not set: it has the login that owns the tables."
        ) from error


async def _erase(
    service: str, url: str, addresses: Mapping[str, str], tenant: str, patient: str, *, really: bool
) -> Erased:
    async with Database.open(url, connections_max=3) as database:
        if tenant not in await list_tenants(database):
            raise SetupError(f"There is no tenant {tenant} in {service}.")
        return await erase_in(service, database, addresses, tenant, patient, really=really)
