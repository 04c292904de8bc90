"""Threshold review: the simulations that were put here, and what became of people near the cut-off, counted now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from stepwell_shared.canonical import CANONICAL
from stepwell_shared.fhir.interactions.reach import query_of
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.fhir.search.terms import escape
from stepwell_shared.pages.door import Visit
from stepwell_shared.runtime import Runtime

from stepwell_measurement.data import trajectory_parameters
from stepwell_measurement.data.measures import measures
from stepwell_measurement.rules.board import sheets_of
from stepwell_measurement.rules.measures.figures import ELIGIBLE, FOLLOWED, HAVING, Figure, Measure, Tally, added
from stepwell_measurement.rules.partings import Counts
from stepwell_measurement.rules.thresholds import (
    LEAST_PEOPLE,
    REACH,
    Trial,
    Tried,
    first_score_above,
    instrument_of,
    newest,
    trial_of,
    tried_of,
)
from stepwell_measurement.tables import kept_score
from stepwell_measurement.use_cases.dashboards import period_of
from stepwell_measurement.use_cases.evaluating import SECONDS_MAX, bound

MEASURE_REPORT = "MeasureReport"
SYSTEM = f"{CANONICAL}/NamingSystem/threshold-trial"
REPORTS_MAX = 200
BELOW, ABOVE = "below", "above"
# What is compared near a cut-off, and the response that belongs to an instrument.
OUTCOMES = ("reliable-improvement", "recovery", "reliable-recovery", "reliable-deterioration")
RESPONSES = {"phq-9": "response", "gad-7": "response-anxiety"}

# The score with which care began: the last one that counted on the day it began, or before.
_SCORE = """(SELECT (e.value->>3)::float8
  FROM trajectory AS t, jsonb_array_elements(CASE WHEN t.measures > 0 THEN t.series ELSE '[]' END::jsonb) AS e
  WHERE t.tenant = c.tenant AND t.person = c.person AND t.code = $3
    AND left(e.value->>2, 10) <= to_char(c.started_on, 'YYYY-MM-DD') AND e.value->>4 = '0'
  ORDER BY e.value->>2 DESC LIMIT 1)"""


@dataclass(frozen=True)
class Near:
    """One outcome of finished courses on both sides of a cut-off, as it may be said."""

    measure: Measure
    below: Figure
    above: Figure


@dataclass(frozen=True)
class Outcomes:
    """What became of people near a cut-off: scores from `low` to `high`, courses that ended from `start` to `end`."""

    low: int
    high: int
    start: date
    end: date
    found: tuple[Near, ...]


async def trials_for(visit: Visit) -> dict[tuple[str, str], list[Trial]]:
    """The newest trials of each cut-off, by policy and parameter. Raises FhirError FORBIDDEN for who is no leader."""
    visit.access.require_unrestricted(MEASURE_REPORT, Interaction.SEARCH_TYPE)
    runtime = visit.runtime
    served_type = runtime.engine.registry.types[MEASURE_REPORT]
    asked = [("identifier", f"{escape(SYSTEM)}|"), ("_sort", "-date,_id")]
    query = query_of(runtime.engine, served_type, asked, (), strict=True)
    query.count = REPORTS_MAX
    rows = await runtime.store.search(visit.access.tenant, *query.page_statement())
    found: dict[tuple[str, str], list[Trial]] = {}
    for row in rows[:REPORTS_MAX]:
        trial = _trial(kept_score(row["body"], row["version"]).resource)
        if trial is not None:
            found.setdefault((trial.tried.policy, trial.tried.parameter), []).append(trial)
    return {key: newest(trials) for key, trials in found.items()}


def _trial(resource: dict[str, Any]) -> Trial | None:
    """The trial of a stored report; None for one that cannot be read as one."""
    for identifier in resource.get("identifier", ()):
        tried = tried_of(str(identifier.get("value", ""))) if identifier.get("system") == SYSTEM else None
        if tried is not None:
            try:
                return trial_of(resource, tried)
            except ValueError:
                return None
    return None


async def outcomes_near(runtime: Runtime, tenant: str, tried: Tried) -> Outcomes | None:
    """What became of people on both sides of the cut-off in force; None where there are too few to say."""
    codes = {each.change.instrument: code for code, each in trajectory_parameters().items()}
    instrument = instrument_of(tried, tuple(codes))
    if instrument is None:
        return None
    start, end = period_of(runtime.clock().date())
    first = first_score_above(tried)
    names = (*OUTCOMES, *(name for each, name in RESPONSES.items() if each == instrument))
    near = [measures()[name] for name in names]
    arguments = (start, end, codes[instrument], tenant, first, REACH)
    async with runtime.database.transaction(tenant) as connection:
        await connection.execute("SET LOCAL jit = off")
        rows = await connection.fetch(_statement(near), *arguments, timeout=SECONDS_MAX)
    found = _near(near, {row["side"]: row for row in rows})
    return Outcomes(first - REACH, first + REACH - 1, start, end, found) if found else None


def _statement(near: Sequence[Measure]) -> str:
    """All measures at once: they are about the same courses, and what one finds of them may imply what another does."""
    counts = []
    for place, criteria in enumerate(measure.criteria for measure in near):
        followed = f"({criteria.eligible}) AND ({criteria.followed or 'true'})"
        conditions = {ELIGIBLE: criteria.eligible, FOLLOWED: followed, HAVING: f"{followed} AND ({criteria.having})"}
        counts += [f"count(*) FILTER (WHERE {each}) AS {name}_{place}" for name, each in conditions.items()]
    (criteria, *_) = (measure.criteria for measure in near)
    return bound(
        f"SELECT CASE WHEN score < $5::integer THEN '{BELOW}' ELSE '{ABOVE}' END AS side, {', '.join(counts)}"
        f" FROM (SELECT c.*, {_SCORE} AS score FROM {criteria.table} AS c WHERE c.tenant = $4"
        f" AND c.{criteria.on} BETWEEN period_start AND period_end) AS counted"
        " WHERE score >= $5::integer - $6::integer AND score < $5::integer + $6::integer GROUP BY 1"
    )


def _near(near: Sequence[Measure], rows: Mapping[str, Any]) -> tuple[Near, ...]:
    """Both sides as they may be said, decided together; of none of which too few are known on a side."""
    counted = []
    for place, measure in enumerate(near):
        sides: dict[str, Tally] = {
            side: {name: Decimal(row[f"{name}_{place}"]) for name in (ELIGIBLE, FOLLOWED, HAVING)}
            for side, row in rows.items()
        }
        if len(sides) == len((BELOW, ABOVE)) and all(each[FOLLOWED] >= LEAST_PEOPLE for each in sides.values()):
            counted.append((measure, Counts(added(sides.values()), by={"side": sides})))
    sheets = sheets_of(counted)
    told = {measure: {each.value: each.figure for each in sheets[measure.id].by["side"]} for measure, _ in counted}
    return tuple(Near(measure, figures[BELOW], figures[ABOVE]) for measure, figures in told.items())
