"""New evidence comes in: decide by the policy, and keep the decision with everything that explains it.

One cause makes one decision: the id of its Provenance is derived from it. Decisions on one person are serialised
by the version of the EpisodeOfCare that each of them moves on.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from stepwell_shared.canonical import derived_id
from stepwell_shared.database.coalescing import Coalescer
from stepwell_shared.database.functions import Effect
from stepwell_shared.events.notification import ReceivedEvent
from stepwell_shared.events.outbox import event as outbox_event
from stepwell_shared.fhir.copies import version_in
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.store import WriteConflictError
from stepwell_shared.fhir.unit import Change, Stored, UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_routing import builders
from stepwell_routing.policies import active_policies, tiers
from stepwell_routing.rules.decisions import Decision, Evidence, EvidenceValue, change_from, decide
from stepwell_routing.subscriptions import TIER_ASSIGNED
from stepwell_routing.tables import Known, evidence_effect, evidence_reader
from stepwell_routing.use_cases.evidence import WITHDRAWN, gather, risk_of, score_of

PATHWAY = "stepped-care"
ATTEMPTS_MAX = 16

Resource = dict[str, Any]


@dataclass(frozen=True)
class Cause:
    """Why we decide now: `id` names it once and for all, `source` is the version of the resource that says so."""

    id: tuple[str, ...]
    source: str
    response_url: str
    subject_key: str
    subject: Resource
    known: tuple[Known, ...]


@dataclass(frozen=True)
class Standing:
    """What is stored on a person in a pathway: the episode and the assignment in force."""

    episode: Stored | None
    assignment: Stored | None

    @property
    def request(self) -> Resource | None:
        return None if self.assignment is None else orjson.loads(self.assignment.body or b"null")


async def decide_on_response(runtime: Runtime, received: ReceivedEvent, tenant: str) -> None:
    """Topic score-finalized: a response was scored; its safety state comes with it."""
    screening, measurement = runtime.settings.url_of("screening"), runtime.settings.url_of("measurement")
    url, response = _resource(received, "QuestionnaireResponse", screening)
    version = response["meta"]["versionId"]
    known: list[Known] = []
    subject = response["subject"]
    for address, resource in received.resources.items():
        if resource["resourceType"] == "Observation" and address.startswith(f"{measurement}/"):
            subject = resource["subject"]
            score = score_of(resource, address, version_in(resource["meta"]["source"]))
            known += [score] if score else []
        elif resource["resourceType"] == "RiskAssessment" and address.startswith(f"{screening}/"):
            known.append(risk_of(resource, address))
    cause = Cause(
        id=("QuestionnaireResponse", response["id"], version),
        source=f"{url}/_history/{version}",
        response_url=url,
        subject_key=_key(runtime, subject),
        subject=subject,
        known=tuple(known),
    )
    if response["status"] == WITHDRAWN:
        await _keep_evidence(runtime, tenant, cause)
    else:
        await _decide(runtime, tenant, cause)


async def decide_on_risk_level(runtime: Runtime, received: ReceivedEvent, tenant: str) -> None:
    """Topic safety-alert: when a clinician has recorded a risk level, what waited for it is decided again."""
    screening = runtime.settings.url_of("screening")
    url, task = _resource(received, "Task", screening)
    if task["status"] != "completed":
        return  # it has just opened; the response that opened it brings its own event
    assessment_url, assessment = next(
        (address, found) for address, found in received.resources.items() if found["resourceType"] == "RiskAssessment"
    )
    version = task["meta"]["versionId"]
    basis = assessment["basis"][0]["reference"]
    cause = Cause(
        id=("Task", task["id"], version),
        source=f"{url}/_history/{version}",
        response_url=basis if "://" in basis else f"{screening}/{basis}",
        subject_key=_key(runtime, task["for"]),
        subject=_absolute(runtime, task["for"]),
        known=(risk_of(assessment, assessment_url),),
    )
    await _decide(runtime, tenant, cause)


async def _decide(runtime: Runtime, tenant: str, cause: Cause) -> None:
    """Decides once, however often the cause comes in and however many replicas hear of it."""
    engine, policy = runtime.engine, active_policies()[PATHWAY]
    marker_id = derived_id(engine.base_url, tenant, "decision", PATHWAY, cause.subject_key, *cause.id)
    for _ in range(ATTEMPTS_MAX):
        marker, standing, known = await asyncio.gather(
            runtime.store.read(tenant, "Provenance", marker_id),
            _standing(runtime, tenant, cause.subject_key),
            _evidence(runtime).get((tenant,), cause.subject_key),
        )
        if marker is not None:
            return
        now = runtime.clock()
        evidence = _with_step(gather(policy, [*(known or []), *cause.known]), standing, engine.base_url, now)
        decision = decide(policy, evidence, now)
        try:
            await runtime.store.commit(_unit(runtime, tenant, cause, decision, standing, marker_id))
        except WriteConflictError:
            continue  # another decision on this person was first: look at everything again
        return
    raise FhirError(Category.UNAVAILABLE, "too many decisions on one person at once", headers={"Retry-After": "1"})


def _unit(
    runtime: Runtime, tenant: str, cause: Cause, decision: Decision, standing: Standing, marker_id: str
) -> UnitOfWork:
    """The decision as resources: what changes, the episode, the Provenance, and the event for what changed."""
    engine, now = runtime.engine, decision.decided_at
    request = standing.request
    activity = _activity(decision, request)
    changes: list[Change] = []
    if activity == "assign":
        identifier = derived_id(engine.base_url, tenant, "assignment", PATHWAY, cause.subject_key, *cause.id)
        changes.append(_assignment(runtime, cause, decision, identifier, None, standing.assignment))
        if request is not None and request["intent"] == "proposal":
            changes.append(_revoked(runtime, standing.assignment, request, now))
    elif activity == "modify" and standing.assignment is not None:
        changes.append(_assignment(runtime, cause, decision, standing.assignment.id, standing.assignment, None))
    in_force = changes[0].stored if changes else standing.assignment
    assert in_force is not None, "a stay has an assignment to stay with"
    episode = _episode(runtime, tenant, cause, decision, standing, f"ServiceRequest/{in_force.id}")
    targets = [_versioned(in_force), _versioned(episode.stored)]
    provenance = builders.decision_provenance(
        decision, resource_id=marker_id, activity=activity, targets=targets, questionnaire_response=cause.source
    )
    effects = [evidence_effect(cause.subject_key, each) for each in cause.known]
    effects += [_announced(runtime, cause.subject_key, change.stored, now) for change in changes]
    return UnitOfWork(tenant, [*changes, episode, built(engine, provenance, now)], effects)


def _activity(decision: Decision, request: Resource | None) -> str:
    """Assign, modify or stay. Care that a person has accepted goes on as it is until its tier changes."""
    if request is None or request["status"] in {"revoked", "completed", WITHDRAWN}:
        return "assign"
    tier = request["category"][0]["coding"][0]["code"]
    activity = change_from(decision, tier, request["status"], request["priority"])
    return "stay" if activity == "modify" and request["intent"] != "proposal" else activity


def _assignment(
    runtime: Runtime, cause: Cause, decision: Decision, id_: str, previous: Stored | None, prior: Stored | None
) -> Change:
    """A new assignment, or the next version of the one in force (`previous`)."""
    body = builders.tier_assignment(
        decision,
        resource_id=id_,
        identifier=id_,
        subject=cause.subject.get("reference", ""),
        questionnaire_response=cause.response_url,
        prior=f"ServiceRequest/{prior.id}" if prior else None,
    )
    body["subject"] = cause.subject
    return built(runtime.engine, body, decision.decided_at, version=previous.version + 1 if previous else 1)


def _revoked(runtime: Runtime, stored: Stored | None, request: Resource, now: datetime) -> Change:
    """A proposal that nobody accepted is withdrawn when another takes its place."""
    assert stored is not None, "a request was stored"
    return built(runtime.engine, {**request, "status": "revoked"}, now, version=stored.version + 1)


def _episode(
    runtime: Runtime, tenant: str, cause: Cause, decision: Decision, standing: Standing, assignment: str
) -> Change:
    previous = standing.episode
    body = builders.episode(
        decision,
        resource_id=_episode_id(runtime, tenant, cause.subject_key),
        subject=cause.subject.get("reference", ""),
        assignment=assignment,
        previous=orjson.loads(previous.body or b"null") if previous else None,
    )
    body["patient"] = cause.subject
    return built(runtime.engine, body, decision.decided_at, version=previous.version + 1 if previous else 1)


async def _standing(runtime: Runtime, tenant: str, subject_key: str) -> Standing:
    episode = await runtime.store.read(tenant, "EpisodeOfCare", _episode_id(runtime, tenant, subject_key))
    if episode is None or episode.body is None:
        return Standing(episode, None)
    reference = orjson.loads(episode.body)["referralRequest"][0]["reference"]
    return Standing(episode, await runtime.store.read(tenant, "ServiceRequest", reference.rpartition("/")[2]))


def _with_step(evidence: Evidence, standing: Standing, base_url: str, now: datetime) -> Evidence:
    """Adds the step in which care has begun; a proposal that nobody accepted binds nobody."""
    request = standing.request
    if request is None or request["intent"] == "proposal" or request["status"] != "active":
        return evidence
    tier = tiers().by_code(request["category"][0]["coding"][0]["code"])
    if tier is None:
        return evidence
    step = EvidenceValue(tier.rank, now, f"{base_url}/ServiceRequest/{request['id']}")
    return Evidence({**evidence.values, "current_tier": step}, evidence.risk)


async def _keep_evidence(runtime: Runtime, tenant: str, cause: Cause) -> None:
    """A withdrawn score is no reason to move anybody; the next decision is made without it."""
    known = await _evidence(runtime).get((tenant,), cause.subject_key) or []
    fresh = [each for each in cause.known if each not in known]
    effects: Sequence[Effect] = [evidence_effect(cause.subject_key, each) for each in fresh]
    await runtime.store.commit(UnitOfWork(tenant, effects=list(effects)))


def _announced(runtime: Runtime, subject_key: str, stored: Stored, now: datetime) -> Effect:
    focus = f"{stored.resource_type}/{stored.id}"
    entries = [(f"{runtime.engine.base_url}/{focus}", stored.body or b"")]
    return outbox_event(TIER_ASSIGNED.canonical, subject_key, focus, entries, now)


def _resource(received: ReceivedEvent, resource_type: str, base_url: str) -> tuple[str, Resource]:
    """The focus of an event; refused when the sender left it out."""
    url = received.focus or ""
    address = url if "://" in url else f"{base_url}/{url}"
    resource = received.resources.get(address)
    if resource is None or resource["resourceType"] != resource_type:
        raise FhirError(
            Category.INVALID, [Issue(f"the {resource_type} itself is needed", "required", received.expression)]
        )
    return address, resource


def _key(runtime: Runtime, subject: Resource) -> str:
    """What names a person in our rows: the local reference, the absolute URL, or the identifier."""
    if "reference" in subject:
        return runtime.engine.localise(subject["reference"])
    identifier = subject["identifier"]
    return f"{identifier.get('system', '')}|{identifier['value']}"


def _absolute(runtime: Runtime, subject: Resource) -> Resource:
    """The subject as other services can follow it; a relative one is a Patient of screening."""
    reference = subject.get("reference", "")
    if not reference or "://" in reference:
        return subject
    return {**subject, "reference": f"{runtime.settings.url_of('screening')}/{reference}"}


def _episode_id(runtime: Runtime, tenant: str, subject_key: str) -> str:
    return derived_id(runtime.engine.base_url, tenant, "episode", PATHWAY, subject_key)


def _versioned(stored: Stored) -> str:
    return f"{stored.resource_type}/{stored.id}/_history/{stored.version}"


def _evidence(runtime: Runtime) -> Coalescer[list[Known]]:
    reader = runtime.cache.get(evidence_reader)
    if not isinstance(reader, Coalescer):
        reader = runtime.cache[evidence_reader] = evidence_reader(runtime.database)
    return reader
