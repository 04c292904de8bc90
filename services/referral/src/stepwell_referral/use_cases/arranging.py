"""Barriers that a person has named are answered: Tasks of people who arrange support, and what the person is told.

What answers a barrier never stands for less care: the place and the tier stay as they are.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
from stepwell_shared.events.notification import ReceivedEvent
from stepwell_shared.fhir.concepts import NAMELESS, known_concepts
from stepwell_shared.fhir.interactions.reach import query_of, stored_of
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.unit import Stored, UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_referral.builders import coordination as builders
from stepwell_referral.builders.support import TASK_CODES, closed_task
from stepwell_referral.data.directory import parameters
from stepwell_referral.data.loop import time_outs, words
from stepwell_referral.directory_tables import PersonRow
from stepwell_referral.rules.arranging import Arrangement, to_arrange
from stepwell_referral.rules.matching import Profile
from stepwell_referral.timers import timer_effect
from stepwell_referral.use_cases.directory import directory_of
from stepwell_referral.use_cases.fidelity import keep_wishes
from stepwell_referral.use_cases.messages import language_of, tell_person
from stepwell_referral.use_cases.needs import need_of
from stepwell_referral.use_cases.persons import person_of
from stepwell_referral.use_cases.progress import Progress, content, request_of, subject_key
from stepwell_referral.use_cases.taking import until_committed

NO_LONGER = "The person says that this is no longer in the way."
TASKS_MAX = 50
OPEN = "requested,accepted,in-progress,on-hold"
ARRANGING = f"{TASK_CODES}|{builders.ARRANGE_SUPPORT}"

Resource = dict[str, Any]

_resource = msgspec.json.Decoder(Resource)


async def open_supports(progress: Progress, language: str) -> None:
    """Opens a Task for each barrier that the place of a referral leaves open, and tells the person.

    What is arranged already, for this or another referral, is not asked for again until the person names it anew.
    """
    known = await person_of(progress.runtime, progress.tenant, progress.subject_key)
    found = () if known.form is None else await left_open(progress.runtime, progress.tenant, known, progress.task)
    if known.form is None or not found:
        return
    form = str(_resource.decode(known.form)["id"])
    supports = await _supports(progress.runtime, progress.tenant, progress.task)
    asked = {builders.barrier_of(task) for _, task in supports}
    made = {change.stored.id for change in progress.unit.changes}
    opened = []
    for each in found:
        id_ = progress.id_of("arrange-support", progress.subject_key, form, each.barrier)
        if each.barrier not in asked and id_ not in made and await progress.read("Task", id_) is None:
            _open(progress, each, id_, form)
            opened.append(each.barrier)
    if opened:
        named = _listed(builders.BARRIERS, opened, language)
        _tell(progress, ("arranging", form, *opened), language, words()[language]["arranging"].format(barriers=named))


async def change_support_task(progress: Progress) -> None:
    """People end a Task of support: what was arranged is said, and the person hears how it ended.

    Raises FhirError BUSINESS_RULE for one that is complete without saying what was arranged, or ends without a reason.
    """
    task = progress.task
    barrier = builders.barrier_of(task) or ""
    language = await language_of(progress.runtime, progress.tenant, progress.subject_key, "en")
    if task["status"] == "completed":
        codes, givers = builders.arranged_in(task)
        if not codes or not set(codes) <= known_concepts(builders.SUPPORTS).keys():
            text = f"say what was arranged: output {builders.ARRANGED} with a code of {builders.SUPPORTS}"
            raise FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", "Task.output")])
        named = ", ".join([_listed(builders.SUPPORTS, codes, language), *_names(givers)])
        text = words()[language]["arranged"].format(support=named)
    elif task.get("statusReason", {}).get("text"):
        text = words()[language]["not-arranged"].format(barrier=_display(builders.BARRIERS, barrier, language))
    else:
        raise FhirError(Category.BUSINESS_RULE, [Issue("say why in words", "business-rule", "Task.statusReason.text")])
    _tell(progress, ("arranged", progress.stored.id, str(progress.stored.version)), language, text)


async def take_wishes(runtime: Runtime, received: ReceivedEvent, tenant: str) -> None:
    """Topic preference-changed: keeps what somebody said of wishes and barriers, and answers the barriers of who waits
    or is in care; what nobody has begun to arrange and is no longer in the way is withdrawn."""
    await keep_wishes(runtime, received, tenant)
    forms = [each for each in received.resources.values() if each["resourceType"] == "QuestionnaireResponse"]
    for person in (each["subject"] for each in forms if "subject" in each):
        await until_committed(partial(_answer, runtime, tenant, person))


async def _answer(runtime: Runtime, tenant: str, person: Resource) -> None:
    now, unit = runtime.clock(), UnitOfWork(tenant)
    referral = await open_referral(runtime, tenant, person)
    if referral is None:
        return
    stored, task = referral
    request = await request_of(partial(runtime.store.read, tenant), task)
    progress = Progress(runtime, unit, task, task, stored, request, now)
    await _withdraw(progress)
    await open_supports(progress, await language_of(runtime, tenant, progress.subject_key, task.get("language", "")))
    if unit.changes:
        await runtime.store.commit(unit)


async def _withdraw(progress: Progress) -> None:
    known = await person_of(progress.runtime, progress.tenant, progress.subject_key)
    declared = need_of(known, "", progress.now).barriers
    for stored, task in await _supports(progress.runtime, progress.tenant, progress.task):
        barrier = builders.barrier_of(task)
        if task["status"] == "requested" and barrier is not None and barrier not in declared and "focus" in task:
            progress.put(closed_task(task, "cancelled", at=progress.now, reason=NO_LONGER), previous=stored)
            progress.unit.effects.append(timer_effect(stored.id, builders.ARRANGE_SUPPORT, None))


async def left_open(runtime: Runtime, tenant: str, known: PersonRow, task: Resource) -> tuple[Arrangement, ...]:
    """What the place of a referral leaves open of what gets in the way of its person."""
    need = need_of(known, "", runtime.clock())
    directory = await directory_of(runtime, tenant, known.revision)
    owner = str(task.get("owner", {}).get("reference", "")).removeprefix("HealthcareService/")
    place = directory.places.get(owner)
    return to_arrange(need, Profile() if place is None else place.profile, parameters())


def _open(progress: Progress, arrangement: Arrangement, id_: str, form: str) -> None:
    within = time_outs()[builders.ARRANGE_SUPPORT].first["routine"]
    task = builders.support_task(
        progress.task,
        task_id=id_,
        barrier=_coding(builders.BARRIERS, arrangement.barrier),
        options=[_coding(builders.SUPPORTS, each) for each in arrangement.supports],
        declared_in=f"QuestionnaireResponse/{form}",
        within=within,
        at=progress.now,
    )
    progress.put(task)
    progress.unit.effects.append(timer_effect(id_, builders.ARRANGE_SUPPORT, progress.now))


async def tasks_of(
    runtime: Runtime, tenant: str, person: Resource, criteria: Sequence[tuple[str, str]], granted: Sequence[str] = ()
) -> list[tuple[Stored, Resource]]:
    """The Tasks of a person by further search criteria, those that the granted searches reach."""
    engine, name = runtime.engine, "patient" if "reference" in person else "patient:identifier"
    served_type = engine.registry.types["Task"]
    given = [(name, subject_key(runtime, person)), *criteria]
    query = query_of(engine, served_type, given, granted, strict=True)
    query.count = TASKS_MAX
    rows = await engine.store.search(tenant, *query.page_statement())
    found = [stored_of(served_type, row) for row in rows[:TASKS_MAX]]
    return [(each, content(each)) for each in found]


async def _supports(runtime: Runtime, tenant: str, task: Resource) -> list[tuple[Stored, Resource]]:
    return await tasks_of(runtime, tenant, task["for"], [("code", ARRANGING), ("status", OPEN)])


async def open_referral(runtime: Runtime, tenant: str, person: Resource) -> tuple[Stored, Resource] | None:
    """The referral that was asked for last, of those that are open."""
    criteria = [("code", f"{TASK_CODES}|tier-referral"), ("status", f"{OPEN},received"), ("_sort", "-authored-on")]
    found = await tasks_of(runtime, tenant, person, criteria)
    return found[0] if found else None


def _tell(progress: Progress, cause: Sequence[str], language: str, text: str) -> None:
    tell_person(
        progress.runtime,
        progress.unit,
        progress.task,
        cause,
        subject_key=progress.subject_key,
        language=language,
        text=f"{text}\n{words()[language]['crisis']}",
        now=progress.now,
    )


def _names(references: Sequence[Resource]) -> list[str]:
    """Who gives it, where that is said in words."""
    return [each["display"] for each in references if "display" in each]


def _listed(system: str, codes: Sequence[str], language: str) -> str:
    return ", ".join(_display(system, each, language) for each in codes)


def _coding(system: str, code: str) -> dict[str, str]:
    return {"system": system, "code": code, "display": _display(system, code, "en")}


def _display(system: str, code: str, language: str) -> str:
    return known_concepts(system).get(code, NAMELESS).display_in(language) or code
