"""The intensity pathways as tables: each row of a `*.toml` here is a row of the care system's description.

`threshold` rows give one measure below, at and above its line; `case` rows give evidence and what must come of it.
"""

import json
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stepwell_routing.rules.decisions import Decision, Evidence, EvidenceValue, RiskState, decide
from stepwell_routing.rules.policies import Policy, parse_policy
from stepwell_routing.rules.series import Measure

from tests.services.routing.rules.shipped import CATALOGUE, DATA, NOW
from tests.support.terminology import unknown_codings

TABLES = {path.stem: tomllib.loads(path.read_text()) for path in sorted(Path(__file__).parent.glob("*.toml"))}
LANGUAGES = ("de", "en", "es", "fr")
THRESHOLDS = [(name, row) for name, table in TABLES.items() for row in table["threshold"]]
CASES = [(name, row) for name, table in TABLES.items() for row in table["case"]]
RISKS: dict[str, RiskState] = {
    "none": RiskState(),
    "open": RiskState(positive_item_open=True),
    "unanswered": RiskState(unanswered_item_open=True),
    "low": RiskState(level="low"),
    "moderate": RiskState(level="moderate"),
    "high": RiskState(level="high"),
    "open and high": RiskState(positive_item_open=True, level="high"),
}
LEVELS = (None, "low", "moderate", "high")
FORBIDDEN = ("refractory", "failed", "non-compliant", "crippled", "harmed", "all in your head", "nothing is wrong")


@cache
def _document(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((DATA / "policies" / f"{name}.json").read_text())
    return document


@cache
def _policy(name: str, settings_text: str = "{}") -> Policy:
    return parse_policy(_document(name), CATALOGUE, site_parameters=json.loads(settings_text))


def _decided(name: str, row: Mapping[str, Any], **more: Any) -> Decision:
    """The decision on a row's evidence; `courses` are pairs of days ago and value, oldest first."""
    exact = {
        key: Decimal(str(value)) if isinstance(value, float) else value
        for key, value in {**row.get("evidence", {}), **more}.items()
    }
    known = {key: EvidenceValue(value, NOW, f"https://x.example/{key}") for key, value in exact.items()}
    courses = {
        key: [Measure(value, NOW - timedelta(days=days)) for days, value in pairs]
        for key, pairs in row.get("courses", {}).items()
    }
    for key, measures in courses.items():
        known[key] = EvidenceValue(measures[-1].value, measures[-1].observed_at, f"https://x.example/{key}")
    policy = _policy(name, json.dumps(row.get("site", {}), sort_keys=True))
    return decide(policy, Evidence(known, RISKS[row.get("risk", "none")], courses), NOW)


def _fired(decision: Decision) -> set[str]:
    return {rule.code for rule in decision.fired}


@pytest.mark.parametrize(("name", "row"), THRESHOLDS, ids=[f"{name}-{row['rule']}" for name, row in THRESHOLDS])
def test_a_rule_begins_exactly_at_its_threshold(name: str, row: dict[str, Any]) -> None:
    measure, found = row["name"], {}
    for where in ("below", "at", "above"):
        if where in row:
            decision = _decided(name, row, **{measure: row[where]})
            found[where] = (row["rule"] in _fired(decision), decision.step.rank >= row["step"])
    expected = {"below": False, "at": True, "above": True}
    assert {where: fired for where, (fired, _) in found.items()} == {where: expected[where] for where in found}
    assert all(high for where, (_, high) in found.items() if where != "below")


@pytest.mark.parametrize(("name", "row"), THRESHOLDS, ids=[f"{name}-{row['rule']}" for name, row in THRESHOLDS])
def test_a_missing_measure_is_never_a_value(name: str, row: dict[str, Any]) -> None:
    assert row["rule"] not in _fired(_decided(name, row))


@pytest.mark.parametrize(("name", "row"), CASES, ids=[f"{name}-{row['row']}" for name, row in CASES])
def test_each_row_of_the_pathway_comes_out_as_written(name: str, row: dict[str, Any]) -> None:
    decision = _decided(name, row)
    fired = _fired(decision)
    assert set(row.get("fired", ())) <= fired, sorted(set(row.get("fired", ())) - fired)
    assert fired.isdisjoint(row.get("silent", ()))
    assert set(row.get("tell", ())) <= {role for role, _ in decision.tell}
    assert set(row.get("ask", ())) <= set(decision.ask)
    inputs = {outcome.detail.discipline for outcome in decision.outcomes if outcome.kind == "input"}
    assert set(row.get("input", ())) <= inputs
    menu = [option.code for option in decision.menu]
    assert set(row.get("menu", ())) <= set(menu)
    assert not set(row.get("not_offered", ())) & set(menu)
    seen = {
        "step": decision.step.rank,
        "rule": decision.rule,
        "outcome": decision.outcome,
        "status": decision.status,
        "priority": decision.priority,
        "review_hours": (decision.review_at - NOW) // timedelta(hours=1),
        "accepted": decision.accepted_rank,
        "first": menu[0] if menu else None,
        "human": decision.needs_clinician,
    }
    expected = {key: row[key] for key in seen if key in row}
    assert expected == {key: seen[key] for key in expected}


@pytest.mark.parametrize("name", TABLES)
def test_every_rule_of_a_policy_fires_in_its_table(name: str) -> None:
    table, seen = TABLES[name], set[str]()
    for row in table["threshold"]:
        seen |= _fired(_decided(name, row, **{row["name"]: row["at"]}))
    for row in table["case"]:
        seen |= _fired(_decided(name, row))
    assert {rule.code for rule in _policy(name).rules} - seen == set()


@pytest.mark.parametrize("name", TABLES)
def test_every_word_stands_in_four_languages_and_blames_nobody(name: str) -> None:
    policy = _policy(name)
    assert policy.languages == LANGUAGES
    for rule in policy.rules:
        for wording in (rule.clinician, rule.patient):
            texts = [wording[language].pattern.lower() for language in LANGUAGES]
            assert len(set(texts)) == len(LANGUAGES), rule.code
        assert not any(word in rule.patient["en"].pattern.lower() for word in FORBIDDEN)
        assert not any("phq" in text.pattern.lower() for text in rule.patient.values())


@pytest.mark.parametrize("name", TABLES)
def test_every_code_of_a_shipped_policy_is_defined(name: str) -> None:
    assert unknown_codings(_document(name)) == []


@pytest.mark.parametrize("name", TABLES)
def test_a_default_without_a_source_says_so(name: str) -> None:
    parameters = _policy(name).parameters.values()
    unsourced = [each for each in parameters if "roduct default" in each.source and each.product_default]
    assert unsourced
    assert not any("without a published source" in each.source and not each.product_default for each in parameters)


_SCORES = {"phq9": 27, "gad7": 21, "phq15": 30, "wsas": 40, "isi": 28, "pcptsd5": 5, "sss8": 32, "pcs": 52, "ssd12": 48}
_PERSONAL: dict[str, st.SearchStrategy[Any]] = {
    "readiness": st.integers(0, 10),
    "preference": st.sampled_from(["in-person", "telehealth", "asynchronous", "group", "home-visit"]),
    "informed_choice_step": st.integers(1, 4),
    "barriers": st.integers(0, 10),
    "barrier_transport": st.booleans(),
    "rural": st.booleans(),
    "capacity": st.integers(0, 3),
    "wait_days": st.integers(0, 200),
}
_VALUES = st.fixed_dictionaries({}, optional={name: st.integers(0, most) for name, most in _SCORES.items()})
_STEPS = st.fixed_dictionaries({}, optional={"step": st.integers(1, 3), "step_down_agreed": st.booleans()})


@settings(max_examples=150, deadline=None)
@given(data=st.data(), name=st.sampled_from(sorted(TABLES)), risk=st.sampled_from(sorted(RISKS)))
def test_safety_wins_over_everything_and_nothing_personal_moves_a_step(data: Any, name: str, risk: str) -> None:
    values = {**data.draw(_VALUES), **data.draw(_STEPS)}
    personal = data.draw(st.fixed_dictionaries({}, optional=_PERSONAL))
    alone, wished = (_decided(name, {"risk": risk, "evidence": each}) for each in (values, {**values, **personal}))
    top = len(_policy(name).steps)
    assert wished.step.rank >= {"moderate": 3, "high": top, "open and high": top}.get(risk, 1)
    assert (wished.step.rank, wished.status) == (alone.step.rank, alone.status)
    if risk in ("open", "unanswered"):
        assert wished.status == "on-hold"
        assert wished.accepted_rank is None
    if risk != "none":
        assert "self-guided-programme" not in [option.code for option in wished.menu]


@settings(max_examples=150, deadline=None)
@given(data=st.data(), name=st.sampled_from(sorted(TABLES)))
def test_worse_evidence_never_gives_a_lower_step(data: Any, name: str) -> None:
    better, same = data.draw(_VALUES), data.draw(_STEPS)
    worse = {key: data.draw(st.integers(value, _SCORES[key])) for key, value in better.items()}
    level = data.draw(st.sampled_from(["none", "low", "moderate", "high"]))
    first, second = (_decided(name, {"risk": level, "evidence": {**each, **same}}) for each in (better, worse))
    assert first.step.rank <= second.step.rank
