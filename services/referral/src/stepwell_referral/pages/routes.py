"""Addresses of the worklist: `/referral/worklist` and below, and `/worklist`, which leads there.

What is chosen and where a page begins stands in the address; who anybody is never does.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.messages import Response
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.wire import Exchange
from stepwell_shared.pages.door import Authenticate, Shown, Visit, doors_at, led_to, staff_door
from stepwell_shared.pages.forms import Posted
from stepwell_shared.pages.sign_in import signed_in
from stepwell_shared.runtime import Page, Runtime

from stepwell_referral.data.worklist import LANGUAGES, load_period
from stepwell_referral.pages import report
from stepwell_referral.pages.case import case_page
from stepwell_referral.pages.layout import ADDRESS, Frame, headers
from stepwell_referral.pages.lists import (
    list_page,
    load_page,
    overview_page,
    queue_page,
    queues_page,
    unanswered_page,
)
from stepwell_referral.use_cases.worklist import (
    LISTS,
    Looked,
    counts,
    listed,
    looked,
    overview,
    practitioners,
    queue,
    services,
    unanswered,
)
from stepwell_referral.use_cases.worklist_acts import Given, act
from stepwell_referral.use_cases.worklist_appointments import act_on_appointment
from stepwell_referral.use_cases.worklist_case import case_of
from stepwell_referral.use_cases.worklist_reach import chosen_in

SHORT = "/worklist"
JSON = "application/json"
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")


def worklist_pages(runtime: Runtime, authenticate: Authenticate) -> tuple[tuple[str, ...], Page]:
    """What answers at these addresses."""

    def doors(who: Authenticate) -> Page:
        pages = staff_door(runtime, who, _show, languages=LANGUAGES)
        forms = staff_door(runtime, who, _show, methods=("GET", "HEAD", "POST"), languages=LANGUAGES)

        async def answer(exchange: Exchange) -> None:
            await (forms if exchange.path.endswith("/act") else pages)(exchange)

        return answer

    return doors_at({**signed_in(runtime, authenticate, ADDRESS, "Task").doors(doors), SHORT: _lead})


async def _lead(exchange: Exchange) -> None:
    """The short address, for who types it."""
    below = exchange.path.removeprefix(SHORT)
    target = f"{ADDRESS}{below}" if re.fullmatch(r"(/[A-Za-z0-9\-.]+)*", below) else ADDRESS
    await exchange.answer(Response(308, headers={"Location": target, "Cache-Control": "no-store"}))


async def _show(visit: Visit) -> Shown:
    """A page, or the same as data. Raises FhirError."""
    parts = [each for each in visit.exchange.path.removeprefix(ADDRESS).split("/") if each]
    given = [pair for pair in visit.exchange.parameters if pair[0] != "from"]
    look = await looked(visit.runtime, visit.access, chosen_in(given))
    if len(parts) == 3 and (parts[0], parts[2]) == ("lines", "act") and _ID.fullmatch(parts[1]):
        is_sent = visit.exchange.method == "POST"
        return await _act(visit, look, parts[1]) if is_sent else led_to(f"{ADDRESS}/lines/{parts[1]}")
    if len(parts) == 2 and parts[0] == "lines" and _ID.fullmatch(parts[1]):
        return await _case(visit, look, parts[1])
    if len(parts) == 2 and parts[0] == "queues" and _ID.fullmatch(parts[1]):
        return await _queue(visit, look, parts[1])
    if len(parts) > 1 or (parts and parts[0] not in {*LISTS, "queues", "load", "unanswered"}):
        raise FhirError(Category.NOT_FOUND, "there is no such page")
    return await _list(visit, look, parts[0] if parts else "")


async def _list(visit: Visit, look: Looked, view: str) -> Shown:
    frame = await _frame(visit, look, view)
    if not view:
        lists = await overview(look)
        return _shown(visit, frame, overview_page, report.overview_report, (lists,), (frame.counted, lists))
    if view == "queues":
        rows = await services(look)
        return _shown(visit, frame, queues_page, report.services_report, (rows,), (look.sites, rows))
    if view == "load":
        found = (await services(look, by_load=True), await practitioners(look), load_period()[0].days)
        return _shown(visit, frame, load_page, report.load_report, found, (look.sites, *found))
    if view == "unanswered":
        asked = await unanswered(look)
        return _shown(visit, frame, unanswered_page, report.unanswered_report, asked, asked)
    lines = await listed(look, view)
    return _shown(visit, frame, list_page, report.list_report, (lines,), (lines,))


async def _queue(visit: Visit, look: Looked, service_id: str) -> Shown:
    begins = visit.exchange.parameter("from") or "0"
    if not re.fullmatch(r"[0-9]{1,6}", begins):
        raise FhirError(Category.INVALID, "this is no place in a queue: begin at its first page")
    found = await queue(look, service_id, after=int(begins))
    frame = await _frame(visit, look, "queues")
    return _shown(visit, frame, queue_page, report.queue_report, (found,), (found,))


async def _case(visit: Visit, look: Looked, task_id: str) -> Shown:
    case = await case_of(look, visit.request, task_id, visit.language)
    if _wants_data(visit):
        return Shown(encode(report.case_report(case)), "read", "Task", task_id, JSON, headers=headers(visit.language))
    frame = await _frame(visit, look, "lines")
    body = case_page(frame, case, done=visit.exchange.parameter("done") or "")
    return Shown(body, "read", "Task", task_id, headers=headers(visit.language))


async def _act(visit: Visit, look: Looked, task_id: str) -> Shown:
    """Does what the form says and leads back to the page; a refusal is said on the page, with what was filled in."""
    given = _given(visit.posted)
    try:
        do = act_on_appointment if given.appointment else act
        await do(visit.runtime, visit.request, visit.access, task_id, given)
    except FhirError as error:
        if error.category in {Category.FAULT, Category.UNAVAILABLE, Category.NOT_FOUND, Category.FORBIDDEN}:
            raise
        fresh = await looked(visit.runtime, visit.access, look.chosen)
        case = await case_of(fresh, visit.request, task_id, visit.language)
        frame = await _frame(visit, fresh, "lines")
        body = case_page(frame, case, refused=error, given=given)
        return Shown(body, "update", "Task", task_id, status=error.status, headers=headers(visit.language))
    return led_to(f"{ADDRESS}/lines/{task_id}?done={given.act}")


def _given(fields: Posted) -> Given:
    def one(name: str) -> str:
        return fields.get(name, [""])[0]

    return Given(
        act=one("act"),
        version=one("version"),
        reason=one("reason"),
        words=one("words"),
        place=one("place"),
        slot=one("slot") if _ID.fullmatch(one("slot")) else "",
        overtaking=one("overtaking"),
        yes=one("private-space") == "yes",
        supports=fields.get("support", []),
        appointment=one("appointment") if _ID.fullmatch(one("appointment")) else "",
    )


async def _frame(visit: Visit, look: Looked, here: str) -> Frame:
    return Frame(look, visit.language, await counts(look), here)


def _shown(
    visit: Visit,
    frame: Frame,
    as_page: Callable[..., bytes],
    as_data: Callable[..., Mapping[str, Any]],
    shown: Sequence[Any],
    told: Sequence[Any],
) -> Shown:
    """A list as a page, or as data for whoever asks for that."""
    if _wants_data(visit):
        return Shown(
            encode(dict(as_data(*told))), "search-type", "Task", media_type=JSON, headers=headers(visit.language)
        )
    return Shown(as_page(frame, *shown), "search-type", "Task", headers=headers(visit.language))


def _wants_data(visit: Visit) -> bool:
    wanted = visit.exchange.parameter("_format")
    if wanted is not None and wanted not in {"json", "html", JSON, "text/html"}:
        raise FhirError(Category.NOT_ACCEPTABLE, "_format is json or html")
    accept = visit.exchange.headers.get("accept", "")
    return wanted in {"json", JSON} or (wanted is None and JSON in accept and "text/html" not in accept)
