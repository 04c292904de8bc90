"""A person's safety plan, which routing keeps, is found from the Flag that whoever opens the chart sees.

There is one Flag that says that there is a plan; the Flags of open alerts, now and later, lead to it as well.
"""

from collections.abc import Mapping
from typing import Any

import orjson
from stepwell_shared.canonical import derived_id, instant
from stepwell_shared.events.notification import ReceivedEvent
from stepwell_shared.fhir.copies import source_of, version_in
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Reader
from stepwell_shared.fhir.store import WriteConflictError
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_screening import safety_builders as builders
from stepwell_screening.use_cases.subjects import Subject, subject_of

ATTEMPTS_MAX = 8
IN_USE = "active"

_FLAGS = "SELECT id FROM fhir_flag WHERE p_patient = $1 AND body IS NOT NULL"


async def hear_safety_plan(runtime: Runtime, received: ReceivedEvent, tenant: str) -> None:
    """Topic safety-plan-changed: the plan is linked from the person's open Flags while it is in use.

    A plan about somebody who is known by an identifier alone, or not here, has no chart to be linked from.
    """
    url, plan = received.focus or "", received.resources.get(received.focus or "")
    if plan is None:
        issue = Issue("the notification carries its focus", "required", received.expression)
        raise FhirError(Category.BUSINESS_RULE, [issue])
    if "reference" not in plan.get("subject", {}):
        return

    async def read(resource_type: str, id_: str) -> Any:
        return await runtime.store.read(tenant, resource_type, id_)

    for _ in range(ATTEMPTS_MAX):
        subject = await subject_of(runtime, read, plan["subject"], "CarePlan.subject")
        try:
            unit = await _linked(runtime, tenant, read, subject, plan, url)
            if unit.changes:
                await runtime.store.commit(unit)
        except WriteConflictError:
            continue
        return
    raise FhirError(Category.UNAVAILABLE, "too much is heard of one person at once; try again shortly")


async def plan_in_use(runtime: Runtime, tenant: str, read: Reader, subject: Subject) -> str | None:
    """The address of the person's safety plan, for a Flag that is opened now."""
    stored = await read("Flag", _flag_id(runtime, tenant, subject))
    flag = None if stored is None or stored.body is None else orjson.loads(stored.body)
    return _plan_of(flag) if flag is not None and flag["status"] == IN_USE else None


async def _linked(
    runtime: Runtime, tenant: str, read: Reader, subject: Subject, plan: Mapping[str, Any], url: str
) -> UnitOfWork:
    """The Flag of the plan, and the open ones of alerts; nothing when this version or a newer one was heard of."""
    now, id_ = runtime.clock(), _flag_id(runtime, tenant, subject)
    unit, stored = UnitOfWork(tenant), await read("Flag", id_)
    source = f"{url}/_history/{plan['meta']['versionId']}"
    before = None if stored is None or stored.body is None else orjson.loads(stored.body)
    is_open = plan.get("status") == IN_USE
    if before is not None and _plan_of(before) == url and version_in(source) <= version_in(source_of(stored)):
        return unit
    if not is_open and (before is None or _plan_of(before) != url):
        return unit  # another plan is in use, or none ever was
    period = {"start": instant(now)} | ({} if is_open else {"end": instant(now)})
    goes_on = before if before is not None and before["status"] == IN_USE else None
    flag = builders.safety_plan_flag(
        flag_id=id_, plan=url, source=source, subject=subject.local_reference, period=period, previous=goes_on
    )
    unit.changes.append(built(runtime.engine, flag, now, version=1 if stored is None else stored.version + 1))
    for alert_id in await _flags(runtime, tenant, subject, id_):
        alert = await read("Flag", alert_id)
        body = orjson.loads(alert.body) if alert is not None and alert.body is not None else {}
        if alert is None or body.get("status") != IN_USE:
            continue
        if before is not None:
            body = builders.linked_flag(body, _plan_of(before), is_open=False)
        linked = builders.linked_flag(body, url, is_open=is_open)
        unit.changes.append(built(runtime.engine, linked, now, version=alert.version + 1))
    return unit


async def _flags(runtime: Runtime, tenant: str, subject: Subject, plan_flag: str) -> list[str]:
    async with runtime.database.transaction(tenant) as connection:
        rows = await connection.fetch(_FLAGS, subject.key)
    return [row["id"] for row in rows if row["id"] != plan_flag]


def _flag_id(runtime: Runtime, tenant: str, subject: Subject) -> str:
    return derived_id(runtime.engine.base_url, tenant, "safety-plan", subject.key)


def _plan_of(flag: Mapping[str, Any]) -> str:
    return str(flag["extension"][0]["valueReference"]["reference"])
