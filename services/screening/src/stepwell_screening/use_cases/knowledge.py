"""What is known of a person when it is decided what to ask: from their schedule and the responses that are stored."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from stepwell_shared.runtime import Runtime

from stepwell_screening.instruments import Instrument, find_instrument
from stepwell_screening.rules.aggregation import ScoreResult
from stepwell_screening.rules.cadence import Answered, History, Pace, Stability, Tier, covering, stability_of
from stepwell_screening.rules.cadence_policy import Cadence
from stepwell_screening.schedules import Facts, Progress, Record

Resource = dict[str, Any]

# What comes in after the form was asked for counts, also when it was written down a little before: clocks differ.
EARLIER = timedelta(days=1)
BOTH_SEXES = {"sex": "female"}  # bands by sex play no part in whether a score is elevated


@dataclass(frozen=True)
class Answers:
    """One finished response: its id, the form that it answers, when it was given and kept, and its scores."""

    id: str
    questionnaire: str
    authored: datetime
    kept: datetime
    scores: Mapping[tuple[str, str], Any]


async def answers_of(runtime: Runtime, tenant: str, record: Record) -> list[Answers]:
    """The responses of a record with their scores; what no form published here explains is left out."""
    found = []
    for kept in record.responses:
        response = orjson.loads(kept.body)
        canonical = response.get("questionnaire", "")
        instrument = await find_instrument(runtime, tenant, canonical) if "|" in canonical else None
        if instrument is not None and "authored" in response:
            scores = {_code(each): each.value for each in _scores(instrument, response)}
            authored, updated = moment_of(response["authored"]), moment_of(response["meta"]["lastUpdated"])
            found.append(Answers(kept.id, canonical, authored, updated, scores))
    return found


def history_of(cadence: Cadence, facts: Facts, progress: Progress, record: Record, answers: list[Answers]) -> History:
    """What has been asked and answered, as the rules take it."""
    is_prompted = bool(facts.prompted) and facts.prompted != progress.answered_prompt
    return History(
        since=moment_of(facts.since),
        answered=dict(_answered(cadence, answers)),
        asked={form: moment_of(text) for form, text in progress.asked.items()},
        is_safety_open=record.safety_open > 0,
        prompted=moment_of(facts.prompted) if is_prompted else None,
        last_unprompted=optional(progress.last_unprompted),
        wanted=optional(facts.wanted),
        wanted_measures=frozenset(facts.wanted_measures) & cadence.measures.keys(),
    )


def tier_of(facts: Facts) -> Tier:
    """The tier, as the rules take it."""
    return Tier(facts.tier, facts.policy, optional(facts.review), facts.is_ended)


def pace_of(facts: Facts) -> Pace:
    """The person's wish, as the rules take it."""
    return Pace(facts.pace, optional(facts.until))


def course_of(facts: Facts, cadence: Cadence, now: datetime) -> Stability:
    """How stable the person is, as the rules take it."""
    changes = {name: (kind, moment_of(since)) for name, (kind, since) in facts.courses.items()}
    return stability_of(changes, cadence, now)


def answer_to(cadence: Cadence, progress: Progress, answers: list[Answers]) -> Answers | None:
    """The response that answers the open Task: to its form, or to one that asks all that it asks."""
    wanted = set(covering(cadence, progress.questionnaire))
    asked = moment_of(progress.asked_at)
    url = progress.questionnaire.partition("|")[0]
    fitting = [
        each
        for each in answers
        if (each.authored >= asked or (each.kept >= asked and each.authored >= asked - EARLIER))
        and (
            each.questionnaire.partition("|")[0] == url
            or (wanted and wanted <= set(covering(cadence, each.questionnaire)))
        )
    ]
    return max(fitting, key=lambda each: each.authored, default=None)


def moment_of(text: str) -> datetime:
    """A FHIR date, dateTime or instant; what has no zone is in UTC."""
    moment = datetime.fromisoformat(text if len(text) > len("2026-11") else f"{text}-01"[:10])
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def optional(text: str) -> datetime | None:
    """The moment, if one is given."""
    return moment_of(text) if text else None


def _answered(cadence: Cadence, answers: Iterable[Answers]) -> Iterable[tuple[str, Answered]]:
    for code, measure in cadence.measures.items():
        fitting = [
            each
            for each in answers
            if measure.score in each.scores or (code in covering(cadence, each.questionnaire) and measure.score is None)
        ]
        if fitting:
            values = [each.scores[measure.score] for each in fitting if measure.score is not None]
            least = measure.elevated_from
            elevated = any(least is not None and value is not None and value >= least for value in values)
            yield code, Answered(max(each.authored for each in fitting), elevated)


def _scores(instrument: Instrument, response: Resource) -> Iterable[ScoreResult]:
    context = BOTH_SEXES if "sex" in instrument.definition.contexts else None
    return instrument.score(response, context)


def _code(result: ScoreResult) -> tuple[str, str]:
    return result.score.code["system"], result.score.code["code"]
