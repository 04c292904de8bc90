"""What one person's results say, for whoever may see all of them: narrowed to what the token reaches, then judged."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from stepwell_shared.fhir.interactions.reach import query_of, visible
from stepwell_shared.fhir.messages import Request
from stepwell_shared.fhir.outcome import FhirError
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.fhir.search.terms import escape
from stepwell_shared.runtime import Runtime

from stepwell_measurement.data import score_systems, trajectory_parameters
from stepwell_measurement.rules.compact import Point
from stepwell_measurement.rules.gains import Direction, directions
from stepwell_measurement.rules.trajectory import Care, Trajectory, TrajectoryParameters, trajectory
from stepwell_measurement.tables import Series, SeriesKey, codes_of, kept_score
from stepwell_measurement.use_cases.goals import ATTAINMENT, attainment_of
from stepwell_measurement.use_cases.series import series_of
from stepwell_measurement.use_cases.site import parameters_of

_OBSERVATION = "Observation"
ASKED_AT_ONCE = 500

Resource = dict[str, Any]


@dataclass(frozen=True)
class Way:
    """One instrument of one person: its scores in order of time, and the trajectory over those that count."""

    code: str
    system: str
    parameters: TrajectoryParameters
    points: tuple[Point, ...]
    path: Trajectory | None


@dataclass(frozen=True)
class GoalShown:
    """One goal in the person's own words, and how far it has come: (when, 0 to 10), in order of time."""

    reference: str
    words: str
    lifecycle: str
    attained: tuple[tuple[datetime, Decimal], ...]


@dataclass(frozen=True)
class View:
    """All that is shown of one person."""

    patient: str
    care: Care
    ways: tuple[Way, ...]
    function: Direction
    symptoms: Direction
    goals: tuple[GoalShown, ...] = ()


async def view_of(runtime: Runtime, request: Request) -> View:
    """The trajectories of the Patient whom the request names, those of which the caller may read every score.

    Raises FhirError FORBIDDEN without the right to search Observations, NOT_FOUND when there is nobody of this id
    within the caller's reach.
    """
    request.access.require(_OBSERVATION, Interaction.SEARCH_TYPE)
    person, tenant = f"Patient/{request.id}", request.access.tenant
    own = parameters_of(runtime, tenant)
    codes = [code for code in await codes_of(runtime.database, tenant, person) if code in own]
    found = await asyncio.gather(*(series_of(runtime, tenant, SeriesKey(person, code)) for code in codes))
    reached = await _reached(runtime, request, [id_ for series in found for id_ in series.points])
    shown = [
        _way(code, series, own[code])
        for code, series in zip(codes, found, strict=True)
        if series.points and reached.issuperset(series.points)
    ]
    goals = await _goals(runtime, request, person)
    if not shown and not goals:
        await _require_patient(runtime, request)
    order = list(trajectory_parameters())
    ways = tuple(sorted(shown, key=lambda way: order.index(way.code)))
    judged = [(way.parameters.domain, way.path) for way in ways if way.path is not None]
    function, symptoms = directions(judged)
    care = found[0].care if shown else Care()
    return View(person, care, ways, function, symptoms, goals)


def _way(code: str, series: Series, parameters: TrajectoryParameters) -> Way:
    points = tuple(sorted(series.points.values(), key=lambda point: (point.score.effective, point.id)))
    path = trajectory(parameters, (point.score for point in points), care=series.care)
    return Way(code, score_systems()[code], parameters, points, path)


async def _reached(runtime: Runtime, request: Request, ids: list[str]) -> set[str]:
    """Those of these Observations that the caller's scopes reach."""
    granted = request.access.filters(_OBSERVATION, Interaction.SEARCH_TYPE)
    if not granted:
        return set(ids)
    reached: set[str] = set()
    for start in range(0, len(ids), ASKED_AT_ONCE):
        asked = ids[start : start + ASKED_AT_ONCE]
        served_type = runtime.engine.registry.types[_OBSERVATION]
        query = query_of(runtime.engine, served_type, [("_id", ",".join(asked))], granted, strict=True)
        query.count = len(asked)
        rows: list[Any] = await runtime.store.search(request.access.tenant, *query.page_statement())
        reached.update(row["id"] for row in rows)
    return reached


async def _goals(runtime: Runtime, request: Request, person: str) -> tuple[GoalShown, ...]:
    """The person's goals, for a caller who may search Goals, with what was said of how far each has come."""
    try:
        goals = await _search(runtime, request, "Goal", [("patient", person)])
    except FhirError:  # this token is not for goals
        return ()
    if not goals:
        return ()
    code = "|".join(map(escape, ATTAINMENT))
    said = await _search(runtime, request, _OBSERVATION, [("patient", person), ("code", code)])
    attained: dict[str, list[tuple[datetime, Decimal]]] = {}
    for observation in said:
        found = attainment_of(observation)
        if found is None:
            continue
        for each in observation.get("focus", ()):
            attained.setdefault(runtime.engine.localise(each.get("reference", "")), []).append(found)
    return tuple(
        GoalShown(
            reference=f"Goal/{goal['id']}",
            words=str(goal.get("description", {}).get("text", "")),
            lifecycle=str(goal.get("lifecycleStatus", "")),
            attained=tuple(sorted(attained.get(f"Goal/{goal['id']}", ()))),
        )
        for goal in goals
    )


async def _search(
    runtime: Runtime, request: Request, resource_type: str, given: list[tuple[str, str]]
) -> list[Resource]:
    """What the caller's scopes reach of a person's resources of one type, the newest version of each."""
    granted = request.access.filters(resource_type, Interaction.SEARCH_TYPE)
    served_type = runtime.engine.registry.types[resource_type]
    query = query_of(runtime.engine, served_type, [*given, ("_sort", "_id")], granted, strict=True)
    query.count = ASKED_AT_ONCE
    rows = await runtime.store.search(request.access.tenant, *query.page_statement())
    return [kept_score(row["body"], row["version"]).resource for row in rows[:ASKED_AT_ONCE]]


async def _require_patient(runtime: Runtime, request: Request) -> None:
    served_type = runtime.engine.permitted(request, Interaction.READ)
    stored = await runtime.store.read(request.access.tenant, "Patient", request.id)
    await visible(runtime.engine, request, served_type, stored)
