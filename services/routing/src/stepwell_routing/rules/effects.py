"""What a rule can do: the closed list of effects, the stages each may stand in, and the parts it takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import NamedTuple

STAGES = ("safety", "red-flags", "floors", "modifiers", "preference", "proposal")
SAFETY, RED_FLAGS, FLOORS, MODIFIERS, PREFERENCE, PROPOSAL = STAGES
BEFORE_FACTS = frozenset({SAFETY, RED_FLAGS, FLOORS})
"""Stages whose rules are run before it is known what the domain floors came to."""
INTENSITY, PROGRESS = "intensity", "progress"
BLOCKING = frozenset({"floor", "hold", "urgent", "pause"})
"""A rule of safety or red flags with one of these forbids every move to less care."""


class EffectKind(NamedTuple):
    """Where an effect may stand, the parts it needs and may have, and the kind of ladder it is for (None: both)."""

    stages: frozenset[str]
    needed: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    ladder: str | None = None


def _kind(stages: str, needed: str = "", optional: str = "", ladder: str | None = None) -> EffectKind:
    return EffectKind(frozenset(stages.split()), frozenset(needed.split()), frozenset(optional.split()), ladder)


_ALL = " ".join(STAGES)
EFFECTS: Mapping[str, EffectKind] = MappingProxyType(
    {
        "floor": _kind(
            "safety red-flags floors modifiers proposal", optional="tier step from plus cap domain", ladder=INTENSITY
        ),
        "keep": _kind("modifiers proposal", ladder=INTENSITY),
        "up": _kind("modifiers proposal", optional="plus"),
        "down": _kind("modifiers proposal", optional="plus", ladder=INTENSITY),
        "advance": _kind("proposal", optional="step", ladder=PROGRESS),
        "return": _kind("modifiers proposal", optional="step from", ladder=PROGRESS),
        "enter": _kind("proposal", "step", ladder=PROGRESS),
        "re-enter": _kind("proposal", optional="step from"),
        "exit": _kind("proposal"),
        "urgent": _kind("safety red-flags"),
        "hold": _kind("safety red-flags modifiers proposal"),
        "never-waits": _kind("safety"),
        "track": _kind("safety red-flags floors modifiers", "track"),
        "pause": _kind("safety red-flags modifiers preference", optional="activity resume-within resumed-by"),
        "input": _kind("safety red-flags floors modifiers preference", "discipline", "domain"),
        "modify": _kind("red-flags modifiers preference", optional="activity modality"),
        "exclude-option": _kind("safety red-flags floors modifiers preference", "option"),
        "add-option": _kind("modifiers preference", "option"),
        "first-option": _kind("modifiers preference", optional="option modality"),
        "informed-choice": _kind("preference", "from"),
        "stay": _kind("modifiers preference proposal"),
        "ask": _kind(_ALL, "name"),
        "tell": _kind(_ALL, "role"),
    }
)
PERSONAL_EFFECTS = frozenset(
    {
        *("stay", "modify", "pause", "input", "exclude-option", "add-option", "first-option", "informed-choice"),
        *("ask", "tell", "advance"),
    }
)
"""All that a rule may do that asks readiness, preference, barriers or capacity: none of it lowers anything."""
OFFERING_EFFECTS = frozenset({"stay", "modify", "exclude-option", "add-option", "first-option", "ask", "tell"})
"""All that a rule may do that asks how many places there are: it changes offers and waits, and no step."""
MISSING_EFFECTS = ("ask", "keep", "hold", "tell")


@dataclass(frozen=True, slots=True)
class Effect:
    """One thing that a rule does beside floors; what does not belong to its kind is None or empty."""

    kind: str
    rank: int | None = None
    plus: int = 1
    name: str | None = None
    track: str | None = None
    discipline: str | None = None
    activity: str | None = None
    option: str | None = None
    modality: str | None = None
    role: str | None = None
    names: tuple[str, ...] = ()
    resume_within: timedelta | None = None
    resumed_by: str | None = None


class Missing(NamedTuple):
    """What happens when missing evidence leaves a rule open: ask, keep, hold, or tell somebody of a role."""

    effect: str
    role: str | None = None
