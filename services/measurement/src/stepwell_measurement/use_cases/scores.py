"""A response was scored in screening: its score Observations are kept, and what follows from them is derived."""

import asyncio
from typing import Any

from stepwell_shared.events.notification import ReceivedEvent
from stepwell_shared.fhir.copies import copy_change, version_in
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.store import WriteConflictError
from stepwell_shared.fhir.unit import Stored, UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_measurement.tables import KeptScore, SeriesKey, kept_score
from stepwell_measurement.use_cases.facts import observation_effects
from stepwell_measurement.use_cases.series import change_series, series_key

ATTEMPTS_MAX = 16

Resource = dict[str, Any]


async def keep_scores(runtime: Runtime, event: ReceivedEvent, tenant: str) -> None:
    """Keeps each score of the event under the id that screening gave it, and brings its series up to date with it.

    A version that is kept already, or older, changes nothing. Raises FhirError BUSINESS_RULE for a score that does
    not say which version of a response it comes from, UNAVAILABLE when too many change the same series at once.
    """
    received = _scores_in(runtime, event)
    for _ in range(ATTEMPTS_MAX):
        unit = await _unit(runtime, tenant, received)
        try:
            await runtime.store.commit(unit)
        except WriteConflictError:
            continue  # another event of this person was first: look again
        return
    raise FhirError(Category.UNAVAILABLE, "too many scores of one person arrive at once; try again")


def _scores_in(runtime: Runtime, event: ReceivedEvent) -> list[Resource]:
    """The score Observations by the address that they have here; other entries are for other listeners."""
    prefix = f"{runtime.engine.base_url}/Observation/"
    scores = [resource for url, resource in event.resources.items() if url.startswith(prefix)]
    for score in scores:
        if score.get("resourceType") != "Observation" or version_in(_source(score)) == 0:
            text = "a score is an Observation whose meta.source is one version of its QuestionnaireResponse"
            raise FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", "Observation.meta.source")])
    return scores


async def _unit(runtime: Runtime, tenant: str, received: list[Resource]) -> UnitOfWork:
    """Everything that follows from these scores as things stand now."""
    now = runtime.clock()
    copies = await asyncio.gather(
        *(copy_change(runtime.engine, tenant, score, _source(score), now) for score in received)
    )
    fresh = [(change, previous) for change, previous in copies if change is not None]
    unit = UnitOfWork(tenant, [change for change, _ in fresh])
    changed = {change.stored.id: _kept(change.stored) for change, _ in fresh}
    touched: list[SeriesKey] = []
    for change, previous in fresh:
        # A correction may move a score to another person: then both series change.
        earlier = _kept(previous).resource if previous is not None and previous.body else {}
        kept = [*([earlier] if earlier else []), changed[change.stored.id].resource]
        unit.effects += observation_effects(runtime, earlier, kept[-1], change.stored.id, version_in(_source(kept[-1])))
        touched += [key for each in kept if (key := series_key(runtime, each)) is not None]
    await asyncio.gather(*(change_series(runtime, unit, key, changed=changed) for key in dict.fromkeys(touched)))
    return unit


def _kept(stored: Stored) -> KeptScore:
    return kept_score(stored.body or b"", stored.version)


def _source(score: Resource) -> str:
    return str(score.get("meta", {}).get("source", ""))
