"""From a hook to its cards: who the person is to us, where their care stands, and what the rules make of it.

Nothing is called back and nothing about the person is kept: what a client did not send is done without.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from stepwell_shared.canonical import code_system
from stepwell_shared.database.functions import Effect
from stepwell_shared.fhir.identifiers import new_id
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.values import date_range
from stepwell_shared.runtime import Runtime

from stepwell_routing.builders import rule_codes, step_since
from stepwell_routing.cds.calls import HookCall
from stepwell_routing.cds.content import CARD_SYSTEM, REASON_SYSTEM, catalogue, kinds, limits
from stepwell_routing.cds.services import CARE_STEP, REFERRAL_STEP, CdsService
from stepwell_routing.cds.tables import card_effect, patients_identified
from stepwell_routing.cds.tokens import CdsCaller
from stepwell_routing.rules.cards import (
    Advice,
    CardTexts,
    card,
    care_advice,
    draft_suggestion,
    referral_advice,
    repeat_advice,
)
from stepwell_routing.rules.care_view import CareView, Rung, Score, Step, Words, ladder_of
from stepwell_routing.rules.draft_orders import earlier_results, referrals_in, tests_in, title_of
from stepwell_routing.rules.effects import RED_FLAGS, SAFETY
from stepwell_routing.rules.policies import Policy
from stepwell_routing.rules.wording import translations
from stepwell_routing.tables import MANUAL_TRIAGE, RISK
from stepwell_routing.tables import RED_FLAG as RED_FLAG_ROW
from stepwell_routing.use_cases.evidence import LEVELS, is_score, moment
from stepwell_routing.use_cases.governing import governing
from stepwell_routing.use_cases.knowledge import known_of
from stepwell_routing.use_cases.standing import Assignment, Standing, standing_of

# Rows that say what is open and waits for a person.
ASKED = frozenset({RISK, RED_FLAG_ROW, MANUAL_TRIAGE})
RED_FLAG = "SAF-6"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a call is about: `key` names them in our rows, `id` is that of the Patient here, if there is one."""

    key: str
    id: str | None


@dataclass(frozen=True, slots=True)
class Guidance:
    """The cards of one call, and the rows that let feedback on them be counted."""

    cards: list[Json]
    effects: list[Effect]


@dataclass(frozen=True, slots=True)
class _Known:
    """What is stored about a person, and what the rules see of it."""

    standing: Standing
    view: CareView
    ladder: Mapping[str, Rung]


async def person_of(runtime: Runtime, caller: CdsCaller, call: HookCall) -> Person:
    """The person behind the context's Patient, in the client's tenant.

    Raises FhirError PRECONDITION_FAILED when the prefetch that says so is missing (CDS Hooks: 412), BUSINESS_RULE when
    it means several people: advice about another person is worse than none.
    """
    system = caller.client.patient_system
    if system is None:
        return Person(f"Patient/{call.patient_id}", call.patient_id)
    value = next((value for each, value in _identifiers(call) if each == system), None)
    if value is None:
        text = "this client's patients are known by an identifier: prefetch the Patient that carries it"
        raise FhirError(Category.PRECONDITION_FAILED, [Issue(text, "required", "prefetch.patient")])
    found = await patients_identified(runtime.database, caller.tenant, system, value)
    if len(found) > 1:
        text = "several people have this identifier"
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "multiple-matches", "prefetch.patient.identifier")])
    return Person(f"Patient/{found[0]}", found[0]) if found else Person(f"{system}|{value}", None)


async def guidance(
    runtime: Runtime,
    caller: CdsCaller,
    service: CdsService,
    call: HookCall,
    person: Person,
    texts: CardTexts,
) -> Guidance:
    """What there is to say now; no card is an answer too."""
    known, now = await _known(runtime, caller.tenant, person), runtime.clock()
    cards, effects = [], []
    for advice in _advice(service, call, known, now):
        kind, card_id = kinds()[advice.rule], new_id()
        made = card(
            advice,
            texts,
            card_id=card_id,
            indicator=kind.indicator,
            topic_system=CARD_SYSTEM,
            reasons=kind.reasons,
            reason_system=REASON_SYSTEM,
            app_url=caller.client.app_url,
            suggestion=_suggestion(runtime, advice, texts, known.standing),
        )
        cards.append(made)
        effects.append(card_effect(card_id, service.id, advice.rule, caller.client.issuer, now))
    return Guidance(cards, effects)


def _advice(service: CdsService, call: HookCall, known: _Known, now: datetime) -> list[Advice]:
    view = known.view
    if service.id == CARE_STEP:
        return care_advice(view, limits(), now)
    if service.id == REFERRAL_STEP:
        systems = code_system("step"), code_system("tier")
        return referral_advice(
            view, referrals_in(call.orders, catalogue(), systems, code_system("tier-service")), known.ladder
        )
    tests = tests_in(call.orders, catalogue())
    results, reports = call.resources("results", "Observation"), call.resources("reports", "DiagnosticReport")
    sent = None if results is None and reports is None else [*(results or []), *(reports or [])]
    earlier = None if sent is None else earlier_results(tests, _dated(sent), catalogue(), now)
    plans = [_plan(each) for each in call.resources("plans", "CarePlan") or []]
    return repeat_advice(view, tests, earlier, [plan for plan in plans if plan])


async def _known(runtime: Runtime, tenant: str, person: Person) -> _Known:
    """Reads what is stored, at once; with the rows comes whether the tenant has published other policies."""
    standing, rows, is_patient = await asyncio.gather(
        standing_of(runtime, tenant, person.key),
        known_of(runtime, tenant, person.key),
        _is_here(runtime, tenant, person),
    )
    policy = (await governing(runtime, tenant, standing, person.key)).policy
    risks = {row.value for row in rows if row.name in ASKED} - LEVELS - {None}
    proposal = _step(policy, standing.proposal)
    plan = _step(policy, standing.plan, step_since(standing.episode_body or {}))
    view = CareView(
        is_known=is_patient or standing.episode is not None or bool(rows),
        is_safety_open=bool(risks - {RED_FLAG}) or _waits_for_safety(policy, standing.proposal),
        has_red_flag=RED_FLAG in risks,
        proposal=proposal,
        plan=plan,
        scores=[Score(row.name, Decimal(row.value), row.observed_at) for row in rows if row.value and is_score(row)],
    )
    return _Known(standing, view, ladder_of(policy))


def _waits_for_safety(policy: Policy, proposal: Assignment | None) -> bool:
    """Whether a rule of safety, or a red flag, holds the proposal, and not something else that a person looks at."""
    if proposal is None or proposal.body["status"] != "on-hold":
        return False
    holding = {rule.code for rule in policy.rules if rule.holds and rule.stage in {SAFETY, RED_FLAGS}}
    return not holding.isdisjoint(rule_codes(proposal.body))


async def _is_here(runtime: Runtime, tenant: str, person: Person) -> bool:
    patient = await runtime.store.read(tenant, "Patient", person.id) if person.id else None
    return patient is not None and patient.body is not None


def _step(policy: Policy, assignment: Assignment | None, since: str | None = None) -> Step | None:
    """The step of an assignment; a plan that the episode has entered counts from then on."""
    period = assignment.body.get("occurrencePeriod", {}) if assignment is not None else {}
    if assignment is None or not {"start", "end"} <= period.keys():
        return None
    body = assignment.body
    step = policy.step_of(assignment.step)
    return Step(
        code=assignment.step,
        rank=step.rank if step is not None else 0,
        words=_words(body),
        since=moment(since or period["start"]),
        review_at=moment(period["end"]),
        is_proposal=body["intent"] == "proposal",
        is_held=body["status"] == "on-hold",
    )


def _words(body: Json) -> Words:
    concept = body["category"][-1]
    return translations(concept, "text", body.get("language", "en"))


def _suggestion(runtime: Runtime, advice: Advice, texts: CardTexts, standing: Standing) -> Json | None:
    source = standing.proposal or standing.plan
    if advice.suggested is None or source is None:
        return None
    url = f"{runtime.engine.base_url}/{source.reference}"
    return draft_suggestion(advice.suggested, texts, source.body, suggestion_id=new_id(), request_url=url)


def _identifiers(call: HookCall) -> list[tuple[str, str]]:
    patient = call.prefetch.get("patient")
    listed = patient.get("identifier") if isinstance(patient, dict) else None
    found = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    return [(str(each.get("system", "")), each["value"]) for each in found if isinstance(each.get("value"), str)]


def _dated(results: Sequence[Any]) -> list[tuple[Any, datetime]]:
    """Results with the time that they are about; what names none is left out."""
    found = []
    for each in results:
        period = each.get("effectivePeriod")
        start = period.get("start") if isinstance(period, dict) else None
        text = next((one for one in (each.get("effectiveDateTime"), start, each.get("issued")) if one), None)
        interval = date_range(text) if isinstance(text, str) else None
        if interval is not None:
            found.append((each, interval[0].astimezone(UTC)))
    return found


def _plan(plan: Any) -> str:
    title = plan.get("title")
    categories = plan.get("category")
    named = title_of(categories[0]) if isinstance(categories, list) and categories else ""
    return title if isinstance(title, str) and title else named
