"""A browser at the worklist, and what stands on it: for the tests of its pages."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from html import unescape
from typing import Any

import httpx
from stepwell_referral.pages import worklist_pages
from stepwell_referral.rules.transitions import WAITING
from stepwell_referral.timers import timer_effect
from stepwell_shared.auth.caller import Caller
from stepwell_shared.auth.roles import ROLES
from stepwell_shared.auth.scopes import Scopes
from stepwell_shared.canonical import extension_url, instant
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.fhir.wire import Exchange
from stepwell_shared.runtime import Runtime

from tests.services.referral.booking import SERVICE, person, put_in, waiting_task
from tests.support.runtime import NORTH, START

WORKLIST = "/referral/worklist"
HTML = {"Accept": "text/html"}
DATA = {"Accept": "application/json"}
Resource = dict[str, Any]


def at_work(role: str = "coordinator", tenant: str = NORTH, scopes: str = "", **more: Any) -> Caller:
    """Somebody with a token."""
    granted = Scopes.parse(scopes) if scopes else ROLES[role]
    who = {"fhir_user": "Practitioner/nurse-1", **more}
    return Caller(tenant, f"{tenant}.client", granted, "token-1", roles=(role,), **who)


@asynccontextmanager
async def browser(runtime: Runtime, access: Caller | None) -> AsyncIterator[httpx.AsyncClient]:
    """Requests with `Authorization: Bearer x` come from `access`; others from nobody, or a session."""

    async def authenticate(header: str | None) -> Caller:
        if access is None or header != "Bearer x":
            raise FhirError(Category.UNAUTHENTICATED, "no token", headers={"WWW-Authenticate": "Bearer"})
        return access

    below, page = worklist_pages(runtime, authenticate)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["path"].startswith(below)
        await page(Exchange(scope, receive, send))

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="https://stepwell.example", headers=HTML) as client:
        yield client


@asynccontextmanager
async def signed_in(runtime: Runtime, access: Caller) -> AsyncIterator[httpx.AsyncClient]:
    """A browser in which somebody has signed in by a link."""
    async with browser(runtime, access) as client:
        asked = await client.post(f"{WORKLIST}/sign-in", headers={"Authorization": "Bearer x"})
        assert asked.status_code == 200, asked.text
        opened = await client.get(asked.json()["link"])
        assert opened.status_code == 303, opened.text
        yield client


def form_of(page: httpx.Response, act: str) -> dict[str, str]:
    """What the form of an act sends before anything is filled in."""
    for form in re.findall(r"<form.*?</form>", page.text, re.DOTALL):
        hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', form))
        if hidden.get("act") == act:
            return {name: unescape(value) for name, value in hidden.items()}
    raise AssertionError(f"the page has no form to {act}")


async def do(client: httpx.AsyncClient, task_id: str, act: str, **given: str) -> httpx.Response:
    """Opens a line and sends one of its forms."""
    page = await client.get(f"{WORKLIST}/lines/{task_id}")
    assert page.status_code == 200, page.text
    return await client.post(f"{WORKLIST}/lines/{task_id}/act", data={**form_of(page, act), **given})


def told(days: float | None, *, keepable: bool = True) -> Resource:
    """What a referral says of its wait, told at the start of the tests."""
    parts: list[Resource] = [{"url": "keepable", "valueBoolean": keepable}]
    if days is not None:
        parts += [
            {
                "url": name,
                "valueDuration": {"value": days, "unit": "days", "system": "http://unitsofmeasure.org", "code": "d"},
            }
            for name in ("median", "upper")
        ]
    parts += [{"url": "computed-at", "valueDateTime": instant(START)}]
    return {"extension": [{"url": extension_url("wait-promise"), "extension": parts}]}


async def put_on(
    runtime: Runtime, id_: str, name: str = "Robin Example", *, step: int = 0, days: float = 3, tenant: str = NORTH,
    promise: tuple[float | None, bool] | None = (20, True), **more: Any,
) -> None:  # fmt: skip
    """A person with a referral that waits, with its timer as the loop keeps it."""
    given, _, family = name.partition(" ")
    await put_in(runtime, person(f"of-{id_}", name=[{"given": [given], "family": family}]), tenant=tenant)
    wait = told(promise[0], keepable=promise[1]) if promise is not None else {}
    task = {**waiting_task(id_, f"of-{id_}", days), **wait, **more}
    now = runtime.clock()
    bound = None if promise is None or promise[0] is None else START + timedelta(days=promise[0])
    kept = None if promise is None or task["status"] not in WAITING else (bound, promise[1])
    effect = timer_effect(id_, task["status"], now + timedelta(days=1), step=step, told=kept)
    await runtime.store.commit(UnitOfWork(tenant, [built(runtime.engine, task, now)], [effect]))


def request_behind(id_: str) -> Resource:
    """The ServiceRequest that authorises a referral."""
    subject = {"reference": f"Patient/of-{id_}"}
    return {
        "resourceType": "ServiceRequest",
        "id": f"of-{id_}",
        "status": "active",
        "intent": "plan",
        "subject": subject,
    }


def elsewhere(owner: str) -> Resource:
    """Another place."""
    return {"owner": {"reference": f"HealthcareService/{owner}"}}


__all__ = ["SERVICE"]
