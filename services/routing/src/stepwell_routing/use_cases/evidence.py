"""From notifications and stored rows to the evidence that policies ask for. What is absent is unknown, never zero."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from stepwell_shared.fhir.values import date_range

from stepwell_routing.rules.decisions import Evidence, EvidenceValue, RiskState
from stepwell_routing.rules.policies import Policy
from stepwell_routing.rules.series import Measure
from stepwell_routing.tables import MANUAL_TRIAGE, RED_FLAG, RISK, Known

Resource = Mapping[str, Any]

WITHDRAWN = "entered-in-error"
POSITIVE, UNANSWERED = "SAF-1", "SAF-5"
LEVELS = frozenset({"low", "moderate", "high"})
# What is open until somebody has looked, and is no level of risk.
ASKED_OF_PEOPLE = {"SAF-6": RED_FLAG, "SAF-7": MANUAL_TRIAGE}


def score_of(observation: Resource, url: str, source_version: int) -> Known:
    """A score by its first code; without a value when it was entered in error or could not be computed.

    So a response that is amended until too little of it is answered takes its earlier score back.
    """
    coding = observation["code"]["coding"][0]
    quantity = None if observation["status"] == WITHDRAWN else observation.get("valueQuantity")
    value = None if quantity is None else str(quantity["value"])
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


def gather(policy: Policy, known: Iterable[Known], since: datetime | None = None) -> Evidence:
    """The latest of each kind, under the names of the policy, and the course of what is measured again and again.

    A course begins with the episode: what was observed until `since`, the end of the one before, is no part of it.
    """
    current = newest_versions(known)
    values: dict[str, EvidenceValue] = {}
    courses: dict[str, list[Measure]] = {}
    for item in policy.inputs:
        names = {f"{system}|{code}" for system, code in item.codes}
        found = [row for row in current if row.name in names and row.value is not None]
        if not found:
            continue
        found.sort(key=lambda row: (row.observed_at, row.reference))
        last = found[-1]
        values[item.name] = EvidenceValue(_number(str(last.value)), last.observed_at, last.reference)
        if item.name in policy.derived:
            courses[item.name] = [
                Measure(_number(str(row.value)), row.observed_at)
                for row in found
                if since is None or row.observed_at > since
            ]
    return Evidence(values, _risk([row for row in current if row.name == RISK]), courses)


def is_score(row: Known) -> bool:
    """Whether a row is something that was measured: scores alone are kept under a system and a code."""
    return "|" in row.name


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


def _risk(rows: list[Known]) -> RiskState:
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


def _number(text: str) -> int | Decimal:
    """A score as the expressions compare it: exact, and an integer when it is one."""
    value = Decimal(text)
    return int(value) if value == value.to_integral_value() else value
