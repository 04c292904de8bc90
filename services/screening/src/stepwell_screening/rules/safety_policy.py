"""The parameters of every safety decision, as shipped in `data/safety.json`: what asks for whom, and by when."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stepwell_screening.rules.weights import Number, exact

POSITIVE = "SAF-1"
HIGH, MODERATE, LOW = "SAF-2", "SAF-3", "SAF-4"
UNANSWERED = "SAF-5"
RED_FLAG = "SAF-6"
TRIAGE = "SAF-7"
NOT_ASKED = "SAF-ASK"
PROMPT = "SAF-PROMPT"
REQUIRED_RULES = frozenset({POSITIVE, HIGH, MODERATE, LOW, UNANSWERED, RED_FLAG, TRIAGE, NOT_ASKED, PROMPT})
SAFETY_REVIEW = "safety-review"
# With these kinds of Task goes a RiskAssessment and a Flag; the others only ask.
ASSESSED = frozenset({SAFETY_REVIEW, "medical-review", "manual-triage"})
SOON = frozenset({"stat", "urgent"})

Code = tuple[str, str]
"""A code as (system, code)."""


@dataclass(frozen=True, slots=True)
class SafetyRule:
    """What a safety finding asks for: the kind of Task, its priority and the hours until a person must have acted.

    `ladder` names how it escalates (None: never); `level` is the risk level that the answers already say, and `holds`
    says that routine decisions wait for a clinician as they do for a positive item.
    """

    code: str
    display: str
    kind: str
    priority: str
    deadline_hours: Number
    reason: str
    ladder: str | None = None
    level: str | None = None
    holds: bool = False

    @property
    def is_assessed(self) -> bool:
        """Whether a RiskAssessment and a Flag stand behind the Task."""
        return self.kind in ASSESSED

    @property
    def cannot_wait(self) -> bool:
        """Whether a person must see it soon: then it is let in when there is no room for others."""
        return self.is_assessed and self.priority in SOON


@dataclass(frozen=True, slots=True)
class RiskLevel:
    """A level that a clinician records, the rule it means and the least care tier that follows (None: unchanged)."""

    code: str
    display: str
    rule: str
    tier_floor: int | None
    keeps_flag: bool
    next_step_hours: Number
    text: str


@dataclass(frozen=True, slots=True)
class ReviewOutcome:
    """What came of a review that records no risk level."""

    code: str
    display: str
    keeps_flag: bool
    text: str


@dataclass(frozen=True, slots=True)
class Screen:
    """A set of yes-or-no questions about suicide, each in its role and recognised by its code wherever it stands."""

    name: str
    topic: str
    roles: Mapping[Code, str]


@dataclass(frozen=True, slots=True)
class Prompt:
    """Items whose weights add up to a reason to ask, from a sum that depends on `Patient.gender`."""

    codes: frozenset[Code]
    positive_from: Mapping[str, Number]

    def threshold(self, gender: object) -> Number:
        """The least positive sum."""
        return self.positive_from.get(str(gender), self.positive_from["otherwise"])


@dataclass(frozen=True, slots=True)
class FollowUp:
    """What to ask after a positive item: the preferred instrument where the site has attested it, else a Questionnaire
    by its canonical."""

    preferred: str
    preferred_text: str
    otherwise: str
    otherwise_text: str


@dataclass(frozen=True, slots=True)
class Concern:
    """Something that a person raises by hand, or that is known of somebody: the rule, and its topic in words."""

    code: str
    topic: str
    rule: SafetyRule


@dataclass(frozen=True, slots=True)
class Ladder:
    """When people are told: so many minutes after it opened, one step after the other, then at an interval."""

    after_minutes: tuple[Number, ...]
    then_every_minutes: Number


@dataclass(frozen=True, slots=True)
class SafetyPolicy:
    """The parameters of every safety decision, as shipped in `data/safety.json`."""

    version: str
    rule_system: str
    task_system: str
    risk_level_system: str
    positive_statuses: frozenset[str]
    unanswered_statuses: frozenset[str]
    rules: Mapping[str, SafetyRule]
    risk_levels: Mapping[str, RiskLevel]
    yes: frozenset[Code]
    no: frozenset[Code]
    screens: tuple[Screen, ...]
    red_flags: Mapping[Code, str]
    asks_for: frozenset[Code]
    asks_for_questionnaires: frozenset[str]
    asked_by: frozenset[Code]
    prompts: tuple[Prompt, ...]
    follow_up: FollowUp
    concerns: Mapping[str, Concern]
    adult_from_years: int
    ladders: Mapping[str, Ladder]
    outcomes: Mapping[str, ReviewOutcome]


def parse_policy(data: Mapping[str, Any]) -> SafetyPolicy:
    """Read the policy as shipped; raises KeyError or ValueError when a rule or level is incomplete."""
    rules = {code: _safety_rule(code, rule) for code, rule in data["rules"].items()}
    if not rules.keys() >= REQUIRED_RULES:
        raise ValueError("the safety policy needs rules for a positive and for an unanswered item, and all others")
    asks, follow_up = data["asks"], data["followUp"]
    policy = SafetyPolicy(
        version=data["version"],
        rule_system=data["ruleSystem"],
        task_system=data["taskSystem"],
        risk_level_system=data["riskLevelSystem"],
        positive_statuses=frozenset(data["positiveStatuses"]),
        unanswered_statuses=frozenset(data["unansweredStatuses"]),
        rules=rules,
        risk_levels={code: _risk_level(code, level) for code, level in data["riskLevels"].items()},
        yes=_codes(data["answers"]["yes"]),
        no=_codes(data["answers"]["no"]),
        screens=tuple(_screen(name, screen) for name, screen in data["screens"].items()),
        red_flags={(each["system"], each["code"]): each["topic"] for each in data["redFlags"]},
        asks_for=_codes(asks["items"]),
        asks_for_questionnaires=frozenset(asks["questionnaires"]),
        asked_by=_codes(asks["answeredBy"]),
        prompts=tuple(_prompt(each) for each in data["prompts"]),
        follow_up=FollowUp(
            follow_up["preferred"], follow_up["preferredText"], follow_up["otherwise"], follow_up["otherwiseText"]
        ),
        concerns={code: _concern(code, each, rules) for code, each in data["concerns"].items()},
        adult_from_years=data["adultFromYears"]["value"],
        ladders={name: parse_ladder(ladder) for name, ladder in data["ladders"].items()},
        outcomes={code: _outcome(code, each) for code, each in data["reviewOutcomes"].items()},
    )
    _check(policy)
    return policy


def parse_ladder(data: Mapping[str, Any]) -> Ladder:
    """Raises ValueError unless the steps grow and the interval after them is positive."""
    steps = tuple(_positive(minutes, "minutes of an escalation") for minutes in data["afterMinutes"])
    if list(steps) != sorted(set(steps)):
        raise ValueError("the steps of an escalation come one after the other")
    return Ladder(steps, _positive(data["thenEveryMinutes"], "minutes of an escalation"))


def _check(policy: SafetyPolicy) -> None:
    if not policy.unanswered_statuses <= policy.positive_statuses:
        raise ValueError("blanks count only where answers do")
    every = [*policy.rules.values(), *(concern.rule for concern in policy.concerns.values())]
    if any(rule.ladder is not None and rule.ladder not in policy.ladders for rule in every):
        raise ValueError("a safety rule names an escalation that there is none of")
    if any(rule.level is not None and rule.level not in policy.risk_levels for rule in every):
        raise ValueError("a safety rule names a risk level that there is none of")


def _safety_rule(code: str, data: Mapping[str, Any]) -> SafetyRule:
    return SafetyRule(
        code,
        data["display"],
        data["kind"],
        data["priority"],
        _positive(data["deadlineHours"], "hours until a safety deadline"),
        data["reason"],
        data["ladder"],
        data.get("level"),
        data.get("holds", False),
    )


def _concern(code: str, data: Mapping[str, Any], rules: Mapping[str, SafetyRule]) -> Concern:
    rule = rules[data["rule"]]
    own = replace(
        rule,
        deadline_hours=_positive(data.get("deadlineHours", rule.deadline_hours), "hours until a safety deadline"),
        ladder=data.get("ladder", rule.ladder),
        priority=data.get("priority", rule.priority),
    )
    return Concern(code, data["topic"], own)


def _risk_level(code: str, data: Mapping[str, Any]) -> RiskLevel:
    return RiskLevel(
        code,
        data["display"],
        data["rule"],
        data["tierFloor"],
        data["keepsFlag"],
        _positive(data["nextStepHours"], "hours until a next step"),
        data["text"],
    )


def _outcome(code: str, data: Mapping[str, Any]) -> ReviewOutcome:
    return ReviewOutcome(code, data["display"], data["keepsFlag"], data["text"])


def _screen(name: str, data: Mapping[str, Any]) -> Screen:
    return Screen(name, data["topic"], {(code["system"], code["code"]): role for role, code in data["items"].items()})


def _prompt(data: Mapping[str, Any]) -> Prompt:
    thresholds = {who: _positive(least, "sum") for who, least in data["positiveFrom"].items()}
    if "otherwise" not in thresholds:
        raise ValueError("a prompt says what is positive for whom no gender is known")
    return Prompt(_codes(data["items"]), thresholds)


def _codes(rows: Sequence[Mapping[str, str]]) -> frozenset[Code]:
    return frozenset((row["system"], row["code"]) for row in rows)


def _positive(value: object, what: str) -> Number:
    number = exact(value)
    if number is None or number <= 0:
        raise ValueError(f"a safety policy takes a positive number of {what}")
    return number
