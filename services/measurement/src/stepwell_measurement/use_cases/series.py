"""What follows from the scores of one person on one instrument, kept true whatever arrives when.

One rule makes the result the same in any order of arrival: every usable score but the first of a course has its
reliable change against that first one, with the trajectory as it was then, and none stands that the scores no longer
give. Only what a change can touch is reckoned anew: that of the scores from it on.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from stepwell_shared.canonical import code_system, derived_beside
from stepwell_shared.database.coalescing import Coalescer
from stepwell_shared.events.outbox import Content, Version, event
from stepwell_shared.fhir import values
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.unit import Change, Stored, UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_measurement import builders
from stepwell_measurement.data import score_systems
from stepwell_measurement.rules.compact import Point, points_of, with_changes
from stepwell_measurement.rules.reliable_change import Score
from stepwell_measurement.rules.trajectory import (
    Care,
    Trajectory,
    TrajectoryParameters,
    said,
    trajectories_from,
    trajectory,
)
from stepwell_measurement.subscriptions import TRAJECTORY_CHANGED
from stepwell_measurement.tables import KeptScore, Series, SeriesKey, kept_score, series_reader, trajectory_effect
from stepwell_measurement.use_cases.site import parameters_of

EFFECTIVE = ("effectiveDateTime", "effectiveInstant", "effectivePeriod", "effectiveTiming")
STANDING = frozenset({"final", "amended", "corrected"})
RETRACTED = "entered-in-error"
LEFT_SERIES = "Withdrawn: a score behind this result was corrected, so that it no longer stands."
# What makes two results the same, whenever and however often they were made.
_OF_THE_VERSION = frozenset({"meta", "status", "issued"})

Resource = dict[str, Any]


@dataclass
class _Revision:
    """One series on its way from what is stored to what now follows; ids are those of the scores."""

    runtime: Runtime
    unit: UnitOfWork
    parameters: TrajectoryParameters
    points: dict[str, Point]
    # the scores whose Observations this unit of work brings
    changed: Mapping[str, KeptScore]
    now: datetime
    withdrawn: list[Stored] = field(default_factory=list)


def series_key(runtime: Runtime, observation: Resource) -> SeriesKey | None:
    """The series that a score belongs to; None when it is no score of an instrument that we know, or of nobody."""
    systems = score_systems()
    codings = observation.get("code", {}).get("coding", ())
    known = (c["code"] for c in codings if "system" in c and systems.get(c.get("code", "")) == c["system"])
    code = next(known, None)
    person = person_key(runtime, observation.get("subject", {})) if code is not None else ""
    return SeriesKey(person, code) if code and person else None


def person_key(runtime: Runtime, subject: Resource) -> str:
    """Whom a subject names: the reference as it is stored, or `system|value` of an identifier; nobody is empty."""
    if "reference" in subject:
        return runtime.engine.localise(subject["reference"])
    identifier = subject.get("identifier", {})
    return f"{identifier.get('system', '')}|{identifier['value']}" if "value" in identifier else ""


async def change_series(
    runtime: Runtime,
    unit: UnitOfWork,
    key: SeriesKey,
    *,
    changed: Mapping[str, KeptScore],
    care: tuple[Care, Care] | None = None,
) -> None:
    """Adds to the unit of work what the changed scores (by id) mean for this series, and its row.

    `care` is what was known of the end of care before, and what is known now, where that is what changed. Subscribers
    are told only when what can be said about the latest score is not what they were told last. A commit that another
    one overtook raises WriteConflictError: decide again.
    """
    series = await series_of(runtime, unit.tenant, key)
    before, told = _pending(unit, key, series)
    parameters = parameters_of(runtime, unit.tenant)[key.code]
    news = {
        id_: usable_point(kept, parameters) if series_key(runtime, kept.resource) == key else None
        for id_, kept in changed.items()
    }
    points = with_changes(before, news)
    revision = _Revision(runtime, unit, parameters, points, changed, runtime.clock())
    was, now = care or (series.care, series.care)
    # What an earlier release or an import has left is looked at whole.
    known = _scores(before) if series.is_current else []
    old, new = trajectories_from(parameters, (known, was), (_scores(points), now))
    lost = [id_ for id_ in before if id_ not in points]
    await _revise(revision, old, new, lost)
    path = _whole(parameters, points, new, now)
    told = await _announce(revision, key, path, told)
    unit.effects.append(trajectory_effect(key, series.number + 1, points, path, told, revision.now))


def _whole(
    parameters: TrajectoryParameters, points: Mapping[str, Point], new: dict[str, Trajectory], care: Care
) -> Trajectory | None:
    """The trajectory over all scores; that of the last one, where that was reckoned already."""
    left_out = sum(point.score.prorated for point in points.values())
    latest = next(reversed(new.values()), None)
    if latest is None or left_out:
        return trajectory(parameters, _scores(points), care=care)
    return latest


async def series_of(runtime: Runtime, tenant: str, key: SeriesKey) -> Series:
    """A series as it is stored; read from its Observations where no row of this release has it yet."""
    series = await _reader(runtime).get((tenant,), key) or Series()
    if series.is_current:
        return series
    parameters = parameters_of(runtime, tenant)[key.code]
    mine = (kept for kept in series.observations if series_key(runtime, kept.resource) == key)
    read = (usable_point(kept, parameters) for kept in mine)
    return replace(series, points={point.id: point for point in read if point is not None})


def usable_point(kept: KeptScore, parameters: TrajectoryParameters) -> Point | None:
    """A total that stands and lies on the scale; a score with filled-in answers is kept, but not compared."""
    observation = kept.resource
    value = observation.get("valueQuantity", {}).get("value", observation.get("valueInteger"))
    effective = next((values.period(observation[name]) for name in EFFECTIVE if name in observation), None)
    if observation.get("status") not in STANDING or value is None or effective is None:
        return None
    if effective[0] == values.EARLIEST or not parameters.lowest <= Decimal(value) <= parameters.highest:
        return None
    prorated = any(_is_prorated(component) for component in observation.get("component", ()))
    score = Score(Decimal(value), effective[0], prorated, f"Observation/{observation['id']}")
    return Point(score, kept.version)


def _is_prorated(component: Resource) -> bool:
    codings = component.get("code", {}).get("coding", ())
    marked = any(
        coding.get("system") == code_system("score-detail") and coding.get("code") == "prorated" for coding in codings
    )
    return marked and component.get("valueBoolean") is True


def _pending(unit: UnitOfWork, key: SeriesKey, series: Series) -> tuple[dict[str, Point], str | None]:
    """The scores as this unit of work has left them so far, and what it tells: a Bundle may bring several of a person.

    Its row is taken out of the unit, for the one that says it all.
    """
    found = next((each for each in unit.effects if each.table == "trajectory" and each.values[:2] == key), None)
    if found is None:
        return series.points, series.told
    unit.effects.remove(found)
    _, _, _, _, told, text, *_ = found.values
    return points_of(str(text)), told if told is None else str(told)


def _scores(points: Mapping[str, Point]) -> list[Score]:
    return [point.score for point in points.values()]


async def _revise(
    revision: _Revision, old: Mapping[str, Trajectory], new: Mapping[str, Trajectory], lost: Sequence[str]
) -> None:
    """Makes, remakes or withdraws the results of the scores that the change touches."""
    standing = {id_of(path.last): path for path in new.values() if path.count > 1}
    made = [id_ for id_, path in standing.items() if old.get(path.last.reference) != path]
    gone = dict.fromkeys([*(id_of(path.last) for path in old.values() if path.count > 1), *lost])
    left = [id_ for id_ in gone if id_ not in standing]
    found = await asyncio.gather(*(_result_of(revision, id_) for id_ in made + left))
    previous = dict(zip(made + left, found, strict=True))
    for id_ in made:
        await _stand(revision, id_, previous[id_], standing[id_])
    for id_ in left:
        _withdraw(revision, previous[id_])


async def _result_of(revision: _Revision, id_: str) -> Stored | None:
    """The result of a score as it stands; a score that this unit of work brings for the first time has none yet."""
    result_id = _result_id(revision, id_)
    brought = revision.changed.get(id_)
    if brought is None or brought.version > 1:
        return await _current(revision, "Observation", result_id)
    pending = _in_unit(revision.unit, "Observation", result_id)
    return pending.stored if pending else None


async def _stand(revision: _Revision, id_: str, previous: Stored | None, path: Trajectory) -> None:
    """Lets the reliable change of this score say what follows now."""
    observation = builders.reliable_change_observation(
        observation_id=_result_id(revision, id_),
        parameters=revision.parameters,
        path=path,
        subject=await _subject_of(revision, id_),
        issued=revision.now,
        amended=previous is not None,
    )
    if previous is not None and previous.body and _same(kept_score(previous.body, 0).resource, observation):
        return
    change = _store(revision, observation, previous)
    _record_origin(revision, change.stored, path)


def _withdraw(revision: _Revision, previous: Stored | None) -> None:
    if previous is None or previous.body is None:
        return
    observation = kept_score(previous.body, 0).resource
    if observation["status"] != RETRACTED:
        retracted = builders.retracted(observation, reason=LEFT_SERIES, issued=revision.now)
        revision.withdrawn.append(_store(revision, retracted, previous).stored)


def _store(revision: _Revision, observation: Resource, previous: Stored | None) -> Change:
    """The next version of a result; what this unit of work has made of it before gives way."""
    version = previous.version + 1 if previous is not None else 1
    pending = _in_unit(revision.unit, "Observation", observation["id"])
    if pending is not None:
        revision.unit.changes.remove(pending)
        version = pending.stored.version
    change = built(revision.runtime.engine, observation, revision.now, version=version)
    revision.unit.changes.append(change)
    return change


def _record_origin(revision: _Revision, stored: Stored, path: Trajectory) -> None:
    target = f"Observation/{stored.id}/_history/{stored.version}"
    engine, unit = revision.runtime.engine, revision.unit
    provenance = builders.reliable_change_provenance(
        provenance_id=derived_beside(stored.id, engine.base_url, unit.tenant, "provenance", target),
        target=target,
        sources=[_versioned(revision, score) for score in (path.baseline, path.last)],
        result=path.reliable_change,
        recorded=revision.now,
        amended=stored.version > 1,
    )
    pending = _in_unit(unit, "Provenance", provenance["id"])
    if pending is not None:
        unit.changes.remove(pending)
    unit.changes.append(built(engine, provenance, revision.now))


async def _announce(revision: _Revision, key: SeriesKey, path: Trajectory | None, told: str | None) -> str | None:
    """Tells subscribers when what can be said now differs from what they were told; gives what they now know."""
    now = said(path)
    if now == told:
        return told
    focus = next(iter(revision.withdrawn), None)
    if path is not None and path.count > 1:
        focus = await _current(revision, "Observation", _result_id(revision, id_of(path.last)))
    if focus is None:
        return now
    compared = dict.fromkeys([id_of(path.baseline), id_of(path.last)] if path else [])
    base_url = revision.runtime.engine.base_url
    entries: list[tuple[str, Content]] = [(f"{base_url}/Observation/{focus.id}", focus)]
    versions = [Version("Observation", id_, revision.points[id_].version) for id_ in compared]
    entries += [(f"{base_url}/Observation/{version.id}", version) for version in versions]
    effect = event(TRAJECTORY_CHANGED.canonical, key.person, f"Observation/{focus.id}", entries, revision.now)
    revision.unit.effects.append(effect)
    return now


def _result_id(revision: _Revision, id_: str) -> str:
    """The id of the reliable change of one score on one instrument."""
    instrument = revision.parameters.change.instrument
    return derived_beside(
        id_, revision.runtime.engine.base_url, revision.unit.tenant, "reliable-change", instrument, id_
    )


async def _subject_of(revision: _Revision, id_: str) -> Resource:
    """Whom a score is about, in its own words."""
    kept = revision.changed.get(id_)
    if kept is None:
        stored = await _current(revision, "Observation", id_)
        assert stored is not None, "a score of a series is stored"
        kept = kept_score(stored.body or b"", stored.version)
    subject: Resource = kept.resource["subject"]
    return subject


async def _current(revision: _Revision, resource_type: str, id_: str) -> Stored | None:
    """What is stored, once this unit of work is."""
    pending = _in_unit(revision.unit, resource_type, id_)
    return pending.stored if pending else await revision.runtime.store.read(revision.unit.tenant, resource_type, id_)


def _in_unit(unit: UnitOfWork, resource_type: str, id_: str) -> Change | None:
    stored = ((change, change.stored) for change in unit.changes)
    return next((change for change, each in stored if (each.resource_type, each.id) == (resource_type, id_)), None)


def _versioned(revision: _Revision, score: Score) -> str:
    return f"{score.reference}/_history/{revision.points[id_of(score)].version}"


def id_of(score: Score) -> str:
    """The id of the Observation of a score."""
    return score.reference.removeprefix("Observation/")


def _same(kept: Resource, observation: Resource) -> bool:
    """Whether both say the same; a withdrawn result says nothing any more."""
    names = (kept.keys() | observation.keys()) - _OF_THE_VERSION
    return kept["status"] != RETRACTED and all(kept.get(name) == observation.get(name) for name in names)


def _reader(runtime: Runtime) -> Coalescer[Series]:
    reader = runtime.cache.get(series_reader)
    if not isinstance(reader, Coalescer):
        reader = runtime.cache[series_reader] = series_reader(runtime.database, score_systems())
    return reader
