"""The person chooses: one of the ways that the proposed step offers, or, knowing what it means, less than was proposed.

A choice of less is recorded beside the proposal, which keeps its floor: it never lies below what safety asks for, and
is looked at again early (pathways rule 5). What was chosen is evidence of the next decision.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from stepwell_shared.canonical import code_system, derived_id
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.messages import Request, Response, written
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_routing import builders
from stepwell_routing.builders import choices
from stepwell_routing.builders.course import OPEN, due_at
from stepwell_routing.data.plans import early_review_after, said
from stepwell_routing.rules.choices import Menu, menu_of
from stepwell_routing.rules.policies import Policy
from stepwell_routing.rules.steps import Step
from stepwell_routing.rules.tiers import Option
from stepwell_routing.tables import Known, evidence_effect, evidence_reader
from stepwell_routing.use_cases.governing import governing_now
from stepwell_routing.use_cases.people import (
    acting_person,
    content,
    optional,
    own_patient,
    parameters,
    require_whole,
    unprocessable,
)
from stepwell_routing.use_cases.retrying import until_committed
from stepwell_routing.use_cases.reviews import Dated, Keeping, keep_reviewed
from stepwell_routing.use_cases.standing import Standing, key_of, standing_of

CHOSEN_OPTION, CHOSEN_STEP = "said/preferred_option", "said/informed_choice_step"
OPTION, STEP = (f"Parameters.parameter.where(name = '{name}')" for name in ("option", "step"))

Resource = dict[str, Any]


@dataclass(frozen=True)
class _Chosen:
    """What the person chose, from which request; `step` where it is less than was proposed, `recorded_by` who wrote it
    down with them."""

    request: Resource
    policy: Policy
    step: Step | None
    option: Option | None
    words: str | None
    recorded_by: str | None

    @property
    def codings(self) -> list[Resource]:
        """Step and option, in the language of the request."""
        language, found = self.request.get("language", "en"), []
        if self.step is not None:
            offering = self.step.offering
            found.append(choices.step_coding(offering.system, offering.code, said(offering.display, language)))
        if self.option is not None:
            found.append(choices.step_coding("care-option", self.option.code, said(self.option.display, language)))
        return found


async def choose(runtime: Runtime, request: Request) -> Response:
    """`ServiceRequest/[id]/$choose` with `option` or `step` or both, and perhaps `words`: a Communication.

    The person says it with an own token, or somebody of the team records it. Said again it is the same choice. Raises
    FhirError: INVALID for other parameters, BUSINESS_RULE for what is not offered (with what is), for a request that is
    not open, while a safety question is open, and for less than safety asks for.
    """
    given = parameters(request, ("option", "step", "words"))
    option, step = optional(given, "option", "valueCode"), optional(given, "step", "valueCode")
    words = optional(given, "words", "valueString")
    if option is None and step is None:
        raise unprocessable("say which option, or which step", "Parameters.parameter")
    recorded_by = None if own_patient(request) is not None else acting_person(request)
    if recorded_by is not None:
        require_whole(request, "Communication", Interaction.CREATE)
    tenant = request.access.tenant

    async def attempt() -> Response:
        body = content(await runtime.store.read(tenant, "ServiceRequest", request.id))
        patient = own_patient(request)
        if body is None or (patient is not None and key_of(runtime, body["subject"]) != patient):
            raise FhirError(Category.NOT_FOUND, "there is no ServiceRequest with this id")
        key = key_of(runtime, body["subject"])
        standing = await standing_of(runtime, tenant, key)
        policy = (await governing_now(runtime, tenant, standing, key)).policy
        if policy.step_of(builders.step_code(body)) is None:
            raise unprocessable("the policy of this request is not in force any more", "ServiceRequest.status")
        menu = menu_of(policy, builders.rule_codes(body), builders.step_code(body), _options(body))
        lower = None if step is None or step == menu.step.code else _lower(menu, policy, step)
        chosen = _Chosen(body, policy, lower, _option(menu, lower, option), words, recorded_by)
        _refuse_closed(body, standing)
        return await _keep(runtime, request, standing, chosen)

    text = "choices of this person are being recorded by too many at once; try again"
    return await until_committed(attempt, FhirError(Category.CONFLICT, text))


def _options(request: Resource) -> list[str]:
    codings = [coding for each in request.get("orderDetail", ()) for coding in each.get("coding", ())]
    return [coding["code"] for coding in codings if coding.get("system") == code_system("care-option")]


def _lower(menu: Menu, policy: Policy, code: str) -> Step:
    if code not in menu.lower:
        known = ", ".join(menu.lower) or "none"
        raise unprocessable(f"less than was proposed, and not less than safety asks for, are: {known}", STEP)
    return next(each for each in policy.steps if each.code == code)


def _option(menu: Menu, lower: Step | None, code: str | None) -> Option | None:
    if code is None:
        return None
    offered = menu.options if lower is None else menu.lower[lower.code]
    found = next((each for each in offered if each.code == code), None)
    if found is None:
        raise unprocessable(f"what is offered there is: {', '.join(each.code for each in offered)}", OPTION)
    return found


def _refuse_closed(request: Resource, standing: Standing) -> None:
    place = "ServiceRequest.status"
    if request["status"] == "on-hold":
        text = "a safety question is open, or the step rests; a clinician talks with the person first"
        raise unprocessable(text, place)
    if f"ServiceRequest/{request['id']}" not in standing.requests:
        raise unprocessable("this request is not open; another has taken its place", place)


async def _keep(runtime: Runtime, request: Request, standing: Standing, chosen: _Chosen) -> Response:
    """Stores the choice with its Provenance, as evidence, and with an early review where it is for less."""
    engine, tenant, now = runtime.engine, request.access.tenant, runtime.clock()
    key, episode = key_of(runtime, chosen.request["subject"]), f"EpisodeOfCare/{standing.episode_id}"
    served_type = engine.registry.types["Communication"]
    number = await _number(runtime, tenant, key, episode)
    about = f"ServiceRequest/{request.id}/_history/{chosen.request['meta']['versionId']}"
    message = choices.choice(
        resource_id=_choice_id(runtime, tenant, episode, number + 1),
        request=about,
        subject=chosen.request["subject"],
        chosen=chosen.codings,
        is_less=chosen.step is not None,
        words=chosen.words,
        moment=now,
    )
    last = await runtime.store.read(tenant, "Communication", _choice_id(runtime, tenant, episode, number))
    before = content(last)
    if last is not None and before is not None and _same(before, message):
        return written(engine.base_url, request, served_type, last, created=False, witnessed=False)
    change = built(engine, message, now)
    provenance = choices.choice_provenance(
        resource_id=derived_id(engine.base_url, tenant, "choice", message["id"]),
        target=f"Communication/{message['id']}/_history/1",
        request=about,
        subject=chosen.request["subject"],
        recorded_by=chosen.recorded_by,
        policy=chosen.request["instantiatesCanonical"][0],
        moment=now,
    )
    effects = [evidence_effect(key, each) for each in _known(chosen, episode, number + 1, now)]
    unit = UnitOfWork(tenant, [change, built(engine, provenance, now)], effects)
    if chosen.step is not None:
        _review_early(Keeping(runtime, unit, standing, key, now), chosen.request)
    answer = written(engine.base_url, request, served_type, change.stored, created=True)
    unit.effects += request.records("$choose", answer)
    await runtime.store.commit(unit)
    return answer


def _same(before: Resource, message: Resource) -> bool:
    """Whether it was said before of this request: what is written down beside it makes no other choice."""
    requests = [each["about"][0]["reference"].partition("/_history/")[0] for each in (before, message)]
    return bool(requests[0] == requests[1] and before["topic"] == message["topic"])


def _choice_id(runtime: Runtime, tenant: str, episode: str, number: int) -> str:
    return derived_id(runtime.engine.base_url, tenant, "choice", episode, str(number))


async def _number(runtime: Runtime, tenant: str, key: str, episode: str) -> int:
    """How many choices were recorded in this episode."""
    rows = await evidence_reader(runtime.database).get((tenant,), key) or []
    return max(
        (row.source_version for row in rows if row.name == CHOSEN_OPTION and row.reference == episode), default=0
    )


def _known(chosen: _Chosen, episode: str, number: int, now: datetime) -> list[Known]:
    """What the next decision knows of it; a later choice takes an earlier one back."""
    option = None if chosen.option is None else chosen.option.code
    step = None if chosen.step is None else str(chosen.step.rank)
    return [Known(CHOSEN_OPTION, option, now, episode, number), Known(CHOSEN_STEP, step, now, episode, number)]


def _review_early(keeping: Keeping, request: Resource) -> None:
    """The review of the request comes early; one that is due sooner stays."""
    at = keeping.now + early_review_after()
    review = content(keeping.standing.reviews.get(f"ServiceRequest/{request['id']}"))
    if review is None or review["status"] not in OPEN or due_at(review) > at:
        keep_reviewed(keeping, Dated(request, at, request["priority"]))
