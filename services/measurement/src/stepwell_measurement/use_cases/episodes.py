"""Routing tells that a clinician changed an episode of care: what follows for trajectories, and goals to look at."""

from typing import Any

from stepwell_shared.events.notification import ReceivedEvent
from stepwell_shared.fhir import values
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.store import WriteConflictError
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_measurement.data import trajectory_parameters
from stepwell_measurement.rules.care import Episode, care_of
from stepwell_measurement.tables import SeriesKey, codes_of, episode_effect, episodes_of
from stepwell_measurement.use_cases.facts import episode_effects
from stepwell_measurement.use_cases.goals import ask_to_review
from stepwell_measurement.use_cases.series import change_series, person_key

ATTEMPTS_MAX = 16
BEGUN = frozenset({"active", "onhold", "finished"})

Resource = dict[str, Any]


async def keep_episode(runtime: Runtime, received: ReceivedEvent, tenant: str) -> None:
    """Topic episode-changed: keeps when care began and ended, looks at the person's trajectories by it, and asks for a
    look at their goals when they moved. An older version tells no more than which step it was in.

    Raises FhirError BUSINESS_RULE for an episode that does not say whose it is or when it began, UNAVAILABLE when too
    much changes at once.
    """
    episode = received.resources.get(received.focus or "", {})
    try:
        person, id_ = person_key(runtime, episode["patient"]), str(episode["id"])
        version, spell = int(episode["meta"]["versionId"]), _spell(episode)
    except (KeyError, ValueError, TypeError) as error:
        issue = Issue("an EpisodeOfCare with its patient and period is needed", "business-rule", received.expression)
        raise FhirError(Category.BUSINESS_RULE, [issue]) from error
    if not person or spell is None:
        return
    for _ in range(ATTEMPTS_MAX):
        known = await episodes_of(runtime.database, tenant, person)
        # An older version may be the only one that tells of a step.
        facts = list(episode_effects(person, version, episode))
        if id_ in known and known[id_][0] >= version:
            await runtime.store.commit(UnitOfWork(tenant, effects=facts))
            return
        unit = UnitOfWork(tenant, effects=[episode_effect(person, id_, version, spell), *facts])
        before, now = care_of(each for _, each in known.values()), {name: each for name, (_, each) in known.items()}
        after = care_of({**now, id_: spell}.values())
        codes = await codes_of(runtime.database, tenant, person) if before != after else []
        for code in filter(trajectory_parameters().__contains__, codes):
            await change_series(runtime, unit, SeriesKey(person, code), changed={}, care=(before, after))
        await ask_to_review(runtime, unit, episode, f"{runtime.settings.url_of('routing')}/EpisodeOfCare/{id_}")
        try:
            await runtime.store.commit(unit)
        except WriteConflictError:
            continue
        return
    raise FhirError(Category.UNAVAILABLE, "too much of one person changes at once; try again")


def _spell(episode: Resource) -> Episode | None:
    """When care was given; None before it began. What was entered in error or cancelled never was."""
    start = values.period({"start": episode["period"]["start"]})
    if episode["status"] not in BEGUN:
        return None if episode["status"] in {"planned", "waitlist"} or start is None else Episode(start[0], start[0])
    if start is None:
        raise ValueError("no such moment")
    if episode["status"] != "finished":
        return Episode(start[0], None)
    end = values.period({"start": episode["period"]["end"]})
    return Episode(start[0], end[0] if end else start[0])
