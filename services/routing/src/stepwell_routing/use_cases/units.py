"""Parts of a unit of work that decisions, referrals and endings share: what was said, the episode, and who is told."""

from collections.abc import Sequence
from datetime import datetime

from stepwell_shared.database.functions import Effect
from stepwell_shared.events.outbox import event
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.unit import Change, Stored
from stepwell_shared.runtime import Runtime

from stepwell_routing import builders
from stepwell_routing.subscriptions import TIER_ASSIGNED
from stepwell_routing.tables import Known, evidence_effect
from stepwell_routing.use_cases.causes import Cause
from stepwell_routing.use_cases.governing import Governing
from stepwell_routing.use_cases.standing import Standing


def next_episode(
    runtime: Runtime,
    cause: Cause,
    standing: Standing,
    governed: Governing,
    requests: Sequence[str],
    now: datetime,
    status: str | None = None,
) -> Change:
    """The episode's next version."""
    body = builders.episode(
        resource_id=standing.episode_id,
        pathway=governed.pathway,
        subject=cause.subject,
        requests=requests,
        moment=now,
        previous=standing.episode_body,
        status=status,
        organization=governed.organization,
    )
    return built(runtime.engine, body, now, version=standing.version)


def is_known(cause: Cause, known: Sequence[Known]) -> bool:
    """Whether everything that this cause says is kept already, in this version or a newer one."""
    newest: dict[tuple[str, str], int] = {}
    for row in known:
        key = row.name, row.reference
        newest[key] = max(row.source_version, newest.get(key, 0))
    return all(newest.get((row.name, row.reference), 0) >= row.source_version for row in cause.known)


def evidence_effects(cause: Cause) -> list[Effect]:
    """The rows of what a cause says."""
    return [evidence_effect(cause.subject_key, each) for each in cause.known]


def announced(runtime: Runtime, subject_key: str, request: Stored, now: datetime) -> Effect:
    """The event of one version of a tier assignment."""
    focus = f"ServiceRequest/{request.id}"
    return event(TIER_ASSIGNED.canonical, subject_key, focus, [(f"{runtime.engine.base_url}/{focus}", request)], now)


def versioned(stored: Stored) -> str:
    """The reference of one version."""
    return f"{stored.resource_type}/{stored.id}/_history/{stored.version}"


def contended() -> FhirError:
    """Too many write on one person at once: the sender tries again."""
    text = "too many decisions on one person at once"
    return FhirError(Category.UNAVAILABLE, text, headers={"Retry-After": "1"})
