"""What one person's results say, for whoever may see all of them: narrowed to what the token reaches, then judged."""

import asyncio
from dataclasses import dataclass
from typing import Any

from stepwell_shared.fhir.interactions.reach import query_of, visible
from stepwell_shared.fhir.messages import Request
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.runtime import Runtime

from stepwell_measurement.data import score_systems, trajectory_parameters
from stepwell_measurement.rules.compact import Point
from stepwell_measurement.rules.gains import Direction, directions
from stepwell_measurement.rules.trajectory import Care, Trajectory, TrajectoryParameters, trajectory
from stepwell_measurement.tables import Series, SeriesKey, codes_of
from stepwell_measurement.use_cases.series import series_of

_OBSERVATION = "Observation"
ASKED_AT_ONCE = 500


@dataclass(frozen=True)
class Way:
    """One instrument of one person: its scores in order of time, and the trajectory over those that count."""

    code: str
    system: str
    parameters: TrajectoryParameters
    points: tuple[Point, ...]
    path: Trajectory | None


@dataclass(frozen=True)
class View:
    """All that is shown of one person."""

    patient: str
    care: Care
    ways: tuple[Way, ...]
    function: Direction
    symptoms: Direction


async def view_of(runtime: Runtime, request: Request) -> View:
    """The trajectories of the Patient whom the request names, those of which the caller may read every score.

    Raises FhirError FORBIDDEN without the right to search Observations, NOT_FOUND when there is nobody of this id
    within the caller's reach.
    """
    request.access.require(_OBSERVATION, Interaction.SEARCH_TYPE)
    person, tenant = f"Patient/{request.id}", request.access.tenant
    codes = [code for code in await codes_of(runtime.database, tenant, person) if code in trajectory_parameters()]
    found = await asyncio.gather(*(series_of(runtime, tenant, SeriesKey(person, code)) for code in codes))
    reached = await _reached(runtime, request, [id_ for series in found for id_ in series.points])
    shown = [
        _way(code, series)
        for code, series in zip(codes, found, strict=True)
        if series.points and reached.issuperset(series.points)
    ]
    if not shown:
        await _require_patient(runtime, request)
    order = list(trajectory_parameters())
    ways = tuple(sorted(shown, key=lambda way: order.index(way.code)))
    judged = [(way.parameters.domain, way.path) for way in ways if way.path is not None]
    function, symptoms = directions(judged)
    care = found[0].care if shown else Care()
    return View(person, care, ways, function, symptoms)


def _way(code: str, series: Series) -> Way:
    parameters = trajectory_parameters()[code]
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


async def _require_patient(runtime: Runtime, request: Request) -> None:
    served_type = runtime.engine.permitted(request, Interaction.READ)
    stored = await runtime.store.read(request.access.tenant, "Patient", request.id)
    await visible(runtime.engine, request, served_type, stored)
