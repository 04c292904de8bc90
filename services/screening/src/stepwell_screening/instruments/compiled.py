"""One version of one instrument, compiled: its answers checked, its scores computed, its safety items found."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from stepwell_screening import data
from stepwell_screening.rules.definition import ScoringDefinition, parse_definition
from stepwell_screening.rules.expressions import compiles
from stepwell_screening.rules.responses import Checker, compile_questionnaire
from stepwell_screening.rules.safety import SafetyCheck, compile_safety
from stepwell_screening.rules.safety_policy import SafetyPolicy, parse_policy
from stepwell_screening.rules.scoring import Scoring, compile_scoring
from stepwell_screening.rules.weights import OptionKey, questionnaire_items


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


def compile_instrument(questionnaire: dict[str, Any], scoring: Mapping[str, Any] | None) -> Instrument:
    """The Questionnaire with the scoring definition that is bound to it, whichever Questionnaire that one names.

    Without one its answers are checked and kept, and make no score; a question that is known to ask for safety is
    watched all the same. Raises ValueError when the two do not fit each other or use what cannot be decided here.
    """
    canonical = f"{questionnaire['url']}|{questionnaire['version']}"
    definition = parse_definition({**(scoring or _unscored(questionnaire)), "questionnaire": canonical})
    return Instrument(
        questionnaire=questionnaire,
        definition=definition,
        check=compile_questionnaire(
            questionnaire,
            definition.accepted_answers,
            expressions=compiles(questionnaire, lambda: datetime.now(UTC)),
        ),
        score=compile_scoring(questionnaire, definition),
        safety=compile_safety(questionnaire, definition, safety_policy()),
    )


def safety_of(questionnaire: dict[str, Any]) -> SafetyCheck:
    """What looks after the safety of whoever answers a form without scoring, and nothing else of it."""
    definition = parse_definition({**_unscored(questionnaire), "questionnaire": "form|0"})
    return compile_safety(questionnaire, definition, safety_policy())


def asks_for_safety(questionnaire: dict[str, Any]) -> bool:
    """Whether a form has a question that is watched for suicide risk, by its code, wherever it stands."""
    items = questionnaire_items(questionnaire)
    codes = {(each.get("system"), each.get("code")) for item in items for each in item.get("code", ())}
    screened = [code for screen in safety_policy().screens for code in screen.roles]
    return not codes.isdisjoint([*safety_questions(), *screened])


def _unscored(questionnaire: dict[str, Any]) -> dict[str, Any]:
    """The definition of a form that has no scoring: only the safety items that it shares with an instrument of ours."""
    known = safety_questions()
    items = [
        {**known[key], "linkId": item["linkId"]}
        for item in questionnaire_items(questionnaire)
        for key in ((coding.get("system"), coding.get("code")) for coding in item.get("code", ()))
        if key in known
    ]
    return {
        "id": "form",
        "version": questionnaire.get("version"),
        "name": questionnaire.get("title", questionnaire.get("url")),
        "bandSystem": "",
        "scores": [],
        "safetyItems": items,
        "acceptedAnswers": [],
    }


@cache
def safety_questions() -> dict[OptionKey, dict[str, Any]]:
    """The questions that instruments of ours watch for safety, by their code, as scoring definitions name them."""
    found: dict[OptionKey, dict[str, Any]] = {}
    for name in data.shipped():
        rows = data.scoring(name)["safetyItems"] if data.is_scored(name) else []
        items = {item["linkId"]: item for item in questionnaire_items(data.questionnaire(name))} if rows else {}
        for row in rows:
            for coding in items[row["linkId"]].get("code", ()):
                found[coding.get("system"), coding.get("code")] = row
    return found
