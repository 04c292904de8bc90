"""Counts a Measure: one scan of its narrow rows, added up by stratum in the database, then the figures of the rules.

`evaluate(runtime, tenant, Question("recovery", start, end, strata=("practice", "age")))` gives the `Report` of
rules/measures/reports.py: `report.whole` and `report.rows`, each with a `Figure`. `tallies` gives what
was counted before anything is kept back: it can be added up over organisations (`figures.added`), and is for nobody's
eyes.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
from stepwell_shared.database.pool import Connection
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.runtime import Runtime

from stepwell_measurement.data.measures import measures
from stepwell_measurement.data.strata import age_bands, age_starts
from stepwell_measurement.rules.care_record import NOT_RECORDED
from stepwell_measurement.rules.measures.figures import (
    AFTER,
    BEFORE,
    BEGUN,
    ELIGIBLE,
    FOLLOWED,
    HAVING,
    LEFT,
    SQUARES,
    SUM,
    WAITING,
    Kind,
    Measure,
    Tally,
)
from stepwell_measurement.rules.measures.reports import GroupKey, Report, report
from stepwell_measurement.rules.measures.suppression import SMALL_BELOW

STRATA_MAX = 3
PERIODS = ("month", "quarter", "year")
SECONDS_MAX = 20.0
NAMED_MAX = 10_000
# Waits of thousands of practices have hundreds of thousands of days, which are not to be sorted on disk.
SCAN_SETTINGS = "SET LOCAL jit = off; SET LOCAL work_mem = '32MB'"

_waits = msgspec.json.Decoder(dict[str, Decimal])


@dataclass(frozen=True)
class Question:
    """What is asked: a Measure by id, the first and last day of the period, by what to tell groups apart, by which part
    of the period (`by`: month, quarter or year; empty for none), and of whom alone (`where`: dimension and value)."""

    measure: str
    start: date
    end: date
    strata: tuple[str, ...] = ()
    by: str = ""
    where: tuple[tuple[str, str], ...] = ()
    person: str = ""


class Member(NamedTuple):
    """Somebody who is counted in a share: whether the outcome is known, and whether they have it."""

    person: str
    followed: bool
    having: bool


async def evaluate(runtime: Runtime, tenant: str, question: Question, *, below: int = SMALL_BELOW) -> Report:
    """The report as things stand now. Raises FhirError INVALID for what cannot be asked, NOT_FOUND for no Measure."""
    found = await tallies(runtime, tenant, question)
    return await asyncio.to_thread(report, measure_of(question), found, below=below)


def measure_of(question: Question) -> Measure:
    """The Measure that is asked about. Raises FhirError."""
    found = measures().get(question.measure)
    if found is None:
        raise FhirError(Category.NOT_FOUND, "there is no such Measure")
    named = (*question.strata, *(name for name, _ in question.where))
    unknown = [each for each in named if each not in found.dimensions]
    if unknown or len(set(question.strata)) < len(question.strata) or len(question.strata) > STRATA_MAX:
        text = f"this Measure is stratified by up to {STRATA_MAX} of {', '.join(found.dimensions)}"
        raise _refused(text, "stratifier")
    if question.by and (question.by not in PERIODS or not found.criteria.on):
        raise _refused(f"this Measure is told by {', '.join(PERIODS)}" if found.criteria.on else "not by period", "by")
    if question.start > question.end:
        raise _refused("the period begins before it ends", "periodStart")
    return found


async def tallies(runtime: Runtime, tenant: str, question: Question) -> dict[GroupKey, Tally]:
    """What is counted of each group, nothing kept back. Raises FhirError as `evaluate` does."""
    measure = measure_of(question)
    found: dict[GroupKey, dict[str, Decimal]] = {}
    for row in await _scanned(runtime, tenant, measure, question):
        key = GroupKey(row["since"], tuple(row[f"s{place}"] for place in range(len(question.strata))))
        _count(measure, found.setdefault(key, {}), row)
    return {key: tally for key, tally in found.items() if any(tally.values())}


async def tallies_of_each(runtime: Runtime, tenant: str, question: Question) -> dict[str, dict[str, Tally]]:
    """What is counted by each of the strata for itself, all in one scan: by stratum and value, nothing kept back.
    Raises FhirError for what no Measure has."""
    measure = measure_of(replace(question, strata=()))
    found: dict[str, dict[str, dict[str, Decimal]]] = {name: {} for name in question.strata}
    for row in await _scanned(runtime, tenant, measure, question, is_each=True):
        for place, name in enumerate(question.strata):
            if (value := row[f"s{place}"]) is not None:  # the others are not told in this row
                _count(measure, found[name].setdefault(value, {}), row)
    return {
        name: {value: tally for value, tally in groups.items() if any(tally.values())} for name, groups in found.items()
    }


async def _scanned(
    runtime: Runtime, tenant: str, measure: Measure, question: Question, *, is_each: bool = False
) -> Sequence[Mapping[str, Any]]:
    last = min(question.end, runtime.clock().date())
    statement, arguments = _statement(measure, question, last, is_each=is_each)

    async def scan(connection: Connection) -> Sequence[Mapping[str, Any]]:
        await connection.execute(SCAN_SETTINGS)
        rows: Sequence[Mapping[str, Any]] = await connection.fetch(statement, *arguments, timeout=SECONDS_MAX)
        return rows

    return await runtime.reader.read(tenant, scan)


async def members(runtime: Runtime, tenant: str, question: Question) -> list[Member]:
    """Who is counted in a share, for those who may know persons; once for each row. Raises FhirError as `evaluate`
    does, and when there are too many to name."""
    measure = measure_of(question)
    criteria, followed = measure.criteria, measure.criteria.followed or "true"
    conditions, arguments = conditions_of(measure, question, min(question.end, runtime.clock().date()))
    statement = (
        f"SELECT person, {followed} AS followed, coalesce(({followed}) AND ({criteria.having}), false) AS having"
        f" FROM {criteria.table} WHERE {conditions} ORDER BY person LIMIT {NAMED_MAX + 1}"
    )
    async with runtime.database.transaction(tenant) as connection:
        rows = await connection.fetch(bound(statement), *arguments, timeout=SECONDS_MAX)
    if len(rows) > NAMED_MAX:
        raise _refused(f"more than {NAMED_MAX} are counted; ask about a shorter period or one group", "periodEnd")
    return [Member(row["person"], bool(row["followed"]), bool(row["having"])) for row in rows]


def _statement(measure: Measure, question: Question, last: date, *, is_each: bool) -> tuple[str, list[Any]]:
    """The scan, by all strata together or by each for itself. All text of it ships with the product; what a caller says
    is among its arguments."""
    criteria = measure.criteria
    groups = [_dimension(measure, name) for name in question.strata]
    since = f"date_trunc('{question.by}', {criteria.on})::date" if question.by else "NULL::date"
    conditions, arguments = conditions_of(measure, question, last)
    counted, also = _counted(measure)
    named = [f"{since} AS since", *(f"{group} AS s{place}" for place, group in enumerate(groups))]
    places = [str(place) for place in range(1, len(named) + also + 1)]
    if is_each:
        told = slice(1, len(named))
        places[told] = [f"GROUPING SETS ({', '.join(f'({place})' for place in places[told])})"]
    by = ", ".join(places)
    selected = ", ".join([*named, *counted])
    statement = f"SELECT {selected} FROM {criteria.table} WHERE {conditions} GROUP BY {by}"
    if also:  # one row for each group, with all its days
        groups_told = ", ".join(name.rpartition(" ")[2] for name in named)
        waits = "json_object_agg(state || ' ' || days, eligible)::text AS waits"
        statement = f"SELECT {groups_told}, {waits} FROM ({statement}) AS each_day GROUP BY {groups_told}"
    return bound(statement), arguments


def bound(statement: str) -> str:
    """The statement with the ends of the period as its first two arguments."""
    return statement.replace("period_start", "$1::date").replace("period_end", "$2::date")


def conditions_of(measure: Measure, question: Question, last: date) -> tuple[str, list[Any]]:
    """Which rows are counted, and the arguments of the statement: the first two are the ends of the period."""
    criteria = measure.criteria
    arguments: list[Any] = [question.start, last]
    conditions = ["tenant = current_setting('stepwell.tenant')", f"({criteria.eligible})"]
    if criteria.on:
        conditions.append(f"{criteria.on} BETWEEN period_start AND period_end")
    for name, value in question.where:
        arguments.append(value)
        conditions.append(f"{_dimension(measure, name)} = ${len(arguments)}")
    if question.person:
        arguments.append(question.person)
        conditions.append(f"person = ${len(arguments)}")
    # Types are known from use alone: each end of the period is used.
    return " AND ".join([*conditions, "period_start <= period_end + 1"]), arguments


def _counted(measure: Measure) -> tuple[list[str], int]:
    """What is selected beside the strata, and how many of it (the first ones) rows are grouped by as well."""
    criteria = measure.criteria
    followed = criteria.followed or "true"
    people = f"count(*) FILTER (WHERE {followed}) AS followed"
    having = f"count(*) FILTER (WHERE ({followed}) AND ({criteria.having or 'true'})) AS having"
    eligible = "count(*) AS eligible"
    match measure.kind:
        case Kind.SHARE:
            return [eligible, people, having], 0
        case Kind.MEAN:
            value = f"FILTER (WHERE {followed})"
            sums = [f"sum({criteria.value}) {value} AS sum", f"sum({criteria.value} ^ 2) {value} AS squares"]
            return [eligible, people, *sums], 0
        case Kind.COST:
            return [eligible, people, having, f"sum({criteria.value}) FILTER (WHERE {followed}) AS sum"], 0
        case Kind.USE:
            uses = [f"sum({criteria.before}) AS before", f"sum({criteria.after}) AS after"]
            return [eligible, people, *uses], 0
        case Kind.WAITS:
            has_begun = f"{criteria.end} <= period_end"
            has_left = f"{criteria.left} <= period_end" if criteria.left else "false"
            state = f"CASE WHEN {has_begun} THEN '{BEGUN}' WHEN {has_left} THEN '{LEFT}' ELSE '{WAITING}' END AS state"
            until = f"CASE WHEN {has_begun} THEN {criteria.end} WHEN {has_left} THEN {criteria.left or 'period_end'}"
            days = f"greatest({until} ELSE period_end END - {criteria.start}, 0) AS days"
            return [state, days, eligible], 2


def _dimension(measure: Measure, name: str) -> str:
    """The expression of a dimension. The age of the registered is that on the last day; counted rows have their own."""
    if name != "age" or measure.criteria.on:
        return name
    limits = zip(age_starts()[1:], age_bands(), strict=False)
    bands = " ".join(f"WHEN born > period_end - interval '{start} years' THEN '{band}'" for start, band in limits)
    return f"CASE WHEN born IS NULL THEN '{NOT_RECORDED}' {bands} ELSE '{age_bands()[-1]}' END"


def _count(measure: Measure, tally: dict[str, Decimal], row: Mapping[str, Any]) -> None:
    if measure.kind is Kind.WAITS:
        tally |= _waits.decode(row["waits"])
        return
    for name in (ELIGIBLE, FOLLOWED, HAVING, BEFORE, AFTER, SUM, SQUARES):
        if row.get(name) is not None:
            tally[name] = Decimal(str(row[name]))


def _refused(text: str, name: str) -> FhirError:
    return FhirError(Category.INVALID, [Issue(text, "invalid", f"Parameters.parameter.where(name = '{name}')")])
