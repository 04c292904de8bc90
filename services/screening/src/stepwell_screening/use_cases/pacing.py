"""A person's own pace, and a form at a session or contact: what people say of when somebody is asked."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import orjson
from stepwell_shared.canonical import code_system, instant
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.messages import Request, Response
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_screening.rules.cadence import OCCASIONS, PACES, PAUSED, USUAL, Solicitation
from stepwell_screening.schedules import Facts, read_schedule
from stepwell_screening.use_cases.hearing import change_facts
from stepwell_screening.use_cases.knowledge import moment_of
from stepwell_screening.use_cases.site import cadence_of
from stepwell_screening.use_cases.solicitation import look, solicitation_of

PACE, UNTIL, OCCASION = "pace", "until", "occasion"


async def pause_questionnaires(runtime: Runtime, request: Request) -> Response:
    """`Patient/[id]/$pause-questionnaires`: `pace` (paused unless given) and `until`, as the person wishes.

    Raises FhirError FORBIDDEN for whoever may not work on Tasks, INVALID for a pace that there is none of or a time
    that is over, BUSINESS_RULE for a pause that is too long.
    """
    given = await _given(runtime, request, {PACE, UNTIL})
    pace = str(given.get(PACE, PAUSED))
    if pace not in PACES:
        raise _invalid(f"the parameter {PACE} is one of {', '.join(PACES)}", PACE)
    now = runtime.clock()
    until = _until(runtime, request.access.tenant, given.get(UNTIL), pace, now)
    text = "" if until is None else instant(until)
    return await _changed(
        runtime, request, "$pause-questionnaires", lambda facts: replace(_begun(facts, now), pace=pace, until=text)
    )


async def ask_questionnaires(runtime: Runtime, request: Request) -> Response:
    """`Patient/[id]/$ask-questionnaires`: a form at once, at an `occasion` (session or contact) where people meet.

    Raises FhirError FORBIDDEN for whoever may not work on Tasks, INVALID for another occasion.
    """
    given = await _given(runtime, request, {OCCASION})
    if given.get(OCCASION) not in OCCASIONS:
        raise _invalid(f"the parameter {OCCASION} is one of {', '.join(OCCASIONS)}", OCCASION)
    now = runtime.clock()
    return await _changed(
        runtime, request, "$ask-questionnaires", lambda facts: replace(_begun(facts, now), prompted=instant(now))
    )


async def questionnaire_schedule(runtime: Runtime, request: Request) -> Response:
    """`Patient/[id]/$questionnaire-schedule`: what is asked next, when, why, and by whose pace. It changes nothing."""
    await _given(runtime, request, set(), Interaction.READ)
    subject = f"Patient/{request.id}"
    following = await solicitation_of(runtime, request.access.tenant, subject)
    return await _answer(runtime, request, following)


async def _changed(runtime: Runtime, request: Request, name: str, change: Any) -> Response:
    """Keeps what was said, does what follows at once, and says how it stands."""
    tenant, subject = request.access.tenant, f"Patient/{request.id}"
    await change_facts(runtime, tenant, subject, change)
    following = await look(runtime, tenant, subject)
    answer = await _answer(runtime, request, following)
    answered = replace(answer, witnessed=True)
    await runtime.store.commit(UnitOfWork(tenant, effects=[*request.records(name, answered)]))
    return answered


async def _answer(runtime: Runtime, request: Request, following: Solicitation | None) -> Response:
    schedule = await read_schedule(runtime.database, request.access.tenant, f"Patient/{request.id}")
    facts, progress = schedule.facts, schedule.progress
    parameters: list[dict[str, Any]] = [{"name": PACE, "valueCode": facts.pace}]
    if facts.until:
        parameters.append({"name": UNTIL, "valueInstant": facts.until})
    if progress.task:
        parameters.append({"name": "task", "valueReference": {"reference": f"Task/{progress.task}"}})
    if following is not None:
        if following.at is not None:
            parameters.append({"name": "next", "valueInstant": instant(following.at)})
        if following.questionnaire:
            parameters.append({"name": "questionnaire", "valueCanonical": following.questionnaire})
        coding = {"system": code_system("rule"), "code": following.rule}
        parameters.append({"name": "rule", "valueCodeableConcept": {"coding": [coding], "text": following.reason}})
    body = encode({"resourceType": "Parameters", "parameter": parameters})
    return Response(200, body, {"Cache-Control": "no-store"}, request.id)


def _begun(facts: Facts, now: datetime) -> Facts:
    """Who has no schedule yet has one from now on."""
    return facts if facts.since else replace(facts, since=instant(now))


async def _given(
    runtime: Runtime, request: Request, names: set[str], interaction: Interaction = Interaction.UPDATE
) -> dict[str, Any]:
    """The parameters by name; the person must be there."""
    request.access.require("Task", interaction)
    stored = await runtime.store.read(request.access.tenant, "Patient", request.id)
    if stored is None or stored.body is None:
        raise FhirError(Category.NOT_FOUND, "there is no Patient with this id")
    given: dict[str, Any] = {}
    for each in orjson.loads(request.body or b"{}").get("parameter", ()):
        if each.get("name") not in names:
            raise _invalid(f"takes {', '.join(sorted(names)) or 'no parameters'}", str(each.get("name")))
        given[each["name"]] = next((value for name, value in each.items() if name.startswith("value")), None)
    return given


def _until(runtime: Runtime, tenant: str, text: Any, pace: str, now: datetime) -> datetime | None:
    """Until when a wish holds. A pause ends by itself, so that nobody is forgotten."""
    most = now + timedelta(days=cadence_of(runtime, tenant).limit("pauseDaysMost"))
    if pace == USUAL:
        return None
    if text is None:
        return most if pace == PAUSED else None
    try:
        until = moment_of(str(text))
    except ValueError as error:
        raise _invalid(f"the parameter {UNTIL} is a date or a time", UNTIL) from error
    if until <= now:
        raise _invalid(f"the parameter {UNTIL} is in the future", UNTIL)
    if pace == PAUSED and until > most:
        issue = Issue(
            f"a pause lasts until {most.date()} at most; it can be asked for again", "business-rule", _place(UNTIL)
        )
        raise FhirError(Category.BUSINESS_RULE, [issue])
    return until


def _invalid(text: str, name: str) -> FhirError:
    return FhirError(Category.INVALID, [Issue(text, "value", _place(name))])


def _place(name: str) -> str:
    return f"Parameters.parameter.where(name = '{name}')"
