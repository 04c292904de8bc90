"""`$match`: the places that fit a referral, or anybody's need, for a coordinator and for the person's own choice."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec
import orjson
from stepwell_shared.canonical import derived_id
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.interactions.reach import query_of
from stepwell_shared.fhir.messages import Request, Response, address_of, bundle
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.runtime import Runtime

from stepwell_referral import data
from stepwell_referral.builders import matches as builders
from stepwell_referral.data.directory import FALLBACK_LANGUAGE, left_out_words, reason_words
from stepwell_referral.directory_tables import PersonRow
from stepwell_referral.rules.matching import Match, Need, Option
from stepwell_referral.use_cases.match_asked import ANYBODY, LEFT_OUT_MAX, WISHES, Asked, match_asked
from stepwell_referral.use_cases.needs import need_of
from stepwell_referral.use_cases.offers import offers_of_need
from stepwell_referral.use_cases.persons import person_of
from stepwell_referral.use_cases.progress import request_of, subject_key
from stepwell_referral.use_cases.requests import has_safety_rule, tier_of

PLACES = "HealthcareService"
NOBODY = "nobody"

Resource = dict[str, Any]

_resource = msgspec.json.Decoder(Resource, float_hook=Decimal)


async def match_task(runtime: Runtime, request: Request) -> Response:
    """`Task/[id]/$match`: the places for the person of a referral, at the tier of its ServiceRequest.

    What is known of the person is their record's copy and the newest form about wishes and barriers; parameters go
    before it. Raises FhirError: INVALID for other parameters, BUSINESS_RULE for a Task that is no referral to a tier.
    """
    answer, asked_for = match_asked(request, WISHES)
    read = partial(runtime.store.read, request.access.tenant)
    stored = await read("Task", request.id)
    task = _resource.decode(stored.body) if stored is not None and stored.body else {}
    wanted = await request_of(read, task) if "focus" in task else None
    service_request = _resource.decode(wanted.body) if wanted is not None and wanted.body else {}
    tier = tier_of(service_request)
    if tier is None or "for" not in task:
        text = "this is no referral to a tier of care whose ServiceRequest is here"
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", "Task.focus")])
    person = await person_of(runtime, request.access.tenant, subject_key(runtime, task["for"]))
    person = await in_reach(runtime, request, person)
    now = runtime.clock()
    need = asked_for(need_of(person, tier, now))
    answer = replace(answer, priority=task.get("priority", "routine"))
    return await _matched(runtime, request, need, person, answer, safety_item=has_safety_rule(service_request))


async def match_anybody(runtime: Runtime, request: Request) -> Response:
    """`HealthcareService/$match`: places of a tier, or resources of the community, for a need that is stated.

    Raises FhirError INVALID for other parameters, and when neither a tier nor what to help with is named.
    """
    answer, asked_for = match_asked(request, ANYBODY)
    need = asked_for(Need())
    if bool(need.tier) == bool(need.helps_with):
        text = "say either tier, or helps-with for resources of the community"
        raise FhirError(Category.INVALID, [Issue(text, "required", "Parameters.parameter")])
    person = await person_of(runtime, request.access.tenant, NOBODY)
    return await _matched(runtime, request, need, person, answer, safety_item=False)


async def in_reach(runtime: Runtime, request: Request, person: PersonRow) -> PersonRow:
    """What the caller could read of the person: reasons say nothing of what its token or a Consent keeps from it."""
    if person.patient is not None and not await _reaches(runtime, request, "Patient", person.patient):
        person = person._replace(patient=None)
    if person.form is not None and not await _reaches(runtime, request, "QuestionnaireResponse", person.form):
        person = person._replace(form=None)
    return person


async def _reaches(runtime: Runtime, request: Request, kind: str, body: bytes) -> bool:
    try:
        granted = request.access.filters(kind, Interaction.READ)
    except FhirError:
        return False
    if not granted:
        return True
    engine = runtime.engine
    query = query_of(engine, engine.registry.types[kind], [("_id", orjson.loads(body)["id"])], granted, strict=True)
    return bool(await engine.store.search(request.access.tenant, *query.page_statement()))


async def _matched(
    runtime: Runtime, request: Request, need: Need, person: PersonRow, answer: Asked, *, safety_item: bool
) -> Response:
    request.access.require(PLACES, Interaction.READ)
    tenant, now = request.access.tenant, runtime.clock()
    offers = await offers_of_need(
        runtime, tenant, need, person, priority=answer.priority, safety_item=safety_item, now=now
    )
    for_patient = answer.audience == "patient" or getattr(request.access, "patient", None) is not None
    language = answer.language or (need.languages[0] if for_patient and need.languages else FALLBACK_LANGUAGE)
    options = offers.match.options[: answer.count]
    bodies = await _bodies(runtime, request, options)
    shown = [option for option in options if option.place.place_id in bodies]
    words = reason_words(language)
    entries = [_entry(runtime, option, bodies[option.place.place_id], words) for option in shown]
    issues = _issues(offers.match, language if for_patient else None, with_left_out=answer.left_out and not for_patient)
    if issues:
        entries.append(_outcome(derived_id(runtime.engine.base_url, tenant, "match", request.id), issues))
    address = "/".join(part for part in (request.resource_type, request.id, "$match") if part)
    link = address_of(f"{runtime.engine.base_url}/{address}", request.parameters)
    return Response(200, bundle("searchset", len(shown), [("self", link)], entries, now), {}, request.id)


def _issues(found: Match, told_in: str | None, *, with_left_out: bool) -> list[Resource]:
    """That there is no place, to the person in their language, and why others were left out."""
    words = data.wait_templates()
    spoken = words.get((told_in or "").partition("-")[0], words[FALLBACK_LANGUAGE])
    text = found.reason if told_in is None else spoken["rules"]["MATCH-NONE"]
    issues = [] if found.options else [builders.no_place_issue(found.rule, text)]
    if with_left_out:
        issues += builders.left_out_issues(found.left_out[:LEFT_OUT_MAX], left_out_words())
    return issues


async def _bodies(runtime: Runtime, request: Request, options: Sequence[Option]) -> dict[str, bytes]:
    """The places as they are stored, those that the caller's scopes reach."""
    ids = [option.place.place_id for option in options]
    engine, tenant = runtime.engine, request.access.tenant
    granted = request.access.filters(PLACES, Interaction.READ)
    if granted and ids:
        query = query_of(engine, engine.registry.types[PLACES], [("_id", ",".join(ids))], granted, strict=True)
        return {row["id"]: row["body"] for row in await engine.store.search(tenant, *query.page_statement())}
    stored = await asyncio.gather(*(runtime.store.read(tenant, PLACES, id_) for id_ in ids))
    return {each.id: each.body for each in stored if each is not None and each.body is not None}


def _entry(runtime: Runtime, option: Option, body: bytes, words: Mapping[str, Any]) -> bytes:
    url = orjson.dumps(f"{runtime.engine.base_url}/{PLACES}/{option.place.place_id}")
    return b'{"fullUrl":%b,"resource":%b,"search":%b}' % (url, body, encode(builders.match_search(option, words)))


def _outcome(id_: str, issues: list[Resource]) -> bytes:
    """Every entry has an address of its own (bdl-7); an outcome is stored nowhere."""
    outcome = {"resourceType": "OperationOutcome", "issue": issues}
    return encode({"fullUrl": f"urn:uuid:{id_}", "resource": outcome, "search": {"mode": "outcome"}})
