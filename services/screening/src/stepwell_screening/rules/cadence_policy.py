"""The cadence as data: situations, limits, measures and forms, read once; a site's own numbers within the bounds."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

ScoreCode = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Situation:
    """When a form is due: the interval in days, for whom. What is empty or false asks for nothing."""

    code: str
    display: str
    every_days: int
    stable_every_days: int
    can_be_slowed: bool
    tier: str = ""
    policy: str = ""
    needs_safety_open: bool = False
    needs_deterioration: bool = False
    asked_at: str = ""


@dataclass(frozen=True, slots=True)
class Measure:
    """Something that is asked again. `score` is the code of its score, elevated from `elevated_from` points on.

    `evidence` are the names by which routing asks for it when a review lacks it.
    """

    code: str
    score: ScoreCode | None = None
    elevated_from: int | None = None
    every_days: int | None = None
    is_watched_by_default: bool = False
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Form:
    """A form, by its canonical with version, and the measures that it asks."""

    questionnaire: str
    measures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cadence:
    """All of it. The last situation fits everybody."""

    situations: tuple[Situation, ...]
    limits: Mapping[str, int]
    bounds: Mapping[str, tuple[int, int]]
    measures: Mapping[str, Measure]
    forms: tuple[Form, ...]

    def limit(self, name: str) -> int:
        """A limit by its name; days, but for `slowerTimes`."""
        return self.limits[name]

    @property
    def slowest_days(self) -> int:
        """No interval gets longer than this."""
        return self.bounds["everyDays"][1]


def parse_cadence(data: Mapping[str, Any]) -> Cadence:
    """Read the cadence as shipped; raises KeyError or ValueError for one that leaves somebody without an interval."""
    cadence = Cadence(
        situations=tuple(_situation(each) for each in data["situations"]),
        limits={name: each["value"] for name, each in data["limits"].items()},
        bounds={name: (each["least"], each["most"]) for name, each in data["bounds"].items()},
        measures={each["code"]: _measure(each) for each in data["measures"]},
        forms=tuple(Form(each["questionnaire"], tuple(each["measures"])) for each in data["forms"]),
    )
    last = cadence.situations[-1]
    if last.tier or last.policy or last.needs_safety_open or last.needs_deterioration:
        raise ValueError("the last situation of a cadence fits everybody")
    asked = {code for form in cadence.forms for code in form.measures}
    if not cadence.measures.keys() <= asked:
        raise ValueError("a measure that no form asks cannot be due")
    for situation in cadence.situations:
        _check(cadence, "everyDays", situation.every_days, situation.code)
    return cadence


def with_own(cadence: Cadence, own: Mapping[str, int]) -> Cadence:
    """The cadence with a site's own numbers: days by the code of a situation (its stable interval stays in proportion),
    and limits by their names. Raises ValueError in words for whoever wrote them."""
    codes = {situation.code for situation in cadence.situations}
    unknown = sorted(own.keys() - codes - (cadence.limits.keys() & cadence.bounds.keys()))
    if unknown:
        raise ValueError(f"cadence: not known: {', '.join(unknown)}")
    situations = tuple(_own_interval(cadence, each, own.get(each.code)) for each in cadence.situations)
    limits = dict(cadence.limits)
    for name in own.keys() - codes:
        limits[name] = _check(cadence, name, own[name], name)
    return replace(cadence, situations=situations, limits=limits)


def _own_interval(cadence: Cadence, situation: Situation, days: int | None) -> Situation:
    if days is None:
        return situation
    _check(cadence, "everyDays", days, situation.code)
    if days > situation.every_days and not situation.can_be_slowed:
        raise ValueError(f"cadence: {situation.code} is for safety and may not be slower than it ships")
    stable = min(days * situation.stable_every_days // situation.every_days, cadence.slowest_days)
    return replace(situation, every_days=days, stable_every_days=max(days, stable))


def _check(cadence: Cadence, bound: str, value: int, what: str) -> int:
    least, most = cadence.bounds[bound]
    if not least <= value <= most:
        raise ValueError(f"cadence: {what} is from {least} to {most}")
    return value


def _situation(data: Mapping[str, Any]) -> Situation:
    when: Mapping[str, Any] = data["when"]
    return Situation(
        data["code"],
        data["display"],
        data["everyDays"],
        data["stableEveryDays"],
        data["canBeSlowed"],
        tier=when.get("tier", ""),
        policy=when.get("policy", ""),
        needs_safety_open=when.get("safetyOpen", False),
        needs_deterioration=when.get("deteriorated", False),
        asked_at=data.get("askedAt", ""),
    )


def _measure(data: Mapping[str, Any]) -> Measure:
    score: Mapping[str, str] | None = data.get("score")
    return Measure(
        data["code"],
        None if score is None else (score["system"], score["code"]),
        data.get("elevatedFrom"),
        data.get("everyDays"),
        data.get("watchedByDefault", False),
        tuple(data.get("evidence", ())),
    )
