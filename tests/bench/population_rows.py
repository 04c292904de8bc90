"""The rows of measurement's database that a synthetic region leads to, made by the product's own builders.

What the APIs would leave of the same people, with two differences: each row is dated by the moment that it is about,
and every course of care has its episode, which routing begins today (docs/demo.md).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import cache, cached_property
from typing import Any
from urllib.parse import urlencode

from stepwell_measurement import builders as measurement_builders
from stepwell_measurement.care_tables import COUNTED, fact_effect, person_effect
from stepwell_measurement.data import trajectory_parameters
from stepwell_measurement.data.strata import age_starts
from stepwell_measurement.rules.care import Episode, care_of
from stepwell_measurement.rules.care_record import Attendance, Fact, Kind, counted_rows
from stepwell_measurement.rules.compact import Point
from stepwell_measurement.rules.reliable_change import Score
from stepwell_measurement.rules.trajectory import (
    NEVER_ENDED,
    Trajectory,
    TrajectoryParameters,
    said,
    trajectories,
)
from stepwell_measurement.tables import SeriesKey, episode_effect, trajectory_effect
from stepwell_measurement.use_cases.strata import person_strata
from stepwell_screening import builders as screening_builders
from stepwell_screening.instruments import Instrument, instruments
from stepwell_screening.rules.aggregation import ScoreResult
from stepwell_shared.canonical import derived_beside, derived_id, instant
from stepwell_shared.cli.demo import resources
from stepwell_shared.cli.demo.courses import ITEMS, Answers
from stepwell_shared.cli.demo.courses import Attendance as Came
from stepwell_shared.cli.demo.referring import steps_of
from stepwell_shared.cli.demo.region import Person, Region
from stepwell_shared.database.functions import Effect
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.table_names import VERSION_TABLE, current_table, index_table, number_table
from stepwell_shared.fhir.unit import Method
from stepwell_shared.runtime import Runtime

from tests.bench.population_patterns import MOMENT, Filled, Patterns, mark
from tests.bench.population_patterns import said as written

Rows = dict[str, list[tuple[object, ...]]]
Resource = dict[str, Any]

_CRITERIA = urlencode({"identifier": f"{resources.IDENTIFIERS}|"})
OBSERVATIONS, CARE = "observations", "care"
OBSERVATION, EXPERIENCE = "Observation", "experience"
# Columns that are made anew with what is counted, behind those that an insert fills.
COUNTED_BESIDE = {"care_person": ("attended",)}
CAME = {
    Came.ATTENDED: Attendance.ATTENDED,
    Came.MISSED: Attendance.NOT_ATTENDED,
    Came.CANCELLED: Attendance.CANCELLED_BY_PERSON,
}


@dataclass
class PeopleRows:
    """Makes the rows of people of a region; `urls` are the public addresses of the suite that they are in.

    `parts` says which rows: OBSERVATIONS and what follows from them, CARE or both. Left out where it is said so: what
    the store keeps of each Observation beside its current row, facts of care, episodes of care.
    """

    region: Region
    tenant: str
    runtime: Runtime
    urls: Mapping[str, str]
    parts: frozenset[str] = frozenset({OBSERVATIONS, CARE})
    whole: bool = True
    with_episodes: bool = True

    def rows(self, numbers: range) -> Rows:
        """Everything of the people with these numbers, by table."""
        rows: Rows = defaultdict(list)
        for number in numbers:
            self._add(rows, self.region.person(number))
        return rows

    def patient_id(self, person: Person) -> str:
        """The id that screening gives by the identifier."""
        return self._id("Patient", "screening", "person", person.number)

    def _add(self, rows: Rows, person: Person) -> None:
        key = f"Patient/{self.patient_id(person)}"
        facts = [*self._care(person), *self._uses(person)] if CARE in self.parts else []
        series: dict[str, dict[str, Point]] = defaultdict(dict)
        for number, answers in enumerate(person.course.answers):
            result, id_ = self._score(rows, person, number, answers)
            value = Decimal(str(result.value))
            if answers.form == EXPERIENCE:
                facts.append(Fact(Kind.SATISFACTION, id_, "final", answers.given_at, amount=float(value)))
            score = Score(value, answers.given_at, prorated=False, reference=f"{OBSERVATION}/{id_}")
            series[str(result.score.code["code"])][id_] = Point(score, 1)
        known = {code: points for code, points in series.items() if code in trajectory_parameters()}
        if OBSERVATIONS in self.parts:
            self._keep(rows, self._series(rows, person, key, known))
        if CARE in self.parts:
            self._count(rows, person, key, facts, known)

    def _count(
        self,
        rows: Rows,
        person: Person,
        key: str,
        facts: Sequence[Fact],
        known: Mapping[str, Mapping[str, Point]],
    ) -> None:
        """The facts of care, where the person belongs, and the rows that figures are counted from."""
        patient = resources.patient_resource(person, self.region.seed, self._practice(person))
        strata = person_strata(self.runtime, patient)
        if self.whole:
            self._keep(rows, (fact_effect(key, 1, fact) for fact in facts))
        scores = {code: [point.score for point in points.values()] for code, points in known.items()}
        counted = counted_rows(facts, scores, strata, trajectory_parameters(), age_starts())
        effect = person_effect(key, 1, True, strata)
        rows[effect.table].append((self.tenant, *effect.values, counted.days_attended))
        for table in COUNTED:
            rows[table] += [(self.tenant, key, *row) for row in getattr(counted, table)]

    def _keep(self, rows: Rows, effects: Iterable[Effect]) -> None:
        for effect in effects:
            rows[effect.table].append((self.tenant, *effect.values))

    def _care(self, person: Person) -> Iterator[Fact]:
        """What referral and routing tell of a course."""
        course, number = person.course, person.number
        for step in steps_of(course):
            request = self._id("ServiceRequest", "referral", "order", number, step.tier)
            task = self._id("Task", "referral", "referral", number, step.tier)
            status = step.last or ("requested" if step.began_at is None else "in-progress")
            closed = step.ended_at if step.last is not None else None
            yield Fact(
                *(Kind.REFERRAL, f"Task/{task}", status, step.asked_at, step.began_at, closed),
                *(step.tier, request, course.pathway),
            )
            for place, contact in step.contacts:
                appointment = self._id("Appointment", "referral", "contact", number, place)
                came = CAME[contact.attendance].value
                yield Fact(Kind.APPOINTMENT, f"Appointment/{appointment}", came, contact.at, about=request)
        if self.with_episodes and course.began_at is not None:
            yield from self._episode(person)

    def _episode(self, person: Person) -> Iterator[Fact]:
        course, id_ = person.course, self._id("EpisodeOfCare", "routing", "episode", person.number)
        status = "active" if course.ended_at is None else "finished"
        yield Fact(Kind.EPISODE, id_, status, course.referred_at, ended_at=course.ended_at, path=course.pathway)
        for since, tier in course.steps:
            yield Fact(Kind.STEP, f"{id_}@{instant(since)}", status, since, what=tier, about=id_)

    def _uses(self, person: Person) -> Iterator[Fact]:
        for number, use in enumerate(person.course.uses):
            id_ = self._id(OBSERVATION, "measurement", "use", person.number, number)
            yield Fact(Kind.USE, id_, "final", use.at, amount=1.0)

    def _score(self, rows: Rows, person: Person, number: int, answers: Answers) -> tuple[ScoreResult, str]:
        """One response's score and the id of its Observation, whose rows are added."""
        result = self._scored(answers)
        response = self._id("QuestionnaireResponse", "screening", "response", person.number, number)
        cause = "score", response, str(result.score.code["code"])
        id_ = derived_beside(response, self.urls["screening"], self.tenant, *cause)
        if OBSERVATIONS in self.parts:
            pattern = self._patterns.of((answers.form, result.value), lambda: self._score_marked(answers.form, result))
            values = {"id": id_, "response": response, "patient": self.patient_id(person)}
            self._put(rows, id_, answers.given_at, pattern.filled(values, answers.given_at))
        return result, id_

    def _scored(self, answers: Answers) -> ScoreResult:
        """What screening makes of these answers; the same points make the same score."""
        key = answers.form, answers.weights
        found = self._results.get(key)
        if found is None:
            response = _forms().response(answers, name={}, subject={})
            (found,) = _instruments()[answers.form].score(response, None)
            self._results[key] = found
        return found

    def _score_marked(self, form: str, result: ScoreResult) -> Resource:
        """A score as screening sends it, and measurement keeps it."""
        url = f"{self.urls['screening']}/QuestionnaireResponse/{mark('response')}"
        observation = screening_builders.score_observation(
            observation_id=mark("id"),
            definition=_instruments()[form].definition,
            result=result,
            response_url=url,
            subject=self._subject(mark("patient")),
            effective=written(MOMENT),
            issued=MOMENT,
        )
        return {**observation, "meta": {"source": f"{url}/_history/1"}}

    def _series(
        self, rows: Rows, person: Person, key: str, known: Mapping[str, Mapping[str, Point]]
    ) -> Iterator[Effect]:
        """The trajectory of each instrument, with the results of change, and the episode that says when care ended."""
        care = NEVER_ENDED
        if self.with_episodes and person.course.began_at is not None:
            spell = Episode(person.course.referred_at, person.course.ended_at)
            care = care_of([spell])
            yield episode_effect(key, self._id("EpisodeOfCare", "routing", "episode", person.number), 1, spell)
        for code, points in known.items():
            parameters = trajectory_parameters()[code]
            paths = trajectories(parameters, [point.score for point in points.values()], care)
            for path in paths.values():
                if path.count > 1:
                    self._change(rows, person, code, path)
            last = next(reversed(paths.values()))
            recorded = last.last.effective
            yield trajectory_effect(SeriesKey(key, code), len(points), points, last, said(last), recorded)

    def _change(self, rows: Rows, person: Person, code: str, path: Trajectory) -> None:
        """The rows of the result of change at one score."""
        parameters = trajectory_parameters()[code]
        first, last = path.baseline.reference, path.last.reference
        instrument = parameters.change.instrument
        score = last.removeprefix(f"{OBSERVATION}/")
        id_ = derived_beside(score, self.urls["measurement"], self.tenant, "reliable-change", instrument, score)
        key = (
            *(code, path.baseline.value, path.best.value, path.last.value, path.count, path.response, path.remission),
            *(path.recovery, path.important_change, path.stalled, path.relapse, path.track, path.standing),
        )
        pattern = self._patterns.of(key, lambda: self._change_marked(parameters, path))
        values = {"id": id_, "patient": self.patient_id(person), "first": first, "last": last}
        self._put(rows, id_, path.last.effective, pattern.filled(values, path.last.effective))

    def _change_marked(self, parameters: TrajectoryParameters, path: Trajectory) -> Resource:
        first = replace(path.baseline, reference=mark("first"))
        last = replace(path.last, reference=mark("last"), effective=MOMENT)
        return measurement_builders.reliable_change_observation(
            observation_id=mark("id"),
            parameters=parameters,
            path=replace(path, baseline=first, last=last),
            subject=self._subject(mark("patient")),
            issued=MOMENT,
        )

    def _put(self, rows: Rows, id_: str, moment: datetime, filled: Filled) -> None:
        """The rows of one Observation as the store writes them."""
        version = id_, 1, moment
        rows[current_table(OBSERVATION)].append((self.tenant, *version, filled.body, *filled.columns))
        if self.whole:
            rows[VERSION_TABLE].append((self.tenant, OBSERVATION, *version, Method.PUT.value, filled.body))
            rows[index_table(OBSERVATION)] += [(self.tenant, id_, *row) for row in filled.rows]
            rows[number_table(OBSERVATION)] += [(self.tenant, id_, *row) for row in filled.numbers]

    def _subject(self, patient: str) -> Resource:
        return {"reference": f"{self.urls['screening']}/Patient/{patient}"}

    def _practice(self, person: Person) -> Resource:
        organization = self._id("Organization", "referral", "practice", person.practice.number)
        return {"reference": f"{self.urls['referral']}/Organization/{organization}"}

    def _id(self, resource_type: str, service: str, *cause: object) -> str:
        """The id that a service gives to what it creates unless it has this identifier."""
        value = resources.identifier(self.region.seed, *cause)["value"]  # letters, digits and hyphens alone
        return derived_id(self.urls[service], self.tenant, resource_type, f"{_CRITERIA}{value}", "0")

    @cached_property
    def _patterns(self) -> Patterns:
        return Patterns(lambda resource: built(self.runtime.engine, resource, MOMENT))

    @cached_property
    def _results(self) -> dict[tuple[str, tuple[int, ...]], ScoreResult]:
        return {}


@cache
def _instruments() -> dict[str, Instrument]:
    """The shipped instruments that people of the region answer, by name."""
    by_name = {canonical.rpartition("/")[2].partition("|")[0]: each for canonical, each in instruments().items()}
    return {name: by_name[name] for name in ITEMS}


@cache
def _forms() -> resources.Forms:
    return resources.Forms({name: each.questionnaire for name, each in _instruments().items()})
