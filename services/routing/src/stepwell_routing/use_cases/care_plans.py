"""Plans in a person's own words: kept, read offline, told to an employer under a Consent; the way back into care."""

from dataclasses import replace
from datetime import date
from typing import Any

from stepwell_shared.canonical import derived_id
from stepwell_shared.consent.policy import shipped_policy
from stepwell_shared.consent.rules import Actor, Kind, decide_sharing
from stepwell_shared.consent.sharing import Sharing
from stepwell_shared.events.outbox import event
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.messages import Request, Response, written
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Interaction, Write
from stepwell_shared.fhir.store import WriteConflictError
from stepwell_shared.fhir.unit import Stored, UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_routing.builders import plans as builders
from stepwell_routing.data.plans import PlanKind, plan_kinds, plan_settings, said
from stepwell_routing.rules.care_plans import check_plan, may_come_back, plan_kind, sections
from stepwell_routing.subscriptions import SAFETY_PLAN_CHANGED
from stepwell_routing.use_cases.people import (
    acting_person,
    content,
    one,
    own_patient,
    parameters,
    person_of,
    require_whole,
    unprocessable,
)

# The purpose of a letter that the person wants: https://terminology.hl7.org/CodeSystem-v3-ActReason.html
AT_REQUEST = "PATRQT"
SAFETY_PLAN = "safety-plan"

Resource = dict[str, Any]


async def change_care_plan(runtime: Runtime, write: Write) -> None:
    """A plan is written or changed; a safety plan is told of, so that it is found from the Flag in the chart.

    Raises FhirError BUSINESS_RULE with every place that does not hold.
    """
    plan, before = write.resource or {}, content(write.previous)
    kinds = {code: list(kind.sections) for code, kind in plan_kinds().items()}
    found = check_plan(plan, before, kinds, builders.CARE_PLAN)
    if found:
        raise FhirError(Category.BUSINESS_RULE, [Issue(each.text, "business-rule", each.expression) for each in found])
    person = await person_of(runtime, write.read, plan["subject"], "CarePlan.subject")
    if before is not None:
        earlier = await person_of(runtime, write.read, before["subject"], "CarePlan.subject")
        if earlier.key != person.key:
            raise unprocessable("a plan stays with its person", "CarePlan.subject")
    if plan_kind(plan, builders.CARE_PLAN) == SAFETY_PLAN:
        focus = f"CarePlan/{write.stored.id}"
        entries = [(f"{runtime.engine.base_url}/{focus}", write.stored)]
        write.unit.effects.append(event(SAFETY_PLAN_CHANGED.canonical, person.key, focus, entries, write.now))


async def print_plan(runtime: Runtime, request: Request) -> Response:
    """`CarePlan/[id]/$print` with `language`: a DocumentReference, not kept, with one HTML page."""
    given = parameters(request, ("language",))
    plan = await _plan(runtime, request)
    kind = plan_kinds()[plan_kind(plan, builders.CARE_PLAN)]
    asked = given.get("language", [{}])[0]
    language = asked.get("valueCode") or asked.get("valueString") or plan.get("language", "en")
    language = language if language.partition("-")[0] in kind.title else "en"
    as_of = f"{said(plan_settings()['as_of'], language)} {plan['meta']['lastUpdated'][:10]}"
    empty = said(plan_settings()["empty"], language)
    title = said(kind.title, language)
    body = builders.plan_page(title, language, _written(plan, kind, language, kind.sections), empty=empty, as_of=as_of)
    version = f"CarePlan/{request.id}/_history/{plan['meta']['versionId']}"
    document = builders.page_document(body, title, version, plan["subject"])
    return Response(200, encode(document), {}, request.id)


async def write_letter(runtime: Runtime, request: Request) -> Response:
    """`CarePlan/[id]/$employer-letter` with `employer` (an Organization): hours and accommodations alone.

    Raises FhirError: FORBIDDEN without a person, BUSINESS_RULE for another kind of plan or one that says nothing of
    either, and unless a Consent of the person that names this employer permits it now.
    """
    author = acting_person(request)
    require_whole(request, "DocumentReference", Interaction.CREATE)
    employer = one(parameters(request, ("employer",)), "employer", "valueReference")
    plan, tenant, now = await _plan(runtime, request), request.access.tenant, runtime.clock()
    settings, kind = plan_settings()["letter"], plan_kinds()[plan_kind(plan, builders.CARE_PLAN)]
    if kind.code != settings["kind"] or plan.get("status") != "active":
        raise unprocessable("a letter is written from an active plan for the return to work", "CarePlan.category")
    language = plan.get("language", "en")
    parts = _written(plan, kind, language, settings["sections"])
    if not any(words for _, words in parts):
        raise unprocessable("the plan says neither hours nor accommodations", "CarePlan.activity")
    consent = await _consented(runtime, tenant, plan, str(employer.get("reference")))
    title = said(settings["title"], language)
    version = str(plan["meta"]["versionId"])
    cause = ("employer-letter", request.id, version, str(employer.get("reference")), consent)
    letter = builders.employer_letter(
        plan,
        builders.letter_text(title, now.date(), parts),
        resource_id=derived_id(runtime.engine.base_url, tenant, *cause),
        title=title,
        language=language,
        employer=employer,
        consent=consent,
        author=author,
        moment=now,
    )
    return await _made_once(runtime, request, "$employer-letter", letter)


async def ask_to_come_back(runtime: Runtime, request: Request) -> Response:
    """`CarePlan/[id]/$re-enter`: somebody who left care asks to come back, without a new referral: a Task.

    Raises FhirError BUSINESS_RULE for another kind of plan, and when the time for it is over.
    """
    parameters(request, ())
    plan, now, settings = await _plan(runtime, request), runtime.clock(), plan_settings()["re_entry"]
    requester = own_patient(request) or acting_person(request)
    if own_patient(request) is None:
        require_whole(request, "Task", Interaction.CREATE)
    exited = plan.get("period", {}).get("start", "")
    if (
        plan_kind(plan, builders.CARE_PLAN) != settings["kind"]
        or plan.get("status") != "active"
        or len(exited) < len("2026-11-22")
    ):
        text = "the way back is said in an active plan for staying well, with the day on which care ended"
        raise unprocessable(text, "CarePlan.period.start")
    if not may_come_back(date.fromisoformat(exited[:10]), now.date(), settings["months"]):
        text = f"this was possible for {settings['months']} months; the first step stays open to everybody"
        raise unprocessable(text, "CarePlan.period.start")
    cause = ("re-entry", request.id, exited)
    task_id = derived_id(runtime.engine.base_url, request.access.tenant, *cause)
    task = builders.re_entry_task(plan, resource_id=task_id, requester=requester, moment=now)
    return await _made_once(runtime, request, "$re-enter", task)


async def _plan(runtime: Runtime, request: Request) -> Resource:
    """The plan of a request; a patient's token reaches the own ones only."""
    plan = content(await runtime.store.read(request.access.tenant, "CarePlan", request.id))
    patient = own_patient(request)
    if plan is None or (
        patient is not None and runtime.engine.localise(plan["subject"].get("reference", "")) != patient
    ):
        raise FhirError(Category.NOT_FOUND, "there is no CarePlan with this id")
    return plan


def _written(plan: Resource, kind: PlanKind, language: str, codes: Any) -> list[tuple[str, list[str]]]:
    words = sections(plan, builders.CARE_PLAN)
    return [(said(kind.sections[code], language), words.get(code, [])) for code in codes]


async def _consented(runtime: Runtime, tenant: str, plan: Resource, employer: str) -> str:
    """The id of the Consent that names this employer and permits a letter now. Raises BUSINESS_RULE without one."""
    sharing, policy = Sharing.of(runtime.engine), shipped_policy()
    outside = replace(policy.defaults[Kind.OUTSIDE], is_named=True)
    subject = plan["subject"]
    person = runtime.engine.localise(subject["reference"]) if "reference" in subject else _identifier(subject)
    decision = decide_sharing(
        await sharing.consents_about(tenant, person),
        actor=Actor(Kind.OUTSIDE, runtime.engine.localise(employer)),
        purpose=AT_REQUEST,
        resource_type="DocumentReference",
        security_labels=(),
        now=runtime.clock(),
        policy=replace(policy, defaults={**policy.defaults, Kind.OUTSIDE: outside}),
        codes=(),
    )
    if not decision.permitted or not decision.consent:
        text = f"a letter to an employer needs a Consent that names the employer ({decision.rule})"
        raise unprocessable(text, "Parameters.parameter.where(name = 'employer')")
    return decision.consent


def _identifier(subject: Resource) -> str:
    identifier = subject["identifier"]
    return f"{identifier.get('system', '')}|{identifier['value']}"


async def _made_once(runtime: Runtime, request: Request, operation: str, resource: Resource) -> Response:
    """Stores what one cause makes, or answers with what it has made before."""
    tenant, kind = request.access.tenant, resource["resourceType"]
    served_type = runtime.engine.registry.types[kind]

    def answer(stored: Stored, *, created: bool) -> Response:
        return written(runtime.engine.base_url, request, served_type, stored, created=created, witnessed=created)

    change = built(runtime.engine, resource, runtime.clock())
    made = answer(change.stored, created=True)
    if await runtime.store.read(tenant, kind, resource["id"]) is None:
        try:
            await runtime.store.commit(UnitOfWork(tenant, [change], request.records(operation, made)))
        except WriteConflictError:
            pass
        else:
            return made
    before = await runtime.store.read(tenant, kind, resource["id"])
    if before is None or before.body is None:
        raise FhirError(Category.CONFLICT, "this was made and deleted")
    return answer(before, created=False)
