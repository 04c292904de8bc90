"""The progress pathways row by row: each table says what is known, and which phase, outcome and rules must follow."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from stepwell_routing.policies import active_policies, policy_document
from stepwell_routing.rules.decisions import Decision, Evidence, EvidenceValue, RiskState, decide
from stepwell_routing.rules.evidence_names import base_of, known
from stepwell_routing.rules.policies import Policy
from stepwell_routing.rules.rule_reading import PRIORITIES
from stepwell_routing.rules.series import Measure

from tests.support.terminology import unknown_codings

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
TABLES = sorted((Path(__file__).parent / "progress").glob("*.toml"))
PATHWAYS = ("somatic-symptom-primary-care", "chronic-pain-rehabilitation")
RISK = "https://screening.example/fhir/RiskAssessment/r1"
LISTED = frozenset(
    {"fires", "silent", "open", "tracks", "inputs", "pauses", "ask", "tell", "holds", "menu", "off_menu"}
)
FORWARD = frozenset({"advance", "exit"})
# What has no value for "none": without it there is no contraindication and no wish; without a phase care begins.
NOTHING_SAID = frozenset({"contraindication", "wishes_pause", "step"})
# Says what has been prepared for a move, not how somebody is.
PREPARED = frozenset({"goals_set"})
WORDS_NOT_SAID = ("failed", "refractory", "non-compliant", "all in your head", "nothing is wrong", "crippled", "harmed")


@dataclass(frozen=True)
class Case:
    """One line of a table: what is known, and what must come of it."""

    pathway: str
    row: str
    evidence: Evidence
    expected: Mapping[str, Any]
    may_lack: frozenset[str]

    @property
    def policy(self) -> Policy:
        return active_policies()[self.pathway]

    def decided(self) -> Decision:
        return decide(self.policy, self.evidence, NOW)


def _value(name: str, value: Any) -> EvidenceValue:
    plain = Decimal(str(value)) if isinstance(value, float) else value
    return EvidenceValue(plain, NOW, f"https://measurement.example/fhir/Observation/{name}")


def _course(measures: list[list[Any]]) -> list[Measure]:
    """Measures given as [weeks ago, value], oldest first."""
    found = []
    for weeks, value in measures:
        number = Decimal(str(value)) if isinstance(value, float) else value
        found.append(Measure(number, NOW - timedelta(weeks=weeks)))
    return found


def _evidence(row: Mapping[str, Any], line: Mapping[str, Any]) -> Evidence:
    values = {**row.get("known", {}), **line.get("with", {})}
    courses = {name: _course(each) for name, each in {**row.get("courses", {}), **line.get("courses", {})}.items()}
    found = {name: _value(name, value) for name, value in values.items()}
    for name, course in courses.items():
        last = course[-1]
        found[name] = EvidenceValue(
            last.value, last.observed_at, f"https://measurement.example/fhir/Observation/{name}"
        )
    for name in line.get("without", ()):
        found.pop(name, None)
        courses.pop(name, None)
    risk = RiskState(line.get("positive", False), line.get("unanswered", False), line.get("risk"), RISK)
    return Evidence(found, risk, courses)


def _cases() -> Iterator[Any]:
    for path in TABLES:
        table = tomllib.loads(path.read_text())
        for row in table["row"]:
            for index, line in enumerate(row["cases"]):
                lack = frozenset(row.get("may_lack", ()))
                case = Case(table["policy"], row["row"], _evidence(row, line), line["then"], lack)
                yield pytest.param(case, id=f"{path.stem}: {row['row']} ({index + 1})")


CASES = list(_cases())
ALL: list[Case] = [each.values[0] for each in CASES]


def _seen(decision: Decision) -> dict[str, Any]:
    details = decision.outcomes
    return {
        "step": decision.step.code,
        "outcome": decision.outcome,
        "status": decision.status,
        "rule": decision.rule,
        "priority": decision.priority,
        "review_days": (decision.review_at - NOW) / timedelta(days=1),
        "accepted": decision.accepted_rank,
        "fires": {rule.code for rule in decision.fired},
        "silent": {rule.code for rule in decision.not_fired},
        "open": {rule.code for rule in decision.not_fired if rule.why == "missing"},
        "tracks": set(decision.tracks),
        "inputs": {each.detail.discipline for each in details if each.kind == "input"},
        "pauses": {each.detail.activity or "step" for each in details if each.kind == "pause"},
        "ask": set(decision.ask),
        "tell": {role for role, _ in decision.tell},
        "holds": set(decision.holds),
        "menu": {option.code for option in decision.menu},
        "off_menu": set(decision.excluded_options),
        "first": decision.menu[0].code if decision.menu else None,
    }


@pytest.mark.parametrize("case", CASES)
def test_the_row_says_what_follows(case: Case) -> None:
    seen = _seen(case.decided())
    for name, expected in case.expected.items():
        if name in LISTED:
            assert set(expected) <= seen[name], f"{name}: {sorted(seen[name])}"
        elif name.startswith("no_"):
            assert not set(expected) & seen[name.removeprefix("no_")], name
        else:
            assert seen[name] == expected, f"{name}; fired {sorted(seen['fires'])}"


@pytest.mark.parametrize("pathway", PATHWAYS)
def test_every_rule_is_seen_to_fire_and_not_to_fire(pathway: str) -> None:
    fired: set[str] = set()
    silent: set[str] = set()
    for case in ALL:
        if case.pathway == pathway:
            fired |= set(case.expected.get("fires", ())) | {case.expected.get("rule", "")}
            silent |= {rule.code for rule in case.decided().not_fired}
    codes = {rule.code for rule in active_policies()[pathway].rules}
    always = {rule.code for rule in active_policies()[pathway].rules if rule.expression is None}
    assert codes - fired == set()
    assert codes - always - silent == set()


def _advancing() -> list[Case]:
    return [case for case in ALL if case.expected.get("outcome") in FORWARD]


def test_taking_away_any_evidence_never_advances_anybody() -> None:
    """In every case that does not go forward, but for what its row names as replaced by other evidence."""
    for case in ALL:
        if case.decided().outcome in FORWARD:
            continue
        for name in set(case.evidence.values) - NOTHING_SAID - case.may_lack:
            left = {other: value for other, value in case.evidence.values.items() if other != name}
            courses = {other: each for other, each in case.evidence.courses.items() if other != name}
            decision = decide(case.policy, replace(case.evidence, values=left, courses=courses), NOW)
            assert decision.outcome not in FORWARD, (case.row, name)


@pytest.mark.parametrize("case", _advancing(), ids=lambda case: case.row)
def test_nobody_advances_on_nothing_but_the_phase(case: Case) -> None:
    left = {"step": case.evidence.values["step"]}
    decision = decide(case.policy, Evidence(left), NOW)
    assert decision.outcome not in FORWARD
    assert decision.step.rank == case.evidence.values["step"].value


def test_worse_evidence_never_advances_a_phase_nor_gives_less_care() -> None:
    """Each latest value in turn at its worst, in every case that does not go forward; care grows from P1 to P3."""
    for case in ALL:
        before = case.decided()
        if before.outcome in FORWARD:
            continue
        for name, value in case.evidence.values.items():
            about = known(base_of(name)[0])
            if about is None or not about.worse or name in ("step", "course_without_benefit_step"):
                continue
            limit = about.maximum if about.worse > 0 else about.minimum
            worst: Any = (about.worse > 0) if about.kind.value == "boolean" else limit
            if worst is None or about.kind.value == "string":
                continue
            changed = {**case.evidence.values, name: value._replace(value=worst)}
            courses = dict(case.evidence.courses)
            if name in courses:
                courses[name] = [*list(courses[name])[:-1], courses[name][-1]._replace(value=worst)]
            decision = decide(case.policy, replace(case.evidence, values=changed, courses=courses), NOW)
            assert decision.outcome not in FORWARD, (case.row, name)
            if before.step.kind == "intensity" and name not in PREPARED:
                assert decision.step.rank >= before.step.rank, (case.row, name)


def test_safety_is_over_everything() -> None:
    """An open safety item holds, high risk is urgent at once, moderate never waits; none of them moves anybody on."""
    for case in ALL:
        rank = case.evidence.values["step"].value if "step" in case.evidence.values else None
        for risk in (RiskState(positive_item_open=True), RiskState(unanswered_item_open=True)):
            decision = decide(case.policy, replace(case.evidence, risk=risk), NOW)
            assert (decision.status, decision.outcome in FORWARD) == ("on-hold", False)
            assert decision.accepted_rank is None
            assert all(not option.self_guided for option in decision.menu)
        high = decide(case.policy, replace(case.evidence, risk=RiskState(level="high")), NOW)
        assert (high.outcome, high.status, high.priority) == ("urgent", "active", PRIORITIES[-1])
        assert high.review_at - NOW <= timedelta(hours=4)
        assert high.rule in {rule.code for rule in high.fired}
        if rank is not None:
            assert high.step.rank <= int(rank)
        moderate = decide(case.policy, replace(case.evidence, risk=RiskState(level="moderate")), NOW)
        assert moderate.status == "active"
        assert moderate.review_at - NOW <= timedelta(days=1)


def test_a_red_flag_pauses_what_it_touches_and_calls_for_medical_input() -> None:
    for case in ALL:
        values = {**case.evidence.values, "red_flag": _value("red_flag", True)}
        decision = decide(case.policy, replace(case.evidence, values=values), NOW)
        seen = _seen(decision)
        assert "medical" in seen["inputs"]
        assert seen["pauses"] - {"step"}
        assert decision.outcome not in FORWARD


@cache
def _wordings(pathway: str) -> list[str]:
    rules = active_policies()[pathway].rules
    return [
        text.pattern.lower() for rule in rules for words in (rule.clinician, rule.patient) for text in words.values()
    ]


@pytest.mark.parametrize("pathway", PATHWAYS)
def test_words_are_kind_and_in_four_languages(pathway: str) -> None:
    policy = active_policies()[pathway]
    assert set(policy.languages) == {"en", "de", "es", "fr"}
    assert [word for word in WORDS_NOT_SAID for text in _wordings(pathway) if word in text] == []


@pytest.mark.parametrize("pathway", PATHWAYS)
def test_people_never_hear_numbers_of_scores_or_names_of_instruments(pathway: str) -> None:
    policy = active_policies()[pathway]
    for rule in policy.rules:
        for text in rule.patient.values():
            assert text.names == frozenset()
            assert not any(name in text.pattern for name in ("PHQ", "GAD", "WSAS", "PEG", "ISI", "SSD-12"))


@pytest.mark.parametrize("pathway", PATHWAYS)
def test_every_number_without_a_source_is_marked_as_product_default(pathway: str) -> None:
    marks = ("general knowledge", "without a source", "proposed")
    parameters = active_policies()[pathway].parameters.values()
    assert [p.name for p in parameters if any(m in p.source for m in marks) and not p.product_default] == []


@pytest.mark.parametrize("pathway", PATHWAYS)
def test_every_code_of_ours_is_defined(pathway: str) -> None:
    assert unknown_codings(policy_document(pathway)) == []
