"""One version of one instrument, compiled: its answers checked, its scores computed, its safety items found."""

from collections.abc import Mapping
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
def safety_policy() -> SafetyPolicy:
    """Deadlines, risk levels and the rules that safety findings follow."""
    return parse_policy(data.safety_policy())


def compile_instrument(questionnaire: dict[str, Any], scoring: Mapping[str, Any]) -> Instrument:
    """The Questionnaire with the scoring definition that is bound to it, whichever Questionnaire that one names.

    Raises ValueError when they do not fit each other or use what cannot be decided here.
    """
    canonical = f"{questionnaire['url']}|{questionnaire['version']}"
    definition = parse_definition({**scoring, "questionnaire": canonical})
    return Instrument(
        questionnaire=questionnaire,
        definition=definition,
        check=compile_questionnaire(questionnaire, definition.accepted_answers),
        score=compile_scoring(questionnaire, definition),
        safety=compile_safety(questionnaire, definition, safety_policy()),
    )
