"""What screening hears of a person, for when they are asked again: their tier and reviews from routing, their course
from measurement. Peers may be down: what was heard last holds, and without any tier the default does.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from stepwell_shared.canonical import code_system, instant
from stepwell_shared.events.notification import ReceivedEvent
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.store import WriteConflictError
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_screening.rules.safety_policy import NOT_ASKED
from stepwell_screening.rules.safety_reviews import OPEN_STATUSES
from stepwell_screening.schedules import Facts, keep_facts, read_schedule
from stepwell_screening.use_cases.alerts import Opening, ask_about_safety
from stepwell_screening.use_cases.site import cadence_of
from stepwell_screening.use_cases.subjects import subject_key, subject_of

ATTEMPTS_MAX = 8
OVER = frozenset({"revoked", "entered-in-error"})
PLANNED = frozenset({"plan", "order"})
RELIABLE_CHANGE = "-reliable-change"
STATUS_REASON = "http://hl7.org/fhir/StructureDefinition/request-statusReason"
# Tasks of routing for which measures are wanted, by where they stand: checks and ends are for people alone.
WANTING = frozenset({("course-review", "overdue"), ("booster", "due")})

Resource = Mapping[str, Any]


async def hear_tier(runtime: Runtime, received: ReceivedEvent, tenant: str) -> None:
    """Topic tier-assigned: a tier is proposed, planned, withdrawn or completed."""
    request = _focus(received)
    heard = instant(received.timestamp)
    if is_reachable(request) and "basedOn" not in request:  # what runs beside a step changes no pace
        await change_facts(runtime, tenant, _key(runtime, request), lambda facts: with_tier(facts, request, heard))
        if _asks_about_safety(request):
            await _ask(runtime, tenant, request, received.focus or "")


def _asks_about_safety(request: Resource) -> bool:
    """Whether a proposal that stands rests on no safety question at all."""
    rules = {
        coding.get("code")
        for each in request.get("reasonCode", ())
        for coding in each.get("coding", ())
        if coding.get("system") == code_system("rule")
    }
    return NOT_ASKED in rules and request.get("status") not in OVER and request.get("intent") not in PLANNED


async def _ask(runtime: Runtime, tenant: str, request: Resource, url: str) -> None:
    async def read(resource_type: str, id_: str) -> Any:
        return await runtime.store.read(tenant, resource_type, id_)

    now = runtime.clock()
    for _ in range(ATTEMPTS_MAX):
        unit = UnitOfWork(tenant)
        opening = Opening(tenant, read, unit, now, url, instant(now))
        subject = await subject_of(runtime, read, request["subject"], "ServiceRequest.subject")
        await ask_about_safety(runtime, opening, subject)
        try:
            if unit.changes:
                await runtime.store.commit(unit)
        except WriteConflictError:
            continue
        return
    raise FhirError(Category.UNAVAILABLE, "too much is heard of one person at once; try again shortly")


async def hear_course(runtime: Runtime, received: ReceivedEvent, tenant: str) -> None:
    """Topic trajectory-changed: what can be said about a person's change on one instrument."""
    observation = _focus(received)
    if is_reachable(observation):
        await change_facts(runtime, tenant, _key(runtime, observation), lambda facts: with_course(facts, observation))


async def hear_review(runtime: Runtime, received: ReceivedEvent, tenant: str) -> None:
    """Topic review-due: a review or booster is due and has no new measures, so that the person is asked for them."""
    task = _focus(received)
    kind = _code([task.get("code", {})], code_system("task"))
    stands = _code([task.get("businessStatus", {})], code_system("review-status"))
    if (kind, stands) not in WANTING or task.get("status") not in OPEN_STATUSES or "reference" not in task["for"]:
        return
    heard = instant(received.timestamp)
    names = {str(each.get("valueString")) for each in task.get("input", ())}
    measures = [each.code for each in cadence_of(runtime, tenant).measures.values() if names & set(each.evidence)]
    subject = subject_key(runtime, task["for"], "Task.for")
    await change_facts(runtime, tenant, subject, lambda facts: with_wanted(facts, heard, measures))


def is_reachable(resource: Resource) -> bool:
    """Whether its subject can be asked: a person who is known by an identifier alone has no record to go by."""
    return "reference" in resource.get("subject", {})


async def change_facts(runtime: Runtime, tenant: str, subject: str, change: Callable[[Facts], Facts]) -> None:
    """Keeps what a person's facts are by now; what changes nothing is not written. Raises FhirError UNAVAILABLE."""
    for _ in range(ATTEMPTS_MAX):
        schedule = await read_schedule(runtime.database, tenant, subject)
        facts = change(schedule.facts)
        if facts == schedule.facts or await keep_facts(runtime.database, tenant, subject, facts, schedule.changes):
            return
    raise FhirError(Category.UNAVAILABLE, "too much is heard of one person at once; try again shortly")


def with_tier(facts: Facts, request: Resource, heard: str) -> Facts:
    """The facts after a tier assignment. A proposal beside a plan changes nothing: care goes on as planned."""
    id_, status, intent = str(request["id"]), request.get("status"), str(request.get("intent", ""))
    if status in OVER or status == "completed":
        if facts.request != id_ or _is_given(request):
            return facts
        without = replace(facts, tier="", policy="", review="", request="", intent="")
        return replace(without, is_ended=status == "completed")
    if intent not in PLANNED and facts.intent in PLANNED and facts.request != id_:
        return facts
    policy = next(iter(request.get("instantiatesCanonical", ())), "")
    return replace(
        facts,
        since=heard if facts.is_ended or not facts.since else facts.since,
        tier=_code(request.get("category", ()), code_system("tier")),
        policy=str(policy).partition("|")[0].rpartition("/")[2],
        review=str(request.get("occurrencePeriod", {}).get("end", "")),
        request=id_,
        intent=intent,
        is_ended=False,
    )


def _is_given(request: Resource) -> bool:
    """Whether the referral of a step is complete: the step goes on until it is reviewed, and so does measuring."""
    reasons = (each["valueCodeableConcept"] for each in request.get("extension", ()) if each["url"] == STATUS_REASON)
    return _code(reasons, code_system("request-status-reason")) == "given"


def with_wanted(facts: Facts, heard: str, measures: Sequence[str]) -> Facts:
    """The facts after a review fell due without measures; one that was heard of later holds."""
    if heard <= facts.wanted:
        return facts
    return replace(facts, since=facts.since or heard, wanted=heard, wanted_measures=sorted(measures))


def with_course(facts: Facts, observation: Resource) -> Facts:
    """The facts after a change on one instrument was said, or taken back. Since when it is so stays what it was."""
    system = code_system("reliable-change")
    instrument = _code([observation["code"]], system).removesuffix(RELIABLE_CHANGE)
    kind = _code([observation.get("valueCodeableConcept", {})], system)
    courses = dict(facts.courses)
    before = courses.pop(instrument, None)
    if kind and observation.get("status") != "entered-in-error":
        since = str(observation.get("effectiveDateTime", observation.get("issued", "")))
        courses[instrument] = before if before is not None and before[0] == kind else [kind, since]
    return replace(facts, courses=dict(sorted(courses.items())))


def _focus(received: ReceivedEvent) -> Resource:
    focus = received.resources.get(received.focus or "")
    if focus is None:
        issue = Issue("the notification carries its focus", "required", received.expression)
        raise FhirError(Category.BUSINESS_RULE, [issue])
    return focus


def _key(runtime: Runtime, resource: Resource) -> str:
    return subject_key(runtime, resource.get("subject"), f"{resource.get('resourceType')}.subject")


def _code(concepts: Any, system: str) -> str:
    codings = (coding for concept in concepts for coding in concept.get("coding", ()))
    return next((str(coding["code"]) for coding in codings if coding.get("system") == system), "")
