"""The instruments that ship with screening, compiled once: Questionnaire, answer check, scoring, safety items."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from stepwell_screening import data
from stepwell_screening.rules.definition import ScoringDefinition, parse_definition
from stepwell_screening.rules.responses import Checker, compile_questionnaire
from stepwell_screening.rules.safety import SafetyCheck, SafetyPolicy, compile_safety, parse_policy
from stepwell_screening.rules.scoring import Scoring, compile_scoring


@dataclass(frozen=True)
class Instrument:
    """One version of one instrument, ready to use."""

    questionnaire: dict[str, Any]
    definition: ScoringDefinition
    check: Checker
    score: Scoring
    safety: SafetyCheck

    @property
    def canonical(self) -> str:
        """`url|version`, as a QuestionnaireResponse names it."""
        return f"{self.questionnaire['url']}|{self.questionnaire['version']}"


@cache
def instruments() -> dict[str, Instrument]:
    """Every shipped instrument by its canonical with version."""
    found = [_compiled(name) for name in data.INSTRUMENTS]
    return {instrument.canonical: instrument for instrument in found}


@cache
def safety_policy() -> SafetyPolicy:
    """Deadlines, risk levels and the rules that safety findings follow."""
    return parse_policy(data.safety_policy())


def _compiled(name: str) -> Instrument:
    questionnaire = data.questionnaire(name)
    definition = parse_definition(data.scoring(name))
    return Instrument(
        questionnaire=questionnaire,
        definition=definition,
        check=compile_questionnaire(questionnaire, definition.accepted_answers),
        score=compile_scoring(questionnaire, definition),
        safety=compile_safety(questionnaire, definition, safety_policy()),
    )
