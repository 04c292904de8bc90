"""Every name that a policy may use for what is known about a person: the closed list behind parser and gathering.

What is measured again and again also gives names with suffixes, such as `%phq9_change`. Ranges and directions are
those of the instruments; a name that is not here is refused when a policy is published.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from stepwell_routing.rules.expressions import Kind

NUMBER, STRING, BOOLEAN = Kind.NUMBER, Kind.STRING, Kind.BOOLEAN


@dataclass(frozen=True, slots=True)
class Known:
    """One name: its kind, what it belongs to, what it is found in, and for numbers range, step and direction.

    `worse` is 1 where more is worse, -1 where less is worse, 0 where neither is. `measured` names have suffixes;
    `values` are all that a text can be.
    """

    kind: Kind
    group: str
    resource_type: str
    worse: int = 0
    minimum: int | None = None
    maximum: int | None = None
    decimals: int = 0
    measured: bool = False
    values: tuple[str, ...] = ()


PERSONAL = frozenset({"readiness", "preference", "barriers", "capacity", "experience", "place"})
"""Groups that decide how help begins and never how much is needed: no floor, safety rule or red flag may ask them."""

SUFFIXES: Mapping[str, Kind] = MappingProxyType(
    {
        "baseline": NUMBER,
        "previous": NUMBER,
        "best": NUMBER,
        "change": NUMBER,
        "change_from_best": NUMBER,
        "change_percent": NUMBER,
        "trend": NUMBER,
        "count": NUMBER,
        "age_days": NUMBER,
        "weeks": NUMBER,
        "sustained": NUMBER,
        "stalled": BOOLEAN,
        "reliable": STRING,
    }
)
FRESH = frozenset({"change", "change_from_best", "change_percent", "trend", "sustained", "stalled"})
"""Suffixes that are known only while the latest measure is not too old, and so is known itself."""
RELIABLE = ("improvement", "deterioration", "no-reliable-change")
PREFIXES: Mapping[str, Known] = MappingProxyType(
    {
        "condition_": Known(BOOLEAN, "conditions", "Condition"),
        "medicine_": Known(BOOLEAN, "medicines", "MedicationStatement"),
        "own_": Known(NUMBER, "scores", "Observation", measured=True),
    }
)
"""A policy may name conditions, medicines and a site's own measures itself, under these prefixes, with their codes."""


def _score(minimum: int, maximum: int, *, worse: int = 1, decimals: int = 0, group: str = "scores") -> Known:
    return Known(NUMBER, group, "Observation", worse, minimum, maximum, decimals, measured=True)


def _count(group: str, resource_type: str, *, maximum: int | None = None, worse: int = 0, minimum: int = 0) -> Known:
    return Known(NUMBER, group, resource_type, worse, minimum, maximum)


def _flag(group: str, resource_type: str, *, worse: int = 0) -> Known:
    return Known(BOOLEAN, group, resource_type, worse)


def _code(group: str, resource_type: str, *values: str) -> Known:
    return Known(STRING, group, resource_type, values=values)


_SCORES = {
    "phq9": _score(0, 27),
    "phq2": _score(0, 6),
    "phq8": _score(0, 24),
    "phq_difficulty": _score(0, 3),
    "gad7": _score(0, 21),
    "gad2": _score(0, 6),
    "phq15": _score(0, 30),
    "sss8": _score(0, 32),
    "ssd12": _score(0, 48),
    "euronet_intensity": _score(0, 10),
    "euronet_interference": _score(0, 10),
    "wsas": _score(0, 40),
    "whodas": _score(0, 48, decimals=1),
    "gph": _score(16, 68, worse=-1, decimals=1),
    "gmh": _score(21, 68, worse=-1, decimals=1),
    "peg": _score(0, 10, decimals=1),
    "peg_activity": _score(0, 10),
    "pi4a": _score(41, 76, decimals=1),
    "pcs": _score(0, 52),
    "tsk11": _score(11, 44),
    "pseq": _score(0, 60, worse=-1),
    "start_back": _score(0, 9),
    "start_back_psychosocial": _score(0, 5),
    "isi": _score(0, 28),
    "sd4a": _score(32, 74, decimals=1),
    "pcptsd5": _score(0, 5),
    "auditc": _score(0, 12),
    "readiness": _score(0, 10, worse=-1, group="readiness"),
    "importance": _score(0, 10, worse=-1, group="readiness"),
    "confidence": _score(0, 10, worse=-1, group="readiness"),
    "goal_attainment": _score(0, 10, worse=-1, group="goals"),
    "experience": _score(0, 12, worse=-1, group="experience"),
    "unscheduled_contacts": Known(NUMBER, "utilisation", "Observation", 1, 0, None, measured=True),
    "admissions": Known(NUMBER, "utilisation", "Encounter", 1, 0, None, measured=True),
    "emergency_visits": Known(NUMBER, "utilisation", "Encounter", 1, 0, None, measured=True),
}
_RISK = {
    "positive_safety_item_open": _flag("risk", "RiskAssessment", worse=1),
    "unanswered_safety_item_open": _flag("risk", "RiskAssessment", worse=1),
    "risk_level": _code("risk", "RiskAssessment", "low", "moderate", "high"),
    "suicidal_thoughts": _flag("risk", "Observation", worse=1),
    "asq": _code("risk", "Observation", "asq-negative", "asq-non-acute-positive", "asq-acute-positive"),
    "red_flag": _flag("checklist", "Observation", worse=1),
    "manual_triage": _flag("risk", "Condition", worse=1),
    "psychosis_or_mania": _flag("risk", "Condition", worse=1),
}
_CHECKLIST = {
    "contraindication": _code("checklist", "Observation", "pause", "modify", "input"),
    "flare": _flag("checklist", "Observation", worse=1),
    "flares": _count("checklist", "Observation", worse=1),
    "tasks_met": _flag("checklist", "Observation", worse=-1),
    "tasks_met_reviews": _count("checklist", "Observation", worse=-1),
    "activity_tolerance": _code("checklist", "Observation", "less", "same", "more"),
    "home_practice": _code("checklist", "Observation", "kept", "partly-kept", "not-kept", "not-agreed"),
    "relapse_plan": _code("checklist", "Observation", "in-place", "not-yet", "not-wanted"),
    "work_plan": _code("checklist", "Observation", "in-place", "not-yet", "not-wanted"),
    "sleep_plan": _flag("checklist", "Observation", worse=-1),
    "warning_sign": _flag("checklist", "Observation", worse=1),
    "work_status": Known(STRING, "work", "Observation"),
    "assessment_done": _flag("checklist", "Observation", worse=-1),
    "trust_forming": _flag("checklist", "Observation", worse=-1),
    "care_seeking_confirmed": _flag("utilisation", "Observation", worse=1),
}
_PERSON = {
    "preference": _code(
        "preference",
        "Observation",
        *("in-person", "telehealth", "asynchronous", "group", "home-visit", "no-preference"),
    ),
    "preferred_option": Known(STRING, "preference", "Observation"),
    "informed_choice_step": _count("preference", "Observation", minimum=1, maximum=9),
    "wishes_pause": _flag("preference", "Observation"),
    "wishes_exit": _flag("preference", "Observation"),
    "family_takes_part": _flag("preference", "Consent"),
    "barriers": _count("barriers", "Observation", maximum=10),
    **{
        f"barrier_{name}": _flag("barriers", "Observation")
        for name in (
            *("transport", "caregiving", "work", "housing", "income", "support", "private_space"),
            *("digital_access", "language", "disability"),
        )
    },
    "goals_set": _count("goals", "Goal", worse=-1),
    "goals_reached": _flag("goals", "Goal", worse=-1),
    "conditions": _count("conditions", "Condition"),
    "medicines": _count("medicines", "MedicationStatement"),
    "symptom_months": _count("conditions", "Condition", worse=1),
    "age": _count("person", "Patient", maximum=130),
    "sex": _code("person", "Patient", "female", "male", "other", "unknown"),
    "site": Known(STRING, "place", "EpisodeOfCare"),
    "rural": _flag("place", "Observation"),
    "capacity": _count("capacity", "HealthcareService"),
    "wait_days": _count("capacity", "HealthcareService"),
}
_COURSE = {
    "step": _count("step", "EpisodeOfCare", minimum=1, maximum=9),
    "step_code": Known(STRING, "step", "EpisodeOfCare"),
    "step_weeks": _count("step", "EpisodeOfCare"),
    "step_reviews": _count("step", "EpisodeOfCare"),
    "previous_step": _count("step", "EpisodeOfCare", minimum=1, maximum=9),
    "previous_step_weeks": _count("step", "EpisodeOfCare"),
    "previous_outcome": Known(STRING, "step", "EpisodeOfCare"),
    "course_without_benefit_step": _count("step", "EpisodeOfCare", minimum=1, maximum=9, worse=1),
    "last_helped_step": _count("step", "EpisodeOfCare", minimum=1, maximum=9),
    "step_down_agreed": _flag("agreement", "EpisodeOfCare"),
    "exit_agreed": _flag("agreement", "EpisodeOfCare"),
    "advance_agreed": _flag("agreement", "EpisodeOfCare"),
    "paused": _flag("step", "EpisodeOfCare"),
    "paused_weeks": _count("step", "EpisodeOfCare"),
    "episode_status": _code("step", "EpisodeOfCare", "planned", "active", "onhold", "finished"),
    "episode_weeks": _count("step", "EpisodeOfCare"),
    "exit_weeks": _count("step", "EpisodeOfCare"),
    "boosters_done": _count("step", "EpisodeOfCare"),
    "milestones_reached": _flag("step", "Goal", worse=-1),
    "attended": _count("attendance", "Task"),
    "missed": _count("attendance", "Task"),
    "contact_weeks": _count("attendance", "Task"),
    "review_overdue": _flag("step", "Task"),
    # Names of the first policy, kept for its versions; `step` and `course_without_benefit_step` say the same.
    "current_tier": _count("step", "EpisodeOfCare", minimum=1, maximum=9),
    "tier_3_course_without_benefit": _flag("step", "EpisodeOfCare", worse=1),
}
NAMES: Mapping[str, Known] = MappingProxyType({**_SCORES, **_RISK, **_CHECKLIST, **_PERSON, **_COURSE})
_LOINC, _INSTRUMENT = "http://loinc.org", "https://stepwell.health/fhir/CodeSystem/instrument"
CODES: Mapping[str, tuple[tuple[str, str], ...]] = MappingProxyType(
    {
        name: ((_LOINC if code[0].isdigit() else _INSTRUMENT, code),)
        for name, code in {
            "phq9": "44261-6",
            "phq2": "55758-7",
            "phq8": "phq-8",
            "gad7": "70274-6",
            "gad2": "gad-2",
            "phq15": "70273-8",
            "sss8": "sss-8",
            "ssd12": "ssd-12",
            "euronet_intensity": "euronet-soma-intensity",
            "euronet_interference": "euronet-soma-interference",
            "wsas": "wsas",
            "whodas": "whodas-12",
            "gph": "promis-global-10-physical-t",
            "gmh": "promis-global-10-mental-t",
            "peg": "91147-9",
            "pi4a": "promis-pain-interference-4a-t",
            "pcs": "pcs",
            "tsk11": "tsk-11",
            "pseq": "pseq",
            "start_back": "start-back",
            "start_back_psychosocial": "start-back-psychosocial",
            "isi": "isi",
            "sd4a": "77860-5",
            "pcptsd5": "pc-ptsd-5",
            "auditc": "75626-2",
            "asq": "asq",
            "readiness": "readiness",
            "importance": "importance",
            "confidence": "confidence",
            "experience": "experience",
        }.items()
    }
)
"""By which score each measure is found where a policy names no codes: those of the instruments that ship."""
CAPACITY = "capacity"
"""How many people can begin in a week at the places of the step that is proposed."""
STEP_NAMES = frozenset({"step", "current_tier"})
"""The rank of the step in which care has begun."""


def known(name: str) -> Known | None:
    """What the list says about a name as it is declared, without suffix; None when it is not in the list."""
    found = NAMES.get(name)
    if found is not None:
        return found
    return next(
        (each for prefix, each in PREFIXES.items() if name.startswith(prefix) and len(name) > len(prefix)), None
    )


def base_of(name: str) -> tuple[str, str | None]:
    """The declared name behind a name in a condition, and its suffix: `phq9_change` is (`phq9`, `change`)."""
    if name in NAMES:
        return name, None
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        base = name.removesuffix(f"_{suffix}")
        if base != name:
            found = known(base)
            if found is not None and found.measured:
                return base, suffix
    return name, None


def group_of(name: str) -> str | None:
    """The group of a name in a condition, with or without suffix."""
    found = known(base_of(name)[0])
    return found.group if found else None


def names_of(declared: str) -> dict[str, Kind]:
    """Every name that one declared input gives, with its kind."""
    found = known(declared)
    if found is None:
        return {}
    names = {declared: found.kind}
    if found.measured:
        names.update({f"{declared}_{suffix}": kind for suffix, kind in SUFFIXES.items()})
    return names


def measure_of(instrument: str) -> str:
    """The name of what an instrument measures, by the instrument's code: `euronet-interference` is
    `euronet_interference`, and `phq-9` is `phq9`; one that is not in the list is named as it is written."""
    plain = instrument.replace("-", "")
    return next((name for name in _SCORES if name.replace("_", "") == plain), plain)
