"""What ships about plans in people's own words: their sections, what a letter may hold, and stated times."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from importlib.resources import files
from typing import Any

Words = Mapping[str, str]


@dataclass(frozen=True)
class PlanKind:
    """One kind of plan: its title and its sections in order, by code, each in every language."""

    code: str
    title: Words
    sections: Mapping[str, Words]


@cache
def plan_kinds() -> Mapping[str, PlanKind]:
    """By code."""
    found = plan_settings()["kinds"].items()
    return {code: PlanKind(code, each["title"], each["sections"]) for code, each in found}


@cache
def plan_settings() -> dict[str, Any]:
    """All of it, as it is written."""
    content: dict[str, Any] = json.loads((files("stepwell_routing") / "data" / "care_plans.json").read_bytes())
    return content


def reply_within(priority: str) -> timedelta:
    """How long an answer to a question of this priority may take at most."""
    return timedelta(hours=plan_settings()["econsult"]["reply_within_hours"][priority])


def early_review_after() -> timedelta:
    """How soon a choice of less than was proposed is looked at again."""
    return timedelta(weeks=plan_settings()["early_review"]["weeks"])


def case_review_within() -> timedelta:
    """How soon a person who was put up for review is reviewed at the latest."""
    return timedelta(weeks=plan_settings()["case_review"]["within_weeks"])


def said(words: Words, language: str) -> str:
    """In this language, or a related one, or English."""
    return words.get(language) or words.get(language.partition("-")[0]) or words["en"]
