"""The shipped policy and small ways to make evidence for it."""

import copy
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import stepwell_routing
from stepwell_routing.rules.decisions import Decision, Evidence, EvidenceValue, RiskState, decide
from stepwell_routing.rules.policies import Policy, parse_policy
from stepwell_routing.rules.tiers import parse_tiers

DATA = Path(stepwell_routing.__file__).parent / "data"
NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)

TIERS_DOCUMENT: dict[str, Any] = json.loads((DATA / "tiers.json").read_text())
DOCUMENT: dict[str, Any] = json.loads((DATA / "policies" / "stepped-care.json").read_text())
CATALOGUE = parse_tiers(TIERS_DOCUMENT)
POLICY = parse_policy(DOCUMENT, CATALOGUE)
BANDS = parse_policy(DOCUMENT, CATALOGUE, profile="bands")
NO_RISK = RiskState()


def evidence(risk: RiskState = NO_RISK, *, days_old: int = 0, **values: Any) -> Evidence:
    """Evidence with these values, all observed the same number of days ago."""
    observed = NOW - timedelta(days=days_old)
    known = {
        name: EvidenceValue(value, observed, f"https://measurement.example/fhir/Observation/{name}")
        for name, value in values.items()
    }
    return Evidence(known, risk)


def decided(risk: RiskState = NO_RISK, *, policy: Policy = POLICY, **values: Any) -> Decision:
    return decide(policy, evidence(risk, **values), NOW)


def rank(decision: Decision) -> int:
    return decision.tier.rank


def changed_document() -> dict[str, Any]:
    """A copy of the shipped policy to break."""
    return copy.deepcopy(DOCUMENT)


def rule_actions(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for group in document["action"]:
        yield from group.get("action", ())


def rule_action(document: dict[str, Any], code: str) -> dict[str, Any]:
    """The action of one rule in a document."""
    return next(action for action in rule_actions(document) if action["code"][0]["coding"][0]["code"] == code)
