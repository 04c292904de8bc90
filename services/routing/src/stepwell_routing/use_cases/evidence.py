"""From notifications and stored rows to the evidence that policies ask for. What is absent is unknown, never zero."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from stepwell_shared.fhir.values import date_range

from stepwell_routing.rules.answers import NOTHING
from stepwell_routing.rules.decisions import Decision, Evidence, EvidenceValue, RiskState
from stepwell_routing.rules.evidence_names import CODES
from stepwell_routing.rules.expressions import Kind, Scalar
from stepwell_routing.rules.policies import Input, Policy
from stepwell_routing.rules.series import Measure
from stepwell_routing.tables import BORN, MANUAL_TRIAGE, OUTCOME, RED_FLAG, RISK, SAID, SEX, Known
from stepwell_routing.use_cases.derivations import Derivation, derivation_of, is_measured, places_by_tier, rows_of

Resource = Mapping[str, Any]

WITHDRAWN = "entered-in-error"
POLICIES_REMEMBERED_MAX = 512
POSITIVE, UNANSWERED = "SAF-1", "SAF-5"
LEVELS = frozenset({"low", "moderate", "high"})
# What is open until somebody has looked, and is no level of risk.
ASKED_OF_PEOPLE = {"SAF-6": RED_FLAG, "SAF-7": MANUAL_TRIAGE}


def score_of(observation: Resource, url: str, source_version: int) -> Known:
    """A score by its first code, a number or the code of its result; without a value when it was entered in error or
    could not be computed.

    So a response that is amended until too little of it is answered takes its earlier score back.
    """
    coding = observation["code"]["coding"][0]
    value = None if observation["status"] == WITHDRAWN else _said(observation)
    return Known(
        f"{coding['system']}|{coding['code']}", value, moment(observation["effectiveDateTime"]), url, source_version
    )


def risk_of(assessment: Resource, url: str) -> Known:
    """Where a RiskAssessment stands: the rule that opened it, or the level that a clinician recorded."""
    prediction = assessment["prediction"][0]
    codings = prediction.get("qualitativeRisk", {}).get("coding", [])
    levels = [coding["code"] for coding in codings if coding["code"] in LEVELS]
    value = levels[0] if levels else assessment["reasonCode"][0]["coding"][0]["code"]
    version = int(assessment["meta"]["versionId"])
    name = ASKED_OF_PEOPLE.get(value, RISK)
    return Known(name, value, moment(assessment["meta"]["lastUpdated"]), url, version)


def person_rows(patient: Resource, url: str, now: datetime) -> tuple[Known, ...]:
    """Date of birth and sex of a Patient, as far as they say it."""
    said = ((BORN, patient.get("birthDate")), (SEX, patient.get("gender")))
    version = int(patient.get("meta", {}).get("versionId", 0))
    return tuple(Known(name, str(value), now, url, version) for name, value in said if value)


def gather(
    policy: Policy,
    known: Iterable[Known],
    since: datetime | None = None,
    *,
    now: datetime | None = None,
) -> Evidence:
    """The latest of each kind, under the names of the policy, and the course of what is measured again and again.

    A course begins with the episode: what was observed until `since`, the end of the one before, is no part of it.
    `now` is for what grows with time, such as age: without it that is missing.
    """
    rows = rows_of(newest_versions(known), now)
    values: dict[str, EvidenceValue] = {}
    courses: dict[str, list[Measure]] = {}
    for item, names, derive in _sources(_Same(policy.inputs)):
        found = [row for name in names if name in rows.by_name for row in rows.by_name[name]]
        value = _latest(item, found, courses if item.name in policy.derived else None, since) if found else None
        if derive is not None and value is None:
            value = derive(item, rows)
        if value is not None:
            values[item.name] = value
    places = places_by_tier(rows) if policy.asks_places else {}
    return Evidence(values, _risk(rows.by_name.get(RISK, ())), courses, places)


def risk_state(known: Iterable[Known]) -> RiskState:
    """Where safety stands: what is open, and the level that was recorded last."""
    rows = newest_versions(row for row in known if row.name == RISK)
    return _risk([row for row in rows if row.value is not None])


def outcome_rows(policy: Policy, decision: Decision, reference: str) -> list[Known]:
    """What a decision came to, kept for the next one where the policy asks for it."""
    if all(item.name != "previous_outcome" for item in policy.inputs):
        return []
    return [Known(OUTCOME, decision.outcome, decision.decided_at, reference, 1)]


def is_score(row: Known) -> bool:
    """Whether a row is something that was measured in numbers: scores alone are kept under a system and a code."""
    return is_measured(row.name) and (row.value is None or _number(row.value) is not None)


def moment(text: str) -> datetime:
    """The start of a FHIR date, dateTime or instant; UTC when it names no zone."""
    interval = date_range(text)
    if interval is None:
        raise ValueError("not a FHIR dateTime")
    return interval[0].astimezone(UTC)


def newest_versions(known: Iterable[Known]) -> list[Known]:
    """Of each resource what its newest version says."""
    newest: dict[tuple[str, str], Known] = {}
    for row in known:
        key = row.name, row.reference
        if key not in newest or row.source_version >= newest[key].source_version:
            newest[key] = row
    return [newest[key] for key in sorted(newest)]


def _said(observation: Resource) -> str | None:
    """The number of a score, or the code of a result that is a class."""
    if "valueQuantity" in observation:
        return str(observation["valueQuantity"]["value"])
    codings = observation.get("valueCodeableConcept", {}).get("coding", ())
    return next((str(each["code"]) for each in codings if "code" in each), None)


class _Same:
    """The inputs of a policy by identity: they never change, and to compare them would cost more than it saves."""

    __slots__ = ("inputs",)

    def __init__(self, inputs: tuple[Input, ...]) -> None:
        self.inputs = inputs

    def __hash__(self) -> int:
        return id(self.inputs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.inputs is other.inputs


@lru_cache(maxsize=POLICIES_REMEMBERED_MAX)
def _sources(same: _Same) -> tuple[tuple[Input, tuple[str, ...], Derivation | None], ...]:
    """By which rows each input is found: by the codes of the policy, or by the usual ones, and by what was answered."""
    return tuple(
        (
            item,
            (*(f"{system}|{code}" for system, code in item.codes or CODES.get(item.name, ())), SAID + item.name),
            derivation_of(item.name),
        )
        for item in same.inputs
    )


def _latest(
    item: Input, found: Sequence[Known], courses: dict[str, list[Measure]] | None, since: datetime | None
) -> EvidenceValue | None:
    """What was measured or answered last; the course is added to `courses`."""
    known = [(value, row) for row in found if (value := _value(item.kind, row)) is not None or row.value == NOTHING]
    known.sort(key=lambda each: (each[1].observed_at, each[1].reference))
    if courses is not None:
        courses[item.name] = [
            Measure(value, row.observed_at)
            for value, row in known
            if isinstance(value, int | Decimal) and (since is None or row.observed_at > since)
        ]
    value, last = known[-1] if known else (None, None)
    return None if value is None or last is None else EvidenceValue(value, last.observed_at, last.reference)


def _value(kind: Kind, row: Known) -> Scalar | None:
    """A row's value as the policy declares it; None for one of another kind, and for what says that there is none."""
    text = row.value or ""
    if kind is Kind.NUMBER:
        return _number(text)
    if kind is Kind.BOOLEAN:
        return {"true": True, "false": False}.get(text)
    return text or None


def _risk(rows: Sequence[Known]) -> RiskState:
    recorded = [row for row in rows if row.value in LEVELS]
    opened = [row for row in rows if row.value not in LEVELS]
    last = max(recorded, key=lambda row: (row.observed_at, row.reference), default=None)
    latest = last or max(opened, key=lambda row: (row.observed_at, row.reference), default=None)
    return RiskState(
        positive_item_open=any(row.value == POSITIVE for row in opened),
        unanswered_item_open=any(row.value == UNANSWERED for row in opened),
        level=last.value if last else None,
        reference=latest.reference if latest else None,
    )


def _number(text: str) -> int | Decimal | None:
    """A score as the expressions compare it: exact, and an integer when it is one; None for what is no number."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    if not value.is_finite():
        return None
    return int(value) if value == value.to_integral_value() else value
