"""What follows from the scores of one person on one instrument: reliable change, kept true whatever arrives when.

One rule makes the result the same in any order of arrival: every usable score but the earliest has its reliable change
against the earliest, and none stands that the scores no longer give.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from stepwell_shared.canonical import code_system, derived_id
from stepwell_shared.database.coalescing import Coalescer
from stepwell_shared.events.outbox import Content, Version, event
from stepwell_shared.fhir import values
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.unit import Change, Stored, UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_measurement import builders
from stepwell_measurement.data import trajectory_parameters
from stepwell_measurement.rules.reliable_change import ReliableChange, Score, classify
from stepwell_measurement.rules.trajectory import Trajectory, TrajectoryParameters, trajectory
from stepwell_measurement.subscriptions import TRAJECTORY_CHANGED
from stepwell_measurement.tables import KeptScore, Series, SeriesKey, kept_score, key_text, series_reader, step_effect

LOINC = "http://loinc.org"
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
    members: dict[str, KeptScore]
    usable: dict[str, Score]
    path: Trajectory | None
    now: datetime
    # the reliable change of each score as it stands after this revision, by the id of the score
    standing: dict[str, Stored] = field(default_factory=dict)
    withdrawn: list[Stored] = field(default_factory=list)


def series_key(runtime: Runtime, observation: Resource) -> SeriesKey | None:
    """The series that a score belongs to; None when it is no score of an instrument that we know, or of nobody."""
    codings = observation.get("code", {}).get("coding", ())
    codes = [coding.get("code") for coding in codings if coding.get("system") == LOINC]
    code = next((code for code in codes if code in trajectory_parameters()), None)
    subject = observation.get("subject", {})
    identifier = subject.get("identifier", {})
    if "reference" in subject:
        person = runtime.engine.localise(subject["reference"])
    else:
        person = f"{identifier.get('system', '')}|{identifier['value']}" if "value" in identifier else ""
    return SeriesKey(person, code) if code and person else None


async def change_series(
    runtime: Runtime, unit: UnitOfWork, key: SeriesKey, *, cause: str, changed: Mapping[str, KeptScore]
) -> None:
    """Adds to the unit of work what the changed scores (by id) mean for this series, and its next step.

    `cause` is the id of the score that changed. Subscribers are told only when what can be said about the latest score
    is not what they were told last. A commit that another one overtook raises WriteConflictError: decide again.
    """
    series = await _reader(runtime).get((unit.tenant,), key_text(key)) or Series()
    scores = {**series.scores, **changed}
    members = {id_: kept for id_, kept in scores.items() if series_key(runtime, kept.resource) == key}
    parameters = trajectory_parameters()[key.code]
    usable = {id_: score for id_, kept in members.items() if (score := _usable_score(kept.resource)) is not None}
    path = trajectory(parameters, usable.values())
    revision = _Revision(runtime, unit, parameters, members, usable, path, runtime.clock())
    if series.number or len(members) > 1:  # a first score has nothing to compare with, and nothing to withdraw
        await _revise(revision)
    outcome = _announce(revision, key, series.outcome)
    unit.effects.append(step_effect(key, series.number + 1, cause, outcome, revision.now))


def _usable_score(observation: Resource) -> Score | None:
    """A complete total that stands; a score with filled-in answers is kept, but carries too much error to compare."""
    quantity = observation.get("valueQuantity", {})
    effective = next((values.period(observation[name]) for name in EFFECTIVE if name in observation), None)
    if observation.get("status") not in STANDING or "value" not in quantity or effective is None:
        return None
    if any(_is_prorated(component) for component in observation.get("component", ())):
        return None
    return Score(Decimal(quantity["value"]), effective[0], False, f"Observation/{observation['id']}")


def _is_prorated(component: Resource) -> bool:
    codings = component.get("code", {}).get("coding", ())
    marked = any(
        coding.get("system") == code_system("score-detail") and coding.get("code") == "prorated" for coding in codings
    )
    return marked and component.get("valueBoolean") is True


async def _revise(revision: _Revision) -> None:
    """Makes, remakes or withdraws the reliable change of every score of the series."""
    store, tenant = revision.runtime.store, revision.unit.tenant
    ids = list(revision.members)
    found = await asyncio.gather(*(store.read(tenant, "Observation", _result_id(revision, id_)) for id_ in ids))
    for id_, previous in zip(ids, found, strict=True):
        baseline = revision.path.baseline if revision.path else None
        score = revision.usable.get(id_)
        if score is not None and baseline is not None and score != baseline:
            _stand(revision, id_, previous, baseline, score)
        elif previous is not None and previous.body is not None:
            _withdraw(revision, previous)


def _stand(revision: _Revision, id_: str, previous: Stored | None, baseline: Score, score: Score) -> None:
    """Lets the reliable change of this score say what follows now."""
    result = classify(revision.parameters.change, baseline, score)
    observation = builders.reliable_change_observation(
        observation_id=_result_id(revision, id_),
        parameters=revision.parameters.change,
        result=result,
        baseline=baseline,
        current=score,
        subject=revision.members[id_].resource["subject"],
        issued=revision.now,
        amended=previous is not None,
    )
    if previous is not None and previous.body and _same(kept_score(previous.body, 0).resource, observation):
        revision.standing[id_] = previous
        return
    change = _store(revision, observation, previous)
    revision.standing[id_] = change.stored
    sources = [_versioned(revision, baseline), _versioned(revision, score)]
    _record_origin(revision, change.stored, sources, result)


def _withdraw(revision: _Revision, previous: Stored) -> None:
    observation = kept_score(previous.body or b"", 0).resource
    if observation["status"] != RETRACTED:
        retracted = builders.retracted(observation, reason=LEFT_SERIES, issued=revision.now)
        revision.withdrawn.append(_store(revision, retracted, previous).stored)


def _store(revision: _Revision, observation: Resource, previous: Stored | None) -> Change:
    version = previous.version + 1 if previous is not None else 1
    change = built(revision.runtime.engine, observation, revision.now, version=version)
    revision.unit.changes.append(change)
    return change


def _record_origin(revision: _Revision, stored: Stored, sources: list[str], result: ReliableChange) -> None:
    target = f"Observation/{stored.id}/_history/{stored.version}"
    engine = revision.runtime.engine
    provenance = builders.reliable_change_provenance(
        provenance_id=derived_id(engine.base_url, revision.unit.tenant, "provenance", target),
        target=target,
        sources=sources,
        result=result,
        recorded=revision.now,
        amended=stored.version > 1,
    )
    revision.unit.changes.append(built(engine, provenance, revision.now))


def _announce(revision: _Revision, key: SeriesKey, told: str | None) -> str | None:
    """Tells subscribers when what can be said now differs from what they were told; gives what they now know."""
    path = revision.path
    last = _id_of(path.last) if path else ""
    result = revision.standing.get(last)
    outcome = path.reliable_change.outcome.value if path and result else None
    if outcome == told:
        return told
    focus = result or next(iter(revision.withdrawn), None)
    if focus is None:
        return outcome
    compared = dict.fromkeys([_id_of(path.baseline), last] if path else [])
    base_url = revision.runtime.engine.base_url
    entries: list[tuple[str, Content]] = [(f"{base_url}/Observation/{focus.id}", focus)]
    versions = [Version("Observation", id_, revision.members[id_].version) for id_ in compared]
    entries += [(f"{base_url}/Observation/{version.id}", version) for version in versions]
    effect = event(TRAJECTORY_CHANGED.canonical, key.person, f"Observation/{focus.id}", entries, revision.now)
    revision.unit.effects.append(effect)
    return outcome


def _result_id(revision: _Revision, id_: str) -> str:
    """The id of the reliable change of one score on one instrument."""
    instrument = revision.parameters.change.instrument
    return derived_id(revision.runtime.engine.base_url, revision.unit.tenant, "reliable-change", instrument, id_)


def _versioned(revision: _Revision, score: Score) -> str:
    return f"{score.reference}/_history/{revision.members[_id_of(score)].version}"


def _id_of(score: Score) -> str:
    return score.reference.removeprefix("Observation/")


def _same(kept: Resource, observation: Resource) -> bool:
    """Whether both say the same; a withdrawn result says nothing any more."""
    names = (kept.keys() | observation.keys()) - _OF_THE_VERSION
    return kept["status"] != RETRACTED and all(kept.get(name) == observation.get(name) for name in names)


def _reader(runtime: Runtime) -> Coalescer[Series]:
    reader = runtime.cache.get(series_reader)
    if not isinstance(reader, Coalescer):
        reader = runtime.cache[series_reader] = series_reader(runtime.database)
    return reader
